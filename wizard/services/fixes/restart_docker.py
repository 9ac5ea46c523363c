"""Restarts the Docker service: for one that hangs, and for what it looks for only when it starts."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.fix import Fix, Risk
from wizard.model.i18n import _
from wizard.services.checks import docker_running
from wizard.services.fixes import docker_service
from wizard.services.fixes.repair import Repair

ID = "restart-docker"


def plan(host: Host) -> Fix | None:
    """The restart. Raises as ``docker_service.restart`` does."""
    stopped = docker_service.stopped_by_restart(host)
    return Fix(
        id=ID,
        title=_("Restart Docker"),
        why=_(
            "Some things Docker looks for only when it starts: the program that gives containers the GPU, and most of "
            "its settings. A service that hangs is also helped by a restart."
        ),
        actions=(),
        check=docker_running.CHECK.id,
        risk=Risk.RESTART,
        touches=stopped,
        touches_note=docker_service.restart_note(stopped),
        undo_note=_("A restart cannot be taken back; it changes no file."),
        closing=docker_service.restart(host),
    )


REPAIR = Repair(id=ID, plan=plan)
