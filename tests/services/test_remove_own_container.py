"""The wizard's own containers that never worked: found, removed, and nothing else ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wizard.demo import machine, spec
from wizard.host.ports import Host
from wizard.model.container import LABEL, ContainerInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Status
from wizard.model.fix import Risk, RunCommand
from wizard.model.step import StepState
from wizard.services import checkup, own_containers, repairs
from wizard.services.fixes import remove_own_container

RLIMIT = "OCI runtime create failed: error setting rlimit type 8: operation not permitted: unknown"


def container(**changes: Any) -> ContainerInfo:
    usual = ContainerInfo("f" * 64, "wiz", "python:3.12-slim", "sha256:1", "created", labels={LABEL: "1"})
    return replace(usual, **changes)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, True),
        ({"error": RLIMIT}, True),
        ({"state": "dead"}, True),
        ({"state": "exited", "error": RLIMIT}, True),
        ({"state": "exited"}, False),
        ({"state": "exited", "exit_code": 137}, False),
        ({"state": "exited", "error": "unknown or invalid runtime name: nvidia"}, False),
        ({"state": "exited", "error": "something that nobody knows"}, False),
        ({"state": "removing"}, False),
        ({"state": "running"}, False),
        ({"state": "running", "error": RLIMIT}, False),
        ({"state": "paused"}, False),
        ({"state": "restarting"}, False),
        ({"labels": {}}, False),
        ({"labels": {"s2s-wizard.image": "x"}}, False),
        ({"labels": {}, "state": "dead"}, False),
    ],
)
def test_which_containers_may_be_removed(changes: dict[str, Any], broken: bool) -> None:
    assert own_containers.is_broken(container(**changes)) is broken


def with_containers(text: str) -> Host:
    raw = spec.parse(f'extends = "healthy"\n{text}', "test")
    return machine.assemble(raw)


OURS = f"""
[containers.wiz]
image = "python:3.12-slim"
state = "created"
error = "{RLIMIT}"
labels = {{ "{LABEL}" = "1" }}

[containers.worked]
image = "python:3.12-slim"
state = "exited"
labels = {{ "{LABEL}" = "1" }}

[containers.foreign]
image = "python:3.12-slim"
state = "created"
"""


def test_found_previewed_removed_and_proved() -> None:
    host = with_containers(OURS)
    (found,) = checkup.run(host, ["container.own"])
    assert (found.status, found.fixes) == (Status.WARNING, (own_containers.FIX,))
    assert "wiz" in found.summary
    fix = repairs.plan(host, own_containers.FIX)
    assert fix is not None
    assert (fix.needs_root, fix.risk, fix.check) == (False, Risk.NONE, "container.own")
    assert [part.text for part in repairs.preview(host, fix)] == ["docker rm wiz"]
    assert "cannot be taken back" in fix.undo_note
    assert repairs.apply(host, fix).state is StepState.DONE
    assert {box.name for box in host.engine.containers(all=True)} == {"group-notebook", "worked", "foreign"}
    assert repairs.plan(host, own_containers.FIX) is None
    assert checkup.run(host, ["container.own"])[0].status is Status.OK


def test_one_that_is_started_in_the_meantime_stays() -> None:
    host = with_containers(OURS)
    fix = repairs.plan(host, own_containers.FIX)
    assert fix is not None
    there = host.engine.container("wiz")
    assert there is not None
    host.engine.start(there.id)
    assert repairs.apply(host, fix).state is StepState.ALREADY
    again = host.engine.container("wiz")
    assert again is not None
    assert again.running


def test_what_the_plan_runs_is_never_forced() -> None:
    fix = remove_own_container.build((container(), container(name="b", id="e" * 64)))
    assert fix is not None
    commands = [action.argv for action in fix.actions if isinstance(action, RunCommand)]
    assert commands == [("docker", "rm", "wiz"), ("docker", "rm", "b")]


def test_there_is_nothing_to_do_without_one() -> None:
    assert repairs.plan(machine.build("healthy"), own_containers.FIX) is None


def test_without_docker_it_is_said_why() -> None:
    with pytest.raises(Trouble) as caught:
        repairs.plan(machine.build("docker-stopped"), own_containers.FIX)
    assert caught.value.kind is Problem.ENGINE_REFUSED
