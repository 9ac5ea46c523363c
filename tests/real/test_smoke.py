"""The smoke test in real containers: every way to fail with a stand-in for TensorFlow, and the real TensorFlow 1."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import python_images
from tests.support.engine import PrivateEngine
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.container import LABEL_GPUS, ContainerSpec, GpuChoice, Mount, Workspace
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Finished, Line
from wizard.services import container, smoke, words

pytestmark = pytest.mark.real
NAME = "smoke"


@pytest.fixture(scope="module")
def with_stand_in(shared_engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> None:
    python_images.load_stand_in(shared_engine.url, tmp_path_factory.mktemp("stand-in"))


@pytest.fixture
def host(engine: PrivateEngine) -> Iterator[Host]:
    there = real.build(engine.environ)
    yield there
    there.engine.close()


@pytest.fixture
def box(host: Host, with_stand_in: None, tmp_path: Path) -> Callable[[str], Host]:
    """Makes the container that "has a GPU"; the stand-in then does as the mode says."""

    def make(mode: str, gpus: str = "all") -> Host:
        (tmp_path / "mode").write_text(mode)
        spec = ContainerSpec(
            NAME,
            python_images.STAND_IN,
            ("sleep", "600"),
            mounts=(Mount(str(tmp_path), "/data"),),
            labels={LABEL_GPUS: gpus},
            memlock=False,
        )
        host.engine.start(host.engine.create(spec))
        return host

    return make


def left_running(host: Host) -> list[str]:
    """What runs in the container besides its own command."""
    listed = host.engine.run_in(NAME, ("ps", "-o", "args"), timeout=20).stdout.decode().splitlines()[1:]
    return [line for line in listed if "S2S_SMOKE" in line]


def test_a_gpu_that_works_is_named_and_computes_in_both_precisions(box: Callable[[str], Host]) -> None:
    events: list[object] = []
    seen = smoke.run(box(""), NAME, events.append)
    assert (seen.tensorflow, seen.gpus, seen.notes) == ("1.15.4", ("NVIDIA H100 80GB HBM3",), ())
    assert [(item.device, item.dtype) for item in seen.products] == [
        ("/device:GPU:0", "float32"),
        ("/device:GPU:0", "float16"),
    ]
    assert [event.text for event in events if isinstance(event, Line)][-1] == "Multiplying matrices on GPU 0 (float16)."
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("import", Problem.TENSORFLOW_IMPORT),
        ("no-gpu", Problem.TENSORFLOW_NO_GPU),
        ("803", Problem.CUDA_MISMATCH),
        ("803-by-number", Problem.CUDA_MISMATCH),
        ("804", Problem.CUDA_COMPAT),
        ("too-old", Problem.GPU_CODE_MISSING),
        ("no-kernel", Problem.GPU_CODE_MISSING),
        ("memory", Problem.GPU_MEMORY),
        ("cublas", Problem.TENSORFLOW_FAILED),
        ("wrong", Problem.TENSORFLOW_FAILED),
        ("killed", Problem.TENSORFLOW_IMPORT),
    ],
)
def test_every_way_to_fail_has_its_kind_and_its_evidence(box: Callable[[str], Host], mode: str, kind: Problem) -> None:
    with pytest.raises(Trouble) as caught:
        smoke.run(box(mode), NAME)
    assert caught.value.kind is kind, caught.value
    told = words.explain(caught.value)
    assert told.advice
    said = f"{caught.value.text} {[item.text for item in told.evidence]}"
    expected = {
        "import": "libcublas",
        "803": "unsupported display driver",
        "804": "forward compatibility",
        "no-kernel": "no kernel image",
        "memory": "OOM when allocating",
        "cublas": "Blas GEMM launch failed",
        "wrong": "product of two matrices is wrong",
    }
    assert expected.get(mode, "") in said
    if mode == "killed":
        assert "too little memory" in told.advice


def test_a_container_without_a_gpu_is_tested_on_the_processor(host: Host, box: Callable[..., Host]) -> None:
    seen = smoke.run(box("no-gpu", "none"), NAME)
    assert seen.gpus == ()
    assert [(item.device, item.dtype) for item in seen.products] == [("/device:CPU:0", "float32")]


def test_another_tensorflow_is_told(box: Callable[[str], Host]) -> None:
    seen = smoke.run(box("two"), NAME)
    assert seen.tensorflow == "2.9.1"
    assert seen.notes == ("OpenSeq2Seq needs TensorFlow 1.10 to 1.15.",)


def test_the_limit_is_kept_and_nothing_goes_on_inside(
    box: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "_BEAT", 0.5)
    events: list[object] = []
    host = box("hang")
    with pytest.raises(Trouble) as caught:
        smoke.run(host, NAME, events.append, limit=3)
    assert caught.value.kind is Problem.TENSORFLOW_TIMEOUT
    assert caught.value.text == "Loading TensorFlow."
    assert any(isinstance(event, Line) and "Still at it" in event.text for event in events), "it shows that it is alive"
    assert left_running(host) == []


def test_stopping_it_stops_what_runs_inside(box: Callable[[str], Host]) -> None:
    cancel, host = Cancel(), box("hang")

    def stop_when_it_runs(event: object) -> None:
        if isinstance(event, Line):
            threading.Thread(target=cancel.set).start()

    with pytest.raises(Trouble) as caught:
        smoke.run(host, NAME, stop_when_it_runs, cancel)
    assert caught.value.kind is Problem.CANCELLED
    deadline = time.monotonic() + 30
    while left_running(host) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_running(host) == []


def test_an_image_without_python_is_told(host: Host) -> None:
    from tests.support import images

    host.engine.start(host.engine.create(ContainerSpec(NAME, images.BUSYBOX, ("sleep", "600"), memlock=False)))
    with pytest.raises(Trouble) as caught:
        smoke.run(host, NAME)
    assert caught.value.kind is Problem.TENSORFLOW_IMPORT
    assert "no Python" in words.explain(caught.value).advice


def test_a_container_that_is_not_there(host: Host) -> None:
    with pytest.raises(Trouble) as caught:
        smoke.run(host, "nobody")
    assert caught.value.kind is Problem.CONTAINER_MISSING


@pytest.mark.timeout(600)
def test_the_real_tensorflow_1(host: Host, shared_engine: PrivateEngine, tmp_path: Path) -> None:
    python_images.load_real(shared_engine.url, tmp_path)
    data = tmp_path / "data"
    try:
        workspace = Workspace(data=str(data), name=NAME, gpus=GpuChoice(all=False))
        container.up(host, workspace, python_images.REAL)
        seen = smoke.run(host, NAME)
        assert (seen.python.split(".")[:2], seen.tensorflow, seen.gpus) == (["3", "6"], "1.13.1", ())
        assert [(item.device, item.dtype) for item in seen.products] == [("/device:CPU:0", "float32")]
        shared_engine.remove_containers()

        # The same TensorFlow where a GPU was promised: it works, but sees none.
        spec = ContainerSpec(NAME, python_images.REAL, ("sleep", "600"), labels={LABEL_GPUS: "all"}, memlock=False)
        host.engine.start(host.engine.create(spec))
        with pytest.raises(Trouble) as caught:
            smoke.run(host, NAME)
        assert caught.value.kind is Problem.TENSORFLOW_NO_GPU
    finally:
        shared_engine.remove_containers()
        client = shared_engine.client()
        client.remove_image(python_images.REAL, force=True)
        client.close()
