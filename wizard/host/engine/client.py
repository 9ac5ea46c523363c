"""The adapter of the port ``Engine``.

docker-py is imported at the first call that goes through it, so that importing this module costs nothing. Every
failure leaves here as ``Trouble``: ``failures.trouble_of`` types it by the chain of causes, the HTTP status and the
engine's words.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from wizard.host.engine.address import connected, resolve, tls_of
from wizard.host.engine.answers import container_info, disk_usage, engine_info, host_config, image_info
from wizard.host.engine.failures import ABOUT_THE_ENGINE, Refused, raise_for_status, status_of, trouble_of
from wizard.host.engine.process import argv_of, unit_of
from wizard.host.engine.request import RegistryKey, Request
from wizard.host.engine.session import ExecConnection, exactly
from wizard.host.ports import Commands, ExecSession
from wizard.model.engine import DaemonProcess, Endpoint, EngineInfo, ExecResult, ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference
from wizard.model.secret import Secret

if TYPE_CHECKING:
    from wizard.model.container import ContainerInfo, ContainerSpec
    from wizard.model.disk_usage import DiskUsage

PROBE_SECONDS = 5.0
_CHANGE_SECONDS = 120.0
"""For what makes the daemon work: create, start, stop, remove. A GPU's first start takes many seconds."""
_USAGE_SECONDS = 60.0
_OLDEST_API = (1, 24)
"""``MINIMUM_DOCKER_API_VERSION`` of docker-py's constants."""
_USAGE_API = "1.44"
"""The oldest API that engine 29 speaks."""

# Docker holds back a first key of this sequence until the next key comes. Its default begins with Ctrl-P, the shell's
# "previous command"; a held Ctrl-@ (set mark) cannot be seen, and nobody types the rest.
_DETACH_KEYS = "ctrl-@,ctrl-^,ctrl-@,ctrl-^"


class DockerEngine:
    """The port ``Engine`` on the daemon that the user's own ``docker`` command would talk to.

    ``environ`` is where DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG and HOME are looked up. ``commands`` is asked
    for the daemon's process where systemd holds its socket. Usable from several threads at once.
    """

    def __init__(self, environ: Mapping[str, str], commands: Commands) -> None:
        self._environ = environ
        self._commands = commands
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, float | None], Any] = {}
        self._version = "", ""
        """an address of the daemon, and the newest version of its interface"""

    # --- the daemon ---------------------------------------------------------------------------------------------

    def endpoint(self) -> Endpoint:
        return resolve(self._environ)

    def ping(self) -> None:
        with self.border("GET /_ping"):
            self.client().ping()

    def info(self) -> EngineInfo:
        with self.border("GET /version, GET /info"):
            return engine_info(self._document("/version"), self._document("/info"), self.endpoint())

    def daemon(self) -> DaemonProcess | None:
        path = self.endpoint().socket
        if path is None:
            return None
        with self.border(f"connect {path}"), connected(path) as connection:
            # SO_PEERCRED of a connected socket names the process that called listen().
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = int(struct.unpack("3i", raw)[0])
        if pid == 1 and argv_of(1)[:1] and Path(argv_of(1)[0]).name in ("systemd", "init"):
            pid = self._main_pid("docker.service")
        argv = argv_of(pid) if pid > 0 else ()
        return DaemonProcess(pid, argv, unit_of(pid)) if argv else None

    def _main_pid(self, unit: str) -> int:
        """The process of a systemd unit whose socket systemd itself holds; 0 where it cannot be told."""
        try:
            result = self._commands.run(("systemctl", "show", unit, "--property=MainPID", "--value"), timeout=5)
        except Trouble:
            return 0
        text = result.stdout.strip()
        return int(text) if result.returncode == 0 and text.isdigit() else 0

    # --- images -------------------------------------------------------------------------------------------------

    def image(self, reference: str) -> ImageInfo | None:
        try:
            with self.border(f"GET /images/{reference}/json", reference):
                return image_info(self._document(f"/images/{quote(reference)}/json"))
        except Trouble as trouble:
            if trouble.kind is Problem.IMAGE_MISSING:
                return None
            raise

    def images(self) -> tuple[ImageInfo, ...]:
        with self.border("GET /images/json"):
            listed = self.client().images()
        found = (
            ImageInfo(
                id=item["Id"],
                tags=tuple(tag for tag in item.get("RepoTags") or () if not tag.startswith("<none>")),
                repo_digests=tuple(item.get("RepoDigests") or ()),
                size=int(item.get("Size") or 0),
            )
            for item in listed
        )
        return tuple(info for info in found if info.tags)

    def disk_usage(self) -> DiskUsage:
        with self.border("GET /system/df"):
            client = self.client(_USAGE_SECONDS)
            # From 1.52 on the answer has another shape, without the single images unless they are asked for.
            spoken = min(client.api_version, _USAGE_API, key=lambda text: tuple(map(int, text.split("."))))
            response = client.get(f"{client.base_url}/v{spoken}/system/df", timeout=_USAGE_SECONDS)
            raise_for_status(response)
            return disk_usage(response.json())

    def pull(self, reference: ImageReference, key: Secret | None, cancel: Cancel) -> Iterator[dict[str, Any]]:
        query = urlencode({"fromImage": reference.name, "tag": reference.reference})
        auth = RegistryKey(key, reference.host)
        trouble: Trouble
        try:
            with self._stoppable(cancel) as connection:
                path = f"{self._prefix()}/images/create?{query}"
                for line in Request(connection, "POST", path, auth=auth).lines():
                    yield json.loads(line)
                    cancel.check()
            cancel.check()
            return
        except Trouble as error:
            trouble = error
        except Exception as error:  # noqa: BLE001 - the border to the engine: every failure is typed below
            if cancel.is_set:
                trouble = Trouble(Problem.CANCELLED)
            else:
                trouble = trouble_of(error, str(reference), "POST /images/create", pull_with_key=key is not None)
        # Raised outside the handler: the chain of causes would carry the request, and with it the key's header.
        raise trouble

    def load(self, archive: Iterable[bytes], cancel: Cancel) -> Iterator[dict[str, Any]]:
        call = "POST /images/load"
        try:
            with self._stoppable(cancel) as connection:
                request = Request(
                    connection, "POST", f"{self._prefix()}/images/load?quiet=0", sends="application/x-tar"
                )
                for piece in archive:
                    cancel.check()
                    if not request.send(piece):
                        break  # refused before the end; the answer says why
                for line in request.lines():
                    yield json.loads(line)
                    cancel.check()
            cancel.check()
        except Trouble:
            raise
        except Exception as error:
            cancel.check()
            raise trouble_of(error, self.endpoint().url, call) from error

    def remove_image(self, name: str) -> None:
        try:
            with self.border(f"DELETE /images/{name}", name):
                self.client(_CHANGE_SECONDS).remove_image(name)
        except Trouble as trouble:
            if trouble.kind is not Problem.IMAGE_MISSING:
                raise

    # --- containers ---------------------------------------------------------------------------------------------

    def containers(self, *, all: bool = False) -> tuple[ContainerInfo, ...]:
        with self.border("GET /containers/json"):
            listed = self.client().containers(all=all)
        found = (self.container(item["Id"]) for item in listed)
        return tuple(info for info in found if info is not None)

    def container(self, name: str) -> ContainerInfo | None:
        try:
            with self.border(f"GET /containers/{name}/json", name):
                raw = self.client().inspect_container(name)
        except Trouble as trouble:
            if trouble.kind is Problem.CONTAINER_MISSING:
                return None
            raise
        return container_info(raw)

    def create(self, spec: ContainerSpec) -> str:
        subject = {
            Problem.NAME_TAKEN: spec.name,
            Problem.NAME_INVALID: spec.name,
            Problem.RUNTIME_UNKNOWN: spec.runtime or "",
            Problem.BIND_SOURCE_MISSING: ", ".join(mount.source for mount in spec.mounts),
        }
        try:
            with self.border("POST /containers/create", spec.image):
                client = self.client(_CHANGE_SECONDS)
                made = client.create_container(
                    spec.image,
                    list(spec.command) or None,
                    name=spec.name,
                    entrypoint=list(spec.entrypoint) or None,
                    labels=dict(spec.labels),
                    environment=dict(spec.env),
                    tty=spec.tty,
                    host_config=host_config(client, spec),
                )
                return str(made["Id"])
        except Trouble as trouble:
            trouble.subject = subject.get(trouble.kind, trouble.subject)
            if trouble.kind is Problem.ENGINE_OTHER and status_of(trouble) == 400:
                trouble.kind = Problem.BAD_INPUT
            raise

    def start(self, container_id: str) -> None:
        with self.border(f"POST /containers/{container_id}/start", container_id):
            self.client(_CHANGE_SECONDS).start(container_id)

    def stop(self, container_id: str, timeout: float = 10.0) -> None:
        with self.border(f"POST /containers/{container_id}/stop", container_id):
            self.client(_CHANGE_SECONDS).stop(container_id, timeout=max(0, round(timeout)))

    def remove(self, container_id: str, *, force: bool = False) -> None:
        try:
            with self.border(f"DELETE /containers/{container_id}", container_id):
                self.client(_CHANGE_SECONDS).remove_container(container_id, force=force)
        except Trouble as trouble:
            if trouble.kind is not Problem.CONTAINER_MISSING and "already in progress" not in trouble.text:
                raise

    def logs(self, container_id: str, lines: int = 20) -> str:
        with self.border(f"GET /containers/{container_id}/logs", container_id):
            raw = self.client().logs(container_id, stdout=True, stderr=True, tail=lines)
        return bytes(raw).decode(errors="replace")

    # --- commands in containers ---------------------------------------------------------------------------------

    def run_in(self, container_id: str, argv: tuple[str, ...], *, timeout: float = 30.0) -> ExecResult:
        deadline = time.monotonic() + timeout
        try:
            session = self._open(container_id, argv, tty=False, stdin=False)
        except Trouble as trouble:
            if trouble.kind is Problem.NOT_EXECUTABLE:  # newer engines refuse, older ones say it as output
                return ExecResult(127, stderr=trouble.text.encode())
            raise
        output: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        with contextlib.closing(session):
            try:
                while True:
                    session.limit(max(0.001, deadline - time.monotonic()))
                    piece = session.read()
                    if piece is None:
                        break
                    output[2 if piece[0] == 2 else 1] += piece[1]
                code = session.exit_code(deadline)
            except TimeoutError:
                raise Trouble(Problem.COMMAND_TIMEOUT, subject=" ".join(argv)) from None
        return ExecResult(code, bytes(output[1]), bytes(output[2]))

    def open_exec(
        self,
        container_id: str,
        argv: tuple[str, ...],
        *,
        tty: bool,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] | None = None,
    ) -> ExecSession:
        session = self._open(container_id, argv, tty=tty, stdin=True, env=env)
        if tty and size is not None:
            session.first_size(*size)
        return session

    def _open(
        self,
        container_id: str,
        argv: tuple[str, ...],
        *,
        tty: bool,
        stdin: bool,
        env: Mapping[str, str] | None = None,
    ) -> ExecConnection:
        with self.border(f"POST /containers/{container_id}/exec", container_id):
            client = self.client(_CHANGE_SECONDS)
            exec_id = str(
                client.exec_create(
                    container_id,
                    list(argv),
                    stdin=stdin,
                    tty=tty,
                    environment=dict(env or {}),
                    detach_keys=_DETACH_KEYS,
                )["Id"]
            )
        with self.border(f"POST /exec/{exec_id}/start", argv[0]):
            connection = self._hijack(f"/v{client.api_version}/exec/{exec_id}/start", {"Detach": False, "Tty": tty})
        return ExecConnection(self, exec_id, connection, tty=tty, container_id=container_id)

    def _hijack(self, path: str, body: Mapping[str, Any]) -> socket.socket:
        """Posts a request whose connection then carries the command's input and output.

        Not by docker-py: it reads the answer's head through a buffer, which swallows output that follows at once.
        """
        connection = self._dial()
        try:
            data = json.dumps(body).encode()
            head = (
                f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            connection.settimeout(_CHANGE_SECONDS)
            connection.sendall(head.encode() + data)
            answer = bytearray()
            while not answer.endswith(b"\r\n\r\n"):
                byte = connection.recv(1)
                if not byte:
                    raise ConnectionResetError("the engine closed the connection")
                answer += byte
            status = int(answer.split(b" ", 2)[1])
            if status not in (101, 200):
                length = re.search(rb"(?i)^content-length:\s*(\d+)", answer, re.MULTILINE)
                raise Refused(status, exactly(connection, int(length[1]) if length else 0).decode(errors="replace"))
            connection.settimeout(None)
            return connection
        except BaseException:
            connection.close()
            raise

    @contextlib.contextmanager
    def _stoppable(self, cancel: Cancel) -> Iterator[socket.socket]:
        """A connection for what may last; ``cancel`` shuts it. Raises ``CANCELLED`` where that was asked before."""
        cancel.check()
        with contextlib.closing(self._dial()) as connection:
            connection.settimeout(None)
            cancel.on_set(lambda: shut(connection))
            yield connection

    def _get(self, path: str) -> tuple[Message, bytes]:
        """Headers and body of what is answered at once."""
        with contextlib.closing(self._dial()) as connection:
            return Request(connection, "GET", path).whole()

    def _document(self, path: str) -> dict[str, Any]:
        """What is answered at once, as JSON. Raises ``KeyError`` for something else, as for one that lacks a key."""
        document = json.loads(self._get(self._prefix() + path)[1])
        if not isinstance(document, dict):
            raise KeyError(path)
        return document

    def _prefix(self) -> str:
        """How paths begin for the newest interface of this daemon, which is knocked at with a probe's patience. Raises
        ``ENGINE_TOO_OLD`` where docker-py would.
        """
        endpoint = self.endpoint()
        if self._version[0] != endpoint.url:
            version = self._get("/_ping")[0].get("Api-Version", "")
            numbers = re.fullmatch(r"(\d+)\.(\d+)", version)
            if numbers and tuple(map(int, numbers.groups())) < _OLDEST_API:
                raise Trouble(Problem.ENGINE_TOO_OLD, f"Api-Version: {version}", subject=endpoint.url)
            self._version = endpoint.url, version if numbers else ""
        return f"/v{self._version[1]}" if self._version[1] else ""

    def _dial(self) -> socket.socket:
        """A new connection to the daemon."""
        endpoint = self.endpoint()
        if endpoint.socket is not None:
            return connected(endpoint.socket)
        client = self.client()
        address = urlsplit(client.base_url)
        connection = socket.create_connection((address.hostname or "", address.port or 0), PROBE_SECONDS)
        if address.scheme != "https":
            return connection
        import ssl  # here, because it costs every start 10 ms that few engines need

        context = ssl.create_default_context(cafile=client.verify if isinstance(client.verify, str) else None)
        if client.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if client.cert:
            context.load_cert_chain(*client.cert)
        return context.wrap_socket(connection, server_hostname=address.hostname)

    # --- the connection -----------------------------------------------------------------------------------------

    def close(self) -> None:
        with self._lock:
            clients, self._clients = self._clients, {}
            self._version = "", ""
        for client in clients.values():
            client.close()

    def client(self, timeout: float | None = PROBE_SECONDS) -> Any:
        """docker-py's client for calls that may take ``timeout`` seconds (None: for ever).

        The daemon is always knocked at first, with a probe's patience: a daemon that does not answer costs five
        seconds whatever the call is.
        """
        endpoint = self.endpoint()
        if endpoint.socket is not None:
            connected(endpoint.socket).close()
        probe = self._made(endpoint, None, PROBE_SECONDS)
        return probe if timeout == PROBE_SECONDS else self._made(endpoint, probe.api_version, timeout)

    def _made(self, endpoint: Endpoint, version: str | None, timeout: float | None) -> Any:
        key = (endpoint.url, timeout)
        with self._lock:
            if key in self._clients:
                return self._clients[key]
        # Without the lock: several threads that wait for a hung daemon wait side by side.
        client = self._connect(endpoint, version, timeout)
        with self._lock:
            first = self._clients.setdefault(key, client)
        if first is not client:
            client.close()
        return first

    def _connect(self, endpoint: Endpoint, version: str | None, timeout: float | None) -> Any:
        from wizard.host.engine.docker_py import Client

        return Client(
            base_url=endpoint.url,
            version=version or "auto",
            timeout=timeout,  # type: ignore[arg-type]  # None is "no limit" for requests
            tls=tls_of(self._environ, endpoint),
        )

    @contextlib.contextmanager
    def border(self, call: str, subject: str = "") -> Iterator[None]:
        """Types every failure of the calls inside it. ``call`` is the evidence's source."""
        try:
            yield
        except Trouble:
            raise
        except Exception as error:  # the border to docker-py: what is no failure of the engine goes through
            trouble = trouble_of(error, subject, call)
            if trouble.kind is Problem.INTERNAL:
                raise
            if trouble.kind in ABOUT_THE_ENGINE:
                trouble.subject = resolve(self._environ).url
            raise trouble from error


def shut(connection: Any) -> None:
    """Ends a read that another thread is blocked in. Closing alone would not wake it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
