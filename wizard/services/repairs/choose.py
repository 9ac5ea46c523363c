"""Which repairs there are, and which the findings ask for."""

from __future__ import annotations

from collections.abc import Sequence

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Finding
from wizard.model.fix import Fix
from wizard.model.i18n import _
from wizard.services.fixes import ALL
from wizard.services.fixes.repair import Repair


def known() -> tuple[str, ...]:
    """The ids of all repairs, in the order of application."""
    return tuple(repair.id for repair in ALL)


def offered(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The repairs that the findings name, each once, in the order of the findings."""
    return tuple(dict.fromkeys(id_ for finding in findings for id_ in finding.fixes if id_ in known()))


def sequence(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The repairs that the findings name, each once, in the order in which they have to be made."""
    wanted = set(offered(findings))
    return tuple(id_ for id_ in known() if id_ in wanted)


def plan(host: Host, fix_id: str) -> Fix | None:
    """The repair, ready to be shown and run; None when there is nothing to do. Changes nothing.

    Raises ``BAD_INPUT`` for an unknown id, and what the repair raises where it cannot be done.
    """
    return find(fix_id).plan(host)


def find(fix_id: str) -> Repair:
    """The repair of that id. Raises ``BAD_INPUT``."""
    for repair in ALL:
        if repair.id == fix_id:
            return repair
    raise Trouble(
        Problem.BAD_INPUT, subject=fix_id, hint=_("The repairs are: {names}.").format(names=", ".join(known()))
    )
