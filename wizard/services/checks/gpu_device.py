"""Which GPUs there are."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _, ngettext
from wizard.model.machine import Gpu
from wizard.services.checks.check import Check


def _run(host: Host) -> Finding:
    report = host.gpus.report()
    if not report.gpus:
        return CHECK.finding(
            Status.ERROR,
            _("The driver works, but it sees no GPU."),
            _(
                "Is the card seated well, and is it given to this machine (in a virtual machine)? "
                "On the CPU alone you can take every step too, but training is very slow."
            ),
            evidence=(Evidence("NVML", "0 GPUs"),),
            facts={"report": report},
        )
    first = _describe(report.gpus[0])
    more = len(report.gpus) - 1
    summary = (
        ngettext("{first}, and {number} more", "{first}, and {number} more", more).format(first=first, number=more)
        if more
        else first
    )
    return CHECK.finding(
        Status.OK,
        summary,
        _("The GPU does the computing. Its compute capability decides which images can use it."),
        evidence=(Evidence("NVML", "\n".join(f"GPU {gpu.index}: {_describe(gpu)}" for gpu in report.gpus)),),
        facts={"report": report},
    )


def _describe(gpu: Gpu) -> str:
    size = _("{number} GB").format(number=f"{gpu.memory / 2**30:.0f}")
    if gpu.capability is None:
        return _("{name}, {size}").format(name=gpu.name, size=size)
    return _("{name}, {size}, compute capability {capability}").format(
        name=gpu.name, size=size, capability=".".join(map(str, gpu.capability))
    )


CHECK = Check(id="gpu.device", title=N_("GPU"), requires=("gpu.driver",), timeout=15.0, run=_run)
