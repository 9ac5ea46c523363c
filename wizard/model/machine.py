"""The facts about a machine that the ports report."""

from __future__ import annotations

from collections.abc import Mapping
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


# --- the Docker engine -------------------------------------------------------------------------------------------


class EngineKind(str, Enum):
    """Which Docker answers."""

    ENGINE = "engine"
    ROOTLESS = "rootless"
    DESKTOP = "desktop"
    SNAP = "snap"
    PODMAN = "podman"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the client looks for the daemon. ``source`` is ``DOCKER_HOST``, ``context NAME`` or ``default``."""

    url: str
    source: str

    @property
    def socket(self) -> str | None:
        """The path of the unix socket, or None for another transport."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None


@dataclass(frozen=True, slots=True)
class DaemonProcess:
    """The process that answers on a local socket: its pid, its command line, and its systemd unit where it has
    one.
    """

    pid: int
    argv: tuple[str, ...]
    unit: str | None = None

    def option(self, name: str) -> tuple[str, ...]:
        """All values of ``--name value`` and ``--name=value`` on the daemon's command line."""
        values: list[str] = []
        for index, word in enumerate(self.argv):
            if word == f"--{name}" and index + 1 < len(self.argv):
                values.append(self.argv[index + 1])
            elif word.startswith(f"--{name}="):
                values.append(word.split("=", 1)[1])
        return tuple(values)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What ``GET /version`` and ``GET /info`` say. ``runtimes`` maps a name to its program's path ("" if not
    told). ``cdi_folders`` are where it looks for CDI specifications, none where it does not use any. The proxies are
    those through which the daemon itself pulls, "" for none; the daemon masks a password in them.
    """

    kind: EngineKind
    version: str
    api_version: str
    os: str
    arch: str
    """Go's name: ``amd64``, ``arm64``"""
    runtimes: Mapping[str, str]
    default_runtime: str
    root_dir: str
    storage_driver: str
    containerd_store: bool
    live_restore: bool
    containers_running: int
    name: str
    cgroup_driver: str = ""
    warnings: tuple[str, ...] = ()
    cdi_folders: tuple[str, ...] = ()
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    swarm: bool = False
    """whether this engine takes part in a swarm"""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image in the engine. ``size`` is unpacked bytes; ``repo_digests`` are ``name@sha256:…``."""

    id: str
    tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    size: int
    architecture: str = ""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    """the digests of the unpacked layers (``RootFS.Layers``), lowest first; only of a single image"""
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def is_one_of(self, *digests: str) -> bool:
        """Whether it is the image that a registry describes by ``digests``; an empty one describes nothing.

        The manifest's digest stands in ``repo_digests`` after a pull. The id is the digest of the configuration on
        graph drivers and of the manifest on the containerd store; either covers the whole content.
        """
        return bool({self.id, *(item.rpartition("@")[2] for item in self.repo_digests)} & set(filter(None, digests)))


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image and what it takes on the disk, in bytes. ``in_use`` says whether a container is made of it, running or
    not; ``tags`` are none for a leftover of a build or of a newer pull ("dangling").
    """

    id: str
    tags: tuple[str, ...]
    size: int
    in_use: bool


@dataclass(frozen=True, slots=True)
class StoredContainer:
    """A container and the bytes that were written in it, which go with it."""

    id: str
    name: str
    running: bool
    size: int


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What the engine keeps. ``build_cache`` is the bytes of it that no build uses now."""

    images: tuple[StoredImage, ...]
    containers: tuple[StoredContainer, ...]
    build_cache: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of this machine seen inside a container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """A container. ``state`` is the engine's word: created, running, paused, restarting, removing, exited, dead."""

    id: str
    name: str
    image: str
    """the image's name at the time of creation"""
    image_id: str
    state: str
    exit_code: int = 0
    error: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    runtime: str = ""
    auto_remove: bool = False
    restart_policy: str = ""
    created: str = ""
    """when it was made, ISO 8601"""
    address: str = ""
    """where this machine finds the programs in it: its own address in Docker's network while it runs, the loopback
    address of this machine where it shares its network, "" without a network"""

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command inside a container did."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""


# --- the GPU -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MigInstance:
    """A part of a divided GPU, which a program sees as a GPU. ``memory`` is in bytes."""

    name: str
    memory: int
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. ``memory`` is in bytes; ``capability`` is CUDA's compute capability as (major, minor). ``mig`` tells
    that it is set to be divided, ``instances`` into which parts.
    """

    index: int
    name: str
    memory: int
    capability: tuple[int, int] | None
    uuid: str = ""
    mig: bool = False
    persistent: bool | None = None
    """whether the driver keeps the GPU set up while nobody uses it; None where it does not say"""
    instances: tuple[MigInstance, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuReport:
    """What the NVIDIA driver says. ``cuda`` is the newest CUDA that it supports, e.g. ``12.8``."""

    driver: str
    cuda: str
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one GPU does at this moment. ``use_percent`` is the share of the last moment in which it computed, memory is
    in bytes, ``temperature`` in °C. What the driver does not tell (of a divided or a virtual GPU) is None.
    """

    index: int
    uuid: str
    name: str
    use_percent: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: int | None = None


# --- the network -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reached:
    """How a registry's front door answered. ``clock`` is the time by its answer in seconds since 1970, None where it
    does not say. ``is_registry`` is False for somebody else who answers in its place (a login page of the network).
    """

    url: str
    status: int
    is_registry: bool
    clock: float | None = None


# --- keys --------------------------------------------------------------------------------------------------------


class KeyPlace(str, Enum):
    """Where an API key can lie, in the order in which one is looked for."""

    ENVIRONMENT = "environment"
    KEYRING = "keyring"
    PASS = "pass"  # noqa: S105 - the name of a program
    """the password store of the command line, encrypted with the user's GnuPG key"""
    SESSION = "session"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class KeyStoreInfo:
    """One place for the key: whether it can be used now, whether it holds a key, and its name for people.

    ``detail`` is untranslated: a backend's name, a path, a variable.
    """

    place: KeyPlace
    usable: bool
    holds_key: bool
    detail: str = ""
    problem: str | None = None
    """the value of a ``Problem`` when it is not usable"""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What NVIDIA says about a key that it accepts. ``type`` is its word (``PERSONAL_KEY``, ``SERVICE_KEY``, …),
    ``org`` the organisation that the key belongs to, ``products`` the services that it was made for; empty where it
    does not say, as for keys of the old kind.
    """

    type: str = ""
    org: str = ""
    products: tuple[str, ...] = ()
