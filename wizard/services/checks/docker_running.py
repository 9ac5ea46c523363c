"""Whether the Docker service runs and answers, and where it does not, why."""

from __future__ import annotations

import re

from wizard.host.ports import Host
from wizard.knowledge import daemon_errors
from wizard.model.daemon_json import DEFAULT_PATH
from wizard.model.engine import Endpoint
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind, RootAccess
from wizard.services import docker_files
from wizard.services.checks.check import PROBE, Check
from wizard.services.docker_files import SERVICE

START, RESTART, RESET = "start-docker", "restart-docker", "reset-failed-docker"
SOCKET = "docker.socket"
_PROCESS = ("pgrep", "-x", "dockerd")
_JOURNAL = ("journalctl", "-u", "docker", "-b", "-o", "cat", "-n", "60", "--no-pager")
_PID_FILES = ("/var/run/docker.pid", "/run/docker.pid")
_ROOT = "/var/lib/docker"
_DEFAULT_SOCKET = "/var/run/docker.sock"
_FULL = 1_000_000
"""With fewer free bytes than this, Docker cannot start: it writes its own small databases first."""

_TELLING = re.compile(r"unable to|failed to start daemon|failed to load|fatal|203/EXEC|Failed to locate", re.IGNORECASE)
_GENERAL = frozenset({"systemd-docker-failed", "daemon-unreachable"})
"""Causes that only say that something failed."""


def _run(host: Host) -> Finding:
    endpoint: Endpoint | None = None
    try:
        endpoint = host.engine.endpoint()
        host.engine.ping()
    except Trouble as trouble:
        return _explain(host, endpoint, trouble)
    return CHECK.finding(
        Status.OK,
        _("The Docker service answers."),
        _("Docker is a service in the background; the docker command only talks to it."),
        evidence=(Evidence(f"{endpoint.source}: {endpoint.url}", "GET /_ping: OK"),),
        facts={"endpoint": endpoint},
    )


def _explain(host: Host, endpoint: Endpoint | None, trouble: Trouble) -> Finding:
    if endpoint is None:
        context = trouble.subject.startswith("context ")
        return CHECK.trouble(trouble, causes=("docker-context-missing" if context else "docker-host-wrong",))
    if trouble.kind is Problem.ENGINE_PERMISSION:
        return _without_permission(host, trouble)
    missing = _missing_certificate(host, endpoint)
    if missing:
        return _stopped(
            trouble,
            _("The variables DOCKER_TLS_VERIFY and DOCKER_CERT_PATH ask for certificates that are not there."),
            _("They are left over from another machine. Take them away: {command}").format(
                command="unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH"
            ),
            Evidence(missing, _("not there")),
            causes=("docker-tls-missing",),
        )
    if trouble.kind is Problem.ENGINE_TIMEOUT:
        return _stopped(
            trouble,
            _("The Docker service is there, but it did not answer within 5 seconds: it hangs."),
            _(
                "Wait a minute and look again. If it stays like this, the service must be restarted "
                "({command}); that stops the containers that run."
            ).format(command="sudo systemctl restart docker"),
            fixes=(RESTART,) if _is_the_system_s(endpoint) else (),
        )
    if trouble.kind is Problem.ENGINE_TOO_OLD:
        return CHECK.trouble(trouble, causes=("api-version-mismatch",))
    nobody = trouble.kind in (Problem.ENGINE_MISSING, Problem.ENGINE_REFUSED)
    # Somebody who does not speak Docker's language, at an address of the network, is no Docker either.
    no_docker = nobody or (trouble.kind is Problem.ENGINE_OTHER and endpoint.socket is None)
    if no_docker and endpoint.source == "DOCKER_HOST" and not _is_the_system_s(endpoint):
        return _elsewhere(host, endpoint, trouble)
    if not nobody:
        return CHECK.trouble(trouble)
    return _not_running(host, trouble)


def _not_running(host: Host, trouble: Trouble) -> Finding:
    state = docker_files.state(host)
    service, socket = state.get(SERVICE, {}), state.get(SOCKET, {})
    seen = _shown(state)
    if service.get("ActiveState") == "active":
        return _stopped(
            trouble,
            _("The Docker service runs, but not at the address where the docker command looks."),
            _("Look at the variable DOCKER_HOST and at the list that {command} prints.").format(
                command="docker context ls"
            ),
            *seen,
            causes=("daemon-unreachable",),
        )
    if service.get("ActiveState") in ("activating", "deactivating"):
        return _stopped(
            trouble,
            _("The Docker service is just being started or stopped."),
            _("Wait a minute and look again."),
            *seen,
        )
    full = _disk_is_full(host)
    if full:
        return _stopped(
            trouble,
            _("The disk of Docker's folder is full, so Docker cannot start."),
            _("Free some space outside {folder}, then start Docker again.").format(folder=_ROOT),
            full,
            *seen,
            causes=("daemon-unreachable", "daemon-disk-full"),
            fixes=("free-disk-space", START),
        )
    if "failed" in (service.get("ActiveState"), socket.get("ActiveState")):
        return _failed(host, trouble, service, socket, seen)
    other = _other_daemon(host)
    if other:
        return _stopped(
            trouble,
            _("Another Docker service runs already, without listening where the docker command looks."),
            _("Somebody started it by hand. Two cannot share one folder: stop that one first."),
            other,
            *seen,
            causes=("daemon-unreachable", "dockerd-already-running"),
        )
    systemd = docker_files.has_systemd(host)
    start = "sudo systemctl start docker" if systemd else "sudo service docker start"
    advice = _("Start it with: {command}").format(command=start)
    left = trouble.kind is Problem.ENGINE_REFUSED
    return _stopped(
        trouble,
        _("The Docker service is not running; only the file of its socket is left.")
        if left
        else _("The Docker service is not running: its socket is not there."),
        advice,
        *seen,
        causes=("daemon-unreachable",),
        fixes=(START,) if systemd or host.commands.which("service") else (),
    )


def _failed(
    host: Host, trouble: Trouble, service: dict[str, str], socket: dict[str, str], seen: tuple[Evidence, ...]
) -> Finding:
    """systemd has tried and given up. The reason stands in the journal, which not everybody may read."""
    causes = ["daemon-unreachable", "systemd-docker-failed"]
    limit = "start-limit-hit" in f"{service.get('Result')} {socket.get('Result')}"
    said = _reason(host)
    detail = _("The reason stands in its log: {command}").format(command="sudo journalctl -u docker -n 20")
    if said:
        detail = _("Its last words are shown below.")
        found = [match.cause for match in daemon_errors.find(said) if match.cause.id not in _GENERAL]
        if found:
            detail = _("The reason, as its log has it: {title}.").format(title=_(found[0].title))
        seen = (Evidence(" ".join(_JOURNAL), said), *seen)
    if limit:
        detail = _(
            "After three tries in a minute the system refuses the next one, until it is told to forget them. {detail}"
        ).format(detail=detail)
    other = _other_daemon(host)
    if other:
        causes.append("dockerd-already-running")
        seen = (*seen, other)
    # As long as the reason is there, another try would fail as well; its own repair starts Docker afterwards.
    fixes = () if docker_files.stops_again(host) else (RESET,)
    summary = _("The Docker service could not start.")
    return _stopped(trouble, summary, detail, *seen, causes=tuple(causes), fixes=fixes)


def _reason(host: Host) -> str:
    """Docker's own last words before it failed; "" where the journal may not be read, or says nothing."""
    root = host.privilege.access() in (RootAccess.ROOT, RootAccess.READY)
    try:
        # Without the right to read it, journalctl shows nothing and says that all is well.
        lines = host.commands.run(_JOURNAL, root=root, timeout=4.0).stdout.splitlines()
    except Trouble:
        return ""
    telling = [line for line in lines if _TELLING.search(line)]
    return telling[-1].strip() if telling else ""


def _elsewhere(host: Host, endpoint: Endpoint, trouble: Trouble) -> Finding:
    """DOCKER_HOST names a place where nobody answers."""
    here = _exists(host, _DEFAULT_SOCKET)
    detail = (
        _("Docker's usual place on this machine is there; to use it, run: {command}")
        if here
        else _("Check the address, or take the variable away: {command}")
    )
    return _stopped(
        trouble,
        _("The variable DOCKER_HOST names {address}, where no Docker answers.").format(address=endpoint.url),
        detail.format(command="unset DOCKER_HOST"),
        Evidence("DOCKER_HOST", endpoint.url),
        causes=("docker-host-wrong", "daemon-unreachable"),
    )


def _without_permission(host: Host, trouble: Trouble) -> Finding:
    """The socket's file stays when the service stops: being refused there does not prove that it runs."""
    state = docker_files.state(host)
    active = [name for name in (SERVICE, SOCKET) if state.get(name, {}).get("ActiveState") == "active"]
    seen = _shown(state)
    process = None if active else _processes(host)
    if process is not None:
        seen = (*seen, process)
    if active or (process is not None and process.text):
        return CHECK.finding(
            Status.OK, _("The Docker service is running."), evidence=(*seen, *_said(trouble)), facts={}
        )
    failed = any(unit.get("ActiveState") == "failed" for unit in state.values())
    if failed:
        return _failed(host, trouble, state.get(SERVICE, {}), state.get(SOCKET, {}), seen)
    # Without pgrep nobody has looked for a service that systemd does not know.
    if process is not None:
        return _stopped(
            trouble,
            _("The Docker service is not running."),
            _("Start it with: {command}").format(command="sudo systemctl start docker"),
            *seen,
            causes=("daemon-unreachable",),
            fixes=(START,),
        )
    return CHECK.finding(
        Status.WARNING,
        _("It cannot be seen whether the Docker service runs: you may not talk to it."),
        _("The next line says how you get access."),
        evidence=(*seen, *_said(trouble)),
    )


# --- looks -------------------------------------------------------------------------------------------------------


def _shown(state: dict[str, dict[str, str]]) -> tuple[Evidence, ...]:
    names = ("LoadState", "ActiveState", "SubState", "Result", "UnitFileState")
    return tuple(
        Evidence(f"systemctl show {unit}", ", ".join(f"{name}={said[name]}" for name in names if said.get(name)))
        for unit, said in state.items()
    )


def _processes(host: Host) -> Evidence | None:
    """The daemons that run, or None where nobody can tell."""
    try:
        result = host.commands.run(_PROCESS, timeout=3.0)
    except Trouble:
        return None
    return Evidence(" ".join(_PROCESS), result.stdout.strip())


def _other_daemon(host: Host) -> Evidence | None:
    """A dockerd whose number stands in Docker's pid file, and that lives."""
    for path in _PID_FILES:
        try:
            content = host.files.read(path)
            pid = content.data.decode(errors="replace").strip() if content else ""
            name = host.files.read(f"/proc/{pid}/comm") if pid.isdigit() else None
        except Trouble:
            continue
        if name is not None and name.data.strip() == b"dockerd":
            return Evidence(path, f"{pid}: dockerd")
    return None


def _disk_is_full(host: Host) -> Evidence | None:
    try:
        if host.files.info(DEFAULT_PATH).kind is PathKind.MISSING and not _exists(host, _ROOT):
            return None
        disk = host.files.disk(_ROOT)
    except Trouble:
        return None
    return Evidence(_ROOT, _("{free} bytes free").format(free=disk.free)) if disk.free < _FULL else None


def _exists(host: Host, path: str) -> bool:
    try:
        return host.files.info(path).kind is not PathKind.MISSING
    except Trouble:
        return True


def _is_the_system_s(endpoint: Endpoint) -> bool:
    return endpoint.socket in (_DEFAULT_SOCKET, "/run/docker.sock")


def _missing_certificate(host: Host, endpoint: Endpoint) -> str:
    """The file that the variables for encryption ask for and that is not there; "" where all is well."""
    folder = host.environ.get("DOCKER_CERT_PATH") or (
        f"{host.home}/.docker" if host.environ.get("DOCKER_TLS_VERIFY") else ""
    )
    if endpoint.source != "DOCKER_HOST" or endpoint.socket is not None or not folder:
        return ""
    path = f"{folder.rstrip('/')}/ca.pem"
    return "" if _exists(host, path) else path


def _said(trouble: Trouble) -> tuple[Evidence, ...]:
    return trouble.evidence or (Evidence("GET /_ping", trouble.text),)


def _stopped(
    trouble: Trouble,
    summary: str,
    detail: str,
    *seen: Evidence,
    causes: tuple[str, ...] = (),
    fixes: tuple[str, ...] = (),
) -> Finding:
    return CHECK.finding(
        Status.ERROR,
        summary,
        detail,
        evidence=(*_said(trouble), *seen),
        causes=causes,
        fixes=fixes,
        facts={"problem": trouble.kind.value},
    )


CHECK = Check(
    id="docker.running",
    title=N_("Docker service"),
    requires=("docker.installed",),
    timeout=PROBE + 12.0,
    run=_run,
    decides=(
        "daemon-unreachable",
        "systemd-docker-failed",
        "docker-host-wrong",
        "docker-tls-missing",
        "docker-context-missing",
        "dockerd-already-running",
        "daemon-disk-full",
        "api-version-mismatch",
    ),
)
