"""The checks of Docker: what is wrong is told apart."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.services.checks.machines import Instead, find, trouble, with_engine
from wizard.demo import machine
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Finding, Status
from wizard.model.machine import CommandResult, EngineKind, FileContent
from wizard.services import checkup

CONFIG = "/etc/docker/daemon.json"


def says(stdout: str, code: int = 0) -> CommandResult:
    return CommandResult((), code, stdout)


def running(kind: Problem, **commands: CommandResult | Trouble) -> Finding:
    """What the check of the service finds when a ping fails and the programs answer as given."""

    def run(argv: tuple[str, ...], **options: Any) -> CommandResult | Trouble:
        name = argv[0] if argv[-1] != "docker.socket" else "socket"
        return commands.get(name, trouble(Problem.COMMAND_MISSING))

    host = with_engine(ping=trouble(kind, "the engine's words"))
    return find(replace(host, commands=Instead(host.commands, run=run)), "docker.running")


def test_a_service_that_is_stopped() -> None:
    found = running(Problem.ENGINE_REFUSED, systemctl=says("inactive\n", 3))
    assert found.status is Status.ERROR
    assert "not running" in found.summary
    assert "sudo systemctl start docker" in found.detail
    assert [item.text for item in found.evidence] == ["the engine's words", "inactive"]


def test_a_service_that_is_not_there_and_one_that_failed() -> None:
    assert "socket is not there" in running(Problem.ENGINE_MISSING, systemctl=says("inactive\n", 3)).summary
    assert "socket is not there" in running(Problem.ENGINE_MISSING).summary
    failed = running(Problem.ENGINE_REFUSED, systemctl=says("failed\n", 3))
    assert "could not start" in failed.summary
    assert "journalctl" in failed.detail


def test_a_service_that_listens_elsewhere() -> None:
    found = running(Problem.ENGINE_MISSING, systemctl=says("active\n"))
    assert "not at the address" in found.summary
    assert "DOCKER_HOST" in found.detail


def test_being_refused_at_the_socket_does_not_prove_that_it_runs() -> None:
    refused = Problem.ENGINE_PERMISSION
    assert running(refused, systemctl=says("active\n")).status is Status.OK
    assert running(refused, systemctl=says("inactive\n", 3), socket=says("active\n")).status is Status.OK
    assert running(refused, pgrep=says("812\n")).status is Status.OK
    stopped = running(refused, systemctl=says("inactive\n", 3), socket=says("inactive\n", 3), pgrep=says("", 1))
    assert stopped.status is Status.ERROR
    assert "not running" in stopped.summary
    unseen = running(refused)
    assert unseen.status is Status.WARNING, "nobody could look, so nothing is claimed"
    assert unseen.passed


def test_an_address_that_is_none() -> None:
    host = with_engine(endpoint=trouble(Problem.ENGINE_ADDRESS, "no host given"))
    assert find(host, "docker.running").status is Status.ERROR
    assert find(host, "docker.running").facts["problem"] == "engine-address"


@pytest.fixture
def address() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="s2s-") as name:
        yield Path(name, "docker.sock")


def of_this_machine(url: str) -> Host:
    return real.build({**os.environ, "DOCKER_HOST": url})


def test_a_real_service_that_hangs_costs_five_seconds_and_is_named(address: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(64)
        host = of_this_machine(f"unix://{address}")
        began = time.monotonic()
        findings = {finding.id: finding for finding in checkup.run(host)}
        took = time.monotonic() - began
        host.engine.close()
    assert took < 8, "the probes run side by side"
    assert findings["docker.running"].status is Status.ERROR
    assert "hangs" in findings["docker.running"].summary
    assert findings["docker.access"].blocked_by == "docker.running"
    assert findings["runtime.registered"].status is Status.SKIPPED
    assert findings["disk.space"].status is not Status.UNKNOWN


@pytest.mark.parametrize("left", [True, False])
def test_a_real_socket_with_nobody_behind_it(address: Path, left: bool) -> None:
    if left:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
    found = find(of_this_machine(f"unix://{address}"), "docker.running")
    assert found.status is Status.ERROR
    assert found.facts["problem"] == ("engine-refused" if left else "engine-missing")


# --- access and kind ---------------------------------------------------------------------------------------------


def access(groups: tuple[str, ...], on_file: tuple[str, ...]) -> Finding:
    host = with_engine(ping=trouble(Problem.ENGINE_PERMISSION, "permission denied"))
    info = replace(host.info, groups=groups, groups_on_file=on_file)
    return find(replace(host, info=info), "docker.access")


def test_access_tells_a_missing_group_from_an_old_login() -> None:
    missing = access(("mei",), ("mei",))
    assert "not in the group docker" in missing.summary
    assert "sudo usermod -aG docker mei" in missing.detail
    assert missing.facts["login_again"] is False
    old = access(("mei",), ("mei", "docker"))
    assert "log in again" in old.detail
    assert old.facts["login_again"] is True
    other = access(("mei", "docker"), ("mei", "docker"))
    assert "does not let this group in" in other.summary


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        (EngineKind.ENGINE, Status.OK, "Docker Engine 26.1.3"),
        (EngineKind.ROOTLESS, Status.INFO, "rootless"),
        (EngineKind.SNAP, Status.WARNING, "snap"),
        (EngineKind.DESKTOP, Status.WARNING, "Docker Desktop"),
        (EngineKind.PODMAN, Status.WARNING, "Podman"),
        (EngineKind.REMOTE, Status.WARNING, "another machine"),
    ],
)
def test_the_docker_that_answers_is_named(kind: EngineKind, status: Status, words: str) -> None:
    info = replace(machine.build("healthy").engine.info(), kind=kind)
    found = find(with_engine(info=info), "docker.engine")
    assert (found.status, words in found.summary) == (status, True)


def test_a_docker_without_gpus_is_old() -> None:
    info = replace(machine.build("healthy").engine.info(), version="18.09.7")
    found = find(with_engine(info=info), "docker.engine")
    assert found.status is Status.WARNING
    assert "19.03" in found.detail


def test_docker_elsewhere_needs_no_docker_here(address: Path) -> None:
    host = machine.build("no-docker")
    assert find(host, "docker.installed").status is Status.ERROR
    endpoint = replace(host.engine.endpoint(), url="tcp://10.0.0.7:2376", source="DOCKER_HOST")
    elsewhere = replace(host, engine=Instead(host.engine, endpoint=endpoint))
    assert find(elsewhere, "docker.installed").status is Status.OK


# --- the settings file -------------------------------------------------------------------------------------------


def config(data: bytes | Trouble | None) -> Finding:
    host = machine.build("healthy")
    content = FileContent(CONFIG, CONFIG, data, 0o644, 0, 0) if isinstance(data, bytes) else data
    return find(replace(host, files=Instead(host.files, read=content)), "docker.config")


def test_a_settings_file_in_every_state() -> None:
    assert config(None).status is Status.OK
    assert config(b'{"debug": true}').status is Status.OK
    assert config(b" \n").status is Status.WARNING
    broken = config(b'{\n  "debug": true,\n}')
    assert broken.status is Status.ERROR
    assert "Line 3, column 1" in broken.summary
    assert any("^" in item.text for item in broken.evidence), "the place is shown"
    twice = config(b'{"labels": [], "labels": []}')
    assert "twice" in twice.summary
    double = config(b'{"hosts": ["unix:///x"]}')
    assert (double.status, "hosts" in double.summary) == (Status.WARNING, True)
    unreadable = config(trouble(Problem.FILE_PERMISSION, "Permission denied"))
    assert unreadable.status is Status.INFO


def test_the_file_of_another_daemon_is_not_looked_at() -> None:
    host = with_engine(info=replace(machine.build("healthy").engine.info(), kind=EngineKind.REMOTE), daemon=None)
    assert find(host, "docker.config").status is Status.INFO
