"""What showing a download costs: lag of the event loop, share of a core, memory over the idle wizard.

    python -m tests.benchmarks.pull_screen

The wizard runs in a real terminal of 80x24 and follows a pull that another process makes: a simulated image of 60
layers, as fast as its messages come. The same program first shows its first page for as long, which is the idle wizard
that the numbers are compared with. Lag is how much later than asked a sleep of 10 ms ends; the idle wizard's own lag
tells how much of it is the machine's. The second round is an image a thousand times larger.
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

LAYERS = 60
SECONDS = 15.0
WARM_SECONDS = 4.0
"""For the libraries that the wizard loads behind its first page."""
IMAGE = "nvcr.io/benchmark/image:1"
MACHINE = """
extends = "no-gpu"
[registry."nvcr.io/benchmark/image"]
tags = ["1"]
layers = [{layers}]
"""


def host(state: str, megabytes: float) -> Any:
    """A simulated machine whose pulls take twice the time of the measurement, with a real folder and real processes."""
    from wizard.demo import spec
    from wizard.demo.machine import assemble
    from wizard.host.background import SystemBackground
    from wizard.host.store import FolderStore

    machine = spec.parse(MACHINE.format(layers=", ".join([str(megabytes)] * LAYERS)), "benchmark")
    # Three layers share the line, and the last is unpacked after it has come.
    made = assemble(machine, pace=3 * SECONDS / (LAYERS * megabytes))
    return replace(made, store=FolderStore(state), background=SystemBackground(os.environ))


def write(state: str, megabytes: float) -> None:
    """The other process: pulls, with all that a pull writes down."""
    from wizard.services import background

    background.run(host(state, megabytes), IMAGE, None)


def show(state: str, megabytes: float, result: str) -> None:
    """The wizard, which measures itself."""
    from textual.pilot import Pilot

    from wizard.app import WizardApp
    from wizard.model.journey import Step

    app = WizardApp(host(state, megabytes))
    app.session.journey = replace(app.session.journey, image=IMAGE)

    async def script(_pilot: Pilot[object]) -> None:
        await asyncio.sleep(WARM_SECONDS)
        idle = await measure()
        writer = begin(state, megabytes)
        while app.session.download is None or app.session.download.state.layers is None:
            await asyncio.sleep(0.2)
            if app.session.download is None:
                app._find_download()
        app.screen.go(Step.PULL)  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        first = progress(app)
        page = await measure()
        last = progress(app)
        app.screen.picked("layers")  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        layers = await measure()
        assert last > first, "nothing moved, so nothing was measured"
        assert progress(app) > last
        writer.kill()
        writer.wait()
        measured.update({"idle": idle, "page": page, "layers": layers})
        app.exit(0)

    measured: dict[str, dict[str, float]] = {}
    app.run(auto_pilot=script)
    Path(result).write_text(json.dumps(measured))


def begin(state: str, megabytes: float) -> subprocess.Popen[bytes]:
    """Starts the other process."""
    argv = [sys.executable, "-m", "tests.benchmarks.pull_screen", "write", state, str(megabytes)]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def progress(app: Any) -> int:
    """Bytes that the wizard has seen come."""
    state = app.session.download.state
    return int(state.progress.done) if state.progress else 0


async def measure() -> dict[str, float]:
    """99th percentile of the lag in ms, CPU seconds a second, and memory (PSS) in MB at the end."""
    lags: list[float] = []
    began, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < SECONDS:
        before = time.perf_counter()
        await asyncio.sleep(0.01)
        lags.append(1000 * (time.perf_counter() - before - 0.01))
    cpu = (time.process_time() - used) / (time.perf_counter() - began)
    return {"lag_p99_ms": sorted(lags)[int(0.99 * len(lags))], "cpu": cpu, "pss_mb": memory()}


def memory() -> float:
    """What this process takes of the memory, in MB."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


def round_of(megabytes: float) -> dict[str, dict[str, float]]:
    """One run of the wizard in a terminal."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result")
        argv = ["-m", "tests.benchmarks.pull_screen", "show", str(Path(folder, "state")), str(megabytes), str(result)]
        env = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        child = pexpect.spawn(sys.executable, argv, env=env, dimensions=(24, 80), timeout=20 * SECONDS)
        child.expect(pexpect.EOF)
        child.close()
        if not result.exists():
            raise SystemExit(child.before.decode(errors="replace")[-2000:])
        measured: dict[str, dict[str, float]] = json.loads(result.read_text())
        return measured


def compared(megabytes: float) -> dict[str, float]:
    """The numbers of one round, with what the idle wizard costs taken off."""
    measured = round_of(megabytes)
    idle = measured["idle"]
    numbers = {"lag_p99_ms_idle": round(idle["lag_p99_ms"], 1)}
    for name in ("page", "layers"):
        numbers |= {
            f"lag_p99_ms_{name}": round(measured[name]["lag_p99_ms"], 1),
            f"core_share_{name}": round(measured[name]["cpu"] - idle["cpu"], 3),
            f"mb_over_idle_{name}": round(measured[name]["pss_mb"] - idle["pss_mb"], 1),
        }
    return numbers


def main() -> None:
    """Prints one JSON document."""
    small, large = compared(5), compared(5000)
    larger = round(large["mb_over_idle_layers"] - small["mb_over_idle_layers"], 1)
    print(json.dumps({"60x5MB": small, "60x5GB": large, "mb_for_a_thousandfold_image": larger}, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(sys.argv[2], float(sys.argv[3]))
    elif sys.argv[1:2] == ["show"]:
        show(sys.argv[2], float(sys.argv[3]), sys.argv[4])
    else:
        main()
