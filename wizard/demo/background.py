"""Work in the background of a simulated machine: threads of this program that stand for processes."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Mapping

from wizard.model.errors import Trouble
from wizard.model.machine import ProcessId
from wizard.model.secret import Secret

Answer = Callable[[Trouble | None], None]
Serve = Callable[[Mapping[str, str], Secret | None, Answer], None]
"""Does what a request says, and calls back when it has begun, or with what kept it from that."""

_PROGRAM = 1
"""The number of the program itself: of every thread that was not started here."""
_STARTED = "simulated"


class SimBackground:
    """``Background`` in this process: all of it ends with the program."""

    lasting = False

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._own = threading.local()
        self._numbers = itertools.count(_PROGRAM + 1)
        self._running = {_PROGRAM}

    def start(self, request: Mapping[str, str], key: Secret | None) -> None:
        answers: queue.SimpleQueue[Trouble | None] = queue.SimpleQueue()
        number = next(self._numbers)

        def work() -> None:
            self._own.number = number
            self._running.add(number)
            try:
                self._serve(request, key, answers.put)
            finally:
                self._running.discard(number)

        threading.Thread(target=work, name="background", daemon=True).start()
        trouble = answers.get()
        if trouble is not None:
            raise trouble

    def this(self) -> ProcessId:
        return ProcessId(getattr(self._own, "number", _PROGRAM), _STARTED)

    def runs(self, process: ProcessId) -> bool:
        return process.started == _STARTED and process.pid in self._running
