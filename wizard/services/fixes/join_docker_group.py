"""Lets the user use Docker: makes them a member of the group docker.

A login keeps the groups that it began with, so this counts from the next one on; ``sg`` gives the right to one program
at once. Whoever is in the group can do everything on the machine: it is said before anything is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Action, Effect, Fix, RunCommand
from wizard.model.i18n import _
from wizard.services.checks import docker_access
from wizard.services.checks.docker_access import GO_ON, GROUP
from wizard.services.fixes import docker_service
from wizard.services.fixes.repair import Repair

ID = docker_access.FIX


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the plan depends on. ``local`` tells that the user stands in this machine's own list of users,
    ``exists`` that the group does.
    """

    user: str
    local: bool
    exists: bool
    groups: tuple[str, ...]
    closing: tuple[RunCommand, ...]
    stopped: tuple[str, ...]


def plan(host: Host) -> Fix | None:
    """The membership; None for root, and when the group file has it already: then only a new login is missing.

    Raises ``ENGINE_OTHER`` where Docker listens somewhere else, for which the group does not count.
    """
    info = host.info
    if info.uid == 0 or GROUP in info.groups_on_file:
        return None
    if not docker_access.is_ours(host):
        endpoint = host.engine.endpoint()
        raise Trouble(
            Problem.ENGINE_OTHER,
            subject=endpoint.url,
            hint=_("The group docker is for the Docker of this machine; you have set up another one."),
            evidence=(Evidence(endpoint.source, endpoint.url),),
        )
    return build(gather(host))


def gather(host: Host) -> Facts:
    """Looks at everything that the plan depends on; changes nothing."""
    exists = _lists(host, "/etc/group", GROUP)
    # A service that was started without the group gave its socket to root alone.
    closing = () if exists else docker_service.restart(host)
    return Facts(
        user=host.info.user,
        local=_lists(host, "/etc/passwd", host.info.user),
        exists=exists,
        groups=host.info.groups_on_file,
        closing=closing,
        stopped=docker_service.stopped_by_restart(host) if closing else (),
    )


def build(facts: Facts) -> Fix:
    """The plan from the facts, purely."""
    actions: list[Action] = []
    if not facts.exists:
        actions.append(
            RunCommand(
                ("groupadd", "--system", GROUP),
                needs_root=True,
                why=_("Makes the group that may use Docker."),
                undo=("groupdel", GROUP),
            )
        )
    # usermod knows only users of this machine's own list, not those of a directory service.
    join = ("usermod", "-aG", GROUP, facts.user) if facts.local else ("gpasswd", "-a", facts.user, GROUP)
    actions.append(
        RunCommand(
            join,
            needs_root=True,
            why=_("Adds {user} to the group docker; all other groups stay.").format(user=facts.user),
            undo=("gpasswd", "-d", facts.user, GROUP),
        )
    )
    return Fix(
        id=ID,
        title=_("Let {user} use Docker").format(user=facts.user),
        why=_(
            "Docker answers only root and the members of the group docker. Know what this means: whoever is in that "
            "group can do everything on this machine, like its administrator (root), without a password."
        ),
        actions=tuple(actions),
        check=docker_access.CHECK.id,
        effect=Effect.AFTER_LOGIN,
        touches=facts.stopped,
        touches_note=go_on(),
        undo_note=_("Undo takes {user} out of the group. Terminals that are open keep the right until logout.").format(
            user=facts.user
        ),
        evidence=(Evidence(_("groups in the group file"), " ".join(facts.groups) or _("none")),),
        closing=facts.closing,
    )


def go_on(_host: Host | None = None) -> str:
    """How to use the right before the next login."""
    return _("To go on at once, without logging out: {command}").format(command=GO_ON)


def left_behind(host: Host) -> str:
    """A login keeps its groups."""
    if GROUP not in host.info.groups or host.info.uid == 0:
        return ""
    return _("This login keeps the right until you log out.")


def _lists(host: Host, path: str, name: str) -> bool:
    content = host.files.read(path)
    return content is not None and re.search(rf"^{re.escape(name)}:".encode(), content.data, re.MULTILINE) is not None


REPAIR = Repair(id=ID, plan=plan, left_behind=left_behind, meanwhile=go_on)
