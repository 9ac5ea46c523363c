"""Whether this user may talk to Docker."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.services.checks.check import PROBE, Check

_GROUP = "docker"
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
    if _GROUP in info.groups_on_file and _GROUP not in info.groups:
        return CHECK.finding(
            Status.ERROR,
            _("You are in the group docker, but this login is older than that."),
            _("Log out and log in again (also from ssh and tmux), then start the wizard again."),
            evidence=evidence,
            links=links,
            facts={**facts, "login_again": True},
        )
    if _GROUP in info.groups:
        return CHECK.finding(
            Status.ERROR,
            _("You are in the group docker, but Docker's socket does not let this group in."),
            _("Ask the person who looks after this machine which group may use Docker here."),
            evidence=evidence,
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
        links=links,
        facts=facts,
    )


def _list(groups: tuple[str, ...]) -> str:
    return " ".join(groups) or _("none")


CHECK = Check(id="docker.access", title=N_("Access to Docker"), requires=("docker.running",), timeout=PROBE, run=_run)
