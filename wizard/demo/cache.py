"""The parts of images on a simulated machine: only their numbers are kept, not their bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from wizard.demo.files import Tree

CHUNK = 64_000_000
_PIECE = bytes(4_000_000)


class SimCache:
    """``BlobCache``. What is written takes room on the disk that holds ``root``."""

    def __init__(self, root: str, tree: Tree, chunk: int = CHUNK) -> None:
        self._root = root
        self._tree = tree
        self._chunk = chunk
        self._blobs: dict[str, SimBlob] = {}

    def folder(self) -> str:
        return self._root

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield

    def usage(self) -> int:
        return sum(blob.written for blob in self._blobs.values())

    def here(self, digest: str, size: int) -> int:
        blob = self._blobs.get(digest)
        return blob.held if blob is not None and blob.size == size else 0

    def open(self, digest: str, size: int) -> SimBlob:
        if digest not in self._blobs:
            self._blobs[digest] = SimBlob(digest, size, self._chunk, self._root, self._tree)
        return self._blobs[digest]

    def remove(self, digests: tuple[str, ...] | None = None) -> int:
        freed = 0
        for digest in tuple(self._blobs) if digests is None else digests:
            blob = self._blobs.pop(digest, None)
            freed += blob.written if blob is not None else 0
        if freed:
            self._tree.use(self._root, -freed)
        return freed

    def recheck(self, digests: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG002 - zeros do not change
        return ()


class SimBlob:
    """``CachedBlob``. Its bytes are zeros, and its digest is always right."""

    def __init__(self, digest: str, size: int, chunk: int, root: str, tree: Tree) -> None:
        self.digest = digest
        self.size = size
        self.chunk = chunk
        self.written = 0
        self._root = root
        self._tree = tree
        self._lock = threading.Lock()
        self._missing = set(range(-(-size // chunk)))
        self._complete = False

    @property
    def complete(self) -> bool:
        return self._complete

    @property
    def held(self) -> int:
        """Bytes of the chunks that are here."""
        return self.size - sum(self._length(number) for number in self._missing)

    @property
    def ready(self) -> int:
        with self._lock:
            return min((number * self.chunk for number in self._missing), default=self.size)

    def missing(self) -> tuple[int, ...]:
        return tuple(sorted(self._missing))

    def write(self, offset: int, data: bytes | memoryview) -> None:  # noqa: ARG002 - only their number is kept
        with self._lock:
            self._tree.use(self._root, len(data))
            self.written += len(data)

    def commit(self, number: int) -> None:
        with self._lock:
            self._missing.discard(number)

    def save(self) -> None:
        """Nothing is on a disk."""

    def chunk_bytes(self, number: int) -> bytes:
        return bytes(self._length(number))

    def damaged(self) -> tuple[int, ...]:
        return ()

    def forget(self, numbers: tuple[int, ...]) -> None:
        with self._lock:
            self._missing.update(numbers)

    def verify(self) -> bool:
        self._complete = not self._missing
        return self._complete

    def read(self, offset: int) -> bytes:
        return _PIECE[: max(0, self.ready - offset)]

    def close(self) -> None:
        """Nothing is held."""

    def _length(self, number: int) -> int:
        return min(self.chunk, self.size - number * self.chunk)
