"""What the registry adapter decides by itself; against a real registry see ``tests/real/test_registry.py``."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.host.ports import BlobStream
from wizard.host.registry import NgcRegistry, is_loopback, parse_challenges, taken_along, trusted_realm
from wizard.model.errors import Problem, Trouble
from wizard.model.image import ImageReference
from wizard.model.machine import Reached
from wizard.model.secret import Secret

KEY = Secret("nvapi-" + "c" * 64)
SHORT = (1.0, 1.0)


# --- challenges ---


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://nvcr.io/proxy_auth",scope="repository:nvidia/tensorflow:pull"',
            [("bearer", {"realm": "https://nvcr.io/proxy_auth", "scope": "repository:nvidia/tensorflow:pull"})],
        ),
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        ("bearer Realm=https://x.io/t, SERVICE=x", [("bearer", {"realm": "https://x.io/t", "service": "x"})]),
        (
            'Basic realm="a, Bearer b", Bearer realm="https://x.io/t"',
            [("basic", {"realm": "a, Bearer b"}), ("bearer", {"realm": "https://x.io/t"})],
        ),
        ('Negotiate, Bearer realm = "say \\"hi\\""', [("negotiate", {}), ("bearer", {"realm": 'say "hi"'})]),
        ("", []),
    ],
)
def test_challenges_are_read(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(item.scheme, dict(item.values)) for item in parse_challenges(header)] == expected


@given(st.text())
def test_any_header_can_be_read(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower()


# --- where a token may come from ---


@pytest.mark.parametrize(
    ("realm", "host", "trusted"),
    [
        ("https://nvcr.io/proxy_auth", "nvcr.io", True),
        ("https://nvcr.io:443/proxy_auth", "nvcr.io", True),
        ("https://authn.nvidia.com/token", "nvcr.io", True),
        ("https://NVCR.io/proxy_auth", "nvcr.io", True),
        ("http://nvcr.io/proxy_auth", "nvcr.io", False),
        ("https://nvcr.io.evil.example/proxy_auth", "nvcr.io", False),
        ("https://evil.example/nvcr.io", "nvcr.io", False),
        ("https://nvcr.io@evil.example/", "nvcr.io", False),
        ("https://user@nvcr.io/", "nvcr.io", False),
        ("https://nvcr.io:8443/", "nvcr.io", False),
        ("https://nvcr.io:port/", "nvcr.io", False),
        ("https://authn.nvidia.com/token", "other.example", False),
        ("https://auth.docker.io/token", "docker.io", True),
        ("https://registry-1.docker.io/token", "docker.io", True),
        ("https://auth.docker.io/token", "nvcr.io", False),
        ("https://mirror.example:5000/t", "mirror.example:5000", True),
        ("https://mirror.example/t", "mirror.example:5000", False),
        ("http://127.0.0.1:5000/t", "127.0.0.1:5000", False),
        ("ftp://nvcr.io/", "nvcr.io", False),
        ("", "nvcr.io", False),
        ("https://[bad", "nvcr.io", False),
    ],
)
def test_a_token_comes_only_from_where_the_registry_is(realm: str, host: str, trusted: bool) -> None:
    assert trusted_realm(realm, host) is trusted


@pytest.mark.parametrize(
    ("realm", "trusted"),
    [
        ("http://127.0.0.1:5000/t", True),
        ("http://127.0.0.1:5001/t", False),
        ("http://evil.example/t", False),
        ("https://127.0.0.1:5000/t", True),
    ],
)
def test_a_loopback_registry_may_use_plain_http(realm: str, trusted: bool) -> None:
    assert trusted_realm(realm, "127.0.0.1:5000", "http") is trusted


@pytest.mark.parametrize(
    ("authorization", "target", "taken"),
    [
        ("Bearer token", "https://nvcr.io/v2/other", "Bearer token"),
        ("Bearer token", "https://layers.nvcr.io/v2/other", None),
        ("Bearer token", "https://nvcr.io:8443/v2/other", None),
        ("Bearer token", "http://nvcr.io/v2/other", None),
        ("Basic a2V5", "https://nvcr.io/v2/other", None),
        (None, "https://nvcr.io/v2/other", None),
    ],
)
def test_a_token_follows_a_redirect_within_its_server_and_the_key_none(
    authorization: str | None, target: str, taken: str | None
) -> None:
    assert taken_along(authorization, "https://nvcr.io/v2/nvidia/x", target) == taken


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("127.0.0.1:5000", True),
        ("127.8.9.1", True),
        ("localhost:80", True),
        ("[::1]:5000", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("192.0.2.2:5000", False),
        ("nvcr.io", False),
    ],
)
def test_loopback_is_told_apart(server: str, expected: bool) -> None:
    assert is_loopback(server) is expected


def test_the_key_is_for_nvidia_and_for_what_the_user_named() -> None:
    registry = NgcRegistry(("127.0.0.1:5000",))
    assert registry.takes_key("nvcr.io")
    assert registry.takes_key("127.0.0.1:5000")
    assert not registry.takes_key("127.0.0.1:5001")
    assert not registry.takes_key("evil.nvcr.io")
    assert not registry.takes_key("docker.io")
    assert not NgcRegistry().takes_key("127.0.0.1:5000")


# --- networks that do not work ---


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that gives each connection to ``answer``; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                with suppress(OSError):
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(5)
                        answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            with suppress(OSError), socket.create_connection(listener.getsockname()):
                pass
            thread.join(10)


def trouble(image: str, timeouts: tuple[float, float] = SHORT) -> Trouble:
    with pytest.raises(Trouble) as caught:
        NgcRegistry(timeouts=timeouts).manifest(ImageReference.parse(image), KEY)
    return caught.value


@pytest.fixture
def example_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """``registry.example`` is the name of this machine: a server that is not loopback by its name."""
    real = socket.getaddrinfo

    def fake(host: str, *args: object, **kwargs: object) -> object:
        return real("127.0.0.1" if host == "registry.example" else host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", fake)


def test_a_name_that_does_not_exist() -> None:
    seen = trouble("registry.invalid/a/b:1")
    assert (seen.kind, seen.subject) == (Problem.DNS, "registry.invalid")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen = trouble(f"127.0.0.1:{port}/a/b:1")
    assert (seen.kind, seen.subject) == (Problem.REGISTRY_UNREACHABLE, f"127.0.0.1:{port}")
    assert "refused" in seen.text


def test_a_server_that_never_answers() -> None:
    def answer(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    with server(answer) as port:
        assert trouble(f"127.0.0.1:{port}/a/b:1", (0.3, 0.3)).kind is Problem.REGISTRY_UNREACHABLE


def test_a_server_that_hangs_up() -> None:
    with server(lambda connection: None) as port:
        assert trouble(f"127.0.0.1:{port}/a/b:1").kind is Problem.REGISTRY_UNREACHABLE


@pytest.mark.usefixtures("example_is_here")
def test_http_where_https_is_expected() -> None:
    with server(lambda connection: connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")) as port:
        seen = trouble(f"registry.example:{port}/a/b:1")
    assert (seen.kind, seen.subject) == (Problem.REGISTRY_HTTP, f"registry.example:{port}")


@pytest.mark.usefixtures("example_is_here")
@pytest.mark.parametrize("host", ["registry.example", "127.0.0.1"])
def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, host: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    with server(answer) as port:
        seen = trouble(f"{host}:{port}/a/b:1")
    assert (seen.kind, seen.subject) == (Problem.TLS, f"{host}:{port}")
    assert "certificate" in seen.text


def test_a_loopback_registry_is_asked_once_how_it_speaks() -> None:
    greetings = []

    def answer(connection: socket.socket) -> None:
        first = connection.recv(4096)
        greetings.append(first[:3])
        connection.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")

    with server(answer) as port:
        registry = NgcRegistry()
        for _time in range(2):
            with pytest.raises(Trouble) as caught:
                registry.manifest(ImageReference.parse(f"127.0.0.1:{port}/a/b:1"), None)
            assert caught.value.kind is Problem.TAG_MISSING
        assert greetings == [b"\x16\x03\x01", b"GET", b"GET"]


def test_a_loopback_registry_that_hangs_up_is_asked_again_how_it_speaks() -> None:
    is_away = True

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        if not is_away:
            connection.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")

    with server(answer) as port:
        registry, kinds = NgcRegistry(timeouts=SHORT), []
        for _time in range(2):
            with pytest.raises(Trouble) as caught:
                registry.manifest(ImageReference.parse(f"127.0.0.1:{port}/a/b:1"), None)
            kinds.append(caught.value.kind)
            is_away = False
    assert kinds == [Problem.REGISTRY_UNREACHABLE, Problem.TAG_MISSING]


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://someone:swordfish@127.0.0.1:{port}")
    seen = trouble("nvcr.io/nvidia/tensorflow:1")
    assert (seen.kind, seen.subject) == (Problem.PROXY, f"127.0.0.1:{port}")
    assert "swordfish" not in f"{seen} {seen.evidence}"


def test_a_proxy_that_wants_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with server(answer) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert trouble("nvcr.io/nvidia/tensorflow:1").kind is Problem.PROXY
    assert asked[0].startswith(b"CONNECT nvcr.io:443")
    assert b"nvapi" not in asked[0]


# --- the front door ---


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    """Hears a request out and says ``answer``."""

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    return talk


def door(port: int, proxy: str | None = None) -> Reached | Trouble:
    try:
        return NgcRegistry().reach(f"127.0.0.1:{port}", proxy)
    except Trouble as error:
        return error


@pytest.mark.parametrize(
    ("head", "status", "is_registry"),
    [
        ("401 Unauthorized\r\nWWW-Authenticate: Bearer realm=x", 401, True),
        ("200 OK\r\nDocker-Distribution-Api-Version: registry/2.0", 200, True),
        ("200 OK\r\nContent-Type: text/html", 200, False),
        ("302 Found\r\nLocation: http://login.hotel.example/", 302, False),
        ("403 Forbidden\r\nContent-Type: text/html", 403, False),
        ("502 Bad Gateway\r\nWWW-Authenticate: Basic", 502, False),
    ],
)
def test_who_answers_at_the_front_door(head: str, status: int, is_registry: bool) -> None:
    said = f"HTTP/1.1 {head}\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n".encode()
    with server(saying(said)) as port:
        reached = door(port)
    assert isinstance(reached, Reached)
    assert (reached.status, reached.is_registry, reached.clock) == (status, is_registry, 1795341600.0)


def test_an_answer_without_a_time() -> None:
    said = b"HTTP/1.1 401 Unauthorized\r\nDate: yesterday\r\nContent-Length: 0\r\n\r\n"
    with server(saying(said)) as port:
        reached = door(port)
    assert isinstance(reached, Reached)
    assert reached.clock is None


def test_a_name_server_that_hangs_does_not_hang_us(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: released.wait(60))
    monkeypatch.setattr("wizard.host.registry.REACH_SECONDS", 0.2)
    try:
        with pytest.raises(Trouble) as caught:
            NgcRegistry().reach("registry.example")
    finally:
        released.set()
    assert (caught.value.kind, caught.value.subject) == (Problem.REGISTRY_UNREACHABLE, "registry.example")


@pytest.mark.usefixtures("example_is_here")
def test_the_time_is_read_from_an_answer_that_nobody_vouches_for(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    heard: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            heard.append(secure.recv(4096))
            secure.sendall(b"HTTP/1.1 401 No\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n")

    with server(answer) as port:
        assert NgcRegistry().clock(f"registry.example:{port}") == 1795341600.0
        with pytest.raises(Trouble) as caught:
            NgcRegistry().reach(f"registry.example:{port}")
    assert caught.value.kind is Problem.TLS
    assert b"Authorization" not in heard[0]


def test_no_time_where_nobody_listens() -> None:
    assert NgcRegistry().clock("registry.invalid") is None


@pytest.mark.parametrize(("proxy", "through"), [("", False), (None, True)])
@pytest.mark.usefixtures("example_is_here")
def test_the_environments_proxy_is_used_unless_another_way_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, proxy: str | None, through: bool
) -> None:
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with server(answer) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(Trouble) as caught:
            NgcRegistry().reach("registry.example:9", proxy)
    assert (caught.value.kind is Problem.PROXY, any(asked)) == (through, through)


# --- layers ---


SIZE = 1_000_000


def test_a_read_that_waits_ends_when_another_thread_shuts_the_connection() -> None:
    shut = threading.Event()

    def body(connection: socket.socket) -> None:
        connection.sendall(bytes(SIZE // 2))
        shut.wait(10)

    with layer(body) as stream, futures.ThreadPoolExecutor() as executor:
        reader = executor.submit(lambda: [len(data) for data in iter(stream.read, b"")])
        with pytest.raises(futures.TimeoutError):
            reader.result(0.2)
        stream.shut()
        with pytest.raises(Trouble) as caught:
            reader.result(5)
        shut.set()
    assert caught.value.kind is Problem.REGISTRY_UNREACHABLE


@contextmanager
def layer(body: Callable[[socket.socket], None]) -> Iterator[BlobStream]:
    """A layer of ``SIZE`` bytes, asked for at a server whose answer ``body`` sends."""

    def answer(connection: socket.socket) -> None:
        if connection.recv(4096).startswith(b"GET "):
            place = b"Content-Range: bytes 0-%d/%d\r\n" % (SIZE - 1, SIZE)
            connection.sendall(b"HTTP/1.1 206 X\r\nContent-Length: %d\r\n%b\r\n" % (SIZE, place))
            body(connection)
        else:
            connection.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")

    with server(answer) as port:
        image = ImageReference.parse(f"127.0.0.1:{port}/a/b:1")
        with (
            closing(NgcRegistry().blobs(image, None)) as source,
            closing(source.open("sha256:" + "0" * 64, SIZE, 0, SIZE)) as stream,
        ):
            yield stream


def certificate(folder: Path) -> Path:
    """A certificate that signed itself, for ``registry.example``, with its private key in the same file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("registry.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "registry.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path
