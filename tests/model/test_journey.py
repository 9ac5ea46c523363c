"""The steps, and the resume point as bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model.journey import Journey, Step, from_bytes, to_bytes

TEXTS = st.text(max_size=20)
LISTS = st.lists(TEXTS, max_size=3).map(tuple)
JOURNEYS = st.builds(
    Journey,
    done=st.frozensets(st.sampled_from(Step)),
    skipped=st.frozensets(st.sampled_from(Step)),
    key=TEXTS,
    image=TEXTS,
    name=TEXTS,
    data=TEXTS,
    gpus=TEXTS,
    shm=st.integers(0, 2**50),
    cpu_only=st.booleans(),
    config=TEXTS,
    declined=LISTS,
    receipts=LISTS,
    notes=LISTS,
)


@given(JOURNEYS)
def test_a_resume_point_is_read_as_it_was_written(journey: Journey) -> None:
    assert from_bytes(to_bytes(journey)) == journey


@given(st.binary(max_size=200))
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"schema_version": None},
        {"done": ["welcome", "some-later-step"]},
        {"done": "welcome"},
        {"done": None},
        {"shm": "1g"},
        {"shm": True},
        {"cpu_only": 1},
        {"image": 5},
        {"notes": "abc"},
        {"notes": None},
    ],
    ids=str,
)
def test_a_newer_or_damaged_resume_point_is_a_value_error(change: dict[str, Any]) -> None:
    raw = json.loads(to_bytes(Journey()))
    with pytest.raises(ValueError, match=r"."):
        from_bytes(json.dumps({**raw, **change}).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"3", b"\xff", b"[" * 100_000, b'{"schema_version": 1}'])
def test_what_is_no_resume_point_at_all(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_bytes(data)


def test_fields_that_are_missing_are_not_decided() -> None:
    assert from_bytes(b'{"schema_version": 1, "done": ["welcome"], "skipped": []}') == Journey().finished(Step.WELCOME)


def test_a_resume_point_from_before_there_were_trainings_leads_to_them() -> None:
    raw = json.loads(to_bytes(Journey(done=frozenset(Step) - {Step.TRAIN}, name="mine")))
    del raw["config"]
    old = from_bytes(json.dumps(raw).encode())
    assert old.name == "mine"
    assert old.first_open is Step.TRAIN


def test_a_step_is_done_or_skipped_never_both() -> None:
    journey = Journey().finished(Step.ACCOUNT).passed_over(Step.ACCOUNT)
    assert (journey.done, journey.skipped) == (frozenset(), frozenset({Step.ACCOUNT}))
    journey = journey.finished(Step.ACCOUNT)
    assert (journey.done, journey.skipped) == (frozenset({Step.ACCOUNT}), frozenset())
    assert journey.reopened(Step.ACCOUNT) == Journey()


def test_the_first_open_step_is_the_first_that_was_not_left() -> None:
    journey = Journey()
    for step in Step:
        assert journey.first_open is step
        journey = journey.finished(step) if step.number % 2 else journey.passed_over(step)
    assert journey.first_open is Step.FINISH
