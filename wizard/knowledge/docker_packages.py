"""Docker Engine's packages: the distribution's and Docker's own, read from ``docker_packages.toml``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wizard.knowledge.toolkit import Repository

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Choice:
    """What to ask the package manager for. ``also`` are to be asked for where they are known; ``brings`` usually come
    along.
    """

    wanted: str
    also: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()


def os_release(data: bytes) -> dict[str, str]:
    """The fields of ``/etc/os-release``, by os-release(5)."""
    found: dict[str, str] = {}
    for line in data.decode(errors="replace").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            try:
                found[key] = "".join(shlex.split(value))
            except ValueError:
                found[key] = value
    return found


def distribution(manager: str, system: Mapping[str, str]) -> Choice | None:
    """The distribution's own Docker Engine; None where it has none that is known. ``system`` is its os-release."""
    table = _raw()["distribution"].get(system.get("ID", "") if manager == "dnf" else manager)
    if table is None:
        return None
    return Choice(table["wanted"], tuple(table["with"]), tuple(table["brings"]))


def own_packages() -> tuple[str, ...]:
    """Docker's own packages."""
    return tuple(_raw()["docker"]["packages"])


def own(manager: str, system: Mapping[str, str], mirror: Mapping[str, str]) -> Repository | None:
    """Docker's own repository for this system; None where Docker makes no packages for it. ``mirror`` is what the user
    has set instead: ``url``, ``key``, ``fingerprint``.
    """
    table = _raw()["docker"].get(manager)
    if not isinstance(table, dict):
        return None
    # A system that is made from Ubuntu or Debian says which one it is made from.
    names = (system.get("ID", ""), *system.get("ID_LIKE", "").split())
    name = next((name for name in names if name in table["systems"]), None)
    codename = system.get("VERSION_CODENAME", "")
    if name is not None and name != system.get("ID"):
        codename = system.get(f"{name.upper()}_CODENAME", "")
    if name is None or (manager == "apt" and not codename):
        return None
    return Repository(
        url=mirror.get("url", table["url"].replace("{system}", name)).rstrip("/"),
        key_url=mirror.get("key", table["key"].replace("{system}", name)),
        fingerprint=mirror.get("fingerprint", table["fingerprint"]).replace(" ", "").upper(),
        key_file=table["key_file"],
        list_file=table["list_file"],
        template=table["text"].lstrip("\n").replace("{codename}", codename),
    )


@cache
def _raw() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("docker_packages.toml").read_text("utf-8"))
