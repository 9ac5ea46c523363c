"""Removes what Docker keeps and nobody needs: images without a name, and the cache of builds.

Everything else that could go is named with its size and its command, and left to the person. Images that a container
uses, containers that run, and volumes (they hold data) are not even named.
"""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.disk_usage import DiskUsage, StoredImage
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Fix, RunCommand
from wizard.model.i18n import _, ngettext
from wizard.services.checks import disk_space
from wizard.services.checks.check import gigabytes
from wizard.services.checks.network_registry import REPOSITORY
from wizard.services.fixes.repair import Repair

ID = disk_space.FIX
_SECONDS = 900.0
_MOST = 8
"""How many other things are named."""
_WORTH = 50_000_000
"""Bytes below which a thing is not worth a line."""


def plan(host: Host) -> Fix | None:
    """The safest selection; None when there is nothing that could go.

    Raises what the engine raises, ``COMMAND_MISSING`` without the docker command, ``ENGINE_OTHER`` for a Docker whose
    disk is not this machine's, and ``DISK_FULL`` with the list when all that could go is somebody's.
    """
    info = host.engine.info()
    if info.kind in (EngineKind.REMOTE, EngineKind.DESKTOP):
        hint = _("The disk of this Docker is not a disk of this machine.")
        raise Trouble(Problem.ENGINE_OTHER, subject=info.name, hint=hint)
    usage = host.engine.disk_usage()
    others = _others(usage)
    actions = _actions(usage)
    if not actions:
        if not others:
            return None
        raise Trouble(
            Problem.DISK_FULL,
            subject=info.root_dir,
            hint=_("Docker keeps nothing that nobody needs. What you could remove yourself stands below."),
            evidence=tuple(Evidence(command, size) for command, size in others),
        )
    if host.commands.which("docker") is None:
        raise Trouble(Problem.COMMAND_MISSING, subject="docker")
    return Fix(
        id=ID,
        title=_("Free disk space that Docker does not need ({size})").format(size=gigabytes(disk_space.safe(usage))),
        why=_why(others),
        actions=actions,
        check=disk_space.CHECK.id,
        touches_note=_("No container is touched, whether it runs or not, and no image that has a name."),
        undo_note=_("What is removed cannot be put back; builds make it again when they need it."),
        evidence=tuple(Evidence(command, size) for command, size in others),
    )


def _actions(usage: DiskUsage) -> tuple[RunCommand, ...]:
    nameless = [image for image in usage.images if not image.tags and not image.in_use]
    actions = []
    if nameless:
        actions.append(
            RunCommand(
                ("docker", "image", "prune", "--force"),
                timeout=_SECONDS,
                why=ngettext(
                    "Removes {number} image without a name, a leftover of builds and updates ({size}).",
                    "Removes {number} images without a name, leftovers of builds and updates ({size}).",
                    len(nameless),
                ).format(number=len(nameless), size=gigabytes(sum(image.size for image in nameless))),
            )
        )
    if usage.build_cache:
        actions.append(
            RunCommand(
                ("docker", "builder", "prune", "--force"),
                timeout=_SECONDS,
                why=_("Empties the cache of builds ({size}).").format(size=gigabytes(usage.build_cache)),
            )
        )
    return tuple(actions)


def _others(usage: DiskUsage) -> tuple[tuple[str, str], ...]:
    """What a person could decide to remove: the command and what it would free, the largest first."""
    found = [
        (image.size, f"docker image rm {image.tags[0]}")
        for image in usage.images
        if image.tags and not image.in_use and not _is_ours(image)
    ]
    found += [(item.size, f"docker rm {item.name}") for item in usage.containers if not item.running]
    found = sorted((pair for pair in found if pair[0] >= _WORTH), reverse=True)
    return tuple((command, gigabytes(size)) for size, command in found[:_MOST])


def _is_ours(image: StoredImage) -> bool:
    """The very image that the room is made for."""
    return any(tag.startswith(f"{REPOSITORY}:") for tag in image.tags)


def _why(others: tuple[tuple[str, str], ...]) -> str:
    text = _("Builds and updates leave things behind that nothing uses any more. They are removed by Docker itself.")
    if not others:
        return text
    listed = "\n".join(f"  {command}   ({size})" for command, size in others)
    return _(
        "{text} These could go as well, but only you know whether they are still needed; the wizard does not touch "
        "them:\n{list}"
    ).format(text=text, list=listed)


REPAIR = Repair(id=ID, plan=plan)
