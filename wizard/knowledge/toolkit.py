"""NVIDIA's Container Toolkit: its packages and where they come from, read from ``toolkit.toml``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Repository:
    """NVIDIA's packages for one package manager: the file that names the repository, and its text; where the key comes
    from, where it goes, and its fingerprint.
    """

    url: str
    key_url: str
    fingerprint: str
    key_file: str
    list_file: str
    template: str

    @property
    def text(self) -> str:
        """What stands in ``list_file``."""
        return self.template.replace("{key_file}", self.key_file).replace("{url}", self.url)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """``packages`` are the toolkit's own, ``wanted`` the one to ask for, ``old`` those of older guides. ``host`` is
    where NVIDIA keeps them. ``keep`` and ``old_lists`` are names of files with package sources, without their ending.
    """

    packages: tuple[str, ...]
    wanted: str
    old: tuple[str, ...]
    host: str
    keep: str
    old_lists: tuple[str, ...]
    repositories: Mapping[str, Repository]
    """by package manager: ``apt``, ``dnf``, ``zypper``"""


def repository(manager: str, own: Mapping[str, str]) -> Repository | None:
    """The packages for a package manager, None for one that is not known. ``own`` is what the user has set instead:
    ``url``, ``key``, ``fingerprint``.
    """
    found = toolkit().repositories.get(manager)
    if found is None:
        return None
    return replace(
        found,
        url=own.get("url", found.url).rstrip("/"),
        key_url=own.get("key", found.key_url),
        fingerprint=own.get("fingerprint", found.fingerprint).replace(" ", "").upper(),
    )


@cache
def toolkit() -> Toolkit:
    """What is known."""
    raw: dict[str, Any] = tomllib.loads(Path(__file__).with_name("toolkit.toml").read_text("utf-8"))
    repositories = {
        manager: Repository(
            url=table["url"],
            key_url=raw["key"],
            fingerprint=raw["fingerprint"],
            key_file=table["key_file"],
            list_file=table["list_file"],
            template=table["text"].lstrip("\n"),
        )
        for manager in ("apt", "dnf", "zypper")
        if isinstance(table := raw[manager], dict)
    }
    return Toolkit(
        packages=tuple(raw["packages"]),
        wanted=raw["wanted"],
        old=tuple(raw["old"]),
        host=raw["host"],
        keep=raw["keep"],
        old_lists=tuple(raw["old_lists"]),
        repositories=repositories,
    )
