"""How a step of a repair, or of the program itself, ended."""

from __future__ import annotations

from enum import Enum


class StepState(str, Enum):
    """How a step of a plan ended. ``DONE`` means that its check passed afterwards."""

    PLANNED = "planned"
    DONE = "done"
    NOT_VERIFIED = "not-verified"
    FAILED = "failed"
    DECLINED = "declined"
    UNDONE = "undone"
    ALREADY = "already-done"
