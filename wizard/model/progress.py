"""How far a pull is: the engine's messages, measured against what the registry's manifest promised.

The engine's own numbers cannot be shown as they are. Messages are missing, totals are absent, a layer that was resumed
after a cut counts from zero again against the remainder, and newer engines count seconds while they unpack. The
manifest's sizes are exact, so they are the measure: ``done = size - (total - current)``.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
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

    ``bytes_total`` and ``layers`` are None where the registry could not be asked. ``via`` is who downloads: ``engine``,
    ``download`` (this program, resumable) or ``file``.
    """

    bytes_total: int | None
    bytes_here: int
    layers: int | None
    via: str = field(default="engine", compare=False)


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
        self._speed = Speed()
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
            self._speed.note(now)
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
            self._speed.note(now)

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
            return _fetching(count, downloaded, unpacked)
        return _unpacking(count, unpacked)

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
            self._speed.add(part.done - before[0])
        return (part.done, part.stage, part.unpacked) != before

    def _rate(self, now: float) -> float | None:
        """Bytes per second over the last seconds; None too early, and when there is nothing left to download."""
        stages = [part.stage for part in self._parts.values()]
        return None if all(stage >= _Stage.DOWNLOADED for stage in stages) else self._speed.rate(now)


class TransferProgress:
    """Follows a download that this program makes itself, and the engine that unpacks what it is given meanwhile.

    ``sizes`` are the layers' compressed bytes by digest, ``here`` those that need not be fetched, ``unpacked`` how many
    layers the engine has. The promises are those of ``PullProgress``. ``arrived``, ``whole`` and ``feed`` may be called
    from several threads.
    """

    def __init__(
        self, sizes: Mapping[str, int], here: Mapping[str, int], config_size: int = 0, unpacked: int = 0
    ) -> None:
        self._unpacked_before = unpacked
        self._sizes = dict(sizes)
        self._here = {digest: min(here.get(digest, 0), size) for digest, size in sizes.items()}
        self._whole = {digest for digest, size in sizes.items() if self._here[digest] == size}
        self._unpacked: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._speed = Speed()
        self._shown = 0
        self._finished = False
        self.total: int | None = sum(sizes.values()) + config_size
        self._config_size = config_size
        self.moved_at: float | None = None
        self.digest = ""
        self.error: str | None = None
        self.retrying = False
        """whether every connection has broken and is tried again"""

    @property
    def done(self) -> int:
        """Bytes that are here, in all."""
        total = self.total or 0
        with self._lock:
            here = sum(self._here.values()) + self._config_size
            self._shown = total if self._finished else max(self._shown, min(here, total - 1))
            return self._shown

    def arrived(self, digest: str, count: int, now: float) -> None:
        """``count`` more bytes of a layer are here; below 0: they turned out to be wrong."""
        with self._lock:
            self._here[digest] = max(0, min(self._here[digest] + count, self._sizes[digest]))
            if count < 0:
                self._whole.discard(digest)
            self._speed.add(max(0, count))
            self._moved(now)
            self.retrying = False

    def whole(self, digest: str, now: float) -> None:
        """The layer is here and was compared with its digest."""
        with self._lock:
            self._whole.add(digest)
            self._here[digest] = self._sizes[digest]
            self._moved(now)

    def knows(self, digest: str) -> bool:
        """Whether this is one of the layers."""
        return digest in self._sizes

    def start(self, now: float) -> None:
        """The clock begins to run."""
        with self._lock:
            self._moved(now)

    def feed(self, message: Mapping[str, Any], now: float) -> None:
        """Takes one message of the engine that is given the archive."""
        with self._lock:
            error = message.get("error")
            said = message.get("stream")
            if error is not None or (isinstance(said, str) and said.startswith("Error unpacking")):
                self.error = str(error if error is not None else said).strip()
            layer, detail = message.get("id"), message.get("progressDetail")
            if isinstance(layer, str) and isinstance(detail, Mapping):
                current, total = _number(detail.get("current")), _number(detail.get("total"))
                self._unpacked[layer] = max(self._unpacked.get(layer, (0, 0)), (current, total))
            self._moved(now)

    def finish(self) -> None:
        """The image is here and was compared: only now is everything done."""
        self._finished = True

    def snapshot(self, now: float) -> Progress:
        """The event that says how far it is."""
        done, total = self.done, self.total or 0
        with self._lock:
            missing = len(self._whole) < len(self._sizes)
            rate = self._speed.rate(now) if missing else None
        eta = (total - done) / rate if rate and not self._finished else None
        return Progress(done, self.total, "bytes", self.phase, rate, eta)

    @property
    def layers(self) -> Layers:
        """Every layer, for those who look closely."""
        with self._lock:
            unpacked = self._count_unpacked()
            return Layers(tuple(self._state(digest, number < unpacked) for number, digest in enumerate(self._sizes)))

    @property
    def waits_for(self) -> Wait:
        """What is missing when nothing moves."""
        if len(self._whole) == len(self._sizes):
            return Wait.UNPACKING
        return Wait.RETRY if self.retrying else Wait.NETWORK

    @property
    def phase(self) -> str:
        """In words."""
        with self._lock:
            count, downloaded, unpacked = len(self._sizes), len(self._whole), self._count_unpacked()
        if self._finished:
            return _("done")
        if downloaded < count:
            if self.retrying:
                return _("the connection broke, trying again")
            return _fetching(count, downloaded, unpacked)
        return _unpacking(count, unpacked)

    def _count_unpacked(self) -> int:
        """Docker unpacks in the manifest's order, and names layers by what they unpack to: only their number counts."""
        if self._finished:
            return len(self._sizes)
        unpacked = sum(current >= total > 0 for current, total in self._unpacked.values())
        return min(self._unpacked_before + unpacked, len(self._whole))

    def _state(self, digest: str, unpacked: bool) -> LayerState:
        if unpacked:
            stage = _Stage.DONE
        elif digest in self._whole:
            stage = _Stage.DOWNLOADED
        else:
            stage = _Stage.DOWNLOADING if self._here[digest] else _Stage.WAITING
        return LayerState(_short(digest), self._sizes[digest], self._here[digest], stage.name.lower())

    def _moved(self, now: float) -> None:
        self.moved_at = now
        self._speed.note(now)


class Speed:
    """How fast a count grows, over the last seconds. Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._count = 0
        self._points: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        """So many more."""
        self._count += count

    def note(self, now: float) -> None:
        """Remembers how things stand now."""
        if not self._points or now - self._points[-1][0] >= _STEP:
            self._points.append((now, self._count))
        self._forget(now)

    def rate(self, now: float) -> float | None:
        """Units per second; None while it is too early to tell."""
        if not self._points:
            return None
        self._forget(now)
        start, count = self._points[0]
        return (self._count - count) / (now - start) if now - start >= _ENOUGH else None

    def _forget(self, now: float) -> None:
        while len(self._points) > 1 and self._points[1][0] <= now - _WINDOW:
            self._points.popleft()


def _fetching(count: int, downloaded: int, unpacked: int) -> str:
    return ngettext(
        "{downloaded} of {count} layer downloaded, {unpacked} unpacked",
        "{downloaded} of {count} layers downloaded, {unpacked} unpacked",
        count,
    ).format(downloaded=downloaded, count=count, unpacked=unpacked)


def _unpacking(count: int, unpacked: int) -> str:
    return ngettext(
        "all downloaded, unpacking: {unpacked} of {count} layer",
        "all downloaded, unpacking: {unpacked} of {count} layers",
        count,
    ).format(count=count, unpacked=unpacked)


def _short(digest: str) -> str:
    """How the engine names a layer: the first 12 digits of its digest."""
    return digest.removeprefix("sha256:")[:12]


def _number(value: object) -> int:
    """A count of bytes, or 0 for anything else."""
    return max(0, int(value)) if isinstance(value, (int, float)) and value == value and abs(value) < 2**63 else 0
