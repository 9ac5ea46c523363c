"""The pull, with an engine and a registry that say what the test wants; the real ones are in ``tests/real``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from wizard.demo.machine import build
from wizard.host.ports import Host
from wizard.model.engine import EngineInfo, EngineKind, ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Finished, Line, Progress, Stalled, Started
from wizard.model.image import ImageReference, Layer, Manifest
from wizard.model.progress import PullPlan
from wizard.model.secret import Secret
from wizard.services import pull

NAME = "nvcr.io/nvidia/tensorflow:1"
LAYER = "a" * 64
DIGEST, OTHER = "sha256:" + "d" * 64, "sha256:" + "e" * 64
CONFIG = "sha256:" + "c" * 64
KEY = Secret("nvapi-" + "k" * 64)
MANIFEST = Manifest(
    ImageReference.parse(NAME), DIGEST, CONFIG, 10, (Layer(f"sha256:{LAYER}", 1000),) * 2, anonymous=True
)
IMAGE = ImageInfo("sha256:1", (NAME,), (f"nvcr.io/nvidia/tensorflow@{DIGEST}",), 5000)

Step = dict[str, Any] | Callable[[], None] | Trouble
"""A message of the engine, something that happens between two messages, or a refusal."""


def say(status: str, current: int | None = None, total: int | None = None) -> dict[str, Any]:
    detail = {key: value for key, value in (("current", current), ("total", total)) if value is not None}
    return {"status": status, "progressDetail": detail, "id": LAYER[:12]}


WHOLE: tuple[Step, ...] = (
    {"status": "Pulling from nvidia/tensorflow", "id": "1"},
    say("Pulling fs layer"),
    say("Downloading", 400, 1000),
    say("Download complete"),
    say("Pull complete"),
    {"status": f"Digest: {DIGEST}"},
    {"status": f"Status: Downloaded newer image for {NAME}"},
)


@dataclass
class Engine:
    """Answers pulls with these steps, one list for each pull; afterwards ``arrives`` is there."""

    pulls: list[tuple[Step, ...]] = field(default_factory=lambda: [WHOLE])
    here: ImageInfo | None = None
    arrives: ImageInfo | None = IMAGE
    keys: list[Secret | None] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    on_stop: Callable[[], None] = lambda: None

    def info(self) -> EngineInfo:
        return EngineInfo(
            *(EngineKind.ENGINE, "26.1", "1.45", "Debian", "amd64", {}, "runc", "/somewhere/docker", "overlay2"),
            *(False, False, 0, "box"),
        )

    def image(self, reference: str) -> ImageInfo | None:
        return self.here

    def pull(self, reference: ImageReference, key: Secret | None, cancel: Cancel) -> Iterator[dict[str, Any]]:
        self.keys.append(key)
        self.begun.set()
        cancel.on_set(self.on_stop)
        try:
            for step in self.pulls[len(self.keys) - 1]:
                if isinstance(step, Trouble):
                    raise step
                if isinstance(step, dict):
                    yield step
                else:
                    step()
                cancel.check()
            self.here = self.arrives
        finally:
            self.over.set()


@dataclass
class Registry:
    answer: Manifest | Problem = MANIFEST
    named: bool = True
    keys: list[Secret | None] = field(default_factory=list)

    def manifest(self, reference: ImageReference, key: Secret | None, arch: str) -> Manifest:
        self.keys.append(key)
        if isinstance(self.answer, Problem):
            raise Trouble(self.answer, "the registry's words", subject=reference.host)
        return self.answer

    def takes_key(self, host: str) -> bool:
        return self.named


def host(engine: Engine, registry: Registry | None = None) -> Host:
    return replace(build("healthy"), engine=engine, registry=registry or Registry())  # type: ignore[arg-type]


def only(kind: type[Any], events: list[object]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def failure(
    machine: Host, key: Secret | None = None, events: list[object] | None = None, way: pull.Way | None = None
) -> Trouble:
    seen: list[object] = [] if events is None else events
    with pytest.raises(Trouble) as caught:
        pull.run(machine, NAME, key, seen.append, way=way)
    assert not only(Finished, seen)
    assert all(event.done < event.total for event in only(Progress, seen) if event.total)
    return caught.value


def test_a_whole_pull() -> None:
    engine, registry, events = Engine(), Registry(), list[object]()
    pulled = pull.run(host(engine, registry), NAME, KEY, events.append)
    assert pulled == pull.Pulled(NAME, "sha256:1", DIGEST, already=False)
    assert isinstance(events[0], Started)
    assert events[1] == PullPlan(1010, 0, 1)
    assert only(Progress, events)[-1] == Progress(1010, 1010, "bytes", "done")
    assert isinstance(events[-1], Finished)
    assert registry.keys == [KEY]
    assert engine.keys == [None]  # the registry gave the manifest to anybody, so Docker gets no key either


def test_the_key_is_for_images_that_want_it() -> None:
    engine = Engine()
    pull.run(host(engine, Registry(replace(MANIFEST, anonymous=False))), NAME, KEY)
    assert engine.keys == [KEY]


@pytest.mark.parametrize("here", [IMAGE, replace(IMAGE, id=CONFIG, repo_digests=())], ids=["pulled", "loaded"])
def test_an_image_that_is_here_is_not_fetched(here: ImageInfo) -> None:
    engine, events = Engine([], here), list[object]()
    pulled = pull.run(host(engine), NAME, None, events.append)
    assert pulled == pull.Pulled(NAME, here.id, DIGEST, already=True)
    assert only(PullPlan, events) == [PullPlan(1010, 1010, 1)]
    assert isinstance(events[-1], Finished)


def test_an_older_image_of_the_same_name_is_replaced() -> None:
    engine = Engine(here=replace(IMAGE, repo_digests=(f"nvcr.io/nvidia/tensorflow@{OTHER}",)))
    assert not pull.run(host(engine), NAME, None).already


# --- the registry cannot be asked ---


def test_docker_may_reach_a_registry_that_we_cannot() -> None:
    engine, events = Engine(), list[object]()
    pulled = pull.run(host(engine, Registry(Problem.PROXY)), NAME, None, events.append)
    assert pulled.digest == DIGEST
    assert only(PullPlan, events) == [PullPlan(None, 0, None)]
    assert "proxy" in only(Line, events)[0].text
    assert all(event.total is None and event.eta is None for event in only(Progress, events))


def test_the_digest_that_docker_names_is_compared_then() -> None:
    engine = Engine(arrives=replace(IMAGE, repo_digests=(f"nvcr.io/nvidia/tensorflow@{OTHER}",)))
    assert failure(host(engine, Registry(Problem.DNS))).kind is Problem.DIGEST_MISMATCH


@pytest.mark.parametrize(
    ("problem", "named", "keys"),
    [
        (Problem.REGISTRY_UNREACHABLE, True, [None, KEY]),
        (Problem.DNS, True, [None, KEY]),
        (Problem.REGISTRY_UNREACHABLE, False, [None]),
        (Problem.REGISTRY_HTTP, True, [None]),
        (Problem.TLS, True, [None]),
    ],
)
def test_then_docker_gets_the_key_only_where_that_is_safe(
    problem: Problem, named: bool, keys: list[Secret | None]
) -> None:
    engine = Engine([(Trouble(Problem.KEY_WANTED, "unauthorized"),), WHOLE])
    machine = host(engine, Registry(problem, named))
    if len(keys) == 2:
        pull.run(machine, NAME, KEY)
    else:
        assert failure(machine, KEY).kind is Problem.KEY_WANTED
    assert engine.keys == keys


def test_a_refusal_in_the_stream_asks_for_the_key_as_well() -> None:
    engine = Engine([({"error": "denied: requested access to the resource is denied"},), WHOLE])
    pull.run(host(engine, Registry(Problem.DNS)), NAME, KEY)
    assert engine.keys == [None, KEY]


def test_an_image_that_is_here_will_do_then() -> None:
    events: list[object] = []
    pulled = pull.run(host(Engine([], IMAGE), Registry(Problem.DNS)), NAME, None, events.append)
    assert pulled == pull.Pulled(NAME, "sha256:1", DIGEST, already=True)
    assert "newer" in only(Line, events)[0].text


@pytest.mark.parametrize("problem", [Problem.TAG_MISSING, Problem.KEY_WANTED, Problem.REGISTRY_UNTRUSTED])
def test_what_the_registry_says_against_it_ends_it(problem: Problem) -> None:
    engine = Engine()
    assert failure(host(engine, Registry(problem)), KEY).kind is problem
    assert engine.keys == []


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("error", "kind", "subject"),
    [
        ("unexpected EOF", Problem.REGISTRY_UNREACHABLE, "nvcr.io"),
        ("write /f: no space left on device", Problem.DISK_FULL, "/somewhere/docker"),
        ("filesystem layer verification failed for digest sha256:0", Problem.DIGEST_MISMATCH, NAME),
        ("proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused", Problem.PROXY, ""),
        ("a sentence that nobody has seen", Problem.PULL_FAILED, NAME),
        ("", Problem.PULL_FAILED, NAME),
    ],
)
@pytest.mark.parametrize("via", ["", "engine"])
def test_an_error_in_the_stream_is_an_error(error: str, kind: Problem, subject: str, via: str) -> None:
    events: list[object] = []
    stream = (*WHOLE[:3], {"errorDetail": {"message": error}, "error": error})
    seen = failure(host(Engine([stream])), events=events, way=pull.Way(via))
    assert (seen.kind, seen.subject, seen.text) == (kind, subject, error)
    assert only(PullPlan, events)


@pytest.mark.parametrize("via", ["", "engine"])
def test_an_error_before_the_stream_keeps_what_it_is_about(via: str) -> None:
    refusal = Trouble(Problem.ENGINE_LOST, "gone", subject="unix:///x.sock")
    seen = failure(host(Engine([(refusal,)])), way=pull.Way(via))
    assert (seen.kind, seen.subject) == (Problem.ENGINE_LOST, "unix:///x.sock")


def test_an_image_that_is_not_what_was_announced() -> None:
    engine = Engine(arrives=replace(IMAGE, repo_digests=(f"nvcr.io/nvidia/tensorflow@{OTHER}",)))
    seen = failure(host(engine))
    assert seen.kind is Problem.DIGEST_MISMATCH
    assert DIGEST in seen.evidence[0].text
    assert OTHER in seen.evidence[1].text


def test_an_engine_that_has_nothing_to_show() -> None:
    assert failure(host(Engine(arrives=None))).kind is Problem.PULL_FAILED


def test_a_name_that_is_none_is_asked_of_nobody() -> None:
    registry = Registry()
    with pytest.raises(Trouble) as caught:
        pull.run(host(Engine(), registry), "no name", None)
    assert caught.value.kind is Problem.IMAGE_NAME_INVALID
    assert registry.keys == []


def test_cancel_before_and_during() -> None:
    cancel = Cancel()
    engine = Engine([(*WHOLE[:3], cancel.set, *WHOLE[3:])])
    with pytest.raises(Trouble) as caught:
        pull.run(host(engine), NAME, None, cancel=cancel)
    assert caught.value.kind is Problem.CANCELLED
    engine = Engine()
    with pytest.raises(Trouble):
        pull.run(host(engine), NAME, None, cancel=cancel)
    assert engine.keys == []


# --- by the engine, as was asked for: it begins while the registry is still asked ---

BY_ENGINE = pull.Way("engine")


def patiently(event: threading.Event) -> None:
    assert event.wait(10)


class Slow(Registry):
    """A registry that answers only when ``engine`` has begun to pull."""

    def __init__(self, engine: Engine, answer: Manifest | Problem = MANIFEST) -> None:
        super().__init__(answer)
        self.engine = engine

    def manifest(self, reference: ImageReference, key: Secret | None, arch: str) -> Manifest:
        assert self.engine.begun.wait(10)
        return super().manifest(reference, key, arch)


def test_the_engine_need_not_wait_for_the_registry() -> None:
    engine, events = Engine(), list[object]()
    pulled = pull.run(host(engine, Slow(engine)), NAME, None, events.append, way=BY_ENGINE)
    assert pulled == pull.Pulled(NAME, "sha256:1", DIGEST, already=False)
    assert isinstance(events[0], Started)
    assert events[1] == PullPlan(1010, 0, 1)
    assert only(Progress, events)[0].done < 1010
    assert only(Progress, events)[-1] == Progress(1010, 1010, "bytes", "done")
    assert engine.keys == [None]


@pytest.mark.parametrize(
    ("here", "key", "way"),
    [
        (replace(IMAGE, repo_digests=(f"nvcr.io/nvidia/tensorflow@{OTHER}",)), None, BY_ENGINE),
        (None, KEY, BY_ENGINE),
        (None, None, pull.Way()),
    ],
    ids=["an older one is here", "it may want the key", "it may be a large one"],
)
def test_it_waits_where_the_answer_decides(here: ImageInfo | None, key: Secret | None, way: pull.Way) -> None:
    engine = Engine(here=here)
    asked: list[bool] = []

    class Asked(Registry):
        def manifest(self, reference: ImageReference, key: Secret | None, arch: str) -> Manifest:
            asked.append(engine.begun.wait(0.2))
            return super().manifest(reference, key, arch)

    assert not pull.run(host(engine, Asked()), NAME, key, way=way).already
    assert asked == [False]


def test_an_engine_that_was_faster_than_the_registry_has_not_had_it_before() -> None:
    engine = Engine()

    class Last(Registry):
        def manifest(self, reference: ImageReference, key: Secret | None, arch: str) -> Manifest:
            assert engine.over.wait(10)
            return super().manifest(reference, key, arch)

    assert not pull.run(host(engine, Last()), NAME, None, way=BY_ENGINE).already


@pytest.mark.parametrize("problem", [Problem.TAG_MISSING, Problem.KEY_WANTED, Problem.REGISTRY_UNTRUSTED])
def test_what_the_registry_says_against_it_stops_the_engine(problem: Problem) -> None:
    stopped = threading.Event()
    engine = Engine([(*WHOLE[:3], lambda: patiently(stopped), *WHOLE[3:])])
    engine.on_stop = stopped.set
    assert failure(host(engine, Slow(engine, problem)), way=BY_ENGINE).kind is problem
    assert stopped.wait(5)
    assert engine.over.wait(5)
    assert engine.here is None


def test_whoever_stops_it_stops_the_engine() -> None:
    cancel, stopped = Cancel(), threading.Event()
    engine = Engine([(*WHOLE[:3], cancel.set, lambda: patiently(stopped), *WHOLE[3:])])
    engine.on_stop = stopped.set
    with pytest.raises(Trouble) as caught:
        pull.run(host(engine), NAME, None, cancel=cancel, way=BY_ENGINE)
    assert caught.value.kind is Problem.CANCELLED
    assert stopped.wait(5)
    assert engine.over.wait(5)
    assert engine.here is None


def test_a_listener_that_fails_stops_the_engine() -> None:
    stopped = threading.Event()
    engine = Engine([(*WHOLE[:3], lambda: patiently(stopped), *WHOLE[3:])])
    engine.on_stop = stopped.set

    def listen(event: object) -> None:
        if isinstance(event, Progress):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        pull.run(host(engine), NAME, None, listen, way=BY_ENGINE)
    assert stopped.wait(5)
    assert engine.over.wait(5)
    assert engine.here is None


# --- the clock ---


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> Callable[[], None]:
        def go() -> None:
            self.now += seconds

        return go


def test_at_most_ten_events_a_second() -> None:
    clock, events = Clock(), list[object]()
    ticks: list[Step] = []
    for number in range(500):
        ticks += [say("Downloading", number, 1000), clock.passes(0.01)]
    pull.run(host(Engine([(*ticks, *WHOLE)])), NAME, None, events.append, clock=clock, stall_after=3600)
    assert 40 <= len(only(Progress, events)) <= 52  # five seconds, and the last word


def test_a_stall_is_named_and_named_again_until_something_moves() -> None:
    clock, events = Clock(), list[object]()
    named = [threading.Event() for _ in range(3)]

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Stalled):
            named[len(only(Stalled, events)) - 1].set()

    def wait(number: int) -> Callable[[], None]:
        def go() -> None:
            assert named[number].wait(10)

        return go

    steps: tuple[Step, ...] = (
        say("Downloading", 400, 1000),
        *(clock.passes(4.5), wait(0)),
        *(say("Retrying in 5 seconds"), clock.passes(4), wait(1)),
        *(say("Downloading", 700, 1000), clock.passes(0.2), say("Downloading", 1000, 1000)),
        *(say("Extracting", 1, 9), clock.passes(5), wait(2)),
        *WHOLE[3:],
    )
    pull.run(host(Engine([steps])), NAME, None, listen, clock=clock, stall_after=4)
    first, second, third = only(Stalled, events)
    assert (first.seconds, second.seconds, third.seconds) == (4.5, 8.5, 5.0)
    assert "network" in first.reason
    assert "tries again" in second.reason
    assert "unpacks" in third.reason
    between = events[events.index(first) + 1 : events.index(second)]
    assert between == []  # while nothing moves, no progress is shown
    assert isinstance(events[events.index(second) + 1], Progress)


def test_the_watch_ends_with_the_pull() -> None:
    pull.run(host(Engine()), NAME, None)
    assert not [thread for thread in threading.enumerate() if thread.name == "pull-watch"]
