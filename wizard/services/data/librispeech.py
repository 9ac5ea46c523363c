"""LibriSpeech, part by part: what is here, what the others would take, and the way from the server to the list that
OpenSeq2Seq reads.

Everything lies where OpenSeq2Seq's own ``scripts/import_librivox.py`` puts it, ``librispeech`` in the data folder, so
that one finds what the other made. A part is ready when its list is there, and the list is written last. Recordings are
converted while the archive is read, so that they never lie unpacked on the disk.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from wizard.host.ports import Host
from wizard.knowledge import librispeech as knowledge
from wizard.knowledge.librispeech import Part
from wizard.model.container import DATA_TARGET
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Started, ignore
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.services.data import converting
from wizard.services.data.converting import Converted, Job
from wizard.services.data.telling import Telling
from wizard.services.training import dependencies
from wizard.services.training.place import Place

FOLDER = "librispeech"
"""The corpus in the data folder: what the configurations read as /data/librispeech."""
UNFINISHED = ".part"
ALL = "all"
READY, ARCHIVE, BEGUN, MISSING = "ready", "archive", "begun", "missing"
_PIECE = 1024 * 1024
_SPARE = 1.02
"""File systems take a little more than the files have."""


@dataclass(frozen=True, slots=True)
class PartState:
    """A part on this machine. ``state`` is ``ready``, ``archive`` (downloaded), ``begun`` or ``missing``; ``here`` is
    bytes of the archive, ``converted`` how many recordings are done.
    """

    part: Part
    state: str
    here: int
    converted: int = 0

    @property
    def bytes_to_come(self) -> int:
        """About what the recordings that are not converted yet will take."""
        left = max(0, self.part.recordings - self.converted)
        return self.part.bytes_ready * left // self.part.recordings


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What is going to happen, in bytes: ``download`` from the network, ``peak`` more on the disk than now at the worst
    moment, ``after`` when all is done (below zero is possible: archives that go). ``free`` is what the disk has.
    """

    folder: str
    todo: tuple[PartState, ...]
    ready: tuple[str, ...]
    keep: bool
    download: int
    peak: int
    after: int
    free: int


@dataclass(frozen=True, slots=True)
class PartReady:
    """A part whose list is there. ``csv`` is the list as the container sees it."""

    name: str
    csv: str
    recordings: int


def states(host: Host, folder: str) -> tuple[PartState, ...]:
    """Every part, in the order in which they are worth having. ``folder`` is the data folder."""
    return tuple(_state(host, folder, part) for part in knowledge.corpus().parts)


def ready(host: Host, folder: str) -> tuple[str, ...]:
    """The lists that are there, as the container sees them.

    OpenSeq2Seq stops at the first list that is missing, so a configuration that names others has to be derived.
    """
    return tuple(csv_inside(state.part) for state in states(host, folder) if state.state == READY)


def csv_inside(part: Part) -> str:
    """A part's list as the container sees it."""
    return posixpath.join(DATA_TARGET, FOLDER, part.csv)


def plan(host: Host, folder: str, names: Iterable[str] = (), *, keep: bool = False) -> FetchPlan:
    """What the parts ``names`` would take (``all``: every one; none: those to begin with).

    With ``keep`` the archives stay. Raises ``BAD_INPUT`` for a part that does not exist, and ``DISK_SMALL``.
    """
    chosen = _chosen(tuple(names))
    known = [state for state in states(host, folder) if state.part.name in chosen]
    todo = tuple(state for state in known if state.state != READY)
    used = peak = download = 0
    for state in todo:
        missing = state.part.bytes - state.here
        download += missing
        used += missing + state.bytes_to_come
        peak = max(peak, used)
        used -= 0 if keep else state.part.bytes
    free = host.files.disk(folder).free
    made = FetchPlan(
        folder=folder,
        todo=todo,
        ready=tuple(state.part.name for state in known if state.state == READY),
        keep=keep,
        download=download,
        peak=round(peak * _SPARE),
        after=used,
        free=free,
    )
    if todo and made.peak > free:
        raise Trouble(
            Problem.DISK_SMALL,
            subject=folder,
            hint=_("Needed at the worst moment: {need}. Free: {free}.").format(need=_gb(made.peak), free=_gb(free)),
        )
    return made


def fetch(
    host: Host,
    where: Place,
    wanted: FetchPlan,
    *,
    mirror: str = "",
    emit: Emit = ignore,
    cancel: Cancel | None = None,
) -> tuple[PartReady, ...]:
    """Downloads, compares and converts every part of the plan that is not ready; can be run again at any time.

    ``mirror`` is the address of a folder with the same archives. Emits ``Started``, ``Progress``, ``Stalled``, a
    ``PartReady`` for each, and ``Finished``. Raises what ``dependencies.ensure_sox``, ``Downloads.fetch`` and
    ``converting.convert`` raise.
    """
    cancel = cancel or Cancel()
    folder = posixpath.join(where.data, FOLDER)
    dependencies.ensure_sox(host, where, emit, cancel)
    host.files.make_folder(folder)
    made = []
    for state in wanted.todo:
        archive = posixpath.join(folder, state.part.archive)
        _download(host, state.part, archive, mirror or knowledge.corpus().url, emit, cancel)
        made.append(convert_part(host, where, state.part, pieces(host.files.open(archive)), emit, cancel))
        if not wanted.keep:
            host.files.remove(archive)
    emit(Finished(_("The data is ready.")))
    return tuple(made)


def convert_part(
    host: Host, where: Place, part: Part, archive: Iterable[bytes], emit: Emit, cancel: Cancel, expected: int = 0
) -> PartReady:
    """Makes a part's recordings and its list from an archive of flac files and their texts.

    ``expected`` is the number of recordings; 0: all of the part.
    """
    expected = expected or part.recordings
    emit(Started(_("Converting {part}: {n} recordings.").format(part=part.name, n=expected)))
    job = Job(FOLDER, part.wav, part.csv, expected)
    result = _converted(host, where, job, archive, part.name, emit, cancel)
    made = PartReady(part.name, csv_inside(part), result.rows[part.csv])
    emit(made)
    return made


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """A file bit by bit; it is closed at the end."""
    with file:
        while piece := file.read(_PIECE):
            yield piece


def to_json(state: PartState) -> dict[str, Any]:
    """A part in the document of ``s2s-wizard data list --json``."""
    part = state.part
    return {
        "name": part.name,
        "use": part.use,
        "state": state.state,
        "hours": part.hours,
        "recordings": part.recordings,
        "bytes_archive": part.bytes,
        "bytes_archive_here": state.here,
        "bytes_ready": part.bytes_ready,
        "md5": part.md5 or None,
        "csv": csv_inside(part),
    }


def plan_json(wanted: FetchPlan) -> dict[str, Any]:
    """The plan in the first line of ``s2s-wizard data fetch --json``."""
    return {
        "folder": posixpath.join(wanted.folder, FOLDER),
        "parts": [state.part.name for state in wanted.todo],
        "ready": list(wanted.ready),
        "keep_archives": wanted.keep,
        "bytes_download": wanted.download,
        "bytes_peak": wanted.peak,
        "bytes_after": wanted.after,
        "bytes_free": wanted.free,
    }


def _state(host: Host, folder: str, part: Part) -> PartState:
    corpus = posixpath.join(folder, FOLDER)
    archive = posixpath.join(corpus, part.archive)
    whole = host.files.info(archive)
    begun = host.files.info(archive + UNFINISHED)
    here = whole.size if whole.kind is PathKind.FILE else min(begun.size, part.bytes)
    if host.files.info(posixpath.join(corpus, part.csv)).kind is PathKind.FILE:
        return PartState(part, READY, here, part.recordings)
    wav = host.files.names(posixpath.join(corpus, part.wav))
    converted = sum(not name.startswith(".") for name in wav)
    if whole.kind is PathKind.FILE:
        return PartState(part, ARCHIVE, here, converted)
    return PartState(part, BEGUN if here or converted else MISSING, here, converted)


def _chosen(names: tuple[str, ...]) -> frozenset[str]:
    known = [part.name for part in knowledge.corpus().parts]
    if ALL in names:
        return frozenset(known)
    for name in names:
        if name not in known:
            raise Trouble(
                Problem.BAD_INPUT, subject=name, hint=_("Parts: {names}.").format(names=", ".join((*known, ALL)))
            )
    return frozenset(names or knowledge.corpus().begin_with)


def _download(host: Host, part: Part, archive: str, url: str, emit: Emit, cancel: Cancel) -> None:
    emit(Started(_("Downloading {part}.").format(part=part.archive)))
    reason = _("Nothing comes from the network. The download goes on by itself when the network is back.")
    telling = Telling(emit, part.bytes, "bytes", part.name, reason)
    with telling.watched():
        address = f"{url.rstrip('/')}/{part.archive}"
        host.downloads.fetch(address, archive, size=part.bytes, md5=part.md5, progress=telling, cancel=cancel)


def _converted(
    host: Host, where: Place, job: Job, archive: Iterable[bytes], phase: str, emit: Emit, cancel: Cancel
) -> Converted:
    telling = Telling(emit, job.expected, "steps", phase, _("The container is at work, but no recording is done."))
    with telling.watched():
        return converting.convert(host, where, job, archive, telling, cancel)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
