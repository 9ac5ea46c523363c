"""The log of a training becomes events: those that were measured, those that are made up, and any bytes at all."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.training_log import COMMANDS, CPP, LANGUAGE_MODEL, MPI, TRANSLATION, Clock, Made, made
from wizard.model.event import Progress
from wizard.model.training.events import (
    Begun,
    Doing,
    Failure,
    Finished,
    Phase,
    Sample,
    Silence,
    Speed,
    Step,
    TrainingEvent,
    Validation,
    to_json,
)
from wizard.model.training.lines import LONGEST, Lines, bar
from wizard.model.training.log import LOSS_DIVERGES, LOSS_NAN, NO_STEP, TrainingLog
from wizard.model.training.pace import Pace
from wizard.model.training.settings import Settings

LOGS = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "logs").glob("*.log"))}
OWN = re.compile(rb"^\*\*\* .*[gG]lobal step", re.MULTILINE)


class Known:
    """A catalogue with one failure."""

    def find(self, line: str) -> Failure | None:
        return Failure("known", text=line) if "Error: known" in line else None

    def worded(self, failure: Failure) -> Failure:
        return failure


def read(
    data: bytes | str, *, rows: int | None = None, cuts: Sequence[int] = ()
) -> tuple[TrainingLog, list[TrainingEvent]]:
    data = data.encode() if isinstance(data, str) else data
    log = TrainingLog(Known(), rows=rows)
    events: list[TrainingEvent] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for begin, end in pairwise(edges):
        events += log.feed(data[begin:end])
    return log, events + log.close()


def of(events: list[TrainingEvent], kind: type) -> list[TrainingEvent]:
    return [event for event in events if isinstance(event, kind)]


# --- the measured logs ---


@pytest.mark.parametrize("name", LOGS)
def test_no_line_of_a_measured_log_is_missed(name: str) -> None:
    log, events = read(LOGS[name])
    assert list(log.unknown) == []
    assert len(of(events, Step)) == len(OWN.findall(LOGS[name]))
    assert len(of(events, Validation)) == len(re.findall(rb"Validation WER", LOGS[name]))
    assert len(of(events, Sample)) == len(re.findall(rb"Sample prediction", LOGS[name]))


def test_a_whole_training() -> None:
    log, events = read(LOGS["toy_jasper"], rows=10)
    assert events[0] == Begun("scratch")
    assert of(events, Step)[:2] == [
        Step(1, 1, 1569.512, None, 30, None),
        Step(6, 6, 1098.9148, 1.347, 30, 24 * 1.347),
    ]
    assert of(events, Validation)[0] == Validation(1745.7588, 1.0213)
    assert of(events, Sample)[1] == Sample("there was no autopsy period", "yeyeyeyeyeyeeyeyeyey", 1.0)
    assert of(events, Speed) == [Speed(seconds_per_step=1.17), Speed(objects_per_second=5502.586)]
    assert log.finished == Finished("training")
    assert log.parameters == 964_125
    assert log.settings == Settings(
        batch_size_per_gpu=10,
        num_epochs=30,
        num_gpus=1,
        print_loss_steps=5,
        print_samples_steps=10,
        eval_steps=10,
        save_checkpoint_steps=10,
        logdir="/data/toy/logs",
        dataset_files=("open_seq2seq/test_utils/toy_speech_data/toy_data.csv",),
    )


def test_the_phases_of_a_training() -> None:
    _log, events = read(LOGS["mini_hvd"])
    doing = [event.doing for event in events if isinstance(event, Phase)]
    assert doing[:4] == [Doing.BUILDING, Doing.PREPARING, Doing.VALIDATING, Doing.TRAINING]
    assert doing[-1] is Doing.ENDING


def test_horovod_names_three_files_and_its_ranks() -> None:
    log, _events = read(LOGS["mini_hvd"], rows=30)
    assert log.settings.use_horovod
    assert [name.rpartition("-")[2] for name in log.settings.dataset_files] == ["100.csv", "360.csv", "500.csv"]
    assert log.total_steps == 3


def test_each_process_of_horovod_builds_its_graph() -> None:
    """Their number divides the data."""
    text = made(Made(horovod=True)).replace("rank: 0\n", "rank: 0\n*** Building graph in Horovod rank: 3\n")
    log, _events = read(text, rows=28_539)
    assert log.ranks == 4
    assert log.total_steps == 2 * (28_539 // 32 // 4)


def test_a_training_that_goes_on() -> None:
    log, events = read(LOGS["toy_continue"], rows=10)
    assert events[0] == Begun("checkpoint", 30, "/data/toy/logs/model.ckpt-30")
    assert of(events, Step)[-1] == Step(33, 33, 393.9634, 2.125, 34, 2.125)
    assert log.finished


def test_evaluation_and_inference() -> None:
    _log, events = read(LOGS["toy_eval"])
    assert of(events, Validation) == [Validation(None, 1.0)]
    assert events[-2:] == [Finished("evaluation"), Phase(Doing.ENDING)]
    _log, events = read(LOGS["mini_infer"])
    assert of(events, Progress) == [Progress(1, 3, "steps"), Progress(3, 3, "steps")]
    assert of(events, Phase)[1] == Phase(Doing.INFERRING)
    assert events[-2] == Finished("inference")


def test_steps_without_epochs() -> None:
    _log, events = read(LOGS["ds2_toy_cpu"])
    assert of(events, Step)[1] == Step(6, None, 571.5043, 34.954, 30, 24 * 34.954)


# --- the other tasks ---


def test_a_language_model() -> None:
    log, events = read(LANGUAGE_MODEL)
    assert of(events, Step) == [Step(1, 0, 10.408), Step(11, 0, 7.0, 0.25)]
    assert of(events, Validation) == [Validation(6.12, None, (("ppl", 454.8647), ("bpc", 8.8293)))]
    assert of(events, Sample) == [Sample("game of", "the of")]
    assert list(log.unknown) == []


def test_a_translation() -> None:
    log, events = read(TRANSLATION)
    assert events[0] == Begun("base-model")
    assert of(events, Validation) == [Validation(8.0, None, (("bleu", 0.1234),))]
    assert of(events, Sample) == [Sample("c b a", "c c c"), Sample("e d", "e e")]
    assert of(events, Step)[1] == Step(101, None, 3.0, 0.1)
    assert list(log.unknown) == []


def test_speech_commands() -> None:
    log, events = read(COMMANDS)
    assert of(events, Validation) == [Validation(3.3, None, (("top-1", 0.04), ("top-5", 0.19)))]
    assert list(log.unknown) == []


# --- lines that are not as they should be ---

BEGIN = "*** Epoch 0, global step 1: ***     Train loss: 747.0100 "
TIME = "time per step = 0:00:44.949"


@pytest.mark.parametrize("noise", [CPP, MPI, CPP + MPI + CPP])
@pytest.mark.parametrize("place", [*range(len(BEGIN) + 1)])
def test_a_line_cut_anywhere_is_put_together(noise: str, place: int) -> None:
    _log, events = read(f"{BEGIN[:place]}{noise}{BEGIN[place:]}\n{TIME}\n{BEGIN}\n{TIME}\n")
    assert of(events, Step) == [Step(1, 0, 747.01), Step(1, 0, 747.01, 44.949)]


def test_a_line_whose_end_comes_after_the_noise() -> None:
    _log, events = read(
        f"***     Sample WER: 1.0000{CPP}\n***     Sample target:     a{CPP}\n***     Sample prediction:\n"
    )
    assert of(events, Sample) == [Sample("a", "", 1.0)]


def test_a_configuration_cut_by_noise() -> None:
    text = (
        made(Made(epochs=1)).replace("'num_epochs': 1,", f"'num_{CPP}epochs': 1,").replace("100.csv", f"10{MPI}0.csv")
    )
    log, _events = read(text, rows=28_539)
    assert log.total_steps == 891
    assert log.settings.dataset_files[0] == "/data/librispeech/librivox-train-clean-100.csv"


def test_a_terminal_ends_its_lines_with_two_characters() -> None:
    plain, terminal = read(LOGS["mini_hvd"]), read(LOGS["mini_hvd"].replace(b"\n", b"\r\n"))
    assert plain[1] == terminal[1]
    assert plain[0].settings == terminal[0].settings


def test_a_line_that_overwrites_itself() -> None:
    _log, events = read("*** Processed 1 batches\r*** Processed 2 batches\r*** Processed 3 batches on worker 1\r")
    assert of(events, Progress) == [Progress(1, None, "steps"), Progress(2, None, "steps")]


@pytest.mark.parametrize("loss", ["nan", "-nan", "inf", "-inf"])
def test_a_loss_that_is_no_number(loss: str) -> None:
    text = BEGIN.replace("747.0100", loss)
    _log, events = read(f"{text}\n{TIME}\n{text}\n{TIME}\n")
    assert [event.id for event in events if isinstance(event, Failure)] == [LOSS_NAN]
    assert len(of(events, Step)) == 2
    assert to_json(of(events, Step)[0])["loss"] is None


def test_a_loss_that_climbs() -> None:
    losses = [800.0, *[100.0 - number for number in range(30)], *[90.0 * 1.2**number for number in range(20)]]
    text = "".join(f"*** Global step {step + 1}: ***     Train loss: {loss:.4f} \n" for step, loss in enumerate(losses))
    _log, events = read(text)
    failures = [event for event in events if isinstance(event, Failure)]
    assert [failure.id for failure in failures] == [LOSS_DIVERGES]
    assert not failures[0].fatal


def test_a_loss_that_falls_is_nothing_to_name() -> None:
    for name in LOGS:
        assert not [event for event in read(LOGS[name])[1] if isinstance(event, Failure)]
    assert not of(read(made(Made()))[1], Failure)


def test_a_failure_is_told_once_and_the_last_one_counts() -> None:
    log, events = read("ValueError: known 1\nValueError: known 2\n" * 4)
    assert [event.text for event in events if isinstance(event, Failure)] == ["ValueError: known 1"]
    assert log.failure == Failure("known", text="ValueError: known 2")


def test_what_a_model_hears_is_no_failure() -> None:
    log, events = read("***     Sample target:     a\n***     Sample prediction: Error: known\n")
    assert log.failure is None
    assert of(events, Sample) == [Sample("a", "Error: known")]


def test_lines_that_nobody_knows_are_kept_for_a_look() -> None:
    log, _events = read("*** Something new: 1\n")
    assert list(log.unknown) == ["*** Something new: 1"]


def test_the_bars_of_the_import() -> None:
    lines = Lines()
    bars = [bar(line) for line in lines.feed(LOGS["imp"])]
    found = [one for one in bars if one]
    assert found[:6] == [(0, 7), (7, 7), (0, 7), (5, 7), (7, 7), (0, 7)]
    assert found[-1] == (7, 7)
    assert len(found) == LOGS["imp"].count(b"/7 [")


# --- time ---


@pytest.mark.parametrize(
    "training",
    [
        Made(),
        Made(seed=1, evaluation=400.0),
        Made(seed=2, print_steps=1, eval_steps=50, checkpoint_steps=25, checkpoint=0.5),
        Made(seed=3, begin=440),
        Made(seed=4, start=600.0),
    ],
    ids=["usual", "long-evaluation", "every-step", "resumed", "slow-start"],
)
def test_time_left_is_right_from_the_third_report_on(training: Made) -> None:
    """Within a tenth of the truth, evaluations and checkpoints included."""
    log, clock = TrainingLog(rows=training.rows), Clock()
    told: list[tuple[int, float, float]] = []
    for piece in training.pieces(clock):
        for event in log.feed(piece.encode(), clock.now):
            if isinstance(event, Step):
                assert event.total_steps == training.total
                told.append((event.step, clock.now, math.nan if event.eta_seconds is None else event.eta_seconds))
    wrong = [
        (step, eta, clock.now - now)
        for step, now, eta in told[2:]
        if not abs(eta - (clock.now - now))
        <= 0.1 * (clock.now - now) + training.evaluation * (step > training.total - 250)
    ]
    assert len(told) > 100
    assert wrong == []


def test_a_log_read_again_knows_its_evaluations_by_the_reports() -> None:
    training = Made(epochs=4)
    clock, log = Clock(), TrainingLog(rows=training.rows)
    for piece in training.pieces(clock):
        for event in log.feed(piece.encode()):
            if isinstance(event, Step) and event.step == 1771:
                left = event.eta_seconds
                at = clock.now
    assert left == pytest.approx(clock.now - at, rel=0.1)


def test_a_log_read_late_at_one_go_measures_no_evaluation() -> None:
    """A wizard that comes back reads hours of log in one piece."""
    training = Made(epochs=4)
    clock, late, told = Clock(), TrainingLog(rows=training.rows), ""
    for piece in training.pieces(clock):
        told += piece
        if "global step 1771:" in piece:
            break
    now = clock.now
    steps = [event for event in late.feed(told.encode(), now) if isinstance(event, Step)]
    rest = Clock()
    for _piece in training.pieces(rest):
        pass
    assert steps[-1].eta_seconds == pytest.approx(rest.now - now, rel=0.1)


@pytest.mark.parametrize("printed", ["-1:59:55.000", "-876:00:0.000", "0:06:00.500", "87600:00:0.500"])
@pytest.mark.parametrize("step", [1001, 1201])
def test_a_clock_that_is_set_during_the_run(printed: str, step: int) -> None:
    """The program measures with the wall clock: one report is too short by years, or too long."""
    training = Made(epochs=4)
    log, clock, told = TrainingLog(rows=training.rows), Clock(), list[tuple[Step, float]]()
    for piece in training.pieces(clock):
        if f"global step {step}:" in piece:
            piece = re.sub(r"time per step = \S+", f"time per step = {printed}", piece)
        told += [(event, clock.now) for event in log.feed(piece.encode(), clock.now) if isinstance(event, Step)]
    assert step in [event.step for event, _now in told]
    for event, now in told[2:]:
        assert event.eta_seconds == pytest.approx(clock.now - now, rel=0.1, abs=training.evaluation)
        assert (event.seconds_per_step or 0.5) == pytest.approx(0.5, rel=0.5) or event.step != step
    assert not log.unknown


def test_a_training_that_becomes_ten_times_slower_is_believed_the_second_time() -> None:
    pace, plain = Pace(), Settings()
    for step in range(1, 11):
        pace.report(step, 10.0)
    assert not pace.report(11, 1000.0)
    assert pace.eta(plain, 21) == pytest.approx(100)
    assert pace.report(12, 1000.0)
    assert (pace.eta(plain, 22) or 0) > 1000


def test_no_total_where_the_rows_are_not_those_of_the_run() -> None:
    """The epochs that are printed tell: step 11 is in epoch 3 where an epoch has three steps."""
    _log, events = read(made(Made()), rows=100)
    assert {event.total_steps for event in events if isinstance(event, Step) and event.step > 3} == {None}


def test_the_time_of_the_start_is_no_step() -> None:
    _log, events = read(f"{BEGIN}\n{TIME}\n")
    assert of(events, Step) == [Step(1, 0, 747.01)]


def test_silence_is_explained_and_then_named() -> None:
    log = TrainingLog()
    log.feed(b"*** Building graph on GPU:0\n", 10.0)
    assert log.silence(10.0) is None
    assert log.silence(500.0) == Silence(Doing.BUILDING, 490.0)
    clock = Clock(500.0)
    training = Made(epochs=1, step=10.0, start=0.0, evaluation=20.0)
    pieces = training.pieces(clock)
    for _number in range(8):
        log.feed(next(pieces).encode(), clock.now)
    assert log.doing is Doing.TRAINING
    waiting = log.silence(clock.now + 500)
    assert isinstance(waiting, Silence)
    assert waiting.limit == pytest.approx(1000, rel=0.3)
    stalled = log.silence(clock.now + 1500)
    assert isinstance(stalled, Failure)
    assert (stalled.id, stalled.fatal) == (NO_STEP, False)
    assert log.silence(clock.now - 3600) is None, "the clock was set back"
    log.feed(b"*** Running evaluation on a validation set:\n", clock.now)
    assert isinstance(log.silence(clock.now + 190), Silence)
    assert isinstance(log.silence(clock.now + 250), Failure)


def test_a_finished_training_is_silent() -> None:
    log, _events = read(LOGS["toy_jasper"])
    assert log.silence(1.0) is None
    assert log.silence(1e9) is None


# --- any bytes ---

WORDS = [
    *LANGUAGE_MODEL.splitlines(),
    *TRANSLATION.splitlines(),
    *COMMANDS.splitlines(),
    *made(Made(rows=64, epochs=2, begin=1)).splitlines(),
    CPP.strip(),
    MPI.strip(),
    "ValueError: known",
    "*** Processed 3/3 batches on worker 0",
    "***     Sample prediction:",
    "*** Epoch 0, global step 1: ",
    "",
    "\ufeff*** ",
    "*** Epoch 99999999999999999999999999, global step ٣: ***     Train loss: 1e999 ",
]
texts = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(WORDS), st.text(max_size=30), st.text("*{} '0:[]", max_size=12)),
        st.sampled_from(["\n", "\r\n", "\r", "", "\n\n"]),
    ),
    max_size=30,
).map(lambda lines: "".join(line + end for line, end in lines))


@given(texts, st.lists(st.integers(0, 3000), max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_pieces_give_the_same_events(text: str, cuts: list[int]) -> None:
    whole, pieces = read(text), read(text, cuts=cuts)
    assert repr(whole[1]) == repr(pieces[1])
    assert whole[0].settings == pieces[0].settings


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
@settings(deadline=None)
def test_any_bytes_are_read(data: bytes, cuts: list[int]) -> None:
    assert repr(read(data)[1]) == repr(read(data, cuts=cuts)[1])


@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"a", b"\r").replace(b"b", b"\n"))))
def test_lines_are_the_same_however_the_bytes_come(pieces: list[bytes]) -> None:
    lines, whole = Lines(), Lines()
    found = [line for piece in pieces for line in lines.feed(piece)]
    assert found + lines.close() == whole.feed(b"".join(pieces)) + whole.close()


@pytest.mark.parametrize("size", [1, 700, LONGEST * 3])
def test_a_line_without_an_end_is_bounded(size: int) -> None:
    data = b"x" * (LONGEST * 3) + b"\n*** Finished training\n"
    lines = Lines()
    found = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size])]
    assert found == ["x" * LONGEST, "*** Finished training"]
