"""The contract of ``ExecSession``: a command in a container, connected to the caller."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import pytest

from tests.contract.conftest import Dock
from wizard.host.ports import ExecSession
from wizard.model.container import ContainerSpec

SECONDS = 10.0


class Opener(Protocol):
    def __call__(
        self,
        *argv: str,
        tty: bool,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] | None = None,
    ) -> ExecSession: ...


@pytest.fixture
def opened(dock: Dock) -> Iterator[Opener]:
    """Opens sessions in a container that runs, and closes them at the end."""
    made = dock.engine.create(ContainerSpec("contract", dock.image, ("sleep", "600"), memlock=False))
    dock.engine.start(made)
    sessions: list[ExecSession] = []

    def open_one(
        *argv: str,
        tty: bool,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] | None = None,
    ) -> ExecSession:
        sessions.append(dock.engine.open_exec(made, argv, tty=tty, env=env, size=size))
        return sessions[-1]

    yield open_one
    for session in sessions:
        session.close()


def rest(session: ExecSession) -> dict[int, bytes]:
    """All output up to the end, by stream."""
    found = {1: b"", 2: b""}
    while piece := session.read():
        found[piece[0]] += piece[1]
    return found


def until_seen(session: ExecSession, enough: Callable[[bytes], bool]) -> bytes:
    """Output up to the moment when there is enough of it, waiting with ``select`` as a terminal does."""
    seen = b""
    deadline = time.monotonic() + SECONDS
    while not enough(seen):
        ready, _, _ = select.select([session.fileno()], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more came after {seen!r}"
        piece = session.read()
        assert piece is not None, f"it ended after {seen!r}"
        seen += piece[1]
    return seen


# --- without a terminal ------------------------------------------------------------------------------------------


def test_output_and_errors_are_kept_apart(opened: Opener) -> None:
    session = opened("sh", "-c", "echo out; echo err >&2; exit 7", tty=False)
    assert not session.tty
    assert rest(session) == {1: b"out\n", 2: b"err\n"}
    assert session.exit_code() == 7


def test_input_reaches_the_command_until_it_is_closed(opened: Opener) -> None:
    session = opened("cat", tty=False)
    session.write(b"one\n")
    assert until_seen(session, lambda seen: seen.endswith(b"\n")) == b"one\n"
    session.write(b"two\n")
    session.close_input()
    assert rest(session)[1] == b"two\n"
    assert session.exit_code() == 0


def test_a_script_comes_through_the_input(opened: Opener) -> None:
    session = opened("sh", tty=False)
    session.write(b"echo one\nexit 5\n")
    session.close_input()
    assert rest(session)[1] == b"one\n"
    assert session.exit_code() == 5


def test_large_input_comes_back_whole(opened: Opener) -> None:
    session = opened("cat", tty=False)
    piece = bytes(range(32, 127)) * 40
    for _ in range(10):
        session.write(piece)
        until = len(piece)
        seen = b""
        while len(seen) < until:
            seen += until_seen(session, bool)
        assert seen == piece
    session.close_input()
    assert rest(session) == {1: b"", 2: b""}


def test_variables_are_given(opened: Opener) -> None:
    session = opened("sh", "-c", "echo $CONTRACT", tty=False, env={"CONTRACT": "yes"})
    assert rest(session)[1] == b"yes\n"


def test_a_program_that_is_not_inside(opened: Opener) -> None:
    session = opened("no-such-program", tty=False)
    rest(session)
    assert session.exit_code() in (126, 127)


def test_writing_to_a_command_that_has_ended_is_no_failure(opened: Opener) -> None:
    session = opened("true", tty=False)
    rest(session)
    session.write(b"late\n")
    session.close_input()
    assert session.exit_code() == 0


# --- with a terminal ---------------------------------------------------------------------------------------------


def test_a_shell_at_a_terminal_echoes_and_answers(opened: Opener) -> None:
    session = opened("sh", tty=True, size=(100, 30))
    assert session.tty
    until_seen(session, lambda seen: b"# " in seen)
    session.write(b"echo o'n'e\r")
    seen = until_seen(session, lambda seen: b"one\r\n" in seen)
    assert b"echo o'n'e\r\n" in seen  # the echo of what was typed
    session.write(b"exit 7\r")
    rest(session)
    assert session.exit_code() == 7


def test_the_size_is_known_from_the_beginning_and_follows(opened: Opener) -> None:
    session = opened("sh", tty=True, size=(100, 30))
    until_seen(session, lambda seen: b"# " in seen)
    session.write(b"stty size\r")
    until_seen(session, lambda seen: b"30 100\r\n" in seen)
    session.resize(132, 43)
    session.write(b"stty size\r")
    until_seen(session, lambda seen: b"43 132\r\n" in seen)


def test_ctrl_c_ends_a_command_and_not_the_shell(opened: Opener) -> None:
    session = opened("sh", tty=True)
    until_seen(session, lambda seen: b"# " in seen)
    session.write(b"sleep 60\r")
    until_seen(session, lambda seen: b"sleep 60\r\n" in seen)
    time.sleep(0.3)  # the shell has to have started it
    session.write(b"\x03")
    until_seen(session, lambda seen: b"# " in seen)
    session.write(b"echo status $?\r")
    until_seen(session, lambda seen: b"status 130\r\n" in seen)


def test_ctrl_d_ends_the_shell(opened: Opener) -> None:
    session = opened("sh", tty=True)
    until_seen(session, lambda seen: b"# " in seen)
    session.write(b"\x04")
    rest(session)
    assert session.exit_code() == 0


def test_a_typing_error_can_be_taken_back(opened: Opener) -> None:
    session = opened("sh", tty=True)
    until_seen(session, lambda seen: b"# " in seen)
    session.write(b"echo onx\x7fe\r")
    until_seen(session, lambda seen: b"\r\none\r\n" in seen)


def test_a_single_command_at_a_terminal(opened: Opener) -> None:
    session = opened("sh", "-c", "echo one; echo two >&2; exit 4", tty=True)
    assert rest(session) == {1: b"one\r\ntwo\r\n", 2: b""}
    assert session.exit_code() == 4
