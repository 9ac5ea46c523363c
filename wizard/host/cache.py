"""Parts of images on the disk, under their digests, written so that a kill costs no more than the chunks that were
under way, and a power cut no more than what came after the last ``save``.

``partial/HEX`` holds a blob's bytes and, behind them, a table with the checksum of each chunk that was written. Where
the disk has got the checksum and not the bytes, it tells. Once the whole has been compared with its digest, the table
is cut off and the file becomes ``blobs/sha256/HEX``.

Nothing is forced to the disk while it comes: a layer that the engine takes soon is removed before it was ever written.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wizard.host.files import typed
from wizard.host.store import FolderStore
from wizard.model.errors import Problem, Trouble

CHUNK = 4 * 1024 * 1024
_PIECE = 256 * 1024
"""bytes that are read at once: what many threads hold is small, and no call is felt"""
_HEAD = struct.Struct("<8sQI")
_MAGIC = b"s2sblob1"
_ENTRY = struct.Struct("<I")


class FolderCache:
    """The port ``BlobCache`` in the folder ``root``. ``chunk`` is the bytes that are counted together."""

    def __init__(self, root: str, chunk: int = CHUNK) -> None:
        self._root = Path(root)
        self._chunk = chunk
        self._store = FolderStore(root)

    def folder(self) -> str:
        return str(self._root)

    @contextmanager
    def lock(self) -> Iterator[None]:
        with self._store.lock():
            yield

    def usage(self) -> int:
        total = 0
        for path in self._files():
            with suppress(OSError):
                total += path.stat().st_blocks * 512
        return total

    def here(self, digest: str, size: int) -> int:
        with suppress(OSError):
            if self._whole(digest).stat().st_size == size:
                return size
        try:
            with self._partial(digest).open("rb") as file:
                crcs = _table(file.fileno(), size, self._chunk)
        except OSError:
            return 0
        return sum(_length(number, size, self._chunk) for number, crc in enumerate(crcs) if crc)

    def open(self, digest: str, size: int) -> FileBlob:
        whole, partial = self._whole(digest), self._partial(digest)
        try:
            for folder in (whole.parent, partial.parent):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return FileBlob(digest, size, self._chunk, whole, partial)
        except OSError as error:
            raise typed(error, str(self._root)) from error

    def remove(self, digests: tuple[str, ...] | None = None) -> int:
        if digests is None:
            paths = list(self._files())
        else:
            paths = [path for digest in digests for path in (self._whole(digest), self._partial(digest))]
        freed = 0
        for path in paths:
            try:
                size = path.stat().st_blocks * 512
                path.unlink()
                freed += size
            except FileNotFoundError:
                continue
            except OSError as error:
                raise typed(error, str(path)) from error
        return freed

    def recheck(self, digests: tuple[str, ...]) -> tuple[str, ...]:
        wrong = tuple(digest for digest in digests if _has_changed(self._whole(digest), digest))
        self.remove(wrong)
        return wrong

    def _files(self) -> Iterator[Path]:
        for folder in (self._root / "blobs" / "sha256", self._root / "partial"):
            with suppress(OSError):
                yield from sorted(folder.iterdir())

    def _whole(self, digest: str) -> Path:
        return self._root / "blobs" / "sha256" / _hex(digest)

    def _partial(self, digest: str) -> Path:
        return self._root / "partial" / _hex(digest)


class FileBlob:
    """The port ``CachedBlob`` in one file."""

    def __init__(self, digest: str, size: int, chunk: int, whole: Path, partial: Path) -> None:
        self.digest = digest
        self.size = size
        self.chunk = chunk
        self._whole = whole
        self._partial = partial
        self._lock = threading.Lock()
        self._running: dict[int, int] = {}
        self._crcs: list[int] = []
        self._sha, self._compared = hashlib.sha256(), 0
        self._unsaved = False
        self._complete = whole.exists() and whole.stat().st_size == size
        if self._complete:
            self._file = os.open(whole, os.O_RDONLY | os.O_CLOEXEC)
            return
        self._file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        count = -(-size // chunk)
        length = os.fstat(self._file).st_size
        if length == size:  # a crash between cutting the table off and giving the file its name
            self._crcs = [1] * count
            if self.verify():
                return
        self._crcs = _table(self._file, size, chunk)
        if not self._crcs and count:
            self._crcs = [0] * count
            if length:  # ext4 writes all of a file at its end that was ever cut to nothing
                os.ftruncate(self._file, 0)
            os.pwrite(self._file, _HEAD.pack(_MAGIC, size, chunk) + bytes(_ENTRY.size * count), size)

    @property
    def complete(self) -> bool:
        return self._complete

    def missing(self) -> tuple[int, ...]:
        return () if self._complete else tuple(number for number, crc in enumerate(self._crcs) if not crc)

    @property
    def ready(self) -> int:
        return self.size if self._complete else min(self.size, self._compared * self.chunk)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        number, at = divmod(offset, self.chunk)
        self._forget_sum_of(number)
        with _typed(self._partial):
            view = memoryview(data)
            while view:
                done = os.pwrite(self._file, view, offset)
                view, offset = view[done:], offset + done
        self._running[number] = zlib.crc32(data, self._running[number] if at else 0)

    def commit(self, number: int) -> None:
        with _typed(self._partial):
            self._mark(number, self._running.pop(number))
            self._unsaved = True
            self._sum_up(wait=False)

    def save(self) -> None:
        with _typed(self._partial):
            if self._unsaved:
                self._unsaved = False
                os.fdatasync(self._file)

    def chunk_bytes(self, number: int) -> bytes:
        return os.pread(self._file, _length(number, self.size, self.chunk), number * self.chunk)

    def damaged(self) -> tuple[int, ...]:
        return tuple(number for number, crc in enumerate(self._crcs) if crc and _crc(self.chunk_bytes(number)) != crc)

    def forget(self, numbers: tuple[int, ...]) -> None:
        with _typed(self._partial):
            for number in numbers:
                self._forget_sum_of(number)
                self._mark(number, None)

    def verify(self) -> bool:
        with _typed(self._partial):
            self._sum_up(wait=True)
            with self._lock:
                if self._complete:
                    return True
                if self._compared < len(self._crcs):
                    return False
                if f"sha256:{self._sha.hexdigest()}" != self.digest:
                    self._sha, self._compared = hashlib.sha256(), 0
                    return False
                os.ftruncate(self._file, self.size)
                self._partial.replace(self._whole)
                self._complete = True
        return True

    def read(self, offset: int) -> bytes:
        with _typed(self._whole):
            return os.pread(self._file, max(0, min(_PIECE, self.ready - offset)), offset)

    def close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _sum_up(self, *, wait: bool) -> None:
        """Goes on with the sum of the whole as far as there is no gap. Without ``wait``, not if another one does."""
        while self._has_next() and self._lock.acquire(blocking=wait):
            try:
                if self._has_next():
                    first = self._compared * self.chunk
                    end = first + _length(self._compared, self.size, self.chunk)
                    for at in range(first, end, _PIECE):
                        self._sha.update(os.pread(self._file, min(_PIECE, end - at), at))
                    self._compared += 1
            finally:
                self._lock.release()

    def _has_next(self) -> bool:
        return not self._complete and self._compared < len(self._crcs) and self._crcs[self._compared] != 0

    def _forget_sum_of(self, number: int) -> None:
        """The chunk changes: the sum begins anew if it has that."""
        if number <= self._compared:  # the others wait for nobody who sums up
            with self._lock:
                if number < self._compared:
                    self._sha, self._compared = hashlib.sha256(), 0

    def _mark(self, number: int, crc: int | None) -> None:
        entry = 0 if crc is None else crc or 1
        os.pwrite(self._file, _ENTRY.pack(entry), self.size + _HEAD.size + _ENTRY.size * number)
        self._crcs[number] = entry


@contextmanager
def _typed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise typed(error, str(path)) from error


def _table(file: int, size: int, chunk: int) -> list[int]:
    """The chunks' checksums, 0 for one that is missing; none where the file holds no table for this size."""
    count = -(-size // chunk)
    raw = os.pread(file, _HEAD.size + _ENTRY.size * count, size)
    if len(raw) != _HEAD.size + _ENTRY.size * count or raw[: _HEAD.size] != _HEAD.pack(_MAGIC, size, chunk):
        return []
    return [entry for (entry,) in _ENTRY.iter_unpack(raw[_HEAD.size :])]


def _has_changed(whole: Path, digest: str) -> bool:
    """Whether a file that was compared with its digest no longer has it, or cannot be read."""
    sha = hashlib.sha256()
    try:
        with whole.open("rb") as file:
            while piece := file.read(_PIECE):
                sha.update(piece)
    except OSError:
        return whole.exists()
    return f"sha256:{sha.hexdigest()}" != digest


def _crc(data: bytes) -> int:
    return zlib.crc32(data) or 1


def _length(number: int, size: int, chunk: int) -> int:
    return min(chunk, size - number * chunk)


def _hex(digest: str) -> str:
    name = digest.removeprefix("sha256:")
    if len(name) != 64 or set(name) - set("0123456789abcdef"):
        raise Trouble(Problem.REGISTRY_TROUBLE, f"not a digest: {digest}")
    return name
