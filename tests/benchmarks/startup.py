"""First frame against a bare Textual application, commands against a bare interpreter, and memory, in one run.

    python -m tests.benchmarks.startup

Rounds of the two sides alternate, so that a busy machine disturbs both alike. A first frame is the time from
``exec`` until the marker text has arrived on the terminal; memory is PSS from ``/proc/PID/smaps_rollup``. Commands are
timed from their start to their end. The byte code is written beforehand, as pip does it: the first round is not
counted.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect

ROUNDS = 9
BARE = """
from textual.app import App, ComposeResult
from textual.widgets import Static

class Bare(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("MARKER")

Bare().run()
"""


def environment(home: str) -> dict[str, str]:
    """A clean user with an English terminal of 120x40, and byte code that is kept."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "TERM": "xterm-256color",
            "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONPYCACHEPREFIX": str(Path(home) / "bytecode")}  # fmt: skip


def first_frame(argv: list[str], marker: str, env: dict[str, str], settle: float = 0.0) -> tuple[float, float]:
    """Seconds until ``marker`` is on the screen, and PSS in MB ``settle`` seconds later."""
    begin = time.perf_counter()
    child = pexpect.spawn(argv[0], argv[1:], env=env, dimensions=(40, 120), timeout=30, encoding="utf-8")
    child.expect_exact(marker)
    seconds = time.perf_counter() - begin
    time.sleep(settle)
    rollup = Path(f"/proc/{child.pid}/smaps_rollup").read_text()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
    child.close(force=True)
    return seconds, pss


def command(argv: list[str], env: dict[str, str]) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def commands(wizard: str, env: dict[str, str]) -> dict[str, float]:
    """For each command that asks nothing of the machine, its time by that of an interpreter that does nothing."""
    sides = {
        "bare": [sys.executable, "-c", "pass"],
        "help": [wizard, "--help"],
        "doctor_list": [wizard, "doctor", "--list"],
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS + 1):
        for name, argv in sides.items():
            seconds = command(argv, env)
            if number:
                times[name].append(seconds)
    bare, *others = (statistics.median(seconds) for seconds in times.values())
    return {name: round(seconds / bare, 1) for name, seconds in zip([*sides][1:], others, strict=True)}


def main() -> None:
    """Prints one JSON document with the ratios and the raw medians."""
    with tempfile.TemporaryDirectory() as home:
        env = environment(home)
        bare_script = Path(home) / "bare.py"
        bare_script.write_text(BARE)
        wizard = str(Path(sys.executable).with_name("s2s-wizard"))
        bare: list[float] = []
        ours: list[float] = []
        for _ in range(ROUNDS + 1):
            bare.append(first_frame([sys.executable, str(bare_script)], "MARKER", env)[0])
            ours.append(first_frame([wizard, "--lang", "en"], "At the end", env)[0])
        del bare[0], ours[0]
        _, pss = first_frame([wizard, "--lang", "en"], "At the end", env, settle=5.0)

        print(
            json.dumps(
                {
                    "first_frame_ratio": round(statistics.median(ours) / statistics.median(bare), 2),
                    "first_frame_bare_s": round(statistics.median(bare), 3),
                    "first_frame_wizard_s": round(statistics.median(ours), 3),
                    "commands_by_bare_interpreter": commands(wizard, env),
                    "pss_mb": round(pss, 1),
                    "rounds": ROUNDS,
                },
                indent=2,
            )
        )


if __name__ == "__main__":
    main()
