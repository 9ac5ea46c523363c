"""Whether NVIDIA's toolkit for containers is installed, and whole."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.knowledge.toolkit import toolkit
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind
from wizard.services import packages, programs
from wizard.services.checks import toolkit_hook
from wizard.services.checks.check import Check

PROGRAM = "nvidia-container-runtime"
TOOL = "nvidia-container-cli"
FIX = "install-toolkit"
_USUAL = f"/usr/bin/{PROGRAM}"
_CGROUP2 = "/sys/fs/cgroup/cgroup.controllers"
_LIBRARY = "libnvidia-container1"
_KNOWS_CGROUP2 = (1, 8)
_GUIDE = Link(
    N_("NVIDIA: install the Container Toolkit"),
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
)


def _run(host: Host) -> Finding:
    path = host.commands.which(PROGRAM)
    flaw = programs.flaw(host, path) if path else None
    if path and flaw is not None:
        return CHECK.finding(
            Status.ERROR,
            _("{path} is there, but it cannot be run.").format(path=path),
            _("It is damaged, or made for another kind of processor. The wizard can install the toolkit again."),
            evidence=(Evidence(path, flaw.value),),
            causes=("runtime-not-executable",),
            fixes=(FIX,),
            links=(Link(_(_GUIDE.title), _GUIDE.url),),
        )
    if path:
        return _installed(host, path)
    if host.files.info(_USUAL).kind is PathKind.FILE:
        return CHECK.finding(
            Status.ERROR,
            _("{path} is there, but it cannot be run.").format(path=_USUAL),
            _("Install the package nvidia-container-toolkit again."),
            evidence=(Evidence(_USUAL, _("not executable")),),
            causes=("runtime-not-executable",),
            fixes=(FIX,),
            links=(Link(_(_GUIDE.title), _GUIDE.url),),
        )
    seen, causes = _what_docker_says(host)
    waits_for = _gpu_missing(host)
    if waits_for:
        return CHECK.finding(
            Status.SKIPPED, _("Not needed before the GPU works."), evidence=seen, causes=causes, blocked_by=waits_for
        )
    return CHECK.finding(
        Status.ERROR,
        _("The NVIDIA Container Toolkit is not installed."),
        _("Without it, a container cannot see the GPU. The wizard can install it from NVIDIA's own package source."),
        evidence=(Evidence(PROGRAM, _("not found")), *seen),
        causes=causes,
        fixes=(FIX,),
        links=(Link(_(_GUIDE.title), _GUIDE.url),),
    )


def _installed(host: Host, path: str) -> Finding:
    found = packages.installed(host, toolkit().packages)
    from_packages = (Evidence(_("packages"), packages.listed(tuple(found.values()))),) if found else ()
    seen = (Evidence(_("program"), path), *from_packages)
    facts = {"path": path, "packages": {name: package.version for name, package in found.items()}}
    half = [package for package in found.values() if package.state != "installed"]
    versions = {package.upstream for package in found.values()}
    # A toolkit that no package brought was put together by hand: what belongs to it is not for us to say.
    tool_missing = bool(found) and host.commands.which(TOOL) is None
    if half or tool_missing or len(versions) > 1:
        return CHECK.finding(
            Status.WARNING,
            _("The NVIDIA Container Toolkit is only partly installed, or its parts are of different versions.")
            if not tool_missing
            else _("A part of the NVIDIA Container Toolkit is missing: {program}").format(program=TOOL),
            _("An installation may have been interrupted. Installing it again completes it."),
            evidence=(*seen, Evidence(TOOL, _("not found"))) if tool_missing else seen,
            causes=("nvcli-missing",),
            fixes=(FIX,),
            facts=facts,
        )
    library = found.get(_LIBRARY)
    if library and library.numbers < _KNOWS_CGROUP2 and host.files.info(_CGROUP2).kind is not PathKind.MISSING:
        return CHECK.finding(
            Status.WARNING,
            _("The NVIDIA Container Toolkit is too old for this Linux: {version}").format(version=library.version),
            _("It does not know the way in which this system limits containers (cgroup v2). A newer one does."),
            evidence=(*seen, Evidence(_CGROUP2, _("there"))),
            causes=("nvcli-cgroup",),
            fixes=(FIX,),
            facts=facts,
        )
    return CHECK.finding(
        Status.OK,
        _("The NVIDIA Container Toolkit is installed."),
        _("It puts the GPU and its driver into a container."),
        evidence=seen,
        facts=facts,
    )


def _what_docker_says(host: Host) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """What the missing toolkit means for Docker, where it answers: errors that people paste are explained by it."""
    try:
        info = host.engine.info()
    except Trouble:
        return (), ()
    causes: list[str] = []
    runtime = info.runtimes.get("nvidia")
    if runtime is None:
        causes.append("runtime-unknown")
    elif info.kind in programs.LOCAL and programs.flaw(host, runtime) is programs.Flaw.MISSING:
        causes.append("runtime-binary-missing")
    hook = toolkit_hook.look(host)
    if hook is not None:
        causes += hook.causes
    seen = Evidence("GET /info → Runtimes", ", ".join(sorted(info.runtimes)))
    return (seen, *(hook.evidence if hook else ())), tuple(causes)


def _gpu_missing(host: Host) -> str | None:
    """The check that says why there is no GPU. A toolkit that is there is good news on any machine, so this check
    requires no other.
    """
    try:
        return None if host.gpus.report().gpus else "gpu.device"
    except Trouble:
        return "gpu.driver"


CHECK = Check(
    id="runtime.toolkit",
    title=N_("NVIDIA Container Toolkit"),
    requires=(),
    timeout=15.0,
    run=_run,
    decides=(
        "nvcli-missing",
        "nvcli-cgroup",
        "runtime-unknown",
        "runtime-binary-missing",
        "runtime-not-executable",
        toolkit_hook.LATE,
        toolkit_hook.REMOVED,
    ),
)
