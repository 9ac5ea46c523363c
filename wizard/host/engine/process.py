"""The daemon's process on this machine, read from ``/proc``."""

from __future__ import annotations

from pathlib import Path


def argv_of(pid: int) -> tuple[str, ...]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(part.decode(errors="surrogateescape") for part in raw.rstrip(b"\0").split(b"\0") if raw)


def unit_of(pid: int) -> str | None:
    """The systemd unit that the process belongs to, if it is one of Docker's (``docker.service``)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        last = line.rpartition("/")[2]
        if last.endswith(".service") and "docker" in last:
            return last
    return None
