"""Several repairs in one go: their order, the one restart, and what a receipt can take back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.services.checks.machines import Instead, trouble
from wizard.demo import machine, spec
from wizard.host.ports import Host
from wizard.model import receipt as receipts_model
from wizard.model.engine import DaemonProcess, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Line
from wizard.model.finding import Finding, Status
from wizard.model.fix import Effect, Fix, RunCommand
from wizard.model.machine import CommandResult
from wizard.model.receipt import CommandRun, FileChange, Receipt
from wizard.model.step import StepState
from wizard.services import repairs
from wizard.services.fixes import docker_service, docker_start

CONFIG = "/etc/docker/daemon.json"


def at(name: str) -> Host:
    """A simulated machine with sudo's ticket in hand."""
    host = machine.build(name)
    host.commands.run(host.privilege.ask_argv())
    return host


def text(text: str, base: str = "healthy") -> Host:
    host = machine.assemble(spec.parse(f'extends = "{base}"\n{text}', "test"))
    host.commands.run(host.privilege.ask_argv())
    return host


def planned(host: Host, name: str) -> Fix:
    fix = repairs.plan(host, name)
    assert fix is not None
    return fix


def listened(host: Host) -> tuple[Host, list[str]]:
    """The host, and the commands that change something as they come."""
    ran: list[str] = []

    def run(argv: tuple[str, ...], **options: object) -> CommandResult:
        if "on_line" in options:
            ran.append(" ".join(argv))
        return host.commands.run(argv, **options)  # type: ignore[arg-type]

    return replace(host, commands=Instead(host.commands, run=run)), ran


def refusal(call: Callable[[], object]) -> Trouble:
    with pytest.raises(Trouble) as caught:
        call()
    return caught.value


# --- the order, and the service ----------------------------------------------------------------------------------


def test_the_order_is_that_of_the_repairs_not_of_the_findings() -> None:
    findings = [
        Finding("a", Status.ERROR, "", "", fixes=("restart-docker", "unheard-of")),
        Finding("b", Status.ERROR, "", "", fixes=("register-runtime", "restart-docker")),
    ]
    assert repairs.offered(findings) == ("restart-docker", "register-runtime")
    assert repairs.sequence(findings) == ("register-runtime", "restart-docker")
    assert repairs.next_round(findings, ["register-runtime"]) == ("restart-docker",)


def argvs(commands: tuple[RunCommand, ...]) -> list[str]:
    return [" ".join(command.argv) for command in commands]


def test_how_docker_is_restarted_depends_on_who_starts_it() -> None:
    host = at("healthy")
    everything = "systemctl reset-failed docker.service docker.socket"
    assert argvs(docker_service.restart(host)) == [everything, "systemctl restart docker"]
    assert argvs(docker_service.restart(host, units_changed=True))[0] == "systemctl daemon-reload"
    stopped = at("docker-stopped")
    (start,) = docker_service.start(stopped)
    assert start.argv == ("systemctl", "start", "docker")
    assert start.undo == ("systemctl", "stop", "docker.socket", "docker.service")
    assert argvs(docker_service.start(at("docker-gives-up")))[0] == everything
    assert docker_service.reload(stopped) == ()

    plain = text('[programs]\n"/usr/sbin/service" = true\n[files."/run/systemd/system"]\nabsent = true')
    plain = replace(plain, engine=Instead(plain.engine, daemon=lambda: DaemonProcess(812, ("dockerd",))))
    assert argvs(docker_service.restart(plain)) == ["service docker restart"]
    assert argvs(docker_service.reload(plain)) == ["kill -HUP 812"]
    by_hand = replace(host, engine=Instead(host.engine, daemon=lambda: DaemonProcess(812, ("dockerd",))))
    assert refusal(lambda: docker_service.restart(by_hand)).kind is Problem.COMMAND_MISSING, "another would be hit"


def test_a_rootless_docker_is_restarted_without_root() -> None:
    host = at("healthy")
    info = replace(host.engine.info(), kind=EngineKind.ROOTLESS)
    rootless = replace(host, engine=Instead(host.engine, info=info))
    restart = docker_service.restart(rootless)[-1]
    assert (restart.argv, restart.needs_root) == (("systemctl", "--user", "restart", "docker"), False)
    (reload,) = docker_service.reload(rootless)
    assert (reload.argv, reload.needs_root) == (("kill", "-HUP", "812"), False)


@pytest.mark.parametrize("kind", [EngineKind.REMOTE, EngineKind.DESKTOP, EngineKind.PODMAN, EngineKind.SNAP])
def test_a_docker_that_this_system_does_not_start_is_not_restarted(kind: EngineKind) -> None:
    host = at("healthy")
    foreign = replace(host, engine=Instead(host.engine, info=replace(host.engine.info(), kind=kind)))
    assert refusal(lambda: docker_service.restart(foreign)).kind is Problem.ENGINE_OTHER


def test_a_service_that_was_locked_on_purpose_stays_locked() -> None:
    host = text('[files."/etc/systemd/system/docker.service"]\nlink = "/dev/null"', "docker-stopped")
    found = refusal(lambda: repairs.plan(host, "start-docker"))
    assert (found.kind, "unmask" in found.hint) == (Problem.BAD_INPUT, True)


def test_commands_of_several_repairs_become_one() -> None:
    host = at("healthy")
    restart = docker_service.restart(host)
    own = RunCommand(("ldconfig",))
    wanted = [docker_service.reload(host), docker_service.restart(host, units_changed=True), (own, *restart), restart]
    assert argvs(docker_service.merged(wanted)) == [
        "ldconfig",
        "systemctl daemon-reload",
        "systemctl reset-failed docker.service docker.socket",
        "systemctl restart docker",
    ]
    assert argvs(docker_service.merged([docker_service.reload(host)])) == ["systemctl reload docker"]
    start = RunCommand(("systemctl", "start", "docker"))
    assert argvs(docker_service.merged([(start,), restart]))[-1] == "systemctl restart docker"


# --- made together -----------------------------------------------------------------------------------------------


def test_a_restart_is_made_once_for_all_that_wait_for_it() -> None:
    host, ran = listened(at("docker-gives-up"))
    said: list[object] = []
    made = tuple(
        repairs.apply(host, planned(host, name), emit=said.append, defer=True)
        for name in ("reset-failed-docker", "start-docker")
    )
    assert [receipt.state for receipt in made] == [StepState.NOT_VERIFIED] * 2
    assert "systemctl start docker" in made[0].reason
    assert repairs.pending(host) == made
    assert [part.text for part in repairs.closing_parts(host, made)] == ["sudo systemctl start docker"]
    ended = repairs.settle(host, made, emit=said.append)
    assert [receipt.state for receipt in ended] == [StepState.DONE] * 2
    assert ran == ["systemctl reset-failed docker.service docker.socket", "systemctl start docker"]
    assert repairs.pending(host) == ()
    assert repairs.receipts(host) == ended

    assert repairs.undo(host, ended[1].id).state is StepState.UNDONE
    assert refusal(host.engine.ping).kind is Problem.ENGINE_REFUSED
    assert ran[-1] == "systemctl stop docker.socket docker.service"


def test_a_repair_whose_check_does_not_pass_after_the_restart_is_not_called_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repairs.proof, "VERIFY_SECONDS", 0.0)
    host = at("no-gpu")
    fix = replace(planned(host, "restart-docker"), check="gpu.driver")
    receipt = repairs.apply(host, fix)
    assert receipt.state is StepState.NOT_VERIFIED
    assert "check did not pass" in receipt.reason


def test_what_has_no_closing_is_proved_at_once() -> None:
    host = at("unknown-runtime")
    receipt = repairs.apply(host, planned(host, "register-runtime"), defer=True)
    assert (receipt.state, receipt.closing) == (StepState.DONE, ())
    assert repairs.settle(host, (receipt,)) == (receipt,)


def test_a_cancel_before_the_last_step_leaves_it_for_later() -> None:
    host = at("docker-stopped")
    made = repairs.apply(host, planned(host, "start-docker"), defer=True)
    cancel = Cancel()
    cancel.set()
    assert refusal(lambda: repairs.settle(host, (made,), cancel=cancel)).kind is Problem.CANCELLED
    assert repairs.pending(host) == (made,)
    assert repairs.settle(host, repairs.pending(host))[0].state is StepState.DONE


def test_a_cancel_during_a_step_says_that_it_comes_after_it() -> None:
    host = at("unknown-runtime")
    cancel = Cancel()
    said: list[object] = []

    def run(argv: tuple[str, ...], **options: object) -> CommandResult:
        cancel.set()
        return host.commands.run(argv, **options)  # type: ignore[arg-type]

    fix = planned(host, "register-runtime")
    fix = replace(fix, actions=(*fix.actions, RunCommand(("systemctl", "reload", "docker"), needs_root=True)))
    spoiled = replace(host, commands=Instead(host.commands, run=run))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repairs.work, "_is_still_right", lambda *_args: True)
        found = refusal(lambda: repairs.apply(spoiled, fix, emit=said.append, cancel=cancel))
    assert found.kind is Problem.CANCELLED
    assert any(isinstance(event, Line) and "after this step" in event.text for event in said)


def test_the_words_of_a_failed_start_come_from_the_journal() -> None:
    host = at("docker-gives-up")
    why = docker_start.why_not(host, 0.0)
    assert "invalid character '}'" in why
    assert "repeated too quickly" not in why
    quiet = replace(host, commands=Instead(host.commands, run=trouble(Problem.COMMAND_MISSING)))
    assert "nothing about the reason" in docker_start.why_not(quiet, 0.0)


def test_a_unit_that_systemd_itself_cannot_use_is_refused() -> None:
    host = at("healthy")

    def run(argv: tuple[str, ...], **options: object) -> CommandResult:
        if argv[:2] == ("systemctl", "show"):
            return CommandResult(argv, 0, "LoadState=bad-setting\nLoadError=BadUnitSetting\n")
        return host.commands.run(argv, **options)  # type: ignore[arg-type]

    spoiled = replace(host, commands=Instead(host.commands, run=run))
    found = refusal(lambda: docker_start.refuse(spoiled, units_changed=True))
    assert (found.kind, "bad-setting" in found.hint) == (Problem.BAD_INPUT, True)
    docker_start.refuse(spoiled)  # nothing was changed, so systemd is not asked


DROP_IN = "/etc/systemd/system/docker.service.d/override.conf"


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        (DROP_IN, "[Service]\nExecStart=/usr/bin/dockerd\n", "more than one"),
        (DROP_IN, "[Service]\nExecStart=\nExecStart=/opt/dockerd -H fd://\n", "/opt/dockerd"),
        (DROP_IN, "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --log-driver=journald\n", "log-driver"),
        (CONFIG, '{"default-runtime": "ghost"}', "ghost"),
        (CONFIG, '{"debug": true,}', "column"),
    ],
)
def test_files_with_which_docker_would_not_start_are_refused(path: str, content: str, words: str) -> None:
    host = at("healthy")
    docker_start.refuse(host, units_changed=True)
    there = host.files.read(path)
    host.files.replace(path, None if there is None else there.data, content.encode(), root=True)
    found = refusal(lambda: docker_start.refuse(host, units_changed=True))
    assert found.kind is Problem.BAD_INPUT
    assert words in found.hint


# --- live-restore ------------------------------------------------------------------------------------------------


def test_live_restore_protects_what_a_restart_would_stop() -> None:
    host = at("healthy")
    assert repairs.stopped(host) == ("group-notebook",)
    fix = repairs.protection(host)
    assert fix is not None
    assert repairs.apply(host, fix).state is StepState.DONE
    assert repairs.stopped(host) == ()
    assert repairs.protection(host) is None
    assert repairs.apply(host, planned(host, "restart-docker")).state is StepState.DONE
    assert [item.name for item in host.engine.containers()] == ["group-notebook"]


def test_live_restore_is_not_for_a_swarm_nor_for_nothing() -> None:
    host = at("healthy")
    swarm = replace(host, engine=Instead(host.engine, info=replace(host.engine.info(), swarm=True)))
    assert repairs.protection(swarm) is None
    assert "swarm" in refusal(lambda: repairs.plan(swarm, "enable-live-restore")).hint
    assert repairs.protection(at("docker-stopped")) is None


# --- receipts ----------------------------------------------------------------------------------------------------

FORMAT_1 = """{
  "schema_version": 1,
  "id": "20260301T101112.000000Z-register-runtime",
  "fix": "register-runtime",
  "title": "Tell Docker about the runtime",
  "when": "2026-03-01T10:11:12+00:00",
  "state": "done",
  "reason": "",
  "done": [
    {"file": "/etc/docker/daemon.json", "before": null, "after": "AFTER", "mode": 420, "needs_root": true},
    {"command": ["systemctl", "reload", "docker"], "needs_root": true, "returncode": 0}
  ]
}
"""


def test_a_receipt_of_the_first_format_can_still_be_undone() -> None:
    import base64

    host = at("healthy")
    content = host.files.read(CONFIG)
    assert content is not None
    name = "20260301T101112.000000Z-register-runtime"
    filled = FORMAT_1.replace("AFTER", base64.b64encode(content.data).decode())
    host.store.write(f"receipts/{name}.json", filled.encode())
    assert repairs.undo(host).state is StepState.UNDONE
    assert host.files.read(CONFIG) is None
    assert json.loads(host.store.read(f"receipts/{name}.json") or b"")["schema_version"] == 2


def test_a_receipt_survives_its_file_whole() -> None:
    command = RunCommand(("a", "b"), True, env={"X": "y"}, timeout=3.0, why="w", undo=("c",))
    receipt = Receipt(
        "i", "f", "t", "w", StepState.NOT_VERIFIED, (FileChange("/p", None, b"\x00", 0o600, True),
        CommandRun(("a",), False, None, ("c",))), "r", "docker.running", Effect.AFTER_LOGIN, (command,),
    )  # fmt: skip
    assert receipts_model.from_bytes(receipts_model.to_bytes(receipt)) == receipt


def test_commands_are_taken_back_the_last_first_and_once() -> None:
    host, ran = listened(at("healthy"))
    receipt = Receipt(
        "20260301T101112.000000Z-enable-docker",
        "enable-docker",
        "t",
        "w",
        StepState.PLANNED,
        (
            CommandRun(("systemctl", "enable", "docker.service"), True, 0, ("systemctl", "disable", "docker.service")),
            CommandRun(("systemctl", "start", "docker"), True, None, ("systemctl", "stop", "docker.service")),
            CommandRun(("systemctl", "start", "docker"), True, 0, ("systemctl", "stop", "docker.service")),
            CommandRun(("systemctl", "reload", "docker"), True, 1, ("false",)),
        ),
    )
    host.store.write(f"receipts/{receipt.id}.json", receipts_model.to_bytes(receipt))
    assert [part.text for part in repairs.undo_parts(host, receipt)][-1] == "sudo systemctl disable docker.service"
    assert repairs.undo(host).state is StepState.UNDONE
    assert ran == ["systemctl stop docker.service", "systemctl disable docker.service"]


def test_what_could_not_be_taken_back_can_be_tried_again() -> None:
    host = at("docker-stopped")
    repairs.apply(host, planned(host, "enable-docker"))
    refused = CommandResult((), 1, "", "Failed to disable unit")

    def run(argv: tuple[str, ...], **options: object) -> CommandResult:
        return refused if "disable" in argv else host.commands.run(argv, **options)  # type: ignore[arg-type]

    failed = repairs.undo(replace(host, commands=Instead(host.commands, run=run)))
    assert failed.state is StepState.FAILED
    assert "systemctl disable docker.service" in failed.reason
    assert repairs.undo(host, failed.id).state is StepState.UNDONE


def test_an_unknown_repair_of_another_version_can_be_undone() -> None:
    host = at("healthy")
    change = FileChange("/etc/of-tomorrow", None, b"x", 0o644, True)
    host.files.replace(change.path, None, b"x", root=True)
    receipt = Receipt("20270101T000000.000000Z-of-tomorrow", "of-tomorrow", "t", "w", StepState.DONE, (change,))
    host.store.write(f"receipts/{receipt.id}.json", receipts_model.to_bytes(receipt))
    assert repairs.undo(host).state is StepState.UNDONE
    assert host.files.read(change.path) is None


def test_two_changes_of_one_file_are_taken_back_together() -> None:
    host = at("healthy")
    path = "/etc/twice"
    host.files.replace(path, None, b"3", root=True)
    done = (FileChange(path, None, b"1", 0o644, True), FileChange(path, b"1", b"3", 0o644, True))
    receipt = Receipt("20270101T000000.000000Z-x", "x", "t", "w", StepState.DONE, done)
    host.store.write(f"receipts/{receipt.id}.json", receipts_model.to_bytes(receipt))
    assert repairs.undo(host).state is StepState.UNDONE
    assert host.files.read(path) is None


def test_an_interrupted_repair_is_told_unless_somebody_is_at_work() -> None:
    host = at("unknown-runtime")
    receipt = Receipt("20270101T000000.000000Z-register-runtime", "register-runtime", "t", "w", StepState.PLANNED)
    host.store.write(f"receipts/{receipt.id}.json", receipts_model.to_bytes(receipt))
    assert repairs.interrupted(host) == receipt
    assert repairs.interrupted(replace(host, store=Instead(host.store, locked_by=4711))) is None
    done = repairs.apply(host, planned(host, "register-runtime"))
    assert (done.id, done.state) == (receipt.id, StepState.DONE)
    assert repairs.interrupted(host) is None
