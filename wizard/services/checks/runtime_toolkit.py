"""Whether NVIDIA's toolkit for containers is installed."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind
from wizard.services.checks.check import Check

PROGRAM = "nvidia-container-runtime"
_USUAL = f"/usr/bin/{PROGRAM}"
_GUIDE = Link(
    N_("NVIDIA: install the Container Toolkit"),
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
)


def _run(host: Host) -> Finding:
    path = host.commands.which(PROGRAM)
    if path:
        return CHECK.finding(
            Status.OK,
            _("The NVIDIA Container Toolkit is installed."),
            _("It puts the GPU and its driver into a container."),
            evidence=(Evidence(_("program"), path),),
            facts={"path": path},
        )
    if host.files.info(_USUAL).kind is PathKind.FILE:
        return CHECK.finding(
            Status.ERROR,
            _("{path} is there, but it cannot be run.").format(path=_USUAL),
            _("Install the package nvidia-container-toolkit again."),
            evidence=(Evidence(_USUAL, _("not executable")),),
            links=(Link(_(_GUIDE.title), _GUIDE.url),),
        )
    waits_for = _gpu_missing(host)
    if waits_for:
        return CHECK.finding(Status.SKIPPED, _("Not needed before the GPU works."), blocked_by=waits_for)
    return CHECK.finding(
        Status.ERROR,
        _("The NVIDIA Container Toolkit is not installed."),
        _(
            "Without it, a container cannot see the GPU. Install the package nvidia-container-toolkit "
            "as NVIDIA's page describes, then look again."
        ),
        evidence=(Evidence(PROGRAM, _("not found")),),
        links=(Link(_(_GUIDE.title), _GUIDE.url),),
    )


def _gpu_missing(host: Host) -> str | None:
    """The check that says why there is no GPU. A toolkit that is there is good news on any machine, so this check
    requires no other.
    """
    try:
        return None if host.gpus.report().gpus else "gpu.device"
    except Trouble:
        return "gpu.driver"


CHECK = Check(id="runtime.toolkit", title=N_("NVIDIA Container Toolkit"), requires=(), timeout=15.0, run=_run)
