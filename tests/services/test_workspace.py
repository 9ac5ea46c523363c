"""From what a user types to a workspace, on simulated machines and in real folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from wizard.demo.machine import assemble, build
from wizard.demo.spec import parse
from wizard.host.commands import SystemCommands
from wizard.host.files import SystemFiles
from wizard.host.ports import Host
from wizard.model.container import DEFAULT_SHM, KEEP_ALIVE, LABEL, ContainerSpec, GpuChoice, Workspace
from wizard.model.errors import Problem, Trouble
from wizard.model.journey import Journey
from wizard.services import workspace

GIB = 1024**3


@pytest.fixture
def host() -> Host:
    return build("healthy")


@pytest.fixture
def real(own_environment: Path) -> Host:
    """A simulated machine with the real files, at home in a folder of this test."""
    return replace(build("healthy"), files=SystemFiles(SystemCommands(os.environ)), home=str(own_environment))


def valid(host: Host, data: str = "", name: str = "box", gpus: str = "all", shm: str = "1g") -> Workspace:
    return workspace.validate(host, data=data or f"{host.home}/data", name=name, gpus=gpus, shm=shm)


def refused(host: Host, **texts: str) -> Trouble:
    with pytest.raises(Trouble) as caught:
        valid(host, **texts)
    return caught.value


# --- what is suggested -------------------------------------------------------------------------------------------


def test_the_first_suggestion_is_valid_as_it_stands(host: Host) -> None:
    suggested = workspace.defaults(host, Journey())
    assert suggested == Workspace("/home/mei/openseq2seq-data", "openseq2seq", GpuChoice(), GIB)
    assert valid(host, suggested.data, suggested.name, str(suggested.gpus), str(suggested.shm)) == suggested


def test_what_was_chosen_before_is_suggested_again(host: Host) -> None:
    before = Journey(data="/data/x", name="mine", gpus="1,2", shm=7 * GIB)
    assert workspace.defaults(host, before) == Workspace("/data/x", "mine", GpuChoice(False, (1, 2)), 7 * GIB)


def test_without_a_gpu_none_is_suggested(host: Host) -> None:
    none = GpuChoice(all=False)
    assert workspace.defaults(host, Journey(cpu_only=True)).gpus == none
    assert workspace.defaults(host, Journey(cpu_only=True, gpus="all")).gpus == none


def test_gpus_that_cannot_be_read_are_all_gpus(host: Host) -> None:
    assert workspace.defaults(host, Journey(gpus="nonsense")).gpus == GpuChoice()


# --- the data folder ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~/data", "/home/mei/data"),
        ("~//data/", "/home/mei/data"),
        ("data", "/home/mei/data"),
        ("./a/../data", "/home/mei/data"),
        (" /home/mei/data ", "/home/mei/data"),
        ("//home/mei/data", "/home/mei/data"),
        ("/home/mei/my data/语音 é", "/home/mei/my data/语音 é"),
        ("~/a:b,c=d\"e'f", "/home/mei/a:b,c=d\"e'f"),
        ("~/~x", "/home/mei/~x"),
    ],
)
def test_a_path_becomes_absolute(host: Host, text: str, path: str) -> None:
    assert valid(host, data=text).data == path


@pytest.mark.parametrize(
    "text",
    [
        *(
            "/",
            "//",
            "/etc",
            "/etc/x",
            "/usr/local/x",
            "/home",
            "/home/mei",
            "~",
            "~/",
            ".",
            "~/x/..",
            "/proc/1",
            "/dev/shm",
        ),
        *("/var", "/var/lib/docker/x", "/home/../etc/../bin", "/root", "/tmp", "/run", "/sys"),
    ],
)
def test_folders_of_the_system_and_the_whole_home_are_refused(host: Host, text: str) -> None:
    trouble = refused(host, data=text)
    assert (trouble.kind, trouble.subject) == (Problem.BAD_INPUT, text)
    assert "folder" in trouble.hint


def test_a_folder_that_only_begins_like_one_of_the_system_is_fine(real: Host, tmp_path: Path) -> None:
    assert valid(real, data=str(tmp_path / "etc")).data == str(tmp_path / "etc")


@pytest.mark.parametrize(
    "text", [" ", "\t", "a\nb", "a\0b", "\x1b[2J", "\udcff", "x" * 256, "a/" * 2100, "~root/data", "~x"]
)
def test_what_is_no_path_is_refused(host: Host, text: str) -> None:
    trouble = refused(host, data=text)
    assert (trouble.kind, trouble.subject, bool(trouble.hint)) == (Problem.BAD_INPUT, text.strip(), True)


def test_a_file_is_no_folder(real: Host, own_environment: Path) -> None:
    (own_environment / "file").write_text("")
    for text in ("~/file", "~/file/below", "~/file/far/below"):
        trouble = refused(real, data=text)
        assert trouble.kind is Problem.BAD_INPUT
        assert "folder" in trouble.hint


def test_a_folder_that_is_there_is_kept_as_it_is(real: Host, own_environment: Path) -> None:
    (own_environment / "there" / "inside").mkdir(parents=True)
    chosen = valid(real, data="~/there")
    assert workspace.notes(real, chosen) == ()
    workspace.prepare(real, chosen)
    assert os.listdir(chosen.data) == ["inside"]


def test_a_missing_folder_is_announced_and_made(real: Host, own_environment: Path) -> None:
    chosen = valid(real, data="~/new/语音: a, b")
    assert not (own_environment / "new").exists()
    assert chosen.data in workspace.notes(real, chosen)[0]
    workspace.prepare(real, chosen)
    workspace.prepare(real, chosen)
    assert Path(chosen.data).is_dir()
    assert workspace.notes(real, chosen) == ()


def test_a_link_to_a_folder_is_a_folder_and_a_broken_one_is_not(real: Host, own_environment: Path) -> None:
    (own_environment / "disk").mkdir()
    (own_environment / "link").symlink_to("disk")
    assert valid(real, data="~/link").data == str(own_environment / "link")
    (own_environment / "loop").symlink_to("loop")
    assert refused(real, data="~/loop/x").kind in (Problem.BAD_INPUT, Problem.FILE_NOT_REGULAR)


@pytest.mark.parametrize("text", ["/srv/data", "/opt/data", "/lost/and/found"])
def test_a_folder_that_this_user_may_not_write_or_make_is_refused(host: Host, text: str) -> None:
    trouble = refused(host, data=text)
    assert (trouble.kind, trouble.subject) == (Problem.FILE_PERMISSION, "/")
    assert text in trouble.hint


def test_a_folder_that_is_there_and_may_not_be_written_is_refused(host: Host) -> None:
    trouble = refused(host, data="/run/systemd/system")
    assert (trouble.kind, trouble.subject, trouble.hint) == (Problem.FILE_PERMISSION, "/run/systemd/system", "")


# --- the name ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a", "my box", "-x", "容器"])
def test_a_name_that_docker_refuses(host: Host, name: str) -> None:
    assert refused(host, name=name).kind is Problem.NAME_INVALID


def test_somebody_else_s_name_is_taken_and_a_free_one_is_proposed(host: Host) -> None:
    host.engine.create(ContainerSpec("group-notebook-2", "python:3.12-slim", KEEP_ALIVE))
    trouble = refused(host, name=" group-notebook ")
    assert (trouble.kind, trouble.subject) == (Problem.NAME_TAKEN, "group-notebook")
    assert '"group-notebook-3"' in trouble.hint
    assert valid(host, name="group-notebook-3").name == "group-notebook-3"


def test_our_own_container_s_name_is_fine(host: Host) -> None:
    host.engine.create(ContainerSpec("box", "python:3.12-slim", KEEP_ALIVE, labels={LABEL: "1"}))
    assert valid(host, name="box").name == "box"


def test_the_beginning_of_somebody_s_id_is_a_free_name(host: Host) -> None:
    found = host.engine.container("group-notebook")
    assert found is not None
    assert valid(host, name=found.id[:12]).name == found.id[:12]


@pytest.mark.parametrize("machine", ["no-docker", "docker-stopped", "no-permission"])
def test_without_docker_nobody_can_say_that_a_name_is_taken(machine: str) -> None:
    assert valid(build(machine), name="group-notebook").name == "group-notebook"


# --- GPUs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["all", "none", "0", " NONE ", ""])
def test_gpus_that_are_there(host: Host, text: str) -> None:
    assert valid(host, gpus=text).gpus == GpuChoice.parse(text)


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(host: Host) -> None:
    trouble = refused(host, gpus="0,3")
    assert (trouble.kind, trouble.subject) == (Problem.BAD_INPUT, "0,3")
    assert trouble.hint.endswith("numbers: 0.")


def test_gpus_are_not_checked_where_the_driver_does_not_answer() -> None:
    assert valid(build("no-gpu"), gpus="0,3").gpus == GpuChoice(False, (0, 3))


@pytest.mark.parametrize("text", ["two", "0-3", "-1"])
def test_what_is_no_choice_of_gpus(host: Host, text: str) -> None:
    trouble = refused(host, gpus=text)
    assert (trouble.kind, trouble.subject, bool(trouble.hint)) == (Problem.BAD_INPUT, text, True)


# --- shared memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("1g", GIB), ("1G", GIB), ("1 GB", GIB), ("2 GiB", 2 * GIB), ("512m", GIB // 2), (" 512 MiB ", GIB // 2)),
        *(("1.5g", 3 * GIB // 2), ("1,5g", 3 * GIB // 2), ("65536k", 64 * 1024**2), ("1073741824", GIB)),
        *(("1073741824b", GIB), ("", DEFAULT_SHM)),
    ],
)
def test_sizes(host: Host, text: str, size: int) -> None:
    assert valid(host, shm=text).shm == size


@pytest.mark.parametrize(
    "text", ["1", "0", "0g", "63m", "1000", "-1g", "g", "one", "1 g b", "1e9", "1gg", "1ig", "١g", "9" * 40]
)
def test_what_is_no_size_or_too_little(host: Host, text: str) -> None:
    trouble = refused(host, shm=text)
    assert (trouble.kind, trouble.subject, bool(trouble.hint)) == (Problem.BAD_INPUT, text, True)


def test_more_than_the_machine_s_memory_is_refused(real: Host) -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    trouble = refused(real, shm=f"{pages + GIB}")
    assert trouble.kind is Problem.BAD_INPUT
    assert "memory" in trouble.hint
    assert valid(real, shm=f"{pages // 2}").shm == pages // 2


def test_where_the_memory_is_not_told_any_size_will_do() -> None:
    host = assemble(parse('extends = "healthy"\n[files]\n"/proc/meminfo" = { absent = true }', "test"))
    assert host.files.read("/proc/meminfo") is None
    assert valid(host, shm="9t").shm == 9 * 1024**4
