"""The founding story on a real Docker Engine: from "Unknown runtime specified nvidia" to a container and back."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.container import ContainerSpec
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.fix import Fix, ReplaceFile, RunCommand
from wizard.model.machine import CommandResult
from wizard.model.receipt import CommandRun, FileChange
from wizard.model.step import StepState
from wizard.services import checkup, repairs
from wizard.services.repairs import proof

pytestmark = pytest.mark.real

FIX = "register-runtime"
CONFIG = '{\n  "log-opts": {"max-size": "10m"},\n  "shutdown-timeout": 3\n}'
"""Two spaces, one object on one line, no line end at the end: none of it may change."""

Engines = Callable[..., PrivateEngine]


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime that does its work through runc and notes every call; found in PATH as NVIDIA's is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-container-runtime"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec runc "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return program


@pytest.fixture
def machine(fresh_engine: Engines, toolkit: Path) -> Iterator[Callable[..., tuple[Host, PrivateEngine]]]:
    """Starts an engine of its own and gives the real host that talks to it."""
    hosts: list[Host] = []

    def make(config: str = CONFIG, *options: str) -> tuple[Host, PrivateEngine]:
        engine = fresh_engine(config, *options)
        hosts.append(real.build(engine.environ))
        return hosts[-1], engine

    yield make
    for host in hosts:
        host.engine.close()


Machine = Callable[..., tuple[Host, PrivateEngine]]


def planned(host: Host) -> Fix:
    fix = repairs.plan(host, FIX)
    assert fix is not None
    return fix


def kind_of(call: Callable[[], object]) -> Problem:
    with pytest.raises(Trouble) as caught:
        call()
    return caught.value.kind


def spec(name: str, *command: str, runtime: str | None = None) -> ContainerSpec:
    return ContainerSpec(name, images.BUSYBOX, command, runtime=runtime, memlock=False)


def test_from_the_error_to_a_container_under_the_runtime_and_back(machine: Machine, tmp_path: Path) -> None:
    host, engine = machine()
    images.load(engine.url)
    before = engine.config_file.read_bytes()
    neighbour = host.engine.create(spec("neighbour", "sleep", "600"))
    host.engine.start(neighbour)
    client = engine.client()
    try:
        was = client.inspect_container(neighbour)["State"]
        assert kind_of(lambda: host.engine.create(spec("ours", "true", runtime="nvidia"))) is Problem.RUNTIME_UNKNOWN

        findings = checkup.run(host, ["runtime.registered"])
        assert [finding.status.value for finding in findings] == ["error"]
        assert repairs.offered(findings) == (FIX,)
        fix = planned(host)
        assert fix.touches == ("neighbour",)
        shown = repairs.preview(host, fix)
        assert [part.kind for part in shown] == ["diff", "command"]
        assert '+    "nvidia": {' in shown[0].text
        assert shown[1].text == f"kill -HUP {engine.pid}"
        assert engine.config_file.read_bytes() == before, "looking changes nothing"

        receipt = repairs.apply(host, fix)
        assert receipt.state is StepState.DONE, receipt.reason
        assert repairs.receipts(host) == (receipt,)
        assert host.engine.info().runtimes["nvidia"].endswith("/bin/nvidia-container-runtime")
        assert json.loads(engine.config_file.read_text())["shutdown-timeout"] == 3

        ours = host.engine.create(spec("ours", "sh", "-c", "exit 7", runtime="nvidia"))
        host.engine.start(ours)
        assert client.wait(ours)["StatusCode"] == 7
        assert "create" in (tmp_path / "calls").read_text(), "the container was started by our runtime"
        now = client.inspect_container(neighbour)["State"]
        assert (now["Pid"], now["StartedAt"]) == (was["Pid"], was["StartedAt"]), "the neighbour was not touched"

        done = engine.config_file.read_bytes()
        assert repairs.plan(host, FIX) is None
        assert repairs.apply(host, fix).state is StepState.ALREADY
        assert engine.config_file.read_bytes() == done
        assert len(repairs.receipts(host)) == 1

        undone = repairs.undo(host)
        assert undone.state is StepState.UNDONE
        assert engine.config_file.read_bytes() == before
        assert "nvidia" in host.engine.info().runtimes, "a reload never removes a runtime"
        assert "until its next restart" in undone.reason
        assert "neighbour" in undone.reason
        assert client.inspect_container(neighbour)["State"]["Pid"] == was["Pid"]
        assert repairs.undo(host, undone.id) == undone, "once is enough"
        assert kind_of(lambda: repairs.undo(host)) is Problem.BAD_INPUT
        assert planned(host), "undone, it can be done again, although Docker still has it in memory"
    finally:
        client.close()


def test_one_engine_through_all_that_a_settings_file_can_be(machine: Machine, tmp_path: Path, toolkit: Path) -> None:
    """One engine serves all these cases, because none of them may change what it knows."""
    host, engine = machine()
    file = engine.config_file

    for text, place in (
        ('{"debug": false,}', "Line 1, column 17"),
        ('{\n  "labels": [],\n  "labels": []\n}', "Line 3, column 3"),
        ('{"runtimes": null}', "Line 1, column 14"),
    ):
        file.write_text(text)
        with pytest.raises(Trouble) as caught:
            repairs.plan(host, FIX)
        assert caught.value.kind is Problem.BAD_INPUT
        assert place in caught.value.text
        assert file.read_text() == text

    file.write_text('{"hosts": ["unix:///tmp/other.sock"]}')
    with pytest.raises(Trouble) as caught:
        repairs.plan(host, FIX)
    assert "hosts" in caught.value.text, "Docker would refuse the reload and the next start"

    file.write_text(CONFIG)
    fix = planned(host)
    file.write_text('{"debug": true}')
    with pytest.raises(Trouble) as caught:
        repairs.apply(host, fix)
    assert caught.value.kind is Problem.FILE_CHANGED
    assert '+{"debug": true}' in caught.value.evidence[0].text
    assert file.read_text() == '{"debug": true}'

    assert repairs.receipts(host) == (), "nothing was done, so nothing is remembered"
    assert "nvidia" not in host.engine.info().runtimes


def test_a_link_is_kept_with_mode_and_owner(machine: Machine, tmp_path: Path) -> None:
    host, engine = machine()
    target = tmp_path / "kept" / "docker.json"
    target.parent.mkdir()
    target.write_text(CONFIG)
    target.chmod(0o640)
    os.chown(target, 1234, 4321)
    engine.config_file.unlink()
    engine.config_file.symlink_to(target)

    assert repairs.apply(host, planned(host)).state is StepState.DONE
    assert engine.config_file.is_symlink()
    found = target.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, 1234, 4321)
    assert [item.name for item in target.parent.iterdir()] == ["docker.json"], "nothing is left lying about"

    assert repairs.undo(host).state is StepState.UNDONE
    assert target.read_text() == CONFIG
    assert (stat.S_IMODE(target.stat().st_mode), target.stat().st_uid) == (0o640, 1234)
    assert engine.config_file.is_symlink()


def test_a_missing_file_and_folder_are_made_and_the_file_is_removed_by_undo(machine: Machine, tmp_path: Path) -> None:
    host, engine = machine()
    engine.config_file.unlink()
    gone = tmp_path / "not" / "yet" / "there.json"
    engine.config_file.symlink_to(gone)

    fix = planned(host)
    assert isinstance(fix.actions[0], ReplaceFile)
    assert fix.actions[0].before is None
    assert repairs.preview(host, fix)[0].text.startswith("--- /dev/null")
    assert repairs.apply(host, fix).state is StepState.DONE
    assert stat.S_IMODE(gone.stat().st_mode) == 0o644
    assert repairs.undo(host).state is StepState.UNDONE
    assert not gone.exists()


class Spoiled:
    """Real commands of which one kind fails, as they do on a machine in trouble."""

    def __init__(self, host: Host, spoil: Callable[[tuple[str, ...]], CommandResult | None]) -> None:
        self._real = host.commands
        self._spoil = spoil

    def which(self, name: str) -> str | None:
        return self._real.which(name)

    def run(self, argv: tuple[str, ...], **options: object) -> CommandResult:
        spoiled = self._spoil(argv)
        return spoiled if spoiled is not None else self._real.run(argv, **options)  # type: ignore[arg-type]


def test_a_failed_or_ignored_reload_puts_the_file_back(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "VERIFY_SECONDS", 0.5)
    host, engine = machine()
    fix = planned(host)

    def refuse(argv: tuple[str, ...]) -> CommandResult | None:
        return CommandResult(argv, 1, "", "kill: operation not permitted") if argv[0] == "kill" else None

    failed = repairs.apply(replace(host, commands=Spoiled(host, refuse)), fix)
    assert failed.state is StepState.FAILED
    assert engine.config_file.read_text() == CONFIG
    assert not any(isinstance(item, FileChange) for item in failed.done)
    assert repairs.receipts(host) == (failed,)

    def swallow(argv: tuple[str, ...]) -> CommandResult | None:
        return CommandResult(argv, 0) if argv[0] == "kill" else None

    failed = repairs.apply(replace(host, commands=Spoiled(host, swallow)), fix)
    assert failed.state is StepState.FAILED
    assert "check did not pass" in failed.reason
    assert "Everything is as it was before" in failed.reason
    assert engine.config_file.read_text() == CONFIG
    assert kind_of(lambda: repairs.undo(host)) is Problem.BAD_INPUT, "there is nothing left to take back"

    assert repairs.apply(host, fix).state is StepState.DONE, "and it can be tried again"


def test_a_kill_between_the_actions_leaves_a_receipt_that_tells_the_truth(machine: Machine) -> None:
    class Killed(BaseException):
        pass

    def kill(argv: tuple[str, ...]) -> CommandResult | None:
        if argv[0] == "kill":
            raise Killed
        return None

    host, engine = machine()
    with pytest.raises(Killed):
        repairs.apply(replace(host, commands=Spoiled(host, kill)), planned(host))
    (receipt,) = repairs.receipts(host)
    assert receipt.state is StepState.PLANNED
    assert "interrupted" in receipt.reason
    change, begun = receipt.done
    assert isinstance(change, FileChange)
    assert isinstance(begun, CommandRun)
    assert begun.returncode is None, "begun, and nobody knows how far it has come"
    assert change.before == CONFIG.encode()
    assert engine.config_file.read_bytes() == change.after

    # Started again, the way forward is a reload alone, and the way back is still open.
    (action,) = planned(host).actions
    assert isinstance(action, RunCommand)
    assert repairs.undo(host).state is StepState.UNDONE
    assert engine.config_file.read_text() == CONFIG


def test_cancel_puts_everything_back(machine: Machine) -> None:
    host, engine = machine()
    cancel = Cancel()

    def after_the_file(argv: tuple[str, ...]) -> CommandResult | None:
        if argv[0] != "kill":
            return None
        cancel.set()
        return CommandResult(argv, 0)

    spoiled = replace(host, commands=Spoiled(host, after_the_file))
    fix = planned(host)
    assert kind_of(lambda: repairs.apply(spoiled, fix, cancel=cancel)) is Problem.CANCELLED
    assert engine.config_file.read_text() == CONFIG
    assert [receipt.state for receipt in repairs.receipts(host)] == [StepState.FAILED]


def test_a_file_that_has_it_already_only_has_to_be_read_again(machine: Machine, toolkit: Path) -> None:
    host, engine = machine()
    engine.config_file.write_text(json.dumps({"runtimes": {"nvidia": {"path": str(toolkit), "runtimeArgs": []}}}))
    fix = planned(host)
    assert [type(action) for action in fix.actions] == [RunCommand]
    receipt = repairs.apply(host, fix)
    assert receipt.state is StepState.DONE
    assert receipt.done == (CommandRun(("kill", "-HUP", str(engine.pid)), True, 0),)


def test_a_broken_path_is_mended_and_arguments_are_kept(machine: Machine, toolkit: Path) -> None:
    entry = {"path": "/nowhere/runtime", "runtimeArgs": ["--debug"]}
    host, engine = machine(json.dumps({"runtimes": {"nvidia": entry}}))
    assert checkup.run(host, ["runtime.registered"])[0].fixes == (FIX,)
    assert repairs.apply(host, planned(host)).state is StepState.DONE
    kept = json.loads(engine.config_file.read_text())["runtimes"]["nvidia"]
    assert kept == {"path": str(toolkit), "runtimeArgs": ["--debug"]}


def test_runtimes_given_as_flags_are_not_forgotten(machine: Machine, toolkit: Path) -> None:
    host, _engine = machine(CONFIG, f"--add-runtime=other={toolkit}")
    assert "other" in host.engine.info().runtimes
    fix = planned(host)
    assert "other" in fix.why
    assert repairs.apply(host, fix).state is StepState.DONE
    assert {"other", "nvidia"} <= set(host.engine.info().runtimes)


def test_undo_refuses_a_file_that_somebody_has_changed_since(machine: Machine) -> None:
    host, engine = machine()
    receipt = repairs.apply(host, planned(host))
    changed = engine.config_file.read_text().replace("10m", "50m")
    engine.config_file.write_text(changed)
    with pytest.raises(Trouble) as caught:
        repairs.undo(host, receipt.id)
    assert caught.value.kind is Problem.FILE_CHANGED
    assert "50m" in caught.value.evidence[0].text
    assert engine.config_file.read_text() == changed
    assert repairs.receipts(host) == (receipt,)


def test_without_the_toolkit_the_plan_says_what_is_missing(machine: Machine, toolkit: Path) -> None:
    host, _engine = machine()
    toolkit.unlink()
    with pytest.raises(Trouble) as caught:
        repairs.plan(host, FIX)
    assert (caught.value.kind, caught.value.subject) == (Problem.COMMAND_MISSING, "nvidia-container-runtime")
