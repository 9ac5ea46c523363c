"""What the kernel tells about graphics cards and the NVIDIA driver, without asking the driver.

Facts, seen on real machines: ``/sys/bus/pci/devices/*/vendor`` is ``0x10de`` for NVIDIA and ``class`` begins with
``0x03`` for everything that makes pictures or computes; the link ``driver`` names the kernel driver that holds the
card. ``/proc/driver/nvidia/version`` is there while NVIDIA's module is loaded, and says "Open Kernel Module" for the
open one. ``libnvidia-ml.so.1`` is a link to a file whose name ends in the version of the driver that was installed
last.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import PathKind

PCI = "/sys/bus/pci/devices"
MODULE = "/proc/driver/nvidia/version"
LIBRARY = "libnvidia-ml.so.1"
RELEASE = "/proc/sys/kernel/osrelease"
NO_DRIVER: Mapping[Problem, tuple[str, ...]] = {
    Problem.NVML_LIBRARY_MISSING: ("nvcli-lib-missing", "nvruntime-jit-cdi-no-driver"),
    Problem.NVML_DRIVER_NOT_LOADED: ("nvcli-driver-not-loaded",),
}
"""Which causes of the catalogue hold when NVML meets such a problem, whatever lies behind it."""
_NVIDIA = "0x10de"
_GRAPHICS = "0x03"
_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/run/opengl-driver/lib",
    "/usr/lib/aarch64-linux-gnu",
)
_EFI = "/sys/firmware/efi/efivars"
_KEYS = ("/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.der")
"""Where Debian and Ubuntu keep the public key with which this machine signs its own modules."""
NODES = ("/dev/nvidiactl", "/dev/nvidia0")
_MOST_LINKS = 8
_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Card:
    """An NVIDIA card on the PCI bus. ``driver`` is the kernel driver that holds it, "" for none."""

    place: str
    device: str
    driver: str


@dataclass(frozen=True, slots=True)
class Module:
    """NVIDIA's driver in the kernel. ``open`` is its open kind, which works from Turing (RTX 20) on."""

    version: str
    open: bool
    line: str


def text(host: Host, path: str) -> str:
    """A small file of the kernel, "" where there is none or it may not be read."""
    try:
        content = host.files.read(path)
    except Trouble:
        return ""
    return content.data.decode(errors="replace").strip() if content is not None else ""


def cards(host: Host) -> tuple[Card, ...]:
    """The NVIDIA cards of this machine, as the PCI bus has them."""
    try:
        places = host.files.names(PCI)
    except Trouble:
        return ()
    found = []
    for place in places:
        folder = f"{PCI}/{place}"
        if text(host, f"{folder}/vendor") == _NVIDIA and text(host, f"{folder}/class").startswith(_GRAPHICS):
            found.append(Card(place, text(host, f"{folder}/device"), posixpath.basename(_link(host, folder))))
    return tuple(found)


def _link(host: Host, folder: str) -> str:
    try:
        return host.files.link(f"{folder}/driver") or ""
    except Trouble:
        return ""


def module(host: Host) -> Module | None:
    """The module that is loaded, None where there is none."""
    said = text(host, MODULE)
    line = next((line for line in said.splitlines() if "NVRM version" in line), "")
    # "NVIDIA UNIX x86_64 Kernel Module  535.54.03  …", "NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  …"
    found = re.search(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)", line)
    return Module(found[1] if found else "", "Open Kernel Module" in line, line) if line else None


def library(host: Host) -> tuple[str, str] | None:
    """Where the driver's library lies and its version ("" where its name does not say), None where it is not found."""
    for folder in _FOLDERS:
        path = f"{folder}/{LIBRARY}"
        try:
            end = _end_of(host, path)
            there = host.files.info(end).kind is not PathKind.MISSING
        except Trouble:
            continue
        if there:
            found = re.search(r"\.so\.(\d+(?:\.\d+)+)$", end)
            return path, found[1] if found else ""
    return None


def _end_of(host: Host, path: str) -> str:
    """Where a chain of links leads."""
    for _hop in range(_MOST_LINKS):
        target = host.files.link(path)
        if target is None:
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return path


def nodes(host: Host) -> tuple[Evidence, ...]:
    """The device files of the driver, and what this user may do with them."""
    found = []
    for path in NODES:
        try:
            info = host.files.info(path)
        except Trouble as trouble:
            found.append(Evidence(path, trouble.text))
            continue
        rights = "".join(letter if may else "-" for letter, may in (("r", info.readable), ("w", info.writable)))
        found.append(Evidence(path, _("not there") if info.kind is PathKind.MISSING else rights))
    return tuple(found)


def modules(host: Host) -> frozenset[str]:
    """The names of the modules that the kernel has loaded."""
    return frozenset(line.split(" ", 1)[0] for line in text(host, "/proc/modules").splitlines())


def release(host: Host) -> str:
    """The kernel that runs, as ``uname -r`` says."""
    return text(host, RELEASE)


def is_wsl(host: Host) -> bool:
    """Whether this is Linux inside Windows (WSL), 1 or 2."""
    return "microsoft" in release(host).lower()


def is_jetson(host: Host) -> bool:
    """Whether this is one of NVIDIA's small computers, whose GPU is a part of the processor."""
    return bool(text(host, "/etc/nv_tegra_release")) or "tegra" in release(host)


def secure_boot(host: Host) -> bool | None:
    """Whether Secure Boot is on; None where it cannot be told. The variable has four bytes of attributes, then one."""
    try:
        for name in host.files.names(_EFI):
            if name.startswith("SecureBoot-"):
                content = host.files.read(f"{_EFI}/{name}")
                return content is not None and content.data[4:5] == b"\x01"
    except Trouble:
        pass
    said = command(host, "mokutil", "--sb-state")
    return "enabled" in said if said else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """That Secure Boot keeps NVIDIA's module out: what a program of the system says, and the key that is not known
    ("" for a module that is not signed at all).
    """

    source: str
    said: str
    key: str = ""


def refused_by_secure_boot(host: Host) -> Refusal | None:
    """Whether Secure Boot keeps NVIDIA's module out, as far as that can be proved; None otherwise."""
    if not secure_boot(host):
        return None
    signer = command(host, "modinfo", "-F", "signer", "nvidia")
    if signer is not None and not signer and command(host, "modinfo", "-F", "filename", "nvidia"):
        return Refusal("modinfo -F signer nvidia", "-")
    for key in _KEYS:
        argv = ("mokutil", "--test-key", key)
        said = command(host, *argv) if text(host, key) else None
        if said and "not enrolled" in said:
            return Refusal(" ".join(argv), said, key)
    return None


def command(host: Host, *argv: str) -> str | None:
    """What a program of the system says, on either stream; None where it is not there or does not answer."""
    if host.commands.which(argv[0]) is None:
        return None
    try:
        result = host.commands.run(argv, timeout=_SECONDS)
    except Trouble:
        return None
    return (result.stdout or result.stderr).strip() if result.returncode == 0 or result.stdout else ""
