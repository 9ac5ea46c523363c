"""The checks of the check-up: one small module each.

A new check is a new module with a ``CHECK`` and a place in ``ALL``, after the checks that it requires.
"""

from __future__ import annotations

from wizard.services.checks import (
    cdi_specs,
    container_own,
    disk_space,
    docker_access,
    docker_config,
    docker_engine,
    docker_installed,
    docker_running,
    docker_unit,
    gpu_container,
    gpu_device,
    gpu_driver,
    gpu_pci,
    network_proxy,
    network_registry,
    packages_sources,
    runtime_registered,
    runtime_toolkit,
    system_memory,
    system_platform,
    toolkit_config,
    toolkit_hook,
    toolkit_old,
)
from wizard.services.checks.check import Check

ALL: tuple[Check, ...] = (
    system_platform.CHECK,
    system_memory.CHECK,
    gpu_pci.CHECK,
    gpu_driver.CHECK,
    gpu_device.CHECK,
    docker_installed.CHECK,
    docker_running.CHECK,
    docker_access.CHECK,
    docker_engine.CHECK,
    docker_config.CHECK,
    docker_unit.CHECK,
    packages_sources.CHECK,
    toolkit_old.CHECK,
    runtime_toolkit.CHECK,
    toolkit_config.CHECK,
    toolkit_hook.CHECK,
    runtime_registered.CHECK,
    cdi_specs.CHECK,
    gpu_container.CHECK,
    container_own.CHECK,
    disk_space.CHECK,
    network_registry.CHECK,
    network_proxy.CHECK,
)


def by_id(id: str) -> Check:
    """The check of that id. Raises KeyError."""
    return {check.id: check for check in ALL}[id]
