"""A real web server on this machine that gives out files, with the faults that servers and networks have."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Web:
    """``files`` are path -> content. Each fault holds until it is changed."""

    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """the target of every request, and its ``Range``"""
    cut: list[int] = field(default_factory=list)
    """bytes after which the next answers end without a word"""
    statuses: list[int] = field(default_factory=list)
    """what the next requests are answered with"""
    ranges: bool = True
    stall: int = 0
    """bytes after which answers fall silent; 0: never"""
    damage: bool = False
    """whether one byte of each answer is another one"""
    go_on: threading.Event = field(default_factory=threading.Event)
    """lets go of those that stall"""
    address: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}"


@contextmanager
def serving() -> Iterator[Web]:
    """A server of one's own."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, web)

        def log_message(self, format: str, *args: object) -> None:
            """Quietly."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Visitors that hang up are no error."""

    server = Server(("127.0.0.1", 0), Handler)
    web.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, web: Web) -> None:
    asked = handler.headers.get("Range", "")
    web.requests.append((handler.path, asked))
    content = web.files.get(urlsplit(handler.path).path)
    status = web.statuses.pop(0) if web.statuses else 200
    if content is None or status != 200:
        handler.send_response(404 if content is None else status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    match = re.fullmatch(r"bytes=(\d+)-", asked)
    start = int(match[1]) if match and web.ranges else 0
    body = bytearray(content[start:])
    if web.damage and body:
        body[len(body) // 2] ^= 0xFF
    handler.send_response(206 if match and web.ranges else 200)
    if match and web.ranges:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if web.stall and not web.go_on.is_set():
        handler.wfile.write(body[: web.stall])
        handler.wfile.flush()
        web.go_on.wait(60)
        handler.close_connection = True
        return
    if web.cut:
        handler.wfile.write(body[: web.cut.pop(0)])
        handler.close_connection = True
        return
    handler.wfile.write(body)
