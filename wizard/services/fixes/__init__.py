"""The repairs: one small module each.

A new repair is a new module with a ``REPAIR`` and a place in ``ALL``; the check that finds the fault names its id.
"""

from __future__ import annotations

from wizard.services.fixes import (
    enable_docker,
    enable_live_restore,
    register_runtime,
    reset_failed_docker,
    restart_docker,
    start_docker,
)
from wizard.services.fixes.repair import Repair

ALL: tuple[Repair, ...] = (
    register_runtime.REPAIR,
    enable_live_restore.REPAIR,
    reset_failed_docker.REPAIR,
    start_docker.REPAIR,
    enable_docker.REPAIR,
    restart_docker.REPAIR,
)
"""In the order of application: what others build on comes first, what lets it take effect comes last."""
