"""What the parts of a simulated machine do to one another: commands, rights, files and the Docker service."""

from __future__ import annotations

import json
import os
import pty
from dataclasses import replace

import pytest

from wizard.demo import spec
from wizard.demo.machine import assemble, build
from wizard.demo.terminal import SimTerminal
from wizard.host.ports import Host
from wizard.host.terminal import SystemTerminal
from wizard.model.container import LABEL_GPUS, ContainerSpec, GpuChoice
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import PathKind, RootAccess
from wizard.model.training.plan import DEFAULT_CONFIG
from wizard.services.training import job, place

CONFIG = "/etc/docker/daemon.json"


def machine(text: str, base: str = "healthy") -> Host:
    return assemble(spec.parse(f'extends = "{base}"\n{text}', "test"))


def with_password(host: Host) -> Host:
    """The user has typed it."""
    assert host.commands.run(("sudo", "-v")).returncode == 0
    return host


def configure(host: Host, text: str) -> None:
    found = host.files.read(CONFIG)
    host.files.replace(CONFIG, found.data if found else None, text.encode(), root=True)


# --- programs ----------------------------------------------------------------------------------------------------


def test_a_program_without_a_scripted_answer_is_an_error() -> None:
    with pytest.raises(Trouble) as caught:
        build("healthy").commands.run(("docker", "run", "--rm", "x y"))
    assert (caught.value.kind, caught.value.subject) == (Problem.UNSCRIPTED, "docker run --rm 'x y'")


def test_a_word_of_a_scripted_command_may_be_a_pattern() -> None:
    host = machine("[commands.\"docker inspect *\"]\nstdout = 'x'")
    assert host.commands.run(("docker", "inspect", "a b")).stdout == "x"
    with pytest.raises(Trouble):
        host.commands.run(("docker", "inspect", "a", "b"))


def test_a_user_who_is_not_root_is_denied_what_only_root_may_do() -> None:
    host = build("docker-stopped")
    result = host.commands.run(("systemctl", "start", "docker"))
    assert (result.returncode, "Access denied" in result.stderr) == (4, True)
    with pytest.raises(Trouble) as caught:
        host.engine.ping()
    assert caught.value.kind is Problem.ENGINE_REFUSED


def test_the_password_opens_the_way_to_root() -> None:
    host = build("docker-stopped")
    assert host.privilege.access() is RootAccess.PASSWORD
    with pytest.raises(Trouble) as caught:
        host.commands.run(("systemctl", "start", "docker"), root=True)
    assert caught.value.kind is Problem.ROOT_NEEDED
    with_password(host)
    assert host.privilege.access() is RootAccess.READY
    assert host.commands.run(("systemctl", "start", "docker"), root=True).returncode == 0
    host.engine.ping()


def test_a_user_without_sudo_never_becomes_root() -> None:
    host = machine('[user]\nroot = "none"\n[programs]\n"/usr/bin/sudo" = false')
    assert host.privilege.access() is RootAccess.NONE
    with pytest.raises(Trouble) as caught:
        host.commands.run(("sudo", "-v"))
    assert caught.value.kind is Problem.COMMAND_MISSING


def test_root_needs_no_sudo() -> None:
    host = machine('[groups]\nroot = 0\n[user]\nname = "root"\nuid = 0\ngid = 0\nhome = "/root"\ngroups = ["root"]')
    assert host.privilege.access() is RootAccess.ROOT
    assert host.commands.run(("systemctl", "reload", "docker")).returncode == 0
    configure(host, "{}")


def test_the_users_terminal_is_where_the_password_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    host = build("docker-stopped")
    person, program = pty.openpty()
    terminal = SimTerminal(SystemTerminal(program, program, program), host.commands)
    try:
        assert terminal.run(("sudo", "systemctl", "start", "docker")) == 0
    finally:
        os.close(person)
        os.close(program)
    assert "simulated" in capsys.readouterr().out
    assert host.privilege.access() is RootAccess.READY
    host.engine.ping()


# --- files -------------------------------------------------------------------------------------------------------


def test_daemon_json_belongs_to_root() -> None:
    host = build("healthy")
    assert not host.files.info(CONFIG).writable
    with pytest.raises(Trouble) as caught:
        configure(host, "{}")
    assert caught.value.kind is Problem.ROOT_NEEDED
    before = host.files.read(CONFIG)
    configure(with_password(host), "{}")
    after = host.files.read(CONFIG)
    assert before is not None
    assert after is not None
    assert (after.data, after.mode, after.uid) == (b"{}", before.mode, 0)


def test_a_read_only_disk() -> None:
    host = machine('[disks]\n"/etc" = { total = 1, free = 1, read_only = true }')
    with pytest.raises(Trouble) as caught:
        configure(with_password(host), "{}")
    assert caught.value.kind is Problem.FILE_READ_ONLY


def test_a_full_disk() -> None:
    host = machine('[disks]\n"/home" = { total = 10, free = 3 }')
    host.files.replace("/home/mei/a", None, b"123")
    with pytest.raises(Trouble) as caught:
        host.files.replace("/home/mei/b", None, b"4")
    assert caught.value.kind is Problem.DISK_FULL
    assert host.files.disk("/home/mei").free == 0
    assert host.files.info("/home/mei/b").kind is PathKind.MISSING


def test_the_socket_is_seen_through_the_link_to_run() -> None:
    found = build("healthy").files.info("/var/run/docker.sock")
    assert (found.kind, found.readable, found.writable) == (PathKind.SOCKET, True, True)
    found = build("no-permission").files.info("/var/run/docker.sock")
    assert (found.kind, found.readable, found.writable) == (PathKind.SOCKET, False, False)


# --- the Docker service ------------------------------------------------------------------------------------------


def test_the_founding_story_ends_well() -> None:
    host = with_password(build("unknown-runtime"))
    host.files.make_folder("/home/mei/data")
    asked = ContainerSpec("box", "python:3.12-slim", ("sleep", "1"), gpus=GpuChoice(), runtime="nvidia", memlock=False)
    with pytest.raises(Trouble) as caught:
        host.engine.create(asked)
    assert caught.value.kind is Problem.RUNTIME_UNKNOWN
    configure(host, json.dumps({"runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}))
    assert "nvidia" not in host.engine.info().runtimes  # nobody has told the service yet
    host.commands.run(("systemctl", "reload", "docker"), root=True)
    made = host.engine.create(asked)
    host.engine.start(made)
    assert b"RTX 2060" in host.engine.run_in(made, ("nvidia-smi", "-L")).stdout
    assert host.engine.container("group-notebook") is not None
    assert len(host.engine.containers()) == 2


def test_a_restart_stops_other_peoples_containers_unless_live_restore_is_on() -> None:
    host = with_password(build("healthy"))
    host.commands.run(("systemctl", "restart", "docker"), root=True)
    assert host.engine.containers() == ()

    host = with_password(build("healthy"))
    configure(host, '{"live-restore": true}')
    host.commands.run(("systemctl", "reload", "docker"), root=True)
    host.commands.run(("systemctl", "restart", "docker"), root=True)
    assert [info.name for info in host.engine.containers()] == ["group-notebook"]


@pytest.mark.parametrize("text", ["{", "[]", '{"no-such-setting": 1}', '{"default-runtime": "ghost"}'])
def test_a_broken_file_is_harmless_until_the_next_start(text: str) -> None:
    host = with_password(build("healthy"))
    configure(host, text)
    assert host.commands.run(("systemctl", "reload", "docker"), root=True).returncode == 0
    assert "nvidia" in host.engine.info().runtimes
    result = host.commands.run(("systemctl", "restart", "docker"), root=True)
    assert (result.returncode, "control process exited" in result.stderr) == (1, True)
    with pytest.raises(Trouble) as caught:
        host.engine.ping()
    assert caught.value.kind is Problem.ENGINE_REFUSED


def test_a_restart_forgets_a_runtime_that_the_file_does_not_name() -> None:
    host = with_password(build("healthy"))
    configure(host, "{}")
    host.commands.run(("systemctl", "reload", "docker"), root=True)
    assert "nvidia" in host.engine.info().runtimes
    host.commands.run(("systemctl", "restart", "docker"), root=True)
    assert "nvidia" not in host.engine.info().runtimes


def test_an_engine_that_refuses_locked_memory() -> None:
    host = machine("[docker]\nmemlock = false")
    made = host.engine.create(ContainerSpec("box", "python:3.12-slim", ("sleep", "1")))
    with pytest.raises(Trouble) as caught:
        host.engine.start(made)
    assert caught.value.kind is Problem.RLIMIT_REFUSED


def test_gpus_on_a_machine_without_a_driver() -> None:
    host = machine('[driver]\nproblem = "nvml-driver-not-loaded"\ntext = "Driver Not Loaded"')
    made = host.engine.create(
        ContainerSpec("box", "python:3.12-slim", ("sleep", "1"), gpus=GpuChoice(), runtime="nvidia", memlock=False)
    )
    with pytest.raises(Trouble) as caught:
        host.engine.start(made)
    assert caught.value.kind is Problem.RUNTIME_BROKEN


# --- the GPU -----------------------------------------------------------------------------------------------------


def test_what_a_driver_does_not_tell_and_a_driver_that_is_not_there() -> None:
    text = """
[[gpus]]
name = "GRID T4-8Q"
memory = 8_000_000_000
capability = "7.5"
uuid = "GPU-bb"
untold = ["temperature", "use_percent"]
"""
    (reading,) = machine(text).gpus.readings()
    assert (reading.use_percent, reading.temperature, reading.memory_total) == (None, None, 8_000_000_000)
    assert build("nouveau").gpus.readings() == ()
    assert build("no-gpu").gpus.readings() == ()


def test_a_gpu_is_busy_as_long_as_a_training_runs() -> None:
    host = build("with-container", pace=1.0)
    found = place.find(host, "openseq2seq")
    (idle,) = host.gpus.readings()
    running = job.start(host, found, "train", ("python", "run.py", f"--config_file={DEFAULT_CONFIG}"))
    (busy,) = host.gpus.readings()
    job.stop(host, running)
    assert host.gpus.readings() == (idle,)
    assert (idle.use_percent, busy.use_percent) == (0, 97)
    assert place.readings(host, found.container) == (idle,)
    without = replace(found.container, labels={LABEL_GPUS: "none"})
    assert place.readings(host, without) == ()
