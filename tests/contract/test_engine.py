"""The contract of ``Engine``: the daemon, images and containers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.conftest import Dock, until
from wizard.host.ports import Engine
from wizard.model.container import ContainerSpec, GpuChoice, Mount
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference
from wizard.model.image_archive import member

NAME = "contract"


def spec(dock: Dock, *command: str, name: str = NAME) -> ContainerSpec:
    # Not every engine may give unlimited locked memory; the test for that asks for it.
    return ContainerSpec(name, dock.image, command or ("sleep", "600"), memlock=False)


def started(dock: Dock, *command: str) -> str:
    made = dock.engine.create(spec(dock, *command))
    dock.engine.start(made)
    return made


def refused(dock: Dock, asked: ContainerSpec) -> Trouble:
    with pytest.raises(Trouble) as caught:
        dock.engine.create(asked)
    return caught.value


# --- the daemon --------------------------------------------------------------------------------------------------


def test_the_daemon_answers_and_says_what_it_is(dock: Dock) -> None:
    dock.engine.ping()
    info = dock.engine.info()
    assert info.version[0].isdigit()
    assert info.api_version.startswith("1.")
    assert "runc" in info.runtimes
    assert info.default_runtime == "runc"
    assert info.root_dir.startswith("/")
    assert info.arch in ("amd64", "arm64")
    assert not info.live_restore


def test_the_endpoint_is_a_socket_and_its_process_is_known(dock: Dock) -> None:
    endpoint = dock.engine.endpoint()
    assert endpoint.socket is not None
    assert endpoint.socket.startswith("/")
    process = dock.engine.daemon()
    assert process is not None
    assert process.pid > 1
    assert process.argv[0].endswith("dockerd")


def test_a_closed_engine_is_opened_again_when_needed(dock: Dock) -> None:
    dock.engine.close()
    dock.engine.ping()


RUNC = {"path": "/usr/sbin/runc"}


def test_a_reload_adds_a_runtime_and_keeps_it_when_the_file_names_none(own_dock: Dock) -> None:
    assert "contract" not in own_dock.engine.info().runtimes
    own_dock.configure({"runtimes": {"contract": RUNC}, "default-runtime": "contract"})
    assert until(lambda: own_dock.engine.info().runtimes.get("contract") == RUNC["path"])
    assert own_dock.engine.info().default_runtime == "contract"
    own_dock.configure({"live-restore": True})  # shows that the file was read
    assert until(lambda: own_dock.engine.info().live_restore)
    assert "contract" in own_dock.engine.info().runtimes
    assert own_dock.engine.info().default_runtime == "contract"


def test_a_reload_takes_the_list_of_runtimes_as_a_whole(own_dock: Dock) -> None:
    own_dock.configure({"runtimes": {"contract": RUNC}})
    assert until(lambda: "contract" in own_dock.engine.info().runtimes)
    own_dock.configure({"runtimes": {"other": RUNC}})
    assert until(lambda: "other" in own_dock.engine.info().runtimes)
    assert "contract" not in own_dock.engine.info().runtimes
    assert "runc" in own_dock.engine.info().runtimes


def test_a_file_that_cannot_be_read_changes_nothing(own_dock: Dock) -> None:
    own_dock.configure({"runtimes": {"contract": RUNC}})
    assert until(lambda: "contract" in own_dock.engine.info().runtimes)
    own_dock.configure({"runtimes": {}, "no-such-setting": True})
    time.sleep(0.5)  # a refusal cannot be seen from outside, and the next file must not be read instead
    own_dock.configure({"live-restore": True})
    assert until(lambda: own_dock.engine.info().live_restore)
    assert "contract" in own_dock.engine.info().runtimes


# --- images ------------------------------------------------------------------------------------------------------


def test_an_image_is_found_by_name_and_by_id(dock: Dock) -> None:
    image = dock.engine.image(dock.image)
    assert image is not None
    assert image.id.startswith("sha256:")
    assert image.size > 0
    assert image.command
    assert dock.engine.image(image.id) == image
    assert any(tag.endswith(dock.image) for tag in image.tags)


def test_an_image_that_is_not_there_is_none(dock: Dock) -> None:
    assert dock.engine.image("no-such/image:1") is None


def test_a_cancelled_pull_never_starts(dock: Dock) -> None:
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Trouble) as caught:
        list(dock.engine.pull(ImageReference.parse("nvcr.io/nvidia/tensorflow:20.11-tf1-py3"), None, cancel))
    assert caught.value.kind is Problem.CANCELLED


# --- the life of a container -------------------------------------------------------------------------------------


def test_a_container_from_its_creation_to_its_end(dock: Dock) -> None:
    before = len(dock.engine.containers())
    asked = replace(spec(dock), labels={"a": "b"}, mounts=(Mount(dock.folder, "/data"),))
    made = dock.engine.create(asked)
    info = dock.engine.container(NAME)
    assert info is not None
    assert (info.id, info.name, info.image, info.state) == (made, NAME, dock.image, "created")
    assert info.labels["a"] == "b"
    assert info.mounts == asked.mounts
    assert info.runtime == "runc"
    image = dock.engine.image(dock.image)
    assert image is not None
    assert info.image_id == image.id
    assert len(dock.engine.containers()) == before

    dock.engine.start(made)
    dock.engine.start(made)
    info = dock.engine.container(made)
    assert info is not None
    assert (info.state, info.running) == ("running", True)
    assert len(dock.engine.containers()) == before + 1

    dock.engine.stop(made, timeout=0)
    dock.engine.stop(made, timeout=0)
    info = dock.engine.container(made)
    assert info is not None
    assert (info.state, info.running, info.exit_code) == ("exited", False, 137)
    assert made not in {info.id for info in dock.engine.containers()}
    assert made in {info.id for info in dock.engine.containers(all=True)}

    dock.engine.start(made)
    info = dock.engine.container(made)
    assert info is not None
    assert info.running

    dock.engine.remove(made, force=True)
    assert dock.engine.container(NAME) is None
    dock.engine.remove(made)


def test_a_container_is_found_by_name_id_and_short_id(dock: Dock) -> None:
    made = dock.engine.create(spec(dock))
    for name in (NAME, made, made[:12]):
        info = dock.engine.container(name)
        assert info is not None
        assert info.id == made
    assert dock.engine.container("no-such-container") is None


def test_a_running_container_is_not_removed_without_force(dock: Dock) -> None:
    made = started(dock)
    with pytest.raises(Trouble) as caught:
        dock.engine.remove(made)
    assert caught.value.kind is Problem.ENGINE_OTHER
    assert dock.engine.container(made) is not None


def test_a_command_that_ends_leaves_its_status_and_its_words(dock: Dock) -> None:
    made = started(dock, "sh", "-c", "echo one; echo two >&2; exit 3")

    def ended() -> bool:
        info = dock.engine.container(made)
        return info is not None and info.state == "exited"

    assert until(ended)
    info = dock.engine.container(made)
    assert info is not None
    assert info.exit_code == 3
    assert sorted(dock.engine.logs(made).splitlines()) == ["one", "two"]
    assert len(dock.engine.logs(made, lines=1).splitlines()) == 1


# --- refusals ----------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken(dock: Dock) -> None:
    dock.engine.create(spec(dock))
    trouble = refused(dock, spec(dock))
    assert (trouble.kind, trouble.subject) == (Problem.NAME_TAKEN, NAME)


def test_a_name_that_cannot_be(dock: Dock) -> None:
    trouble = refused(dock, spec(dock, name="no name"))
    assert (trouble.kind, trouble.subject) == (Problem.NAME_INVALID, "no name")


def test_an_image_that_is_missing(dock: Dock) -> None:
    trouble = refused(dock, replace(spec(dock), image="no-such/image:1"))
    assert (trouble.kind, trouble.subject) == (Problem.IMAGE_MISSING, "no-such/image:1")


def test_a_runtime_that_is_unknown(dock: Dock) -> None:
    trouble = refused(dock, replace(spec(dock), runtime="no-such-runtime"))
    assert (trouble.kind, trouble.subject) == (Problem.RUNTIME_UNKNOWN, "no-such-runtime")
    assert "no-such-runtime" in trouble.text


def test_a_folder_that_is_missing(dock: Dock) -> None:
    missing = f"{dock.folder}/missing"
    trouble = refused(dock, replace(spec(dock), mounts=(Mount(missing, "/data"),)))
    assert (trouble.kind, trouble.subject) == (Problem.BIND_SOURCE_MISSING, missing)


def test_gpus_without_the_toolkit_fail_at_the_start_and_leave_the_container(dock: Dock) -> None:
    if dock.is_real and shutil.which("nvidia-container-runtime-hook"):
        pytest.skip("this machine has NVIDIA's toolkit")
    made = dock.engine.create(replace(spec(dock), gpus=GpuChoice(), device_request=True))
    with pytest.raises(Trouble) as caught:
        dock.engine.start(made)
    assert caught.value.kind is Problem.GPU_DRIVER_NOT_SELECTED
    info = dock.engine.container(NAME)
    assert info is not None
    assert info.state == "created"


def test_a_runtime_whose_program_is_missing(own_dock: Dock, tmp_path: Path) -> None:
    own_dock.configure({"runtimes": {"broken": {"path": str(tmp_path / "missing")}}})
    assert until(lambda: "broken" in own_dock.engine.info().runtimes)
    made = own_dock.engine.create(replace(spec(own_dock), runtime="broken"))
    with pytest.raises(Trouble) as caught:
        own_dock.engine.start(made)
    assert caught.value.kind is Problem.RUNTIME_BROKEN


def test_a_command_that_the_image_does_not_have(dock: Dock) -> None:
    made = dock.engine.create(spec(dock, "no-such-program"))
    with pytest.raises(Trouble) as caught:
        dock.engine.start(made)
    assert caught.value.kind is Problem.NOT_EXECUTABLE


@pytest.mark.parametrize("act", ["start", "stop", "logs"])
def test_a_container_that_is_missing(dock: Dock, act: str) -> None:
    with pytest.raises(Trouble) as caught:
        getattr(dock.engine, act)("no-such-container")
    assert caught.value.kind is Problem.CONTAINER_MISSING


# --- commands inside ---------------------------------------------------------------------------------------------


def test_a_command_is_run_to_its_end(dock: Dock) -> None:
    made = started(dock)
    assert dock.engine.run_in(made, ("true",)).exit_code == 0
    result = dock.engine.run_in(made, ("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")


def test_a_command_has_no_input(dock: Dock) -> None:
    result = dock.engine.run_in(started(dock), ("cat",))
    assert (result.exit_code, result.stdout) == (0, b"")


def test_a_program_that_is_not_inside_is_an_exit_status(dock: Dock) -> None:
    assert dock.engine.run_in(started(dock), ("no-such-program",)).exit_code in (126, 127)


def test_a_command_that_takes_too_long(dock: Dock) -> None:
    made = started(dock)
    with pytest.raises(Trouble) as caught:
        dock.engine.run_in(made, ("sleep", "60"), timeout=0.5)
    assert (caught.value.kind, caught.value.subject) == (Problem.COMMAND_TIMEOUT, "sleep 60")


@pytest.mark.parametrize(
    "run",
    [
        lambda engine, name: engine.run_in(name, ("true",)),
        lambda engine, name: engine.open_exec(name, ("true",), tty=True),
    ],
    ids=["run_in", "open_exec"],
)
def test_no_command_in_a_container_that_does_not_run(dock: Dock, run: Callable[[Engine, str], object]) -> None:
    made = dock.engine.create(spec(dock))
    for name, kind in ((made, Problem.CONTAINER_NOT_RUNNING), ("no-such-one", Problem.CONTAINER_MISSING)):
        with pytest.raises(Trouble) as caught:
            run(dock.engine, name)
        assert caught.value.kind is kind


# --- images, and containers that leave nothing -------------------------------------------------------------------


def test_the_images_that_have_a_name_are_listed(dock: Dock) -> None:
    listed = {tag: image for image in dock.engine.images() for tag in image.tags}
    known = dock.engine.image(dock.image)
    assert known is not None
    assert known.tags
    found = listed[known.tags[0]]
    assert (found.id, found.size > 0) == (known.id, True)


def test_an_image_loses_its_name_unless_a_container_needs_it(own_dock: Dock) -> None:
    engine, made = own_dock.engine, own_dock.engine.create(spec(own_dock))
    with pytest.raises(Trouble) as caught:
        engine.remove_image(own_dock.image)
    assert caught.value.kind is Problem.ENGINE_OTHER
    for box in (made, *(box.id for box in engine.containers(all=True))):
        engine.remove(box, force=True)
    engine.remove_image(own_dock.image)
    assert engine.image(own_dock.image) is None
    assert not any(tag.endswith(own_dock.image) for image in engine.images() for tag in image.tags)
    engine.remove_image(own_dock.image)


def test_an_entry_point_of_ours_takes_the_place_of_the_images_own(dock: Dock) -> None:
    asked = replace(spec(dock), command=("600",), entrypoint=("sleep",), network="none", read_only=True)
    made = dock.engine.create(asked)
    dock.engine.start(made)
    assert dock.engine.run_in(made, ("true",)).exit_code == 0


def test_a_container_that_removes_itself(dock: Dock) -> None:
    made = dock.engine.create(replace(spec(dock), auto_remove=True))
    dock.engine.start(made)
    info = dock.engine.container(made)
    assert info is not None
    assert info.auto_remove
    dock.engine.stop(made, timeout=0)
    assert until(lambda: dock.engine.container(made) is None)
    dock.engine.remove(made, force=True)


def test_what_the_engine_keeps_is_told_with_sizes(dock: Dock) -> None:
    made = dock.engine.create(spec(dock))
    dock.engine.start(made)
    image = dock.engine.image(dock.image)
    assert image is not None
    usage = dock.engine.disk_usage()
    kept = next(item for item in usage.images if item.id == image.id)
    assert (kept.tags, kept.in_use, kept.size > 0) == (image.tags, True, True)
    mine = next(item for item in usage.containers if item.id == made)
    assert (mine.name, mine.running) == (NAME, True)
    assert usage.build_cache >= 0
    dock.engine.remove(made, force=True)
    assert made not in {item.id for item in dock.engine.disk_usage().containers}


def test_an_engine_without_a_proxy(dock: Dock) -> None:
    info = dock.engine.info()
    assert (info.http_proxy, info.https_proxy, info.no_proxy) == ("", "", "")


# --- archives ------------------------------------------------------------------------------------------------------


def test_what_stops_an_archive_stops_the_load(dock: Dock) -> None:
    def archive() -> Iterator[bytes]:
        yield bytes(512)
        raise Trouble(Problem.REGISTRY_UNREACHABLE, "in the middle")

    with pytest.raises(Trouble) as caught:
        list(dock.engine.load(archive(), Cancel()))
    assert caught.value.kind is Problem.REGISTRY_UNREACHABLE


def test_a_load_is_cancelled_in_the_middle(dock: Dock) -> None:
    cancel = Cancel()

    def archive() -> Iterator[bytes]:
        yield from member("nothing", 512, [bytes(512)])
        cancel.set()
        yield bytes(512)

    with pytest.raises(Trouble) as caught:
        list(dock.engine.load(archive(), cancel))
    assert caught.value.kind is Problem.CANCELLED


def test_what_is_no_archive_is_told(dock: Dock) -> None:
    """Before the stream, or in it."""
    said: list[object] = []
    try:
        said += [
            message["error"]
            for message in dock.engine.load(iter([b"no archive at all" * 100]), Cancel())
            if "error" in message
        ]
    except Trouble as trouble:
        said.append(trouble.kind)
    assert len(said) == 1
    assert said[0] is Problem.ENGINE_OTHER or isinstance(said[0], str)
