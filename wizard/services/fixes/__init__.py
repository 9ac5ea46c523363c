"""The repairs: one small module each.

A new repair is a new module with a ``REPAIR`` and a place in ``ALL``; the check that finds the fault names its id.
"""

from __future__ import annotations

from wizard.services.fixes import (
    enable_docker,
    enable_live_restore,
    generate_cdi,
    install_toolkit,
    move_stale_apt_list,
    register_runtime,
    remove_nvidia_docker2,
    remove_own_container,
    reset_failed_docker,
    restart_docker,
    start_docker,
)
from wizard.services.fixes.repair import Repair

ALL: tuple[Repair, ...] = (
    move_stale_apt_list.REPAIR,
    remove_nvidia_docker2.REPAIR,
    install_toolkit.REPAIR,
    register_runtime.REPAIR,
    generate_cdi.REPAIR,
    enable_live_restore.REPAIR,
    reset_failed_docker.REPAIR,
    start_docker.REPAIR,
    enable_docker.REPAIR,
    restart_docker.REPAIR,
    remove_own_container.REPAIR,
)
"""In the order of application: what others build on comes first, what lets it take effect comes last."""
