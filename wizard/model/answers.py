"""The answers file: what the wizard would ask, answered beforehand.

TOML with one table for each step that asks something; every table and every value may be left out::

    schema_version = 1
    [account]
    key = "keyring"                 # skip, or the place where the key lies: environment, keyring, pass, file
    [repairs]
    accept = ["register-runtime"]   # the only ones that may be made, and only with --yes
    [image]
    name = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
    [workspace]
    data = "~/openseq2seq"
    name = "openseq2seq"
    gpus = "all"                    # all, none, or indices: "0,1"
    shm = "1g"

A key itself is never in the file. This module knows tables (dictionaries); reading and writing TOML is done by
``wizard.services.run`` and ``wizard.services.finish``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.machine import KeyPlace

FORMAT = 1
SKIP = "skip"
KEYS = (SKIP, KeyPlace.ENVIRONMENT.value, KeyPlace.KEYRING.value, KeyPlace.PASS.value, KeyPlace.FILE.value)


@dataclass(frozen=True, slots=True)
class Answers:
    """What is wanted; an empty text is "what the wizard would suggest".

    ``key`` is one of ``KEYS``. ``accept`` are ids of repairs. ``data`` is a folder, which may begin with ``~``;
    ``gpus`` and ``shm`` are texts as they are typed on the workspace screen.
    """

    key: str = SKIP
    accept: tuple[str, ...] = ()
    image: str = ""
    data: str = ""
    name: str = ""
    gpus: str = ""
    shm: str = ""


class FieldError(Trouble):
    """A value of the answers file that cannot be used; ``table`` and ``key`` say which ("" for the top)."""

    def __init__(self, table: str, key: str, hint: str) -> None:
        super().__init__(Problem.BAD_INPUT, subject=f"{table}.{key}" if table else key, hint=hint)
        self.table = table
        self.key = key


_PLACE_OF_KEY = ("account", "key")
_TEXTS = {
    _PLACE_OF_KEY: "key",
    ("image", "name"): "image",
    ("workspace", "data"): "data",
    ("workspace", "name"): "name",
    ("workspace", "gpus"): "gpus",
    ("workspace", "shm"): "shm",
}
_ACCEPT = ("repairs", "accept")
_PLACES = (*_TEXTS, _ACCEPT)


def from_table(raw: Mapping[str, Any]) -> Answers:
    """Reads the file's content. Raises ``FieldError`` for what is unknown, of the wrong kind, or of a newer format."""
    version = raw.get("schema_version", FORMAT)
    if version != FORMAT or isinstance(version, bool):
        raise FieldError("", "schema_version", _("This program reads answers files of format 1."))
    values: dict[str, Any] = {}
    tables = {table for table, _key in _PLACES}
    for table, content in raw.items():
        if table == "schema_version":
            continue
        if table not in tables:
            raise FieldError("", table, _("Known tables: {names}.").format(names=_listed(tables)))
        if not isinstance(content, dict):
            raise FieldError("", table, _("This must be a table: [{name}].").format(name=table))
        for key, value in content.items():
            values[_field(table, key)] = _checked(table, key, value)
    return Answers(**values)


def to_table(answers: Answers) -> dict[str, Any]:
    """The content of a file that gives these answers; what was left open is left out."""
    result: dict[str, Any] = {"schema_version": FORMAT, "account": {}, "repairs": {"accept": list(answers.accept)}}
    for (table, key), field in _TEXTS.items():
        if value := getattr(answers, field):
            result.setdefault(table, {})[key] = value
    return result


def _field(table: str, key: str) -> str:
    if (table, key) == _ACCEPT:
        return "accept"
    try:
        return _TEXTS[table, key]
    except KeyError:
        known = _listed(name for place, name in _PLACES if place == table)
        raise FieldError(table, key, _("Known here: {names}.").format(names=known)) from None


def _checked(table: str, key: str, value: object) -> object:
    if (table, key) == _ACCEPT:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise FieldError(table, key, _('This must be a list of ids: ["register-runtime"].'))
        return tuple(value)
    if not isinstance(value, str):
        raise FieldError(table, key, _("This must be a text in quotation marks."))
    if (table, key) == _PLACE_OF_KEY and value not in KEYS:
        raise FieldError(
            table, key, _("Possible: {names}. The key itself must not be here.").format(names=_listed(KEYS))
        )
    return value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
