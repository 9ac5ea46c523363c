"""The catalogue of training failures: every sample names its row, every log that failed its reason."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.knowledge import training_failures
from wizard.knowledge.training_failures import Row
from wizard.model.training.events import Failure, Finished
from wizard.model.training.log import LOSS_DIVERGES, LOSS_NAN, NO_STEP, TrainingLog

ROWS = training_failures.rows()
LOGS = Path(__file__).resolve().parents[1] / "model" / "logs"
UNSAID = {LOSS_NAN, LOSS_DIVERGES, NO_STEP, "terminated"}
"""failures that no line names"""


def log(text: bytes) -> TrainingLog:
    read = TrainingLog(training_failures)
    read.feed(text)
    read.close()
    return read


@pytest.mark.parametrize(("id", "sample"), [(row.id, sample) for row in ROWS.values() for sample in row.samples])
def test_every_sample_names_its_row(id: str, sample: str) -> None:
    found = training_failures.find(sample)
    assert found is not None
    assert found.id == id
    assert found.summary
    assert found.cause
    assert found.advice


@pytest.mark.parametrize(("id", "near"), [(row.id, near) for row in ROWS.values() for near in row.near])
def test_what_looks_alike_is_not_taken_for_it(id: str, near: str) -> None:
    found = training_failures.find(near)
    assert found is None or found.id != id


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.id)
def test_every_row_is_whole(row: Row) -> None:
    assert row.title
    assert not row.title.endswith(".")
    assert row.cause.endswith(".")
    assert row.advice
    assert row.remedies
    assert bool(row.samples) == bool(row.patterns) == (row.id not in UNSAID)
    for pattern in row.patterns:
        assert not re.search(r"(?<!\\)\.\*", pattern), "gaps are bounded, so that no line makes it slow"
        assert any(re.search(pattern, sample) for sample in row.samples), pattern


@pytest.mark.parametrize(
    ("name", "id", "subject"),
    [
        ("err2_dataset_override", "option-unknown", "--data_layer_params/dataset_files=/data/x.csv"),
        ("err6_sample_rate", "wav-rate", "/data/err6/8k.wav"),
        ("mini_hvd_batchtoobig", "batch-too-big", ""),
        ("mini_literal", "log-folder-fresh", ""),
        ("mini_nodata", "csv-missing", "/data/librispeech/librivox-train-clean-100.csv"),
        ("mini_nonempty", "log-folder-not-empty", ""),
        ("mini_nonempty_cont", "no-checkpoint", "jasper_log_folder/logs"),
        ("ds2_toy_cpu", "interrupted", ""),
    ],
)
def test_a_run_that_failed_tells_why(name: str, id: str, subject: str) -> None:
    read = log((LOGS / f"{name}.log").read_bytes())
    found = training_failures.verdict(read.failure, read.finished, 2 if "override" in name else 1)
    assert found is not None
    assert (found.id, found.subject) == (id, subject)


@pytest.mark.parametrize("name", ["toy_jasper", "toy_continue", "toy_eval", "mini_infer", "mini_hvd", "imp"])
def test_a_run_that_went_well_has_no_failure(name: str) -> None:
    read = log((LOGS / f"{name}.log").read_bytes())
    assert read.failure is None
    assert training_failures.verdict(read.failure, read.finished, 0) is None


@pytest.mark.parametrize(
    ("code", "id"),
    [
        (137, "host-memory"),
        (-9, "host-memory"),
        (143, "terminated"),
        (-15, "terminated"),
        (130, "interrupted"),
        (2, "option-refused"),
        (139, "crashed"),
        (135, "shared-memory"),
        (127, "command-not-found"),
        (1, "python-error"),
        (99, "python-error"),
    ],
)
def test_a_silent_end_is_told_by_its_code(code: int, id: str) -> None:
    found = training_failures.verdict(None, None, code)
    assert found is not None
    assert (found.id, found.subject) == (id, str(code))
    assert found.summary


def test_the_words_of_a_line_count_more_than_the_code() -> None:
    memory = training_failures.find("ResourceExhaustedError: OOM when allocating tensor")
    assert training_failures.verdict(memory, None, 1) == memory
    assert training_failures.verdict(memory, None, 137) == memory


def test_what_ended_it_is_what_was_said_last() -> None:
    text = (
        b"W tensorflow/core/framework/op_kernel.cc:1389] Unknown: KeyError: 'H'\n"
        b"tensorflow.python.framework.errors_impl.UnknownError: KeyError: 'H'\n"
        b"Traceback (most recent call last):\n"
        b'  File "a.py", line 3, in <module>\n'
        b"    raise ValueError('Overall batch size is too big for this dataset.')\n"
        b"RuntimeError: something that follows\n"
        b"/a.py:520: RuntimeWarning: invalid value encountered in true_divide\n"
        b"Primary job  terminated normally, but 1 process returned\n"
    )
    read = log(text)
    found = training_failures.verdict(read.failure, None, 1)
    assert found is not None
    assert (found.id, found.subject) == ("vocabulary", "H")


def test_a_general_error_shows_its_text() -> None:
    read = log(b"a.b.StrangeError: nobody knows\nPrimary job  terminated normally, but 1 process returned\n")
    found = training_failures.verdict(read.failure, None, 1)
    assert found is not None
    assert found.general


def test_a_warning_does_not_end_a_run() -> None:
    warning = training_failures.find("E tensorflow/a.cc:300] failed call to cuInit: CUDA_ERROR_NO_DEVICE")
    assert warning is not None
    assert not warning.fatal
    assert training_failures.verdict(warning, Finished("training"), 0) is None
    assert training_failures.verdict(warning, Finished("training"), None) is None
    killed = training_failures.verdict(warning, None, 137)
    assert killed is not None
    assert killed.id == "host-memory"


def test_an_unknown_end_is_no_failure_while_the_code_is_not_known() -> None:
    assert training_failures.verdict(None, None, None) is None


@given(st.text(max_size=200), st.sampled_from([sample for row in ROWS.values() for sample in row.samples]))
def test_any_line_is_looked_up(noise: str, sample: str) -> None:
    training_failures.find(noise)
    training_failures.find(noise + sample + noise)


def test_no_failure_is_told_twice() -> None:
    titles = [row.title for row in ROWS.values()]
    assert len(set(titles)) == len(titles)
    codes = list(itertools.chain.from_iterable(row.codes for row in ROWS.values()))
    assert len(set(codes)) == len(codes)


def test_the_kinds_that_numbers_show_have_words() -> None:
    for name in (LOSS_NAN, LOSS_DIVERGES, NO_STEP):
        assert training_failures.worded(Failure(name)).summary
