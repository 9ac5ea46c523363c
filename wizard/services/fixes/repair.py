"""What a repair is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.fix import Fix, RunCommand
from wizard.services.checks.check import Check


def nothing_to_run(_host: Host) -> tuple[RunCommand, ...]:
    """Putting back is enough."""
    return ()


def nothing_left(_host: Host) -> str:
    """Putting back takes everything back."""
    return ""


@dataclass(frozen=True, slots=True)
class Repair:
    """One kind of repair.

    ``plan`` gathers what is needed and builds the ``Fix``: None when everything is in place already; raises
    ``Trouble`` where it cannot be done. ``take_effect`` are the commands that make files count which were put back:
    they are asked for anew, because a process that a receipt names may be gone. ``left_behind`` says, after an undo,
    what is still in effect nevertheless, "" for nothing; translated. ``check`` is the proof of a repair that no line of
    the check-up shows. ``meanwhile`` says how to go on until a repair takes effect that counts only later; "" for
    nothing, translated.
    """

    id: str
    plan: Callable[[Host], Fix | None]
    take_effect: Callable[[Host], tuple[RunCommand, ...]] = nothing_to_run
    left_behind: Callable[[Host], str] = nothing_left
    check: Check | None = None
    meanwhile: Callable[[Host], str] = nothing_left
