"""An image that is given to a real engine in parts, while the rest of it still comes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.real.test_download import MB, OURS, PATIENCE, check_honest, made, only, proved, sent_bytes
from tests.support import images
from tests.support.engine import PrivateEngine
from tests.support.registry import NgcLike, Pushed
from wizard.host.cache import FolderCache
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Line
from wizard.model.image import LABEL_UNFINISHED, UNFINISHED
from wizard.model.progress import PullPlan
from wizard.services import download, pull
from wizard.services.fetch import Outdated
from wizard.services.pull import Way

pytestmark = pytest.mark.real
LAYERS = [MB, 600_000, MB, 600_000, MB, 600_000]


class Watched:
    """The engine. ``before`` is called with the number of each load and may raise or give messages instead of it;
    ``after`` when it is over. ``outdated`` are the loads that ended since a layer they had begun with was wrong.
    """

    def __init__(self, host: Host) -> None:
        self._engine = host.engine
        self.loads = 0
        self.outdated = 0
        self.before: Callable[[int], list[dict[str, Any]]] = lambda _number: []
        self.after: Callable[[int], None] = lambda _number: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def load(self, archive: Iterable[bytes], cancel: Cancel) -> Iterator[dict[str, Any]]:
        self.loads += 1
        number = self.loads
        if said := self.before(number):
            yield from said
            return
        yield from self._engine.load(self._seen(archive), cancel)
        self.after(number)

    def _seen(self, archive: Iterable[bytes]) -> Iterator[bytes]:
        try:
            yield from archive
        except Outdated:
            self.outdated += 1
            raise


@pytest.fixture
def host(any_engine: PrivateEngine, ngc: NgcLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(download, "LEAST_PART", 500_000)
    monkeypatch.setattr(download, "LEAST_STORED_PART", 500_000)
    ngc.throttle(MB)
    return made(any_engine, ngc, tmp_path)


@pytest.fixture
def watched(host: Host) -> Watched:
    return Watched(host)


def unfinished(host: Host) -> list[str]:
    return [tag for image in host.engine.images() for tag in image.tags if tag.startswith(UNFINISHED)]


def pulled(host: Host, watched: Watched, pushed: Pushed, way: Way = OURS) -> list[object]:
    """Pulls the image, proves it, and that nothing else is left."""
    events: list[object] = []
    pull.run(replace(host, engine=watched), pushed.image, None, events.append, way=way)
    proved(host, pushed)
    check_honest(events, pushed.download_size)
    assert unfinished(host) == []
    return events


def refused(host: Host, watched: Watched, pushed: Pushed, cancel: Cancel | None = None) -> Trouble:
    events: list[object] = []
    with pytest.raises(Trouble) as caught:
        pull.run(replace(host, engine=watched), pushed.image, None, events.append, cancel, way=OURS)
    check_honest(events, pushed.download_size, ended_well=False)
    assert host.engine.image(pushed.image) is None
    return caught.value


def test_the_engine_unpacks_while_the_rest_comes(
    host: Host, watched: Watched, any_engine: PrivateEngine, ngc: NgcLike
) -> None:
    same = images.busybox_archive()
    pushed = ngc.push("parts/whole", layers=[same, *LAYERS, same, MB])
    named: list[list[str]] = []

    def look(_number: int) -> None:
        named.append(unfinished(host))
        if len(named) == 1:
            assert host.engine.image(pushed.image) is None
            (name,) = named[0]
            part = host.engine.image(name)
            assert part is not None
            assert part.labels[LABEL_UNFINISHED] == pushed.image
            assert part.layers == tuple(blob.diff_id for blob in pushed.layers[: len(part.layers)])

    watched.after = look
    pulled(host, watched, pushed, replace(OURS, rate=2 * MB))
    assert watched.loads >= 3
    ends = [0, *sorted(int(name.rpartition("-")[2]) for name in named[-1])]
    for first, end in pairwise(ends):
        assert sum(blob.size for blob in pushed.layers[first:end]) >= download.LEAST_PART
    assert [len(names) for names in named] == [*range(1, watched.loads), watched.loads - 1]
    assert sum(sent_bytes(ngc, blob) for blob in set(pushed.layers)) == pushed.download_size - pushed.config.size
    assert exit_code(any_engine, pushed, "exit 7") == 7


def exit_code(engine: PrivateEngine, pushed: Pushed, script: str) -> int:
    """Runs a script in a container of the image: all that the engine needs for it is there."""
    client = engine.client()
    try:
        box = client.create_container(pushed.image, ["/bin/sh", "-c", script])
        try:
            client.start(box)
            return int(client.wait(box)["StatusCode"])
        finally:
            client.remove_container(box, force=True)
    finally:
        client.close()


def test_a_part_is_worth_a_load(host: Host, watched: Watched, ngc: NgcLike, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = ngc.push("parts/small", layers=[100_000] * 30)
    ngc.throttle(None)
    for name in ("LEAST_PART", "LEAST_STORED_PART"):
        monkeypatch.setattr(download, name, 1_500_000)
    pulled(host, watched, pushed)
    assert watched.loads <= 3


def test_a_layer_that_was_wrong_is_given_once_more(host: Host, watched: Watched, ngc: NgcLike) -> None:
    """The first bytes are changed on their way and given to the engine long before the layer could be compared; but not
    to the containerd store, which would go on with them at the next attempt.
    """
    containerd = host.engine.info().containerd_store
    pushed = ngc.push("parts/changed", layers=[3 * MB, MB])
    ngc.corrupt(pushed.layers[0], at=100, times=1)
    events = pulled(host, watched, pushed)
    assert watched.outdated == (0 if containerd else 1)
    assert not [event for event in only(Line, events) if "once more" in event.text]


@pytest.mark.parametrize("any_engine", ["graph driver"], indirect=True)
def test_an_image_that_the_engine_has_in_part(
    host: Host, watched: Watched, any_engine: PrivateEngine, ngc: NgcLike
) -> None:
    pushed = ngc.push("parts/partly", layers=LAYERS)
    client = any_engine.client()
    try:

        def keep(number: int) -> None:
            if number == 1:
                client.tag(unfinished(host)[0], "parts/base", "1")

        watched.after = keep
        pulled(host, watched, pushed)
        host.engine.remove_image(pushed.image)
        base = host.engine.image("parts/base:1")
        assert base is not None
        ngc.requests.clear()
        watched.loads = 1
        events = pulled(host, watched, pushed)
        assert watched.loads >= 3
        here = pushed.layers[: len(base.layers)]
        assert only(PullPlan, events)[0].bytes_here == sum(blob.size for blob in here)
        assert [sent_bytes(ngc, blob) for blob in here] == [0] * len(here)
    finally:
        client.remove_image("parts/base:1")
        client.close()


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raised", "told"])
def test_a_part_that_fails(host: Host, watched: Watched, ngc: NgcLike, how: str) -> None:
    """Everything is given once more, in one archive; nothing is fetched again."""
    pushed = ngc.push(f"parts/fails-{how}", layers=LAYERS)

    def fail(number: int) -> list[dict[str, Any]]:
        if number != 2:
            return []
        if how == "raised":
            raise Trouble(Problem.ENGINE_LOST, "in the middle")
        return [{"error": "something is wrong with it"}]

    watched.before = fail
    events = pulled(host, watched, pushed)
    assert watched.loads == 3
    assert [event for event in only(Line, events) if "once more" in event.text]
    assert sum(sent_bytes(ngc, blob) for blob in pushed.layers) == pushed.download_size - pushed.config.size


def test_an_engine_without_room_is_told_at_once(host: Host, watched: Watched, ngc: NgcLike) -> None:
    pushed = ngc.push("parts/full", layers=[*LAYERS, 20 * MB])
    watched.before = lambda number: [{"error": "write /x: no space left on device"}] if number == 2 else []
    assert refused(host, watched, pushed).kind is Problem.DISK_FULL
    assert unfinished(host) == []
    kept = sum(host.cache.here(blob.digest, blob.size) for blob in pushed.layers)
    assert 500_000 < kept < pushed.download_size


def test_stopping_takes_the_parts_away(host: Host, watched: Watched, ngc: NgcLike) -> None:
    pushed = ngc.push("parts/stopped", layers=[*LAYERS, 5 * MB])
    cancel = Cancel()
    watched.after = lambda _number: cancel.set()
    assert refused(host, watched, pushed, cancel).kind is Problem.CANCELLED
    assert unfinished(host) == []
    kept = sum(host.cache.here(blob.digest, blob.size) for blob in pushed.layers)
    assert kept > 500_000
    ngc.throttle(None)
    ngc.requests.clear()
    watched.after = lambda _number: None
    events = pulled(host, watched, pushed)
    assert only(PullPlan, events)[0].bytes_here == kept
    assert sum(sent_bytes(ngc, blob) for blob in pushed.layers) == pushed.download_size - pushed.config.size - kept


def test_an_engine_that_is_restarted_in_between(
    fresh_engine: Callable[..., PrivateEngine], ngc: NgcLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LEAST_PART", 500_000)
    private = fresh_engine()
    host = made(private, ngc, tmp_path)
    watched = Watched(host)
    pushed = ngc.push("parts/restarted", layers=LAYERS)
    ngc.throttle(MB)
    watched.after = lambda number: private.restart() if number == 1 else None
    pulled(host, watched, pushed)
    assert watched.loads >= 3


def test_killed_between_two_parts(host: Host, any_engine: PrivateEngine, ngc: NgcLike, tmp_path: Path) -> None:
    """What the killed one has left in the engine is used, and goes at the end."""
    first = 65 * MB if host.engine.info().containerd_store else 17 * MB
    pushed = ngc.push("parts/killed", layers=[first, 2 * MB, 9 * MB, 9 * MB])
    ngc.throttle(6 * MB)
    ngc.stall(pushed.layers[3], MB)
    environ = {**any_engine.environ, "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    program = str(Path(sys.executable).with_name("s2s-wizard"))
    words = [program, "pull", pushed.image, "--via", "download", "--connections", "2", "--json"]
    with subprocess.Popen(words, env=environ, stdout=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + PATIENCE
        while not unfinished(host) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
    assert len(unfinished(host)) == 1
    assert host.engine.image(pushed.image) is None
    ngc.throttle(None)
    ngc.release()
    ngc.requests.clear()
    done = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["digest"] == pushed.digest
    assert next(line for line in lines if line["event"] == "plan")["bytes_here"] >= pushed.layers[0].size
    assert sent_bytes(ngc, pushed.layers[0]) == 0
    proved(host, pushed)
    assert unfinished(host) == []
    assert FolderCache(str(tmp_path / "xdg" / "s2s-wizard")).usage() == 0


def test_only_what_is_ours_goes(host: Host, watched: Watched, any_engine: PrivateEngine, ngc: NgcLike) -> None:
    client = any_engine.client()
    mine, other = f"{UNFINISHED}:mine", ngc.push("parts/mine", layers=[1000]).image
    pull.run(host, other, None, way=Way("engine"))
    try:
        client.tag(other, UNFINISHED, "mine")
        pushed = ngc.push("parts/others", layers=LAYERS)
        left: list[str] = []

        def leave(number: int) -> None:
            """What a killed process would leave."""
            if number == 1:
                (name,) = (name for name in unfinished(host) if name != mine)
                client.tag(name, UNFINISHED, "left")
                left.append(name)

        watched.after = leave
        pull.run(replace(host, engine=watched), pushed.image, None, way=OURS)
        assert left
        assert unfinished(host) == [mine]
        client.tag(other, UNFINISHED, "mine")
        download.clean(host)
        assert unfinished(host) == [mine]
    finally:
        client.remove_image(mine)
        client.close()
    assert host.engine.image(other) is not None
