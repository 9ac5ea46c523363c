"""The key in a real Secret Service: gnome-keyring on a D-Bus session of its own, unlocked, locked and absent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.password_store import UNLOCK, needs_password_store
from wizard.model.errors import Problem

pytestmark = [pytest.mark.real, needs_password_store]

KEY = "nvapi-CANARY" + "k3Y7" * 14 + "Zz"

Ask = Callable[..., dict[str, Any]]

PRELUDE = """
import json, os, subprocess, sys, time
from wizard.host.keys import Keys
from wizard.model.errors import Trouble
from wizard.model.key_store import KeyPlace
from wizard.model.secret import Secret
keys = Keys(os.environ, os.path.join(os.environ["XDG_CONFIG_HOME"], "s2s-wizard"))
key = Secret(sys.stdin.read())
answer = {}
def kind(call, *arguments):
    try:
        call(*arguments)
    except Trouble as trouble:
        return trouble.kind.value
def state():
    info = keys.places()[1]
    return [info.usable, info.holds_key, info.detail, info.problem]
start = time.monotonic()
"""
EPILOGUE = """
answer["seconds"] = time.monotonic() - start
print(json.dumps(answer))
"""


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Runs Python in a process of its own; what it puts into ``answer`` comes back. ``before`` are shell commands that
    are run on the same D-Bus session first; without ``bus`` there is none.
    """
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)

    def run(code: str, *, before: str = "", bus: bool = True, env: dict[str, str] | None = None) -> dict[str, Any]:
        (tmp_path / "ask.py").write_text(PRELUDE + textwrap.dedent(code) + EPILOGUE)
        python = [sys.executable, str(tmp_path / "ask.py")]
        argv = ["dbus-run-session", "--", "sh", "-c", f'{before}exec "$@"', "sh", *python] if bus else python
        environ = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": os.getcwd(), **(env or {})}
        done = subprocess.run(argv, input=KEY, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert KEY not in done.stdout + done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert isinstance(answer, dict)
        return answer

    return run


def test_unlocked_it_keeps_finds_and_forgets(ask: Ask, tmp_path: Path) -> None:
    answer = ask(
        """
        answer["before"] = state()
        keys.save(key, KeyPlace.KEYRING)
        answer["after"] = state()
        fresh = Keys({}, "/nonexistent")
        found = fresh.get()
        answer["found"] = found is not None and found[0] == key and found[1].value
        keys.save(Secret(key.reveal()[::-1]), KeyPlace.KEYRING)
        answer["replaced"] = fresh.get()[0].reveal() == key.reveal()[::-1]
        answer["forgot"] = [place.value for place in keys.forget()]
        answer["empty"] = fresh.get() is None
        """,
        before=UNLOCK,
    )

    assert answer["before"] == [True, False, "Secret Service", None]
    assert answer["after"] == [True, True, "Secret Service", None]
    assert answer["found"] == "keyring"
    assert answer["replaced"] is True
    assert answer["forgot"] == ["keyring"]
    assert answer["empty"] is True
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_locked_it_says_so_at_once_and_asks_nobody(ask: Ask) -> None:
    answer = ask(
        """
        keys.save(key, KeyPlace.KEYRING)
        import secretstorage
        secretstorage.get_default_collection(secretstorage.dbus_init()).lock()
        answer["state"] = state()
        answer["got"] = keys.get() is not None
        answer["save"] = kind(keys.save, key, KeyPlace.KEYRING)
        answer["forget"] = kind(keys.forget)
        keys.save(key, KeyPlace.FILE)
        answer["file"] = keys.get()[1].value
        """,
        before=UNLOCK,
    )

    locked = Problem.STORE_LOCKED.value
    assert answer["state"] == [False, False, "Secret Service", locked]
    assert answer["got"] is False
    assert answer["save"] == locked
    assert answer["forget"] == locked
    assert answer["file"] == "file"
    assert answer["seconds"] < 15


def test_a_prompt_that_is_dismissed_is_a_store_that_is_locked(ask: Ask) -> None:
    # It is locked in the moment between our question and the backend's: then the store asks its user, and nobody is
    # there, so that it gives the answer for them.
    answer = ask(
        """
        keys.save(key, KeyPlace.KEYRING)
        import secretstorage
        from wizard.host import keys as module
        secretstorage.get_default_collection(secretstorage.dbus_init()).lock()
        module._refuse_questions = lambda backend: None
        answer["state"] = state()
        answer["got"] = keys.get() is not None
        answer["save"] = kind(keys.save, key, KeyPlace.KEYRING)
        """,
        before=UNLOCK,
    )

    assert answer["state"][0] is False
    assert answer["state"][3] == answer["save"] == Problem.STORE_LOCKED.value
    assert answer["got"] is False
    assert answer["seconds"] < 15


def test_a_store_that_was_never_set_up_is_not_set_up_by_us(ask: Ask) -> None:
    # The bus starts the daemon by itself, and there is no collection: making one would ask for a new password.
    answer = ask(
        """
        answer["state"] = state()
        answer["save"] = kind(keys.save, key, KeyPlace.KEYRING)
        answer["got"] = keys.get() is not None
        """
    )

    assert answer["state"][:2] == [False, False]
    assert answer["state"][3] == answer["save"] == Problem.STORE_MISSING.value
    assert answer["got"] is False
    assert answer["seconds"] < 10


@pytest.mark.parametrize("env", [{}, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"}])
def test_without_a_session_bus_there_is_no_store(ask: Ask, env: dict[str, str]) -> None:
    answer = ask(
        """
        answer["state"] = state()
        answer["save"] = kind(keys.save, key, KeyPlace.KEYRING)
        answer["forgot"] = [place.value for place in keys.forget()]
        """,
        bus=False,
        env=env,
    )

    assert answer["state"] == [False, False, "", Problem.STORE_MISSING.value]
    assert answer["save"] == Problem.STORE_MISSING.value
    assert answer["forgot"] == []


def test_a_daemon_that_never_answers_costs_three_seconds_and_the_process_ends(ask: Ask) -> None:
    # The daemon is stopped in the middle (SIGSTOP): the bus is there, the name is owned, no answer ever comes.
    answer = ask(
        """
        keys.save(key, KeyPlace.KEYRING)
        import signal
        pids = [int(p) for p in subprocess.check_output(["pidof", "gnome-keyring-daemon"], text=True).split()]
        def ours(pid):
            with open(f"/proc/{pid}/environ", "rb") as file:
                return os.environ["XDG_RUNTIME_DIR"].encode() in file.read()
        pids = [pid for pid in pids if ours(pid)]
        answer["daemons"] = len(pids)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        answer["got"] = keys.get() is not None
        answer["waited"] = time.monotonic() - begin
        answer["save"] = kind(keys.save, key, KeyPlace.KEYRING)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        """,
        before=UNLOCK,
    )

    assert answer["daemons"] == 1
    assert answer["got"] is False
    assert 2.5 < answer["waited"] < 5
    assert answer["save"] == Problem.STORE_FAILED.value
