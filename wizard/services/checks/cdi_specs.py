"""Whether the CDI specifications of the GPUs are there and fit the driver, where CDI is used.

Facts: CDI (Container Device Interface) is a second way to give a GPU to a container. Docker has it since 25, on its own
from 28.2 on, before that with ``features.cdi`` in daemon.json. A specification lists the driver's files by name, so
that it is wrong after an update of the driver.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model import daemon_json
from wizard.model.engine import EngineInfo, EngineKind
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services.checks.check import PROBE, Check

FIX = "generate-cdi"
FOLDERS = ("/etc/cdi", "/var/run/cdi")
TARGET = "/etc/cdi/nvidia.yaml"
_DRIVER = "/proc/driver/nvidia/version"
_TOOLKIT = "/etc/nvidia-container-runtime/config.toml"
_KIND = re.compile(rb"""["']?kind["']?\s*:\s*["']?nvidia\.com/gpu\b""")
_LIBRARY = re.compile(rb"lib(?:cuda|nvidia-ml)\.so\.(\d+\.\d+(?:\.\d+)?)")
_LOADED = re.compile(r"Module(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Spec:
    """A specification for NVIDIA's GPUs. ``driver`` is the version whose files it names, "" where it names none."""

    path: str
    driver: str


def specs(host: Host) -> tuple[Spec, ...]:
    """The specifications for NVIDIA's GPUs, those with the higher rank last."""
    found: list[Spec] = []
    for folder in FOLDERS:
        for name in host.files.names(folder):
            if name.endswith((".yaml", ".json")):
                try:
                    content = host.files.read(f"{folder}/{name}")
                except Trouble:
                    continue
                if content is not None and _KIND.search(content.data):
                    driver = _LIBRARY.search(content.data)
                    found.append(Spec(f"{folder}/{name}", driver[1].decode() if driver else ""))
    return tuple(found)


def loaded_driver(host: Host) -> str:
    """The version of the driver in the kernel, "" where none is loaded."""
    content = host.files.read(_DRIVER)
    match = _LOADED.search(content.data.decode(errors="replace")) if content is not None else None
    return match[1] if match else ""


def stale(host: Host, found: tuple[Spec, ...]) -> tuple[Spec, ...]:
    """Those that name the files of another driver than the one that is loaded."""
    driver = loaded_driver(host)
    return tuple(spec for spec in found if driver and spec.driver and spec.driver != driver)


def is_wanted(host: Host, info: EngineInfo) -> bool:
    """Whether somebody has set up Docker or the toolkit for CDI."""
    config = host.files.read(_TOOLKIT)
    if config is not None and re.search(rb'^\s*mode\s*=\s*"cdi"', config.data, re.MULTILINE):
        return True
    path = daemon_json.config_path(info.kind, host.engine.daemon(), host.home, host.environ)
    try:
        content = host.files.read(path) if path else None
        settings = daemon_json.read(content.data, path or "") if content else {}
    except Trouble:
        return False
    features = settings.get("features")
    return isinstance(features, dict) and features.get("cdi") is True


def _run(host: Host) -> Finding:
    info = host.engine.info()
    if info.kind not in (EngineKind.ENGINE, EngineKind.ROOTLESS):
        return CHECK.finding(Status.INFO, _("The specifications of this Docker are not files of this machine."))
    found = specs(host)
    seen = tuple(Evidence(spec.path, _("for driver {version}").format(version=spec.driver or "?")) for spec in found)
    off = () if info.cdi_folders else ("cdi-not-enabled",)
    old = stale(host, found)
    if old:
        return CHECK.finding(
            Status.WARNING,
            _("The description of the GPUs in {path} is for driver {old}, not for {new}.").format(
                path=old[-1].path, old=old[-1].driver, new=loaded_driver(host)
            ),
            _("It is used by containers that ask for the GPU through CDI. It has to be made again after an update."),
            evidence=seen,
            causes=("cdi-unresolvable", *off),
            fixes=(FIX,),
        )
    if found:
        return CHECK.finding(
            Status.OK,
            _("The description of the GPUs for CDI fits the driver."),
            evidence=seen,
            causes=off,
        )
    looked = (Evidence(", ".join(FOLDERS), _("no description of an NVIDIA GPU")),)
    if is_wanted(host, info):
        return CHECK.finding(
            Status.WARNING,
            _("CDI is switched on, but nothing describes the GPUs for it."),
            _("CDI is another way to give the GPU to a container. The wizard can make the description."),
            evidence=looked,
            causes=("cdi-unresolvable", *off),
            fixes=(FIX,),
        )
    return CHECK.finding(
        Status.OK,
        _("CDI, another way to give GPUs to containers, is not used here. It is not needed."),
        evidence=looked,
        causes=("cdi-unresolvable", *off),
    )


CHECK = Check(
    id="cdi.specs",
    title=N_("GPU description (CDI)"),
    requires=("docker.access", "runtime.toolkit"),
    timeout=PROBE,
    run=_run,
    decides=("cdi-unresolvable", "cdi-not-enabled"),
)
