"""Whether what is here fits: images and GPU, image and driver, containers that have lost something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.services.checks.machines import Instead, trouble
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model.cause import Match
from wizard.model.container import LABEL, ContainerInfo
from wizard.model.engine import ExecResult, ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.gpu import Gpu, GpuReport
from wizard.services.probes import ABOUT, GENERAL, fit

OLD, NEW = "nvcr.io/nvidia/tensorflow:18.08-py3", "nvcr.io/nvidia/tensorflow:22.12-tf1-py3"


def host(
    *tags: str,
    capability: tuple[int, int] = (7, 5),
    driver: str = "535.54.03",
    cuda: str = "12.2",
    said: ExecResult | None = None,
) -> Host:
    made = machine.build("healthy")
    report = GpuReport(driver, cuda, (Gpu(0, "NVIDIA GeForce RTX 2060", 6 * 2**30, capability),))
    box = ContainerInfo("1" * 64, "box", OLD, "sha256:1", "running", labels={LABEL: "1"})
    theirs = ContainerInfo("2" * 64, "theirs", OLD, "sha256:1", "running")
    return replace(
        made,
        gpus=Instead(made.gpus, report=report),
        engine=Instead(
            made.engine,
            images=tuple(ImageInfo("sha256:1", (tag,), (), 1) for tag in tags),
            containers=(theirs, *((box,) if said is not None else ())),
            run_in=lambda id_, argv, timeout: said if id_ == box.id else trouble(Problem.INTERNAL),
        ),
    )


def match(text: str = "") -> Match:
    return Match(None, text)  # type: ignore[arg-type]


def holds(proof: object) -> bool | None:
    return getattr(proof, "holds", None)


@pytest.mark.parametrize(
    ("tags", "capability", "expected"),
    [
        ((), (7, 5), None),
        (("busybox:1",), (7, 5), None),
        ((NEW,), (7, 5), False),
        ((OLD,), (9, 0), True),
        ((NEW, OLD), (8, 6), True),
    ],
)
def test_an_image_without_code_for_the_gpu(
    tags: tuple[str, ...], capability: tuple[int, int], expected: bool | None
) -> None:
    assert holds(fit.gpu_not_known(host(*tags, capability=capability), match())) is expected


@pytest.mark.parametrize(
    ("tags", "driver", "expected"), [((), "535.54.03", None), ((OLD,), "580.159.04", False), ((NEW,), "390.10", True)]
)
def test_an_image_that_wants_a_newer_driver(tags: tuple[str, ...], driver: str, expected: bool | None) -> None:
    proof = fit.driver_too_old(host(*tags, driver=driver), match())
    assert holds(proof) is expected
    if proof is not None and expected is False:
        assert "does no harm" in proof.note


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unsatisfied condition: cuda>=99.0, please update", True),
        ("unsatisfied condition: cuda >= 9.0", False),
        ("unsatisfied condition: brand = tesla", None),
    ],
)
def test_a_requirement_is_compared_with_the_driver(text: str, expected: bool | None) -> None:
    assert holds(fit.cuda_too_new(host(), match(text))) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (ExecResult(255, b"Failed to initialize NVML: Unknown Error\n"), True),
        (ExecResult(0, b"GPU 0: NVIDIA\n"), False),
        (ExecResult(127, b"", b"not found"), None),
        (None, None),
    ],
)
def test_a_container_that_lost_its_gpu(said: ExecResult | None, expected: bool | None) -> None:
    """Only our own is looked into: another person's container is not entered."""
    assert holds(fit.lost_in_container(host(said=said), match())) is expected


def test_a_machine_without_a_driver_cannot_prove_it() -> None:
    broken = host(said=ExecResult(0))
    with pytest.raises(Trouble):
        fit.lost_in_container(replace(broken, gpus=Instead(broken.gpus, report=trouble(Problem.NVML_OTHER))), match())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (ExecResult(0, b"Filesystem 1K-blocks Used Available Use% Mounted on\nshm 65536 0 65536 0% /dev/shm\n"), True),
        (ExecResult(0, b"Filesystem 1K-blocks Used Available Use% Mounted on\nshm 1048576 0 1 0% /dev/shm\n"), False),
        (ExecResult(127, b"", b"not found"), None),
        (ExecResult(0, b""), None),
    ],
)
def test_a_container_with_little_shared_memory(said: ExecResult, expected: bool | None) -> None:
    assert holds(fit.little_shared_memory(host(said=said), match())) is expected


def test_they_are_asked() -> None:
    assert "cuda-too-new" in ABOUT
    assert {"ngc-gpu-unsupported", "ngc-driver-too-old", "nvml-unknown-error", "ngc-shmem", "sigbus-shm"} <= set(
        GENERAL
    )
