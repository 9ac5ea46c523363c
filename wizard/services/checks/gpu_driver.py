"""Whether the NVIDIA driver of this machine answers."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services import words
from wizard.services.checks.check import Check


def _run(host: Host) -> Finding:
    try:
        report = host.gpus.report()
    except Trouble as trouble:
        return CHECK.trouble(
            trouble,
            _("{advice} On the CPU alone you can take every step too, but training is very slow.").format(
                advice=words.explain(trouble).advice
            ),
        )
    return CHECK.finding(
        Status.OK,
        _("NVIDIA driver {version}, for CUDA up to {cuda}").format(version=report.driver, cuda=report.cuda),
        _("The driver is the part of the system that talks to the GPU. Containers use it, too."),
        evidence=(Evidence("NVML", f"driver {report.driver}, CUDA {report.cuda}"),),
        facts={"driver": report.driver, "cuda": report.cuda},
    )


CHECK = Check(id="gpu.driver", title=N_("NVIDIA driver"), requires=(), timeout=15.0, run=_run)
"""The first question wakes the GPUs up, which takes seconds on a machine with many."""
