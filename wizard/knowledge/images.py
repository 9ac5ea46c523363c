"""NVIDIA's TensorFlow 1 images and the rules that pick one, read from ``images.toml``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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

    ``newest`` is the newest compute capability, ``proven`` the newest one that NVIDIA or users have confirmed.
    ``forward`` are the older driver branches with which data-center boards may run it. ``openseq2seq`` is the version
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
    openseq2seq: str
    confidence: str
    newest_confidence: str
    source: str
    forward: tuple[str, ...] = ()

    def knows(self, capability: Capability) -> bool:
        """Whether it has code for GPUs of this compute capability."""
        return _OLDEST <= capability <= self.newest

    def runs_with(self, driver: Version, *, data_center: bool = False) -> bool:
        """Whether this driver is new enough, or (data-center boards) of a branch that may run it all the same."""
        if driver >= version(self.driver):
            return True
        branches = (version(branch) for branch in self.forward)
        return data_center and any(driver[:1] == branch[:1] and driver >= branch for branch in branches)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is recommended from a driver version on, up to the next rule of the family. ``tag`` is "" for nothing.

    ``reason`` is the id of a sentence, ``forward`` the tag for data-center boards that may run it with this driver.
    """

    driver: Version
    tag: str
    reason: str
    confidence: str
    alternatives: tuple[str, ...]
    forward: str


@dataclass(frozen=True, slots=True)
class Family:
    """GPUs from a compute capability on, up to the next family. ``wanted_driver`` opens the best image to them."""

    name: str
    capability: Capability
    wanted_driver: str
    advice: tuple[str, ...]
    source: str
    rules: tuple[Rule, ...]

    def rule(self, driver: Version) -> Rule:
        """The rule for this driver."""
        return [rule for rule in self.rules if rule.driver <= driver][-1]


@dataclass(frozen=True, slots=True)
class Images:
    """Everything in ``images.toml``. ``default`` is for machines without a GPU."""

    default: KnownImage
    images: tuple[KnownImage, ...]
    families: tuple[Family, ...]
    data_center: frozenset[str]

    def tagged(self, tag: str) -> KnownImage:
        """The image with this tag. Raises KeyError."""
        return {image.tag: image for image in self.images}[tag]

    def family(self, capability: Capability) -> Family:
        """The family that GPUs of this compute capability belong to."""
        return [family for family in self.families if family.capability <= capability][-1]

    def is_data_center(self, name: str) -> bool:
        """Whether a GPU of this name is a data-center board. NVML's brand does not tell it any more."""
        return bool(self.data_center & set(re.split(r"[\s-]+", name)))


@cache
def load() -> Images:
    """The facts, read once."""
    raw = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    images = tuple(_image(item, raw["repository"]) for item in raw["image"])
    default = next(image for image in images if image.tag == raw["default"])
    return Images(default, images, tuple(_family(item) for item in raw["family"]), frozenset(raw["data_center"]))


def version(text: str) -> Version:
    """The numbers of a version, to be compared: ``418.87.01`` is (418, 87, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def capability_of(text: str) -> Capability:
    """A compute capability: ``8.6`` is (8, 6), ``9`` is (9, 0). Raises ValueError."""
    match = re.fullmatch(r"(\d{1,2})(?:\.(\d{1,2}))?", text.strip())
    if not match:
        raise ValueError(text)
    return int(match[1]), int(match[2] or 0)


def _image(raw: dict[str, Any], repository: str) -> KnownImage:
    values = {
        **raw,
        "newest": capability_of(raw["newest"]),
        "proven": capability_of(raw.get("proven", raw["newest"])),
        "forward": tuple(raw.get("forward", ())),
    }
    return KnownImage(image=f"{repository}:{raw['tag']}", **values)


def _family(raw: dict[str, Any]) -> Family:
    return Family(
        name=raw["name"],
        capability=capability_of(raw["capability"]),
        wanted_driver=raw.get("wanted_driver", ""),
        advice=tuple(raw.get("advice", ())),
        source=raw["source"],
        rules=tuple(
            Rule(
                driver=version(rule["driver"]),
                tag=rule.get("tag", ""),
                reason=rule["reason"],
                confidence=rule.get("confidence", ""),
                alternatives=tuple(rule.get("alternatives", ())),
                forward=rule.get("forward", ""),
            )
            for rule in raw["rule"]
        ),
    )
