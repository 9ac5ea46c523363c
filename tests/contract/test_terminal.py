"""The contract of ``Terminal``. What it is attached to is the toy shell: a session like any other."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.contract.conftest import sides, simulated
from wizard.demo.terminal import SimTerminal
from wizard.host.ports import ExecSession, Terminal
from wizard.host.terminal import SystemTerminal
from wizard.model.container import ContainerSpec
from wizard.model.errors import Problem, Trouble

Make = Callable[[int, int, int], Terminal]


@pytest.fixture(params=sides())
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a terminal of three file descriptors."""
    if request.param == "real":
        return SystemTerminal
    return lambda *fds: SimTerminal(SystemTerminal(*fds), simulated().commands)


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    """Three pipes: for standard input, output and error."""
    made = [os.pipe() for _ in range(3)]
    yield made
    for fd in (fd for pair in made for fd in pair):
        try:
            os.close(fd)
        except OSError:
            continue  # closed by the test


@pytest.fixture
def screen() -> Iterator[tuple[int, int]]:
    """A pty: the person's side and the program's."""
    person, program = pty.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    yield person, program
    os.close(person)
    os.close(program)


@pytest.fixture
def session() -> Iterator[Callable[..., ExecSession]]:
    engine = simulated().engine
    made = engine.create(ContainerSpec("contract", "python:3.12-slim", ("sleep", "600")))
    engine.start(made)
    with ExitStack() as stack:

        def opened(*argv: str, tty: bool) -> ExecSession:
            one = engine.open_exec(made, argv, tty=tty, size=(80, 24))
            stack.callback(one.close)
            return one

        yield opened


def of(make: Make, pipes: list[tuple[int, int]]) -> Terminal:
    return make(pipes[0][0], pipes[1][1], pipes[2][1])


def test_pipes_are_no_terminal(make: Make, pipes: list[tuple[int, int]]) -> None:
    terminal = of(make, pipes)
    assert not terminal.is_interactive()
    assert terminal.size() == (80, 24)
    with pytest.raises(Trouble) as caught:
        terminal.run(("true",))
    assert caught.value.kind is Problem.NO_TERMINAL


def test_pipes_are_connected_to_a_command(
    make: Make, pipes: list[tuple[int, int]], session: Callable[..., ExecSession]
) -> None:
    os.write(pipes[0][1], b"echo out\necho err >&2\nexit 5\n")
    os.close(pipes[0][1])
    assert of(make, pipes).attach(session("sh", tty=False)) == 5
    assert os.read(pipes[1][0], 4096) == b"out\n"
    assert os.read(pipes[2][0], 4096) == b"err\n"


def test_a_pty_is_a_terminal_of_its_size(make: Make, screen: tuple[int, int]) -> None:
    program = screen[1]
    terminal = make(program, program, program)
    assert terminal.is_interactive()
    assert terminal.size() == (100, 30)


def test_a_program_is_run_to_its_end(make: Make, screen: tuple[int, int]) -> None:
    program = screen[1]
    before = termios.tcgetattr(program)
    terminal = make(program, program, program)
    assert terminal.run(("true",)) == 0
    assert terminal.run(("false",)) == 1
    assert termios.tcgetattr(program) == before


def test_a_program_that_is_not_there(make: Make, screen: tuple[int, int]) -> None:
    program = screen[1]
    with pytest.raises(Trouble) as caught:
        make(program, program, program).run(("no-such-program",))
    assert (caught.value.kind, caught.value.subject) == (Problem.COMMAND_MISSING, "no-such-program")


def test_a_shell_is_used_and_the_terminal_is_as_before(
    make: Make, screen: tuple[int, int], session: Callable[..., ExecSession]
) -> None:
    person, program = screen
    before = termios.tcgetattr(program)
    seen = bytearray()

    def act() -> None:
        """Waits for the prompt, types, and reads the screen until the shell has gone."""
        while b"# " not in seen:
            seen.extend(os.read(person, 4096))
        os.write(person, b"sleep 60\r\x03stty size\rexit 7\r")
        while b"exit 7\r\n" not in seen:
            seen.extend(os.read(person, 4096))

    at_the_keyboard = threading.Thread(target=act, daemon=True)
    at_the_keyboard.start()
    assert make(program, program, program).attach(session("bash", tty=True)) == 7
    at_the_keyboard.join(10)
    assert not at_the_keyboard.is_alive()
    assert b"^C" in seen
    assert b"30 100\r\n" in seen
    assert termios.tcgetattr(program) == before
