"""Which machine this is, and who uses it."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from wizard.model.machine import HostInfo

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")


def read() -> HostInfo:
    """This machine and the user of this process."""
    uid, machine = os.geteuid(), os.uname()
    try:
        entry = pwd.getpwuid(uid)
        user, on_file = entry.pw_name, os.getgrouplist(entry.pw_name, entry.pw_gid)
    except KeyError:
        # A user that the system does not know, as in a container started with --user.
        user, on_file = str(uid), []
    return HostInfo(
        kind="real",
        name=machine.nodename,
        os=os_name(),
        system=machine.sysname,
        arch=machine.machine,
        user=user,
        uid=uid,
        groups=_names([os.getegid(), *os.getgroups()]),
        groups_on_file=_names(on_file),
    )


def os_name(paths: tuple[str, ...] = _OS_RELEASE) -> str:
    """The name of the operating system for people: ``PRETTY_NAME`` of the first os-release file that is there."""
    for path in paths:
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _equals, value = line.partition("=")
            if key.strip() == "PRETTY_NAME" and value.strip():
                return value.strip().strip("\"'")
    return os.uname().sysname


def _names(gids: list[int]) -> tuple[str, ...]:
    names: list[str] = []
    for gid in gids:
        try:
            name = grp.getgrgid(gid).gr_name
        except KeyError:
            name = str(gid)
        if name not in names:
            names.append(name)
    return tuple(names)
