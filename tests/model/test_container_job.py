"""The script that runs a job, in the shells of images, with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wizard.model.container_job import LAUNCH, STARTED

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
# As mpiexec does: processes in groups of their own, in the session that the job has.
RANKS = """
import os, sys, time
for number in range(2):
    if os.fork() == 0:
        os.setpgid(0, 0)
        with open("new-%d" % number, "w") as file:
            file.write(str(os.getpid()))
        os.rename("new-%d" % number, "rank-%d" % number)
        time.sleep(300)
while not (os.path.exists("rank-0") and os.path.exists("rank-1")):
    time.sleep(0.01)
print("ready", flush=True)
if sys.argv[1] == "waits":
    time.sleep(300)
sys.exit(7)
"""


def runs(pid: int) -> bool:
    """Whether a process does anything still; one that nobody has asked after counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "s2s-wizard/jobs/0001-train"
    made.mkdir(parents=True)
    (made / "owned").write_text(f"{made}\n")
    return made


def launch(shell: str, folder: Path, how: str) -> subprocess.Popen[bytes]:
    program = ["busybox", "sh"] if shell == "busybox" else [shell]
    argv = [*program, "-c", LAUNCH, "s2s-wizard", str(folder), str(folder), sys.executable, "-c", RANKS, how]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("how", ["ends", "waits"])
def test_nothing_of_a_job_outlives_it(shell: str, how: str, folder: Path) -> None:
    process = launch(shell, folder, how)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == STARTED
        deadline = time.monotonic() + 60
        while "ready" not in (folder / "stdout.log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        ranks = [int((folder / f"rank-{number}").read_text()) for number in range(2)]
        if how == "waits":
            assert all(map(runs, ranks))
            os.kill(int((folder / "pid").read_text().split()[0]), signal.SIGKILL)
        assert process.wait(60) == 0
        assert (folder / "exit").read_text() == ("7\n" if how == "ends" else "137\n")
        while any(map(runs, ranks)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate()
