"""The messages of a simulated pull, as a real engine sends them.

Three layers are fetched at a time, they are unpacked one after the other in the manifest's order, and each says
something about ten times a second.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference, Layer

MB = 1_000_000
_AT_ONCE = 3
_TICK = 0.1
_CHUNK = 64 * MB
_UNPACK = 3
"""Unpacking is that many times faster than fetching."""

Message = dict[str, Any]


def messages(
    reference: ImageReference, digest: str, layers: tuple[Layer, ...], here: frozenset[str], pace: float, cancel: Cancel
) -> Iterator[Message]:
    """Every message of the pull of ``layers``; those in ``here`` exist already. ``pace`` is seconds for a megabyte.

    Raises ``CANCELLED`` between two messages.
    """
    yield {"status": f"Pulling from {reference.repository}", "id": reference.tag or reference.digest}
    wanted: list[Layer] = []
    for layer in layers:
        if layer.digest in here:
            yield _say(layer, "Already exists")
        else:
            wanted.append(layer)
            yield _say(layer, "Pulling fs layer")
    for layer in wanted[_AT_ONCE:]:
        yield _say(layer, "Waiting")
    yield from _transfer(wanted, pace, cancel)
    yield {"status": f"Digest: {digest}"}
    yield {"status": f"Status: Downloaded newer image for {reference}"}


def up_to_date(reference: ImageReference, digest: str) -> Iterator[Message]:
    """The messages of a pull of an image that is there already."""
    yield {"status": f"Pulling from {reference.repository}", "id": reference.tag or reference.digest}
    yield {"status": f"Digest: {digest}"}
    yield {"status": f"Status: Image is up to date for {reference}"}


def names_in(archive: Iterable[bytes], cancel: Cancel) -> tuple[str, ...]:
    """The names of the images in an archive that is being sent. Raises ``CANCELLED``, ``ENGINE_OTHER``."""
    pieces = iter(archive)
    names: list[str] = []
    try:
        with tarfile.open(fileobj=_Reader(pieces, cancel), mode="r|", bufsize=4 * MB) as members:
            for member in members:
                if member.name == "manifest.json":
                    content = members.extractfile(member)
                    names += [name for item in json.load(content or io.BytesIO(b"[]")) for name in item["RepoTags"]]
        for _rest in pieces:  # an engine reads to the end
            cancel.check()
        cancel.check()
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise Trouble(Problem.ENGINE_OTHER, f"unexpected EOF: {error}") from error
    return tuple(names)


class _Reader(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes], cancel: Cancel) -> None:
        self._pieces = pieces
        self._cancel = cancel
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        self._cancel.check()
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = bytes(piece)
        taken, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return taken


def _transfer(layers: list[Layer], pace: float, cancel: Cancel) -> Iterator[Message]:
    fetched = [0] * len(layers)
    unpacked = [0] * len(layers)
    first = 0  # the next layer to be unpacked
    while first < len(layers):
        cancel.wait(_TICK if pace else 0)
        cancel.check()
        budget = int(_TICK / pace * MB) if pace else _CHUNK
        active = [number for number, layer in enumerate(layers) if fetched[number] < layer.size][:_AT_ONCE]
        for number in active:
            layer = layers[number]
            fetched[number] = min(layer.size, fetched[number] + max(1, budget // len(active)))
            yield _say(layer, "Downloading", fetched[number])
            if fetched[number] == layer.size:
                yield _say(layer, "Verifying Checksum")
                yield _say(layer, "Download complete")
        left = budget * _UNPACK
        while first < len(layers) and left > 0 and fetched[first] == layers[first].size:
            layer = layers[first]
            step = min(left, layer.size - unpacked[first])
            unpacked[first] += step
            left -= step
            yield _say(layer, "Extracting", unpacked[first])
            if unpacked[first] == layer.size:
                yield _say(layer, "Pull complete")
                first += 1


def _say(layer: Layer, status: str, current: int | None = None) -> Message:
    detail = {} if current is None else {"current": current, "total": layer.size}
    return {"status": status, "progressDetail": detail, "id": layer.digest.removeprefix("sha256:")[:12]}
