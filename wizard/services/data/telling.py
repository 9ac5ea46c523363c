"""Progress of a long operation as events: at most ten a second, and a name for it when nothing moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from wizard.model.beside import regularly
from wizard.model.event import Emit, Progress, Stalled
from wizard.model.progress import Speed

STALL_SECONDS = 30.0
_BETWEEN_EVENTS = 0.1
_WATCH_SECONDS = 1.0


class Telling:
    """Turns counts into events. ``unit`` is ``bytes`` or ``steps``, ``reason`` why it may stand still, translated."""

    def __init__(
        self, emit: Emit, total: int, unit: str, phase: str, reason: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._emit = emit
        self._total = total
        self._unit = unit
        self._phase = phase
        self._reason = reason
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._started = False
        self._speed = Speed()
        self._moved = clock()
        self._told = self._moved - _BETWEEN_EVENTS
        self._stalls = 0

    def __call__(self, done: int) -> None:
        """Takes the count as it is now; a smaller one than before is passed over."""
        with self._lock:
            now = self._clock()
            if done > self._done:
                if self._started:  # what was here before did not come at any speed
                    self._speed.add(done - self._done)
                self._done, self._moved, self._stalls = done, now, 0
            self._started = True
            self._speed.note(now)
            if now - self._told >= _BETWEEN_EVENTS or done >= self._total:
                self._told = now
                rate = self._speed.rate(now)
                eta = (self._total - self._done) / rate if rate and self._done < self._total else None
                self._emit(Progress(self._done, self._total, self._unit, self._phase, rate, eta))

    def watched(self) -> AbstractContextManager[None]:
        """Looks at the clock in a thread of its own until the end."""
        return regularly(self._look, _WATCH_SECONDS, "data-watch")

    def _look(self) -> None:
        with self._lock:
            quiet = self._clock() - self._moved
            if quiet >= STALL_SECONDS * (self._stalls + 1):
                self._stalls = int(quiet // STALL_SECONDS)
                self._emit(Stalled(quiet, self._reason))
