"""Each failure that users of OpenSeq2Seq are known to meet: it cannot happen here, or it is recognised.

The texts are those of runs that were made to fail, and of the project's issues on GitHub.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.services.training.conftest import MINI, NAME, Bench
from wizard.demo.converter import tone
from wizard.knowledge import daemon_errors, training_failures
from wizard.model.errors import Problem, Trouble
from wizard.model.training import plan
from wizard.model.training.log import TrainingLog
from wizard.model.training.plan import Machine
from wizard.model.training.settings import Settings
from wizard.services.training import dependencies, preflight, training_run
from wizard.services.training.dependencies import Inside
from wizard.services.training.preflight import Ready, Wanted

CSV = "librispeech/librivox-train-clean-100.csv"
HEAD = "wav_filename,wav_filesize,transcript\n"
LOGS = "OpenSeq2Seq/jasper_log_folder"

RECOGNISED = {
    # the log folder
    "OSError: The log directory is empty or does not exist. You should probably not provide": ("log-folder-fresh"),
    "UnboundLocalError: local variable 'checkpoint' referenced before assignment": "no-dir-check",
    'OSError: Log directory is not empty. If you want to continue learning, you should provide "--continue_learning"': (
        "log-folder-not-empty"
    ),
    "OSError: There is no valid TensorFlow checkpoint in the a/logs directory. Can't load model": "no-checkpoint",
    "OSError: a/logs does not exist or is empty, can't restore model": "no-checkpoint",
    'OSError: There is a file with the same name as "logdir" parameter. You should change': "log-folder-is-file",
    "NotFoundError: Restoring from checkpoint failed. This is most likely due to a Variable": "checkpoint-mismatch",
    "NotFoundError: Key ForwardPass/a not found in checkpoint": "checkpoint-mismatch",
    "InvalidArgumentError: Assign requires shapes of both tensors to match. lhs shape= [29]": "checkpoint-mismatch",
    # options and configurations
    "run.py: error: unrecognized arguments: --data_layer_params/dataset_files=/data/x.csv": "option-unknown",
    "run.py: error: argument --use_horovod: invalid literal_eval value: 'true'": "option-value",
    "ValueError: data_layer parameter has to be specified": "no-infer-data",
    "ValueError: Overall batch size is too big for this dataset.": "batch-too-big",
    "InvalidArgumentError: No OpKernel was registered to support Op 'CudnnRNNCanonicalToParams'": "cudnn-rnn-cpu",
    # data
    "FileNotFoundError: File b'/data/librispeech/librivox-dev-clean.csv' does not exist": "csv-missing",
    "FileNotFoundError: [Errno 2] No such file or directory: '/data/a.wav'": "wav-missing",
    "ValueError: The sampling frequency set in params 16000 does not match the frequency 8000 read from file "
    "/data/a.wav": "wav-rate",
    "KeyError: 'H'": "vocabulary",
    "tensorflow.python.framework.errors_impl.UnknownError: KeyError: 'f'": "vocabulary",
    "a.py:5: RuntimeWarning: invalid value encountered in true_divide": "audio-silent",
    # programs and libraries
    "ModuleNotFoundError: No module named 'horovod'": "horovod-missing",
    'ERROR: Command "python setup.py egg_info" failed with error code 1 in /tmp/pip-install-a/sox/': "sox-package",
    "ModuleNotFoundError: No module named 'typing_extensions'": "sox-package",
    "ModuleNotFoundError: No module named 'numba.decorators'": "numba-new",
    "TypeError: guvectorize() missing 1 required positional argument: 'signature'": "numba-new",
    "ModuleNotFoundError: No module named 'ctc_decoders'": "decoder-missing",
    "./setup.sh: line 12: swig: command not found": "decoder-missing",
    "SoX could not be found!": "sox-missing",
    "python: can't open file 'import_librivox.py': [Errno 2] No such file or directory": "code-not-found",
    "AttributeError: module 'tensorflow' has no attribute 'placeholder'": "not-the-container",
    "ModuleNotFoundError: No module named 'tensorflow.contrib'": "not-the-container",
    "fatal: destination path 'OpenSeq2Seq' already exists and is not an empty directory.": "clone-exists",
    # memory and GPUs
    "ResourceExhaustedError: OOM when allocating tensor with shape[32,512,1,845] and type float on /job:localhost": (
        "gpu-memory"
    ),
    "failed to allocate 1.5G (from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory": "gpu-memory",
    "WARNING: Detected NVIDIA GeForce RTX 3060 Ti GPU, which is not yet supported in this version of the container": (
        "gpu-unsupported"
    ),
    "ERROR: No supported GPU(s) detected to run this container": "gpu-unsupported",
    "Ignoring visible gpu device (device: 0, name: Tesla K80, compute capability: 3.7) with Cuda capability 3.7. "
    "The minimum required Cuda capability is 6.0.": "gpu-unsupported",
    "Segmentation fault (core dumped)": "crashed",
    "WARNING: One or more tensors were submitted to be reduced, gathered or broadcasted by subset of ranks and are "
    "waiting for remainder of ranks for more than 60 seconds.": "horovod-waits",
    "KeyboardInterrupt": "interrupted",
}
BY_DOCKER = {
    "invalid volume specification: 'data:mount': invalid mount config for type \"volume\": invalid mount path: 'mount' "
    "mount path must be absolute": "volume-spec-bad",
    "OCI runtime create failed: runc create failed: unable to start container process: error during container init: "
    "error setting rlimits for ready process: error setting rlimit type 8: operation not permitted": (
        "rlimit-not-permitted"
    ),
    'Conflict. The container name "/open" is already in use by container "09be". You have to remove (or rename) that '
    "container to be able to reuse that name.": "name-conflict",
    "Unknown runtime specified nvidia": "runtime-unknown",
}


@pytest.mark.parametrize(("said", "id"), RECOGNISED.items(), ids=list(RECOGNISED.values()))
def test_a_failure_of_a_training_is_recognised_in_its_log(said: str, id: str) -> None:
    log = TrainingLog(training_failures)
    log.feed(b"Traceback (most recent call last):\n" + said.encode() + b"\n")
    log.close()
    assert log.failure is not None
    assert log.failure.id == id
    assert log.failure.advice


@pytest.mark.parametrize(("said", "id"), BY_DOCKER.items(), ids=list(BY_DOCKER.values()))
def test_what_docker_says_to_the_command_of_the_tutorials_is_recognised(said: str, id: str) -> None:
    found = daemon_errors.find(f"docker: Error response from daemon: {said}.")
    assert [match.cause.id for match in found] == [id]


@pytest.mark.parametrize(("code", "id"), [(137, "host-memory"), (143, "terminated"), (130, "interrupted")])
def test_an_end_without_a_word_is_explained(code: int, id: str) -> None:
    found = training_failures.verdict(None, None, code)
    assert found is not None
    assert found.id == id


# --- what cannot happen ------------------------------------------------------------------------------------------


def ready(bench: Bench, *options: str, mode: str = "train_eval", config: str = MINI) -> Ready:
    return preflight.check(bench.host, bench.place, Wanted(config, options, mode))


def first_run(bench: Bench) -> bool:
    return "--continue_learning" not in ready(bench, "--continue_learning").argv


def after_a_failed_start(bench: Bench) -> bool:
    bench.write(f"{LOGS}/stderr_2026.log", "")
    found = ready(bench)
    return bool(found.folder.aside) and "--continue_learning" not in found.argv


def checkpoint_is_looked_for_where_it_was_written(bench: Bench) -> bool:
    training_run.run(bench.host, NAME, Wanted(MINI, ("--num_epochs=1",)))
    return all("--enable_logs" in ready(bench, mode=mode).argv for mode in ("eval", "infer"))


def a_finished_training_runs_no_step_more(bench: Bench) -> bool:
    training_run.run(bench.host, NAME, Wanted(MINI, ("--num_epochs=1",)))
    return training_run.run(bench.host, NAME, Wanted(MINI, ("--num_epochs=1",))).job is None


def no_batch_is_larger_than_the_data(bench: Bench) -> bool:
    bench.write(CSV, HEAD + "/data/train-clean-100-1.wav,1000,hello\n")
    found = ready(bench)
    return (found.settings.batch_size_per_gpu or 99) <= (found.rows or 0)


def no_horovod_where_there_is_none(_bench: Bench) -> bool:
    fitted = plan.fit(Settings(use_horovod=True), Machine(gpus=1, horovod=False))
    return fitted.options["use_horovod"] is False and fitted.processes == 1


def one_gpu_is_plain_python(bench: Bench) -> bool:
    return ready(bench).argv[0] == "python"


def pins_that_every_python_knows(_bench: Bench) -> bool:
    have = frozenset(dependencies.PINS) - {"sox", "tqdm"}
    return dependencies.requirements(Inside((3, 5), have, frozenset(), {})) == ("tqdm==4.64.1", "sox==1.3.7")


@pytest.mark.parametrize(
    "holds",
    [
        first_run,
        after_a_failed_start,
        checkpoint_is_looked_for_where_it_was_written,
        a_finished_training_runs_no_step_more,
        no_batch_is_larger_than_the_data,
        no_horovod_where_there_is_none,
        one_gpu_is_plain_python,
        pins_that_every_python_knows,
    ],
    ids=lambda holds: holds.__name__,
)
def test_it_cannot_happen(bench: Bench, holds: Callable[[Bench], bool]) -> None:
    bench.furnish(rows=8)
    assert holds(bench)


def recordings_at_half_the_rate(bench: Bench) -> None:
    wav = bytearray(tone())
    wav[24:28] = (8000).to_bytes(4, "little")
    before = bench.host.files.read(f"{bench.data}/train-clean-100-1.wav")
    assert before is not None
    bench.host.files.replace(f"{bench.data}/train-clean-100-1.wav", before.data, bytes(wav))


def capital_letters(bench: Bench) -> None:
    bench.write(CSV, HEAD + "/data/train-clean-100-1.wav,1000,HELLO\n")


def a_recording_that_is_not_there(bench: Bench) -> None:
    bench.write(CSV, HEAD + "/data/nowhere.wav,1000,hello\n")


def a_list_that_is_not_there(bench: Bench) -> None:
    bench.write(f"aside/{CSV}", "")
    place = bench.place
    bench.host.engine.run_in(place.container.id, ("mv", "-T", "--", f"/data/{CSV}", "/data/aside/gone.csv"))


@pytest.mark.parametrize(
    ("spoil", "options", "kind"),
    [
        (a_list_that_is_not_there, (), Problem.TRAINING_DATA),
        (a_recording_that_is_not_there, (), Problem.TRAINING_DATA),
        (capital_letters, (), Problem.TRAINING_DATA),
        (recordings_at_half_the_rate, (), Problem.TRAINING_DATA),
        (None, ("--data_layer_params/dataset_files=/data/x.csv",), Problem.OPTION_UNUSABLE),
        (None, ("--use_horovod=true",), Problem.OPTION_UNUSABLE),
        (None, ("--batch_size_per_gpu=1000",), Problem.OPTION_UNUSABLE),
        (None, ("--mode=eval",), Problem.NO_CHECKPOINT),
    ],
)
def test_it_is_refused_before_it_begins(
    bench: Bench, spoil: Callable[[Bench], None] | None, options: tuple[str, ...], kind: Problem
) -> None:
    bench.furnish(rows=8)
    if spoil is not None:
        spoil(bench)
    with pytest.raises(Trouble) as caught:
        ready(bench, *options)
    assert caught.value.kind is kind
