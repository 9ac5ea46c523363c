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
    [train]                         # after the container is up; without this table, nothing is trained
    rehearsal = true                # first, the whole way on a few recordings
    config = "jasper-Mini-for-Jetson"
    options = ["--num_epochs=10"]   # of run.py
    code = "~/OpenSeq2Seq"          # a clone, mirror, archive or address, instead of NVIDIA's own
    detach = true                   # begin the training, and do not wait

A key itself is never in the file. This module knows tables (dictionaries); reading and writing TOML is done by
``wizard.services.run`` and ``wizard.services.finish``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.key_store import KeyPlace

FORMAT = 1
SKIP = "skip"
KEYS = (SKIP, KeyPlace.ENVIRONMENT.value, KeyPlace.KEYRING.value, KeyPlace.PASS.value, KeyPlace.FILE.value)


@dataclass(frozen=True, slots=True)
class Answers:
    """What is wanted; an empty text is "what the wizard would suggest".

    ``key`` is one of ``KEYS``. ``accept`` are ids of repairs. ``data`` is a folder, which may begin with ``~``;
    ``gpus`` and ``shm`` are texts as they are typed on the workspace screen. ``rehearsal`` and ``config`` say what is
    trained, ``options``, ``code`` and ``detach`` how, as ``s2s-wizard train`` takes them.
    """

    key: str = SKIP
    accept: tuple[str, ...] = ()
    image: str = ""
    data: str = ""
    name: str = ""
    gpus: str = ""
    shm: str = ""
    rehearsal: bool = False
    config: str = ""
    options: tuple[str, ...] = ()
    code: str = ""
    detach: bool = False

    @property
    def trains(self) -> bool:
        """Whether a training or the rehearsal is asked for."""
        return self.rehearsal or bool(self.config)


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
    ("train", "config"): "config",
    ("train", "code"): "code",
}
_LISTS = {("repairs", "accept"): "accept", ("train", "options"): "options"}
_EXAMPLES = {"accept": '["register-runtime"]', "options": '["--num_epochs=10"]'}
_FLAGS = {("train", "rehearsal"): "rehearsal", ("train", "detach"): "detach"}
_FIELDS = {**_TEXTS, **_LISTS, **_FLAGS}


def from_table(raw: Mapping[str, Any]) -> Answers:
    """Reads the file's content. Raises ``FieldError`` for what is unknown, of the wrong kind, or of a newer format."""
    version = raw.get("schema_version", FORMAT)
    if version != FORMAT or isinstance(version, bool):
        raise FieldError("", "schema_version", _("This program reads answers files of format 1."))
    values: dict[str, Any] = {}
    tables = {table for table, _key in _FIELDS}
    for table, content in raw.items():
        if table == "schema_version":
            continue
        if table not in tables:
            raise FieldError("", table, _("Known tables: {names}.").format(names=_listed(tables)))
        if not isinstance(content, dict):
            raise FieldError("", table, _("This must be a table: [{name}].").format(name=table))
        for key, value in content.items():
            values[_field(table, key)] = _checked(table, key, value)
    answers = Answers(**values)
    for key in ("options", "detach"):
        if getattr(answers, key) and not answers.config:
            raise FieldError("train", key, _("This is only for a training: name its configuration with config."))
    if answers.code and not answers.trains:
        raise FieldError("train", "code", _("This is only for a training or the rehearsal: ask for one of them."))
    return answers


def to_table(answers: Answers) -> dict[str, Any]:
    """The content of a file that gives these answers; what was left open is left out."""
    result: dict[str, Any] = {"schema_version": FORMAT, "account": {}, "repairs": {"accept": list(answers.accept)}}
    for (table, key), field in _TEXTS.items():
        if value := getattr(answers, field):
            result.setdefault(table, {})[key] = value
    if answers.trains:
        table = result.setdefault("train", {})
        for field in ("rehearsal", "options", "detach"):
            if value := getattr(answers, field):
                table[field] = list(value) if field == "options" else value
    return result


def _field(table: str, key: str) -> str:
    try:
        return _FIELDS[table, key]
    except KeyError:
        known = _listed(name for place, name in _FIELDS if place == table)
        raise FieldError(table, key, _("Known here: {names}.").format(names=known)) from None


def _checked(table: str, key: str, value: object) -> object:
    if (table, key) in _FLAGS:
        if not isinstance(value, bool):
            raise FieldError(table, key, _("This must be true or false, without quotation marks."))
        return value
    if (table, key) in _LISTS:
        example = _EXAMPLES[key]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise FieldError(table, key, _("This must be a list of texts: {example}.").format(example=example))
        if key == "options" and not all(item.startswith("--") and "=" in item for item in value):
            raise FieldError(table, key, _("Each is one option with its value: {example}.").format(example=example))
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
