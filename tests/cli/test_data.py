"""``s2s-wizard data`` on a simulated machine."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.conftest import Keyboard

At = Callable[[str], Keyboard]


def test_list(at: At) -> None:
    keyboard = at("with-container")
    shown = keyboard("data", "list")
    assert shown.code == 0
    assert "train-clean-100" in shown.out
    assert "6.4 GB" in shown.out
    assert "61.4 GB" in shown.out
    document = keyboard("data", "list", "--json").document
    assert document["folder"] == "/home/mei/openseq2seq-data/librispeech"
    assert {part["state"] for part in document["parts"]} == {"missing"}
    assert document["begin_with"] == ["dev-clean", "train-clean-100"]


def test_fetch_asks_first(at: At) -> None:
    keyboard = at("with-container")
    asked = keyboard("data", "fetch")
    assert asked.code == 3
    assert "Download 6.7 GB; at the worst moment 19.0 GB of disk" in asked.err
    assert "--keep-archives" in asked.err
    assert keyboard("data", "list").out.count("not here") == 7


def test_fetch_in_lines(at: At) -> None:
    keyboard = at("with-container")
    done = keyboard("data", "fetch", "dev-clean", "--yes", "--json")
    assert done.code == 0
    kinds = [line["event"] for line in done.lines]
    assert kinds[0] == "plan"
    assert kinds[-2:] == ["part", "finished"]
    assert done.lines[0]["bytes_download"] == 337_926_286
    assert done.lines[-2]["csv"] == "/data/librispeech/librivox-dev-clean.csv"
    assert {line["phase"] for line in done.lines if line["event"] == "progress"} == {"dev-clean"}
    steps = [line for line in done.lines if "steps_done" in line]
    assert steps[-1]["steps_done"] == steps[-1]["steps_total"] == 2703
    again = keyboard("data", "fetch", "dev-clean")
    assert again.code == 0
    assert "is ready already" in again.err


def test_wrong_words(at: At) -> None:
    keyboard = at("with-container")
    assert keyboard("data").code == 2
    assert keyboard("data", "fetch", "nonsense", "--yes").code == 2


def test_without_a_container(at: At) -> None:
    assert at("healthy")("data", "fetch", "--yes").code == 4
