"""Whether there is a Docker on this machine, or an address of one elsewhere."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.knowledge import docker_packages
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind
from wizard.services import packages
from wizard.services.checks.check import PROBE, Check

FIX, FIX_OWN = "install-docker", "install-docker-ce"
"""From the distribution's packages, and from Docker's own: the user's choice."""
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")
"""Where Docker's own service listens."""
_INSTALL = Link(N_("Docker: install Docker Engine"), "https://docs.docker.com/engine/install/")


def _run(host: Host) -> Finding:
    program = host.commands.which("dockerd")
    if program:
        return CHECK.finding(Status.OK, _("Docker Engine is installed."), evidence=(Evidence(_("program"), program),))
    try:
        endpoint = host.engine.endpoint()
    except Trouble as trouble:
        if trouble.kind is not Problem.ENGINE_ADDRESS:
            raise
        # The check of the service says what is wrong with the address.
        return CHECK.finding(Status.OK, _("Docker is set up with an address of its own."), evidence=trouble.evidence)
    seen = Evidence(endpoint.source, endpoint.url)
    if endpoint.source != "default" or _answers(host, endpoint.socket):
        return CHECK.finding(
            Status.OK, _("Docker is reached at {address}.").format(address=endpoint.url), evidence=(seen,)
        )
    client = host.commands.which("docker")
    fixes = _choices(host)
    advice = _("Install Docker Engine as its page describes, then look again.")
    if fixes:
        advice = _("The wizard can install it from this system's own packages.")
    if FIX_OWN in fixes:
        advice = _(
            "The wizard can install it: from this system's own packages ({first}), or newer from Docker's own "
            "({second}). One of them is enough; if you have no reason to choose, take the first."
        ).format(first=FIX, second=FIX_OWN)
    return CHECK.finding(
        Status.ERROR,
        _("Only the docker command is installed, not the Docker service.") if client else _("Docker is not installed."),
        _("Docker runs programs in containers: closed boxes with everything that a program needs. {advice}").format(
            advice=advice
        ),
        evidence=(
            Evidence("dockerd", _("not found")),
            Evidence("docker", client or _("not found")),
            Evidence(endpoint.url, _("not there")),
        ),
        causes=() if client else ("docker-cli-missing",),
        fixes=fixes,
        links=(Link(_(_INSTALL.title), _INSTALL.url),),
    )


def system(host: Host) -> dict[str, str]:
    """The fields of the system's os-release; empty where there is none."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        content = host.files.read(path)
        if content is not None:
            return docker_packages.os_release(content.data)
    return {}


def _choices(host: Host) -> tuple[str, ...]:
    """The repairs that fit this system."""
    manager = packages.manager(host)
    if manager is None:
        return ()
    found = system(host)
    own = docker_packages.own(manager, found, host.packages.get("docker", {}))
    return (
        *((FIX,) if docker_packages.distribution(manager, found) else ()),
        *((FIX_OWN,) if own else ()),
    )


def _answers(host: Host, socket: str | None) -> bool:
    """Whether somebody listens at the usual address: the file of a socket stays when Docker is removed."""
    if socket is None:
        return True
    try:
        if host.files.info(socket).kind is PathKind.MISSING:
            return False
        host.engine.ping()
    except Trouble as trouble:
        if trouble.kind is Problem.ENGINE_PERMISSION:
            return _listens(host)
        return trouble.kind not in (Problem.ENGINE_REFUSED, Problem.ENGINE_MISSING)
    return True


def _listens(host: Host) -> bool:
    """Whether the system's list of open sockets has Docker's; True where it cannot be seen."""
    content = host.files.read("/proc/net/unix")
    if content is None:
        return True
    lines = content.data.decode(errors="replace").splitlines()
    return any(line.rpartition(" ")[2] in SOCKETS for line in lines)


CHECK = Check(
    id="docker.installed", title=N_("Docker"), requires=(), timeout=PROBE, run=_run, decides=("docker-cli-missing",)
)
