"""The user's settings: ``config.toml``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wizard.model.errors import Problem, Trouble

_NAME = "s2s-wizard"
_MIRROR = ("url", "key", "fingerprint")


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this user's files of the program lie, by the XDG base directory rules."""

    config: str
    state: str
    cache: str

    @classmethod
    def of(cls, environ: Mapping[str, str], home: str) -> Folders:
        """The three folders. A variable that holds no absolute path is ignored, as the rules say."""

        def folder(variable: str, default: str) -> str:
            base = environ.get(variable, "")
            return str(Path(base if Path(base).is_absolute() else Path(home, default)) / _NAME)

        return cls(
            folder("XDG_CONFIG_HOME", ".config"),
            folder("XDG_STATE_HOME", ".local/state"),
            folder("XDG_CACHE_HOME", ".cache"),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """``registry_hosts`` are registries (``host`` or ``host:port``) to which the NGC key may be sent, besides
    NVIDIA's own. ``packages`` are mirrors of a vendor's packages: the vendor's name -> ``url``, ``key``,
    ``fingerprint``.
    """

    registry_hosts: tuple[str, ...] = ()
    packages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read(path: str) -> Settings:
    """The settings in the file ``path``; the defaults where there is none.

    Raises ``Trouble(BAD_INPUT)`` with the place when it cannot be understood, ``FILE_PERMISSION`` when it cannot be
    read.
    """
    try:
        raw = _understood(Path(path).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return Settings()
    except ValueError as error:
        raise Trouble(Problem.BAD_INPUT, str(error), subject=path) from error
    except OSError as error:
        raise Trouble(Problem.FILE_PERMISSION, str(error), subject=path) from error
    registry = raw.get("registry", {})
    hosts = registry.get("hosts", []) if isinstance(registry, dict) else None
    if not isinstance(hosts, list) or not all(isinstance(item, str) and item for item in hosts):
        raise Trouble(Problem.BAD_INPUT, 'expected [registry] with hosts = ["HOST:PORT", …]', subject=path)
    return Settings(tuple(hosts), _packages(raw.get("packages", {}), path))


def _understood(data: bytes) -> dict[str, Any]:
    """TOML. Its reader is loaded only where there is something to read. Raises ValueError."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(data.decode())


def _packages(raw: object, path: str) -> Mapping[str, Mapping[str, str]]:
    tables = raw.values() if isinstance(raw, dict) else (raw,)
    for table in tables:
        if not isinstance(table, dict) or not all(
            name in _MIRROR and isinstance(value, str) and (name == "fingerprint" or len(value.split()) == 1)
            for name, value in table.items()
        ):
            wanted = " and ".join(f'{name} = "…"' for name in _MIRROR)
            raise Trouble(Problem.BAD_INPUT, f"expected [packages.VENDOR] with {wanted}", subject=path)
    return raw if isinstance(raw, dict) else {}
