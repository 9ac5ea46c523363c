"""Containers: those that the engine reports, and the one that the wizard makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wizard.model.errors import Problem, Trouble

DEFAULT_NAME = "openseq2seq"
DATA_TARGET = "/data"
LABEL = "s2s-wizard.version"
"""Marks a container as ours; its value is the program's version."""
LABEL_IMAGE = "s2s-wizard.image"
"""The name by which the image was asked for."""
LABEL_GPUS = "s2s-wizard.gpus"
"""The ``GpuChoice`` with which the container was made."""

READY = "s2s-wizard: ready"
"""The line that a container of ours prints when its image's entry point has handed over to ``KEEP_ALIVE``."""
KEEP_ALIVE = ("sh", "-c", "trap 'exit 0' TERM; echo 's2s-wizard:' ready; while :; do sleep 86400 & wait $!; done")
"""What runs in the container while nobody does: it needs only a shell, ends at once when it is asked to stop, and
collects the processes that others leave behind. ``READY`` does not stand in it letter by letter, so that an entry point
which prints its arguments is not taken for ready.
"""

SMOKE = ("-u", "-c", "import os; exec(os.environ['S2S_SMOKE'])")
"""What Python is told for the smoke test of TensorFlow; the program itself comes in its environment."""
SMOKE_MARK = "s2s-smoke "
"""What stands before each line of JSON that the smoke test says."""

GIB = 1024**3
DEFAULT_SHM = GIB
STACK = 67108864
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


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
class GpuChoice:
    """Which GPUs a container gets: all of them, none, or those with the given indices."""

    all: bool = True
    indices: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> GpuChoice:
        """Reads ``all``, ``none`` or ``0,1``. Raises ``Trouble(BAD_INPUT)``."""
        text = text.strip().lower()
        if text in ("all", ""):
            return cls()
        if text == "none":
            return cls(all=False)
        parts = [part.strip() for part in text.split(",")]
        if not all(re.fullmatch(r"\d{1,3}", part) for part in parts):
            raise Trouble(Problem.BAD_INPUT, subject=text)
        return cls(all=False, indices=tuple(sorted({int(part) for part in parts})))

    @property
    def any(self) -> bool:
        return self.all or bool(self.indices)

    def __contains__(self, index: int) -> bool:
        return self.all or index in self.indices

    def __str__(self) -> str:
        return "all" if self.all else ",".join(map(str, self.indices)) or "none"


@dataclass(frozen=True, slots=True)
class Workspace:
    """What the user chose for the container. ``data`` is an absolute folder of this machine, ``shm`` bytes."""

    data: str
    name: str = DEFAULT_NAME
    gpus: GpuChoice = field(default_factory=GpuChoice)
    shm: int = DEFAULT_SHM


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything that is said to the engine when the container is created.

    ``runtime`` and ``device_request`` are the two ways to give GPUs: at most one is used. ``memlock`` asks for
    unlimited locked memory, which an engine without CAP_SYS_RESOURCE refuses at start. ``entrypoint`` takes the place
    of the image's own, ``network`` is ``none`` or "" for the usual one, ``auto_remove`` makes the container go when it
    ends.
    """

    name: str
    image: str
    command: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    gpus: GpuChoice = field(default_factory=lambda: GpuChoice(all=False))
    runtime: str | None = None
    device_request: bool = False
    shm: int = DEFAULT_SHM
    memlock: bool = True
    stack: int = STACK
    tty: bool = False
    entrypoint: tuple[str, ...] = ()
    network: str = ""
    read_only: bool = False
    auto_remove: bool = False

    def without_memlock(self) -> ContainerSpec:
        return replace(self, memlock=False)


def check_name(name: str) -> str:
    """``name`` if Docker takes it as a container's name. Raises ``Trouble(NAME_INVALID)``."""
    if not _NAME.fullmatch(name) or len(name) > 128:
        raise Trouble(Problem.NAME_INVALID, subject=name)
    return name
