"""Which container, which shell and which words, on a simulated machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wizard.demo.machine import build
from wizard.host.ports import Engine, ExecSession, Host
from wizard.host.terminal import SystemTerminal
from wizard.model.container import KEEP_ALIVE, LABEL, ContainerInfo, ContainerSpec
from wizard.model.engine import ExecResult
from wizard.model.errors import Problem, Trouble
from wizard.services import shell

IMAGE = "python:3.12-slim"


@pytest.fixture
def host() -> Host:
    return build("healthy")


def made(host: Host, name: str = "box", *, ours: bool = True, start: bool = True) -> str:
    labels = {LABEL: "1"} if ours else {}
    container_id = host.engine.create(ContainerSpec(name, IMAGE, KEEP_ALIVE, labels=labels))
    if start:
        host.engine.start(container_id)
    return container_id


def refused(host: Host, name: str = "box") -> Trouble:
    with pytest.raises(Trouble) as caught:
        shell.prepare(host, name, None, tty=True)
    return caught.value


class Changed:
    """The simulated engine, with some answers replaced."""

    def __init__(self, engine: Engine, **answers: Any) -> None:
        self._engine = engine
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return self._answers.get(name) or getattr(self._engine, name)


def changed(host: Host, **answers: Any) -> Host:
    return replace(host, engine=Changed(host.engine, **answers))


def in_state(host: Host, state: str) -> Host:
    """A machine whose containers are all in ``state``."""

    def container(name: str) -> ContainerInfo | None:
        found = host.engine.container(name)
        return found and replace(found, state=state)

    return changed(host, container=container)


def test_a_running_container_gets_a_bash(host: Host) -> None:
    container_id = made(host)
    plan = shell.prepare(host, "box", None, tty=True)
    assert (plan.container.id, plan.argv, plan.tty, plan.notes) == (container_id, ("bash",), True, ())
    assert plan.shown == ("docker", "exec", "-it", "box", "bash")


def test_a_command_is_taken_as_it_is(host: Host) -> None:
    made(host)
    plan = shell.prepare(host, "box", ("ls", "-l", "a b"), tty=False)
    assert plan.argv == ("ls", "-l", "a b")
    assert plan.shown == ("docker", "exec", "-i", "box", "ls", "-l", "a b")


def test_without_bash_it_is_sh_and_without_sh_it_is_nothing(host: Host) -> None:
    made(host)
    there = {"bash": 127, "sh": 0}

    def run_in(container_id: str, argv: tuple[str, ...], *, timeout: float = 30.0) -> ExecResult:
        return ExecResult(there[argv[0]])

    assert shell.prepare(changed(host, run_in=run_in), "box", None, tty=True).argv == ("sh",)
    there["sh"] = 126
    trouble = refused(changed(host, run_in=run_in))
    assert (trouble.kind, trouble.subject) == (Problem.NO_SHELL, IMAGE)


def test_our_container_that_has_stopped_is_started_and_that_is_said(host: Host) -> None:
    container_id = made(host)
    host.engine.stop(container_id)
    plan = shell.prepare(host, "box", None, tty=True)
    assert plan.container.running
    assert "box" in plan.notes[0]
    found = host.engine.container("box")
    assert found is not None
    assert found.running


def test_somebody_else_s_is_used_while_it_runs_and_never_started(host: Host) -> None:
    container_id = made(host, ours=False)
    assert shell.prepare(host, "box", None, tty=True).container.id == container_id
    host.engine.stop(container_id)
    trouble = refused(host)
    assert (trouble.kind, trouble.subject) == (Problem.CONTAINER_NOT_RUNNING, "box")
    assert "docker start box" in trouble.hint
    found = host.engine.container("box")
    assert found is not None
    assert not found.running


@pytest.mark.parametrize(("state", "hint"), [("paused", "docker unpause box"), ("restarting", "docker logs box")])
def test_states_in_which_docker_runs_nothing(host: Host, state: str, hint: str) -> None:
    made(host)
    trouble = refused(in_state(host, state))
    assert trouble.kind is Problem.CONTAINER_NOT_RUNNING
    assert hint in trouble.hint
    assert state in trouble.evidence[0].text


def test_a_container_that_is_not_there(host: Host) -> None:
    trouble = refused(host)
    assert (trouble.kind, trouble.subject, trouble.hint) == (Problem.CONTAINER_MISSING, "box", "")
    made(host, "other")
    made(host, "another", start=False)
    made(host, "foreign", ours=False)
    assert refused(host).hint.endswith(": another, other.")


@pytest.mark.parametrize("name", ["", "a b", "../info", "-rm"])
def test_what_is_no_name(host: Host, name: str) -> None:
    assert refused(host, name).kind is Problem.NAME_INVALID


@pytest.mark.parametrize("machine", ["no-docker", "docker-stopped", "no-permission"])
def test_without_docker_its_own_trouble_comes_through(machine: str) -> None:
    assert refused(build(machine)).kind.value.startswith("engine-")


# --- opening -----------------------------------------------------------------------------------------------------


class Recorded:
    """A terminal whose session ends at once, with ``code`` or with ``trouble``."""

    def __init__(self, code: int = 0, trouble: Trouble | None = None, meanwhile: Any = None) -> None:
        self.code, self.trouble, self.meanwhile = code, trouble, meanwhile

    def is_interactive(self) -> bool:
        return True

    def size(self) -> tuple[int, int]:
        return 111, 33

    def run(self, argv: tuple[str, ...]) -> int:
        raise AssertionError(argv)

    def attach(self, session: ExecSession) -> int:
        if self.meanwhile:
            self.meanwhile()
        if self.trouble:
            raise self.trouble
        return self.code


def opened(host: Host, terminal: Recorded, tty: bool = True) -> int:
    host = replace(host, terminal=terminal)
    return shell.open(host, shell.prepare(host, "box", None, tty=tty))


@pytest.mark.parametrize("code", [0, 7, 126, 127, 130, 137])
def test_the_exit_code_is_kept(host: Host, code: int) -> None:
    made(host)
    assert opened(host, Recorded(code)) == code


@pytest.mark.parametrize(
    "terminal", [{"code": 137}, {"trouble": Trouble(Problem.ENGINE_LOST)}], ids=["killed", "connection lost"]
)
def test_a_container_that_stopped_or_went_meanwhile_is_named(host: Host, terminal: dict[str, Any]) -> None:
    container_id = made(host)
    with pytest.raises(Trouble) as caught:
        opened(host, Recorded(**terminal, meanwhile=lambda: host.engine.stop(container_id)))
    assert (caught.value.kind, caught.value.subject) == (Problem.CONTAINER_NOT_RUNNING, "box")
    assert "while you were in it" in caught.value.hint
    with pytest.raises(Trouble) as caught:
        opened(host, Recorded(**terminal, meanwhile=lambda: host.engine.remove(container_id, force=True)))
    assert caught.value.kind is Problem.CONTAINER_MISSING


def test_a_connection_that_is_lost_while_the_container_runs_on(host: Host) -> None:
    made(host)
    with pytest.raises(Trouble) as caught:
        opened(host, Recorded(trouble=Trouble(Problem.ENGINE_LOST)))
    assert caught.value.kind is Problem.ENGINE_LOST


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, {"TERM": "xterm-256color", "COLORTERM": "truecolor"}),
        ({"TERM": "xterm-kitty"}, {"TERM": "xterm-256color"}),
        ({"TERM": "tmux-256color"}, {"TERM": "screen-256color"}),
        ({"TERM": "dumb"}, {"TERM": "dumb"}),
        ({}, {"TERM": "xterm-256color"}),
    ],
    ids=str,
)
def test_what_the_command_is_told_about_the_terminal(host: Host, environ: dict[str, str], told: dict[str, str]) -> None:
    made(host)
    seen: dict[str, Any] = {}

    def open_exec(*args: Any, **more: Any) -> ExecSession:
        seen.update(more)
        return host.engine.open_exec(*args, **more)

    there = replace(changed(host, open_exec=open_exec), environ={**environ, "NGC_API_KEY": "canary", "PS1": "x"})
    opened(there, Recorded())
    assert seen == {"tty": True, "size": (111, 33), "env": {"LANG": "C.UTF-8", **told}}
    opened(there, Recorded(), tty=False)
    assert seen == {"tty": False, "size": None, "env": {"LANG": "C.UTF-8"}}


def test_one_command_through_real_streams(host: Host, tmp_path: Path) -> None:
    made(host)
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as one, err.open("wb") as two, open(os.devnull, "rb") as nothing:
        there = replace(host, terminal=SystemTerminal(nothing.fileno(), one.fileno(), two.fileno()))
        plan = shell.prepare(there, "box", ("sh", "-c", "echo a; echo b >&2; exit 3"), tty=False)
        assert shell.open(there, plan) == 3
    assert (out.read_bytes(), err.read_bytes()) == (b"a\n", b"b\n")
