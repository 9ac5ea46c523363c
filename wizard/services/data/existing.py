"""LibriSpeech that somebody has already: archives, unpacked folders, or what OpenSeq2Seq's own script has made of them.

Archives and flac files are read where they are, and only the converted recordings are written. Recordings that are
converted already stay in their place if the container sees them there; otherwise they are copied.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wizard.host.ports import Host
from wizard.knowledge import librispeech as knowledge
from wizard.knowledge.librispeech import Part
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.services.data import librispeech, tar
from wizard.services.data.librispeech import PartReady
from wizard.services.training import dependencies
from wizard.services.training.place import Place

ARCHIVE, UNPACKED, CONVERTED = "archive", "unpacked", "converted"
_COLUMNS = ("wav_filename", "wav_filesize", "transcript")


@dataclass(frozen=True, slots=True)
class Source:
    """A part that was found: ``path`` is its archive or folder, ``kind`` one of ``archive``, ``unpacked`` and
    ``converted``; then ``csv`` is its list. ``stays``: nothing is written but the list.
    """

    part: Part
    kind: str
    path: str
    csv: str = ""
    stays: bool = False


@dataclass(frozen=True, slots=True)
class UsePlan:
    """What is going to happen. ``left_out`` are parts with the reason, ``need`` bytes of disk."""

    folder: str
    found: tuple[Source, ...]
    ready: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    need: int


def plan(host: Host, where: Place, folder: str) -> UsePlan:
    """What is in ``folder``. Changes nothing. Raises ``BAD_INPUT``, ``DATA_MISSING`` and ``DISK_SMALL``."""
    if host.files.info(folder).kind is not PathKind.DIRECTORY:
        hint = _("Name the folder that holds LibriSpeech, its archives, or one of its parts.")
        raise Trouble(Problem.BAD_INPUT, subject=folder, hint=hint)
    ready = [state.part for state in librispeech.states(host, where.data) if state.state == librispeech.READY]
    found, left_out = [], []
    for part in knowledge.corpus().parts:
        source = None if part in ready else _find(host, where, folder, part)
        if source is None:
            continue
        count = part.recordings if source.kind == ARCHIVE else len(_recordings(host, source))
        if count < part.recordings:
            why = _("{n} recordings are there, {wanted} were published.").format(n=count, wanted=part.recordings)
            left_out.append((part.name, why))
        else:
            found.append(source)
    if not found and not left_out and not ready:
        hint = _("It should hold archives such as dev-clean.tar.gz, or folders such as dev-clean.")
        raise Trouble(Problem.DATA_MISSING, subject=folder, hint=hint)
    need = sum(source.part.bytes_ready for source in found if not source.stays)
    if need > host.files.disk(where.data).free:
        raise Trouble(Problem.DISK_SMALL, subject=where.data)
    return UsePlan(folder, tuple(found), tuple(part.name for part in ready), tuple(left_out), need)


def use(
    host: Host, where: Place, wanted: UsePlan, emit: Emit = ignore, cancel: Cancel | None = None
) -> tuple[PartReady, ...]:
    """Makes every part of the plan ready. Emits as ``librispeech.fetch`` does.

    Raises ``DOWNLOAD_DAMAGED`` for an archive that is not the published one, and what ``dependencies.ensure_sox`` and
    ``converting.convert`` raise.
    """
    cancel = cancel or Cancel()
    if any(not source.stays for source in wanted.found):
        dependencies.ensure_sox(host, where, emit, cancel)
    host.files.make_folder(posixpath.join(where.data, librispeech.FOLDER))
    made = []
    for source in wanted.found:
        if source.stays:
            made.append(_listed(host, where, source))
            emit(made[-1])
            continue
        if source.kind == ARCHIVE:
            _compare(host, source, emit, cancel)
            stream = librispeech.pieces(host.files.open(source.path))
        else:
            stream = tar.packed(_members(host, source))
        made.append(librispeech.convert_part(host, where, source.part, stream, emit, cancel))
    emit(Finished(_("The data is ready.")))
    return tuple(made)


def plan_json(wanted: UsePlan) -> dict[str, Any]:
    """The plan in the first line of ``s2s-wizard data use --json``."""
    return {
        "folder": wanted.folder,
        "parts": [{"name": item.part.name, "kind": item.kind, "path": item.path} for item in wanted.found],
        "ready": list(wanted.ready),
        "left_out": [{"name": name, "reason": why} for name, why in wanted.left_out],
        "bytes_peak": wanted.need,
    }


def _find(host: Host, where: Place, folder: str, part: Part) -> Source | None:
    """The part in ``folder``, in the form that needs the least work."""
    inner = posixpath.join(folder, "LibriSpeech")
    for above in (folder, inner):
        wav = posixpath.join(above, f"{part.name}-wav")
        listed = posixpath.join(folder, part.csv)
        if host.files.info(wav).kind is PathKind.DIRECTORY and host.files.info(listed).kind is PathKind.FILE:
            return Source(part, CONVERTED, wav, listed, stays=where.inside(wav) is not None)
    own = (folder,) if posixpath.basename(folder) == part.name else ()
    for unpacked in (*own, posixpath.join(folder, part.name), posixpath.join(inner, part.name)):
        if host.files.info(unpacked).kind is PathKind.DIRECTORY:
            return Source(part, UNPACKED, unpacked)
    archive = posixpath.join(folder, part.archive)
    return Source(part, ARCHIVE, archive) if host.files.info(archive).kind is PathKind.FILE else None


def _recordings(host: Host, source: Source) -> tuple[str, ...]:
    """The recordings' paths, in order."""
    if source.kind == CONVERTED:
        return tuple(posixpath.join(source.path, name) for name in host.files.names(source.path) if _is(name, ".wav"))
    return tuple(path for path in _chapters(host, source.path) if _is(path, ".flac"))


def _chapters(host: Host, folder: str) -> Iterator[str]:
    """Every file of an unpacked part: speakers, their chapters, and the files of these."""
    for speaker in host.files.names(folder):
        for chapter in host.files.names(posixpath.join(folder, speaker)):
            for name in host.files.names(posixpath.join(folder, speaker, chapter)):
                yield posixpath.join(folder, speaker, chapter, name)


def _is(name: str, ending: str) -> bool:
    return name.endswith(ending) and not posixpath.basename(name).startswith(".")


def _compare(host: Host, source: Source, emit: Emit, cancel: Cancel) -> None:
    """Raises ``DOWNLOAD_DAMAGED`` where the archive is not the published one."""
    if not source.part.md5:
        return
    emit(Started(_("Comparing {part} with what was published.").format(part=source.part.archive)))
    total = hashlib.md5(usedforsecurity=False)
    for piece in librispeech.pieces(host.files.open(source.path)):
        cancel.check()
        total.update(piece)
    if total.hexdigest() != source.part.md5:
        told = _("published: {wanted}; here: {found}").format(wanted=source.part.md5, found=total.hexdigest())
        raise Trouble(Problem.DOWNLOAD_DAMAGED, subject=source.path, evidence=(Evidence(source.path, told),))


def _texts(host: Host, source: Source) -> list[list[str]]:
    """What is said, by the recordings' names, from the list that was made on whatever machine."""
    content = host.files.read(source.csv)
    table = csv.DictReader(io.StringIO("" if content is None else content.data.decode("utf-8-sig", "replace")))
    try:
        return [[posixpath.splitext(posixpath.basename(row[_COLUMNS[0]]))[0], row[_COLUMNS[2]]] for row in table]
    except KeyError as error:
        raise Trouble(Problem.DATA_UNREADABLE, str(error), subject=source.csv) from error


def _members(host: Host, source: Source) -> Iterator[tuple[str, bytes]]:
    """The files of a part, as its archive would bring them."""
    if source.kind == CONVERTED:
        yield "manifest.json", json.dumps({source.part.csv: _texts(host, source)}).encode()
        files = _recordings(host, source)
    else:
        files = tuple(_chapters(host, source.path))
    for path in files:
        content = host.files.read(path)
        if content is None:
            raise Trouble(Problem.FILE_MISSING, subject=path)
        yield posixpath.basename(path), content.data


def _listed(host: Host, where: Place, source: Source) -> PartReady:
    """Writes the list of recordings that stay where they are, with the paths that the container sees."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(_COLUMNS)
    rows = _texts(host, source)
    for name, said in rows:
        wav = posixpath.join(source.path, f"{name}.wav")
        info = host.files.info(wav)
        if info.kind is not PathKind.FILE:
            raise Trouble(Problem.FILE_MISSING, subject=wav)
        out.writerow([where.inside(wav), info.size, said])
    target = posixpath.join(where.data, librispeech.FOLDER, source.part.csv)
    host.files.replace(target, None, text.getvalue().encode())
    return PartReady(source.part.name, librispeech.csv_inside(source.part), len(rows))
