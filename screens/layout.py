"""Text for a page, laid out for a given width: pure functions over a few kinds of blocks.

A screen says *what* it shows (a paragraph, a table of facts, a command, an error) and ``lay_out`` says how that
looks in so many cells. Lines break between words, and between Chinese characters by the usual rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from wizard.model.finding import Evidence, Link, Status

MARKS = {
    Status.OK: ("[ok]", "$text-success"),
    Status.INFO: ("[info]", "$text-accent"),
    Status.WARNING: ("[warn]", "$text-warning"),
    Status.ERROR: ("[error]", "$text-error"),
    Status.SKIPPED: ("[skip]", "$foreground-muted"),
    Status.UNKNOWN: ("[?]", "$text-warning"),
}
"""A status in text and its colour: the text alone is enough."""

MARK_WIDTH = 8
_NO_LINE_START = "，。、；：？！）》」』】〉…%％,.;:?!)]}”’"
_NO_LINE_END = "（《「『【〈([{“‘"
_WIDE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60"
_WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")


@dataclass(frozen=True, slots=True)
class Para:
    """A paragraph."""

    text: str
    style: str = ""
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A paragraph behind a mark; ``status`` gives both."""

    text: str
    status: Status | None = None
    mark: str = "-"
    style: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and what stands behind them, in two columns."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be read letter by letter: ``kind`` is ``command``, ``diff`` or ``plain``. Nothing is left out."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class Gap:
    """An empty line."""


Block = Para | Item | Facts | Code | Gap


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` cells; its own line breaks are kept."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for token in _glue(_tokens(paragraph)):
            if line and cell_len(line) + cell_len(token.rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            if not line:
                token = token.lstrip() if lines else token
            while cell_len(token) > width > 0:
                head = _cut(token, width - cell_len(line))
                lines.append(line + head)
                line, token = "", token[len(head) :]
            line += token
        lines.append(line.rstrip())
    return lines


def fold(text: str, width: int) -> list[str]:
    """``text`` cut hard into lines of at most ``width`` cells: every letter and space stays."""
    lines: list[str] = []
    for line in text.split("\n"):
        while cell_len(line) > width > 1:
            head = _cut(line, width)
            lines.append(head)
            line = line[len(head) :]
        lines.append(line)
    return lines


def lay_out(blocks: Iterable[Block], width: int) -> Content:
    """The blocks as one text of lines that are at most ``width`` cells wide."""
    lines: list[Content] = []
    for block in blocks:
        lines.extend(_lines(block, max(width, 10)))
    return Content("\n").join(lines)


def evidence(items: Iterable[Evidence]) -> list[Block]:
    """What was seen, under the name of where."""
    blocks: list[Block] = []
    for item in items:
        blocks.append(Para(item.source, "$foreground-muted"))
        blocks.append(Code(item.text.strip() or "-"))
    return blocks


def links(items: Iterable[Link]) -> list[Block]:
    """Addresses in full, so that they can be read and copied."""
    blocks: list[Block] = []
    for item in items:
        blocks.append(Para(item.title, "$foreground-muted"))
        blocks.append(Para(item.url, "underline", indent=2))
    return blocks


def plain(blocks: Iterable[Block], width: int = 100) -> str:
    """The same text without colours, for the clipboard."""
    return lay_out(blocks, width).plain


def two_ends(left: str, right: str, width: int) -> str:
    """One line with ``left`` at its start and ``right`` at its end; ``left`` gives way."""
    room = width - cell_len(right) - 2
    if cell_len(left) > room:
        left = _cut(left, max(room - 1, 0)) + "…"
    return left + " " * max(width - cell_len(left) - cell_len(right), 1) + right


def finding_row(
    status: Status | None, title: str, summary: str, titles: Iterable[str], width: int, pointer: str = ""
) -> Content:
    """One line of a list of findings: pointer, mark, title, summary; ``titles`` of all lines set the column."""
    mark, colour = MARKS[status] if status else ("[...]", "$foreground-muted")
    column = min(max((cell_len(text) for text in titles), default=0), width // 3) + 2
    name = two_ends(title, "", column)
    line = Content.assemble(
        (pointer or "  ", "bold $text-accent"),
        (mark + " " * (MARK_WIDTH - cell_len(mark)), colour),
        (name, "bold" if pointer else ""),
        (summary.split("\n")[0], "" if status else "$foreground-muted"),
    ).truncate(width, ellipsis=True)
    if pointer:
        line = line.pad_right(max(width - line.cell_length, 0)).stylize("on $panel-lighten-1")
    return line


def size(count: float) -> str:
    """A number of bytes for people: ``6.8 GB``, decimal as on a package or in a download."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in ("B", "kB") or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def shell_line(argv: Iterable[str]) -> str:
    """Words as a person would type them."""
    import shlex

    return shlex.join(argv)


def _lines(block: Block, width: int) -> list[Content]:
    if isinstance(block, Gap):
        return [Content("")]
    if isinstance(block, Para):
        pad = " " * block.indent
        return [Content.styled(pad + line, block.style) for line in wrap(block.text, width - block.indent)]
    if isinstance(block, Item):
        mark, colour = MARKS[block.status] if block.status else (block.mark, "$foreground-muted")
        room = MARK_WIDTH if block.status else cell_len(mark) + 1
        lines = [Content.styled(line, block.style) for line in wrap(block.text, width - room)]
        head = Content.assemble((mark, colour), " " * (room - cell_len(mark)))
        return [(Content(" " * room) if number else head) + line for number, line in enumerate(lines)]
    if isinstance(block, Facts):
        return _facts(block.rows, width)
    return _code(block, width)


def _facts(rows: Sequence[tuple[str, str]], width: int) -> list[Content]:
    column = min(max((cell_len(label) for label, _text in rows), default=0), width // 3) + 2
    lines: list[Content] = []
    for label, text in rows:
        labels = wrap(label, column - 2)
        texts = wrap(text, width - column)
        for number in range(max(len(labels), len(texts))):
            left = labels[number] if number < len(labels) else ""
            right = texts[number] if number < len(texts) else ""
            lines.append(Content.assemble((left + " " * (column - cell_len(left)), "$foreground-muted"), right))
    return lines


def _code(block: Code, width: int) -> list[Content]:
    lines: list[Content] = []
    for line in block.text.rstrip("\n").expandtabs(4).split("\n"):
        colour = "$foreground"
        if block.kind == "diff":
            colour = {"+": "$text-success", "-": "$text-error", "@": "$foreground-muted"}.get(
                line[:1], "$foreground-muted"
            )
        prefix = "$ " if block.kind == "command" else ""
        room = width - 2 - len(prefix)
        for number, part in enumerate(_command(line, room) if prefix else fold(line, room)):
            lead = "  " + (prefix if number == 0 else " " * len(prefix))
            lines.append(Content.assemble((lead, "$foreground-muted"), (part, colour)))
    return lines


def _command(line: str, width: int) -> list[str]:
    """A command line broken as a shell allows it: between words, with a backslash. What cannot be is folded."""
    words = _WORD.findall(line)
    if " ".join(words) != line or any(cell_len(word) > width - 4 for word in words):
        return fold(line, width)
    lines = [""]
    for word in words:
        if lines[-1].strip() and cell_len(lines[-1]) + cell_len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append("  " + word)
        else:
            lines[-1] += " " + word if lines[-1] else word
    return lines


def _tokens(text: str) -> list[str]:
    """Blanks, words, and single Chinese characters."""
    # The pattern for Chinese takes long to build, so it is built when the first such text comes.
    return re.findall(r"\s+|\S+" if text.isascii() else rf"\s+|[{_WIDE}]|[^\s{_WIDE}]+", text)


def _glue(tokens: list[str]) -> list[str]:
    """Joins to its neighbour what may not stand at the start or the end of a line."""
    glued: list[str] = []
    for token in tokens:
        before = glued[-1][-1] if glued else " "
        bound = not before.isspace() and (token[0] in _NO_LINE_START or before in _NO_LINE_END)
        if glued and (bound or token.isspace()):
            glued[-1] += token
        else:
            glued.append(token)
    return glued


def _cut(text: str, cells: int) -> str:
    """The longest beginning of ``text`` that fits, at least one character."""
    used = 0
    for position, letter in enumerate(text):
        used += cell_len(letter)
        if used > cells:
            return text[: max(position, 1)]
    return text
