"""Whether lists of package sources that older NVIDIA guides wrote stop apt.

Fact: two sources for the same place with different keys ("Signed-By") make apt read no source at all, so that nothing
can be installed or updated on the whole machine.
"""

from __future__ import annotations

from collections.abc import Mapping

from wizard.host.ports import Host
from wizard.knowledge.toolkit import toolkit
from wizard.model import apt_sources
from wizard.model.apt_sources import Source
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services.checks.check import Check

FOLDER = "/etc/apt/sources.list.d"
MAIN = "/etc/apt/sources.list"
FIX = "move-stale-apt-list"


def sources(host: Host) -> tuple[Source, ...]:
    """All sources that apt has on this machine. A list that may not be read is left out."""
    names = [f"{FOLDER}/{name}" for name in host.files.names(FOLDER) if name.endswith((".list", ".sources"))]
    found: list[Source] = []
    for path in (MAIN, *names):
        try:
            content = host.files.read(path)
        except Trouble:
            continue
        if content is not None:
            found += apt_sources.read(path, content.data)
    return tuple(found)


def nvidia_conflicts(found: tuple[Source, ...]) -> Mapping[tuple[str, str], tuple[Source, ...]]:
    """The conflicts in which NVIDIA's place for its packages has a part."""
    return {
        place: group
        for place, group in apt_sources.conflicts(found).items()
        if any(source.host == toolkit().host for source in group)
    }


def _run(host: Host) -> Finding:
    found = sources(host)
    if not found:
        return CHECK.finding(Status.OK, _("This system has no lists of apt that could be wrong."))
    groups = nvidia_conflicts(found)
    if not groups:
        others = apt_sources.conflicts(found)
        if others:
            return _other(next(iter(others.values())))
        return CHECK.finding(Status.OK, _("The lists of package sources do not contradict each other."))
    group = next(iter(groups.values()))
    return CHECK.finding(
        Status.ERROR,
        _("Lists from older NVIDIA guides contradict each other, so apt cannot install anything."),
        _(
            "Two lists name the same place with different keys. The wizard can put the old list aside; the packages "
            "themselves are not touched."
        ),
        evidence=_evidence(group),
        causes=("apt-signed-by",),
        fixes=(FIX,),
    )


def _other(group: tuple[Source, ...]) -> Finding:
    return CHECK.finding(
        Status.WARNING,
        _("Two lists of package sources name the same place with different keys, so apt cannot install anything."),
        _("Compare these files and remove one of the two lines."),
        evidence=_evidence(group),
    )


def _evidence(group: tuple[Source, ...]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(source.file, f"{source.uri} {source.suite} signed-by={source.signed_by or '-'}") for source in group
    )


CHECK = Check(
    id="packages.sources",
    title=N_("Package sources"),
    requires=(),
    timeout=5.0,
    run=_run,
    decides=("apt-signed-by",),
)
