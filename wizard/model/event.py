"""What a long operation says while it runs, and how it is asked to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from wizard.model.errors import Problem, Trouble


@dataclass(frozen=True, slots=True)
class Started:
    """The operation begins. ``what`` is a translated line."""

    what: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. ``total`` is None while it is not known; ``unit`` is ``"bytes"`` or ``"steps"``.

    ``rate`` is units per second and ``eta`` seconds, None while unknown. ``phase`` is a translated word.
    """

    done: int
    total: int | None
    unit: str
    phase: str = ""
    rate: float | None = None
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of narration or of a program's output."""

    text: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing has moved for ``seconds``."""

    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation ended well. ``what`` is a translated line."""

    what: str


Event = Started | Progress | Line | Stalled | Finished
Emit = Callable[[object], None]
"""Receives events. Services may also emit results of their own (a ``Finding``); a listener ignores what it does
not know.
"""


def ignore(event: object) -> None:
    """An ``Emit`` for callers who do not listen."""


class Cancel:
    """A request to stop, shared between the thread that works and the one that listens to the user.

    ``set`` may be called from any thread; it also calls what was registered with ``on_set``, so that a blocking
    read can be ended by closing its stream.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._closers: list[Callable[[], None]] = []

    @property
    def is_set(self) -> bool:
        """Whether the operation was asked to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask the operation to stop. A second call does nothing."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            closers, self._closers = self._closers, []
        for close in closers:
            close()

    def on_set(self, close: Callable[[], None]) -> None:
        """Call ``close`` when asked to stop; at once if that has happened already."""
        with self._lock:
            if not self._event.is_set():
                self._closers.append(close)
                return
        close()

    def wait(self, seconds: float) -> bool:
        """Sleep for up to ``seconds``; True as soon as the operation is asked to stop."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise ``Trouble(CANCELLED)`` when asked to stop."""
        if self.is_set:
            raise Trouble(Problem.CANCELLED)
