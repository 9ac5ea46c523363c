"""The rehearsal: the whole way of a training in minutes, on a few recordings that come with the code.

The Jasper Mini configuration is loaded as it stands; a derived file beside it only says where the few recordings are.
Everything is in a folder of its own, so that it never meets real data or a real training.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET
from wizard.model.container_job import FOLDER
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Progress, Started, ignore
from wizard.model.i18n import _
from wizard.model.training import derived
from wizard.model.training.plan import DEFAULT_CONFIG
from wizard.services.training import after, code, dependencies, inside, job, preflight, training_run
from wizard.services.training import place as places
from wizard.services.training.code import Code
from wizard.services.training.place import Place
from wizard.services.training.preflight import Wanted
from wizard.services.training.training_run import Outcome

WHERE = posixpath.join(DATA_TARGET, FOLDER, "rehearsal")
_DATA = posixpath.join(WHERE, "librispeech")
_LOGS = posixpath.join(WHERE, "log")
_CONFIG = posixpath.join(WHERE, "jasper-Mini-rehearsal.py")
_OUTPUT = posixpath.join(WHERE, "transcripts.csv")
_TRAIN = ("train-clean-100", "train-clean-360", "train-other-500")
_SHORT = (
    "--batch_size_per_gpu=2",
    "--print_loss_steps=1",
    "--print_samples_steps=2",
    "--eval_steps=2",
    "--save_checkpoint_steps=2",
    "--save_summaries_steps=1000",
    f"--logdir={_LOGS}",
)
"""A few steps that print, measure and save all the time. Nothing of the model is made smaller."""
_PREPARE = 'rm -rf -- "$1"; mkdir -p -- "$1" && exec python -c "$2" "$3"'


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the rehearsal has shown. ``steps`` is where the resumed training ended, ``transcripts`` what the model heard
    in the last pass: noise, after a handful of steps.
    """

    trained: Outcome
    resumed: Outcome
    evaluated: Outcome
    inferred: Outcome
    transcripts: dict[str, str]

    @property
    def steps(self) -> int:
        return self.resumed.checkpoint[1] if self.resumed.checkpoint else 0


def run(host: Host, name: str, source: str = "", emit: Emit = ignore, cancel: Cancel | None = None) -> Rehearsed:
    """Fetches the code, installs what lacks, makes the data, trains, resumes, evaluates and infers in the container.

    Emits a ``Progress`` in steps besides the events of the runs. What runs in the container is ended when this is
    cancelled. Raises what the single parts raise; ``TRAINING_RUNS`` while a training uses the GPU.
    """
    cancel = cancel or Cancel()
    place = places.find(host, name)
    _end_earlier(host, place)
    training_run.check_free(host, place.container)
    walk = _Walk(host, place, emit, cancel)
    walk.step(_("Code"))
    brought = code.ensure(host, place, source, emit, cancel)
    walk.step(_("What the code needs"))
    dependencies.ensure(host, place, emit, cancel, sox=True)
    walk.step(_("A few recordings"))
    walk.data(brought)
    walk.step(_("Train"))
    trained = walk.run("train_eval", "--num_epochs=1")
    walk.step(_("Go on from the checkpoint"))
    resumed = walk.run("train_eval", "--num_epochs=2")
    walk.step(_("Evaluate"))
    evaluated = walk.run("eval")
    walk.step(_("Transcribe"))
    inferred = walk.run("infer")
    heard = after.transcripts(host, place, _OUTPUT)
    if not heard:
        raise Trouble(Problem.TRAINING_FAILED, subject=_("the model wrote no transcripts"))
    result = Rehearsed(trained, resumed, evaluated, inferred, heard)
    walk.done()
    emit(Finished(_("The rehearsal went well: this container can train, go on, evaluate and transcribe.")))
    return result


def _end_earlier(host: Host, place: Place) -> None:
    """A rehearsal whose wizard was killed goes on alone and has nobody to tell: it is begun again instead."""
    running = training_run.running_in(host, place)
    if running is not None and running.facts.get("logdir") == _LOGS:
        training_run.stop(host, running)


class _Walk:
    """The steps of one rehearsal."""

    TOTAL = 7

    def __init__(self, host: Host, place: Place, emit: Emit, cancel: Cancel) -> None:
        self.host = host
        self.place = place
        self.emit = emit
        self.cancel = cancel
        self._done = -1

    def step(self, title: str) -> None:
        self.cancel.check()
        self._done += 1
        self.emit(Progress(self._done, self.TOTAL, "stages", title))
        text = _("Rehearsal, {n} of {total}: {title}")
        self.emit(Started(text.format(n=self._done + 1, total=self.TOTAL, title=title)))

    def done(self) -> None:
        self.emit(Progress(self.TOTAL, self.TOTAL, "stages"))

    def data(self, brought: Code) -> None:
        """Archives in LibriSpeech's shape, then the import script that real data go through, too."""
        argv = ("sh", "-c", _PREPARE, "sh", WHERE, inside.text("toy"), _DATA)
        self._job("rehearsal-data", argv, brought.path)
        # The script reads and writes where it is started.
        script = posixpath.join(brought.path, "scripts/import_librivox.py")
        self._job("rehearsal-import", ("python", script, _DATA), _DATA)
        changes = derived.dataset(
            train=tuple(f"{_DATA}/librivox-{split}.csv" for split in _TRAIN),
            evaluate=(f"{_DATA}/librivox-dev-clean.csv",),
            infer=(f"{_DATA}/librivox-test-clean.csv",),
        )
        self.host.files.replace(self.place.outside(_CONFIG), None, derived.text(DEFAULT_CONFIG, changes).encode())

    def _job(self, kind: str, argv: tuple[str, ...], cwd: str) -> None:
        status, said = job.run(
            self.host,
            self.place,
            kind,
            argv,
            cancel=self.cancel,
            cwd=cwd,
            owned=(WHERE,),
            on_line=lambda text: self.emit(Line(text)),
        )
        if status:
            raise Trouble(Problem.TRAINING_FAILED, "\n".join(said), subject=said[-1] if said else kind)

    def run(self, mode: str, *options: str) -> Outcome:
        wanted = Wanted(_CONFIG, (*_SHORT, *options), mode, output=_OUTPUT if mode == "infer" else "")
        ready = preflight.check(self.host, self.place, wanted, self._quiet, self.cancel)
        begun = training_run.begin(self.host, ready, self.emit, kind="rehearsal")
        try:
            return training_run.follow(self.host, begun, self.emit, self.cancel)
        except BaseException:
            with suppress(Trouble):
                training_run.stop(self.host, begun, patience=2.0)
            raise

    def _quiet(self, event: object) -> None:
        """What was said in the first steps is not said again in each of the others."""
        if not isinstance(event, (Started, Finished)):
            self.emit(event)
