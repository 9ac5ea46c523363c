"""OpenSeq2Seq's own test suite, ``scripts/run_all_tests.sh``, with its stages as progress."""

from __future__ import annotations

import posixpath
from contextlib import suppress

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Progress, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import N_, _
from wizard.model.training.lines import Lines
from wizard.services.training import code, dependencies, training_run
from wizard.services.training import job as jobs
from wizard.services.training import place as places

STAGES = (
    ("CREATE TOY DATA", N_("Toy data")),
    ("RUNNING UNIT TESTS", N_("Unit tests")),
    ("RUNNING SMALL Models", N_("Small model 1 of 5")),
    ("RR BLEU:", N_("Small model 2 of 5")),
    ("CC BLEU:", N_("Small model 3 of 5")),
    ("CR BLEU:", N_("Small model 4 of 5")),
    ("RC BLEU:", N_("Small model 5 of 5")),
    ("RUNNING Tests for Blockout", N_("A small Jasper")),
)
"""What the script prints when a stage begins, and what to call the stage."""
# The script removes this only when everything went well, and refuses to begin its last stage while it is there.
_RUN = "rm -rf tmp_log_folder && exec bash scripts/run_all_tests.sh"


def run(host: Host, name: str, source: str = "", emit: Emit = ignore, cancel: Cancel | None = None) -> None:
    """Runs the suite in the container ``name`` to its end: half an hour on a GPU, hours without.

    Joins one that runs already; one that is cancelled is ended in the container. Raises ``TRAINING_FAILED`` with the
    stage that failed, ``TRAINING_RUNS``, and what ``code`` and ``dependencies`` raise.
    """
    cancel = cancel or Cancel()
    place = places.find(host, name)
    running = training_run.running_in(host, place)
    if running is None or running.kind != "tests":
        brought = code.ensure(host, place, source, emit, cancel)
        dependencies.ensure(host, place, emit, cancel)
        with host.store.lock():
            training_run.check_free(host, place.container)
            running = jobs.start(host, place, "tests", ("sh", "-c", _RUN), cwd=brought.path, owned=(brought.path,))
    stage = _Stages(emit)
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
    emit(Progress(len(STAGES), len(STAGES), "stages"))
    emit(Finished(_("All tests of OpenSeq2Seq have passed.")))


class _Stages:
    """Tells the stages by the lines that are printed."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._lines = (Lines(), Lines())
        self._next = 0
        self.title = _("Toy data")

    def take(self, piece: bytes) -> None:
        for line in self._lines[0].feed(piece):
            for place in range(self._next, len(STAGES)):
                if STAGES[place][0] in line:
                    self._begin(place)
            self._emit(Line(line))

    def take_errors(self, piece: bytes) -> None:
        for line in self._lines[1].feed(piece):
            self._emit(Line(line))

    def _begin(self, place: int) -> None:
        self._next = place + 1
        self.title = _(STAGES[place][1])
        self._emit(Progress(place, len(STAGES), "stages", self.title))
        self._emit(Started(self.title))
