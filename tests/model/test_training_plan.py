"""What a log folder allows, the command of a run, and what fits the machine."""

from __future__ import annotations

import ast
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model.errors import Problem, Trouble
from wizard.model.machine import PathKind
from wizard.model.training import derived, plan
from wizard.model.training.plan import Fit, Listing, Machine, Refusal, Run, Standing
from wizard.model.training.settings import Settings

CHECKPOINT = (
    'model_checkpoint_path: "model.ckpt-1100"\n'
    'all_model_checkpoint_paths: "model.ckpt-0"\n'
    'all_model_checkpoint_paths: "model.ckpt-1100"\n'
)
AFTER_A_CRASH = frozenset({"config_2026-11-22_15-06-01.py", "stdout_2026-11-22_15-06-01.log"})
FILES = frozenset({"checkpoint", "model.ckpt-1100.index", "model.ckpt-1100.meta"})
MINI = Settings(batch_size_per_gpu=32, num_epochs=50, num_gpus=1, use_horovod=True)


def folder(found: Listing, **more: Any) -> plan.LogFolder:
    return plan.log_folder("/data/jasper_log_folder", found, now=1_700_000_000, **more)


# --- the log folder ---


@pytest.mark.parametrize("found", [Listing(PathKind.MISSING), Listing(PathKind.DIRECTORY)])
def test_a_missing_or_empty_folder_begins_a_training(found: Listing) -> None:
    assert folder(found).standing is Standing.FRESH
    assert not folder(found).resumes


def test_a_checkpoint_is_gone_on_from() -> None:
    found = folder(Listing(PathKind.DIRECTORY, AFTER_A_CRASH | {"logs"}, FILES, CHECKPOINT), total_steps=1101)
    assert found.standing is Standing.RESUME
    assert found.resumes
    assert (found.step, found.checkpoint) == (1100, "/data/jasper_log_folder/logs/model.ckpt-1100")
    assert found.aside == ""


def test_the_last_step_was_reached() -> None:
    found = folder(Listing(PathKind.DIRECTORY, frozenset({"logs"}), FILES, CHECKPOINT), total_steps=1100)
    assert found.standing is Standing.FINISHED


def test_without_enable_logs_the_checkpoints_are_in_the_folder_itself() -> None:
    found = folder(Listing(PathKind.DIRECTORY, FILES, FILES, CHECKPOINT), enable_logs=False)
    assert found.checkpoint == "/data/jasper_log_folder/model.ckpt-1100"


@pytest.mark.parametrize(
    "found",
    [
        Listing(PathKind.DIRECTORY, AFTER_A_CRASH),
        Listing(PathKind.DIRECTORY, AFTER_A_CRASH | {"logs"}, frozenset({"graph.pbtxt"})),
        Listing(PathKind.DIRECTORY, frozenset({"logs"}), frozenset({"checkpoint"}), CHECKPOINT),
        Listing(PathKind.DIRECTORY, frozenset({"logs"}), FILES, ""),
        Listing(PathKind.DIRECTORY, frozenset({"logs"}), FILES, "\0\0\0\0"),
    ],
    ids=["no-logs", "no-checkpoint", "no-index", "cut", "zeros"],
)
def test_what_a_failed_run_left_moves_aside(found: Listing) -> None:
    assert folder(found).standing is Standing.DIRTY
    assert folder(found).aside == "/data/jasper_log_folder.failed-20231114-221320"


@pytest.mark.parametrize("kind", [PathKind.FILE, PathKind.OTHER, PathKind.SOCKET])
def test_a_file_in_its_place_moves_aside(kind: PathKind) -> None:
    assert folder(Listing(kind)).standing is Standing.FILE
    assert folder(Listing(kind)).aside.endswith(".failed-20231114-221320")


@given(st.text())
def test_any_checkpoint_file_is_read_without_a_crash(text: str) -> None:
    newest = plan.last_checkpoint(text)
    assert newest is None or newest[1] >= 0


@pytest.mark.parametrize(
    ("command", "config"),
    [
        ("run.py --config_file=a/b.py --mode=train_eval --enable_logs", "a/b.py"),
        ("run.py --mode train --config_file /data/my configs/b.py", "/data/my configs/b.py"),
        ("run.py --mode=train_eval --config_file=b.py\n", "b.py"),
        ("run.py --config_file=a/b.py --mode=eval", ""),
        ("run.py --mode=train", ""),
        ("", ""),
    ],
)
def test_the_configuration_that_a_command_trains_with(command: str, config: str) -> None:
    assert plan.trained_with(command) == config


def test_which_files_keep_a_command() -> None:
    assert plan.is_command("cmd-args_2026-11-22_15-06-01.log")
    assert not plan.is_command("stdout_2026-11-22_15-06-01.log")


# --- the command ---


def test_the_command_is_the_customers() -> None:
    assert shlex.join(Run().argv) == (
        "python run.py --config_file=example_configs/speech2text/jasper-Mini-for-Jetson.py "
        "--mode=train_eval --enable_logs"
    )
    assert Run(continue_learning=True).argv == (*Run().argv, "--continue_learning")
    assert Run().environment == {"PYTHONUNBUFFERED": "1"}


def test_several_gpus_are_started_by_mpi() -> None:
    run = Run(processes=2, options={"use_horovod": True, "batch_size_per_gpu": 16})
    assert run.argv[:5] == ("mpiexec", "-np", "2", "--allow-run-as-root", "python")
    assert run.argv[-2:] == ("--use_horovod=True", "--batch_size_per_gpu=16")
    assert run.environment["OMPI_MCA_btl_vader_single_copy_mechanism"] == "none"


def test_inference_names_its_output() -> None:
    argv = Run(mode="infer", output="/data/out.csv").argv
    assert argv[-2:] == ("--enable_logs", "--infer_output_file=/data/out.csv")


def test_options_of_the_configurations_own_kinds() -> None:
    scalars: dict[str, plan.Value] = {
        "batch_size_per_gpu": 32,
        "use_horovod": True,
        "logdir": "jasper_log_folder",
        "lr_policy_params/learning_rate": 0.02,
    }
    words = (
        "--batch_size_per_gpu=4",
        "--use_horovod",
        "False",
        "--lr_policy_params/learning_rate=1e-3",
        "--logdir=/data/x=y",
        "--data_layer_params/dataset_files=/data/x.csv",
        "--use_horovod=true",
        "--batch_size_per_gpu=4.5",
        "--logdir",
        "4",
        "stray",
        "--batch_size_per_gpu",
    )
    read = plan.options(words, scalars)
    assert read.taken == {
        "batch_size_per_gpu": 4,
        "use_horovod": False,
        "lr_policy_params/learning_rate": 0.001,
        "logdir": "4",
    }
    assert read.refused == (
        ("--data_layer_params/dataset_files=/data/x.csv", Refusal.UNKNOWN),
        ("--use_horovod=true", Refusal.KIND),
        ("--batch_size_per_gpu=4.5", Refusal.KIND),
        ("stray", Refusal.SHAPE),
        ("--batch_size_per_gpu", Refusal.SHAPE),
    )


# --- what fits ---


def test_one_gpu_changes_nothing_in_the_customers_configuration() -> None:
    assert plan.fit(MINI, Machine(gpus=1, capability=(7, 5)), rows=28_539) == Fit({}, 1, 32)


def test_horovod_is_switched_off_where_it_is_missing() -> None:
    assert plan.fit(MINI, Machine(gpus=1, horovod=False)).options == {"use_horovod": False}
    two = plan.fit(MINI, Machine(gpus=2, horovod=False))
    assert two == Fit({"use_horovod": False, "num_gpus": 2}, 1, 32)


def test_several_gpus_are_horovods() -> None:
    small = Settings(batch_size_per_gpu=32, num_gpus=1)
    assert plan.fit(small, Machine(gpus=4)) == Fit({"use_horovod": True}, 4, 32)


def test_two_gpus_of_the_toy_on_a_machine_with_one_or_none() -> None:
    toy = Settings(batch_size_per_gpu=8, num_gpus=2)
    assert plan.fit(toy, Machine(gpus=1), rows=10).options == {"num_gpus": 1}
    assert plan.fit(toy, Machine(gpus=0), rows=10).options == {"num_gpus": 1}


def test_gradients_are_collected_only_with_horovod() -> None:
    settings = Settings(batch_size_per_gpu=8, num_gpus=1, use_horovod=True, iter_size=4)
    assert plan.fit(settings, Machine(gpus=1, horovod=False)).options == {"use_horovod": False, "iter_size": 1}


@pytest.mark.parametrize(("rows", "gpus", "batch"), [(30, 1, 30), (30, 4, 7), (33, 1, 32), (3, 4, 0)])
def test_the_batch_is_no_greater_than_the_data(rows: int, gpus: int, batch: int) -> None:
    assert plan.fit(MINI, Machine(gpus=gpus), rows=rows).batch == batch


@given(st.integers(0, 500), st.integers(0, 8), st.booleans(), st.integers(1, 4))
def test_what_fits_is_never_refused_as_too_big(rows: int, gpus: int, horovod: bool, iter_size: int) -> None:
    settings = Settings(batch_size_per_gpu=32, num_epochs=2, num_gpus=1, use_horovod=True, iter_size=iter_size)
    fits = plan.fit(settings, Machine(gpus=gpus, horovod=horovod), rows=rows)
    if not fits.batch:
        return
    values = {name: getattr(settings, name) for name in ("num_gpus", "use_horovod", "iter_size")} | dict(fits.options)
    fitted = Settings(
        batch_size_per_gpu=fits.batch,
        num_epochs=2,
        num_gpus=values["num_gpus"],
        use_horovod=values["use_horovod"],
        iter_size=values["iter_size"],
    )
    assert (fitted.steps_in_epoch(rows, fits.processes) or 0) >= 1


def test_the_batch_is_halved_until_it_fits_the_memory() -> None:
    gib = 1024**3
    fits = plan.fit(MINI, Machine(gpus=1, memory=6 * gib), bytes_per_sample=gib // 2, fixed_bytes=gib)
    assert fits.options == {"batch_size_per_gpu": 8}
    assert plan.half(1) == 1


def test_mixed_precision_needs_tensor_cores() -> None:
    assert plan.fit(MINI, Machine(gpus=1, capability=(6, 1)), mixed=True).mixed is False
    assert plan.fit(MINI, Machine(gpus=1, capability=(7, 0)), mixed=True).mixed is None


# --- a derived configuration ---

ORIGINAL = """
base_model = "model"
base_params = {"dtype": "mixed", "loss_scaling": "Backoff", "data_layer_params": {"vocab_file": "vocab.txt"}}
train_params = {"data_layer_params": {"dataset_files": ["/data/a.csv"], "shuffle": True}}
"""


class Runpy:
    """Stands for the module that loads the original."""

    @staticmethod
    def run_path(path: str, init_globals: dict[str, object]) -> dict[str, object]:
        space: dict[str, object] = {"__name__": "config", **init_globals}
        exec(ORIGINAL, space)
        return space


def run(text: str) -> dict[str, Any]:
    """Runs a derived configuration the way ``run.py`` would, without TensorFlow."""

    class tf:
        float32 = "float32"

    imports = "import runpy\n\nimport tensorflow as tf\n"
    assert imports in text
    space: dict[str, Any] = {"runpy": Runpy, "tf": tf}
    exec(text.replace(imports, ""), space)
    return space


def test_a_derived_configuration_changes_what_it_names_only() -> None:
    text = derived.text(
        "example_configs/ä.py",
        (
            *derived.dataset(train=("/data/mine/träin.csv",), infer=("/data/say.csv",)),
            *derived.mixed_off(),
            derived.Change("base_params", "lr_policy_params/learning_rate", 1e-3),
            derived.Change("eval_params", "x", {"a": [1, None, float("inf")], "b": 'quote " and \\'}),
        ),
    )
    assert text.isascii()
    space = run(text)
    assert space["base_model"] == "model"
    assert space["train_params"] == {"data_layer_params": {"dataset_files": ["/data/mine/träin.csv"], "shuffle": True}}
    assert space["infer_params"] == {"data_layer_params": {"dataset_files": ["/data/say.csv"]}}
    assert space["base_params"] == {
        "dtype": "float32",
        "data_layer_params": {"vocab_file": "vocab.txt"},
        "lr_policy_params": {"learning_rate": 0.001},
    }
    assert space["eval_params"] == {"x": {"a": [1, None, float("inf")], "b": 'quote " and \\'}}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False), st.lists))
def test_any_plain_value_comes_back(value: Any) -> None:
    text = derived.text("a.py", (derived.Change("base_params", "value", value),))
    assert run(text)["base_params"]["value"] == value


@given(st.text())
def test_a_path_cannot_leave_its_comment_or_its_quotes(path: str) -> None:
    tree = ast.parse(derived.text(path, ()), feature_version=(3, 5))
    kinds = [type(node).__name__ for node in tree.body]
    assert kinds == ["Import", "Import", "Assign", "Expr", "FunctionDef", "FunctionDef"]


@pytest.mark.parametrize("change", [derived.Change("other", "a", 1), derived.Change("base_params", "a//b", 1)])
def test_a_place_that_no_configuration_has_is_refused(change: derived.Change) -> None:
    with pytest.raises(Trouble) as caught:
        derived.text("a.py", (change,))
    assert caught.value.kind is Problem.BAD_INPUT
