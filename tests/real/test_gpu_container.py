"""Whether a container sees a GPU, looked at with real containers: a stand-in for NVIDIA's runtime gives the device and
the library, or does as if, as the real one does on a machine without a driver.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.services.checks.machines import Instead, find
from tests.support import images
from tests.support.engine import PrivateEngine
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.container import ContainerSpec
from wizard.model.finding import Status
from wizard.model.gpu import Gpu, GpuReport
from wizard.services.checks import gpu_container

pytestmark = pytest.mark.real

RUNTIME = """#!/usr/bin/env python3
import json, os, sys
words = sys.argv[1:]
wanted = "{gives}".split()
if "create" in words:
    path = os.path.join(words[words.index("--bundle") + 1], "config.json")
    with open(path) as file:
        bundle = json.load(file)
    asked = [item for item in bundle["process"]["env"] if item.startswith("NVIDIA_VISIBLE_DEVICES=")]
    for target in wanted if asked == ["NVIDIA_VISIBLE_DEVICES=all"] else []:
        bundle["mounts"].append(
            dict(destination=target, source="/dev/null", type="bind", options=["bind", "ro"]))
    with open(path, "w") as file:
        json.dump(bundle, file)
os.execvp("runc", ["runc", *words])
"""
DEVICE, LIBRARY = "/dev/nvidiactl", "/usr/lib/libnvidia-ml.so.1"


@dataclass
class Machine:
    """A machine whose driver reports a GPU; its engine has the stand-in as its runtime "nvidia"."""

    engine: PrivateEngine
    host: Host
    program: Path

    def giving(self, *targets: str) -> Host:
        """The machine, with a runtime that puts something at these places of a container."""
        self.program.write_text(RUNTIME.replace("{gives}", " ".join(targets)))
        self.program.chmod(0o755)
        return self.host

    @property
    def left(self) -> list[str]:
        return sorted(container.name for container in self.host.engine.containers(all=True))


@pytest.fixture
def machine(fresh_engine: Callable[..., PrivateEngine], tmp_path: Path) -> Iterator[Machine]:
    program = tmp_path / "nvidia-container-runtime"
    engine = fresh_engine(json.dumps({"runtimes": {"nvidia": {"path": str(program)}}}))
    host = real.build(engine.environ)
    report = GpuReport("535.54.03", "12.2", (Gpu(0, "GPU", 2**33, (7, 5)),))
    yield Machine(engine, replace(host, gpus=Instead(host.gpus, report=report)), program)
    host.engine.close()


def test_a_gpu_is_seen_only_where_it_is(machine: Machine) -> None:
    host = machine.giving()
    nothing = find(host, "gpu.container")
    assert (nothing.status, nothing.causes) == (Status.INFO, ()), "no image is here yet"

    images.load(machine.engine.url)
    seen = find(machine.giving(DEVICE, LIBRARY), "gpu.container")
    assert seen.status is Status.OK, seen
    assert any(LIBRARY in item.text for item in seen.evidence)
    assert machine.left == [], "nothing is left behind"

    # The container starts and ends well in all these cases: that proves nothing.
    for gives in ((), (LIBRARY,), (DEVICE,)):
        unseen = find(machine.giving(*gives), "gpu.container")
        assert unseen.status is Status.ERROR, gives
        assert unseen.causes == ("runtime-false-ok", "ngc-no-driver")
        assert machine.left == []


def test_a_runtime_that_breaks_off_is_told_with_its_words_and_leaves_nothing(machine: Machine) -> None:
    images.load(machine.engine.url)
    host = machine.giving("/proc/1")
    found = find(host, "gpu.container")
    assert found.status is Status.ERROR
    assert found.causes == ()
    assert any("OCI runtime" in item.text for item in found.evidence)
    assert machine.left == []


def test_an_image_without_programs_is_passed_over(machine: Machine) -> None:
    url = machine.engine.url
    client = machine.engine.client()
    try:
        client.import_image_from_data(images_without_programs(), repository="s2s-test/empty", tag="1")
    finally:
        client.close()
    host = machine.giving(DEVICE, LIBRARY)
    assert find(host, "gpu.container").status is Status.INFO, "there is nothing to look with"
    images.load(url)
    assert find(host, "gpu.container").status is Status.OK, "the next image is taken"
    assert machine.left == []


def test_what_a_killed_program_left_goes_at_the_next_look_and_nothing_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.load(machine.engine.url)
    host = machine.giving(DEVICE, LIBRARY)
    for name, labels in (("ours", {gpu_container.LABEL: "0"}), ("theirs", {})):
        host.engine.create(ContainerSpec(name, images.BUSYBOX, ("true",), labels=labels, memlock=False))
    assert find(host, "gpu.container").status is Status.OK
    assert machine.left == ["ours", "theirs"], "a young one may belong to a program that is looking now"
    monkeypatch.setattr(gpu_container, "_LIVES", -60)
    gpu_container._tidy(host)
    assert machine.left == ["theirs"]


def images_without_programs() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        out.addfile(tarfile.TarInfo("nothing"))
    return buffer.getvalue()
