"""Every simulated machine: its file is complete, and the check-up finds on it what the file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from wizard.demo import spec
from wizard.demo.machine import build, names
from wizard.host.ports import Commands, Host
from wizard.model.errors import Problem, Trouble
from wizard.model.fix import Effect, ReplaceFile
from wizard.model.machine import CommandResult
from wizard.model.step import StepState
from wizard.services import checkup, repairs
from wizard.services.checks import ALL

EVERY = pytest.mark.parametrize("name", names())


class Listening:
    """The commands of a machine, with a list of those that its file does not answer: a check may swallow that."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self.unscripted: list[str] = []

    def which(self, name: str) -> str | None:
        return self._commands.which(name)

    def run(
        self,
        argv: tuple[str, ...],
        *,
        root: bool = False,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        try:
            return self._commands.run(argv, root=root, stdin=stdin, env=env, timeout=timeout, on_line=on_line)
        except Trouble as trouble:
            if trouble.kind is Problem.UNSCRIPTED:
                self.unscripted.append(trouble.subject)
            raise


def listening(host: Host) -> tuple[Host, Listening]:
    commands = Listening(host.commands)
    return replace(host, commands=commands), commands


def test_the_machines_of_the_first_journey_are_there() -> None:
    assert {"healthy", "no-docker", "unknown-runtime", "docker-stopped", "no-permission", "no-gpu"} <= set(names())


@EVERY
def test_the_check_up_finds_what_the_file_says(name: str) -> None:
    expected = spec.load(name).expect
    host, commands = listening(build(name))
    findings = checkup.run(host)
    assert {finding.id: finding.status.value for finding in findings} == dict(expected.findings)
    assert repairs.offered(findings) == expected.fixes
    assert commands.unscripted == []


@EVERY
def test_the_file_expects_something_of_every_check(name: str) -> None:
    assert list(spec.load(name).expect.findings) == [check.id for check in ALL]


@EVERY
def test_a_simulated_machine_says_that_it_is_one(name: str) -> None:
    host = build(name)
    assert (host.info.kind, host.info.machine) == ("simulated", name)
    assert checkup.host_to_json(host)["kind"] == "simulated"


OFFERED = [(name, fix_id) for name in names() for fix_id in spec.load(name).expect.fixes]


@pytest.mark.parametrize(("name", "fix_id"), OFFERED)
def test_a_repair_that_is_offered_works_and_can_be_taken_back(name: str, fix_id: str) -> None:
    host, commands = listening(build(name))
    fix = repairs.plan(host, fix_id)
    assert fix is not None
    if fix.needs_root:
        with pytest.raises(Trouble) as caught:
            repairs.apply(host, fix)
        assert caught.value.kind is Problem.ROOT_NEEDED
        host.commands.run(host.privilege.ask_argv())
    receipt = repairs.apply(host, fix)
    if fix.effect is Effect.NOW:
        assert receipt.state is StepState.DONE, receipt.reason
        assert fix_id not in repairs.offered(checkup.run(host))
    else:
        assert receipt.state is StepState.NOT_VERIFIED
    if repairs.can_be_undone(receipt):
        assert repairs.undo(host).state is StepState.UNDONE
    for action in fix.actions:
        if isinstance(action, ReplaceFile):
            found = host.files.read(action.path)
            assert (found.data if found else None) == action.before
    assert commands.unscripted == []


BEFORE_A_RESTART = {"enable-live-restore"}
"""Not of the check-up: a machine without it is in order."""


def test_there_is_a_machine_for_every_repair() -> None:
    assert {fix_id for _name, fix_id in OFFERED} | BEFORE_A_RESTART == set(repairs.known())


def test_an_unknown_machine_is_told_with_the_known_ones() -> None:
    with pytest.raises(Trouble) as caught:
        build("no-such-machine")
    assert (caught.value.kind, caught.value.subject) == (Problem.BAD_INPUT, "no-such-machine")
    assert "unknown-runtime" in caught.value.text


def test_two_machines_know_nothing_of_each_other() -> None:
    first, second = build("healthy"), build("healthy")
    first.store.write("a", b"")
    first.engine.remove("group-notebook", force=True)
    assert second.store.read("a") is None
    assert second.engine.container("group-notebook") is not None


@pytest.mark.parametrize(
    "text",
    [
        'extends = "healthy"\n[docker]\nruning = true',
        'extends = "healthy"\n[files."/a"]\ncolour = "red"',
        'extends = "healthy"\n[commands.true]\nstdot = ""',
        'extends = "healthy"\n[commands.true]\ndenied = { code = 1 }',
        'extends = "healthy"\nunknown = 1',
        "images = []",
    ],
)
def test_a_typing_error_in_a_machine_is_found(text: str) -> None:
    with pytest.raises(ValueError, match="machine bad"):
        spec.parse(text, "bad")
