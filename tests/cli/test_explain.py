"""``s2s-wizard explain``: from arguments and from pipes of every kind, in words and as JSON."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Keyboard
from wizard.cli.explain import read
from wizard.services import explain

Sit = Callable[[str], Keyboard]
PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))
UNKNOWN_RUNTIME = "docker: Error response from daemon: Unknown runtime specified nvidia.\nSee 'docker run --help'.\n"
KEY = "nvapi-" + "Zq7" * 21 + "x"


@pytest.fixture
def piped(at: Sit, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """``piped(data, *words)``: the command with ``data`` on its standard input."""
    keyboard = at("unknown-runtime")

    def run(data: bytes, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        ended = keyboard("explain", *words)
        return ended.code, ended.out, ended.err

    return run


# --- what is said ------------------------------------------------------------------------------------------------


def test_what_it_is_whether_it_is_so_and_what_to_do(at: Sit) -> None:
    ended = at("unknown-runtime")("explain", UNKNOWN_RUNTIME)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "[error] Docker does not know the runtime that was asked for"
    assert "    On this machine: yes, this is so." in lines
    assert "    GET /info → Runtimes" in lines
    assert "      io.containerd.runc.v2, runc" in lines
    assert any(line.startswith("      1. ") for line in lines)
    assert "    Repair: s2s-wizard --demo unknown-runtime fix register-runtime" in lines


def test_words_and_json_agree(at: Sit) -> None:
    keyboard = at("unknown-runtime")
    document = keyboard("explain", "--json", "Unknown", "runtime", "specified", "nvidia").document
    (match,) = document["matches"]
    assert (match["id"], match["confirmed"], match["fixes"]) == ("runtime-unknown", "yes", ["register-runtime"])
    words = keyboard("explain", "Unknown runtime specified nvidia").out
    assert match["title"] in words
    assert all(step in words for step in match["advice"])


def test_text_and_machine_disagree(at: Sit) -> None:
    ended = at("healthy")("explain", UNKNOWN_RUNTIME)
    assert ended.code == 0
    assert "[ok]" in ended.out
    assert "it has been repaired since" in ended.out
    assert "fix " not in ended.out


def test_what_stands_in_the_way_is_said(at: Sit) -> None:
    ended = at("docker-stopped")("explain", UNKNOWN_RUNTIME)
    assert "could not be proved" in ended.out
    assert "What is wrong on this machine: Docker service:" in ended.out


def test_without_looking_at_the_machine(at: Sit) -> None:
    ended = at("unknown-runtime")("explain", "--no-probe", UNKNOWN_RUNTIME)
    assert "this was not looked at" in ended.out
    assert "fix register-runtime" in ended.out


@pytest.mark.parametrize("text", ["the coffee machine is empty", "Всё сломалось", "守护进程没有响应", "����"])
def test_what_is_unknown_is_said_to_be_unknown(at: Sit, text: str) -> None:
    keyboard = at("healthy")
    ended = keyboard("explain", text)
    assert ended.code == 1
    assert "The wizard does not know this text." in ended.out
    assert "s2s-wizard --demo healthy doctor" in ended.err
    data = keyboard("explain", text, "--json")
    assert data.code == 1
    assert data.document["matches"] == []


def test_the_other_language(at: Sit) -> None:
    assert at("unknown-runtime")("--lang", "zh", "explain", UNKNOWN_RUNTIME).code == 0


def test_words_that_look_like_options_are_text(at: Sit) -> None:
    ended = at("healthy")("explain", "unknown", "flag:", "--gpus", "--no-probe")
    assert ended.code == 0
    assert "--gpus" in ended.out


def test_a_key_is_repeated_nowhere(at: Sit, own_environment: Path) -> None:
    keyboard = at("unknown-runtime")
    text = f"{UNKNOWN_RUNTIME} {KEY}"
    for words in ((text,), (text, "--json"), (KEY,), ("--no-probe", f"Unknown runtime specified nvidia {KEY}")):
        ended = keyboard("explain", *words)
        assert ended.code in (0, 1)
        assert KEY not in ended.out + ended.err
    for path in own_environment.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


# --- where the text comes from -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("-",), ("--json",)])
def test_a_text_from_a_pipe(piped: Callable[..., tuple[int, str, str]], words: tuple[str, ...]) -> None:
    code, out, err = piped(UNKNOWN_RUNTIME.encode(), *words)
    assert code == 0
    assert "runtime" in out
    assert "Paste" not in err


@pytest.mark.parametrize(
    "data",
    [
        UNKNOWN_RUNTIME.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + UNKNOWN_RUNTIME.encode(),
        UNKNOWN_RUNTIME.encode("utf-16"),
        b"\xff\xfe\0\x80" * 30 + b"\n" + UNKNOWN_RUNTIME.encode(),
        os.urandom(5000) + b"\n" + UNKNOWN_RUNTIME.encode(),
    ],
    ids=["windows", "bom", "utf-16", "half binary", "noise"],
)
def test_texts_in_strange_bytes(piped: Callable[..., tuple[int, str, str]], data: bytes) -> None:
    if data.startswith(b"\xff\xfe\0\x80"):
        data = b"x" + data  # no mark of an encoding
    assert piped(data, "--no-probe")[0] == 0


@pytest.mark.parametrize(
    "data", [b"\0" * 5000, bytes(range(256)) * 20, os.urandom(200_000)], ids=["zeros", "all", "random"]
)
def test_binary_is_a_text_that_nobody_knows(piped: Callable[..., tuple[int, str, str]], data: bytes) -> None:
    code, _out, err = piped(data)
    assert code in (1, 2)  # nothing but zeros is nothing
    assert "Traceback" not in err


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n"], ids=["empty", "blank"])
def test_no_text_is_wrong_usage_and_says_how(piped: Callable[..., tuple[int, str, str]], data: bytes) -> None:
    code, out, err = piped(data)
    assert code == 2
    assert out == ""
    assert "docker run … 2>&1 | s2s-wizard --demo unknown-runtime explain" in err


def test_a_terminal_is_asked(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keys(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Keys(io.BytesIO(UNKNOWN_RUNTIME.encode())))
    ended = at("unknown-runtime")("explain")
    assert ended.code == 0
    assert "Paste the error text here, then press Enter and Ctrl-D:" in ended.err


class Endless(io.RawIOBase):
    """So many bytes of noise, then an error; counts nothing and keeps nothing."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        if not self.left:
            return 0
        count = min(len(view), self.left)
        view[:count] = (b"one hundred megabytes of noise\n" * (count // 31 + 1))[:count]
        self.left -= count
        return count


def test_a_hundred_megabytes_are_read_in_bounded_memory() -> None:
    import tracemalloc

    tracemalloc.start()
    text, cut = read(io.BufferedReader(Endless(100_000_000)))
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cut
    assert len(text) <= explain.HEAD + explain.TAIL + 1
    assert most < 40_000_000


def test_what_was_cut_is_said(piped: Callable[..., tuple[int, str, str]]) -> None:
    noise = b"noise\n" * ((explain.HEAD + explain.TAIL) // 6 + 1)
    code, _out, err = piped(noise + UNKNOWN_RUNTIME.encode(), "--no-probe")
    assert code == 0
    assert "only its beginning and its end" in err
    assert piped(UNKNOWN_RUNTIME.encode() + noise, "--no-probe")[0] == 0


def test_exactly_as_much_as_is_kept_is_not_cut() -> None:
    whole = b"x" * (explain.HEAD + explain.TAIL)
    assert read(io.BytesIO(whole)) == (whole.decode(), False)
    assert read(io.BytesIO(whole + b"y"))[1]


# --- the process -------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_a_pipe_that_never_ends() -> None:
    words = [PROGRAM, "--demo", "healthy", "explain"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write("noise\n" * 1000)
        process.stdin.flush()
        assert process.stderr is not None
        assert "Simulated" in process.stderr.readline(), "the command has begun"
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() == 130
        assert "Traceback" not in process.stderr.read()


def test_only_what_is_needed_is_loaded() -> None:
    code = (
        "import sys; from wizard.cli import main; main(['explain', '--no-probe', 'Unknown runtime specified nvidia']);"
        "print(sorted({'docker', 'requests', 'keyring', 'pynvml', 'textual', 'wizard.services.checkup',"
        " 'wizard.services.repairs', 'wizard.services.checks', 'wizard.services.probes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
