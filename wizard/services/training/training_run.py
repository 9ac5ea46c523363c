"""A training: begun in the container, found again by whoever comes later, followed, and stopped.

``run`` does all of it; ``find`` tells what runs. The training belongs to the container, not to this program: whoever
follows it may go and come back.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Iterable
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.knowledge import training_failures
from wizard.model.container import DATA_TARGET, LABEL, LABEL_GPUS, ContainerInfo
from wizard.model.container_job import Job
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Line, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.training import plan
from wizard.model.training.events import Checkpoint, Failure, Finished
from wizard.model.training.log import TrainingLog
from wizard.model.training.plan import Standing
from wizard.services.training import job as jobs
from wizard.services.training import place as places
from wizard.services.training import preflight
from wizard.services.training.place import Place
from wizard.services.training.preflight import Ready, Wanted

KINDS = ("train", "eval", "infer", "rehearsal", "tests")
"""The kinds of jobs that take the GPU."""
_TAIL = 4000
_SILENCE = 10.0
"""Seconds between two events that nothing has come."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``code`` is its exit status, None where it was lost or had nothing to do.

    ``finished`` is what it said at its end, ``failure`` what went wrong as the catalogue explains it. ``checkpoint`` is
    the last one (path in the container, step), ``logdir`` the log folder in the container.
    """

    job: Job | None
    code: int | None
    finished: Finished | None = None
    failure: Failure | None = None
    checkpoint: tuple[str, int] | None = None
    logdir: str = ""

    @property
    def fine(self) -> bool:
        return self.code == 0 or (self.job is None and self.finished is not None)


def run(host: Host, name: str, wanted: Wanted, emit: Emit = ignore, cancel: Cancel | None = None) -> Outcome:
    """Trains in the container ``name``: joins the training that runs there, or begins one, and follows it to its end.

    Emits the events of ``wizard.model.training.events`` besides the usual ones. ``cancel`` ends the following only: the
    training goes on. Raises what ``preflight.check`` raises before it begins, ``TRAINING_RUNS`` where the GPU is taken,
    ``TRAINING_FAILED`` with the reason, ``CONTAINER_…`` when the container went, ``CANCELLED``.
    """
    cancel = cancel or Cancel()
    place = places.find(host, name)
    running = running_in(host, place)
    if running is not None:
        emit(Started(_("A training runs in this container already ({id}). It is shown.").format(id=running.id)))
        return follow(host, running, emit, cancel)
    ready = preflight.check(host, place, wanted, emit, cancel)
    if ready.folder.standing is Standing.FINISHED and ready.run.mode.startswith("train"):
        return finished_already(ready, emit)
    return follow(host, begin(host, ready, emit), emit, cancel)


def finished_already(ready: Ready, emit: Emit) -> Outcome:
    """What to say of a training whose log folder holds its last step."""
    text = _("This training is finished: {step} of {total} steps. Evaluate it, or give it more epochs.")
    emit(Line(text.format(step=ready.folder.step, total=ready.total_steps)))
    done = Finished("training")
    emit(done)
    return Outcome(None, None, done, checkpoint=_of(ready), logdir=ready.logdir)


def _of(ready: Ready) -> tuple[str, int] | None:
    folder = ready.folder
    return None if folder.step is None else (folder.checkpoint, folder.step)


def begin(host: Host, ready: Ready, emit: Emit = ignore, *, kind: str = "") -> Job:
    """Starts what was checked, detached. Moves a log folder aside first that a failed start has left.

    Raises ``TRAINING_RUNS``, ``FILE_PERMISSION``, and what ``job.start`` raises.
    """
    place = ready.place
    with host.store.lock():
        check_free(host, place.container)
        if ready.folder.aside:
            _move_aside(host, place, ready, emit)
        facts = {
            "config": ready.config.path,
            "mode": ready.run.mode,
            "logdir": ready.logdir,
            "ranks": str(ready.run.processes),
            "code": ready.code.path,
            "commit": ready.code.commit,
            "output": ready.run.output,
            "batch": str(ready.settings.batch_size_per_gpu or ""),
            **({} if ready.rows is None else {"rows": str(ready.rows)}),
        }
        emit(Started(_("Starting: {command}").format(command=" ".join(ready.argv))))
        return jobs.start(
            host,
            place,
            kind or ready.run.mode.partition("_")[0],
            ready.argv,
            cwd=ready.code.path,
            owned=(ready.code.path, ready.logdir, *((ready.run.output,) if ready.run.output else ())),
            env=ready.run.environment,
            facts=facts,
        )


def _move_aside(host: Host, place: Place, ready: Ready, emit: Emit) -> None:
    argv = ("mv", "-T", "--", ready.logdir, ready.folder.aside)
    result = host.engine.run_in(place.container.id, argv, timeout=60)
    if result.exit_code != 0:
        said = result.stderr.decode(errors="replace").strip()
        raise Trouble(Problem.FILE_PERMISSION, said, subject=place.outside(ready.logdir))
    text = _("The log folder was left by a run that failed before its first checkpoint. It is kept as {path}.")
    emit(Line(text.format(path=ready.folder.aside)))


# --- what runs ---------------------------------------------------------------------------------------------------


def find(host: Host, name: str) -> Job | None:
    """The job that uses the GPU in the container ``name`` now; None where none does, or the container does not run.

    Raises ``CONTAINER_MISSING``, ``NAME_INVALID`` and engine kinds. Starts nothing.
    """
    found = host.engine.container(name)
    if found is None:
        raise Trouble(Problem.CONTAINER_MISSING, subject=name)
    place = places.of(found)
    return running_in(host, place) if place is not None and found.running else None


def latest(host: Host, place: Place) -> Job | None:
    """The newest training of the data folder, whether it runs or not."""
    trainings = [job for job in jobs.all_of(host, place) if job.kind in KINDS]
    return trainings[-1] if trainings else None


def running_in(host: Host, place: Place) -> Job | None:
    """The job of these kinds that runs in the container itself."""
    for job in reversed(jobs.all_of(host, place)):
        if job.kind in KINDS and job.container_id == place.container.id and jobs.state(host, job).running:
            return job
    return None


def check_free(host: Host, wanted: ContainerInfo) -> None:
    """Whether no other training of ours uses the same GPU. Raises ``TRAINING_RUNS``."""
    for other in host.engine.containers():
        place = places.of(other)
        if LABEL not in other.labels or place is None or not _share(wanted, other):
            continue
        running = running_in(host, place)
        if running is not None:
            subject = _("{id} in the container {name}").format(id=running.id, name=other.name)
            raise Trouble(Problem.TRAINING_RUNS, subject=subject)


def _share(one: ContainerInfo, other: ContainerInfo) -> bool:
    """Whether two containers may use the same GPU. Without GPUs they share the processor, which takes any number."""
    if one.id == other.id:
        return True
    sets = [frozenset(info.labels.get(LABEL_GPUS, "all").split(",")) for info in (one, other)]
    if any(chosen == {"none"} for chosen in sets):
        return False
    return "all" in sets[0] | sets[1] or bool(sets[0] & sets[1])


# --- following ---------------------------------------------------------------------------------------------------


def follow(host: Host, job: Job, emit: Emit = ignore, cancel: Cancel | None = None) -> Outcome:
    """Reads the log of a job from its beginning and tells what happens, until it has ended.

    Raises ``TRAINING_FAILED``, ``CONTAINER_…``, ``DISK_FULL``, and ``CANCELLED`` when asked to stop following.
    """
    outcome = watch(host, job, emit, cancel)
    if outcome.fine:
        return outcome
    raise failed(host, job, outcome)


def watch(host: Host, job: Job, emit: Emit = ignore, cancel: Cancel | None = None) -> Outcome:
    """``follow`` without a judgement: how it ended, whatever that is. Emits the job itself first: whoever listens can
    find its files. Raises ``CONTAINER_…`` for one that was lost.
    """
    emit(job)
    watcher = _Watcher(host, job, emit)
    ended = jobs.follow(
        host, job, cancel or Cancel(), on_output=watcher.output, on_errors=watcher.errors, on_wait=watcher.wait
    )
    watcher.close()
    if ended.code is None:
        trouble = jobs.lost(job, ended)
        if watcher.checkpoint:
            hint = _("The last checkpoint is of step {n}; started again, the training goes on from there.")
            trouble.hint = hint.format(n=watcher.checkpoint[1])
        raise trouble
    failure = watcher.verdict(ended.code)
    if failure is not None and jobs.stopped(host, job):
        failure = training_failures.worded(Failure("interrupted", failure.text))
    return Outcome(
        job,
        ended.code,
        watcher.finished,
        failure,
        watcher.checkpoint,
        job.facts.get("logdir", ""),
    )


class _Watcher:
    """Turns the bytes of a job's two logs, and its file of checkpoints, into events."""

    def __init__(self, host: Host, job: Job, emit: Emit) -> None:
        rows = job.facts.get("rows", "")
        self._host = host
        self._job = job
        self._emit = emit
        self._log = TrainingLog(
            training_failures, rows=int(rows) if rows.isdigit() else None, ranks=int(job.facts.get("ranks", "1"))
        )
        self._errors = TrainingLog(training_failures)
        self._told = time.monotonic()
        self.checkpoint: tuple[str, int] | None = None

    @property
    def finished(self) -> Finished | None:
        return self._log.finished

    def verdict(self, code: int | None) -> Failure | None:
        """What the run came to. Python's own words are on standard error; a log can name what only its numbers show."""
        named = [failure for failure in (self._errors.failure, self._log.failure) if failure is not None]
        best = next((failure for failure in named if not failure.general), named[0] if named else None)
        return training_failures.verdict(best, self.finished, code)

    def output(self, piece: bytes) -> None:
        self._look_for_checkpoint()  # before what the log says about the end
        self._tell(self._log.feed(piece, time.monotonic()))

    def errors(self, piece: bytes) -> None:
        self._tell(event for event in self._errors.feed(piece) if isinstance(event, Failure))

    def wait(self) -> None:
        now = time.monotonic()
        if now - self._told > _SILENCE and (silence := self._log.silence(now)) is not None:
            self._tell((silence,))
        self._look_for_checkpoint()

    def close(self) -> None:
        self._look_for_checkpoint()
        self._tell(self._log.close())
        self._tell(event for event in self._errors.close() if isinstance(event, Failure))

    def _tell(self, events: Iterable[object]) -> None:
        for event in events:
            self._told = time.monotonic()
            self._emit(event)

    def _look_for_checkpoint(self) -> None:
        """TensorFlow prints nothing about checkpoints: its file names the newest."""
        logdir = self._job.facts.get("logdir", "")
        if not logdir or not self._job.facts.get("mode", "").startswith("train"):
            return
        found = last_checkpoint(self._host, self._job)
        if found is not None and found != self.checkpoint:
            self.checkpoint = found
            self._emit(Checkpoint(*found))


def last_checkpoint(host: Host, job: Job) -> tuple[str, int] | None:
    """The newest checkpoint of a job's log folder, as a path in the container, and its step."""
    data = job.folder.removesuffix(job.inside.removeprefix(DATA_TARGET))
    inner = plan.checkpoints(job.facts["logdir"])
    path = posixpath.join(data, posixpath.relpath(inner, DATA_TARGET), "checkpoint")
    found = plan.last_checkpoint(host.files.after(path, 0, 65536).decode(errors="replace"))
    return None if found is None else (posixpath.join(inner, posixpath.basename(found[0])), found[1])


def failed(host: Host, job: Job, outcome: Outcome) -> Trouble:
    """What to raise for a run that ended with an error: the catalogue's words where it knows the reason."""
    failure = outcome.failure
    evidence = (Evidence(job.path("stderr.log"), tail(host, job)), Evidence(_("exit status"), str(outcome.code)))
    if failure is None:
        return Trouble(Problem.TRAINING_FAILED, evidence=evidence)
    hint = " ".join((failure.cause, *failure.advice))
    if "half-batch" in failure.remedies and (batch := half_batch(job)) is not None:
        words = _("With half the batch, add: {options}").format(options=f"-- --batch_size_per_gpu={batch}")
        hint = f"{hint} {words}"
    return Trouble(Problem.TRAINING_FAILED, failure.text, subject=failure.summary, hint=hint, evidence=evidence)


def half_batch(job: Job) -> int | None:
    """The batch size to try when the memory did not suffice; None where it is 1 or not known."""
    batch = job.facts.get("batch", "")
    return plan.half(int(batch)) if batch.isdigit() and int(batch) > 1 else None


def tail(host: Host, job: Job, name: str = "stderr.log") -> str:
    """The last lines of one of a job's logs."""
    path = job.path(name)
    size = 0
    while len(piece := host.files.after(path, size, 1 << 20)) == 1 << 20:
        size += 1 << 20
    start = max(0, size + len(piece) - _TAIL)
    return host.files.after(path, start, _TAIL).decode(errors="replace").strip()


# --- stopping ----------------------------------------------------------------------------------------------------


def stop(
    host: Host,
    job: Job,
    *,
    at_checkpoint: bool = False,
    patience: float = 60.0,
    emit: Emit = ignore,
    cancel: Cancel | None = None,
) -> Outcome:
    """Ends a training in the container: now, or ``at_checkpoint``, when the next one is written, so that nothing that
    was learned is lost. ``patience`` is how many seconds its step may take to end. Returns how it ended; one that had
    ended already is fine.
    """
    cancel = cancel or Cancel()
    before = last_checkpoint(host, job) if job.facts.get("logdir") else None
    if at_checkpoint and job.facts.get("mode", "").startswith("train"):
        emit(Started(_("Waiting for the next checkpoint.")))
        while jobs.state(host, job).running and last_checkpoint(host, job) == before:
            cancel.wait(jobs.REFRESH)
            cancel.check()
    ended = jobs.stop(host, job, patience=patience, cancel=cancel)
    newest = last_checkpoint(host, job) if job.facts.get("logdir") else None
    return Outcome(job, ended.code, checkpoint=newest, logdir=job.facts.get("logdir", ""))
