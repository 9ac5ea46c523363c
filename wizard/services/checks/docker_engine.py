"""Which Docker answers: the repairs are made on that one."""

from __future__ import annotations

import re

from wizard.host.ports import Host
from wizard.model.engine import EngineKind
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind
from wizard.services.checks.check import PROBE, Check

_GPUS_SINCE = (19, 3)
"""``--gpus`` came with Docker 19.03."""

_SNAP = "/snap/docker/current"

_KINDS = {
    EngineKind.ENGINE: (Status.OK, N_("Docker Engine {version}"), N_("This is the usual Docker for Linux.")),
    EngineKind.ROOTLESS: (
        Status.INFO,
        N_("Docker Engine {version}, rootless"),
        N_("This Docker runs without administrator rights. The GPU needs one more setting of NVIDIA's toolkit."),
    ),
    EngineKind.SNAP: (
        Status.WARNING,
        N_("Docker {version} from a snap package"),
        N_("A Docker from a snap package sees few folders and cannot use NVIDIA's toolkit of the system."),
    ),
    EngineKind.DESKTOP: (
        Status.WARNING,
        N_("Docker Desktop {version}"),
        N_(
            "Docker Desktop runs in a virtual machine that does not see the GPU. "
            "For the GPU, install Docker Engine and choose it: docker context use default"
        ),
    ),
    EngineKind.PODMAN: (
        Status.WARNING,
        N_("Podman {version}, which answers in Docker's place"),
        N_("Podman is another program that imitates Docker. The repairs of this wizard are for Docker Engine only."),
    ),
    EngineKind.REMOTE: (
        Status.WARNING,
        N_("Docker {version} on another machine"),
        N_(
            "The containers would run over there; the GPU and the disk that are checked here are those of this machine."
        ),
    ),
}


def _run(host: Host) -> Finding:
    info = host.engine.info()
    endpoint = host.engine.endpoint()
    status, summary, detail = _KINDS[info.kind]
    said = _(detail)
    causes = {EngineKind.DESKTOP: ("docker-desktop-context",), EngineKind.SNAP: ("snap-docker",)}.get(info.kind, ())
    second = _second(host, info.kind)
    if second:
        status = Status.WARNING
        said = _(
            "{text} A second Docker is installed here, too ({path}). Each has images and settings of its own, and they "
            "get in each other's way: remove the one that you do not use."
        ).format(text=said, path=second)
    numbers = tuple(int(number) for number in re.findall(r"\d+", info.version)[:2])
    if info.kind in (EngineKind.ENGINE, EngineKind.ROOTLESS) and numbers and numbers < _GPUS_SINCE:
        status = Status.WARNING
        said = _('This Docker is old: the option --gpus came with 19.03. The runtime "nvidia" works with it.')
    return CHECK.finding(
        status,
        _(summary).format(version=info.version),
        said,
        evidence=(
            Evidence(endpoint.source, endpoint.url),
            Evidence("GET /info", f"{info.name}: {info.os}, {info.storage_driver}, API {info.api_version}"),
            *(Evidence("GET /info, Warnings", warning) for warning in info.warnings),
        ),
        causes=causes,
        facts={"engine": info, "endpoint": endpoint},
    )


def _second(host: Host, kind: EngineKind) -> str:
    """Where the other Docker lies when both a snap package and another one are installed; "" otherwise."""
    if kind is EngineKind.SNAP:
        program = host.commands.which("dockerd") or ""
        return "" if program.startswith("/snap/") else program
    try:
        there = kind is EngineKind.ENGINE and host.files.info(_SNAP).kind is PathKind.DIRECTORY
    except Trouble:
        return ""
    return _SNAP if there else ""


CHECK = Check(
    id="docker.engine",
    title=N_("Kind of Docker"),
    requires=("docker.access",),
    timeout=PROBE,
    run=_run,
    decides=("docker-desktop-context", "snap-docker"),
)
