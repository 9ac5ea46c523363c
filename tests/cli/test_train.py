from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Keyboard, furnish
from wizard.cli.train import gpu_words
from wizard.demo.training import SimJobs
from wizard.model.gpu import GpuReading

Sit = Callable[[str], Keyboard]


@pytest.fixture
def ready(at: Sit) -> Keyboard:
    """A healthy machine with the container."""
    keyboard = at("healthy")
    assert keyboard("pull", "--yes").code == 0
    assert keyboard("up").code == 0
    return keyboard


def test_the_rehearsal_in_words(ready: Keyboard) -> None:
    ended = ready("train", "--rehearsal")
    assert ended.code == 0
    assert "[ok]    The rehearsal went well" in ended.out
    assert "Rehearsal, 7 of 7" in ended.err
    assert "step 8 of 8" in ended.err


def test_the_rehearsal_as_json_lines(ready: Keyboard) -> None:
    ended = ready("train", "--rehearsal", "--json")
    assert ended.code == 0
    lines = ended.lines
    kinds = {line["event"] for line in lines}
    assert {"step", "validation", "sample", "checkpoint", "finished", "progress"} <= kinds
    step = next(line for line in lines if line["event"] == "step")
    assert {"step", "epoch", "loss", "seconds_per_step", "total_steps", "eta_seconds"} <= step.keys()
    assert [line["what"] for line in lines if line["event"] == "finished"][-1] == "rehearsal"


def test_train_says_what_lacks_and_when_it_is_there_trains(ready: Keyboard) -> None:
    ended = ready("train")
    assert ended.code == 3
    assert "librivox-train-clean-100.csv" in ended.err
    assert "train --rehearsal" in ended.err
    furnish(ready)
    trained = ready("train", "--", "--num_epochs=1")
    assert trained.code == 0
    assert "Last checkpoint: step 6" in trained.out
    again = ready("train", "--json", "--", "--num_epochs=1")
    assert again.code == 0
    assert again.lines[-1]["event"] == "finished"
    measured = ready("train", "--evaluate")
    assert measured.code == 0
    assert "% of the words wrong" in measured.err


def test_detached(ready: Keyboard) -> None:
    furnish(ready)
    ended = ready("train", "--detach", "--json", "--", "--num_epochs=1")
    assert ended.code == 0
    assert ended.lines[-1]["event"] == "detached"
    assert ended.lines[-1]["id"].endswith("-train")


def test_the_gpus_are_told_beside_the_training(ready: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(ready)
    monkeypatch.setattr(SimJobs, "computes", lambda _jobs: True)  # without a pace, it ends before it is looked at
    assert "  GPU 97 %" in ready("train", "--", "--num_epochs=1").err
    lines = ready("train", "--json", "--", "--num_epochs=2").lines
    told = [line for line in lines if line["event"] == "gpu"]
    assert len(told) == 1, "not more often than every ten seconds"
    (gpu,) = told[0]["gpus"]
    assert (gpu["index"], gpu["name"], gpu["temperature"]) == (0, "NVIDIA GeForce RTX 2060", 71)
    assert 0 < gpu["memory_used"] < gpu["memory_total"] == 6_442_450_944


def test_several_gpus_in_a_few_words() -> None:
    gpus = tuple(GpuReading(n, "", "", use) for n, use in enumerate((97, None, 91)))
    assert gpu_words(gpus) == "GPUs 91-97 %"
    assert gpu_words(gpus[:2]) == "GPU 97 %"
    assert gpu_words(gpus[1:2]) == gpu_words(()) == ""


def test_tensorboard_is_started_and_ended(ready: Keyboard) -> None:
    ended = ready("train", "--tensorboard")
    assert ended.code == 0
    address = ended.line("[ok]    TensorBoard: ").rpartition(" ")[2]
    assert f"ssh -N -L 6006:{address.removeprefix('http://').removesuffix('/')} mei@gpu-box" in ended.out
    assert "train --stop tensorboard" in ended.err
    again = ready("train", "--tensorboard", "--json", "--port", "6006").lines[-1]
    assert (again["event"], again["running"], again["url"], again["port"]) == ("tensorboard", True, address, 6006)
    assert again["logdir"] == "/data/OpenSeq2Seq/jasper_log_folder"
    assert ready("train", "--stop", "tensorboard").line("[ok]") == "[ok]    TensorBoard was ended."
    assert ready("train", "--stop", "tensorboard").out == "No TensorBoard runs in this container.\n"
    assert ready("train", "--stop", "tensorboard", "--json").lines[-1]["running"] is False


def test_the_configurations_by_task(ready: Keyboard) -> None:
    furnish(ready)
    ended = ready("train", "--list")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "speech recognition"
    assert lines[1] == "[ok]    jasper-Mini-for-Jetson: Jasper Mini"
    assert "[info]  ds2_toy_config: Deep Speech 2, toy" in lines
    assert "[skip]  jasper_commands: Jasper 10x3" in lines
    assert "    Not now: its data is not here: Speech Commands, short words" in lines
    document = ready("train", "--list", "--json").document
    assert document["machine"] == {"gpus": 1, "memory": 6_442_450_944, "capability": "7.5"}
    mini = document["configurations"][0]
    assert (mini["name"], mini["task"], mini["fits"], mini["stops"]) == ("jasper-Mini-for-Jetson", "speech", "yes", [])
    assert (mini["data"]["here"], mini["data"]["disk_gb"], mini["gpu_memory_gb"]) == (True, 224.0, None)


def test_the_configurations_without_docker(at: Sit) -> None:
    ended = at("no-docker")("train", "--list")
    assert ended.code == 0
    assert "ds2_toy_config" in ended.out


def test_nothing_to_stop(ready: Keyboard) -> None:
    ended = ready("train", "--stop", "now")
    assert (ended.code, ended.out) == (0, "No training runs in this container.\n")


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        (["nope"], "config-unusable", 2),
        (["--", "--nope=1"], "option-unusable", 2),
        (["--name", "nobody"], "container-missing", 4),
        (["--name", "group-notebook"], "no-data-folder", 4),
        (["--rehearsal", "--detach"], "bad-input", 2),
        (["--tensorboard", "mine"], "no-checkpoint", 4),
        (["--tensorboard", "--name", "nobody"], "container-missing", 4),
        (["--stop", "tensorboard", "--name", "nobody"], "container-missing", 4),
        (["--evaluate"], "training-data", 3),
        (["--say", "no.wav"], "file-missing", 4),
        (["--code", "/nowhere", "--rehearsal"], "code-unusable", 2),
    ],
)
def test_what_cannot_be_done(ready: Keyboard, words: list[str], kind: str, code: int) -> None:
    ended = ready("train", "--json", *words)
    assert ended.code == code
    if kind == "bad-input":  # the command line was not understood: nothing knows yet what JSON was asked for
        assert "not allowed with" in ended.err
    else:
        assert ended.lines[-1]["error"]["id"] == kind
