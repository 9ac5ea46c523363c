"""A repair as data: what is previewed is what is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from wizard.model.finding import Evidence


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Runs a program without a shell. ``timeout`` is in seconds. ``why`` is one translated line for the preview.

    ``undo`` is the command that takes it back, run with the same rights; None where there is nothing to take back, or
    where putting the files back is enough.
    """

    argv: tuple[str, ...]
    needs_root: bool = False
    stdin: bytes | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    why: str = ""
    undo: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReplaceFile:
    """Gives a file new content in one step: ``before`` and ``after`` are all its bytes.

    ``before`` is None where the file must not exist yet, ``after`` is None where it is to be removed. ``mode`` is
    the permission of a file that is new; an existing file keeps its own mode and owner. The step is refused when
    the file no longer holds ``before``.
    """

    path: str
    before: bytes | None
    after: bytes | None
    mode: int = 0o644
    needs_root: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Gives the user's own terminal to a program that talks to them."""

    argv: tuple[str, ...]
    why: str = ""


Action = RunCommand | ReplaceFile | HandOver


class Risk(str, Enum):
    """What a repair can cost."""

    NONE = "none"
    """nothing that runs is touched"""
    RESTART = "restart"
    """running containers stop unless live-restore is on"""


class Effect(str, Enum):
    """When a repair takes effect."""

    NOW = "now"
    AFTER_LOGIN = "after-login"
    AFTER_REBOOT = "after-reboot"


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair that is ready to be shown and run.

    ``check`` is the id of the check that proves it. ``touches`` are the running containers that it concerns, by name;
    ``touches_note`` says in one line what happens to them. ``undo_note`` says how it is taken back.

    ``closing`` are the commands without which the change does not count and that cost something: a restart of Docker.
    They follow the actions. When several repairs are made in one go, they are run once, after the last.
    """

    id: str
    title: str
    why: str
    actions: tuple[Action, ...]
    check: str
    risk: Risk = Risk.NONE
    effect: Effect = Effect.NOW
    touches: tuple[str, ...] = ()
    touches_note: str = ""
    undo_note: str = ""
    evidence: tuple[Evidence, ...] = ()
    closing: tuple[RunCommand, ...] = ()

    @property
    def needs_root(self) -> bool:
        """Whether any action has to be run as root."""
        return any(not isinstance(action, HandOver) and action.needs_root for action in (*self.actions, *self.closing))
