"""How Docker will be started the next time: its unit with every drop-in, its flags, its settings file, its version.

The files are read, not what systemd or the running daemon hold of them: the next start goes by the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model import daemon_json, daemon_rules, json_repair, systemd_unit
from wizard.model import receipt as receipts
from wizard.model.daemon_keys import Version
from wizard.model.engine import DaemonProcess, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import FileContent, PathKind, RootAccess
from wizard.model.systemd_unit import Unit

SERVICE = "docker.service"
SYSTEMD = "/run/systemd/system"
SYSV_OPTIONS = "/etc/default/docker"
SYSV_SCRIPT = "/etc/init.d/docker"
_NOWHERE = "/dev/null"
_STATE = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "UnitFileState",
    "NeedDaemonReload",
    "NRestarts",
    "FragmentPath",
    "DropInPaths",
    "LoadError",
)
_ASK_SECONDS = 4.0
_REFUSED = re.compile(r"unable to configure the Docker daemon with file \S+: (.*)")


@dataclass(frozen=True, slots=True)
class Start:
    """The next start of Docker.

    ``argv`` is its command line, the program first; empty where it is not known. ``shown`` says for people where that
    stands. ``unit`` is None where systemd does not start it. ``config`` is None where the settings are no file here.
    """

    kind: EngineKind
    argv: tuple[str, ...]
    shown: str
    unit: Unit | None
    version: Version | None
    config: str | None
    running: bool


def has_systemd(host: Host) -> bool:
    """Whether systemd runs this machine (not WSL without it, a container, sysvinit)."""
    try:
        return host.files.info(SYSTEMD).kind is PathKind.DIRECTORY
    except Trouble:
        return True


def next_start(host: Host) -> Start:
    """All that the next start goes by. A Docker that does not answer is taken for an engine of this machine."""
    kind, daemon, version = _who(host)
    unit, argv, shown = None, daemon.argv if daemon else (), f"/proc/{daemon.pid}/cmdline" if daemon else ""
    by_system = daemon is None or bool(daemon.unit)
    if kind is EngineKind.ENGINE and by_system and _is_the_system_s(host):
        if has_systemd(host):
            unit = read_unit(host, daemon.unit if daemon and daemon.unit else SERVICE)
            found = command(host, unit) if unit is not None else ()
            if found and unit is not None:
                argv, shown = found, unit.list(systemd_unit.EXEC_START)[-1].file.path
        elif daemon is None:
            argv, shown = _by_script(host)
    process = DaemonProcess(daemon.pid if daemon else 0, argv)
    config = daemon_json.config_path(kind, process, host.home, host.environ)
    return Start(kind, argv, shown, unit, version or _installed_version(host), config, daemon is not None)


def read_unit(host: Host, name: str = SERVICE) -> Unit | None:
    """The unit as its files describe it now; None where there is none. Files that may not be read are left out."""
    main: systemd_unit.UnitFile | None = None
    for folder in systemd_unit.FOLDERS:
        path = f"{folder}/{name}"
        if _link(host, path) == _NOWHERE:
            return Unit(name, (), masked=True)
        content = _read(host, path)
        if content is not None:
            if not content.data.strip():
                return Unit(name, (), masked=True)
            main = _parse(content, path)
            break
    if main is None:
        return None
    found: dict[str, str] = {}
    kind = f"{name.rpartition('.')[2]}.d"
    for drop_ins in (f"{name}.d", kind):
        for folder in systemd_unit.FOLDERS:
            for file in _names(host, f"{folder}/{drop_ins}"):
                if file.endswith(".conf"):
                    found.setdefault(file, f"{folder}/{drop_ins}/{file}")
    files = [main]
    for file in sorted(found):
        if _link(host, found[file]) != _NOWHERE and (content := _read(host, found[file])) is not None:
            files.append(_parse(content, found[file]))
    return Unit(name, tuple(files))


def command(host: Host, unit: Unit) -> tuple[str, ...]:
    """The command line that the unit starts, its variables filled in; empty for none or for more than one."""
    starts = unit.list(systemd_unit.EXEC_START)
    if len(starts) != 1:
        return ()
    return systemd_unit.command(starts[0].setting.value, environment(host, unit))


def environment(host: Host, unit: Unit) -> dict[str, str]:
    """The variables that the unit sets: ``Environment=``, then its files, which win."""
    found = systemd_unit.variables(item.setting.value for item in unit.list("Environment"))
    for item in unit.list("EnvironmentFile"):
        content = _read(host, item.setting.value.lstrip("-").strip("\"'"))
        if content is not None:
            found.update(systemd_unit.assignments(content.data.decode(errors="replace")))
    return found


def state(host: Host) -> dict[str, dict[str, str]]:
    """What systemd says about Docker's service and its socket, by unit and property; empty where it cannot be asked."""
    argv = ("systemctl", "show", SERVICE, "docker.socket", f"--property={','.join(_STATE)}")
    try:
        result = host.commands.run(argv, timeout=_ASK_SECONDS)
    except Trouble:
        return {}
    found: dict[str, dict[str, str]] = {}
    for block in result.stdout.strip().split("\n\n") if result.returncode == 0 else ():
        properties = {name: value for name, _equals, value in (line.partition("=") for line in block.splitlines())}
        if properties.get("Id"):
            found[properties["Id"]] = properties
    return found


def read_config(host: Host, path: str) -> FileContent | None:
    """The settings file, as root where this user may not read it and root is to be had without a question.

    Raises ``FILE_PERMISSION`` otherwise, and what ``Files.read`` raises.
    """
    try:
        return host.files.read(path)
    except Trouble:
        if host.privilege.access() not in (RootAccess.ROOT, RootAccess.READY):
            raise
        return host.files.read(path, root=True)


def version_there(start: Start) -> bool:
    """Whether that Docker can judge a settings file without starting (``dockerd --validate``)."""
    return start.version is not None and start.version >= (23, 0)


def docker_s_judgement(host: Host, start: Start, file: str) -> str:
    """Why ``dockerd --validate`` refuses the settings in ``file``, with the flags of the next start; "" where it takes
    them, or cannot be asked.
    """
    argv = _without_config(start.argv or ("dockerd",))
    try:
        result = host.commands.run((*argv, "--validate", "--config-file", file), timeout=_ASK_SECONDS)
    except Trouble as trouble:
        if trouble.kind is Problem.UNSCRIPTED:
            raise
        return ""
    said = f"{result.stdout}\n{result.stderr}"
    found = _REFUSED.search(said) if result.returncode != 0 else None
    return found[1].strip() if found else ""


def stops_again(host: Host) -> bool:
    """Whether the next start would fail for a reason that stands in the files: the unit, its program, the settings."""
    start = next_start(host)
    unit = start.unit
    if unit is not None and (unit.masked or unit.refused or not start.argv or not can_run(host, start.argv[0])):
        return True
    try:
        content = read_config(host, start.config) if start.config else None
    except Trouble as trouble:
        return trouble.kind is Problem.FILE_NOT_REGULAR
    return daemon_rules.judge(content.data if content else None, start.version, start.argv).stops


def can_run(host: Host, program: str) -> bool:
    """Whether the program is there; True where that cannot be looked at."""
    if not program.startswith("/"):
        return host.commands.which(program) is not None
    try:
        return host.files.info(program).executable
    except Trouble:
        return True


def slips_corrected(start: Start, data: bytes) -> json_repair.Repaired | None:
    """The settings with their slips corrected, where that leaves nothing to guess and Docker starts with the result.

    None for an empty file that this Docker takes: there is nothing to correct.
    """
    if daemon_json.is_empty(data) and not _hinders(daemon_rules.judge(data, start.version, start.argv)):
        return None
    better = json_repair.repaired(data, start.config or daemon_json.DEFAULT_PATH)
    if better is None or daemon_rules.judge(better.data, start.version, start.argv).stops:
        return None
    return better


def _hinders(verdict: daemon_rules.Verdict) -> bool:
    return any(flaw.weight is not daemon_rules.Weight.UNTIDY for flaw in verdict.flaws)


def last_good(host: Host, start: Start, broken: bytes | None) -> bytes | None:
    """The newest content of the settings file that a receipt of ours holds and with which Docker would start."""
    if start.config is None:
        return None
    for name in reversed(host.store.names("receipts")):
        try:
            receipt = receipts.from_bytes(host.store.read(f"receipts/{name}") or b"")
        except ValueError:
            continue
        for item in reversed(receipt.done):
            if not isinstance(item, receipts.FileChange) or item.path != start.config:
                continue
            for data in (item.after, item.before):
                if data is not None and data != broken and _is_good(data, start):
                    return data
    return None


def _is_good(data: bytes, start: Start) -> bool:
    return not _hinders(daemon_rules.judge(data, start.version, start.argv))


# --- parts -------------------------------------------------------------------------------------------------------


def _who(host: Host) -> tuple[EngineKind, DaemonProcess | None, Version | None]:
    try:
        info = host.engine.info()
        return info.kind, host.engine.daemon(), daemon_rules.version_of(info.version)
    except Trouble:
        return EngineKind.ENGINE, None, None


def _is_the_system_s(host: Host) -> bool:
    """Whether the address is one of the system's own Docker: another one is not started by the system's unit."""
    try:
        return host.engine.endpoint().socket in ("/var/run/docker.sock", "/run/docker.sock")
    except Trouble:
        return True


def _installed_version(host: Host) -> Version | None:
    if host.commands.which("dockerd") is None:
        return None
    try:
        return daemon_rules.version_of(host.commands.run(("dockerd", "--version"), timeout=_ASK_SECONDS).stdout)
    except Trouble:
        return None


def _by_script(host: Host) -> tuple[tuple[str, ...], str]:
    """Without systemd, the start script reads its options from a file."""
    if _read(host, SYSV_SCRIPT) is None:
        return (), ""
    content = _read(host, SYSV_OPTIONS)
    options = systemd_unit.assignments(content.data.decode(errors="replace")) if content else {}
    return ("dockerd", *options.get("DOCKER_OPTS", "").split()), SYSV_OPTIONS


def _parse(content: FileContent, path: str) -> systemd_unit.UnitFile:
    return systemd_unit.parse(content.data.decode(errors="replace"), path)


def _read(host: Host, path: str) -> FileContent | None:
    try:
        return host.files.read(path)
    except Trouble:
        return None


def _link(host: Host, path: str) -> str | None:
    try:
        return host.files.link(path)
    except Trouble:
        return None


def _names(host: Host, folder: str) -> tuple[str, ...]:
    try:
        return host.files.names(folder)
    except Trouble:
        return ()


def _without_config(argv: tuple[str, ...]) -> tuple[str, ...]:
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--config-file":
            next(words, None)
        elif not word.startswith("--config-file="):
            kept.append(word)
    return tuple(kept)
