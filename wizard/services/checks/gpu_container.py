"""Whether a container on this machine really sees the GPU.

A throw-away container is made from an image that is here already, asked for the GPUs as ``up`` asks for them, looked
into and removed: that it starts proves nothing, for the runtime starts containers without any driver, too. It has no
network, cannot write, and ends by itself soon if this program should be killed meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from wizard import __version__
from wizard.host.ports import Host
from wizard.model.container import ContainerSpec, Workspace
from wizard.model.engine import EngineInfo, ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.model.image import LABEL_UNFINISHED
from wizard.model.machine import PathKind
from wizard.services import container
from wizard.services.checks.check import Check

LABEL = "s2s-wizard.probe"
"""Marks the throw-away containers; a leftover is removed at the next look."""
_OURS = "nvcr.io/nvidia/tensorflow:"
_LIVES = 60
"""Seconds after which the container ends by itself."""
_TRIES = 3
_DEVICES = ("/dev/nvidiactl", "/dev/dxg")
"""What gives access to the GPU: the driver's control device, and the one of Windows' Linux (WSL)."""
_LIBRARY = "libnvidia-ml.so"
_NO_PROGRAM = (126, 127)
_NOT_THE_MACHINE = (Problem.NOT_EXECUTABLE, Problem.IMAGE_MISSING)


def _run(host: Host) -> Finding:
    try:
        gpus = bool(host.gpus.report().gpus)
        info = host.engine.info()
    except Trouble:
        gpus = False
    if not gpus:
        return CHECK.finding(Status.SKIPPED, _("Not needed before the GPU works."), blocked_by="gpu.device")
    _tidy(host)
    for image in _images(host, info):
        finding = _look(host, info, image)
        if finding is not None:
            return finding
    return CHECK.finding(Status.INFO, _("Whether a container sees the GPU can be looked at once an image is here."))


def _images(host: Host, info: EngineInfo) -> Iterator[ImageInfo]:
    """Images to look with: NVIDIA's TensorFlow first, then the smallest; only of this kind of processor."""
    listed = sorted(host.engine.images(), key=lambda image: (not _is_ours(image), image.size))
    for image in listed[:_TRIES]:
        known = host.engine.image(image.id)
        if known is not None and known.architecture in ("", info.arch) and LABEL_UNFINISHED not in known.labels:
            yield image


def _is_ours(image: ImageInfo) -> bool:
    return any(tag.startswith(_OURS) for tag in image.tags)


def _look(host: Host, info: EngineInfo, image: ImageInfo) -> Finding | None:
    """What a container of this image sees; None for an image that has no programs to look with."""
    name = image.tags[0]
    device = next((path for path in _DEVICES if _is_here(host, path)), _DEVICES[0])
    try:
        with _running(host, _spec(info, name)) as made:
            there = host.engine.run_in(made, ("ls", device), timeout=10)
            mounts = host.engine.run_in(made, ("cat", "/proc/self/mounts"), timeout=10)
    except Trouble as trouble:
        if trouble.kind in _NOT_THE_MACHINE:
            return None
        return _refused(trouble, name)
    if there.exit_code in _NO_PROGRAM or mounts.exit_code in _NO_PROGRAM:
        return None
    lines = [line for line in mounts.stdout.decode(errors="replace").splitlines() if _LIBRARY in line]
    said = (there.stdout + there.stderr).decode(errors="replace").strip()
    evidence = (
        Evidence(_("in a container of {image}: {command}").format(image=name, command=f"ls {device}"), said),
        Evidence("/proc/self/mounts", "\n".join(lines) or _("no {library}").format(library=_LIBRARY)),
    )
    if there.exit_code == 0 and lines:
        return CHECK.finding(
            Status.OK,
            _("A container on this machine sees the GPU."),
            _("It was tried with a container that is gone again."),
            evidence=evidence,
        )
    return CHECK.finding(
        Status.ERROR,
        _("A container starts, but it does not see the GPU.")
        if there.exit_code != 0
        else _("A container gets the GPU, but not the driver's library."),
        _("The runtime did not do its work. Look at the toolkit's settings and whether its parts fit together."),
        evidence=evidence,
        causes=("runtime-false-ok", "ngc-no-driver"),
    )


def _refused(trouble: Trouble, image: str) -> Finding:
    trouble.evidence = (*trouble.evidence, Evidence(_("image"), image))
    return CHECK.trouble(trouble)


def _spec(info: EngineInfo, image: str) -> ContainerSpec:
    asked = container.spec_for(info, Workspace(data="/", name=f"s2s-wizard-look-{secrets.token_hex(4)}"), image)
    return replace(
        asked,
        entrypoint=("sleep",),
        command=(str(_LIVES),),
        mounts=(),
        labels={LABEL: __version__},
        # Whether this image wants a newer driver is not the question here.
        env={**asked.env, "NVIDIA_DISABLE_REQUIRE": "true"},
        memlock=False,
        shm=64 * 2**20,
        network="none",
        read_only=True,
        auto_remove=True,
    )


@contextmanager
def _running(host: Host, spec: ContainerSpec) -> Iterator[str]:
    """The id of a container that runs; it is gone afterwards, whatever happens."""
    made = host.engine.create(spec)
    try:
        host.engine.start(made)
        yield made
    finally:
        with suppress(Trouble):
            host.engine.remove(made, force=True)


def _tidy(host: Host) -> None:
    """Removes what a program that was killed has left; one that is young may be another wizard's, which is looking."""
    with suppress(Trouble):
        for found in host.engine.containers(all=True):
            if LABEL in found.labels and _age(found.created) > timedelta(seconds=2 * _LIVES):
                host.engine.remove(found.id, force=True)


def _age(created: str) -> timedelta:
    try:
        # Docker tells nanoseconds, which Python 3.10 does not read; whole seconds are enough.
        made = datetime.fromisoformat(created[:19]).replace(tzinfo=timezone.utc)
    except ValueError:
        return timedelta.max
    return datetime.now(timezone.utc) - made


def _is_here(host: Host, path: str) -> bool:
    try:
        return host.files.info(path).kind is not PathKind.MISSING
    except Trouble:
        return False


CHECK = Check(
    id="gpu.container",
    title=N_("GPU in a container"),
    requires=("gpu.device", "toolkit.config", "runtime.registered"),
    timeout=45.0,
    run=_run,
    decides=("runtime-false-ok", "ngc-no-driver"),
)
