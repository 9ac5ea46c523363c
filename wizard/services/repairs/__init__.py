"""Repairs: planned, shown, done, proved, remembered, taken back.

``work`` makes one repair, ``closing`` lets several take effect together (one restart of Docker), ``undoing`` takes one
back. ``record`` keeps the receipts, ``show`` is what people see beforehand, ``proof`` asks the checks afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Finding
from wizard.model.fix import Fix
from wizard.services.fixes import docker_service, enable_live_restore
from wizard.services.repairs.choose import find, known, offered, plan, sequence
from wizard.services.repairs.closing import settle
from wizard.services.repairs.record import interrupted, pending, receipts
from wizard.services.repairs.show import Part, closing_lines, closing_parts, diff, preview, restarts, story
from wizard.services.repairs.undoing import can_be_undone, needs_root_to_undo, undo, undo_parts, undo_restarts
from wizard.services.repairs.work import apply, confirm

__all__ = [
    "Part",
    "apply",
    "can_be_undone",
    "closing_lines",
    "closing_parts",
    "confirm",
    "diff",
    "find",
    "interrupted",
    "known",
    "needs_root_to_undo",
    "next_round",
    "offered",
    "pending",
    "plan",
    "preview",
    "protection",
    "receipts",
    "restarts",
    "sequence",
    "settle",
    "stopped",
    "story",
    "undo",
    "undo_parts",
    "undo_restarts",
]

ROUNDS = 3
"""How often the check-up is asked what has become possible by the repairs before."""


def next_round(findings: Sequence[Finding], tried: Sequence[str]) -> tuple[str, ...]:
    """The repairs that the findings offer and that were not tried yet, in the order of application."""
    return tuple(id_ for id_ in sequence(findings) if id_ not in tried)


def stopped(host: Host) -> tuple[str, ...]:
    """The names of the running containers that a restart of Docker would stop now."""
    return docker_service.stopped_by_restart(host)


def protection(host: Host) -> Fix | None:
    """The repair that lets running containers live through a restart; None where it would not help."""
    try:
        return enable_live_restore.plan(host) if stopped(host) else None
    except Trouble:
        return None
