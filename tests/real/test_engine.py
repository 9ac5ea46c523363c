"""The engine adapter on a real Docker Engine that the tests start."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from wizard.host.commands import SystemCommands
from wizard.host.engine import DockerEngine
from wizard.host.ports import ExecSession
from wizard.model.container import KEEP_ALIVE, ContainerSpec, GpuChoice, Mount
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference

pytestmark = pytest.mark.real


def adapter(private: PrivateEngine) -> DockerEngine:
    return DockerEngine(private.environ, SystemCommands(private.environ))


@pytest.fixture
def docker(engine: PrivateEngine) -> Iterator[DockerEngine]:
    with closing(adapter(engine)) as made:
        yield made


def spec(name: str = "box", image: str = images.BUSYBOX, **more: Any) -> ContainerSpec:
    return ContainerSpec(name=name, image=image, **{"command": KEEP_ALIVE, "memlock": False, **more})


def running(docker: DockerEngine, **more: Any) -> str:
    container = docker.create(spec(**more))
    docker.start(container)
    return container


def kind_of(call: Callable[[], object]) -> Trouble:
    with pytest.raises(Trouble) as caught:
        call()
    return caught.value


NEW_KEY = ("-newkey", "rsa:2048", "-days", "2")

# --- the daemon ---------------------------------------------------------------------------------------------------


def test_it_says_which_engine_this_is(docker: DockerEngine, engine: PrivateEngine) -> None:
    docker.ping()
    info = docker.info()
    assert info.kind is EngineKind.ENGINE
    assert info.version[0].isdigit()
    assert info.root_dir == str(engine.folder / "data")
    assert info.runtimes["runc"]
    assert info.default_runtime == "runc"
    assert info.arch in ("amd64", "arm64")
    assert docker.endpoint().socket == engine.socket


def test_it_finds_the_process_behind_the_socket(docker: DockerEngine, engine: PrivateEngine) -> None:
    process = docker.daemon()
    assert process is not None
    assert process.pid == engine.pid
    assert process.option("config-file") == (str(engine.config_file),)
    assert process.unit is None


def test_a_runtime_of_daemon_json_is_known_with_its_path(fresh_engine: Callable[..., PrivateEngine]) -> None:
    private = fresh_engine({"runtimes": {"nvidia": {"path": "/opt/none/nvidia-container-runtime"}}})
    with closing(adapter(private)) as docker:
        assert docker.info().runtimes["nvidia"] == "/opt/none/nvidia-container-runtime"
        images.load(private.url)
        container = docker.create(spec(runtime="nvidia"))
        broken = kind_of(lambda: docker.start(container))
        assert broken.kind is Problem.RUNTIME_BROKEN
        assert "/opt/none/nvidia-container-runtime" in broken.text


def test_an_engine_over_the_network_with_certificates(
    fresh_engine: Callable[..., PrivateEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both docker-py and our own connection show the user's certificate and check the engine's."""
    (tmp_path / "company").mkdir()
    authority(tmp_path / "company")  # of the internet's servers; this engine has another one
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "company" / "ca.pem"))
    authority(tmp_path)
    for name in ("server-", ""):
        certified(tmp_path, name)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    files = {"tlscacert": "ca.pem", "tlscert": "server-cert.pem", "tlskey": "server-key.pem"}
    options = [f"--{option}={tmp_path / file}" for option, file in files.items()]
    private = fresh_engine(None, f"--host={url}", "--tlsverify", *options)
    images.load(private.url)
    environ = {**private.environ, "DOCKER_HOST": url, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    with closing(DockerEngine(environ, SystemCommands(environ))) as far:
        far.ping()
        assert far.info().root_dir == str(private.folder / "data")
        assert far.image(images.BUSYBOX) is not None
        assert far.image("none:1") is None
        refused = kind_of(lambda: list(far.pull(ImageReference.parse("127.0.0.1:9/none:1"), None, Cancel())))
        assert refused.kind is Problem.REGISTRY_UNREACHABLE
    authority(tmp_path)  # another one: the engine's certificate is not of it
    with closing(DockerEngine(environ, SystemCommands(environ))) as far:
        assert kind_of(lambda: far.image(images.BUSYBOX)).kind is Problem.ENGINE_OTHER


def authority(folder: Path) -> None:
    openssl(folder, "req", "-x509", "-nodes", *NEW_KEY, "-subj", "/CN=ca", "-keyout", "ca-key.pem", "-out", "ca.pem")


def certified(folder: Path, name: str) -> None:
    """A key and a certificate for 127.0.0.1 by the authority of ``folder``, for an engine and for a user."""
    openssl(folder, "req", "-nodes", *NEW_KEY, "-subj", "/CN=127.0.0.1", "-keyout", f"{name}key.pem", "-out", "request")
    (folder / "extra").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    by = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-extfile", "extra")
    openssl(folder, "x509", "-req", "-in", "request", *by, "-out", f"{name}cert.pem")


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(("openssl", *words), cwd=folder, check=True, capture_output=True)


def test_a_daemon_that_is_killed_between_two_calls(fresh_engine: Callable[..., PrivateEngine]) -> None:
    private = fresh_engine()
    with closing(adapter(private)) as docker:
        docker.ping()
        private.kill()
        gone = kind_of(docker.ping)
        assert gone.kind is Problem.ENGINE_REFUSED  # the socket's file outlives the daemon
        assert gone.subject == private.url
        Path(private.socket).unlink()
        assert kind_of(docker.info).kind is Problem.ENGINE_MISSING


def test_a_user_without_rights(docker: DockerEngine, engine: PrivateEngine) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    os.chmod(engine.folder, 0o755)
    os.seteuid(65534)
    try:
        assert kind_of(docker.ping).kind is Problem.ENGINE_PERMISSION
        assert kind_of(docker.daemon).kind is Problem.ENGINE_PERMISSION
    finally:
        os.seteuid(0)


# --- images and containers ---------------------------------------------------------------------------------------


def test_images_that_are_here_and_not_here(docker: DockerEngine) -> None:
    found = docker.image(images.BUSYBOX)
    assert found is not None
    assert found.id.startswith("sha256:")
    assert found.tags == (images.BUSYBOX,)
    assert found.command == ("sh",)
    assert found.size > 500_000
    assert docker.image("s2s-test/nothing:1") is None
    assert docker.image(found.id) == found


def test_a_container_from_creation_to_removal(docker: DockerEngine, tmp_path: Path) -> None:
    wanted = spec(
        mounts=(Mount(str(tmp_path), "/data"),), labels={"a": "b"}, env={"X": "1"}, shm=3 * 2**20, stack=2**23
    )
    container = docker.create(wanted)
    info = docker.container("box")
    assert info is not None
    assert (info.id, info.name, info.state, info.image) == (container, "box", "created", images.BUSYBOX)
    assert info.labels["a"] == "b"
    assert info.mounts == (Mount(str(tmp_path), "/data"),)
    image = docker.image(images.BUSYBOX)
    assert image is not None
    assert info.image_id == image.id
    assert docker.containers() == ()
    docker.start(container)
    assert [one.id for one in docker.containers()] == [container]
    seen = docker.run_in(container, ("sh", "-c", "echo $X; df -k /dev/shm | tail -1; ulimit -s; ls -d /data"))
    assert seen.exit_code == 0
    lines = seen.stdout.decode().splitlines()
    assert lines[0] == "1"
    assert lines[1].split()[1] == "3072"
    assert lines[2:] == ["8192", "/data"]
    begun = time.monotonic()
    docker.stop(container)
    docker.stop(container)
    assert time.monotonic() - begun < 5
    info = docker.container(container)
    assert info is not None
    assert info.state == "exited"
    assert [one.id for one in docker.containers(all=True)] == [container]
    docker.remove(container)
    docker.remove(container)
    assert docker.container("box") is None


def test_refusals_when_a_container_is_created(docker: DockerEngine, tmp_path: Path) -> None:
    docker.create(spec())
    taken = kind_of(lambda: docker.create(spec()))
    assert (taken.kind, taken.subject) == (Problem.NAME_TAKEN, "box")
    assert "already in use" in taken.evidence[0].text
    missing = kind_of(lambda: docker.create(spec("b2", image="s2s-test/nothing:1")))
    assert (missing.kind, missing.subject) == (Problem.IMAGE_MISSING, "s2s-test/nothing:1")
    unknown = kind_of(lambda: docker.create(spec("b3", runtime="nvidia")))
    assert (unknown.kind, unknown.subject) == (Problem.RUNTIME_UNKNOWN, "nvidia")
    folder = str(tmp_path / "none")
    unbound = kind_of(lambda: docker.create(spec("b4", mounts=(Mount(folder, "/data"),))))
    assert (unbound.kind, unbound.subject) == (Problem.BIND_SOURCE_MISSING, folder)
    assert kind_of(lambda: docker.create(spec("-bad"))).kind is Problem.NAME_INVALID
    assert kind_of(lambda: docker.create(spec("b5", mounts=(Mount("/", "data"),)))).kind is Problem.BAD_INPUT
    assert [one.name for one in docker.containers(all=True)] == ["box"]


def test_refusals_when_a_container_is_started(docker: DockerEngine) -> None:
    gpus = docker.create(spec("gpus", gpus=GpuChoice(), device_request=True))
    assert kind_of(lambda: docker.start(gpus)).kind is Problem.GPU_DRIVER_NOT_SELECTED
    program = docker.create(spec("program", command=("/no/such/program",)))
    assert kind_of(lambda: docker.start(program)).kind is Problem.NOT_EXECUTABLE
    assert kind_of(lambda: docker.start("nobody")).kind is Problem.CONTAINER_MISSING


def test_the_last_lines_of_a_container(docker: DockerEngine) -> None:
    container = docker.create(
        spec(command=("sh", "-c", "for i in 1 2 3 4; do echo line $i; done; echo err >&2; exit 3"))
    )
    docker.start(container)
    for _ in range(100):
        info = docker.container(container)
        if info is not None and not info.running:
            break
        time.sleep(0.02)
    assert info is not None
    assert info.exit_code == 3
    assert set(docker.logs(container, 2).splitlines()) <= {"line 4", "line 3", "err"}
    assert len(docker.logs(container, 20).splitlines()) == 5
    assert kind_of(lambda: docker.run_in(container, ("true",))).kind is Problem.CONTAINER_NOT_RUNNING
    assert kind_of(lambda: docker.run_in("nobody", ("true",))).kind is Problem.CONTAINER_MISSING


# --- commands in containers ---------------------------------------------------------------------------------------


def test_a_command_and_its_two_streams(docker: DockerEngine) -> None:
    box = running(docker)
    both = docker.run_in(box, ("sh", "-c", "echo out; echo err >&2; exit 7"))
    assert (both.exit_code, both.stdout, both.stderr) == (7, b"out\n", b"err\n")
    large = docker.run_in(box, ("sh", "-c", "head -c 3000000 /dev/zero"))
    assert len(large.stdout) == 3_000_000
    assert docker.run_in(box, ("no-such-program",)).exit_code in (126, 127)


def test_a_command_without_end(docker: DockerEngine) -> None:
    box = running(docker)
    begun = time.monotonic()
    assert kind_of(lambda: docker.run_in(box, ("sleep", "60"), timeout=0.5)).kind is Problem.COMMAND_TIMEOUT
    assert time.monotonic() - begun < 3


def test_output_that_comes_at_once_is_not_lost(docker: DockerEngine) -> None:
    """docker-py's own socket loses what arrives together with the answer's head."""
    box = running(docker)
    for round_ in range(10):
        assert docker.run_in(box, ("echo", f"{round_}")).stdout == f"{round_}\n".encode()


def read_until(session: ExecSession, words: bytes, seconds: float = 10.0) -> bytes:
    data = b""
    deadline = time.monotonic() + seconds
    while words not in data:
        ready, _, _ = select.select([session], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, data
        piece = session.read()
        assert piece is not None, data
        data += piece[1]
    return data


def test_a_shell_with_a_terminal(docker: DockerEngine) -> None:
    box = running(docker, image=images.BASH, command=("bash", "-c", "sleep 1000"))
    session = docker.open_exec(
        box, ("bash", "--norc"), tty=True, env={"PS1": "ready> ", "TERM": "xterm"}, size=(91, 31)
    )
    with closing(session):
        read_until(session, b"ready> ")
        session.write(b"stty size\r")
        assert b"31 91" in read_until(session, b"31 91")
        session.resize(120, 40)
        session.write(b"stty size\r")
        read_until(session, b"40 120")
        session.write(b"sleep 100\r")
        time.sleep(0.2)
        session.write(b"\x03")
        read_until(session, b"ready> ")
        session.write(b"echo code $?\r")
        read_until(session, b"code 130")
        session.write(b"exit 9\r")
        while session.read() is not None:
            pass
        assert session.exit_code() == 9
        session.resize(80, 24)  # of a command that has ended: nothing happens


def test_ctrl_p_reaches_the_shell_at_once(docker: DockerEngine) -> None:
    box = running(docker, image=images.BASH, command=("bash", "-c", "sleep 1000"))
    with closing(docker.open_exec(box, ("bash", "--norc"), tty=True, env={"PS1": "> "}, size=(80, 24))) as session:
        read_until(session, b"> ")
        session.write(b"echo once\r")
        read_until(session, b"once\r\n")
        session.write(b"\x10")  # alone: with Docker's own detach keys nothing would come before the next key
        read_until(session, b"echo once")


def test_a_command_that_reads_its_input(docker: DockerEngine) -> None:
    box = running(docker)
    with closing(docker.open_exec(box, ("wc", "-c"), tty=False)) as session:
        session.write(b"x" * 100_000)
        session.close_input()
        output = b""
        while (piece := session.read()) is not None:
            assert piece[0] == 1
            output += piece[1]
        assert output.split() == [b"100000"]
        assert session.exit_code() == 0


def test_the_container_goes_away_under_a_command(docker: DockerEngine) -> None:
    box = running(docker)
    with closing(docker.open_exec(box, ("sh", "-c", "echo up; sleep 1000"), tty=False)) as session:
        read_until(session, b"up")
        docker.remove(box, force=True)
        assert session.read() is None
        assert kind_of(session.exit_code).kind is Problem.ENGINE_LOST


def test_the_daemon_dies_under_a_command(fresh_engine: Callable[..., PrivateEngine]) -> None:
    private = fresh_engine()
    images.load(private.url)
    with closing(adapter(private)) as docker:
        box = running(docker)
        with closing(docker.open_exec(box, ("sleep", "1000"), tty=True)) as session:
            private.kill()
            assert session.read() is None
            assert kind_of(session.exit_code).kind is Problem.ENGINE_LOST


# --- pulls that do not begin (what comes in a stream is the registry's part) -------------------------------------


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def pull(docker: DockerEngine, name: str, cancel: Cancel | None = None) -> list[dict[str, Any]]:
    return list(docker.pull(ImageReference.parse(name), None, cancel or Cancel()))


def test_a_registry_that_is_not_there(docker: DockerEngine) -> None:
    refused = kind_of(lambda: pull(docker, f"127.0.0.1:{closed_port()}/x/y:1"))
    assert refused.kind is Problem.REGISTRY_UNREACHABLE
    assert "connection refused" in refused.text


def test_a_pull_that_was_cancelled_before_it_began(docker: DockerEngine) -> None:
    cancel = Cancel()
    cancel.set()
    assert kind_of(lambda: pull(docker, "127.0.0.1:1/x/y:1", cancel)).kind is Problem.CANCELLED


def test_many_threads_at_once(docker: DockerEngine) -> None:
    box = running(docker)
    seen: list[str] = []

    def look() -> None:
        info = docker.container(box)
        seen.append(info.state if info else "gone")

    threads = [threading.Thread(target=look) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["running"] * 16
