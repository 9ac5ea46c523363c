"""Whether the machine has enough memory (RAM) for a training."""

from __future__ import annotations

import re

from wizard.host.ports import Host
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services.checks import graphics
from wizard.services.checks.check import Check, gigabytes

LEAST = 4_000_000_000
"""Bytes. A small Jasper with a batch of 10 was measured at 2.3 GB, DeepSpeech2's toy at 2.4 GB; the system needs its
own share, and the GPU's buffers come on top.
"""
_MEMORY = "/proc/meminfo"


def _run(host: Host) -> Finding:
    said = graphics.text(host, _MEMORY)
    numbers = {name: int(count) * 1024 for name, count in re.findall(r"^(\w+):\s+(\d+) kB", said, re.MULTILINE)}
    if "MemTotal" not in numbers:
        return CHECK.finding(Status.INFO, _("How much memory there is cannot be seen from here."))
    total, free = numbers["MemTotal"], numbers.get("MemAvailable", 0)
    lines = [line for line in said.splitlines() if line.startswith(("MemTotal", "MemAvailable", "SwapTotal"))]
    evidence = (Evidence(_MEMORY, "\n".join(lines)),)
    if total < LEAST:
        return CHECK.finding(
            Status.WARNING,
            _("Only {total} of memory").format(total=gigabytes(total)),
            _(
                "A training needs about 3 GB besides what the system needs. With less, the system ends it in the "
                "middle without a word (exit code 137). Close other programs, or choose a smaller batch."
            ),
            evidence=evidence,
        )
    return CHECK.finding(
        Status.OK,
        _("{total} of memory, {free} of it free").format(total=gigabytes(total), free=gigabytes(free)),
        evidence=evidence,
    )


CHECK = Check(id="system.memory", title=N_("Memory"), requires=(), timeout=3.0, run=_run)
