"""Which daemon is meant, and how the engine adapter types what goes wrong on the way to it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wizard.host.commands import SystemCommands
from wizard.host.engine import DockerEngine
from wizard.host.engine.address import DEFAULT_URL, resolve
from wizard.host.engine.failures import trouble_of
from wizard.model.engine import Endpoint, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference
from wizard.model.secret import Secret


def kind_of(call: Callable[[], object]) -> Problem:
    with pytest.raises(Trouble) as caught:
        call()
    return caught.value.kind


def engine_at(url: str) -> DockerEngine:
    return DockerEngine({"DOCKER_HOST": url}, SystemCommands({}))


# --- which daemon -------------------------------------------------------------------------------------------------


def make_context(home: Path, name: str, host: str) -> None:
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}})
    )


def test_docker_host_wins_then_the_context_then_the_default(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert resolve(environ) == Endpoint(DEFAULT_URL, "default")
    make_context(tmp_path, "rootless", "unix:///run/user/1000/docker.sock")
    make_context(tmp_path, "far", "tcp://10.0.0.1:2376")
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "rootless"}')
    assert resolve(environ) == Endpoint("unix:///run/user/1000/docker.sock", "context rootless")
    environ["DOCKER_CONTEXT"] = "far"
    assert resolve(environ) == Endpoint("tcp://10.0.0.1:2376", "context far")
    environ["DOCKER_CONTEXT"] = "default"
    assert resolve(environ) == Endpoint(DEFAULT_URL, "default")
    environ["DOCKER_HOST"] = "unix:///x.sock"
    assert resolve(environ) == Endpoint("unix:///x.sock", "DOCKER_HOST")
    environ["DOCKER_HOST"] = ""
    assert resolve(environ).source == "default"


def test_docker_config_moves_the_contexts(tmp_path: Path) -> None:
    make_context(tmp_path, "other", "unix:///other.sock")
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "other"}')
    environ = {"HOME": "/nowhere", "DOCKER_CONFIG": str(tmp_path / ".docker")}
    assert resolve(environ).url == "unix:///other.sock"


def test_a_context_that_is_not_there_is_an_error_as_for_the_docker_command(tmp_path: Path) -> None:
    with pytest.raises(Trouble) as caught:
        resolve({"HOME": str(tmp_path), "DOCKER_CONTEXT": "gone"})
    assert caught.value.kind is Problem.ENGINE_ADDRESS
    assert caught.value.subject == "context gone"
    assert caught.value.evidence


@pytest.mark.parametrize("content", ["", "{", "[]", '{"currentContext": 0}', '{"currentContext": null}'])
def test_a_broken_docker_configuration_means_the_default(tmp_path: Path, content: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(content)
    assert resolve({"HOME": str(tmp_path)}).source == "default"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"Endpoints": {"docker": 1}}'])
def test_a_broken_context_is_an_error(tmp_path: Path, content: str) -> None:
    make_context(tmp_path, "x", "unix:///x.sock")
    next(tmp_path.rglob("meta.json")).write_text(content)
    assert kind_of(lambda: resolve({"HOME": str(tmp_path), "DOCKER_CONTEXT": "x"})) is Problem.ENGINE_ADDRESS


@pytest.mark.parametrize(
    "url",
    [
        "foo",
        "/var/run/docker.sock",
        "fd://",
        "npipe:////./pipe/docker",
        "unix://relative",
        "unix:///" + "x" * 120,
        "tcp://",
        "tcp://host:port",
        "tcp://[::1",
        "tcp://u:p@host:1",
        "ftp://host:1",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    assert kind_of(lambda: resolve({"DOCKER_HOST": url})) is Problem.ENGINE_ADDRESS
    assert kind_of(engine_at(url).ping) is Problem.ENGINE_ADDRESS


def test_the_forms_of_an_address() -> None:
    assert resolve({"DOCKER_HOST": "unix://"}).url == DEFAULT_URL
    assert resolve({"DOCKER_HOST": " unix:///a.sock "}).socket == "/a.sock"
    assert resolve({"DOCKER_HOST": "tcp://host"}).url == "tcp://host:2375"
    assert resolve({"DOCKER_HOST": "tcp://[::1]:99"}).url == "tcp://[::1]:99"
    assert resolve({"DOCKER_HOST": "tcp://h:1"}).socket is None


def test_docker_through_ssh_is_named_as_what_cannot_be_done() -> None:
    engine = engine_at("ssh://me@host")
    assert engine.endpoint().url == "ssh://me@host"
    with pytest.raises(Trouble) as caught:
        engine.ping()
    assert caught.value.kind is Problem.ENGINE_ADDRESS
    assert "ssh" in caught.value.hint


# --- daemons that are not there, hang, or talk nonsense ----------------------------------------------------------


class Fake:
    """A server on a unix socket that answers every request with ``answer`` (a callable gets the connection)."""

    def __init__(self, path: Path, answer: bytes | Callable[[socket.socket], None]) -> None:
        self.url = f"unix://{path}"
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            data = connection.recv(65536)
            if not data:
                return  # somebody who only knocked
            self.requests.append(data)
            if callable(self._answer):
                self._answer(connection)
            else:
                connection.sendall(self._answer)
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._connections):
            one.close()


@pytest.fixture
def fake(short_folder: Path) -> Iterator[Callable[..., Fake]]:
    made: list[Fake] = []

    def make(answer: bytes | Callable[[socket.socket], None]) -> Fake:
        made.append(Fake(short_folder / f"{len(made)}.sock", answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="s2s-") as folder:
        yield Path(folder)


def http(status: str, body: object, kind: str = "application/json") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return head.encode() + data


def wait_for_ever(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.recv(1)


ASKS: tuple[Callable[[DockerEngine], object], ...] = (
    lambda engine: engine.ping(),
    lambda engine: engine.info(),
    lambda engine: engine.image("some:1"),
)
"""Through docker-py and over a connection of our own: what is said of the daemon is the same."""


def test_no_socket(short_folder: Path) -> None:
    for call in ("ping", "info", "daemon", "images", "containers"):
        assert kind_of(getattr(engine_at(f"unix://{short_folder}/none.sock"), call)) is Problem.ENGINE_MISSING
    (short_folder / "file").touch()
    assert kind_of(engine_at(f"unix://{short_folder}/file/x.sock").ping) is Problem.ENGINE_MISSING


def test_a_socket_behind_which_nobody_listens(short_folder: Path) -> None:
    path = short_folder / "old.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    with pytest.raises(Trouble) as caught:
        engine_at(f"unix://{path}").ping()
    assert caught.value.kind is Problem.ENGINE_REFUSED
    assert caught.value.subject == f"unix://{path}"


def test_nobody_listens_at_a_port() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    assert kind_of(engine_at(f"tcp://127.0.0.1:{port}").ping) is Problem.ENGINE_REFUSED


def test_a_daemon_that_hangs_costs_five_seconds_also_for_many_at_once(fake: Callable[..., Fake]) -> None:
    engine = engine_at(fake(wait_for_ever).url)
    kinds: list[Problem] = []
    begun = time.monotonic()
    threads = [threading.Thread(target=lambda: kinds.append(kind_of(engine.info))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds == [Problem.ENGINE_TIMEOUT] * 4
    assert 4.5 < time.monotonic() - begun < 8


def test_a_daemon_that_closes_the_connection(fake: Callable[..., Fake]) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    for ask in ASKS:
        assert kind_of(lambda ask=ask: ask(engine_at(fake(hang_up).url))) is Problem.ENGINE_LOST  # type: ignore[misc]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize(
    "answer",
    [
        http("404 Not Found", b"<html>nginx</html>", "text/html"),
        http("200 OK", b"hello", "text/plain"),
        http("200 OK", {"no": "version"}),
        http("200 OK\r\nApi-Version: newest", {"no": "version"}),
        http("404 Not Found", {"no": "message"}),
    ],
)
def test_somebody_who_is_not_docker(
    fake: Callable[..., Fake], answer: bytes, ask: Callable[[DockerEngine], object]
) -> None:
    assert kind_of(lambda: ask(engine_at(fake(answer).url))) is Problem.ENGINE_OTHER


@pytest.mark.parametrize("ask", ASKS[1:])
def test_an_answer_that_is_no_object(fake: Callable[..., Fake], ask: Callable[[DockerEngine], object]) -> None:
    answer = http("200 OK", ["no", "object"])
    assert kind_of(lambda: ask(engine_at(fake(answer).url))) is Problem.ENGINE_OTHER


@pytest.mark.parametrize("ask", ASKS)
def test_somebody_who_does_not_speak_http(fake: Callable[..., Fake], ask: Callable[[DockerEngine], object]) -> None:
    assert kind_of(lambda: ask(engine_at(fake(b"220 mail ready\r\n").url))) is Problem.ENGINE_LOST


@pytest.mark.parametrize("ask", ASKS)
def test_an_engine_from_long_ago(fake: Callable[..., Fake], ask: Callable[[DockerEngine], object]) -> None:
    answer = http("200 OK\r\nApi-Version: 1.20", {"ApiVersion": "1.20", "Version": "1.8.0"})
    assert kind_of(lambda: ask(engine_at(fake(answer).url))) is Problem.ENGINE_TOO_OLD


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"OperatingSystem": "Docker Desktop"}, EngineKind.DESKTOP),
        ({"SecurityOptions": ["name=seccomp", "name=rootless"]}, EngineKind.ROOTLESS),
        ({"DockerRootDir": "/var/snap/docker/common/var-lib-docker"}, EngineKind.SNAP),
        ({"Components": [{"Name": "Podman Engine"}]}, EngineKind.PODMAN),
        ({}, EngineKind.ENGINE),
    ],
)
def test_kinds_of_engines(fake: Callable[..., Fake], said: dict[str, object], kind: EngineKind) -> None:
    # One answer for /version and /info alike: their fields do not overlap.
    body = {
        "ApiVersion": "1.41",
        "Version": "20.10.24",
        "Arch": "arm64",
        "Runtimes": {"runc": {"path": "runc"}, "odd": None},
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
        **said,
    }
    info = engine_at(fake(http("200 OK", body)).url).info()
    assert info.kind is kind
    assert info.runtimes == {"runc": "runc", "odd": ""}
    assert info.containerd_store
    assert info.arch == "arm64"


# --- what is sent with a pull, and how its refusal is typed -------------------------------------------------------

NAME = ImageReference.parse("nvcr.io/nvidia/tensorflow:1")


def pulls(fake: Callable[..., Fake], answer: bytes | Callable[[socket.socket], None]) -> tuple[Fake, DockerEngine]:
    """A fake engine that says its version and then gives ``answer`` to a pull, and to a load."""
    version = http("200 OK", {"ApiVersion": "1.41"})

    def talk(connection: socket.socket) -> None:
        if not any(path in server.requests[-1] for path in (b"/images/create", b"/images/load")):
            connection.sendall(version)
            connection.shutdown(socket.SHUT_RDWR)
        elif callable(answer):
            answer(connection)
        else:
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_RDWR)

    server = fake(talk)
    return server, engine_at(server.url)


def auth_header(server: Fake) -> dict[str, str]:
    line = next(line for line in server.requests[-1].split(b"\r\n") if line.lower().startswith(b"x-registry-auth:"))
    decoded: dict[str, str] = json.loads(base64.urlsafe_b64decode(line.split(b":", 1)[1].strip()))
    return decoded


@pytest.mark.parametrize(
    ("status", "text", "with_key", "without"),
    [
        (
            500,
            'Head "https://nvcr.io/v2/": unauthorized: authentication required',
            Problem.KEY_REFUSED,
            Problem.KEY_WANTED,
        ),
        (401, "whatever", Problem.KEY_REFUSED, Problem.KEY_WANTED),
        (500, "denied: Access Denied", Problem.ACCESS_DENIED, Problem.KEY_WANTED),
        (
            404,
            "manifest for nvcr.io/nvidia/tensorflow:1 not found: manifest unknown",
            Problem.TAG_MISSING,
            Problem.TAG_MISSING,
        ),
        (404, "gone", Problem.TAG_MISSING, Problem.TAG_MISSING),
        (500, "toomanyrequests: slow down", Problem.RATE_LIMITED, Problem.RATE_LIMITED),
        (500, "something new", Problem.PULL_FAILED, Problem.PULL_FAILED),
    ],
)
def test_a_refused_pull(fake: Callable[..., Fake], status: int, text: str, with_key: Problem, without: Problem) -> None:
    server, engine = pulls(fake, http(f"{status} X", {"message": text}))
    assert kind_of(lambda: list(engine.pull(NAME, Secret("canary-key"), Cancel()))) is with_key
    assert auth_header(server)["password"] == "canary-key"
    assert auth_header(server)["username"] == "$oauthtoken"
    assert kind_of(lambda: list(engine.pull(NAME, None, Cancel()))) is without
    assert auth_header(server) == {}


def test_an_anonymous_pull_is_anonymous_whatever_docker_login_left(
    fake: Callable[..., Fake], own_environment: Path
) -> None:
    (own_environment / ".docker").mkdir()
    login = {"auths": {"nvcr.io": {"auth": base64.b64encode(b"$oauthtoken:old").decode()}}, "credsStore": "desktop"}
    (own_environment / ".docker" / "config.json").write_text(json.dumps(login))
    server, engine = pulls(fake, http("200 OK", {"status": "done"}))
    assert list(engine.pull(NAME, None, Cancel())) == [{"status": "done"}]
    assert auth_header(server) == {}
    assert b"fromImage=nvcr.io%2Fnvidia%2Ftensorflow&tag=1" in server.requests[-1]


def chunk(message: object) -> bytes:
    data = json.dumps(message).encode() + b"\r\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_messages_arrive_one_by_one_and_a_cut_stream_is_a_lost_engine(fake: Callable[..., Fake]) -> None:
    go_on = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(STREAM + chunk({"status": "one"}))
        go_on.wait(5)
        connection.sendall(chunk({"error": "two"}))
        connection.shutdown(socket.SHUT_RDWR)

    _, engine = pulls(fake, talk)
    messages = engine.pull(NAME, None, Cancel())
    assert next(messages) == {"status": "one"}
    go_on.set()
    assert next(messages) == {"error": "two"}
    assert kind_of(lambda: next(messages)) is Problem.ENGINE_LOST


def test_a_load_whose_answer_breaks_off_is_a_lost_engine(fake: Callable[..., Fake]) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(STREAM + chunk({"stream": "one"}))
        connection.shutdown(socket.SHUT_RDWR)

    _, engine = pulls(fake, talk)
    messages = engine.load([b"archive"], Cancel())
    assert next(messages) == {"stream": "one"}
    assert kind_of(lambda: next(messages)) is Problem.ENGINE_LOST


def test_a_load_that_is_refused_as_its_archive_ends_says_why(fake: Callable[..., Fake]) -> None:
    refused = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(http("500 X", {"message": "no space left on device"}))
        connection.shutdown(socket.SHUT_RDWR)
        refused.set()

    def archive() -> Iterator[bytes]:
        yield b""
        assert refused.wait(3)  # nobody listens to the end of the archive any more

    _, engine = pulls(fake, talk)
    assert kind_of(lambda: list(engine.load(archive(), Cancel()))) is Problem.DISK_FULL


def test_a_pull_is_cancelled_while_nothing_comes(fake: Callable[..., Fake]) -> None:
    closed = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(STREAM + chunk({"status": "one"}))
        connection.recv(1)
        closed.set()

    _, engine = pulls(fake, talk)
    cancel = Cancel()
    messages = engine.pull(NAME, None, cancel)
    next(messages)
    threading.Timer(0.2, cancel.set).start()
    begun = time.monotonic()
    assert kind_of(lambda: next(messages)) is Problem.CANCELLED
    assert time.monotonic() - begun < 3
    assert closed.wait(3)  # the engine learns of it, which is what ends the pull there


@pytest.mark.parametrize(
    "answer",
    [http("500 X", {"message": "denied"}), b"no HTTP", lambda connection: connection.shutdown(socket.SHUT_RDWR)],
    ids=["refused", "not understood", "hung up"],
)
def test_the_key_is_in_no_traceback(fake: Callable[..., Fake], answer: bytes | Callable[[socket.socket], None]) -> None:
    key = Secret("-".join(("canary", "key")))  # not in one piece in this source, which a traceback shows
    _, engine = pulls(fake, answer)
    with pytest.raises(Trouble) as caught:
        list(engine.pull(NAME, key, Cancel()))
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    encoded = base64.urlsafe_b64encode(b"canary-key").decode().rstrip("=")[:-2]
    assert "canary-key" not in told
    assert encoded not in told
    assert "eyJ1c2VybmFtZSI6" not in told  # the beginning of any header that names a user
    assert caught.value.__context__ is None


# --- the rest of the table ----------------------------------------------------------------------------------------


def test_a_mistake_of_our_own_is_not_blamed_on_the_engine() -> None:
    assert trouble_of(TypeError("oops")).kind is Problem.INTERNAL
    assert trouble_of(AttributeError("oops")).kind is Problem.INTERNAL


def test_the_deepest_cause_decides() -> None:
    def raised() -> BaseException:
        try:
            try:
                raise PermissionError(13, "denied")
            except PermissionError as error:
                raise OSError("wrapped") from error
        except OSError as error:
            return error

    assert trouble_of(raised()).kind is Problem.ENGINE_PERMISSION
    assert trouble_of(socket.gaierror(-2, "Name or service not known")).kind is Problem.ENGINE_ADDRESS
    assert trouble_of(OSError(101, "Network is unreachable")).kind is Problem.ENGINE_REFUSED
