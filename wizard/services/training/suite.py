"""OpenSeq2Seq's own test suite, ``scripts/run_all_tests.sh``, with its stages as progress."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET
from wizard.model.container_job import FOLDER
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Progress, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import N_, _
from wizard.model.training.lines import Lines
from wizard.services.training import code, dependencies, training_run
from wizard.services.training import job as jobs
from wizard.services.training import place as places
from wizard.services.training.place import Place


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: what the script prints when it begins, what to call it, and the part of the script that it is in."""

    mark: str
    title: str
    part: str


STAGES = (
    Stage("CREATE TOY DATA", N_("Toy data"), "toy-data"),
    Stage("RUNNING UNIT TESTS", N_("Unit tests"), "unit-tests"),
    Stage("RUNNING SMALL Models", N_("Small model 1 of 5"), "small-models"),
    Stage("RR BLEU:", N_("Small model 2 of 5"), "small-models"),
    Stage("CC BLEU:", N_("Small model 3 of 5"), "small-models"),
    Stage("CR BLEU:", N_("Small model 4 of 5"), "small-models"),
    Stage("RC BLEU:", N_("Small model 5 of 5"), "small-models"),
    Stage("RUNNING Tests for Blockout", N_("A small Jasper"), "jasper"),
)
PARTS = tuple(dict.fromkeys(stage.part for stage in STAGES))
"""The parts of the script, each of which can be left out."""
_SCRIPT = "scripts/run_all_tests.sh"
_SHORTER = posixpath.join(FOLDER, "tests.sh")
_HEAD = re.compile(r"^echo .*>>>> (.*) <<<<.*\n", re.MULTILINE)
"""The line that each part begins with."""
# The script removes this only when everything went well, and refuses to begin its last stage while it is there.
_RUN = 'rm -rf tmp_log_folder && exec bash "$1"'
_SKIPPED = "skipped"


def run(
    host: Host,
    name: str,
    source: str = "",
    emit: Emit = ignore,
    cancel: Cancel | None = None,
    *,
    skip: Collection[str] = (),
) -> None:
    """Runs the suite in the container ``name`` to its end, without the ``PARTS`` in ``skip``: half an hour on a GPU,
    hours without.

    Joins one that runs already; one that is cancelled is ended in the container. Raises ``TRAINING_FAILED`` with the
    stage that failed, ``TRAINING_RUNS``, ``CODE_UNUSABLE`` for a script that has no such part, ``BAD_INPUT`` where
    nothing is left to run, and what ``code`` and ``dependencies`` raise.
    """
    cancel = cancel or Cancel()
    place = places.find(host, name)
    running = training_run.running_in(host, place)
    if running is None or running.kind != "tests":
        brought = code.ensure(host, place, source, emit, cancel)
        dependencies.ensure(host, place, emit, cancel)
        script = _shorter(host, place, brought.path, skip) if skip else _SCRIPT
        with host.store.lock():
            training_run.check_free(host, place.container)
            running = jobs.start(
                host,
                place,
                "tests",
                ("sh", "-c", _RUN, "sh", script),
                cwd=brought.path,
                owned=(brought.path,),
                facts={_SKIPPED: " ".join(sorted(skip))},
            )
    skipped = running.facts.get(_SKIPPED, "").split()
    stage = _Stages(emit, tuple(stage for stage in STAGES if stage.part not in skipped))
    try:
        ended = jobs.follow(host, running, cancel, on_output=stage.take, on_errors=stage.take_errors)
    except BaseException:
        with suppress(Trouble):
            jobs.stop(host, running, patience=2.0)
        raise
    if ended.code is None:
        raise jobs.lost(running, ended)
    if ended.code:
        text = training_run.tail(host, running)
        seen = Evidence(posixpath.join(running.folder, "stderr.log"), text)
        raise Trouble(Problem.TRAINING_FAILED, subject=stage.title, evidence=(seen,))
    emit(Progress(stage.count, stage.count, "stages"))
    emit(Finished(_("The tests of OpenSeq2Seq have passed.")))


def _shorter(host: Host, place: Place, code_path: str, skip: Collection[str]) -> str:
    """Writes the script without the parts in ``skip`` into the data folder; its path in the container."""
    if set(skip) >= set(PARTS):
        raise Trouble(Problem.BAD_INPUT, subject=" ".join(skip), hint=_("Nothing is left to run."))
    original = place.outside(posixpath.join(code_path, _SCRIPT))
    first, *rest = _HEAD.split(host.files.after(original, 0, 1 << 20).decode(errors="replace"))
    text, part_of = first, {stage.mark: stage.part for stage in STAGES}
    found = set()
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        part = part_of.get(title, "")
        found.add(part)
        if part not in skip:
            text += f"echo '>>>> {title} <<<<'\n{body}"
    if not found.issuperset(skip):
        raise Trouble(Problem.CODE_UNUSABLE, subject=original, hint=_("It has not the parts that are known here."))
    path = place.outside(posixpath.join(DATA_TARGET, _SHORTER))
    before = host.files.read(path)
    host.files.replace(path, before.data if before else None, text.encode())
    return posixpath.join(DATA_TARGET, _SHORTER)


class _Stages:
    """Tells the stages by the lines that are printed."""

    def __init__(self, emit: Emit, stages: Sequence[Stage] = STAGES) -> None:
        self._emit = emit
        self._stages = stages
        self._lines = (Lines(), Lines())
        self._next = 0
        self.title = _(stages[0].title)

    @property
    def count(self) -> int:
        return len(self._stages)

    def take(self, piece: bytes) -> None:
        for line in self._lines[0].feed(piece):
            for place in range(self._next, self.count):
                if self._stages[place].mark in line:
                    self._begin(place)
            self._emit(Line(line))

    def take_errors(self, piece: bytes) -> None:
        for line in self._lines[1].feed(piece):
            self._emit(Line(line))

    def _begin(self, place: int) -> None:
        self._next = place + 1
        self.title = _(self._stages[place].title)
        self._emit(Progress(place, self.count, "stages", self.title))
        self._emit(Started(self.title))
