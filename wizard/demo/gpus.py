"""The simulated NVIDIA driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wizard.demo.spec import Spec
from wizard.model.errors import Problem, Trouble
from wizard.model.gpu import Gpu, GpuReading, GpuReport

_IDLE = (0, 0.03, 38)
_BUSY = (97, 0.86, 71)
"""What a GPU does: its use in percent, the share of its memory, and °C."""


class SimGpus:
    """``Gpus``: the report that the machine's file describes, or the problem that it names.

    ``busy`` tells whether something on the machine computes on the GPUs now.
    """

    def __init__(self, spec: Spec, busy: Callable[[], bool]) -> None:
        self._spec = spec
        self._busy = busy

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

    def readings(self) -> tuple[GpuReading, ...]:
        if self._spec.driver.problem:
            return ()
        use, share, temperature = _BUSY if self._busy() else _IDLE
        found = []
        for number, gpu in enumerate(self._spec.gpus):
            untold: dict[str, Any] = dict.fromkeys(gpu.untold)
            used = int(gpu.memory * share)
            reading = GpuReading(number, gpu.uuid, gpu.name, use, used, gpu.memory, temperature)
            found.append(replace(reading, **untold))
        return tuple(found)


def _capability(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
