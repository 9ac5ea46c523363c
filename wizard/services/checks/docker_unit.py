"""Whether systemd can start Docker the next time, and with the right program."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wizard.host.ports import Host
from wizard.model import daemon_json, daemon_keys, systemd_unit
from wizard.model.daemon_json import RUNTIMES
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.systemd_unit import EXEC_START, Unit
from wizard.services import docker_files
from wizard.services.checks.check import PROBE, Check
from wizard.services.docker_files import SERVICE, Start

FIX = "repair-drop-in"
ENABLE = "enable-docker"
SOCKET = "docker.socket"
_IGNORED = re.compile(r"^(/\S+):(\d+): (Unknown (?:key name|key|lvalue|section) .*?)[,.]? [Ii]gnoring", re.MULTILINE)
_PAGE = Link(N_("Docker: the service and systemd"), "https://docs.docker.com/engine/daemon/proxy/#systemd-unit-file")


def _run(host: Host) -> Finding:
    start = docker_files.next_start(host)
    if start.kind is not EngineKind.ENGINE:
        return CHECK.finding(Status.OK, _("This Docker is not started by a service of this system."))
    if not docker_files.has_systemd(host):
        return _without_systemd(host)
    unit = start.unit
    if unit is None:
        if start.running:
            return CHECK.finding(
                Status.OK,
                _("This Docker was started by hand, not by a service."),
                evidence=(Evidence(start.shown, " ".join(start.argv)),),
            )
        unit = docker_files.read_unit(host)
    if unit is None:
        return CHECK.finding(
            Status.WARNING,
            _("systemd has no service file for Docker."),
            _("So Docker does not start by itself after a boot. Install Docker from a package to get one."),
            evidence=(Evidence("/etc/systemd/system, /usr/lib/systemd/system", SERVICE + ": " + _("not found")),),
        )
    return (
        _locked(host, start, unit) or _refused(start, unit) or _program(host, start, unit) or _rest(host, start, unit)
    )


def _locked(host: Host, start: Start, unit: Unit) -> Finding | None:
    for name, masked in ((unit.name, unit.masked), (SOCKET, _is_masked(host, SOCKET))):
        if masked:
            return CHECK.finding(
                _status(start),
                _("Docker's service is locked ({unit} is masked), so it cannot be started.").format(unit=name),
                _("Somebody did that on purpose, so ask first. To unlock it: {command}").format(
                    command=f"sudo systemctl unmask {SERVICE} {SOCKET}"
                ),
                evidence=(Evidence(f"/etc/systemd/system/{name}", "-> /dev/null"),),
                causes=("fd-host-no-activation",) if name == SOCKET else (),
            )
    return None


def _is_masked(host: Host, name: str) -> bool:
    unit = docker_files.read_unit(host, name)
    return unit is not None and unit.masked


def _refused(start: Start, unit: Unit) -> Finding | None:
    if not unit.refused:
        return None
    starts = unit.list(EXEC_START)
    path = starts[-1].file.path
    return CHECK.finding(
        _status(start),
        _("The file {path} gives Docker a second start command, so systemd refuses the service.").format(path=path),
        _after(
            start,
            _('An empty line "ExecStart=" is missing above the new start command; it would take the first one away.'),
        ),
        evidence=tuple(Evidence(item.file.path, f"{EXEC_START}={item.setting.value}") for item in starts),
        causes=("systemd-two-execstart",),
        fixes=(FIX,),
        links=(Link(_(_PAGE.title), _PAGE.url),),
    )


def _program(host: Host, start: Start, unit: Unit) -> Finding | None:
    """A program that is not there, and an option that Docker refuses at once."""
    found = unit.list(EXEC_START)
    if not found:
        return CHECK.finding(
            _status(start),
            _("The service file of Docker has no start command."),
            _after(start, _("A file takes it away and gives no new one. See: systemctl cat docker")),
            evidence=tuple(Evidence(file.path, file.text) for file in unit.drop_ins),
        )
    line = found[-1]
    program = systemd_unit.program(line.setting.value)
    seen = Evidence(line.file.path, f"{EXEC_START}={line.setting.value}")
    if not docker_files.can_run(host, program):
        ours = line.file is not unit.main
        return CHECK.finding(
            _status(start),
            _("The service would start {program}, which is not there.").format(program=program),
            _after(
                start, _("The file {path} says so (systemd's code for it is 203/EXEC).").format(path=line.file.path)
            ),
            evidence=(seen, Evidence(program, _("not there, or not executable"))),
            fixes=(FIX,) if ours else (),
        )
    flaw = _bad_option(start)
    if flaw:
        return CHECK.finding(
            _status(start),
            _("{path}: {flaw}").format(path=line.file.path, flaw=flaw),
            _after(start, _("Docker ends at once when it is started like this.")),
            evidence=(seen,),
            causes=("conf-add-runtime-bad",),
        )
    return None


def _bad_option(start: Start) -> str:
    """What is wrong with the runtimes on the command line; "" for nothing. 17.12 took the last of two."""
    names: set[str] = set()
    for value in daemon_keys.flags(start.argv).get(RUNTIMES, ()):
        name, _equals, path = value.partition("=")
        if not name or not path:
            return _('"--add-runtime {value}" must be written as --add-runtime=name=/path.').format(value=value)
        if name in names:
            return _('the runtime "{name}" is added twice with --add-runtime.').format(name=name)
        names.add(name)
    return ""


def _rest(host: Host, start: Start, unit: Unit) -> Finding:
    """Nothing stops the next start; what is untidy is said."""
    slips = [
        (file.path, mistake.line, mistake.reason, mistake.text) for file in unit.files for mistake in file.mistakes
    ] or _left_out(host, unit)
    if slips:
        path, line, reason, _text = slips[0]
        return CHECK.finding(
            Status.WARNING,
            _("{path}, line {line}: {reason}.").format(path=path, line=line, reason=reason),
            _(
                "systemd leaves this line out, so what it was meant for does not happen. Correct it with: {command}"
            ).format(command=f"sudoedit {path}"),
            evidence=tuple(Evidence(path, f"{line}: {text}\n{reason}") for path, line, reason, text in slips),
        )
    double = leftover(host, start, unit)
    said = docker_files.state(host)
    service = said.get(SERVICE, {})
    if double:
        path = unit.list(EXEC_START)[-1].file.path
        return CHECK.finding(
            Status.INFO,
            _('{path} adds the runtime "{name}", which stands in Docker\'s settings as well.').format(
                path=path, name=", ".join(double)
            ),
            _("That does no harm to this Docker; one of the two is enough. Old guides said to do both."),
            evidence=_paths(unit, service),
            fixes=(FIX,),
        )
    if service.get("UnitFileState") == "disabled" and said.get(SOCKET, {}).get("UnitFileState") != "enabled":
        return CHECK.finding(
            Status.WARNING,
            _("Docker does not start with the machine."),
            _("After a boot it has to be started by hand: {command}").format(command="sudo systemctl start docker"),
            evidence=_paths(unit, service),
            fixes=(ENABLE,),
        )
    return CHECK.finding(
        Status.OK,
        _("Docker's service file is in order.")
        if not unit.drop_ins
        else _("Docker's service file and the files that change it are in order."),
        evidence=_paths(unit, service),
    )


def _left_out(host: Host, unit: Unit) -> list[tuple[str, int, str, str]]:
    """Lines of drop-ins whose names systemd itself does not know, where it can be asked: path, line, reason, text."""
    if not unit.drop_ins:
        return []
    try:
        said = host.commands.run(("systemd-analyze", "verify", unit.name), timeout=4.0)
    except Trouble as trouble:
        if trouble.kind is Problem.UNSCRIPTED:
            raise
        return []
    texts = {file.path: file.text.split("\n") for file in unit.drop_ins}
    return [
        (path, int(line), reason, texts[path][int(line) - 1].strip())
        for path, line, reason in _IGNORED.findall(f"{said.stdout}\n{said.stderr}")
        if path in texts and int(line) <= len(texts[path])
    ]


def leftover(host: Host, start: Start, unit: Unit) -> tuple[str, ...]:
    """Runtimes that a drop-in adds and that stand in the settings file, too."""
    found = unit.list(EXEC_START)
    if not found or found[-1].file is unit.main or start.config is None:
        return ()
    words = systemd_unit.words(found[-1].setting.value)
    added = {value.partition("=")[0] for value in daemon_keys.flags(words).get(RUNTIMES, ())}
    if not added:
        return ()
    try:
        content = docker_files.read_config(host, start.config)
        settings = daemon_json.read(content.data) if content and not daemon_json.is_empty(content.data) else {}
    except Trouble:
        return ()
    listed = settings.get(RUNTIMES)
    return tuple(sorted(added & set(listed))) if isinstance(listed, dict) else ()


def _paths(unit: Unit, service: Mapping[str, str]) -> tuple[Evidence, ...]:
    state = ", ".join(
        f"{name}={service[name]}" for name in ("LoadState", "ActiveState", "UnitFileState") if name in service
    )
    files = tuple(Evidence(file.path, _program_line(file)) for file in unit.files)
    return (*files, Evidence(f"systemctl show {unit.name}", state)) if state else files


def _program_line(file: systemd_unit.UnitFile) -> str:
    lines = [f"{EXEC_START}={item.value}" for item in file.values(EXEC_START)]
    return "\n".join(lines) or ", ".join(dict.fromkeys(item.key for item in file.settings))


def _status(start: Start) -> Status:
    return Status.WARNING if start.running else Status.ERROR


def _after(start: Start, text: str) -> str:
    if not start.running:
        return text
    return _(
        "{text} Docker still runs, but it would not start again: neither after a restart nor after a boot."
    ).format(text=text)


def _without_systemd(host: Host) -> Finding:
    if host.commands.which("service"):
        return CHECK.finding(
            Status.OK,
            _("This machine has no systemd; Docker is started with: {command}").format(
                command="sudo service docker start"
            ),
            evidence=(Evidence(docker_files.SYSTEMD, _("not there")),),
        )
    return CHECK.finding(
        Status.OK,
        _("This machine has no systemd; Docker is started in another way."),
        evidence=(Evidence(docker_files.SYSTEMD, _("not there")),),
    )


CHECK = Check(
    id="docker.unit",
    title=N_("Docker's start"),
    requires=("docker.installed",),
    timeout=2 * PROBE + 8.0,
    run=_run,
    decides=("systemd-two-execstart", "conf-add-runtime-bad", "fd-host-no-activation"),
)
