"""The NVIDIA driver, asked through NVML (the library behind ``nvidia-smi``), by way of ``nvidia-ml-py``."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.gpu import Gpu, GpuReading, GpuReport, MigInstance
from wizard.model.i18n import N_, _

# NVML's return codes, a fixed part of its interface (nvml.h). They are written out, because older releases of the
# library do not name all of them.
_NOT_SUPPORTED, _NO_PERMISSION, _FUNCTION_NOT_FOUND = 3, 4, 13
_KINDS = {
    12: Problem.NVML_LIBRARY_MISSING,
    9: Problem.NVML_DRIVER_NOT_LOADED,
    18: Problem.NVML_VERSION_MISMATCH,
    _NO_PERMISSION: Problem.NVML_PERMISSION,
    17: Problem.NVML_BLOCKED,  # by the operating system: a cgroup, a sandbox, something else at /dev/nvidiactl
    15: Problem.NVML_GPU_LOST,
    16: Problem.NVML_GPU_LOST,  # it "requires reset"
}
_HINTS = {
    8: N_("The power cables of the card are not plugged in."),
    10: N_("It did not answer in time. Look again in a minute; if it stays like this, reboot."),
    11: N_("The card and the mainboard do not get along over interrupts: an update of the BIOS can help."),
    14: N_("A small memory on the card itself is damaged: the card needs a service by its maker."),
    20: N_("The system has too little memory left for it."),
    27: N_("The card is still starting. Look again in a minute."),
    28: N_("This driver does not know the card: install the driver that NVIDIA names for it."),
    999: N_("Reboot first. If it stays, the kernel's log has NVIDIA's own words: sudo dmesg | grep -i nvrm"),
}
"""What to do about the rarer codes, all of them ``NVML_OTHER``."""

_REFUSED = (Problem.NVML_PERMISSION, Problem.NVML_BLOCKED)
_CORE_SENSOR = 0
"""NVML's number for the sensor of the chip itself, the only one that it knows."""


class NvmlGpus:
    """The ``Gpus`` port on a real machine.

    ``nvml`` is the module to ask; by default it is ``pynvml``, imported at the first question.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._watched: tuple[tuple[Any, GpuReading], ...] | None = None
        self._watching = threading.Lock()

    def report(self) -> GpuReport:
        """Driver and GPUs. A reading that this driver or GPU does not offer is left empty; a GPU that this user may
        not use is left out, unless none remains. Raises the ``NVML_…`` kinds.
        """
        self._ask("nvmlInit")
        try:
            return GpuReport(
                driver=_text(self._ask("nvmlSystemGetDriverVersion")),
                cuda=cuda_version(self._ask("nvmlSystemGetCudaDriverVersion_v2", optional=0)),
                gpus=self._gpus(),
            )
        finally:
            # Whatever was learned counts more than a failure to say goodbye.
            self._ask("nvmlShutdown", optional=None, any_error=True)

    def readings(self) -> tuple[GpuReading, ...]:
        """What the GPUs do now. NVML is kept open from the first call on, because opening it can take a second; it is
        opened anew after a GPU or the driver was lost.
        """
        with self._watching:
            try:
                if self._watched is None:
                    self._watched = self._watch()
                found = [self._reading(device, gpu) for device, gpu in self._watched]
            except Trouble:
                return ()
            if None in found:
                self._watched = None
                self._ask("nvmlShutdown", optional=None, any_error=True)
            return tuple(reading for reading in found if reading is not None)

    def _watch(self) -> tuple[tuple[Any, GpuReading], ...]:
        """Opens NVML: the handles of the GPUs that this user may look at, each with what does not change."""
        self._ask("nvmlInit")
        try:
            found = []
            for index in range(self._ask("nvmlDeviceGetCount")):
                device = self._ask("nvmlDeviceGetHandleByIndex", index, optional=None, any_error=True)
                if device is not None:
                    uuid, name = (
                        _text(self._ask(f"nvmlDeviceGet{what}", device, optional="", any_error=True))
                        for what in ("UUID", "Name")
                    )
                    found.append((device, GpuReading(index, uuid, name)))
            return tuple(found)
        except Trouble:
            self._ask("nvmlShutdown", optional=None, any_error=True)
            raise

    def _reading(self, device: Any, gpu: GpuReading) -> GpuReading | None:
        """One GPU now; None for one that answers every question with a fault."""
        faults = set()

        def value(function: str, *more: object) -> Any:
            try:
                return self._ask(function, device, *more, optional=None)
            except Trouble as trouble:
                if trouble.kind not in _REFUSED:
                    faults.add(function)
                return None

        use = value("nvmlDeviceGetUtilizationRates")
        # The second form, since driver 510, counts apart what the driver keeps for itself, as nvidia-smi does.
        memory = value("nvmlDeviceGetMemoryInfo", self._nvml.nvmlMemory_v2) or value("nvmlDeviceGetMemoryInfo")
        temperature = value("nvmlDeviceGetTemperature", _CORE_SENSOR)
        if len(faults) == len((use, memory, temperature)):
            return None
        return replace(
            gpu,
            use_percent=int(use.gpu) if use else None,
            memory_used=int(memory.used) if memory else None,
            memory_total=int(memory.total) if memory else None,
            temperature=None if temperature is None else int(temperature),
        )

    def _gpus(self) -> tuple[Gpu, ...]:
        found: list[Gpu] = []
        refused: Trouble | None = None
        for index in range(self._ask("nvmlDeviceGetCount")):
            try:
                found.append(self._gpu(index))
            except Trouble as trouble:
                if trouble.kind not in _REFUSED:
                    raise
                refused = trouble
        if refused and not found:
            raise refused
        return tuple(found)

    def _gpu(self, index: int) -> Gpu:
        device = self._ask("nvmlDeviceGetHandleByIndex", index)
        memory = self._ask("nvmlDeviceGetMemoryInfo", device, optional=None)
        capability = self._ask("nvmlDeviceGetCudaComputeCapability", device, optional=None)
        mig = self._ask("nvmlDeviceGetMigMode", device, optional=None)
        persistent = self._ask("nvmlDeviceGetPersistenceMode", device, optional=None)
        return Gpu(
            index=index,
            name=_text(self._ask("nvmlDeviceGetName", device)),
            memory=int(memory.total) if memory else 0,
            capability=(int(capability[0]), int(capability[1])) if capability else None,
            uuid=_text(self._ask("nvmlDeviceGetUUID", device, optional="")),
            mig=bool(mig and mig[0] == 1),
            instances=self._instances(device) if mig and mig[0] == 1 else (),
            persistent=None if persistent is None else bool(persistent),
        )

    def _instances(self, device: Any) -> tuple[MigInstance, ...]:
        """The parts of a divided GPU. Their numbers may have gaps; a part that may not be looked at is left out."""
        found = []
        for number in range(self._ask("nvmlDeviceGetMaxMigDeviceCount", device, optional=0)):
            part = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", device, number, optional=None, any_error=True)
            if part is not None:
                memory = self._ask("nvmlDeviceGetMemoryInfo", part, optional=None, any_error=True)
                found.append(
                    MigInstance(
                        name=_text(self._ask("nvmlDeviceGetName", part, optional="", any_error=True)),
                        memory=int(memory.total) if memory else 0,
                        uuid=_text(self._ask("nvmlDeviceGetUUID", part, optional="", any_error=True)),
                    )
                )
        return tuple(found)

    def _ask(self, function: str, *arguments: object, any_error: bool = False, **default: object) -> Any:
        """Calls one function of NVML. With ``optional=value``, a reading that does not exist here gives the value;
        with ``any_error`` too, every failure does.
        """
        if self._nvml is None:
            import pynvml

            self._nvml = pynvml
        try:
            return getattr(self._nvml, function)(*arguments)
        except self._nvml.NVMLError as error:
            code = int(error.value)
            if default and (any_error or code in (_NOT_SUPPORTED, _FUNCTION_NOT_FOUND)):
                return default["optional"]
            text = str(error)
            raise Trouble(
                _KINDS.get(code, Problem.NVML_OTHER),
                text,
                subject=text if code not in _KINDS else "",
                hint=_(_HINTS[code]) if code in _HINTS else "",
                evidence=(Evidence(function, f"{text} ({code})"),),
            ) from error


def cuda_version(number: int) -> str:
    """NVML's number for a CUDA version, 1000 * major + 10 * minor, as people write it: 12080 is ``12.8``."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
