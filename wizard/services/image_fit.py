"""Whether an image that the user names fits the GPU and the driver.

NVIDIA's TensorFlow 1 images are known. Any other image is judged by what it says about itself: the version of CUDA and
of the driver, and what it requires of the machine, in its environment and its labels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from typing import Any

from wizard.host.ports import Host
from wizard.knowledge.images import Capability, Images, KnownImage, Version, load, version
from wizard.model.errors import UNREACHABLE, Trouble
from wizard.model.gpu import Gpu, GpuReport
from wizard.model.i18n import _
from wizard.model.image import Confidence, ImageReference, ImageSettings, digest_of
from wizard.model.secret import Secret

_LARGEST = 4 * 2**20
"""Bytes of a configuration, beyond which it is not read."""
_MINOR: Mapping[int, Version] = {11: (450, 80, 2), 12: (525,), 13: (580,)}
"""From which driver on every CUDA of a major version may work (docs.nvidia.com/deploy/cuda-compatibility)."""
_CONDITION = re.compile(r"(cuda|driver|arch|brand)\s*(>=|<=|!=|<|>|=)\s*([\w.]+)")
_COMPARE = {
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
    "!=": lambda have, want: have != want,
    "<": lambda have, want: have < want,
    ">": lambda have, want: have > want,
    "=": lambda have, want: have == want,
}


class Verdict(str, Enum):
    """Whether an image fits this machine."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fit:
    """What was found out about one image. ``reasons`` are translated sentences; ``driver`` and ``cuda`` are what it
    needs, "" where that is not known. ``source`` is ``known``, ``engine``, ``registry``, or "" for nobody knows.
    """

    image: str
    verdict: Verdict
    confidence: Confidence
    reasons: tuple[str, ...]
    driver: str = ""
    cuda: str = ""
    source: str = ""


def check(host: Host, name: str, key: Secret | None = None) -> Fit:
    """Whether the image ``name`` fits. Raises ``IMAGE_NAME_INVALID``, and what the registry says against the image or
    the key; that the registry cannot be reached is a reason not to know.
    """
    reference = ImageReference.parse(name)
    try:
        report = host.gpus.report()
    except Trouble:
        report = None
    known = _known(reference)
    if known is not None:
        return judge(str(reference), report, known, None, "known")
    settings, source = _settings(host, reference, key)
    return judge(str(reference), report, None, settings, source)


def to_json(fit: Fit) -> dict[str, Any]:
    """What ``s2s-wizard image IMAGE --json`` adds to the document as ``checked``."""
    return {
        "image": fit.image,
        "fits": fit.verdict.value,
        "confidence": fit.confidence.value,
        "reasons": list(fit.reasons),
        "needs": {"driver": fit.driver or None, "cuda": fit.cuda or None},
        "source": fit.source or None,
    }


def judge(
    image: str, report: GpuReport | None, known: KnownImage | None, settings: ImageSettings | None, source: str
) -> Fit:
    """The verdict from what is known (or the image says), and from the GPUs. One GPU that works with it is enough."""
    needs = _Needs.of(known, settings)
    unknown = Fit(image, Verdict.UNKNOWN, Confidence.UNPROVEN, (), needs.driver, needs.cuda, source)
    if not needs.cuda:
        told = _("The image does not say which CUDA and driver it needs, so nobody can tell whether it fits.")
        return _with(unknown, told)
    if report is None or not report.gpus:
        return _with(unknown, _("No NVIDIA GPU was found; the image would run on the CPU only."), needs.in_words())
    fits = [_on(unknown, needs, gpu, report) for gpu in report.gpus]
    order = (Verdict.YES, Verdict.UNKNOWN, Verdict.NO)
    return min(fits, key=lambda fit: order.index(fit.verdict))


@dataclass(frozen=True, slots=True)
class _Needs:
    """What an image needs of the machine; ``requires`` is its own rule for the container toolkit."""

    known: KnownImage | None
    cuda: str
    driver: str
    oldest: Capability
    newest: Capability
    requires: str = ""

    @classmethod
    def of(cls, known: KnownImage | None, settings: ImageSettings | None) -> _Needs:
        if known is not None:
            return cls(known, known.cuda, known.driver, (6, 0), known.newest)
        said = {**settings.labels, **settings.env} if settings is not None else {}
        cuda = said.get("CUDA_VERSION", "") or said.get("com.nvidia.cuda.version", "")
        facts = load().for_cuda(version(cuda))
        if facts is None:
            return cls(None, "", "", (0, 0), (0, 0))
        driver = said.get("CUDA_DRIVER_VERSION", "") or facts.driver
        return cls(None, cuda, driver, facts.oldest, facts.newest, said.get("NVIDIA_REQUIRE_CUDA", ""))

    def in_words(self) -> str:
        return _("It has CUDA {cuda}, which needs driver {driver} or newer.").format(cuda=self.cuda, driver=self.driver)


def _on(fit: Fit, needs: _Needs, gpu: Gpu, report: GpuReport) -> Fit:
    """The verdict for one GPU."""
    images, driver = load(), version(report.driver)
    if gpu.capability is None:
        return _with(fit, _("The driver does not say what your GPU can do."), needs.in_words())
    words = {"gpu": gpu.name, "cuda": needs.cuda, "driver": report.driver, "wanted": needs.driver}
    if gpu.capability > needs.newest:
        return _with(fit, _("It was made before {gpu}: CUDA {cuda} has no code for it.").format(**words), no=True)
    if gpu.capability < needs.oldest:
        return _with(fit, _("{gpu} is too old for it: CUDA {cuda} has no code for it.").format(**words), no=True)
    if not driver:
        return _with(fit, _("The version of the NVIDIA driver could not be read."), needs.in_words())
    if needs.requires and not meets(needs.requires, report, gpu, images):
        told = _("It asks for {requires}, which this driver does not offer: Docker will not start it with a GPU.")
        return _with(fit, told.format(requires=needs.requires.split(" ")[0]), no=True)
    told = _("It needs driver {wanted} or newer, and here is {driver}.").format(**words)
    if needs.known is not None:
        if not images.runs(needs.known, driver, gpu.name):
            return _with(fit, told, no=True)
        return _with(fit, _("It fits {gpu} and driver {driver}.").format(**words), yes=needs.known, on=gpu.capability)
    if driver >= version(needs.driver):
        note = _("Whether its programs are made for this GPU, only a test can show.")
        fits = _("Its CUDA {cuda} fits {gpu} and driver {driver}.").format(**words)
        return _with(fit, fits, note, yes=None, on=gpu.capability)
    may = driver >= _MINOR.get(version(needs.cuda)[0], (9999,)) or images.is_data_center(gpu.name)
    if may:
        return _with(fit, told, _("It may work all the same; only a test can show."))
    return _with(fit, told, no=True)


def _with(
    fit: Fit, *reasons: str, no: bool = False, yes: KnownImage | None = None, on: Capability | None = None
) -> Fit:
    verdict = Verdict.NO if no else Verdict.YES if on is not None else Verdict.UNKNOWN
    confidence = yes.confidence_on(on) if yes is not None and on is not None else fit.confidence
    return Fit(fit.image, verdict, confidence, reasons, fit.driver, fit.cuda, fit.source)


def meets(requires: str, report: GpuReport, gpu: Gpu, images: Images) -> bool:
    """Whether the machine meets ``NVIDIA_REQUIRE_CUDA``: alternatives with blanks between them, each of conditions with
    commas between them, as the container toolkit reads them. A condition that is not understood counts as met.
    """
    have: dict[str, Version] = {
        "cuda": version(report.cuda),
        "driver": version(report.driver),
        "arch": gpu.capability or (),
    }

    def holds(condition: str) -> bool:
        match = _CONDITION.fullmatch(condition.strip())
        if match is None:
            return True
        name, sign, value = match.groups()
        if name == "brand":
            board = images.is_data_center(gpu.name)
            return (board == (value.lower() == "tesla")) == (sign != "!=")
        return not have[name] or bool(_COMPARE[sign](have[name], version(value)))

    return any(all(holds(part) for part in alternative.split(",")) for alternative in requires.split())


# --- what an image says ---


def _known(reference: ImageReference) -> KnownImage | None:
    images = load()
    if reference.name != images.repository:
        return None
    return next((image for image in images.images if image.tag == reference.tag), None)


def _settings(host: Host, reference: ImageReference, key: Secret | None) -> tuple[ImageSettings | None, str]:
    """What the image says, from the engine that has it or else from its registry; None where nobody tells."""
    arch = "amd64"
    try:
        arch = host.engine.info().arch or arch
        here = host.engine.image(str(reference))
    except Trouble:
        here = None
    if here is not None:
        return ImageSettings(here.env, here.labels, here.architecture), "engine"
    try:
        settings = _from_registry(host, reference, key, arch)
    except Trouble as trouble:
        if trouble.kind not in UNREACHABLE:
            raise
        return None, ""
    return settings, "registry" if settings is not None else ""


def _from_registry(host: Host, reference: ImageReference, key: Secret | None, arch: str) -> ImageSettings | None:
    """The image's configuration, which its manifest names by its digest; None for one that is not what it should be."""
    manifest = host.registry.manifest(reference, key, arch)
    if manifest.config_size > _LARGEST:
        return None
    data = bytearray()
    size = manifest.config_size
    with (
        closing(host.registry.blobs(reference, key)) as source,
        closing(source.open(manifest.config_digest, size, 0, size)) as stream,
    ):
        while len(data) < size and (piece := stream.read()):
            data += piece
    if digest_of(data) != manifest.config_digest:
        return None
    return read(bytes(data))


def read(data: bytes) -> ImageSettings | None:
    """An image's configuration as a registry has it (the OCI image specification); None for something else."""
    try:
        document = json.loads(data)
        config = document.get("config") or {}
        pairs = [str(item).partition("=") for item in config.get("Env") or ()]
        labels = {str(name): str(value) for name, value in (config.get("Labels") or {}).items()}
        env = {name: value for name, _sign, value in pairs}
        return ImageSettings(env, labels, str(document.get("architecture") or ""))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None
