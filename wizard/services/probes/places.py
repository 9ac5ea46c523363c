"""Paths, ports, disks and processors of this machine."""

from __future__ import annotations

import re

from wizard.host.ports import Host
from wizard.model.cause import Match
from wizard.model.engine import EngineKind
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.services import image_places
from wizard.services.probes.probe import Proof, named

_PATH = (r"source path does not exist: ([^\n\"]*[^\s\"'.])", r"custom device \\?\"([^\"\\]+)")
_LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp."""
_FULL = 1_000_000_000
_PLENTY = 20_000_000_000
"""Bytes. Between the two it depends on the image."""


def path_missing(host: Host, match: Match) -> Proof | None:
    """Whether a path that the text names is not there."""
    path = named(match, *_PATH)
    if not path.startswith("/") or _is_elsewhere(host):
        return None
    there = host.files.info(path).kind is not PathKind.MISSING
    return Proof(not there, (Evidence(path, _("is there") if there else _("is not there")),))


def port_in_use(host: Host, match: Match) -> Proof | None:
    """Whether a program of this machine listens on the port."""
    port = named(
        match, r"listen tcp[46]? \S*:(\d{1,5}): bind", r"host port (?:for )?[^\s:]*:(\d{1,5})[:/]", r":(\d{1,5})[:/]"
    )
    if not port.isdigit() or _is_elsewhere(host):
        return None
    tables = [(path, host.files.read(path)) for path in ("/proc/net/tcp", "/proc/net/tcp6")]
    listening = [
        (path, line.strip())
        for path, content in tables
        if content is not None
        for line in content.data.decode(errors="replace").splitlines()
        if re.match(rf"\s*\d+: [0-9A-F]+:{int(port):04X} [0-9A-F]+:[0-9A-F]+ {_LISTENS} ", line)
    ]
    if all(content is None for _path, content in tables):
        return None
    seen = tuple(Evidence(path, line) for path, line in listening)
    nobody = Evidence("/proc/net/tcp", _("nobody listens on port {port}").format(port=port))
    note = _("See which program it is with: {command}").format(command=f"sudo ss -ltnp 'sport = :{port}'")
    return Proof(bool(listening), seen or (nobody,), note=note if listening else "")


def another_dockerd(host: Host, match: Match) -> Proof | None:
    """Whether the process that the text names is a Docker service that runs."""
    pid = named(match, r"process with pid (\d+) is still running")
    if not pid.isdigit():
        return None
    content = host.files.read(f"/proc/{pid}/comm")
    name = content.data.decode(errors="replace").strip() if content is not None else ""
    return Proof(name == "dockerd", (Evidence(f"/proc/{pid}/comm", name or _("there is no such process")),))


def processors(host: Host, match: Match) -> Proof | None:
    """Whether this machine has as many processors as the text says; then the limit is the same as well."""
    count = named(match, r"only (\d+) cpus? available")
    content = host.files.read("/proc/cpuinfo")
    if not count.isdigit() or content is None or _is_elsewhere(host):
        return None
    here = len(re.findall(rb"^processor\s*:", content.data, re.MULTILINE))
    if not here:
        return None
    return Proof(here == int(count), (Evidence("/proc/cpuinfo", _("{n} processors").format(n=here)),))


def disk_full(host: Host, _match: Match) -> Proof | None:
    """Whether there is no room left where Docker keeps images."""
    places: tuple[str, ...] = (image_places.USUAL,)
    try:
        info = host.engine.info()
    except Trouble:
        pass  # a Docker without room may not answer at all
    else:
        places = image_places.folders(host, info)
        if not places:
            return None
    space = min((host.files.disk(place) for place in places), key=lambda found: found.free)
    seen = Evidence(f"statvfs {space.path}", f"{space.free} bytes free of {space.total}")
    return Proof(True if space.free < _FULL else False if space.free >= _PLENTY else None, (seen,))


def _is_elsewhere(host: Host) -> bool:
    """Whether Docker's machine is not this one, so that its paths and ports are others."""
    try:
        return host.engine.info().kind in (EngineKind.REMOTE, EngineKind.DESKTOP)
    except Trouble:
        return host.engine.endpoint().socket is None
