"""The machine itself: its kind, its processor, its memory."""

from __future__ import annotations

import pytest

from tests.services.checks.machines import find
from wizard.demo import machine, spec
from wizard.model.finding import Finding, Status


def found(text: str, check: str = "system.platform") -> Finding:
    return find(machine.assemble(spec.parse(f'extends = "healthy"\n[files]\n{text}', "test")), check)


@pytest.mark.parametrize(
    ("text", "status", "word"),
    [
        ('"/proc/cpuinfo" = { text = "flags\\t\\t: fpu sse sse2 avx2" }', Status.ERROR, "AVX"),
        ('"/proc/cpuinfo" = { text = "flags\\t\\t: fpu avx sse2" }', Status.OK, "Debian"),
        ('"/proc/cpuinfo" = { absent = true }', Status.OK, "Debian"),
        ('"/proc/sys/kernel/osrelease" = { text = "4.4.0-19041-Microsoft" }', Status.ERROR, "first WSL"),
        ('"/proc/sys/kernel/osrelease" = { text = "5.15.153.1-microsoft-standard-WSL2" }', Status.OK, "Debian"),
        ('"/proc/sys/kernel/osrelease" = { text = "5.4.72-microsoft-standard" }', Status.OK, "Debian"),
        ('"/.dockerenv" = { text = "" }', Status.INFO, "container"),
        ('"/run/.containerenv" = { text = "" }', Status.INFO, "container"),
        ('"/proc/1/cgroup" = { text = "1:name=systemd:/docker/abc" }', Status.INFO, "container"),
        ('"/proc/1/cgroup" = { text = "0::/init.scope" }', Status.OK, "Debian"),
    ],
)
def test_the_machine(text: str, status: Status, word: str) -> None:
    finding = found(text)
    assert finding.status is status
    assert word in finding.summary


@pytest.mark.parametrize(
    ("kilobytes", "status"), [(32_000_000, Status.OK), (4_000_000, Status.OK), (3_900_000, Status.WARNING)]
)
def test_memory(kilobytes: int, status: Status) -> None:
    text = f'"/proc/meminfo" = {{ text = "MemTotal: {kilobytes} kB\\nMemAvailable:  1000000 kB\\n" }}'
    assert found(text, "system.memory").status is status


def test_memory_that_nobody_tells() -> None:
    assert found('"/proc/meminfo" = { absent = true }', "system.memory").status is Status.INFO
