"""Whether a container of the wizard's own is left that cannot be started."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services.checks.check import PROBE, Check
from wizard.services.own_containers import FIX, broken, told


def _run(host: Host) -> Finding:
    found = broken(host)
    if not found:
        return CHECK.finding(
            Status.OK,
            _("No container of the wizard is in the way."),
            evidence=(Evidence("GET /containers/json?all=1", _("none of ours that cannot be started")),),
        )
    return CHECK.finding(
        Status.WARNING,
        _("A container of the wizard cannot be started and keeps its name: {names}").format(
            names=", ".join(container.name for container in found)
        ),
        _("It was made, but Docker could not start it. The next one cannot have the same name before it is gone."),
        evidence=tuple(told(container) for container in found),
        fixes=(FIX,),
        facts={"containers": tuple(container.name for container in found)},
    )


CHECK = Check(
    id="container.own", title=N_("Container of the wizard"), requires=("docker.access",), timeout=PROBE, run=_run
)
