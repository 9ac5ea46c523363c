"""The page for trainings on simulated machines: offered, begun, watched, left, found again, stopped, failed, over."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from screens.dialogs import Dialog, Pick
from screens.training import What
from screens.training_log import TrainingLog
from tests.screens.conftest import Start, Walk
from tests.services.training.conftest import MINI, NAME, Bench, made
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.knowledge import training_failures
from wizard.model.container_job import Job
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.gpu import GpuReading
from wizard.model.journey import Step
from wizard.model.training import events
from wizard.model.training.events import Doing, Failure
from wizard.services import train
from wizard.services.training import place, preflight, tensorboard, training_run
from wizard.services.training.training_run import Outcome


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A machine with a container, in which everything happens at once."""
    with made(0) as bench:
        yield bench


@pytest.fixture
def slow() -> Iterator[Bench]:
    """The same with a training of many seconds."""
    with made(0.005) as bench:
        bench.furnish(rows=320)
        yield bench


async def at_training(walk: Walk, name: str = NAME) -> None:
    await walk.go(Step.TRAIN, name=name)
    await walk.until(lambda: walk.offered and not walk.screen.working)


async def begun(walk: Walk) -> None:
    """From the offer to a training that runs."""
    await at_training(walk)
    await walk.choose("real")
    await walk.until(lambda: walk.pointed == "train", "everything was looked at")
    await walk.press("enter")
    await walk.until(lambda: "ahead" in walk.offered, "it runs")


class Scripted:
    """A training that says what a test wants and ends when the test wants it."""

    def __init__(self, host: Host) -> None:
        folder = f"{host.home}/data/s2s-wizard/jobs/0009-train"
        host.files.make_folder(folder)
        argv = ("python", "run.py", f"--config_file={MINI}", "--mode=train_eval", "--batch_size_per_gpu=32")
        facts = {"config": MINI, "mode": "train_eval", "logdir": "/data/log", "batch": "32", "ranks": "1"}
        inside = "/data/s2s-wizard/jobs/0009-train"
        self.job = Job("0009-train", "train", NAME, "c", folder, inside, argv, "/data", 0.0, facts)
        self.emit: Emit = lambda _event: None
        self.go = threading.Event()
        self.ready = threading.Event()
        self.outcome = Outcome(self.job, 0)

    def train(self, _host: object, _ready: object, emit: Emit, cancel: Cancel) -> Outcome:
        self.emit = emit
        emit(self.job)
        self.ready.set()
        cancel.on_set(self.go.set)
        self.go.wait(60)
        cancel.check()
        return self.outcome


@pytest.fixture
def scripted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    bench.furnish()
    made_up = Scripted(bench.host)
    monkeypatch.setattr(train, "train", made_up.train)
    return made_up


# --- before anything runs --------------------------------------------------------------------------------------------


async def test_without_a_container_the_way_leads_there(start: Start) -> None:
    async with start() as walk:
        await at_training(walk, "openseq2seq")
        assert "[error]" in walk.text
        assert walk.offered == ("container", "again", "back", "skip")
        await walk.press("enter")
        await walk.at(Step.CONTAINER)


async def test_the_rehearsal_comes_first_and_the_command_is_shown(start: Start) -> None:
    async with start("with-container") as walk:
        await at_training(walk, "openseq2seq")
        assert walk.pointed == "rehearse"
        assert walk.keys.startswith("Enter Rehearse")
        assert f"python run.py --config_file={MINI} --mode=train_eval --enable_logs" in walk.whole
        assert "its data has to be fetched first" in walk.text
        assert walk.offered == ("rehearse", "real", "config", "skip")
        before = walk.text
        await walk.press("x", "5", "t", "f2")
        assert walk.text == before


async def test_who_wants_no_training_finishes(start: Start) -> None:
    async with start("with-container") as walk:
        await at_training(walk, "openseq2seq")
        await walk.choose("skip")
        await walk.at(Step.FINISH)
        assert Step.TRAIN in walk.journey.skipped
        assert "trained" not in walk.whole


async def test_a_rehearsal_runs_to_its_end(start: Start) -> None:
    async with start("with-container") as walk:
        await at_training(walk, "openseq2seq")
        await walk.press("enter")
        await walk.until(lambda: "The rehearsal went well" in walk.whole)
        assert "Loss:" in walk.text
        assert "Wrong words" in walk.text
        assert walk.pointed == "offer"
        assert Step.TRAIN in walk.journey.done
        await walk.choose("next")
        await walk.at(Step.FINISH)
        assert "The container has trained" in walk.whole


async def test_what_lacks_is_named_and_fetched_and_then_the_training_can_begin(start: Start) -> None:
    async with start("with-container") as walk:
        await at_training(walk, "openseq2seq")
        await walk.choose("real")
        assert "dev-clean, train-clean-100" in walk.whole
        assert "6.7 GB" in walk.text
        assert walk.pointed == "fetch"
        await walk.press("enter")
        await walk.until(lambda: "The data is here." in walk.whole)
        await walk.choose("offer")
        await walk.until(lambda: "hours to days" in walk.text)
        await walk.choose("real")
        await walk.until(lambda: walk.pointed == "train")
        assert "/data/librispeech/jasper-mini.py" in walk.whole


async def test_a_disk_that_is_too_small_is_said_before(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from wizard.services.data import librispeech

    def small(*_arguments: object, **_options: object) -> None:
        raise Trouble(Problem.DISK_SMALL, subject="/home/mei/data", hint="Needed: 9 GB.")

    monkeypatch.setattr(librispeech, "plan", small)
    async with start("with-container") as walk:
        await at_training(walk, "openseq2seq")
        await walk.choose("real")
        assert "Needed: 9 GB." in walk.whole
        assert "fetch" not in walk.offered


async def test_another_configuration_is_chosen_by_task_and_kept(start: Start) -> None:
    async with start("with-container") as walk:
        await at_training(walk, "openseq2seq")
        await walk.choose("config")
        assert isinstance(walk.screen, Pick)
        assert walk.pointed == "speech"
        assert "can be trained here now" in walk.whole
        await walk.choose("translation")
        await walk.until(lambda: "en-de-convs2s" in walk.text)
        assert "Needs: 1 GPU." in walk.whole
        assert "Not here now: its data is not here" in walk.whole
        await walk.press("end", "up")
        assert walk.pointed.endswith("nmt-reversal-TT.py")
        assert "> nmt-reversal-TT" in walk.text, "a list longer than the window scrolls with the pointer"
        await walk.press("home", "enter")
        await walk.until(lambda: "convs2s" in walk.journey.config)
        await walk.until(lambda: f"--config_file={walk.journey.config}" in walk.whole and not walk.screen.working)
        await walk.choose("real")
        assert "cd /data/OpenSeq2Seq && bash scripts/get_en_de.sh" in walk.whole
        assert "/home/mei/openseq2seq-data/wmt16_de_en" in walk.whole
        assert walk.pointed == "config"


def test_another_configuration_trains_with_the_parts_that_are_here() -> None:
    host = machine.build("with-container", pace=0)
    train.fetch(host, "openseq2seq")
    there = place.find(host, "openseq2seq")
    other = "example_configs/speech2text/w2l_large_8gpus.py"
    wanted = train.wanted(host, there, other)
    assert wanted.config == "/data/librispeech/w2l_large_8gpus.py"
    written = host.files.read(there.outside(wanted.config))
    assert written is not None
    assert other.encode() in written.data
    assert b"librivox-train-clean-100.csv" in written.data
    assert b"360" not in written.data
    toy = "example_configs/speech2text/ds2_toy_config.py"
    assert train.wanted(host, there, toy).config == toy


# --- the training itself ---------------------------------------------------------------------------------------------


async def test_a_training_shows_its_command_runs_and_is_used_afterwards(
    start: Start, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.furnish(rows=4)
    wav = f"{bench.host.home}/hello.wav"
    bench.write("../hello.wav", "simulated")
    async with start(bench.host) as walk:
        await at_training(walk)
        await walk.choose("real")
        await walk.until(lambda: walk.pointed == "train")
        assert "The training can begin." in walk.whole
        assert "python run.py" in walk.whole
        assert "--batch_size_per_gpu=12" in walk.whole, "fitted to the few rows, and shown"
        await walk.press("enter")
        await walk.until(lambda: "The training is finished." in walk.whole)
        assert f"{bench.data}/OpenSeq2Seq/jasper_log_folder/logs" in walk.whole.replace(" ", "")
        assert walk.offered == ("say", "evaluate", "next")
        await walk.choose("evaluate")
        await walk.until(lambda: "27.5 % of the words wrong" in walk.whole)
        await walk.choose("say")
        await walk.press("enter")
        assert "[error]" in walk.text, "an empty line is no path"
        await walk.type(wav)
        await walk.press("enter")
        await walk.until(lambda: "The model has heard:" in walk.whole)
        assert "tee" in walk.whole
        await walk.choose("offer")
        await walk.until(lambda: "say" in walk.offered and "real" in walk.offered)
        assert "Last checkpoint" in walk.whole
        await walk.choose("real")
        await walk.until(lambda: "This training is finished" in walk.whole)


async def test_it_goes_on_when_the_page_is_left_and_is_there_again(start: Start, slow: Bench) -> None:
    async with start(slow.host) as walk:
        await begun(walk)
        await walk.press("enter")
        await walk.at(Step.FINISH)
        assert training_run.find(slow.host, NAME) is not None
        await walk.until(lambda: "training " in walk.text.split("\n")[0], "how far it is stands on every page")
        await walk.press("q")
        assert "The training goes on in the container without the wizard" in walk.whole
        await walk.press("escape")
        await walk.press("escape")
        await walk.until(lambda: walk.step is Step.TRAIN and "Training with" in walk.text)


async def test_another_wizard_finds_it_and_stops_it(start: Start, slow: Bench) -> None:
    async with start(slow.host) as walk:
        await begun(walk)
    assert training_run.find(slow.host, NAME) is not None
    async with start(slow.host) as walk:
        await at_training(walk)
        await walk.until(lambda: "Training with jasper" in walk.text)
        await walk.choose("stop")
        assert isinstance(walk.screen, Dialog)
        assert walk.pointed == "", "letting it go on is the default"
        await walk.press("enter")
        await walk.until(lambda: "ahead" in walk.offered)
        assert training_run.find(slow.host, NAME) is not None
        training = walk.app.session.training
        assert training is not None
        await walk.until(lambda: training.state.checkpoint, "that of step 0, which would end it")
        await walk.choose("stop")
        await walk.choose("checkpoint")
        await walk.until(lambda: "when the next checkpoint is on the disk" in walk.whole + walk.text)
        await walk.choose("on")
        await walk.until(lambda: "ahead" in walk.offered)
        await walk.choose("stop")
        await walk.choose("now")
        await walk.until(lambda: "The training was stopped." in walk.whole)
        assert walk.offered == ("retry", "offer", "next")
    assert training_run.find(slow.host, NAME) is None


async def test_a_rehearsal_ends_in_the_container_too_when_it_is_stopped(start: Start, slow: Bench) -> None:
    async with start(slow.host) as walk:
        await at_training(walk)
        await walk.press("enter")
        await walk.until(lambda: training_run.find(slow.host, NAME) is not None)
        await walk.press("q")
        assert "ends when you quit" in walk.whole
        await walk.press("escape")
        await walk.choose("stop")
        await walk.choose("now")
        await walk.until(lambda: "The rehearsal was stopped." in walk.whole)
    assert training_run.find(slow.host, NAME) is None


async def test_out_of_memory_offers_half_the_batch(start: Start, bench: Bench, scripted: Scripted) -> None:
    failure = training_failures.worded(Failure("gpu-memory", text="OOM when allocating tensor"))
    scripted.outcome = Outcome(scripted.job, 1, failure=failure)
    async with start(bench.host) as walk:
        await begun(walk)
        scripted.go.set()
        await walk.until(lambda: "[error]" in walk.text)
        assert failure.summary in walk.whole
        assert scripted.job.path("stdout.log") in walk.whole
        assert walk.pointed == "half"
        assert "16 recordings at a time" in walk.text
        await walk.press("enter")
        await walk.until(lambda: walk.pointed == "train")
        assert "--batch_size_per_gpu=16" in walk.whole


async def test_half_the_batch_is_still_meant_when_the_check_is_made_once_more(
    start: Start, bench: Bench, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = training_failures.worded(Failure("gpu-memory", text="OOM when allocating tensor"))
    scripted.outcome = Outcome(scripted.job, 1, failure=failure)
    async with start(bench.host) as walk:
        await begun(walk)
        scripted.go.set()
        await walk.until(lambda: walk.pointed == "half")
        with monkeypatch.context() as full:
            full.setattr(preflight, "SMALLEST_DISK", 10**15)
            await walk.press("enter")
            await walk.until(lambda: "again" in walk.offered)
        await walk.choose("again")
        await walk.until(lambda: walk.pointed == "train")
        assert "--batch_size_per_gpu=16" in walk.whole


async def test_a_failure_without_a_remedy_can_be_tried_again_and_its_log_read(
    start: Start, bench: Bench, scripted: Scripted
) -> None:
    scripted.outcome = Outcome(scripted.job, 1, failure=training_failures.verdict(None, None, 1))
    async with start(bench.host) as walk:
        await begun(walk)
        scripted.go.set()
        await walk.until(lambda: "[error]" in walk.text)
        assert walk.offered == ("retry", "log", "offer", "skip")
        await walk.choose("log")
        assert isinstance(walk.screen, TrainingLog)
        await walk.press("escape")
        assert not isinstance(walk.screen, TrainingLog)


async def test_a_container_that_goes_is_said(start: Start, slow: Bench) -> None:
    async with start(slow.host) as walk:
        await begun(walk)
        slow.host.engine.remove(slow.place.container.id, force=True)
        await walk.until(lambda: "[error]" in walk.text)
        assert "container" in walk.offered


# --- what is seen while it runs --------------------------------------------------------------------------------------


def steps(emit: Emit, count: int = 40, loss: Callable[[int], float] = lambda step: 800.0 / step) -> None:
    emit(events.Begun("scratch"))
    emit(events.Phase(Doing.TRAINING))
    for step in range(1, count + 1):
        emit(events.Step(step, step // 10, loss(step), 0.8, 400, (400 - step) * 0.8))
        if step % 10 == 1:
            emit(events.Validation(800 / step, 1 / step))


async def test_steps_curves_samples_and_checkpoints_are_drawn(start: Start, bench: Bench, scripted: Scripted) -> None:
    async with start(bench.host) as walk:
        await begun(walk)
        assert "Python and TensorFlow are being loaded" in walk.whole + walk.text, "the silence is explained"
        steps(scripted.emit)
        scripted.emit(events.Sample("there was no autopsy", "tee ws no atpy", 0.5))
        scripted.emit(events.Checkpoint("/data/log/logs/model.ckpt-40", 40))
        await walk.until(lambda: "model.ckpt-40" in walk.text)
        for text in ("step 40 of 400", "epoch 4", "0.8 s a step", "about 5 min left", "Loss: 20", " 10 %", "⠤"):
            assert text in walk.text, text
        assert "Wrong words, %: 3.23" in walk.text
        assert "Said   there was no autopsy" in walk.text
        assert "Heard  tee ws no atpy" in walk.text
        assert "GPU 0:" in walk.text
        low = walk.text
        await walk.pilot.resize_terminal(120, 40)
        await walk.until(lambda: walk.text.count("⠤") and len(walk.text.split("\n")) == 40)
        high = walk.text
        assert sum(any(0x2800 < ord(letter) < 0x2900 for letter in line) for line in high.split("\n")) > sum(
            any(0x2800 < ord(letter) < 0x2900 for letter in line) for line in low.split("\n")
        )
        await walk.pilot.resize_terminal(60, 20)
        await walk.until(lambda: "Please make the window larger" in walk.text)
        await walk.pilot.resize_terminal(80, 24)
        await walk.until(lambda: "step 40 of 400" in walk.text)
        assert all(cell_len(line) <= 80 for line in walk.text.split("\n"))


async def test_what_goes_wrong_without_an_end_is_named(start: Start, bench: Bench, scripted: Scripted) -> None:
    async with start(bench.host) as walk:
        await begun(walk)
        steps(scripted.emit)
        scripted.emit(events.Step(41, 4, math.nan))
        scripted.emit(training_failures.worded(Failure("loss-nan", fatal=False)))
        await walk.until(lambda: "Loss: not a number" in walk.text)
        assert "[warn]  The loss is no number any more" in walk.text
        steps(scripted.emit, 45)
        await walk.until(lambda: "The loss is no number any more" not in walk.text)
        scripted.emit(training_failures.worded(Failure("no-step", fatal=False)))
        await walk.until(lambda: "The training stands still" in walk.text)
        steps(scripted.emit, 46)
        await walk.until(lambda: "The training stands still" not in walk.text)
        scripted.emit(training_failures.worded(Failure("loss-diverges", fatal=False)))
        await walk.until(lambda: "climbs instead of falling" in walk.text)


async def test_what_a_gpu_does_not_tell_is_not_known(
    start: Start, bench: Bench, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = (GpuReading(0, "u", "A", 97, 4 * 10**9, 6 * 10**9, 71), GpuReading(1, "v", "B"))
    monkeypatch.setattr(type(bench.host.gpus), "readings", lambda _self: readings)
    async with start(bench.host) as walk:
        await begun(walk)
        await walk.until(lambda: "GPU 1" in walk.text)
        assert "GPU 0: 97 % busy · memory 4.0 GB of 6.0 GB · 71 °C" in walk.text
        assert "GPU 1: not known · memory not known · not known" in walk.text


async def test_a_terminal_without_braille_gets_asterisks(
    start: Start, bench: Bench, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "linux")
    async with start(bench.host) as walk:
        await begun(walk)
        steps(scripted.emit)
        await walk.until(lambda: "Loss: 20" in walk.text)
        assert "***" in walk.text
        assert not any(0x2800 <= ord(letter) < 0x2900 for letter in walk.text)


async def test_a_flood_of_events_only_changes_what_is_looked_at(start: Start, bench: Bench, scripted: Scripted) -> None:
    async with start(bench.host) as walk:
        await begun(walk)
        steps(scripted.emit, 20_000)
        await walk.until(lambda: "step 20000" in walk.text)
        state = walk.app.session.training.state  # type: ignore[union-attr]
        assert state.what is What.TRAINING
        assert len(state.loss) <= 240
        assert walk.screen._seen is state


async def test_tensorboard_is_shown_with_its_address_and_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.build("with-container", pace=0)
    train.fetch(host, "openseq2seq")
    made_up = Scripted(host)
    monkeypatch.setattr(train, "train", made_up.train)
    monkeypatch.setattr(tensorboard, "_HEARD_SECONDS", 0.1)
    async with start(host) as walk:
        await at_training(walk, "openseq2seq")
        await walk.choose("real")
        await walk.until(lambda: walk.pointed == "train")
        await walk.press("enter")
        await walk.until(lambda: "board" in walk.offered)
        await walk.choose("board")
        await walk.until(lambda: isinstance(walk.screen, Dialog))
        board = tensorboard.find(host, place.find(host, "openseq2seq"))
        assert board is not None
        assert board.url in walk.whole
        assert board.tunnel in walk.whole.replace(" \\\n      ", " ")
        await walk.choose("stop")
        await walk.until(lambda: "TensorBoard was stopped." in walk.text)
        assert tensorboard.find(host, place.find(host, "openseq2seq")) is None


async def test_an_image_without_tensorboard_is_said(start: Start, bench: Bench, scripted: Scripted) -> None:
    async with start(bench.host) as walk:
        await begun(walk)
        await walk.choose("board")
        await walk.until(lambda: "There is no TensorBoard" in walk.whole)
        await walk.press("escape")
        await walk.until(lambda: "ahead" in walk.offered)


# --- the log ---------------------------------------------------------------------------------------------------------


def written(bench: Bench, job: Job, text: str, name: str = "stdout.log") -> None:
    before = bench.host.files.read(job.path(name))
    data = before.data if before else b""
    bench.host.files.replace(job.path(name), before.data if before else None, data + text.encode())


async def test_the_log_grows_is_searched_and_copied(start: Start, bench: Bench, scripted: Scripted) -> None:
    job = scripted.job
    written(bench, job, "".join(f"line {n}\n" for n in range(5000)))
    written(bench, job, "Traceback\n", "stderr.log")
    async with start(bench.host) as walk:
        await begun(walk)
        await walk.press("l")
        await walk.until(lambda: "line 4999" in walk.text)
        assert "the last 2000 lines" in walk.text
        assert job.path("stdout.log") in walk.text
        written(bench, job, "a needle \x1b[31mred\n")
        await walk.until(lambda: "a needle �[31mred" in walk.text)
        await walk.press("slash", *"4321")
        await walk.until(lambda: "1 of the last 2000 lines" in walk.text)
        assert "line 4321" in walk.text
        assert "a needle" not in walk.text
        await walk.press("enter", "c")
        assert walk.app.clipboard == "line 4321"
        await walk.press("escape")
        await walk.until(lambda: "a needle" in walk.text)
        await walk.press("e")
        await walk.until(lambda: "Traceback" in walk.text and "line 4999" not in walk.text)
        assert job.path("stderr.log") in walk.text
        await walk.press("escape")
        await walk.until(lambda: not isinstance(walk.screen, TrainingLog))


async def test_before_anything_runs_the_log_is_the_wizards_own(start: Start) -> None:
    async with start("with-container") as walk:
        await at_training(walk, "openseq2seq")
        await walk.press("l")
        assert "What the wizard did so far" in walk.text


def test_of_a_log_that_grows_faster_than_it_is_read_the_end_is_kept(bench: Bench) -> None:
    job = Scripted(bench.host).job
    flood = "".join(f"line {n:07}\n" for n in range(60_000))
    written(bench, job, flood)
    cancel, got = Cancel(), list[Any]()

    def take(piece: train.Piece) -> None:
        got.append(piece)
        if len(got) == 1:
            written(bench, job, flood)
        else:
            cancel.set()

    train.read_log(bench.host, job, "stdout.log", take, cancel)
    for piece in got:
        assert piece.lines[-1] == "line 0059999"
        assert piece.skipped + sum(len(line) + 1 for line in piece.lines) == len(flood)
        assert all(len(line) == len("line 0000000") for line in piece.lines)


def test_a_run_is_repeated_as_it_was_or_with_half_the_batch(bench: Bench) -> None:
    job = Scripted(bench.host).job
    assert train.again(job) == (MINI, ("--batch_size_per_gpu=32",))
    assert train.again(job, half=True) == (MINI, ("--batch_size_per_gpu=16",))
    single = replace(job, facts={**job.facts, "batch": "1"})
    assert train.again(single, half=True) == train.again(single)
    assert train.on_host(job, "/data/log/logs") == f"{bench.host.home}/data/log/logs"
