"""The catalogue of training failures: what a line of OpenSeq2Seq's log, or its exit code, says went wrong.

The rows stand in ``training_failures.toml``; its head says what a row is. They are those of runs that were made to fail
and of the project's issues on GitHub. In one line the first row that matches counts, over a log the last line that
matches: Python ends its message with what matters. A ``general`` row gives way to any other.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from wizard.knowledge import daemon_errors
from wizard.model.i18n import _
from wizard.model.training.events import Failure, Finished

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_suffix(".toml")
SHOWN = 400
"""Characters of a line that are kept as its text."""
_LONGEST = 4_000
_SOURCE = ("    ", '  File "')
"""How a traceback begins a line of source code: the message in it was not said yet."""


@dataclass(frozen=True, slots=True)
class Row:
    """One failure. The texts are English and go through ``_`` where they are shown.

    ``patterns`` are regular expressions for one line; their group ``subject`` is what it is about. ``codes`` are the
    exit codes that mean it where no line tells more.
    """

    id: str
    title: str
    cause: str
    advice: tuple[str, ...]
    patterns: tuple[str, ...]
    samples: tuple[str, ...]
    near: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    fatal: bool = True
    general: bool = False


_Pattern = tuple[int, Row, Callable[[str], "re.Match[str] | None"]]
"""The place of a pattern in the catalogue, its row, and how a line is tried."""


@cache
def rows() -> dict[str, Row]:
    """Every row by its id, in the order in which they are tried. Raises ValueError for one that is not well formed."""
    raw = tomllib.loads(FILE.read_text("utf-8"))
    return {name: _row(name, values) for name, values in raw.items()}


def messages() -> Iterator[tuple[str, str]]:
    """Every text that people read, behind the name of its file: what has to be translated."""
    for row in rows().values():
        for text in (row.title, row.cause, *row.advice):
            yield FILE.name, text


def find(line: str) -> Failure | None:
    """The failure that one line of a log names, with its words in the language in use."""
    if line.startswith(_SOURCE):
        return None
    named = _named(line[:_LONGEST])
    return worded(Failure(named[0].id, text=line[:SHOWN], subject=named[1])) if named else None


@lru_cache(maxsize=256)
def _named(line: str) -> tuple[Row, str] | None:
    """The row that a line names, and its subject. What floods a log is the same few lines over and over."""
    here, always = _by_needle()
    small = line.lower()
    found = [needle for needle in here if needle in small]
    for _place, row, match_in in sorted((*always, *(one for needle in found for one in here[needle])), key=_order):
        if match := match_in(line):
            return row, match.groupdict().get("subject") or ""
    return None


def worded(failure: Failure) -> Failure:
    """The failure with the words and remedies of its row, in the language in use. Raises KeyError."""
    row = rows()[failure.id]
    return replace(
        failure,
        summary=_(row.title),
        cause=_(row.cause),
        advice=tuple(_(step) for step in row.advice),
        remedies=row.remedies,
        fatal=row.fatal,
        general=row.general,
    )


def verdict(failure: Failure | None, finished: Finished | None, code: int | None) -> Failure | None:
    """What a run came to: its failure, or None where it ended well.

    ``failure`` is the last one that the log named, ``code`` the exit code (negative for a signal), None where it is not
    known. An exit code of 0 is believed, and so is a log that says "Finished" where there is no code.
    """
    if code == 0 or (code is None and finished is not None):
        return None
    named = failure if failure is not None and failure.fatal else None
    if named is not None and not named.general:
        return named
    if code is None:
        return named
    number = 128 - code if code < 0 else code
    by_code = next((row for row in rows().values() if number in row.codes), rows()["python-error"])
    if named is not None and by_code.general:
        return named
    return worded(Failure(by_code.id, text=named.text if named else "", subject=str(code)))


@cache
def _by_needle() -> tuple[dict[str, list[_Pattern]], list[_Pattern]]:
    """The patterns by a literal part that a line must have, in small letters, and those that have none.

    Few lines of a log have any of these parts, and most lines are only looked through for them.
    """
    needles: dict[str, list[_Pattern]] = {}
    always: list[_Pattern] = []
    patterns = [(row, text) for row in rows().values() for text in row.patterns]
    for place, (row, text) in enumerate(patterns):
        pattern = re.compile(text)
        one = (place, row, pattern.match if text.startswith("^") else pattern.search)
        try:
            for parts in daemon_errors.needles(text):
                needles.setdefault(parts[0], []).append(one)
        except ValueError:
            always.append(one)
    return needles, always


def _order(pattern: _Pattern) -> int:
    return pattern[0]


def _line(text: str) -> str:
    return " ".join(text.split())


def _row(id: str, raw: dict[str, Any]) -> Row:
    unknown = set(raw) - set(Row.__dataclass_fields__)
    if unknown or "id" in raw:
        raise ValueError(f"{id}: unknown keys {sorted(unknown)}")

    def many(name: str) -> tuple[Any, ...]:
        return tuple(raw.get(name, ()))

    try:
        return Row(
            id,
            _line(raw["title"]),
            _line(raw["cause"]),
            advice=many("advice"),
            patterns=many("patterns"),
            samples=many("samples"),
            near=many("near"),
            remedies=many("remedies"),
            codes=many("codes"),
            fatal=raw.get("fatal", True),
            general=raw.get("general", False),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{id}: {error!r}") from error
