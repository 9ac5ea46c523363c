"""``s2s-wizard run``: the whole wizard with no questions, from an answers file."""

from __future__ import annotations

from pathlib import Path

from wizard.cli.call import Call, container_name
from wizard.cli.console import pad, tag, width
from wizard.cli.pull import PullNarrator
from wizard.cli.train import TrainNarrator
from wizard.model.answers import Answers
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Progress
from wizard.model.finding import Finding, Status
from wizard.model.i18n import N_, _
from wizard.model.journey import TITLES, Step
from wizard.model.step import StepState
from wizard.model.training import events
from wizard.services import run as service

_TITLES = {**TITLES, Step.SHELL: N_("Look inside")}


def run(call: Call) -> int:
    """Exit code of the step that ended it; 2 for a wrong answers file."""
    answers = _read(call.options.answers)
    narrator = _StepNarrator(call, answers)
    try:
        return service.run(call.host, answers, call.options.yes, emit=narrator, cancel=call.cancel)
    finally:
        narrator.end()


def _read(name: str) -> Answers:
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Trouble(
            Problem.BAD_INPUT, str(error), subject=name, hint=_("The answers file cannot be read.")
        ) from error
    return service.load(text, name)


def _of_a_pull(event: object) -> bool:
    return isinstance(event, Progress) and event.unit != "stages"


class _StepNarrator(PullNarrator):
    """Each step's end is data; what happens in between is narration. As JSON, each event of a training is one event
    ``training``, whose ``training`` is the line that ``train --json`` prints: both have events ``step``.
    """

    def __init__(self, call: Call, answers: Answers) -> None:
        super().__init__(call.console)
        self._training = TrainNarrator(call.console, call.host, answers.name or container_name(call))

    def end(self) -> None:
        super().end()
        self._training.end()

    def __call__(self, event: object) -> None:
        if isinstance(event, service.StepEnded):
            self.end()
            self._ended(event)
        elif isinstance(event, Finding):
            if event.status in (Status.WARNING, Status.ERROR, Status.UNKNOWN):
                self.end()
                self.console.say(f"{tag(event.status)} {event.title}: {event.summary}")
        elif isinstance(event, events.TrainingEvent) and not _of_a_pull(event):
            if self.console.json:
                self.console.event("training", {"training": events.to_json(event)})
            else:
                self._training(event)
        else:
            super().__call__(event)

    def _ended(self, event: service.StepEnded) -> None:
        if self.console.json:
            step = {"step": event.step.value, "state": event.state, "summary": event.summary}
            self.console.event("step", step)
            return
        columns = max(width(_(title)) for title in _TITLES.values())
        mark = tag(Status.SKIPPED if event.state == service.SKIPPED else StepState(event.state))
        self.console.tagged(mark, f"{pad(_(_TITLES[event.step]), columns)}  {event.summary}")
