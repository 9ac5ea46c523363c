"""What a training says while it runs, as data, and as the JSON lines of ``train --json``.

Losses and error rates are as they were printed and may be ``nan`` or ``inf``; JSON has no word for these, so they are
null there. Seconds are of wall time, also those of a single step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from wizard.model.event import Progress


@dataclass(frozen=True, slots=True)
class Begun:
    """The training begins. ``step`` is where: 0 for a new one, else the step of the checkpoint that was restored.

    ``how`` is ``"scratch"``, ``"base-model"`` or ``"checkpoint"``; ``path`` the checkpoint's, without suffix.
    """

    how: str
    step: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One reported step. ``epoch`` is None where the training counts steps only.

    ``seconds_per_step`` holds evaluation and checkpoints; it is None for the first report of a run, which measures the
    start. ``total_steps`` and ``eta_seconds`` are computed, and None while something for it is missing.
    """

    step: int
    epoch: int | None
    loss: float
    seconds_per_step: float | None = None
    total_steps: int | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """The model measured on data that it does not learn from. ``wer`` is the share of wrong words and can exceed 1.

    ``measures`` are what other tasks than speech recognition print: ``("top-1", 0.71)``, ``("bleu", 0.29)``.
    """

    loss: float | None
    wer: float | None = None
    measures: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One utterance: what was said, what the model heard, and the share of wrong words."""

    target: str
    prediction: str
    wer: float | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint is on the disk. ``path`` is without suffix: ``/data/run/logs/model.ckpt-1100``."""

    path: str
    step: int


class Doing(str, Enum):
    """What the program is doing."""

    STARTING = "starting"
    """Python and TensorFlow are being loaded, and the data files are read"""
    BUILDING = "building"
    """the graph of the model is being built"""
    PREPARING = "preparing"
    """the variables are set up or restored, and the first batch is read"""
    VALIDATING = "validating"
    """a pass over the whole validation set in the middle of a training"""
    TRAINING = "training"
    EVALUATING = "evaluating"
    """the mode ``eval``"""
    INFERRING = "inferring"
    """the mode ``infer``"""
    ENDING = "ending"
    """the work is done; the last files are being written"""


@dataclass(frozen=True, slots=True)
class Phase:
    """The program begins something else. ``wizard.model.training.watch.explained`` has the words."""

    doing: Doing


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing has come for ``seconds`` while ``doing``, and that is no reason to worry yet.

    ``limit`` is the silence from which on it is a stall, None while there is nothing to compare with.
    """

    doing: Doing
    seconds: float
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Something went wrong. ``id`` is a row of the catalogue of training failures.

    ``summary`` (one line), ``cause`` and ``advice`` are translated texts, empty until the catalogue has filled them in.
    ``text`` is what was read, ``subject`` what it is about (a file, a character, an option), ``remedies`` the ids of
    what can be done. ``fatal`` tells whether the run ends with it; a ``general`` one says only that it ended.
    """

    id: str
    summary: str = ""
    advice: tuple[str, ...] = ()
    text: str = ""
    subject: str = ""
    remedies: tuple[str, ...] = ()
    fatal: bool = True
    cause: str = ""
    general: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended as it should. ``what`` is ``"training"``, ``"evaluation"`` or ``"inference"``."""

    what: str


@dataclass(frozen=True, slots=True)
class Speed:
    """What the program measured itself, one of both at a time: the first ten steps are left out.

    An object is, for speech, a frame of 10 ms: a hundred are one second of audio.
    """

    seconds_per_step: float | None = None
    objects_per_second: float | None = None


TrainingEvent = (
    Begun | Step | Validation | Sample | Checkpoint | Phase | Silence | Failure | Finished | Speed | Progress
)


def to_json(event: TrainingEvent) -> dict[str, Any]:
    """The event as ``train --json`` prints it, one object a line."""
    match event:
        case Begun():
            return {"event": "begun", "how": event.how, "step": event.step, "path": event.path or None}
        case Step():
            return {
                "event": "step",
                "step": event.step,
                "epoch": event.epoch,
                "loss": _plain(event.loss),
                "seconds_per_step": _plain(event.seconds_per_step),
                "total_steps": event.total_steps,
                "eta_seconds": _plain(event.eta_seconds),
            }
        case Validation():
            line = {"event": "validation", "loss": _plain(event.loss), "wer": _plain(event.wer)}
            measures = {name: _plain(value) for name, value in event.measures}
            return {**line, "measures": measures} if measures else line
        case Sample():
            return {
                "event": "sample",
                "target": event.target,
                "prediction": event.prediction,
                "wer": _plain(event.wer),
            }
        case Checkpoint():
            return {"event": "checkpoint", "path": event.path, "step": event.step}
        case Phase():
            return {"event": "phase", "doing": event.doing.value}
        case Silence():
            return {
                "event": "silence",
                "doing": event.doing.value,
                "seconds": _plain(event.seconds),
                "limit": _plain(event.limit),
            }
        case Failure():
            return {
                "event": "failure",
                "id": event.id,
                "summary": event.summary,
                "cause": event.cause,
                "advice": list(event.advice),
                "subject": event.subject or None,
                "remedies": list(event.remedies),
            }
        case Finished():
            return {"event": "finished", "what": event.what}
        case Speed():
            return {
                "event": "speed",
                "seconds_per_step": _plain(event.seconds_per_step),
                "objects_per_second": _plain(event.objects_per_second),
            }
        case Progress():
            return {"event": "progress", "done": event.done, "total": event.total, "unit": event.unit}


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
