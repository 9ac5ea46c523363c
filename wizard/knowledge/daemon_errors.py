"""The catalogue of daemon errors: every known cause, and which of them a text names.

The rows stand in ``causes/*.toml``, one table a cause, from the specific to the general; ``ORDER`` is the order of the
files. Ids and verbatim samples are those of the measurements on nine Docker engines (17.12 to 29.1) and ten versions
of NVIDIA's toolkit.

Patterns are tried without regard to case on text whose envelopes are off (``wizard.model.envelope``): one message a
line, blanks single, escapes written out, no dot or ``: unknown`` at a line's end. ``^`` and ``$`` are a line's, ``.``
stays in the line. What the daemon said follows a line ``Error response from daemon:`` of its own, so a pattern for
words that many programs use (``denied``) can ask for it: ``from daemon:\\n(?:error: )?denied$``. A pattern needs a
literal part of at least ``NEEDLE`` letters outside groups (in each of its alternatives) and is only tried where those
parts stand; its gaps are bounded (``[^\\n]{0,200}``, not ``.*``), so that no text makes it slow.

Where two causes match the same words, the one that stands first has them. ``depth`` orders the causes of one text:
90 kernel and firmware, 80 the driver, 75 packages, 70 what keeps the daemon from starting, 60 the toolkit and its
runtime, 50 what Docker was told about the GPU and the way to Docker (46 to 49 a Docker that only does not answer),
40 network, registry, image, container, 20 what follows from something else, 10 notes.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from wizard.model import envelope
from wizard.model.cause import Cause, Match
from wizard.model.finding import Link

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).resolve().parent / "causes"
ORDER = ("nvidia", "runtime", "systemd", "config", "access", "container", "registry", "image")
"""The files, in the order in which their rows are tried."""
NEEDLE = 5
"""The least length of a pattern's literal part, without white space."""
REACH = 1_500
"""Characters before and after its literal part that a pattern may need."""
IN_VAIN = 12
"""Blocks with the same words in them that are tried at most: a log says the same thing over and over."""

_SAID = re.compile(r"(?:error response )?(?:from )?daemon:\\[ns]\+?", re.IGNORECASE)
_LITERAL = re.compile(r"\\[^\w\s]|[^\\\[\](){}.*+?^$|]")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_QUANTIFIER = re.compile(r"[*+?]\??|\{\d*,?\d*\}\??")


@cache
def causes() -> tuple[Cause, ...]:
    """Every cause, in the order in which they are tried. Raises ValueError for a row that is not well formed."""
    return tuple(cause for name in ORDER for cause in _in_file(name))


def messages() -> Iterator[tuple[str, str]]:
    """Every text of the catalogue that people read, behind the name of its file: what has to be translated."""
    for name in ORDER:
        for cause in _in_file(name):
            for text in (cause.title, cause.cause, *cause.advice, *(link.title for link in cause.links)):
                yield f"{name}.toml", text


def by_id(id: str) -> Cause:
    """The cause of that id. Raises KeyError."""
    return {cause.id: cause for cause in causes()}[id]


def find(text: str) -> tuple[Match, ...]:
    """The causes that ``text`` names, the root first; none for a text that is not known.

    Takes time in proportion to the text's length, whatever stands in it. A text longer than ``envelope.LONGEST`` is
    looked at from both ends.
    """
    text = envelope.cleaned(text)
    rows = _named(envelope.squeezed(text), [(row, pattern) for row in causes() for pattern in row.patterns])
    if not rows:
        return ()
    found: dict[str, Match] = {}
    tried: Counter[tuple[str, ...]] = Counter()
    for block in _from_both_ends(tuple(envelope.blocks(text))):
        squeezed = block.squeezed()
        still = _named(squeezed, [(row, pattern) for row, pattern in rows if row.id not in found])
        if not still:
            continue
        until = rows.index(still[-1]) + 1  # only those before an open one matter: they may have its words
        here = _named(squeezed, rows[:until])
        words = tuple(pattern for _row, pattern in here)
        if tried[words] >= IN_VAIN:
            continue
        tried[words] += 1
        for match in _understood(block, here):
            found.setdefault(match.cause.id, match)
    order = {row.id: number for number, row in enumerate(causes())}
    return tuple(sorted(found.values(), key=lambda match: (-match.cause.depth, order[match.cause.id])))


def _named(squeezed: str, rows: list[tuple[Cause, str]]) -> list[tuple[Cause, str]]:
    """Those patterns whose literal parts all stand in the text; the others cannot match."""
    stands: dict[str, bool] = {}

    def there(part: str) -> bool:
        if part not in stands:
            stands[part] = part in squeezed
        return stands[part]

    return [
        (row, pattern) for row, pattern in rows if any(all(map(there, parts)) for parts in _squeezed_needles(pattern))
    ]


def _from_both_ends(blocks: tuple[envelope.Block, ...]) -> Iterator[envelope.Block]:
    """What went wrong stands at the end of a log more often than in its middle, or at its begin."""
    for number in range((len(blocks) + 1) // 2):
        yield blocks[number]
        if number != len(blocks) - 1 - number:
            yield blocks[-1 - number]


def _understood(block: envelope.Block, patterns: list[tuple[Cause, str]]) -> list[Match]:
    """The causes that the block names in any of its readings.

    A general cause found in one reading gives way to a specific one that another reading finds at the same place.
    """
    readings = [_matches(reading, patterns) for reading in block.readings()]
    kept: dict[str, tuple[Match, int, int]] = {}
    for cause, _pattern in patterns:
        mine = [reading for reading in readings if cause.id in reading]
        if not mine or cause.id in kept:
            continue
        match, begin, end = mine[0][cause.id]
        for other, (_match, other_begin, other_end) in kept.items():
            apart = any(other in reading for reading in mine)  # one reading has both: they are not the same words
            if not apart and begin < other_end and other_begin < end:
                break
        else:
            kept[cause.id] = match, begin, end
    return [match for match, _begin, _end in kept.values()]


def _matches(reading: envelope.Reading, patterns: list[tuple[Cause, str]]) -> dict[str, tuple[Match, int, int]]:
    """The causes in one reading, each with its place in the block. Words that one has explained are not used again."""
    taken = bytearray(len(reading.text))
    small = reading.text.lower()
    found: dict[str, tuple[Match, int, int]] = {}
    for cause, pattern in patterns:
        for match in _near_needles(pattern, reading.text, small):
            begin, end = match.span()
            if taken.find(1, begin, end) >= 0:
                continue
            taken[begin:end] = b"\1" * (end - begin)
            if cause.id not in found and reading.own(begin):
                groups = {name: value for name, value in match.groupdict().items() if value}
                about = Match(cause, reading.around(begin, end), groups)
                found[cause.id] = about, reading.place(begin), reading.place(end)
    return found


def _near_needles(pattern: str, text: str, small: str) -> Iterator[re.Match[str]]:
    """The matches of a pattern, looked for only around its longest literal part (``small``: in small letters)."""
    reach = 0 if _one_line(pattern) else REACH
    for parts in needles(pattern):
        done = 0
        at = small.find(parts[0])
        while at >= 0:
            begin = max(done, text.rfind("\n", 0, max(0, at - reach)) + 1, at - REACH)
            end = text.find("\n", at + len(parts[0]) + reach)
            end = min(len(text) if end < 0 else end, at + len(parts[0]) + REACH)
            yield from compiled(pattern).finditer(text, begin, end)
            done = end
            at = small.find(parts[0], end)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the catalogue, ready to be used: compiling all of them would take longer than most texts."""
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


@cache
def needles(pattern: str) -> tuple[tuple[str, ...], ...]:
    """Of each alternative of a pattern its literal parts outside groups, in small letters, the longest first.

    A text in which they do not all stand cannot match. Raises ValueError where none is ``NEEDLE`` letters long.
    """
    pattern = _SAID.sub("", pattern)  # where the API says it, the text has these words only once its envelope is off
    runs: list[list[str]] = [[""]]
    place = depth = 0
    while place < len(pattern):
        literal = ""
        if match := _CLASS.match(pattern, place):
            piece = match.group()
        elif match := _LITERAL.match(pattern, place):
            piece = match.group()
            literal = piece[-1]
        else:
            piece = pattern[place : place + 2] if pattern[place] == "\\" else pattern[place]
            depth += (piece == "(") - (piece == ")")
        place += len(piece)
        if piece == "|" and not depth:
            runs.append([""])
            continue
        quantifier = None if piece in ("(", "|", "^", "$") else _QUANTIFIER.match(pattern, place)
        place = quantifier.end() if quantifier else place
        if literal and not depth and (quantifier is None or quantifier.group()[0] == "+"):
            runs[-1][-1] += literal.lower()
        if not literal or depth or quantifier:
            runs[-1].append("")
    found = []
    for alternative in runs:
        parts = sorted(set(alternative), key=lambda run: len(envelope.squeezed(run)), reverse=True)
        parts = [run for run in parts if len(envelope.squeezed(run)) > 2]
        if not parts or len(envelope.squeezed(parts[0])) < NEEDLE:
            raise ValueError(f"no literal part of {NEEDLE} letters: {pattern}")
        found.append(tuple(parts))
    return tuple(found)


@cache
def _squeezed_needles(pattern: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(map(envelope.squeezed, parts)) for parts in needles(pattern))


@cache
def _one_line(pattern: str) -> bool:
    """Whether what the pattern matches, or looks at, never goes over the end of a line."""
    return not re.search(r"\\[snWD]|\[\^", re.sub(r"\[\^[^\]]*\\[sn][^\]]*\]", "", pattern))


@cache
def _in_file(file: str) -> tuple[Cause, ...]:
    rows = tomllib.loads((FOLDER / f"{file}.toml").read_text("utf-8"))
    return tuple(_cause(name, row) for name, row in rows.items())


def _line(text: str) -> str:
    """A text of a row as one line: where its lines end in the file means nothing."""
    return " ".join(text.split())


def _cause(id: str, row: dict[str, Any]) -> Cause:
    unknown = set(row) - {"title", "cause", "advice", "patterns", "samples", "near", "fixes", "links", "depth"}
    if unknown:
        raise ValueError(f"{id}: unknown keys {sorted(unknown)}")
    try:
        return Cause(
            id=id,
            title=_line(row["title"]),
            cause=_line(row["cause"]),
            advice=tuple(_line(step) for step in row["advice"]),
            patterns=tuple(row["patterns"]),
            samples=tuple(row["samples"]),
            near=tuple(row.get("near", ())),
            fixes=tuple(row.get("fixes", ())),
            links=tuple(Link(_line(link["title"]), link["url"]) for link in row.get("links", ())),
            depth=row.get("depth", 0),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{id}: {error!r}") from error
