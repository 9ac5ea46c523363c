"""What is found out about the card and its driver, and the causes that are proved by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.services.checks.machines import Instead, find, trouble
from wizard.demo import machine, spec
from wizard.host.ports import Host
from wizard.model.errors import Problem
from wizard.model.finding import Finding, Status
from wizard.model.gpu import GpuReport
from wizard.services import checkup
from wizard.services.checks import graphics

H200 = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (nixbld@)  \n"
    "GCC version:  gcc version 15.3.0 (GCC) \n"
)
"""Read on a real machine with an H200."""


def host_of(text: str, base: str = "healthy") -> Host:
    """``base`` with the differences in ``text``."""
    return machine.assemble(spec.parse(f'extends = "{base}"\n{text}', "test"))


def findings(host: Host) -> dict[str, Finding]:
    return {finding.id: finding for finding in checkup.run(host, ["gpu.pci", "gpu.driver", "gpu.device"])}


def failing(host: Host, kind: Problem) -> Host:
    return replace(host, gpus=Instead(host.gpus, report=trouble(kind, "NVML's words")))


@pytest.mark.parametrize(
    ("name", "check", "causes"),
    [
        ("driver-mismatch", "gpu.driver", {"nvml-version-mismatch"}),
        ("nouveau", "gpu.pci", {"nouveau", "nvcli-lib-missing", "nvruntime-jit-cdi-no-driver"}),
        ("secure-boot", "gpu.driver", {"secure-boot", "nvcli-driver-not-loaded"}),
        ("no-gpu", "gpu.pci", {"nvcli-lib-missing", "nvruntime-jit-cdi-no-driver"}),
        ("healthy", "gpu.driver", set()),
        ("healthy", "gpu.pci", set()),
    ],
)
def test_the_causes_are_those_of_the_machine(name: str, check: str, causes: set[str]) -> None:
    assert set(findings(machine.build(name))[check].causes) == causes


def test_after_the_reboot_the_same_look_is_green() -> None:
    """Nothing is remembered of a reboot: the machine itself shows that it was done."""
    before = findings(machine.build("driver-mismatch"))["gpu.driver"]
    assert before.status is Status.ERROR
    assert "535.54.03" in before.detail
    assert "535.183.01" in before.detail
    assert findings(machine.build("healthy"))["gpu.driver"].status is Status.OK


def test_the_kernels_module_is_read_in_both_its_kinds() -> None:
    closed = graphics.module(machine.build("healthy"))
    assert closed is not None
    assert (closed.version, closed.open) == ("535.54.03", False)
    text = H200.replace("\n", "\\n")
    opened = graphics.module(host_of(f'[files]\n"/proc/driver/nvidia/version" = {{ text = "{text}" }}'))
    assert opened is not None
    assert (opened.version, opened.open) == ("580.159.04", True)
    assert graphics.module(machine.build("no-gpu")) is None


def test_a_sound_device_of_nvidia_is_no_gpu() -> None:
    cards = graphics.cards(machine.build("healthy"))
    assert [(card.place, card.device, card.driver) for card in cards] == [("0000:01:00.0", "0x1f08", "nvidia")]


@pytest.mark.parametrize(
    ("driver", "status", "word"),
    [
        ("nvidia", Status.OK, "built in"),
        ("", Status.OK, "built in"),
        ("nouveau", Status.ERROR, "nouveau"),
        ("nova_core", Status.ERROR, "nova_core"),
        ("vfio-pci", Status.ERROR, "virtual machine"),
    ],
)
def test_who_holds_the_card(driver: str, status: Status, word: str) -> None:
    at = '"/sys/bus/pci/devices/0000:01:00.0/driver"'
    link = f'link = "../../../../bus/pci/drivers/{driver}"' if driver else "absent = true"
    found = find(host_of(f"[files]\n{at} = {{ {link} }}"), "gpu.pci")
    assert found.status is status
    assert word in found.summary


def test_one_card_for_nvidia_is_enough() -> None:
    other = "/sys/bus/pci/devices/0000:02:00.0"
    host = host_of(
        f'[files]\n"{other}/vendor" = {{ text = "0x10de" }}\n"{other}/class" = {{ text = "0x030200" }}\n'
        f'"{other}/driver" = {{ link = "../drivers/vfio-pci" }}'
    )
    found = find(host, "gpu.pci")
    assert (found.status, found.summary) == (Status.OK, "2 NVIDIA GPUs are built in.")


def test_a_gpu_that_the_bus_does_not_show_is_believed_to_the_driver() -> None:
    host = machine.build("no-gpu")
    gpus = machine.build("healthy").gpus
    assert find(replace(host, gpus=gpus), "gpu.pci").status is Status.OK


def test_linux_in_windows_sees_the_gpu_through_one_device() -> None:
    wsl = '"/proc/sys/kernel/osrelease" = { text = "5.15.153.1-microsoft-standard-WSL2" }'
    bare = host_of(f"[files]\n{wsl}", "no-gpu")
    found = find(bare, "gpu.pci")
    assert (found.status, found.causes) == (Status.ERROR, ("wsl-no-adapter",))
    lent = host_of(f'[files]\n{wsl}\n"/dev/dxg" = {{ kind = "device", mode = 0o666 }}', "no-gpu")
    assert find(lent, "gpu.pci").status is Status.OK
    assert "wsl --update" in find(lent, "gpu.driver").detail


def test_a_jetson_has_its_gpu_in_the_processor() -> None:
    host = host_of('[files]\n"/etc/nv_tegra_release" = { text = "# R35 (release), REVISION: 3.1" }', "no-gpu")
    assert find(host, "gpu.pci").status is Status.OK


@pytest.mark.parametrize(
    ("kind", "causes"),
    [
        (Problem.NVML_LIBRARY_MISSING, {"nvcli-lib-missing", "nvruntime-jit-cdi-no-driver", "smi-lib-missing"}),
        (Problem.NVML_DRIVER_NOT_LOADED, {"nvcli-driver-not-loaded"}),
        (Problem.NVML_VERSION_MISMATCH, {"nvml-version-mismatch"}),
        (Problem.NVML_PERMISSION, {"nvml-permissions"}),
        (Problem.NVML_BLOCKED, {"nvml-blocked"}),
        (Problem.NVML_GPU_LOST, set()),
        (Problem.NVML_OTHER, set()),
    ],
)
def test_each_answer_of_the_driver_proves_its_cause(kind: Problem, causes: set[str]) -> None:
    found = find(failing(machine.build("healthy"), kind), "gpu.driver")
    assert (found.status, set(found.causes)) == (Status.ERROR, causes)


def test_only_the_library_is_missing() -> None:
    found = find(failing(machine.build("healthy"), Problem.NVML_LIBRARY_MISSING), "gpu.driver")
    assert "535.54.03" in found.detail
    assert "libnvidia-ml.so.1" in found.detail
    assert "not installed" not in found.summary


def test_a_chain_of_links_is_followed_to_the_version() -> None:
    host = host_of(
        '[files]\n"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1" = { link = "/opt/nvidia/libnvidia-ml.so.1" }\n'
        '"/opt/nvidia/libnvidia-ml.so.1" = { link = "libnvidia-ml.so.580.159.04" }\n'
        '"/opt/nvidia/libnvidia-ml.so.580.159.04" = { text = "simulated" }'
    )
    assert graphics.library(host) == ("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "580.159.04")


def test_a_gpu_whose_file_is_not_there_is_told_by_its_name() -> None:
    host = host_of('[files]\n"/dev/nvidia0" = { absent = true }')
    found = find(replace(host, gpus=Instead(host.gpus, report=GpuReport("535.54.03", "12.2", ()))), "gpu.device")
    assert "/dev/nvidia0" in found.detail


@pytest.mark.parametrize(
    ("changes", "word", "proved"),
    [
        ("", "mokutil --import /var/lib/dkms/mok.pub", True),
        ('[commands."modinfo -F signer nvidia"]\nstdout = "\\n"', "is not signed", True),
        (
            '[commands."mokutil --test-key /var/lib/dkms/mok.pub"]\nstdout = "x is already enrolled\\n"',
            "modprobe",
            False,
        ),
        (
            (
                '[files."/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"]\n'
                'text = "\\u0006\\u0000\\u0000\\u0000\\u0000"'
            ),
            "modprobe",
            False,
        ),
        ('[commands."modinfo -F filename nvidia"]\nstdout = ""\nreturncode = 1', "6.1.0-18-amd64", True),
    ],
)
def test_why_a_module_is_not_loaded(changes: str, word: str, proved: bool) -> None:
    if "filename" in changes:
        changes += '\n[commands."mokutil --test-key /var/lib/dkms/mok.pub"]\nstdout = "x is already enrolled\\n"'
        proved = False
    found = find(host_of(changes, "secure-boot"), "gpu.driver")
    assert word in found.detail
    assert ("secure-boot" in found.causes) is proved


def test_the_device_files_are_shown_when_they_are_in_the_way() -> None:
    host = host_of('[files]\n"/dev/nvidiactl" = { kind = "device", mode = 0o600 }\n"/dev/nvidia0" = { absent = true }')
    found = find(failing(host, Problem.NVML_PERMISSION), "gpu.driver")
    seen = {item.source: item.text for item in found.evidence}
    assert (seen["/dev/nvidiactl"], seen["/dev/nvidia0"]) == ("--", "not there")


@pytest.mark.parametrize(
    ("line", "word"), [("Open Kernel Module for x86_64", "Turing"), ("x86_64 Kernel Module", "dmesg")]
)
def test_a_driver_that_sees_no_gpu(line: str, word: str) -> None:
    base = host_of(
        f'[files]\n"/proc/driver/nvidia/version" = {{ text = "NVRM version: NVIDIA UNIX {line}  535.54.03  x" }}'
    )
    report: Any = GpuReport("535.54.03", "12.2", ())
    found = find(replace(base, gpus=Instead(base.gpus, report=report)), "gpu.device")
    assert (found.status, found.causes) == (Status.ERROR, ("no-devices",))
    assert word in found.detail
