"""Whether any image fits: the known ones by their facts, the others by what they say about themselves."""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from wizard.demo.machine import build
from wizard.host.ports import Host
from wizard.knowledge.images import load
from wizard.model.engine import ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.gpu import Gpu, GpuReading, GpuReport
from wizard.model.image import ImageReference, ImageSettings, Layer, Manifest
from wizard.model.secret import Secret
from wizard.services import image_fit
from wizard.services.image_fit import Verdict

OWN = "registry.example.org/group/model:1"
NGC = {"CUDA_VERSION": "11.8.0.065", "CUDA_DRIVER_VERSION": "520.61.05", "NVIDIA_REQUIRE_CUDA": "cuda>=9.0"}


def report(
    driver: str = "535.54.03", cuda: str = "12.2", gpus: Mapping[str, tuple[int, int] | None] | None = None
) -> GpuReport:
    found = gpus or {"RTX 2060": (7, 5)}
    listed = tuple(Gpu(index, name, 6 * 2**30, capability) for index, (name, capability) in enumerate(found.items()))
    return GpuReport(driver, cuda, listed)


def verdict(env: dict[str, str], machine: GpuReport | None) -> image_fit.Fit:
    return image_fit.judge(OWN, machine, None, ImageSettings(env), "registry")


@dataclass
class _Gpus:
    answer: GpuReport | None

    def report(self) -> GpuReport:
        if self.answer is None:
            raise Trouble(Problem.NVML_LIBRARY_MISSING)
        return self.answer

    def readings(self) -> tuple[GpuReading, ...]:
        return ()


@pytest.mark.parametrize(
    ("tag", "machine", "expected", "words"),
    [
        ("22.12-tf1-py3", report(), Verdict.YES, "It fits RTX 2060"),
        ("22.12-tf1-py3", report("515.65.01", "11.7"), Verdict.NO, "needs driver 520"),
        ("22.12-tf1-py3", report("515.65.01", "11.7", gpus={"Tesla T4": (7, 5)}), Verdict.YES, "It fits Tesla T4"),
        ("18.07-py3", report(), Verdict.NO, "made before RTX 2060"),
        ("20.11-tf1-py3", report(gpus={"Tesla K80": (3, 7)}), Verdict.NO, "Tesla K80 is too old"),
        ("20.11-tf1-py3", report(gpus={"RTX 5090": (12, 0), "RTX 3060": (8, 6)}), Verdict.YES, "It fits RTX 3060"),
        ("20.11-tf1-py3", report("", ""), Verdict.UNKNOWN, "could not be read"),
        ("20.11-tf1-py3", report(gpus={"GRID": None}), Verdict.UNKNOWN, "does not say"),
        ("20.11-tf1-py3", None, Verdict.UNKNOWN, "No NVIDIA GPU"),
    ],
)
def test_a_known_image_is_judged_by_its_facts(
    tag: str, machine: GpuReport | None, expected: Verdict, words: str
) -> None:
    host: Host = replace(build("healthy"), gpus=_Gpus(machine))
    fit = image_fit.check(host, f"nvcr.io/nvidia/tensorflow:{tag}")
    assert (fit.verdict, fit.source) == (expected, "known")
    assert words in fit.reasons[0]


def test_the_verdict_on_every_known_image_agrees_with_the_facts() -> None:
    images = load()
    for known in images.images:
        for capability in ((3, 7), (5, 2), (6, 0), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)):
            for driver in ("384.80", "410.48", "418.87", "440.33.01", "455.23", "520.61.05", "530.30.02", "580.65.06"):
                fit = image_fit.judge(
                    known.image, report(driver, "", gpus={"a card": capability}), known, None, "known"
                )
                number = tuple(map(int, driver.split(".")))
                expected = known.knows(capability) and images.runs(known, number, "a card")
                assert (fit.verdict is Verdict.YES) == expected, (known.tag, capability, driver)
                assert fit.verdict is not Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("env", "machine", "expected", "words"),
    [
        (NGC, report(), Verdict.YES, "CUDA 11.8.0.065 fits"),
        (
            {"CUDA_VERSION": "12.8.1"},
            report("570.86", "12.8", gpus={"RTX 5090": (12, 0)}),
            Verdict.YES,
            "fits RTX 5090",
        ),
        (NGC, report(gpus={"RTX 5090": (12, 0)}), Verdict.NO, "made before RTX 5090"),
        ({"CUDA_VERSION": "13.0.1"}, report("580.65", "13.0", gpus={"GTX 1080": (6, 1)}), Verdict.NO, "too old"),
        (NGC, report("470.82", "11.4"), Verdict.UNKNOWN, "needs driver 520.61.05"),
        (NGC, report("418.87", "10.1"), Verdict.NO, "needs driver 520.61.05"),
        ({**NGC, "NVIDIA_REQUIRE_CUDA": "cuda>=12.4"}, report(), Verdict.NO, "asks for cuda>=12.4"),
        ({"PATH": "/bin"}, report(), Verdict.UNKNOWN, "does not say"),
        ({"CUDA_VERSION": "99.9"}, report(), Verdict.UNKNOWN, "does not say"),
    ],
)
def test_another_image_is_judged_by_what_it_says(
    env: dict[str, str], machine: GpuReport, expected: Verdict, words: str
) -> None:
    fit = verdict(env, machine)
    assert fit.verdict is expected
    assert words in " ".join(fit.reasons)
    assert fit.confidence.value == "unproven"


@pytest.mark.parametrize(
    ("requires", "machine", "expected"),
    [
        ("cuda>=12.2", report(), True),
        ("cuda>=12.3", report(), False),
        ("cuda>=12.4 brand=tesla,driver>=535,driver<536", report(gpus={"NVIDIA A100": (8, 0)}), True),
        ("cuda>=12.4 brand=tesla,driver>=535,driver<536", report(), False),
        ("cuda>=12.4 brand=geforce,driver>=535,driver<536", report(), True),
        ("cuda>=12.4 brand=unknown", report(gpus={"NVIDIA A100": (8, 0)}), False),
        ("arch>=8.0", report(), False),
        ("something new", report(), True),
    ],
)
def test_the_rule_for_the_container_toolkit(requires: str, machine: GpuReport, expected: bool) -> None:
    assert image_fit.meets(requires, machine, machine.gpus[0], load()) is expected


# --- where the image's words come from ---


@dataclass
class _Engine:
    here: ImageInfo | None = None

    def info(self) -> object:
        return types.SimpleNamespace(arch="amd64")

    def image(self, _name: str) -> ImageInfo | None:
        return self.here


@dataclass
class _Part:
    data: bytes

    def read(self) -> bytes:
        piece, self.data = self.data[:7], self.data[7:]
        return piece

    def close(self) -> None:
        pass


@dataclass
class _Registry:
    config: bytes
    broken: bool = False
    problem: Problem | None = None

    def manifest(self, reference: ImageReference, _key: Secret | None, _arch: str) -> Manifest:
        if self.problem is not None:
            raise Trouble(self.problem)
        digest = f"sha256:{hashlib.sha256(self.config).hexdigest()}"
        layers = (Layer("sha256:" + "a" * 64, 1000),)
        return Manifest(reference, "sha256:" + "d" * 64, digest, len(self.config), layers, anonymous=True)

    def blobs(self, _reference: ImageReference, _key: Secret | None) -> _Registry:
        return self

    def open(self, _digest: str, size: int, first: int, end: int) -> _Part:
        assert (first, end) == (0, size)
        return _Part(b"x" * size if self.broken else self.config)

    def close(self) -> None:
        pass


def machine(registry: _Registry, here: ImageInfo | None = None) -> Host:
    return replace(build("healthy"), registry=registry, engine=_Engine(here), gpus=_Gpus(report()))  # type: ignore[arg-type]


CONFIG = json.dumps({"architecture": "amd64", "config": {"Env": ["CUDA_VERSION=11.8.0"], "Labels": None}}).encode()


def test_the_registry_is_asked_for_the_images_configuration() -> None:
    fit = image_fit.check(machine(_Registry(CONFIG)), OWN)
    assert (fit.verdict, fit.source, fit.cuda, fit.driver) == (Verdict.YES, "registry", "11.8.0", "520.61")
    assert image_fit.to_json(fit)["needs"] == {"driver": "520.61", "cuda": "11.8.0"}


@pytest.mark.parametrize(
    "registry",
    [
        _Registry(CONFIG, broken=True),
        _Registry(CONFIG, problem=Problem.REGISTRY_UNREACHABLE),
        _Registry(b"not json"),
        _Registry(b'["a list"]'),
    ],
    ids=["another digest", "unreachable", "not json", "a list"],
)
def test_what_cannot_be_believed_or_had_is_not_known(registry: _Registry) -> None:
    fit = image_fit.check(machine(registry), OWN)
    assert (fit.verdict, fit.source) == (Verdict.UNKNOWN, "")


def test_what_the_registry_says_against_the_image_is_passed_on() -> None:
    with pytest.raises(Trouble) as caught:
        image_fit.check(machine(_Registry(CONFIG, problem=Problem.TAG_MISSING)), OWN)
    assert caught.value.kind is Problem.TAG_MISSING


def test_an_image_that_is_here_tells_it_itself() -> None:
    here = ImageInfo("sha256:1", (OWN,), (), 5, labels={"com.nvidia.cuda.version": "9.0.176"})
    fit = image_fit.check(machine(_Registry(b"", problem=Problem.TAG_MISSING), here), OWN)
    assert (fit.verdict, fit.source, fit.cuda) == (Verdict.NO, "engine", "9.0.176")
