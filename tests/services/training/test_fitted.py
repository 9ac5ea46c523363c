"""How a run is fitted to the GPUs of simulated machines: processes, batch, and mixed precision."""

from __future__ import annotations

from typing import Any

import pytest

from wizard.demo import spec
from wizard.demo.converter import tone
from wizard.demo.machine import assemble
from wizard.demo.training import SimJobs
from wizard.host.ports import Host
from wizard.services.training import code, preflight
from wizard.services.training import place as places
from wizard.services.training.preflight import Ready, Wanted

FOLDER = "/home/mei/openseq2seq-data"
MINI = "example_configs/speech2text/jasper-Mini-for-Jetson.py"
SMALL = "example_configs/speech2text/ds2_small_1gpu.py"
SPLITS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "test-clean")
VOLTA, PASCAL = "7.0", "6.1"


def machine(gpus: int, capability: str = VOLTA, gigabytes: int = 32, rows: int = 400) -> Host:
    """A machine with a container and LibriSpeech: ``rows`` recordings to train with."""
    listed = [
        f'[[gpus]]\nname = "G"\nmemory = {gigabytes}_000_000_000\ncapability = "{capability}"\nuuid = "GPU-{n}"\n'
        for n in range(gpus)
    ]
    host = assemble(spec.parse('extends = "with-container"\n' + ("".join(listed) or "gpus = []\n"), "test"))
    host.files.replace(f"{FOLDER}/a.wav", None, tone())
    for split in SPLITS:
        count = rows - 2 if split == "train-clean-100" else 1
        text = "wav_filename,wav_filesize,transcript\n" + "/data/a.wav,1,a\n" * count
        host.files.replace(f"{FOLDER}/librispeech/librivox-{split}.csv", None, text.encode())
    return host


def ready(host: Host, *options: str, config: str = MINI) -> Ready:
    place = places.find(host, "openseq2seq")
    code.ensure(host, place)
    return preflight.check(host, place, Wanted(config, options))


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the simulated configuration says otherwise: to be filled in by the test."""
    other: dict[str, Any] = {}
    before = SimJobs._config

    def config(jobs: SimJobs, *arguments: Any) -> dict[str, object]:
        told = before(jobs, *arguments)
        scalars = told["scalars"]
        assert isinstance(scalars, dict)
        return {
            **told,
            **{key: value for key, value in other.items() if key in told},
            "scalars": {**scalars, **{key: value for key, value in other.items() if key in scalars}},
        }

    monkeypatch.setattr(SimJobs, "_config", config)
    return other


def test_one_gpu_is_the_customers_own_command() -> None:
    run = ready(machine(1)).argv
    assert run == ("python", "run.py", f"--config_file={MINI}", "--mode=train_eval", "--enable_logs")


@pytest.mark.parametrize("asked", [True, False])
def test_several_gpus_are_started_by_mpi_with_horovod(says: dict[str, Any], asked: bool) -> None:
    says["use_horovod"] = asked
    found = ready(machine(4))
    assert found.argv[:4] == ("mpiexec", "-np", "4", "--allow-run-as-root")
    assert ("--use_horovod=True" in found.argv) == (not asked)
    assert found.run.environment["OMPI_MCA_btl_vader_single_copy_mechanism"] == "none"


@pytest.mark.parametrize("gpus", [1, 4])
def test_without_horovod_it_is_one_process(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    before = SimJobs._look

    def look(jobs: SimJobs, *arguments: Any) -> dict[str, object]:
        told = before(jobs, *arguments)
        modules = told["modules"]
        assert isinstance(modules, list)
        return {**told, "modules": [name for name in modules if name not in ("horovod", "mpi4py")]}

    monkeypatch.setattr(SimJobs, "_look", look)
    found = ready(machine(gpus))
    assert found.argv[0] == "python"
    assert "--use_horovod=False" in found.argv
    assert ("--num_gpus=4" in found.argv) == (gpus == 4)
    assert any("no Horovod" in note for note in found.notes)


@pytest.mark.parametrize(("rows", "gpus", "batch"), [(400, 1, 0), (20, 1, 20), (20, 4, 5), (127, 4, 31), (128, 4, 0)])
def test_the_batch_is_no_larger_than_the_rows_for_each_gpu(rows: int, gpus: int, batch: int) -> None:
    found = ready(machine(gpus, rows=rows))
    given = [word for word in found.argv if word.startswith("--batch_size_per_gpu")]
    assert given == ([f"--batch_size_per_gpu={batch}"] if batch else [])


@pytest.mark.parametrize(("gigabytes", "batch"), [(32, 0), (12, 0), (8, 16), (4, 8)])
def test_the_batch_is_halved_until_it_fits_the_memory(gigabytes: int, batch: int) -> None:
    """The documentation of this one names 12 GB for its batch of 32."""
    host = machine(1, gigabytes=gigabytes)
    found = ready(host, config=SMALL)
    given = [word for word in found.argv if word.startswith("--batch_size_per_gpu")]
    assert given == ([f"--batch_size_per_gpu={batch}"] if batch else [])
    asked = ready(host, "--batch_size_per_gpu=24", config=SMALL)
    assert "--batch_size_per_gpu=24" in asked.argv, "what was asked for is not changed"


def test_a_copy_is_fitted_as_its_original(says: dict[str, Any]) -> None:
    says["dtype"] = "mixed"
    found = ready(machine(1, PASCAL, gigabytes=8), config=SMALL)
    assert found.config.path == "/data/s2s-wizard/configs/ds2_small_1gpu.py"
    assert "--batch_size_per_gpu=16" in found.argv


@pytest.mark.parametrize(
    ("gpus", "capability", "kept"), [(1, "7.5", True), (8, VOLTA, True), (1, PASCAL, False), (0, "", False)]
)
def test_mixed_precision_only_where_the_gpu_has_it(
    says: dict[str, Any], gpus: int, capability: str, kept: bool
) -> None:
    says["dtype"] = "mixed"
    host = machine(gpus, capability)
    found = ready(host)
    assert found.config.mixed is kept
    assert (found.config.path == MINI) is kept
    assert any("mixed precision" in note for note in found.notes) is not kept
    if not kept:
        copy = host.files.read(places.find(host, "openseq2seq").outside(found.config.path))
        assert copy is not None
        assert b"tf.float32" in copy.data
        assert MINI.encode() in copy.data
