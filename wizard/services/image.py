"""Which image fits the GPU and the driver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from wizard.host.ports import Host
from wizard.knowledge.images import Capability, Family, Images, KnownImage, Version, load, version
from wizard.model.errors import Trouble
from wizard.model.gpu import Gpu, GpuReport
from wizard.model.i18n import N_, _, ngettext
from wizard.model.image import Confidence

_NEWEST_DRIVER: Version = (9999,)
_OPENSEQ2SEQ_NEEDS: Version = (1, 10)
_NEW_PYTHON: Version = (3, 8)
_ARM = ("aarch64", "arm64")


@dataclass(frozen=True, slots=True)
class Choice:
    """One image to choose. ``reason`` is translated; ``cpu`` tells that it would run without a GPU here."""

    image: str
    tag: str
    reason: str
    confidence: Confidence
    cpu: bool = False


@dataclass(frozen=True, slots=True)
class Newer:
    """What a newer driver would make possible. ``driver`` is the lowest version for it; ``last`` is the last branch
    that still works with every GPU of the machine, "" for all so far.
    """

    driver: str
    last: str
    choice: Choice


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
    newer: Newer | None = None


def for_machine(host: Host) -> Advice:
    """The image for this machine; a driver that does not answer counts as none."""
    from wizard.services.checks import graphics

    try:
        report = host.gpus.report()
    except Trouble:
        report = None
    return recommend(report, jetson=graphics.is_jetson(host), windows=graphics.is_wsl(host), arm=host.info.arch in _ARM)


def recommend(report: GpuReport | None, *, jetson: bool = False, windows: bool = False, arm: bool = False) -> Advice:
    """The image for these GPUs and this driver; None stands for a machine without an NVIDIA driver.

    Of several GPUs the newest one that has an image decides. ``windows`` is Linux inside Windows (WSL), where the
    driver is that of Windows; ``arm`` a processor that most images are not made for.
    """
    images = load()
    if jetson:
        told = _sentence("jetson").format(image=images.jetson)
        return Advice(None, (), (told, _sentence("another-machine")), None, report.driver if report else "")
    advice = _for_gpus(images, report)
    lines = [*_about_mig(report), *([_sentence("windows")] if windows and report is not None else [])]
    if arm:
        lines.append(_sentence("arm"))
    return replace(advice, advice=(*advice.advice, *lines))


def known() -> tuple[Choice, ...]:
    """Every TensorFlow 1 image that is known, newest first; how sure each is, is said for the oldest GPUs it knows."""
    return tuple(_alternative(image) for image in reversed(load().images))


def sure(choice: Choice) -> str:
    """How sure a choice is, in words; "" where the question is not asked."""
    word, meaning = _CONFIDENCE[choice.confidence]
    return "" if choice.cpu else _("How sure: {word}. {meaning}").format(word=_(word), meaning=_(meaning))


def to_json(advice: Advice) -> dict[str, Any]:
    """The document of ``s2s-wizard image --json``."""
    gpu, newer = advice.gpu, advice.newer
    return {
        "gpu": None
        if gpu is None
        else {
            "index": gpu.index,
            "name": gpu.name,
            "memory_bytes": gpu.memory,
            "capability": ".".join(map(str, gpu.capability)) if gpu.capability else None,
            "driver": advice.driver,
            "mig": gpu.mig,
            "instances": [{"name": item.name, "memory_bytes": item.memory} for item in gpu.instances],
        },
        "recommended": None if advice.recommended is None else _choice_json(advice.recommended),
        "alternatives": [_choice_json(choice) for choice in advice.alternatives],
        "advice": list(advice.advice),
        "with_newer_driver": None
        if newer is None
        else {"driver": newer.driver, "last_driver": newer.last or None, **_choice_json(newer.choice)},
    }


# --- the decision ---


def _for_gpus(images: Images, report: GpuReport | None) -> Advice:
    if report is None or not report.gpus:
        return Advice(_for_cpu(images), (), (_sentence("no-gpu"),), None, report.driver if report else "")
    found = [(gpu, gpu.capability) for gpu in report.gpus if gpu.capability is not None]
    if not found:
        return _unknown(images, report)
    newest_first = sorted(found, key=lambda pair: pair[1], reverse=True)
    ends = {images.family(capability).last_driver: gpu for gpu, capability in newest_first}
    last = min((end for end in ends if end), key=version, default="")
    offers = [_for_one(images, gpu, capability, report.driver, last) for gpu, capability in newest_first]
    offer = next((item for item in offers if item.recommended), offers[0])
    lines = [*offer.advice, *_left_out(images, offer.recommended, report.gpus)]
    if last and (offer.newer is not None or version(report.driver)[:1] > version(last)):
        lines.append(_sentence("last-driver").format(last=last, gpu=ends[last].name or _("your GPU")))
    return replace(offer, advice=tuple(lines))


def _for_one(images: Images, gpu: Gpu, capability: Capability, driver: str, last: str) -> Advice:
    """What fits one GPU. A driver whose version is not known is taken for a new one."""
    installed = version(driver) or _NEWEST_DRIVER
    family = images.family(capability)
    rule = family.rule(installed)
    words = {"gpu": gpu.name or family.name, "driver": driver or _("unknown")}
    chosen, reason = rule.tag, rule.reason
    if not chosen and rule.forward and images.runs(images.tagged(rule.forward), installed, gpu.name):
        chosen, reason = rule.forward, "forward"
    recommended, advice = None, []
    if chosen:
        image = images.tagged(chosen)
        confidence = image.confidence_on(capability)
        if not version(driver):
            confidence = Confidence.UNPROVEN
        elif reason == "forward" and confidence is Confidence.CONFIRMED:
            confidence = Confidence.LIKELY
        recommended = Choice(image.image, image.tag, _sentence(reason).format(**words), confidence)
    else:
        advice.append(_sentence(rule.reason).format(**words))
    alternatives = [
        _alternative(image, capability)
        for image in map(images.tagged, rule.alternatives)
        if image.knows(capability) and image.tag != chosen and images.runs(image, installed, gpu.name)
    ]
    newer = _newer(images, family, capability, installed, chosen, last)
    if newer is not None:
        advice.append(_newer_in_words(newer))
    if recommended is None:
        alternatives.append(_for_cpu(images))
        advice.append(_sentence("cpu-or-another"))
    else:
        advice += [_sentence(item).format(**words) for item in family.advice]
        advice += _about(images.tagged(recommended.tag))
    if not version(driver):
        advice.append(_sentence("driver-unknown"))
    return Advice(recommended, tuple(alternatives), tuple(advice), gpu, driver, newer)


def _newer(
    images: Images, family: Family, capability: Capability, installed: Version, chosen: str, last: str
) -> Newer | None:
    """The best image of the family, where only the driver stands in its way."""
    best = family.best
    if best is None or best.driver <= installed or best.tag == chosen:
        return None
    return Newer(".".join(map(str, best.driver)), last, _alternative(images.tagged(best.tag), capability))


def _newer_in_words(newer: Newer) -> str:
    image = load().tagged(newer.choice.tag)
    bounded = newer.last and version(newer.driver) <= version(newer.last)
    return _sentence("newer-bounded" if bounded else "newer").format(
        wanted=newer.driver, last=newer.last, tag=image.tag, tensorflow=image.tensorflow, python=image.python
    )


def _unknown(images: Images, report: GpuReport) -> Advice:
    """A driver that does not tell what its GPUs can do."""
    image = images.default
    return Advice(
        Choice(image.image, image.tag, _sentence("gpu-unknown"), Confidence.UNPROVEN),
        tuple(_alternative(images.tagged(tag)) for tag in ("19.05-py3", "22.12-tf1-py3")),
        (_sentence("test"),),
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


def _about_mig(report: GpuReport | None) -> list[str]:
    """What it means that a GPU is divided (MIG): the image is the same, but a program gets one part."""
    lines = []
    for gpu in report.gpus if report is not None else ():
        if not gpu.mig:
            continue
        parts = [f"{item.memory / 2**30:.0f} GB" for item in gpu.instances]
        text = _sentence("mig-empty")
        if parts:
            text = ngettext(
                "GPU {index} is divided (MIG) into {n} part: {sizes}. The image is the same, but a training uses"
                " one part, with its memory.",
                "GPU {index} is divided (MIG) into {n} parts: {sizes}. The image is the same, but a training uses"
                " one part, with its memory.",
                len(parts),
            )
        lines.append(text.format(index=gpu.index, n=len(parts), sizes=", ".join(parts)))
    return lines


def _alternative(image: KnownImage, capability: Capability = (6, 0)) -> Choice:
    """An image as one of several; how sure it is, is said for this compute capability."""
    text = _("TensorFlow {tensorflow}, Python {python}, CUDA {cuda}; needs driver {driver} or newer.").format(
        tensorflow=image.tensorflow, python=image.python, cuda=image.cuda, driver=image.driver
    )
    confidence = image.confidence_on(capability)
    if version(image.tensorflow) < _OPENSEQ2SEQ_NEEDS:
        text += " " + _("OpenSeq2Seq of today needs TensorFlow 1.10; only the old one inside the image works.")
        confidence = Confidence.UNPROVEN
    return Choice(image.image, image.tag, text, confidence)


def _for_cpu(images: Images) -> Choice:
    image = images.default
    text = _("Runs on the CPU only: to look around and rehearse, not to train.")
    return Choice(image.image, image.tag, text, Confidence.LIKELY, cpu=True)


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


def _choice_json(choice: Choice) -> dict[str, Any]:
    return {
        "image": choice.image,
        "tag": choice.tag,
        "reason": choice.reason,
        "confidence": choice.confidence.value,
        "cpu": choice.cpu,
    }


_CONFIDENCE = {
    Confidence.CONFIRMED: (N_("confirmed"), N_("NVIDIA or users say that it works on GPUs like this.")),
    Confidence.LIKELY: (N_("likely"), N_("It follows from what is inside the image.")),
    Confidence.UNPROVEN: (N_("unproven"), N_("Nobody has reported that it works.")),
}
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
    "driver-too-old": N_("The driver {driver} is too old for the images that fit your GPU."),
    "jetson": N_(
        "This is a Jetson. It has images of its own (JetPack 4.6: {image}), which this wizard does not set up."
    ),
    # what the user can do then
    "cpu-or-another": N_(
        "You can still look around and rehearse on the CPU, or use another machine: GPUs from the years 2016 (Pascal)"
        " to 2022 (Ada, Hopper) have an image."
    ),
    "another-machine": N_("For OpenSeq2Seq, use a PC or a server with an NVIDIA GPU from the years 2016 to 2022."),
    # what a newer driver would open
    "newer": N_("With driver {wanted} or newer, {tag} would fit: TensorFlow {tensorflow}, Python {python}."),
    "newer-bounded": N_(
        "With a driver from {wanted} to {last}, {tag} would fit: TensorFlow {tensorflow}, Python {python}."
    ),
    "last-driver": N_("Do not go beyond driver {last}: newer ones no longer work with {gpu}."),
    # what else to know
    "driver-unknown": N_("The version of the NVIDIA driver could not be read; the image may need a newer one."),
    "test": N_("Test it once the container is made: it shows within minutes whether TensorFlow works on your GPU."),
    "gpu-unknown": N_("The driver does not say what your GPU can do; this image fits most GPUs from 2016 to 2022."),
    "no-gpu": N_(
        "No NVIDIA GPU was found. You can look around and rehearse on the CPU, but a training takes too long."
    ),
    "mig-empty": N_(
        "GPU {index} is set to be divided (MIG), but no part was made, so no program can use it. Its administrator"
        " makes one with nvidia-smi mig, or switches MIG off."
    ),
    "windows": N_("The driver is that of Windows: update it there, and never install a Linux driver in here."),
    "arm": N_("Your processor is an Arm one; most of these images are made for x86-64 alone. The registry knows it."),
}


def _sentence(name: str) -> str:
    text = _SENTENCES[name]
    return _(text)
