"""What a simulated machine is made of, as read from ``machines/NAME.toml``.

A file may say ``extends = "other"``: then it holds only what is different. Tables are merged key by key, every other
value replaces the inherited one. A key that is not known raises ValueError, so that a typing error is found by the
first test. ``healthy.toml`` says in comments what each table means.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).resolve().parent / "machines"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class User:
    """Who sits at the simulated machine. Group ids are numbers of ``/etc/group``."""

    name: str
    uid: int
    gid: int
    home: str
    groups: tuple[str, ...] = ()
    groups_on_file: tuple[str, ...] = ()
    root: str = "password"
    """a value of ``RootAccess``: how this user becomes root"""


@dataclass(frozen=True, slots=True)
class Os:
    """The machine's name and its Linux."""

    hostname: str
    name: str
    arch: str = "x86_64"


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted file system; sizes are bytes, ``files`` how many files it can hold (0: no limit)."""

    total: int
    free: int
    files: int = 0
    files_free: int = 0
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """What stands at a path. ``kind`` is ``file``, ``directory``, ``socket`` or ``device``.

    ``link`` makes it a symbolic link; ``absent`` takes away an inherited one. ``changed`` is its ctime, in seconds.
    """

    text: str = ""
    mode: int = 0o644
    owner: int = 0
    group: int = 0
    kind: str = "file"
    link: str = ""
    absent: bool = False
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program prints and returns. ``seconds`` is how long it would take; nobody waits for it."""

    stdout: str = ""
    stderr: str = ""
    returncode: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Command(Answer):
    """A scripted command line. ``effect`` is a value of ``Effect``: what it does to the machine.

    ``denied`` is the answer to a user who is not root, ``stopped`` the one while the Docker service does not run,
    ``failed`` the one while systemd has given up on it, ``disabled`` the one while it does not start with the machine.
    ``leaves`` are the files that are there afterwards (``absent``: gone), as an installation leaves them.
    """

    effect: str = ""
    denied: Answer | None = None
    stopped: Answer | None = None
    failed: Answer | None = None
    disabled: Answer | None = None
    leaves: Mapping[str, File] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; ``memory`` is bytes, ``capability`` CUDA's ``"7.5"``. ``untold`` names what its driver does not tell:
    fields of a ``GpuReading``.
    """

    name: str
    memory: int
    capability: str
    uuid: str
    persistent: bool | None = None
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Driver:
    """The NVIDIA driver. ``problem`` is the value of a ``Problem`` that NVML would meet, ``text`` its words."""

    version: str = ""
    cuda: str = ""
    problem: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Docker:
    """The Docker service. Whether it is installed is told by the files, what it is set to by its ``config``."""

    running: bool
    version: str
    api_version: str
    socket: str
    config: str
    """the path of daemon.json"""
    pid: int
    argv: tuple[str, ...]
    unit: str
    root_dir: str
    storage_driver: str
    containerd_store: bool
    cgroup_driver: str
    memlock: bool
    """whether a container may have unlimited locked memory"""
    runtimes: Mapping[str, str]
    """the runtimes that it has without being told"""
    failed: bool = False
    """whether systemd has given up on starting it"""
    enabled: bool = True
    """whether it starts with the machine"""
    log: str = ""
    """what the journal holds about it"""


@dataclass(frozen=True, slots=True)
class Repository:
    """Images of one repository. ``layers`` are compressed megabytes, the same for every tag.

    ``unpacked`` is how many times larger they are on disk. ``access`` is ``public`` or ``key``.
    """

    tags: tuple[str, ...]
    layers: tuple[float, ...]
    unpacked: float = 2.2
    access: str = "public"


@dataclass(frozen=True, slots=True)
class Network:
    """The way to the registries. ``proxy`` is the only way out ("" where there is a direct one).

    ``problem`` is the value of a ``Problem`` that everybody meets on the way, ``text`` its words. ``status`` is the
    HTTP status of a front door that is no registry (0: a registry answers). ``clock`` is how many seconds the world is
    ahead of this machine's clock.
    """

    proxy: str = ""
    problem: str = ""
    text: str = ""
    status: int = 0
    clock: float = 0.0


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What lies about in Docker's folder, in bytes: images without a name, and the cache of builds."""

    dangling: tuple[int, ...] = ()
    build_cache: int = 0


@dataclass(frozen=True, slots=True)
class Container:
    """A container that is there from the beginning; ``absent`` takes away an inherited one. ``error`` is what its last
    start said.
    """

    image: str
    command: tuple[str, ...] = ("sleep", "infinity")
    state: str = "running"
    error: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    created: str = "2026-11-02T09:12:44Z"
    data: str = ""
    """the folder of the machine that it sees as /data"""
    runtime: str = "runc"
    lost_gpu: bool = False
    """the GPU that it had at its start was taken from it meanwhile"""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Inside:
    """What a container of this machine holds: programs, folders, and scripted command lines."""

    folder: str
    programs: tuple[str, ...]
    folders: Mapping[str, tuple[str, ...]]
    commands: Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Keys:
    """``keyring`` is ``usable`` or the value of a ``Problem``; ``refused`` is the one key that no registry takes."""

    keyring: str
    refused: str


@dataclass(frozen=True, slots=True)
class Expect:
    """What the check-up must find on this machine: check id -> status, and the repairs that are offered."""

    findings: Mapping[str, str]
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole simulated machine."""

    name: str
    os: Os
    user: User
    docker: Docker
    driver: Driver
    inside: Inside
    keys: Keys
    expect: Expect
    network: Network = field(default_factory=Network)
    leftovers: Leftovers = field(default_factory=Leftovers)
    environ: Mapping[str, str] = field(default_factory=dict)
    """more variables of the user's environment"""
    groups: Mapping[str, int] = field(default_factory=dict)
    disks: Mapping[str, Disk] = field(default_factory=dict)
    programs: Mapping[str, bool] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    commands: Mapping[str, Command] = field(default_factory=dict)
    gpus: tuple[Gpu, ...] = ()
    registry: Mapping[str, Repository] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    containers: Mapping[str, Container] = field(default_factory=dict)


def names() -> tuple[str, ...]:
    """The machines that have a file."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(name: str) -> Spec:
    """The machine of that name. Raises ValueError when its file says something that is not known."""
    return parse((FOLDER / f"{name}.toml").read_text(encoding="utf-8"), name)


def parse(text: str, name: str) -> Spec:
    """A machine from the text of its file; ``extends`` names one that has a file."""
    raw = _inherit(tomllib.loads(text))
    try:
        return Spec(
            name=name,
            os=Os(**raw.pop("os")),
            user=_make(User, raw.pop("user")),
            docker=_make(Docker, raw.pop("docker")),
            driver=Driver(**raw.pop("driver")),
            inside=_inside(raw.pop("inside")),
            keys=Keys(**raw.pop("keys")),
            network=Network(**raw.pop("network", {})),
            leftovers=_make(Leftovers, raw.pop("leftovers", {})),
            expect=_make(Expect, raw.pop("expect")),
            disks=_table(Disk, raw.pop("disks")),
            files=_table(File, raw.pop("files")),
            commands={line: _command(value) for line, value in raw.pop("commands").items()},
            gpus=tuple(_make(Gpu, value) for value in raw.pop("gpus")),
            registry=_table(Repository, raw.pop("registry")),
            images=tuple(raw.pop("images")),
            containers=_table(Container, raw.pop("containers")),
            **raw,
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"machine {name}: {error}") from error


def _inherit(raw: dict[str, Any]) -> dict[str, Any]:
    base = raw.pop("extends", None)
    if base is None:
        return raw
    return _merge(_inherit(tomllib.loads((FOLDER / f"{base}.toml").read_text(encoding="utf-8"))), raw)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _make(kind: type[_T], raw: Mapping[str, Any]) -> _T:
    """A dataclass from a TOML table: its arrays become tuples."""
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})


def _table(kind: type[_T], raw: Mapping[str, Any]) -> dict[str, _T]:
    return {key: _make(kind, value) for key, value in raw.items()}


def _command(raw: Mapping[str, Any]) -> Command:
    values = dict(raw)
    for variant in ("denied", "stopped", "failed", "disabled"):
        if variant in values:
            values[variant] = Answer(**values[variant])
    values["leaves"] = _table(File, values.get("leaves", {}))
    return Command(**values)


def _inside(raw: Mapping[str, Any]) -> Inside:
    return Inside(
        folder=raw["folder"],
        programs=tuple(raw["programs"]),
        folders={path: tuple(items) for path, items in raw["folders"].items()},
        commands=_table(Answer, raw["commands"]),
    )
