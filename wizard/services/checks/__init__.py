"""The checks of the check-up: one small module each.

A new check is a new module with a ``CHECK`` and a place in ``ALL``, after the checks that it requires.
"""

from __future__ import annotations

from wizard.services.checks import (
    disk_space,
    docker_access,
    docker_config,
    docker_engine,
    docker_installed,
    docker_running,
    gpu_device,
    gpu_driver,
    runtime_registered,
    runtime_toolkit,
    system_platform,
)
from wizard.services.checks.check import Check

ALL: tuple[Check, ...] = (
    system_platform.CHECK,
    gpu_driver.CHECK,
    gpu_device.CHECK,
    docker_installed.CHECK,
    docker_running.CHECK,
    docker_access.CHECK,
    docker_engine.CHECK,
    docker_config.CHECK,
    runtime_toolkit.CHECK,
    runtime_registered.CHECK,
    disk_space.CHECK,
)


def by_id(id: str) -> Check:
    """The check of that id. Raises KeyError."""
    return {check.id: check for check in ALL}[id]
