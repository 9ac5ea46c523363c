"""The facts about a machine that the ports report: who it is, its files and programs, and how far it sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

_GO_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def go_arch(arch: str) -> str:
    """Go's name of a machine's architecture, which is Docker's and that of registries."""
    return _GO_ARCH.get(arch, arch)


@dataclass(frozen=True, slots=True)
class HostInfo:
    """Which machine this is. ``kind`` is ``"real"`` or ``"simulated"``; ``machine`` names the simulated one."""

    kind: str
    name: str
    os: str
    """e.g. ``Debian GNU/Linux 12 (bookworm)``"""
    system: str = "Linux"
    arch: str = "x86_64"
    user: str = ""
    uid: int = 0
    groups: tuple[str, ...] = ()
    """the groups of this process"""
    groups_on_file: tuple[str, ...] = ()
    """the groups of the user in the group database: a group that is only here takes effect at the next login"""
    machine: str | None = None


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be taken for a later one of the same number: ``started`` is when it began, in a form that
    only this machine understands, and that no other process since its last start can have with that ``pid``.
    """

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a program did. ``stdout`` and ``stderr`` are decoded with replacement characters; ``seconds`` is wall
    time.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FileContent:
    """A regular file: its bytes, permission bits, owner, and the path after following symbolic links."""

    path: str
    real_path: str
    data: bytes
    mode: int
    uid: int
    gid: int


class PathKind(str, Enum):
    """What stands at a path."""

    MISSING = "missing"
    FILE = "file"
    DIRECTORY = "directory"
    SOCKET = "socket"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PathInfo:
    """What stands at a path (symbolic links followed), and what this user may do with it.

    ``changed`` is when the file, its name or its rights were last changed (ctime): seconds since 1970, 0 where that is
    not known. ``size`` is the bytes of a file.
    """

    path: str
    kind: PathKind
    readable: bool = False
    writable: bool = False
    executable: bool = False
    changed: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Space of the file system that holds ``path``, in bytes. ``free`` is what an ordinary user may still use.

    ``files`` is how many files it can hold (inodes) and ``files_free`` how many more; both are 0 where it has no limit.
    """

    path: str
    total: int
    free: int
    files: int = 0
    files_free: int = 0
    device: int = field(default=0, compare=False)
    """the same number for every path on this file system"""


class RootAccess(str, Enum):
    """How commands can be run as root."""

    ROOT = "root"
    """this process is root"""
    READY = "ready"
    """``sudo -n`` works now"""
    PASSWORD = "password"  # noqa: S105 - a state, not a password
    """sudo exists and wants a password, or this user may not use it: sudo says the same in both cases"""
    NONE = "none"
    """there is no sudo"""


@dataclass(frozen=True, slots=True)
class Reached:
    """How a registry's front door answered. ``clock`` is the time by its answer in seconds since 1970, None where it
    does not say. ``is_registry`` is False for somebody else who answers in its place (a login page of the network).
    """

    url: str
    status: int
    is_registry: bool
    clock: float | None = None
