"""What the NVIDIA driver reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MigInstance:
    """A part of a divided GPU, which a program sees as a GPU. ``memory`` is in bytes."""

    name: str
    memory: int
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. ``memory`` is in bytes; ``capability`` is CUDA's compute capability as (major, minor). ``mig`` tells
    that it is set to be divided, ``instances`` into which parts.
    """

    index: int
    name: str
    memory: int
    capability: tuple[int, int] | None
    uuid: str = ""
    mig: bool = False
    persistent: bool | None = None
    """whether the driver keeps the GPU set up while nobody uses it; None where it does not say"""
    instances: tuple[MigInstance, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuReport:
    """What the NVIDIA driver says. ``cuda`` is the newest CUDA that it supports, e.g. ``12.8``."""

    driver: str
    cuda: str
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one GPU does at this moment. ``use_percent`` is the share of the last moment in which it computed, memory is
    in bytes, ``temperature`` in °C. What the driver does not tell (of a divided or a virtual GPU) is None.
    """

    index: int
    uuid: str
    name: str
    use_percent: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: int | None = None
