"""One request over a connection of our own, which can be shut at any moment: pulls and loads last, and may be stopped.

docker-py gives its socket away only with the answer. It also takes a tenth of a second to be imported, which what the
user waits for first need not wait for.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator

from wizard.host.engine.failures import Refused
from wizard.model.secret import Secret


class RegistryKey:
    """The header that carries a registry's key to the engine. Always explicit: without it, the engine might use what
    the user's Docker configuration says.

    An object instead of a text: no local variable of ours ever holds the key in clear.
    """

    def __init__(self, key: Secret | None, host: str) -> None:
        self._key = key
        self._host = host

    def header(self) -> str:
        """The value of ``X-Registry-Auth``."""
        return base64.urlsafe_b64encode(
            json.dumps(
                {"username": "$oauthtoken", "password": self._key.reveal(), "serveraddress": self._host}
                if self._key
                else {}
            ).encode()
        ).decode("ascii")


class Request:
    """``method path`` over ``connection``. With ``sends``, the type of a body that is sent in pieces; ``auth`` goes
    along in a header.
    """

    def __init__(
        self, connection: socket.socket, method: str, path: str, *, sends: str = "", auth: RegistryKey | None = None
    ) -> None:
        self._http = http.client.HTTPConnection("docker")
        self._http.sock = connection
        self._http.putrequest(method, path)
        if auth is not None:
            self._http.putheader("X-Registry-Auth", auth.header())
        if sends:
            self._http.putheader("Content-Type", sends)
            self._http.putheader("Transfer-Encoding", "chunked")
        elif method != "GET":
            self._http.putheader("Content-Length", "0")
        self._http.endheaders()
        self._is_open = bool(sends)

    def send(self, piece: bytes) -> bool:
        """Sends a piece of the body; False where the other side no longer listens. Then its answer says why."""
        return not piece or self._sent(b"%x\r\n%b\r\n" % (len(piece), piece))

    def lines(self) -> Iterator[bytes]:
        """Ends the body and yields the answer's lines. Raises ``Refused`` for a status of 400 and more, and
        ``IncompleteRead`` for an answer that breaks off.
        """
        with self._answer() as response:
            rest = b""
            while piece := response.read1():  # reading by lines would take a broken answer for a whole one
                *lines, rest = (rest + piece).split(b"\n")
                yield from (line for line in lines if line.strip())
            if rest.strip():
                yield rest

    def whole(self) -> tuple[http.client.HTTPMessage, bytes]:
        """Ends the body; the answer's headers and body. Raises ``Refused`` for a status of 400 and more."""
        with self._answer() as response:
            return response.headers, response.read()

    def _sent(self, data: bytes) -> bool:
        """Sends all of it at once: each send waits anew for its turn among the threads of this program."""
        try:
            self._http.send(data)
        except (BrokenPipeError, ConnectionResetError):
            self._is_open = False
        return self._is_open

    def _answer(self) -> http.client.HTTPResponse:
        if self._is_open:
            self._sent(b"0\r\n\r\n")
        response = self._http.getresponse()
        if response.status >= 400:
            with response:
                raise Refused(response.status, response.read().decode(errors="replace"))
        return response
