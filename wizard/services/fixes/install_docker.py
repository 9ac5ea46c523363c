"""Installs Docker Engine from the distribution's own packages.

The package manager never gets a question answered: its standard input is closed. What would be new is asked of apt
beforehand (``--simulate``), so that an undo removes exactly that. Removed, not purged: Docker's images, containers and
settings stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.knowledge import docker_packages
from wizard.knowledge.docker_packages import Choice
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Status
from wizard.model.fix import Fix, RunCommand
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.services import packages
from wizard.services.checks import docker_installed, docker_running
from wizard.services.fixes.repair import Repair

ID = docker_installed.FIX
UPDATE_SECONDS = 300.0
_SIMULATE_SECONDS = 60.0
_DATA = "/var/lib/docker"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the plan depends on. ``names`` are what the package manager is asked for, ``new`` the packages that are
    there afterwards and were not before, ``systemd`` tells whether that starts services here. ``listed`` tells that the
    package manager knows the package already.
    """

    manager: str
    names: tuple[str, ...]
    new: tuple[str, ...]
    systemd: bool
    listed: bool = True


def plan(host: Host) -> Fix | None:
    """The installation; None when a Docker is there.

    Raises ``COMMAND_MISSING`` where there is no package manager that is known, ``PACKAGE_UNKNOWN`` where the
    distribution has no Docker Engine, ``PACKAGES_CONFLICT`` when other packages would have to go for it.
    """
    if not is_missing(host):
        return None
    return build(gather(host))


def is_missing(host: Host) -> bool:
    """Whether there is no Docker here, and none elsewhere that is set up to be used."""
    return docker_installed.CHECK.run(host).status is Status.ERROR


def gather(host: Host) -> Facts:
    """Looks at everything that the plan depends on; changes nothing."""
    manager = packages.manager(host)
    if manager is None:
        raise Trouble(
            Problem.COMMAND_MISSING,
            subject="apt-get, dnf, zypper",
            hint=_("On this system, install Docker Engine as its page describes."),
        )
    choice = docker_packages.distribution(manager, docker_installed.system(host))
    if choice is None:
        raise Trouble(
            Problem.PACKAGE_UNKNOWN,
            subject="Docker Engine",
            hint=_("Take Docker's own packages instead: {command}").format(command="s2s-wizard fix install-docker-ce"),
        )
    if manager != "apt":
        return Facts(manager, (choice.wanted,), _usual(host, choice), has_systemd(host))
    names = _known(host, choice)
    if choice.wanted not in names:
        # The lists were never read here, so apt cannot be asked; the first step reads them. What is asked for besides
        # may not exist here, and apt removes nothing when it does not know one of the names.
        bare = Choice(choice.wanted, brings=choice.brings)
        return Facts(manager, (choice.wanted,), _usual(host, bare), has_systemd(host), listed=False)
    return Facts(manager, names, simulate(host, names), has_systemd(host))


def build(facts: Facts) -> Fix:
    """The plan from the facts, purely."""
    return Fix(
        id=ID,
        title=_("Install Docker Engine from this system's own packages"),
        why=_(
            "Docker runs programs in containers: closed boxes with everything that a program needs. This system has a "
            "package for it, which is updated with the rest of the system. (Docker's own, newer packages are the "
            "other choice: {other}.)"
        ).format(other="install-docker-ce"),
        actions=commands(facts.manager, facts.names, facts.new, systemd=facts.systemd, strict=not facts.listed),
        check=docker_running.CHECK.id,
        undo_note=undo_note(facts.new),
        evidence=(Evidence(_("new packages"), " ".join(facts.new)),),
    )


def commands(
    manager: str,
    names: tuple[str, ...],
    new: tuple[str, ...],
    *,
    systemd: bool,
    own_list: str = "",
    strict: bool = False,
) -> tuple[RunCommand, ...]:
    """Reads the lists of packages, installs ``names``, and starts the service where its package does not do that.

    With ``own_list``, only that list is read anew. apt calls a server that it cannot reach a warning; where the list is
    needed (``strict``), it is an error. An undo removes ``new``.
    """
    refresh_why = _("Reads which packages there are.")
    install_why = _("Installs Docker Engine; no other package is changed or removed.")
    if manager == "apt":
        remove: tuple[str, ...] = (*packages.APT, "remove", "-y", *packages.APT_WAITS, *new)
        only: tuple[str, ...] = ()
        if own_list:
            only = ("-o", f"Dir::Etc::sourcelist={own_list}", "-o", "Dir::Etc::sourceparts=-")
            only += ("-o", "APT::Get::List-Cleanup=0")
        if own_list or strict:
            only += ("-o", "APT::Update::Error-Mode=any")
        refresh: tuple[str, ...] = (*packages.APT, "update", *packages.APT_WAITS, *only)
        options = ("-y", "--no-install-recommends", "--no-remove", *packages.APT_WAITS, *packages.APT_KEEPS)
        install: tuple[str, ...] = (*packages.APT, "install", *options, *names)
    elif manager == "zypper":
        remove = ("zypper", "--non-interactive", "remove", *new)
        refresh = ("zypper", "--non-interactive", "refresh")
        install = ("zypper", "--non-interactive", "install", *names)
    else:
        remove = ("dnf", "remove", "-y", "--noautoremove", *new)
        refresh = ("dnf", "makecache", "-y")
        install = ("dnf", "install", "-y", *names)
    undo = remove if new else None
    # An installation that breaks off may have left some of it, and of a command that failed the wizard does not assume
    # that there is something to take back: the way back stands with the step before it as well.
    steps = [
        RunCommand(refresh, needs_root=True, timeout=UPDATE_SECONDS, why=refresh_why, undo=undo),
        RunCommand(install, needs_root=True, timeout=packages.INSTALL_SECONDS, why=install_why, undo=undo),
    ]
    if manager != "apt" and systemd:
        # Debian's packages start their services themselves.
        steps.append(
            RunCommand(
                ("systemctl", "enable", "--now", "docker.service"),
                needs_root=True,
                timeout=UPDATE_SECONDS,
                why=_("Starts Docker, now and with the machine."),
                undo=("systemctl", "disable", "--now", "docker.service", "docker.socket"),
            )
        )
    return tuple(steps)


def undo_note(new: tuple[str, ...]) -> str:
    """How the installation is taken back."""
    return _(
        "Undo removes the packages that this installs ({names}). Docker's images, containers and volumes in {folder} "
        "and its settings stay."
    ).format(names=", ".join(new), folder=_DATA)


def simulate(host: Host, names: tuple[str, ...]) -> tuple[str, ...]:
    """The packages that apt would install new for ``names``.

    Raises ``PACKAGES_CONFLICT`` when it would have to remove others, and the kind of its failure: ``PACKAGE_UNKNOWN`` …
    """
    argv = ("apt-get", "install", "--simulate", "--no-install-recommends", *names)
    result = host.commands.run(argv, timeout=_SIMULATE_SECONDS)
    if result.returncode != 0:
        said = result.stderr.strip() or result.stdout.strip()
        raise packages.failure(argv, said) or Trouble(Problem.COMMAND_FAILED, said, subject=" ".join(argv))
    lines = [line.split() for line in result.stdout.splitlines()]
    gone = [words[1] for words in lines if words[:1] == ["Remv"]]
    if gone:
        raise Trouble(
            Problem.PACKAGES_CONFLICT,
            subject=", ".join(gone),
            evidence=(Evidence(" ".join(argv), result.stdout.strip()),),
        )
    # An update of a package that is there already names its old version in brackets.
    return tuple(words[1] for words in lines if words[:1] == ["Inst"] and not words[2].startswith("["))


def has_systemd(host: Host) -> bool:
    """Whether systemd starts the services here."""
    return host.files.info("/run/systemd/system").kind is PathKind.DIRECTORY


def left_behind(host: Host) -> str:
    """What Docker keeps is the user's."""
    if host.files.info(_DATA).kind is PathKind.MISSING:
        return ""
    return _("Docker's images, containers and volumes in {folder} stay.").format(folder=_DATA)


def _known(host: Host, choice: Choice) -> tuple[str, ...]:
    """The packages of the choice that apt could install as things stand."""
    names = (choice.wanted, *choice.also)
    result = host.commands.run(("apt-cache", "policy", *names), timeout=_SIMULATE_SECONDS)
    there: list[str] = []
    name = ""
    for line in result.stdout.splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.split()[:1] == ["Candidate:"] and line.split()[1:] != ["(none)"]:
            there.append(name)
    return tuple(name for name in names if name in there)


def _usual(host: Host, choice: Choice) -> tuple[str, ...]:
    names = (choice.wanted, *choice.also, *choice.brings)
    there = packages.installed(host, names)
    return tuple(name for name in names if name not in there)


REPAIR = Repair(id=ID, plan=plan, left_behind=left_behind)
