"""Where an API key can lie, and what its maker says about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class KeyPlace(str, Enum):
    """Where an API key can lie, in the order in which one is looked for."""

    ENVIRONMENT = "environment"
    KEYRING = "keyring"
    PASS = "pass"  # noqa: S105 - the name of a program
    """the password store of the command line, encrypted with the user's GnuPG key"""
    SESSION = "session"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class KeyStoreInfo:
    """One place for the key: whether it can be used now, whether it holds a key, and its name for people.

    ``detail`` is untranslated: a backend's name, a path, a variable.
    """

    place: KeyPlace
    usable: bool
    holds_key: bool
    detail: str = ""
    problem: str | None = None
    """the value of a ``Problem`` when it is not usable"""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What NVIDIA says about a key that it accepts. ``type`` is its word (``PERSONAL_KEY``, ``SERVICE_KEY``, …),
    ``org`` the organisation that the key belongs to, ``products`` the services that it was made for; empty where it
    does not say, as for keys of the old kind.
    """

    type: str = ""
    org: str = ""
    products: tuple[str, ...] = ()
