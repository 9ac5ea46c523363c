"""The terminal adapter, driven in a real pty; the command at the other end is a local one."""

from __future__ import annotations

import hashlib
import os
import pty
import random
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from tests.support.local_session import LocalSession
from wizard.host.terminal import SystemTerminal
from wizard.model.errors import Problem, Trouble

ROOT = Path(__file__).resolve().parents[2]
DRIVER = [sys.executable, "-m", "tests.support.local_session"]
BASH = ["env", "PS1=in> ", "bash", "--norc", "--noprofile", "-i"]


@contextmanager
def driven(*args: str, size: tuple[int, int] = (30, 100)) -> Iterator[pexpect.spawn]:
    """The driver in a pty of ``size`` (rows, columns); the modes of the terminal have to be the same at the end."""
    child = pexpect.spawn(DRIVER[0], [*DRIVER[1:], *args], cwd=str(ROOT), dimensions=size, timeout=15)
    child.delaybeforesend = None
    before = termios.tcgetattr(child.child_fd)
    try:
        yield child
        assert termios.tcgetattr(child.child_fd) == before
    finally:
        child.close(force=True)


def ends(child: pexpect.spawn, said: str) -> None:
    child.expect(said)
    child.expect(pexpect.EOF)
    child.wait()


def test_a_shell_has_its_prompt_its_size_and_its_exit_code() -> None:
    with driven("attach", "--", *BASH) as child:
        child.expect("in> ")
        child.sendline("stty size")
        child.expect("30 100\r\n")
        child.sendline("exit 7")
        ends(child, "CODE 7\r\n")


def test_keys_are_echoed_once() -> None:
    with driven("attach", "--", "sh", "-c", "echo on; exec cat") as child:
        child.expect("on\r\n")
        child.sendline("abc")
        child.expect("abc\r\nabc\r\n")
        assert child.before == b""
        child.sendcontrol("d")
        child.expect("CODE 0")
        assert child.before == b""


@pytest.mark.parametrize("where", [[], ["--thread"]], ids=["main-thread", "worker-thread"])
def test_a_resize_is_passed_on(where: list[str]) -> None:
    with driven("attach", *where, "--", *BASH) as child:
        child.expect("in> ")
        child.sendline("trap 'echo now $(stty size)' WINCH")
        child.expect("in> ")
        child.setwinsize(41, 133)
        child.expect("now 41 133")
        child.sendline("exit")
        ends(child, "CODE 0")


@pytest.mark.parametrize("where", [[], ["--thread"]], ids=["main-thread", "worker-thread"])
def test_the_control_keys_are_for_the_command(where: list[str]) -> None:
    with driven("attach", *where, "--", *BASH) as child:
        child.expect("in> ")
        child.sendline("sh -c 'echo go; exec sleep 60'")
        child.expect("go\r\n")
        child.sendcontrol("c")
        child.expect("in> ")
        child.sendline("echo rc=$?; sh -c 'echo go; exec sleep 60'")
        child.expect("rc=130\r\ngo\r\n")
        child.sendcontrol("z")
        child.expect("Stopped")
        child.expect("in> ")
        child.sendline("fg")
        child.expect("exec sleep 60'\r\n")
        child.sendcontrol("c")
        while child.expect(["in> ", pexpect.TIMEOUT], timeout=1) == 1:
            child.sendcontrol("c")  # bash names a job a moment before it gives it the terminal
        child.sendcontrol("d")
        ends(child, "exit\r\nCODE 130")


def test_what_is_typed_ahead_reaches_the_command() -> None:
    with driven("attach", "--wait", "0.5", "--", *BASH) as child:
        child.expect("WAITING")
        child.sendline("exit 9")
        ends(child, "CODE 9")


def test_what_is_typed_after_the_end_is_for_the_next_reader() -> None:
    with driven("attach", "--line", "--", "sh", "-c", "echo bye; exit 3") as child:
        child.expect("CODE 3")
        child.sendline("mine")
        ends(child, r"LINE 'mine\\n'")


def test_the_end_is_noticed_while_nobody_types() -> None:
    with driven("attach", "--", "sh", "-c", "exit 0") as child:
        ends(child, "CODE 0")


def test_a_command_that_does_not_read_does_not_stop_the_output() -> None:
    with driven(
        "attach", "--", "sh", "-c", "stty raw -echo; echo ready; sleep 1; yes line | head -n 200000; echo the end"
    ) as child:
        child.expect("ready")
        os.set_blocking(child.child_fd, False)
        sent = 0
        while sent < 1 << 20:  # until the terminal takes no more
            try:
                sent += os.write(child.child_fd, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(child.child_fd, True)
        child.expect("the end", timeout=60)
        ends(child, "CODE 0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_us_gives_the_terminal_back_first(number: signal.Signals) -> None:
    with driven("attach", "--", *BASH) as child:
        child.expect("in> ")
        child.kill(number)
        child.expect(pexpect.EOF)
        child.wait()
        assert child.signalstatus == number


def test_an_application_that_handles_the_signal_gets_it_and_the_terminal() -> None:
    with driven("attach", "--handler", "--", *BASH) as child:
        child.expect("in> ")
        child.kill(signal.SIGTERM)
        child.expect("HANDLED\r\n")
        ends(child, "TROUBLE cancelled: SIGTERM")


def test_an_interrupt_from_outside_gives_the_terminal_back() -> None:
    with driven("attach", "--", *BASH) as child:
        child.expect("in> ")
        child.kill(signal.SIGINT)
        ends(child, "KeyboardInterrupt")


def test_a_lost_connection_is_named_and_screen_and_modes_are_reset() -> None:
    with driven("attach", "--cut", "--", "sh", "-c", r"printf '\033[?1049h\033[?25l'; echo inside; exit 0") as child:
        child.expect("inside")
        child.expect_exact("\x1b[?47l")
        child.expect_exact("\x1b[?25h")
        ends(child, "TROUBLE engine-lost: connection reset")


def test_a_closed_terminal_ends_us() -> None:
    child = pexpect.spawn(DRIVER[0], [*DRIVER[1:], "attach", "--", *BASH], cwd=str(ROOT), timeout=15)
    child.expect("in> ")
    pid = child.pid
    os.close(child.child_fd)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.WTERMSIG(status) == signal.SIGHUP
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("still there")


def test_much_output_through_a_slow_terminal_that_does_not_block() -> None:
    """20 MB, each byte once and in order, to a terminal that takes it in gulps and has O_NONBLOCK set."""
    total = 20_000_000
    master, slave = pty.openpty()
    os.set_blocking(slave, False)
    command = f"stty raw; yes 0123456789abcde | head -c {total}"
    process = subprocess.Popen(
        [*DRIVER, "attach", "--", "sh", "-c", command],
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(slave)
    seen = bytearray()
    while len(seen) < total:
        seen += os.read(master, 65536)
        if len(seen) in range(1_000_000, 1_100_000):
            time.sleep(0.01)
    assert seen[:total] == b"0123456789abcde\n" * (total // 16)
    while not seen.endswith(b"\n", total):
        seen += os.read(master, 65536)
    assert seen[total:] == b"CODE 0\r\n"
    assert process.wait(10) == 0
    os.close(master)


# --- without a terminal ------------------------------------------------------------------------------------------


def plain(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The driver without a terminal; its exit code is that of the command."""
    command = [*DRIVER, "attach", "--no-tty", "--", *argv]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, timeout=60, check=False)


def test_output_and_error_are_apart_and_the_exit_code_is_kept() -> None:
    result = plain("sh", "-c", "printf out; printf err >&2; exit 5")
    assert (result.stdout, result.stderr, result.returncode) == (b"out", b"err", 5)


def test_five_megabytes_of_binary_go_through_and_come_back() -> None:
    data = random.Random(1).randbytes(5_000_000)
    result = plain("cat", stdin=data)
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()
    assert (result.stderr, result.returncode) == (b"", 0)


def test_a_command_that_stops_reading_early_is_no_failure() -> None:
    result = plain("head", "-c", "3", stdin=b"abc" * 1_000_000)
    assert (result.stdout, result.stderr, result.returncode) == (b"abc", b"", 0)


def test_standard_input_that_stays_open_holds_nobody_up() -> None:
    reader, writer = os.pipe()
    started = time.monotonic()
    result = subprocess.run(
        [*DRIVER, "attach", "--no-tty", "--", "echo", "done"], cwd=ROOT, stdin=reader, capture_output=True, timeout=30
    )
    assert (result.stdout, result.returncode) == (b"done\n", 0)
    assert time.monotonic() - started < 10
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("shell", "out"),
    [
        ("{} cat <&-", b""),
        ("{} sh -c 'echo x; exit 4' >&-; echo $?", b"4\n"),
        ("{} yes | head -n 1; echo ${PIPESTATUS[0]}", b"y\n141\n"),
        ("{} yes >/dev/full; echo $?", b"0\n"),
    ],
    ids=["closed-stdin", "closed-stdout", "reader-gone", "disk-full"],
)
def test_odd_streams(shell: str, out: bytes) -> None:
    command = shell.replace("{}", " ".join([*DRIVER, "attach", "--no-tty", "--"]), 1)
    result = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
    )
    assert result.stdout == out
    assert result.stderr == (b"TROUBLE disk-full: [Errno 28] No space left on device\n" if "full" in shell else b"")


def test_a_missing_terminal_is_no_terminal() -> None:
    reader, writer = os.pipe()
    terminal = SystemTerminal(reader, writer, writer)
    assert not terminal.is_interactive()
    assert terminal.size() == (80, 24)
    with pytest.raises(Trouble) as caught:
        terminal.run(("true",))
    assert caught.value.kind is Problem.NO_TERMINAL
    os.close(writer)
    session = LocalSession(["cat"], tty=False)
    assert SystemTerminal(-1, -1, -1).attach(session) == 0
    os.close(reader)


# --- a program that talks to the user ----------------------------------------------------------------------------


def test_a_program_gets_the_terminal_and_its_exit_code_comes_back() -> None:
    with driven("run", "--", "sh", "-c", "read -p 'name? ' x </dev/tty; echo hello $x; exit 6") as child:
        child.expect(r"name\? ")
        child.sendline("Ada")
        child.expect("hello Ada")
        ends(child, "CODE 6")


def given_away(child: pexpect.spawn) -> None:
    """Waits until the terminal is the program's: what it prints may come a moment earlier."""
    deadline = time.monotonic() + 10
    while os.tcgetpgrp(child.child_fd) == child.pid:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("where", [[], ["--thread"]], ids=["main-thread", "worker-thread"])
def test_ctrl_c_is_for_the_program_alone(where: list[str]) -> None:
    with driven(
        "run",
        *where,
        "--line",
        "--",
        "sh",
        "-c",
        "trap 'echo caught; exit 8' INT; echo on; while :; do sleep 0.05; done",
    ) as child:
        child.expect("on\r\n")
        given_away(child)
        child.sendcontrol("c")
        child.expect("caught")
        child.expect("CODE 8")
        child.sendline("foreground")  # reading would stop us with SIGTTIN if the terminal were not ours again
        ends(child, r"LINE 'foreground\\n'")


def test_ctrl_z_stops_nobody() -> None:
    with driven("run", "--", "sh", "-c", "echo on; read x; echo got $x") as child:
        child.expect("on\r\n")
        given_away(child)
        child.sendcontrol("z")
        child.sendline("more")
        child.expect("got more")
        ends(child, "CODE 0")


def test_a_program_that_is_killed_leaves_no_silent_terminal() -> None:
    with driven("run", "--", "sh", "-c", "stty -echo raw; kill -9 $$") as child:
        ends(child, "CODE 137")


def test_a_signal_that_ends_us_takes_the_program_along() -> None:
    with driven("run", "--", "sh", "-c", "stty -echo; echo on $$.; sleep 60") as child:
        child.expect(r"on (\d+)\.")
        pid = int(child.match.group(1))
        child.kill(signal.SIGTERM)
        child.expect(pexpect.EOF, timeout=5)  # nobody holds the terminal any more
        child.wait()
        assert child.signalstatus == signal.SIGTERM
        deadline = time.monotonic() + 5
        while _runs(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("program", "kind"), [("no-such-program-here", Problem.COMMAND_MISSING), ("/etc/passwd", Problem.COMMAND_FAILED)]
)
def test_a_program_that_cannot_be_started(program: str, kind: Problem) -> None:
    with driven("run", "--", program) as child:
        ends(child, f"TROUBLE {kind.value}")


def test_programs_get_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGC_API_KEY", "canary")
    monkeypatch.setenv("NGC_CLI_API_KEY", "canary")
    with driven("run", "--", "sh", "-c", "env | grep -c canary") as child:
        child.expect("0\r\n")
        ends(child, "CODE 1")
