from __future__ import annotations

from typing import Any

import pytest

from wizard.model.answers import Answers, FieldError, from_table, to_table
from wizard.model.errors import Problem, exit_code

FULL = Answers(
    key="keyring",
    accept=("register-runtime",),
    image="nvcr.io/nvidia/tensorflow:20.11-tf1-py3",
    data="~/speech data",
    name="openseq2seq",
    gpus="0,1",
    shm="2g",
    rehearsal=True,
    config="jasper-Mini-for-Jetson",
    options=("--num_epochs=10",),
    code="~/OpenSeq2Seq",
    detach=True,
)


@pytest.mark.parametrize("answers", [FULL, Answers(), Answers(data="~/数据"), Answers(rehearsal=True)])
def test_what_is_written_is_read_again(answers: Answers) -> None:
    assert from_table(to_table(answers)) == answers


def test_nothing_is_a_file_of_suggestions() -> None:
    assert from_table({}) == Answers(key="skip")


@pytest.mark.parametrize(
    ("raw", "table", "key"),
    [
        ({"schema_version": 2}, "", "schema_version"),
        ({"schema_version": "1"}, "", "schema_version"),
        ({"schema_version": True}, "", "schema_version"),
        ({"wrokspace": {}}, "", "wrokspace"),
        ({"workspace": "x"}, "", "workspace"),
        ({"workspace": [{}]}, "", "workspace"),
        ({"workspace": {"nmae": "x"}}, "workspace", "nmae"),
        ({"workspace": {"shm": 1}}, "workspace", "shm"),
        ({"workspace": {"accept": ["x"]}}, "workspace", "accept"),
        ({"repairs": {"accept": "register-runtime"}}, "repairs", "accept"),
        ({"repairs": {"accept": [1]}}, "repairs", "accept"),
        ({"account": {"key": "session"}}, "account", "key"),
        ({"train": True}, "", "train"),
        ({"train": {"epochs": 3}}, "train", "epochs"),
        ({"train": {"rehearsal": "yes"}}, "train", "rehearsal"),
        ({"train": {"rehearsal": 1}}, "train", "rehearsal"),
        ({"train": {"config": True}}, "train", "config"),
        ({"train": {"config": "x", "options": "--num_epochs=1"}}, "train", "options"),
        ({"train": {"config": "x", "options": ["num_epochs=1"]}}, "train", "options"),
        ({"train": {"config": "x", "options": ["--num_epochs"]}}, "train", "options"),
        ({"train": {"rehearsal": True, "options": ["--num_epochs=1"]}}, "train", "options"),
        ({"train": {"rehearsal": True, "detach": True}}, "train", "detach"),
        ({"train": {"code": "/mirror"}}, "train", "code"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(raw: dict[str, Any], table: str, key: str) -> None:
    with pytest.raises(FieldError) as caught:
        from_table(raw)
    assert (caught.value.table, caught.value.key) == (table, key)
    assert caught.value.hint
    assert exit_code(caught.value.kind) == 2


def test_a_key_in_the_file_is_refused_and_not_repeated() -> None:
    with pytest.raises(FieldError) as caught:
        from_table({"account": {"key": "nvapi-canary"}})
    assert caught.value.kind is Problem.BAD_INPUT
    assert "canary" not in repr((caught.value, caught.value.subject, caught.value.hint, caught.value.text))
