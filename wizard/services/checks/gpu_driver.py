"""Whether the NVIDIA driver of this machine answers, and if not, why.

What it takes (a reboot, a signature, a package) no program should do by itself: the finding says it, and the next look
shows whether it was done.
"""

from __future__ import annotations

from dataclasses import replace

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services import words
from wizard.services.checks import graphics
from wizard.services.checks.check import Check


def _run(host: Host) -> Finding:
    try:
        report = host.gpus.report()
    except Trouble as trouble:
        return _explain(host, trouble)
    module = graphics.module(host)
    return CHECK.finding(
        Status.OK,
        _("NVIDIA driver {version}, for CUDA up to {cuda}").format(version=report.driver, cuda=report.cuda),
        _("The driver is the part of the system that talks to the GPU. Containers use it, too."),
        evidence=(
            Evidence("NVML", f"driver {report.driver}, CUDA {report.cuda}"),
            *((Evidence(graphics.MODULE, module.line),) if module is not None else ()),
        ),
        facts={"driver": report.driver, "cuda": report.cuda},
    )


def _explain(host: Host, trouble: Trouble) -> Finding:
    """The reason, as far as the kernel and the files of the driver tell it."""
    module, library = graphics.module(host), graphics.library(host)
    tell = _REASONS.get(trouble.kind)
    advice, causes, seen = tell(host, module, library) if tell is not None else ("", (), ())
    trouble.evidence = (
        *trouble.evidence,
        Evidence(graphics.MODULE, module.line if module is not None else _("not there: the module is not loaded")),
        Evidence(graphics.LIBRARY, " ".join(library).strip() if library is not None else _("not found")),
        *seen,
    )
    found = CHECK.trouble(
        trouble,
        _("{advice} On the CPU alone you can take every step too, but training is very slow.").format(
            advice=advice or words.explain(trouble).advice
        ),
        causes=causes,
    )
    if trouble.kind is Problem.NVML_LIBRARY_MISSING and module is not None:
        return replace(found, summary=_("A part of the NVIDIA driver is missing: its library."))
    return found


_Reason = tuple[str, tuple[str, ...], tuple[Evidence, ...]]
"""What to do ("": the usual advice), the causes that are proved, what else was seen."""
_Library = tuple[str, str] | None


def _library_missing(host: Host, module: graphics.Module | None, _library: _Library) -> _Reason:
    program = host.commands.which("nvidia-smi")
    causes = (*graphics.NO_DRIVER[Problem.NVML_LIBRARY_MISSING], *(("smi-lib-missing",) if program else ()))
    seen = (Evidence("nvidia-smi", program or _("not found")),)
    if graphics.is_wsl(host):
        return (
            _("Windows' driver brings it. Run in Windows: {command}").format(command="wsl --update"),
            causes,
            seen,
        )
    if module is not None:
        advice = _(
            "The driver {version} is loaded in the kernel; only its library {library} is missing. Install it from the "
            "same source and in the same version as the driver (Debian, Ubuntu: libnvidia-compute or libnvidia-ml1)."
        ).format(version=module.version, library=graphics.LIBRARY)
        return advice, causes, seen
    return "", causes, seen


def _not_loaded(host: Host, _module: graphics.Module | None, _library: _Library) -> _Reason:
    causes = graphics.NO_DRIVER[Problem.NVML_DRIVER_NOT_LOADED]
    kernel = graphics.release(host)
    refused = graphics.refused_by_secure_boot(host)
    if refused is not None:
        return _for_secure_boot(refused), (*causes, "secure-boot"), (Evidence(refused.source, refused.said),)
    file = graphics.command(host, "modinfo", "-F", "filename", "nvidia")
    if file is None:
        return "", causes, ()
    if not file:
        advice = _(
            "It was not built for the kernel that runs ({kernel}), as happens after an update of the kernel. Reboot if "
            "a newer kernel waits; otherwise install the headers of this kernel and the driver again."
        ).format(kernel=kernel)
        return advice, causes, (Evidence("modinfo nvidia", _("not found")), Evidence("uname -r", kernel))
    advice = _("It is there, but not loaded. Reboot, or try: {command}. Its own message says why it refuses.").format(
        command="sudo modprobe nvidia"
    )
    return advice, causes, (Evidence("modinfo nvidia", file),)


def _for_secure_boot(refused: graphics.Refusal) -> str:
    if not refused.key:
        return _(
            "Secure Boot is on and lets only signed modules in, and NVIDIA's is not signed. Install the signed driver "
            "of your distribution, or switch Secure Boot off in the firmware: both need a person at the machine."
        )
    return _(
        "Secure Boot is on and lets only modules in that are signed with a key it knows. This machine signed NVIDIA's "
        "with its own key, which was never made known. Run {command}, think of a password, reboot, and choose Enroll "
        "MOK on the blue screen: a person must sit there."
    ).format(command=f"sudo mokutil --import {refused.key}")


def _mismatch(_host: Host, module: graphics.Module | None, library: _Library) -> _Reason:
    causes = ("nvml-version-mismatch",)
    if module is None or library is None or not library[1]:
        return "", causes, ()
    advice = _(
        "The kernel still has the driver {old}, the files are those of {new}: it was updated while the machine was "
        "running. Reboot; after that both are the same, and this line is green."
    ).format(old=module.version, new=library[1])
    return advice, causes, ()


def _permission(host: Host, _module: graphics.Module | None, _library: _Library) -> _Reason:
    seen = graphics.nodes(host)
    mode = next((line for line in graphics.text(host, _PARAMS).splitlines() if line.startswith("DeviceFileMode")), "")
    return "", ("nvml-permissions",), (*seen, *((Evidence(_PARAMS, mode),) if mode else ()))


def _blocked(host: Host, _module: graphics.Module | None, _library: _Library) -> _Reason:
    return "", ("nvml-blocked",), graphics.nodes(host)


_PARAMS = "/proc/driver/nvidia/params"
_REASONS = {
    Problem.NVML_LIBRARY_MISSING: _library_missing,
    Problem.NVML_DRIVER_NOT_LOADED: _not_loaded,
    Problem.NVML_VERSION_MISMATCH: _mismatch,
    Problem.NVML_PERMISSION: _permission,
    Problem.NVML_BLOCKED: _blocked,
}

CHECK = Check(
    id="gpu.driver",
    title=N_("NVIDIA driver"),
    requires=("gpu.pci",),
    # The first question wakes the GPUs up, which takes seconds on a machine with many.
    timeout=30.0,
    run=_run,
    decides=(
        "nvcli-lib-missing",
        "nvruntime-jit-cdi-no-driver",
        "smi-lib-missing",
        "nvcli-driver-not-loaded",
        "secure-boot",
        "nvml-version-mismatch",
        "nvml-permissions",
        "nvml-blocked",
    ),
)
