"""What it takes to find the causes in a log of 1 MB, against one plain search through the same text.

    python -m tests.benchmarks.explain

The plain search is one regular expression without a literal part, which looks at every character once. Rounds of the
two alternate, so that a busy machine disturbs both alike; times are of the processor. Three logs: nothing known in it,
one error in noise, and an engine's log that says one error over and over.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from tests.support.envelopes import ENVELOPES, NOISE
from wizard.knowledge import daemon_errors

ROUNDS = 9
M = 1_000_000
PLAIN = re.compile(r"[0-9a-f]{64}z", re.IGNORECASE)
LOAD = """
import time
begin = time.process_time()
from wizard.knowledge import daemon_errors
daemon_errors.causes()
print(time.process_time() - begin)
"""


def logs() -> dict[str, str]:
    """The texts that are looked through."""
    noise = "".join(NOISE[number % len(NOISE)].format(number % 60) + "\n" for number in range(20_000))[:M]
    sample = daemon_errors.by_id("nvcli-lib-missing").samples[0]
    journal = ENVELOPES["journal"](sample)
    return {
        "noise": noise,
        "one_error": f"{noise[: M // 2]}\n{sample}\n{noise[M // 2 :]}"[:M],
        "same_error": (journal * (M // len(journal) + 1))[:M],
    }


def seconds(work: Callable[[], object]) -> float:
    """Seconds of the processor that ``work`` takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> None:
    """Prints one JSON document with the ratios and the raw medians."""
    result: dict[str, float | int] = {}
    for name, text in logs().items():
        daemon_errors.find(text)
        plain: list[float] = []
        ours: list[float] = []
        for _round in range(ROUNDS):
            plain.append(seconds(lambda text=text: PLAIN.search(text)))  # type: ignore[misc]
            ours.append(seconds(lambda text=text: daemon_errors.find(text)))  # type: ignore[misc]
        result[f"{name}_over_plain_search"] = round(statistics.median(ours) / statistics.median(plain), 2)
        result[f"{name}_s"] = round(statistics.median(ours), 3)
        result[f"{name}_plain_s"] = round(statistics.median(plain), 3)
    loads = [float(subprocess.check_output([sys.executable, "-c", LOAD])) for _round in range(ROUNDS)]
    result["load_catalogue_s"] = round(statistics.median(loads), 3)
    print(json.dumps({**result, "rounds": ROUNDS}, indent=2))


if __name__ == "__main__":
    main()
