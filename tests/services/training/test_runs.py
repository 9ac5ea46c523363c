"""Whole trainings on a simulated machine: to the end, left and found again, stopped, lost."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.services.training.conftest import MINI, NAME, Bench, until
from wizard.cli.arguments import parse
from wizard.model.container import GpuChoice, Workspace
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Progress
from wizard.model.training import derived
from wizard.model.training.events import Begun, Checkpoint, Finished, Sample, Step, Validation
from wizard.services import container
from wizard.services.training import after, rehearsal, suite, training_run
from wizard.services.training.preflight import Wanted


def test_a_training_tells_everything_and_ends_well(bench: Bench) -> None:
    bench.furnish()
    outcome = bench.train("--num_epochs=3", "--print_loss_steps=1", "--print_samples_steps=5", "--eval_steps=5")
    assert outcome.fine
    steps = [event for event in bench.of(Step) if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 19))
    assert {event.total_steps for event in steps} == {18}
    assert steps[-1].eta_seconds == 0
    assert steps[-1].loss < steps[0].loss
    for kind in (Begun, Validation, Sample, Checkpoint, Finished):
        assert bench.of(kind), kind
    assert outcome.checkpoint == ("/data/OpenSeq2Seq/jasper_log_folder/logs/model.ckpt-18", 18)


def test_a_finished_training_is_not_begun_again(bench: Bench) -> None:
    bench.furnish()
    bench.train("--num_epochs=1")
    before = training_run.latest(bench.host, bench.place)
    outcome = bench.train("--num_epochs=1")
    assert outcome.fine
    assert outcome.job is None
    assert training_run.latest(bench.host, bench.place) == before
    more = bench.train("--num_epochs=2")
    assert more.job is not None
    assert "--continue_learning" in more.job.argv


def test_it_goes_on_when_the_wizard_is_closed_and_is_found_again(slow: Bench) -> None:
    slow.furnish()
    cancel = Cancel()

    def close(event: object) -> None:
        if isinstance(event, Begun):
            cancel.set()

    with pytest.raises(Trouble) as caught:
        training_run.run(slow.host, NAME, Wanted(MINI), close, cancel)
    assert caught.value.kind is Problem.CANCELLED
    left = slow.running()
    thread = slow.began()
    until(lambda: bool(slow.of(Begun)))
    outcome = training_run.stop(slow.host, left)
    thread.join(60)
    assert not thread.is_alive()
    assert outcome.code == 1
    assert training_run.find(slow.host, NAME) is None
    assert next(event for event in slow.events if isinstance(event, Trouble)).kind is Problem.TRAINING_FAILED


def test_two_trainings_on_one_gpu(slow: Bench) -> None:
    slow.furnish()
    thread = slow.began()
    other = "other"
    slow.host.files.make_folder(f"{slow.host.home}/other")
    container.up(slow.host, Workspace(f"{slow.host.home}/other", other, GpuChoice()), "python:3.12-slim")
    with pytest.raises(Trouble) as caught:
        rehearsal.run(slow.host, other)
    assert caught.value.kind is Problem.TRAINING_RUNS
    assert NAME in caught.value.subject
    training_run.stop(slow.host, slow.running())
    thread.join(60)


def test_the_container_stopped_during_the_run(slow: Bench) -> None:
    slow.furnish()
    thread = slow.began("--save_checkpoint_steps=1")
    until(lambda: bool(slow.of(Checkpoint)))
    slow.host.engine.stop(slow.running().container_id)
    thread.join(60)
    assert not thread.is_alive()
    trouble = next(event for event in slow.events if isinstance(event, Trouble))
    assert trouble.kind is Problem.CONTAINER_NOT_RUNNING
    assert "0" in trouble.hint


def test_the_rehearsal_from_nothing_to_a_transcript(bench: Bench) -> None:
    done = rehearsal.run(bench.host, NAME, emit=bench.events.append)
    assert (done.trained.checkpoint or ("", 0))[1] == 4
    assert done.steps == 8
    assert len(done.transcripts) == 2
    begun = [event for event in bench.of(Begun) if isinstance(event, Begun)]
    assert [(event.how, event.step) for event in begun[:2]] == [("scratch", 0), ("checkpoint", 4)]
    stages = [event for event in bench.of(Progress) if isinstance(event, Progress) and event.unit == "stages"]
    assert [event.done for event in stages] == list(range(8))


def test_the_rehearsal_can_be_repeated_and_touches_no_real_data(bench: Bench) -> None:
    bench.furnish()
    before = bench.host.files.read(f"{bench.data}/librispeech/librivox-train-clean-100.csv")
    rehearsal.run(bench.host, NAME)
    rehearsal.run(bench.host, NAME)
    assert bench.host.files.read(f"{bench.data}/librispeech/librivox-train-clean-100.csv") == before
    assert bench.host.files.names(f"{bench.data}/OpenSeq2Seq/jasper_log_folder") == ()


def test_after_a_training_it_is_measured(bench: Bench) -> None:
    bench.furnish()
    with pytest.raises(Trouble) as caught:
        after.evaluate(bench.host, NAME, Wanted(MINI))
    assert caught.value.kind is Problem.NO_CHECKPOINT
    bench.train("--num_epochs=1")
    outcome = after.evaluate(bench.host, NAME, Wanted(MINI), bench.events.append)
    assert outcome.finished == Finished("evaluation")


@pytest.mark.parametrize(
    ("own", "read"),
    [
        ("", {"features": 40, "shuffle": False}),
        ('infer_params = {"data_layer_params": {"features": 64}}', {"features": 64, "shuffle": False}),
    ],
)
def test_a_configuration_only_for_training_reads_a_recording_as_it_evaluates(
    own: str, read: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", ModuleType("tensorflow"))
    original = tmp_path / "original.py"
    evaluates = 'eval_params = {"data_layer": "reader", "data_layer_params": {"features": 40, "shuffle": False}}'
    original.write_text(f"{evaluates}\n{own}\n")
    made = tmp_path / "made.py"
    made.write_text(derived.text(str(original), (*after.READER, *derived.dataset(infer=("/data/say.csv",)))))
    space = runpy.run_path(str(made))
    assert space["infer_params"] == {
        "data_layer": "reader",
        "data_layer_params": {**read, "dataset_files": ["/data/say.csv"]},
    }
    assert "dataset_files" not in space["eval_params"]["data_layer_params"]


def test_a_recording_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(Trouble) as caught:
        after.transcribe(bench.host, NAME, f"{bench.data}/no.wav", Wanted(MINI))
    assert caught.value.kind is Problem.FILE_MISSING


def test_the_suite_tells_its_stages() -> None:
    events: list[object] = []
    stages = suite._Stages(events.append)
    stages.take(b"**********>>>> CREATE TOY DATA <<<< ************\n....\n**********>>>> RUNNING UNIT")
    stages.take(b" TESTS <<<< ************\nRR BLEU:\n")
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == [0, 1, 3]
    assert stages.title == "Small model 2 of 5"


def test_the_parts_that_can_be_left_out_are_those_of_the_suite() -> None:
    assert parse(["train", "--tests", *(word for part in suite.PARTS for word in ("--skip", part))]).skip == [
        *suite.PARTS
    ]
    for words in (["--tests", "--skip", "nonsense"], ["--skip", "jasper"]):
        with pytest.raises(Trouble) as caught:
            parse(["train", *words])
        assert caught.value.kind is Problem.BAD_INPUT
