"""Removes containers of the wizard's own that cannot be started, so that their names are free again.

Never somebody else's, never one that runs, never one that only waits for something else: what its user installed in it
must not be lost to a missing runtime.
"""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.container import ContainerInfo
from wizard.model.fix import Fix, RunCommand
from wizard.model.i18n import _, ngettext
from wizard.services.fixes.repair import Repair
from wizard.services.own_containers import FIX, broken, told

CHECK = "container.own"
_SECONDS = 60.0


def _plan(host: Host) -> Fix | None:
    return build(broken(host))


def build(containers: tuple[ContainerInfo, ...]) -> Fix | None:
    """The repair for these containers; None without any. Docker itself refuses to remove one that runs."""
    if not containers:
        return None
    names = ", ".join(container.name for container in containers)
    return Fix(
        id=FIX,
        title=ngettext(
            "Remove the wizard's container that cannot be started",
            "Remove the wizard's containers that cannot be started",
            len(containers),
        ),
        why=_(
            "The wizard has made {names}, but Docker could not start it. It does nothing and only keeps its name from"
            " being used again. Your data folder is not part of it and stays."
        ).format(names=names),
        actions=tuple(
            RunCommand(
                ("docker", "rm", container.name),
                timeout=_SECONDS,
                why=_('Remove the container "{name}"').format(name=container.name),
            )
            for container in containers
        ),
        check=CHECK,
        undo_note=_(
            "This cannot be taken back: every file and program that was added inside the container is lost. The image"
            ' and the data folder stay, and "s2s-wizard up" makes a new container from them.'
        ),
        evidence=tuple(told(container) for container in containers),
    )


REPAIR = Repair(FIX, _plan)
