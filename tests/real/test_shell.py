"""``s2s-wizard shell`` in a real pty and without one, into real containers."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from wizard.host.ports import Host
from wizard.host.real import build
from wizard.model.container import DEFAULT_NAME, KEEP_ALIVE, LABEL, ContainerSpec
from wizard.model.errors import Problem, Trouble
from wizard.services import container, shell, workspace

pytestmark = pytest.mark.real

PROGRAM = [sys.executable, "-c", "import sys; from wizard.cli import main; sys.exit(main())", "shell"]
PROMPT = r"bash-[\d.]+# "


@pytest.fixture
def host(engine: PrivateEngine) -> Iterator[Host]:
    made = build(engine.environ)
    yield made
    made.engine.close()


@pytest.fixture
def box(host: Host) -> str:
    """Our container, running, with a bash in it; its id."""
    return made(host)


def made(host: Host, image: str = images.BASH, name: str = DEFAULT_NAME, *, ours: bool = True) -> str:
    labels = {LABEL: "1"} if ours else {}
    container_id = host.engine.create(ContainerSpec(name, image, KEEP_ALIVE, labels=labels, memlock=False))
    host.engine.start(container_id)
    return container_id


@contextmanager
def sitting(engine: PrivateEngine, *args: str, size: tuple[int, int] = (30, 100)) -> Iterator[pexpect.spawn]:
    """The program at a terminal of ``size`` (rows, columns), whose modes have to be the same at the end."""
    environ = {**engine.environ, "TERM": "xterm-256color"}
    child = pexpect.spawn(PROGRAM[0], [*PROGRAM[1:], *args], env=environ, dimensions=size, timeout=20)
    child.delaybeforesend = None
    before = termios.tcgetattr(child.child_fd)
    try:
        yield child
        child.expect(pexpect.EOF)
        child.wait()
        assert termios.tcgetattr(child.child_fd) == before
    finally:
        child.close(force=True)


def test_a_session_from_prompt_to_exit_code(engine: PrivateEngine, box: str) -> None:
    with sitting(engine) as child:
        child.expect_exact("docker exec -it openseq2seq bash")
        child.expect(PROMPT)
        child.sendline("stty size; echo $TERM $LANG; tty")
        child.expect("30 100\r\nxterm-256color C.UTF-8\r\n/dev/pts/")
        child.expect(PROMPT)
        child.setwinsize(43, 121)
        while True:  # the new size has to cross two terminals
            child.sendline("stty size")
            if child.expect(["43 121\r\n", "30 100\r\n"]) == 0:
                break
        child.expect(PROMPT)
        child.sendline("exit 7")
    assert child.exitstatus == 7


def test_the_control_keys_are_for_the_container(engine: PrivateEngine, box: str) -> None:
    with sitting(engine) as child:
        child.expect(PROMPT)
        child.sendline("sh -c 'echo go; exec sleep 60'")
        child.expect("go\r\n")
        child.sendcontrol("c")
        child.expect(PROMPT)
        child.sendline("echo rc=$?; sh -c 'echo go; exec sleep 60'")
        child.expect("rc=130\r\ngo\r\n")
        child.sendcontrol("z")
        child.expect("Stopped")
        child.expect(PROMPT)
        child.sendline("fg")
        child.expect("exec sleep 60'\r\n")
        interrupt(child)
        child.sendcontrol("p")  # docker's own detach keys, Ctrl-P Ctrl-Q, are ordinary keys here
        child.sendcontrol("q")
        child.sendcontrol("u")
        child.sendline("echo still $((40+2))")
        child.expect("still 42\r\n")
        child.expect(PROMPT)
        child.sendcontrol("d")
    assert child.exitstatus == 0


def interrupt(child: pexpect.spawn) -> None:
    """Ctrl-C until the prompt is there: bash names a job a moment before it gives it the terminal."""
    child.sendcontrol("c")
    while child.expect([PROMPT, pexpect.TIMEOUT], timeout=1) == 1:
        child.sendcontrol("c")


def test_a_full_screen_program_and_a_resize(engine: PrivateEngine, box: str) -> None:
    with sitting(engine) as child:
        child.expect(PROMPT)
        child.sendline("vi /etc/passwd")
        child.expect_exact("\x1b[?1049h")
        child.setwinsize(40, 90)
        child.expect_exact("\x1b[40;1H")  # the status line, in the new last row
        child.send(":q!\r")
        child.expect_exact("\x1b[?1049l")
        child.expect(PROMPT)
        child.sendline("exit")
    assert child.exitstatus == 0


def test_stty_says_the_same_before_and_after(engine: PrivateEngine, box: str) -> None:
    """Beside the modes that the kernel keeps, a person would ask ``stty -g``."""
    child = pexpect.spawn("bash", ["--norc"], env={**engine.environ, "PS1": "out> ", "TERM": "xterm"}, timeout=20)
    child.delaybeforesend = None
    child.expect("out> ")
    seen = []
    for _round in range(2):
        child.sendline("stty -g")
        child.expect(r"([0-9a-f]+(:[0-9a-f]+)+)\r\n")
        seen.append(child.match.group(1))
        child.expect("out> ")
        if _round == 0:
            script = PROGRAM[2].replace("'", "'\\''")
            child.sendline(f"'{PROGRAM[0]}' -c '{script}' shell")
            child.expect(PROMPT)
            child.sendline("stty raw -echo; exit 3")
            child.expect("out> ")
    assert seen[0] == seen[1]
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()


def test_sigterm_gives_the_terminal_back(engine: PrivateEngine, box: str) -> None:
    with sitting(engine) as child:
        child.expect(PROMPT)
        child.kill(signal.SIGTERM)
        child.expect("interrupted")
    assert child.exitstatus == 130


@pytest.mark.parametrize("way", ["kill", "remove"])
def test_a_container_that_is_ended_from_outside(engine: PrivateEngine, host: Host, box: str, way: str) -> None:
    with sitting(engine) as child:
        child.expect(PROMPT)
        child.sendline("printf '\\033[?1049h'; echo in$((1+1))")
        child.expect("in2\r\n")
        if way == "kill":
            host.engine.stop(box, timeout=0)
        else:
            host.engine.remove(box, force=True)
        child.expect_exact("\x1b[?47l")  # back from the second screen
        child.expect("is not running|There is no container")
        child.expect("while you were in it")
    assert child.exitstatus == 4


def test_an_engine_that_dies_while_inside(fresh_engine: Callable[..., PrivateEngine]) -> None:
    own = fresh_engine()
    images.load(own.url)
    own_host = build(own.environ)
    made(own_host)
    own_host.engine.close()
    with sitting(own) as child:
        child.expect(PROMPT)
        own.kill()
        child.expect("connection to the Docker service")
    assert child.exitstatus == 4


def test_a_stopped_container_is_started_and_one_without_bash_gets_sh(engine: PrivateEngine, host: Host) -> None:
    container_id = made(host, images.BUSYBOX)
    host.engine.stop(container_id)
    with sitting(engine) as child:
        child.expect("was started again")
        child.expect_exact("docker exec -it openseq2seq sh")
        child.expect("# ")
        child.sendline("exit 5")
    assert child.exitstatus == 5


def test_no_shell_at_all(engine: PrivateEngine, host: Host) -> None:
    made(host, images.BUSYBOX)
    host.engine.run_in(DEFAULT_NAME, ("/bin/busybox", "rm", "/bin/sh", "/bin/bash"))
    with pytest.raises(Trouble) as caught:
        shell.prepare(host, DEFAULT_NAME, None, tty=True)
    assert (caught.value.kind, caught.value.subject) == (Problem.NO_SHELL, images.BUSYBOX)


def test_somebody_else_s_container(engine: PrivateEngine, host: Host) -> None:
    container_id = made(host, name="theirs", ours=False)
    assert plain(engine, "--name", "theirs", "--", "echo", "hello").stdout == b"hello\n"
    client = engine.client()
    client.pause(container_id)
    result = plain(engine, "--name", "theirs", "--", "true")
    assert (result.returncode, b"docker unpause theirs" in result.stderr) == (4, True)
    client.unpause(container_id)
    client.close()
    host.engine.stop(container_id, timeout=0)
    result = plain(engine, "--name", "theirs", "--", "true")
    assert (result.returncode, b"docker start theirs" in result.stderr) == (4, True)


# --- one command, without a terminal -----------------------------------------------------------------------------


def plain(engine: PrivateEngine, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PROGRAM, *args], env=engine.environ, input=stdin, capture_output=True, timeout=60, check=False
    )


def test_output_and_error_are_apart_and_exit_codes_are_kept(engine: PrivateEngine, box: str) -> None:
    result = plain(engine, "--", "sh", "-c", "printf out; printf err >&2; exit 9")
    assert (result.stdout, result.stderr, result.returncode) == (b"out", b"err", 9)
    assert plain(engine, "--", "no-such-program").returncode in (126, 127)
    assert plain(engine, "--", "/etc/passwd").returncode == 126


def test_five_megabytes_of_binary_go_through_and_come_back(engine: PrivateEngine, box: str) -> None:
    data = random.Random(2).randbytes(5_000_000)
    result = plain(engine, "--", "cat", stdin=data)
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()
    assert (result.stderr, result.returncode) == (b"", 0)


def test_a_script_on_standard_input_is_run_by_the_shell(engine: PrivateEngine, box: str) -> None:
    result = plain(engine, stdin=b"echo $((6*7))\nexit 3\n")
    assert (result.stdout, result.returncode) == (b"42\n", 3)


def test_a_command_that_does_not_read_ends_in_its_own_time(engine: PrivateEngine, box: str) -> None:
    result = plain(engine, "--", "head", "-c", "3", stdin=b"abc" * 1_000_000)
    assert (result.stdout, result.returncode) == (b"abc", 0)
    reader, writer = os.pipe()  # standard input that never ends
    result = subprocess.run(
        [*PROGRAM, "--", "echo", "done"], env=engine.environ, stdin=reader, capture_output=True, timeout=30
    )
    assert (result.stdout, result.returncode) == (b"done\n", 0)
    os.close(reader)
    os.close(writer)


def test_closed_streams(engine: PrivateEngine, box: str) -> None:
    script = PROGRAM[2].replace("'", "'\\''")
    command = f"'{PROGRAM[0]}' -c '{script}' shell -- cat <&-; echo $?"
    result = subprocess.run(["bash", "-c", command], env=engine.environ, capture_output=True, timeout=30, check=False)
    assert (result.stdout, result.stderr) == (b"0\n", b"")


def test_fifty_megabytes_of_output_at_a_terminal(engine: PrivateEngine, box: str) -> None:
    """``yes`` at a terminal, byte for byte; and Ctrl-C stops an endless one."""
    total = 50_000_000
    with sitting(
        engine,
        "--",
        "sh",
        "-c",
        f"stty raw; yes 0123456789abcde | head -c {total}; echo; echo END; stty sane; exec yes",
    ) as child:
        seen = 0
        rest = b""
        child.expect_exact("sh -c")
        start = b"0123456789abcde\n"
        deadline = time.monotonic() + 120
        digest = hashlib.sha256()
        buffer = bytearray(child.buffer or b"")
        while b"END\n" not in rest:
            assert time.monotonic() < deadline
            buffer += os.read(child.child_fd, 65536)
            if seen == 0:
                at = buffer.find(start * 2)
                if at < 0:
                    continue
                del buffer[:at]
            take = min(total - seen, len(buffer))
            digest.update(buffer[:take])
            seen += take
            rest += bytes(buffer[take:])
            buffer.clear()
        assert seen == total
        assert digest.hexdigest() == hashlib.sha256(start * (total // 16)).hexdigest()
        child.sendcontrol("c")
    assert child.exitstatus == 130


# --- the data folder ---------------------------------------------------------------------------------------------


def test_odd_folders_are_seen_inside(engine: PrivateEngine, host: Host, tmp_path: Path) -> None:
    """Docker's mounts take every character that a path can have, colon and comma too."""
    for number, name in enumerate(["with space", "a:b,c", "语音 é", "quote\"'$x"]):
        text = str(tmp_path / "deep" / name)
        chosen = workspace.validate(host, data=text, name=f"odd-{number}", gpus="none", shm="64m")
        workspace.prepare(host, chosen)
        Path(text, "file").write_text(name)
        container.up(host, chosen, images.BUSYBOX)
        assert plain(engine, "--name", chosen.name, "--", "cat", "/data/file").stdout.decode() == name


def test_a_name_of_a_real_container_is_taken(engine: PrivateEngine, host: Host, tmp_path: Path) -> None:
    made(host, name="theirs", ours=False)
    with pytest.raises(Trouble) as caught:
        workspace.validate(host, data=str(tmp_path / "x"), name="theirs", gpus="none", shm="64m")
    assert caught.value.kind is Problem.NAME_TAKEN
    assert '"theirs-2"' in caught.value.hint
