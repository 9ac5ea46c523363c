from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Keyboard
from wizard.services import image

Sit = Callable[[str], Keyboard]
FITTING = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"


def test_the_image_for_this_machine(at: Sit) -> None:
    keyboard = at("healthy")
    words, data = keyboard("image"), keyboard("image", "--json").document
    assert words.code == 0
    assert words.out.startswith(f"[ok]    {FITTING}\n")
    assert data["recommended"]["image"] == FITTING
    assert data["recommended"]["reason"] in words.out


def test_the_image_for_another_machine(at: Sit) -> None:
    keyboard = at("no-docker")
    data = keyboard("image", "--capability", "8.9", "--driver", "550.10", "--json").document
    assert data["gpu"]["capability"] == "8.9"
    assert data["recommended"]["image"] != FITTING
    none = keyboard("image", "--capability", "3.5", "--driver", "470.1")
    assert none.code == 1
    assert "[ok]" not in none.out


@pytest.mark.parametrize(
    "words",
    [["--capability", "7.5"], ["--driver", "535.1"], ["--capability", "x", "--driver", "535.1"],
     ["--capability", "7.5", "--driver", "5"]],
)  # fmt: skip
def test_half_a_description_is_wrong_usage(at: Sit, words: list[str]) -> None:
    ended = at("healthy")("image", *words)
    assert ended.code == 2
    assert "Give both" in ended.err


def test_every_image_that_is_known(at: Sit) -> None:
    keyboard = at("no-gpu")
    expected = [choice.image for choice in image.known()]
    assert [item["image"] for item in keyboard("image", "--list", "--json").document["images"]] == expected
    assert [line for line in keyboard("image", "--list").out.splitlines() if line[0] != " "] == expected


def test_a_pull_in_json_lines(at: Sit) -> None:
    keyboard = at("healthy")
    ended = keyboard("pull", "--json")
    plan, *progress, finished = ended.lines
    assert ended.code == 0
    assert plan["event"] == "plan"
    assert (plan["bytes_here"], plan["layers"]) == (0, 30)
    assert {line["event"] for line in progress} == {"progress"}
    done = [line["bytes_done"] for line in progress]
    assert done == sorted(done)
    assert done[-1] == plan["bytes_total"]
    assert all(part < plan["bytes_total"] for part in done[:-1])
    assert (finished["event"], finished["image"]) == ("finished", FITTING)
    assert finished["digest"].startswith("sha256:")

    again = keyboard("pull", "--json").lines
    assert [line["event"] for line in again] == ["plan", "finished"]
    assert again[0]["bytes_here"] == again[0]["bytes_total"]
    assert again[1] == finished


def test_a_pull_in_words(at: Sit) -> None:
    keyboard = at("healthy")
    ended = keyboard("pull", FITTING, "--via", "engine")
    assert (ended.code, ended.out) == (0, f"[ok]    {FITTING} is here now.\n")
    assert "4.5 GB in 30 layers" in ended.err
    assert "(100 %)" in ended.err
    assert keyboard("pull").out == f"[ok]    {FITTING} is here already.\n"


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("nvcr.io/nvidia/tensorflow:no-such-tag", "manifest-unknown", 5),
        ("Not An Image", "image-ref-bad", 2),
    ],
)
def test_what_cannot_be_pulled(at: Sit, name: str, kind: str, code: int) -> None:
    ended = at("healthy")("pull", name, "--json")
    assert ended.code == code
    (line,) = [line for line in ended.lines if line["event"] == "error"]
    assert line["error"]["id"] == kind


def test_a_pull_without_docker(at: Sit) -> None:
    ended = at("no-docker")("pull")
    assert ended.code == 4
    assert ended.out == ""
    assert ended.err.splitlines()[1].startswith("s2s-wizard: The Docker service was not found")
