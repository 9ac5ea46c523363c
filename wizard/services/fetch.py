"""Fetches the parts of an image into the cache over several connections, and does not give up.

The work is chunks of layers. Each connection asks for a run of chunks that stand one after the other, and shorter runs
towards the end of a layer and of all, so that no connection is left alone with much, and the first layers are whole
soon. What a broken connection has brought stays; only what is missing is asked for again.
"""

from __future__ import annotations

import os
import random
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from wizard.host.ports import BlobSource, BlobStream, CachedBlob
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.progress import TransferProgress

_T = TypeVar("_T")
CONNECTIONS = 16
"""The polite upper limit, where the user sets none."""
_FIRST = 8
_NEAR = 2
"""connections where the registry is so near that this program is the brake: more only disturb the engine's work"""
_GLANCE_SECONDS = 0.08
"""in which the first ``_NEAR`` connections find out whether it is"""
_BRAKE = 0.3
"""the share of the processors from which on this program is the brake"""
_NEAR_RATE = 25_000_000
"""bytes a second of each connection from which on the registry is near"""
_RUN = 8
"""the most chunks that are asked for at once"""
_LEAST_RUN = 2
"""chunks of a layer so small that one request has all of it: a request has its price"""
_ANSWER_SHARE = 0.05
"""of a request's time that may be spent on waiting for its answer; shorter requests bring the bytes more in order"""
_LOOK_SECONDS = 0.1
"""for who waits for a layer, between two looks at what else it waits for"""
_PATIENCE = 24 * 3600.0
"""seconds without a single byte after which it is given up"""
_LONGEST_PAUSE = 30.0
_SAVE_SECONDS = 10.0
"""how often what has come is made to survive a power cut"""
_LEAVE_SECONDS = 2.0
"""for connections that end; one that waits for an answer is left behind, and writes no more"""
_TUNE_SECONDS = 0.4
_SETTLE_SECONDS = 0.2
"""for new connections to come to speed before they are judged"""
_GAIN = 1.1
_HOLD_SECONDS = 10.0
_OPINIONS = 3
"""how often a layer with a wrong digest is compared with the registry's before it is given up"""
_PASSING = frozenset(
    {
        Problem.REGISTRY_UNREACHABLE,
        Problem.REGISTRY_TROUBLE,
        Problem.RATE_LIMITED,
        Problem.DNS,
        Problem.TLS,
        Problem.PROXY,
    }
)
"""Kinds of failure that may pass by themselves: the way to the registry, not the image."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``connections`` at most, ``rate`` in bytes a second (None: no limit)."""

    connections: int = CONNECTIONS
    rate: int | None = None


@dataclass(slots=True)
class _Part:
    """A layer on its way: the chunks that nobody works on, how many connections work on it, bytes of chunks that were
    left half-way. ``alone`` is set where the server sends only the whole: then one connection has it.
    """

    blob: CachedBlob
    todo: deque[int]
    busy: int = 0
    begun: dict[int, int] = field(default_factory=dict)
    alone: bool = False
    opinions: int = 0

    def end_of(self, number: int) -> int:
        return min(self.blob.size, (number + 1) * self.blob.chunk)

    def start_of(self, number: int) -> int:
        return self.begun.get(number, number * self.blob.chunk)


@dataclass(slots=True)
class _Task:
    """A run of chunks that one connection has taken; none: only the digest is left to be compared."""

    part: _Part
    numbers: list[int]
    got: int = 0
    over: bool = False


class Outdated(Trouble):
    """Bytes of a layer that were given away before the layer was compared with its digest were not the right ones."""


class Fetcher:
    """Fetches ``blobs`` in their order. ``connect`` opens a new conversation with the registry.

    Use ``start``, then ``wait`` for one layer or ``join``; ``stop`` ends it. Raises what cannot pass: the kinds of
    ``Registry.manifest`` that speak of the image, ``DISK_FULL``, ``DIGEST_MISMATCH``, ``CANCELLED``.
    """

    def __init__(
        self,
        blobs: tuple[CachedBlob, ...],
        connect: Callable[[], BlobSource],
        progress: TransferProgress,
        cancel: Cancel,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blobs = blobs
        self._parts = [_Part(blob, deque(blob.missing())) for blob in blobs if not blob.complete]
        self._connect = connect
        self._progress = progress
        self._cancel = cancel
        self._limits = limits or Limits()
        self._clock = clock
        self._change = threading.Condition()  # its lock may be taken twice by one thread
        self._over = threading.Event()
        self._trouble: Trouble | None = None
        self._streams: set[BlobStream] = set()
        self._threads: list[threading.Thread] = []
        self._saver = threading.Thread(target=self._save, name="save", daemon=True)
        self._source: BlobSource | None = None
        self._tuner = _Tuner(self._limits)
        self._meter = _Meter(self._limits.rate, clock)
        self._bytes = 0
        self._last: Trouble | None = None
        self._failing: set[int] = set()
        self._mends: dict[str, int] = {}
        self._pace = _Pace()
        self.moved_at = clock()

    @property
    def finished(self) -> bool:
        """Whether everything is here, or it was given up."""
        with self._change:
            return self._trouble is not None or not self._parts

    @property
    def last_trouble(self) -> Trouble | None:
        """What broke a connection last, while all of them are broken."""
        return self._last if self._progress.retrying else None

    def start(self) -> None:
        """Begins; connections are opened as they turn out to help."""
        if self._parts:
            self._source = self._connect()
            self._cancel.on_set(self.stop)
            self._saver.start()
            self._staff()
            self.tick()

    def tick(self) -> None:
        """To be called some times a second: finds out how many connections are good."""
        if self._tuner.look(self._clock(), self._bytes, time.process_time()):
            self._staff()
        if self._clock() - self.moved_at > _PATIENCE and self._last is not None:
            self._fail(self._last)

    def stop(self) -> None:
        """Ends every connection; what is here stays."""
        self._over.set()
        with self._change:
            streams = tuple(self._streams)
            self._change.notify_all()
        for stream in streams:
            stream.shut()

    def wait(self, digest: str, unless: Callable[[], bool] | None = None) -> bool:
        """Returns True when this layer is here and was compared, False as soon as ``unless`` says so before. Raises
        what ended the download before.
        """
        with self._change:
            while any(part.blob.digest == digest for part in self._parts):
                self._raise()
                if unless is not None and unless():
                    return False
                self._change.wait(_LOOK_SECONDS)
        return True

    def stream(self, blob: CachedBlob) -> Iterator[bytes]:
        """The bytes of a layer, as they come. They are the right ones once this has ended.

        Raises ``Outdated`` where some had to be changed that were given away; then it can be begun anew. Also raises
        what ended the download.
        """
        mends, at = self._mends.get(blob.digest, 0), 0
        while at < blob.size:
            if piece := blob.read(at):
                yield piece
                at += len(piece)
            else:
                with self._change:
                    self._raise()
                    if self._mends.get(blob.digest, 0) != mends:
                        break
                    if blob.ready <= at:
                        self._change.wait(_LOOK_SECONDS)
        self.wait(blob.digest)
        if self._mends.get(blob.digest, 0) != mends:
            raise Outdated(Problem.DIGEST_MISMATCH, subject=blob.digest)

    def check(self) -> None:
        """Raises what ended the download."""
        with self._change:
            self._raise()

    def close(self) -> None:
        """Stops and waits until nobody writes any more."""
        self.stop()
        deadline = time.monotonic() + _LEAVE_SECONDS
        for thread in (*self._threads, self._saver):
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._source is not None:
            self._source.close()

    def _raise(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        self._cancel.check()
        if self._over.is_set() and self._parts:
            raise Trouble(Problem.CANCELLED)

    # --- the connections -----------------------------------------------------------------------------------------

    def _staff(self) -> None:
        while len(self._threads) < self._tuner.wanted:
            thread = threading.Thread(target=self._work, args=(len(self._threads),), name="fetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _save(self) -> None:
        while not self._over.wait(_SAVE_SECONDS):
            try:
                for blob in self._blobs:
                    blob.save()
            except Trouble as trouble:
                self._fail(trouble)

    def _work(self, place: int) -> None:
        tries = 0
        while (task := self._next(place)) is not None:
            try:
                self._transfer(task)
                self._finish(task)
                tries = 0
            except Trouble as trouble:
                self._hand_back(task)
                if self._over.is_set():
                    return
                if trouble.kind not in _PASSING:
                    self._fail(trouble)
                    return
                tries = 1 if task.got else tries + 1
                self._note(place, trouble)
                self._over.wait(_pause(tries))
            except BaseException as error:
                self._hand_back(task)
                self._fail(Trouble(Problem.INTERNAL, repr(error)))
                raise

    def _next(self, place: int) -> _Task | None:
        """The next run of chunks for the connection ``place``; None when there is nothing left to do, ever."""
        with self._change:
            while True:
                if self._over.is_set() or self._trouble is not None or not self._parts:
                    return None
                if place < self._tuner.wanted and (task := self._take()) is not None:
                    return task
                self._change.wait(0.5)

    def _take(self) -> _Task | None:
        waiting = sum(len(part.todo) for part in self._parts)
        longest = max(1, min(_RUN, self._pace.chunks, waiting // (2 * self._tuner.wanted)))
        for part in self._parts:
            if not part.busy and not part.todo:
                part.busy += 1
                return _Task(part, [])
            if not part.todo or (part.alone and part.busy):
                continue
            small = part.blob.size <= _LEAST_RUN * part.blob.chunk
            share = min(longest, max(_LEAST_RUN if small else 1, 2 * len(part.todo) // self._tuner.wanted))
            numbers = [part.todo.popleft()]
            while part.todo and (len(numbers) < share or part.alone) and part.todo[0] == numbers[-1] + 1:
                numbers.append(part.todo.popleft())
            part.busy += 1
            return _Task(part, numbers)
        return None

    def _hand_back(self, task: _Task) -> None:
        with self._change:
            if task.over:
                return
            task.over = True
            task.part.todo = deque(sorted({*task.part.todo, *task.numbers}))
            task.part.busy -= 1
            self._change.notify_all()

    def _transfer(self, task: _Task) -> None:
        if not task.numbers:
            return
        part, blob = task.part, task.part.blob
        wanted = part.end_of(task.numbers[-1])
        asked = self._clock()
        stream = self._open(blob, part.start_of(task.numbers[0]), wanted)
        answered = self._clock()
        try:
            at = stream.first
            if stream.end > wanted and not self._alone(part):
                return  # a server that sends only the whole; another connection has it already
            while data := stream.read():
                self._meter.take(len(data), self._over)
                if self._over.is_set():
                    return
                self._store(task, at, data)
                at += len(data)
            self._pace.learn(answered - asked, task.got, self._clock() - answered, blob.chunk)
        finally:
            with self._change:
                self._streams.discard(stream)
            stream.close()

    def _open(self, blob: CachedBlob, first: int, end: int) -> BlobStream:
        assert self._source is not None  # noqa: S101 - threads run only after ``start``
        stream = self._source.open(blob.digest, blob.size, first, end)
        with self._change:
            self._streams.add(stream)
        if self._over.is_set():
            stream.shut()
        return stream

    def _alone(self, part: _Part) -> bool:
        """Whether this connection is the one that may fetch the whole layer."""
        with self._change:
            if part.alone and part.busy > 1:
                return False
            first, part.alone = not part.alone, True
            return first or part.busy == 1

    def _store(self, task: _Task, at: int, data: bytes) -> None:
        """Writes what is wanted of ``data``, which begins at ``at``; the rest is here or somebody else's."""
        part, blob = task.part, task.part.blob
        view = memoryview(data)
        while view:
            number = at // blob.chunk
            end = part.end_of(number)
            count = min(len(view), end - at)
            if self._wants(task, number) and (start := part.start_of(number)) < at + count:
                fresh = view[start - at : count] if start > at else view[:count]
                blob.write(start, fresh)
                part.begun[number] = start + len(fresh)
                task.got += len(fresh)
                self._arrived(blob.digest, len(fresh))
                if start + len(fresh) == end:
                    blob.commit(number)
                    with self._change:
                        part.begun.pop(number, None)
                        task.numbers.remove(number)
                        self._change.notify_all()
            at += count
            view = view[count:]

    def _wants(self, task: _Task, number: int) -> bool:
        if number in task.numbers:
            return True
        with self._change:
            if task.part.alone and number in task.part.todo:
                task.part.todo.remove(number)
                task.numbers.append(number)
                return True
        return False

    def _arrived(self, digest: str, count: int) -> None:
        self._bytes += count
        self.moved_at = self._clock()
        self._failing.clear()
        self._progress.arrived(digest, count, self.moved_at)

    def _finish(self, task: _Task) -> None:
        """Hands the run back; the last one compares the whole layer with its digest."""
        part = task.part
        with self._change:
            if part.busy > 1 or task.numbers or part.todo or part.blob.complete or self._over.is_set():
                self._hand_back(task)
                return
        if part.blob.verify() or self._mended(part):
            with self._change:
                self._parts.remove(part)
                self._progress.whole(part.blob.digest, self._clock())
        self._hand_back(task)

    def _note(self, place: int, trouble: Trouble) -> None:
        """A connection broke."""
        self._last = trouble
        if trouble.kind is Problem.RATE_LIMITED:
            self._tuner.too_many(self._clock())
        self._failing.add(place)
        if len(self._failing) >= min(len(self._threads), self._tuner.wanted):
            self._progress.retrying = True

    def _fail(self, trouble: Trouble) -> None:
        with self._change:
            self._trouble = self._trouble or trouble
        self.stop()

    # --- a layer whose digest is wrong -----------------------------------------------------------------------------

    def _mended(self, part: _Part) -> bool:
        """``_mend``, and tells those who have read of the layer before it began or while it went on."""
        digest = part.blob.digest
        self._mends[digest] = self._mends.get(digest, 0) + 1
        try:
            return self._mend(part)
        finally:
            self._mends[digest] += 1

    def _mend(self, part: _Part) -> bool:
        """Finds the chunks that are wrong and fetches those again; whether the layer is right now.

        What the disk has changed shows by the checksums of the chunks. Otherwise something was changed on the way: each
        chunk is fetched once more, by a connection of its own, and what differs is exchanged, until the digest is
        right. Where compression breaks is looked at first.
        """
        blob = part.blob
        if damaged := blob.damaged():
            self._again(part, damaged)
            return False
        part.opinions += 1
        source = self._connect()
        try:
            for number in _suspects(blob):
                fresh = self._once_more(source, blob, number)
                if fresh == blob.chunk_bytes(number):
                    continue
                blob.write(number * blob.chunk, fresh)
                blob.commit(number)
                if blob.verify():
                    return True
        finally:
            source.close()
        if part.opinions >= _OPINIONS:
            raise Trouble(Problem.DIGEST_MISMATCH, blob.digest)
        return self._mend(part)

    def _again(self, part: _Part, numbers: tuple[int, ...]) -> None:
        part.blob.forget(numbers)
        for number in numbers:
            self._progress.arrived(part.blob.digest, -(part.end_of(number) - number * part.blob.chunk), self._clock())
        with self._change:
            part.todo = deque(sorted({*part.todo, *numbers}))
            self._change.notify_all()

    def _once_more(self, source: BlobSource, blob: CachedBlob, number: int) -> bytes:
        first, end = number * blob.chunk, min(blob.size, (number + 1) * blob.chunk)
        tries = 0
        while True:
            self.check()
            try:
                return self._whole_chunk(source, blob, first, end)
            except Trouble as trouble:
                if trouble.kind not in _PASSING or self._over.is_set():
                    raise
                tries += 1
                self._last = trouble
                self._over.wait(_pause(tries))

    def _whole_chunk(self, source: BlobSource, blob: CachedBlob, first: int, end: int) -> bytes:
        stream = source.open(blob.digest, blob.size, first, end)
        try:
            at, fresh = stream.first, bytearray()
            while at < end and (data := stream.read()):
                self._meter.take(len(data), self._over)
                fresh += data[max(0, first - at) : end - at]
                at += len(data)
                self.moved_at = self._clock()
            return bytes(fresh)
        finally:
            stream.close()


def insist(attempt: Callable[[], _T], cancel: Cancel, tries: int) -> _T:
    """What ``attempt`` returns, tried again while what stops it may pass."""
    for number in range(1, tries):
        try:
            return attempt()
        except Trouble as trouble:
            if trouble.kind not in _PASSING:
                raise
            cancel.wait(_pause(number))
            cancel.check()
    return attempt()


def _pause(tries: int) -> float:
    """Seconds to wait after so many failures: twice as long each time, and never the same for two connections."""
    longest = min(_LONGEST_PAUSE, 0.25 * 2.0 ** min(tries, 8))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


class _Tuner:
    """How many connections are good: more as long as more bring more, few where this program is the brake."""

    def __init__(self, limits: Limits) -> None:
        self._most = max(1, limits.connections)
        self._processors = os.cpu_count() or 1
        self.wanted = self._fewer = min(_NEAR, self._most)
        self._glanced = False
        self._best = 0.0
        self._since: tuple[float, int, float] | None = None
        self._not_before = 0.0

    def look(self, now: float, count: int, used: float) -> bool:
        """Takes the bytes and the processor's seconds so far; whether there may be more connections now."""
        if now < self._not_before:
            return False
        if self._since is None:
            self._since = (now, count, used)
            return False
        start, before, used_before = self._since
        if now - start < (_TUNE_SECONDS if self._glanced else _GLANCE_SECONDS):
            return False
        rate, share = (count - before) / (now - start), (used - used_before) / (now - start) / self._processors
        near, had = rate > _NEAR_RATE * self.wanted, self.wanted
        if not self._glanced:
            self._glanced = True
            if not near:
                self._since, self.wanted = None, min(_FIRST, self._most)
            return self.wanted > had
        self._since = None
        if near and share > _BRAKE:
            self._hold(now, min(self.wanted, _NEAR))
        elif rate < self._best * _GAIN:
            self._hold(now, self._fewer)
        elif rate > 0:
            self._best, self._fewer = rate, self.wanted
            self.wanted = min(self._most, self.wanted * 2)
            self._not_before = now + (_SETTLE_SECONDS if self.wanted > had else _HOLD_SECONDS)
        return self.wanted > had

    def too_many(self, now: float) -> None:
        """The registry asked for fewer."""
        self._since, self._glanced = None, True
        self._hold(now, max(1, self.wanted // 2))

    def _hold(self, now: float, count: int) -> None:
        self.wanted = self._fewer = count
        self._best = 0.0
        self._not_before = now + _HOLD_SECONDS


class _Pace:
    """How many chunks to ask for at once, by how long answers take to begin and how fast they come then."""

    def __init__(self) -> None:
        self.chunks = _LEAST_RUN

    def learn(self, wait: float, count: int, seconds: float, chunk: int) -> None:
        """Takes a request of ``count`` bytes, which came within ``seconds`` after the ``wait`` for them."""
        if count >= chunk and seconds > 0:
            enough = wait * (1 / _ANSWER_SHARE - 1) * count / seconds
            self.chunks = max(_LEAST_RUN, min(_RUN, round((self.chunks + enough / chunk) / 2)))


class _Meter:
    """Holds the connections back together, so that they stay below ``rate`` bytes a second."""

    def __init__(self, rate: int | None, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, count: int, over: threading.Event) -> None:
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self._rate
            pause = self._free_at - now
        over.wait(pause)


def _suspects(blob: CachedBlob) -> list[int]:
    """Every chunk, those first where the compressed data cannot be read."""
    numbers = list(range(-(-blob.size // blob.chunk)))
    reader = zlib.decompressobj(zlib.MAX_WBITS | 32)
    for number in numbers:
        left = blob.chunk_bytes(number)
        try:
            while left and not reader.eof:
                reader.decompress(left, 1 << 20)
                left = reader.unconsumed_tail
        except zlib.error:
            first = [number, number - 1] if number else [number]
            return [*first, *(other for other in numbers if other not in first)]
    return numbers
