"""What a repair is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.fix import Fix, RunCommand


@dataclass(frozen=True, slots=True)
class Repair:
    """One kind of repair.

    ``plan`` gathers what is needed and builds the ``Fix``: None when everything is in place already; raises
    ``Trouble`` where it cannot be done. ``take_effect`` are the commands that make files count which were put back:
    they are asked for anew, because a process that a receipt names may be gone. ``left_behind`` says, after an undo,
    what is still in effect nevertheless, "" for nothing; translated.
    """

    id: str
    plan: Callable[[Host], Fix | None]
    take_effect: Callable[[Host], tuple[RunCommand, ...]]
    left_behind: Callable[[Host], str]
