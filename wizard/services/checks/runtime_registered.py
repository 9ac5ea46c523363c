"""Whether the Docker that answers knows the runtime "nvidia": the founding story."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import EngineInfo, EngineKind
from wizard.services.checks.check import PROBE, Check

RUNTIME = "nvidia"
FIX = "register-runtime"
_HERE = (EngineKind.ENGINE, EngineKind.ROOTLESS)
"""Kinds whose programs are those of this machine."""


def _run(host: Host) -> Finding:
    info = host.engine.info()
    seen = Evidence("GET /info → Runtimes", ", ".join(sorted(info.runtimes)))
    fixes = (FIX,) if info.kind in _HERE else ()
    if RUNTIME not in info.runtimes:
        return CHECK.finding(
            Status.ERROR,
            _('Docker does not know the runtime "nvidia", so containers get no GPU.'),
            _(
                "A runtime is the program that starts a container. NVIDIA's is installed, but nobody has told Docker "
                'about it. This is the error "Unknown runtime specified nvidia".'
            ),
            evidence=(seen,),
            fixes=fixes,
        )
    path = info.runtimes[RUNTIME]
    if not program_is_there(host, info, path):
        return CHECK.finding(
            Status.ERROR,
            _('Docker knows the runtime "nvidia", but its program {path} is not there.').format(path=path),
            _("Docker was told about a program that was removed or moved. It must be told the right place."),
            evidence=(seen, Evidence(path, _("not there, or not executable"))),
            fixes=fixes,
        )
    return CHECK.finding(
        Status.OK,
        _('Docker knows the runtime "nvidia".'),
        _("A runtime is the program that starts a container. This one gives it the GPU."),
        evidence=(seen, Evidence(RUNTIME, path)) if path else (seen,),
    )


def program_is_there(host: Host, info: EngineInfo, path: str) -> bool:
    """Whether a runtime's program can be run; True where that cannot be looked at."""
    if info.kind not in _HERE or not path:
        return True
    if "/" not in path:
        return host.commands.which(path) is not None
    try:
        return host.files.info(path).executable
    except Trouble:
        return True


CHECK = Check(
    id="runtime.registered",
    title=N_('Runtime "nvidia"'),
    requires=("docker.access", "runtime.toolkit"),
    timeout=PROBE,
    run=_run,
)
