"""The catalogue of daemon errors: every known cause, and which of them a text names.

The rows stand in ``causes/*.toml``, one table a cause, from the specific to the general; ``ORDER`` is the order of the
files. Ids and verbatim samples are those of the measurements on nine Docker engines (17.12 to 29.1) and ten versions
of NVIDIA's toolkit.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from wizard.model import engine_text
from wizard.model.cause import Cause, Match
from wizard.model.finding import Link

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).resolve().parent / "causes"
ORDER = ("nvidia", "runtime", "systemd", "config", "access", "container", "registry", "image")
"""The files, in the order in which their rows are tried."""


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
    """The causes that ``text`` names, the root first; none for a text that is not known."""
    plain = engine_text.unwrapped(text)
    found: list[Match] = []
    for cause in causes():
        for pattern in cause.patterns:
            if match := pattern.search(plain):
                groups = {name: value for name, value in match.groupdict().items() if value is not None}
                found.append(Match(cause, match.group(), groups))
                break
    return tuple(sorted(found, key=lambda match: -match.cause.depth))


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
            patterns=tuple(re.compile(pattern, re.IGNORECASE) for pattern in row["patterns"]),
            samples=tuple(row["samples"]),
            near=tuple(row.get("near", ())),
            fixes=tuple(row.get("fixes", ())),
            links=tuple(Link(link["title"], link["url"]) for link in row.get("links", ())),
            depth=row.get("depth", 0),
        )
    except (KeyError, TypeError, re.error) as error:
        raise ValueError(f"{id}: {error!r}") from error
