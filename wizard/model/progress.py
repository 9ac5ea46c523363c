"""How far a pull is: the engine's messages, measured against what the registry's manifest promised.

The engine's own numbers cannot be shown as they are. Messages are missing, totals are absent, a layer that was resumed
after a cut counts from zero again against the remainder, and newer engines count seconds while they unpack. The
manifest's sizes are exact, so they are the measure: ``done = size - (total - current)``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

from wizard.model.event import Progress
from wizard.model.i18n import _, ngettext
from wizard.model.image import Layer

_LAYER_ID = re.compile(r"[0-9a-f]{12}")
_WINDOW = 10.0
"""seconds of the past that the speed is taken from"""
_ENOUGH = 2.0
"""seconds that have to be seen before a speed is named"""
_STEP = 0.25
"""seconds between two points of the speed's window"""


@dataclass(frozen=True, slots=True)
class PullPlan:
    """What a pull is going to fetch: compressed bytes in all, those that are here already, and the number of layers.

    ``bytes_total`` and ``layers`` are None where the registry could not be asked.
    """

    bytes_total: int | None
    bytes_here: int
    layers: int | None


@dataclass(frozen=True, slots=True)
class LayerState:
    """One layer of an image on its way: the first digits of its digest, compressed bytes in all (None while not known)
    and here, and where it is.
    """

    name: str
    size: int | None
    done: int
    stage: str
    """``waiting``, ``downloading``, ``downloaded``, ``unpacking`` or ``done``"""


@dataclass(frozen=True, slots=True)
class Layers:
    """How all layers are, in the manifest's order."""

    layers: tuple[LayerState, ...]


class Wait(str, Enum):
    """What a pull is waiting for while nothing moves."""

    NETWORK = "network"
    RETRY = "retry"
    UNPACKING = "unpacking"


class _Stage(IntEnum):
    WAITING = 0
    DOWNLOADING = 1
    DOWNLOADED = 2
    UNPACKING = 3
    DONE = 4


_STAGES = {
    "Pulling fs layer": _Stage.WAITING,
    "Waiting": _Stage.WAITING,
    "Downloading": _Stage.DOWNLOADING,
    "Verifying Checksum": _Stage.DOWNLOADED,
    "Download complete": _Stage.DOWNLOADED,
    "Extracting": _Stage.UNPACKING,
    "Pull complete": _Stage.DONE,
    "Already exists": _Stage.DONE,
}


@dataclass(slots=True)
class _Part:
    """One layer: its size as far as it is known, its bytes here, and a counter that shows that unpacking goes on."""

    size: int | None
    done: int = 0
    stage: _Stage = _Stage.WAITING
    unpacked: int = 0
    retrying: bool = False


class PullProgress:
    """Follows one pull. ``layers`` and ``config_size`` are the manifest's; without them the total stays unknown.

    ``done`` never goes back, never passes ``total``, and reaches it only by ``finish``. Times are seconds of any clock
    that does not go back; the caller reads it.
    """

    def __init__(self, layers: tuple[Layer, ...] | None = None, config_size: int = 0) -> None:
        self._known = layers is not None
        self._parts = {_short(layer.digest): _Part(layer.size) for layer in layers or ()}
        # Two layers may carry one digest: it is fetched once.
        size = sum({layer.digest: layer.size for layer in layers or ()}.values()) + config_size
        self.total: int | None = size if layers is not None and size > 0 else None
        self.moved_at: float | None = None
        """when something moved last; None before the first message"""
        self.digest = ""
        """the digest that the engine names at the end"""
        self.error: str | None = None
        """what the engine says went wrong"""
        self._fetched = 0
        self._points: deque[tuple[float, int]] = deque()
        self._finished = False

    @property
    def done(self) -> int:
        """Bytes that are here, in all."""
        done = sum(part.done for part in self._parts.values())
        if self.total is None:
            return done
        return self.total if self._finished else min(done, self.total - 1)

    def feed(self, message: Mapping[str, Any], now: float) -> None:
        """Takes one message of the engine. What is not understood is passed over."""
        if self.moved_at is None:
            self.moved_at = now
            self._points.append((now, 0))
        error = message.get("error")
        if error is not None:
            self.error = str(error)
            return
        status = message.get("status")
        if not isinstance(status, str):
            return
        if status.startswith("Digest: "):
            self.digest = status.removeprefix("Digest: ").strip()
        stage = _STAGES.get(status)
        if stage is None and not status.startswith("Retrying in "):
            return
        part = self._part(message.get("id"))
        if part is None:
            return
        if stage is None:
            part.retrying = True
            return
        detail = message.get("progressDetail")
        if self._advance(part, status, stage, detail if isinstance(detail, Mapping) else {}):
            part.retrying = False
            self.moved_at = now
            self._note(now)

    def finish(self) -> None:
        """The image is here and was compared: only now is everything done."""
        self._finished = True

    def snapshot(self, now: float) -> Progress:
        """The event that says how far it is. Speed and time left are None while they are not known."""
        rate = self._rate(now)
        eta = None
        if rate and self.total is not None and not self._finished:
            eta = (self.total - self.done) / rate
        return Progress(self.done, self.total, "bytes", self.phase, rate, eta)

    @property
    def layers(self) -> Layers:
        """How each layer is."""
        return Layers(
            tuple(LayerState(name, part.size, part.done, part.stage.name.lower()) for name, part in self._parts.items())
        )

    @property
    def waits_for(self) -> Wait:
        """What is missing when nothing moves."""
        loading = [part for part in self._parts.values() if part.stage <= _Stage.DOWNLOADING]
        if any(part.retrying for part in loading) and not any(
            part.stage is _Stage.DOWNLOADING and not part.retrying for part in loading
        ):
            return Wait.RETRY
        return Wait.NETWORK if loading or not self._parts else Wait.UNPACKING

    @property
    def phase(self) -> str:
        """In words."""
        stages = [part.stage for part in self._parts.values()]
        count = len(stages)
        unpacked = stages.count(_Stage.DONE)
        if self._finished:
            return _("done")
        if not any(stages):
            return _("starting")
        if unpacked == count:
            return _("checking")
        downloaded = sum(stage >= _Stage.DOWNLOADED for stage in stages)
        if downloaded < count:
            if self.waits_for is Wait.RETRY:
                return _("the connection broke, trying again")
            return ngettext(
                "{downloaded} of {count} layer downloaded, {unpacked} unpacked",
                "{downloaded} of {count} layers downloaded, {unpacked} unpacked",
                count,
            ).format(downloaded=downloaded, count=count, unpacked=unpacked)
        return ngettext(
            "all downloaded, unpacking: {unpacked} of {count} layer",
            "all downloaded, unpacking: {unpacked} of {count} layers",
            count,
        ).format(count=count, unpacked=unpacked)

    def _part(self, layer_id: object) -> _Part | None:
        """The layer with that id. Ids also name tags and warnings; those are no layers."""
        if not isinstance(layer_id, str):
            return None
        if self._known or not _LAYER_ID.fullmatch(layer_id):
            return self._parts.get(layer_id)
        return self._parts.setdefault(layer_id, _Part(None))

    def _advance(self, part: _Part, status: str, stage: _Stage, detail: Mapping[Any, Any]) -> bool:
        """Brings a layer forward, never back; whether anything moved."""
        before = (part.done, part.stage, part.unpacked)
        current, total = _number(detail.get("current")), _number(detail.get("total"))
        if stage is _Stage.DOWNLOADING and not detail.get("units"):
            # Without a manifest, the first total that is named is the size; after a cut it is the remainder.
            part.size = part.size if part.size is not None else total or None
            done = current if not total or part.size is None else part.size - (total - current)
            part.done = max(part.done, min(done, part.size if part.size is not None else done))
        elif stage >= _Stage.DOWNLOADED:
            part.done = max(part.done, part.size or 0)
        if stage is _Stage.UNPACKING:
            part.unpacked = max(part.unpacked, current)
        part.stage = max(part.stage, stage)
        if status != "Already exists":
            self._fetched += part.done - before[0]
        return (part.done, part.stage, part.unpacked) != before

    def _note(self, now: float) -> None:
        last, _bytes = self._points[-1]
        if now - last >= _STEP:
            self._points.append((now, self._fetched))
        while len(self._points) > 1 and self._points[1][0] <= now - _WINDOW:
            self._points.popleft()

    def _rate(self, now: float) -> float | None:
        """Bytes per second over the last seconds; None too early, and when there is nothing left to download."""
        stages = [part.stage for part in self._parts.values()]
        if not self._points or all(stage >= _Stage.DOWNLOADED for stage in stages):
            return None
        while len(self._points) > 1 and self._points[1][0] <= now - _WINDOW:
            self._points.popleft()
        start, fetched = self._points[0]
        return (self._fetched - fetched) / (now - start) if now - start >= _ENOUGH else None


def _short(digest: str) -> str:
    """How the engine names a layer: the first 12 digits of its digest."""
    return digest.removeprefix("sha256:")[:12]


def _number(value: object) -> int:
    """A count of bytes, or 0 for anything else."""
    return max(0, int(value)) if isinstance(value, (int, float)) and value == value and abs(value) < 2**63 else 0
