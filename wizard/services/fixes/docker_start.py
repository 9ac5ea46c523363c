"""Whether Docker would start with its settings as they are now, and why it did not.

Facts: ``dockerd --validate`` (since 23.0) says "OK" to files with which Docker then does not start, so it is asked
besides our own rules, with the flags of the unit. After ``daemon-reload``, systemd itself says whether it can use a
unit (``LoadState``); a Docker that runs goes on with a unit that is broken, until its next start. The reason for a
start that failed stands only in the journal.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from wizard.host.ports import Host
from wizard.knowledge import daemon_errors
from wizard.model import daemon_json
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import DaemonProcess, EngineKind, PathKind
from wizard.services.fixes import docker_service

_SHOWN = ("LoadState", "LoadError", "ExecStart")
_ARGV = re.compile(r"\{ path=(?P<path>\S+) ; argv\[\]=(?P<argv>.*?) ; ignore_errors")
_CONSEQUENCES = frozenset({"systemd-docker-failed", "daemon-unreachable"})
"""Causes that only say that something else has failed."""
_TELLING = re.compile(r"unable|fail|error|fatal|cannot|invalid|refus", re.IGNORECASE)


def refuse(host: Host, *, units_changed: bool = False) -> None:
    """Raises ``BAD_INPUT`` with the reason when Docker would not start now. ``units_changed`` says that systemd has
    read new files since Docker was started.
    """
    engine_kind, daemon = _who(host)
    if daemon is None or units_changed:
        daemon = _next_start(host) or daemon
    path = daemon_json.config_path(engine_kind, daemon, host.home, host.environ)
    if path is None or not PurePosixPath(path).is_absolute():
        return
    content = host.files.read(path, root=True)
    if content is None or daemon_json.is_empty(content.data):
        return
    flaws = daemon_json.flaws(daemon_json.read(content.data, path), daemon)
    if flaws:
        raise Trouble(Problem.BAD_INPUT, flaws[0], subject=path, hint=flaws[0], evidence=(Evidence(path, flaws[0]),))
    refuse_file(host, daemon, path, shown=path)


def refuse_file(host: Host, daemon: DaemonProcess | None, file: str, *, shown: str) -> None:
    """Lets Docker's own program judge the settings in ``file``, with the flags of the daemon; ``shown`` is the path
    that people know. Raises ``BAD_INPUT`` when it refuses; an engine without that judgement refuses nothing.
    """
    argv = daemon.argv if daemon is not None and daemon.argv else ("dockerd",)
    try:
        result = host.commands.run((*_without_config(argv), "--validate", "--config-file", file), timeout=10.0)
    except Trouble as trouble:
        if trouble.kind in (Problem.COMMAND_MISSING, Problem.COMMAND_FAILED, Problem.COMMAND_TIMEOUT):
            return
        raise
    said = f"{result.stdout}\n{result.stderr}".strip()
    # An engine without the flag fails as well, so only its verdict on the file counts.
    if result.returncode != 0 and "unable to configure the Docker daemon with file" in said:
        raise Trouble(Problem.BAD_INPUT, said, subject=shown, evidence=(Evidence("dockerd --validate", said),))


def why_not(host: Host, since: float, said: str = "") -> str:
    """Why Docker did not start after ``since`` (seconds since 1970): what is known about it, and its own words.

    ``said`` is what the command that should have started it said.
    """
    lines = [line.strip() for line in (*said.splitlines(), *docker_service.journal(host, since).splitlines())]
    for line in reversed(lines):
        found = [match for match in daemon_errors.find(line) if match.cause.id not in _CONSEQUENCES]
        if found:
            return _("{title} Its own words: {line}").format(title=_(found[0].cause.title), line=line)
    telling = [line for line in lines if _TELLING.search(line) and "systemctl status" not in line]
    # What dockerd says comes before what systemd concludes from it.
    own = [line for line in telling if not line.startswith(("docker.", "Job for", "Failed to start"))]
    last = (own or telling or [""])[-1]
    return _("Its own words: {line}").format(line=last) if last else _("The journal says nothing about the reason.")


def _who(host: Host) -> tuple[EngineKind, DaemonProcess | None]:
    try:
        return host.engine.info().kind, host.engine.daemon()
    except Trouble:
        return EngineKind.ENGINE, None


def _next_start(host: Host) -> DaemonProcess | None:
    """The command line that systemd would start, None where it cannot be asked. Raises ``BAD_INPUT`` for a unit that it
    cannot use.
    """
    shown = docker_service.show(host, _SHOWN)
    state = shown.get("LoadState", "")
    if state in ("bad-setting", "error", "masked", "not-found"):
        text = shown.get("LoadError") or f"LoadState={state}"
        hint = _("The system's own file about Docker's service cannot be used ({state}).").format(state=state)
        evidence = (Evidence(f"systemctl show {docker_service.SERVICE}", text),)
        raise Trouble(Problem.BAD_INPUT, text, subject=docker_service.SERVICE, hint=hint, evidence=evidence)
    found = _ARGV.search(shown.get("ExecStart", ""))
    if found is None:
        return None
    program = found["path"]
    try:
        there = host.files.info(program)
    except Trouble:
        there = None
    if there is not None and there.kind is PathKind.MISSING:
        hint = _("Docker's service would start {program}, which is not there.").format(program=program)
        raise Trouble(
            Problem.BAD_INPUT, hint, subject=program, hint=hint, evidence=(Evidence("ExecStart", found["argv"]),)
        )
    return DaemonProcess(0, tuple(found["argv"].split()), docker_service.SERVICE)


def _without_config(argv: tuple[str, ...]) -> tuple[str, ...]:
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--config-file":
            next(words, None)
        elif not word.startswith("--config-file="):
            kept.append(word)
    return tuple(kept)
