"""Where an engine keeps its images on this machine."""

from __future__ import annotations

import re

from wizard.host.ports import Host
from wizard.model.engine import EngineInfo, EngineKind
from wizard.model.errors import Trouble
from wizard.model.machine import PathKind

USUAL = "/var/lib/docker"
"""Docker's own folder, where nobody chose another."""
_CONTAINERD = "/var/lib/containerd"
_SETTINGS = "/etc/containerd/config.toml"


def folders(host: Host, info: EngineInfo) -> tuple[str, ...]:
    """The folders whose disks hold images: Docker's own, and with the containerd store containerd's, which is the last.

    None for an engine on another machine, or in one of its own (Docker Desktop).
    """
    if info.kind in (EngineKind.REMOTE, EngineKind.DESKTOP):
        return ()
    return (info.root_dir, _containerd(host, info)) if info.containerd_store else (info.root_dir,)


def _containerd(host: Host, info: EngineInfo) -> str:
    """A containerd that Docker has started keeps its files inside Docker's folder (rootless, snap, or no service of
    its own); one with a service says it in its settings.
    """
    from wizard.services.checks import graphics

    if info.kind is not EngineKind.ENGINE:
        return f"{info.root_dir}/containerd"
    if _is_folder(host, f"{info.root_dir}/containerd/daemon/io.containerd.metadata.v1.bolt"):
        return f"{info.root_dir}/containerd"
    found = re.search(r'^root\s*=\s*"([^"]+)"', graphics.text(host, _SETTINGS), re.MULTILINE)
    return found[1] if found else _CONTAINERD


def _is_folder(host: Host, path: str) -> bool:
    try:
        return host.files.info(path).kind is PathKind.DIRECTORY
    except Trouble:  # Docker's folder is root's
        return False
