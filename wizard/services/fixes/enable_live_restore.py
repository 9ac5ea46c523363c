"""Lets running containers live through a restart of Docker (live-restore).

Facts, measured on engines 19.03 to 29.1: it can be switched on by SIGHUP and then protects the very next restart, where
containers keep their process. Containers that remove themselves (``--rm``) are stopped all the same. Docker's
documentation says that it does not go together with swarm. Taking the setting out of the file and SIGHUP leave it on
until the next restart.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from wizard.host.ports import Host
from wizard.model import daemon_json, daemon_rules
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.fix import Fix, ReplaceFile
from wizard.model.i18n import N_, _
from wizard.services.checks.check import PROBE, Check
from wizard.services.fixes import docker_service
from wizard.services.fixes.register_runtime import may_write
from wizard.services.fixes.repair import Repair

ID = "enable-live-restore"
KEY = "live-restore"


def plan(host: Host) -> Fix | None:
    """Switches it on without a restart; None when it is on.

    Raises what the engine raises, ``ENGINE_OTHER`` for a Docker whose settings are no file here and for one in a swarm,
    ``BAD_INPUT`` with the place when daemon.json is not one to edit.
    """
    engine, daemon = host.engine.info(), host.engine.daemon()
    if engine.live_restore:
        return None
    config = daemon_json.config_path(engine.kind, daemon, host.home, host.environ)
    hint = ""
    if engine.swarm:
        hint = _("This Docker is part of a swarm, which does not go together with live-restore.")
    elif engine.kind not in (EngineKind.ENGINE, EngineKind.ROOTLESS) or daemon is None or config is None:
        hint = _("The settings of this Docker cannot be changed from here.")
    elif not PurePosixPath(config).is_absolute():
        hint = _("Docker was started with a settings file whose full path is not known: {path}").format(path=config)
    if hint or config is None:
        evidence = (Evidence("GET /info", f"{engine.kind.value} {engine.version}"),)
        raise Trouble(Problem.ENGINE_OTHER, subject=engine.name, hint=hint, evidence=evidence)
    content = host.files.read(config, root=True)
    before = content.data if content is not None else None
    after = daemon_json.with_setting(before, KEY, True, config)
    flaws = daemon_rules.refusals(after, engine.version, daemon)
    if flaws:
        hint = _("Docker would not accept this file: {flaw}").format(flaw=flaws[0])
        raise Trouble(Problem.BAD_INPUT, flaws[0], subject=config, hint=hint, evidence=(Evidence(config, flaws[0]),))
    running = host.engine.containers()
    change = ReplaceFile(
        config,
        before,
        after,
        needs_root=not may_write(host, config, content),
        why=_("Writes one setting into Docker's settings; everything else in the file stays as it is."),
    )
    return Fix(
        id=ID,
        title=_("Let containers live through a restart of Docker"),
        why=_(
            "Without this setting (live-restore), a restart of Docker stops every container that runs. It is switched "
            "on without a restart, and protects from the next one on."
        ),
        actions=(*((change,) if after != before else ()), *docker_service.reload(host)),
        check=CHECK.id,
        touches=tuple(sorted(item.name for item in running)),
        touches_note=_touches(sorted(item.name for item in running if item.auto_remove)),
        undo_note=_(
            "Undo puts the old file back, byte for byte. The running Docker keeps the setting until its next restart."
        ),
    )


def left_behind(host: Host) -> str:
    """A setting that the file no longer names stays in the memory of the running Docker."""
    try:
        kept = host.engine.info().live_restore
    except Trouble:
        return ""
    return _("The running Docker keeps live-restore on until its next restart; this does no harm.") if kept else ""


def _touches(removing: list[str]) -> str:
    text = _("Nothing is restarted.")
    if not removing:
        return text
    return _("{text} Containers that remove themselves (--rm) are not protected: {names}.").format(
        text=text, names=", ".join(removing)
    )


def _run(host: Host) -> Finding:
    found = host.engine.info().live_restore
    seen = Evidence("GET /info", f"LiveRestoreEnabled={found}")
    if not found:
        summary = _("A restart of Docker stops every running container.")
        return CHECK.finding(Status.WARNING, summary, evidence=(seen,), fixes=(ID,))
    return CHECK.finding(Status.OK, _("Running containers live through a restart of Docker."), evidence=(seen,))


CHECK = Check(id="docker.live-restore", title=N_("Containers at a restart"), requires=(), timeout=PROBE, run=_run)
REPAIR = Repair(id=ID, plan=plan, take_effect=docker_service.reload, left_behind=left_behind, check=CHECK)
