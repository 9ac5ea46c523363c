"""The lines of a log, from bytes that come in pieces of any size.

A line ends with LF, CR LF (a program in a terminal) or CR (progress bars that overwrite themselves). Of a longer line
only its first ``LONGEST`` bytes are kept, so that no log needs more memory than that.
"""

from __future__ import annotations

import re

LONGEST = 16_384

_BAR = re.compile(r"\d{1,3}%\|[^|]{0,400}\| (?P<done>\d{1,15})/(?P<total>\d{1,15}) \[")
_END = re.compile(rb"\r\n?|\n")


class Lines:
    """Cuts bytes into lines. The same bytes give the same lines, however they were cut."""

    def __init__(self) -> None:
        self._open = b""
        self._cr = False
        """whether a CR came last: a LF that follows belongs to it"""

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes, without their ends."""
        if self._cr and data:
            data = b"\r" + data
            self._cr = False
        if data.endswith(b"\r"):
            data = data[:-1]
            self._cr = True
        *complete, rest = _END.split(data)
        if not complete:
            self._open = (self._open + rest)[:LONGEST]
            return []
        complete[0] = self._open + complete[0]
        self._open = rest[:LONGEST]
        return [_text(line) for line in complete]

    def close(self) -> list[str]:
        """The last line, where the log ends without the end of one."""
        rest, self._open, self._cr = self._open, b"", False
        return [_text(rest)] if rest else []


def bar(line: str) -> tuple[int, int] | None:
    """How far a progress bar of tqdm is, as done and total: ``scripts/import_librivox.py`` shows three of them."""
    match = _BAR.search(line)
    return (int(match["done"]), int(match["total"])) if match else None


def _text(line: bytes) -> str:
    return line[:LONGEST].decode("utf-8", "replace")
