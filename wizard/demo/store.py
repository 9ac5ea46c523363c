"""The program's own files of a simulated machine: in memory, gone when the program ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wizard.model.errors import Problem, Trouble


class SimStore:
    """``Store`` in a dictionary. ``folder`` is where a real one would lie; ``this`` tells which process asks."""

    def __init__(self, folder: str, this: Callable[[], int] = lambda: 1) -> None:
        self._folder = folder
        self._this = this
        self._files: dict[str, bytes] = {}
        self._guard = threading.Lock()
        self._holders: dict[str, tuple[int, int]] = {}

    def read(self, name: str) -> bytes | None:
        return self._files.get(name)

    def write(self, name: str, data: bytes) -> None:
        self._files[name] = data

    def append(self, name: str, data: bytes) -> None:
        self._files[name] = self._files.get(name, b"") + data

    def read_on(self, name: str, start: int) -> bytes | None:
        data = self._files.get(name)
        return None if data is None else data[start:]

    def remove(self, name: str) -> None:
        self._files.pop(name, None)

    def names(self, folder: str) -> tuple[str, ...]:
        start = f"{folder}/" if folder else ""
        rest = (name.removeprefix(start) for name in self._files if name.startswith(start))
        return tuple(sorted(name for name in rest if "/" not in name))

    def path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    @contextmanager
    def lock(self, name: str = "lock") -> Iterator[None]:
        this = self._this()
        with self._guard:
            holder, depth = self._holders.get(name, (this, 0))
            if holder != this:
                raise Trouble(Problem.BUSY, subject=str(holder))
            self._holders[name] = (this, depth + 1)
        try:
            yield
        finally:
            with self._guard:
                _this, depth = self._holders.pop(name)
                if depth > 1:
                    self._holders[name] = (this, depth - 1)

    def locked_by(self) -> int | None:
        return None
