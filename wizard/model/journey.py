"""The steps of the wizard and what has been decided so far."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from wizard.model.i18n import N_


class Step(str, Enum):
    """The screens in their order; the value is the name of the screen's and the service's module."""

    WELCOME = "welcome"
    ACCOUNT = "account"
    CHECKUP = "checkup"
    REPAIRS = "repairs"
    IMAGE = "image"
    PULL = "pull"
    WORKSPACE = "workspace"
    CONTAINER = "container"
    SHELL = "shell"
    TRAIN = "train"
    FINISH = "finish"

    @property
    def number(self) -> int:
        """Its place in the order, from 1."""
        return list(Step).index(self) + 1


TITLES = {
    Step.WELCOME: N_("Welcome"),
    Step.ACCOUNT: N_("Account"),
    Step.CHECKUP: N_("Check-up"),
    Step.REPAIRS: N_("Repairs"),
    Step.IMAGE: N_("Image"),
    Step.PULL: N_("Download"),
    Step.WORKSPACE: N_("Workspace"),
    Step.CONTAINER: N_("Container"),
    Step.SHELL: N_("Shell"),
    Step.TRAIN: N_("Training"),
    Step.FINISH: N_("Finish"),
}
"""What the steps are called, marked for translation."""


@dataclass(frozen=True, slots=True)
class Journey:
    """What the user has decided and done; no secrets. Empty texts are "not decided yet".

    ``done`` and ``skipped`` are steps that were left by Next or by Skip. ``declined`` are ids of repairs that the
    user did not want. ``receipts`` are ids, ``notes`` translated lines for the last screen.
    """

    done: frozenset[Step] = frozenset()
    skipped: frozenset[Step] = frozenset()
    key: str = ""
    """``skip``, ``anonymous`` or a ``KeyPlace`` value"""
    image: str = ""
    name: str = ""
    data: str = ""
    gpus: str = ""
    shm: int = 0
    cpu_only: bool = False
    config: str = ""
    """the configuration that is trained with"""
    trained: str = ""
    """the configuration of a training that went well"""
    declined: tuple[str, ...] = ()
    receipts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def finished(self, step: Step) -> Journey:
        """The journey after ``step`` was done."""
        return replace(self, done=self.done | {step}, skipped=self.skipped - {step})

    def passed_over(self, step: Step) -> Journey:
        """The journey after ``step`` was skipped."""
        return replace(self, skipped=self.skipped | {step}, done=self.done - {step})

    def reopened(self, step: Step) -> Journey:
        """The journey with ``step`` to be done again."""
        return replace(self, done=self.done - {step}, skipped=self.skipped - {step})

    @property
    def first_open(self) -> Step:
        """The first step that was neither done nor skipped; the last one when all were."""
        for step in Step:
            if step not in self.done and step not in self.skipped:
                return step
        return Step.FINISH


def to_bytes(journey: Journey) -> bytes:
    """The journey as JSON, for the resume point."""
    raw: dict[str, Any] = {
        "schema_version": 1,
        "done": [step.value for step in Step if step in journey.done],
        "skipped": [step.value for step in Step if step in journey.skipped],
    }
    for name in _PLAIN:
        raw[name] = getattr(journey, name)
    return (json.dumps(raw, indent=2, ensure_ascii=False) + "\n").encode()


def from_bytes(data: bytes) -> Journey:
    """Reads a resume point. Raises ValueError when it is none, or one of a newer version."""
    try:
        raw = json.loads(data)
        if raw["schema_version"] != 1:
            raise ValueError(f"schema_version {raw['schema_version']!r}")
        values: dict[str, Any] = {}
        for name in _PLAIN:
            value, kind = raw.get(name, getattr(_EMPTY, name)), type(getattr(_EMPTY, name))
            values[name] = tuple(str(item) for item in value) if kind is tuple else value
            if type(values[name]) is not kind or isinstance(value, str) != (kind is str):
                raise ValueError(f"{name}: {value!r}")
        return Journey(
            done=frozenset(Step(item) for item in raw["done"]),
            skipped=frozenset(Step(item) for item in raw["skipped"]),
            **values,
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a resume point: {error!r}") from error


_PLAIN = (
    "key",
    "image",
    "name",
    "data",
    "gpus",
    "shm",
    "cpu_only",
    "config",
    "trained",
    "declined",
    "receipts",
    "notes",
)
_EMPTY = Journey()
