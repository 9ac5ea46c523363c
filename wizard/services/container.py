"""The container: made once, found again every other time, and looked at from the inside.

Only containers that carry our label are ever started, replaced or removed.
"""

from __future__ import annotations

import csv
import io
import posixpath
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wizard import __version__
from wizard.host.ports import Host
from wizard.model.container import (
    DATA_TARGET,
    GIB,
    KEEP_ALIVE,
    LABEL,
    LABEL_GPUS,
    LABEL_IMAGE,
    READY,
    ContainerInfo,
    ContainerSpec,
    Mount,
    Workspace,
    check_name,
)
from wizard.model.engine import EngineInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Emit, Finished, Line, Started, ignore
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import _
from wizard.services.workspace import prepare

RUNTIME = "nvidia"
_SETTLE_SECONDS = 5.0
"""How long a container may take to say that it is ready. NVIDIA's entry point looks at the GPU first, and a busy
machine is slow; a container that is ready says so at once."""
_HALF_TRIES = 10
NEVER_RAN = ("created", "dead", "removing")
# Why a stopped container cannot start although nothing is wrong with the container itself. It is kept then: what its
# user installed in it must not be lost to a missing runtime or a full disk.
NOT_ITS_FAULT = frozenset(
    {
        Problem.RUNTIME_UNKNOWN,
        Problem.RUNTIME_BROKEN,
        Problem.GPU_DRIVER_NOT_SELECTED,
        Problem.DISK_FULL,
        Problem.ENGINE_MISSING,
        Problem.ENGINE_REFUSED,
        Problem.ENGINE_PERMISSION,
        Problem.ENGINE_TIMEOUT,
        Problem.ENGINE_LOST,
        Problem.ENGINE_ADDRESS,
        Problem.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class Up:
    """The container as it stands now. ``action`` is ``created``, ``started`` or ``reused``.

    ``data`` is the folder of this machine that it really sees at /data; ``notes`` are translated sentences about
    what is not as it was asked for.
    """

    name: str
    id: str
    image: str
    action: str
    data: str
    notes: tuple[str, ...] = ()


def up(host: Host, workspace: Workspace, image: str, emit: Emit = ignore) -> Up:
    """Makes the container, or finds the one that is there, and leaves it running.

    Raises ``NAME_TAKEN`` for somebody else's container (which is never touched), ``IMAGE_MISSING``,
    ``CONTAINER_EXITED``, ``NO_SHELL``, and what the engine refuses. A container of ours that could not be started
    is gone afterwards, so that its name is free. The data folder is made when a container is about to use it, and not
    before everything else is there.
    """
    check_name(workspace.name)
    there = _named(host, workspace.name)
    if there is None:
        return _create(host, workspace, image, (), emit)
    if LABEL not in there.labels:
        raise _taken(host, there)
    if there.state == "paused":
        hint = _('It is paused. Wake it with "docker unpause {name}".').format(name=there.name)
        raise Trouble(Problem.CONTAINER_NOT_RUNNING, subject=there.name, hint=hint)
    if there.running:
        emit(Finished(_('The container "{name}" is running already.').format(name=there.name)))
        return _as_found(host, there, workspace, image, "reused")
    why = _("It was made, but it never ran.")
    if there.state not in NEVER_RAN:
        emit(Started(_('Starting the container "{name}" again.').format(name=there.name)))
        prepare(host, workspace)
        try:
            start(host, there.id, there.name)
        except Trouble as trouble:
            if trouble.kind in NOT_ITS_FAULT:
                trouble.hint = trouble.hint or _("The container is kept. With another name you get a new one.")
                raise
            why = trouble.text or trouble.kind.value
        else:
            emit(Finished(_('The container "{name}" is running.').format(name=there.name)))
            return _as_found(host, there, workspace, image, "started")
    note = _('The old container "{name}" could not be used and was replaced: {why}').format(name=there.name, why=why)
    emit(Line(note))
    host.engine.remove(there.id, force=True)
    return _create(host, workspace, image, (note,), emit)


def stop(host: Host, name: str) -> None:
    """Stops the container ``name`` if it is ours, and with it what runs inside; ``up`` starts it again.

    That gives a GPU back which a running container has lost: ``systemctl daemon-reload`` takes it away. Raises
    ``CONTAINER_MISSING``, ``NAME_TAKEN`` and engine kinds.
    """
    there = _named(host, name)
    if there is None:
        raise Trouble(Problem.CONTAINER_MISSING, subject=name)
    if LABEL not in there.labels:
        raise _taken(host, there)
    host.engine.stop(there.id)


def spec_for(engine: EngineInfo, workspace: Workspace, image: str) -> ContainerSpec:
    """What the engine is told: the flags that NVIDIA advises for its TensorFlow images, and our labels.

    GPUs come through the runtime ``nvidia`` where the engine knows it, because that needs no restart of the engine
    after the toolkit was installed; otherwise through a device request (``--gpus``).
    """
    gpus = workspace.gpus
    with_runtime = gpus.any and RUNTIME in engine.runtimes
    # "void" keeps GPUs out even where nvidia is the default runtime and the image asks for them.
    env = {"NVIDIA_VISIBLE_DEVICES": "void"}
    if gpus.any:
        env = {"NVIDIA_VISIBLE_DEVICES": str(gpus)} if with_runtime else {}
        env["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"
    return ContainerSpec(
        name=workspace.name,
        image=image,
        command=KEEP_ALIVE,
        mounts=(Mount(workspace.data, DATA_TARGET),),
        labels={LABEL: __version__, LABEL_IMAGE: image, LABEL_GPUS: str(gpus)},
        env=env,
        gpus=gpus,
        runtime=RUNTIME if with_runtime else None,
        device_request=gpus.any and not with_runtime,
        shm=workspace.shm,
    )


def command_line(spec: ContainerSpec) -> tuple[str, ...]:
    """The ``docker run`` that does the same, for a person to type."""
    argv = ["docker", "run", "--detach", "--name", spec.name]
    if spec.runtime:
        argv += ["--runtime", spec.runtime]
    if spec.device_request:
        # The inner quotes are for docker's own parser, which splits the value at commas.
        argv += ["--gpus", "all" if spec.gpus.all else f'"device={spec.gpus}"']
    argv += ["--shm-size", _size(spec.shm)]
    if spec.memlock:
        argv += ["--ulimit", "memlock=-1"]
    argv += ["--ulimit", f"stack={spec.stack}"]
    for mount in spec.mounts:
        fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
        argv += ["--mount", _comma_separated([*fields, *(["readonly"] if mount.read_only else [])])]
    for name, value in spec.env.items():
        argv += ["--env", f"{name}={value}"]
    for name, value in spec.labels.items():
        argv += ["--label", f"{name}={value}"]
    return (*argv, spec.image, *spec.command)


def to_json(up: Up) -> dict[str, Any]:
    """The document of ``s2s-wizard up --json``."""
    return {
        "schema_version": 1,
        "name": up.name,
        "id": up.id,
        "image": up.image,
        "action": up.action,
        "data": up.data,
        "notes": list(up.notes),
    }


# --- the GPU as seen from inside ---------------------------------------------------------------------------------


def look_inside(host: Host, name: str) -> tuple[Finding, ...]:
    """Whether the container ``name`` sees the GPU: the device file, then what ``nvidia-smi`` lists.

    That a container starts with the runtime ``nvidia`` proves nothing: it does so without any driver, too. Raises
    ``CONTAINER_MISSING``, ``CONTAINER_NOT_RUNNING`` and engine kinds.
    """
    container = _named(host, name)
    if container is None:
        raise Trouble(Problem.CONTAINER_MISSING, subject=name)
    title = _("GPU in the container")
    if container.labels.get(LABEL_GPUS) == "none":
        return (
            Finding(
                "container.gpu",
                Status.INFO,
                title,
                _("This container was made without a GPU."),
                detail=_("Everything works in it, on the processor alone: training takes many times longer."),
            ),
        )
    device = _device(host, container.id, title)
    return (device,) if device.status is Status.ERROR else (device, _listed(host, container.id))


def _device(host: Host, container_id: str, title: str) -> Finding:
    argv = ("ls", "/dev/nvidiactl")
    result = host.engine.run_in(container_id, argv, timeout=10)
    evidence = (_ran(argv, result.exit_code, result.stdout + result.stderr),)
    if result.exit_code == 0:
        return Finding("container.device", Status.OK, title, _("The GPU's device is there."), evidence=evidence)
    return Finding(
        "container.device",
        Status.ERROR,
        title,
        _("The container runs, but it got no GPU."),
        detail=_("Run the check-up: it looks at the driver and at the runtime that gives containers the GPU."),
        evidence=evidence,
    )


def _listed(host: Host, container_id: str) -> Finding:
    title = _("GPUs that the container sees")
    argv = ("nvidia-smi", "-L")
    try:
        result = host.engine.run_in(container_id, argv, timeout=30)
    except Trouble as trouble:
        if trouble.kind is not Problem.COMMAND_TIMEOUT:
            raise
        return Finding("container.gpu", Status.UNKNOWN, title, _("The driver did not answer within 30 seconds."))
    evidence = (_ran(argv, result.exit_code, result.stdout + result.stderr),)
    text = result.stdout.decode(errors="replace")
    names = [line.split(" (UUID", 1)[0] for line in text.splitlines() if line.startswith("GPU ")]
    if result.exit_code == 0 and names:
        return Finding("container.gpu", Status.OK, title, "; ".join(names), evidence=evidence)
    if result.exit_code in (126, 127):
        return Finding(
            "container.gpu",
            Status.WARNING,
            title,
            _("The program nvidia-smi is not in the container, so the GPUs cannot be listed."),
            evidence=evidence,
        )
    return Finding(
        "container.gpu",
        Status.ERROR,
        title,
        _("The container has the GPU's device, but the driver does not answer in it."),
        detail=_("Often the driver was updated and the machine has not been restarted since."),
        evidence=evidence,
    )


def _ran(argv: tuple[str, ...], code: int, output: bytes) -> Evidence:
    text = output.decode(errors="replace").strip()
    return Evidence(" ".join(argv), f"{text} (exit status {code})".strip())


# --- making and starting -----------------------------------------------------------------------------------------


def _create(host: Host, workspace: Workspace, image: str, notes: tuple[str, ...], emit: Emit) -> Up:
    if host.engine.image(image) is None:
        raise Trouble(Problem.IMAGE_MISSING, subject=image)
    prepare(host, workspace)
    spec = spec_for(host.engine.info(), workspace, image)
    emit(Started(_('Making the container "{name}".').format(name=spec.name)))
    try:
        container_id = _made(host, spec)
    except Trouble as trouble:
        if trouble.kind is not Problem.RLIMIT_REFUSED:
            raise
        note = _("Docker here does not allow unlimited locked memory (memlock), so the container was made without it.")
        emit(Line(note))
        notes = (*notes, note)
        spec = spec.without_memlock()
        container_id = _made(host, spec)
    emit(Finished(_('The container "{name}" is running.').format(name=spec.name)))
    return Up(spec.name, container_id, image, "created", workspace.data, notes)


def _made(host: Host, spec: ContainerSpec) -> str:
    """A new container, created and running. Whatever goes wrong, Ctrl-C included, none is left behind."""
    container_id = ""
    try:
        container_id = host.engine.create(spec)
        start(host, container_id, spec.name)
    except BaseException as error:
        if not (isinstance(error, Trouble) and error.kind is Problem.NAME_TAKEN):
            _clear_away(host, container_id, spec, interrupted=not isinstance(error, Trouble))
        if isinstance(error, Trouble) and error.kind is Problem.NOT_EXECUTABLE and _has_no_shell(host, spec):
            raise Trouble(
                Problem.NO_SHELL, error.text, subject=spec.image, hint=error.hint, evidence=error.evidence
            ) from error
        raise
    return container_id


def _clear_away(host: Host, container_id: str, spec: ContainerSpec, *, interrupted: bool) -> None:
    """Removes the container that was being made. Its id is not known when the request itself was cut off."""
    with suppress(Trouble):  # the failure that led here says more than the one of tidying up after it
        for _try in range(_HALF_TRIES):
            if container_id:
                return host.engine.remove(container_id, force=True)
            half = _named(host, spec.name)
            if half is not None and half.state == "created" and LABEL in half.labels:
                container_id = half.id
            elif half is None and interrupted:
                time.sleep(0.05)  # the engine may still be at it
            else:
                return None
    return None


def _has_no_shell(host: Host, spec: ContainerSpec) -> bool:
    """Without an entry point of the image, what could not be run was our own command."""
    image = host.engine.image(spec.image)
    return image is not None and not image.entrypoint


def start(host: Host, container_id: str, name: str) -> None:
    """Starts a container and waits until it is plain that it stays. Raises ``CONTAINER_EXITED``."""
    before = _times_ready(host, container_id)
    host.engine.start(container_id)
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        info = host.engine.container(container_id)
        if info is None or not info.running:
            raise _exited(host, container_id, name, info)
        if time.monotonic() > deadline or _times_ready(host, container_id) > before:
            return
        time.sleep(0.05)


def _times_ready(host: Host, container_id: str) -> int:
    """How often the container's command has begun; always 0 where the engine keeps no logs that can be read."""
    try:
        return host.engine.logs(container_id, 200).count(READY)
    except Trouble as trouble:
        if trouble.kind is not Problem.ENGINE_OTHER:
            raise
        return 0


def _exited(host: Host, container_id: str, name: str, info: ContainerInfo | None) -> Trouble:
    said = host.engine.logs(container_id, 20).strip() if info is not None else ""
    code = info.exit_code if info is not None else 0
    evidence = [Evidence(f"docker inspect {name}", (info.error if info else "") or f"exit status {code}")]
    if said:
        evidence.insert(0, Evidence(f"docker logs {name}", said))
    return Trouble(
        Problem.CONTAINER_EXITED,
        said.splitlines()[-1] if said else f"exit status {code}",
        subject=name,
        evidence=tuple(evidence),
    )


# --- what is there -----------------------------------------------------------------------------------------------


def _named(host: Host, name: str) -> ContainerInfo | None:
    """The container of exactly that name: the engine also answers to the beginning of an id."""
    info = host.engine.container(name)
    return info if info is not None and info.name == name else None


def _taken(host: Host, there: ContainerInfo) -> Trouble:
    names = {other.name for other in host.engine.containers(all=True)}
    free = next(name for number in range(2, len(names) + 3) if (name := f"{there.name}-{number}") not in names)
    told = _("image {image}, {state}, made {when}").format(image=there.image, state=there.state, when=there.created)
    return Trouble(
        Problem.NAME_TAKEN,
        subject=there.name,
        hint=_('The name "{name}" is free.').format(name=free),
        evidence=(Evidence(f"docker inspect {there.name}", told),),
    )


def _as_found(host: Host, there: ContainerInfo, workspace: Workspace, image: str, action: str) -> Up:
    """A container that was there, with a note for everything that is not as it was asked for now."""
    notes = []
    made_from = there.labels.get(LABEL_IMAGE, there.image)
    newest = host.engine.image(image)
    if made_from != image:
        notes.append(
            _("This container was made from {old}, not from {new}. For the other image, choose another name.").format(
                old=made_from, new=image
            )
        )
    elif newest is not None and newest.id != there.image_id:
        notes.append(
            _("The image has been renewed since this container was made. For the new image, choose another name.")
        )
    data = next((mount.source for mount in there.mounts if mount.target == DATA_TARGET), "")
    if posixpath.normpath(data) != posixpath.normpath(workspace.data):
        notes.append(
            _("This container's data folder is {old}, not {new}. For the other folder, choose another name.").format(
                old=data or "-", new=workspace.data
            )
        )
    gpus = there.labels.get(LABEL_GPUS, str(workspace.gpus))
    if gpus != str(workspace.gpus):
        notes.append(
            _("This container was made with GPUs: {old}, not {new}. For the other choice, choose another name.").format(
                old=gpus, new=workspace.gpus
            )
        )
    return Up(there.name, there.id, made_from, action, data, tuple(notes))


def _size(amount: int) -> str:
    """Bytes as docker's options take them."""
    for unit, letter in ((GIB, "g"), (1024**2, "m")):
        if amount >= unit and amount % unit == 0:
            return f"{amount // unit}{letter}"
    return str(amount)


def _comma_separated(fields: list[str]) -> str:
    """Fields as docker's ``--mount`` reads them: a line of CSV, so that a path may have a comma."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
