"""The repairs: one small module each.

A new repair is a new module with a ``REPAIR`` and a place in ``ALL``; the check that finds the fault names its id.
"""

from __future__ import annotations

from wizard.services.fixes import register_runtime
from wizard.services.fixes.repair import Repair

ALL: tuple[Repair, ...] = (register_runtime.REPAIR,)
