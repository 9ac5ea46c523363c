"""systemd's unit files and drop-ins: read as systemd reads them, and edited so that every other line stays.

Rules (systemd.syntax, systemd.unit, systemd.service): a line that ends in a backslash goes on in the next one; a list
such as ``ExecStart=`` is emptied by an assignment of nothing; a drop-in of the same name in a folder that comes first
hides the others, and drop-ins are read in the order of their names. A service that is not ``Type=oneshot`` has one
``ExecStart=``: with two it cannot be loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from wizard.model.i18n import _

FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Where units of the system lie; the first that has a file wins."""

SERVICE = "Service"
EXEC_START = "ExecStart"

_PREFIXES = "-@:+!|"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = re.compile(rf"\$\{{({_NAME})\}}|\$({_NAME})|\$\$")
_WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|[^\s"'\\])+""", re.DOTALL)
_PIECE = re.compile(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|\\(.)|([^\s"'\\]+)""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Setting:
    """One assignment. ``first`` and ``last`` are its lines, from 0; ``value`` has continuation lines joined."""

    section: str
    key: str
    value: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """A line that systemd does not understand and leaves out: its number, from 1, its text, and a translated reason."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A unit file or a drop-in."""

    path: str
    text: str
    settings: tuple[Setting, ...]
    mistakes: tuple[Mistake, ...] = ()

    def values(self, key: str, section: str = SERVICE) -> tuple[Setting, ...]:
        """The assignments to a key, with those of nothing."""
        return tuple(item for item in self.settings if (item.section, item.key) == (section, key))


@dataclass(frozen=True, slots=True)
class Found:
    """An assignment and the file in which it stands."""

    file: UnitFile
    setting: Setting


@dataclass(frozen=True, slots=True)
class Unit:
    """A service as its files describe it: the vendor's or the administrator's file, then the drop-ins in their order.

    ``masked`` is a unit that is locked: a link to ``/dev/null``, or an empty file.
    """

    name: str
    files: tuple[UnitFile, ...]
    masked: bool = False

    @property
    def main(self) -> UnitFile | None:
        """The unit's own file, without drop-ins."""
        return self.files[0] if self.files else None

    @property
    def drop_ins(self) -> tuple[UnitFile, ...]:
        """The files that change the unit."""
        return self.files[1:]

    def list(self, key: str, section: str = SERVICE) -> tuple[Found, ...]:
        """What is left of a list after all files: an assignment of nothing empties it."""
        kept: list[Found] = []
        for file in self.files:
            for setting in file.values(key, section):
                if setting.value:
                    kept.append(Found(file, setting))
                else:
                    kept.clear()
        return tuple(kept)

    def single(self, key: str, section: str = SERVICE) -> str:
        """The last assignment to a key that holds one value; "" for none."""
        values = [item.value for file in self.files for item in file.values(key, section)]
        return values[-1] if values else ""

    @property
    def refused(self) -> bool:
        """Whether systemd refuses the unit, because it would start more than one program."""
        return self.single("Type") != "oneshot" and len(self.list(EXEC_START)) > 1


def parse(text: str, path: str) -> UnitFile:
    """A unit file or a drop-in. Never raises: what systemd leaves out is a mistake."""
    settings: list[Setting] = []
    mistakes: list[Mistake] = []
    section: str | None = None
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        first, line = number, lines[number].strip()
        number += 1
        if not line or line[0] in "#;":
            continue
        while line.endswith("\\"):
            line = line[:-1] + " "
            # Comments may stand between the lines of one value.
            while number < len(lines) and lines[number].strip()[:1] in ("#", ";"):
                number += 1
            if number >= len(lines):
                break
            line += lines[number].strip()
            number += 1
        if line.startswith("["):
            if not line.endswith("]"):
                mistakes.append(
                    Mistake(first + 1, line, _("a closing bracket is missing; all that follows is left out"))
                )
                break
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals:
            mistakes.append(Mistake(first + 1, line, _("there is no = in it")))
        elif section is None:
            mistakes.append(Mistake(first + 1, line, _("no section such as [Service] stands above it")))
        else:
            settings.append(Setting(section, key.strip(), value.strip(), first, number - 1))
    return UnitFile(path, text, tuple(settings), tuple(mistakes))


# --- command lines -----------------------------------------------------------------------------------------------


def words(value: str) -> tuple[str, ...]:
    """The words of a command line, without quotation marks and without the prefixes of its program; variables are left
    as they are.
    """
    found = [_unquoted(word) for word in _WORD.findall(value)]
    if found:
        found[0] = found[0].lstrip(_PREFIXES)
    return tuple(word.replace("%%", "%") for word in found)


def program(value: str) -> str:
    """The program that a command line starts; "" for none."""
    found = words(value)
    return found[0] if found else ""


def command(value: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The words of a command line with its variables filled in: ``$NAME`` alone is split at spaces, ``${NAME}`` is
    not.
    """
    filled: list[str] = []
    for word in words(value):
        alone = re.fullmatch(rf"\$({_NAME})", word)
        if alone:
            filled += environment.get(alone[1], "").split()
        else:
            filled.append(
                _VARIABLE.sub(
                    lambda found: environment.get(found[1] or found[2], "") if found[0] != "$$" else "$", word
                )
            )
    return tuple(filled)


def assignments(text: str) -> dict[str, str]:
    """The variables of an ``EnvironmentFile`` or of a file such as ``/etc/default/docker``."""
    found: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and re.fullmatch(_NAME, name.strip()) and not line.lstrip().startswith(("#", ";")):
            found[name.strip()] = _unquoted(value.strip())
    return found


def variables(values: Iterable[str]) -> dict[str, str]:
    """The variables of ``Environment=`` lines."""
    pairs = (word.partition("=") for value in values for word in words(value))
    return {name: text for name, equals, text in pairs if equals}


def _unquoted(word: str) -> str:
    return "".join(
        re.sub(r"\\(.)", r"\1", double or single, flags=re.DOTALL) or escaped or plain
        for double, single, escaped, plain in _PIECE.findall(word)
    )


# --- editing -----------------------------------------------------------------------------------------------------


def with_reset(file: UnitFile, key: str = EXEC_START) -> str:
    """The text with an empty assignment before the first one of ``key`` that says something."""
    first = next(item for item in file.values(key) if item.value)
    lines = file.text.split("\n")
    end = "\r" if lines[first.first].endswith("\r") else ""
    indent = re.match(r"\s*", lines[first.first])
    lines.insert(first.first, f"{indent[0] if indent else ''}{key}={end}")
    return "\n".join(lines)


def with_program(file: UnitFile, setting: Setting, new: str) -> str:
    """The text with another program in that assignment; its prefixes and arguments stay."""
    return _changed(file, setting, lambda text: text.replace(program(setting.value), new, 1))


def without_option(file: UnitFile, setting: Setting, option: str, value: str | None = None) -> str:
    """The text without every ``--option VALUE`` and ``--option=VALUE`` in that assignment, or only those of one value.

    A continuation line that holds nothing else goes with it.
    """
    what = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\s"']+)""" if value is None else f"[\"']?{re.escape(value)}[\"']?"
    pattern = re.compile(rf"(?:[ \t]*\\\r?\n)?[ \t]*--{re.escape(option)}(?:=|[ \t]+){what}(?=\s|$)")
    return _changed(file, setting, lambda text: pattern.sub("", text))


def _changed(file: UnitFile, setting: Setting, change: Callable[[str], str]) -> str:
    lines = file.text.split("\n")
    part = "\n".join(lines[setting.first : setting.last + 1])
    return "\n".join([*lines[: setting.first], *change(part).split("\n"), *lines[setting.last + 1 :]])
