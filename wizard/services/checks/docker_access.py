"""Whether this user may talk to Docker."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.services.checks import docker_installed
from wizard.services.checks.check import PROBE, Check

FIX = "join-docker-group"
GROUP = "docker"
CAUSE = "sock-permission"
GO_ON = "sg docker -c s2s-wizard"
"""Gives the right to one program, in a login that is older than the membership."""
_AFTER = Link(N_("Docker: after the installation"), "https://docs.docker.com/engine/install/linux-postinstall/")


def _run(host: Host) -> Finding:
    try:
        host.engine.ping()
    except Trouble as trouble:
        if trouble.kind is not Problem.ENGINE_PERMISSION:
            raise
        return _refused(host, trouble)
    return CHECK.finding(
        Status.OK, _("You may use Docker."), evidence=(Evidence(_("groups of this login"), _list(host.info.groups)),)
    )


def _refused(host: Host, trouble: Trouble) -> Finding:
    info = host.info
    evidence = (
        *(trouble.evidence or (Evidence("GET /_ping", trouble.text),)),
        Evidence(_("groups of this login"), _list(info.groups)),
        Evidence(_("groups in the group file"), _list(info.groups_on_file)),
    )
    links = (Link(_(_AFTER.title), _AFTER.url),)
    facts = {"problem": trouble.kind.value, "login_again": False}
    if GROUP in info.groups_on_file and GROUP not in info.groups:
        return CHECK.finding(
            Status.ERROR,
            _("You are in the group docker, but this login is older than that."),
            _(
                "Log out and log in again (also from ssh and tmux), then start the wizard again. "
                "Or go on right now in this terminal: {command}"
            ).format(command=GO_ON),
            evidence=evidence,
            causes=(CAUSE,),
            links=links,
            facts={**facts, "login_again": True},
        )
    if GROUP in info.groups:
        return CHECK.finding(
            Status.ERROR,
            _("You are in the group docker, but Docker's socket does not let this group in."),
            _("Ask the person who looks after this machine which group may use Docker here."),
            evidence=evidence,
            causes=(CAUSE,),
            links=links,
            facts=facts,
        )
    return CHECK.finding(
        Status.ERROR,
        _("You may not use Docker yet: {user} is not in the group docker.").format(user=info.user),
        _(
            "Whoever may use Docker can do everything on this machine, so an administrator decides. "
            "The command is: {command}. After that, log out and log in again."
        ).format(command=f"sudo usermod -aG docker {info.user}"),
        evidence=evidence,
        causes=(CAUSE,),
        fixes=(FIX,) if is_ours(host) else (),
        links=links,
        facts=facts,
    )


def is_ours(host: Host) -> bool:
    """Whether the socket is that of Docker's own service, which the group is for."""
    return host.engine.endpoint().socket in docker_installed.SOCKETS


def _list(groups: tuple[str, ...]) -> str:
    return " ".join(groups) or _("none")


CHECK = Check(
    id="docker.access",
    title=N_("Access to Docker"),
    requires=("docker.running",),
    timeout=PROBE,
    run=_run,
    decides=(CAUSE,),
)
