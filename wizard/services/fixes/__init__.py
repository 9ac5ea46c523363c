"""The repairs: one small module each.

A new repair is a new module with a ``REPAIR`` and a place in ``ALL``; the check that finds the fault names its id.
"""

from __future__ import annotations

from wizard.services.fixes import (
    enable_docker,
    enable_live_restore,
    free_disk_space,
    generate_cdi,
    install_docker,
    install_docker_ce,
    install_toolkit,
    join_docker_group,
    move_stale_apt_list,
    register_runtime,
    remove_duplicate_key,
    remove_nvidia_docker2,
    remove_own_container,
    repair_daemon_json,
    repair_drop_in,
    reset_failed_docker,
    restart_docker,
    set_daemon_proxy,
    start_docker,
)
from wizard.services.fixes.repair import Repair

ALL: tuple[Repair, ...] = (
    move_stale_apt_list.REPAIR,
    remove_nvidia_docker2.REPAIR,
    install_docker.REPAIR,
    install_docker_ce.REPAIR,
    install_toolkit.REPAIR,
    repair_daemon_json.REPAIR,
    remove_duplicate_key.REPAIR,
    repair_drop_in.REPAIR,
    register_runtime.REPAIR,
    set_daemon_proxy.REPAIR,
    generate_cdi.REPAIR,
    enable_live_restore.REPAIR,
    reset_failed_docker.REPAIR,
    start_docker.REPAIR,
    enable_docker.REPAIR,
    restart_docker.REPAIR,
    join_docker_group.REPAIR,
    remove_own_container.REPAIR,
    free_disk_space.REPAIR,
)
"""In the order of application: what others build on comes first, what lets it take effect comes last."""
