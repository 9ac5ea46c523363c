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


def test_own_recordings(at: At) -> None:
    keyboard = at("with-container")
    asked = keyboard("data", "add", "recordings")
    assert asked.code == 3
    assert '"recordings": 1 recordings to train, 1 to evaluate' in asked.err
    assert "! , ." in asked.err
    done = keyboard("data", "add", "~/recordings", "--as", "mei", "--yes", "--json")
    assert done.code == 0
    assert done.lines[0]["event"] == "plan"
    assert done.lines[-1]["lists"] == {"/data/recordings/mei/dev.csv": 1, "/data/recordings/mei/train.csv": 1}
    said = keyboard("data", "add", "~/recordings", "--as", "mei", "--name", "openseq2seq", "--yes").err
    assert "train /data/recordings/mei/jasper-mini.py --name openseq2seq" in said
    checked = keyboard("data", "check", "--json")
    assert checked.code == 0
    assert [item["csv"] for item in checked.document["lists"]] == [
        "/data/recordings/mei/train.csv",
        "/data/recordings/mei/dev.csv",
    ]


def test_check_names_the_rows_that_fail(at: At) -> None:
    keyboard = at("with-container")
    keyboard.host.files.replace(
        "/home/mei/mine.csv", None, b"wav_filename,wav_filesize,transcript\n/data/nowhere.wav,1,Hello\n"
    )
    shown = keyboard("data", "check", "mine.csv")
    assert shown.code == 1
    assert "/data/nowhere.wav" in shown.out
    assert "line 2" in shown.out
