"""One request with a body that is sent while it is made, over a connection that can be shut at any moment.

docker-py gives its socket away only with the answer; a load that has to be stopped is stopped before that.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

from wizard.host.engine.failures import Refused


class Posted:
    """``POST path`` over ``connection``: the body in pieces, then the lines of the answer."""

    def __init__(self, connection: socket.socket, path: str, content_type: str) -> None:
        self._http = http.client.HTTPConnection("docker")
        self._http.sock = connection
        self._http.putrequest("POST", path)
        self._http.putheader("Content-Type", content_type)
        self._http.putheader("Transfer-Encoding", "chunked")
        self._http.endheaders()
        self._whole = True

    def send(self, piece: bytes) -> bool:
        """Sends a piece of the body; False where the other side no longer listens."""
        if not piece:
            return True
        try:
            self._http.send(b"%x\r\n" % len(piece))
            self._http.send(piece)
            self._http.send(b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self._whole = False
            return False
        return True

    def lines(self) -> Iterator[bytes]:
        """Ends the body and yields the answer's lines. Raises ``Refused`` for a status of 400 and more."""
        if self._whole:
            self._http.send(b"0\r\n\r\n")
        with self._http.getresponse() as response:
            if response.status >= 400:
                raise Refused(response.status, response.read().decode(errors="replace"))
            for line in response:
                if line.strip():
                    yield line
