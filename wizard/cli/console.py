"""What the command line prints: data on standard output, narration on standard error, as words or as JSON."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import sys
import unicodedata
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from wizard.model.finding import Evidence, Status
from wizard.model.i18n import _
from wizard.model.step import StepState

if TYPE_CHECKING:
    from wizard.model.machine import HostInfo

PROGRAM = "s2s-wizard"
SCHEMA_VERSION = 1

_TAGS = {
    Status.OK: "[ok]",
    Status.INFO: "[info]",
    Status.WARNING: "[warn]",
    Status.ERROR: "[error]",
    Status.SKIPPED: "[skip]",
    Status.UNKNOWN: "[?]",
}
_COLOURS = {
    "[ok]": "32",
    "[info]": "36",
    "[warn]": "33",
    "[error]": "31",
    "[skip]": "2",
    "[?]": "33",
    "-": "31",
    "+": "32",
}
_STATES = {
    StepState.DONE: "[ok]",
    StepState.ALREADY: "[ok]",
    StepState.UNDONE: "[ok]",
    StepState.PLANNED: "[info]",
    StepState.DECLINED: "[skip]",
    StepState.NOT_VERIFIED: "[warn]",
    StepState.FAILED: "[error]",
}
_NEVER_FIRST = "，。：；、？！）》”"
"""Chinese punctuation that does not begin a line."""
_LOOK_SECONDS = 0.1
TAG_WIDTH = max(map(len, _TAGS.values()))


def tag(status: Status | StepState) -> str:
    """How an outcome is written: ``[ok] [info] [warn] [error] [skip]``, ``[?]`` for one that could not be told."""
    return _TAGS[status] if isinstance(status, Status) else _STATES[status]


def width(text: str) -> int:
    """Columns that ``text`` takes on a terminal: two for each Chinese character."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def pad(text: str, columns: int) -> str:
    """``text`` filled with blanks to ``columns``."""
    return text + " " * max(0, columns - width(text))


def wrap(text: str, columns: int) -> list[str]:
    """``text`` in lines of at most ``columns``, broken at blanks and between Chinese characters."""
    lines, line = [], ""
    for word in re.findall(r"[\u2e80-\u9fff\uff00-\uffef]|[^\s\u2e80-\u9fff\uff00-\uffef]+|\s+", text):
        if width(line + word.rstrip()) > columns and line.strip() and word not in _NEVER_FIRST:
            lines.append(line.rstrip())
            line = word.lstrip()
        else:
            line += word
    return [*lines, line.rstrip()]


class Console:
    """Where a command's words and data go.

    ``json`` is off, ``document`` (one JSON value at the end) or ``lines`` (one each time something happens). The
    methods for words print nothing on standard output when ``json`` is on.
    """

    def __init__(self, json_mode: str = "") -> None:
        self.json = json_mode
        self.info: HostInfo | None = None
        """the machine that the data is about, as soon as it is known"""

    # --- words ---------------------------------------------------------------------------------------------------

    def out(self, text: str = "") -> None:
        """A line of the result; with JSON it goes to standard error, so that a person still reads it."""
        _write(sys.stderr if self.json else sys.stdout, text)

    def say(self, text: str = "") -> None:
        """A line of narration."""
        _write(sys.stderr, text)

    def file(self, text: str) -> None:
        """A file as the result, byte for byte: in UTF-8 whatever the locale, so that it can be redirected and used."""
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:
            _write(sys.stdout, text.removesuffix("\n"))
        else:
            buffer.write(text.encode())
            buffer.flush()

    def paragraph(self, text: str, indent: int = 4) -> None:
        """Lines of prose, indented; on a terminal broken between words, elsewhere as they are."""
        stream = sys.stderr if self.json else sys.stdout
        columns = shutil.get_terminal_size().columns - indent if is_terminal(stream) else None
        for line in text.splitlines():
            for part in wrap(line, columns) if columns else (line,):
                _write(stream, " " * indent + part)

    def tagged(self, mark: str, text: str) -> None:
        """``out`` with a status in front, in colour where that is wanted."""
        stream = sys.stderr if self.json else sys.stdout
        _write(stream, f"{self._paint(stream, mark)}{' ' * (TAG_WIDTH - len(mark) + 1)}{text}")

    def evidence(self, evidence: tuple[Evidence, ...], *, narration: bool = False) -> None:
        """What was seen, indented below the line that it belongs to."""
        show = self.say if narration else self.out
        for item in evidence:
            show(f"    {item.source}")
            for line in item.text.splitlines() or [""]:
                show(f"      {_clean(line)}")

    def diff(self, text: str) -> None:
        """A unified diff, indented."""
        stream = sys.stderr if self.json else sys.stdout
        for line in text.splitlines():
            sign = line[:1] if line[:3] not in ("---", "+++") else ""
            body = _clean(line)
            _write(stream, "    " + (self._paint(stream, sign, body) if sign in ("-", "+") else body))

    def draw(self, text: str) -> bool:
        """Draws a line over the one before, on standard error; False where that cannot be done."""
        if not is_terminal(sys.stderr) or os.environ.get("TERM", "dumb") == "dumb":
            return False
        columns = shutil.get_terminal_size().columns - 1
        while width(text) > columns:
            text = text[:-1]
        sys.stderr.write(f"\r{pad(text, columns)}")
        sys.stderr.flush()
        return True

    def typed(self, *words: str) -> str:
        """This program's command as a person would type it for this machine."""
        machine = () if self.info is None or self.info.kind == "real" else ("--demo", self.info.machine or "")
        return " ".join((PROGRAM, *machine, *words))

    # --- data ----------------------------------------------------------------------------------------------------

    def document(self, content: dict[str, Any]) -> None:
        """The JSON document of a command: version and machine are added in front."""
        stamp = self._stamp()
        _write(sys.stdout, _dumped({**stamp, **content, **stamp}, indent=2))

    def event(self, kind: str, content: dict[str, Any]) -> None:
        """One JSON line of a long operation. Every line tells the machine, so that each can be read alone."""
        _write(sys.stdout, _dumped({"event": kind, **self._stamp(), **content}))

    def _stamp(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, "host": host_json(self.info)}

    def _paint(self, stream: IO[str] | None, mark: str, text: str | None = None) -> str:
        text = mark if text is None else text
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb" or not is_terminal(stream)
        return text if plain or mark not in _COLOURS else f"\x1b[{_COLOURS[mark]}m{text}\x1b[0m"


def host_json(info: HostInfo | None) -> dict[str, Any] | None:
    """The machine, as every JSON output names it."""
    if info is None:
        return None
    machine = {} if info.machine is None else {"machine": info.machine}
    return {"kind": info.kind, "name": info.name, "os": info.os, **machine}


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether ``stream`` is there, open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def can_ask() -> bool:
    """Whether there is a terminal for questions and answers."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def ask(question: str, is_over: Callable[[], bool] | None = None) -> bool | None:
    """A yes-or-no question on the user's terminal; No is what Enter gives. None where there is no terminal, and as soon
    as ``is_over`` tells that the question has no point any more.
    """
    if not can_ask():
        return None
    columns = shutil.get_terminal_size().columns - len(" [y/N] ")
    lines = [part for line in question.splitlines() for part in wrap(line, columns)]
    sys.stderr.write(_("{question} [y/N] ").format(question="\n".join(lines)))
    sys.stderr.flush()
    try:
        while is_over is not None and not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
            if is_over():
                _write(sys.stderr, "")
                return None
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        _write(sys.stderr, "")  # what is said next gets a line of its own
        raise
    if not answer.endswith("\n"):
        _write(sys.stderr, "")
    return answer.strip().lower() in ("y", "yes", "是")


def size(count: int) -> str:
    """Bytes for people, in decimal units as Docker shows them."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit in ("B", "kB") else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """Seconds for people: ``40 s``, ``3 min``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 90:
        return _("{n} s").format(n=whole)
    if whole < 5400:
        return _("{n} min").format(n=round(whole / 60))
    return _("{h} h {m:02d} min").format(h=whole // 3600, m=whole % 3600 // 60)


def prepare_streams() -> None:
    """Whatever the locale, printing never fails: what it cannot show becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def speaks(text: str) -> bool:
    """Whether standard output and error can show ``text``."""
    try:
        for stream in (sys.stdout, sys.stderr):
            text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _clean(line: str) -> str:
    """A line of somebody else's text without what would disturb a terminal."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in line)


def _dumped(content: dict[str, Any], indent: int | None = None) -> str:
    return json.dumps(content, ensure_ascii=not speaks("中"), indent=indent)


def _write(stream: IO[str] | None, text: str) -> None:
    if stream is not None:
        stream.write(text + "\n")
        stream.flush()
