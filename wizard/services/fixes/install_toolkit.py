"""Installs NVIDIA's Container Toolkit from NVIDIA's own packages, or completes one that is only partly there.

The key of the packages is fetched while the repair is planned, and its fingerprint compared with the known one: what is
shown is what is written, and nothing is piped into a shell. The package manager never gets a question answered: its
standard input is closed, and settings files that were changed are kept. Docker looks for the toolkit's hook when it
starts (see ``toolkit_hook``), so a restart follows.
"""

from __future__ import annotations

from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.knowledge.toolkit import Repository, repository, toolkit
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Action, Effect, Fix, ReplaceFile, Risk, RunCommand
from wizard.model.i18n import _
from wizard.services import packages
from wizard.services.checks import packages_sources, runtime_toolkit, toolkit_hook
from wizard.services.fixes import docker_service
from wizard.services.fixes.repair import Repair
from wizard.services.packages import Package

ID = runtime_toolkit.FIX
VENDOR = "nvidia"
"""The name in the user's ``config.toml``: ``[packages.nvidia]``."""
_UPDATE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the plan depends on. ``known`` are the toolkit's packages that the machine knows already.

    ``source`` tells that some list names NVIDIA's packages, ``candidate`` that the package manager can install them as
    things stand. ``key`` is the text of the key, "" where none is needed. ``key_before`` and ``list_before`` are what
    the files hold now. ``reinstall`` tells that a package that is there has to be written again. ``closing`` are the
    commands that restart Docker, ``note`` what to say where that is not ours to do.
    """

    manager: str
    repository: Repository
    known: dict[str, Package]
    source: str
    candidate: bool
    key: str
    key_before: bytes | None
    list_before: bytes | None
    reinstall: bool
    closing: tuple[RunCommand, ...]
    stopped: tuple[str, ...]
    note: str


def plan(host: Host) -> Fix | None:
    """The installation; None when the toolkit is there and whole.

    Raises ``ENGINE_OTHER`` for a Docker that could not use it, ``COMMAND_MISSING`` where there is no package manager
    that is known, ``PACKAGES_UNREACHABLE`` when the key cannot be fetched, ``BAD_INPUT`` when it is another key.
    """
    finding = runtime_toolkit.CHECK.run(host)
    hook = toolkit_hook.look(host)
    hook_missing = hook is not None and not hook.path
    there = packages.installed(host, toolkit().packages)
    program = host.commands.which(runtime_toolkit.PROGRAM)
    if program and ID not in finding.fixes and not (hook_missing and there):
        return None
    _refuse_foreign_docker(host)
    return build(gather(host, reinstall=program is None or hook_missing or ID in finding.fixes))


def gather(host: Host, *, reinstall: bool) -> Facts:
    """Looks at everything that the plan depends on; changes nothing. Fetches the key where it will be needed."""
    manager = packages.manager(host)
    found = repository(manager, host.packages.get(VENDOR, {})) if manager else None
    if manager is None or found is None:
        raise Trouble(
            Problem.COMMAND_MISSING,
            subject="apt-get, dnf, zypper",
            hint=_("On this system, install the package {package} as NVIDIA's page describes.").format(
                package=toolkit().wanted
            ),
        )
    if manager == "apt":
        _refuse_broken_sources(host)
    candidate = _candidate(host, manager)
    source = _source(host, manager, found)
    key, key_before, list_before = "", None, None
    if not candidate and not source:
        key = packages.fetch_key(host, found.key_url, found.fingerprint, "NVIDIA")
        key_before, list_before = _bytes(host, found.key_file), _bytes(host, found.list_file)
    closing, note = _restart(host)
    known = packages.known(host, toolkit().packages)
    return Facts(
        manager=manager,
        repository=found,
        known=known,
        source=source,
        candidate=candidate,
        key=key,
        key_before=key_before,
        list_before=list_before,
        reinstall=reinstall and any(package.state != "config-files" for package in known.values()),
        closing=closing,
        stopped=docker_service.stopped_by_restart(host) if closing else (),
        note=note,
    )


def build(facts: Facts) -> Fix:
    """The plan from the facts, purely."""
    files = _files(facts)
    return Fix(
        id=ID,
        title=_("Install the NVIDIA Container Toolkit"),
        why=_(
            "The toolkit puts the GPU and its driver into containers. It comes from NVIDIA's own package source, "
            "whose key is checked: {fingerprint}"
        ).format(fingerprint=facts.repository.fingerprint)
        if files
        else _("The toolkit puts the GPU and its driver into containers. This system knows where its packages are."),
        actions=(*files, *_commands(facts)),
        check=runtime_toolkit.CHECK.id,
        risk=Risk.RESTART if facts.closing else Risk.NONE,
        effect=Effect.NOW,
        touches=facts.stopped,
        touches_note=_touches(facts),
        undo_note=_(
            "Undo removes the packages that were installed and puts the files back. Docker forgets the toolkit at its "
            "next start."
        ),
        evidence=(Evidence(_("packages"), packages.listed(tuple(facts.known.values())) or _("none")),),
        closing=facts.closing,
    )


# --- the parts of the plan ---------------------------------------------------------------------------------------


def _files(facts: Facts) -> tuple[Action, ...]:
    if facts.candidate or facts.source:
        return ()
    found = facts.repository
    key, text = facts.key.encode(), found.text.encode()
    actions: list[Action] = []
    if facts.key_before != key:
        why = _("The key with which NVIDIA signs its packages. Fingerprint: {fingerprint}")
        actions.append(
            ReplaceFile(
                found.key_file,
                facts.key_before,
                key,
                needs_root=True,
                why=why.format(fingerprint=found.fingerprint),
            )
        )
    if facts.list_before != text:
        why = _("Tells the package manager where NVIDIA's packages are.")
        actions.append(ReplaceFile(found.list_file, facts.list_before, text, needs_root=True, why=why))
    return tuple(actions)


def _commands(facts: Facts) -> tuple[RunCommand, ...]:
    # A package that was there before stays at an undo; one of which only settings were left keeps these.
    new = [name for name in toolkit().packages if name not in facts.known]
    left = [name for name, package in facts.known.items() if package.state == "config-files"]
    wanted = toolkit().wanted
    refresh_why = _("Reads the list of packages there.")
    install_why = _("Installs the toolkit; nothing else is changed.")
    there = [name for name, package in facts.known.items() if package.state != "config-files"]
    if facts.manager == "apt":
        # Only "purge" takes the settings that came with the packages, and it takes older ones as well.
        verb = "remove" if left else "purge"
        undo = (*packages.APT, verb, "-y", *packages.APT_WAITS, *new, *left) if new or left else None
        refresh = (*packages.APT, "update", *_only(facts))
        again = ("--reinstall", *there) if facts.reinstall else ()
        install = (*packages.APT, "install", "-y", "--no-install-recommends", *packages.APT_WAITS, *packages.APT_KEEPS)
        argv = (*install, *again, *(() if wanted in again else (wanted,)))
    elif facts.manager == "zypper":
        undo = ("zypper", "--non-interactive", "remove", *new) if new else None
        force = ("--force",) if facts.reinstall else ()
        argv = ("zypper", "--non-interactive", "install", "--no-recommends", *force, wanted)
        refresh = ("zypper", "--non-interactive", "--gpg-auto-import-keys", "refresh", wanted)
    else:
        undo = ("dnf", "remove", "-y", "--noautoremove", *new) if new else None
        argv = ("dnf", "reinstall" if facts.reinstall and wanted in there else "install", "-y", wanted)
        refresh = ("dnf", "makecache", "-y", "--repo", wanted)
    # An installation that breaks off may have left some of it. The way back stands with the step before it as well:
    # of a command that failed, the wizard does not assume that there is something to take back.
    steps = [RunCommand(argv, needs_root=True, timeout=packages.INSTALL_SECONDS, why=install_why, undo=undo)]
    if not facts.candidate or facts.manager == "apt":
        steps.insert(0, RunCommand(refresh, needs_root=True, timeout=_UPDATE_SECONDS, why=refresh_why, undo=undo))
    return tuple(steps)


def _only(facts: Facts) -> tuple[str, ...]:
    """Options for an update of NVIDIA's list alone: other lists may be slow, or broken, and are not ours."""
    if facts.candidate and not facts.source:
        return ()
    path = facts.source or facts.repository.list_file
    return (
        *("-o", f"Dir::Etc::sourcelist={path}", "-o", "Dir::Etc::sourceparts=-"),
        # Otherwise apt forgets what it has read from all the others, and calls a server that it cannot reach a warning.
        *("-o", "APT::Get::List-Cleanup=0", "-o", "APT::Update::Error-Mode=any"),
    )


def _touches(facts: Facts) -> str:
    if facts.note:
        return facts.note
    if not facts.closing:
        return _("Docker is not running, so nothing has to be restarted.")
    if not facts.stopped:
        return _("Docker is restarted at the end, so that it finds the toolkit. No container stops.")
    return _("Docker is restarted at the end, so that it finds the toolkit. These containers stop: {names}").format(
        names=", ".join(facts.stopped)
    )


def _restart(host: Host) -> tuple[tuple[RunCommand, ...], str]:
    """The restart, and what to say where it is for the user to do."""
    try:
        host.engine.ping()
    except Trouble:
        return (), ""  # the next start finds the toolkit
    try:
        return docker_service.restart(host), ""
    except Trouble as trouble:
        return (), _('For "docker run --gpus", restart Docker afterwards. {why}').format(why=trouble.hint).strip()


# --- what is there -----------------------------------------------------------------------------------------------


def _refuse_foreign_docker(host: Host) -> None:
    try:
        info = host.engine.info()
    except Trouble:
        return
    hints = {
        EngineKind.REMOTE: _("Docker runs on another machine; start the wizard over there."),
        EngineKind.DESKTOP: _("Docker Desktop on Linux cannot use the toolkit. Install Docker Engine instead."),
        EngineKind.PODMAN: _("What answers is Podman, not Docker; it gives GPUs to containers in another way (CDI)."),
        EngineKind.SNAP: _(
            "This Docker comes from a snap package and brings a toolkit of its own. Install Docker Engine instead."
        ),
    }
    if info.kind in hints:
        raise Trouble(
            Problem.ENGINE_OTHER,
            subject=info.name,
            hint=hints[info.kind],
            evidence=(Evidence("GET /info", f"{info.kind.value} {info.version}"),),
        )


def _refuse_broken_sources(host: Host) -> None:
    groups = packages_sources.nvidia_conflicts(packages_sources.sources(host))
    if groups:
        files = sorted({source.file for group in groups.values() for source in group})
        raise Trouble(
            Problem.PACKAGES_SOURCES,
            subject=", ".join(files),
            hint=_("Put the old list aside first: {command}").format(command=f"s2s-wizard fix {packages_sources.FIX}"),
            evidence=tuple(Evidence(source.file, source.uri) for group in groups.values() for source in group),
        )


def _candidate(host: Host, manager: str) -> bool:
    """Whether the package manager could install the toolkit as things stand, from what it has read before."""
    wanted = toolkit().wanted
    argv = {
        "apt": ("apt-cache", "policy", wanted),
        "dnf": ("dnf", "-q", "-C", "list", "--available", wanted),
        "zypper": ("zypper", "--no-refresh", "-q", "search", "--match-exact", wanted),
    }[manager]
    try:
        result = host.commands.run(argv, timeout=30.0)
    except Trouble as trouble:
        if trouble.kind is not Problem.COMMAND_MISSING:
            raise
        return False
    if manager != "apt":
        return result.returncode == 0 and wanted in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    found = next((words[1] for words in lines if len(words) > 1 and words[0] == "Candidate:"), "(none)")
    # A package that is installed is its own candidate, and can then be found nowhere.
    return found != "(none)" and any("http" in word or "file:" in word for words in lines for word in words)


def _source(host: Host, manager: str, found: Repository) -> str:
    """The file that names NVIDIA's packages already, or our mirror of them; "" for none."""
    if manager == "apt":
        place = found.url.rstrip("/")
        for source in packages_sources.sources(host):
            if source.uri.startswith(place) or (_is_toolkits(source.uri) and VENDOR not in host.packages):
                return source.file
        return ""
    content = _bytes(host, found.list_file)
    return found.list_file if content is not None and found.url.encode() in content else ""


def _is_toolkits(uri: str) -> bool:
    return f"//{toolkit().host}/libnvidia-container/" in uri


def _bytes(host: Host, path: str) -> bytes | None:
    content = host.files.read(path, root=True)
    return None if content is None else content.data


def left_behind(host: Host) -> str:
    """The hook is looked for once, and what was found is kept in mind."""
    look = toolkit_hook.look(host)
    if look is None or look.path:
        return ""
    return _('Docker forgets the toolkit at its next start; until then, only "docker run --gpus" notices.')


REPAIR = Repair(id=ID, plan=plan, left_behind=left_behind)
