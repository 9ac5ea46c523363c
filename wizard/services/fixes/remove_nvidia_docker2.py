"""Removes the old package nvidia-docker2 and keeps what hangs on it: daemon.json and the toolkit.

Facts: daemon.json is a settings file of this package, so it is removed, never purged; a purge would delete the file.
The toolkit came as its dependency, so it is marked as wanted for itself first: otherwise the next clean-up
(``apt autoremove``) would take it.
"""

from __future__ import annotations

from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.knowledge.toolkit import toolkit
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Fix, RunCommand
from wizard.model.i18n import _
from wizard.services import packages
from wizard.services.checks import toolkit_old
from wizard.services.fixes.repair import Repair
from wizard.services.packages import Package

ID = toolkit_old.FIX
OLD = toolkit_old.OLD
_SETTINGS = "/etc/docker/daemon.json"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the plan depends on. ``kept`` are packages that stay although they came with the old one; ``takes`` are
    those that the package manager would remove.
    """

    old: Package
    kept: tuple[str, ...]
    takes: tuple[str, ...]
    settings: bytes | None


def plan(host: Host) -> Fix | None:
    """The removal; None when the package is not there.

    Raises ``COMMAND_MISSING`` on a system without apt, and ``PACKAGES_BROKEN`` when more would go than this package.
    """
    old = packages.installed(host, (OLD,)).get(OLD)
    if old is None:
        return None
    if packages.manager(host) != "apt":
        raise Trouble(
            Problem.COMMAND_MISSING,
            subject="apt-get",
            hint=_("On this system, keep a copy of {path} before you remove the package yourself.").format(
                path=_SETTINGS
            ),
        )
    return build(gather(host, old))


def gather(host: Host, old: Package) -> Facts:
    """Looks at everything that the plan depends on; changes nothing."""
    result = host.commands.run(("apt-get", "remove", "--simulate", OLD), timeout=60.0)
    if result.returncode != 0:
        said = result.stderr.strip()
        raise packages.failure(("apt-get",), said) or Trouble(Problem.COMMAND_FAILED, said, subject="apt-get remove")
    takes = tuple(line.split()[1] for line in result.stdout.splitlines() if line.startswith("Remv "))
    settings = host.files.read(_SETTINGS, root=True)
    keep = (*toolkit().packages, *(name for name in toolkit().old if name != OLD))
    return Facts(
        old=old,
        kept=tuple(packages.installed(host, keep)),
        takes=takes,
        settings=None if settings is None else settings.data,
    )


def build(facts: Facts) -> Fix:
    """The plan from the facts, purely. Raises ``PACKAGES_BROKEN``."""
    others = tuple(name for name in facts.takes if name != OLD)
    if others:
        raise Trouble(
            Problem.PACKAGES_BROKEN,
            subject=OLD,
            hint=_("With it, these packages would go, too: {names}. That is for you to decide.").format(
                names=", ".join(others)
            ),
        )
    actions: list[RunCommand] = []
    if facts.kept:
        actions.append(
            RunCommand(
                ("apt-mark", "manual", *facts.kept),
                needs_root=True,
                why=_("Notes that the toolkit is wanted for itself, so that a later clean-up keeps it."),
            )
        )
    actions.append(
        RunCommand(
            (*packages.APT, "remove", "-y", *packages.APT_WAITS, OLD),
            needs_root=True,
            timeout=packages.INSTALL_SECONDS,
            why=_("Removes the old package. Its settings file, {path}, stays.").format(path=_SETTINGS),
            undo=(
                *(*packages.APT, "install", "-y", *packages.APT_WAITS, *packages.APT_KEEPS),
                f"{OLD}={facts.old.version}",
            ),
        )
    )
    return Fix(
        id=ID,
        title=_("Remove the old package {package}").format(package=OLD),
        why=_(
            "Its work is done by the toolkit today, and an update of it may exchange Docker's settings. "
            "Do not purge it: that would delete {path}."
        ).format(path=_SETTINGS),
        actions=tuple(actions),
        check=toolkit_old.CHECK.id,
        touches_note=_("Docker is not restarted, and no container is touched."),
        undo_note=_(
            "Undo installs it again, where a package source still has version {version}; {path} stays as it is."
        ).format(version=facts.old.version, path=_SETTINGS),
        evidence=(
            Evidence(_("packages"), packages.listed((facts.old,))),
            Evidence(_SETTINGS, (facts.settings or b"").decode(errors="replace") or _("not there")),
        ),
    )


REPAIR = Repair(id=ID, plan=plan)
