"""The log of OpenSeq2Seq, read as it is written: bytes in, events out.

The formats are those of the source at commit 8681d381 (``utils/hooks.py``, ``utils/utils.py``, ``models/*.py``). A log
may be the program's standard output, with or without a terminal, the file ``stdout_*.log`` of a log folder, or both
outputs of the program in one. In that case TensorFlow's own lines, which go straight to the descriptor, stand in the
middle of others; so do OpenMPI's. They are taken out and the pieces are put together again.

Memory is constant: only what the next event needs is kept.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import deque
from dataclasses import replace
from typing import Protocol

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
)
from wizard.model.training.lines import Lines
from wizard.model.training.pace import Pace
from wizard.model.training.settings import Settings

LOSS_NAN = "loss-nan"
LOSS_DIVERGES = "loss-diverges"
NO_STEP = "no-step"
"""Failures that no line names: they are seen in the course of the numbers."""

_DIGITS = 16
_NUMBER = r"(?:[-+]?(?:nan|inf)|[-+]?\d{1,300}(?:\.\d{1,300})?(?:[eE][-+]?\d{1,3})?)"
_TIME = r"time per step = (?P<h>-?\d{1,9}):(?P<m>\d{1,2}):(?P<s>\d{1,9}(?:\.\d{1,9})?)"
_TAIL = r"(?: \| ppl = (?P<ppl>\S+) \| bpc = (?P<bpc>[^\s,]+))?"
_AT = r"(?:Epoch (?P<epoch>\d{1,15}), g|G)lobal step (?P<step>\d{1,15}): "
_STEP = re.compile(rf"\*\*\* {_AT}(?:\*\*\* +)?Train loss: (?P<loss>{_NUMBER}){_TAIL}(?:, {_TIME})?\s*")
_TIME_LINE = re.compile(rf"{_TIME}\s*")
_VALIDATION_LOSS = re.compile(rf"\*\*\*\s+Validation loss: (?P<loss>{_NUMBER}){_TAIL}\s*")
_MEASURE = re.compile(
    rf"\*\*\*\s+(?P<name>Validation WER|Validation top-1|Validation top-5|Eval BLUE score|EVAL Accuracy)"
    rf":\s+(?P<value>{_NUMBER})\s*"
)
_MEASURES = {
    "Validation WER": "wer",
    "Validation top-1": "top-1",
    "Validation top-5": "top-5",
    "Eval BLUE score": "bleu",
    "EVAL Accuracy": "accuracy",
}
_LAST_MEASURES = frozenset({"wer", "top-5", "bleu", "accuracy"})
_SAMPLE_WER = re.compile(rf"\*\*\*\s+Sample WER: (?P<wer>{_NUMBER})\s*")
_SAMPLE = re.compile(
    r"\*\*\*\s+\**(?:Sample|(?:Train|TRAIN|EVAL)) (?P<what>[Tt]arget|[Pp]rediction)(?:\[0\])?:(?: {1,5}(?P<text>.*))?"
)
_BEGUN = re.compile(
    r"\*\*\* (?:Starting training from (?P<how>scratch|the base model)"
    r"|(?:Restored checkpoint from|Loading model from) (?P<path>.+?)(?P<resumes>\. Resuming training)?)\s*"
)
_STEP_OF = re.compile(r"-(\d{1,12})$")
_GRAPH = re.compile(r"\*\*\* Building graph (?:on GPU:\d{1,9}|in Horovod rank: (?P<rank>\d{1,9}))\s*")
_BATCHES = re.compile(
    r"\*\*\* Processed (?P<done>\d{1,15})(?:/(?P<total>\d{1,15}))? batches(?: on worker (?P<worker>\d{1,9}))?\s*"
)
_FINISHED = re.compile(r"\*\*\* Finished (?P<what>training|evaluation|inference)\s*")
_SPEED = re.compile(
    rf"\*\*\* Avg (?P<what>time per step|objects per second)(?: on worker \d+)?: (?P<value>{_NUMBER})s?\s*"
)
_CONFIG = re.compile(r"\*\*\* (?P<which>Training|Evaluation|Inference|New benchmarking) config:\s*")
_PARAMETERS = re.compile(r"\*\*\* Total trainable parameters: (?P<count>\d{1,15})\s*")
_PASSED_OVER = re.compile(
    r"\*\*\* (?:"
    r"Running evaluation on a validation set:|Using horovod|Trainable variables:|Complete list of variables:"
    r"|Restoring from the (?:latest|best) checkpoint|Inference Mode\. |Not enough steps for benchmarking"
    r"|Adjusting config for benchmarking|Encountered unknown variable shape|WARNING: |\s+\S+:\d+\s*$|\s+shape: "
    r"|\s+\**(?:Train|TRAIN|EVAL) Source\[0\]:|\s+Train batch top-\d: |\s*(?:Accuracy|Output|Precision): "
    r"|\s+(?:EVAL|TEST) (?:Accuracy|Precision): |(?:Input|Output) sequence: |\s*$)"
)
_VALUE = re.compile(r"[ {]u?'(?P<key>\w+)': (?P<value>[^,}]+)")
_FILES = re.compile(r"u?'dataset_files': \[")
_QUOTED = re.compile(r"u?(?:'([^']*)'|\"([^\"]*)\")")
_WHOLE = frozenset(
    {
        "batch_size_per_gpu",
        "num_epochs",
        "max_steps",
        "num_gpus",
        "iter_size",
        "print_loss_steps",
        "print_samples_steps",
        "eval_steps",
        "save_checkpoint_steps",
    }
)
_FOREIGN = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6}: [IWEF] tensorflow/|\[[\w.-]{1,64}:\d{1,10}\] Read -1, expected"
)
_OPEN_STEP = re.compile(rf"\*\*\* {_AT}[* ]*")
"""The first half of a step's line: the second begins like a line of its own."""
_BEGINS = ("*** ", "time per step", "Traceback", "WARNING:", "{", " '", "  ")
"""What a new line begins with, and the rest of one that was cut does not."""
_MOST_FILES = 100
_SHOWN = 200
_RECENT = 10
"""reports that are compared with the best ones of the run"""
_RISE = 2.0


class Catalogue(Protocol):
    """Where failures are known: the module ``wizard.knowledge.training_failures`` is one."""

    def find(self, line: str) -> Failure | None:
        """The failure that a line names, with its words."""

    def worded(self, failure: Failure) -> Failure:
        """The failure with the words of its row."""


class TrainingLog:
    """Follows one log. ``rows`` are the rows of the training data, ``ranks`` the processes that Horovod started.

    ``rows`` may be set later, when the log has named the files (``settings.dataset_files``). ``now`` is the seconds of
    a clock that does not go back, where the log is read as it is written; without it nothing is measured.
    """

    def __init__(self, catalogue: Catalogue | None = None, *, rows: int | None = None, ranks: int = 1) -> None:
        self.rows = rows
        self.ranks = ranks
        self.settings = Settings()
        self.parameters: int | None = None
        """trainable numbers of the model"""
        self.doing = Doing.STARTING
        self.step: int | None = None
        """the last step that was reported"""
        self.failure: Failure | None = None
        """what went wrong, as far as the log tells: the last thing that it named"""
        self.finished: Finished | None = None
        self.unknown: deque[str] = deque(maxlen=20)
        """the last lines of OpenSeq2Seq's own that are not known"""
        self._catalogue = catalogue
        self._lines = Lines()
        self._pace = Pace()
        self._head: str | None = None
        """the begin of a line into which another program wrote"""
        self._events: list[TrainingEvent] = []
        self._now: float | None = None
        self._heard: float | None = None
        self._evaluation_from: float | None = None
        self._pending: Step | None = None
        self._validation: Validation | None = None
        self._sample_wer: float | None = None
        self._target: str | None = None
        self._in_config = False
        self._in_files = False
        self._infers = False
        self._said: set[str] = set()
        self._losses: deque[float] = deque(maxlen=_RECENT)
        self._first: float | None = None
        self._best: float | None = None

    @property
    def total_steps(self) -> int | None:
        """The step that the training ends at, where the settings and the number of rows are known."""
        return self.settings.total_steps(self.rows, self.ranks)

    def feed(self, data: bytes, now: float | None = None) -> list[TrainingEvent]:
        """Takes the next bytes of the log; the events that they complete."""
        self._now = now
        if data and now is not None:
            self._heard = now
        for line in self._lines.feed(data):
            self._take(line)
        return self._out()

    def close(self) -> list[TrainingEvent]:
        """The log is at its end: the events that were still waiting for more."""
        for line in self._lines.close():
            self._take(line)
        head, self._head = self._head, None
        if head is not None:
            self._read(head)
        self._settle()
        return self._out()

    def silence(self, now: float) -> Silence | Failure | None:
        """What to say while nothing comes: a ``Silence``, or the ``Failure`` that the run stands still.

        None where something came just now (also when the clock was set back).
        """
        if self._heard is None or now < self._heard:
            self._heard = now
        seconds = now - self._heard
        if seconds <= 0 or self.finished is not None:
            return None
        limit = {Doing.TRAINING: self._pace.stall, Doing.VALIDATING: self._pace.stall_of_evaluation}.get(self.doing)
        longest = limit() if limit else None
        if longest is not None and seconds > longest:
            failure = Failure(NO_STEP, subject=str(self.step or 0), fatal=False)
            return self._catalogue.worded(failure) if self._catalogue else failure
        return Silence(self.doing, seconds, longest)

    # --- lines ---------------------------------------------------------------------------------------------------

    def _take(self, line: str) -> None:
        """One line as it stands in the log; what another program wrote into it is taken out first."""
        foreign = _FOREIGN.search(line) if "tensorflow/" in line or "Read -1" in line else None
        own = line
        if foreign:
            own = line[: foreign.start()]
            self._look_up(line[foreign.start() :])
        head, self._head = self._head, None
        if foreign and not own:
            self._head = head
            return
        if head is not None:
            if own and (_OPEN_STEP.fullmatch(head) or not own.startswith(_BEGINS)):
                own = head + own
            else:
                self._read(head)
        if foreign:
            self._head = own
        else:
            self._read(own)

    def _read(self, line: str) -> None:
        if line.startswith("***"):
            self._in_config = False
            self._read_own(line)
        elif line.startswith("time per step"):
            match = _TIME_LINE.fullmatch(line)
            if match:
                self._report(_seconds(match))
        elif self._in_config and line[:1] in (" ", "{"):
            self._configure(line)
        elif line:
            self._in_config = False
            self._look_up(line)

    def _read_own(self, line: str) -> None:
        """A line of OpenSeq2Seq itself. The kinds that come most often are tried first."""
        if match := _STEP.fullmatch(line):
            self._settle()
            self._pending = Step(int(match["step"]), _whole(match["epoch"]), float(match["loss"]))
            if match["h"] is not None:
                self._report(_seconds(match))
        elif match := _SAMPLE.fullmatch(line):
            self._settle()
            text = (match["text"] or "").strip()
            if match["what"].lower() == "target":
                self._target = text
            elif self._target is not None:
                self._events.append(Sample(self._target, text, self._sample_wer))
                self._target = self._sample_wer = None
        elif match := _SAMPLE_WER.fullmatch(line):
            self._settle()
            self._sample_wer = float(match["wer"])
            self._target = None
        elif match := _VALIDATION_LOSS.fullmatch(line):
            self._validated(match)
        elif match := _MEASURE.fullmatch(line):
            self._measured(_MEASURES[match["name"]], float(match["value"]))
        elif match := _BATCHES.fullmatch(line):
            self._settle()
            self._does(Doing.INFERRING if self._infers else Doing.EVALUATING)
            if not int(match["worker"] or 0):
                self._events.append(Progress(int(match["done"]), _whole(match["total"]), "steps"))
        elif _PASSED_OVER.match(line):
            if line.startswith("*** Running evaluation"):
                self._settle()
                self._does(Doing.VALIDATING)
                self._evaluation_from = self._now
            elif line.startswith("*** Inference Mode"):
                self._infers = True
        else:
            self._settle()
            self._read_seldom(line)

    def _read_seldom(self, line: str) -> None:
        if match := _GRAPH.fullmatch(line):
            # Every process of Horovod builds its own graph and says so.
            self.ranks = max(self.ranks, int(match["rank"] or 0) + 1)
            self._does(Doing.BUILDING if self.parameters is None else Doing.PREPARING)
        elif match := _PARAMETERS.fullmatch(line):
            self.parameters = int(match["count"])
            self._does(Doing.PREPARING)
        elif match := _BEGUN.fullmatch(line):
            self._begin(match)
        elif match := _CONFIG.fullmatch(line):
            self._infers = self._infers or match["which"] == "Inference"
            self._in_config = match["which"] != "Evaluation" or self.settings == Settings()
            if self._in_config:
                self.settings = Settings()
        elif match := _FINISHED.fullmatch(line):
            self.finished = Finished(match["what"])
            self._events.append(self.finished)
            self._does(Doing.ENDING)
        elif match := _SPEED.fullmatch(line):
            value = float(match["value"])
            time = match["what"] == "time per step"
            self._events.append(Speed(seconds_per_step=value) if time else Speed(objects_per_second=value))
        else:
            self.unknown.append(line[:_SHOWN])

    def _begin(self, match: re.Match[str]) -> None:
        if match["how"]:
            begun = Begun("scratch" if match["how"] == "scratch" else "base-model")
        else:
            of = _STEP_OF.search(match["path"])
            begun = Begun("checkpoint", int(of[1]) if of else 0, match["path"])
        self._pace = Pace(begun.step)
        self._events.append(begun)

    def _look_up(self, line: str) -> None:
        """A line of Python, TensorFlow or MPI: a failure is told once, and the last one named is remembered.

        What is only general, or lets the run go on, does not take the place of what ended it.
        """
        failure = self._catalogue.find(line) if self._catalogue else None
        if failure is None:
            return
        weaker = failure.general or not failure.fatal
        if self.failure is None or not (weaker and self.failure.fatal) or (failure.fatal and self.failure.general):
            self.failure = failure
        if failure.id not in self._said and not failure.general:
            self._settle()
            self._said.add(failure.id)
            self._events.append(failure)

    def _configure(self, line: str) -> None:
        """A line of the configuration that the program prints with ``pprint``."""
        if self._in_files or _FILES.search(line):
            text = line if self._in_files else line[_FILES.search(line).end() :]  # type: ignore[union-attr]
            inside, end, _rest = text.partition("]")
            self._in_files = not end
            room = _MOST_FILES - len(self.settings.dataset_files)
            names = tuple(one or other for one, other in _QUOTED.findall(inside))[:room]
            self.settings = replace(self.settings, dataset_files=(*self.settings.dataset_files, *names))
            return
        match = _VALUE.match(line)
        if not match:
            return
        key, text = match["key"], match["value"].strip()
        if key in _WHOLE:
            value = int(text) if text.isdecimal() and len(text) < _DIGITS else None
            if key != "iter_size" or value:
                self.settings = replace(self.settings, **{key: value})  # type: ignore[arg-type]  # all of them whole numbers
        elif key == "use_horovod":
            self.settings = replace(self.settings, use_horovod=text == "True")
        elif key == "logdir" and (quoted := _QUOTED.match(text)):
            self.settings = replace(self.settings, logdir=quoted[1] or quoted[2] or "")

    # --- events --------------------------------------------------------------------------------------------------

    def _out(self) -> list[TrainingEvent]:
        events, self._events = self._events, []
        return events

    def _does(self, doing: Doing) -> None:
        if doing is not self.doing:
            self.doing = doing
            self._events.append(Phase(doing))

    def _settle(self) -> None:
        """What was waiting for another line is told as it is: the line did not come."""
        self._report(None)
        if self._validation:
            validation, self._validation = self._validation, None
            self._events.append(validation)
            self._does(Doing.TRAINING)

    def _report(self, seconds: float | None) -> None:
        """The waiting step is complete."""
        step, self._pending = self._pending, None
        if step is None:
            return
        first = self.step is None
        counts = self._pace.report(step.step, seconds) and not first
        self.step = step.step
        total = self.total_steps if self._agrees(step) else None
        self._does(Doing.TRAINING)
        eta = self._pace.eta(self.settings, total)
        self._events.append(Step(step.step, step.epoch, step.loss, seconds if counts else None, total, eta))
        self._judge(step)

    def _agrees(self, step: Step) -> bool:
        """Whether the epoch that was printed is the one that the number of rows gives."""
        if step.epoch is None or self.rows is None:
            return True
        steps = self.settings.steps_in_epoch(self.rows, self.ranks)
        return not steps or step.epoch == step.step // steps

    def _judge(self, step: Step) -> None:
        """Names a loss that is no number, and one that climbs instead of falling."""
        if not math.isfinite(step.loss):
            self._suspect(LOSS_NAN, step)
            return
        self._said.discard(LOSS_NAN)
        self._losses.append(step.loss)
        if len(self._losses) < _RECENT:
            return
        recent = statistics.median(self._losses)
        if self._first is None or self._best is None:
            self._first = self._best = recent
        self._best = min(self._best, recent)
        if recent > _RISE * self._best and recent > self._first / 4:
            self._suspect(LOSS_DIVERGES, step)
        else:
            self._said.discard(LOSS_DIVERGES)

    def _suspect(self, id: str, step: Step) -> None:
        if id not in self._said:
            self._said.add(id)
            failure = Failure(id, text=f"Train loss: {step.loss}", subject=str(step.step), fatal=False)
            self._events.append(self._catalogue.worded(failure) if self._catalogue else failure)

    def _validated(self, match: re.Match[str]) -> None:
        self._report(None)
        begin, self._evaluation_from = self._evaluation_from, None
        # Both lines in one piece: it was read late, and how long lay between them is not known.
        measured = begin is not None and self._now is not None and self._now > begin
        self._pace.evaluated(self._now - begin if measured else None)  # type: ignore[operator]
        more = ((name, match[name]) for name in ("ppl", "bpc"))
        measures = tuple((name, _float(value)) for name, value in more if value)
        self._validation = Validation(float(match["loss"]), measures=measures)

    def _measured(self, name: str, value: float) -> None:
        """A measure of the validation; one that stands alone is that of the mode ``eval``."""
        validation = self._validation or Validation(None)
        if name == "wer":
            validation = replace(validation, wer=value)
        else:
            validation = replace(validation, measures=(*validation.measures, (name, value)))
        trains = validation.loss is not None
        if name not in _LAST_MEASURES:
            self._validation = validation
            return
        self._validation = None
        self._events.append(validation)
        if trains:
            self._does(Doing.TRAINING)


def _seconds(match: re.Match[str]) -> float:
    return 3600 * int(match["h"]) + 60 * int(match["m"]) + float(match["s"])


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
