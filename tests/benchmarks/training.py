"""What reading a training's log and its csv files costs, as ratios.

    python -m tests.benchmarks.training [GIGABYTES]

A log of 1 GB (or as many as are given) is read by a process of its own, and one of 1 MB by another: the ratio of their
greatest memory. Lines a second are those of a log as chatty as one can be (every line is an event, or every line has to
be looked up in the catalogue); 100,000 lines a second come as 100 pieces of 1000 lines, and the 99th percentile of the
time for a piece is how late a line is seen at most. Plain splitting and decoding of the same bytes alternates with it.
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
import time
import wave
from collections.abc import Callable

from tests.support.training_log import CPP, MPI, Made, made
from wizard.knowledge import training_failures
from wizard.model.training import data_check
from wizard.model.training.log import TrainingLog

ROUNDS = 3
LINES = 100_000
PIECES = 100
ROWS = 100_000
MB = 2**20
READ = """
import resource, sys
from tests.benchmarks.training import memory
print(memory(int(sys.argv[1])))
"""


def memory(size: int) -> int:
    """The greatest memory of this process, in KiB, after a log of ``size`` bytes was read."""
    import resource

    piece = logs()["steps"].encode()[: 4 * MB]
    log = TrainingLog(training_failures, rows=28_539)
    for _number in range(0, size, len(piece)):
        log.feed(piece[: min(len(piece), size)])
    log.close()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def logs() -> dict[str, str]:
    """Logs of 100,000 lines: steps, and what Python, TensorFlow and MPI say."""
    steps = made(Made(rows=32 * 8_000, epochs=5, print_steps=1, eval_steps=10)).splitlines(keepends=True)
    noise = [
        CPP.replace("335159", "{number:06}"),
        MPI,
        "WARNING:tensorflow:From /usr/local/lib/python3.6/site-packages/a.py:{number}: colocate_with is deprecated\n",
        "***   ForwardPass/w2l_encoder/conv{number}/bn/beta:0\n",
        "Instructions for updating:\n",
        "2026-11-22 15:18:05.{number:06}: W tensorflow/core/framework/op_kernel.cc:1389] Unknown: KeyError: 'H'\n",
    ]
    return {
        "steps": "".join((steps * (LINES // len(steps) + 1))[:LINES]),
        "noise": "".join(noise[number % len(noise)].format(number=number) for number in range(LINES)),
    }


def seconds(work: Callable[[], object]) -> float:
    """Seconds of the processor that ``work`` takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def pieces(text: str) -> list[bytes]:
    """The log in pieces of equally many lines."""
    lines = text.splitlines(keepends=True)
    each = len(lines) // PIECES
    return ["".join(lines[at : at + each]).encode() for at in range(0, len(lines), each)]


def main() -> None:
    """Prints one JSON document with the ratios and the raw medians."""
    result: dict[str, float | int] = {}
    size = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    small, large = (
        int(subprocess.check_output([sys.executable, "-c", READ, str(count)])) for count in (MB, int(size * 1024 * MB))
    )
    result["memory_large_over_small_log"] = round(large / small, 3)
    result["memory_large_mib"] = round(large / 1024, 1)
    for name, text in logs().items():
        parts = pieces(text)
        lags: list[float] = []
        plain: list[float] = []
        ours: list[float] = []
        for _round in range(ROUNDS):
            plain.append(seconds(lambda parts=parts: [part.decode().split("\n") for part in parts]))  # type: ignore[misc]
            log = TrainingLog(training_failures, rows=256_000)
            each = [seconds(lambda log=log, part=part: log.feed(part)) for part in parts]  # type: ignore[misc]
            ours.append(sum(each))
            lags += each
        result[f"{name}_lines_per_second"] = round(LINES / statistics.median(ours))
        result[f"{name}_over_plain_split"] = round(statistics.median(ours) / statistics.median(plain), 1)
        result[f"{name}_p99_ms_of_1000_lines"] = round(statistics.quantiles(lags, n=100)[98] * 1000, 1)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\1\2" * 32_000)
    audio = data_check.Audio(64_044, out.getvalue()[: data_check.HEAD])
    rows = "".join(f"/data/librispeech/{number}.wav,64044,that is good\n" for number in range(ROWS))
    table = f"wav_filename,wav_filesize,transcript\n{rows}".encode()
    spent = statistics.median(
        seconds(lambda: data_check.check([table], lambda _path, _most: audio)) for _round in range(ROUNDS)
    )
    result["csv_rows_per_second"] = round(ROWS / spent)
    print(json.dumps({**result, "gigabytes": size, "rounds": ROUNDS}, indent=2))


if __name__ == "__main__":
    main()
