"""The configurations of OpenSeq2Seq by task: what each needs, and what fits a machine.

The rows stand in ``configs.toml``; its head says where they come from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from wizard.model.i18n import N_, _
from wizard.model.training.plan import Machine, mixed_precision

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_suffix(".toml")
COMMIT = "8681d381ed404fde516e2c1b823de5a213c59aba"
"""The commit of OpenSeq2Seq that the rows were read from."""
GB = 10**9


class Task(str, Enum):
    """What a model learns, in the order in which the tasks are offered."""

    SPEECH = "speech"
    COMMANDS = "commands"
    TRANSLATION = "translation"
    TEXT_TO_SPEECH = "text-to-speech"
    LANGUAGE_MODEL = "language-model"
    IMAGE = "image"


_TASKS = {
    Task.SPEECH: N_("speech recognition"),
    Task.COMMANDS: N_("speech commands"),
    Task.TRANSLATION: N_("translation"),
    Task.TEXT_TO_SPEECH: N_("text to speech"),
    Task.LANGUAGE_MODEL: N_("language model"),
    Task.IMAGE: N_("images"),
}


@dataclass(frozen=True, slots=True)
class Data:
    """A set of data. ``where`` is its place in the container; sizes are GB, ``disk`` at the peak, 0 where not known.

    ``made`` is the script of the repository that makes it, ``"in the code"`` or ``"by hand"``. ``title`` is English.
    """

    id: str
    title: str
    where: str
    made: str
    download: float = 0.0
    disk: float = 0.0


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration. ``path`` is from the root of the clone, ``title`` its English name, ``data`` an id.

    ``gpus`` is the number that it is written for, ``memory`` the GB of a GPU that its documentation names (0: not
    known). ``steps`` counts where it is not 0, else ``epochs``. ``cudnn``: it has layers that exist on GPUs only;
    ``fill_in``: a path in it has to be written before it runs; ``load_model``: the log folder of a training that it
    begins from; ``infers``: it can be used to transcribe or translate as it stands.
    """

    path: str
    title: str
    task: Task
    data: str
    model: str
    batch: int
    logdir: str
    gpus: int = 1
    horovod: bool = False
    epochs: int = 0
    steps: int = 0
    mixed: bool = False
    infers: bool = False
    cudnn: bool = False
    fill_in: bool = False
    load_model: str = ""
    paths: tuple[str, ...] = ()
    memory: int = 0

    @property
    def toy(self) -> bool:
        """Whether its data comes with the code, or is made in seconds."""
        return self.data.startswith("toy-")

    @property
    def lists(self) -> tuple[str, ...]:
        """The csv files that it reads, as it names them."""
        return tuple(path for path in self.paths if path.endswith(".csv"))

    @property
    def only_lists(self) -> bool:
        """Whether its data are nothing but csv files of recordings: then the wizard can say where else they are."""
        return self.model == "Speech2Text" and all(path in self.lists for path in self.paths if _is_data(path))


class Fits(str, Enum):
    """Whether a configuration can be trained on a machine."""

    YES = "yes"
    CHANGED = "changed"
    """with changes that the wizard makes"""
    NO = "no"
    """something has to be there first"""


class Reason(str, Enum):
    """Why a configuration is changed, or does not run here."""

    NO_DATA = "no-data"
    NO_BASE_MODEL = "no-base-model"
    NEEDS_GPU = "needs-gpu"
    FILL_IN = "fill-in"
    OTHER_PLACE = "other-place"
    NO_CUDNN = "no-cudnn"
    GPUS = "gpus"
    NO_HOROVOD = "no-horovod"
    NO_MIXED = "no-mixed"
    MEMORY = "memory"
    SLOW = "slow"


STOPS = frozenset({Reason.NO_DATA, Reason.NO_BASE_MODEL, Reason.NEEDS_GPU, Reason.FILL_IN})

_REASONS = {
    Reason.NO_DATA: N_("its data is not here: {subject}"),
    Reason.NO_BASE_MODEL: N_("it begins from another model, which has to be trained first: {subject}"),
    Reason.NEEDS_GPU: N_("it has layers that exist on GPUs only"),
    Reason.FILL_IN: N_("the place of the data has to be written into a copy of it first"),
    Reason.OTHER_PLACE: N_("its data lies at another place here, which is written into a copy of it"),
    Reason.NO_CUDNN: N_("layers that exist on GPUs only are replaced"),
    Reason.GPUS: N_("it is written for {subject} GPUs: with fewer, it takes longer"),
    Reason.NO_HOROVOD: N_("Horovod is not installed and is switched off"),
    Reason.NO_MIXED: N_("this GPU has no mixed precision: it is switched off, and more memory is needed"),
    Reason.MEMORY: N_("its documentation names {subject} GB of GPU memory: the batch is made smaller"),
    Reason.SLOW: N_("without a GPU it is so slow that only a toy makes sense"),
}


@dataclass(frozen=True, slots=True)
class Fitting:
    """Whether a configuration fits, and why not or what is changed: reasons with what they are about."""

    fits: Fits
    reasons: tuple[tuple[Reason, str], ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The reasons, translated, as parts of a sentence."""
        return tuple(_(_REASONS[reason]).format(subject=_(subject)) for reason, subject in self.reasons)


def task_title(task: Task) -> str:
    """The task in words, translated."""
    return _(_TASKS[task])


@cache
def load() -> tuple[Config, ...]:
    """Every configuration, by task, the best to begin with first. Raises ValueError for a row that is wrong."""
    return tuple(_config(row) for row in _raw()["config"])


@cache
def data() -> dict[str, Data]:
    """Every set of data by its id."""
    return {name: Data(name, **row) for name, row in _raw()["data"].items()}


def by_path(path: str) -> Config | None:
    """The configuration at a path, absolute or from the root of the clone; None for one that is not known."""
    return next((config for config in load() if path == config.path or path.endswith(f"/{config.path}")), None)


def named(text: str) -> Config | None:
    """The configuration that ``train`` would take for ``text``: a path from the root of the clone, or the name of a
    file, with or without ``.py``, where only one has it.
    """
    found = [config for config in load() if text == config.path]
    names = (text, f"{text}.py")
    found = found or [config for config in load() if config.path.rpartition("/")[2] in names]
    return found[0] if len(found) == 1 else None


def by_task(task: Task) -> tuple[Config, ...]:
    """The configurations of a task."""
    return tuple(config for config in load() if config.task is task)


def same_logdir(config: Config) -> tuple[Config, ...]:
    """Other configurations with the same log folder: each needs a folder of its own."""
    return tuple(other for other in load() if other.logdir == config.logdir and other is not config)


def messages() -> Iterator[tuple[str, str]]:
    """Every text that people read, behind the name of its file: what has to be translated."""
    for one in data().values():
        yield FILE.name, one.title
    for title in dict.fromkeys(config.title for config in load()):
        yield FILE.name, title


def fitting(
    config: Config, machine: Machine, present: frozenset[str], trained: frozenset[str] = frozenset()
) -> Fitting:
    """Whether a configuration can be trained here.

    ``present`` are the ids of the data at its place, ``trained`` the log folders that have a model. What can be changed
    is changed: what is left is what has to be fetched or trained first.
    """
    reasons: list[tuple[Reason, str]] = []

    def because(reason: Reason, subject: str = "") -> None:
        reasons.append((reason, subject))

    source = data()[config.data]
    here = {config.data, "librispeech"} if config.data == "librispeech-460" else {config.data}
    if not here & present and source.made != "in the code":
        because(Reason.NO_DATA, source.title)
    elif config.fill_in:
        because(Reason.FILL_IN)
    elif not config.toy and not all(path.startswith(source.where) for path in config.paths if _is_data(path)):
        because(Reason.OTHER_PLACE if config.only_lists else Reason.FILL_IN)
    if config.load_model and config.load_model not in trained:
        because(Reason.NO_BASE_MODEL, config.load_model)
    if not machine.gpus:
        if config.cudnn:
            because(Reason.NO_CUDNN if config.model == "Speech2Text" else Reason.NEEDS_GPU)
        if not config.toy:
            because(Reason.SLOW)
    if config.gpus > max(1, machine.gpus):
        because(Reason.GPUS, str(config.gpus))
    if config.horovod and not machine.horovod:
        because(Reason.NO_HOROVOD)
    if config.mixed and machine.capability is not None and not mixed_precision(machine.capability):
        because(Reason.NO_MIXED)
    if machine.memory is not None and machine.memory < config.memory * GB:
        because(Reason.MEMORY, str(config.memory))
    if any(reason in STOPS for reason, _subject in reasons):
        return Fitting(Fits.NO, tuple(reasons))
    return Fitting(Fits.CHANGED if reasons else Fits.YES, tuple(reasons))


def _is_data(path: str) -> bool:
    return "vocab" not in path.rpartition("/")[2] or path.startswith("/data")


def _raw() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text("utf-8"))


def _config(row: dict[str, Any]) -> Config:
    try:
        return Config(**{**row, "task": Task(row["task"]), "paths": tuple(row.get("paths", ()))})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{row.get('path')}: {error!r}") from error
