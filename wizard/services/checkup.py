"""The check-up: runs the checks side by side and says what they found."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wizard.host.ports import Host
from wizard.model.engine import Endpoint, EngineInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, ignore
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.gpu import GpuReport
from wizard.model.i18n import _
from wizard.model.secret import redact
from wizard.services.checks import ALL
from wizard.services.checks.check import Check

__all__ = ["Check", "ready", "run", "run_one", "to_json"]


def run(
    host: Host,
    ids: Sequence[str] | None = None,
    emit: Emit = ignore,
    cancel: Cancel | None = None,
    *,
    checks: tuple[Check, ...] = ALL,
) -> tuple[Finding, ...]:
    """Runs the checks (those of ``ids``, or all) and returns their findings in declared order.

    Each finding is emitted as it arrives. All checks begin at once, since they only look: the whole takes as long as
    the slowest, not as long as a chain of them. A finding counts only when everything that its check requires has
    passed; otherwise it is ``skipped``, as soon as that is known. A check that takes longer than its timeout or that
    crashes is ``unknown``. Raises ``BAD_INPUT`` for an unknown id and ``CANCELLED``.
    """
    known = {check.id: check for check in checks}
    wanted = list(known) if ids is None else list(ids)
    for name in wanted:
        if name not in known:
            raise Trouble(
                Problem.BAD_INPUT, subject=name, hint=_("The checks are: {names}.").format(names=", ".join(known))
            )
    needed = _with_required(wanted, known)
    arrived: queue.Queue[Finding | None] = queue.Queue()
    if cancel is not None:
        cancel.on_set(lambda: arrived.put(None))
    began = time.monotonic()
    for check in needed:
        threading.Thread(target=lambda check=check: arrived.put(run_one(host, check)), daemon=True).start()

    pending = {check.id: check for check in needed}
    raw: dict[str, Finding] = {}
    settled: dict[str, Finding] = {}
    while pending:
        for check in [check for check in needed if check.id in pending]:
            finding = _settle(check, raw.get(check.id), settled)
            if finding is None and time.monotonic() - began >= check.timeout:
                finding = _late(check)
            if finding is not None:
                settled[check.id] = finding
                del pending[check.id]
                if check.id in wanted:
                    emit(finding)
        if not pending:
            break
        left = began + min(check.timeout for check in pending.values()) - time.monotonic()
        try:
            found = arrived.get(timeout=max(0.0, left))
        except queue.Empty:
            continue
        if found is None:
            raise Trouble(Problem.CANCELLED)
        raw[found.id] = found
    return tuple(settled[name] for name in known if name in wanted)


def run_one(host: Host, check: Check) -> Finding:
    """The finding of one check, whatever it requires and however long it takes. Never raises."""
    began = time.monotonic()
    try:
        finding = check.run(host)
    except Trouble as trouble:
        finding = check.trouble(trouble)
    except Exception as error:  # noqa: BLE001 - a check that crashes must not take the check-up with it
        finding = check.finding(
            Status.UNKNOWN,
            _("This check did not work. That is a mistake of the wizard, not yours."),
            _("The other checks are not touched by it."),
            evidence=(Evidence(type(error).__name__, str(error)),),
        )
    evidence = tuple(Evidence(redact(item.source), redact(item.text)) for item in finding.evidence)
    return replace(finding, evidence=evidence, seconds=time.monotonic() - began)


def _with_required(wanted: list[str], known: dict[str, Check]) -> list[Check]:
    """The wanted checks and all that they require, in declared order."""
    needed: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo.extend(known[name].requires)
    return [check for name, check in known.items() if name in needed]


def _settle(check: Check, found: Finding | None, settled: dict[str, Finding]) -> Finding | None:
    """The finding that counts, or None while that is not known."""
    for name in check.requires:
        required = settled.get(name)
        if required is not None and not required.passed:
            return check.finding(
                Status.SKIPPED, _("Waits for: {title}").format(title=required.title), blocked_by=required.id
            )
    return found if all(name in settled for name in check.requires) else None


def _late(check: Check) -> Finding:
    return replace(
        check.finding(
            Status.UNKNOWN,
            _("No answer within {seconds:g} seconds.").format(seconds=check.timeout),
            _("Something on this machine is very slow or hangs. Look again in a minute."),
        ),
        seconds=check.timeout,
    )


def ready(findings: Sequence[Finding]) -> bool:
    """Whether nothing stands in the way: no error, nothing skipped, nothing unknown."""
    return all(finding.passed for finding in findings)


def to_json(host: Host, findings: Sequence[Finding]) -> dict[str, Any]:
    """The document of ``s2s-wizard doctor --json``. ``engine`` is null while Docker does not answer."""
    facts: dict[str, object] = {}
    for finding in findings:
        facts.update(finding.facts)
    report = facts.get("report")
    return {
        "schema_version": 1,
        "host": host_to_json(host),
        "engine": _engine(facts.get("engine"), facts.get("endpoint")),
        "gpus": _gpus(report) if isinstance(report, GpuReport) else [],
        "ready": ready(findings),
        "findings": [_finding(finding) for finding in findings],
    }


def host_to_json(host: Host) -> dict[str, Any]:
    """The machine as JSON values: ``kind`` is ``real`` or ``simulated``."""
    info = host.info
    return {
        "kind": info.kind,
        "machine": info.machine,
        "name": info.name,
        "os": info.os,
        "system": info.system,
        "arch": info.arch,
        "user": info.user,
    }


def _engine(info: object, endpoint: object) -> dict[str, Any] | None:
    if not isinstance(info, EngineInfo) or not isinstance(endpoint, Endpoint):
        return None
    return {
        "kind": info.kind.value,
        "version": info.version,
        "api_version": info.api_version,
        "url": redact(endpoint.url),
        "source": endpoint.source,
        "runtimes": sorted(info.runtimes),
        "default_runtime": info.default_runtime,
        "root_dir": info.root_dir,
        "storage_driver": info.storage_driver,
        "containerd_store": info.containerd_store,
        "live_restore": info.live_restore,
        "containers_running": info.containers_running,
    }


def _gpus(report: GpuReport) -> list[dict[str, Any]]:
    return [
        {
            "index": gpu.index,
            "name": gpu.name,
            "memory_bytes": gpu.memory,
            "capability": ".".join(map(str, gpu.capability)) if gpu.capability else None,
            "driver": report.driver,
            "cuda": report.cuda,
        }
        for gpu in report.gpus
    ]


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "status": finding.status.value,
        "title": finding.title,
        "summary": finding.summary,
        "detail": finding.detail,
        "evidence": [{"source": item.source, "text": item.text} for item in finding.evidence],
        "causes": list(finding.causes),
        "fixes": list(finding.fixes),
        "blocked_by": finding.blocked_by,
        "links": [{"title": link.title, "url": link.url} for link in finding.links],
        "seconds": round(finding.seconds, 3),
    }
