"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Status(str, Enum):
    """The outcome of a check. ``UNKNOWN`` is a check that crashed or ran out of time: never ok, never the user's
    fault.
    """

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the program looked (a command, a file, an API call) and what it answered, word for word."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A page that says more."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. The texts are translated already.

    ``causes`` are the ids of the causes in ``wizard.knowledge`` that are proved to hold on this machine.
    ``summary`` is one line. ``detail`` says what it means for somebody who is new to this. ``fixes`` are the ids
    of the fixes that would help. ``blocked_by`` is the id of the check whose failure made this one be skipped.
    ``facts`` are values for other parts of the program (a driver's version, a list of GPUs), never for the eye.
    ``seconds`` is how long the check took.
    """

    id: str
    status: Status
    title: str
    summary: str
    detail: str = ""
    evidence: tuple[Evidence, ...] = ()
    causes: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    blocked_by: str | None = None
    seconds: float = 0.0
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether a check that requires this one may run."""
        return self.status in (Status.OK, Status.INFO, Status.WARNING)
