"""Room on the disk: where images are kept, what is in the way, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.services.checks.machines import Instead, find, trouble, with_engine
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model.disk_usage import DiskUsage, StoredImage
from wizard.model.engine import ImageInfo
from wizard.model.errors import Problem
from wizard.model.finding import Finding, Status
from wizard.model.machine import DiskSpace

GB = 1_000_000_000
OURS = ImageInfo("sha256:1", ("nvcr.io/nvidia/tensorflow:20.11-tf1-py3",), (), 1)
NOTHING = DiskUsage((), (), 0)
LEFT = DiskUsage((StoredImage("sha256:2", (), 3 * GB, in_use=False),), (), 4 * GB)


def space(free: int, files: int = 0, files_free: int = 0, home: int = 100 * GB, **engine: Any) -> Finding:
    host = with_engine(disk_usage=NOTHING, **engine)

    def disk(path: str) -> DiskSpace:
        return (
            DiskSpace(path, 500 * GB, home) if path == host.home else DiskSpace(path, 500 * GB, free, files, files_free)
        )

    return find(replace(host, files=Instead(host.files, disk=disk)), "disk.space")


@pytest.mark.parametrize(
    ("free", "status"), [(5 * GB, Status.OK), (5 * GB - 1, Status.WARNING), (1 * GB, Status.WARNING), (1, Status.ERROR)]
)
def test_less_is_enough_once_the_image_is_here(free: int, status: Status) -> None:
    assert space(free, images=(OURS,)).status is status


@pytest.mark.parametrize(
    ("free", "status"), [(20_000, Status.OK), (19_999, Status.WARNING), (2_000, Status.WARNING), (100, Status.ERROR)]
)
def test_a_disk_can_be_full_of_files(free: int, status: Status) -> None:
    found = space(300 * GB, 1_000_000, free)
    assert found.status is status
    assert ("too many files" in found.summary) is (status is not Status.OK)


def test_a_file_system_without_a_limit_of_files() -> None:
    assert space(300 * GB, 0, 0).status is Status.OK


def test_the_home_folder_is_looked_at_too() -> None:
    found = space(300 * GB, home=1_000_000)
    assert found.status is Status.WARNING
    assert "home" in found.summary


def full(**engine: Any) -> tuple[Host, Finding]:
    host = with_engine(**engine)
    host = replace(host, files=Instead(host.files, disk=lambda path: DiskSpace(path, 500 * GB, 10_000_000)))
    return host, find(host, "disk.space")


def test_the_repair_is_offered_where_there_is_something_to_remove() -> None:
    assert full(disk_usage=LEFT)[1].fixes == ("free-disk-space",)
    assert "7.0 GB" in full(disk_usage=LEFT)[1].detail
    assert full(disk_usage=NOTHING)[1].fixes == ()
    assert full(disk_usage=trouble(Problem.ENGINE_TIMEOUT))[1].fixes == ()


def test_a_full_disk_is_why_docker_does_not_start() -> None:
    stopped = trouble(Problem.ENGINE_REFUSED)
    assert set(full(info=stopped)[1].causes) == {"no-space-pull", "daemon-disk-full"}
    assert set(full(disk_usage=NOTHING)[1].causes) == {"no-space-pull"}
    assert find(machine.build("docker-stopped"), "disk.space").causes == ()


@pytest.mark.parametrize(
    ("config", "path"),
    [("", "/var/lib/containerd"), ('version = 2\nroot = "/data/containerd"\nstate = "/run/x"\n', "/data/containerd")],
)
def test_containerds_own_folder_is_found(config: str, path: str) -> None:
    info = replace(machine.build("healthy").engine.info(), containerd_store=True)
    host = with_engine(info=info, disk_usage=NOTHING)
    if config:
        host.files.replace("/home/mei/config.toml", None, config.encode())
        kept = host.files.read("/home/mei/config.toml")
    else:
        kept = None
    files = Instead(
        host.files,
        disk=lambda where: DiskSpace(where, 500 * GB, 1 * GB if where == path else 100 * GB),
        read=lambda where, root=False: kept if where == "/etc/containerd/config.toml" else None,
    )
    found = find(replace(host, files=files), "disk.space")
    assert (found.status, found.facts["path"]) == (Status.ERROR, path)
