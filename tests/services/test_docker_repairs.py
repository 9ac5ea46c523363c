"""The repairs of Docker's settings file and of drop-ins: what they change, and where they refuse to guess."""

from __future__ import annotations

import json

import pytest

from wizard.demo import spec
from wizard.demo.machine import assemble
from wizard.host.ports import Host
from wizard.model import receipt
from wizard.model.errors import Problem, Trouble
from wizard.model.fix import Fix, ReplaceFile
from wizard.model.step import StepState
from wizard.services import repairs

CONFIG = "/etc/docker/daemon.json"
DROP_IN = "/etc/systemd/system/docker.service.d/x.conf"
VALIDATE = "\n".join(
    f'[commands."dockerd {"* " * count}--validate --config-file *"]\nstdout = "configuration OK\\n"'
    for count in (0, 2, 4)
)
NVIDIA = '{"runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}'


def machine(config: str | None = None, drop_in: str | None = None, *, version: str = "26.1.3", more: str = "") -> Host:
    """The healthy machine with another settings file, a drop-in, another version of Docker."""
    text = f'extends = "healthy"\n[docker]\nversion = "{version}"\n{more}\n{VALIDATE}\n'
    for path, content in ((CONFIG, config), (DROP_IN, drop_in)):
        if content is not None:
            text += f'[files."{path}"]\ntext = {json.dumps(content)}\n'
    host = assemble(spec.parse(text, "trial"))
    host.commands.run(host.privilege.ask_argv())
    return host


def change(host: Host, fix_id: str) -> tuple[Fix, str | None]:
    """The repair, and what it makes of the first file that it changes."""
    fix = repairs.plan(host, fix_id)
    assert fix is not None
    action = fix.actions[0]
    assert isinstance(action, ReplaceFile)
    return fix, None if action.after is None else action.after.decode()


def refused(host: Host, fix_id: str) -> Trouble:
    with pytest.raises(Trouble) as caught:
        repairs.plan(host, fix_id)
    assert caught.value.kind is Problem.BAD_INPUT
    return caught.value


# --- the settings file -------------------------------------------------------------------------------------------


def test_a_running_docker_reads_the_corrected_file_and_is_not_restarted() -> None:
    host = machine('{\n  "debug": true,\n}\n')
    fix, after = change(host, "repair-daemon-json")
    assert after == '{\n  "debug": true\n}\n'
    assert [command.argv[:2] for command in fix.closing] == [("systemctl", "reload")]
    assert repairs.apply(host, fix).state is StepState.DONE
    assert repairs.plan(host, "repair-daemon-json") is None
    assert repairs.undo(host).state is StepState.UNDONE


def test_comments_move_into_a_file_beside() -> None:
    host = machine('{\n  // for the group\n  "debug": true\n}\n')
    fix, after = change(host, "repair-daemon-json")
    assert after == '{\n  "debug": true\n}\n'
    beside = fix.actions[1]
    assert isinstance(beside, ReplaceFile)
    assert (beside.path, beside.before, beside.after) == (f"{CONFIG}.comments", None, b"// for the group\n")


@pytest.mark.parametrize(
    "text",
    ["{'debug': true}", '{"debug": true', '{"debgu": true,}', '{"hosts": [],}', '{"debug": "yes"}', "{“debug”: 1}"],
)
def test_where_something_would_be_guessed_the_place_is_shown_and_nothing_done(text: str) -> None:
    trouble = refused(machine(text), "repair-daemon-json")
    assert "sudoedit /etc/docker/daemon.json" in trouble.hint
    assert trouble.evidence


@pytest.mark.parametrize("text", ["{}", '{"debug": true}', NVIDIA])
def test_nothing_to_repair(text: str) -> None:
    assert repairs.plan(machine(text), "repair-daemon-json") is None
    assert repairs.plan(machine(text), "remove-duplicate-key") is None


@pytest.mark.parametrize(("version", "needed"), [("20.10.24", True), ("26.1.3", False)])
def test_an_empty_file_is_repaired_where_docker_minds_it(version: str, needed: bool) -> None:
    fix = repairs.plan(machine("", version=version), "repair-daemon-json")
    assert (fix is not None) is needed


def test_the_last_good_file_of_our_own_receipts_is_put_back() -> None:
    host = machine("{'debug': true}")
    good, bad = b'{"mtu": 1500}\n', b"{,}"
    for number, (before, after) in enumerate(((None, good), (good, bad))):
        change_ = receipt.FileChange(CONFIG, before, after, 0o644, True)
        kept = receipt.Receipt(f"2026-{number}", "register-runtime", "x", "2026", StepState.DONE, (change_,))
        host.store.write(f"receipts/{kept.id}.json", receipt.to_bytes(kept))
    host.store.write("receipts/2026-9.json", b"no receipt")
    fix, after_ = change(host, "repair-daemon-json")
    assert after_ == '{"mtu": 1500}\n'
    assert "good" in fix.title


def test_a_key_of_the_command_line_goes_out_of_the_file() -> None:
    host = machine('{\n  "debug": true,\n  "hosts": ["unix:///var/run/docker.sock"]\n}\n')
    fix, after = change(host, "remove-duplicate-key")
    assert after == '{\n  "debug": true\n}\n'
    assert "fd://" in fix.why
    assert "unix:///var/run/docker.sock" in fix.why, "both values are shown"


def test_the_same_thing_said_twice_is_said_once() -> None:
    assert change(machine('{"mtu": 1500, "mtu": 1500}'), "remove-duplicate-key")[1] == '{"mtu": 1500}'
    assert "different values" in refused(machine('{"mtu": 1500, "mtu": 1400}'), "remove-duplicate-key").text
    both = '{"hosts": [], "mtu": "1500"}'
    assert "still not start" in refused(machine(both), "remove-duplicate-key").hint


# --- drop-ins ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "# mine\n[Service]\nExecStart=/usr/bin/dockerd -H fd://\n",
            "# mine\n[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n",
        ),
        (
            "[Service]\nExecStart=\nExecStart=/opt/docker/dockerd -H fd:// \\\n  --debug\nRestart=no\n",
            "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// \\\n  --debug\nRestart=no\n",
        ),
        (
            "[Service]\nExecStart=/opt/docker/dockerd -H fd://\n",
            "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n",
        ),
    ],
)
def test_a_drop_in_is_repaired_line_by_line(before: str, after: str) -> None:
    host = machine(drop_in=before)
    fix, text = change(host, "repair-drop-in")
    assert text == after
    assert [command.argv for command in fix.closing] == [("systemctl", "daemon-reload")], "a running Docker goes on"
    assert repairs.apply(host, fix).state is StepState.DONE
    assert repairs.plan(host, "repair-drop-in") is None


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("/usr/bin/dockerd -H fd:// --add-runtime=nvidia=/usr/bin/nvidia-container-runtime", None),
        ("/usr/bin/dockerd --host=fd:// --add-runtime nvidia=/usr/bin/nvidia-container-runtime", None),
        ("/usr/bin/dockerd -H fd:// --add-runtime=nvidia=/x --mtu=1400", "/usr/bin/dockerd -H fd:// --mtu=1400"),
        (
            "/usr/bin/dockerd -H fd:// --add-runtime=a=/x --add-runtime=nvidia=/x",
            "/usr/bin/dockerd -H fd:// --add-runtime=a=/x",
        ),
    ],
)
def test_a_runtime_that_stands_in_the_settings_is_not_added_again(line: str, after: str | None) -> None:
    host = machine(NVIDIA, f"[Service]\nExecStart=\nExecStart={line}\n")
    _fix, text = change(host, "repair-drop-in")
    assert text == (None if after is None else f"[Service]\nExecStart=\nExecStart={after}\n")


def test_a_comment_keeps_the_file() -> None:
    line = "/usr/bin/dockerd -H fd:// --add-runtime=nvidia=/x"
    _fix, text = change(machine(NVIDIA, f"# why\n[Service]\nExecStart=\nExecStart={line}\n"), "repair-drop-in")
    assert text == "# why\n[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n"


def test_what_is_meant_by_two_commands_is_not_guessed() -> None:
    host = machine(drop_in="[Service]\nExecStart=\nExecStart=/usr/bin/dockerd\nExecStart=/usr/bin/dockerd -D\n")
    assert "which one is meant" in refused(host, "repair-drop-in").hint


@pytest.mark.parametrize(
    "text", ["", "[Service]\nEnvironment=A=b\n", "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd\n"]
)
def test_a_drop_in_that_is_fine_stays(text: str) -> None:
    assert repairs.plan(machine("{}", text), "repair-drop-in") is None


def test_what_systemd_refuses_is_not_written() -> None:
    said = "docker.service: Service has more than one ExecStart= setting. Refusing."
    host = machine(
        drop_in="[Service]\nExecStart=/usr/bin/dockerd -D\n",
        more=f'[commands."systemd-analyze verify *"]\nreturncode = 1\nstderr = {json.dumps(said)}\n',
    )
    assert refused(host, "repair-drop-in").text == said


def test_a_file_of_a_package_is_left_alone() -> None:
    path = "/usr/lib/systemd/system/docker.service.d/10-vendor.conf"
    host = machine(more=f'[files."{path}"]\ntext = "[Service]\\nExecStart=/usr/bin/dockerd -D\\n"\n')
    assert "belongs to a package" in refused(host, "repair-drop-in").hint


def test_containers_that_may_lose_the_gpu_are_named() -> None:
    fix, _text = change(machine(drop_in="[Service]\nExecStart=/usr/bin/dockerd\n"), "repair-drop-in")
    assert fix.touches == ("group-notebook",)
    assert "lose the GPU" in fix.touches_note


# --- the runtime, for a Docker that does not run -----------------------------------------------------------------


def test_a_default_runtime_without_its_entry_gets_one() -> None:
    more = "running = false\nfailed = true\n"
    host = machine('{"default-runtime": "nvidia"}', more=more)
    fix, after = change(host, "register-runtime")
    assert json.loads(after or "")["runtimes"]["nvidia"]["path"].endswith("nvidia-container-runtime")
    assert ("systemctl", "start", "docker") in [command.argv for command in fix.closing]
    assert repairs.apply(host, fix).state is StepState.DONE
    assert host.engine.info().default_runtime == "nvidia"
    assert repairs.plan(machine("{}", more=more), "register-runtime") is None


def test_an_entry_without_a_path_gets_one() -> None:
    host = machine('{"runtimes": {"nvidia": {"runtimeArgs": []}}}', version="20.10.24")
    _fix, after = change(host, "register-runtime")
    assert after == '{"runtimes": {"nvidia": {"runtimeArgs": [], "path": "/usr/bin/nvidia-container-runtime"}}}'
