"""How every page looks, kept as pictures: at 80x24 and 120x40 in English, at 80x24 in Chinese.

After a change that is meant: ``pytest tests/screens/test_snapshots.py --snapshot-update``, and look at the pictures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.screens.conftest import Walk
from tests.screens.test_steps import IMAGE, Slow
from tests.screens.test_train import Scripted, at_training, begun, steps
from tests.services.training.conftest import Bench, made
from wizard.app import WizardApp
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.knowledge import training_failures
from wizard.model import i18n
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Stalled
from wizard.model.gpu import GpuReading
from wizard.model.journey import Step
from wizard.model.progress import Layers, LayerState
from wizard.model.training import events
from wizard.model.training.events import Failure
from wizard.services import pull, train
from wizard.services.training.training_run import Outcome

Compare = Callable[..., bool]
LOOKS = [("en", (80, 24)), ("en", (120, 40)), ("zh", (80, 24))]
CHOSEN: dict[str, Any] = {"image": IMAGE, "name": "openseq2seq", "data": "/home/mei/openseq2seq-data", "gpus": "all"}


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """No blinking cursor, no counting of seconds, a download that stands at a quarter, a dark look."""
    from textual.widgets import Input

    from screens.base import StepScreen

    monkeypatch.delenv("TEXTUAL_THEME", raising=False)
    monkeypatch.setattr(Input, "cursor_blink", False)
    monkeypatch.setattr(StepScreen, "_start_clock", lambda _self, _what: None)
    slow = Slow()
    monkeypatch.setattr(pull, "run", slow.run)
    yield slow
    slow.go.set()


def look(
    snap_compare: Compare,
    prepare: Callable[[Walk], Awaitable[None]],
    *,
    name: str | Host = "unknown-runtime",
    language: str = "en",
    size: tuple[int, int] = (80, 24),
) -> bool:
    """Walks to a page and compares it with its picture."""
    i18n.use(language)
    app = WizardApp(machine.build(name, pace=0) if isinstance(name, str) else name)

    async def walk_there(pilot: Pilot[int]) -> None:
        walk = Walk(app, pilot)
        await walk.until(lambda: walk.step is not None and walk.text.strip())
        await prepare(walk)
        await pilot.pause(0.2)

    return snap_compare(app, terminal_size=size, run_before=walk_there)


async def started(walk: Walk) -> None:
    """To the download, and yes to what it costs."""
    await walk.go(Step.PULL, **CHOSEN)
    await walk.until(lambda: walk.pointed == "start")
    await walk.press("enter")


@pytest.mark.parametrize(
    ("language", "size"), LOOKS, ids=lambda value: value if isinstance(value, str) else "x".join(map(str, value))
)
@pytest.mark.parametrize("step", list(Step), ids=lambda step: step.value)
def test_every_step(snap_compare: Compare, step: Step, language: str, size: tuple[int, int]) -> None:
    async def prepare(walk: Walk) -> None:
        if step is Step.WELCOME:
            return
        if step is Step.PULL:
            await started(walk)
            await walk.until(lambda: "25 %" in walk.text)
        else:
            await walk.go(step, **CHOSEN)

    assert look(snap_compare, prepare, language=language, size=size)


def test_a_healthy_checkup(snap_compare: Compare) -> None:
    async def prepare(walk: Walk) -> None:
        await walk.go(Step.CHECKUP)

    assert look(snap_compare, prepare, name="healthy")


def test_entering_a_key(snap_compare: Compare) -> None:
    async def prepare(walk: Walk) -> None:
        await walk.go(Step.ACCOUNT)
        await walk.choose("enter")
        await walk.type("hunter2")
        await walk.press("enter")
        await walk.until(lambda: "[error]" in walk.text)

    assert look(snap_compare, prepare)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_way_to_a_key(snap_compare: Compare, language: str) -> None:
    async def prepare(walk: Walk) -> None:
        await walk.go(Step.ACCOUNT)
        await walk.choose("how")

    assert look(snap_compare, prepare, language=language)


def test_the_way_to_a_key_by_phone(snap_compare: Compare) -> None:
    async def prepare(walk: Walk) -> None:
        await walk.go(Step.ACCOUNT)
        await walk.choose("how")
        await walk.choose("scan")
        await walk.until(lambda: "Point the camera" in walk.text)

    assert look(snap_compare, prepare)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_a_download_costs(snap_compare: Compare, language: str) -> None:
    async def prepare(walk: Walk) -> None:
        await walk.go(Step.PULL, **CHOSEN)
        await walk.until(lambda: walk.pointed == "start")

    assert look(snap_compare, prepare, language=language)


def test_the_layers_of_a_download(snap_compare: Compare, still: Slow) -> None:
    states = [LayerState(f"{n:012x}", 40_000_000 * n, 9_000_000 * n, "downloading") for n in range(1, 40)]
    still.events.append(Layers(tuple(states)))

    async def prepare(walk: Walk) -> None:
        await started(walk)
        await walk.until(lambda: "layers" in walk.offered)
        await walk.choose("layers")

    assert look(snap_compare, prepare)


def test_a_stalled_download(snap_compare: Compare, still: Slow) -> None:
    still.events.append(Stalled(31, "The registry does not send anything."))

    async def prepare(walk: Walk) -> None:
        await started(walk)
        await walk.until(lambda: "31 s" in walk.text)

    assert look(snap_compare, prepare)


def test_a_download_that_broke(snap_compare: Compare, still: Slow) -> None:
    still.trouble = Trouble(Problem.DNS, "lookup nvcr.io: no such host", subject="nvcr.io")
    still.go.set()

    async def prepare(walk: Walk) -> None:
        await started(walk)
        await walk.until(lambda: "[error]" in walk.text)

    assert look(snap_compare, prepare)


def test_a_field_that_is_wrong(snap_compare: Compare) -> None:
    async def prepare(walk: Walk) -> None:
        await walk.go(Step.WORKSPACE, **CHOSEN)
        await walk.press("up", "up", "up")
        await walk.type("-no")
        await walk.choose("accept")
        await walk.until(lambda: "[error]" in walk.text)

    assert look(snap_compare, prepare)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A machine with a container and data, in which everything happens at once."""
    with made(0) as bench:
        bench.furnish()
        yield bench


@pytest.fixture
def training(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A training that stands still, with a GPU that does, too."""
    reading = GpuReading(0, "u", "A", 97, 4_900_000_000, 6_000_000_000, 71)
    monkeypatch.setattr(type(bench.host.gpus), "readings", lambda _self: (reading,))
    monkeypatch.setattr("screens.train.duration", lambda _seconds: "3 min")
    scripted = Scripted(bench.host)
    monkeypatch.setattr(train, "train", scripted.train)
    return scripted


@pytest.mark.parametrize(
    ("language", "size"), LOOKS, ids=lambda value: value if isinstance(value, str) else "x".join(map(str, value))
)
def test_a_training_that_runs(
    snap_compare: Compare, bench: Bench, training: Scripted, language: str, size: tuple[int, int]
) -> None:
    async def prepare(walk: Walk) -> None:
        await begun(walk)
        steps(training.emit, 120)
        training.emit(events.Sample("there was no autopsy period", "tee ws no atpy pro", 0.5))
        training.emit(events.Checkpoint("/data/log/logs/model.ckpt-110", 110))
        await walk.until(lambda: "model.ckpt-110" in walk.text and "97 %" in walk.text)

    assert look(snap_compare, prepare, name=bench.host, language=language, size=size)


def test_a_training_that_says_nothing_yet(snap_compare: Compare, bench: Bench, training: Scripted) -> None:
    async def prepare(walk: Walk) -> None:
        await begun(walk)
        training.emit(events.Phase(events.Doing.VALIDATING))
        training.emit(events.Silence(events.Doing.VALIDATING, 100.0))
        await walk.until(lambda: "without a line" in walk.text and "97 %" in walk.text)

    assert look(snap_compare, prepare, name=bench.host)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_training_without_enough_memory(
    snap_compare: Compare, bench: Bench, training: Scripted, language: str
) -> None:
    async def prepare(walk: Walk) -> None:
        await begun(walk)
        failure = training_failures.worded(Failure("gpu-memory", text="OOM when allocating tensor"))
        training.outcome = Outcome(training.job, 1, failure=failure)
        training.go.set()
        await walk.until(lambda: walk.pointed == "half")

    assert look(snap_compare, prepare, name=bench.host, language=language)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_rehearsal_that_went_well(snap_compare: Compare, language: str) -> None:
    async def prepare(walk: Walk) -> None:
        await at_training(walk, "openseq2seq")
        await walk.press("enter")
        await walk.until(lambda: "next" in walk.offered)

    assert look(snap_compare, prepare, name="with-container", language=language)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_data_that_has_to_be_fetched(snap_compare: Compare, language: str) -> None:
    async def prepare(walk: Walk) -> None:
        await at_training(walk, "openseq2seq")
        await walk.choose("real")

    assert look(snap_compare, prepare, name="with-container", language=language)


def test_the_log_of_a_training(snap_compare: Compare, bench: Bench, training: Scripted) -> None:
    bench.host.files.replace(
        training.job.path("stdout.log"), None, b"".join(b"*** line %d\n" % number for number in range(60))
    )

    async def prepare(walk: Walk) -> None:
        await begun(walk)
        await walk.press("l")
        await walk.until(lambda: "*** line 59" in walk.text)

    assert look(snap_compare, prepare, name=bench.host)


@pytest.mark.parametrize("key", ["q", "question_mark"])
def test_dialogs(snap_compare: Compare, key: str) -> None:
    async def prepare(walk: Walk) -> None:
        await walk.press(key)

    assert look(snap_compare, prepare)


def test_a_window_that_is_too_small(snap_compare: Compare) -> None:
    async def prepare(walk: Walk) -> None:
        await walk.until(lambda: "60x20" in walk.text)

    assert look(snap_compare, prepare, size=(60, 20))
