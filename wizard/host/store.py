"""The program's own small files, in one private folder."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from wizard.host.files import typed, write_whole
from wizard.model.errors import Problem, Trouble

_LOCK = "lock"
_LOCK_SECONDS = 0.5
"""Somebody who only asks who holds the lock has it for a moment."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""A file system that knows no locks: then nobody is held up."""


class FolderStore:
    """The port ``Store`` in the folder ``root``: folders 0700, files 0600. The folder is made when first written."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)
        self._guard = threading.Lock()
        self._depth: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def read(self, name: str) -> bytes | None:
        try:
            return self._place(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise typed(error, self.path(name)) from error

    def write(self, name: str, data: bytes) -> None:
        place = self._place(name)
        try:
            self._make(place.parent)
            write_whole(str(place), data, mode=0o600)
        except OSError as error:
            raise typed(error, str(place)) from error

    def append(self, name: str, data: bytes) -> None:
        place, mode = self._place(name), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            try:
                handle = os.open(place, mode)
            except FileNotFoundError:
                self._make(place.parent)
                handle = os.open(place, mode | os.O_CREAT, 0o600)
            try:
                os.write(handle, data)
            finally:
                os.close(handle)
        except OSError as error:
            raise typed(error, str(place)) from error

    def read_on(self, name: str, start: int) -> bytes | None:
        try:
            with self._place(name).open("rb") as file:
                file.seek(start)
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise typed(error, self.path(name)) from error

    def remove(self, name: str) -> None:
        try:
            self._place(name).unlink(missing_ok=True)
        except OSError as error:
            raise typed(error, self.path(name)) from error

    def names(self, folder: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(item.name for item in self._place(folder).iterdir() if not item.name.startswith(".")))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise typed(error, self.path(folder)) from error

    def path(self, name: str) -> str:
        return str(self._place(name))

    @contextmanager
    def lock(self, name: str = _LOCK) -> Iterator[None]:
        with self._guard:
            if not self._depth.get(name):
                self._held[name] = self._acquire(name)
            self._depth[name] = self._depth.get(name, 0) + 1
        try:
            yield
        finally:
            with self._guard:
                self._depth[name] -= 1
                if not self._depth[name]:
                    os.close(self._held.pop(name))

    def locked_by(self) -> int | None:
        with self._guard:
            if self._depth.get(_LOCK):
                return None
            try:
                handle = os.open(self._place(_LOCK), os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return None
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _pid_in(handle)
            except OSError:
                return None
            finally:
                os.close(handle)
            return None

    def _acquire(self, name: str) -> int:
        """An open file that holds the lock until it is closed."""
        place = self._place(name)
        try:
            self._make(place.parent)
            handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise typed(error, str(place)) from error
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                pid = _pid_in(handle)
                os.close(handle)
                raise Trouble(Problem.BUSY, subject=str(pid)) from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    os.close(handle)
                    raise typed(error, str(place)) from error
            break
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return handle

    def _make(self, folder: Path) -> None:
        """The folder and those above it up to the root, each 0700 also where it stood there already."""
        self._root.parent.mkdir(parents=True, exist_ok=True)
        between = [folder, *folder.parents]
        for item in reversed(between[: between.index(self._root) + 1]):
            item.mkdir(mode=0o700, exist_ok=True)
            if item.stat().st_mode & 0o077 and item.stat().st_uid == os.geteuid():
                item.chmod(0o700)

    def _place(self, name: str) -> Path:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts:
            raise ValueError(f"not a name inside the store: {name}")
        return self._root / pure


def _pid_in(handle: int) -> int:
    """The pid that the holder of the lock wrote; 0 in the moment before it has."""
    text = os.pread(handle, 32, 0).strip()
    return int(text) if text.isdigit() else 0
