"""Where apt takes packages from: its ``*.list`` and ``*.sources`` files, as sources.list(5) describes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_LINE = re.compile(r"^deb(?:-src)?\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)")
_SIGNED_BY = re.compile(r"(?:^|\s)signed-by=(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """One source of packages. ``signed_by`` is the file with its key, "" where none is named."""

    file: str
    uri: str
    suite: str
    signed_by: str

    @property
    def host(self) -> str:
        return urlsplit(self.uri).hostname or ""

    @property
    def place(self) -> tuple[str, str]:
        """What apt compares: two sources with the same place must agree on the key."""
        return self.uri.rstrip("/"), self.suite


def read(path: str, data: bytes) -> tuple[Source, ...]:
    """The sources in a file that are in use; its name tells which of the two formats it has."""
    text = data.decode(errors="replace")
    return _deb822(path, text) if path.endswith(".sources") else _one_line(path, text)


def conflicts(sources: Iterable[Source]) -> Mapping[tuple[str, str], tuple[Source, ...]]:
    """The places that are named with different keys, in the order in which apt reads: it reads no source at all then.

    Fact, measured with apt 2.6: sources without a key before the first that names one take that key. One after it is
    a conflict.
    """
    places: dict[tuple[str, str], list[Source]] = {}
    for source in sources:
        places.setdefault(source.place, []).append(source)
    return {place: tuple(found) for place, found in places.items() if _differ(found)}


def _differ(sources: Iterable[Source]) -> bool:
    key = ""
    for source in sources:
        if key and source.signed_by != key:
            return True
        key = source.signed_by
    return False


def _one_line(path: str, text: str) -> tuple[Source, ...]:
    found: list[Source] = []
    for line in text.splitlines():
        if match := _LINE.match(line.split("#", 1)[0].strip()):
            signed = _SIGNED_BY.search(match["options"] or "")
            found.append(Source(path, match["uri"], match["suite"], signed[1] if signed else ""))
    return tuple(found)


def _deb822(path: str, text: str) -> tuple[Source, ...]:
    found: list[Source] = []
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                fields[name] = f"{fields.get(name, '')}\n{line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off"):
            found += [
                Source(path, uri, suite, fields.get("signed-by", "").strip())
                for uri in fields.get("uris", "").split()
                for suite in fields.get("suites", "").split()
            ]
    return tuple(found)
