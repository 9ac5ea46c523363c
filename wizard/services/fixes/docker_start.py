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
from wizard.model import daemon_rules
from wizard.model.engine import DaemonProcess, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.services import docker_files
from wizard.services.docker_files import SERVICE, Start
from wizard.services.fixes import docker_service

_SHOWN = ("LoadState", "LoadError")
_CONSEQUENCES = frozenset({"systemd-docker-failed", "daemon-unreachable"})
"""Causes that only say that something else has failed."""
_TELLING = re.compile(r"unable|fail|error|fatal|cannot|invalid|refus", re.IGNORECASE)


def refuse(host: Host, *, units_changed: bool = False) -> None:
    """Raises ``BAD_INPUT`` with the reason when Docker would not start now. ``units_changed`` says that systemd has
    read new files since Docker was started.
    """
    if units_changed:
        _refuse_load(host)
    start = docker_files.next_start(host)
    _refuse_unit(host, start)
    if start.config is None or not PurePosixPath(start.config).is_absolute():
        return
    content = host.files.read(start.config, root=True)
    verdict = daemon_rules.judge(content.data if content else None, start.version, start.argv, start.config)
    stops = [flaw for flaw in verdict.flaws if flaw.weight is daemon_rules.Weight.STOPS]
    if stops:
        raise _refusal(start.config, stops[0].text, stops[0].text, *verdict.evidence)
    if content is not None and (said := docker_files.docker_s_judgement(host, start, start.config)):
        raise _refusal(start.config, said, said, Evidence("dockerd --validate", said))


def refuse_file(host: Host, daemon: DaemonProcess, file: str, *, shown: str) -> None:
    """Lets Docker's own program judge the settings in ``file``, with the flags of the daemon; ``shown`` is the path
    that people know. Raises ``BAD_INPUT`` when it refuses; an engine without that judgement refuses nothing.
    """
    start = Start(EngineKind.ENGINE, daemon.argv, "", unit=None, version=None, config=shown, running=True)
    if said := docker_files.docker_s_judgement(host, start, file):
        raise _refusal(shown, said, "", Evidence("dockerd --validate", said))


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


def _refuse_unit(host: Host, start: Start) -> None:
    """Raises ``BAD_INPUT`` for a unit whose files say that it cannot be started."""
    unit = start.unit
    if unit is None:
        return
    shown = start.shown or SERVICE
    if unit.masked:
        docker_service.refuse_masked(host)
        raise _refusal(unit.name, "masked", _("Somebody has locked Docker's service on purpose (masked)."))
    if unit.refused:
        text = _("Docker's service would start more than one program, which the system refuses.")
        raise _refusal(unit.name, text, text, *(Evidence(file.path, file.text) for file in unit.drop_ins))
    if start.argv and not docker_files.can_run(host, start.argv[0]):
        text = _("Docker's service would start {program}, which is not there.").format(program=start.argv[0])
        raise _refusal(shown, text, text, Evidence(shown, " ".join(start.argv)))


def _refuse_load(host: Host) -> None:
    """Raises ``BAD_INPUT`` when systemd itself, having read its files, cannot use the unit."""
    found = docker_service.show(host, _SHOWN)
    state = found.get("LoadState", "")
    if state in ("bad-setting", "error", "masked", "not-found"):
        text = found.get("LoadError") or f"LoadState={state}"
        hint = _("The system's own file about Docker's service cannot be used ({state}).").format(state=state)
        raise _refusal(SERVICE, text, hint, Evidence(f"systemctl show {SERVICE}", text))


def _refusal(subject: str, text: str, hint: str, *evidence: Evidence) -> Trouble:
    return Trouble(Problem.BAD_INPUT, text, subject=subject, hint=hint, evidence=evidence)
