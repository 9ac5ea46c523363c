"""What the Docker engine reports of itself, of an image, and of a command in a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


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
class ExecResult:
    """What a command inside a container did."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
