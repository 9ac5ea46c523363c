"""Whether there is a Docker on this machine, or an address of one elsewhere."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind
from wizard.services.checks.check import Check

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
    if endpoint.source != "default" or _is_there(host, endpoint.socket):
        return CHECK.finding(
            Status.OK, _("Docker is reached at {address}.").format(address=endpoint.url), evidence=(seen,)
        )
    client = host.commands.which("docker")
    return CHECK.finding(
        Status.ERROR,
        _("Only the docker command is installed, not the Docker service.") if client else _("Docker is not installed."),
        _(
            "Docker runs programs in containers: closed boxes with everything that a program needs. "
            "Install Docker Engine as its page describes, then look again."
        ),
        evidence=(
            Evidence("dockerd", _("not found")),
            Evidence("docker", client or _("not found")),
            Evidence(endpoint.url, _("not there")),
        ),
        links=(Link(_(_INSTALL.title), _INSTALL.url),),
    )


def _is_there(host: Host, socket: str | None) -> bool:
    if socket is None:
        return True
    try:
        return host.files.info(socket).kind is not PathKind.MISSING
    except Trouble:
        return True


CHECK = Check(id="docker.installed", title=N_("Docker"), requires=(), timeout=3.0, run=_run)
