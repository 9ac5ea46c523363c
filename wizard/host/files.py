"""Files of this machine: read whole, replaced in one step."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from wizard.host.ports import Commands
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import CommandResult, DiskSpace, FileContent, PathInfo, PathKind

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAID = (
    ("No space left on device", Problem.DISK_FULL),
    ("Disk quota exceeded", Problem.DISK_FULL),
    ("Read-only file system", Problem.FILE_READ_ONLY),
    ("Device or resource busy", Problem.FILE_READ_ONLY),
    ("Operation not permitted", Problem.FILE_READ_ONLY),
    ("Permission denied", Problem.FILE_PERMISSION),
    ("Not a directory", Problem.FILE_NOT_REGULAR),
    ("Is a directory", Problem.FILE_NOT_REGULAR),
    ("No such file or directory", Problem.FILE_MISSING),
)
"""What coreutils print with ``LC_ALL=C``; root that is not permitted meets an immutable file."""


def typed(error: OSError, path: str) -> Trouble:
    """The kind of an operating system's error about ``path``."""
    if error.errno in _FULL:
        kind = Problem.DISK_FULL
    elif error.errno in (errno.EROFS, errno.EBUSY, errno.ETXTBSY):
        # Busy is a file that is itself a mount: it cannot be exchanged for another.
        kind = Problem.FILE_READ_ONLY
    elif isinstance(error, PermissionError):
        kind = Problem.FILE_READ_ONLY if os.geteuid() == 0 else Problem.FILE_PERMISSION
    elif isinstance(error, FileNotFoundError):
        kind = Problem.FILE_MISSING
    elif isinstance(error, (NotADirectoryError, IsADirectoryError, FileExistsError)) or error.errno == errno.ELOOP:
        kind = Problem.FILE_NOT_REGULAR
    else:
        kind = Problem.INTERNAL
    return Trouble(kind, str(error), subject=path)


def write_whole(path: str, data: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Puts ``data`` at ``path`` (no symbolic link) in one step: a reader sees the old file or the new one, also after
    a crash. ``owner`` is (uid, gid), by default this process. Raises OSError and leaves nothing behind then.
    """
    folder = Path(path).parent
    handle, name = tempfile.mkstemp(prefix=".s2s-", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` last through a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class SystemFiles:
    """The port ``Files`` on this machine. What this user may not do is done by coreutils through ``commands``."""

    def __init__(self, commands: Commands) -> None:
        self._root = RootFiles(commands)

    def info(self, path: str) -> PathInfo:
        try:
            found = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return PathInfo(path, PathKind.MISSING)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return PathInfo(path, PathKind.OTHER)
            raise Trouble(Problem.FILE_PERMISSION, str(error), subject=path) from error
        return PathInfo(
            path,
            _kind(found.st_mode),
            readable=os.access(path, os.R_OK, effective_ids=True),
            writable=os.access(path, os.W_OK, effective_ids=True),
            executable=os.access(path, os.X_OK, effective_ids=True),
            changed=found.st_ctime,
            size=found.st_size if stat.S_ISREG(found.st_mode) else 0,
        )

    def read(self, path: str, *, root: bool = False) -> FileContent | None:
        try:
            return _read(path)
        except PermissionError as error:
            if not root:
                raise Trouble(Problem.FILE_PERMISSION, str(error), subject=path) from error
        except OSError as error:
            raise typed(error, path) from error
        return self._root.read(path)

    def replace(
        self, path: str, before: bytes | None, after: bytes | None, *, mode: int = 0o644, root: bool = False
    ) -> None:
        try:
            _replace(path, before, after, mode)
        except PermissionError as error:
            if not root:
                raise typed(error, path) from error
        except OSError as error:
            raise typed(error, path) from error
        else:
            return
        self._root.replace(path, before, after, mode)

    def after(self, path: str, offset: int, limit: int) -> bytes:
        try:
            return _read_part(path, offset, limit)
        except OSError as error:
            raise typed(error, path) from error

    def remove(self, path: str) -> None:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise typed(error, path) from error

    def names(self, folder: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(item.name for item in Path(folder).iterdir()))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise Trouble(Problem.FILE_PERMISSION, str(error), subject=folder) from error

    def link(self, path: str) -> str | None:
        try:
            return str(Path(path).readlink())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.EINVAL:  # something else than a link stands there
                return None
            raise Trouble(Problem.FILE_PERMISSION, str(error), subject=path) from error

    def make_folder(self, path: str) -> None:
        try:
            _make_folders(Path(path))
        except OSError as error:
            raise typed(error, path) from error

    def open(self, path: str, *, unpack: bool = False) -> BinaryIO:
        from wizard.host.compression import unpacked

        try:
            if not stat.S_ISREG(Path(path).stat().st_mode):
                raise Trouble(Problem.FILE_NOT_REGULAR, subject=path)
            file = Path(path).open("rb")  # noqa: SIM115 - the caller's
            return unpacked(file, path) if unpack else file
        except OSError as error:
            raise typed(error, path) from error

    def disk(self, path: str) -> DiskSpace:
        place = Path(path)
        while True:
            try:
                found = os.statvfs(place)
            except (FileNotFoundError, NotADirectoryError):
                if place == place.parent:
                    raise
                place = place.parent
            except OSError as error:
                raise Trouble(Problem.FILE_PERMISSION, str(error), subject=path) from error
            else:
                return DiskSpace(
                    path,
                    found.f_blocks * found.f_frsize,
                    found.f_bavail * found.f_frsize,
                    found.f_files,
                    found.f_favail,
                    place.stat().st_dev,
                )


def _kind(mode: int) -> PathKind:
    if stat.S_ISREG(mode):
        return PathKind.FILE
    if stat.S_ISDIR(mode):
        return PathKind.DIRECTORY
    return PathKind.SOCKET if stat.S_ISSOCK(mode) else PathKind.OTHER


def _read(path: str) -> FileContent | None:
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for somebody who writes.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb", closefd=True) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Trouble(Problem.FILE_NOT_REGULAR, subject=path)
        return FileContent(
            path, os.path.realpath(path), file.read(), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
        )


def _read_part(path: str, offset: int, limit: int) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Trouble(Problem.FILE_NOT_REGULAR, subject=path)
        return os.pread(handle, limit, offset)
    finally:
        os.close(handle)


def _replace(path: str, before: bytes | None, after: bytes | None, mode: int) -> None:
    current = _unchanged(path, _read(path), before)
    target = Path(current.real_path if current else os.path.realpath(path))
    if current is not None and not os.access(target, os.W_OK, effective_ids=True):
        # A folder that may be written would let us exchange a file that was closed on purpose.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
    if after is None:
        if current is not None:
            target.unlink()
            sync_folder(target.parent)
        return
    if current is None:
        write_whole(str(target), after, mode=mode, owner=_make_folders(target.parent))
    else:
        write_whole(str(target), after, mode=current.mode, owner=(current.uid, current.gid))


def _make_folders(folder: Path) -> tuple[int, int] | None:
    """Makes a folder and those above it that are missing; whom a new file in it is to belong to (None: this process).

    What root makes for somebody in that person's folder is theirs.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    found = folder.stat()
    owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        if owner is not None:
            os.chown(place, *owner)
    if not missing and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    return owner


def _unchanged(path: str, current: FileContent | None, before: bytes | None) -> FileContent | None:
    if (current.data if current else None) != before:
        raise Trouble(Problem.FILE_CHANGED, subject=path)
    return current


class RootFiles:
    """The same two operations through coreutils run as root.

    Contents travel as base64 one way, because the output of a command is text, and through standard input the
    other way, so that no argument and no file of ours holds them.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def read(self, path: str) -> FileContent | None:
        found = self._run(path, "stat", "-L", "-c", "%f %u %g", "--", path, missing_is_fine=True)
        if found.returncode != 0:
            return None
        mode_text, uid, gid = found.stdout.split()
        mode = int(mode_text, 16)
        if not stat.S_ISREG(mode):
            raise Trouble(Problem.FILE_NOT_REGULAR, subject=path)
        data = base64.b64decode(self._run(path, "base64", "-w0", "--", path).stdout)
        return FileContent(path, self._real(path), data, stat.S_IMODE(mode), int(uid), int(gid))

    def replace(self, path: str, before: bytes | None, after: bytes | None, mode: int) -> None:
        current = _unchanged(path, self.read(path), before)
        target = current.real_path if current else self._real(path)
        if after is None:
            if current is not None:
                self._run(path, "rm", "-f", "--", target)
            return
        folder = str(Path(target).parent)
        temporary = str(Path(folder, f".s2s-{secrets.token_hex(6)}"))
        mode, uid, gid = (current.mode, current.uid, current.gid) if current else (mode, 0, 0)
        self._run(path, "mkdir", "-p", "--", folder)
        try:
            self._run(
                path,
                *("install", "-m", f"{mode:o}", "-o", str(uid), "-g", str(gid), "--", "/dev/stdin", temporary),
                stdin=after,
            )
            self._run(path, "sync", "--", temporary)
            _unchanged(path, self.read(path), before)
            self._run(path, "mv", "-fT", "--", temporary, target)
        except BaseException:
            with contextlib.suppress(Trouble):
                self._commands.run(("rm", "-f", "--", temporary), root=True)
            raise
        self._run(path, "sync", "--", folder)

    def _real(self, path: str) -> str:
        return self._run(path, "readlink", "-m", "--", path).stdout.removesuffix("\n")

    def _run(self, path: str, *argv: str, stdin: bytes | None = None, missing_is_fine: bool = False) -> CommandResult:
        result = self._commands.run(argv, root=True, stdin=stdin)
        if result.returncode != 0:
            kind = next((kind for said, kind in _SAID if said in result.stderr), Problem.COMMAND_FAILED)
            if not (missing_is_fine and kind is Problem.FILE_MISSING):
                raise Trouble(kind, result.stderr.strip(), subject=path)
        return result
