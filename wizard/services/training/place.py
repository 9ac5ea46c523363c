"""The container that trains, and the folder of this machine that it sees at /data."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET, LABEL_GPUS, ContainerInfo, GpuChoice
from wizard.model.errors import Problem, Trouble
from wizard.model.gpu import GpuReading
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.model.training.plan import Machine
from wizard.services import shell


@dataclass(frozen=True, slots=True)
class Place:
    """A running container and its data folder, ``data``, on this machine. ``notes`` are translated sentences."""

    container: ContainerInfo
    data: str
    notes: tuple[str, ...] = ()

    def outside(self, path: str) -> str:
        """Where a path of the container below /data lies on this machine. Raises ``BAD_INPUT`` for any other."""
        inner = posixpath.normpath(path)
        if inner != DATA_TARGET and not inner.startswith(f"{DATA_TARGET}/"):
            raise Trouble(Problem.BAD_INPUT, subject=path, hint=_("It has to be inside the data folder, /data."))
        return posixpath.normpath(posixpath.join(self.data, posixpath.relpath(inner, DATA_TARGET)))

    def inside(self, path: str) -> str | None:
        """Where a path of this machine stands in the container; None for one outside the data folder."""
        relative = posixpath.relpath(posixpath.normpath(path), self.data)
        if relative == ".." or relative.startswith("../"):
            return None
        return posixpath.normpath(posixpath.join(DATA_TARGET, relative))


def of(container: ContainerInfo) -> Place | None:
    """A container as it is, running or not; None for one without a data folder."""
    data = next((mount.source for mount in container.mounts if mount.target == DATA_TARGET), "")
    return Place(container, posixpath.normpath(data)) if data else None


def gpus(container: ContainerInfo) -> GpuChoice:
    """The GPUs that the container was made with: all, where that is not known."""
    try:
        return GpuChoice.parse(container.labels.get(LABEL_GPUS, "all"))
    except Trouble:
        return GpuChoice()


def machine(host: Host, container: ContainerInfo | None, *, horovod: bool = True) -> Machine:
    """What a training finds: the GPUs of the container, of this machine where there is no container yet, as the driver
    tells them; none where it does not answer.
    """
    choice = gpus(container) if container is not None else GpuChoice()
    try:
        found = [gpu for gpu in host.gpus.report().gpus if gpu.index in choice]
    except Trouble:
        found = []
    return Machine(
        gpus=len(found),
        memory=min((gpu.memory for gpu in found), default=None),
        capability=min((gpu.capability for gpu in found if gpu.capability), default=None),
        horovod=horovod,
    )


def readings(host: Host, container: ContainerInfo) -> tuple[GpuReading, ...]:
    """What the GPUs of the container do now; none where it has none, or the driver does not answer."""
    choice = gpus(container)
    return tuple(reading for reading in host.gpus.readings() if reading.index in choice)


def find(host: Host, name: str) -> Place:
    """The container ``name``, started if it is ours and has stopped.

    Raises ``NO_DATA_FOLDER`` for a container without one on this machine, ``FILE_READ_ONLY`` for one that may not write
    there, and what ``shell.prepare`` raises.
    """
    plan = shell.prepare(host, name, ("true",), tty=False)
    mount = next((mount for mount in plan.container.mounts if mount.target == DATA_TARGET), None)
    if mount is None or host.files.info(mount.source).kind is not PathKind.DIRECTORY:
        raise Trouble(Problem.NO_DATA_FOLDER, subject=plan.container.name)
    if mount.read_only:
        hint = _('The container may only read its data folder. Make another one that may write: "s2s-wizard up".')
        raise Trouble(Problem.FILE_READ_ONLY, subject=mount.target, hint=hint)
    return Place(plan.container, posixpath.normpath(mount.source), plan.notes)
