"""Whether the Docker that runs has found the toolkit's hook: ``docker run --gpus`` needs it.

Facts, from Docker's source (daemon/nvidia_linux.go) and measured on engines 19.03 to 29.1: Docker looks for the program
``nvidia-container-runtime-hook`` in its PATH once, when its process starts. A later installation counts from the next
start on; after a removal it still tries to run the program.
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass
from enum import Enum

from wizard.host.ports import Host
from wizard.knowledge.toolkit import toolkit
from wizard.model.engine import DaemonProcess, EngineKind
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import PathKind
from wizard.services import packages
from wizard.services.checks.check import PROBE, Check

HOOK = "nvidia-container-runtime-hook"
LATE, REMOVED = "gpus-no-driver", "hook-removed-after-start"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What systemd gives a service whose own PATH cannot be read."""
_TICKS = 100
"""Of the clock in /proc/PID/stat, in a second; the same on every Linux that Docker runs on."""
_SLACK = 2.0
"""Seconds: the time of the machine's start is told in whole ones."""
_DPKG_LOG, _DNF_LOG = "/var/log/dpkg.log", "/var/log/dnf.rpm.log"
_DPKG = re.compile(r"^(\S+ \S+) (install|upgrade|remove|purge) ([^\s:]+)", re.MULTILINE)
_DNF = re.compile(r"^(\S+) \S+ (Installed|Upgraded|Upgrade|Erase|Removed): ([a-z0-9-]+?)-\d", re.MULTILINE)
_GONE = ("remove", "purge", "Erase", "Removed")
_RENEWED = ("upgrade", "Upgraded", "Upgrade")


class Seen(str, Enum):
    """What the Docker that runs knows of the hook."""

    FOUND = "found"
    LATE = "late"
    """it came after Docker's start, or was never there"""
    REMOVED = "removed"
    """it was there at Docker's start and is gone"""
    MISSING = "missing"
    """it is not there; whether it once was cannot be told"""


@dataclass(frozen=True, slots=True)
class Look:
    """``path`` is the hook, "" where there is none. ``causes`` are proved by it."""

    seen: Seen
    path: str
    evidence: tuple[Evidence, ...]

    @property
    def causes(self) -> tuple[str, ...]:
        # Without a log of the packages both are the same to the eye: the program is not there.
        return {
            Seen.FOUND: (),
            Seen.LATE: (LATE,),
            Seen.REMOVED: (REMOVED,),
            Seen.MISSING: (LATE, REMOVED),
        }[self.seen]


def look(host: Host) -> Look | None:
    """What the daemon on this machine knows of the hook; None where there is no daemon that can be looked at."""
    try:
        if host.engine.info().kind not in (EngineKind.ENGINE, EngineKind.ROOTLESS):
            return None
        daemon = host.engine.daemon()
        began = None if daemon is None else started(host, daemon)
    except Trouble:
        return None
    if daemon is None or began is None:
        return None
    path = _found(host, daemon)
    last, log = _last_word(host, began)
    evidence = [
        Evidence(f"/proc/{daemon.pid}/stat", _("Docker was started at {time}").format(time=_clock(began))),
        Evidence(HOOK, path or _("not found")),
    ]
    if log is not None:
        evidence.append(log)
    if path:
        changed = host.files.info(path).changed
        late = changed > began + _SLACK and last not in _RENEWED
        if late:
            evidence.append(Evidence(path, _("there since {time}").format(time=_clock(changed))))
        return Look(Seen.LATE if late else Seen.FOUND, path, tuple(evidence))
    if last in _GONE:
        return Look(Seen.REMOVED, "", tuple(evidence))
    return Look(Seen.MISSING if last is None else Seen.LATE, "", tuple(evidence))


def started(host: Host, daemon: DaemonProcess) -> float | None:
    """When a process was started, in seconds since 1970; None where that cannot be told."""
    process, machine = host.files.read(f"/proc/{daemon.pid}/stat"), host.files.read("/proc/stat")
    if process is None or machine is None:
        return None
    fields = process.data.rpartition(b")")[2].split()
    boot = re.search(rb"^btime (\d+)$", machine.data, re.MULTILINE)
    return int(boot[1]) + int(fields[19]) / _TICKS if boot and len(fields) > 19 else None


def _found(host: Host, daemon: DaemonProcess) -> str:
    for folder in _path_of(host, daemon).split(":"):
        path = f"{folder}/{HOOK}"
        if folder.startswith("/") and host.files.info(path).kind is PathKind.FILE:
            return path
    return ""


def _path_of(host: Host, daemon: DaemonProcess) -> str:
    try:
        content = host.files.read(f"/proc/{daemon.pid}/environ")
    except Trouble:
        return _PATH  # only root may look, where the daemon is root's
    entries = (content.data if content else b"").decode(errors="replace").split("\0")
    return next((entry[5:] for entry in entries if entry.startswith("PATH=")), _PATH)


def _last_word(host: Host, began: float) -> tuple[str | None, Evidence | None]:
    """What was last done to the toolkit's packages since then: "" for nothing, None where there is no log."""
    for path, pattern, form in ((_DPKG_LOG, _DPKG, "%Y-%m-%d %H:%M:%S"), (_DNF_LOG, _DNF, "%Y-%m-%dT%H:%M:%S%z")):
        try:
            content = host.files.read(path)
        except Trouble:
            continue
        if content is None:
            continue
        word, line = "", ""
        for match in pattern.finditer(content.data.decode(errors="replace")):
            when, what, name = match.groups()
            if name in toolkit().packages and _seconds(when, form) >= began - _SLACK:
                # After the removal of one of them, what happened to the others brings nothing back.
                word, line = what, match.group()
        return word, Evidence(path, line) if line else None
    return None, None


def _seconds(text: str, form: str) -> float:
    try:
        moment = time.strptime(text, form)
    except ValueError:
        return 0.0
    # dpkg writes the machine's own time, dnf says which.
    return time.mktime(moment) if moment.tm_gmtoff is None else calendar.timegm(moment) - moment.tm_gmtoff


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _run(host: Host) -> Finding:
    found = look(host)
    if found is None and host.engine.info().kind in (EngineKind.DESKTOP, EngineKind.SNAP):
        return CHECK.finding(
            Status.INFO,
            _('This Docker does not see NVIDIA\'s toolkit of the system, so its option "--gpus" does not work.'),
            causes=(LATE,),
        )
    if found is None:
        return CHECK.finding(Status.INFO, _("Whether Docker knows NVIDIA's hook cannot be seen from here."))
    if found.seen is Seen.FOUND:
        return CHECK.finding(
            Status.OK,
            _("Docker found NVIDIA's hook when it started."),
            _('This is what the option "--gpus" of docker needs.'),
            evidence=found.evidence,
        )
    if found.path:
        return CHECK.finding(
            Status.WARNING,
            _("NVIDIA's toolkit was installed after Docker had started."),
            _(
                'Docker looks for it only once, when it starts. Until it is restarted, "docker run --gpus" answers '
                "'could not select device driver'."
            ),
            evidence=found.evidence,
            causes=found.causes,
            fixes=("restart-docker",),
        )
    if not packages.installed(host, toolkit().packages):
        # A runtime that was put there by hand: the way that the wizard takes works with it.
        return CHECK.finding(
            Status.INFO,
            _('The option "--gpus" of docker does not work here, but the wizard does not need it.'),
            evidence=found.evidence,
            causes=found.causes,
        )
    return CHECK.finding(
        Status.WARNING,
        _("A part of NVIDIA's toolkit is missing: {program}").format(program=HOOK),
        _("The package {package} brings it. Without it, containers may get no GPU.").format(package=toolkit().wanted),
        evidence=found.evidence,
        causes=found.causes,
        fixes=("install-toolkit",),
    )


CHECK = Check(
    id="toolkit.hook",
    title=N_("NVIDIA's hook for Docker"),
    requires=("docker.access", "runtime.toolkit"),
    timeout=PROBE,
    run=_run,
    decides=(LATE, REMOVED),
)
