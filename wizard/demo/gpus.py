"""The simulated NVIDIA driver."""

from __future__ import annotations

from wizard.demo.spec import Spec
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import Gpu, GpuReport


class SimGpus:
    """``Gpus``: the report that the machine's file describes, or the problem that it names."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def report(self) -> GpuReport:
        driver = self._spec.driver
        if driver.problem:
            raise Trouble(Problem(driver.problem), driver.text)
        return GpuReport(
            driver=driver.version,
            cuda=driver.cuda,
            gpus=tuple(
                Gpu(number, gpu.name, gpu.memory, _capability(gpu.capability), gpu.uuid, persistent=gpu.persistent)
                for number, gpu in enumerate(self._spec.gpus)
            ),
        )


def _capability(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
