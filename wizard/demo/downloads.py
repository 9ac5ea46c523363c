"""Simulated downloads: the files appear, with their sizes and without their contents."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from urllib.parse import urlsplit

from wizard.demo.files import Identity, Node, Tree
from wizard.demo.spec import Network
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.finding import Evidence
from wizard.model.machine import PathKind

_MB = 1_000_000
_TICK = 0.1
_CHUNK = 256 * _MB
_FASTER = 8
"""Archives are larger than images: that many times faster, so that nobody waits for long."""


class SimDownloads:
    """``Downloads``. ``pace`` is the seconds for a megabyte of an image; ``serves`` tells whether a program in a
    container answers at this address and port.
    """

    def __init__(
        self, tree: Tree, user: Identity, network: Network, pace: float, serves: Callable[[str, int], bool]
    ) -> None:
        self._tree = tree
        self._user = user
        self._network = network
        self._pace = pace / _FASTER
        self._serves = serves

    def knock(self, url: str) -> int | None:
        where = urlsplit(url)
        return 200 if self._serves(where.hostname or "", where.port or 80) else None

    def fetch(
        self, url: str, path: str, *, size: int, md5: str, progress: Callable[[int], None], cancel: Cancel
    ) -> None:
        del md5  # there is no content to compare
        real = self._tree.follow(path, self._user)
        there = self._tree.nodes.get(real)
        if there is not None:
            if there.size != size:
                found = Evidence(path, f"{size}; {there.size}")
                raise Trouble(Problem.DOWNLOAD_DAMAGED, subject=path, evidence=(found,))
            return
        if self._network.problem:
            kind = Problem.DNS if self._network.problem == Problem.DNS.value else Problem.DOWNLOAD_UNREACHABLE
            raise Trouble(kind, self._network.text, subject=urlsplit(url).hostname or url)
        self._tree.may_write(real, self._user)
        part = self._tree.nodes.get(f"{real}.part") or Node(PathKind.FILE, 0o644, self._user.uid, self._user.gid)
        self._tree.plant(f"{real}.part", part)
        progress(part.length)
        while part.length < size:
            cancel.wait(_TICK if self._pace else 0)
            cancel.check()
            step = min(size - part.length, int(_TICK / self._pace * _MB) if self._pace else _CHUNK)
            self._tree.use(posixpath.dirname(real), step)
            part.length += step
            progress(part.length)
        del self._tree.nodes[f"{real}.part"]
        self._tree.plant(real, part)
