"""The whole wizard with no questions: every step in its order, with the answers of a file.

Each step finds out what is there already, so that the same file can be run again at any time and goes on where it
stopped.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from wizard.host.ports import Host
from wizard.model.answers import SKIP, Answers, FieldError, from_table
from wizard.model.container import Workspace
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, ignore
from wizard.model.finding import Finding, Status
from wizard.model.i18n import _
from wizard.model.image import ImageReference
from wizard.model.journey import Journey, Step
from wizard.model.receipt import Receipt
from wizard.model.secret import Secret
from wizard.model.step import StepState
from wizard.services import account, background, checkup, container, image, journey, repairs, words, workspace
from wizard.services.checks.network_registry import HOST as REGISTRY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FINE, PROBLEMS, PERSON, FAILED = 0, 1, 3, 4
SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step has ended. ``state`` is a value of ``StepState`` or ``skipped``; ``summary`` is a translated line."""

    step: Step
    state: str
    summary: str


def load(text: str, name: str = "") -> Answers:
    """Reads an answers file; ``name`` is what to call it. Raises ``Trouble(BAD_INPUT)`` with the line or the field."""
    try:
        answers = from_table(tomllib.loads(text))
        _check_names(answers)
    except tomllib.TOMLDecodeError as error:
        raise Trouble(Problem.BAD_INPUT, str(error), subject=name, hint=_("The file is not valid TOML.")) from error
    except FieldError as error:
        line = _line_of(text, error.table, error.key)
        if not line:
            raise
        place = _("line {n}: {field}").format(n=line, field=error.subject)
        raise Trouble(Problem.BAD_INPUT, subject=place, hint=error.hint) from error
    return answers


def _check_names(answers: Answers) -> None:
    """Raises ``FieldError`` for what is known to be wrong on every machine."""
    unknown = [name for name in answers.accept if name not in repairs.known()]
    if unknown:
        known = ", ".join(repairs.known())
        raise FieldError("repairs", "accept", _("Known repairs: {names}.").format(names=known))
    if answers.image:
        try:
            ImageReference.parse(answers.image)
        except Trouble as trouble:
            raise FieldError("image", "name", words.explain(trouble).advice) from trouble


def _line_of(text: str, table: str, key: str) -> int:
    """The number of the line that sets ``key`` of ``table``, from 1; 0 when it cannot be told."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]", line):
            current = header[1]
            if not table and current == key:
                return number
        elif current == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
    return 0


def run(host: Host, answers: Answers, yes: bool, emit: Emit = ignore, cancel: Cancel | None = None) -> int:
    """Goes through all steps and emits a ``StepEnded`` for each, besides what the services emit.

    Repairs are made only when ``answers`` names them and ``yes`` is given. Returns the exit code: 0, 1 problems
    that no repair solves, 3 a person is needed, 4 a step failed. Raises the ``Trouble`` that ended a step.
    """
    walk = _Walk(host, answers, yes, emit, cancel or Cancel())
    for step, take in walk.steps():
        walk.cancel.check()
        try:
            state, summary, code = take()
        except Trouble as trouble:
            emit(StepEnded(step, StepState.FAILED.value, words.explain(trouble).summary))
            raise
        emit(StepEnded(step, state, summary))
        walk.remember(step, state)
        if code != FINE:
            return code
    return FINE


_ABOUT_GPUS = ("gpu", "runtime", "toolkit", "cdi")
_Outcome = tuple[str, str, int]


class _Walk:
    """One run: what is known so far, and a method for each step that returns state, summary and exit code."""

    def __init__(self, host: Host, answers: Answers, yes: bool, emit: Emit, cancel: Cancel) -> None:
        self.host = host
        self.answers = answers
        self.yes = yes
        self.emit = emit
        self.cancel = cancel
        self.journey = replace(journey.load(host) or Journey(), key=answers.key).finished(Step.WELCOME)
        # Said at once, not after a download of an hour.
        self.workspace = self._wanted_workspace()
        self.findings: tuple[Finding, ...] = ()

    def steps(self) -> tuple[tuple[Step, Callable[[], _Outcome]], ...]:
        return (
            (Step.ACCOUNT, self._account),
            (Step.CHECKUP, self._checkup),
            (Step.REPAIRS, self._repairs),
            (Step.IMAGE, self._image),
            (Step.PULL, self._pull),
            (Step.WORKSPACE, self._prepare),
            (Step.CONTAINER, self._container),
            (Step.SHELL, self._look_inside),
            *(((Step.TRAIN, self._train),) if self.answers.trains else ()),
            (Step.FINISH, self._finish),
        )

    def remember(self, step: Step, state: str) -> None:
        """Writes the place to disk, so that the full-screen wizard goes on from here."""
        if state in (StepState.DONE.value, StepState.ALREADY.value):
            self.journey = self.journey.finished(step)
        elif state == SKIPPED:
            self.journey = self.journey.passed_over(step)
        journey.save(self.host, self.journey)

    def _wanted_workspace(self) -> Workspace:
        suggested = workspace.defaults(self.host, self.journey)
        return workspace.validate(
            self.host,
            data=self.answers.data or suggested.data,
            name=self.answers.name or suggested.name,
            gpus=self.answers.gpus or str(suggested.gpus),
            shm=self.answers.shm or str(suggested.shm),
        )

    # --- the steps -----------------------------------------------------------------------------------------------

    def _account(self) -> _Outcome:
        if self.answers.key == SKIP:
            return SKIPPED, _("The image is asked for without an API key."), FINE
        held = [info.place.value for info in account.places(self.host) if info.holds_key]
        if self.answers.key not in held:
            text = _('No API key was found in "{place}". Put it there first, with "s2s-wizard key set".')
            return StepState.FAILED.value, text.format(place=self.answers.key), PERSON
        return StepState.ALREADY.value, _('The API key is in "{place}".').format(place=self.answers.key), FINE

    def _key(self) -> Secret | None:
        """The key, if the answers want one to be used."""
        found = None if self.answers.key == SKIP else account.current(self.host)
        return None if found is None else found[0]

    def _checkup(self) -> _Outcome:
        self.findings = self._look()
        bad = self._blocking()
        if not bad:
            return StepState.DONE.value, _("Nothing stands in the way."), FINE
        titles = ", ".join(finding.title for finding in bad)
        return StepState.DONE.value, _("To repair: {titles}.").format(titles=titles), FINE

    def _look(self) -> tuple[Finding, ...]:
        return checkup.run(self.host, emit=self.emit, cancel=self.cancel)

    def _blocking(self) -> list[Finding]:
        """The findings that stand in the way of what the answers ask for."""
        return [
            finding
            for finding in self.findings
            if finding.status in (Status.ERROR, Status.UNKNOWN) and self._matters(finding)
        ]

    def _matters(self, finding: Finding) -> bool:
        """Without GPUs, what is about GPUs does not. The image may come from another registry than NVIDIA's, so the
        network counts only where it can be repaired: the pull itself says whether it could fetch.
        """
        about = finding.id.partition(".")[0]
        if about == "network":
            from_nvidia = not self.answers.image or self.answers.image.startswith(f"{REGISTRY}/")
            return bool(finding.fixes) and from_nvidia
        return self.workspace.gpus.any or about not in _ABOUT_GPUS

    def _repairs(self) -> _Outcome:
        bad = self._blocking()
        if not bad:
            return SKIPPED, _("Nothing needs a repair."), FINE
        made: list[str] = []
        for _round in range(repairs.ROUNDS):
            allowed = [fix for fix in repairs.next_round(bad, made) if fix in self.answers.accept and self.yes]
            if not allowed:
                break
            made += allowed
            for receipt in self._mend(allowed):
                if receipt.state not in (StepState.DONE, StepState.ALREADY):
                    code = FAILED if receipt.state is StepState.FAILED else PERSON
                    return receipt.state.value, f"{receipt.title}: {receipt.reason}", code
            self.findings = self._look()
            bad = self._blocking()
            if not bad:
                return StepState.DONE.value, _("Repaired: {names}.").format(names=", ".join(made)), FINE
        titles = ", ".join(finding.title for finding in bad)
        declined = [fix for fix in repairs.sequence(bad) if fix not in made]
        if declined:
            text = _("Still to repair: {titles}. The answers file has to accept {names}, and --yes has to be given.")
            return StepState.DECLINED.value, text.format(titles=titles, names=", ".join(declined)), PERSON
        return StepState.FAILED.value, _("No repair is known for: {titles}.").format(titles=titles), PROBLEMS

    def _mend(self, ids: list[str]) -> tuple[Receipt, ...]:
        """These repairs, and then once what they wait for."""
        made: list[Receipt] = []
        for fix in ids:
            plan = repairs.plan(self.host, fix)
            if plan is None:
                continue
            made.append(repairs.apply(self.host, plan, emit=self.emit, cancel=self.cancel, defer=True))
            self.journey = replace(self.journey, receipts=(*self.journey.receipts, made[-1].id))
            if made[-1].state is StepState.FAILED:
                break
        return repairs.settle(self.host, made, emit=self.emit, cancel=self.cancel)

    def _image(self) -> _Outcome:
        name = self.answers.image
        reason = _("as the answers file says")
        if not name:
            choice = image.for_machine(self.host).recommended
            if choice is None:
                return StepState.FAILED.value, _("No image fits this GPU and driver."), PROBLEMS
            name, reason = choice.image, choice.reason
        name = str(ImageReference.parse(name))
        self.journey = replace(self.journey, image=name)
        return StepState.DONE.value, _("{image}: {reason}").format(image=name, reason=reason), FINE

    def _pull(self) -> _Outcome:
        pulled = background.run_or_follow(self.host, self.journey.image, self._key(), self.emit, self.cancel)
        if pulled.already:
            return StepState.ALREADY.value, _("{image} is here already.").format(image=pulled.image), FINE
        return StepState.DONE.value, _("{image} is here now.").format(image=pulled.image), FINE

    def _prepare(self) -> _Outcome:
        workspace.prepare(self.host, self.workspace)
        self.journey = replace(
            self.journey,
            data=self.workspace.data,
            name=self.workspace.name,
            gpus=str(self.workspace.gpus),
            shm=self.workspace.shm,
            cpu_only=not self.workspace.gpus.any,
        )
        return StepState.DONE.value, _("Data folder: {path}").format(path=self.workspace.data), FINE

    def _container(self) -> _Outcome:
        up = container.up(self.host, self.workspace, self.journey.image, emit=self.emit)
        if up.action == "created":
            return StepState.DONE.value, _('The container "{name}" was made.').format(name=up.name), FINE
        return StepState.ALREADY.value, _('The container "{name}" is there.').format(name=up.name), FINE

    def _look_inside(self) -> _Outcome:
        findings = container.look_inside(self.host, self.workspace.name)
        for finding in findings:
            self.emit(finding)
        bad = [finding for finding in findings if finding.status in (Status.ERROR, Status.UNKNOWN)]
        summary = " ".join(finding.summary for finding in bad or findings)
        if bad and self.workspace.gpus.any:
            return StepState.FAILED.value, summary, FAILED
        return StepState.DONE.value, summary, FINE

    def _train(self) -> _Outcome:
        from wizard.services.training import rehearsal

        said = []
        if self.answers.rehearsal:
            rehearsal.run(self.host, self.workspace.name, self._code(), self.emit, self.cancel)
            said.append(_("The rehearsal went well."))
        if self.answers.config:
            said.append(self._real_training())
        return StepState.DONE.value, " ".join(said), FINE

    def _real_training(self) -> str:
        """Joins the training that runs in the container, or begins the one that the answers name; what came of it."""
        from wizard.model.training.plan import Standing
        from wizard.services import train
        from wizard.services.training import place, preflight, training_run

        host, name = self.host, self.workspace.name
        where = place.find(host, name)
        running = training_run.running_in(host, where)
        chosen = train.wanted(host, where, self.answers.config, self.answers.options)
        wanted = replace(chosen, source=self._code())
        if self.answers.detach and running is None:
            ready = preflight.check(host, where, wanted, self.emit, self.cancel)
            if ready.folder.standing is not Standing.FINISHED:
                running = training_run.begin(host, ready, self.emit)
        if self.answers.detach and running is not None:
            return _("The training runs in the container ({id}).").format(id=running.id)
        if not self.answers.detach:
            training_run.run(host, name, wanted, self.emit, self.cancel)
        self.journey = replace(self.journey, trained=self.answers.config)
        return _("The training is finished.")

    def _code(self) -> str:
        """Where the code comes from: an address as it is, a path with the home folder in the place of ``~``."""
        code = self.answers.code
        return code.replace("~", self.host.home, 1) if code.startswith("~/") else code

    def _finish(self) -> _Outcome:
        return StepState.DONE.value, _('Open a shell in it with "s2s-wizard shell".'), FINE
