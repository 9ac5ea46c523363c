"""Error texts as people paste them, and the sentence that is inside.

The same sentence of Docker comes from a terminal (coloured, wrapped at its width), from the API as JSON, out of the
journal with its fields, through Compose, with quotes and line ends escaped up to three times, among a hundred lines
of something else. Here the text is cleaned, cut into blocks that are cheap to look at, and each block is given in
every reading that its line breaks allow. Everything is linear in the length of the text.
"""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

LONGEST = 4_000_000
"""Characters that are looked at: of a longer text the first and the last half of this."""
BLOCK = 8_000
"""Characters of a block's own, about; with those before and after it that belong to the same message."""
AROUND = 1_600
PIECE = 4_000
"""A line longer than this is handled in pieces of this length."""
TERMINAL = 80
"""The width that most terminals begin with, in columns."""
NARROWEST, WIDEST = 40, 300

_MORE = "\x1f"  # at the end of a piece: the line goes on in the next one

_COLOUR = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_COLOUR_AS_TEXT = re.compile(r"(?:\\x1b|\\u001b|\\033|#033|\^\[)\[[0-9;]*[A-Za-z]")
_COLOUR_LEFT = re.compile(r"\[[0-9;]{1,8}m")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200d\u2060\ufeff]+")
_TYPED = (("“", '"'), ("”", '"'), ("„", '"'), ("‘", "'"), ("’", "'"), ("\u0130", "I"))
_SLASHES = re.compile(r"\\{2,}")
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_GUTTER = re.compile(r"^[ \t]{0,8}[>│┃]{1,8}(?:[ \t]|$)", re.MULTILINE)  # a quoted mail, a frame
_BLANKS = re.compile(r"[^\S\n]+")

_PREFIX = re.compile(
    r"[\w.-]+ \| "  # the container's name in front of its output, as Compose writes it
    r"|[✘✗×✔⠿] (?:\S+ ){1,3}?(?:(?=Error response from)|Error )"
    r"|[A-Z][a-z]{2} \d{1,2} \d\d:\d\d:\d\d (?:\S+ )?[\w.()@/-]+(?:\[\d+\])?: "
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S* (?:\S+ [\w.()@/-]+(?:\[\d+\])?: )?"
    r"|[\w.()@/-]+\[\d+\]: "
    r"|\[ ?\d+\.\d+\] "
    r"|\[?(?:ERRO|WARN|INFO|FATA)\[\d+\]\]? "
    r'|(?:time="?[^"\s]{0,40}"? )?level=\w+ msg="?'
    r"|docker: "
)
_DAEMON = re.compile(
    r'Error response from daemon: |[^\n]{0,200}"message" ?: ?"'
    r'|Handler for [A-Z]+ \S+ returned (?:an )?error(?:: |" error="?)',
    re.IGNORECASE,
)
_SAID = "Error response from daemon:"
_HELP = re.compile(r"(?:^|\.? ?\b)(?:See|Run) '[^'\n]{1,60} --help'[^\n]{0,40}$")
_CLOSING = re.compile(r'"(?:["}\], ]{0,40}| \w+=[^\n]*)$')
_FIELD = re.compile(r'" (?:error|err)="')
_RECORD = re.compile(
    r"\s*(?:docker: |Error(?: response from daemon)?: |level=|time=|\{|See '|Run '"
    r"|\d{4}-\d\d-\d\d|[A-Z][a-z]{2} +\d{1,2} \d\d:|\[ *\d+\.)"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a block: ``text`` without its envelopes. ``lines`` maps it back onto the block, see ``place``."""

    text: str
    lines: tuple[tuple[int, int, int, int], ...]  # a line's begin and length here, its begin and length in the block
    own_from: int
    own_to: int

    def place(self, at: int) -> int:
        """Where in the block the character ``at`` comes from. About right: a line's envelope may have been long."""
        begin, length, raw, raw_length = self.lines[bisect.bisect_right(self.lines, (at, WIDEST * BLOCK)) - 1]
        return raw + raw_length * min(at - begin, length) // max(1, length)

    def own(self, at: int) -> bool:
        """Whether a message that begins at ``at`` is the block's, and not one that was cut at the block's edge.

        About right is enough: near the edge both blocks say yes, and both see the whole message.
        """
        return self.own_from <= self.place(at) <= self.own_to

    def around(self, begin: int, end: int, longest: int = 400) -> str:
        """The line or lines around a place, so that a person recognises it; cut to about ``longest`` characters."""
        first = self.text.rfind("\n", 0, begin) + 1
        last = self.text.find("\n", end)
        last = len(self.text) if last < 0 else last
        if last - first <= longest:
            return self.text[first:last].strip()
        spare = max(0, longest - (end - begin)) // 2
        left, right = max(first, begin - spare), min(last, end + spare)
        before = "…" if left > first else ""
        after = "…" if right < last else ""
        return f"{before}{self.text[left:right].strip()}{after}"


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a text with those around them; messages that begin in the characters ``own`` are the block's."""

    rows: tuple[str, ...]
    own: tuple[int, int]

    def squeezed(self) -> str:
        """See ``squeezed``."""
        return squeezed("".join(row[:-1] if row.endswith(_MORE) else f"{row}\n" for row in self.rows))

    def readings(self) -> tuple[Reading, ...]:
        """The block as it stands, then joined where a terminal or a mail program may have broken lines."""
        joined = [_join(self.rows, None)]
        for width in self._widths():
            joined.append(_join(self.rows, partial(_hard, width)))
            joined.append(_join(self.rows, partial(_soft, width)))
        different: list[list[str]] = []
        for lines in joined:
            if lines not in different:
                different.append(lines)
        return tuple(self._reading(lines) for lines in different)

    def _widths(self) -> tuple[int, ...]:
        """Widths at which the lines may have been broken: the usual one, the longest line, the commonest long one."""
        lengths = [len(row) for row in self.rows if NARROWEST <= len(row) <= WIDEST]
        if not lengths:
            return ()
        commonest, times = Counter(lengths).most_common(1)[0]
        return tuple(dict.fromkeys([TERMINAL, max(lengths), *([commonest] if times > 1 else [])]))

    def _reading(self, joined: list[str]) -> Reading:
        parts: list[str] = []
        lines: list[tuple[int, int, int, int]] = []
        place = raw = 0
        for line in joined:
            plain = "\n".join(bare for part in unescaped(line).split("\n") if (bare := _bare(part)))
            if plain:
                parts.append(plain)
                lines.append((place, len(plain), raw, len(line)))
                place += len(plain) + 1
            raw += len(line) + 1
        return Reading("\n".join(parts), tuple(lines) or ((0, 0, 0, 0),), *self.own)


def cleaned(text: str) -> str:
    """The text without colours, control characters and foreign line ends, and cut to ``LONGEST`` characters."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    text = _COLOUR.sub("", text)
    if any(mark in text for mark in ("x1b[", "u001b[", "033[", "^[[")):
        text = _COLOUR_AS_TEXT.sub("", text)
    text = _COLOUR_LEFT.sub("", text)
    text = _CONTROL.sub("", text)
    if any(mark in text for mark in ">│┃"):
        text = _GUTTER.sub("", text)
    if not text.isascii():
        for typed, plain in _TYPED:
            text = text.replace(typed, plain)
    return text


def unescaped(text: str) -> str:
    """The text with its escaped quotes, line ends and characters written out, however often they were escaped."""
    if "\\" not in text:
        return text
    text = _SLASHES.sub(r"\\", text)
    for escape, plain in (('\\"', '"'), ("\\'", "'"), ("\\n", "\n"), ("\\r", ""), ("\\t", " "), ("\\/", "/")):
        text = text.replace(escape, plain)
    return _UNICODE.sub(lambda match: chr(int(match[1], 16)), text)


def squeezed(text: str) -> str:
    """The text in small letters without white space and backslashes: what it says however its lines are broken."""
    return "".join(unescaped(text).lower().split()).replace("\\", "")


def blocks(text: str) -> Iterator[Block]:
    """A cleaned text in blocks. A message of up to ``AROUND`` characters is whole in the block in which it begins."""
    rows: list[str] = []
    for line in text.split("\n"):
        line = line.rstrip() if line.endswith((" ", "\t")) and len(line) > WIDEST else line
        if len(line) > PIECE:
            pieces = [line[at : at + PIECE] for at in range(0, len(line), PIECE)]
            rows.extend(f"{piece}{_MORE}" for piece in pieces[:-1])
            rows.append(pieces[-1])
        elif line:
            rows.append(line)
    begin = 0
    while begin < len(rows):
        end, size = begin, 0
        while end < len(rows) and size < BLOCK:
            size += len(rows[end]) + 1
            end += 1
        before = _around(rows, begin, -1)
        after = _around(rows, end, 1)
        lead = sum(len(row) + 1 for row in before)
        yield Block((*before, *rows[begin:end], *after), (lead // 2 if before else 0, lead + size + AROUND // 2))
        begin = end


def _around(rows: list[str], place: int, step: int) -> list[str]:
    """Rows before (-1) or from (1) a place on, some ``AROUND`` characters; the last of them may be cut."""
    found: list[str] = []
    size = 0
    at = place - 1 if step < 0 else place
    while 0 <= at < len(rows) and size < AROUND:
        row = rows[at]
        found.append(row[-AROUND:] if step < 0 else row[:AROUND])
        size += len(row) + 1
        at += step
    return found[::-1] if step < 0 else found


def _hard(width: int, row: str, _following: str) -> str | None:
    """How to join what a terminal cut at its width: within a word, or at a blank that was lost in copying."""
    if len(row) == width:
        return ""
    return " " if len(row) == width - 1 else None


def _soft(width: int, row: str, following: str) -> str | None:
    """How to join what was broken between words because the next one did not fit."""
    words = following.split(None, 1)
    if not row.strip() or not words or len(row) > width or len(row) + 1 + len(words[0]) <= width:
        return None
    last = row.rsplit(None, 1)[-1]
    if last.endswith("-") and len(last) > 1:
        return ""
    broken = len(row) == width and len(last) + len(words[0]) > width and not last.endswith((":", ",", ";", ")"))
    return "" if broken else " "


def _join(rows: tuple[str, ...], glue: Callable[[str, str], str | None] | None) -> list[str]:
    """The lines, those joined for which ``glue`` of a row and the next one is not None."""
    lines: list[str] = []
    parts: list[str] = []
    for number, row in enumerate(rows):
        following = rows[number + 1] if number + 1 < len(rows) else ""
        between: str | None = None
        if row.endswith(_MORE):
            row, between = row[:-1], ""
        elif glue is not None and following and not _RECORD.match(following):
            between = glue(row, following)
        parts.append(row)
        if between is None:
            lines.append("".join(parts))
            parts = []
        else:
            parts.append(between)
    return [*lines, "".join(parts)] if parts else lines


@lru_cache(maxsize=1024)  # a log says the same thing over and over
def _bare(line: str) -> str:
    """A line without what programs put around a message; what the daemon said stands on a line of its own."""
    line = _BLANKS.sub(" ", line).strip()
    said = quoted = False
    for _envelope in range(6):
        if match := _PREFIX.match(line):
            quoted = quoted or match.group().endswith('"')
        elif not said and (match := _DAEMON.match(line)):
            said, quoted = True, quoted or match.group().endswith('"')
        else:
            break
        line = line[match.end() :]
    if " --help'" in line:
        line = _HELP.sub("", line)
    if quoted:
        line = _CLOSING.sub("", _FIELD.sub(": ", line))
    line = line.removesuffix(".").removesuffix(": unknown")
    return f"{_SAID}\n{line}" if said else line
