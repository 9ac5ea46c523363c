"""The events of a training as JSON lines, and the length of a training from its settings."""

from __future__ import annotations

import json
import math

import pytest

from wizard.model.event import Progress
from wizard.model.training.events import (
    Begun,
    Checkpoint,
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
from wizard.model.training.settings import Settings

CONTRACT: list[tuple[TrainingEvent, dict[str, object]]] = [
    (
        Step(11, 0, 612.2, 21.1, 439_400, 9.5),
        {
            "event": "step",
            "step": 11,
            "epoch": 0,
            "loss": 612.2,
            "seconds_per_step": 21.1,
            "total_steps": 439_400,
            "eta_seconds": 9.5,
        },
    ),
    (Validation(805.7, 1.02), {"event": "validation", "loss": 805.7, "wer": 1.02}),
    (Sample("a b", "", 1.0), {"event": "sample", "target": "a b", "prediction": "", "wer": 1.0}),
    (
        Checkpoint("/data/l/logs/model.ckpt-7", 7),
        {"event": "checkpoint", "path": "/data/l/logs/model.ckpt-7", "step": 7},
    ),
    (Finished("training"), {"event": "finished", "what": "training"}),
]


@pytest.mark.parametrize(("event", "expected"), CONTRACT)
def test_the_lines_are_those_of_the_contract(event: TrainingEvent, expected: dict[str, object]) -> None:
    assert to_json(event) == expected


def test_a_failure_carries_its_words() -> None:
    line = to_json(Failure("gpu-memory", "Too little.", ("Take half.",), "text", "", ("half-batch",)))
    assert {key: line[key] for key in ("event", "id", "summary", "advice")} == {
        "event": "failure",
        "id": "gpu-memory",
        "summary": "Too little.",
        "advice": ["Take half."],
    }


@pytest.mark.parametrize(
    "event",
    [
        Step(1, None, math.nan),
        Step(1, 0, math.inf, math.nan, 3, math.inf),
        Validation(math.nan, math.inf, (("top-1", math.nan),)),
        Silence(Doing.VALIDATING, 3.0),
        Phase(Doing.TRAINING),
        Begun("checkpoint", 30, "/data/toy/logs/model.ckpt-30"),
        Progress(1, 3, "steps"),
        Speed(1.17),
        Failure("x", subject="y"),
    ],
)
def test_every_event_is_one_line_of_strict_json(event: TrainingEvent) -> None:
    text = json.dumps(to_json(event), allow_nan=False)
    assert "\n" not in text
    assert json.loads(text)["event"]


@pytest.mark.parametrize(
    ("settings", "rows", "ranks", "total"),
    [
        (Settings(batch_size_per_gpu=32, num_epochs=50, num_gpus=1, use_horovod=True), 281_241, 1, 439_400),
        (Settings(batch_size_per_gpu=10, num_epochs=30, num_gpus=1), 10, 1, 30),
        (Settings(batch_size_per_gpu=4, num_epochs=1, num_gpus=1), 30, 1, 7),
        (Settings(batch_size_per_gpu=10, num_epochs=1, num_gpus=8, use_horovod=True), 30, 1, 3),
        (Settings(batch_size_per_gpu=4, num_epochs=2, num_gpus=8, use_horovod=True), 30, 2, 6),
        (Settings(batch_size_per_gpu=4, num_epochs=2, num_gpus=2), 30, 1, 6),
        (Settings(batch_size_per_gpu=2, num_epochs=2, use_horovod=True, iter_size=4), 30, 1, 6),
        (Settings(batch_size_per_gpu=8, max_steps=30), None, 1, 30),
        (Settings(batch_size_per_gpu=32, num_epochs=50), 30, 1, None),
        (Settings(batch_size_per_gpu=32, num_epochs=50), None, 1, None),
        (Settings(), 30, 1, None),
    ],
)
def test_the_number_of_steps(settings: Settings, rows: int | None, ranks: int, total: int | None) -> None:
    assert settings.total_steps(rows, ranks) == total
