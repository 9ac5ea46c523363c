"""Large files from web servers: continued, compared with their published sum, and only then given their name.

Proxies and certificates follow the environment, as they do for every program that uses requests: ``HTTPS_PROXY``,
``NO_PROXY``, ``REQUESTS_CA_BUNDLE``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from wizard.host.files import sync_folder, typed
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.secret import redact

if TYPE_CHECKING:
    import requests

PART = ".part"
"""What is added to the name of a file that is not whole yet."""
_PIECE = 256 * 1024
_ARRIVING = 16 * 1024
"""Small, so that little is lost when a connection falls silent."""
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_KNOCK_SECONDS = 2.0
_LATER = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be another one in a while."""
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)
"""What file systems of other machines say that know no locks."""
_ALSO_HERE = {Problem.DNS, Problem.TLS, Problem.PROXY}


class WebDownloads:
    """The ``Downloads`` port. ``timeouts`` are seconds for connecting and without a byte; ``pauses`` those between two
    attempts of which the first brought nothing: there is one attempt more than pauses.
    """

    def __init__(self, timeouts: tuple[float, float] = (10.0, 30.0), pauses: tuple[float, ...] = _PAUSES) -> None:
        self._timeouts = timeouts
        self._pauses = pauses

    def fetch(
        self, url: str, path: str, *, size: int, md5: str, progress: Callable[[int], None], cancel: Cancel
    ) -> None:
        """See ``ports.Downloads``."""
        try:
            if Path(path).exists():
                return _compare(path, path, size, md5, cancel)
            with _alone(path) as part:
                if Path(path).exists():  # somebody else has just finished it
                    return _compare(path, path, size, md5, cancel)
                self._complete(url, part, path, size, md5, progress, cancel)
                Path(path + PART).rename(path)
            sync_folder(Path(path).parent)
        except OSError as error:
            raise typed(error, path) from error

    def knock(self, url: str) -> int | None:
        """See ``ports.Downloads``."""
        import http.client

        where = urlsplit(url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_KNOCK_SECONDS)
        try:
            connection.request("GET", where.path or "/", headers={"User-Agent": "s2s-wizard"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _complete(
        self,
        url: str,
        part: IO[bytes],
        path: str,
        size: int,
        md5: str,
        progress: Callable[[int], None],
        cancel: Cancel,
    ) -> None:
        """Brings ``part`` to its size and compares it."""
        if part.seek(0, os.SEEK_END) > size:  # of another file
            part.truncate(0)
        total = hashlib.md5(usedforsecurity=False)
        part.seek(0)
        while piece := part.read(_PIECE):
            cancel.check()
            total.update(piece)
        here = part.tell()
        progress(here)
        tries = iter(self._pauses)
        while here < size:
            before = here
            try:
                for piece in self._rest(url, here, size, cancel):
                    part.write(piece)
                    total.update(piece)
                    here += len(piece)
                    progress(here)
            except _Broken as broken:
                cancel.check()
                part.flush()
                if here > before:
                    tries = iter(self._pauses)
                pause = next(tries, None)
                if pause is None or (not here and broken.trouble.kind in _ALSO_HERE):
                    raise broken.trouble from broken
                cancel.wait(pause)
            cancel.check()
        part.flush()
        os.fsync(part.fileno())
        if md5 and total.hexdigest() != md5:
            part.truncate(0)
            raise _damaged(path, md5, total.hexdigest())

    def _rest(self, url: str, start: int, size: int, cancel: Cancel) -> Iterator[bytes]:
        """The bytes from ``start`` on. Raises ``_Broken`` for what may be better in a while."""
        import requests
        import urllib3

        headers = {"User-Agent": "s2s-wizard", "Accept-Encoding": "identity", "Range": f"bytes={start}-"}
        try:
            with requests.Session() as session:
                # A do-nothing ``auth`` keeps requests from looking for passwords in ~/.netrc.
                session.auth = lambda request: request
                with session.get(url, headers=headers, timeout=self._timeouts, stream=True) as answer:
                    skip = _checked(answer, url, start, size)
                    cancel.on_set(lambda: _hang_up(answer))
                    left = size - start
                    for piece in answer.raw.stream(_ARRIVING, decode_content=False):
                        cancel.check()
                        wanted = piece[skip : skip + left]
                        skip = max(0, skip - len(piece))
                        left -= len(wanted)
                        if wanted:
                            yield wanted
                        if not left:
                            return
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _Broken(_trouble(error, url)) from error
        raise _Broken(_unreachable(url, "the connection was closed early"))


class _Broken(Exception):
    """An attempt ended early; ``trouble`` is what to say if there is no other."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


@contextlib.contextmanager
def _alone(path: str) -> Iterator[IO[bytes]]:
    """The unfinished file, against every other process. A process that ends, however it does, lets go of it."""
    with os.fdopen(os.open(path + PART, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "rb+") as part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Trouble(Problem.BUSY, hint=_("Another process downloads {path}.").format(path=path)) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield part


def _checked(answer: requests.Response, url: str, start: int, size: int) -> int:
    """How many bytes at the beginning of the answer are here already: a server that knows no ranges sends them again.

    Raises ``DOWNLOAD_REFUSED``, ``PROXY`` and ``_Broken``.
    """
    seen = Evidence(f"GET {redact(url)}", f"HTTP {answer.status_code} {answer.reason}")
    if answer.status_code in _LATER:
        raise _Broken(Trouble(Problem.DOWNLOAD_REFUSED, subject=redact(url), evidence=(seen,)))
    if answer.status_code == 407:
        raise Trouble(Problem.PROXY, subject="", evidence=(seen,))
    if answer.status_code == 206:
        match = _RANGE.match(answer.headers.get("Content-Range", ""))
        if match is not None and int(match[1]) <= start and match[2] in ("*", str(size)):
            return start - int(match[1])
        told = f"Content-Range: {answer.headers.get('Content-Range', '')}"
    elif answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        if length in ("", str(size)):
            return start
        told = _("{length} bytes, not {size}").format(length=length, size=size)
    else:
        told = seen.text
    raise Trouble(Problem.DOWNLOAD_REFUSED, told, subject=redact(url), evidence=(seen,))


def _hang_up(answer: requests.Response) -> None:
    """Ends the reading of ``answer`` in another thread."""
    with contextlib.suppress(ValueError, RuntimeError, OSError):  # it has ended already
        answer.raw.shutdown()


def _trouble(error: Exception, url: str) -> Trouble:
    import requests

    from wizard.host.registry import kind_of

    kind = kind_of(error) if isinstance(error, requests.RequestException) else Problem.DOWNLOAD_UNREACHABLE
    if kind not in _ALSO_HERE:
        return _unreachable(url, str(error))
    subject = "" if kind is Problem.PROXY else urlsplit(url).hostname or ""
    return Trouble(kind, redact(str(error)), subject=subject)


def _unreachable(url: str, text: str) -> Trouble:
    seen = Evidence(f"GET {redact(url)}", redact(text))
    return Trouble(Problem.DOWNLOAD_UNREACHABLE, redact(text), subject=urlsplit(url).netloc, evidence=(seen,))


def _compare(path: str, name: str, size: int, md5: str, cancel: Cancel) -> None:
    """Raises ``DOWNLOAD_DAMAGED`` where the file at ``path`` is not the one that was published."""
    found = Path(path).stat().st_size
    if found != size:
        raise _damaged(name, f"{size} bytes", f"{found} bytes", whole=True)
    if not md5:
        return
    total = hashlib.md5(usedforsecurity=False)
    with Path(path).open("rb") as file:
        while piece := file.read(_PIECE):
            cancel.check()
            total.update(piece)
    if total.hexdigest() != md5:
        raise _damaged(name, md5, total.hexdigest(), whole=True)


def _damaged(path: str, wanted: str, found: str, *, whole: bool = False) -> Trouble:
    hint = _("Move the file away first: it was here before, so it is left as it is.") if whole else ""
    told = _("published: {wanted}; here: {found}").format(wanted=wanted, found=found)
    return Trouble(Problem.DOWNLOAD_DAMAGED, subject=path, hint=hint, evidence=(Evidence(path, told),))
