"""``s2s-wizard train --export``."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Keyboard
from wizard.cli import call
from wizard.model.container import GIB
from wizard.model.journey import Journey
from wizard.services import journey

IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"


@pytest.fixture
def at_healthy(at: Callable[[str], Keyboard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyboard:
    monkeypatch.chdir(tmp_path)
    return at("healthy")


def test_the_job_is_all_that_is_printed(at_healthy: Keyboard) -> None:
    ended = at_healthy("train", "--export", "kubernetes")
    assert ended.code == 0
    document = yaml.safe_load(ended.out)
    (container,) = document["spec"]["template"]["spec"]["containers"]
    assert (document["kind"], container["image"]) == ("Job", IMAGE)
    assert "kubectl create -f FILE" in ended.err
    assert "--pull-secret ngc" in ended.err


def test_what_was_chosen_for_the_container_holds_for_the_job(at_healthy: Keyboard) -> None:
    host = at_healthy.host
    journey.save(host, replace(journey.load(host) or Journey(), data="/mnt/speech", image="h:5000/x:2", shm=GIB * 2))
    said = at_healthy("train", "--export", "slurm", "--containers", "docker").out
    assert "source=/mnt/speech,target=/data" in said
    assert "h:5000/x:2" in said
    assert "--shm-size 2048m" in said


def test_everything_that_can_be_said(at_healthy: Keyboard) -> None:
    ended = at_healthy(
        *("train", "example_configs/speech2text/quartznet15x5.py", "--export", "kubernetes", "--nodes", "2"),
        *("--gpus-per-node", "4", "--time-limit", "1-00:00:00", "--queue", "team-a", "--claim", "speech"),
        *("--pull-secret", "mine", "--name", "quartz", "--image", "example.com/tf:1", "--json"),
        *("--", "--batch_size_per_gpu=8", "--logdir=runs/1"),
    )
    assert ended.code == 0
    document = ended.document
    job = yaml.safe_load(document["text"])
    assert (document["scheduler"], document["processes"], document["file"]) == ("kubernetes", 8, None)
    assert document["logdir"] == "/data/OpenSeq2Seq/runs/1"
    assert (job["kind"], job["metadata"]["name"]) == ("MPIJob", "quartz")
    assert job["spec"]["runPolicy"]["activeDeadlineSeconds"] == 86400
    (launcher,) = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"]
    assert "--config_file=example_configs/speech2text/quartznet15x5.py" in launcher["args"]
    assert "--batch_size_per_gpu=8" in launcher["args"]
    assert any("kubectl create secret generic mine" in note for note in document["notes"])


def test_the_log_folder_is_the_configurations(at_healthy: Keyboard) -> None:
    host = at_healthy.host
    clone = f"{host.home}/speech/OpenSeq2Seq"
    journey.save(host, replace(journey.load(host) or Journey(), data=f"{host.home}/speech"))
    host.files.make_folder(f"{clone}/example_configs/speech2text")
    host.files.replace(f"{clone}/my.py", None, b'base_params = {\n    "logdir": "runs/jasper",\n}\n')
    assert (
        at_healthy("train", "my.py", "--export", "slurm", "--json").document["logdir"]
        == "/data/OpenSeq2Seq/runs/jasper"
    )
    other = at_healthy("train", "other", "--export", "slurm", "--json").document
    assert other["logdir"] == "/data/other_logs"
    host.files.replace(f"{clone}/example_configs/speech2text/mini.py", None, b'{"x": 1,\n  "logdir": "mini.logs"}\n')
    mini = at_healthy(
        "train", "mini", "--export", "slurm", "--json", "--", "--enable_logs", "--num_epochs", "3"
    ).document
    assert mini["logdir"] == "/data/OpenSeq2Seq/mini.logs"
    assert "--config_file=example_configs/speech2text/mini.py --mode=train_eval" in mini["text"]
    assert mini["text"].rstrip().endswith("--num_epochs=3 --logdir=/data/OpenSeq2Seq/mini.logs")


@pytest.mark.parametrize("alone", ["--nodes=2", "--output=x", "--yes", "--claim=x"])
def test_what_means_nothing_without_a_job_is_refused(at_healthy: Keyboard, alone: str) -> None:
    ended = at_healthy("train", alone)
    assert ended.code == 2
    assert alone.partition("=")[0] in ended.err


def test_a_file_is_written_over_only_when_the_user_agrees(
    at_healthy: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", "--export", "slurm", "--output", "~/job.sh")
    path, files = f"{at_healthy.host.home}/job.sh", at_healthy.host.files
    ended = at_healthy(*words)
    assert (ended.code, ended.out) == (0, "")
    assert "job.sh" in ended.err
    first = files.read(path)
    assert first is not None
    assert first.data.startswith(b"#!/bin/bash\n")

    assert at_healthy(*words).code == 0, "it says the same"
    other = (*words, "--nodes", "2")
    assert at_healthy(*other).code == 3, "there is no terminal to ask on"
    monkeypatch.setattr(call, "ask", lambda _question: False)
    assert at_healthy(*other).code == 3
    assert files.read(path) == first
    monkeypatch.setattr(call, "ask", lambda _question: True)
    assert at_healthy(*other).code == 0
    assert at_healthy(*words, "--yes").code == 0


def test_a_file_beside_where_one_stands(at_healthy: Keyboard, tmp_path: Path) -> None:
    ended = at_healthy("train", "--export", "slurm", "--output", "job.sh")
    assert ended.code == 0
    assert at_healthy.host.files.read(str(tmp_path / "job.sh")) is not None
    assert "sbatch job.sh" in ended.err
    assert not (tmp_path / "job.sh").exists(), "a simulated machine leaves nothing on the real disk"


@pytest.mark.parametrize(
    "words",
    [
        ("--export", "lsf"),
        ("--export", "slurm", "--detach"),
        ("--export", "slurm", "--containers", "docker", "--nodes", "2"),
        ("--export", "slurm", "--nodes", "0"),
        ("--export", "slurm", "--nodes", "two"),
        ("--export", "slurm", "--time-limit", "soon"),
        ("--export", "slurm", "--image", "not an image"),
        ("--export", "slurm", "--data", "/a:b"),
        ("--export", "kubernetes", "--name", "My_Job"),
        ("--export", "slurm", "--", "batch_size_per_gpu=8"),
        ("--export", "slurm", "--", "--config_file=x.py"),
        ("--export", "slurm", "--", "--mode=eval"),
        ("--export", "slurm", "--", "--logdir=../../etc"),
    ],
)
def test_what_cannot_be_done_is_refused(at_healthy: Keyboard, words: tuple[str, ...]) -> None:
    ended = at_healthy("train", *words)
    assert (ended.code, ended.out) == (2, "")
    assert "s2s-wizard:" in ended.err


def test_a_key_goes_into_no_job(at_healthy: Keyboard) -> None:
    key = "nvapi-" + "x" * 64
    for words in (("--name", key), ("--", f"--key={key}")):
        ended = at_healthy("train", "--export", "slurm", *words)
        assert (ended.code, ended.out) == (2, "")
        assert key not in ended.err


def test_the_file_is_utf8_whatever_the_locale(at: Callable[[str], Keyboard], monkeypatch: pytest.MonkeyPatch) -> None:
    from wizard.cli.console import Console

    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="ascii", errors="replace"))
    Console().file("中\n")
    assert kept.getvalue().decode() == "中\n"
