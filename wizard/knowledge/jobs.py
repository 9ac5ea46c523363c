"""Jobs for schedulers, as templates: ``job_templates/*.sh`` and ``*.yaml``, to be read as they stand.

``@NAME@`` is a place for a value, quoted as the file's language wants it: for a shell in ``.sh``, as a JSON text (which
YAML reads, too) in ``.yaml``. A line whose value is None is left out; ``@?NAME@`` is this condition alone. A line that
is nothing but ``@NAME@`` takes as many lines as its value has, each indented like it: the items of a tuple, or a
``Text`` as it stands.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "job_templates"
_PLACE = re.compile(r"@\??([A-Z_]+)@")
_ONLY = re.compile(r"(\s*)@([A-Z_]+)@")


class Text(str):
    """Lines that stand in the result as they are."""

    __slots__ = ()


Value = str | int | tuple[str, ...] | None


def read(name: str) -> str:
    """The template ``name``, a file's name without its folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def fill(name: str, values: Mapping[str, Value]) -> str:
    """The template ``name`` with its values. A name that has no value is a ``KeyError``."""
    quoted = _in_yaml if name.endswith(".yaml") else _in_shell
    lines: list[str] = []
    for line in read(name).splitlines():
        only = _ONLY.fullmatch(line)
        if only:
            lines += (f"{only[1]}{part}".rstrip() for part in _lines(values[only[2]], yaml=quoted is _in_yaml))
        elif all(values[place] is not None for place in _PLACE.findall(line)):
            lines.append(_PLACE.sub(lambda place: "" if "?" in place[0] else quoted(values[place[1]]), line))
    return "\n".join(lines) + "\n"


def _lines(value: Value, *, yaml: bool) -> Iterator[str]:
    if isinstance(value, Text):
        yield from value.splitlines()
    elif isinstance(value, tuple):
        yield from (f"- {_in_yaml(word)}" for word in value) if yaml else (_in_shell(value),)
    elif value is not None:
        yield _in_yaml(value) if yaml else _in_shell(value)


def _in_shell(value: Value) -> str:
    return shlex.join(value) if isinstance(value, tuple) else shlex.quote(str(value))


def _in_yaml(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)
