"""Whether a program can be run, and if not, why: looked at, not tried."""

from __future__ import annotations

from enum import Enum

from wizard.host.ports import Host
from wizard.model.engine import EngineKind
from wizard.model.errors import Trouble
from wizard.model.machine import PathKind

LOCAL = (EngineKind.ENGINE, EngineKind.ROOTLESS)
"""Kinds of Docker whose programs are those of this machine."""

_MACHINES = {3: "i686", 40: "arm", 62: "x86_64", 183: "aarch64", 21: "ppc64le", 243: "riscv64"}
"""The field ``e_machine`` of a program in ELF format."""
_RUNS_ON = {"x86_64": ("x86_64", "i686"), "aarch64": ("aarch64", "arm")}


class Flaw(str, Enum):
    """Why a program cannot be run."""

    MISSING = "missing"
    NOT_EXECUTABLE = "not-executable"
    """no permission to run it, no file at all, or a disk from which nothing may be run"""
    OTHER_MACHINE = "other-machine"
    """made for another kind of processor"""
    NO_INTERPRETER = "no-interpreter"
    """a script whose first line names a program that is not there"""


def flaw(host: Host, program: str) -> Flaw | None:
    """What is wrong with a program (a path, or a name that is looked up); None where it can be run or not be seen."""
    path = program if "/" in program else host.commands.which(program)
    if path is None:
        return Flaw.MISSING
    try:
        found = host.files.info(path)
        if found.kind is PathKind.MISSING:
            return Flaw.MISSING
        if found.kind is not PathKind.FILE or not found.executable:
            return Flaw.NOT_EXECUTABLE
        content = host.files.read(path)
        data = content.data if content else b""
        return _by_content(host, data)
    except Trouble:
        return None


def _by_content(host: Host, data: bytes) -> Flaw | None:
    if data[:4] == b"\x7fELF" and len(data) > 19:
        made_for = _MACHINES.get(int.from_bytes(data[18:20], "little" if data[5] == 1 else "big"), "")
        arch = host.info.arch
        fits = not made_for or made_for in _RUNS_ON.get(arch, (arch,))
        return None if fits else Flaw.OTHER_MACHINE
    if data[:2] == b"#!":
        interpreter = data[2:].split(b"\n", 1)[0].split()[:1]
        name = interpreter[0].decode(errors="replace") if interpreter else ""
        if name.startswith("/") and host.files.info(name).kind is PathKind.MISSING:
            return Flaw.NO_INTERPRETER
    return None
