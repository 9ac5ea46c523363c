from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from wizard.demo import machine
from wizard.demo.commands import SimPrivilege
from wizard.host.ports import Host
from wizard.model.answers import Answers
from wizard.model.errors import Problem, Trouble
from wizard.model.journey import Journey, Step
from wizard.services import finish, journey, repairs
from wizard.services.run import load, run

IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"


@pytest.fixture
def walked() -> tuple[Host, Journey]:
    """A machine at the end of the way, with one repair made."""
    host = machine.build("unknown-runtime", pace=0)
    assert isinstance(host.privilege, SimPrivilege)
    host.privilege.allow()
    assert run(host, Answers(accept=("register-runtime",), name="mine"), True) == 0
    kept = journey.load(host)
    assert kept is not None
    return host, replace(kept, key="keyring", notes=("a note",))


def test_what_was_done_and_how_to_come_back(walked: tuple[Host, Journey]) -> None:
    host, kept = walked
    summary = finish.summary(host, kept)
    receipt = repairs.receipts(host)[0]
    done = "\n".join(summary.done)
    for text in (receipt.title, "keyring", IMAGE, '"mine"', kept.data, "a note"):
        assert text in done
    assert summary.come_back[0] == "s2s-wizard shell --name mine"
    assert summary.train == (
        "s2s-wizard train --rehearsal --name mine",
        "s2s-wizard data fetch --name mine",
        "s2s-wizard train --name mine",
    )
    assert summary.undo == (
        "docker rm --force mine",
        f"docker image rm {IMAGE}",
        "s2s-wizard key forget",
        f"s2s-wizard undo {receipt.id}",
    )


def test_the_commands_can_be_typed(walked: tuple[Host, Journey]) -> None:
    host, kept = walked
    commands = finish.summary(host, kept).commands
    words = [shlex.split(line) for line in commands]
    assert words[0] == ["sudoedit", "/etc/docker/daemon.json"]
    assert words[1] == ["sudo", "systemctl", "reload", "docker"]
    assert words[2] == ["docker", "pull", IMAGE]
    assert words[3] == ["mkdir", "-p", kept.data]
    run_line = words[4]
    assert run_line[:2] == ["docker", "run"]
    assert run_line[run_line.index("--name") + 1] == "mine"
    assert run_line[run_line.index("--runtime") + 1] == "nvidia"
    assert IMAGE in run_line


def test_a_repair_that_was_taken_back_is_not_told(walked: tuple[Host, Journey]) -> None:
    host, kept = walked
    receipt = repairs.undo(host)
    summary = finish.summary(host, kept)
    assert not any(receipt.title in line for line in summary.done)
    assert not any(receipt.id in line for line in summary.undo)


def test_what_several_repairs_share_is_told_once_and_last() -> None:
    host = machine.build("docker-stopped", pace=0)
    host.commands.run(host.privilege.ask_argv())
    made = []
    for name in ("start-docker", "restart-docker"):
        fix = repairs.plan(host, name)
        assert fix is not None
        made.append(repairs.apply(host, fix, defer=True))
    ended = repairs.settle(host, made)
    summary = finish.summary(host, Journey(receipts=tuple(receipt.id for receipt in ended)))
    assert len(summary.commands) == len(set(summary.commands))
    assert summary.commands[-1] == "sudo systemctl restart docker"
    assert summary.undo == (f"s2s-wizard undo {ended[0].id}",), "a restart cannot be taken back"


def test_somebody_who_only_looked() -> None:
    host = machine.build("no-docker", pace=0)
    summary = finish.summary(host, Journey())
    assert (summary.done, summary.commands, summary.undo) == ((), (), ())
    assert summary.come_back[0] == "s2s-wizard shell"
    assert summary.train == ()
    assert load(summary.answers) == Answers()


def test_docker_that_does_not_answer_shortens_the_list_and_breaks_nothing() -> None:
    host = machine.build("docker-stopped", pace=0)
    kept = Journey(done=frozenset({Step.PULL, Step.CONTAINER}), image=IMAGE, name="x", data="/srv/x", gpus="all")
    commands = finish.summary(host, kept).commands
    assert commands == (f"docker pull {IMAGE}", "mkdir -p /srv/x")


@pytest.mark.parametrize(
    ("data", "written"),
    [("{home}/a b", "~/a b"), ("{home}", "~"), ("{home}-other/x", "{home}-other/x"), ("/srv/x", "/srv/x"), ("", "")],
)
def test_paths_in_the_home_folder_are_written_for_any_home(data: str, written: str) -> None:
    host = machine.build("healthy", pace=0)
    answers = finish.answers(host, Journey(data=data.format(home=host.home)))
    assert answers.data == written.format(home=host.home)


@pytest.mark.parametrize(
    ("shm", "text"),
    [(0, ""), (1024**3, "1g"), (512 * 1024**2, "512m"), (3 * 1024**3 // 2, "1536m"), (100_000_000, "100000000")],
)
def test_sizes_are_written_as_they_are_typed(shm: int, text: str) -> None:
    assert finish.answers(machine.build("healthy", pace=0), Journey(shm=shm)).shm == text


def test_the_processor_alone_is_repeated() -> None:
    assert finish.answers(machine.build("no-gpu", pace=0), Journey(gpus="all", cpu_only=True)).gpus == "none"


def test_the_file_is_written_over_only_if_it_is_ours(walked: tuple[Host, Journey]) -> None:
    host, kept = walked
    path = finish.write_answers(host, "~/answers.toml", kept)
    assert path == f"{host.home}/answers.toml"
    assert finish.write_answers(host, path, replace(kept, name="other")) == path
    content = host.files.read(path)
    assert content is not None
    assert load(content.data.decode()).name == "other"
    assert "keyring" in content.data.decode()

    host.files.replace(f"{host.home}/thesis.toml", None, b"mine = 1\n")
    with pytest.raises(Trouble) as caught:
        finish.write_answers(host, "thesis.toml", kept)
    assert caught.value.kind is Problem.BAD_INPUT
    kept_file = host.files.read(f"{host.home}/thesis.toml")
    assert kept_file is not None
    assert kept_file.data == b"mine = 1\n"


@pytest.mark.parametrize(
    ("kind", "found", "started", "expected"),
    [
        ("real", None, "/home/mei/repo/.venv/bin/s2s-wizard", "/home/mei/repo/.venv/bin/s2s-wizard shell"),
        ("real", "/usr/bin/s2s-wizard", "/usr/bin/s2s-wizard", "s2s-wizard shell"),
        ("real", None, "/usr/bin/pytest", "s2s-wizard shell"),
        ("simulated", None, "/home/mei/repo/.venv/bin/s2s-wizard", "s2s-wizard shell"),
    ],
)
def test_commands_can_be_typed_as_they_stand(
    kind: str, found: str | None, started: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine.build("healthy")
    host = replace(host, info=replace(host.info, kind=kind))
    monkeypatch.setattr(host.commands, "which", lambda name: found)
    monkeypatch.setattr("sys.argv", [started])
    assert finish.typed(host, "shell") == expected
