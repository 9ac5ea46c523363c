"""The parts of an image over HTTP: ranges, tokens that expire, redirects to servers that must not see the token.

nvcr.io answers every blob with a redirect to layers.nvcr.io, whose address is signed and lives for some minutes. An
expired token is answered with the realm of another server that anonymous clients cannot use, so that a conversation
that was refused begins again as if nobody had spoken before.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from wizard.host.registry import (
    MOST_REDIRECTS,
    REDIRECTS,
    Talk,
    deepest,
    kind_of,
    origin,
    parse_challenges,
    proxies,
    taken_along,
    typed,
)
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.image import ImageReference
from wizard.model.secret import Secret, redact

if TYPE_CHECKING:
    import requests

MOST_CONNECTIONS = 32
_PIECE = 1024 * 1024
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_EXPIRED = (401, 403)


class HttpBlobs:
    """The port ``BlobSource``. ``timeouts`` are seconds for connecting and between two pieces of an answer."""

    def __init__(
        self,
        reference: ImageReference,
        key: Secret | None,
        takes_key: bool,
        timeouts: tuple[float, float],
        scheme: str,
    ) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self._session = requests.Session()
        # A do-nothing ``auth`` keeps requests from looking for passwords in ~/.netrc.
        self._session.auth = lambda request: request
        for prefix in ("https://", "http://"):
            self._session.mount(prefix, HTTPAdapter(pool_maxsize=MOST_CONNECTIONS))
        self._talk = Talk(self._session, reference, key, takes_key, timeouts, scheme)
        self._timeouts = timeouts
        self._lock = threading.Lock()

    def open(self, digest: str, size: int, first: int, end: int) -> HttpBlob:
        talk = self._talk
        url = f"{talk.scheme}://{talk.server}/v2/{talk.reference.repository}/blobs/{digest}"
        used = talk.authorization
        response, place = self._ask(url, used, first, end)
        if response.status_code in _EXPIRED and origin(place) == origin(url):
            response.close()
            response, place = self._admitted(url, used, first, end)
        if response.status_code not in (200, 206):
            with contextlib.closing(response):
                body = response.raw.read(64 * 1024, decode_content=True) or b""
            if origin(place) != origin(url):
                # Another server's refusal (a signature that has run out) says nothing about the image.
                raise _trouble(place, Problem.REGISTRY_TROUBLE, f"HTTP {response.status_code}")
            talk.refused(response.status_code, body, f"GET {url}", with_key=talk.used_key)
        begins, total = _place(response, size)
        if total != size or begins not in (0, first):
            response.close()
            raise _trouble(place, Problem.REGISTRY_TROUBLE, f"{total} bytes from {begins}, {size} were promised")
        return HttpBlob(response, begins, end if begins == first and response.status_code == 206 else size, place)

    def close(self) -> None:
        self._session.close()

    def _admitted(self, url: str, used: str | None, first: int, end: int) -> tuple[requests.Response, str]:
        """The answer once the door has been opened anew: without a key, and with it only if that does not do."""
        talk = self._talk
        with self._lock:
            if talk.authorization == used:  # nobody else has been let in meanwhile
                talk.authorization = None
                response, place = self._ask(url, None, first, end)
                if response.status_code not in _EXPIRED:
                    return response, place
                response.close()
                challenges = parse_challenges(response.headers.get("WWW-Authenticate", ""))
                talk.authorization = None if talk.used_key else talk.token(challenges, None)
                if talk.authorization is None and talk.key is not None and talk.takes_key:
                    talk.authorization = talk.token(challenges, talk.key)
                    talk.used_key = talk.authorization is not None
                elif talk.authorization is not None:
                    response, place = self._ask(url, talk.authorization, first, end)
                    if response.status_code not in _EXPIRED or talk.key is None or not talk.takes_key:
                        return response, place
                    response.close()
                    talk.authorization = talk.token(challenges, talk.key)
                    talk.used_key = talk.authorization is not None
            authorization = talk.authorization
        return self._ask(url, authorization, first, end)

    def _ask(self, url: str, authorization: str | None, first: int, end: int) -> tuple[requests.Response, str]:
        """An open answer that is no redirect, and the address that gave it."""
        talk = self._talk
        place = url
        for _hop in range(MOST_REDIRECTS + 1):
            headers = {
                "User-Agent": "s2s-wizard",
                "Accept-Encoding": "identity",
                "Range": f"bytes={first}-{end - 1}",
            }
            if authorization is not None:
                headers["Authorization"] = authorization
            with typed(place, (talk.key,) if talk.key else ()):
                response = self._session.get(
                    place,
                    headers=headers,
                    timeout=self._timeouts,
                    allow_redirects=False,
                    stream=True,
                    proxies=proxies(place),
                )
            if response.status_code not in REDIRECTS:
                return response, place
            response.close()
            target = urljoin(place, response.headers.get("Location", ""))
            if not talk.may_follow(target):
                raise _trouble(target, Problem.REGISTRY_UNTRUSTED, f"Location: {redact(target)}")
            authorization = taken_along(authorization, place, target)
            place = target
        raise _trouble(url, Problem.REGISTRY_TROUBLE, "too many redirects")


class HttpBlob:
    """The port ``BlobStream`` over one answer, up to the byte ``end``."""

    def __init__(self, response: requests.Response, first: int, end: int, url: str) -> None:
        self.first = first
        self.end = end
        self._response = response
        self._left = end - first
        self._url = url
        connection: Any = response.raw._connection or response.raw._original_response
        self._socket = getattr(connection, "sock", None)

    def read(self) -> bytes:
        if self._left <= 0:
            return b""
        import urllib3

        # The last two come from a TLS connection that is shut meanwhile.
        broken = (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError)
        try:
            data = bytes(self._response.raw.read1(min(_PIECE, self._left), decode_content=False))
        except broken as error:
            kind = kind_of(error)
            kind = Problem.REGISTRY_UNREACHABLE if kind is Problem.REGISTRY_TROUBLE else kind
            raise _trouble(self._url, kind, redact(str(deepest(error)))) from error
        if not data:
            raise _trouble(self._url, Problem.REGISTRY_UNREACHABLE, f"the answer ended {self._left} bytes too early")
        self._left -= len(data)
        if self._left == 0:
            with contextlib.suppress(*broken):
                self._response.raw.read1(1, decode_content=False)  # the end: the connection can be used again
            self._response.close()
        return data

    def shut(self) -> None:
        if self._left > 0 and self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._response.close()


def _trouble(url: str, kind: Problem, text: str) -> Trouble:
    return Trouble(kind, text, subject=urlsplit(url).netloc, evidence=(Evidence(f"GET {_bare(url)}", text),))


def _place(response: requests.Response, size: int) -> tuple[int, int]:
    """Where the answer's bytes begin, and the size of the whole."""
    if response.status_code == 200:
        return 0, int(response.headers.get("Content-Length", size))
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        return -1, -1
    return int(match[1]), size if match[2] == "*" else int(match[2])


def _bare(url: str) -> str:
    """An address without its query, which may hold a signature."""
    return url.partition("?")[0]
