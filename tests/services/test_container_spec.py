"""What the engine is told, and the docker command that says the same. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace

import pytest

from wizard import __version__
from wizard.model.container import GIB, KEEP_ALIVE, STACK, GpuChoice, Mount, Workspace
from wizard.model.engine import EngineInfo, EngineKind
from wizard.services.container import Up, command_line, spec_for, to_json

IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"


def engine(runtimes: Mapping[str, str]) -> EngineInfo:
    return EngineInfo(
        kind=EngineKind.ENGINE,
        version="26.1.3",
        api_version="1.45",
        os="Debian",
        arch="amd64",
        runtimes=runtimes,
        default_runtime="runc",
        root_dir="/var/lib/docker",
        storage_driver="overlay2",
        containerd_store=False,
        live_restore=False,
        containers_running=0,
        name="box",
    )


PLAIN = engine({"runc": "runc"})
NVIDIA = engine({"runc": "runc", "nvidia": "/usr/bin/nvidia-container-runtime"})


def test_what_every_container_gets() -> None:
    spec = spec_for(PLAIN, Workspace("/home/me/data", "box", GpuChoice.parse("none"), 2 * GIB), IMAGE)
    assert (spec.name, spec.image, spec.command) == ("box", IMAGE, KEEP_ALIVE)
    assert spec.mounts == (Mount("/home/me/data", "/data"),)
    assert (spec.shm, spec.stack, spec.memlock) == (2 * GIB, STACK, True)
    assert spec.labels["s2s-wizard.version"] == __version__
    assert spec.labels["s2s-wizard.image"] == IMAGE


@pytest.mark.parametrize("info", [PLAIN, NVIDIA])
def test_without_gpus_none_is_given_even_by_a_default_runtime(info: EngineInfo) -> None:
    spec = spec_for(info, Workspace("/d", gpus=GpuChoice.parse("none")), IMAGE)
    assert spec.runtime is None
    assert not spec.device_request
    assert spec.env == {"NVIDIA_VISIBLE_DEVICES": "void"}
    assert spec.labels["s2s-wizard.gpus"] == "none"


@pytest.mark.parametrize("choice", ["all", "0", "0,2"])
def test_gpus_through_the_runtime_where_the_engine_knows_it(choice: str) -> None:
    spec = spec_for(NVIDIA, Workspace("/d", gpus=GpuChoice.parse(choice)), IMAGE)
    assert spec.runtime == "nvidia"
    assert not spec.device_request
    assert spec.env["NVIDIA_VISIBLE_DEVICES"] == choice
    assert spec.env["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"


@pytest.mark.parametrize("choice", ["all", "0,2"])
def test_gpus_through_a_device_request_otherwise(choice: str) -> None:
    spec = spec_for(PLAIN, Workspace("/d", gpus=GpuChoice.parse(choice)), IMAGE)
    assert spec.runtime is None
    assert spec.device_request
    assert str(spec.gpus) == choice
    assert "NVIDIA_VISIBLE_DEVICES" not in spec.env  # Docker sets it from the request


def test_the_command_with_the_runtime() -> None:
    line = command_line(spec_for(NVIDIA, Workspace("/home/me/my data"), IMAGE))
    assert line[:5] == ("docker", "run", "--detach", "--name", "openseq2seq")
    text = shlex.join(line)
    assert "--runtime nvidia" in text
    assert "--gpus" not in line
    assert "--shm-size 1g --ulimit memlock=-1 --ulimit stack=67108864" in text
    assert "--mount 'type=bind,source=/home/me/my data,target=/data'" in text
    assert "NVIDIA_VISIBLE_DEVICES=all" in line
    assert line[-4:] == (IMAGE, *KEEP_ALIVE)
    assert shlex.split(text) == list(line)


def test_the_command_with_a_device_request() -> None:
    everything = command_line(spec_for(PLAIN, Workspace("/d"), IMAGE))
    assert everything[everything.index("--gpus") + 1] == "all"
    two = command_line(spec_for(PLAIN, Workspace("/d", gpus=GpuChoice.parse("0,2")), IMAGE))
    assert two[two.index("--gpus") + 1] == '"device=0,2"'
    assert "--gpus" not in command_line(spec_for(PLAIN, Workspace("/d", gpus=GpuChoice.parse("none")), IMAGE))


def test_a_command_without_memlock_and_with_odd_values() -> None:
    spec = spec_for(PLAIN, Workspace('/a,b "c"', shm=1536 * 1024**2), IMAGE).without_memlock()
    spec = replace(spec, mounts=(*spec.mounts, Mount("/r", "/r", read_only=True)))
    line = command_line(spec)
    assert "memlock=-1" not in line
    assert line[line.index("--shm-size") + 1] == "1536m"
    assert 'type=bind,"source=/a,b ""c""",target=/data' in line
    assert "type=bind,source=/r,target=/r,readonly" in line
    assert "1000" in command_line(replace(spec, shm=1000))


def test_the_document() -> None:
    assert to_json(Up("n", "i", "im", "created", "/d", ("one",))) == {
        "schema_version": 1,
        "name": "n",
        "id": "i",
        "image": "im",
        "action": "created",
        "data": "/d",
        "notes": ["one"],
    }
