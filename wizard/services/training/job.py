"""Jobs: commands in the container that go on without us, are found again, followed and stopped."""

from __future__ import annotations

import posixpath
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET
from wizard.model.container_job import ALIVE, JOBS, LAUNCH, SIGNAL, STARTED, STOPPED, Job, from_text, process, to_text
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.model.training.lines import Lines
from wizard.services.training.place import Place

REFRESH = 0.5
"""Seconds between two looks at a job's files."""
_PIECE = 256 * 1024
_QUIET = 5.0
"""Seconds of silence after which a job's process is looked for in the container."""
_PATIENCE = 120.0
"""How long a Docker service that does not answer is waited for: it may be restarting."""
_GIT_TRUSTS = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
ENVIRONMENT: Mapping[str, str] = {"PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8", **_GIT_TRUSTS}
"""What every job is told: print at once, UTF-8 files, and that the code may belong to somebody else than root."""


def start(
    host: Host,
    place: Place,
    kind: str,
    argv: tuple[str, ...],
    *,
    cwd: str = DATA_TARGET,
    owned: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Job:
    """Starts ``argv`` in the container, detached, and returns when it runs.

    ``owned`` are paths in the container below which everything that root made is given to the user at the end. Raises
    ``COMMAND_FAILED`` when it could not be started, ``DISK_FULL``, ``FILE_PERMISSION``, and the engine's kinds.
    """
    parent = posixpath.join(place.data, JOBS)
    host.files.make_folder(parent)
    numbers = [int(name.partition("-")[0]) for name in host.files.names(parent) if name.partition("-")[0].isdigit()]
    name = f"{max(numbers, default=0) + 1:04d}-{kind}"
    job = Job(
        id=name,
        kind=kind,
        container=place.container.name,
        container_id=place.container.id,
        folder=posixpath.join(parent, name),
        inside=posixpath.join(DATA_TARGET, JOBS, name),
        argv=argv,
        cwd=cwd,
        started=time.time(),
        facts=dict(facts or {}),
    )
    host.files.make_folder(job.folder)
    host.files.replace(job.path("owned"), None, "".join(f"{path}\n" for path in (job.inside, *owned)).encode())
    host.files.replace(job.path("job.json"), None, to_text(job).encode())
    _launch(host, job, {**ENVIRONMENT, **(env or {})})
    return job


def _launch(host: Host, job: Job, env: Mapping[str, str]) -> None:
    argv = ("sh", "-c", LAUNCH, "s2s-wizard", job.inside, job.cwd, *job.argv)
    session = host.engine.open_exec(job.container_id, argv, tty=False, env=env)
    try:
        session.close_input()
        said = {1: b"", 2: b""}
        while STARTED.encode() not in said[1]:
            piece = session.read()
            if piece is None:
                break
            said[2 if piece[0] == 2 else 1] += piece[1]
        else:
            return
        text = (said[2] or said[1]).decode(errors="replace").strip()
        code = session.exit_code()
    finally:
        session.close()
    host.files.replace(job.path("exit"), None, f"{code or 125}\n".encode())
    kind = Problem.DISK_FULL if "No space left" in text else Problem.COMMAND_FAILED
    raise Trouble(kind, text, subject=job.argv[0], evidence=(Evidence(" ".join(job.argv), text),))


def all_of(host: Host, place: Place) -> tuple[Job, ...]:
    """The jobs of the data folder, oldest first."""
    parent = posixpath.join(place.data, JOBS)
    found = []
    for name in sorted(host.files.names(parent)):
        content = host.files.read(posixpath.join(parent, name, "job.json")) if name[:4].isdigit() else None
        text = content.data.decode(errors="replace") if content else ""
        job = from_text(text, name, posixpath.join(parent, name), posixpath.join(DATA_TARGET, JOBS, name))
        if job is not None:
            found.append(job)
    return tuple(sorted(found, key=lambda job: job.number))


@dataclass(frozen=True, slots=True)
class State:
    """How a job stands. ``code`` is its exit status (128 and more: ended by a signal), None while it runs, and None
    when it ended without leaving one: then ``lost`` is why.
    """

    running: bool
    code: int | None = None
    lost: Problem | None = None


def state(host: Host, job: Job, *, look_inside: bool = True) -> State:
    """Whether the job runs. ``look_inside`` asks the container for the process; without, only the container is asked
    for, and a process that was killed together with its shell counts as running. Raises engine kinds.
    """
    if (code := _exit(host, job)) is not None:
        return State(running=False, code=code)
    container = host.engine.container(job.container_id)
    if container is None:
        return _ended(host, job, Problem.CONTAINER_MISSING)
    if not container.running:
        return _ended(host, job, Problem.CONTAINER_NOT_RUNNING)
    if not look_inside or container.state != "running":
        return State(running=True)
    where = process(_text(host, job.path("pid")))
    if where is None:
        return _ended(host, job, Problem.COMMAND_FAILED)
    result = host.engine.run_in(job.container_id, ("sh", "-c", ALIVE, "sh", *where), timeout=20)
    return State(running=True) if b"alive" in result.stdout else _ended(host, job, Problem.CONTAINER_RESTARTED)


def _ended(host: Host, job: Job, why: Problem) -> State:
    """It does not run; it may have ended well while we looked."""
    for _try in range(10):
        if (code := _exit(host, job)) is not None:
            return State(running=False, code=code)
        time.sleep(0.1)  # the shell that writes the exit status outlives the command by a moment
    if host.files.disk(job.folder).free < 4096:
        return State(running=False, lost=Problem.DISK_FULL)
    return State(running=False, lost=why)


def _exit(host: Host, job: Job) -> int | None:
    text = _text(host, job.path("exit")).strip()
    return int(text) if text.isdigit() else None


def _text(host: Host, path: str) -> str:
    return host.files.after(path, 0, 4096).decode(errors="replace")


def stop(host: Host, job: Job, *, patience: float = 60.0, cancel: Cancel | None = None) -> State:
    """Ends a job's process: politely (SIGINT), after ``patience`` seconds firmly (SIGTERM), then with force (SIGKILL).

    A training finishes its step first. Waits until it has ended. Raises engine kinds and ``CANCELLED``.
    """
    cancel = cancel or Cancel()
    for signal, seconds in (("INT", patience), ("TERM", 10.0), ("KILL", 10.0)):
        now = state(host, job)
        where = process(_text(host, job.path("pid")))
        if not now.running or where is None:
            return now
        if not stopped(host, job):
            with suppress(Trouble):  # a full disk is no reason to go on
                host.files.replace(job.path(STOPPED), None, b"")
        with suppress(Trouble):  # the container may go in this very moment; the state tells
            host.engine.run_in(job.container_id, ("sh", "-c", SIGNAL, "sh", *where, signal), timeout=20)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not (now := state(host, job)).running:
                return now
            cancel.wait(REFRESH)
            cancel.check()
    return state(host, job)


def stopped(host: Host, job: Job) -> bool:
    """Whether somebody has asked the job to end."""
    return host.files.info(job.path(STOPPED)).kind is PathKind.FILE


def follow(
    host: Host,
    job: Job,
    cancel: Cancel,
    *,
    on_output: Callable[[bytes], None] = lambda _piece: None,
    on_errors: Callable[[bytes], None] = lambda _piece: None,
    on_wait: Callable[[], None] = lambda: None,
) -> State:
    """Reads a job's output from its beginning and on, until it has ended; the job goes on when this does not.

    ``on_output`` gets the bytes of standard output, ``on_errors`` those of standard error, ``on_wait`` is called
    between two looks. A Docker service that does not answer is waited for. Raises ``CANCELLED`` when asked to stop
    following.
    """
    streams = ((job.path("stdout.log"), on_output), (job.path("stderr.log"), on_errors))
    offsets = [0, 0]
    heard = answered = time.monotonic()
    ended: State | None = None
    while True:
        cancel.check()
        new = False
        for place, (path, take) in enumerate(streams):
            while piece := host.files.after(path, offsets[place], _PIECE):
                cancel.check()
                offsets[place] += len(piece)
                new = True
                take(piece)
        if ended is not None:
            return ended
        now = time.monotonic()
        quiet = not new and now - heard > _QUIET
        if new or quiet:
            heard = now
        try:
            seen = state(host, job, look_inside=quiet)
            answered = now
        except Trouble as trouble:
            if now - answered > _PATIENCE or trouble.kind in (Problem.FILE_PERMISSION, Problem.FILE_NOT_REGULAR):
                raise
            seen = State(running=True)
        if not seen.running:
            ended = seen  # what it wrote between the last look and its end is read once more
            continue
        on_wait()
        cancel.wait(REFRESH)


def run(
    host: Host,
    place: Place,
    kind: str,
    argv: tuple[str, ...],
    *,
    cancel: Cancel,
    cwd: str = DATA_TARGET,
    owned: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = lambda _line: None,
) -> tuple[int, tuple[str, ...]]:
    """Runs a short job to its end: its exit status and the last lines that it printed.

    One of this kind that a killed program has left running is joined where it does the same, and ended otherwise. One
    that is cancelled is ended in the container, too. Raises what ended it from outside (``CONTAINER_MISSING``…).
    """
    job = _left(host, place, kind, argv) or start(host, place, kind, argv, cwd=cwd, owned=owned, env=env)
    last: deque[str] = deque(maxlen=30)
    streams = (Lines(), Lines())

    def take(lines: Iterable[str]) -> None:
        for line in lines:
            last.append(line)
            on_line(line)

    try:
        ended = follow(
            host,
            job,
            cancel,
            on_output=lambda piece: take(streams[0].feed(piece)),
            on_errors=lambda piece: take(streams[1].feed(piece)),
        )
    except BaseException:
        with suppress(Trouble):
            stop(host, job, patience=2.0)
        raise
    for stream in streams:
        take(stream.close())
    if ended.code is None:
        raise lost(job, ended)
    return ended.code, tuple(last)


def _left(host: Host, place: Place, kind: str, argv: tuple[str, ...]) -> Job | None:
    for earlier in all_of(host, place):
        if earlier.kind != kind or earlier.container_id != place.container.id or not state(host, earlier).running:
            continue
        if earlier.argv == argv:
            return earlier
        stop(host, earlier, patience=2.0)
    return None


def lost(job: Job, ended: State) -> Trouble:
    """What to say about a job that ended without a word."""
    subject = job.container if ended.lost is not Problem.DISK_FULL else job.folder
    hint = _("It happened while a job of yours ran in it ({id}).").format(id=job.id)
    return Trouble(ended.lost or Problem.INTERNAL, subject=subject, hint=hint)
