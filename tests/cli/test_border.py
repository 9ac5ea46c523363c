"""The border: whatever happens inside ends with one sentence, an exit code, and no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.cli.conftest import Keyboard
from wizard.cli import main
from wizard.demo import machine
from wizard.model.errors import Problem, Trouble, exit_code

Sit = Callable[[str], Keyboard]
PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))
CANARY = "nvapi-" + "canary12" * 8


def run(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    """The installed program as a process of its own."""
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False, **more)  # type: ignore[call-overload, no-any-return]


def fail_with(keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(type(keyboard.host.keys), "places", broken)


def test_the_unexpected_goes_to_the_log_and_one_sentence_to_the_user(
    at: Sit, monkeypatch: pytest.MonkeyPatch, own_environment: Path
) -> None:
    keyboard = at("healthy")
    fail_with(keyboard, monkeypatch, RuntimeError(f"boom with {CANARY}"))
    ended = keyboard("key", "where")
    log = own_environment / ".local/state/s2s-wizard/log"
    assert ended.code == 4
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert str(log) in ended.err
    text = log.read_text()
    assert "Traceback" in text
    assert "RuntimeError: boom with ****" in text
    assert log.stat().st_mode & 0o077 == 0
    assert "canary" not in text + ended.err

    document = keyboard("key", "where", "--json").document
    assert document["error"]["id"] == "internal"


def test_the_log_goes_where_the_user_wants_it(
    at: Sit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_environment: Path
) -> None:
    keyboard = at("healthy")
    fail_with(keyboard, monkeypatch, RuntimeError("boom"))
    mine = tmp_path / "my.log"
    for words in (["--log-file", str(mine), "key", "where"], ["key", "where", "--log-file", str(mine)]):
        mine.unlink(missing_ok=True)
        assert str(mine) in keyboard(*words).err
        assert "boom" in mine.read_text()
    assert not (own_environment / ".local/state/s2s-wizard/log").exists()


def test_a_log_file_that_cannot_be_written_is_said(at: Sit, tmp_path: Path) -> None:
    ended = at("healthy")("--log-file", str(tmp_path), "key", "where")
    assert ended.code == exit_code(Problem.FILE_NOT_REGULAR)
    assert str(tmp_path) in ended.err


@pytest.mark.parametrize("kind", Problem)
def test_every_kind_of_failure_has_its_exit_code_and_its_words(
    at: Sit, monkeypatch: pytest.MonkeyPatch, kind: Problem
) -> None:
    keyboard = at("healthy")
    fail_with(keyboard, monkeypatch, Trouble(kind, "word for word", subject="it"))
    words, data = keyboard("key", "where"), keyboard("key", "where", "--json")
    assert words.code == data.code == exit_code(kind)
    error = data.document["error"]
    assert set(error) >= {"id", "summary", "advice", "evidence"}
    assert error["id"] == kind.value
    if kind is Problem.CANCELLED:
        assert words.err.splitlines()[-1] == "s2s-wizard: interrupted"
    else:
        assert f"s2s-wizard: {error['summary']}" in words.err
        assert error["advice"] in words.err
        assert "word for word" in words.err


def test_ctrl_c(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("healthy")
    fail_with(keyboard, monkeypatch, KeyboardInterrupt())
    ended = keyboard("key", "where")
    assert ended.code == 130
    assert ended.err.splitlines()[1:] == ["s2s-wizard: interrupted"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_a_pull(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [PROGRAM, "--demo", "healthy", "pull", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            break
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 5
    assert err.splitlines()[-1] == "s2s-wizard: interrupted"
    assert "Traceback" not in err
    assert json.loads(out.splitlines()[-1])["error"]["id"] == "cancelled"


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [PROGRAM, "--demo", "healthy", "pull", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) == 130
    assert process.stderr.read().splitlines()[2:] == []
    process.stderr.close()


@pytest.mark.parametrize("closing", ["1>&-", "2>&-", "0<&-", "1>&- 2>&- 0<&-"])
def test_closed_streams(closing: str) -> None:
    script = f'exec "{PROGRAM}" --demo healthy doctor {closing}'
    result = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("locale", ["C", "POSIX", "zh_CN.GB18030", "no_SUCH.locale"])
def test_any_locale(locale: str) -> None:
    env = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for language in ([], ["--lang", "zh"]):
        words = run("--demo", "unknown-runtime", *language, "doctor", env=env)
        data = run("--demo", "unknown-runtime", *language, "doctor", "--json", env=env)
        assert (words.returncode, data.returncode) == (1, 1)
        assert "Traceback" not in words.stderr + data.stderr
        assert json.loads(data.stdout)["ready"] is False


def test_a_machine_that_does_not_exist() -> None:
    result = run("--demo", "holodeck", "doctor", "--json")
    assert result.returncode == 2
    assert json.loads(result.stdout)["host"] is None
    assert all(name in result.stdout for name in machine.names())


def test_a_wrong_configuration_file_is_said_with_its_place(own_environment: Path) -> None:
    folder = own_environment / ".config/s2s-wizard"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[registry\n")
    result = run("doctor")
    assert result.returncode == 2
    assert str(folder / "config.toml") in result.stderr
    assert "line 1" in result.stderr


def test_without_a_terminal_the_wizard_does_not_start() -> None:
    result = run("--demo", "healthy", stdin=subprocess.DEVNULL)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("s2s-wizard: This needs a terminal")


def test_version_and_help() -> None:
    from wizard import __version__

    assert run("--version").stdout == f"s2s-wizard {__version__}\n"
    assert run("pull", "--help").returncode == 0
    assert main(["--version"]) == 0


def test_python_dash_m() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "wizard", "--demo", "healthy", "doctor", "--list"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"gpu.driver" in result.stdout


def test_each_command_loads_only_what_it_needs() -> None:
    def loaded(*words: str) -> set[str]:
        code = f"from wizard.cli import main; import sys; main({list(words)!r}); print(*sys.modules, file=sys.stderr)"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        return set(result.stderr.splitlines()[-1].split())

    heavy = {"textual", "rich", "docker", "requests", "urllib3", "keyring", "pynvml", "wizard.app", "wizard.host.real"}
    assert not heavy & loaded("--demo", "healthy", "doctor")
    assert not (heavy | {"wizard.services.checkup", "wizard.services.pull"}) & loaded(
        "--demo", "healthy", "key", "where"
    )
    assert not {"textual", "rich", "wizard.app", "wizard.demo.machine"} & loaded("doctor", "--check", "system.platform")


def test_a_person_at_a_real_terminal() -> None:
    """sudo's question, the default No, and yes, in a pseudo-terminal."""
    command = f"{PROGRAM} --demo unknown-runtime fix register-runtime"
    for answer, code, expected in (("", 3, "nothing was changed"), ("y", 0, "done, and checked")):
        child = pexpect.spawn(command, env={**os.environ, "TERM": "xterm"}, encoding="utf-8", timeout=30)
        child.expect_exact("Make this repair? [y/N] ")
        child.sendline(answer)
        child.expect_exact(expected)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code


def test_colours_on_a_real_terminal_and_none_when_they_are_not_wanted() -> None:
    command = f"{PROGRAM} --demo healthy doctor"
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    assert "\x1b[32m[ok]\x1b[0m" in str(pexpect.run(command, env={**env, "TERM": "xterm"}, encoding="utf-8"))
    assert "\x1b" not in str(pexpect.run(command, env={**env, "TERM": "xterm", "NO_COLOR": "1"}, encoding="utf-8"))
    assert "\x1b" not in str(pexpect.run(command, env={**env, "TERM": "dumb"}, encoding="utf-8"))


def test_ctrl_c_at_the_question() -> None:
    child = pexpect.spawn(f"{PROGRAM} --demo unknown-runtime fix", encoding="utf-8", timeout=30)
    child.expect_exact("[y/N] ")
    child.sendintr()
    child.expect_exact("s2s-wizard: interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
