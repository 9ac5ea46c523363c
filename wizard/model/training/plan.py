"""How a run of OpenSeq2Seq is started: what its log folder allows, its command, and the options that fit the machine.

Everything is decided from what was read before (a listing, a file's text, counts), so that it can be shown before it is
done. The rules are those of OpenSeq2Seq's ``check_logdir`` and ``get_base_config`` (``open_seq2seq/utils/utils.py``).
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from wizard.model.machine import PathKind
from wizard.model.training.settings import Settings

DEFAULT_CONFIG = "example_configs/speech2text/jasper-Mini-for-Jetson.py"
MODES = ("train", "eval", "train_eval", "infer")
MIXED_PRECISION_FROM = (7, 0)
"""Volta is the first generation with Tensor Cores."""
QUIET_MPI = ("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
"""Keeps OpenMPI from a way to copy memory that Docker forbids: it works, but fills the log with "Read -1, expected"."""
UNBUFFERED = ("PYTHONUNBUFFERED", "1")
"""Without it, and without a terminal, lines come minutes late."""

Value = int | float | str | bool
"""The kinds of values that ``run.py`` takes on the command line."""

_COMMAND = re.compile(r"cmd-args_[\d_-]+\.log")
_TRAINS = re.compile(r"--mode[= ]train")
_CONFIG_FILE = re.compile(r"--config_file[= ](?P<path>.+?)(?= --|\s*$)")
_CHECKPOINT = re.compile(r'^model_checkpoint_path:\s*"(?P<path>[^"\n]+?-(?P<step>\d{1,12}))"\s*$', re.MULTILINE)


# --- the log folder ----------------------------------------------------------------------------------------------


class Standing(str, Enum):
    """What a log folder allows."""

    FRESH = "fresh"
    """missing or empty: a new training"""
    RESUME = "resume"
    """it has a checkpoint to go on from"""
    FINISHED = "finished"
    """its last checkpoint is the last step"""
    DIRTY = "dirty"
    """files of a run that ended before its first checkpoint: they are moved aside"""
    FILE = "file"
    """a file stands in its place, and is moved aside"""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found at a log folder's path: the names in it, and those in its folder of checkpoints.

    ``checkpoint`` is the text of the file ``checkpoint`` among them, None where there is no such file.
    """

    kind: PathKind
    names: frozenset[str] = frozenset()
    logs: frozenset[str] = frozenset()
    checkpoint: str | None = None


@dataclass(frozen=True, slots=True)
class LogFolder:
    """What the log folder decides. ``step`` and ``checkpoint`` are those of the last usable checkpoint.

    ``aside`` is the path that what stands there is moved to first, "" where nothing has to move.
    """

    path: str
    standing: Standing
    step: int | None = None
    checkpoint: str = ""
    aside: str = ""

    @property
    def resumes(self) -> bool:
        """Whether the run is started with ``--continue_learning``."""
        return self.standing in (Standing.RESUME, Standing.FINISHED)


def checkpoints(logdir: str, *, enable_logs: bool = True) -> str:
    """The folder that holds the checkpoints: with ``--enable_logs`` it is a folder inside."""
    return posixpath.join(logdir, "logs") if enable_logs else logdir


def last_checkpoint(text: str) -> tuple[str, int] | None:
    """The name and the step of the newest checkpoint, from the text of TensorFlow's file ``checkpoint``."""
    match = _CHECKPOINT.search(text)
    return (match["path"], int(match["step"])) if match else None


def log_folder(
    path: str, found: Listing, *, total_steps: int | None = None, now: float = 0.0, enable_logs: bool = True
) -> LogFolder:
    """What can be done with the log folder at ``path``. ``now`` is seconds since 1970, for the name of what moves.

    A checkpoint counts only with its index file beside it: TensorFlow refuses it otherwise.
    """
    if found.kind is PathKind.MISSING or (found.kind is PathKind.DIRECTORY and not found.names):
        return LogFolder(path, Standing.FRESH)
    aside = f"{path.rstrip('/')}.failed-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}"
    if found.kind is not PathKind.DIRECTORY:
        return LogFolder(path, Standing.FILE, aside=aside)
    newest = last_checkpoint(found.checkpoint or "")
    if newest is None or f"{posixpath.basename(newest[0])}.index" not in found.logs:
        return LogFolder(path, Standing.DIRTY, aside=aside)
    name, step = newest
    done = total_steps is not None and step >= total_steps
    where = posixpath.join(checkpoints(path, enable_logs=enable_logs), name)
    return LogFolder(path, Standing.FINISHED if done else Standing.RESUME, step, where)


def is_command(name: str) -> bool:
    """Whether a file of this name in a log folder holds the command of a run: ``--enable_logs`` keeps each of them."""
    return _COMMAND.fullmatch(name) is not None


def trained_with(command: str) -> str:
    """The configuration that a command of ``run.py`` trains with; "" for one that does not train."""
    config = _CONFIG_FILE.search(command) if _TRAINS.search(command) else None
    return config["path"] if config else ""


# --- the command -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """One call of ``run.py``. ``config`` is a path in the container, from the root of the clone or absolute.

    ``options`` are those of the configuration's own values, ``processes`` how many Horovod starts (1: plain python),
    ``output`` the file that the mode ``infer`` writes.
    """

    config: str = DEFAULT_CONFIG
    mode: str = "train_eval"
    options: Mapping[str, Value] = field(default_factory=dict)
    continue_learning: bool = False
    enable_logs: bool = True
    processes: int = 1
    output: str = ""
    python: str = "python"

    @property
    def argv(self) -> tuple[str, ...]:
        """The command, to be run in the root of the clone."""
        flags = ["--enable_logs"] if self.enable_logs else []
        if self.continue_learning:
            flags.append("--continue_learning")
        if self.output:
            flags.append(f"--infer_output_file={self.output}")
        mpi = ("mpiexec", "-np", str(self.processes), "--allow-run-as-root") if self.processes > 1 else ()
        words = tuple(word(name, value) for name, value in self.options.items())
        program = (self.python, "run.py", f"--config_file={self.config}", f"--mode={self.mode}")
        return (*mpi, *program, *flags, *words)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the command needs."""
        return dict((UNBUFFERED, QUIET_MPI) if self.processes > 1 else (UNBUFFERED,))


def word(name: str, value: Value) -> str:
    """An option as ``run.py`` reads it: truth values are ``True`` and ``False``, in Python's spelling."""
    return f"--{name}={value}"


class Refusal(str, Enum):
    """Why ``run.py`` would not take an option."""

    SHAPE = "shape"
    """not ``--name=value``"""
    UNKNOWN = "unknown"
    """no value of this name in the configuration's ``base_params``, or none that a command line can change"""
    KIND = "kind"
    """the value is of another kind than the configuration's"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options that a person gave, sorted: those that ``run.py`` takes, and the others with the reason."""

    taken: Mapping[str, Value]
    refused: tuple[tuple[str, Refusal], ...] = ()


def options(words: tuple[str, ...], scalars: Mapping[str, Value]) -> Options:
    """Reads options of the form ``--name=value`` or ``--name value``.

    ``scalars`` are the configuration's values that a command line can change, by the names that it has for them
    (``encoder_params/use_conv_mask``): ``run.py`` knows no others, and takes for each only values of the same kind.
    """
    taken: dict[str, Value] = {}
    refused: list[tuple[str, Refusal]] = []
    left = list(words)
    while left:
        given = left.pop(0)
        name, equals, text = given.removeprefix("--").partition("=")
        if not given.startswith("--") or not name:
            refused.append((given, Refusal.SHAPE))
            continue
        if not equals:
            if not left or left[0].startswith("--"):
                refused.append((given, Refusal.SHAPE))
                continue
            text = left.pop(0)
        if name not in scalars:
            refused.append((given, Refusal.UNKNOWN))
            continue
        value = _like(scalars[name], text)
        if value is None:
            refused.append((given, Refusal.KIND))
        else:
            taken[name] = value
    return Options(taken, tuple(refused))


def _like(model: Value, text: str) -> Value | None:
    """``text`` as a value of the same kind as ``model``; None if it is none."""
    if isinstance(model, bool):
        return {"True": True, "False": False}.get(text)
    try:
        return type(model)(text)
    except ValueError:
        return None


# --- what fits the machine ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run finds in its container. ``memory`` is that of the smallest GPU, in bytes.

    Without GPUs ``memory`` and ``capability`` are None, and the run is on the processor.
    """

    gpus: int = 0
    memory: int | None = None
    capability: tuple[int, int] | None = None
    horovod: bool = True


@dataclass(frozen=True, slots=True)
class Fit:
    """The options that make a configuration fit, how many processes to start, and the batch size that it comes to.

    ``batch`` is 0 where the data has not enough rows for a batch of one on every worker.
    """

    options: Mapping[str, Value]
    processes: int
    batch: int
    mixed: bool | None = None
    """False where the configuration asks for mixed precision and the GPU has none; None where nothing has to change"""


def fit(
    settings: Settings,
    machine: Machine,
    *,
    rows: int | None = None,
    bytes_per_sample: int | None = None,
    fixed_bytes: int = 0,
    mixed: bool = False,
) -> Fit:
    """Fits a configuration to the machine and to the number of rows.

    ``bytes_per_sample`` and ``fixed_bytes`` are the GPU memory that one sample of a batch and the model itself need,
    where that is known. ``mixed`` tells whether the configuration asks for mixed precision.
    """
    workers = max(1, machine.gpus)
    changed: dict[str, Value] = {}
    horovod = machine.horovod and (settings.use_horovod or workers > 1)
    if horovod != settings.use_horovod:
        changed["use_horovod"] = horovod
    if not horovod and (settings.num_gpus or 1) != workers:
        changed["num_gpus"] = workers
    iter_size = max(1, settings.iter_size) if horovod else 1
    if iter_size != settings.iter_size:
        changed["iter_size"] = iter_size
    batch = wanted = settings.batch_size_per_gpu or 1
    if rows is not None:
        batch = min(batch, rows // workers // iter_size)
    if machine.memory is not None and bytes_per_sample:
        while batch > 1 and fixed_bytes + batch * bytes_per_sample > machine.memory:
            batch = half(batch)
    if batch and batch != wanted:
        changed["batch_size_per_gpu"] = batch
    lacking = mixed and machine.capability is not None and not mixed_precision(machine.capability)
    return Fit(changed, workers if horovod else 1, batch, False if lacking else None)


def half(batch: int) -> int:
    """The batch size to try after the memory did not suffice; 1 stays 1."""
    return max(1, batch // 2)


def mixed_precision(capability: tuple[int, int]) -> bool:
    """Whether a GPU of this compute capability gains from mixed precision."""
    return capability >= MIXED_PRECISION_FROM
