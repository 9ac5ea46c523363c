"""Whether the Docker that answers knows the runtime "nvidia": the founding story."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.engine import EngineInfo, EngineKind
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services import programs
from wizard.services.checks.check import PROBE, Check
from wizard.services.programs import Flaw

RUNTIME = "nvidia"
FIX = "register-runtime"
_INSTALL = "install-toolkit"


def _run(host: Host) -> Finding:
    info = host.engine.info()
    seen = Evidence("GET /info → Runtimes", ", ".join(sorted(info.runtimes)))
    fixes = (FIX,) if info.kind in programs.LOCAL else ()
    if RUNTIME not in info.runtimes:
        return CHECK.finding(
            Status.ERROR,
            _('Docker does not know the runtime "nvidia", so containers get no GPU.'),
            _(
                "A runtime is the program that starts a container. NVIDIA's is installed, but nobody has told Docker "
                'about it. This is the error "Unknown runtime specified nvidia".'
            ),
            evidence=(seen,),
            causes=("runtime-unknown", "snap-docker") if info.kind is EngineKind.SNAP else ("runtime-unknown",),
            fixes=fixes,
        )
    path = info.runtimes[RUNTIME]
    flaw = programs.flaw(host, path) if path and info.kind in programs.LOCAL else None
    if flaw is not None:
        return _broken(host, path, flaw, seen)
    return CHECK.finding(
        Status.OK,
        _('Docker knows the runtime "nvidia".'),
        _("A runtime is the program that starts a container. This one gives it the GPU."),
        evidence=(seen, Evidence(RUNTIME, path)) if path else (seen,),
    )


def _broken(host: Host, path: str, flaw: Flaw, seen: Evidence) -> Finding:
    summaries = {
        Flaw.MISSING: _('Docker knows the runtime "nvidia", but its program {path} is not there.'),
        Flaw.NOT_EXECUTABLE: _('Docker knows the runtime "nvidia", but its program {path} may not be run.'),
        Flaw.OTHER_MACHINE: _('The program {path} of the runtime "nvidia" was made for another kind of processor.'),
        Flaw.NO_INTERPRETER: _('The program {path} of the runtime "nvidia" needs a program that is not there.'),
    }
    details = {
        Flaw.MISSING: _("Docker was told about a program that was removed or moved. It must be told the right place."),
        Flaw.NOT_EXECUTABLE: _("Its file has no permission to be run, or its disk does not allow programs."),
        Flaw.OTHER_MACHINE: _("Install the toolkit again for this machine."),
        Flaw.NO_INTERPRETER: _('It is a script, and its first line names the program that runs it ("#!").'),
    }
    # Another program of that name that works: Docker only has to be told. Otherwise the toolkit itself is broken.
    other = host.commands.which("nvidia-container-runtime")
    elsewhere = other is not None and other != path and programs.flaw(host, other) is None
    return CHECK.finding(
        Status.ERROR,
        summaries[flaw].format(path=path),
        details[flaw],
        evidence=(seen, Evidence(path, flaw.value)),
        causes=("runtime-binary-missing",) if flaw is Flaw.MISSING else ("runtime-not-executable",),
        fixes=(FIX,) if elsewhere else (_INSTALL,),
    )


def program_is_there(host: Host, info: EngineInfo, path: str) -> bool:
    """Whether a runtime's program can be run; True where that cannot be looked at."""
    return info.kind not in programs.LOCAL or not path or programs.flaw(host, path) is None


CHECK = Check(
    id="runtime.registered",
    title=N_('Runtime "nvidia"'),
    requires=("docker.access", "runtime.toolkit"),
    timeout=PROBE,
    run=_run,
    decides=("runtime-unknown", "runtime-binary-missing", "runtime-not-executable", "snap-docker"),
)
