"""Whether the toolkit's own settings are right and its runtime runs at all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from wizard.host.ports import Host
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind
from wizard.services.checks.check import Check
from wizard.services.checks.runtime_toolkit import PROGRAM

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = "/etc/nvidia-container-runtime/config.toml"
_JETSON = "/etc/nv_tegra_release"
_LOW_LEVEL = ("docker-runc", "runc", "crun")
_SECONDS = 10.0
_PAGE = Link(
    N_("NVIDIA: Container Toolkit troubleshooting"),
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html",
)


def _run(host: Host) -> Finding:
    content = host.files.read(PATH)
    settings: Mapping[str, Any] = {}
    if content is not None:
        try:
            settings = tomllib.loads(content.data.decode())
        except ValueError as error:
            return _broken(str(error))
    seen = Evidence(PATH, _("can be read") if content is not None else _("not there: the defaults count"))
    runtime, tool = _table(settings, "nvidia-container-runtime"), _table(settings, "nvidia-container-cli")
    return (
        _low_level(host, runtime)
        or _paths(host, tool)
        or _runs(host, seen)
        or _mode(host, str(runtime.get("mode") or "auto"))
        or _cgroups(host, tool.get("no-cgroups") is True)
        or CHECK.finding(
            Status.OK,
            _("The toolkit's settings are fine, and its runtime runs."),
            evidence=(seen,),
            facts={"mode": runtime.get("mode") or "auto"},
        )
    )


def _broken(why: str) -> Finding:
    return CHECK.finding(
        Status.ERROR,
        _("{path} has a mistake: {why}").format(path=PATH, why=why),
        _(
            "No container with a GPU starts with it. Correct this line in a text editor, as root. To begin again "
            "with the settings as they were installed, move the file away and run: {command}"
        ).format(command=f"sudo nvidia-ctk config --in-place --config-file={PATH}"),
        evidence=(Evidence(PATH, why),),
        causes=("toolkit-config-toml-broken", "runtime-exits-early"),
        links=(Link(_(_PAGE.title), _PAGE.url),),
    )


def _low_level(host: Host, runtime: Mapping[str, Any]) -> Finding | None:
    listed = runtime.get("runtimes")
    names = tuple(map(str, listed)) if isinstance(listed, list) and listed else _LOW_LEVEL
    # Where no Docker service is installed, there is no runc either, and nobody misses it yet.
    if host.commands.which("dockerd") is None or any(host.commands.which(name) for name in names):
        return None
    return CHECK.finding(
        Status.ERROR,
        _("NVIDIA's runtime does not find the program that really starts containers (runc)."),
        _("In {path}, below [nvidia-container-runtime], name it with its full path: {line}").format(
            path=PATH, line='runtimes = ["/usr/bin/runc"]'
        ),
        evidence=(Evidence(f"{PATH} → runtimes", ", ".join(names)),),
        causes=("runtime-lowlevel-missing",),
    )


def _paths(host: Host, tool: Mapping[str, Any]) -> Finding | None:
    ldconfig = str(tool.get("ldconfig") or "")
    # The @ means: a program of this machine. Without it the path is one inside the container.
    if ldconfig.startswith("@") and host.files.info(ldconfig[1:]).kind is PathKind.MISSING:
        right = "/sbin/ldconfig.real" if host.commands.which("ldconfig.real") else "/sbin/ldconfig"
        return CHECK.finding(
            Status.ERROR,
            _("The toolkit's settings name a program that is not on this system: {program}").format(
                program=ldconfig[1:]
            ),
            _("They come from another Linux. In {path}, write: {line}").format(
                path=PATH, line=f'ldconfig = "@{right}"'
            ),
            evidence=(Evidence(f"{PATH} → ldconfig", ldconfig),),
            causes=("ldconfig-missing",),
        )
    path = str(tool.get("path") or "")
    if path and host.files.info(path).kind is PathKind.MISSING:
        return CHECK.finding(
            Status.ERROR,
            _("The toolkit's settings name a program that is not on this system: {program}").format(program=path),
            _("In {path}, put a # in front of the line that names it; then the usual one is used.").format(path=PATH),
            evidence=(Evidence(f"{PATH} → path", path),),
            causes=("nvcli-missing",),
        )
    return None


def _runs(host: Host, seen: Evidence) -> Finding | None:
    argv = (PROGRAM, "--version")
    try:
        result = host.commands.run(argv, timeout=_SECONDS)
    except Trouble as trouble:
        if trouble.kind not in (Problem.COMMAND_FAILED, Problem.COMMAND_TIMEOUT, Problem.COMMAND_MISSING):
            raise
        return CHECK.trouble(
            trouble,
            causes=("runtime-not-executable",) if trouble.kind is Problem.COMMAND_FAILED else (),
        )
    said = f"{result.stdout}\n{result.stderr}".strip()
    if result.returncode == 0:
        return None
    missing = "no runtime binary found" in said
    return CHECK.finding(
        Status.ERROR,
        _("NVIDIA's runtime is installed, but it ends with an error at once."),
        _("Its own words stand below. Installing the package nvidia-container-toolkit again often helps."),
        evidence=(Evidence(" ".join(argv), f"{said}\n({result.returncode})"), seen),
        causes=("runtime-lowlevel-missing",) if missing else ("runtime-exits-early",),
    )


def _mode(host: Host, mode: str) -> Finding | None:
    jetson = host.files.info(_JETSON).kind is not PathKind.MISSING
    if mode == "csv" and not jetson:
        return CHECK.finding(
            Status.ERROR,
            _("The toolkit is set to the mode for Jetson boards (csv), so containers start without the GPU here."),
            _("In {path}, write: {line}").format(path=PATH, line='mode = "auto"'),
            evidence=(Evidence(f"{PATH} → mode", mode),),
            causes=("runtime-false-ok", "hook-mode-direct"),
        )
    if jetson or mode in ("cdi", "csv", "jit-cdi"):
        return CHECK.finding(
            Status.INFO,
            _(
                'In the toolkit\'s mode "{mode}", GPUs come through the runtime only; the wizard does it that way.'
            ).format(mode=mode),
            _('The option "--gpus" of docker does not work with it; "--runtime=nvidia" does.'),
            evidence=(Evidence(f"{PATH} → mode", mode), *((Evidence(_JETSON, _("there")),) if jetson else ())),
            causes=("hook-mode-direct",),
            facts={"mode": mode},
        )
    return None


def _cgroups(host: Host, without: bool) -> Finding | None:
    try:
        rootless = host.engine.info().kind is EngineKind.ROOTLESS
    except Trouble:
        return None
    if without is rootless:
        return None
    if without:
        summary = _("The toolkit is set for a Docker without root (no-cgroups), but this Docker runs as root.")
        line = "no-cgroups = false"
    else:
        summary = _("This Docker runs without root, but the toolkit is not set for that.")
        line = "no-cgroups = true"
    return CHECK.finding(
        Status.WARNING,
        summary,
        _("Containers may be refused the GPU. In {path}, below [nvidia-container-cli], write: {line}").format(
            path=PATH, line=line
        ),
        evidence=(Evidence(f"{PATH} → no-cgroups", str(without).lower()),),
    )


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = settings.get(name)
    return table if isinstance(table, dict) else {}


CHECK = Check(
    id="toolkit.config",
    title=N_("The toolkit's settings"),
    requires=("runtime.toolkit",),
    timeout=_SECONDS + 5.0,
    run=_run,
    decides=(
        "toolkit-config-toml-broken",
        "runtime-exits-early",
        "runtime-lowlevel-missing",
        "runtime-not-executable",
        "ldconfig-missing",
        "nvcli-missing",
        "runtime-false-ok",
        "hook-mode-direct",
    ),
)
