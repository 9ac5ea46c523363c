"""The contract of ``Commands`` and ``Privilege``."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Rights
from wizard.host.ports import Commands
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import RootAccess


def test_a_program_is_found_by_its_name_or_not_at_all(commands: Commands) -> None:
    found = commands.which("sh")
    assert found is not None
    assert found.startswith("/")
    assert found.endswith("/sh")
    assert commands.which("no-such-program") is None


def test_every_exit_status_is_a_result(commands: Commands) -> None:
    assert commands.run(("true",)).returncode == 0
    assert commands.run(("false",)).returncode == 1


def test_a_program_may_be_named_by_its_path(commands: Commands) -> None:
    path = commands.which("true")
    assert path is not None
    assert commands.run((path,)).returncode == 0


def test_what_was_said_on_both_streams_is_kept_apart(commands: Commands) -> None:
    argv = ("sh", "-c", "echo out; echo err >&2; exit 3")
    result = commands.run(argv)
    assert (result.argv, result.returncode) == (argv, 3)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert result.seconds >= 0


def test_a_program_that_is_not_there(commands: Commands) -> None:
    with pytest.raises(Trouble) as caught:
        commands.run(("no-such-program", "--version"))
    assert caught.value.kind is Problem.COMMAND_MISSING
    assert caught.value.subject == "no-such-program"


def test_a_program_that_takes_too_long(commands: Commands) -> None:
    with pytest.raises(Trouble) as caught:
        commands.run(("sleep", "30"), timeout=0.2)
    assert caught.value.kind is Problem.COMMAND_TIMEOUT
    assert caught.value.subject == "sleep 30"


def test_a_program_that_is_followed_tells_its_lines_and_still_returns_them(commands: Commands) -> None:
    lines: list[str] = []
    result = commands.run(("sh", "-c", "echo out; echo err >&2; exit 3"), on_line=lines.append)
    assert sorted(lines) == ["err", "out"]
    assert (result.returncode, result.stdout, result.stderr) == (3, "out\n", "err\n")
    with pytest.raises(Trouble) as caught:
        commands.run(("sleep", "30"), timeout=0.2, on_line=lines.append)
    assert caught.value.kind is Problem.COMMAND_TIMEOUT
    with pytest.raises(Trouble) as caught:
        commands.run(("no-such-program",), on_line=lines.append)
    assert caught.value.kind is Problem.COMMAND_MISSING


def test_access_says_what_a_command_as_root_meets(rights: Rights) -> None:
    access = rights.privilege.access()
    if access in (RootAccess.ROOT, RootAccess.READY):
        assert rights.commands.run(("true",), root=True).returncode == 0
    else:
        with pytest.raises(Trouble) as caught:
            rights.commands.run(("true",), root=True)
        assert caught.value.kind in (Problem.ROOT_NEEDED, Problem.COMMAND_MISSING)


def test_a_person_types_sudo_unless_root(rights: Rights) -> None:
    assert rights.privilege.ask_argv() == ("sudo", "-v")
    before = () if rights.privilege.access() is RootAccess.ROOT else ("sudo",)
    assert rights.privilege.as_typed(("systemctl", "reload", "docker")) == (*before, "systemctl", "reload", "docker")
