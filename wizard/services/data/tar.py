"""A tar archive made while it is sent, of files that are not in one."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator


def packed(members: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """The archive of these names and contents, bit by bit."""
    for name, data in members:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        yield member.tobuf(tarfile.PAX_FORMAT)
        yield data
        yield bytes(-len(data) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
