"""NVIDIA's three hosts on this machine: a TLS server with a certificate of a test authority.

``nvcr.io``, as every name but the next two, is the private registry of ``tests.support.registry``, whose layers come
from another name; ``api.ngc.nvidia.com`` and ``authn.nvidia.com`` know its key. The names lead here only inside
``redirected``, which turns the connections of one process; the addresses, the names in the certificate and every rule
of the program about whom it trusts stay as they are.
"""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.registry import USER, NgcLike
from wizard.model.secret import Secret

HOSTS = ("nvcr.io", "authn.nvidia.com", "api.ngc.nvidia.com")
LAYERS = "layers.example"
CALLER = {
    "requestStatus": {"statusCode": "SUCCESS"},
    "type": "PERSONAL_KEY",
    "orgName": "example-org",
    "products": ["artifact-catalog"],
    "user": {"name": "Mei", "roles": [{"org": {"displayName": "Example"}, "orgRoles": ["USER"]}]},
}
TURN = """
import socket
from urllib3.util import connection
_connect = connection.create_connection
def _turned(address, *args, **options):
    return _connect(("127.0.0.1", {port}) if address[0] in {hosts!r} else address, *args, **options)
connection.create_connection = _turned
"""
"""Python that leads the names to the server, for a process of its own."""


@dataclass
class Nvidia:
    """The server. ``port`` is where it listens, ``authority`` the file that vouches for it, ``seen`` are the requests:
    method, host, path, whether the key was in it.
    """

    ngc: NgcLike
    authority: Path
    port: int = 0
    legacy_key: Secret = field(default_factory=lambda: Secret("Ab3xQ9" * 14))
    seen: list[tuple[str, str, str, bool]] = field(default_factory=list)
    caller: dict[str, Any] = field(default_factory=lambda: dict(CALLER))
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """by host: what is said instead"""
    ahead: float = 0.0
    """seconds by which the clock of the server is ahead"""

    def with_key(self) -> set[str]:
        """The hosts that were given a key."""
        return {host for _method, host, _path, key in self.seen if key}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    nvidia: Nvidia

    def do_GET(self) -> None:
        host = self.headers["Host"].partition(":")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        authorization = self.headers.get("Authorization") or ""
        has_key = authorization.startswith("Basic ") or b"credentials=" in body
        self.nvidia.seen.append((self.command, host, self.path, has_key))
        if host in self.nvidia.answers:
            self._say(*self.nvidia.answers[host])
        elif host == "authn.nvidia.com":
            self._token(authorization)
        elif host == "api.ngc.nvidia.com":
            self._caller(parse_qs(body.decode()).get("credentials", [""])[0])
        else:
            self._registry(authorization)

    do_HEAD = do_POST = do_GET

    def date_time_string(self, timestamp: float | None = None) -> str:
        now = datetime.datetime.now(datetime.timezone.utc).timestamp() if timestamp is None else timestamp
        return super().date_time_string(now + self.nvidia.ahead)

    def _registry(self, authorization: str) -> None:
        wanted = {name: self.headers[name] for name in ("Accept", "Range") if name in self.headers}
        if authorization:
            wanted["Authorization"] = authorization
        front = http.client.HTTPConnection(self.nvidia.ngc.host, timeout=30)
        try:
            front.request(self.command, self.path, headers=wanted)
            with front.getresponse() as answer:
                names = ("Content-Type", "Content-Range", "WWW-Authenticate", "Docker-Content-Digest", "Location")
                kept = {name: answer.headers[name] for name in names if answer.headers[name]}
                if "Location" in kept:
                    kept["Location"] = kept["Location"].replace(f"http://{self.nvidia.ngc.host}", f"https://{LAYERS}")
                self._say(answer.status, kept, answer.read())
        finally:
            front.close()

    def _token(self, authorization: str) -> None:
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if (user, password) == (USER, self.nvidia.legacy_key.reveal()):
            self._json(200, {"token": "t", "expires_in": 3600})
        else:
            self._json(401, {"errors": [{"code": "UNAUTHORIZED", "message": "Invalid apikey"}]})

    def _caller(self, key: str) -> None:
        if key == self.nvidia.ngc.key.reveal():
            self._json(200, self.nvidia.caller)
        else:
            self._json(401, {"requestStatus": {"statusCode": "UNAUTHORIZED", "statusDescription": "Invalid API key."}})

    def _json(self, status: int, document: dict[str, Any]) -> None:
        self._say(status, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, context: ssl.SSLContext, handler: type[_Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The greeting belongs to the thread of the connection: a client may never finish it.
        request.settimeout(20)
        with self._context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not like the certificate is no news."""


@contextmanager
def running(ngc: NgcLike, folder: Path, *, names: tuple[str, ...] = HOSTS, days: int = 0) -> Iterator[Nvidia]:
    """The server, with a certificate for ``names`` that counts from ``days`` days from now on."""
    authority, chain = certificates(folder, names, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    nvidia = Nvidia(ngc, authority)
    server = _Server(context, type("Handler", (_Handler,), {"nvidia": nvidia}))
    nvidia.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield nvidia
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def redirected(nvidia: Nvidia) -> Iterator[None]:
    """Inside, this process finds NVIDIA's hosts at the server."""
    from urllib3.util import connection

    connect = connection.create_connection
    try:
        exec(TURN.format(port=nvidia.port, hosts=HOSTS), {})
        yield
    finally:
        connection.create_connection = connect


def certificates(folder: Path, names: tuple[str, ...], days: int = 0) -> tuple[Path, Path]:
    """A new authority (its certificate's file), and a certificate for ``names`` with its private key in one file."""
    now = datetime.datetime.now(datetime.timezone.utc)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])

    def begun(subject: x509.Name, public: ec.EllipticCurvePublicKey, first: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=first - 1))
            .not_valid_after(now + datetime.timedelta(days=first + 30))
        )

    root_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = (
        begun(root_name, root_key.public_key(), 0)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(root_id, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id)
    server = (
        begun(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), key.public_key(), days)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    authority, chain = folder / "authority.pem", folder / "server.pem"
    authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(secret + server.public_bytes(serialization.Encoding.PEM))
    return authority, chain


class Proxy:
    """An HTTP proxy that takes only who has the password, or everybody without one; leads every name to ``port``.

    ``asked`` are the first lines of the requests; ``port`` 0 refuses all.
    """

    def __init__(self, port: int, password: str = "") -> None:
        self._target, self._password = port, password
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Nobody listens any more."""
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(connection,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (piece := client.recv(4096)):
                    return
                head += piece
            self.asked.append(head.decode("latin-1"))
            login = base64.b64encode(self._password.encode())
            if self._password and b"Proxy-Authorization: Basic " + login not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                there = threading.Thread(target=_pass_on, args=(client, server), daemon=True)
                there.start()
                _pass_on(server, client)
                there.join(20)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
