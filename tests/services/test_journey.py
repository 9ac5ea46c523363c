"""The resume point on disk and against the machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wizard.demo.machine import build
from wizard.host.ports import Host
from wizard.host.store import FolderStore
from wizard.model.container import KEEP_ALIVE, LABEL, ContainerSpec
from wizard.model.errors import Problem, Trouble
from wizard.model.journey import Journey, Step
from wizard.services import journey

IMAGE = "docker.io/library/python:3.12-slim"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return replace(build("healthy"), store=FolderStore(str(tmp_path / "state")))


def made(host: Host, name: str = "box", labels: dict[str, str] | None = None) -> str:
    spec = ContainerSpec(name, IMAGE, KEEP_ALIVE, labels={LABEL: "1"} if labels is None else labels)
    container_id = host.engine.create(spec)
    host.engine.start(container_id)
    return container_id


def after(last: Step, **more: str) -> Journey:
    """The journey of somebody who has done every step up to ``last``."""
    steps = frozenset(step for step in Step if step.number <= last.number)
    return Journey(done=steps, image=more.pop("image", IMAGE), name="box", data="/home/mei/d", **more)  # type: ignore[arg-type]


def test_what_is_saved_is_loaded_and_can_be_forgotten(host: Host) -> None:
    assert journey.load(host) is None
    there = after(Step.PULL)
    journey.save(host, there)
    assert journey.load(host) == there
    journey.clear(host)
    assert journey.load(host) is None
    journey.clear(host)


@pytest.mark.parametrize("data", [b"{", b"", b'{"schema_version": 2, "done": [], "skipped": []}', b"\xff\xfe"])
def test_a_resume_point_that_cannot_be_read_is_set_aside(host: Host, data: bytes) -> None:
    host.store.write(journey.FILE, data)
    assert journey.load(host) is None
    assert host.store.read(journey.FILE) is None
    assert host.store.read(journey.ASIDE) == data
    journey.save(host, Journey())
    assert journey.load(host) == Journey()


def test_a_folder_that_may_not_be_written_does_not_stop_the_start(host: Host) -> None:
    class Full(FolderStore):
        def write(self, name: str, data: bytes) -> None:
            raise Trouble(Problem.DISK_FULL)

    host.store.write(journey.FILE, b"{")
    full = replace(host, store=Full(host.store.path("")))
    assert journey.load(full) is None
    with pytest.raises(Trouble):
        journey.save(full, Journey())
    assert host.store.read(journey.FILE) == b"{"


def test_something_else_in_its_place_does_not_stop_the_start(host: Host) -> None:
    Path(host.store.path(journey.FILE)).mkdir(parents=True)
    assert journey.load(host) is None


def test_before_the_check_up_docker_is_not_asked() -> None:
    host = build("no-docker")
    assert journey.first_open(host, Journey()) is Step.WELCOME
    assert journey.first_open(host, after(Step.WELCOME)) is Step.ACCOUNT


@pytest.mark.parametrize("machine", ["no-docker", "docker-stopped", "no-permission"])
@pytest.mark.parametrize("last", [Step.CHECKUP, Step.PULL, Step.SHELL, Step.FINISH])
def test_without_docker_the_check_up_comes_next(machine: str, last: Step) -> None:
    assert journey.first_open(build(machine), after(last)) is Step.CHECKUP


def test_without_docker_a_check_up_that_was_skipped_comes_next_too() -> None:
    assert journey.first_open(build("docker-stopped"), after(Step.PULL).passed_over(Step.CHECKUP)) is Step.CHECKUP


def test_a_downloaded_image_that_is_here_needs_no_second_download(host: Host) -> None:
    assert journey.first_open(host, after(Step.PULL)) is Step.WORKSPACE


def test_a_downloaded_image_that_has_gone_is_downloaded_again(host: Host) -> None:
    gone = after(Step.WORKSPACE, image="docker.io/library/gone:1")
    assert journey.first_open(host, gone) is Step.PULL
    assert journey.first_open(host, after(Step.WORKSPACE, image="")) is Step.PULL


def test_a_pull_that_was_skipped_stays_skipped(host: Host) -> None:
    skipped = after(Step.WORKSPACE, image="docker.io/library/gone:1").passed_over(Step.PULL)
    assert journey.first_open(host, skipped) is Step.CONTAINER


def test_a_container_that_is_there_is_done_even_stopped_and_without_its_image_s_name(host: Host) -> None:
    container_id = made(host)
    assert journey.first_open(host, after(Step.CONTAINER)) is Step.SHELL
    host.engine.stop(container_id)
    assert journey.first_open(host, after(Step.CONTAINER, image="docker.io/library/gone:1")) is Step.SHELL


def test_a_container_that_has_gone_is_made_again(host: Host) -> None:
    assert journey.first_open(host, after(Step.FINISH)) is Step.CONTAINER
    gone = after(Step.FINISH, image="docker.io/library/gone:1")
    assert journey.first_open(host, gone) is Step.PULL


def test_somebody_else_s_container_of_that_name_is_not_ours(host: Host) -> None:
    made(host, labels={})
    assert journey.first_open(host, after(Step.CONTAINER)) is Step.CONTAINER


def test_a_name_is_not_the_beginning_of_an_id(host: Host) -> None:
    container_id = made(host, name="other")
    asked = replace(after(Step.CONTAINER), name=container_id[:12])
    assert host.engine.container(container_id[:12]) is not None
    assert journey.first_open(host, asked) is Step.CONTAINER
