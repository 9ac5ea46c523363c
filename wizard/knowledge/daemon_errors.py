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
runtime, 50 what Docker was told about the GPU, 40 network, registry, image, container, 30 reaching the daemon,
20 what follows from something else, 10 notes.
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
IN_VAIN = 32
"""Blocks with the same words in them that are tried at most: a log says the same thing over and over."""

_SAID = re.compile(r"(?:error response )?(?:from )?daemon:\\[ns]\+?", re.IGNORECASE)
_LITERAL = re.compile(r"\\[^\w\s]|[^\\\[\](){}.*+?^$|]")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_QUANTIFIER = re.compile(r"[*+?]\??|\{\d*,?\d*\}\??")


@cache
def causes() -> tuple[Cause, ...]:
    """Every cause, in the order in which they are tried. Raises ValueError for a row that is not well formed."""
    rows: list[Cause] = []
    for name in ORDER:
        path = FOLDER / f"{name}.toml"
        if path.exists():
            rows.extend(_cause(id_, row) for id_, row in tomllib.loads(path.read_text("utf-8")).items())
    return tuple(rows)


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
        here = _named(block.squeezed(), rows)
        words = tuple(pattern for _row, pattern in here)
        if all(row.id in found for row, _pattern in here) or tried[words] >= IN_VAIN:
            continue
        tried[words] += 1
        for match in _best(block, here):
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

    return [(row, pattern) for row, pattern in rows if any(all(map(there, parts)) for parts in needles(pattern))]


def _from_both_ends(blocks: tuple[envelope.Block, ...]) -> Iterator[envelope.Block]:
    """What went wrong stands at the end of a log more often than in its middle, or at its begin."""
    for number in range((len(blocks) + 1) // 2):
        yield blocks[number]
        if number != len(blocks) - 1 - number:
            yield blocks[-1 - number]


def _best(block: envelope.Block, patterns: list[tuple[Cause, str]]) -> list[Match]:
    """The matches of the reading in which the most is understood; the block as it stands where that is as good."""
    best: list[Match] = []
    most = 0
    for reading in block.readings():
        matches, understood = _matches(reading, patterns)
        if understood > most:
            best, most = matches, understood
    return best


def _matches(reading: envelope.Reading, patterns: list[tuple[Cause, str]]) -> tuple[list[Match], int]:
    """The causes in one reading, and how many characters they explain. Words explained once are not used again."""
    taken = bytearray(len(reading.text))
    found: dict[str, Match] = {}
    for cause, pattern in patterns:
        for match in compiled(pattern).finditer(reading.text):
            begin, end = match.span()
            if taken.find(1, begin, end) >= 0:
                continue
            taken[begin:end] = b"\1" * (end - begin)
            if cause.id not in found and reading.own(begin):
                groups = {name: value for name, value in match.groupdict().items() if value is not None}
                found[cause.id] = Match(cause, reading.around(begin, end), groups)
    return list(found.values()), taken.count(1)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the catalogue, ready to be used: compiling all of them would take longer than most texts."""
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


@cache
def needles(pattern: str) -> tuple[tuple[str, ...], ...]:
    """Of each alternative of a pattern its literal parts outside groups, squeezed, the longest first.

    A text in which they do not all stand cannot match. Raises ValueError where none is ``NEEDLE`` letters long.
    """
    pattern = _SAID.sub("", pattern)  # where the API says it, the text has these words only once its envelope is off
    runs: list[list[str]] = [[""]]
    place = depth = 0
    while place < len(pattern):
        if match := _CLASS.match(pattern, place):
            piece, literal = match.group(), ""
        elif match := _LITERAL.match(pattern, place):
            piece = match.group()
            literal = piece[-1]
        else:
            piece, literal = pattern[place], ""
            if piece == "\\":
                piece = pattern[place : place + 2]
            depth += (piece == "(") - (piece == ")")
        place += len(piece)
        quantifier = _QUANTIFIER.match(pattern, place) if piece not in ("(", "|", "^", "$") else None
        place = quantifier.end() if quantifier else place
        if depth or piece == ")":
            literal, ends = "", True
        elif piece == "|":
            runs.append([""])
            continue
        else:
            ends = not literal and piece != "\\s" and piece != "\\n"
        if literal and (quantifier is None or quantifier.group()[0] == "+"):
            runs[-1][-1] += literal
            ends = quantifier is not None
        elif literal:
            ends = not literal.isspace()
        if ends:
            runs[-1].append("")
    found = []
    for alternative in runs:
        parts = sorted({part for run in alternative if len(part := envelope.squeezed(run)) > 2}, key=len, reverse=True)
        if not parts or len(parts[0]) < NEEDLE:
            raise ValueError(f"no literal part of {NEEDLE} letters: {pattern}")
        found.append(tuple(parts))
    return tuple(found)


def _cause(id: str, row: dict[str, Any]) -> Cause:
    unknown = set(row) - {"title", "cause", "advice", "patterns", "samples", "near", "fixes", "links", "depth"}
    if unknown:
        raise ValueError(f"{id}: unknown keys {sorted(unknown)}")
    try:
        return Cause(
            id=id,
            title=row["title"],
            cause=row["cause"],
            advice=tuple(row["advice"]),
            patterns=tuple(row["patterns"]),
            samples=tuple(row["samples"]),
            near=tuple(row.get("near", ())),
            fixes=tuple(row.get("fixes", ())),
            links=tuple(Link(link["title"], link["url"]) for link in row.get("links", ())),
            depth=row.get("depth", 0),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{id}: {error!r}") from error
