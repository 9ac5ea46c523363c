"""Starts the Docker service."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.fix import Fix
from wizard.model.i18n import _
from wizard.services.checks import docker_running
from wizard.services.fixes import docker_service
from wizard.services.fixes.repair import Repair

ID = "start-docker"


def plan(host: Host) -> Fix | None:
    """The start; None when Docker answers. Raises as ``docker_service.start`` does."""
    if docker_service.answers(host):
        return None
    return Fix(
        id=ID,
        title=_("Start Docker"),
        why=_("Docker is installed, but its service does not run. The docker command only talks to that service."),
        actions=(),
        check=docker_running.CHECK.id,
        touches_note=_("Containers that are set to start with Docker start, too."),
        undo_note=_("Undo stops Docker again, and with it the containers that run then."),
        closing=docker_service.start(host),
    )


REPAIR = Repair(id=ID, plan=plan)
