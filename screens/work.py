"""Runs a service beside the screen, so that the screen never stands still."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from textual.message import Message

from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.secret import redact

T = TypeVar("T")
V = TypeVar("V")
log = logging.getLogger(__name__)


class Happened(Message, bubble=False):
    """Something in a worker's thread that the screen is to deal with in its own."""

    def __init__(self, deal: Callable[[], None]) -> None:
        super().__init__()
        self.deal = deal


class Job(Generic[T]):
    """One call of a service in a thread of its own.

    ``post`` must be safe to call from that thread. ``said``, ``returned`` and ``failed`` are called, through
    ``post``, with each event, with the result, or with the failure; a failure that the service did not foresee
    arrives as ``INTERNAL``. The thread is a daemon: a machine that does not answer never keeps the program from ending.
    """

    def __init__(
        self,
        run: Callable[[Emit, Cancel], T],
        *,
        post: Callable[[Happened], object],
        returned: Callable[[T], None],
        failed: Callable[[Trouble], None],
        said: Callable[[object], None] | None = None,
    ) -> None:
        self.cancel = Cancel()
        self._run, self._post = run, post
        self._said, self._returned, self._failed = said, returned, failed
        self._deaf = False
        # The thread sees the application through the context it was started in.
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._work,), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the service has not come back yet."""
        return self._thread.is_alive()

    def leave(self) -> None:
        """Nobody listens any more: asks the service to stop and drops whatever it still says."""
        self._deaf = True
        self.cancel.set()

    def _work(self) -> None:
        try:
            result = self._run(self._emit, self.cancel)
        except Trouble as trouble:
            self._tell(self._failed, trouble)
        except Exception as error:
            log.exception("a service failed in a way that it does not know")
            text = redact(f"{type(error).__name__}: {error}")
            self._tell(self._failed, Trouble(Problem.INTERNAL, text))
        else:
            self._tell(self._returned, result)

    def _emit(self, event: object) -> None:
        if self._said is not None:
            self._tell(self._said, event)

    def _tell(self, listener: Callable[[V], None], value: V) -> None:
        def deal() -> None:
            if not self._deaf:
                listener(value)

        if not self._deaf:
            self._post(Happened(deal))
