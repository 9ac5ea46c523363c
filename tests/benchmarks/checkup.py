"""The check-up against its slowest single check, on a real engine that is started here.

    python -m tests.benchmarks.checkup

Each round is a new process, as ``s2s-wizard doctor`` is one: the libraries are loaded inside the checks that need
them first. The ratio is the time of the whole check-up over the longest ``seconds`` of its findings. A second number is
what a daemon that never answers costs.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import engine

ROUNDS = 9
ONCE = """
import json, time
from wizard.host import real
from wizard.services import checkup
host = real.build()
begin = time.perf_counter()
findings = checkup.run(host)
print(json.dumps([time.perf_counter() - begin, max(finding.seconds for finding in findings)]))
"""


def once(docker_host: str) -> tuple[float, float]:
    """Seconds of one whole check-up and of its slowest check."""
    env = {**os.environ, "DOCKER_HOST": docker_host}
    out = subprocess.run([sys.executable, "-c", ONCE], env=env, capture_output=True, check=True)
    total, slowest = json.loads(out.stdout)
    return total, slowest


def main() -> None:
    """Prints one JSON document."""
    private = engine.start()
    try:
        rounds = [once(private.url) for _ in range(ROUNDS)]
    finally:
        private.stop()
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as silent:
        path = str(Path(folder) / "docker.sock")
        silent.bind(path)
        silent.listen(64)
        hung, _slowest = once(f"unix://{path}")
    print(
        json.dumps(
            {
                "checkup_over_slowest_check": round(statistics.median(total / slow for total, slow in rounds), 2),
                "checkup_s": round(statistics.median(total for total, _slow in rounds), 3),
                "hung_daemon_s": round(hung, 2),
                "rounds": ROUNDS,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
