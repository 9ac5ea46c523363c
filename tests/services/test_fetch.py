"""Whatever the network does, what was fetched is right: a source that misbehaves by a plan, and a real cache."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wizard.host.cache import FileBlob, FolderCache
from wizard.host.ports import CachedBlob
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.progress import TransferProgress
from wizard.services import fetch
from wizard.services.fetch import Fetcher, Limits, Outdated

CHUNK = 16
PATIENCE = 60.0
DATA = {
    f"sha256:{hashlib.sha256(data).hexdigest()}": data
    for data in (random.Random(n).randbytes(n) for n in (1, 100, 333))
}
Fault = tuple[str, int]


class Source:
    """Sends the data, and does to each answer what the plan says next."""

    def __init__(self, plan: list[Fault]) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self.sent = 0

    def open(self, digest: str, size: int, first: int, end: int) -> Stream:
        with self._lock:
            kind, number = self._plan.pop(0) if self._plan else ("", 0)
        if kind == "refuse":
            raise Trouble(list(fetch._PASSING)[number % len(fetch._PASSING)], "a fault")
        data = DATA[digest]
        if kind == "whole":
            first, end = 0, size
        piece = bytearray(data[first:end])
        if kind == "change":
            piece[number % len(piece)] ^= 0xFF
        return Stream(self, first, end, bytes(piece), number % (len(piece) + 1) if kind == "cut" else None)

    def close(self) -> None:
        """Nothing is held."""


class Stream:
    def __init__(self, source: Source, first: int, end: int, data: bytes, cut: int | None) -> None:
        self.first, self.end = first, end
        self._source, self._left, self._cut = source, data if cut is None else data[:cut], cut

    def read(self) -> bytes:
        if not self._left and self._cut is not None:
            raise Trouble(Problem.REGISTRY_UNREACHABLE, "cut")
        piece, self._left = self._left[:7], self._left[7:]
        self._source.sent += len(piece)
        return piece

    def shut(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_pause", lambda _tries: 0.0)


def fetched(folder: Path, plan: list[Fault], connections: int = 4) -> tuple[FolderCache, Source, TransferProgress]:
    cache, source, cancel = FolderCache(str(folder), CHUNK), Source(plan), Cancel()
    sizes = {digest: len(data) for digest, data in DATA.items()}
    progress = TransferProgress(sizes, {digest: cache.here(digest, size) for digest, size in sizes.items()})
    blobs = tuple(cache.open(digest, size) for digest, size in sizes.items())
    fetcher = Fetcher(blobs, lambda: source, progress, cancel, Limits(connections))
    fetcher.start()
    try:
        for blob in blobs:
            assert streamed(fetcher, blob) == DATA[blob.digest]
    finally:
        fetcher.close()
        for blob in blobs:
            blob.close()
    return cache, source, progress


def streamed(fetcher: Fetcher, blob: CachedBlob) -> bytes:
    """The layer as it comes, begun anew as often as it has to be."""
    while True:
        with suppress(Outdated):
            return b"".join(fetcher.stream(blob))


FAULTS = st.tuples(st.sampled_from(["", "", "cut", "refuse", "whole", "change"]), st.integers(0, 400))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FAULTS, max_size=25), st.integers(1, 6))
def test_what_was_fetched_is_right(
    tmp_path_factory: pytest.TempPathFactory, plan: list[Fault], connections: int
) -> None:
    # A change is cured as often as an opinion is asked for; more of them end in an honest refusal.
    plan = [fault for number, fault in enumerate(plan) if fault[0] != "change" or number < 2]
    _cache, _source, progress = fetched(tmp_path_factory.mktemp("cache"), plan, connections)
    assert {layer.stage for layer in progress.layers.layers} == {"downloaded"}


def test_who_has_read_what_was_wrong_is_told(tmp_path: Path) -> None:
    """The first chunk comes changed and is read before the last one is here; it is exchanged when all is compared."""
    read = threading.Event()

    class Held(Source):
        def open(self, digest: str, size: int, first: int, end: int) -> Stream:
            if first >= CHUNK:
                read.wait(PATIENCE)
            return super().open(digest, size, first, end)

    digest, data = list(DATA.items())[1]
    blob = FolderCache(str(tmp_path), CHUNK).open(digest, len(data))
    source = Held([("change", 3)])
    fetcher = Fetcher((blob,), lambda: source, TransferProgress({digest: len(data)}, {}), Cancel(), Limits(1))
    fetcher.start()
    try:
        stream = fetcher.stream(blob)
        first = next(stream)
        assert first != data[: len(first)]
        read.set()
        with pytest.raises(Outdated):
            list(stream)
        assert streamed(fetcher, blob) == data
    finally:
        fetcher.close()
        blob.close()


def test_nothing_is_fetched_twice(tmp_path: Path) -> None:
    _cache, source, _progress = fetched(tmp_path, [])
    assert source.sent == sum(map(len, DATA.values()))
    _cache, source, _progress = fetched(tmp_path, [])
    assert source.sent == 0


@pytest.mark.parametrize("kind", [Problem.TAG_MISSING, Problem.ACCESS_DENIED, Problem.REGISTRY_UNTRUSTED])
def test_what_cannot_pass_ends_it(tmp_path: Path, kind: Problem) -> None:
    class Refusing(Source):
        def open(self, digest: str, size: int, first: int, end: int) -> Stream:
            raise Trouble(kind, "no")

    cache = FolderCache(str(tmp_path), CHUNK)
    (digest, data), *_rest = DATA.items()
    fetcher = Fetcher(
        (cache.open(digest, len(data)),), lambda: Refusing([]), TransferProgress({digest: len(data)}, {}), Cancel()
    )
    fetcher.start()
    with pytest.raises(Trouble) as caught:
        fetcher.wait(digest)
    fetcher.close()
    assert caught.value.kind is kind
    assert fetcher.finished


def test_what_the_disk_does_not_take_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems say only when the bytes are forced to the disk that it is full."""
    never = threading.Event()

    class Full(FileBlob):
        def save(self) -> None:
            raise Trouble(Problem.DISK_FULL, "no space left", subject=str(tmp_path))

    class Silent(Source):
        def open(self, digest: str, size: int, first: int, end: int) -> Stream:
            never.wait(PATIENCE)
            return super().open(digest, size, first, end)

    monkeypatch.setattr(fetch, "_SAVE_SECONDS", 0.01)
    digest, data = list(DATA.items())[1]
    blob = Full(digest, len(data), CHUNK, tmp_path / "whole", tmp_path / "partial")
    fetcher = Fetcher((blob,), lambda: Silent([]), TransferProgress({digest: len(data)}, {}), Cancel())
    fetcher.start()
    try:
        with pytest.raises(Trouble) as caught:
            fetcher.wait(digest)
        assert caught.value.kind is Problem.DISK_FULL
    finally:
        never.set()
        fetcher.close()
        blob.close()


def test_where_compressed_data_breaks_is_looked_at_first(tmp_path: Path) -> None:
    text = b"".join(b"%d " % number for number in range(5000))
    data = bytearray(gzip.compress(text, mtime=0))
    place = len(data) // 2
    data[place : place + 40] = bytes(40)
    cache = FolderCache(str(tmp_path), 256)
    blob = cache.open("sha256:" + "0" * 64, len(data))
    for number in blob.missing():
        blob.write(number * 256, bytes(data[number * 256 : (number + 1) * 256]))
        blob.commit(number)
    assert place // 256 in fetch._suspects(blob)[:2]
    blob.close()


def tuned(rate: Callable[[int], float], limits: Limits, seconds: float = 10.0, share: float = 0.1) -> list[int]:
    """The numbers of connections while so many bring ``rate`` bytes a second and use ``share`` of the processors."""
    tuner, now, count, wanted = fetch._Tuner(limits), 0.0, 0.0, []
    while now < seconds:
        tuner.look(now, int(count), share * now * (os.cpu_count() or 1))
        wanted.append(tuner.wanted)
        now += 0.1
        count += rate(tuner.wanted) * 0.1
    return wanted


def test_more_connections_while_more_bring_more() -> None:
    assert tuned(lambda number: number * 5e6, Limits())[-1] == fetch.CONNECTIONS
    assert tuned(lambda number: number * 5e6, Limits(6))[-1] == 6
    assert tuned(lambda number: 5e6, Limits())[-1] == fetch._FIRST
    assert max(tuned(lambda number: 5e6, Limits(2))) == 2
    assert tuned(lambda number: 0.0, Limits())[-1] == fetch._FIRST  # one that is far, and has not answered yet


def test_a_registry_that_asks_for_fewer_at_once_gets_no_leap() -> None:
    tuner, wanted = fetch._Tuner(Limits()), []
    tuner.look(0.0, 0, 0.0)
    tuner.too_many(0.02)
    for tick in range(1, 240):
        tuner.look(tick / 10, int(tick * 5e5), 0.0)
        wanted.append(tuner.wanted)
    assert wanted[:90] == [1] * 90
    assert max(after / before for before, after in itertools.pairwise(wanted)) == 2


def test_few_connections_where_they_use_up_the_processors() -> None:
    assert set(tuned(lambda number: number * 40e6, Limits(), share=0.5)) == {fetch._NEAR}
    assert set(tuned(lambda number: number * 40e6, Limits(1), share=0.5)) == {1}
    assert tuned(lambda number: number * 5e6, Limits(), share=0.5)[-1] == fetch.CONNECTIONS  # each of them is slow
    assert tuned(lambda number: number * 40e6, Limits(), share=0.2)[-1] == fetch.CONNECTIONS


def test_a_request_is_worth_the_wait_for_its_answer() -> None:
    chunk = 4_000_000
    far, near = fetch._Pace(), fetch._Pace()
    for _request in range(8):
        far.learn(0.3, chunk, 0.4, chunk)
        near.learn(0.002, chunk, 0.04, chunk)
    assert (far.chunks, near.chunks) == (fetch._RUN, fetch._LEAST_RUN)
    far.learn(100.0, 0, 0.0, chunk)
    assert far.chunks == fetch._RUN


def test_connections_end_with_a_layer_together(tmp_path: Path) -> None:
    cache, size, cancel = FolderCache(str(tmp_path), CHUNK), 72 * CHUNK, Cancel()
    blobs = tuple(cache.open(f"sha256:{number:064x}", size) for number in (1, 2))
    progress = TransferProgress({blob.digest: size for blob in blobs}, {})
    fetcher = Fetcher(blobs, lambda: Source([]), progress, cancel, Limits(8))
    fetcher._pace.chunks, fetcher._tuner.wanted = fetch._RUN, 8
    runs = []
    while (task := fetcher._take()) is not None and task.part.blob is blobs[0]:
        runs.append(len(task.numbers))
    assert sum(runs) == 72
    assert runs == sorted(runs, reverse=True)
    assert runs[0] == fetch._RUN
    assert sum(runs[-8:]) <= 2 * fetch._RUN  # what the eight have last is little
    for blob in blobs:
        blob.close()
