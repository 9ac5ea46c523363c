"""The two sides of every contract: the simulated adapter and the real one, with what a test needs to know of each."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import images, nvidia
from tests.support.engine import PrivateEngine
from tests.support.registry import NgcLike
from wizard.demo import spec
from wizard.demo.files import Identity, Node, SimFiles, Tree
from wizard.demo.keys import SimKeys
from wizard.demo.machine import assemble, build
from wizard.demo.registry import SimRegistry
from wizard.host.commands import SudoPrivilege, SystemCommands
from wizard.host.engine import DockerEngine
from wizard.host.files import SystemFiles
from wizard.host.gpus import NvmlGpus
from wizard.host.keys import Keys
from wizard.host.ports import Commands, Engine, Files, Gpus, Host, KeyStore, Privilege, Registry, Store
from wizard.host.registry import NgcRegistry
from wizard.host.store import FolderStore
from wizard.model.image import ImageReference
from wizard.model.machine import PathKind
from wizard.model.secret import Secret

NOBODY = 65534

MACHINE = """
extends = "no-gpu"

[programs]
"/usr/bin/true" = true
"/usr/bin/false" = true
"/usr/bin/sh" = true
"/usr/bin/sleep" = true

[commands.true]
[commands.false]
returncode = 1
[commands."sh -c 'echo out; echo err >&2; exit 3'"]
stdout = "out\\n"
stderr = "err\\n"
returncode = 3
[commands."sleep 30"]
seconds = 30.0
"""
"""The machine of the simulated side: what the contracts run, on a machine without a GPU, as this one may be."""


def simulated() -> Host:
    """A fresh simulated machine for one contract."""
    return assemble(spec.parse(MACHINE, "contract"))


def sides(*, real_needs_engine: bool = False) -> list[object]:
    """The parameters of a fixture that stands for both adapters."""
    return ["simulated", pytest.param("real", marks=[pytest.mark.real] if real_needs_engine else [])]


# --- programs and privilege --------------------------------------------------------------------------------------


@pytest.fixture(params=sides())
def commands(request: pytest.FixtureRequest) -> Commands:
    return simulated().commands if request.param == "simulated" else SystemCommands(os.environ)


@dataclass(frozen=True)
class Rights:
    """Privilege, and the commands that go with it."""

    privilege: Privilege
    commands: Commands


@pytest.fixture(params=["simulated", "real", "real, not root"])
def rights(request: pytest.FixtureRequest) -> Rights:
    if request.param == "simulated":
        host = simulated()
        return Rights(host.privilege, host.commands)
    uid = NOBODY if "not root" in request.param else None
    commands = SystemCommands(os.environ, uid=uid)
    return Rights(SudoPrivilege(commands, uid=uid), commands)


# --- files -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Disk:
    """Files, a folder that may be written, and ways to put things there behind the adapter's back."""

    files: Files
    folder: str
    put: Callable[[str, bytes, int], None]
    """path, content, mode"""
    link: Callable[[str, str], None]
    """path, where it points"""
    close: Callable[[str], None]
    """takes everybody's rights but the owner's from a folder"""
    stranger: Callable[[], AbstractContextManager[Files]]
    """the files as somebody sees them who owns nothing in the folder and cannot become root"""


@pytest.fixture(params=sides())
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    if request.param == "simulated":
        yield _simulated_disk()
        return
    folder = tempfile.mkdtemp(prefix="s2s-")
    try:
        Path(folder).chmod(0o755)
        files = SystemFiles(SystemCommands(os.environ))
        yield Disk(
            files=files,
            folder=folder,
            put=_put,
            link=lambda path, target: os.symlink(target, path),
            close=lambda path: os.chmod(path, 0o700),
            stranger=lambda: _as_nobody(files),
        )
    finally:
        shutil.rmtree(folder)


def _put(path: str, data: bytes, mode: int) -> None:
    Path(path).write_bytes(data)
    Path(path).chmod(mode)


@contextmanager
def _as_nobody(files: Files) -> Iterator[Files]:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield files
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _simulated_disk() -> Disk:
    machine = spec.parse(MACHINE, "contract")
    tree = Tree.build(machine)
    uid = machine.user.uid

    def seen_by(who: int) -> SimFiles:
        return SimFiles(tree, Identity(who, who, frozenset({who})), lambda: False)

    folder = f"{machine.user.home}/contract"
    tree.plant(machine.user.home, Node(PathKind.DIRECTORY, 0o755, uid, uid))
    tree.plant(folder, Node(PathKind.DIRECTORY, 0o755, uid, uid))
    return Disk(
        files=seen_by(uid),
        folder=folder,
        put=lambda path, data, mode: tree.plant(path, Node(PathKind.FILE, mode, uid, uid, data)),
        link=lambda path, target: tree.plant(path, Node(PathKind.OTHER, 0o777, uid, uid, link=target)),
        close=lambda path: setattr(tree.nodes[path], "mode", 0o700),
        stranger=lambda: nullcontext(seen_by(NOBODY)),
    )


@pytest.fixture(params=sides())
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return simulated().store if request.param == "simulated" else FolderStore(str(tmp_path / "state" / "s2s-wizard"))


# --- the GPU, keys, registries -----------------------------------------------------------------------------------


@pytest.fixture(params=sides())
def gpus(request: pytest.FixtureRequest) -> Gpus:
    return build("healthy").gpus if request.param == "simulated" else NvmlGpus()


@pytest.fixture(params=[*sides(), "simulated, no keyring"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    if request.param == "real":
        return Keys(os.environ, str(tmp_path / "config" / "s2s-wizard"))
    return SimKeys("usable" if request.param == "simulated" else "key-store-missing")


@dataclass(frozen=True)
class Shelf:
    """A registry with a public image, a private one (its key, and a key that is wrong), and a tag that is not there.

    ``hosts`` are one to which the key may be sent, and one to which it may not.
    """

    registry: Registry
    public: ImageReference
    private: ImageReference
    key: Secret
    wrong_key: Secret
    hosts: tuple[str, str]


@pytest.fixture(params=sides(real_needs_engine=True))
def shelf(request: pytest.FixtureRequest) -> Shelf:
    if request.param == "simulated":
        return Shelf(
            registry=simulated().registry,
            public=ImageReference.parse("nvcr.io/nvidia/tensorflow:20.11-tf1-py3"),
            private=ImageReference.parse("nvcr.io/example-org/private:1.0"),
            key=Secret("nvapi-good"),
            wrong_key=Secret("nvapi-refused"),
            hosts=("nvcr.io", "registry.example.org"),
        )
    ngc: NgcLike = request.getfixturevalue("ngc")
    pushed = ngc.push("contract/public", "amd64", layers=(9000, 4000), arch="amd64")
    ngc.push_index("contract/public", "1", {"amd64": pushed})
    return Shelf(
        registry=NgcRegistry((ngc.host,)),
        public=ImageReference.parse(f"{ngc.host}/contract/public:1"),
        private=ImageReference.parse(ngc.push("contract/private", public=False).image),
        key=ngc.key,
        wrong_key=ngc.wrong_key,
        hosts=(ngc.host, "registry.example.org"),
    )


@pytest.fixture
def talkative(shelf: Shelf, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """The same, where NVIDIA can be asked about the keys."""
    if isinstance(shelf.registry, SimRegistry):
        yield shelf
        return
    ngc: NgcLike = request.getfixturevalue("ngc")
    with nvidia.running(ngc, tmp_path) as servers, nvidia.redirected(servers), pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(servers.authority))
        yield shelf


# --- the engine --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dock:
    """An engine that runs, an image in it, a folder that it can mount, and its daemon.json and SIGHUP."""

    engine: Engine
    image: str
    folder: str
    configure: Callable[[dict[str, Any]], None]
    """writes daemon.json and makes the daemon read it"""
    is_real: bool


@pytest.fixture(params=sides(real_needs_engine=True))
def dock(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dock]:
    """An engine that other tests use too: its configuration stays as it is."""
    if request.param == "simulated":
        yield _simulated_dock()
    else:
        yield from _real_dock(request.getfixturevalue("engine"), tmp_path)


@pytest.fixture(params=sides(real_needs_engine=True))
def own_dock(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dock]:
    """An engine for one test alone."""
    if request.param == "simulated":
        yield _simulated_dock()
        return
    private = request.getfixturevalue("fresh_engine")()
    images.load(private.url)
    yield from _real_dock(private, tmp_path)


def _real_dock(private: PrivateEngine, folder: Path) -> Iterator[Dock]:
    def configure(settings: dict[str, Any]) -> None:
        private.config_file.write_text(json.dumps(settings))
        private.reload()

    engine = DockerEngine(private.environ, SystemCommands(private.environ))
    yield Dock(engine, images.BUSYBOX, str(folder), configure, is_real=True)
    engine.close()


def _simulated_dock() -> Dock:
    machine = spec.parse(MACHINE, "contract")
    host = assemble(machine)
    host.privilege.allow()  # type: ignore[attr-defined] # the user has typed the password

    def configure(settings: dict[str, Any]) -> None:
        path = machine.docker.config
        found = host.files.read(path)
        host.files.replace(path, found.data if found else None, json.dumps(settings).encode(), root=True)
        assert host.commands.run(("systemctl", "reload", "docker"), root=True).returncode == 0

    return Dock(host.engine, machine.images[0], host.home, configure, is_real=False)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Waits for something that a signal brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
