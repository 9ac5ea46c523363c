"""Programs of this machine: their environment, their time, and root through sudo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.contract.conftest import until
from wizard.host.commands import SudoPrivilege, SystemCommands, without_keys
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import RootAccess

SOMEBODY = 1000


@pytest.fixture
def commands() -> SystemCommands:
    return SystemCommands(os.environ)


def with_sudo(tmp_path: Path, script: str) -> SystemCommands:
    """Commands of a user who is not root, on a machine whose sudo is ``script``."""
    sudo = tmp_path / "sudo"
    sudo.write_text(f"#!/bin/sh\n{script}\n")
    sudo.chmod(0o755)
    return SystemCommands({**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, uid=SOMEBODY)


def test_no_key_reaches_a_child() -> None:
    names = ("NGC_API_KEY", "NGC_CLI_API_KEY", "NGC_APP_KEY")
    commands = SystemCommands({**os.environ, **dict.fromkeys(names, "nvapi-canary"), "NGC_CLI_ORG": "kept"})
    said = commands.run(("env",), env={"NGC_API_KEY": "nvapi-canary", "EXTRA": "there"}).stdout
    assert "canary" not in said
    assert "NGC_CLI_ORG=kept" in said
    assert "EXTRA=there" in said
    assert without_keys({"NGC_API_KEY": "x", "KEY": "y"}) == {"KEY": "y"}


def test_children_speak_english_and_stay_in_the_session(commands: SystemCommands) -> None:
    """In a session of its own, sudo would not find the ticket that the user has got."""
    said = commands.run(("sh", "-c", "echo $LC_ALL; ps -o sid= -p $$ || cut -d' ' -f6 /proc/$$/stat")).stdout.split()
    assert said == ["C", str(os.getsid(0))]


def test_sbin_is_searched_though_the_user_has_it_not_in_path() -> None:
    commands = SystemCommands({"PATH": "/usr/bin:/bin"})
    found = commands.which("ldconfig")
    assert found is not None
    assert found.endswith("sbin/ldconfig")
    assert commands.run(("ldconfig", "--version")).returncode == 0


def test_a_command_reads_what_it_is_given_or_nothing(commands: SystemCommands) -> None:
    assert commands.run(("cat",), stdin=b"\x00given").stdout == "\x00given"
    assert commands.run(("cat",), timeout=5).stdout == "", "never the terminal"


def test_a_file_that_is_no_program(commands: SystemCommands, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    with pytest.raises(Trouble) as caught:
        commands.run((str(plain),))
    assert caught.value.kind is Problem.COMMAND_FAILED


def test_what_was_said_before_the_time_was_over_is_kept(commands: SystemCommands) -> None:
    with pytest.raises(Trouble) as caught:
        commands.run(("sh", "-c", "echo first words; exec sleep 60"), timeout=0.3)
    assert "first words" in caught.value.evidence[0].text


def test_a_grandchild_that_keeps_the_pipes_does_not_hold_us_up(commands: SystemCommands) -> None:
    began = time.monotonic()
    with pytest.raises(Trouble) as caught:
        commands.run(("sh", "-c", "sleep 5 & sleep 60"), timeout=0.3)
    assert caught.value.kind is Problem.COMMAND_TIMEOUT
    assert time.monotonic() - began < 3


def test_a_child_that_cannot_be_killed_does_not_hold_us_up(
    commands: SystemCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a command that runs as root through sudo: kill is not permitted."""

    def refuse(self: subprocess.Popen[bytes]) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(subprocess.Popen, "kill", refuse)
    began = time.monotonic()
    with pytest.raises(Trouble) as caught:
        commands.run(("sleep", "2"), timeout=0.2)
    assert caught.value.kind is Problem.COMMAND_TIMEOUT
    assert time.monotonic() - began < 1.5
    for thread in threading.enumerate():
        if thread.name == "reap":
            thread.join(5)
            assert not thread.is_alive(), "it is collected when it ends"


def test_root_is_reached_through_sudo_without_a_prompt(tmp_path: Path) -> None:
    commands = with_sudo(tmp_path, 'printf "%s|" "$@"')
    result = commands.run(("systemctl", "reload", "docker"), root=True, env={"A": "b c"})
    assert result.stdout == "-n|env|A=b c|systemctl|reload|docker|"
    assert result.argv == ("systemctl", "reload", "docker")
    assert commands.run(("echo", "plain")).stdout == "plain\n"


@pytest.mark.parametrize(
    "said",
    [
        "sudo: a password is required",
        "sudo: a terminal is required to read the password; either use the -S option to read from standard input",
        "mei is not in the sudoers file.  This incident will be reported.",
        "Sorry, user mei is not allowed to execute '/usr/bin/install' as root on gpu-box.",
        'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.',
        "sudo: unable to resolve host gpu-box: Name or service not known\nsudo: a password is required",
    ],
)
def test_sudo_that_refuses_is_not_the_commands_failure(tmp_path: Path, said: str) -> None:
    (tmp_path / "said").write_text(said + "\n")
    commands = with_sudo(tmp_path, f"cat {tmp_path}/said >&2; exit 1")
    with pytest.raises(Trouble) as caught:
        commands.run(("install", "x"), root=True)
    assert caught.value.kind is Problem.ROOT_NEEDED
    assert said in caught.value.text


def test_a_failure_of_the_command_itself_is_a_result(tmp_path: Path) -> None:
    commands = with_sudo(tmp_path, "echo 'sudo: unable to resolve host gpu-box: Name or service not known' >&2; exit 1")
    assert commands.run(("false",), root=True).returncode == 1
    missing = with_sudo(tmp_path, "echo 'sudo: nothing: command not found' >&2; exit 1")
    with pytest.raises(Trouble) as caught:
        missing.run(("nothing",), root=True)
    assert caught.value.kind is Problem.COMMAND_MISSING


def test_no_sudo_at_all(tmp_path: Path) -> None:
    commands = SystemCommands({"PATH": str(tmp_path)}, uid=SOMEBODY)
    if commands.which("sudo"):
        pytest.skip("this machine has a sudo in the sbin folders")
    assert SudoPrivilege(commands, uid=SOMEBODY).access() is RootAccess.NONE
    with pytest.raises(Trouble) as caught:
        commands.run(("true",), root=True)
    assert caught.value.kind is Problem.ROOT_NEEDED


@pytest.mark.parametrize(
    ("script", "access"),
    [
        ("exit 0", RootAccess.READY),
        ("echo 'sudo: a password is required' >&2; exit 1", RootAccess.PASSWORD),
        ("echo 'sudo: The \"no new privileges\" flag is set' >&2; exit 1", RootAccess.NONE),
    ],
)
def test_access_is_asked_with_a_command_that_does_nothing(tmp_path: Path, script: str, access: RootAccess) -> None:
    """``sudo -n -v`` wants a password even of somebody whose every command is free of it."""
    privilege = SudoPrivilege(with_sudo(tmp_path, f'[ "$*" = "-n true" ] || exit 9; {script}'), uid=SOMEBODY)
    assert privilege.access() is access
    assert privilege.as_typed(("kill", "-HUP", "7")) == ("sudo", "kill", "-HUP", "7")


def test_a_followed_program_tells_each_line_while_it_runs(commands: SystemCommands, tmp_path: Path) -> None:
    """The program waits for what only the line that it has said can bring about."""
    go = tmp_path / "go"

    def hear(line: str) -> None:
        if line == "ready":
            go.write_text("")

    script = f"echo ready; while [ ! -e {go} ]; do sleep 0.02; done; printf 'no line end' >&2"
    result = commands.run(("sh", "-c", script), timeout=20, on_line=hear)
    assert (result.returncode, result.stdout, result.stderr) == (0, "ready\n", "no line end")


def test_a_followed_program_is_not_broken_off(tmp_path: Path) -> None:
    """Neither Ctrl-C at the keyboard nor the death of this program ends an installation in the middle."""
    begun, told = tmp_path / "begun", tmp_path / "told"
    script = f"touch {begun}; for i in 1 2 3 4 5 6 7 8 9 10; do echo line; sleep 0.05; done; touch {told}"
    code = (
        "import os\nfrom wizard.host.commands import SystemCommands\n"
        f"SystemCommands(os.environ).run(('sh', '-c', {script!r}), on_line=print)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL) as wizard:
        assert until(begun.exists)
        os.killpg(wizard.pid, signal.SIGINT)
        os.kill(wizard.pid, signal.SIGKILL)
    assert until(told.exists)


def test_what_a_followed_program_reads(commands: SystemCommands) -> None:
    lines: list[str] = []
    assert commands.run(("cat",), stdin=b"a\n\nb", on_line=lines.append).stdout == "a\n\nb"
    assert lines == ["a", "b"]
