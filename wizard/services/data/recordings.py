"""Recordings of one's own: a folder of them and what is said in them becomes data to train on.

The originals are only read. The converted recordings and the lists ``train.csv`` and ``dev.csv`` stand in
``recordings/NAME`` of the data folder.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Started, ignore
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.model.transcript import DEV_PERCENT, by_base_name, look_up, normalise, read_list
from wizard.services.data import converting, tar
from wizard.services.data.converting import Job
from wizard.services.data.telling import Telling
from wizard.services.training import dependencies
from wizard.services.training.place import Place

FOLDER = "recordings"
TRAIN, DEV = "train.csv", "dev.csv"
AUDIO = (".flac", ".mp3", ".wav")
_LISTS = (".csv", ".tsv", ".txt")
_LARGER = {".wav": 1, ".flac": 3, ".mp3": 12}
"""About how many times larger a recording becomes at most."""
_DEEPEST = 12
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: its name afterwards, its path on this machine, and what is said in it."""

    key: str
    path: str
    text: str
    size: int


@dataclass(frozen=True, slots=True)
class AddPlan:
    """What is going to happen. ``left_out`` are names with the reason, ``removed`` is the punctuation that the texts
    lose, ``need`` bytes of disk at most.
    """

    name: str
    train: tuple[Recording, ...]
    dev: tuple[Recording, ...]
    left_out: tuple[tuple[str, str], ...]
    removed: str
    need: int


@dataclass(frozen=True, slots=True)
class Added:
    """The lists as the container sees them, with their rows, and what could not be converted."""

    rows: dict[str, int]
    failed: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Found:
    audio: list[tuple[str, int, float]] = field(default_factory=list)
    """paths below the folder, sizes, times of the last change"""
    texts: list[str] = field(default_factory=list)


def plan(host: Host, data: str, folder: str, name: str = "") -> AddPlan:
    """What the recordings in ``folder`` would become; ``data`` is the data folder. Changes nothing.

    Raises ``BAD_INPUT`` for what is no folder, ``DATA_MISSING`` where no recording with a text is in it, and
    ``DISK_SMALL``.
    """
    if host.files.info(folder).kind is not PathKind.DIRECTORY:
        raise Trouble(Problem.BAD_INPUT, subject=folder, hint=_("Name a folder with recordings."))
    found = _Found()
    _walk(host, folder, "", found, 0)
    texts = _texts(host, folder, found)
    used: list[Recording] = []
    left_out: list[tuple[str, str]] = []
    removed: set[str] = set()
    for path, size, changed in found.audio:
        said = look_up(texts, path)
        if said is None:
            left_out.append((path, _("there is no text for it")))
            continue
        clean = normalise(said)
        if clean.strange or not clean.text:
            why = _("its text has what is no letter of the models: {characters}") if clean.strange else _("no text")
            left_out.append((path, why.format(characters=" ".join(clean.strange))))
            continue
        removed.update(clean.removed)
        used.append(Recording(_key(path, size, changed), posixpath.join(folder, path), clean.text, size))
    if not used:
        hint = _("It should hold recordings (wav, flac, mp3), each with a text file of the same name, or one list.")
        seen = left_out[0] if left_out else None
        raise Trouble(Problem.DATA_MISSING, "" if seen is None else ": ".join(seen), subject=folder, hint=hint)
    train, dev = _split(used, folder)
    need = sum(item.size * _LARGER[posixpath.splitext(item.path)[1].lower()] for item in used)
    free = host.files.disk(data).free
    if need > free:
        raise Trouble(Problem.DISK_SMALL, subject=data)
    called = _NAME.sub("_", name or posixpath.basename(folder.rstrip("/"))).strip("._") or FOLDER
    return AddPlan(called, train, dev, tuple(left_out), "".join(sorted(removed)), need)


def add(host: Host, where: Place, wanted: AddPlan, emit: Emit = ignore, cancel: Cancel | None = None) -> Added:
    """Converts the recordings and writes the lists. Emits ``Started``, ``Progress``, ``Stalled`` and ``Finished``.

    Raises what ``dependencies.ensure_sox`` and ``converting.convert`` raise.
    """
    cancel = cancel or Cancel()
    dependencies.ensure_sox(host, where, emit, cancel)
    everything = (*wanted.train, *wanted.dev)
    folder = posixpath.join(FOLDER, wanted.name)
    host.files.make_folder(posixpath.join(where.data, folder))
    emit(Started(_("Converting {part}: {n} recordings.").format(part=wanted.name, n=len(everything))))
    reason = _("The container is at work, but no recording is done.")
    telling = Telling(emit, len(everything), "steps", wanted.name, reason)
    job = Job(folder, "wav", "", len(everything), strict=False)
    with telling.watched():
        made = converting.convert(host, where, job, tar.packed(_members(host, wanted)), telling, cancel)
    emit(Finished(_("The data is ready.")))
    inside = posixpath.join(DATA_TARGET, folder)
    return Added({posixpath.join(inside, name): count for name, count in made.rows.items()}, made.failed)


def lists(host: Host, data: str) -> tuple[str, ...]:
    """The lists that are there, as the container sees them."""
    folder = posixpath.join(data, FOLDER)
    return tuple(
        posixpath.join(DATA_TARGET, FOLDER, name, csv)
        for name in host.files.names(folder)
        for csv in (TRAIN, DEV)
        if host.files.info(posixpath.join(folder, name, csv)).kind is PathKind.FILE
    )


def plan_json(wanted: AddPlan) -> dict[str, Any]:
    """The plan in the first line of ``s2s-wizard data add --json``."""
    return {
        "name": wanted.name,
        "train": len(wanted.train),
        "dev": len(wanted.dev),
        "left_out": [{"recording": name, "reason": why} for name, why in wanted.left_out],
        "punctuation_removed": wanted.removed,
        "bytes_peak": wanted.need,
    }


def _walk(host: Host, folder: str, below: str, found: _Found, depth: int) -> None:
    for name in host.files.names(posixpath.join(folder, below)):
        path = posixpath.join(below, name)
        info = host.files.info(posixpath.join(folder, path))
        ending = posixpath.splitext(name)[1].lower()
        if name.startswith("."):
            continue
        if info.kind is PathKind.DIRECTORY and depth < _DEEPEST:
            _walk(host, folder, path, found, depth + 1)
        elif info.kind is PathKind.FILE and ending in AUDIO:
            found.audio.append((path, info.size, info.changed))
        elif info.kind is PathKind.FILE and ending in _LISTS:
            found.texts.append(path)


def _texts(host: Host, folder: str, found: _Found) -> dict[str, str]:
    """What is said, by the recordings' paths without their endings: lists first, then the files of the same name."""
    stems = {posixpath.splitext(path)[0] for path, _size, _changed in found.audio}
    texts: dict[str, str] = {}
    own: dict[str, str] = {}
    for path in found.texts:
        content = host.files.read(posixpath.join(folder, path))
        stem = posixpath.splitext(path)[0]
        if content is None:
            continue
        if stem in stems and path.lower().endswith(".txt"):
            own[stem] = content.data.decode("utf-8-sig", "replace")
        else:
            texts.update(by_base_name(read_list(content.data) or {}))
    return {**texts, **own}


def _key(path: str, size: int, changed: float) -> str:
    """A name for the converted recording that is another one when the original changes."""
    mark = hashlib.sha256(f"{path}\0{size}\0{changed}".encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{_NAME.sub('_', posixpath.splitext(path)[0])[-100:]}-{mark}"


def _split(used: list[Recording], folder: str) -> tuple[tuple[Recording, ...], tuple[Recording, ...]]:
    """Those to train with and those to evaluate with: the same whenever and wherever it is done. A recording that is
    added later does not move another.
    """

    def draw(item: Recording) -> int:
        name = posixpath.relpath(item.path, folder)
        return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:4], "big")

    dev = [item for item in used if draw(item) % 100 < DEV_PERCENT]
    if not dev and len(used) > 1:
        dev = [min(used, key=draw)]
    if len(dev) == len(used):
        dev = dev[1:]
    return tuple(item for item in used if item not in dev), tuple(dev)


def _members(host: Host, wanted: AddPlan) -> Iterator[tuple[str, bytes]]:
    rows = {
        TRAIN: [[item.key, item.text] for item in wanted.train],
        DEV: [[item.key, item.text] for item in wanted.dev],
    }
    yield "manifest.json", json.dumps(rows).encode()
    for item in (*wanted.train, *wanted.dev):
        content = host.files.read(item.path)
        if content is None:
            raise Trouble(Problem.FILE_MISSING, subject=item.path)
        yield f"{item.key}{posixpath.splitext(item.path)[1].lower()}", content.data
