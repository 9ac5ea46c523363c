"""Whether Docker's settings file is one with which Docker can start again."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model import daemon_json
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import DaemonProcess, EngineKind
from wizard.services.checks.check import PROBE, Check


def _run(host: Host) -> Finding:
    kind, daemon = _who(host)
    path = daemon_json.config_path(kind, daemon, host.home, host.environ)
    if path is None:
        return CHECK.finding(Status.INFO, _("The settings of this Docker are not a file of this machine."))
    try:
        content = host.files.read(path)
    except Trouble as trouble:
        if trouble.kind is not Problem.FILE_PERMISSION:
            raise
        return CHECK.trouble(trouble, _("You may not read it, so it was not checked."), status=Status.INFO)
    if content is None:
        return CHECK.finding(
            Status.OK,
            _("No settings file; Docker uses its own defaults."),
            evidence=(Evidence(path, _("not there")),),
            facts={"path": path},
        )
    if daemon_json.is_empty(content.data):
        return CHECK.finding(
            Status.WARNING,
            _("{path} is empty.").format(path=path),
            _("Older Docker versions do not start with an empty file. Remove it, or put {braces} into it.").format(
                braces="{}"
            ),
            evidence=(Evidence(path, ""),),
            facts={"path": path},
        )
    try:
        settings = daemon_json.read(content.data, path)
    except Trouble as trouble:
        return CHECK.finding(
            Status.ERROR,
            _("{path} has a mistake. {place}").format(path=path, place=trouble.text),
            _(
                "Docker goes on with the settings that it has read before, but it may not start again with this file. "
                "Correct this place in a text editor; the wizard does not guess what was meant."
            ),
            evidence=trouble.evidence,
            facts={"path": path},
        )
    flaws = daemon_json.flaws(settings, daemon)
    if flaws:
        return CHECK.finding(
            Status.WARNING,
            _("{path}: {flaw}").format(path=path, flaw=flaws[0]),
            _("Docker runs, but it may not start again with these settings. Ask whoever wrote them."),
            evidence=tuple(Evidence(path, flaw) for flaw in flaws),
            facts={"path": path},
        )
    return CHECK.finding(
        Status.OK,
        _("{path} is in order.").format(path=path),
        evidence=(Evidence(path, ", ".join(settings) or "{}"),),
        facts={"path": path},
    )


def _who(host: Host) -> tuple[EngineKind, DaemonProcess | None]:
    """The Docker that answers; where none does, the one that would: an engine with the usual file."""
    try:
        return host.engine.info().kind, host.engine.daemon()
    except Trouble:
        return EngineKind.ENGINE, None


CHECK = Check(
    id="docker.config",
    title=N_("Docker's settings"),
    requires=("docker.installed",),
    # Two probes of a service that hangs.
    timeout=2 * PROBE,
    run=_run,
)
