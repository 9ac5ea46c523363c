"""What showing a training costs that prints without end: lag of the event loop, share of a core, memory.

    python -m tests.benchmarks.training_screen

The wizard runs in a real terminal of 80x24 and follows a training whose log another process writes: 100,000 lines a
second, of which every one means something to the page. The same program first shows its first page for as long, which
is the idle wizard that the numbers are compared with; then the page of the training, then its log. Lag is how much
later than asked a sleep of 10 ms ends; the idle wizard's own lag tells how much of it is the machine's.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pexpect

from tests.benchmarks.pull_screen import SECONDS, WARM_SECONDS, measure
from tests.benchmarks.training import logs

LINES_A_SECOND = 100_000
WRITES_A_SECOND = 100
LIMIT_MS = 50.0
"""The lag that is allowed at the 99th percentile."""
CONFIG = "example_configs/speech2text/jasper-Mini-for-Jetson.py"


def write(path: str) -> None:
    """The other process: a training that prints as fast as it is asked to."""
    text = logs()["steps"].splitlines(keepends=True)
    each = LINES_A_SECOND // WRITES_A_SECOND
    pieces = ["".join(text[at : at + each]).encode() for at in range(0, len(text) - each + 1, each)]
    began, count = time.monotonic(), 0
    with Path(path).open("ab", buffering=0) as log:
        while True:
            log.write(pieces[count % len(pieces)])
            count += 1
            time.sleep(max(0.0, began + count / WRITES_A_SECOND - time.monotonic()))


def begin(path: str) -> subprocess.Popen[bytes]:
    """Starts the other process."""
    argv = [sys.executable, "-m", "tests.benchmarks.training_screen", "write", path]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def bytes_of(path: str) -> int:
    """How long the log is."""
    return Path(path).stat().st_size


def show(folder: str, result: str) -> None:
    """The wizard, which measures itself."""
    from textual.pilot import Pilot

    from screens.training import Training, What
    from wizard.app import SWITCH_SECONDS, WizardApp
    from wizard.demo import machine
    from wizard.host.files import SystemFiles
    from wizard.model.container_job import Job, to_text
    from wizard.model.journey import Step
    from wizard.services import train

    simulated = machine.build("with-container", pace=0)
    there = simulated.engine.container("openseq2seq")
    assert there is not None
    host = replace(simulated, files=SystemFiles(simulated.commands))
    name = "0001-train"
    facts = {"config": CONFIG, "mode": "train_eval", "logdir": "/data/log", "ranks": "1", "rows": "256000"}
    place = f"{folder}/s2s-wizard/jobs/{name}"
    Path(place).mkdir(parents=True)
    job = Job(name, "train", there.name, there.id, place, f"/data/s2s-wizard/jobs/{name}", (), "/data", 0.0, facts)
    Path(job.path("job.json")).write_text(to_text(job))
    app = WizardApp(host)

    async def script(_pilot: Pilot[object]) -> None:
        await asyncio.sleep(WARM_SECONDS)
        idle = await measure()
        writer = begin(job.path("stdout.log"))
        await asyncio.sleep(WARM_SECONDS)
        training = app.session.training = Training(
            host,
            What.TRAINING,
            lambda emit, cancel: train.follow(host, job, emit, cancel),
            post=app.post_message,
            note=app.session.note,
            found=job,
        )
        app.screen.go(Step.TRAIN)  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        first, size = training.state, bytes_of(job.path("stdout.log"))
        page = await measure()
        written = bytes_of(job.path("stdout.log")) - size
        assert training.state.step != first.step, "nothing moved, so nothing was measured"
        app.screen.action_log()  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        lines = await measure()
        assert training.running, training.state
        writer.kill()
        writer.wait()
        measured.update({"idle": idle, "page": page, "log": lines, "written": written})
        app.exit(0)

    measured: dict[str, Any] = {}
    sys.setswitchinterval(SWITCH_SECONDS)
    app.run(auto_pilot=script)
    Path(result).write_text(json.dumps(measured))


def compared() -> dict[str, Any]:
    """One run of the wizard in a terminal, with what the idle wizard costs taken off."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result")
        argv = ["-m", "tests.benchmarks.training_screen", "show", str(Path(folder, "data")), str(result)]
        env = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        child = pexpect.spawn(sys.executable, argv, env=env, dimensions=(24, 80), timeout=20 * SECONDS)
        child.expect(pexpect.EOF)
        child.close()
        if not result.exists():
            raise SystemExit(child.before.decode(errors="replace")[-2000:])
        measured: dict[str, Any] = json.loads(result.read_text())
    idle = measured["idle"]
    average = len(logs()["steps"]) / LINES_A_SECOND
    numbers = {
        "lines_a_second_written": round(measured["written"] / average / SECONDS),
        "lag_p99_ms_idle": round(idle["lag_p99_ms"], 1),
    }
    for name in ("page", "log"):
        numbers |= {
            f"lag_p99_ms_{name}": round(measured[name]["lag_p99_ms"], 1),
            f"core_share_{name}": round(measured[name]["cpu"] - idle["cpu"], 3),
            f"mb_over_idle_{name}": round(measured[name]["pss_mb"] - idle["pss_mb"], 1),
        }
    return numbers


def main() -> None:
    """Prints one JSON document; the exit status is 1 where a lag is over the limit."""
    numbers = compared()
    print(json.dumps(numbers, indent=2))
    if max(numbers["lag_p99_ms_page"], numbers["lag_p99_ms_log"]) > LIMIT_MS:
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(sys.argv[2])
    elif sys.argv[1:2] == ["show"]:
        show(sys.argv[2], sys.argv[3])
    else:
        main()
