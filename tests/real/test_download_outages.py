"""What long outages and power cuts do to the program's own download, with a real registry and a real engine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.test_download import CHUNK, MB, OURS, check_honest, made, only, proved, sent_bytes, stopped_half_way
from tests.support.engine import PrivateEngine
from tests.support.registry import NgcLike
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Line, Progress, Stalled
from wizard.services import pull
from wizard.services.pull import Way

pytestmark = pytest.mark.real
HOUR = 3600.0
SLOWLY = Way(via="download", connections=2)


class Clock:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def host(engine: PrivateEngine, ngc: NgcLike, tmp_path: Path) -> Host:
    return made(engine, ngc, tmp_path, (2, 2))


def lose(ngc: NgcLike, clock: Clock, hours: float, events: list[object], done: int) -> Callable[[object], None]:
    """A listener that takes the network away at ``done`` bytes, for ``hours``."""
    gone = threading.Event()

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.done >= done and not gone.is_set():
            gone.set()
            ngc.away(True)
        if gone.is_set() and isinstance(event, Progress) and "again" in event.phase:
            clock.ahead = hours * HOUR

    return listen


def test_an_hour_without_network(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("outage/hour", layers=[2 * MB])
    ngc.throttle(MB)
    clock, events = Clock(), list[object]()
    take_away = lose(ngc, clock, 1, events, 400_000)

    def listen(event: object) -> None:
        take_away(event)
        if isinstance(event, Stalled) and event.seconds >= HOUR:
            ngc.throttle(None)
            ngc.away(False)

    pull.run(host, pushed.image, None, listen, way=OURS, clock=clock)
    proved(host, pushed)
    assert max(event.seconds for event in only(Stalled, events)) >= HOUR
    check_honest(events, pushed.download_size)


def test_after_more_than_a_day_it_is_given_up_and_nothing_is_lost(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("outage/days", layers=[3 * MB])
    ngc.throttle(MB)
    clock, events = Clock(), list[object]()
    with pytest.raises(Trouble) as caught:
        pull.run(host, pushed.image, None, lose(ngc, clock, 25, events, MB), way=OURS, clock=clock)
    assert (caught.value.kind, caught.value.subject) == (Problem.REGISTRY_UNREACHABLE, ngc.host)
    kept = host.cache.here(pushed.layers[0].digest, pushed.layers[0].size)
    assert kept >= MB - 8 * CHUNK

    ngc.reset()
    pull.run(host, pushed.image, None, way=OURS)
    proved(host, pushed)
    assert sent_bytes(ngc, pushed.layers[0]) == pushed.layers[0].size - kept


@dataclass(frozen=True)
class Layer:
    """One that is half here: its file, its size, a chunk that is here and one that is not."""

    file: Path
    size: int
    here: int
    missing: int

    def put(self, place: int, data: bytes) -> None:
        with self.file.open("r+b") as opened:
            opened.seek(place)
            opened.write(data)


def empty(layer: Layer) -> None:
    layer.file.write_bytes(b"")


def torn(layer: Layer) -> None:
    os.truncate(layer.file, layer.size // 2)


def garbage_behind(layer: Layer) -> None:
    layer.put(layer.file.stat().st_size, b"\xff" * 5000)


def never_written(layer: Layer) -> None:
    """The table has a chunk whose bytes the disk has never got."""
    layer.put(layer.here * CHUNK, bytes(CHUNK))


def garbage_in_the_table(layer: Layer) -> None:
    """An entry for a chunk that never came."""
    count = -(-layer.size // CHUNK)
    layer.put(layer.file.stat().st_size - 4 * (count - layer.missing), b"\xa5\xa5\xa5\xa5")


@pytest.mark.parametrize(
    ("damage", "lost"),
    [(empty, "layer"), (torn, "layer"), (garbage_behind, ""), (never_written, "chunk"), (garbage_in_the_table, "")],
)
def test_what_a_power_cut_leaves(host: Host, ngc: NgcLike, damage: Callable[[Layer], None], lost: str) -> None:
    """Whatever the disk has made of a layer, the image comes right, and no more is fetched again than was lost."""
    pushed = ngc.push(f"outage/{damage.__name__}", layers=[4 * MB, 40_000])
    stopped_half_way(host, ngc, pushed, 0.3, way=SLOWLY, speed=MB // 2)
    large, small = pushed.layers
    kept = {blob: host.cache.here(blob.digest, blob.size) for blob in pushed.layers}
    blob = host.cache.open(large.digest, large.size)
    missing = blob.missing()
    blob.close()
    here = next(number for number in range(large.size // CHUNK) if number not in missing)
    file = Path(host.cache.folder(), "partial", large.digest.removeprefix("sha256:"))
    damage(Layer(file, large.size, here, missing[0]))
    ngc.requests.clear()
    pull.run(host, pushed.image, None, way=OURS)
    proved(host, pushed)
    again = {"layer": kept[large], "chunk": CHUNK, "": 0}[lost]
    assert sent_bytes(ngc, large) == large.size - kept[large] + again
    assert sent_bytes(ngc, small) == small.size - kept[small]


def test_a_finished_layer_that_the_disk_has_changed(host: Host, ngc: NgcLike) -> None:
    """The engine refuses it; then it is looked at again, and that layer alone is fetched."""
    pushed = ngc.push("outage/rotten", layers=[40_000, 4 * MB])
    stopped_half_way(host, ngc, pushed, 0.3, way=SLOWLY, speed=MB // 2)
    small, large = pushed.layers
    kept = host.cache.here(large.digest, large.size)
    whole = Path(host.cache.folder(), "blobs", "sha256", small.digest.removeprefix("sha256:"))
    assert whole.stat().st_size == small.size
    whole.write_bytes(bytes(small.size))
    ngc.requests.clear()
    events: list[object] = []
    pull.run(host, pushed.image, None, events.append, way=OURS)
    proved(host, pushed)
    assert [event for event in only(Line, events) if "tried once more" in event.text]
    assert sent_bytes(ngc, small) == small.size
    assert sent_bytes(ngc, large) == large.size - kept
    check_honest(events, pushed.download_size)
