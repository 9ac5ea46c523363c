"""Which image fits the GPU and the driver, and what fetching it would take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wizard.host.ports import Host
from wizard.knowledge.images import Capability, Images, KnownImage, Version, load, version
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import N_, _
from wizard.model.image import ImageReference, Manifest
from wizard.model.machine import EngineInfo, EngineKind, Gpu, GpuReport, ImageInfo
from wizard.model.secret import Secret

ROOM = 3
"""A pull needs about that many times the compressed size: the archive, and the unpacked files."""
_CONTAINERD = "/var/lib/containerd"
_NEWEST_DRIVER: Version = (9999,)
_OPENSEQ2SEQ_NEEDS: Version = (1, 10)
_NEW_PYTHON: Version = (3, 8)

UNREACHABLE = frozenset(
    {
        Problem.REGISTRY_UNREACHABLE,
        Problem.REGISTRY_TROUBLE,
        Problem.REGISTRY_HTTP,
        Problem.DNS,
        Problem.TLS,
        Problem.PROXY,
    }
)
"""Kinds that say nothing about the image: only this program could not ask the registry. Docker has a network of its
own (a proxy, certificates, insecure registries) and may succeed.
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """One image to choose. ``reason`` is translated; ``confidence`` is good, probable, low, unknown, or cpu."""

    image: str
    tag: str
    reason: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What is recommended (None: nothing fits), what else is possible, and translated lines to be read with it.

    ``gpu`` is the GPU that decided, ``driver`` the version of the NVIDIA driver ("" where there is none).
    """

    recommended: Choice | None
    alternatives: tuple[Choice, ...]
    advice: tuple[str, ...]
    gpu: Gpu | None
    driver: str = ""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What a pull of an image would take, in bytes.

    ``here`` is the image if it is on this machine, and the same as in the registry as far as that could be asked.
    ``manifest`` is None where it could not; then ``bytes_total`` is None too. ``disk_needed`` is about what Docker
    needs while it unpacks. ``disk_free`` is None where it cannot be told.
    """

    reference: ImageReference
    manifest: Manifest | None
    here: ImageInfo | None
    bytes_total: int | None
    bytes_here: int
    disk_needed: int
    disk_free: int | None


def recommend(report: GpuReport | None) -> Advice:
    """The image for these GPUs and this driver; None stands for a machine without an NVIDIA driver.

    Of several GPUs the newest one that has an image decides.
    """
    images = load()
    if report is None or not report.gpus:
        return Advice(_for_cpu(images), (), (_sentence("no-gpu"),), None, report.driver if report else "")
    known = [(gpu, gpu.capability) for gpu in report.gpus if gpu.capability is not None]
    if not known:
        return _unknown(images, report)
    newest_first = sorted(known, key=lambda pair: pair[1], reverse=True)
    offers = [_for_one(images, gpu, capability, report.driver) for gpu, capability in newest_first]
    offer = next((item for item in offers if item.recommended), offers[0])
    return Advice(
        offer.recommended,
        offer.alternatives,
        offer.advice + _left_out(images, offer.recommended, report.gpus),
        offer.gpu,
        report.driver,
    )


def known() -> tuple[Choice, ...]:
    """Every TensorFlow 1 image that is known, newest first."""
    return tuple(_alternative(image) for image in reversed(load().images))


def to_json(advice: Advice) -> dict[str, Any]:
    """The document of ``s2s-wizard image --json``."""
    gpu = advice.gpu
    return {
        "gpu": None
        if gpu is None
        else {
            "index": gpu.index,
            "name": gpu.name,
            "memory_bytes": gpu.memory,
            "capability": ".".join(map(str, gpu.capability)) if gpu.capability else None,
            "driver": advice.driver,
        },
        "recommended": None if advice.recommended is None else _choice_json(advice.recommended),
        "alternatives": [_choice_json(choice) for choice in advice.alternatives],
        "advice": list(advice.advice),
    }


def inspect(host: Host, text: str, key: Secret | None) -> ImagePlan:
    """Asks the registry and the engine about an image.

    Raises ``Trouble``: a bad name, what the registry says about the image or the key, the engine's kinds. That the
    registry cannot be reached is raised only if the image is not here already.
    """
    reference = ImageReference.parse(text)
    info = host.engine.info()
    here = host.engine.image(str(reference))
    manifest: Manifest | None = None
    try:
        manifest = host.registry.manifest(reference, key, info.arch or "amd64")
    except Trouble as trouble:
        if trouble.kind not in UNREACHABLE or here is None:
            raise
    if here is not None and manifest is not None and not is_same(here, manifest.digest, manifest.config_digest):
        here = None
    total = manifest.download_size if manifest else None
    return ImagePlan(
        reference=reference,
        manifest=manifest,
        here=here,
        bytes_total=total,
        bytes_here=total or 0 if here else 0,
        disk_needed=0 if here or total is None else ROOM * total,
        disk_free=_free(host, info),
    )


def is_same(image: ImageInfo, *digests: str) -> bool:
    """Whether an image of the engine is the one that the registry describes by ``digests``.

    The manifest's digest stands in RepoDigests after a pull. The id is the digest of the configuration on graph drivers
    and of the manifest on the containerd store; either covers the whole content.
    """
    return bool({image.id, *(item.rpartition("@")[2] for item in image.repo_digests)} & set(filter(None, digests)))


def _free(host: Host, info: EngineInfo) -> int | None:
    """Bytes that are free where the engine keeps images; None where they are on another machine."""
    if info.kind in (EngineKind.REMOTE, EngineKind.DESKTOP) or not info.root_dir:
        return None
    try:
        return host.files.disk(_CONTAINERD if info.containerd_store else info.root_dir).free
    except Trouble:
        return None


# --- the decision ---


def _for_one(images: Images, gpu: Gpu, capability: Capability, driver: str) -> Advice:
    """What fits one GPU. A driver whose version is not known is taken for a new one."""
    installed = version(driver) or _NEWEST_DRIVER
    family = images.family(capability)
    rule = family.rule(installed)
    data_center = images.is_data_center(gpu.name)
    words = {"gpu": gpu.name or family.name, "driver": driver or _("unknown"), "wanted": family.wanted_driver}
    recommended, advice = None, []
    if rule.tag:
        recommended = _recommended(images.tagged(rule.tag), rule.reason, rule.confidence, words)
    elif rule.forward and images.tagged(rule.forward).runs_with(installed, data_center=data_center):
        recommended = _recommended(images.tagged(rule.forward), "forward", "probable", words)
    else:
        advice.append(_sentence(rule.reason).format(**words))
    alternatives = [
        _alternative(image, sure=capability <= image.proven)
        for image in map(images.tagged, rule.alternatives)
        if image.knows(capability) and image.runs_with(installed, data_center=data_center)
    ]
    if recommended is None:
        alternatives.append(_for_cpu(images))
    elif recommended.tag != family.rule(version(family.wanted_driver)).tag:
        advice.append(_sentence("newer-driver").format(**words))
    for item in family.advice:
        if item != _ONLY_BEFORE_AN_UPDATE or installed < version(family.wanted_driver):
            advice.append(_sentence(item).format(**words))
    if recommended is not None:
        advice += _about(images.tagged(recommended.tag))
    if not version(driver):
        advice.append(_sentence("driver-unknown"))
    return Advice(recommended, tuple(alternatives), tuple(advice), gpu)


def _unknown(images: Images, report: GpuReport) -> Advice:
    """A driver that does not tell what its GPUs can do."""
    image = images.default
    reason = _sentence("gpu-unknown")
    return Advice(
        Choice(image.image, image.tag, reason, "unknown"),
        tuple(_alternative(images.tagged(tag)) for tag in ("19.05-py3", "22.12-tf1-py3")),
        (_sentence("rehearse"),),
        report.gpus[0],
        report.driver,
    )


def _left_out(images: Images, choice: Choice | None, gpus: tuple[Gpu, ...]) -> tuple[str, ...]:
    """A line for each other GPU that the image has no code for."""
    if choice is None:
        return ()
    image = images.tagged(choice.tag)
    return tuple(
        _("GPU {index} ({name}) cannot be used with this image: leave it out when you choose the GPUs.").format(
            index=gpu.index, name=gpu.name
        )
        for gpu in gpus
        if gpu.capability is not None and not image.knows(gpu.capability)
    )


def _recommended(image: KnownImage, reason: str, confidence: str, words: dict[str, str]) -> Choice:
    return Choice(image.image, image.tag, _sentence(reason).format(**words), confidence)


def _alternative(image: KnownImage, *, sure: bool = True) -> Choice:
    text = _("TensorFlow {tensorflow}, Python {python}, CUDA {cuda}; needs driver {driver} or newer.").format(
        tensorflow=image.tensorflow, python=image.python, cuda=image.cuda, driver=image.driver
    )
    confidence = "good" if sure and image.confidence.startswith("confirmed") else "probable"
    if version(image.tensorflow) < _OPENSEQ2SEQ_NEEDS:
        text += " " + _("OpenSeq2Seq of today needs TensorFlow 1.10; only the old one inside the image works.")
        confidence = "low"
    return Choice(image.image, image.tag, text, confidence)


def _for_cpu(images: Images) -> Choice:
    image = images.default
    return Choice(image.image, image.tag, _("Runs on the CPU only: to look around and rehearse, not to train."), "cpu")


def _about(image: KnownImage) -> list[str]:
    """What a user of OpenSeq2Seq should know about an image."""
    lines = []
    if not image.openseq2seq:
        lines.append(_("OpenSeq2Seq is not inside this image; it has to be fetched."))
    if version(image.python) >= _NEW_PYTHON:
        lines.append(
            _("It has Python {python}: some packages must be newer than the list of OpenSeq2Seq says.").format(
                python=image.python
            )
        )
    return lines


def _choice_json(choice: Choice) -> dict[str, str]:
    return {"image": choice.image, "tag": choice.tag, "reason": choice.reason, "confidence": choice.confidence}


_ONLY_BEFORE_AN_UPDATE = "driver-580"
_SENTENCES = {
    # why an image is recommended
    "best": N_("Fits your GPU and driver, and OpenSeq2Seq and the packages that it asks for work with its Python."),
    "documented": N_("The image that the documentation of OpenSeq2Seq names; it fits your driver {driver}."),
    "fits-driver": N_("The newest one of its kind that works with your driver {driver}."),
    "users-report": N_("Users report that it works on GPUs of this generation."),
    "built-for": N_("Built for GPUs of this generation, but nobody has reported yet that it works."),
    "forward": N_("Data-center GPUs like yours may run it with the older driver {driver}."),
    # why nothing is
    "gpu-too-old": N_("No TensorFlow 1 image runs on {gpu}: it is too old for all of them."),
    "gpu-too-new": N_("No TensorFlow 1 image runs on {gpu}: the last one was made before it."),
    "driver-too-old": N_("The driver {driver} is too old for the images that fit your GPU; install {wanted} or newer."),
    # what else to know
    "newer-driver": N_("With the NVIDIA driver {wanted} or newer, a better image would fit."),
    "driver-580": N_("Do not go beyond driver 580: newer ones no longer work with your GPU."),
    "driver-unknown": N_("The version of the NVIDIA driver could not be read; the image may need a newer one."),
    "rehearse": N_("Rehearse a training first: it shows within minutes whether the image works on your GPU."),
    "gpu-unknown": N_("The driver does not say what your GPU can do; this image fits most GPUs from 2016 to 2022."),
    "no-gpu": N_(
        "No NVIDIA GPU was found. You can look around and rehearse on the CPU, but a training takes too long."
    ),
}


def _sentence(name: str) -> str:
    text = _SENTENCES[name]
    return _(text)
