"""NVIDIA's TensorFlow 1 images and the rules that pick one, read from ``images.toml``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wizard.model.image import Confidence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_OLDEST = (6, 0)
"""Every image runs on compute capability 6.0 and up, say the release notes."""

Capability = tuple[int, int]
Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KnownImage:
    """One image. ``driver`` is the lowest driver for Linux.

    ``newest`` is the newest compute capability, ``proven`` the newest one that NVIDIA or users have confirmed,
    ``likely`` the newest one that follows from what is inside. ``forward`` are the older driver branches with which
    data-center boards may run it, and of these only ``boards`` where some are named. ``openseq2seq`` is the version
    that lies inside ("" for none, "?" where it is not known). ``confidence`` and ``newest_confidence`` are in words.
    """

    image: str
    tag: str
    tensorflow: str
    python: str
    cuda: str
    cudnn: str
    driver: str
    newest: Capability
    proven: Capability
    likely: Capability
    openseq2seq: str
    confidence: str
    newest_confidence: str
    source: str
    forward: tuple[str, ...] = ()
    boards: frozenset[str] = frozenset()

    def knows(self, capability: Capability) -> bool:
        """Whether it has code for GPUs of this compute capability."""
        return _OLDEST <= capability <= self.newest

    def runs_with(self, driver: Version, *, data_center: bool = False) -> bool:
        """Whether this driver is new enough, or (data-center boards) of a branch that may run it all the same."""
        if driver >= version(self.driver):
            return True
        branches = (version(branch) for branch in self.forward)
        return data_center and any(driver[:1] == branch[:1] and driver >= branch for branch in branches)

    def confidence_on(self, capability: Capability) -> Confidence:
        """How sure it is that it works on a GPU of this compute capability, which it ``knows``."""
        if capability > self.likely:
            return Confidence.UNPROVEN
        sure = capability <= self.proven and self.confidence.startswith("confirmed")
        return Confidence.CONFIRMED if sure else Confidence.LIKELY


@dataclass(frozen=True, slots=True)
class Rule:
    """What is recommended from a driver version on, up to the next rule of the family. ``tag`` is "" for nothing.

    ``reason`` is the id of a sentence, ``forward`` the tag for data-center boards that may run it with this driver.
    """

    driver: Version
    tag: str
    reason: str
    alternatives: tuple[str, ...]
    forward: str


@dataclass(frozen=True, slots=True)
class Family:
    """GPUs from a compute capability on, up to the next family. ``last_driver`` is the last branch of the driver that
    works with them, "" for all so far.
    """

    name: str
    capability: Capability
    last_driver: str
    advice: tuple[str, ...]
    source: str
    rules: tuple[Rule, ...]

    def rule(self, driver: Version) -> Rule:
        """The rule for this driver."""
        return [rule for rule in self.rules if rule.driver <= driver][-1]

    @property
    def best(self) -> Rule | None:
        """The rule for a driver that is new enough for everything; None where no image fits with any."""
        return self.rules[-1] if self.rules[-1].tag else None


@dataclass(frozen=True, slots=True)
class Cuda:
    """A version of CUDA: the lowest driver for it, and the compute capabilities that it makes code for."""

    version: Version
    driver: str
    oldest: Capability
    newest: Capability


@dataclass(frozen=True, slots=True)
class Images:
    """Everything in ``images.toml``. ``default`` is for machines without a GPU, ``jetson`` the image of Jetson
    boards.
    """

    default: KnownImage
    images: tuple[KnownImage, ...]
    families: tuple[Family, ...]
    data_center: frozenset[str]
    cuda: tuple[Cuda, ...]
    jetson: str
    repository: str

    def tagged(self, tag: str) -> KnownImage:
        """The image with this tag. Raises KeyError."""
        return {image.tag: image for image in self.images}[tag]

    def family(self, capability: Capability) -> Family:
        """The family that GPUs of this compute capability belong to."""
        return [family for family in self.families if family.capability <= capability][-1]

    def is_data_center(self, name: str) -> bool:
        """Whether a GPU of this name is a data-center board. NVML's brand does not tell it any more."""
        return bool(self.data_center & _words(name))

    def runs(self, image: KnownImage, driver: Version, board: str) -> bool:
        """Whether a GPU of the name ``board`` can run the image with this driver."""
        forward = self.is_data_center(board) and (not image.boards or bool(image.boards & _words(board)))
        return image.runs_with(driver, data_center=forward)

    def for_cuda(self, wanted: Version) -> Cuda | None:
        """The version of CUDA that an image says it has; None for one that is not known."""
        return next((item for item in self.cuda if item.version == wanted[:2]), None)


@cache
def load() -> Images:
    """The facts, read once."""
    raw = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    images = tuple(_image(item, raw["repository"]) for item in raw["image"])
    default = next(image for image in images if image.tag == raw["default"])
    return Images(
        default,
        images,
        tuple(_family(item) for item in raw["family"]),
        frozenset(raw["data_center"]),
        tuple(_cuda(item) for item in raw["cuda"]),
        raw["jetson"],
        raw["repository"],
    )


def version(text: str) -> Version:
    """The numbers of a version, to be compared: ``418.87.01`` is (418, 87, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def capability_of(text: str) -> Capability:
    """A compute capability: ``8.6`` is (8, 6), ``9`` is (9, 0). Raises ValueError."""
    match = re.fullmatch(r"(\d{1,2})(?:\.(\d{1,2}))?", text.strip())
    if not match:
        raise ValueError(text)
    return int(match[1]), int(match[2] or 0)


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[\s-]+", name))


def _image(raw: dict[str, Any], repository: str) -> KnownImage:
    values = {
        **raw,
        "newest": capability_of(raw["newest"]),
        "proven": capability_of(raw.get("proven", "0")),
        "likely": capability_of(raw.get("likely", raw["newest"])),
        "forward": tuple(raw.get("forward", ())),
        "boards": frozenset(raw.get("boards", ())),
    }
    return KnownImage(image=f"{repository}:{raw['tag']}", **values)


def _family(raw: dict[str, Any]) -> Family:
    return Family(
        name=raw["name"],
        capability=capability_of(raw["capability"]),
        last_driver=raw.get("last_driver", ""),
        advice=tuple(raw.get("advice", ())),
        source=raw["source"],
        rules=tuple(
            Rule(
                driver=version(rule["driver"]),
                tag=rule.get("tag", ""),
                reason=rule["reason"],
                alternatives=tuple(rule.get("alternatives", ())),
                forward=rule.get("forward", ""),
            )
            for rule in raw["rule"]
        ),
    )


def _cuda(raw: dict[str, str]) -> Cuda:
    return Cuda(version(raw["version"]), raw["driver"], capability_of(raw["oldest"]), capability_of(raw["newest"]))
