"""What a download would cost, before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference
from wizard.model.secret import Secret
from wizard.services import background, pull
from wizard.services.pull import Preview, Way

SAMPLE_BYTES = 8_000_000
SAMPLE_SECONDS = 1.0
"""What is read to see how fast a registry is: whichever is reached first."""
_ENOUGH_SECONDS = 0.05
"""A sample that took less time says nothing."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the registry, the engine and the cache say about an image.

    ``rate`` is bytes a second: of the last download from there, or, where it is ``measured``, over one connection just
    now. None while neither is known; then no time is named.
    """

    plan: Preview
    rate: float | None = None
    measured: bool = False

    @property
    def missing(self) -> int | None:
        """Bytes to fetch; None where the registry could not be asked."""
        plan = self.plan
        return None if plan.bytes_total is None else plan.bytes_total - plan.bytes_here

    @property
    def seconds(self) -> float | None:
        """How long fetching takes at that speed; None while it is not known."""
        return None if not self.rate or self.missing is None else self.missing / self.rate

    @property
    def needs_key(self) -> bool:
        """Whether the registry wants a key for it, or could not say."""
        return self.plan.manifest is None or not self.plan.manifest.anonymous


def look(host: Host, text: str, key: Secret | None, way: Way | None = None) -> Cost:
    """What ``text`` would cost. Raises what ``pull.preview`` raises."""
    plan = pull.preview(host, text, key, way)
    return Cost(plan, background.speed(host, (way.mirror if way else "") or ImageReference.parse(text).host))


def measure(
    host: Host,
    cost: Cost,
    key: Secret | None,
    cancel: Cancel | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Cost:
    """``cost`` with a speed: reads the beginning of the largest layer for a moment, and throws it away.

    A registry that does not let itself be measured leaves it as it was; ``cancel`` ends it early.
    """
    manifest = cost.plan.manifest
    if manifest is None or not manifest.layers or not cost.missing:
        return cost
    layer = max(manifest.layers, key=lambda item: item.size)
    source = host.registry.blobs(manifest.reference, key if cost.needs_key else None)
    read, began = 0, clock()
    try:
        with closing(source.open(layer.digest, layer.size, 0, min(layer.size, SAMPLE_BYTES))) as stream:
            began = clock()
            while (piece := stream.read()) and not (cancel and cancel.is_set):
                read += len(piece)
                if clock() - began >= SAMPLE_SECONDS or read >= SAMPLE_BYTES:
                    break
    except Trouble:
        return cost
    finally:
        source.close()
    seconds = clock() - began
    return replace(cost, rate=read / seconds, measured=True) if read and seconds >= _ENOUGH_SECONDS else cost
