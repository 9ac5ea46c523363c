"""The contract of ``Background``, and what only a real process can show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.conftest import sides, until
from wizard.demo.background import SimBackground
from wizard.host import background as adapter
from wizard.host.background import SystemBackground
from wizard.host.ports import Background
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import ProcessId
from wizard.model.secret import Secret

KEY = Secret("nvapi-" + "c" * 64)
HELPER = """
import json, os, sys, time
given = json.loads(sys.stdin.buffer.read())
print(os.environ.get("NGC_API_KEY"), "nvapi" in str(sys.argv), file=sys.stderr)
if given["do"] == "fail":
    from wizard.model import journal
    from wizard.model.errors import Problem, Trouble
    sys.stdout.buffer.write(journal.answer(Trouble(Problem.DISK_FULL, "no room", subject="/here")))
elif given["do"] == "crash":
    raise SystemExit("it went wrong")
elif given["do"] == "be silent":
    time.sleep(float(given["seconds"]))
elif given["do"] == "work":
    open(given["place"], "w").write(f"{os.getpid()} {os.getsid(0)} {given.get('key', '-')}")
    print("null", flush=True)
    time.sleep(float(given["seconds"]))
"""
"""Stands for the program's own helper: what is under test is how a process is begun, not what it does."""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SystemBackground:
    (tmp_path / "contract_helper.py").write_text(HELPER)
    monkeypatch.setattr(adapter, "_MODULE", "contract_helper")
    return SystemBackground({**os.environ, "PYTHONPATH": str(tmp_path), "NGC_API_KEY": "nvapi-environment"})


@pytest.fixture(params=sides())
def background(request: pytest.FixtureRequest) -> Background:
    if request.param == "real":
        real: Background = request.getfixturevalue("helper")
        return real

    def serve(asked: object, key: Secret | None, answer: Callable[[Trouble | None], None]) -> None:
        request = dict(asked)  # type: ignore[call-overload]
        if request["do"] == "fail":
            answer(Trouble(Problem.DISK_FULL, "no room", subject="/here"))
            return
        place = Path(request["place"])
        place.write_text(f"{simulated.this().pid} {simulated.this().pid} {key.reveal() if key else '-'}")
        answer(None)
        time.sleep(float(request["seconds"]))

    simulated = SimBackground(serve)
    return simulated


def test_this_process_runs(background: Background) -> None:
    this = background.this()
    assert background.runs(this)
    assert not background.runs(ProcessId(this.pid, "another start"))
    assert not background.runs(ProcessId(4_000_000, this.started))


@pytest.mark.parametrize("key", [KEY, None])
def test_it_is_begun_in_another_process_and_gets_the_key(
    background: Background, tmp_path: Path, key: Secret | None
) -> None:
    place = tmp_path / "began"
    background.start({"do": "work", "place": str(place), "seconds": "0.5"}, key)
    pid, session, given = place.read_text().split()
    assert int(pid) != background.this().pid
    assert pid == session
    assert given == ("-" if key is None else KEY.reveal())
    process = ProcessId(int(pid), background.this().started)
    assert until(lambda: not background.runs(process))


def test_what_keeps_it_from_beginning_is_raised(background: Background) -> None:
    with pytest.raises(Trouble) as caught:
        background.start({"do": "fail"}, KEY)
    assert (caught.value.kind, caught.value.text, caught.value.subject) == (Problem.DISK_FULL, "no room", "/here")


def test_one_that_ends_without_an_answer_is_told_with_its_last_words(helper: SystemBackground) -> None:
    with pytest.raises(Trouble) as caught:
        helper.start({"do": "crash"}, KEY)
    assert (caught.value.kind, caught.value.text) == (Problem.COMMAND_FAILED, "it went wrong")
    assert caught.value.evidence[0].text.splitlines()[0] == "None False", "the key was in environment or arguments"


def test_one_that_never_answers_is_not_waited_for(helper: SystemBackground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "SECONDS", 0.2)
    with pytest.raises(Trouble) as caught:
        helper.start({"do": "be silent", "seconds": "2"}, None)
    assert caught.value.kind is Problem.COMMAND_TIMEOUT


def test_neither_a_lost_terminal_nor_the_end_of_the_first_reaches_it(helper: SystemBackground, tmp_path: Path) -> None:
    """A process that begins another and is then hung up on, as by a lost connection, with its whole session."""
    place = tmp_path / "began"
    script = f"""
import os
from wizard.host import background
background._MODULE = "contract_helper"
background.SystemBackground(os.environ).start({{"do": "work", "place": {str(place)!r}, "seconds": "60"}}, None)
print("begun", flush=True)
import time; time.sleep(60)
"""
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"}
    first = subprocess.Popen(
        [sys.executable, "-c", script], env=environ, stdout=subprocess.PIPE, start_new_session=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == b"begun\n"
    os.killpg(first.pid, signal.SIGHUP)
    first.wait(20)
    first.stdout.close()
    pid = int(place.read_text().split()[0])
    started = adapter._started(pid)
    assert started is not None
    assert helper.runs(ProcessId(pid, started))
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: not helper.runs(ProcessId(pid, started)))
