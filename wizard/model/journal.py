"""What a pull writes down while it runs, so that another process can follow it: one JSON object a line, for each event.

Whoever reads may be older or newer than whoever wrote: what is not known is passed over.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from wizard.model.errors import Problem, Trouble
from wizard.model.event import Progress, Stalled
from wizard.model.finding import Evidence
from wizard.model.machine import ProcessId
from wizard.model.progress import Layers, LayerState, PullPlan
from wizard.model.secret import redact


@dataclass(frozen=True, slots=True)
class Began:
    """The first line: which image, by which process."""

    image: str
    process: ProcessId


@dataclass(frozen=True, slots=True)
class Said:
    """A line of narration. ``number`` counts them, so that one that is read twice is told once."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last line: the image is here, or what stopped it. ``paused``: it was asked to, and can go on later."""

    image_id: str = ""
    digest: str = ""
    already: bool = False
    trouble: Trouble | None = None
    paused: bool = False


_KINDS: dict[str, type[Any]] = {
    "began": Began,
    "plan": PullPlan,
    "progress": Progress,
    "layers": Layers,
    "stalled": Stalled,
    "line": Said,
    "ended": Ended,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def write(event: object) -> bytes:
    """The line of an event; b"" for one that is not kept. Nothing that looks like a key gets into it."""
    name = _NAMES.get(type(event))
    if name is None:
        return b""
    values = {field.name: _plain(getattr(event, field.name)) for field in dataclasses.fields(event)}  # type: ignore[arg-type]
    return json.dumps({"event": name, **values}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def read(line: bytes) -> object | None:
    """The event of a line; None for one that is not known or not whole."""
    try:
        values = json.loads(line)
        kind = _KINDS[values.pop("event")]
        known = {field.name for field in dataclasses.fields(kind)}
        event: object = kind(**{name: _rich(kind, name, value) for name, value in values.items() if name in known})
        return event
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def answer(trouble: Trouble | None) -> bytes:
    """The line with which a process says that it has begun, or what kept it from that."""
    return json.dumps(_plain(trouble)).encode() + b"\n"


def read_answer(line: bytes) -> Trouble | None:
    """What ``answer`` has written."""
    return _trouble(json.loads(line))


def _plain(value: object) -> object:
    if isinstance(value, Trouble):
        evidence = [[redact(item.source), redact(item.text)] for item in value.evidence]
        texts = {"text": value.text, "subject": value.subject, "hint": value.hint}
        return {"kind": value.kind.value, **{name: redact(text) for name, text in texts.items()}, "evidence": evidence}
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    return value


def _rich(kind: type[Any], name: str, value: Any) -> Any:
    if name == "trouble":
        return _trouble(value)
    if kind is Began and name == "process":
        return ProcessId(*value)
    if kind is Layers:
        return tuple(LayerState(*item) for item in value)
    return value


def _trouble(value: Any) -> Trouble | None:
    if value is None:
        return None
    return Trouble(
        Problem(value["kind"]),
        value["text"],
        subject=value["subject"],
        hint=value["hint"],
        evidence=tuple(Evidence(source, text) for source, text in value["evidence"]),
    )
