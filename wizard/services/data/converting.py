"""Recordings on their way into the container, where sox makes of them what OpenSeq2Seq reads.

A tar archive is sent to the script ``convert``, which runs in the container with the Python and the sox that are there.
It ends when its input ends, so nothing goes on in the container after a wizard that was killed.
"""

from __future__ import annotations

import json
import posixpath
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from wizard.host.ports import ExecSession, Host
from wizard.model.container import DATA_TARGET
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.journey import Journey
from wizard.services import journey, workspace
from wizard.services.training import inside
from wizard.services.training.place import Place

PYTHON = "python3"
_KINDS = {
    "busy": Problem.BUSY,
    "disk-full": Problem.DISK_FULL,
    "read-only": Problem.FILE_READ_ONLY,
    "permission": Problem.FILE_PERMISSION,
    "cut-off": Problem.DATA_UNREADABLE,
    "failed": Problem.DATA_UNREADABLE,
}
_LAST_WORDS = 4000
_GOODBYE_SECONDS = 5.0
_WATCH_SECONDS = 2.0
_BETWEEN_LOOKS = 0.2
_KILLED, _TRIES = 137, 25


@dataclass(frozen=True, slots=True)
class Job:
    """What the script is told. ``folder`` lies below /data; ``wav`` and ``csv`` are seen from there.

    With ``strict`` a recording that cannot be converted, or that has no text, keeps the list from being written;
    without, it is only left out. ``expected`` is how many recordings have to come.
    """

    folder: str
    wav: str
    csv: str
    expected: int
    strict: bool = True

    def options(self) -> str:
        """As the script reads it."""
        root = posixpath.join(DATA_TARGET, self.folder)
        told = {"data": DATA_TARGET, "root": root, "wav": self.wav, "csv": self.csv}
        return json.dumps({**told, "expected": self.expected, "strict": self.strict})


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it: the rows of each list, and the recordings that were left out, each with the reason."""

    rows: Mapping[str, int]
    recordings: int
    failed: tuple[tuple[str, str], ...] = ()


def folder_of(host: Host, name: str) -> str:
    """The data folder of the container ``name``; where there is none, the one that was chosen or is suggested."""
    with suppress(Trouble, StopIteration):  # a Docker that does not answer: the folder is there all the same
        found = host.engine.container(name)
        if found is not None and found.name == name:
            return next(mount.source for mount in found.mounts if mount.target == DATA_TARGET)
    return workspace.defaults(host, journey.load(host) or Journey()).data


def convert(
    host: Host,
    where: Place,
    job: Job,
    archive: Iterable[bytes],
    told: Callable[[int], None],
    cancel: Cancel,
) -> Converted:
    """Sends ``archive`` and waits for the lists. ``told`` hears how many recordings are done.

    Raises ``DEPENDENCIES_MISSING``, ``DATA_UNREADABLE``, ``DISK_FULL``, ``FILE_PERMISSION``, ``FILE_READ_ONLY``,
    ``BUSY``, ``CANCELLED``, ``CONTAINER_NOT_RUNNING``, and the engine's own kinds. What was converted until then
    is kept, and is not made again by the next call.
    """
    argv = (PYTHON, "-u", "-c", inside.text("convert"), job.options())
    try:
        session = host.engine.open_exec(where.container.id, argv, tty=False, env={"LC_ALL": "C.UTF-8"})
    except Trouble as trouble:
        if trouble.kind is not Problem.NOT_EXECUTABLE:
            raise
        raise Trouble(Problem.DEPENDENCIES_MISSING, subject=PYTHON) from trouble
    listener = _Listener(session, told)
    listener.start()
    cancel.on_set(session.close_input)
    try:
        with _watched(host, where, session) as gone:
            for piece in archive:
                if cancel.is_set or gone.is_set() or not listener.is_alive():
                    break
                session.write(piece)
            session.close_input()
            while listener.is_alive() and not gone.is_set() and not cancel.is_set:
                listener.join(_BETWEEN_LOOKS)
        cancel.check()
        if gone.is_set():
            raise Trouble(Problem.CONTAINER_NOT_RUNNING, subject=where.container.name)
        code = session.exit_code()
    finally:
        session.close_input()
        listener.join(_GOODBYE_SECONDS)
        session.close()
    return _result(host, where, job, listener, code)


@contextmanager
def _watched(host: Host, where: Place, session: ExecSession) -> Iterator[threading.Event]:
    """Looks after the container from a thread of its own: the event is set when it has ended.

    An engine goes on holding the connection of a command whose container has ended, and takes no more input, so neither
    sending nor hearing would end by itself.
    """
    over, gone = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(_WATCH_SECONDS):
            with suppress(Trouble):  # an engine that has ended closes the connection itself
                if not _runs(host, where):
                    gone.set()
                    session.close_input()
                    break

    thread = threading.Thread(target=watch, name="converter-watch", daemon=True)
    thread.start()
    try:
        yield gone
    finally:
        over.set()
        thread.join()


def _runs(host: Host, where: Place) -> bool:
    now = host.engine.container(where.container.id)
    return now is not None and now.running


class _Listener(threading.Thread):
    """Hears what the script says, while the other thread sends."""

    def __init__(self, session: ExecSession, told: Callable[[int], None]) -> None:
        super().__init__(name="converter", daemon=True)
        self.last: dict[str, Any] = {}
        self.words = ""
        self._session = session
        self._told = told

    def run(self) -> None:
        rest = b""
        with suppress(OSError, ValueError):  # the connection was closed on this side
            while (said := self._session.read()) is not None:
                stream, data = said
                if stream == 2:
                    self.words = (self.words + data.decode(errors="replace"))[-_LAST_WORDS:]
                    continue
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._hear(line)
        self._session.close_input()

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            self.words = f"{self.words}{line.decode(errors='replace')}\n"[-_LAST_WORDS:]
            return
        if "recordings" in said:
            self._told(said["recordings"])
        else:
            self.last = said
            self._session.close_input()  # the script reads no more, and a sender would wait for it


def _result(host: Host, where: Place, job: Job, listener: _Listener, code: int) -> Converted:
    finished = listener.last.get("finished")
    if finished and code == 0:
        failed = tuple((name, why) for name, why in finished["failed"])
        return Converted(finished["rows"], finished["recordings"], failed)
    # A command that is killed with its container is gone a moment before the engine says that the container is.
    for _try in range(_TRIES if code == _KILLED else 1):
        if not _runs(host, where):
            raise Trouble(Problem.CONTAINER_NOT_RUNNING, subject=where.container.name)
        if code == _KILLED:
            time.sleep(_BETWEEN_LOOKS)
    error = listener.last.get("error", "")
    if error == "sox" or (not error and code in (126, 127)):
        raise Trouble(Problem.DEPENDENCIES_MISSING, subject="sox" if error else PYTHON)
    folder = posixpath.join(where.data, job.folder)
    evidence = [Evidence(name, why) for name, why in listener.last.get("failed", ())]
    if listener.words.strip():
        evidence.append(Evidence(PYTHON, listener.words.strip()))
    text = listener.last.get("text", "")
    if error == "cut-off":
        text = _("The archive ends too early. {text}").format(text=text).strip()
    raise Trouble(
        _KINDS.get(error, Problem.INTERNAL),
        text or f"exit status {code}",
        subject="" if error == "busy" else folder,
        evidence=tuple(evidence),
    )
