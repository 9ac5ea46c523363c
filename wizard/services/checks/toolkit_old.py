"""Whether packages of older NVIDIA guides are still there.

Fact: ``nvidia-docker2`` brings /etc/docker/daemon.json as a settings file of its own, and with it takes the place of
what an administrator had written (NVIDIA/nvidia-docker#490). Its program is in the toolkit today.
"""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.knowledge.toolkit import toolkit
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services import packages
from wizard.services.checks.check import Check

OLD = "nvidia-docker2"
FIX = "remove-nvidia-docker2"


def _run(host: Host) -> Finding:
    found = packages.installed(host, toolkit().old)
    if OLD not in found:
        return CHECK.finding(
            Status.OK,
            _("No package of an older NVIDIA guide is in the way."),
            evidence=(Evidence(_("packages"), packages.listed(tuple(found.values()))),) if found else (),
        )
    seen = (Evidence(_("packages"), packages.listed(tuple(found.values()))),)
    if packages.manager(host) != "apt":
        return CHECK.finding(
            Status.INFO,
            _("The old package {package} is installed. It is not needed any more.").format(package=OLD),
            _("Its removal can take {path} with it: keep a copy of that file first.").format(
                path="/etc/docker/daemon.json"
            ),
            evidence=seen,
        )
    return CHECK.finding(
        Status.WARNING,
        _("The old package {package} is installed. It is not needed any more.").format(package=OLD),
        _(
            "Docker's settings file belongs to it, so an update of the package may exchange your settings. "
            "The wizard can remove the package and keep the file."
        ),
        evidence=seen,
        fixes=(FIX,),
    )


CHECK = Check(id="toolkit.old", title=N_("Old NVIDIA packages"), requires=(), timeout=15.0, run=_run)
