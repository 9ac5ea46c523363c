"""Whether there is room for the images where Docker keeps them, and for the wizard's own files."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.disk_usage import DiskUsage
from wizard.model.engine import EngineInfo
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import DiskSpace
from wizard.services import image_places
from wizard.services.checks.check import PROBE, Check, gigabytes
from wizard.services.checks.network_registry import has_image

WARN = 20_000_000_000
LEAST = 10_000_000_000
"""Bytes. The TensorFlow images are 4 to 8 GB to download and about twice that unpacked."""
WARN_WITH_IMAGE = 5_000_000_000
LEAST_WITH_IMAGE = 1_000_000_000
"""Bytes for what containers write, once the image is here."""
FULL = 50_000_000
"""Bytes with which Docker does not even start."""
LEAST_FILES = 20_000
"""File entries (inodes): an image has some 50 000 files, of which many lie on one disk already."""
HOME_LEAST = 200_000_000
"""Bytes for receipts, the log and the resume point."""

FIX = "free-disk-space"
_PRUNE = Link(N_("Docker: free unused space"), "https://docs.docker.com/engine/manage-resources/pruning/")


def _run(host: Host) -> Finding:
    home = host.files.disk(host.home)
    info = _engine(host)
    # A Docker that does not answer keeps them where every Docker does.
    places = image_places.folders(host, info) if info is not None else (image_places.USUAL,)
    if not places:
        return CHECK.finding(Status.INFO, _("The disk of this Docker cannot be seen from this machine."))
    found = tuple(host.files.disk(place) for place in places)
    space = min(found, key=lambda item: item.free)
    evidence = tuple(_seen(item) for item in dict.fromkeys((*found, home)))
    facts = {"free": space.free, "path": space.path}
    crowded = next((item for item in found if item.files and item.files_free < LEAST_FILES), None)
    if crowded is not None:
        return _low(
            host,
            info,
            crowded,
            _("The disk of {path} has room left, but holds too many files").format(path=crowded.path),
            evidence,
            is_error=crowded.files_free < LEAST_FILES / 10,
        )
    warn, least = (WARN_WITH_IMAGE, LEAST_WITH_IMAGE) if info is not None and has_image(host) else (WARN, LEAST)
    free = gigabytes(space.free)
    if space.free < warn:
        return _low(
            host,
            info,
            space,
            _("Only {free} free where Docker keeps images ({path})").format(free=free, path=space.path),
            evidence,
            is_error=space.free < least,
        )
    if home.free < HOME_LEAST:
        return CHECK.finding(
            Status.WARNING,
            _("Only {free} free in your home folder").format(free=gigabytes(home.free)),
            _("The wizard keeps what it changed there, so that you can take it back. Make some room first."),
            evidence=evidence,
            facts=facts,
        )
    return CHECK.finding(
        Status.OK, _("{free} free where Docker keeps images").format(free=free), evidence=evidence, facts=facts
    )


def _low(
    host: Host,
    info: EngineInfo | None,
    space: DiskSpace,
    summary: str,
    evidence: tuple[Evidence, ...],
    *,
    is_error: bool,
) -> Finding:
    usage = _usage(host) if info is not None else None
    parts = [_("The image needs about 20 GB while it is unpacked.")]
    if usage is not None and safe(usage):
        parts.append(_("Docker itself keeps {size} that nothing needs any more.").format(size=gigabytes(safe(usage))))
    else:
        parts.append(_("{command} shows what Docker itself uses.").format(command="docker system df"))
    parts.append(_("Never delete anything inside {path} by hand.").format(path=space.path))
    causes = ["no-space-pull"]
    if info is None and (space.free < FULL or (space.files and not space.files_free)):
        causes.append("daemon-disk-full")
    return CHECK.finding(
        Status.ERROR if is_error else Status.WARNING,
        summary,
        " ".join(parts),
        evidence=(*evidence, *((_kept(usage),) if usage is not None else ())),
        causes=tuple(causes),
        fixes=(FIX,) if usage is not None and safe(usage) else (),
        links=(Link(_(_PRUNE.title), _PRUNE.url),),
        facts={"free": space.free, "path": space.path},
    )


def safe(usage: DiskUsage) -> int:
    """Bytes that nobody misses: images without a name that no container uses, and the cache of builds."""
    return usage.build_cache + sum(image.size for image in usage.images if not image.tags and not image.in_use)


def _usage(host: Host) -> DiskUsage | None:
    try:
        return host.engine.disk_usage()
    except Trouble:
        return None


def _kept(usage: DiskUsage) -> Evidence:
    unused = sum(image.size for image in usage.images if image.tags and not image.in_use)
    return Evidence(
        "GET /system/df",
        f"images: {sum(image.size for image in usage.images)}, of them unused {unused}; "
        f"build cache: {usage.build_cache}",
    )


def _seen(space: DiskSpace) -> Evidence:
    files = f", {space.files_free} files free of {space.files}" if space.files else ""
    return Evidence(f"statvfs {space.path}", f"{space.free} bytes free of {space.total}{files}")


def _engine(host: Host) -> EngineInfo | None:
    try:
        return host.engine.info()
    except Trouble:
        return None


CHECK = Check(
    id="disk.space",
    title=N_("Disk space"),
    requires=(),
    # A Docker with little room is asked what it keeps, and looks through all of it.
    timeout=PROBE + 60.0,
    run=_run,
    decides=("no-space-pull", "daemon-disk-full"),
)
