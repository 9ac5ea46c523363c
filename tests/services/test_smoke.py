"""The program of the smoke test, and what its answers mean, without any container."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import vermin

from wizard.demo.machine import build
from wizard.model.container import GpuChoice, Workspace
from wizard.model.event import Cancel
from wizard.services import container, pull, smoke

PROGRAM = Path(smoke.__file__).with_suffix(".txt").read_text(encoding="utf-8")
IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"


def test_the_program_is_for_python_3_5() -> None:
    ast.parse(PROGRAM, feature_version=(3, 5))
    assert vermin.detect(PROGRAM)[1] <= (3, 5)
    assert PROGRAM.isascii()
    assert len(PROGRAM) < 100_000, "a variable of the environment holds no more than 128 KiB"


def test_a_simulated_machine_answers_with_its_gpus_and_without() -> None:
    host = build("healthy", pace=0)
    pull.run(host, IMAGE, None)
    for gpus, seen in ((GpuChoice(), ("NVIDIA GeForce RTX 2060",)), (GpuChoice(all=False), ())):
        name = f"box-{gpus}"
        container.up(host, Workspace(data="/home/mei/data", name=name, gpus=gpus), IMAGE)
        found = smoke.run(host, name, cancel=Cancel())
        assert found.gpus == seen
        assert smoke.in_words(found)[0] == "TensorFlow 1.15.4 was loaded (Python 3.6.9)."
        assert smoke.to_json(found)["test"]["container"] == name


@pytest.mark.parametrize(
    ("about", "name"),
    [
        (
            "device: 0, name: Tesla V100-SXM2-16GB, pci bus id: 0000:00:1e.0, compute capability: 7.0",
            "Tesla V100-SXM2-16GB",
        ),
        ("device: 0, name: Quadro RTX 8000", "Quadro RTX 8000"),
        ("", "/device:GPU:0"),
    ],
)
def test_a_gpu_has_its_own_name(about: str, name: str) -> None:
    assert smoke._name({"name": "/device:GPU:0", "about": about}) == name
