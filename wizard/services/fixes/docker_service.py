"""How the Docker service is restarted, started and made to read its settings again: by systemd, by systemd of the user
(rootless), or by ``service`` where there is no systemd.

Facts, measured on Debian 12 (systemd 252, docker.io 20.10.24) and on engines 17.12 to 29.1: Docker's unit may be
started three times a minute, then both the service and its socket fail until ``reset-failed``, which also sets the
counter of a unit that runs back to zero. A restart stops every container unless live-restore is on, and containers that
remove themselves (``--rm``) even then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.engine import DaemonProcess, EngineInfo, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import RunCommand
from wizard.model.i18n import _, ngettext
from wizard.model.machine import PathKind

SERVICE, SOCKET = "docker.service", "docker.socket"
RESTART_SECONDS = 300.0
"""A stop waits ten seconds for every container; a first start on a large disk takes minutes."""

_SYSTEMD = "/run/systemd/system"
_OVERRIDES = "/etc/systemd/system"
_GONE = ("inactive", "unknown", "")
_ASK_SECONDS = 5.0
_FOREIGN = (EngineKind.REMOTE, EngineKind.DESKTOP, EngineKind.PODMAN, EngineKind.SNAP)
_ORDER = ("other", "daemon-reload", "reset-failed", "service")


@dataclass(frozen=True, slots=True)
class _Manager:
    """Who starts Docker here. ``control`` is the beginning of systemctl's command line, empty without systemd."""

    control: tuple[str, ...]
    unit: str
    needs_root: bool
    daemon: DaemonProcess | None


def restart(host: Host, *, units_changed: bool = False) -> tuple[RunCommand, ...]:
    """Stops Docker and starts it again, also where it does not run. ``units_changed`` says that a file of systemd was
    changed.

    Raises ``ENGINE_OTHER`` where Docker is none that is started on this machine, ``COMMAND_MISSING`` where nothing is
    known that restarts it.
    """
    return _commands(host, "restart", _("Restarts Docker, so that it reads its settings."), units_changed, None)


def start(host: Host, *, units_changed: bool = False) -> tuple[RunCommand, ...]:
    """Starts Docker. Raises as ``restart`` does, and ``BAD_INPUT`` where somebody has locked ("masked") the service."""
    manager = _manager(host)
    if manager.control:
        refuse_masked(host)
        socket = states(host).get(SOCKET, "") == "active"
        stop = (*manager.control, "stop", *(() if socket else (SOCKET,)), manager.unit)
    else:
        stop = ("service", "docker", "stop")
    return _commands(host, "start", _("Starts Docker."), units_changed, stop)


def reload(host: Host) -> tuple[RunCommand, ...]:
    """Makes the Docker that runs read its settings file again; nothing is stopped. Empty where none runs."""
    engine, daemon = _look(host)
    if daemon is None:
        return ()
    why = _("Asks Docker to read its settings again; nothing is restarted.")
    rootless = _is_rootless(host, engine)
    if daemon.unit and not rootless and host.commands.which("systemctl"):
        return (RunCommand(("systemctl", "reload", _short(daemon.unit)), needs_root=True, timeout=30.0, why=why),)
    signal = ("kill", "-HUP", str(daemon.pid))
    if not host.commands.which("kill"):
        # Every shell has the command built in; small systems have no program of that name.
        signal = ("sh", "-c", " ".join(signal))
    return (RunCommand(signal, needs_root=not rootless, timeout=10.0, why=why),)


def stopped_by_restart(host: Host) -> tuple[str, ...]:
    """The names of the running containers that a restart would stop; none where Docker does not answer."""
    try:
        engine = host.engine.info()
        running = host.engine.containers()
    except Trouble:
        return ()
    return tuple(sorted(item.name for item in running if item.auto_remove or not engine.live_restore))


def restart_note(names: Sequence[str]) -> str:
    """What a restart does to the running containers, in one line."""
    if not names:
        return _("Docker is restarted. No running container is stopped by it.")
    return ngettext(
        "Docker is restarted. That stops {number} running container.",
        "Docker is restarted. That stops {number} running containers.",
        len(names),
    ).format(number=len(names))


def reset_failed(host: Host) -> tuple[RunCommand, ...]:
    """Makes systemd forget earlier starts, of the units that it still knows; empty where there is nothing to forget."""
    manager = _manager(host)
    found = states(host) if manager.control else {}
    known = [unit for unit, state in found.items() if state not in _GONE]
    if not known:
        return ()
    return (
        RunCommand(
            (*manager.control, "reset-failed", *known),
            needs_root=manager.needs_root,
            why=_("Makes the system forget earlier starts that failed: after three in a minute it refuses the next."),
        ),
    )


def is_managed(host: Host) -> bool:
    """Whether systemd (the system's or the user's) starts Docker here. Raises as ``restart`` does."""
    return bool(_manager(host).control)


def enable(host: Host) -> tuple[RunCommand, ...]:
    """Lets Docker start with the machine. Empty without systemd, where its package has seen to it."""
    manager = _manager(host)
    if not manager.control:
        return ()
    refuse_masked(host)
    return (
        RunCommand(
            (*manager.control, "enable", manager.unit),
            needs_root=manager.needs_root,
            why=_("Lets Docker start with the machine."),
            undo=(*manager.control, "disable", manager.unit),
        ),
    )


def starts_with_machine(host: Host) -> bool | None:
    """Whether systemd starts Docker with the machine; None where that cannot be told. Raises as ``restart`` does."""
    manager = _manager(host)
    if not manager.control:
        return None
    try:
        result = host.commands.run((*manager.control, "is-enabled", manager.unit), timeout=_ASK_SECONDS)
    except Trouble:
        return None
    return {"enabled": True, "disabled": False}.get(result.stdout.strip())


def states(host: Host) -> dict[str, str]:
    """What systemd says about Docker's service and socket: ``active``, ``failed``, ``inactive``, ``activating`` …

    Empty where it cannot be asked.
    """
    manager = _manager(host)
    if not manager.control:
        return {}
    units = (manager.unit,) if manager.unit != SERVICE or "--user" in manager.control else (SERVICE, SOCKET)
    try:
        said = host.commands.run((*manager.control, "is-active", *units), timeout=_ASK_SECONDS).stdout.split()
    except Trouble:
        return {}
    return dict(zip(units, said, strict=False))


def show(host: Host, properties: Sequence[str]) -> dict[str, str]:
    """What systemd holds of Docker's unit, by property; empty where it cannot be asked."""
    manager = _manager(host)
    if not manager.control:
        return {}
    argv = (*manager.control, "show", manager.unit, f"--property={','.join(properties)}")
    try:
        said = host.commands.run(argv, timeout=_ASK_SECONDS).stdout
    except Trouble:
        return {}
    return {name: value for name, _equals, value in (line.partition("=") for line in said.splitlines())}


def daemon_reload(host: Host) -> tuple[RunCommand, ...]:
    """Makes systemd read its files again; empty without systemd."""
    manager = _manager(host)
    if not manager.control:
        return ()
    return (
        RunCommand(
            (*manager.control, "daemon-reload"),
            needs_root=manager.needs_root,
            why=_("Makes the system read its files about services again."),
        ),
    )


def answers(host: Host) -> bool:
    """Whether Docker runs and takes requests, be it not this user's."""
    try:
        host.engine.ping()
    except Trouble as trouble:
        if trouble.kind is not Problem.ENGINE_PERMISSION:
            return trouble.kind in (Problem.ENGINE_TOO_OLD, Problem.ENGINE_OTHER)
        # The socket's file outlives the service, so being refused there proves nothing.
        return next(iter(states(host).values()), "active") == "active"
    return True


def journal(host: Host, since: float | None = None, lines: int = 60) -> str:
    """The last lines that Docker's service wrote and that systemd wrote about it, read as root; "" where they cannot
    be read. ``since`` is seconds since 1970.
    """
    manager = _manager(host)
    if not manager.control:
        try:
            content = host.files.read("/var/log/docker.log", root=True)
        except Trouble:
            return ""
        return "\n".join((content.data if content else b"").decode(errors="replace").splitlines()[-lines:])
    whose = ("--user",) if "--user" in manager.control else ()
    after = () if since is None else (f"--since=@{since:.0f}",)
    argv = ("journalctl", *whose, "-u", _short(manager.unit), "-o", "cat", "-n", str(lines), "--no-pager", *after)
    try:
        return host.commands.run(argv, root=manager.needs_root, timeout=_ASK_SECONDS * 3).stdout
    except Trouble:
        return ""


def merged(wanted: Iterable[Sequence[RunCommand]]) -> tuple[RunCommand, ...]:
    """The commands of several repairs as one: each once, daemon-reload before the service, and of restart, start and
    reload only the strongest.
    """
    kept: dict[tuple[str, ...], RunCommand] = {}
    for commands in wanted:
        for command in commands:
            kept.setdefault(command.argv, command)
    service = [command for command in kept.values() if _part(command) == "service"]
    strongest = min(service, key=lambda command: _STRENGTH.index(verb(command)), default=None)
    units: dict[str, None] = {}
    rest: list[RunCommand] = []
    forget: RunCommand | None = None
    for command in kept.values():
        part = _part(command)
        if part == "reset-failed":
            forget = forget or command
            at = command.argv.index("reset-failed") + 1
            units.update(dict.fromkeys(command.argv[at:]))
        elif part != "service" or command is strongest:
            rest.append(command)
    if forget is not None and (strongest is None or verb(strongest) != "reload"):
        head = forget.argv[: forget.argv.index("reset-failed") + 1]
        rest.append(RunCommand((*head, *units), forget.needs_root, why=forget.why))
    return tuple(sorted(rest, key=lambda command: _ORDER.index(_part(command))))


_STRENGTH = ("restart", "start", "reload")


def verb(command: RunCommand) -> str:
    """What a command does with the service: ``restart``, ``start``, ``reload``; "" for any other command."""
    words = [word for word in command.argv if not word.startswith("-")]
    if words[:1] == ["systemctl"] and len(words) == 3 and words[1] in _STRENGTH and "docker" in words[2]:
        return words[1]
    if words[:2] == ["service", "docker"] and words[2:] and words[2] in _STRENGTH:
        return words[2]
    return "reload" if command.argv[:2] == ("kill", "-HUP") or "kill -HUP" in command.argv else ""


def refuse_masked(host: Host) -> None:
    """Raises ``BAD_INPUT`` where the service or its socket is masked: somebody wanted that it cannot be started."""
    for unit in (SERVICE, SOCKET):
        path = f"{_OVERRIDES}/{unit}"
        try:
            masked = host.files.link(path) == "/dev/null"
        except Trouble:
            continue
        if masked:
            raise Trouble(
                Problem.BAD_INPUT,
                subject=unit,
                hint=_("Somebody has locked Docker's service on purpose (masked). To unlock it: {command}").format(
                    command=f"sudo systemctl unmask {SERVICE} {SOCKET}"
                ),
                evidence=(Evidence(path, "-> /dev/null"),),
            )


# --- parts -------------------------------------------------------------------------------------------------------


def _commands(
    host: Host, what: str, why: str, units_changed: bool, undo: tuple[str, ...] | None
) -> tuple[RunCommand, ...]:
    manager = _manager(host)
    if not manager.control:
        return (RunCommand(("service", "docker", what), needs_root=True, timeout=RESTART_SECONDS, why=why, undo=undo),)
    commands = [*(daemon_reload(host) if units_changed else ()), *reset_failed(host)]
    commands.append(
        RunCommand(
            (*manager.control, what, _short(manager.unit)),
            needs_root=manager.needs_root,
            timeout=RESTART_SECONDS,
            why=why,
            undo=undo,
        )
    )
    return tuple(commands)


def _manager(host: Host) -> _Manager:
    engine, daemon = _look(host)
    if engine is not None and engine.kind in _FOREIGN:
        raise Trouble(
            Problem.ENGINE_OTHER,
            subject=engine.name,
            hint=_("This Docker is not started by this system, so the wizard does not restart it."),
            evidence=(Evidence("GET /info", f"{engine.kind.value} {engine.version}"),),
        )
    if engine is None and _is_elsewhere(host):
        raise Trouble(Problem.ENGINE_OTHER, hint=_("Docker runs on another machine; start the wizard over there."))
    rootless = _is_rootless(host, engine)
    systemd = host.commands.which("systemctl") and host.files.info(_SYSTEMD).kind is PathKind.DIRECTORY
    if systemd and (daemon is None or daemon.unit):
        unit = daemon.unit if daemon is not None and daemon.unit else SERVICE
        return _Manager(("systemctl", "--user") if rootless else ("systemctl",), unit, not rootless, daemon)
    if not systemd and not rootless and host.commands.which("service"):
        return _Manager((), SERVICE, needs_root=True, daemon=daemon)
    raise Trouble(
        Problem.COMMAND_MISSING,
        subject="systemctl",
        hint=_("Docker was started by hand here: stop it and start it again in the same way."),
        evidence=() if daemon is None else (Evidence(f"/proc/{daemon.pid}/cmdline", " ".join(daemon.argv)),),
    )


def _look(host: Host) -> tuple[EngineInfo | None, DaemonProcess | None]:
    engine, daemon = None, None
    try:
        engine = host.engine.info()
        daemon = host.engine.daemon()
    except Trouble:
        pass
    return engine, daemon


def _is_rootless(host: Host, engine: EngineInfo | None) -> bool:
    """Of a Docker that does not answer, its address tells: a rootless one listens in the user's own folder."""
    if engine is not None:
        return engine.kind is EngineKind.ROOTLESS
    try:
        socket = host.engine.endpoint().socket
    except Trouble:
        return False
    return socket is not None and socket.startswith("/run/user/")


def _is_elsewhere(host: Host) -> bool:
    try:
        return host.engine.endpoint().socket is None
    except Trouble:
        return False


def _short(unit: str) -> str:
    return unit.removesuffix(".service")


def _part(command: RunCommand) -> str:
    if verb(command):
        return "service"
    words = command.argv[:3]
    if words[:1] != ("systemctl",):
        return "other"
    return next((part for part in ("daemon-reload", "reset-failed") if part in words), "other")
