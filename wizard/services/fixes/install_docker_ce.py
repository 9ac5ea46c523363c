"""Installs Docker Engine from Docker's own repository: newer than the distribution's, and updated by Docker.

The key of the packages is fetched while the repair is planned, and its fingerprint compared with the known one.
"""

from __future__ import annotations

from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.knowledge import docker_packages
from wizard.knowledge.toolkit import Repository
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Action, Fix, ReplaceFile
from wizard.model.i18n import _
from wizard.services import packages
from wizard.services.checks import docker_installed, docker_running
from wizard.services.fixes import install_docker
from wizard.services.fixes.repair import Repair

ID = docker_installed.FIX_OWN
VENDOR = "docker"
"""The name in the user's ``config.toml``: ``[packages.docker]``."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the plan depends on. ``new`` are Docker's packages that are not there yet; ``key_before`` and
    ``list_before`` what the files hold now.
    """

    manager: str
    repository: Repository
    new: tuple[str, ...]
    systemd: bool
    key: str
    key_before: bytes | None
    list_before: bytes | None


def plan(host: Host) -> Fix | None:
    """The installation; None when a Docker is there.

    Raises ``COMMAND_MISSING`` on a system for which Docker makes no packages, ``PACKAGES_CONFLICT`` when packages of
    the distribution are in the way, ``PACKAGES_UNREACHABLE`` when the key cannot be fetched, ``BAD_INPUT`` when it is
    another key.
    """
    if not install_docker.is_missing(host):
        return None
    return build(gather(host))


def gather(host: Host) -> Facts:
    """Looks at everything that the plan depends on, and fetches the key; changes nothing."""
    manager = packages.manager(host)
    system = docker_installed.system(host)
    found = docker_packages.own(manager, system, host.packages.get(VENDOR, {})) if manager else None
    if manager is None or found is None:
        raise Trouble(
            Problem.COMMAND_MISSING,
            subject="apt-get, dnf",
            hint=_("Docker makes no packages for this system; take the system's own: {command}").format(
                command=f"s2s-wizard fix {install_docker.ID}"
            ),
        )
    _refuse_in_the_way(host, manager, system)
    names = docker_packages.own_packages()
    there = packages.installed(host, names)
    key, listed = host.files.read(found.key_file, root=True), host.files.read(found.list_file, root=True)
    return Facts(
        manager=manager,
        repository=found,
        new=tuple(name for name in names if name not in there),
        systemd=install_docker.has_systemd(host),
        key=packages.fetch_key(host, found.key_url, found.fingerprint, "Docker"),
        key_before=None if key is None else key.data,
        list_before=None if listed is None else listed.data,
    )


def build(facts: Facts) -> Fix:
    """The plan from the facts, purely."""
    found = facts.repository
    own_list = found.list_file if facts.manager == "apt" else ""
    names = docker_packages.own_packages()
    return Fix(
        id=ID,
        title=_("Install Docker Engine from Docker's own packages"),
        why=_(
            "Docker's own packages are newer than those of most systems. They come from {url}; the key that signs them "
            "is checked: {fingerprint}"
        ).format(url=found.url, fingerprint=found.fingerprint),
        actions=(
            *_files(facts),
            *install_docker.commands(facts.manager, names, facts.new, systemd=facts.systemd, own_list=own_list),
        ),
        check=docker_running.CHECK.id,
        undo_note=install_docker.undo_note(facts.new),
        evidence=(Evidence(_("new packages"), " ".join(facts.new)),),
    )


def _files(facts: Facts) -> tuple[Action, ...]:
    found = facts.repository
    key, text = facts.key.encode(), found.text.encode()
    actions: list[Action] = []
    if facts.key_before != key:
        why = _("The key with which Docker signs its packages. Fingerprint: {fingerprint}")
        why = why.format(fingerprint=found.fingerprint)
        actions.append(ReplaceFile(found.key_file, facts.key_before, key, needs_root=True, why=why))
    if facts.list_before != text:
        why = _("Tells the package manager where Docker's packages are.")
        actions.append(ReplaceFile(found.list_file, facts.list_before, text, needs_root=True, why=why))
    return tuple(actions)


def _refuse_in_the_way(host: Host, manager: str, system: dict[str, str]) -> None:
    """Docker's containerd.io replaces containerd and runc of the distribution: somebody else may need these."""
    choice = docker_packages.distribution(manager, system)
    names = () if choice is None else (choice.wanted, "containerd", "runc")
    there = packages.installed(host, names)
    if there:
        raise Trouble(
            Problem.PACKAGES_CONFLICT,
            subject=", ".join(there),
            hint=_("Or take the system's own Docker Engine, which fits them: {command}").format(
                command=f"s2s-wizard fix {install_docker.ID}"
            ),
            evidence=(Evidence(_("packages"), packages.listed(tuple(there.values()))),),
        )


REPAIR = Repair(id=ID, plan=plan, left_behind=install_docker.left_behind)
