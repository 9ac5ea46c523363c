"""Tells Docker about NVIDIA's runtime: the repair for "Unknown runtime specified nvidia".

Facts, measured on engines 17.12 to 29.1: a runtime that stands in daemon.json is known after a SIGHUP, without a
restart and without touching a container. A file without a list of runtimes leaves the list in memory as it is; a file
with one replaces it, so runtimes that were only given as flags are forgotten then. Before 18.09, the same list as a
flag and in the file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from wizard.host.ports import Host
from wizard.model import daemon_json, daemon_rules
from wizard.model.engine import DaemonProcess, EngineInfo, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Action, Fix, ReplaceFile, RunCommand
from wizard.model.i18n import _, ngettext
from wizard.model.machine import FileContent, PathKind
from wizard.services import docker_files
from wizard.services.checks import runtime_registered
from wizard.services.checks.runtime_toolkit import PROGRAM
from wizard.services.fixes import docker_service, docker_start
from wizard.services.fixes.repair import Repair

ID = runtime_registered.FIX
NAME = runtime_registered.RUNTIME
_MERGES_SINCE = (18, 9)
_TRIAL = "trial/daemon.json"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the plan depends on. ``before`` is the file's content, None where there is none.

    ``usable`` are paths of runtimes that were looked at and can be run. ``program`` is NVIDIA's runtime on this
    machine. ``may_write`` tells whether this user may replace the file. ``reload`` makes
    the daemon read its settings. ``containers`` are the names of those that run.
    """

    engine: EngineInfo
    daemon: DaemonProcess | None
    config: str | None
    before: bytes | None
    may_write: bool
    program: str | None
    usable: frozenset[str]
    reload: tuple[RunCommand, ...]
    containers: tuple[str, ...]


def plan(host: Host) -> Fix | None:
    """The repair for the Docker that answers; None when that Docker knows the runtime and will still know it after its
    next start.

    Raises what the engine raises; ``ENGINE_OTHER`` for a Docker that this repair is not for; ``COMMAND_MISSING`` when
    NVIDIA's toolkit is not installed; ``BAD_INPUT`` with the place when daemon.json is not one to edit;
    ``FILE_PERMISSION``, ``ROOT_NEEDED`` or ``FILE_NOT_REGULAR`` when it cannot be read.
    """
    try:
        facts = gather(host)
    except Trouble as trouble:
        if trouble.kind not in (Problem.ENGINE_MISSING, Problem.ENGINE_REFUSED):
            raise
        return _for_a_docker_that_does_not_run(host)
    fix = build(facts)
    if fix is not None:
        _try_out(host, facts, fix)
    return fix


def _for_a_docker_that_does_not_run(host: Host) -> Fix | None:
    """The same for a Docker that its settings keep from starting, because they name the runtime without saying what it
    is. None for any other: whether it knows the runtime is seen when it runs.
    """
    start = docker_files.next_start(host)
    content = host.files.read(start.config, root=True) if start.config else None
    if content is None or not daemon_rules.judge(content.data, start.version, start.argv, start.config or "").stops:
        return None
    engine = EngineInfo(
        start.kind, ".".join(map(str, start.version or ())), "", "", "", {}, "", "", "", False, False, 0, ""
    )
    facts = Facts(
        engine=engine,
        daemon=DaemonProcess(0, start.argv, docker_files.SERVICE),
        config=start.config,
        before=content.data,
        may_write=may_write(host, start.config or "", content),
        program=host.commands.which(PROGRAM),
        usable=frozenset(),
        reload=(),
        containers=(),
    )
    fix = build(facts)
    if fix is None:
        return None
    _try_out(host, facts, fix)
    why = _("Docker's settings name the runtime, but do not say what it is, so Docker does not start.")
    note = _("Docker is started; containers that are set to start with Docker start, too.")
    return replace(fix, why=why, touches_note=note, check="docker.config", closing=docker_service.start(host))


def gather(host: Host) -> Facts:
    """Looks at everything that the plan depends on; changes nothing."""
    engine = host.engine.info()
    daemon = host.engine.daemon()
    config = daemon_json.config_path(engine.kind, daemon, host.home, host.environ)
    content = host.files.read(config, root=True) if config and PurePosixPath(config).is_absolute() else None
    before = content.data if content is not None else None
    paths = {engine.runtimes.get(NAME, "")}
    if content is not None and config is not None and not daemon_json.is_empty(content.data):
        paths.add(str(_entry(daemon_json.read(content.data, config)).get("path") or ""))
    return Facts(
        engine=engine,
        daemon=daemon,
        config=config,
        before=before,
        may_write=config is not None and may_write(host, config, content),
        program=host.commands.which(PROGRAM),
        usable=frozenset(path for path in paths if path and runtime_registered.program_is_there(host, engine, path)),
        reload=docker_service.reload(host),
        containers=tuple(sorted(item.name for item in host.engine.containers())),
    )


def build(facts: Facts) -> Fix | None:
    """The plan from the facts, purely. Raises as ``plan`` does."""
    known = facts.engine.runtimes.get(NAME)
    works = known is not None and (not known or known in facts.usable)
    if works and (facts.config is None or facts.daemon is None):
        return None
    daemon, config = _reachable(facts)
    settings = {} if daemon_json.is_empty(facts.before) else daemon_json.read(facts.before or b"", config)
    entry = _entry(settings)
    if works and (_is_fine(entry, facts) if entry else NAME in daemon_json.daemon_runtimes(daemon)):
        return None
    after = facts.before
    if not _is_fine(entry, facts):
        if facts.program is None:
            raise Trouble(
                Problem.COMMAND_MISSING,
                subject=PROGRAM,
                hint=_("Install the package nvidia-container-toolkit first; the check-up has the link."),
            )
        after = daemon_json.with_runtime(after, NAME, facts.program, config)
    forgotten = _forgotten(facts, daemon, settings)
    for name, path in forgotten.items():
        after = daemon_json.with_runtime(after, name, path, config)
    flaws = daemon_rules.refusals(after, facts.engine.version, daemon)
    if flaws:
        raise Trouble(
            Problem.BAD_INPUT,
            flaws[0],
            subject=config,
            hint=_("Docker would not accept this file: {flaw}").format(flaw=flaws[0]),
            evidence=tuple(Evidence(config, flaw) for flaw in flaws),
        )
    actions: list[Action] = []
    if after != facts.before:
        actions.append(
            ReplaceFile(
                config,
                facts.before,
                after,
                needs_root=not facts.may_write,
                why=_("Writes the runtime into Docker's settings; everything else in the file stays as it is."),
            )
        )
    actions += facts.reload
    return Fix(
        id=ID,
        title=_('Tell Docker about the runtime "nvidia"'),
        why=_why(facts, changes=after != facts.before, forgotten=forgotten),
        actions=tuple(actions),
        check=runtime_registered.CHECK.id,
        touches=facts.containers,
        touches_note=_touches(facts.containers),
        undo_note=_(
            "Undo puts the old file back, byte for byte. The running Docker keeps the runtime in memory until its "
            "next restart, where it does no harm."
        ),
        evidence=(Evidence("GET /info → Runtimes", ", ".join(sorted(facts.engine.runtimes))),),
    )


# --- the parts of the plan ---------------------------------------------------------------------------------------


def _reachable(facts: Facts) -> tuple[DaemonProcess, str]:
    """The daemon and its settings file, where this repair is for them."""
    hints = {
        EngineKind.REMOTE: _("Docker runs on another machine; start the wizard over there."),
        EngineKind.DESKTOP: _(
            "Docker Desktop cannot give the GPU to containers on Linux. Install Docker Engine, then run: {command}"
        ).format(command="docker context use default"),
        EngineKind.PODMAN: _("What answers is Podman, not Docker; it gives GPUs to containers in another way (CDI)."),
        EngineKind.SNAP: _(
            "This Docker comes from a snap package, which cannot use NVIDIA's toolkit of the system. "
            "Install Docker Engine from its own page instead."
        ),
    }
    hint = hints.get(facts.engine.kind)
    if hint is None and facts.daemon is None:
        hint = _("The process of the Docker service cannot be seen from here; start the wizard where Docker runs.")
    if hint is None and (facts.config is None or not PurePosixPath(facts.config).is_absolute()):
        hint = _("Docker was started with a settings file whose full path is not known: {path}").format(
            path=facts.config
        )
    if hint is None and facts.daemon is not None and facts.config is not None:
        return facts.daemon, facts.config
    raise Trouble(
        Problem.ENGINE_OTHER,
        subject=facts.engine.name,
        hint=hint or "",
        evidence=(Evidence("GET /info", f"{facts.engine.kind.value} {facts.engine.version}"),),
    )


def _entry(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the settings say about our runtime; empty where that is nothing, or not a list of keys."""
    runtimes = settings.get(daemon_json.RUNTIMES)
    entry = runtimes.get(NAME) if isinstance(runtimes, dict) else None
    return entry if isinstance(entry, dict) else {}


def _is_fine(entry: Mapping[str, Any], facts: Facts) -> bool:
    """Whether the file's own entry works as it is: somebody's path and arguments are kept unless they are broken."""
    path = entry.get("path")
    return path in facts.usable if path else bool(entry.get("runtimeType"))


def _forgotten(facts: Facts, daemon: DaemonProcess, settings: Mapping[str, Any]) -> dict[str, str]:
    """Runtimes that were given as flags, that Docker knows now, and that it would forget at the reload.

    Raises ``ENGINE_TOO_OLD`` for an engine that does not take a list in the file beside the flags.
    """
    flags = daemon_json.daemon_runtimes(daemon)
    version = tuple(int(number) for number in re.findall(r"\d+", facts.engine.version)[:2])
    if flags and version < _MERGES_SINCE:
        raise Trouble(
            Problem.ENGINE_TOO_OLD,
            subject=facts.engine.version,
            hint=_("It was started with --add-runtime, and would not accept runtimes in its settings file as well."),
            evidence=(Evidence(f"/proc/{daemon.pid}/cmdline", " ".join(daemon.argv)),),
        )
    listed = settings.get(daemon_json.RUNTIMES) or {}
    return {
        name: path
        for name, path in flags.items()
        if name != NAME and name in facts.engine.runtimes and name not in listed
    }


def _why(facts: Facts, *, changes: bool, forgotten: Mapping[str, str]) -> str:
    if not changes:
        return _(
            "The runtime stands in Docker's settings already, but the running Docker has not read them since. "
            "It only has to read them again."
        )
    known = facts.engine.runtimes.get(NAME)
    if known is None:
        text = _(
            "NVIDIA's toolkit is installed, but Docker was never told about it. The repair adds one entry to Docker's "
            "settings."
        )
    elif known and known not in facts.usable:
        text = _("Docker's settings name a runtime program that is not there. The repair writes the right place.")
    else:
        text = _("Docker knows the runtime only until its next restart. The repair writes it into Docker's settings.")
    if not forgotten:
        return text
    return _(
        "{text} Docker was started with more runtimes on its command line ({names}). It would forget them when it "
        "reads the file again, so they are written down there, too."
    ).format(text=text, names=", ".join(sorted(forgotten)))


def _touches(containers: tuple[str, ...]) -> str:
    if not containers:
        return _("No container is running. Docker is not restarted.")
    return ngettext(
        "{number} container is running. It keeps running: Docker is not restarted.",
        "{number} containers are running. They keep running: Docker is not restarted.",
        len(containers),
    ).format(number=len(containers))


def may_write(host: Host, config: str, content: FileContent | None) -> bool:
    """Whether this user may replace the file and keep its owner."""
    if host.info.uid == 0:
        return True
    try:
        folder = PurePosixPath(content.real_path if content else config).parent
        while (found := host.files.info(str(folder))).kind is PathKind.MISSING:
            folder = folder.parent
        own = content is None or (content.uid == host.info.uid and host.files.info(config).writable)
    except Trouble:
        return False
    return found.writable and own


def _try_out(host: Host, facts: Facts, fix: Fix) -> None:
    """Lets Docker's own program judge the new file. Raises ``BAD_INPUT`` when it refuses."""
    if facts.daemon is None or facts.config is None:
        return
    for action in fix.actions:
        if not isinstance(action, ReplaceFile) or action.after is None:
            continue
        host.store.write(_TRIAL, action.after)
        try:
            docker_start.refuse_file(host, facts.daemon, host.store.path(_TRIAL), shown=facts.config)
        finally:
            host.store.remove(_TRIAL)


# --- after an undo -----------------------------------------------------------------------------------------------


def left_behind(host: Host) -> str:
    """A runtime that the file no longer lists stays in the memory of the running Docker."""
    try:
        engine, daemon = host.engine.info(), host.engine.daemon()
        config = daemon_json.config_path(engine.kind, daemon, host.home, host.environ)
        content = host.files.read(config, root=True) if config else None
        listed = _entry(daemon_json.read(content.data)) if content and not daemon_json.is_empty(content.data) else {}
    except Trouble:
        return ""
    if NAME not in engine.runtimes or listed or NAME in daemon_json.daemon_runtimes(daemon):
        return ""
    text = _('The running Docker keeps the runtime "nvidia" in memory until its next restart; this does no harm.')
    if engine.kind is EngineKind.ROOTLESS:
        restart = "systemctl --user restart docker"
    elif daemon is not None and daemon.unit:
        restart = f"sudo systemctl restart {daemon.unit.removesuffix('.service')}"
    else:
        restart = ""
    if restart:
        text = _("{text} To be rid of it now, run: {command}").format(text=text, command=restart)
    stopped = docker_service.stopped_by_restart(host)
    if not stopped:
        return text
    return _("{text} (a restart stops these containers: {names})").format(text=text, names=", ".join(stopped))


REPAIR = Repair(id=ID, plan=plan, take_effect=docker_service.reload, left_behind=left_behind)
