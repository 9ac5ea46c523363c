"""The program's own download, from a real registry behind a front with faults, into real engines of both stores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import CannotStart, PrivateEngine, not_here
from tests.support.registry import Blob, NgcLike, Pushed
from wizard.host import real
from wizard.host.cache import FolderCache
from wizard.host.ports import Host
from wizard.host.registry import NgcRegistry
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Finished, Line, Progress, Stalled
from wizard.model.machine import DiskSpace
from wizard.model.progress import Layers, PullPlan
from wizard.model.secret import Secret
from wizard.services import download, pull
from wizard.services.pull import Way

pytestmark = pytest.mark.real
MB = 1_000_000
CHUNK = 256 * 1024
OURS = Way(via="download")
PATIENCE = 60.0


def only(kind: type[Any], events: list[object]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def made(engine: PrivateEngine, ngc: NgcLike, folder: Path, timeouts: tuple[float, float] = (5, 10)) -> Host:
    """The machine of a user whose cache is in ``folder``, in small chunks."""
    settings = Path(os.environ["XDG_CONFIG_HOME"], "s2s-wizard")
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "config.toml").write_text(f'[registry]\nhosts = ["{ngc.host}"]\n')
    host = real.build(engine.environ)
    return replace(host, cache=FolderCache(str(folder / "cache"), CHUNK), registry=NgcRegistry((ngc.host,), timeouts))


@pytest.fixture
def host(engine: PrivateEngine, ngc: NgcLike, tmp_path: Path) -> Host:
    return made(engine, ngc, tmp_path)


@pytest.fixture
def any_host(any_engine: PrivateEngine, ngc: NgcLike, tmp_path: Path) -> Host:
    return made(any_engine, ngc, tmp_path)


def check_honest(events: list[object], total: int, *, ended_well: bool = True) -> None:
    shown = only(Progress, events)
    assert [event.done for event in shown] == sorted(event.done for event in shown)
    assert {event.total for event in shown} <= {total}
    assert [event for event in shown if event.done >= total] == (shown[-1:] if ended_well else [])
    assert bool(only(Finished, events)) == ended_well


def fetched(ngc: NgcLike, blob: Blob) -> list[int]:
    """The statuses of the answers that carried this blob."""
    return [seen.status for seen in ngc.seen("layer") if seen.path.endswith(blob.digest)]


def proved(host: Host, pushed: Pushed) -> None:
    """The image is there under its name, and it is the one of the registry, layer by layer."""
    arrived = host.engine.image(pushed.image)
    assert arrived is not None
    assert pushed.image in arrived.tags
    assert arrived.id == (pushed.digest if host.engine.info().containerd_store else pushed.config.digest)
    assert arrived.layers == tuple(blob.diff_id for blob in pushed.layers)


def trouble(host: Host, name: str, **more: Any) -> tuple[Trouble, list[object]]:
    events: list[object] = []
    with pytest.raises(Trouble) as caught:
        pull.run(host, name, None, events.append, way=OURS, **more)
    return caught.value, events


# --- the whole way -----------------------------------------------------------------------------------------------


def test_an_image_comes_whole(any_host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push_busybox("down/whole", extra=[3 * MB, 40_000, 2 * MB])
    events: list[object] = []
    before = pull.preview(any_host, pushed.image, None, OURS)
    assert (before.bytes_total, before.layers, before.via) == (pushed.download_size, 4, "download")
    pulled = pull.run(any_host, pushed.image, ngc.key, events.append, way=OURS)
    assert (pulled.digest, pulled.already) == (pushed.digest, False)
    proved(any_host, pushed)
    check_honest(events, pushed.download_size)
    assert only(PullPlan, events)[0].via == "download"
    assert all(layer.stage == "done" for layer in only(Layers, events)[-1].layers) or only(Layers, events)
    assert not ngc.saw_the_key
    assert any_host.cache.usage() == 0
    assert set(fetched(ngc, pushed.layers[1])) == {206}

    again = pull.run(any_host, pushed.image, None, way=OURS)
    assert again == replace(pulled, already=True)


def test_layers_that_the_engine_has_are_not_fetched(any_host: Host, ngc: NgcLike) -> None:
    base = ngc.push_busybox("down/base", "1", extra=[700_000])
    pull.run(any_host, base.image, None, way=Way(via="engine"))
    more = ngc.push("down/base", "2", layers=[300_000])
    document = json.loads(ngc.read(f"/v2/down/base/manifests/{base.digest}", "*/*"))
    extra = json.loads(ngc.read(f"/v2/down/base/manifests/{more.digest}", "*/*"))["layers"]
    diffs = [blob.diff_id for blob in (*base.layers, *more.layers)]
    config = ngc._blob(
        "down/base",
        json.dumps(
            {"architecture": any_host.engine.info().arch, "os": "linux", "config": {},
             "rootfs": {"type": "layers", "diff_ids": diffs}}
        ).encode(),
    )  # fmt: skip
    document["layers"] += extra
    document["config"] |= {"size": config.size, "digest": config.digest}
    digest = ngc.put_manifest("down/base", "both", document["mediaType"], document)
    both = Pushed(f"{ngc.host}/down/base:both", digest, config, (*base.layers, *more.layers))
    ngc.requests.clear()
    events: list[object] = []
    pull.run(any_host, both.image, None, events.append, way=OURS)
    proved(any_host, both)
    assert fetched(ngc, base.layers[0]) == fetched(ngc, base.layers[1]) == []
    assert only(PullPlan, events)[0].bytes_here == sum(blob.size for blob in base.layers)


def test_a_list_of_platforms(any_host: Host, ngc: NgcLike) -> None:
    arch = any_host.engine.info().arch
    mine = ngc.push("down/many", "mine", arch=arch, layers=[200_000])
    other = ngc.push("down/many", "other", arch="s390x", layers=[900_000])
    digest = ngc.push_index("down/many", "1", {"s390x": other, arch: mine})
    pulled = pull.run(any_host, f"{ngc.host}/down/many:1", None, way=OURS)
    assert pulled.digest == digest
    assert pulled.image_id in (digest, mine.config.digest)
    assert pull.run(any_host, f"{ngc.host}/down/many:1", None, way=OURS).already
    assert fetched(ngc, other.layers[0]) == []


def test_a_private_image_comes_with_the_key_and_from_another_host_without(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/private", public=False, layers=[600_000])
    elsewhere = ngc.layers_elsewhere()
    pull.run(host, pushed.image, ngc.key, way=OURS)
    proved(host, pushed)
    assert elsewhere.startswith("localhost")
    layers = ngc.seen("layer")
    assert layers
    assert all(seen.authorization == "" for seen in layers)


def test_a_mirror_never_gets_the_key(host: Host, ngc: NgcLike, own_ngc: NgcLike) -> None:
    pushed = ngc.push("down/mirrored", public=False, layers=[300_000])
    own_ngc.push("down/mirrored", layers=[300_000])
    ngc.requests.clear()
    pull.run(host, pushed.image, ngc.key, way=Way(mirror=own_ngc.host))
    proved(host, pushed)
    assert ngc.seen("layer") == []
    assert own_ngc.seen("layer")
    assert not own_ngc.saw_the_key


def test_a_mirror_with_another_image(host: Host, ngc: NgcLike, own_ngc: NgcLike) -> None:
    pushed = ngc.push("down/other", layers=[100_000])
    own_ngc.push("down/other", layers=[100_001])
    with pytest.raises(Trouble) as caught:
        pull.run(host, pushed.image, None, way=Way(mirror=own_ngc.host))
    assert caught.value.kind is Problem.DIGEST_MISMATCH
    assert own_ngc.seen("layer") == []


# --- faults ------------------------------------------------------------------------------------------------------


def test_connections_that_are_cut(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/cut", layers=[3 * MB, 400_000])
    for after in (100_000, 300_000, 0, 50_000):
        ngc.cut(pushed.layers[0], after)
    events: list[object] = []
    pull.run(host, pushed.image, None, events.append, way=OURS)
    proved(host, pushed)
    check_honest(events, pushed.download_size)


@pytest.mark.parametrize("status", [500, 503, 429, 403, 401])
def test_refusals_that_pass(host: Host, ngc: NgcLike, status: int) -> None:
    pushed = ngc.push(f"down/status{status}", layers=[600_000])
    ngc.requests.clear()
    if status == 403:  # an address whose signature has run out
        ngc.layers_elsewhere()
    ngc.answer("layer" if status == 403 else "blob", status, times=1 if status == 401 else 3)
    pull.run(host, pushed.image, None, way=OURS)
    proved(host, pushed)


def test_a_token_that_runs_out(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/expired", layers=[4 * MB], public=False)
    ngc.throttle(2 * MB)
    events: list[object] = []
    expired = threading.Event()

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.done > MB and not expired.is_set():
            expired.set()
            ngc.expire_tokens()

    pull.run(host, pushed.image, ngc.key, listen, way=OURS)
    proved(host, pushed)
    assert any(seen.status == 401 for seen in ngc.seen("blob")[2:])


def test_a_server_without_ranges(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/whole-only", layers=[2 * MB, 1 * MB])
    ngc.no_ranges()
    ngc.cut(pushed.layers[0], 900_000)
    events: list[object] = []
    pull.run(host, pushed.image, None, events.append, way=OURS)
    proved(host, pushed)
    check_honest(events, pushed.download_size)


def test_a_chunk_that_was_changed_on_the_way_is_found(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/changed", layers=[2 * MB, 100_000])
    ngc.corrupt(pushed.layers[0], at=1_300_000, times=1)
    pull.run(host, pushed.image, None, way=OURS)
    proved(host, pushed)


def test_a_layer_that_is_always_changed_is_refused(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/always", layers=[700_000])
    ngc.corrupt(pushed.layers[0], at=300_000)
    seen, events = trouble(host, pushed.image)
    assert (seen.kind, seen.subject) == (Problem.DIGEST_MISMATCH, pushed.image)
    check_honest(events, pushed.download_size, ended_well=False)
    assert host.engine.image(pushed.image) is None


def stopped_half_way(
    host: Host, ngc: NgcLike, pushed: Pushed, at: float = 0.5, *, way: Way = OURS, speed: int = MB
) -> list[object]:
    """Downloads a part of the image, each connection at ``speed``, and cancels."""
    ngc.throttle(speed)
    cancel, events = Cancel(), list[object]()

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.done > at * pushed.download_size:
            cancel.set()

    with pytest.raises(Trouble) as caught:
        pull.run(host, pushed.image, None, listen, cancel, way=way)
    assert caught.value.kind is Problem.CANCELLED
    ngc.throttle(None)
    return events


def test_what_the_disk_has_changed_is_fetched_again_and_nothing_else(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/rot", layers=[4 * MB])
    stopped_half_way(host, ngc, pushed)
    (partial,) = Path(host.cache.folder(), "partial").iterdir()
    kept = host.cache.here(pushed.layers[0].digest, pushed.layers[0].size)
    blob = host.cache.open(pushed.layers[0].digest, pushed.layers[0].size)
    here = next(number for number in range(16) if number not in blob.missing())
    blob.close()
    with partial.open("r+b") as file:
        file.seek(here * CHUNK + 5)
        file.write(b"rotten")
    ngc.requests.clear()
    pull.run(host, pushed.image, None, way=OURS)
    proved(host, pushed)
    assert sent_bytes(ngc, pushed.layers[0]) == pushed.layers[0].size - kept + CHUNK


def sent_bytes(ngc: NgcLike, blob: Blob) -> int:
    return sum(seen.asked for seen in ngc.seen("layer") if seen.path.endswith(blob.digest))


def test_stopping_keeps_what_is_here(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/stopped", layers=[3 * MB, 3 * MB])
    stopped_half_way(host, ngc, pushed)
    assert host.engine.image(pushed.image) is None
    kept = sum(host.cache.here(blob.digest, blob.size) for blob in pushed.layers)
    assert kept > 0.4 * pushed.download_size - 16 * CHUNK
    assert host.cache.usage() > 0
    preview = pull.preview(host, pushed.image, None, OURS)
    assert preview.bytes_here == kept
    ngc.requests.clear()
    events: list[object] = []
    pull.run(host, pushed.image, None, events.append, way=OURS)
    proved(host, pushed)
    assert only(PullPlan, events)[0].bytes_here == kept
    assert sum(sent_bytes(ngc, blob) for blob in pushed.layers) == sum(blob.size for blob in pushed.layers) - kept
    check_honest(events, pushed.download_size)


def test_a_stall_is_named_and_survived(engine: PrivateEngine, ngc: NgcLike, tmp_path: Path) -> None:
    host = made(engine, ngc, tmp_path, (5, 20))
    pushed = ngc.push("down/stall", layers=[MB])
    ngc.stall(pushed.layers[0], 16_384)
    events: list[object] = []

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Stalled):
            ngc.reset()

    pull.run(host, pushed.image, None, listen, way=OURS, stall_after=1.0)
    proved(host, pushed)
    assert "kept" in only(Stalled, events)[0].reason
    check_honest(events, pushed.download_size)


def test_a_registry_that_is_away_for_a_while(engine: PrivateEngine, ngc: NgcLike, tmp_path: Path) -> None:
    """Nobody answers any more; nothing is given up, and everything goes on when the network is back."""
    host = made(engine, ngc, tmp_path, (2, 2))
    pushed = ngc.push("down/away", layers=[2 * MB])
    ngc.throttle(MB)
    events: list[object] = []

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.done > 400_000 and not gone.is_set():
            gone.set()
            ngc.away(True)
        if isinstance(event, Stalled):
            ngc.throttle(None)
            ngc.away(False)

    gone = threading.Event()
    pull.run(host, pushed.image, None, listen, way=OURS, stall_after=3.0)
    proved(host, pushed)
    assert "tried again" in only(Stalled, events)[0].reason
    assert any("trying again" in event.phase for event in only(Progress, events))
    check_honest(events, pushed.download_size)


def test_too_little_room_is_told_before(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/room", layers=[MB])

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(host.files, name)

        def disk(self, path: str) -> DiskSpace:
            return DiskSpace(path, 10 * MB, 500_000)

    seen, _events = trouble(replace(host, files=Full()), pushed.image)
    assert seen.kind is Problem.DISK_FULL
    assert "more is needed" in seen.hint
    assert ngc.seen("layer") == [] or all(pushed.config.digest in item.path for item in ngc.seen("layer"))


def test_a_disk_that_fills_keeps_what_it_has(engine: PrivateEngine, ngc: NgcLike, tmp_path: Path) -> None:
    host = made(engine, ngc, tmp_path)
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", small], check=False)
    if done.returncode != 0:
        not_here(CannotStart("no file system can be mounted here"))
    try:
        pushed = ngc.push("down/full", layers=[MB, 4 * MB])
        cache = FolderCache(str(small / "cache"), CHUNK)

        class Blind:
            """Thinks that there is room."""

            def __getattr__(self, name: str) -> Any:
                return getattr(host.files, name)

            def disk(self, path: str) -> DiskSpace:
                found = host.files.disk(path)
                return replace(found, free=found.free if path == cache.folder() and cache.usage() else 10**12)

        blind = replace(host, cache=cache, files=Blind())
        seen, events = trouble(blind, pushed.image)
        assert seen.kind is Problem.DISK_FULL
        assert "more is needed" in seen.hint
        check_honest(events, pushed.download_size, ended_well=False)
        kept = sum(cache.here(blob.digest, blob.size) for blob in pushed.layers)
        assert kept > MB
        subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
        events.clear()
        pull.run(blind, pushed.image, None, events.append, way=OURS)
        assert only(PullPlan, events)[0].bytes_here == kept
        proved(host, pushed)
    finally:
        subprocess.run(["umount", "-l", small], check=False)


def test_a_second_process_waits(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/two", layers=[600_000])
    code = (
        "import sys, time\nfrom wizard.host.cache import FolderCache\n"
        "with FolderCache(sys.argv[1]).lock():\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, host.cache.folder()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        events: list[object] = []

        def listen(event: object) -> None:
            events.append(event)
            if isinstance(event, Line) and str(other.pid) in event.text:
                assert other.stdin is not None
                other.stdin.close()

        with pytest.raises(Trouble) as caught:
            download.clean(host)
        assert caught.value.kind is Problem.BUSY
        pull.run(host, pushed.image, None, listen, way=OURS)
    proved(host, pushed)
    assert [event for event in only(Line, events) if "waits" in event.text]


# --- the program itself ------------------------------------------------------------------------------------------


def program(host: Host, engine: PrivateEngine, tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    environ = {**engine.environ, "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("s2s-wizard")), *words], env=environ, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("at", [0.2, 0.6, 0.9])
def test_kill_9_loses_no_more_than_a_chunk_for_each_connection(
    host: Host, engine: PrivateEngine, ngc: NgcLike, tmp_path: Path, at: float
) -> None:
    pushed = ngc.push(f"down/killed{int(at * 10)}", layers=[30 * MB, 10 * MB])
    ngc.throttle(5 * MB)
    words = ("pull", pushed.image, "--via", "download", "--connections", "4", "--json")
    with program(host, engine, tmp_path, *words) as running:
        assert running.stdout is not None
        for line in running.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event["bytes_done"] > at * pushed.download_size:
                break
        running.send_signal(signal.SIGKILL)
    before = sum(seen.asked for seen in ngc.seen("layer"))
    assert before
    cache = FolderCache(str(tmp_path / "xdg" / "s2s-wizard"))
    kept = sum(cache.here(blob.digest, blob.size) for blob in pushed.layers)
    assert kept >= at * pushed.download_size - 4 * 4 * 1024 * 1024
    ngc.throttle(None)
    ngc.requests.clear()
    with program(host, engine, tmp_path, *words) as running:
        assert running.stdout is not None
        lines = [json.loads(line) for line in running.stdout]
    assert running.returncode == 0
    assert next(line for line in lines if line["event"] == "plan")["bytes_here"] == kept
    assert lines[-1]["digest"] == pushed.digest
    proved(host, pushed)
    assert sum(sent_bytes(ngc, blob) for blob in pushed.layers) == sum(blob.size for blob in pushed.layers) - kept
    assert cache.usage() == 0


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_limits_of_the_user(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push("down/limits", layers=[2 * MB])
    started = time.monotonic()
    pull.run(host, pushed.image, Secret(""), way=Way(via="download", connections=1, rate=MB))
    assert time.monotonic() - started > 1.5  # a lower bound: load cannot break it
    proved(host, pushed)
