"""A pull that others can find, follow, pause and stop: its journal, and who may write it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wizard.demo import machine
from wizard.demo.store import SimStore
from wizard.host.ports import Host
from wizard.model import journal
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Line, Progress
from wizard.model.journal import Began, Ended
from wizard.model.machine import ProcessId
from wizard.model.progress import Layers, PullPlan
from wizard.model.secret import Secret
from wizard.services import background, pull

IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
PATIENCE = 20.0


class Held:
    """A pull that says ``events`` and then waits for the test."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.events: list[object] = [PullPlan(1000, 0, 2), Progress(250, 1000, "bytes", "half of it")]
        self.trouble: Trouble | None = None
        self.keys: list[Secret | None] = []

    def run(
        self, _host: Host, image: str, key: Secret | None, emit: Any, cancel: Cancel, *, way: pull.Way
    ) -> pull.Pulled:
        self.keys.append(key)
        for event in self.events:
            emit(event)
        self.begun.set()
        while not self.go.wait(0.01):
            cancel.check()
        if self.trouble is not None:
            raise self.trouble
        return pull.Pulled(image, "sha256:1", "sha256:2", already=False)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    controlled = Held()
    monkeypatch.setattr(pull, "run", controlled.run)
    yield controlled
    controlled.go.set()


@pytest.fixture
def host() -> Host:
    return machine.build("healthy", pace=0)


def followed(host: Host, **how: Any) -> tuple[list[object], pull.Pulled | Trouble]:
    events: list[object] = []
    try:
        return events, background.follow(host, IMAGE, events.append, **how)
    except Trouble as trouble:
        return events, trouble


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(condition: Callable[[], object]) -> None:
    pause = threading.Event()
    for _look in range(int(PATIENCE / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("never came")


def test_a_simulated_pull_is_followed_to_its_end(host: Host) -> None:
    background.begin(host, IMAGE, None)
    events, pulled = followed(host)
    assert isinstance(pulled, pull.Pulled)
    assert pulled.digest == pull.run(host, IMAGE, None).digest
    assert isinstance(events[0], Began)
    assert isinstance(events[-1], Ended)
    shown = [event for event in events if isinstance(event, Progress)]
    assert [event.done for event in shown] == sorted(event.done for event in shown)
    assert shown[-1].done == shown[-1].total
    assert any(isinstance(event, Layers) for event in events)
    assert host.engine.image(IMAGE) is not None


def test_one_that_goes_on_is_found_and_joined(host: Host, held: Held) -> None:
    assert background.find(host, IMAGE) is None
    background.begin(host, IMAGE, None)
    background.begin(host, IMAGE, None)
    until(held.begun.is_set)
    until(lambda: background.running(host)[0].progress)
    (found,) = background.running(host)
    assert (found.image, found.runs) == (IMAGE, True)
    assert found.progress == Progress(250, 1000, "bytes", "half of it")
    held.go.set()
    events, pulled = followed(host)
    assert pulled == pull.Pulled(IMAGE, "sha256:1", "sha256:2", already=False)
    assert PullPlan(1000, 0, 2) in events
    assert background.running(host) == ()
    assert len(held.keys) == 1


def test_the_foreground_finds_it_busy(host: Host, held: Held) -> None:
    background.begin(host, IMAGE, None)
    until(held.begun.is_set)
    with pytest.raises(Trouble) as caught:
        background.run(host, IMAGE, None)
    assert caught.value.kind is Problem.BUSY


def test_one_in_the_foreground_can_be_followed_and_paused(host: Host, held: Held) -> None:
    seen: list[object] = []
    ends: list[Trouble] = []

    def foreground() -> None:
        try:
            background.run(host, IMAGE, None, seen.append)
        except Trouble as trouble:
            ends.append(trouble)

    thread = in_thread(foreground)
    until(held.begun.is_set)
    background.ask(host, IMAGE, background.PAUSE)
    events, trouble = followed(host)
    thread.join(PATIENCE)
    assert isinstance(trouble, Trouble)
    assert trouble.kind is Problem.CANCELLED
    assert events[-1] == Ended(trouble=trouble, paused=True)
    assert [end.kind for end in ends] == [Problem.CANCELLED]
    assert Progress(250, 1000, "bytes", "half of it") in seen


def test_what_was_asked_of_the_last_one_is_not_done_to_the_next(host: Host, held: Held) -> None:
    background.ask(host, IMAGE, background.STOP)
    held.go.set()
    background.begin(host, IMAGE, None)
    assert isinstance(followed(host)[1], pull.Pulled)


def test_a_stopped_one_can_be_begun_again_at_once(host: Host, held: Held) -> None:
    for _round in range(3):
        background.begin(host, IMAGE, None)
        background.ask(host, IMAGE, background.STOP)
        events, trouble = followed(host)
        assert isinstance(trouble, Trouble)
        assert isinstance(events[-1], Ended)
        assert not events[-1].paused
    assert len(held.keys) == 3


def test_one_that_the_system_ends_says_so(host: Host, held: Held) -> None:
    shutdown = Cancel()
    answers: list[Trouble | None] = []
    thread = in_thread(lambda: background.serve(host, {"image": IMAGE}, None, answers.append, shutdown))
    until(held.begun.is_set)
    shutdown.set()
    _events, trouble = followed(host)
    thread.join(PATIENCE)
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.subject) == (Problem.PULL_CUT_OFF, IMAGE)
    assert "The system asked it to end" in trouble.hint
    assert answers == [None]


def test_looking_away_ends_nothing(host: Host, held: Held) -> None:
    background.begin(host, IMAGE, None)
    until(held.begun.is_set)
    away = Cancel()
    away.set()
    _events, trouble = followed(host, cancel=away)
    assert isinstance(trouble, Trouble)
    assert trouble.kind is Problem.CANCELLED
    assert background.running(host)


def test_a_failure_comes_over_whole_and_without_the_key(host: Host, held: Held) -> None:
    key = Secret("nvapi-" + "k" * 64)
    held.trouble = Trouble(Problem.DNS, f"lookup: no such host {key.reveal()}", subject="nvcr.io", hint="So it is.")
    held.go.set()
    background.begin(host, IMAGE, key)
    _events, trouble = followed(host)
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.subject, trouble.hint) == (Problem.DNS, "nvcr.io", "So it is.")
    assert trouble.text == "lookup: no such host ****"
    assert held.keys == [key]
    files = [host.store.read(f"pulls/{name}") or b"" for name in host.store.names("pulls")]
    assert files
    assert not any(b"kkkkkkkk" in data for data in files)


def test_a_fault_inside_is_no_silence(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_args: object, **_how: object) -> pull.Pulled:
        raise ValueError("nvapi-" + "k" * 64)

    monkeypatch.setattr(pull, "run", run)
    background.begin(host, IMAGE, None)
    _events, trouble = followed(host)
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.text) == (Problem.INTERNAL, "ValueError")


def test_a_process_that_has_gone_is_told_with_what_it_had_reached(host: Host) -> None:
    name = background._name(host, IMAGE)
    began = Began(IMAGE, ProcessId(4_000_000, "an earlier start"))
    host.store.write(f"pulls/{name}.000007", journal.write(began) + journal.write(Progress(450, 1000, "bytes")))
    found = background.find(host, IMAGE)
    assert found is not None
    assert not found.runs
    assert found.progress is not None
    events, trouble = followed(host)
    assert events[0] == began
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.subject) == (Problem.PULL_CUT_OFF, IMAGE)
    assert trouble.hint == "It had come to 45 %. This computer was started again since then."


def test_another_machine_with_the_same_home_is_another(host: Host, held: Held) -> None:
    background.begin(host, IMAGE, None)
    there = machine.build("no-gpu", pace=0)
    object.__setattr__(there, "store", host.store)
    object.__setattr__(there.info, "name", "another-box")
    assert background.running(host)
    assert background.running(there) == ()
    assert background.find(there, IMAGE) is None


def test_the_journal_stays_small_and_tells_no_line_twice(
    host: Host, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "LARGEST", 20_000)
    sizes: list[int] = []

    class Watched(SimStore):
        def append(self, name: str, data: bytes) -> None:
            super().append(name, data)
            sizes.append(len(self.read(name) or b""))

    object.__setattr__(host, "store", Watched("/state"))
    held.events = [
        PullPlan(5000, 0, 1),
        *(event for n in range(5000) for event in (Line(f"line {n}"), Progress(n, 5000, "bytes"))),
    ]
    background.begin(host, IMAGE, None)
    held.go.set()
    events, pulled = followed(host)
    assert isinstance(pulled, pull.Pulled)
    assert max(sizes) < 20_000
    assert len([name for name in host.store.names("pulls") if name[-1].isdigit()]) == 1
    lines = [event.text for event in events if isinstance(event, Line)]
    assert lines[-1] == "line 4999"
    assert len(lines) == len(set(lines)) >= 100
    assert PullPlan(5000, 0, 1) in events


@pytest.mark.parametrize("kind", [Problem.FILE_READ_ONLY, Problem.DISK_FULL])
def test_where_nothing_can_be_written_only_the_foreground_pulls(host: Host, held: Held, kind: Problem) -> None:
    class Full(SimStore):
        def write(self, name: str, data: bytes) -> None:
            raise Trouble(kind, subject=name)

        append = write

    object.__setattr__(host, "store", Full("/state"))
    held.go.set()
    with pytest.raises(Trouble) as caught:
        background.begin(host, IMAGE, None)
    assert caught.value.kind is kind
    assert held.keys == []
    assert background.run(host, IMAGE, None).digest == "sha256:2"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'"began"',
        b'{"event":"began"}',
        b'{"event":"future","x":1}',
        b'{"event":"progress","done":1}',
        b"\xff",
    ],
)
def test_a_line_that_is_not_understood_is_passed_over(line: bytes) -> None:
    assert journal.read(line) is None


def test_a_line_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    line = journal.write(PullPlan(5, 1, 2)).replace(b"}", b', "mood": "good"}')
    assert journal.read(line) == PullPlan(5, 1, 2)
