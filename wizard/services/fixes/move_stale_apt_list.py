"""Puts lists of package sources aside that older NVIDIA guides wrote and that contradict today's.

A list is kept under its name with ``.disabled`` at the end, which apt passes over without a word. Only whole files of
NVIDIA's are moved; which of two lists is the right one is not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from wizard.host.ports import Host
from wizard.knowledge.toolkit import toolkit
from wizard.model import apt_sources
from wizard.model.apt_sources import Source
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Action, Fix, ReplaceFile
from wizard.model.i18n import _
from wizard.model.machine import FileContent
from wizard.services.checks import packages_sources
from wizard.services.fixes.repair import Repair

ID = packages_sources.FIX


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the plan depends on. ``contents`` are the files that take part in a conflict, ``linked`` those of them
    that are symbolic links, ``taken`` the names under which something lies already.
    """

    sources: tuple[Source, ...]
    contents: dict[str, FileContent]
    linked: frozenset[str]
    taken: frozenset[str]


def plan(host: Host) -> Fix | None:
    """The move; None when NVIDIA's lists do not contradict each other. Raises ``BAD_INPUT`` where it cannot be told
    which of them is the right one.
    """
    facts = gather(host)
    return build(facts)


def gather(host: Host) -> Facts:
    """Looks at everything that the plan depends on; changes nothing."""
    found = packages_sources.sources(host)
    contents: dict[str, FileContent] = {}
    for path in {source.file for group in packages_sources.nvidia_conflicts(found).values() for source in group}:
        content = host.files.read(path)
        if content is not None:
            contents[path] = content
    return Facts(
        sources=found,
        contents=contents,
        linked=frozenset(path for path in contents if host.files.link(path)),
        taken=frozenset(f"{packages_sources.FOLDER}/{name}" for name in host.files.names(packages_sources.FOLDER)),
    )


def build(facts: Facts) -> Fix | None:
    """The plan from the facts, purely. Raises as ``plan`` does."""
    groups = packages_sources.nvidia_conflicts(facts.sources)
    if not groups:
        return None
    going: set[str] = set()
    for group in groups.values():
        going |= _old(facts, group)
    rest = tuple(source for source in facts.sources if source.file not in going)
    if packages_sources.nvidia_conflicts(rest):
        raise _unclear(facts.sources)
    actions: list[Action] = []
    for path in sorted(going):
        content, aside = facts.contents[path], _free(f"{path}.disabled", facts.taken)
        actions += [
            ReplaceFile(
                aside,
                None,
                content.data,
                content.mode,
                needs_root=True,
                why=_("Keeps the old list under another name."),
            ),
            ReplaceFile(
                path, content.data, None, content.mode, needs_root=True, why=_("Takes the old list out of use.")
            ),
        ]
    return Fix(
        id=ID,
        title=_("Put the old NVIDIA package list aside"),
        why=_(
            "Two lists name the same place with different keys, and apt then refuses everything. The list of today's "
            "guide stays; the old one is kept under another name."
        ),
        actions=tuple(actions),
        check=packages_sources.CHECK.id,
        touches_note=_("No package is installed or removed, and no container is touched."),
        undo_note=_("Undo puts the list back, byte for byte. apt refuses everything again then."),
        evidence=tuple(Evidence(path, facts.contents[path].data.decode(errors="replace")) for path in sorted(going)),
    )


def _old(facts: Facts, group: tuple[Source, ...]) -> set[str]:
    """The files of a conflict that go. Raises ``BAD_INPUT`` where that is not plain."""
    files = {source.file for source in group}
    stay = {path for path in files if _stem(path) == toolkit().keep}
    old = {path for path in files if _stem(path) in toolkit().old_lists}
    if not stay:
        # Without today's list, the one that names a key is the newer one.
        stay = {source.file for source in group if source.signed_by}
        old -= stay
    if len(stay) != 1 or not old or files - stay - old or not all(_is_nvidias(facts, path) for path in old):
        raise _unclear(facts.sources)
    return old


def _is_nvidias(facts: Facts, path: str) -> bool:
    """Whether a file names nothing but NVIDIA's packages, and is a file."""
    return path not in facts.linked and all(
        source.host == toolkit().host for source in facts.sources if source.file == path
    )


def _unclear(sources: tuple[Source, ...]) -> Trouble:
    groups = apt_sources.conflicts(sources)
    return Trouble(
        Problem.BAD_INPUT,
        subject=", ".join(sorted({source.file for group in groups.values() for source in group})),
        hint=_("Which of these lines is the right one, the wizard cannot tell: keep one, put a # before the others."),
        evidence=tuple(
            Evidence(source.file, f"{source.uri} {source.suite} signed-by={source.signed_by or '-'}")
            for group in groups.values()
            for source in group
        ),
    )


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _free(path: str, taken: frozenset[str]) -> str:
    """A name that is not taken: an earlier list that was put aside is not overwritten."""
    number = 2
    name = path
    while name in taken:
        name = f"{path.removesuffix('.disabled')}.{number}.disabled"
        number += 1
    return name


REPAIR = Repair(id=ID, plan=plan)
