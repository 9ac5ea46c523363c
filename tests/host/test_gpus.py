"""NVML's answers and errors become a report or a typed failure; NVML is always let go."""

from __future__ import annotations

import ctypes.util
import re
import types
from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from wizard.host.gpus import NvmlGpus, cuda_version
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import Gpu

GIB = 1024**3


class Nvml:
    """Stands for the module ``pynvml`` with a driver: the errors are the real library's own."""

    NVMLError = pynvml.NVMLError

    def __init__(self, gpus: int = 1, texts: type[str] | type[bytes] = str, /, **errors: int) -> None:
        self.gpus, self.texts, self.errors = gpus, texts, errors
        self.open = 0
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            # "name_1" is the failure of the call for GPU 1 only.
            for key in (name, *(f"{name}_{argument}" for argument in arguments)):
                if key in self.errors:
                    raise pynvml.NVMLError(self.errors[key])
            return self._answer(name, *arguments)

        return call

    def _answer(self, name: str, *arguments: Any) -> Any:
        if name == "nvmlInit":
            self.open += 1
        elif name == "nvmlShutdown":
            self.open -= 1
        assert self.open == (name != "nvmlShutdown")
        return {
            "nvmlSystemGetDriverVersion": self._text("535.54.03"),
            "nvmlSystemGetCudaDriverVersion_v2": 12020,
            "nvmlDeviceGetCount": self.gpus,
            "nvmlDeviceGetHandleByIndex": arguments[0] if arguments else None,
            "nvmlDeviceGetName": self._text("NVIDIA GeForce RTX 2060"),
            "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(total=6 * GIB, free=0, used=0),
            "nvmlDeviceGetCudaComputeCapability": (7, 5),
            "nvmlDeviceGetMigMode": [1, 0],
            "nvmlDeviceGetMaxMigDeviceCount": 0,
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlDeviceGetUUID": self._text("GPU-aa"),
        }.get(name)

    def _text(self, text: str) -> str | bytes:
        return text if self.texts is str else text.encode()


@pytest.mark.parametrize("texts", [str, bytes])
def test_a_report(texts: type[str] | type[bytes]) -> None:
    nvml = Nvml(2, texts)
    report = NvmlGpus(nvml).report()

    assert (report.driver, report.cuda) == ("535.54.03", "12.2")
    assert report.gpus[1] == Gpu(1, "NVIDIA GeForce RTX 2060", 6 * GIB, (7, 5), "GPU-aa", mig=True, persistent=True)
    assert nvml.open == 0


def test_the_parts_of_a_divided_gpu_are_listed_whatever_their_numbers() -> None:
    class Divided(Nvml):
        def _answer(self, name: str, *arguments: Any) -> Any:
            if name == "nvmlDeviceGetMaxMigDeviceCount":
                return 7
            if name == "nvmlDeviceGetMigDeviceHandleByIndex":
                if arguments[1] not in (0, 4):
                    raise pynvml.NVMLError(6)  # no such part
                return f"part {arguments[1]}"
            if name == "nvmlDeviceGetName" and isinstance(arguments[0], str):
                return "NVIDIA A100-SXM4-40GB MIG 3g.20gb"
            if name == "nvmlDeviceGetUUID" and isinstance(arguments[0], str):
                return f"MIG-{arguments[0][-1]}"
            return super()._answer(name, *arguments)

    (gpu,) = NvmlGpus(Divided()).report().gpus
    assert gpu.mig
    assert [(item.name, item.memory, item.uuid) for item in gpu.instances] == [
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 6 * GIB, "MIG-0"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 6 * GIB, "MIG-4"),
    ]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (12, Problem.NVML_LIBRARY_MISSING),
        (9, Problem.NVML_DRIVER_NOT_LOADED),
        (18, Problem.NVML_VERSION_MISMATCH),
        (4, Problem.NVML_PERMISSION),
        (17, Problem.NVML_BLOCKED),
        (15, Problem.NVML_GPU_LOST),
        (16, Problem.NVML_GPU_LOST),
        (999, Problem.NVML_OTHER),
    ],
)
def test_a_driver_that_does_not_start(code: int, kind: Problem) -> None:
    nvml = Nvml(nvmlInit=code)

    with pytest.raises(Trouble) as caught:
        NvmlGpus(nvml).report()
    assert caught.value.kind is kind
    assert caught.value.evidence[0].source == "nvmlInit"
    assert caught.value.evidence[0].text == f"{pynvml.NVMLError(code)} ({code})"
    assert nvml.calls == ["nvmlInit"], "what was not opened is not closed"


@pytest.mark.parametrize("code", [3, 13])
def test_a_reading_that_is_not_offered_is_left_empty(code: int) -> None:
    missing = ("MemoryInfo", "CudaComputeCapability", "MigMode", "PersistenceMode", "UUID")
    nvml = Nvml(**{f"nvmlDeviceGet{name}": code for name in missing}, nvmlSystemGetCudaDriverVersion_v2=code)
    report = NvmlGpus(nvml).report()

    assert report.cuda == ""
    assert report.gpus == (Gpu(0, "NVIDIA GeForce RTX 2060", 0, None),)


def test_a_lost_gpu_is_named_and_nvml_is_let_go() -> None:
    nvml = Nvml(2, nvmlDeviceGetName_1=15)

    with pytest.raises(Trouble) as caught:
        NvmlGpus(nvml).report()
    assert caught.value.kind is Problem.NVML_GPU_LOST
    assert nvml.open == 0


def test_a_gpu_of_somebody_else_is_left_out() -> None:
    assert [gpu.index for gpu in NvmlGpus(Nvml(3, nvmlDeviceGetHandleByIndex_1=4)).report().gpus] == [0, 2]


def test_no_usable_gpu_at_all_is_a_matter_of_rights() -> None:
    nvml = Nvml(2, nvmlDeviceGetHandleByIndex=4)

    with pytest.raises(Trouble) as caught:
        NvmlGpus(nvml).report()
    assert caught.value.kind is Problem.NVML_PERMISSION
    assert nvml.open == 0


def test_a_driver_without_gpus() -> None:
    assert NvmlGpus(Nvml(0)).report().gpus == ()


def test_a_failure_to_let_go_does_not_lose_the_report() -> None:
    assert NvmlGpus(Nvml(nvmlShutdown=1)).report().driver == "535.54.03"


@pytest.mark.parametrize(
    ("number", "text"), [(12080, "12.8"), (9000, "9.0"), (10010, "10.1"), (13020, "13.2"), (0, "")]
)
def test_cuda_versions(number: int, text: str) -> None:
    assert cuda_version(number) == text


@pytest.mark.skipif(ctypes.util.find_library("nvidia-ml") is not None, reason="this machine has an NVIDIA driver")
def test_the_real_library_on_a_machine_without_a_driver() -> None:
    with pytest.raises(Trouble) as caught:
        NvmlGpus().report()
    assert caught.value.kind is Problem.NVML_LIBRARY_MISSING


@pytest.mark.skipif(ctypes.util.find_library("nvidia-ml") is None, reason="this machine has no NVIDIA driver")
def test_the_real_library_on_a_machine_with_a_driver() -> None:
    report = NvmlGpus().report()

    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", report.driver)
    assert re.fullmatch(r"\d+\.\d", report.cuda)
    for gpu in report.gpus:
        assert gpu.name
        assert gpu.memory > GIB
        assert gpu.uuid.startswith("GPU-")
        assert gpu.capability
        assert gpu.capability >= (3, 0)


def test_a_rare_fault_is_told_with_what_to_do() -> None:
    with pytest.raises(Trouble) as caught:
        NvmlGpus(Nvml(nvmlInit=8)).report()
    assert caught.value.kind is Problem.NVML_OTHER
    assert "power cables" in caught.value.hint
    assert caught.value.evidence[0].text.endswith("(8)")
