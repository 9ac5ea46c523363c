"""NVML's answers and errors become a report or a typed failure; NVML is always let go."""

from __future__ import annotations

import ctypes.util
import re
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pynvml
import pytest

from wizard.host.gpus import NvmlGpus, cuda_version
from wizard.model.errors import Problem, Trouble
from wizard.model.gpu import Gpu, GpuReading

GIB = 1024**3


class Nvml:
    """Stands for the module ``pynvml`` with a driver: the errors are the real library's own."""

    NVMLError = pynvml.NVMLError
    nvmlMemory_v2 = "v2"

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
        assert self.open >= (name != "nvmlShutdown"), "asked before it was opened"
        return {
            "nvmlSystemGetDriverVersion": self._text("535.54.03"),
            "nvmlSystemGetCudaDriverVersion_v2": 12020,
            "nvmlDeviceGetCount": self.gpus,
            "nvmlDeviceGetHandleByIndex": arguments[0] if arguments else None,
            "nvmlDeviceGetName": self._text("NVIDIA GeForce RTX 2060"),
            "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(total=6 * GIB, free=4 * GIB, used=2 * GIB),
            "nvmlDeviceGetUtilizationRates": types.SimpleNamespace(gpu=97, memory=40),
            "nvmlDeviceGetTemperature": 71,
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
    gpus = NvmlGpus()
    report = gpus.report()

    assert [(gpu.index, gpu.uuid) for gpu in gpus.readings()] == [(gpu.index, gpu.uuid) for gpu in report.gpus]
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


# --- readings ----------------------------------------------------------------------------------------------------


READING = GpuReading(0, "GPU-aa", "NVIDIA GeForce RTX 2060", 97, 2 * GIB, 6 * GIB, 71)


@pytest.mark.parametrize("texts", [str, bytes])
def test_readings_open_nvml_once_and_then_ask_only_for_what_changes(texts: type[str] | type[bytes]) -> None:
    nvml = Nvml(2, texts)
    gpus = NvmlGpus(nvml)

    assert gpus.readings() == (READING, replace(READING, index=1))
    nvml.calls.clear()
    gpus.readings()
    values = ["nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetTemperature"]
    assert nvml.calls == values * 2
    assert nvml.open == 1


@pytest.mark.parametrize("code", [3, 4, 13, 999])
@pytest.mark.parametrize(
    ("missing", "fields"),
    [
        ("UtilizationRates", ("use_percent",)),
        ("MemoryInfo", ("memory_used", "memory_total")),
        ("Temperature", ("temperature",)),
    ],
)
def test_one_missing_value_is_none(missing: str, fields: tuple[str, ...], code: int) -> None:
    untold: dict[str, Any] = dict.fromkeys(fields)
    gpus = NvmlGpus(Nvml(**{f"nvmlDeviceGet{missing}": code}))
    assert gpus.readings() == (replace(READING, **untold),)


def test_an_old_driver_has_only_the_first_form_of_memory() -> None:
    assert NvmlGpus(Nvml(nvmlDeviceGetMemoryInfo_v2=13)).readings() == (READING,)


def test_a_gpu_that_tells_nothing_is_still_there() -> None:
    values = ("UtilizationRates", "MemoryInfo", "Temperature", "Name", "UUID")
    assert NvmlGpus(Nvml(**{f"nvmlDeviceGet{name}": 3 for name in values})).readings() == (GpuReading(0, "", ""),)


@pytest.mark.parametrize("function", ["nvmlInit", "nvmlDeviceGetCount"])
@pytest.mark.parametrize("code", [1, 4, 9, 12, 15, 17, 18, 999])
def test_without_a_driver_there_are_no_readings(function: str, code: int) -> None:
    nvml = Nvml(**{function: code})
    gpus = NvmlGpus(nvml)
    assert gpus.readings() == ()
    assert nvml.open == 0
    nvml.errors.clear()
    assert gpus.readings() == (READING,), "the driver may be installed meanwhile"


@pytest.mark.parametrize("code", [1, 9, 15, 16, 999])
def test_a_lost_driver_gives_no_readings_until_it_is_back(code: int) -> None:
    nvml = Nvml(2)
    gpus = NvmlGpus(nvml)
    assert len(gpus.readings()) == 2
    for name in ("UtilizationRates", "MemoryInfo", "Temperature"):
        nvml.errors[f"nvmlDeviceGet{name}"] = code
    assert gpus.readings() == ()
    assert nvml.open == 0
    nvml.errors["nvmlInit"] = code
    assert gpus.readings() == ()
    nvml.errors.clear()
    assert len(gpus.readings()) == 2


def test_one_lost_gpu_is_left_out_and_the_others_are_read_on() -> None:
    nvml = Nvml(3)
    gpus = NvmlGpus(nvml)
    assert len(gpus.readings()) == 3
    for name in ("UtilizationRates", "MemoryInfo", "Temperature"):
        nvml.errors[f"nvmlDeviceGet{name}_1"] = 15
    assert [gpu.index for gpu in gpus.readings()] == [0, 2]
    nvml.errors["nvmlDeviceGetHandleByIndex_1"] = 15
    assert [gpu.index for gpu in gpus.readings()] == [0, 2]
    assert nvml.open == 1


def test_a_report_between_readings_leaves_them_open() -> None:
    nvml = Nvml()
    gpus = NvmlGpus(nvml)
    gpus.readings()
    gpus.report()
    assert nvml.open == 1
    assert gpus.readings() == (READING,)
