"""Printing: words, widths, numbers, JSON."""

from __future__ import annotations

import io
import json
import sys

import pytest

from wizard.cli import console as module
from wizard.cli.call import Narrator, progress_line
from wizard.cli.console import Console, ask, duration, pad, size, tag, width, wrap
from wizard.model.event import Line, Progress, Stalled
from wizard.model.finding import Evidence, Status
from wizard.model.machine import HostInfo


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("检查", 4), ("a检", 3), ("é", 1), ("e\u0301", 1), ("…", 1)]
)
def test_width_is_what_a_terminal_shows(text: str, columns: int) -> None:
    assert width(text) == columns
    assert width(pad(text, 9)) == 9


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("", 10, [""]),
        ("one two three", 7, ["one two", "three"]),
        ("a-word-that-is-long end", 5, ["a-word-that-is-long", "end"]),
        ("容器是一个盒子，里面", 14, ["容器是一个盒子，", "里面"]),
        ("用 Docker 的容器", 10, ["用 Docker", "的容器"]),
    ],
)
def test_lines_are_broken_between_words(text: str, columns: int, lines: list[str]) -> None:
    assert wrap(text, columns) == lines


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_600, "1.0 MB"), (4_930_000_000, "4.9 GB"), (5e12, "5000.0 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (7500, "2 h 05 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_is_rounded_down() -> None:
    line = progress_line(Progress(999, 1000, "bytes", "Downloading", rate=1e6, eta=61))
    assert line == "999 B of 1 kB (99 %)  1.0 MB/s  61 s left  Downloading"
    assert progress_line(Progress(5, None, "bytes")) == "5 B"


def test_every_status_has_a_word() -> None:
    assert [tag(status) for status in Status] == ["[ok]", "[info]", "[warn]", "[error]", "[skip]", "[?]"]


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def printed(stream: io.StringIO) -> str:
        monkeypatch.setattr(sys, "stdout", stream)
        Console().tagged("[ok]", "fine")
        return stream.getvalue()

    assert printed(Screen()) == "\x1b[32m[ok]\x1b[0m    fine\n"
    assert printed(io.StringIO()) == "[ok]    fine\n"
    monkeypatch.setenv("TERM", "dumb")
    assert printed(Screen()) == "[ok]    fine\n"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed(Screen()) == "[ok]    fine\n"


def test_foreign_text_cannot_disturb_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.evidence((Evidence("a file", "red\x1b[31m\rover"),))
    console.diff("+\x1b]0;title\x07")
    assert not set(capsys.readouterr().out) & {"\x1b", "\r", "\x07"}


@pytest.mark.parametrize("mode", ["document", "lines"])
def test_with_json_words_leave_standard_output_alone(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(mode)
    console.out("a")
    console.say("b")
    console.tagged("[ok]", "c")
    console.diff("+d")
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.split() == ["a", "b", "[ok]", "c", "+d"]


def test_json_says_the_version_and_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console("document")
    console.document({"x": 1})
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "host": None, "x": 1}
    console.info = HostInfo("simulated", "gpu-box", "Debian", machine="healthy")
    console.event("e", {"x": "检"})
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "event": "e",
        "schema_version": 1,
        "host": {"kind": "simulated", "name": "gpu-box", "os": "Debian", "machine": "healthy"},
        "x": "检",
    }


def test_json_is_ascii_where_the_locale_is(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    module.prepare_streams()
    Console("document").document({"x": "检"})
    Console().out("检")
    stream.flush()
    document, words = raw.getvalue().decode("ascii").rsplit("\n", 2)[:2]
    assert json.loads(document)["x"] == "检"
    assert words == "?"


def test_suggested_commands_stay_on_the_machine() -> None:
    console = Console()
    console.info = HostInfo("real", "box", "Debian")
    assert console.typed("fix", "x") == "s2s-wizard fix x"
    console.info = HostInfo("simulated", "box", "Debian", machine="healthy")
    assert console.typed("fix", "x") == "s2s-wizard --demo healthy fix x"


@pytest.mark.parametrize(
    ("typed", "answer"), [("y\n", True), ("YES\n", True), ("是\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_no_is_the_answer_of_enter(typed: str, answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = Screen(typed)
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys, "stderr", Screen())
    assert ask("Really?") is answer


def test_a_long_question_is_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stdin", Screen("\n"))
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    text = "Docker keeps nothing of a download that is stopped: the next one starts again from zero."
    ask(f"{text}\nStop the download?")
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines) == f"{text} Stop the download? [y/N] "


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert ask("Really?") is None
    monkeypatch.setattr(sys, "stdin", None)
    assert ask("Really?") is None


def test_progress_is_drawn_on_a_terminal_and_told_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for stream, expected in ((Screen(), "\r"), (io.StringIO(), "\n")):
        monkeypatch.setattr(sys, "stderr", stream)
        narrator = Narrator(Console())
        for done in range(100):
            narrator(Progress(done, 1000, "bytes"))
        narrator(Line("said"))
        narrator(Stalled(31, "the network is slow"))
        text = stream.getvalue()
        assert text.startswith("\r") == (expected == "\r")
        assert text.count(expected) < 10
        assert "\nsaid\n" in text
        assert text.endswith("Nothing has moved for 31 s. the network is slow\n")


def test_progress_as_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(Console("lines"))
    for done in range(100):
        narrator(Progress(done, 99, "bytes", "Downloading", rate=10.4, eta=3.2))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert (lines[0]["bytes_done"], lines[-1]["bytes_done"]) == (0, 99)
    assert lines[0]["event"] == "progress"
    assert lines[0]["bytes_per_second"] == 10
    assert lines[0]["eta_seconds"] == 3
