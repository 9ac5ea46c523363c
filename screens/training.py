"""What runs in the container for the training page, followed while the user looks at other pages, or leaves."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from screens.work import Happened, Job
from wizard.model import container_job, event
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.training import events
from wizard.model.training.curve import Curve, Point
from wizard.model.training.log import LOSS_DIVERGES, NO_STEP

if TYPE_CHECKING:
    from wizard.host.ports import Host


class What(str, Enum):
    """What runs."""

    REHEARSAL = "rehearsal"
    TRAINING = "training"
    EVALUATION = "evaluation"
    SAYING = "saying"
    FETCHING = "fetching"


@dataclass(frozen=True, slots=True)
class State:
    """How it stands at one moment.

    ``found``: it was running before this wizard looked. ``since`` is when it began, by the clock of ``time.time``.
    ``job`` is the newest that was begun for it. ``stage`` counts the parts of a rehearsal, ``progress`` what is fetched
    or read. ``warning`` is what goes wrong without an end to it. ``result`` is what the service returned, ``trouble``
    what it raised.
    """

    what: What
    found: bool = False
    since: float = 0.0
    title: str = ""
    line: str = ""
    job: container_job.Job | None = None
    stage: event.Progress | None = None
    progress: event.Progress | None = None
    stalled: event.Stalled | None = None
    doing: events.Doing | None = None
    step: events.Step | None = None
    validation: events.Validation | None = None
    sample: events.Sample | None = None
    checkpoint: events.Checkpoint | None = None
    silence: events.Silence | None = None
    warning: events.Failure | None = None
    loss: tuple[Point, ...] = ()
    wer: tuple[Point, ...] = ()
    stopping: str = ""
    """``checkpoint`` or ``now`` after the user asked for an end"""
    done: bool = False
    result: object = None
    trouble: Trouble | None = None

    @property
    def running(self) -> bool:
        """Whether it neither came to an end nor failed."""
        return not self.done and self.trouble is None


class Training:
    """One piece of work and the thread that follows it. Events only change ``state``: the page looks at it.

    ``run`` is the service. A training goes on in the container when it is left; everything else ends there, too.
    """

    def __init__(
        self,
        host: Host,
        what: What,
        run: Callable[[Emit, Cancel], object],
        *,
        post: Callable[[Happened], object],
        note: Callable[[str], None],
        found: container_job.Job | None = None,
    ) -> None:
        self._host, self._note, self._post = host, note, post
        self._lock = threading.Lock()
        self._loss, self._wer = Curve(), Curve()
        # Events may come by the ten thousand a second, looks at them ten times a second: only a look makes a State.
        self._values: dict[str, Any] = {"what": what, "found": found is not None, "job": found}
        self._values["since"] = found.started if found else time.time()
        self._shown: State | None = None
        self._at = 0
        self.lasting = what is What.TRAINING
        """whether it goes on when the wizard is quit"""
        self.told = False
        """whether the user has seen how it ended"""
        self._stop: Job[object] | None = None
        self._job = Job(
            lambda _emit, cancel: run(self._said, cancel), post=post, returned=self._returned, failed=self._failed
        )

    @property
    def state(self) -> State:
        """How it stands now; the very same object as long as nothing has happened."""
        with self._lock:
            if self._shown is None:
                self._shown = State(**self._values, loss=self._loss.points, wer=self._wer.points)
            return self._shown

    @property
    def running(self) -> bool:
        """Whether it neither came to an end nor failed."""
        return self.state.running

    @property
    def share(self) -> str:
        """How much of it is done, in a few characters; empty when it does not run."""
        state = self.state
        if not state.running:
            return ""
        if state.step is not None and state.step.total_steps:
            return f"{100 * state.step.step // state.step.total_steps} %"
        return "…"

    def leave(self) -> None:
        """Looks at it no longer; a training goes on."""
        if self._stop is not None:
            self._stop.leave()
        self._job.leave()

    def stop(self, how: str) -> None:
        """Ends it: ``now``, or a training at its next ``checkpoint``."""
        state = self.state
        job = state.job
        self._put(stopping=how)
        if not self.lasting or job is None:
            self._job.cancel.set()
            return
        self.go_on()
        self._put(stopping=how)

        def run(_emit: Emit, cancel: Cancel) -> object:
            from wizard.services.training import training_run

            return training_run.stop(self._host, job, at_checkpoint=how == "checkpoint", cancel=cancel)

        self._stop = Job(run, post=self._post, returned=lambda _outcome: None, failed=self._not_stopped)

    def go_on(self) -> None:
        """Takes back that it shall end at the next checkpoint."""
        if self._stop is not None:
            self._stop.leave()
            self._stop = None
        self._put(stopping="")

    def _not_stopped(self, trouble: Trouble) -> None:
        self._note(str(trouble))
        self._put(stopping="")

    def _put(self, **values: object) -> None:
        with self._lock:
            self._values.update(values)
            self._shown = None

    def _said(self, said: object) -> None:
        match said:
            case events.Step():
                with self._lock:
                    self._at = said.step
                    self._loss.add(said.step, said.loss)
                    self._values.update(step=said, doing=events.Doing.TRAINING, silence=None)
                    warning = self._values.get("warning")
                    if warning is not None and (warning.id == NO_STEP or math.isfinite(said.loss)):
                        self._values["warning"] = warning if warning.id == LOSS_DIVERGES else None
                    self._shown = None
            case events.Validation():
                with self._lock:
                    if said.wer is not None and self._values.get("doing") is not events.Doing.EVALUATING:
                        self._wer.add(self._at, said.wer)
                    self._values.update(validation=said, silence=None)
                    self._shown = None
            case events.Sample():
                self._put(sample=said)
            case events.Checkpoint():
                self._put(checkpoint=said)
            case events.Begun():
                self._at = said.step
            case events.Phase():
                self._put(doing=said.doing, silence=None, progress=None)
            case events.Silence():
                self._put(silence=said)
            case events.Failure():
                if not said.fatal:
                    self._put(warning=said)
            case container_job.Job():
                self._put(job=said, doing=events.Doing.STARTING, silence=None, progress=None, line="", warning=None)
            case event.Progress():
                if said.unit == "stages":
                    self._put(stage=said, progress=None, line="")
                else:
                    self._put(progress=said, stalled=None)
            case event.Stalled():
                self._put(stalled=said)
            case event.Started():
                self._put(title=said.what, line="")
                self._note(said.what)
            case event.Line():
                self._put(line=said.text)

    def _returned(self, result: object) -> None:
        self._put(done=True, result=result, silence=None)

    def _failed(self, trouble: Trouble) -> None:
        if trouble.kind is not Problem.CANCELLED:
            self._note(str(trouble))
        self._put(trouble=trouble, silence=None)
