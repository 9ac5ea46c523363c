"""The program's own files of a simulated machine: in memory, gone when the program ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SimStore:
    """``Store`` in a dictionary; ``folder`` is where a real one would lie."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._files: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self._files.get(name)

    def write(self, name: str, data: bytes) -> None:
        self._files[name] = data

    def remove(self, name: str) -> None:
        self._files.pop(name, None)

    def names(self, folder: str) -> tuple[str, ...]:
        start = f"{folder}/" if folder else ""
        rest = (name.removeprefix(start) for name in self._files if name.startswith(start))
        return tuple(sorted(name for name in rest if "/" not in name))

    def path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield

    def locked_by(self) -> int | None:
        return None
