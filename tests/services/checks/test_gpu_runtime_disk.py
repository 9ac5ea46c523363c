"""The checks of the GPU, the toolkit, the runtime, the disk and the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.services.checks.machines import Instead, find, trouble, with_engine
from wizard.demo import machine
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem
from wizard.model.finding import Status
from wizard.model.gpu import Gpu, GpuReport
from wizard.model.machine import DiskSpace

GB = 1_000_000_000


@pytest.mark.parametrize("kind", [kind for kind in Problem if kind.name.startswith("NVML_")])
def test_a_driver_in_trouble_is_said_in_words_and_the_cpu_is_offered(kind: Problem) -> None:
    host = machine.build("healthy")
    found = find(replace(host, gpus=Instead(host.gpus, report=trouble(kind, "NVML's words"))), "gpu.driver")
    assert found.status is Status.ERROR
    assert "CPU" in found.detail
    assert found.evidence[0].text == "NVML's words"
    assert found.facts["problem"] == kind.value


def test_gpus_are_described() -> None:
    host = machine.build("healthy")
    one = Gpu(0, "NVIDIA Tesla V100", 16 * 2**30, (7, 0))
    other = Gpu(1, "NVIDIA Old", 2 * 2**30, None)

    def seen(*gpus: Gpu) -> str:
        report = GpuReport("535.54", "12.2", gpus)
        found = find(replace(host, gpus=Instead(host.gpus, report=report)), "gpu.device")
        return f"{found.status.value}: {found.summary}"

    assert seen(one) == "ok: NVIDIA Tesla V100, 16 GB, compute capability 7.0"
    assert seen(other, one) == "ok: NVIDIA Old, 2 GB, and 1 more"
    assert seen() == "error: The driver works, but it sees no GPU."


def test_a_toolkit_that_cannot_be_run_is_not_called_missing() -> None:
    host = machine.build("healthy")
    found = find(replace(host, commands=Instead(host.commands, which=lambda name: None)), "runtime.toolkit")
    assert found.status is Status.ERROR
    assert "cannot be run" in found.summary


def test_a_toolkit_is_wanted_only_where_there_is_a_gpu() -> None:
    assert find(machine.build("no-gpu"), "runtime.toolkit").blocked_by == "gpu.driver"
    assert find(machine.build("no-docker"), "runtime.toolkit").status is Status.ERROR


def test_a_runtime_whose_program_is_gone_is_not_registered() -> None:
    info = machine.build("healthy").engine.info()
    for path, status in (
        ("/gone/nvidia-container-runtime", Status.ERROR),
        ("gone-runtime", Status.ERROR),
        ("nvidia-container-runtime", Status.OK),
        ("", Status.OK),
    ):
        found = find(with_engine(info=replace(info, runtimes={"nvidia": path})), "runtime.registered")
        assert (path, found.status) == (path, status)
        assert found.fixes == (("register-runtime",) if status is Status.ERROR else ())


def test_no_repair_is_offered_for_a_docker_that_is_not_here() -> None:
    info = replace(machine.build("healthy").engine.info(), runtimes={"runc": ""}, kind=EngineKind.REMOTE)
    found = find(with_engine(info=info), "runtime.registered")
    assert (found.status, found.fixes) == (Status.ERROR, ())


@pytest.mark.parametrize(
    ("free", "status"),
    [(20 * GB, Status.OK), (20 * GB - 1, Status.WARNING), (10 * GB, Status.WARNING), (10 * GB - 1, Status.ERROR)],
)
def test_space_for_images(free: int, status: Status) -> None:
    host = machine.build("healthy")
    files = Instead(host.files, disk=lambda path: DiskSpace(path, 100 * GB, free))
    assert find(replace(host, files=files), "disk.space").status is status


def test_space_is_measured_where_the_images_really_go() -> None:
    """With containerd's image store, images are not in Docker's own folder."""
    info = replace(machine.build("healthy").engine.info(), containerd_store=True)
    host = with_engine(info=info)
    disks = {"/var/lib/docker": 100 * GB, "/var/lib/containerd": 3 * GB}
    files = Instead(host.files, disk=lambda path: DiskSpace(path, 500 * GB, disks.get(path, 100 * GB)))
    found = find(replace(host, files=files), "disk.space")
    assert (found.status, found.facts["path"]) == (Status.ERROR, "/var/lib/containerd")
    assert "3.0 GB" in found.summary


def test_the_platform() -> None:
    host = machine.build("healthy")

    def status(**changes: str) -> Status:
        return find(replace(host, info=replace(host.info, **changes)), "system.platform").status  # type: ignore[arg-type]

    assert status() is Status.OK
    assert status(arch="aarch64") is Status.WARNING
    assert status(system="Darwin") is Status.ERROR
