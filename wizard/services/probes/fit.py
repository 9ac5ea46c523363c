"""Whether the images and containers that are here fit the GPU and the driver of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wizard.host.ports import Host
from wizard.knowledge.images import KnownImage, load, version
from wizard.model.cause import Match
from wizard.model.container import LABEL, ContainerInfo
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.services.checks.network_registry import REPOSITORY
from wizard.services.probes.probe import Proof

_SECONDS = 4.0
_LITTLE = 65_536
"""Kilobytes: what Docker gives a container for shared memory unless it is told otherwise."""


def gpu_not_known(host: Host, _match: Match) -> Proof | None:
    """Whether one of NVIDIA's TensorFlow images here has no code for a GPU of this machine."""
    gpus = [(gpu.name, gpu.capability) for gpu in host.gpus.report().gpus if gpu.capability is not None]
    found = [
        (f"{image.tag}: {name}", image.knows(capability))
        for image in _images(host)
        for name, capability in gpus
        if capability is not None
    ]
    return _of(found)


def driver_too_old(host: Host, _match: Match) -> Proof | None:
    """Whether one of the images here wants a newer driver. Images of 2018 say so of newer drivers too, by mistake."""
    report = host.gpus.report()
    centre = any(load().is_data_center(gpu.name) for gpu in report.gpus)
    driver = version(report.driver)
    found = [
        (_("{tag} needs driver {wanted}, here is {driver}").format(
            tag=image.tag, wanted=image.driver, driver=report.driver
        ), image.runs_with(driver, data_center=centre))
        for image in _images(host)
    ]  # fmt: skip
    proof = _of(found)
    if proof is None or proof.holds:
        return proof
    note = _("Your driver is new enough: images of 2018 cannot read the version of a newer driver. It does no harm.")
    return Proof(False, proof.evidence, (), note)


def cuda_too_new(host: Host, match: Match) -> Proof | None:
    """Whether the driver supports an older CUDA than the text asks for."""
    wanted = re.search(r"cuda\s*>=\s*(\d+(?:\.\d+)?)", match.text)
    cuda = host.gpus.report().cuda
    if wanted is None or not cuda:
        return None
    seen = Evidence("NVML", _("CUDA up to {cuda}; wanted: {wanted}").format(cuda=cuda, wanted=wanted[1]))
    return Proof(version(cuda) < version(wanted[1]), (seen,))


def lost_in_container(host: Host, _match: Match) -> Proof | None:
    """Whether a container of ours that runs has lost its GPU, although the driver of the machine answers."""
    host.gpus.report()
    for box in _ours(host):
        result = host.engine.run_in(box.id, ("nvidia-smi", "-L"), timeout=_SECONDS)
        said = (result.stdout + result.stderr).decode(errors="replace").strip()
        seen = Evidence(_("in the container {name}: {command}").format(name=box.name, command="nvidia-smi -L"), said)
        if "Unknown Error" in said:
            return Proof(True, (seen,))
        if result.exit_code == 0:
            return Proof(False, (seen,))
    return None


def little_shared_memory(host: Host, _match: Match) -> Proof | None:
    """Whether a container of ours that runs has no more shared memory than Docker gives by itself."""
    for box in _ours(host):
        result = host.engine.run_in(box.id, ("df", "-k", "/dev/shm"), timeout=_SECONDS)  # noqa: S108 - in the container
        said = result.stdout.decode(errors="replace").strip()
        size = re.search(r"^\S+\s+(\d+)\s", said.splitlines()[-1]) if result.exit_code == 0 and said else None
        if size is not None:
            name = _("in the container {name}: {command}").format(name=box.name, command="df -k /dev/shm")
            return Proof(int(size[1]) <= _LITTLE, (Evidence(name, said),))
    return None


def _of(found: list[tuple[str, bool]]) -> Proof | None:
    """A proof from what fits and what does not; None where there was nothing to look at."""
    if not found:
        return None
    bad = [text for text, fits in found if not fits]
    return Proof(bool(bad), tuple(Evidence(REPOSITORY, text) for text in bad or [text for text, _fits in found]))


def _images(host: Host) -> Iterator[KnownImage]:
    """NVIDIA's TensorFlow images in the engine, as far as they are known."""
    known = {image.tag: image for image in load().images}
    for image in host.engine.images():
        for name in image.tags:
            repository, _colon, tag = name.rpartition(":")
            if repository == REPOSITORY and tag in known:
                yield known[tag]


def _ours(host: Host) -> tuple[ContainerInfo, ...]:
    """The containers that this program made and that run."""
    return tuple(box for box in host.engine.containers() if LABEL in box.labels)
