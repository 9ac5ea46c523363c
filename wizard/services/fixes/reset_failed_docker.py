"""Lets Docker be started again after the system has given up on it.

Fact (systemd 252): after three starts in a minute the service and its socket fail with "start-limit-hit", and every
further start is refused until ``reset-failed`` or until the minute is over.
"""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.finding import Evidence
from wizard.model.fix import Fix
from wizard.model.i18n import _
from wizard.services.checks import docker_running
from wizard.services.fixes import docker_service
from wizard.services.fixes.repair import Repair

ID = "reset-failed-docker"


def plan(host: Host) -> Fix | None:
    """The reset and a start; None when no unit of Docker has failed. Raises as ``docker_service.start`` does."""
    states = docker_service.states(host)
    if "failed" not in states.values():
        return None
    return Fix(
        id=ID,
        title=_("Let Docker be started again"),
        why=_(
            "Docker could not start several times in a short while, so the system refuses to try again. Once the "
            "reason is repaired, it has to forget the earlier tries."
        ),
        actions=docker_service.reset_failed(host),
        check=docker_running.CHECK.id,
        undo_note=_("Undo stops Docker again; there is no file to put back."),
        evidence=tuple(Evidence(f"systemctl is-active {unit}", state) for unit, state in states.items()),
        closing=tuple(command for command in docker_service.start(host) if docker_service.verb(command)),
    )


REPAIR = Repair(id=ID, plan=plan)
