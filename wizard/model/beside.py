"""Work that is done beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """Does ``work`` in a thread of its own, from now on. It does not keep the program from ending.

    It says itself when it is over: Python up to 3.11 takes a thread for ended once Ctrl-C has interrupted somebody who
    waited in ``Thread.join`` (github.com/python/cpython/issues/90882).
    """

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._over = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:  # noqa: BLE001 - ``result`` raises it where somebody can deal with it
            self._error = error
        finally:
            self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether ``result`` returns at once."""
        return self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Waits for the end, but not for longer; whether it has come."""
        return self._over.wait(seconds)

    def result(self) -> T:
        """Waits for the end; what the work returned. Raises what it raised."""
        self._over.wait()
        if self._error is not None:
            raise self._error
        return self._result[0]


@contextmanager
def regularly(look: Callable[[], None], seconds: float, name: str) -> Iterator[None]:
    """Calls ``look`` every so many seconds in a thread of its own, until the block ends; never after that."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(seconds):
            look()

    thread = threading.Thread(target=watch, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
