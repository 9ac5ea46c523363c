"""The containers that this program has made, and which of them can only be removed."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.container import LABEL, ContainerInfo
from wizard.model.engine_text import of_container
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.services.container import NEVER_RAN, NOT_ITS_FAULT

FIX = "remove-own-container"
"""The repair that removes them."""


def is_ours(container: ContainerInfo) -> bool:
    """Whether this program made the container."""
    return LABEL in container.labels


def is_broken(container: ContainerInfo) -> bool:
    """Whether it is a container of ours that cannot be used as it is: it never ran, or it cannot be started by a fault
    of its own.
    """
    if not is_ours(container) or container.running:
        return False
    if container.state in NEVER_RAN:
        return container.state != "removing"
    return bool(container.error) and of_container(container.error) not in (None, *NOT_ITS_FAULT)


def broken(host: Host) -> tuple[ContainerInfo, ...]:
    """Our containers that can be removed without losing anything that works, by name. Raises engine kinds."""
    found = (container for container in host.engine.containers(all=True) if is_broken(container))
    return tuple(sorted(found, key=lambda container: container.name))


def told(container: ContainerInfo) -> Evidence:
    """What the engine says about a container."""
    said = _("image {image}, {state}, made {when}").format(
        image=container.image, state=container.state, when=container.created
    )
    return Evidence(f"docker inspect {container.name}", f"{said}\n{container.error}" if container.error else said)
