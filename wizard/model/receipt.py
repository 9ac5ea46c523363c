"""The record of a repair: what was done, and everything that is needed to take it back."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import Any

from wizard.model.fix import Effect, RunCommand
from wizard.model.secret import redact
from wizard.model.step import StepState

FORMAT = 2
"""2 knows commands that were begun, how a command is taken back, and what is still to come; 1 is read as well."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that was replaced: its bytes before (None: it did not exist) and after (None: it was removed)."""

    path: str
    before: bytes | None
    after: bytes | None
    mode: int
    needs_root: bool


@dataclass(frozen=True, slots=True)
class CommandRun:
    """A command that was run. ``returncode`` is None from before it is begun until it has ended; ``undo`` is the
    command that takes it back, None where there is none.
    """

    argv: tuple[str, ...]
    needs_root: bool
    returncode: int | None
    undo: tuple[str, ...] | None = None


Done = FileChange | CommandRun


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one fix did, in order. ``id`` is also the name of its file; ``when`` is ISO 8601 in UTC.

    ``check`` is the id of the check that proves it, "" where an older version did not note it. ``closing`` are the
    commands that are still to come, without which the change does not count; none once they have run.
    """

    id: str
    fix: str
    title: str
    when: str
    state: StepState
    done: tuple[Done, ...] = ()
    reason: str = ""
    check: str = ""
    effect: Effect = Effect.NOW
    closing: tuple[RunCommand, ...] = ()

    def with_done(self, item: Done) -> Receipt:
        """The receipt with one more thing done."""
        return replace(self, done=(*self.done, item))


def to_bytes(receipt: Receipt) -> bytes:
    """The receipt as JSON; file contents are base64, so that they are byte-exact."""
    return (json.dumps(to_json(receipt), indent=2, ensure_ascii=False) + "\n").encode()


def to_json(receipt: Receipt) -> dict[str, Any]:
    """The receipt as JSON values, in the format that ``from_bytes`` reads."""
    return {
        "schema_version": FORMAT,
        "id": receipt.id,
        "fix": receipt.fix,
        "title": receipt.title,
        "when": receipt.when,
        "state": receipt.state.value,
        "reason": redact(receipt.reason),
        "done": [_done_to_json(item) for item in receipt.done],
        "check": receipt.check,
        "effect": receipt.effect.value,
        "closing": [_closing_to_json(command) for command in receipt.closing],
    }


def from_bytes(data: bytes) -> Receipt:
    """Reads a receipt. Raises ValueError when it is none, or one of a newer format."""
    try:
        raw = json.loads(data)
        if raw["schema_version"] > FORMAT:
            raise ValueError(f"receipt format {raw['schema_version']} is newer than this program")
        return Receipt(
            id=raw["id"],
            fix=raw["fix"],
            title=raw["title"],
            when=raw["when"],
            state=StepState(raw["state"]),
            reason=raw.get("reason", ""),
            done=tuple(_done_from_json(item) for item in raw["done"]),
            check=raw.get("check", ""),
            effect=Effect(raw.get("effect", Effect.NOW.value)),
            closing=tuple(_closing_from_json(item) for item in raw.get("closing", ())),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a receipt: {error!r}") from error


def _pack(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode("ascii")


def _unpack(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def _done_to_json(item: Done) -> dict[str, Any]:
    if isinstance(item, FileChange):
        return {
            "file": item.path,
            "before": _pack(item.before),
            "after": _pack(item.after),
            "mode": item.mode,
            "needs_root": item.needs_root,
        }
    return {
        "command": list(item.argv),
        "needs_root": item.needs_root,
        "returncode": item.returncode,
        "undo": None if item.undo is None else list(item.undo),
    }


def _done_from_json(raw: dict[str, Any]) -> Done:
    if "file" in raw:
        return FileChange(raw["file"], _unpack(raw["before"]), _unpack(raw["after"]), raw["mode"], raw["needs_root"])
    undo = raw.get("undo")
    return CommandRun(
        tuple(raw["command"]), raw["needs_root"], raw["returncode"], None if undo is None else tuple(undo)
    )


def _closing_to_json(command: RunCommand) -> dict[str, Any]:
    return {
        "command": list(command.argv),
        "needs_root": command.needs_root,
        "env": dict(command.env),
        "timeout": command.timeout,
        "why": command.why,
        "undo": None if command.undo is None else list(command.undo),
    }


def _closing_from_json(raw: dict[str, Any]) -> RunCommand:
    return RunCommand(
        tuple(raw["command"]),
        needs_root=raw["needs_root"],
        env=dict(raw["env"]),
        timeout=raw["timeout"],
        why=raw["why"],
        undo=None if raw["undo"] is None else tuple(raw["undo"]),
    )
