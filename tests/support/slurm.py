"""A Slurm of our own: one controller and one node on the loopback, in a folder that goes with them.

Debian's packages slurmctld, slurmd and slurm-client, without systemd, munge or control groups: nobody else talks to it,
so it believes everybody (auth/none). The node claims two GPUs, which are devices that swallow all, like /dev/null.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.engine import CannotStart, not_here

_SECONDS = 60.0
_CONFIG = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
SchedulerParameters=batch_sched_delay=0
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class Slurm:
    """The running cluster. ``folder`` is all that it writes to."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def call(self, *argv: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
        """What one of Slurm's commands prints; fails loudly with what it said instead."""
        done = subprocess.run(
            argv,
            env={**(os.environ if environ is None else environ), "SLURM_CONF": str(self.folder / "slurm.conf")},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def submit(self, script: Path, *options: str, environ: Mapping[str, str] | None = None) -> str:
        """Hands in a job whose output goes beside its script; its number."""
        said = self.call("sbatch", "--parsable", *options, str(script), environ=environ, cwd=script.parent)
        return said.strip().partition(";")[0]

    def job(self, number: str) -> dict[str, str]:
        """What ``scontrol`` tells about a job, e.g. ``JobState`` and ``ExitCode``."""
        words = self.call("scontrol", "--oneliner", "show", "job", number).split()
        return {name: value for name, _equals, value in (word.partition("=") for word in words)}

    def ended(self, number: str) -> dict[str, str]:
        """Waits for a job's end; what it ended with."""
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        deadline = time.monotonic() + _SECONDS
        while (job := self.job(number))["JobState"] not in over:
            assert time.monotonic() < deadline, job
            time.sleep(0.1)
        return job

    def stop(self) -> None:
        """Ends every job and both daemons, and removes the folder."""
        with suppress(AssertionError):
            self.call("scancel", "--state=RUNNING")
            self.call("scancel", "--state=PENDING")
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in _left(self.folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def start() -> Slurm:
    """Starts the cluster and waits until its node is idle. Raises ``CannotStart`` with the daemons' last words."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    programs = [shutil.which(name, path=path) for name in ("slurmctld", "slurmd", "sbatch")]
    if None in programs or os.geteuid() != 0:
        raise CannotStart("there is no Slurm that root could start (Debian: slurmctld slurmd slurm-client)")
    slurm = Slurm(Path(tempfile.mkdtemp(prefix="s2s-slurm-")))
    host, (controller_port, node_port) = socket.gethostname().partition(".")[0], _free_ports(2)
    for folder in ("state", "spool"):
        (slurm.folder / folder).mkdir()
    for number in range(2):
        os.mknod(slurm.folder / f"nvidia{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (slurm.folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={slurm.folder}/nvidia[0-1]\n")
    (slurm.folder / "slurm.conf").write_text(
        _CONFIG.format(host=host, folder=slurm.folder, controller_port=controller_port, node_port=node_port)
    )
    for program, options in ((programs[0], ()), (programs[1], ("-N", host))):
        with (slurm.folder / "log").open("ab") as log:
            slurm.processes.append(
                subprocess.Popen(
                    [str(program), "-D", "-f", str(slurm.folder / "slurm.conf"), *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and all(process.poll() is None for process in slurm.processes):
        with suppress(AssertionError):
            if slurm.call("sinfo", "--noheader", "--format=%t").strip() == "idle":
                return slurm
        time.sleep(0.1)
    said = (slurm.folder / "log").read_text(errors="replace")[-1500:]
    slurm.stop()
    raise CannotStart(f"Slurm does not start here:\n{said}")


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """One cluster for the whole run."""
    try:
        cluster = start()
    except CannotStart as error:
        not_here(error)
    yield cluster
    cluster.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _left(folder: Path) -> list[int]:
    """Processes that name the folder on their command line or in their surroundings: steps, and what they started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if f"{folder}/".encode() in words:
                    found.append(int(entry.name))
    return found
