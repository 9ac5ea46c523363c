"""The parts of a simulated image, as they come over a simulated network: zeros, at a pace."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from wizard.model.errors import Problem, Trouble

_MB = 1_000_000
_TICK = 0.1
_PIECE = bytes(4 * _MB)


class SimBlobs:
    """``BlobSource``. ``pace`` is seconds for a megabyte, ``admit`` raises what stands in the way."""

    def __init__(self, pace: float, admit: Callable[[], None]) -> None:
        self._pace = pace
        self._admit = admit
        self._open = 0

    def open(self, digest: str, size: int, first: int, end: int) -> SimBlobStream:
        self._admit()
        if not 0 <= first < end <= size:
            raise Trouble(Problem.REGISTRY_TROUBLE, f"416 {first}-{end} of {size}", subject=digest)
        self._open += 1
        return SimBlobStream(first, end, self)

    def close(self) -> None:
        """Nothing is held."""

    @property
    def pace(self) -> float:
        """The connections share one line."""
        return self._pace * max(1, self._open)

    def closed(self) -> None:
        """One connection fewer shares the line."""
        self._open -= 1


class SimBlobStream:
    """``BlobStream`` of zeros."""

    def __init__(self, first: int, end: int, source: SimBlobs) -> None:
        self.first = first
        self.end = end
        self._at = first
        self._source = source
        self._shut = Event()
        self._is_open = True

    def read(self) -> bytes:
        pace = self._source.pace
        count = min(self.end - self._at, max(1, int(_TICK / pace * _MB)) if pace else len(_PIECE), len(_PIECE))
        if count and self._shut.wait(pace * count / _MB):
            raise Trouble(Problem.REGISTRY_UNREACHABLE, "the connection was closed")
        self._at += count
        return _PIECE[:count]

    def shut(self) -> None:
        self._shut.set()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._source.closed()
