"""Whether there is room for the images where Docker keeps them."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import EngineKind
from wizard.services.checks.check import PROBE, Check, gigabytes

WARN = 20_000_000_000
LEAST = 10_000_000_000
"""Bytes. The TensorFlow images are 4 to 8 GB to download and about twice that unpacked."""

_USUAL = "/var/lib/docker"
_CONTAINERD = "/var/lib/containerd"
_PRUNE = Link(N_("Docker: free unused space"), "https://docs.docker.com/engine/manage-resources/pruning/")


def _run(host: Host) -> Finding:
    places = _places(host)
    if not places:
        return CHECK.finding(Status.INFO, _("The disk of this Docker cannot be seen from this machine."))
    space = min((host.files.disk(place) for place in places), key=lambda found: found.free)
    evidence = (Evidence(f"statvfs {space.path}", f"{space.free} bytes free of {space.total}"),)
    facts = {"free": space.free, "path": space.path}
    free = gigabytes(space.free)
    if space.free >= WARN:
        return CHECK.finding(
            Status.OK, _("{free} free where Docker keeps images").format(free=free), evidence=evidence, facts=facts
        )
    return CHECK.finding(
        Status.ERROR if space.free < LEAST else Status.WARNING,
        _("Only {free} free where Docker keeps images ({path})").format(free=free, path=space.path),
        _(
            "The image needs about 20 GB while it is unpacked. Free some space; "
            "{command} shows what Docker itself uses."
        ).format(command="docker system df"),
        evidence=evidence,
        links=(Link(_(_PRUNE.title), _PRUNE.url),),
        facts=facts,
    )


def _places(host: Host) -> tuple[str, ...]:
    """The folders that hold images. A Docker that does not answer keeps them where every Docker does."""
    try:
        info = host.engine.info()
    except Trouble:
        return (_USUAL,)
    if info.kind in (EngineKind.REMOTE, EngineKind.DESKTOP):
        return ()
    return (info.root_dir, _CONTAINERD) if info.containerd_store else (info.root_dir,)


CHECK = Check(id="disk.space", title=N_("Disk space"), requires=(), timeout=PROBE, run=_run)
