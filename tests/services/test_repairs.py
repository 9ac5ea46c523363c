"""Repairs: the plan is pure, what is shown is what is run, and receipts tell the truth."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.services.checks.machines import Instead, trouble
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model.engine import DaemonProcess, EngineInfo, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Finished, Started
from wizard.model.finding import Finding, Status
from wizard.model.fix import Effect, Fix, HandOver, ReplaceFile, RunCommand
from wizard.model.machine import CommandResult
from wizard.model.step import StepState
from wizard.services import repairs
from wizard.services.fixes.register_runtime import Facts, build
from wizard.services.repairs import proof

FIX = "register-runtime"
PROGRAM = "/usr/bin/nvidia-container-runtime"
CONFIG = "/etc/docker/daemon.json"


def engine(**changes: object) -> EngineInfo:
    info = machine.build("unknown-runtime").engine.info()
    return replace(info, **changes)  # type: ignore[arg-type]


def facts(**changes: object) -> Facts:
    usual = Facts(
        engine=engine(),
        daemon=DaemonProcess(812, ("/usr/bin/dockerd", "-H", "fd://"), "docker.service"),
        config=CONFIG,
        before=b'{\n  "debug": true\n}\n',
        may_write=False,
        program=PROGRAM,
        usable=frozenset(),
        reload=(RunCommand(("systemctl", "reload", "docker"), needs_root=True),),
        containers=("web",),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def built(**changes: object) -> Fix:
    fix = build(facts(**changes))
    assert fix is not None
    return fix


def refusal(**changes: object) -> Trouble:
    with pytest.raises(Trouble) as caught:
        build(facts(**changes))
    return caught.value


# --- the plan ----------------------------------------------------------------------------------------------------


def test_the_usual_plan_changes_one_entry_and_reloads() -> None:
    fix = built()
    file, reload = fix.actions
    assert isinstance(file, ReplaceFile)
    assert (file.path, file.before, file.needs_root) == (CONFIG, facts().before, True)
    assert json.loads(file.after or b"") == {"debug": True, "runtimes": {"nvidia": {"path": PROGRAM}}}
    assert isinstance(reload, RunCommand)
    assert (reload.argv, reload.needs_root) == (("systemctl", "reload", "docker"), True)
    assert (fix.touches, fix.check, fix.effect) == (("web",), "runtime.registered", Effect.NOW)
    assert "keeps running" in fix.touches_note
    assert "next restart" in fix.undo_note


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": engine(kind=EngineKind.REMOTE), "daemon": None, "config": None}, "another machine"),
        ({"engine": engine(kind=EngineKind.DESKTOP), "config": None}, "Docker Desktop"),
        ({"engine": engine(kind=EngineKind.PODMAN), "config": None}, "Podman"),
        ({"engine": engine(kind=EngineKind.SNAP)}, "snap"),
        ({"daemon": None}, "cannot be seen"),
        ({"config": "daemon.json"}, "full path"),
    ],
)
def test_a_docker_that_this_is_not_for_is_refused_with_a_reason(changes: dict[str, object], words: str) -> None:
    found = refusal(**changes)
    assert found.kind is Problem.ENGINE_OTHER
    assert words in found.hint


def test_what_works_already_needs_nothing() -> None:
    listed = json.dumps({"runtimes": {"nvidia": {"path": PROGRAM}}}).encode()
    known = engine(runtimes={"nvidia": PROGRAM, "runc": ""})
    works = {"engine": known, "usable": frozenset({PROGRAM})}
    assert build(facts(**works, before=listed)) is None
    flag = DaemonProcess(1, ("dockerd", f"--add-runtime=nvidia={PROGRAM}"))
    assert build(facts(**works, daemon=flag)) is None
    assert build(facts(**works, daemon=None)) is None
    memory = built(**works)
    assert isinstance(memory.actions[0], ReplaceFile), "known only until the next restart"
    assert "only until its next restart" in memory.why


def test_an_entry_of_somebody_is_kept_unless_it_is_broken() -> None:
    own = "/opt/nvidia/runtime"
    listed = json.dumps({"runtimes": {"nvidia": {"path": own, "runtimeArgs": ["--debug"]}}}).encode()
    kept = built(before=listed, usable=frozenset({own}))
    assert [type(action) for action in kept.actions] == [RunCommand]
    broken = built(before=listed).actions[0]
    assert isinstance(broken, ReplaceFile)
    assert json.loads(broken.after or b"")["runtimes"]["nvidia"] == {"path": PROGRAM, "runtimeArgs": ["--debug"]}
    shim = json.dumps({"runtimes": {"nvidia": {"runtimeType": "io.containerd.nvidia.v1"}}}).encode()
    assert [type(action) for action in built(before=shim).actions] == [RunCommand]


def test_runtimes_of_the_command_line_are_written_down_or_the_plan_is_refused() -> None:
    daemon = DaemonProcess(812, ("dockerd", "--add-runtime", "kata=/opt/kata", "--add-runtime=old=/opt/old"))
    known = engine(runtimes={"runc": "", "kata": "/opt/kata"})
    fix = built(daemon=daemon, engine=known)
    assert isinstance(fix.actions[0], ReplaceFile)
    written = json.loads(fix.actions[0].after or b"")["runtimes"]
    assert written == {"nvidia": {"path": PROGRAM}, "kata": {"path": "/opt/kata"}}, "old is forgotten already"
    assert "kata" in fix.why
    assert refusal(daemon=daemon, engine=replace(known, version="18.06.3-ce")).kind is Problem.ENGINE_TOO_OLD


def test_a_file_that_docker_would_refuse_is_not_written() -> None:
    found = refusal(before=b'{"default-runtime": "ghost"}')
    assert (found.kind, "ghost" in found.hint) == (Problem.BAD_INPUT, True)
    assert refusal(before=b'{"a": 1,}').kind is Problem.BAD_INPUT
    assert refusal(before=b'{"hosts": []}').kind is Problem.BAD_INPUT
    assert refusal(program=None).kind is Problem.COMMAND_MISSING


def test_docker_itself_is_asked_about_the_new_file() -> None:
    host = machine.build("unknown-runtime")
    said = "unable to configure the Docker daemon with file /x/daemon.json: invalid something"
    asked: list[tuple[str, ...]] = []

    def run(argv: tuple[str, ...], **options: object) -> CommandResult:
        asked.append(argv)
        return CommandResult(argv, 1, "", said)

    with pytest.raises(Trouble) as caught:
        repairs.plan(replace(host, commands=Instead(host.commands, run=run)), FIX)
    assert (caught.value.kind, caught.value.text) == (Problem.BAD_INPUT, "invalid something")
    (argv,) = asked
    assert argv[:3] == ("/usr/bin/dockerd", "-H", "fd://"), "with the flags of the one that runs"
    assert argv[-3:-1] == ("--validate", "--config-file")
    assert host.store.read("trial/daemon.json") is None

    said = "Status: unknown flag: --validate\nSee 'dockerd --help'., Code: 125"
    assert repairs.plan(replace(host, commands=Instead(host.commands, run=run)), FIX), "an old Docker cannot tell"


# --- showing and doing -------------------------------------------------------------------------------------------


@pytest.fixture
def host() -> Host:
    """The founding story, with sudo's ticket in hand."""
    found = machine.build("unknown-runtime")
    found.commands.run(found.privilege.ask_argv())
    return found


def planned(host: Host) -> Fix:
    fix = repairs.plan(host, FIX)
    assert fix is not None
    return fix


def content(host: Host) -> bytes:
    found = host.files.read(CONFIG)
    assert found is not None
    return found.data


def test_the_preview_is_what_a_person_would_do(host: Host) -> None:
    fix = replace(planned(host), actions=(*planned(host).actions, HandOver(("sudo", "passwd", "my user"))))
    diff, command, terminal = repairs.preview(host, fix)
    assert (diff.kind, command.kind, terminal.kind) == ("diff", "command", "terminal")
    assert diff.text.startswith(f"--- {CONFIG}\n+++ {CONFIG}\n")
    assert command.text == "sudo systemctl reload docker"
    assert terminal.text == "sudo passwd 'my user'"


def test_a_diff_shows_a_missing_line_end_and_no_carriage_returns() -> None:
    shown = repairs.diff(b"a\r\nb", b"a\r\nc\r\n", "/f")
    assert "\r" not in shown
    assert "-b\n\\ No newline at end of file\n+c\n" in shown
    assert repairs.diff(None, b"x\n", "/f").startswith("--- /dev/null\n+++ /f\n")


def test_what_is_offered_is_known_and_told_once() -> None:
    findings = [
        Finding("a", Status.ERROR, "", "", fixes=(FIX, "of-tomorrow")),
        Finding("b", Status.ERROR, "", "", fixes=(FIX,)),
    ]
    assert repairs.offered(findings) == (FIX,)
    with pytest.raises(Trouble) as caught:
        repairs.plan(machine.build("healthy"), "of-tomorrow")
    assert caught.value.kind is Problem.BAD_INPUT


def test_a_repair_says_what_it_does(host: Host) -> None:
    said: list[object] = []
    assert repairs.apply(host, planned(host), emit=said.append).state is StepState.DONE
    assert isinstance(said[0], Started)
    assert isinstance(said[-1], Finished)
    (receipt,) = repairs.receipts(host)
    assert receipt.id.endswith(f"Z-{FIX}")


def test_without_rights_nothing_is_begun() -> None:
    host = machine.build("unknown-runtime")
    before = content(host)
    with pytest.raises(Trouble) as caught:
        repairs.apply(host, planned(host))
    assert caught.value.kind is Problem.ROOT_NEEDED
    assert (content(host), repairs.receipts(host)) == (before, ())


def test_a_file_that_cannot_be_written_leaves_no_receipt(host: Host) -> None:
    fix = planned(host)
    for kind in (Problem.FILE_READ_ONLY, Problem.DISK_FULL, Problem.FILE_PERMISSION):
        spoiled = replace(host, files=Instead(host.files, replace=trouble(kind)))
        with pytest.raises(Trouble) as caught:
            repairs.apply(spoiled, fix)
        assert caught.value.kind is kind
    assert repairs.receipts(host) == ()


def test_no_receipt_no_change(host: Host) -> None:
    """What could not be taken back later is not begun."""
    before = content(host)

    def write(name: str, data: bytes) -> Trouble | None:
        if name.startswith("receipts/"):
            return trouble(Problem.DISK_FULL)
        host.store.write(name, data)
        return None

    spoiled = replace(host, store=Instead(host.store, write=write))
    with pytest.raises(Trouble) as caught:
        repairs.apply(spoiled, planned(host))
    assert caught.value.kind is Problem.DISK_FULL
    assert content(host) == before


def test_a_cancel_before_the_first_action_changes_nothing(host: Host) -> None:
    cancel = Cancel()
    cancel.set()
    before = content(host)
    with pytest.raises(Trouble) as caught:
        repairs.apply(host, planned(host), cancel=cancel)
    assert caught.value.kind is Problem.CANCELLED
    assert (content(host), repairs.receipts(host)) == (before, ())


def test_a_file_that_could_not_be_put_back_is_told_and_can_still_be(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "VERIFY_SECONDS", 0.0)
    before = content(host)
    fix = planned(host)
    calls = iter([None, trouble(Problem.DISK_FULL)])

    def replace_once(*args: object, **options: object) -> Trouble | None:
        problem = next(calls)
        if problem is None:
            host.files.replace(*args, **options)  # type: ignore[arg-type]
        return problem

    def run(argv: tuple[str, ...], **options: object) -> CommandResult:
        return CommandResult(argv, 0)

    spoiled = replace(host, files=Instead(host.files, replace=replace_once), commands=Instead(host.commands, run=run))
    failed = repairs.apply(spoiled, fix)
    assert failed.state is StepState.FAILED
    assert f"{CONFIG} could not be put back" in failed.reason
    assert content(host) != before
    assert repairs.undo(host).state is StepState.UNDONE
    assert content(host) == before


def test_a_repair_that_counts_only_later_is_not_called_done(host: Host) -> None:
    fix = planned(host)
    receipt = repairs.apply(host, replace(fix, effect=Effect.AFTER_LOGIN))
    assert receipt.state is StepState.NOT_VERIFIED
    assert "logged in again" in receipt.reason


def test_a_receipt_that_is_none_does_not_hide_the_others(host: Host) -> None:
    receipt = repairs.apply(host, planned(host))
    host.store.write("receipts/00-broken.json", b"{")
    assert repairs.receipts(host) == (receipt,)


def test_undo_of_what_is_not_there() -> None:
    host = machine.build("healthy")
    for name in (None, "20200101T000000Z-register-runtime"):
        with pytest.raises(Trouble) as caught:
            repairs.undo(host, name)
        assert caught.value.kind is Problem.BAD_INPUT


def test_undo_while_docker_is_stopped_puts_the_file_back(host: Host) -> None:
    before = content(host)
    repairs.apply(host, planned(host))
    host.commands.run(("systemctl", "stop", "docker"), root=True)
    undone = repairs.undo(host)
    assert (undone.state, undone.reason) == (StepState.UNDONE, "")
    assert content(host) == before
