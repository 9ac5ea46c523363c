"""From a fresh container to a trained model, with the installed program alone and no key pressed.

    DOCKER_HOST=unix:///… S2S_REHEARSAL_IMAGE=IMAGE [S2S_REHEARSAL_CODE=COPY] python -m tests.rehearsal.rehearse [GPUS]

IMAGE is in that engine: NVIDIA's TensorFlow image, or one with TensorFlow 1.13 for the processor. COPY is a clone or a
mirror of OpenSeq2Seq; without it, GitHub is asked. GPUS is what ``up --gpus`` takes, ``none`` without it. Prints what
happened and how long it took; ends with 0 when everything went as it should.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-c", "import sys; from wizard.cli import main; sys.exit(main())"]
NAME = "rehearsal-by-hand"
CONFIG = "/data/s2s-wizard/rehearsal/jasper-Mini-rehearsal.py"
LOGDIR = "--logdir=/data/s2s-wizard/rehearsal/log"
TOY = "open_seq2seq/test_utils/toy_speech_data/wav_files/206o0103.wav"


def main() -> int:
    image = os.environ["S2S_REHEARSAL_IMAGE"]
    code = os.environ.get("S2S_REHEARSAL_CODE", "")
    gpus = sys.argv[1] if len(sys.argv) > 1 else "none"
    with tempfile.TemporaryDirectory(prefix="s2s-") as folder:
        data = Path(folder, "data")
        environ = {**os.environ, "HOME": folder, "XDG_STATE_HOME": f"{folder}/state"}
        copy = ["--code", code] if code else []
        box = ["--name", NAME]
        try:
            step(environ, "up", *box, "--data", str(data), "--image", image, "--gpus", gpus)
            missing = step(environ, "train", *box, *copy, "--json", expect=3)
            assert missing[-1]["error"]["id"] == "training-data", missing[-1]
            events = step(environ, "train", *box, *copy, "--rehearsal", "--json")
            check(events)
            again = step(environ, "train", CONFIG, *box, "--evaluate", "--json", "--", LOGDIR)
            assert any(event["event"] == "validation" for event in again)
            said = step(
                environ, "train", CONFIG, *box, "--say", str(data / "OpenSeq2Seq" / TOY), "--json", "--", LOGDIR
            )
            assert said[-1]["event"] == "transcript", said[-1]
            strange = {path.stat().st_uid for path in data.rglob("*")} - {os.geteuid()}
            assert not strange, strange
        finally:
            subprocess.run(["docker", "rm", "--force", NAME], check=False, capture_output=True)
    print("everything went as it should")
    return 0


def step(environ: dict[str, str], *words: str, expect: int = 0) -> list[dict[str, Any]]:
    """Runs the program without a terminal; the JSON lines that it printed."""
    began = time.monotonic()
    print("$ s2s-wizard", *words, flush=True)
    ended = subprocess.run(
        [*PROGRAM, *words], env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    print(f"  exit code {ended.returncode}, {time.monotonic() - began:.0f} s", flush=True)
    if ended.returncode != expect:
        sys.exit(f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}")
    return [json.loads(line) for line in ended.stdout.splitlines()] if "--json" in words else []


def check(events: list[dict[str, Any]]) -> None:
    """Trained, went on from the checkpoint, evaluated, transcribed; and nothing failed."""
    kinds = [event["event"] for event in events]
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert "failure" not in kinds
    assert "error" not in kinds
    assert steps == sorted(set(steps)), steps
    begun = [(event["how"], event["step"]) for event in events if event["event"] == "begun"]
    assert begun[0] == ("scratch", 0), begun
    assert begun[1][0] == "checkpoint", begun
    assert begun[1][1] == steps[len(steps) // 2 - 1], begun
    assert [event["what"] for event in events if event["event"] == "finished"] == [
        "training",
        "training",
        "evaluation",
        "inference",
        "rehearsal",
    ]
    print(
        f"  steps {steps}, {kinds.count('validation')} validations, {kinds.count('checkpoint')} checkpoints", flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
