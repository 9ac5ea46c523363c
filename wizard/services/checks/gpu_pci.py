"""Whether there is an NVIDIA GPU in this machine, and whether its driver may have it."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _, ngettext
from wizard.model.machine import PathKind
from wizard.services.checks import graphics
from wizard.services.checks.check import Check

_DXG = "/dev/dxg"
_WSL = Link(N_("NVIDIA: CUDA on WSL"), "https://docs.nvidia.com/cuda/wsl-user-guide/")
_DRIVER = Link(N_("NVIDIA: install the driver"), "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/")
_OTHERS = ("nouveau", "nova_core")
"""Drivers of the kernel's own for NVIDIA cards; they cannot compute."""
_GIVEN_AWAY = ("vfio-pci", "pci-stub", "xen-pciback")


def _run(host: Host) -> Finding:
    if graphics.is_wsl(host):
        return _windows(host)
    if graphics.is_jetson(host):
        return CHECK.finding(
            Status.OK,
            _("This is an NVIDIA Jetson: its GPU is a part of the processor."),
            _("Containers get it with --runtime nvidia; the option --gpus does not work there."),
            evidence=(Evidence("/etc/nv_tegra_release", graphics.text(host, "/etc/nv_tegra_release")),),
        )
    found = graphics.cards(host)
    seen = tuple(
        Evidence(f"{graphics.PCI}/{card.place}", f"10de:{card.device[2:]}, " + (card.driver or _("no driver")))
        for card in found
    )
    holders = {card.driver for card in found}
    if not found:
        return _nothing(host)
    if "nvidia" not in holders and holders & set(_OTHERS):
        return CHECK.finding(
            Status.ERROR,
            _("The driver {name} holds the GPU, so NVIDIA's own cannot have it.").format(
                name=next(name for name in _OTHERS if name in holders)
            ),
            _(
                "{name} shows pictures but cannot compute. Install NVIDIA's driver from the packages of your system: "
                "they also keep {name} away. Then reboot; that is needed once, since the screen uses it now."
            ).format(name=next(name for name in _OTHERS if name in holders)),
            evidence=seen,
            causes=("nouveau", *(_without_driver(host) or ())),
            links=(Link(_(_DRIVER.title), _DRIVER.url),),
        )
    if holders <= set(_GIVEN_AWAY):
        return CHECK.finding(
            Status.ERROR,
            _("The GPU is set aside for a virtual machine."),
            _(
                "The driver {name} holds it. Whoever set up the virtual machines here can give it back; inside the "
                "virtual machine that has the GPU, the wizard works too."
            ).format(name=", ".join(sorted(holders))),
            evidence=seen,
        )
    count = len(found)
    return CHECK.finding(
        Status.OK,
        ngettext("{number} NVIDIA GPU is built in.", "{number} NVIDIA GPUs are built in.", count).format(number=count),
        _("This is what the mainboard sees. Whether it can be used, the driver says below."),
        evidence=seen,
        facts={"cards": found},
    )


def _nothing(host: Host) -> Finding:
    evidence = (Evidence(graphics.PCI, _("no device of NVIDIA (10de)")),)
    causes = _without_driver(host)
    if causes is None:
        return CHECK.finding(Status.OK, _("The driver has a GPU that is not on the PCI bus."), evidence=evidence)
    return CHECK.finding(
        Status.ERROR,
        _("There is no NVIDIA GPU in this machine."),
        _(
            "If there should be one: is it seated well and has it power, is it switched on in the BIOS, is it given to "
            "this virtual machine? On the CPU alone you can take every step too, but training is very slow."
        ),
        evidence=evidence,
        causes=causes,
    )


def _without_driver(host: Host) -> tuple[str, ...] | None:
    """The causes that hold since NVML does not answer; None where it does, and has a GPU."""
    try:
        return () if not host.gpus.report().gpus else None
    except Trouble as trouble:
        return graphics.NO_DRIVER.get(trouble.kind, ())


def _windows(host: Host) -> Finding:
    """Linux inside Windows sees the GPU through one device; Windows' driver serves both."""
    try:
        there = host.files.info(_DXG).kind is not PathKind.MISSING
    except Trouble:
        there = True
    evidence = (
        Evidence(graphics.RELEASE, graphics.release(host)),
        Evidence(_DXG, _("is there") if there else _("is not there")),
    )
    if there:
        return CHECK.finding(Status.OK, _("Windows lends its GPU to this Linux (WSL)."), evidence=evidence)
    return CHECK.finding(
        Status.ERROR,
        _("Windows does not lend a GPU to this Linux (WSL)."),
        _(
            "Install NVIDIA's driver in Windows, not here, and run in Windows: {command}. Then start this Linux again."
        ).format(command="wsl --update"),
        evidence=evidence,
        causes=("wsl-no-adapter",),
        links=(Link(_(_WSL.title), _WSL.url),),
    )


CHECK = Check(
    id="gpu.pci",
    title=N_("Graphics card"),
    requires=(),
    timeout=30.0,
    run=_run,
    decides=("nouveau", "wsl-no-adapter", *(cause for causes in graphics.NO_DRIVER.values() for cause in causes)),
)
