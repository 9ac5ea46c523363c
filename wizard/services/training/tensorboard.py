"""TensorBoard, on request: a job in the container that takes no GPU and goes on until it is ended."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.knowledge import configs
from wizard.model.container import DATA_TARGET, ContainerInfo
from wizard.model.container_job import Job
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.training import board
from wizard.model.training.plan import DEFAULT_CONFIG
from wizard.services.training import code, training_run
from wizard.services.training import job as jobs
from wizard.services.training.place import Place

KIND = "tensorboard"
_SECONDS = 120.0
"""How long it may take to answer: it loads TensorFlow first."""
_HEARD_SECONDS = 10.0
"""How long it may listen in the container without being reached from here, or without saying that it does."""
_NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Board:
    """TensorBoard as it runs. ``url`` is for a browser on this machine, ``tunnel`` the command for another computer,
    whose ``localhost`` then shows it at the same ``port``. ``logdir`` is a path in the container.
    """

    url: str
    port: int
    tunnel: str
    logdir: str
    job: Job


def log_folder(host: Host, place: Place, config: str = "", options: Sequence[str] = ()) -> str:
    """The folder to show, in the container: the one that ``options`` name, or that of the newest training (of
    ``config``, if it is given), or where a training of that configuration would put its log.

    Raises ``NO_CHECKPOINT`` for a configuration of the user's own that was never trained.
    """
    given = next((word.partition("=")[2] for word in options if word.startswith("--logdir=")), "")
    if given:
        return posixpath.normpath(posixpath.join(code.WHERE, given))
    name = posixpath.basename(config).removesuffix(".py")
    for job in reversed(jobs.all_of(host, place)):
        trained = job.kind in training_run.KINDS and job.facts.get("mode", "").startswith("train")
        if trained and (not name or posixpath.basename(job.facts["config"]).removesuffix(".py") == name):
            return job.facts["logdir"]
    name = name or posixpath.basename(DEFAULT_CONFIG).removesuffix(".py")
    for known in configs.load():
        if posixpath.basename(known.path) == f"{name}.py":
            return posixpath.join(code.WHERE, known.logdir)
    raise Trouble(Problem.NO_CHECKPOINT, subject=config)


def find(host: Host, place: Place) -> Board | None:
    """The one that runs in the container now; None where none does. Starts nothing. Raises engine kinds."""
    running = _running(host, place)
    return _board(host, _address(host, place), running[-1]) if running else None


def start(
    host: Host,
    place: Place,
    logdir: str,
    emit: Emit = ignore,
    cancel: Cancel | None = None,
    *,
    port: int | None = None,
) -> Board:
    """Starts it in the container and returns when it answers on this machine. There is one at a time: the one that
    shows this folder already is returned, another one is ended first.

    Without a ``port`` a free one is chosen. Raises ``BOARD_MISSING`` when the image has none, ``PORT_TAKEN``,
    ``BOARD_FAILED`` when it ended or did not answer, ``BOARD_UNREACHABLE`` where this machine does not reach the
    container's network; then none is left running.
    """
    cancel = cancel or Cancel()
    there = find(host, place)
    if there is not None and there.logdir == logdir and port in (None, there.port):
        emit(Finished(_("TensorBoard runs already.")))
        return there
    stop(host, place)
    address = _address(host, place)
    if not address:
        hint = _("The container has no network.")
        raise Trouble(Problem.BOARD_UNREACHABLE, subject=place.container.name, hint=hint)
    emit(Started(_("Starting TensorBoard in the container.")))
    for _try in range(_TRIES - 1):
        try:
            return _started(host, place, logdir, address, port, emit, cancel)
        except Trouble as trouble:
            if trouble.kind is not Problem.PORT_TAKEN or port is not None:
                raise
    return _started(host, place, logdir, address, port, emit, cancel)


def stop(host: Host, place: Place) -> bool:
    """Ends it; whether one ran. Raises engine kinds."""
    running = _running(host, place)
    for job in running:
        jobs.stop(host, job, patience=5.0)
    return bool(running)


def _running(host: Host, place: Place) -> list[Job]:
    found = (job for job in jobs.all_of(host, place) if job.kind == KIND)
    return [job for job in found if job.container_id == place.container.id and jobs.state(host, job).running]


def _address(host: Host, place: Place) -> str:
    """The container's address as it is now: each start may give it another one."""
    now: ContainerInfo | None = host.engine.container(place.container.id)
    return now.address if now is not None else ""


def _board(host: Host, address: str, job: Job) -> Board:
    port = int(job.facts["port"])
    connection = host.environ.get("SSH_CONNECTION", "")
    tunnel = board.tunnel(address, port, host.info.user, host.info.name, connection)
    return Board(board.url(address, port), port, tunnel, job.facts["logdir"], job)


def _taken(host: Host, place: Place) -> frozenset[int]:
    """The ports in the container's network that are taken. Raises ``BOARD_MISSING``."""
    result = host.engine.run_in(place.container.id, ("sh", "-c", board.LOOK))
    if result.exit_code != 0:
        raise Trouble(Problem.BOARD_MISSING, subject=place.container.image)
    return board.listening(result.stdout.decode(errors="replace"))


def _started(
    host: Host, place: Place, logdir: str, address: str, port: int | None, emit: Emit, cancel: Cancel
) -> Board:
    taken = _taken(host, place)
    chosen = port or board.free_port(taken)
    if chosen is None or chosen in taken:
        raise Trouble(Problem.PORT_TAKEN, subject=str(chosen or board.FIRST_PORT))
    argv = board.argv(logdir, address, chosen)
    job = jobs.start(host, place, KIND, argv, env=_NO_GPU, facts={"logdir": logdir, "port": str(chosen)})
    made = _board(host, address, job)
    try:
        _wait(host, place, made, cancel)
    except BaseException:
        with suppress(Trouble):
            jobs.stop(host, job, patience=2.0)
        raise
    emit(Finished(_("TensorBoard shows {path}.").format(path=logdir)))
    return made


def _wait(host: Host, place: Place, made: Board, cancel: Cancel) -> None:
    """Until it answers here. That somebody answers is not enough: the port may have been taken in the last moment.

    Raises ``PORT_TAKEN``, ``BOARD_FAILED``, ``BOARD_UNREACHABLE``, ``CANCELLED``.
    """
    began = time.monotonic()
    heard: float | None = None
    while True:
        cancel.check()
        answers = host.downloads.knock(made.url) is not None
        said = training_run.tail(host, made.job)
        if not jobs.state(host, made.job, look_inside=False).running:
            if board.port_taken(said):
                raise Trouble(Problem.PORT_TAKEN, said, subject=str(made.port))
            raise Trouble(Problem.BOARD_FAILED, said, evidence=(Evidence(made.job.path("stderr.log"), said),))
        if answers and board.ready(said + training_run.tail(host, made.job, "stdout.log")):
            return
        now = time.monotonic()
        if heard is None and made.port in _taken(host, place):
            heard = now
        if heard is not None and now - heard > _HEARD_SECONDS:
            if answers:
                return
            hint = _("Or show the folder {path} with a TensorBoard of this machine.")
            inside = made.logdir.startswith(f"{DATA_TARGET}/")
            hint = hint.format(path=place.outside(made.logdir)) if inside else ""
            raise Trouble(Problem.BOARD_UNREACHABLE, subject=place.container.name, hint=hint)
        if now - began > _SECONDS:
            hint = _("It has not answered for {n} seconds.").format(n=round(_SECONDS))
            raise Trouble(Problem.BOARD_FAILED, said, hint=hint)
        cancel.wait(jobs.REFRESH)
