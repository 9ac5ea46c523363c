"""Private Docker Engines: own data root, own socket, own pid file. The machine's own engine is never touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import docker
import pytest
from docker.api.client import APIClient

from tests.support import images

REQUIRE = "S2S_REQUIRE_REAL"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


class CannotStart(Exception):
    """No engine can be started on this machine; the text says why."""


@dataclass
class PrivateEngine:
    """A dockerd of our own. ``socket`` is a path; ``url`` is what DOCKER_HOST wants; ``log`` is the daemon's log."""

    folder: Path
    command: tuple[str, ...]
    path: str
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._begin()

    @property
    def socket(self) -> str:
        return str(self.folder / "docker.sock")

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def config_file(self) -> Path:
        return self.folder / "daemon.json"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def environ(self) -> dict[str, str]:
        """This process's environment, with this engine as the one to talk to."""
        return {**os.environ, "DOCKER_HOST": self.url}

    def client(self) -> APIClient:
        """A low-level client; to be closed by the caller."""
        return docker.APIClient(base_url=self.url, version="auto", timeout=60)

    def reload(self) -> None:
        """Makes the daemon read its configuration file again, as ``systemctl reload docker`` does."""
        os.kill(self.pid, signal.SIGHUP)

    def remove_containers(self) -> None:
        """Removes every container, so that the next test finds an empty engine."""
        client = self.client()
        try:
            for found in client.containers(all=True):
                with suppress(docker.errors.NotFound):
                    client.remove_container(found["Id"], force=True, v=True)
        finally:
            client.close()

    def restart(self) -> None:
        """Ends the daemon and starts it again, as ``systemctl restart docker`` does."""
        self.process.terminate()
        self.process.wait(_STOP_SECONDS)
        self._begin()
        if not self.answers():
            raise CannotStart(f"dockerd does not start again:\n{self.log.read_text(errors='replace')[-1500:]}")

    def answers(self) -> bool:
        """Waits for the daemon to answer; whether it does."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if _answers(self.socket):
                return True
            time.sleep(0.1)
        return False

    def _begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": self.path},
                start_new_session=True,  # Ctrl-C in the tests is not for the engine
            )

    def kill(self) -> None:
        """Ends the daemon as a crash would: SIGKILL, nothing tidied."""
        self.process.kill()
        self.process.wait(_STOP_SECONDS)

    def stop(self) -> None:
        """Ends the daemon and removes everything that it left."""
        if self.process.poll() is None:
            with suppress(Exception):  # an engine that a test has broken is ended all the same
                self.remove_containers()
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        for pid in _processes_of(self.folder):  # containerd and shims outlive a killed daemon
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in sorted(_mounts_under(self.folder), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def start(config: Mapping[str, Any] | str | None = None, *options: str, path: str = "") -> PrivateEngine:
    """Starts an engine whose daemon.json is ``config`` (a mapping, or the file's text; None: an empty object).

    ``options`` are added to dockerd's command line. ``path`` are folders, as in ``PATH``, in which its programs are
    looked for first. Raises ``CannotStart`` with the end of the daemon's log.
    """
    usual = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/local/sbin"
    path = f"{path}{os.pathsep}{usual}" if path else usual
    program = shutil.which("dockerd", path=path)
    if program is None:
        raise CannotStart("there is no dockerd on this machine (Debian: apt install docker.io)")
    if os.geteuid() != 0:
        raise CannotStart("only root can start dockerd")
    # A short path: the name of a unix socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="s2s-"))
    text = config if isinstance(config, str) else json.dumps(config or {}, indent=2) + "\n"
    (folder / "daemon.json").write_text(text)
    command = (
        program,
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--host", f"unix://{folder}/docker.sock", "--pidfile", str(folder / "pid")),
        *("--config-file", str(folder / "daemon.json"), "--iptables=false", "--bridge=none"),
        *options,
    )
    engine = PrivateEngine(folder, command, path)
    if engine.answers():
        return engine
    said = engine.log.read_text(errors="replace")[-1500:]
    engine.stop()
    raise CannotStart(f"dockerd does not start here:\n{said}")


def start_or_skip(config: Mapping[str, Any] | str | None = None, *options: str) -> PrivateEngine:
    """``start`` for fixtures: skips loudly where no engine can be started, and fails where one has to be."""
    try:
        return start(config, *options)
    except CannotStart as error:
        not_here(error)


def not_here(error: CannotStart) -> NoReturn:
    """Skips loudly, or fails where the real thing is compulsory."""
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {error}", pytrace=False)
    pytest.skip(f"NOT TESTED for real: {error}")


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[PrivateEngine]:
    """One engine for the whole run, with the images of ``tests.support.images``. Use ``engine`` in tests."""
    private = start_or_skip()
    try:
        images.load(private.url)
        yield private
    finally:
        private.stop()


@pytest.fixture
def engine(shared_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The shared engine, without any container before and after the test."""
    yield shared_engine
    shared_engine.remove_containers()


@pytest.fixture
def fresh_engine() -> Iterator[Callable[..., PrivateEngine]]:
    """Starts engines for one test alone: ``fresh_engine({"debug": True}, "--add-runtime=x=/bin/x")``.

    They are empty; ``images.load(private.url)`` gives them the usual images.
    """
    started: list[PrivateEngine] = []

    def make(config: Mapping[str, Any] | str | None = None, *options: str) -> PrivateEngine:
        started.append(start_or_skip(config, *options))
        return started[-1]

    yield make
    for private in started:
        private.stop()


def _answers(path: str) -> bool:
    """Whether the daemon answers a ping. docker-py is not asked: it leaks a socket where nobody listens yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def _processes_of(folder: Path) -> list[int]:
    """The processes whose command line names the engine's folder, and the children of its shims."""
    parents: dict[int, int] = {}
    named: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if f"{folder}/".encode() in (entry / "cmdline").read_bytes():
                named.add(int(entry.name))
    return [pid for pid, parent in parents.items() if pid in named or parent in named]


def _mounts_under(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{folder}/")]
