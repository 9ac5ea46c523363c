"""Which GPUs there are."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.gpu import Gpu, GpuReport
from wizard.model.i18n import N_, _, ngettext
from wizard.services.checks import graphics
from wizard.services.checks.check import Check


def _run(host: Host) -> Finding:
    report = host.gpus.report()
    if not report.gpus:
        return _none(host, report)
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
        evidence=(
            Evidence("NVML", "\n".join(f"GPU {gpu.index}: {_describe(gpu)}{_rests(gpu)}" for gpu in report.gpus)),
        ),
        facts={"report": report},
    )


def _none(host: Host, report: GpuReport) -> Finding:
    """The module is loaded, but it could not set a card to work."""
    module = graphics.module(host)
    held = [card for card in graphics.cards(host) if card.driver == "nvidia"]
    there = {item.source: item.text for item in graphics.nodes(host)}
    if module is not None and there["/dev/nvidia0"] != "rw":
        advice = _(
            "The driver's file /dev/nvidia0 is not there, or your user may not use it. Is the wizard running in a "
            "container that was not given the GPU?"
        )
    elif module is not None and module.open:
        advice = _(
            "This is the open kind of the driver, which works with GPUs from Turing (RTX 20, GTX 16) on: for an older "
            "card install the other kind."
        )
    else:
        advice = _(
            "The newest cards (Blackwell) need the open kind of the driver, older ones need power on all plugs and a "
            "good seat. The kernel's log has the reason: {command}"
        ).format(command="sudo dmesg | grep -i nvrm")
    return CHECK.finding(
        Status.ERROR,
        _("The driver works, but it sees no GPU."),
        _("{advice} On the CPU alone you can take every step too, but training is very slow.").format(advice=advice),
        evidence=(
            Evidence("NVML", "0 GPUs"),
            *((Evidence(graphics.MODULE, module.line),) if module is not None else ()),
            *graphics.nodes(host),
            *(Evidence(f"{graphics.PCI}/{card.place}", card.driver) for card in held),
        ),
        causes=("no-devices",) if module is not None else (),
        facts={"report": report},
    )


def _rests(gpu: Gpu) -> str:
    """Without persistence mode the first program after a pause waits seconds for the GPU: good to know, no more."""
    if gpu.persistent is None:
        return ""
    return _(", persistence mode on") if gpu.persistent else _(", persistence mode off")


def _describe(gpu: Gpu) -> str:
    size = _("{number} GB").format(number=f"{gpu.memory / 2**30:.0f}")
    if gpu.capability is None:
        return _("{name}, {size}").format(name=gpu.name, size=size)
    return _("{name}, {size}, compute capability {capability}").format(
        name=gpu.name, size=size, capability=".".join(map(str, gpu.capability))
    )


CHECK = Check(
    id="gpu.device", title=N_("GPU"), requires=("gpu.driver",), timeout=30.0, run=_run, decides=("no-devices",)
)
