"""Docker is never worse off than before, on a real engine that is really restarted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import images, service
from tests.support.engine import PrivateEngine
from tests.support.lab import LabHost
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.container import ContainerSpec
from wizard.model.errors import Problem, Trouble
from wizard.model.fix import Fix, ReplaceFile, Risk
from wizard.model.step import StepState
from wizard.services import fixes, repairs
from wizard.services.checks import docker_running
from wizard.services.fixes import docker_service, docker_start
from wizard.services.fixes.repair import Repair
from wizard.services.repairs import choose, proof, undoing

pytestmark = pytest.mark.real

CONFIG = '{\n  "log-opts": {"max-size": "10m"},\n  "shutdown-timeout": 3\n}'
GHOST = '{\n  "default-runtime": "ghost"\n}\n'


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with a runtime that is called as NVIDIA's is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-container-runtime"
    program.write_text('#!/bin/sh\nexec runc "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def machine(fresh_engine: Callable[..., PrivateEngine], toolkit: Path) -> Iterator[tuple[Host, PrivateEngine]]:
    """A host whose Docker is a private engine that ``service docker`` restarts."""
    engine = fresh_engine(CONFIG)
    service.install(engine, toolkit)
    host = service.looked_after(real.build(engine.environ), str(engine.folder))
    yield host, engine
    host.engine.close()


def calls(engine: PrivateEngine) -> list[str]:
    log = engine.folder / "service-calls"
    return log.read_text().splitlines() if log.exists() else []


def planned(host: Host, id: str) -> Fix:
    fix = repairs.plan(host, id)
    assert fix is not None
    return fix


def daemon_pid(host: Host) -> int:
    daemon = host.engine.daemon()
    assert daemon is not None
    return daemon.pid


def invent(monkeypatch: pytest.MonkeyPatch, id: str, change: Callable[[bytes], bytes], file: Path) -> Repair:
    """A repair that gives ``file`` another content and restarts Docker."""

    def plan(host: Host) -> Fix | None:
        before = file.read_bytes()
        if change(before) == before:
            return None
        return Fix(
            id=id,
            title=id,
            why="",
            actions=(ReplaceFile(str(file), before, change(before)),),
            check=docker_running.CHECK.id,
            risk=Risk.RESTART,
            closing=docker_service.restart(host),
        )

    repair = Repair(id=id, plan=plan, take_effect=docker_service.restart)
    every = (*fixes.ALL, repair)
    for module in (choose, proof, undoing, fixes):
        monkeypatch.setattr(module, "ALL", every)
    return repair


def test_live_restore_by_a_signal_protects_the_very_next_restart(machine: tuple[Host, PrivateEngine]) -> None:
    host, engine = machine
    images.load(engine.url)
    container = host.engine.create(ContainerSpec("training", images.BUSYBOX, ("sleep", "600"), memlock=False))
    host.engine.start(container)
    client = engine.client()
    try:
        was = client.inspect_container(container)["State"]["Pid"]
        before = daemon_pid(host)
        assert repairs.stopped(host) == ("training",)
        fix = repairs.protection(host)
        assert fix is not None
        assert repairs.apply(host, fix).state is StepState.DONE
        assert json.loads(engine.config_file.read_text())["live-restore"] is True
        assert engine.config_file.read_text().startswith('{\n  "log-opts": {"max-size": "10m"},\n')
        assert (repairs.stopped(host), repairs.protection(host)) == ((), None)

        restart = planned(host, "restart-docker")
        assert restart.touches == ()
        assert repairs.apply(host, restart).state is StepState.DONE
        assert calls(engine) == ["docker restart"]
        assert daemon_pid(host) != before, "it was really another Docker"
        state = client.inspect_container(container)["State"]
        assert (state["Running"], state["Pid"]) == (True, was)
    finally:
        client.close()

    done = repairs.receipts(host)[0]
    undone = repairs.undo(host, done.id)
    assert (undone.state, engine.config_file.read_text()) == (StepState.UNDONE, CONFIG)
    assert "until its next restart" in undone.reason


def test_a_restart_that_would_fail_is_not_made(
    machine: tuple[Host, PrivateEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, engine = machine
    invent(monkeypatch, "spoil", lambda _before: GHOST.encode(), engine.config_file)
    before = daemon_pid(host)
    receipt = repairs.apply(host, planned(host, "spoil"))
    assert receipt.state is StepState.FAILED
    assert "ghost" in receipt.reason
    assert engine.config_file.read_text() == CONFIG
    assert (calls(engine), daemon_pid(host)) == ([], before)


def test_a_docker_that_does_not_come_back_gets_its_old_files_and_is_started(
    machine: tuple[Host, PrivateEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge is taken away: this is the second net, below it."""
    host, engine = machine
    monkeypatch.setattr(docker_start, "refuse", lambda *_args, **_options: None)
    invent(monkeypatch, "harmless", lambda before: before.replace(b'10m"', b'20m"'), engine.config_file)
    invent(monkeypatch, "spoil", lambda _before: GHOST.encode(), engine.config_file)
    first = repairs.apply(host, planned(host, "harmless"), defer=True)
    second = repairs.apply(host, planned(host, "spoil"), defer=True)
    assert [item.state for item in (first, second)] == [StepState.NOT_VERIFIED] * 2
    assert repairs.pending(host) == (first, second)

    failed = repairs.settle(host, (first, second))
    assert [item.state for item in failed] == [StepState.FAILED] * 2
    assert all("ghost" in item.reason for item in failed), failed[0].reason
    assert "Docker runs" in failed[0].reason
    assert engine.config_file.read_text() == CONFIG
    host.engine.ping()
    assert calls(engine) == ["docker restart", "docker start"]
    assert repairs.pending(host) == ()


def test_several_repairs_share_one_restart_and_each_can_be_taken_back(
    machine: tuple[Host, PrivateEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, engine = machine
    invent(monkeypatch, "larger", lambda before: before.replace(b'10m"', b'20m"'), engine.config_file)
    invent(monkeypatch, "slower", lambda before: before.replace(b": 3", b": 4"), engine.config_file)
    made = tuple(repairs.apply(host, planned(host, name), defer=True) for name in ("larger", "slower"))
    assert calls(engine) == []
    assert [item.state for item in repairs.settle(host, made)] == [StepState.DONE] * 2
    assert calls(engine) == ["docker restart"]

    with pytest.raises(Trouble) as caught:
        repairs.undo(host, made[0].id)
    assert caught.value.kind is Problem.FILE_CHANGED
    assert made[1].id in caught.value.hint, "a later repair stands on it"
    assert repairs.undo(host, made[1].id).state is StepState.UNDONE
    assert repairs.undo(host, made[0].id).state is StepState.UNDONE
    assert engine.config_file.read_text() == CONFIG
    assert calls(engine) == ["docker restart"] * 3


def test_undo_does_not_take_docker_down_with_an_old_file_that_was_broken(
    machine: tuple[Host, PrivateEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, engine = machine
    engine.config_file.write_text(GHOST)
    invent(monkeypatch, "mend", lambda _before: CONFIG.encode(), engine.config_file)
    assert repairs.apply(host, planned(host, "mend")).state is StepState.DONE
    before = daemon_pid(host)
    undone = repairs.undo(host)
    assert (undone.state, engine.config_file.read_text()) == (StepState.UNDONE, GHOST)
    assert "was not restarted" in undone.reason
    assert daemon_pid(host) == before

    engine.config_file.write_text(GHOST)
    again = repairs.apply(host, planned(host, "mend"))
    monkeypatch.setattr(docker_start, "refuse", lambda *_args, **_options: None)
    kept = repairs.undo(host, again.id)
    assert kept.state is StepState.FAILED
    assert "ghost" in kept.reason
    assert engine.config_file.read_text() == CONFIG, "with the old file there would be no Docker"
    host.engine.ping()


def test_a_docker_that_was_stopped_is_started_and_stopped_again_by_undo(machine: tuple[Host, PrivateEngine]) -> None:
    host, engine = machine
    subprocess.run(["service", "docker", "stop"], check=True)
    with pytest.raises(Trouble):
        host.engine.ping()
    assert repairs.apply(host, planned(host, "start-docker")).state is StepState.DONE
    host.engine.ping()
    assert repairs.plan(host, "start-docker") is None
    assert repairs.undo(host).state is StepState.UNDONE
    with pytest.raises(Trouble):
        host.engine.ping()
    assert calls(engine) == ["docker stop", "docker start", "docker stop"]


# --- killed at any moment ----------------------------------------------------------------------------------------


def command_line(engine: PrivateEngine, step: int, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tests.support.service", str(step), str(engine.folder), *words]
    return subprocess.run(argv, env=engine.environ, capture_output=True, text=True, check=False)


def test_killed_after_any_step_of_a_repair_it_is_finished_or_taken_back(machine: tuple[Host, PrivateEngine]) -> None:
    """Steps: the file noted, replaced; the command noted, run, noted again; the receipt ended."""
    host, engine = machine
    stories: set[tuple[str, ...]] = set()
    step = 0
    while True:
        step += 1
        killed = command_line(engine, step, "fix", "register-runtime", "--yes")
        if killed.returncode == 0:
            break
        assert killed.returncode == -9, killed.stderr
        json.loads(engine.config_file.read_text())
        began = repairs.interrupted(host)
        receipt = repairs.receipts(host)[-1]
        assert (began is None) is (receipt.state is StepState.DONE)
        if began is not None:
            stories.add(tuple(line.partition(":")[0] for line in repairs.story(began)))
            if step % 2:  # finish it, then take it back
                fix = repairs.plan(host, "register-runtime")
                finished = repairs.confirm(host, "register-runtime") if fix is None else repairs.apply(host, fix)
                assert finished is not None
                assert (finished.id, finished.state) == (began.id, StepState.DONE), "under the same receipt"
                assert "nvidia" in json.loads(engine.config_file.read_text())["runtimes"]
        assert repairs.interrupted(host) is None or step % 2 == 0
        assert repairs.undo(host, receipt.id).state is StepState.UNDONE
        assert engine.config_file.read_text() == CONFIG
        assert repairs.interrupted(host) is None
        assert [item.name for item in engine.folder.iterdir() if item.name.startswith(".s2s-")] == []
    assert stories == {("changed",), ("changed", "begun, its end was not seen"), ("changed", "run")}
    assert repairs.undo(host).state is StepState.UNDONE


def test_killed_around_the_restart_the_next_start_goes_on(machine: tuple[Host, PrivateEngine]) -> None:
    host, engine = machine
    step = 0
    while (killed := command_line(engine, step := step + 1, "fix", "restart-docker", "--yes")).returncode != 0:
        assert killed.returncode == -9, killed.stderr
        told = command_line(engine, 0, "doctor", "--check", "docker.running", "--json")
        waiting = json.loads(told.stdout)["waiting"]
        if waiting:
            finished = command_line(engine, 0, "fix", "restart-docker", "--yes", "--json")
            assert finished.returncode == 0, finished.stderr
            states = {entry["receipt"]: entry["state"] for entry in json.loads(finished.stdout)["fixes"]}
            assert [states[name] for name in waiting] == ["done"] * len(waiting)
        assert repairs.pending(host) == ()
        host.engine.ping()
    assert step > 4


def test_what_a_power_cut_left_beside_the_file_is_swept_away(machine: tuple[Host, PrivateEngine]) -> None:
    host, engine = machine
    left = engine.folder / ".s2s-k3ep1t"
    left.write_text("half of a fi")
    assert repairs.apply(host, planned(host, "register-runtime")).state is StepState.DONE
    assert not left.exists()


def test_a_second_wizard_says_who_is_at_work(machine: tuple[Host, PrivateEngine]) -> None:
    host, engine = machine
    with host.store.lock():
        second = command_line(engine, 0, "fix", "register-runtime", "--yes", "--json")
        assert second.returncode == 3
        error = json.loads(second.stdout)["error"]
        assert (error["id"], str(os.getpid()) in error["summary"]) == ("busy", True)
        looking = command_line(engine, 0, "fix", "register-runtime", "--dry-run", "--json")
        assert looking.returncode == 0, "who only looks is not held up"
    assert engine.config_file.read_text() == CONFIG
    assert repairs.apply(host, planned(host, "register-runtime")).state is StepState.DONE


# --- a host with systemd -----------------------------------------------------------------------------------------


def test_sudo_s_ticket_serves_commands_that_ctrl_c_does_not_reach(lab_host: LabHost) -> None:
    """They run in a process group of their own, in the session of the terminal on which the password was typed."""
    lab_host.sh("usermod -aG docker sudopw")
    with lab_host.login("sudopw") as person:
        person.become_root("sudopw")
        made = person.run("s2s-wizard fix restart-docker register-runtime --yes")
        assert made.returncode == 0, made.said
        assert "done, and checked" in made.said
    assert [item["state"] for item in lab_host.receipts("sudopw")] == ["done", "done"]


def test_five_restarts_in_a_minute_do_not_meet_systemd_s_limit(lab_host: LabHost) -> None:
    for _number in range(5):
        assert lab_host.fix("restart-docker").returncode == 0
    assert lab_host.sh("systemctl is-active docker docker.socket").split() == ["active", "active"]
