"""Whether the images can run on this kind of machine at all."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind
from wizard.services.checks import graphics
from wizard.services.checks.check import Check

_X86 = ("x86_64", "amd64")
_PROCESSOR = "/proc/cpuinfo"
_MARKS = ("/.dockerenv", "/run/.containerenv")
"""What Docker and Podman put into every container."""
_GROUPS = "/proc/1/cgroup"
_BOXES = ("docker", "kubepods", "lxc", "libpod")
_WSL = Link(N_("Microsoft: WSL"), "https://learn.microsoft.com/windows/wsl/install")


def _run(host: Host) -> Finding:
    info = host.info
    evidence: tuple[Evidence, ...] = (
        Evidence("uname", f"{info.system} {info.arch}"),
        Evidence("/etc/os-release", info.os),
    )
    if info.system != "Linux":
        return CHECK.finding(
            Status.ERROR,
            _("This is {system}, not Linux.").format(system=info.system),
            _("The wizard prepares Linux machines. Run it on the Linux machine that has the GPU."),
            evidence=evidence,
        )
    if graphics.is_wsl(host):
        evidence = (*evidence, Evidence(graphics.RELEASE, graphics.release(host)))
        if "wsl2" not in graphics.release(host).lower() and "standard" not in graphics.release(host):
            return CHECK.finding(
                Status.ERROR,
                _("This is the first WSL, in which Docker and GPUs do not work."),
                _("In Windows, make it a WSL 2: {command} (NAME is in the list that {list} prints).").format(
                    command="wsl --set-version NAME 2", list="wsl -l -v"
                ),
                evidence=evidence,
                links=(Link(_(_WSL.title), _WSL.url),),
            )
    if info.arch not in _X86:
        return CHECK.finding(
            Status.WARNING,
            _("The processor is {arch}; the images are made for x86-64.").format(arch=info.arch),
            _("Most NVIDIA TensorFlow 1 images do not run on this processor. Looking around is fine."),
            evidence=evidence,
        )
    flags = next((line for line in graphics.text(host, _PROCESSOR).splitlines() if line.startswith("flags")), "")
    if flags and "avx" not in flags.split():
        return CHECK.finding(
            Status.ERROR,
            _("The processor has no AVX, which the TensorFlow of the images needs."),
            _(
                "TensorFlow would end at once with: Illegal instruction. In a virtual machine, let it have the real "
                "processor's abilities (CPU type host); a processor from before 2011 does not have it."
            ),
            evidence=(*evidence, Evidence(_PROCESSOR, flags)),
        )
    box = _box(host)
    if box is not None:
        return CHECK.finding(
            Status.INFO,
            _("{os}, {arch}, and the wizard itself runs in a container").format(os=info.os, arch=info.arch),
            _("It sees the files of that container. To repair Docker or the driver, start it on the machine itself."),
            evidence=(*evidence, box),
            facts={"arch": info.arch},
        )
    return CHECK.finding(
        Status.OK, _("{os}, {arch}").format(os=info.os, arch=info.arch), evidence=evidence, facts={"arch": info.arch}
    )


def _box(host: Host) -> Evidence | None:
    """What shows that this program runs in a container itself; None where nothing does."""
    for path in _MARKS:
        try:
            if host.files.info(path).kind is not PathKind.MISSING:
                return Evidence(path, _("is there"))
        except Trouble:
            continue
    groups = graphics.text(host, _GROUPS)
    return Evidence(_GROUPS, groups) if any(box in groups for box in _BOXES) else None


CHECK = Check(id="system.platform", title=N_("Machine"), requires=(), timeout=5.0, run=_run)
