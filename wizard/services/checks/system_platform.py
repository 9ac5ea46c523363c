"""Whether the images can run on this kind of machine at all."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services.checks.check import Check

_X86 = ("x86_64", "amd64")


def _run(host: Host) -> Finding:
    info = host.info
    evidence = (Evidence("uname", f"{info.system} {info.arch}"), Evidence("/etc/os-release", info.os))
    if info.system != "Linux":
        return CHECK.finding(
            Status.ERROR,
            _("This is {system}, not Linux.").format(system=info.system),
            _("The wizard prepares Linux machines. Run it on the Linux machine that has the GPU."),
            evidence=evidence,
        )
    if info.arch not in _X86:
        return CHECK.finding(
            Status.WARNING,
            _("The processor is {arch}; the images are made for x86-64.").format(arch=info.arch),
            _("Most NVIDIA TensorFlow 1 images do not run on this processor. Looking around is fine."),
            evidence=evidence,
        )
    return CHECK.finding(
        Status.OK, _("{os}, {arch}").format(os=info.os, arch=info.arch), evidence=evidence, facts={"arch": info.arch}
    )


CHECK = Check(id="system.platform", title=N_("Machine"), requires=(), timeout=2.0, run=_run)
