"""The Docker that answers: which one it is, what it knows, and what it may."""

from __future__ import annotations

import re

from wizard.host.ports import Host
from wizard.model.cause import Match
from wizard.model.engine import EngineKind
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.services.probes.probe import Proof, named

_CHECKED = "nvidia"
"""The runtime that a check looks at, more closely than is done here."""
_CAP_SYS_RESOURCE = 24
"""The number of the right to raise limits, of capabilities(7)."""


def runtime_unknown(host: Host, match: Match) -> Proof | None:
    """Whether Docker knows a runtime of another name than NVIDIA's. The repair is for NVIDIA's alone."""
    name = named(match, r"unknown runtime specified ([\w.-]*\w)", r"invalid runtime name: ([\w.-]*\w)")
    if not name or name == _CHECKED:
        return None
    known = host.engine.info().runtimes
    note = _('The repair is for the runtime "nvidia". Is {name} spelled as you meant it?').format(name=name)
    seen = Evidence("GET /info → Runtimes", ", ".join(sorted(known)))
    return Proof(name not in known, (seen,), (), note if name not in known else "")


def desktop(host: Host, _match: Match) -> Proof:
    """Whether it is Docker Desktop that answers."""
    return _is(host, EngineKind.DESKTOP)


def snap(host: Host, _match: Match) -> Proof:
    """Whether it is the Docker of a snap package that answers."""
    return _is(host, EngineKind.SNAP)


def rights_missing(host: Host, _match: Match) -> Proof | None:
    """Whether Docker may not raise limits: then it runs inside something that took this right away from it."""
    daemon = host.engine.daemon()
    if daemon is None:
        return None
    path = f"/proc/{daemon.pid}/status"
    content = host.files.read(path)
    found = re.search(rb"^CapBnd:\s*([0-9a-f]+)", content.data, re.MULTILINE) if content is not None else None
    if found is None:
        return None
    may = bool(int(found[1], 16) >> _CAP_SYS_RESOURCE & 1)
    told = _("has CAP_SYS_RESOURCE") if may else _("has no CAP_SYS_RESOURCE")
    return Proof(not may, (Evidence(path, f"CapBnd {found[1].decode()}: {told}"),))


def _is(host: Host, kind: EngineKind) -> Proof:
    info, endpoint = host.engine.info(), host.engine.endpoint()
    return Proof(info.kind is kind, (Evidence(f"{endpoint.source}: {endpoint.url}", f"{info.kind.value}: {info.os}"),))
