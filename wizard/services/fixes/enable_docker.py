"""Lets Docker start with the machine."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.fix import Fix
from wizard.model.i18n import N_, _
from wizard.services.checks.check import Check
from wizard.services.fixes import docker_service
from wizard.services.fixes.repair import Repair

ID = "enable-docker"


def plan(host: Host) -> Fix | None:
    """Switches it on; None when it is on, and without systemd. Raises as ``docker_service.start`` does."""
    if docker_service.starts_with_machine(host) is not False:
        return None
    return Fix(
        id=ID,
        title=_("Start Docker with the machine"),
        why=_("Docker is not started when the machine is: after a reboot it would not run."),
        actions=docker_service.enable(host),
        check=CHECK.id,
        undo_note=_("Undo switches it off again; a Docker that runs keeps running."),
    )


def _run(host: Host) -> Finding:
    try:
        found = docker_service.starts_with_machine(host)
    except Trouble as trouble:
        return CHECK.trouble(trouble, status=Status.INFO)
    seen = Evidence(f"systemctl is-enabled {docker_service.SERVICE}", str(found))
    if found is False:
        summary = _("Docker does not start with the machine.")
        return CHECK.finding(Status.WARNING, summary, evidence=(seen,), fixes=(ID,))
    return CHECK.finding(Status.OK, _("Docker starts with the machine."), evidence=(seen,))


CHECK = Check(id="docker.enabled", title=N_("Docker after a reboot"), requires=(), timeout=8.0, run=_run)
REPAIR = Repair(id=ID, plan=plan, check=CHECK)
