"""Repairs of a ``daemon.json`` that can have been meant in one way only.

Four slips have exactly one reading: an invisible byte order mark, a comma before a closing bracket, a comment, and a
comma that is missing between two members (putting one comma there gives the only valid text that one comma can give).
So does an empty file: no settings. Everything else (other quotation marks, a brace that is missing, a name that looks
misspelt) is left to a person: what was meant is not known, and a settings file decides how Docker starts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wizard.model import daemon_json
from wizard.model.daemon_json import NotPlain, Slip
from wizard.model.i18n import _

_MOST = 200
"""So many slips are corrected; a file with more is no settings file with a slip."""

_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Repaired:
    """The corrected file, what was done as translated sentences, and the comments that had to go, as they stood."""

    data: bytes
    done: tuple[str, ...]
    comments: tuple[str, ...] = ()


def repaired(data: bytes, where: str = daemon_json.DEFAULT_PATH) -> Repaired | None:
    """``data`` with its slips corrected and every other byte kept; None for plain JSON and where anything would have
    to be guessed.
    """
    if daemon_json.is_empty(data):
        return Repaired(b"{}\n", (_("The empty file becomes one with no settings ({braces}).").format(braces="{}"),))
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    done: list[str] = []
    comments: list[str] = []
    for _attempt in range(_MOST):
        try:
            daemon_json.read(text.encode(), where)
        except NotPlain as slip:
            better = _corrected(text, slip, comments)
            if better is None:
                return None
            text, what = better
            done.append(what)
        else:
            return Repaired(text.encode(), tuple(dict.fromkeys(done)), tuple(comments)) if done else None
    return None


def _corrected(text: str, slip: NotPlain, comments: list[str]) -> tuple[str, str] | None:
    at = slip.at
    if slip.slip is Slip.BYTE_ORDER_MARK:
        return text[1:], _("The invisible mark at the beginning goes.")
    if slip.slip is Slip.COMMA_TOO_MANY:
        comma = len(text[:at].rstrip()) - 1
        return text[:comma] + text[comma + 1 :], _("The comma that is one too many goes.")
    if slip.slip is Slip.COMMA_MISSING:
        end = len(text[:at].rstrip())
        return f"{text[:end]},{text[end:]}", _("The comma that is missing is put in.")
    if slip.slip is Slip.COMMENT:
        found = _COMMENT.match(text, at)
        if not found:
            return None
        comments.append(found.group())
        return _without_comment(text, at, found.end()), _("The comment is moved to a file of its own.")
    return None


def _without_comment(text: str, start: int, end: int) -> str:
    """``text`` without a comment: with its line where it has one of its own, otherwise with the space before it."""
    line = text.rfind("\n", 0, start) + 1
    after = text.find("\n", end)
    rest = text[end : after if after >= 0 else len(text)]
    if not text[line:start].strip() and not rest.strip() and after >= 0:
        return text[:line] + text[after + 1 :]
    if not rest.strip():
        return text[:start].rstrip(" \t") + text[end:]
    return text[:start] + text[end:]
