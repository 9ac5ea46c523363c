"""Whether Docker's settings file is one with which Docker can start again."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.knowledge import daemon_errors
from wizard.model import daemon_json, daemon_rules
from wizard.model.daemon_keys import NEWEST
from wizard.model.daemon_rules import Flaw, Verdict, Weight
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.services import docker_files
from wizard.services.checks.check import PROBE, Check
from wizard.services.docker_files import Start

REPAIR = "repair-daemon-json"
REMOVE_KEY = "remove-duplicate-key"
REGISTER = "register-runtime"
_PAGE = Link(
    N_("Docker: the settings file"), "https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file"
)


def _run(host: Host) -> Finding:
    start = docker_files.next_start(host)
    path = start.config
    if path is None:
        return CHECK.finding(Status.INFO, _("The settings of this Docker are not a file of this machine."))
    try:
        content = docker_files.read_config(host, path)
    except Trouble as trouble:
        if trouble.kind is Problem.FILE_NOT_REGULAR:
            return _folder(start, path)
        if trouble.kind in (Problem.FILE_PERMISSION, Problem.ROOT_NEEDED):
            return CHECK.trouble(trouble, _("You may not read it, so it was not checked."), status=Status.INFO)
        raise
    if content is None:
        return _missing(start, path)
    verdict = judged(host, start, content.data)
    if not verdict.flaws:
        return CHECK.finding(
            Status.OK,
            _("{path} is in order.").format(path=path),
            evidence=(Evidence(path, ", ".join(verdict.settings or ()) or "{}"),),
            facts={"path": path},
        )
    return _flawed(host, start, path, content.data, verdict)


def judged(host: Host, start: Start, data: bytes) -> Verdict:
    """What our rules say, and Docker's own program where it can be asked and they leave something open."""
    path = start.config or ""
    verdict = daemon_rules.judge(data, start.version, start.argv, path)
    if verdict.stops or verdict.settings is None or not docker_files.version_there(start):
        return verdict
    said = docker_files.docker_s_judgement(host, start, path)
    if said:
        found = [match.cause.id for match in daemon_errors.find(said) if match.cause.id.startswith("conf-")]
        flaw = Flaw(Weight.STOPS, found[0] if found else "conf-other-invalid", said)
        return Verdict((flaw, *verdict.flaws), verdict.settings, (Evidence("dockerd --validate", said),))
    if start.version is not None and start.version > NEWEST:
        # Docker's own word about names that are younger than our table.
        known = tuple(flaw for flaw in verdict.flaws if flaw.cause != "conf-unknown-key")
        return Verdict(known, verdict.settings, verdict.evidence)
    return verdict


def _flawed(host: Host, start: Start, path: str, data: bytes, verdict: Verdict) -> Finding:
    flaws = verdict.flaws
    fixes = _fixes(host, start, data, verdict)
    worst = flaws[0].weight
    if worst is Weight.UNTIDY:
        status = Status.WARNING if any(flaw.key and not flaw.cause for flaw in flaws) and not fixes else Status.INFO
    else:
        status = Status.ERROR if worst is Weight.STOPS and not start.running else Status.WARNING
    details = {
        Weight.STOPS: _("With this file, Docker does not start."),
        Weight.MAY_STOP: _("With this file, Docker may not start."),
        Weight.BREAKS: _("Docker starts with it, but what stands there does not work."),
        Weight.UNTIDY: _("Docker starts with it all the same."),
    }
    detail = details[worst]
    if start.running and worst in (Weight.STOPS, Weight.MAY_STOP):
        detail = _(
            "Docker runs with the settings that it has read before. With this file it would not start again: neither "
            "after a restart nor after the next boot."
        )
    if not fixes:
        detail = _("{detail} Correct the place with: {command}. The wizard does not guess what was meant.").format(
            detail=detail, command=f"sudoedit {path}"
        )
    seen = verdict.evidence or tuple(Evidence(path, flaw.text) for flaw in flaws)
    if start.argv and any(flaw.cause.startswith("conf-conflict") for flaw in flaws):
        seen = (*seen, Evidence(start.shown, " ".join(start.argv)))
    return CHECK.finding(
        status,
        _("{path}: {flaw}").format(path=path, flaw=flaws[0].text),
        detail,
        evidence=seen,
        causes=verdict.causes,
        fixes=fixes,
        links=(Link(_(_PAGE.title), _PAGE.url),),
        facts={"path": path},
    )


def _fixes(host: Host, start: Start, data: bytes, verdict: Verdict) -> tuple[str, ...]:
    """The repairs that would help, the nearest first; a repair is named only where it can be done without guessing."""
    found: list[str] = []
    if any(flaw.cause == "conf-conflict-other" for flaw in verdict.flaws) or _same_twins(data, start.config or ""):
        found.append(REMOVE_KEY)
    if docker_files.slips_corrected(start, data) is not None:
        found.append(REPAIR)
    ours = ("conf-runtime-entry-invalid", "conf-default-runtime-missing")
    if any(flaw.cause in ours and '"nvidia"' in flaw.text for flaw in verdict.flaws):
        found.append(REGISTER)
    if not found and verdict.stops and docker_files.last_good(host, start, data) is not None:
        found.append(REPAIR)
    return tuple(found)


def _same_twins(data: bytes, path: str) -> bool:
    try:
        twins = daemon_json.twice(data, path)
    except Trouble:
        return False
    return bool(twins) and all(item.same for item in twins)


def _folder(start: Start, path: str) -> Finding:
    return CHECK.finding(
        Status.WARNING if start.running else Status.ERROR,
        _("{path} is a folder; it must be a file.").format(path=path),
        _(
            "Docker does not start with it. A container that mounts a file that is not there makes such a folder. "
            "If it is empty, remove it: {command}"
        ).format(command=f"sudo rmdir {path}"),
        evidence=(Evidence(path, _("a folder, or something else that is no file")),),
        causes=("conf-file-missing-or-dir",),
        facts={"path": path},
    )


def _missing(start: Start, path: str) -> Finding:
    named = any(word == "--config-file" or word.startswith("--config-file=") for word in start.argv)
    if not named:
        return CHECK.finding(
            Status.OK,
            _("No settings file; Docker uses its own defaults."),
            evidence=(Evidence(path, _("not there")),),
            facts={"path": path},
        )
    return CHECK.finding(
        Status.WARNING if start.running else Status.ERROR,
        _("Docker is to start with the settings file {path}, which is not there.").format(path=path),
        _("Make one with no settings in it: {command}").format(command=f"echo '{{}}' | sudo tee {path}"),
        evidence=(Evidence(path, _("not there")), Evidence(start.shown, " ".join(start.argv))),
        causes=("conf-file-missing-or-dir",),
        facts={"path": path},
    )


CHECK = Check(
    id="docker.config",
    title=N_("Docker's settings"),
    requires=("docker.installed",),
    # Two probes of a service that hangs, and two questions to Docker's own program.
    timeout=2 * PROBE + 8.0,
    run=_run,
    decides=(
        "conf-conflict-runtimes",
        "conf-conflict-other",
        "conf-json-syntax",
        "conf-unknown-key",
        "conf-wrong-type",
        "conf-runtime-entry-invalid",
        "conf-default-runtime-missing",
        "conf-runtime-name-reserved",
        "conf-file-missing-or-dir",
        "conf-cgroupdriver-bad",
        "conf-other-invalid",
    ),
)
