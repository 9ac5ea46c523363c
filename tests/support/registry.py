"""A private registry that behaves like NVIDIA's: a real ``docker-registry``, and a front that asks for tokens.

The front answers as nvcr.io does: a 401 whose challenge has no ``service=``, tokens from ``/proxy_auth`` for the user
``$oauthtoken`` with the key as password, anonymous tokens for public repositories, 403 without entitlement, 412 until
the licence is accepted, and blobs through a 307 redirect. Docker takes 127.0.0.0/8 as insecure registries, so plain
HTTP is enough. The front can also be told to misbehave; see the methods of ``NgcLike``.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import os
import platform
import random
import shutil
import socket
import struct
import subprocess
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support import images
from tests.support.engine import REQUIRE
from wizard.model.secret import Secret

KEY = "nvapi-CANARY" + "k3Y7" * 14 + "Zz"
"""The key that the registry accepts; of the right shape, and easy to find wherever it should not be."""
WRONG_KEY = "nvapi-WRONG0" + "x9Q2" * 14 + "Zz"
USER = "$oauthtoken"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_CHUNK = 16 * 1024
_PIECES_PER_SECOND = 50
"""at most, where a speed is set: each costs processor time, which who is measured beside this would lack"""
_AT_ONCE = 64 * 1024 * 1024
"""random bytes; more cannot be made in one piece"""


class CannotStart(Exception):
    """No registry can be started on this machine; the text says why."""


@dataclass(frozen=True)
class Blob:
    """Something in the registry: its digest, its size in bytes, and (layers) the digest of what it unpacks to."""

    digest: str
    size: int
    diff_id: str = ""

    @property
    def id(self) -> str:
        """How the engine calls a layer in the messages of a pull."""
        return self.digest.removeprefix("sha256:")[:12]


@dataclass(frozen=True)
class Pushed:
    """An image in the registry. ``image`` is its full name with tag; ``digest`` that of what the tag names."""

    image: str
    digest: str
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def download_size(self) -> int:
        return self.config.size + sum({layer.digest: layer.size for layer in self.layers}.values())


@dataclass(frozen=True)
class Request:
    """A request that the front has seen. ``kind`` is ping, token, manifest, blob or layer; ``asked`` the bytes of the
    range that it named; ``at`` when it was answered, in seconds of ``time.monotonic``.
    """

    method: str
    path: str
    kind: str
    authorization: str
    status: int
    asked: int = 0
    at: float = 0.0


@dataclass
class _Answer:
    kind: str
    status: int
    times: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class _Corruption:
    at: int | None
    times: int


@dataclass
class _Faults:
    answers: list[_Answer] = field(default_factory=list)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)
    corrupt: dict[str, list[_Corruption]] = field(default_factory=dict)
    no_ranges: bool = False
    away: bool = False
    layers_at: str | None = None
    bytes_per_second: float | None = None
    denied: set[str] = field(default_factory=set)
    unlicensed: set[str] = field(default_factory=set)
    challenges: tuple[str, ...] | None = None
    realm: str | None = None
    released: threading.Event = field(default_factory=threading.Event)


class NgcLike:
    """The registry as the tests see it.

    ``host`` is ``127.0.0.1:PORT``, the first part of every image name; ``key`` the key that is accepted. Every request
    stands in ``requests``.
    """

    def __init__(self, backend: tuple[str, int], address: str = "127.0.0.1") -> None:
        self.backend = backend
        self.key = Secret(KEY)
        self.wrong_key = Secret(WRONG_KEY)
        self.requests: list[Request] = []
        self._public: set[str] = set()
        self._tokens: dict[str, str] = {}
        self._faults = _Faults()
        self._server = _Front((address, 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self._stopped = False

    @property
    def host(self) -> str:
        address, port = self._server.server_address[:2]
        return f"{address!s}:{port}"

    # --- what is in it ---

    def push(
        self,
        repository: str,
        tag: str = "1",
        *,
        layers: Sequence[int | bytes] = (100_000,),
        public: bool = True,
        arch: str = ARCH,
        command: Sequence[str] = ("/bin/sh",),
        env: Sequence[str] = (),
    ) -> Pushed:
        """Puts an image there. A layer is a number of random bytes, or the bytes of a tar archive."""
        blobs = tuple(self._layer(repository, layer, f"{repository}:{tag}:{n}") for n, layer in enumerate(layers))
        config = self._blob(
            repository,
            json.dumps(
                {
                    "architecture": arch,
                    "os": "linux",
                    "config": {"Cmd": list(command), "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", *env]},
                    "rootfs": {"type": "layers", "diff_ids": [blob.diff_id for blob in blobs]},
                    "history": [{"created_by": "tests"} for _ in blobs],
                }
            ).encode(),
        )
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _CONFIG, "size": config.size, "digest": config.digest},
            "layers": [{"mediaType": _LAYER, "size": blob.size, "digest": blob.digest} for blob in blobs],
        }
        digest = self.put_manifest(repository, tag, MANIFEST, document)
        if public:
            self._public.add(repository)
        return Pushed(f"{self.host}/{repository}:{tag}", digest, config, blobs)

    def push_busybox(
        self, repository: str, tag: str = "1", *, public: bool = True, extra: Sequence[int] = ()
    ) -> Pushed:
        """Puts an image there whose containers run: busybox as /bin/sh, and ``extra`` layers of random bytes."""
        return self.push(repository, tag, layers=[images.busybox_archive(), *extra], public=public)

    def push_bash(self, repository: str, tag: str = "1", *, public: bool = True, extra: Sequence[int] = ()) -> Pushed:
        """The same with a real bash, as the NGC images have."""
        return self.push(repository, tag, layers=[images.bash_archive(), *extra], public=public, command=("/bin/bash",))

    def push_index(self, repository: str, tag: str, platforms: Mapping[str, Pushed]) -> str:
        """Puts a list of images there, one for each architecture; its digest."""
        entries = []
        for arch, pushed in platforms.items():
            size = len(self.read(f"/v2/{repository}/manifests/{pushed.digest}", MANIFEST))
            entries.append(
                {
                    "mediaType": MANIFEST,
                    "size": size,
                    "digest": pushed.digest,
                    "platform": {"architecture": arch, "os": "linux"},
                }
            )
        return self.put_manifest(repository, tag, INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})

    def put_manifest(self, repository: str, tag: str, media_type: str, document: Mapping[str, Any]) -> str:
        """Puts any manifest there, without looking at it; its digest."""
        body = json.dumps(document, indent=3).encode()
        status, text = self._ask("PUT", f"/v2/{repository}/manifests/{tag}", body, {"Content-Type": media_type})
        if status != 201:
            raise RuntimeError(f"PUT manifest: {status} {text[:300]!r}")
        return _digest(body)

    def read(self, path: str, accept: str = "*/*") -> bytes:
        """What the registry behind the front answers to a GET."""
        status, body = self._ask("GET", path, None, {"Accept": accept})
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]!r}")
        return body

    def _layer(self, repository: str, content: int | bytes, seed: str) -> Blob:
        if isinstance(content, int):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as archive:
                member = tarfile.TarInfo(f"random/{hashlib.sha256(seed.encode()).hexdigest()[:12]}")
                member.size = content
                source = random.Random(seed)
                sizes = [_AT_ONCE] * (content // _AT_ONCE) + [content % _AT_ONCE]
                archive.addfile(member, io.BytesIO(b"".join(map(source.randbytes, sizes))))
            content = buffer.getvalue()
        blob = self._blob(repository, gzip.compress(content, compresslevel=1, mtime=0))
        return Blob(blob.digest, blob.size, _digest(content))

    def _blob(self, repository: str, data: bytes) -> Blob:
        digest = _digest(data)
        connection = http.client.HTTPConnection(*self.backend, timeout=60)
        try:
            connection.request("POST", f"/v2/{repository}/blobs/uploads/")
            with connection.getresponse() as response:
                response.read()
                place = urlsplit(response.headers["Location"])
            connection.request(
                "PUT",
                f"{place.path}?{place.query}&digest={digest}",
                body=data,
                headers={"Content-Type": "application/octet-stream"},
            )
            with connection.getresponse() as response:
                if response.status != 201:
                    raise RuntimeError(f"PUT blob: {response.status} {response.read(300)!r}")
        finally:
            connection.close()
        return Blob(digest, len(data))

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.backend, timeout=60)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            with connection.getresponse() as response:
                return response.status, response.read()
        finally:
            connection.close()

    # --- how it misbehaves ---

    def deny(self, repository: str) -> None:
        """Every key is good, but none may have this repository (403)."""
        self._public.discard(repository)
        self._faults.denied.add(repository)

    def want_licence(self, repository: str) -> None:
        """The account has not accepted the licence terms (412)."""
        self._public.discard(repository)
        self._faults.unlicensed.add(repository)

    def challenge(self, *values: str) -> None:
        """What the 401 says in ``WWW-Authenticate``, word for word; one header for each value."""
        self._faults.challenges = values

    def realm(self, url: str) -> None:
        """Where the 401 sends for the token."""
        self._faults.realm = url

    def answer(
        self, kind: str, status: int, *, times: int = 1, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        """Answers the next ``times`` requests of a kind (ping, token, manifest, blob, layer) like this."""
        self._faults.answers.append(_Answer(kind, status, times, headers or {}, body))

    def cut(self, blob: Blob, after: int, times: int = 1) -> None:
        """Breaks the connection after ``after`` bytes of this blob, ``times`` times."""
        self._faults.cuts.setdefault(blob.digest, []).extend([after] * times)

    def stall(self, blob: Blob, after: int) -> None:
        """Sends nothing more after ``after`` bytes of this blob, until ``release``."""
        self._faults.stalls[blob.digest] = after

    def release(self) -> None:
        """Goes on with what was stalled."""
        self._faults.released.set()

    def corrupt(self, blob: Blob, at: int | None = None, times: int = 1_000_000) -> None:
        """Sends this blob with one byte changed: the one at ``at``, or one near the beginning of each answer."""
        self._faults.corrupt.setdefault(blob.digest, []).append(_Corruption(at, times))

    def no_ranges(self) -> None:
        """Sends whole blobs, whatever part is asked for."""
        self._faults.no_ranges = True

    def layers_elsewhere(self) -> str:
        """Redirects blobs to another host, as nvcr.io does; its name."""
        self._faults.layers_at = f"localhost:{self.host.rpartition(':')[2]}"
        return self._faults.layers_at

    def away(self, gone: bool) -> None:
        """Hangs up on everybody, and on everybody who comes, until it is back."""
        self._faults.away = gone
        if gone:
            self._server.hang_up()

    def expire_tokens(self) -> None:
        """No token that was given is good any longer."""
        self._tokens.clear()

    def throttle(self, bytes_per_second: float | None) -> None:
        """How fast each connection sends blobs."""
        self._faults.bytes_per_second = bytes_per_second

    def reset(self) -> None:
        """Good behaviour again, and an empty list of requests."""
        self._faults.released.set()
        self._faults = _Faults()
        self._tokens.clear()
        self.requests.clear()

    def stop(self) -> None:
        """Goes away: nobody listens at the address any more, and open connections end."""
        if self._stopped:
            return
        self._stopped = True
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._faults.released.set()  # only now: whoever waits would send on
        self._thread.join(5)

    # --- what the tests ask afterwards ---

    def seen(self, kind: str) -> list[Request]:
        """The requests of a kind, in their order."""
        return [request for request in self.requests if request.kind == kind]

    @property
    def saw_the_key(self) -> bool:
        """Whether any request carried the key, good or wrong."""
        return any(request.authorization.startswith("Basic ") for request in self.requests)


class _Front(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], ngc: NgcLike) -> None:
        self.ngc = ngc
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""

    def hang_up(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body does not wait for the client to confirm the headers
    server: _Front

    def handle(self) -> None:
        """Answers a TLS greeting at once and in plain text, as Go's servers do; Docker tries TLS first."""
        if self.server.ngc._faults.away:
            return
        with suppress(OSError):
            if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
                self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                return
        super().handle()

    def do_GET(self) -> None:
        ngc, faults = self.server.ngc, self.server.ngc._faults
        kind = self._kind()
        for answer in faults.answers:
            if answer.kind == kind and answer.times > 0:
                answer.times -= 1
                self._send(answer.status, answer.body, answer.headers)
                return
        if kind == "token":
            self._token()
        elif kind == "layer":
            _, _, query = self.path.partition("?")
            self._forward(query)
        elif kind == "unknown":
            self._send(404)
        elif self._allowed(ngc, kind):
            if kind == "ping":
                self._send(200, b"{}")
            elif kind == "blob":
                self._send(307, headers={"Location": f"http://{faults.layers_at or ngc.host}/layers?{self.path}"})
            else:
                self._forward(self.path)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr; the tests look at ``requests``."""

    def _kind(self) -> str:
        path = urlsplit(self.path).path
        if path == "/v2/":
            return "ping"
        if path == "/proxy_auth":
            return "token"
        if path == "/layers":
            return "layer"
        for kind in ("manifest", "blob"):
            if f"/{kind}s/" in path:
                return kind
        return "unknown"

    def _repository(self) -> str:
        return self.path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]

    def _allowed(self, ngc: NgcLike, kind: str) -> bool:
        """Whether the token fits; otherwise the refusal has been sent."""
        repository = self._repository() if kind != "ping" else ""
        user = ngc._tokens.get(self._authorization().removeprefix("Bearer "))
        if user is None or (user == "" and repository and repository not in ngc._public):
            self._challenge(repository)
            return False
        if repository in ngc._faults.denied:
            self._error(403, "DENIED", "Access Denied")
            return False
        if repository in ngc._faults.unlicensed:
            self._error(412, "DENIED", "The licence terms of this image are not accepted")
            return False
        return True

    def _challenge(self, repository: str) -> None:
        faults = self.server.ngc._faults
        realm = faults.realm or f"http://{self.server.ngc.host}/proxy_auth"
        scope = f',scope="repository:{repository}:pull"' if repository else ""
        values = faults.challenges if faults.challenges is not None else (f'Bearer realm="{realm}"{scope}',)
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
        self._send(401, body, [("WWW-Authenticate", value) for value in values])

    def _token(self) -> None:
        """Tokens as NGC gives them: to the key for everything, to nobody for what is public."""
        ngc = self.server.ngc
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        kind, _, credentials = self._authorization().partition(" ")
        if kind == "Basic":
            user, _, password = base64.b64decode(credentials).decode().partition(":")
            if user != USER or password != ngc.key.reveal():
                self._error(401, "UNAUTHORIZED", "Invalid apikey")
                return
        else:
            user = ""
            if any(scope.split(":")[1] not in ngc._public for scope in scopes):
                self._error(401, "UNAUTHORIZED", "authentication required")
                return
        token = uuid.uuid4().hex
        ngc._tokens[token] = user
        self._send(200, json.dumps({"token": token, "expires_in": 3600}).encode())

    def _authorization(self) -> str:
        return self.headers.get("Authorization") or ""

    def _error(self, status: int, code: str, message: str) -> None:
        self._send(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode())

    def _send(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    ) -> None:
        self._note(status)
        self.send_response(status)
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _note(self, status: int) -> None:
        first, _, last = (self.headers.get("Range") or "").removeprefix("bytes=").partition("-")
        asked = int(last) - int(first) + 1 if first and last else 0
        self.server.ngc.requests.append(
            Request(self.command, self.path, self._kind(), self._authorization(), status, asked, time.monotonic())
        )

    def _forward(self, path: str) -> None:
        """Passes the request to the real registry and its answer back, with the faults that were ordered."""
        connection = http.client.HTTPConnection(*self.server.ngc.backend, timeout=60)
        try:
            # Docker sends one Accept line for each kind of manifest; all of them count.
            names = ("Accept",) if self.server.ngc._faults.no_ranges else ("Accept", "Range")
            wanted = {name: ", ".join(self.headers.get_all(name, ())) for name in names}
            connection.request(self.command, path, headers={name: value for name, value in wanted.items() if value})
            with connection.getresponse() as response:
                self._note(response.status)
                self.send_response(response.status)
                for name, value in response.headers.items():
                    if name.lower() not in ("connection", "date", "server", "docker-distribution-api-version"):
                        self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self._stream(response, path.rpartition("/")[2])
        finally:
            connection.close()

    def _stream(self, response: http.client.HTTPResponse, digest: str) -> None:
        faults = self.server.ngc._faults
        cuts = faults.cuts.get(digest)
        limit = cuts.pop(0) if cuts else None
        stall = faults.stalls.get(digest)
        sent, started = 0, time.monotonic()
        begins = int((response.getheader("Content-Range") or "bytes 0-").partition(" ")[2].partition("-")[0])
        size = max(_CHUNK, int((faults.bytes_per_second or 0) / _PIECES_PER_SECOND))
        while piece := response.read(size):
            for fault in faults.corrupt.get(digest, ()):
                place = len(piece) // 2 if fault.at is None and sent == 0 else (fault.at or -1) - begins - sent
                if 0 <= place < len(piece) and fault.times > 0:
                    fault.times -= 1
                    piece = piece[:place] + bytes([piece[place] ^ 0xFF]) + piece[place + 1 :]
            if limit is not None and sent + len(piece) > limit:
                self.wfile.write(piece[: limit - sent])
                self._break()
                return
            self.wfile.write(piece)
            sent += len(piece)
            if stall is not None and sent >= stall:
                faults.released.wait(120)
            if faults.bytes_per_second:
                faults.released.wait(max(0.0, sent / faults.bytes_per_second - (time.monotonic() - started)))

    def _break(self) -> None:
        """Ends the connection as a broken network does: with a reset."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextmanager
def running(address: str = "127.0.0.1") -> Iterator[NgcLike]:
    """A registry of its own with its front at ``address``. Raises ``CannotStart``."""
    program = shutil.which("docker-registry")
    if program is None:
        raise CannotStart("there is no docker-registry on this machine (Debian: apt install docker-registry)")
    folder = Path(tempfile.mkdtemp(prefix="s2s-registry-"))
    process: subprocess.Popen[bytes] | None = None
    ngc: NgcLike | None = None
    try:
        backend = ("127.0.0.1", _free_port())
        config = folder / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: warn, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, cache: {{blobdescriptor: inmemory}}}}\n"
            f"http: {{addr: '{backend[0]}:{backend[1]}', secret: tests}}\n"
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _wait_until_it_answers(process, backend, folder / "log")
        ngc = NgcLike(backend, address)
        yield ngc
    finally:
        if ngc is not None:
            ngc.stop()
        if process is not None:
            process.terminate()
            process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(address, timeout=1):
            return
        time.sleep(0.05)
    process.kill()
    raise CannotStart(f"docker-registry does not start here:\n{log.read_text(errors='replace')[-1500:]}")


@contextmanager
def running_or_skip(address: str = "127.0.0.1") -> Iterator[NgcLike]:
    """``running`` for fixtures: skips loudly where there is no registry, and fails where one has to be."""
    with ExitStack() as stack:
        try:
            ngc = stack.enter_context(running(address))
        except CannotStart as error:
            if os.environ.get(REQUIRE) == "1":
                pytest.fail(f"{REQUIRE}=1, but {error}", pytrace=False)
            pytest.skip(f"NOT TESTED on a real registry: {error}")
        yield ngc


@pytest.fixture(scope="session")
def shared_ngc() -> Iterator[NgcLike]:
    """One registry for the whole run; what is pushed stays. Use ``ngc`` in tests."""
    with running_or_skip() as ngc:
        yield ngc


@pytest.fixture
def ngc(shared_ngc: NgcLike) -> Iterator[NgcLike]:
    """The shared registry, well-behaved and with an empty list of requests. Push under a name of the test's own."""
    shared_ngc.reset()
    yield shared_ngc
    shared_ngc.reset()


@pytest.fixture
def own_ngc() -> Iterator[NgcLike]:
    """A registry for one test alone, which may stop it."""
    with running_or_skip() as ngc:
        yield ngc
