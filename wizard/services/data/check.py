"""The lists of the data folder, looked through before a training: see ``wizard.model.training.data_check``."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Started, ignore
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.model.training import data_check
from wizard.model.training.data_check import Audio, Checked
from wizard.services.data import librispeech, recordings


@dataclass(frozen=True, slots=True)
class CheckedList:
    """A list as the container sees it, and what was found in it."""

    csv: str
    checked: Checked


def everything(host: Host, data: str) -> tuple[str, ...]:
    """Every list of the data folder, as the container sees it."""
    return (*librispeech.ready(host, data), *recordings.lists(host, data))


def check(
    host: Host, data: str, lists: tuple[str, ...], emit: Emit = ignore, cancel: Cancel | None = None
) -> tuple[CheckedList, ...]:
    """Looks through these lists: paths of the container, or of this machine. ``data`` is the data folder.

    Raises ``FILE_MISSING``, ``FILE_PERMISSION``, ``CANCELLED``, and ``DATA_MISSING`` without any list.
    """
    cancel = cancel or Cancel()
    if not lists:
        raise Trouble(Problem.DATA_MISSING, subject=data)

    def read(path: str, count: int) -> Audio | None:
        cancel.check()
        place = _outside(data, path)
        info = host.files.info(place)
        return Audio(info.size, host.files.after(place, 0, count)) if info.kind is PathKind.FILE else None

    result = []
    for csv in lists:
        emit(Started(_("Looking through {csv}.").format(csv=csv)))
        place = csv
        if host.files.info(csv).kind is not PathKind.FILE:
            place = _outside(data, csv)
        pieces = librispeech.pieces(host.files.open(place))
        result.append(CheckedList(csv, data_check.check(pieces, read, folder=posixpath.dirname(csv))))
    return tuple(result)


def to_json(item: CheckedList) -> dict[str, Any]:
    """A list in the document of ``s2s-wizard data check --json``."""
    checked = item.checked
    return {
        "csv": item.csv,
        "rows": checked.rows,
        "seconds": round(checked.seconds),
        "stops": checked.stops,
        "flaws": [
            {
                "id": found.flaw.value,
                "title": found.title,
                "advice": found.advice,
                "stops": found.stops,
                "count": found.count,
                "rows": [{"line": row.line, "path": row.path, "seen": row.seen} for row in found.rows],
            }
            for found in checked.found
        ],
    }


def _outside(data: str, path: str) -> str:
    """Where a path of the container lies on this machine."""
    inner = posixpath.normpath(path)
    if not inner.startswith(f"{DATA_TARGET}/"):
        return path
    return posixpath.join(data, posixpath.relpath(inner, DATA_TARGET))
