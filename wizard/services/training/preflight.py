"""Everything that would fail late in a training, looked at in seconds; and with it, how the run is started.

OpenSeq2Seq builds its graph for half a minute before it opens the first recording; what is wrong with the options, the
configuration, the data or the log folder is said here instead.
"""

from __future__ import annotations

import json
import posixpath
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wizard.host.ports import Host
from wizard.knowledge import configs
from wizard.model.container import DATA_TARGET
from wizard.model.container_job import FOLDER
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Line, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.model.training import data_check, derived, plan
from wizard.model.training.data_check import Audio, Rules
from wizard.model.training.plan import DEFAULT_CONFIG, LogFolder, Refusal, Run, Value
from wizard.model.training.settings import Settings
from wizard.services.training import code, dependencies, inside
from wizard.services.training import place as places
from wizard.services.training.code import Code
from wizard.services.training.place import Place

SMALLEST_DISK = 1_000_000_000
"""Bytes: two checkpoints and two best models of Jasper Mini with graph and summaries take half of it."""
_CONFIG_SECONDS = 180.0
_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "train_eval": ("train", "eval"),
    "train": ("train",),
    "eval": ("eval",),
    "infer": ("infer",),
}
_OWN_FLAGS = ("enable_logs", "continue_learning")
"""What the log folder decides; said by the user it changes nothing."""
_PASSED_ON = ("no_dir_check", "benchmark", "use_xla_jit")
_PASSED_ON_WITH_VALUE = ("bench_steps", "bench_start", "debug_port")
_CUDNN = "encoder_params/use_cudnn_rnn"
_LOGDIR = "experiment"
"""OpenSeq2Seq's own, where a configuration names none."""
_PIECE = 1024 * 1024
_LINES = 64 * 1024
_LOOK_SECONDS = 20.0
"""How long the recordings are looked at: all of LibriSpeech on a good disk. "data check" takes its time."""
_SPEECH = "Speech2Text"
_TAKEN = 1_000_000_000
"""Bytes of a GPU's memory: a desktop takes less, another training more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run: a configuration (in the clone, in the data folder, or the name of an example), options for
    ``run.py`` as typed, and the mode ``train_eval``, ``train``, ``eval`` or ``infer``.

    ``source`` is where the code comes from if it is not there yet. ``output`` is the file that ``infer`` writes.
    """

    config: str = DEFAULT_CONFIG
    options: tuple[str, ...] = ()
    mode: str = "train_eval"
    source: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What a configuration says. ``scalars`` are the values of ``base_params`` that a command line can change,
    ``files`` the data of each section, ``gpu_only`` whether it needs a GPU's own operations.
    """

    path: str
    model: str
    scalars: Mapping[str, Value]
    files: Mapping[str, tuple[str, ...]]
    mixed: bool = False
    gpu_only: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """A run that can begin. ``argv`` is its command in the root of the clone; ``rows`` those of the training data.

    ``logdir`` is absolute in the container. ``notes`` are translated sentences about what was fitted or found.
    """

    place: Place
    code: Code
    config: Config
    run: Run
    argv: tuple[str, ...]
    folder: LogFolder
    logdir: str
    settings: Settings
    rows: int | None
    notes: tuple[str, ...] = ()

    @property
    def total_steps(self) -> int | None:
        return self.settings.total_steps(self.rows, self.run.processes)


def check(host: Host, place: Place, wanted: Wanted, emit: Emit = ignore, cancel: Cancel | None = None) -> Ready:
    """Looks at everything, brings the code and what lacks in the container, and says how the run is started.

    Raises ``CODE_…``, ``DEPENDENCIES_MISSING``, ``CONFIG_UNUSABLE``, ``OPTION_UNUSABLE``, ``TRAINING_DATA``,
    ``NO_CHECKPOINT``, ``DISK_FULL``.
    """
    cancel = cancel or Cancel()
    brought = code.ensure(host, place, wanted.source, emit, cancel)
    have = dependencies.ensure(host, place, emit, cancel)
    cancel.check()
    config = read(host, place, brought, resolve(host, place, brought, wanted.config))
    mode, given, more = _options(wanted, config)
    settings = settings_of({**config.scalars, **given})
    rows = _check_data(host, place, brought, config, mode, emit, cancel)
    machine = places.machine(host, place.container, horovod=have.horovod)
    _check_load_model(host, place, brought, config)
    config, given, changes = _without_gpu(host, place, config, machine, given)
    options, processes, notes = _fitted(config, settings, machine, rows, given, mode)
    settings = settings_of({**config.scalars, **options})
    logdir = posixpath.normpath(posixpath.join(brought.path, settings.logdir or _LOGDIR))
    folder = log_folder(host, place, logdir, settings.total_steps(rows, processes))
    if folder.resumes:
        _check_same(host, place, config, logdir)
    if mode in ("eval", "infer") and not folder.resumes:
        raise Trouble(Problem.NO_CHECKPOINT, subject=logdir)
    for path in (place.data, place.outside(logdir)):  # the log folder may be a disk of its own
        free = host.files.disk(path).free
        if free < SMALLEST_DISK:
            hint = _("Checkpoints need some room: {size} MB are free.").format(size=free // 1_000_000)
            raise Trouble(Problem.DISK_FULL, subject=path, hint=hint)
    run = Run(
        config=config.path,
        mode=mode,
        options=options,
        continue_learning=folder.resumes and mode.startswith("train"),
        processes=processes,
        output=wanted.output,
    )
    notes = (*changes, *notes, *_taken(host, place))
    for note in notes:
        emit(Line(note))
    return Ready(place, brought, config, run, (*run.argv, *more), folder, logdir, settings, rows, notes)


# --- the configuration -------------------------------------------------------------------------------------------


def resolve(host: Host, place: Place, brought: Code, text: str) -> str:
    """The configuration's path as ``run.py`` gets it: from the root of the clone, or absolute in the container.

    ``text`` may be such a path, a path of this machine inside the data folder, or the name of an example, with or
    without ``.py``. Raises ``CONFIG_UNUSABLE``.
    """
    root = place.outside(brought.path)
    if host.files.info(posixpath.join(root, text)).kind is PathKind.FILE and not text.startswith("/"):
        return text
    if text.startswith("/"):
        within = place.inside(text) if host.files.info(text).kind is PathKind.FILE else None
        if within is not None:
            return within
        if text.startswith("/data/") and host.files.info(place.outside(text)).kind is PathKind.FILE:
            return text
        raise Trouble(Problem.CONFIG_UNUSABLE, subject=text, hint=_("It has to be a file in the data folder."))
    name = text if text.endswith(".py") else f"{text}.py"
    known = list(examples(host, root))
    found = [path for path in known if posixpath.basename(path) == posixpath.basename(name)]
    if len(found) == 1:
        return found[0]
    near = ", ".join((found or known)[:4])
    raise Trouble(Problem.CONFIG_UNUSABLE, subject=text, hint=_("There are, for example: {names}.").format(names=near))


def examples(host: Host, root: str, folder: str = "example_configs", depth: int = 3) -> list[str]:
    """The configurations that come with the clone at ``root``, as paths from there."""
    found: list[str] = []
    for name in host.files.names(posixpath.join(root, folder)):
        path = posixpath.join(folder, name)
        if name.endswith(".py"):
            found.append(path)
        elif depth and "." not in name:
            found += examples(host, root, path, depth - 1)
    return found


def read(host: Host, place: Place, brought: Code, path: str) -> Config:
    """What the configuration says, as Python and TensorFlow of the container read it. Raises ``CONFIG_UNUSABLE``."""
    script = ("cd", brought.path)
    argv = ("sh", "-c", f'{" ".join(script)} && exec python -c "$1" "$2"', "sh", inside.text("config"), path)
    result = host.engine.run_in(place.container.id, argv, timeout=_CONFIG_SECONDS)
    lines = result.stdout.decode(errors="replace").strip().splitlines()
    try:
        raw: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    except ValueError:
        raw = {}
    if not raw or "error" in raw:
        said = str(raw.get("error") or result.stderr.decode(errors="replace")).strip()
        last = said.splitlines()[-1] if said else ""
        raise Trouble(Problem.CONFIG_UNUSABLE, last, subject=path, evidence=(Evidence(path, said),))
    return Config(
        path=path,
        model=str(raw["model"]),
        scalars=dict(raw["scalars"]),
        files={name: tuple(files) for name, files in raw["files"].items()},
        mixed=raw["dtype"] == "mixed",
        gpu_only=bool(raw["gpu_only"]),
    )


def settings_of(scalars: Mapping[str, Value]) -> Settings:
    """The values that decide how long a training is."""

    def whole(name: str) -> int | None:
        value = scalars.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    return Settings(
        batch_size_per_gpu=whole("batch_size_per_gpu"),
        num_epochs=whole("num_epochs"),
        max_steps=whole("max_steps"),
        num_gpus=whole("num_gpus"),
        use_horovod=bool(scalars.get("use_horovod", False)),
        iter_size=whole("iter_size") or 1,
        print_loss_steps=whole("print_loss_steps"),
        print_samples_steps=whole("print_samples_steps"),
        eval_steps=whole("eval_steps"),
        save_checkpoint_steps=whole("save_checkpoint_steps"),
        logdir=str(scalars.get("logdir", "")),
    )


def _options(wanted: Wanted, config: Config) -> tuple[str, dict[str, Value], tuple[str, ...]]:
    """The mode, the options of the configuration's values, and the words that are only passed on."""
    mode, words, more = wanted.mode, list[str](), list[str]()
    left = list(wanted.options)
    while left:
        given = left.pop(0)
        name, equals, value = given.removeprefix("--").partition("=")
        if name in _OWN_FLAGS:
            continue
        if name in _PASSED_ON:
            more.append(given)
        elif name in ("mode", *_PASSED_ON_WITH_VALUE):
            value = value if equals or not left else left.pop(0)
            if name == "mode":
                mode = value
            else:
                more.append(f"--{name}={value}")
        else:
            words.append(given)
    if mode not in _SECTIONS:
        raise Trouble(Problem.OPTION_UNUSABLE, subject=f"--mode={mode}", hint=", ".join(_SECTIONS))
    sorted_ = plan.options(tuple(words), config.scalars)
    for word, why in sorted_.refused:
        hints = {
            Refusal.SHAPE: _("Write it as --name=value."),
            Refusal.UNKNOWN: _("The configuration has no such value that could be changed on the command line."),
            Refusal.KIND: _("The value is of another kind than the configuration's; truth values are True and False."),
        }
        raise Trouble(Problem.OPTION_UNUSABLE, subject=word, hint=hints[why])
    return mode, dict(sorted_.taken), tuple(more)


# --- the data ----------------------------------------------------------------------------------------------------


def _check_data(
    host: Host, place: Place, brought: Code, config: Config, mode: str, emit: Emit, cancel: Cancel
) -> int | None:
    """Whether every file that the mode reads is there and can be used. The rows of the training data, where they are
    lists.
    """
    absent, counted, found = [], 0, list[tuple[str, bool]]()
    lists = True
    for section in _SECTIONS[mode]:
        if section not in config.files:
            hint = _("It has no {section}_params, so it cannot be used in this mode.").format(section=section)
            raise Trouble(Problem.CONFIG_UNUSABLE, subject=config.path, hint=hint)
        for name in config.files[section]:
            path = posixpath.normpath(posixpath.join(brought.path, name))
            if not path.startswith(f"{DATA_TARGET}/"):
                lists = False  # in the image itself, or mounted by hand: this machine cannot look at it
                continue
            rows = _rows(host, place.outside(path))
            if rows is None:
                absent.append(path)
                continue
            found.append((path, section != "infer"))
            if section == "train":
                lists = lists and name.endswith(".csv")
                counted += rows
    if absent:
        seen = Evidence(_("Not there"), "\n".join(absent))
        raise Trouble(Problem.TRAINING_DATA, subject=absent[0], evidence=(seen,))
    if config.model.startswith(_SPEECH):
        until = time.monotonic() + _LOOK_SECONDS
        for path, needs_text in found:
            if path.endswith(".csv"):
                _look_through(host, place, brought, config, path, needs_text, until, emit, cancel)
    return counted if lists and counted else None


def _look_through(
    host: Host,
    place: Place,
    brought: Code,
    config: Config,
    path: str,
    needs_text: bool,
    until: float,
    emit: Emit,
    cancel: Cancel,
) -> None:
    """Looks at the rows of a list and at their recordings, as many as there is time for. Raises ``TRAINING_DATA`` with
    those at which the training would stop.
    """

    def outside(inner: str) -> str:
        return place.outside(posixpath.join(brought.path, inner))

    def read_head(inner: str, count: int) -> Audio | None:
        cancel.check()
        try:
            where = outside(inner)
        except Trouble:  # somewhere else in the container
            return None
        info = host.files.info(where)
        return Audio(info.size, host.files.after(where, 0, count)) if info.kind is PathKind.FILE else None

    vocabulary = str(config.scalars.get("data_layer_params/vocab_file", ""))
    letters = data_check.LETTERS
    if vocabulary and (text := host.files.after(outside(vocabulary), 0, _PIECE)):
        letters = data_check.vocabulary(text.decode(errors="replace"))
    rules = Rules(letters=letters, needs_text=needs_text, max_duration=None)
    checked = data_check.check(
        _whole_lines(host, place.outside(path), until), read_head, rules, folder=posixpath.dirname(path)
    )
    for flaw in checked.found:
        if flaw.stops:
            rows = "\n".join(f"{row.line}: {row.path} {row.seen}".rstrip() for row in flaw.rows)
            hint = _("{flaw} ({n}). {advice}").format(flaw=flaw.title, n=flaw.count, advice=flaw.advice)
            raise Trouble(Problem.TRAINING_DATA, subject=path, hint=hint, evidence=(Evidence(path, rows),))
        emit(Line(_("{path}: {flaw} ({n}).").format(path=path, flaw=flaw.title, n=flaw.count)))


def _whole_lines(host: Host, path: str, until: float) -> Iterator[bytes]:
    """The lines of a file, in pieces, as long as there is time: of a file on a slow disk, the first ones."""
    offset, rest = 0, b""
    while piece := host.files.after(path, offset, _LINES):
        offset += len(piece)
        whole, end, rest = (rest + piece).rpartition(b"\n")
        yield whole + end
        if time.monotonic() > until:
            return
    yield rest


def _rows(host: Host, path: str) -> int | None:
    """The rows of a csv file below its header; 0 for a folder, None where nothing is."""
    kind = host.files.info(path).kind
    if kind is not PathKind.FILE:
        return None if kind is PathKind.MISSING else 0
    offset, lines, last = 0, 0, b"\n"
    while piece := host.files.after(path, offset, _PIECE):
        offset += len(piece)
        lines += piece.count(b"\n")
        last = piece[-1:]
    return max(0, lines + (last != b"\n") - 1)


# --- what fits the machine ---------------------------------------------------------------------------------------


def _taken(host: Host, place: Place) -> tuple[str, ...]:
    """What others use of the GPUs' memory. It is said, not refused: they may end at any moment."""
    text = _("Other programs use {used} of the {total} GB of GPU {index}. Training may not fit: nvidia-smi lists them.")
    return tuple(
        text.format(used=f"{gpu.memory_used / 1e9:.1f}", total=f"{gpu.memory_total / 1e9:.1f}", index=gpu.index)
        for gpu in places.readings(host, place.container)
        if gpu.memory_used is not None and gpu.memory_total is not None and gpu.memory_used >= _TAKEN
    )


def _without_gpu(
    host: Host, place: Place, config: Config, machine: plan.Machine, given: Mapping[str, Value]
) -> tuple[Config, dict[str, Value], tuple[str, ...]]:
    """The configuration and the options with which it runs on this GPU, or on none; and what was changed for it."""
    notes, options = [], dict(given)
    if config.gpu_only and not machine.gpus and _CUDNN not in given:
        options[_CUDNN] = False
        notes.append(_("Layers that exist on GPUs only are replaced."))
    lacks = not machine.gpus or (machine.capability is not None and not plan.mixed_precision(machine.capability))
    if config.mixed and lacks:
        path = posixpath.join(DATA_TARGET, FOLDER, "configs", posixpath.basename(config.path))
        _write(host, place.outside(path), derived.text(config.path, derived.mixed_off()))
        config = replace(config, path=path, mixed=False)
        notes.append(_("There is no mixed precision here: it is switched off in a copy, {path}.").format(path=path))
    return config, options, tuple(notes)


def _write(host: Host, path: str, text: str) -> None:
    before = host.files.read(path)
    host.files.replace(path, before.data if before else None, text.encode())


def _fitted(
    config: Config,
    settings: Settings,
    machine: plan.Machine,
    rows: int | None,
    given: Mapping[str, Value],
    mode: str,
) -> tuple[dict[str, Value], int, tuple[str, ...]]:
    """The options that the machine and the rows ask for, under those that were given; the processes, and the notes."""
    # A copy that was made for the data here, or without mixed precision, has the name of its original.
    known = configs.by_path(config.path) or configs.named(posixpath.basename(config.path))
    each = known.memory * configs.GB // known.batch if known is not None and known.memory else None
    fitted = plan.fit(
        settings, machine, rows=rows if mode.startswith("train") else None, bytes_per_sample=each, mixed=config.mixed
    )
    options = {**{name: value for name, value in fitted.options.items() if name in config.scalars}, **given}
    processes = fitted.processes if mode.startswith("train") and options.get("use_horovod", settings.use_horovod) else 1
    notes = []
    if "use_horovod" in fitted.options and not machine.horovod and "use_horovod" not in given:
        notes.append(_("This image has no Horovod: the training runs as one process."))
    if "batch_size_per_gpu" in fitted.options and "batch_size_per_gpu" not in given:
        if not fitted.batch:
            raise Trouble(Problem.TRAINING_DATA, subject=_("fewer utterances than GPUs"))
        if rows is not None and rows < (settings.batch_size_per_gpu or 1) * max(1, machine.gpus):
            text = _("Utterances in the data: {rows}. The batch size is {batch} for that.")
        else:
            text = _("The GPU's memory is less than the configuration was written for: the batch size is {batch}.")
        notes.append(text.format(rows=rows, batch=fitted.batch))
    elif rows is not None and mode.startswith("train"):
        now = settings_of({**config.scalars, **options})
        if now.steps_in_epoch(rows, processes) == 0:
            hint = _("Utterances in the data: {rows}, less than one batch of {batch} for every process.").format(
                rows=rows, batch=now.batch_size_per_gpu
            )
            raise Trouble(Problem.OPTION_UNUSABLE, subject="--batch_size_per_gpu", hint=hint)
    if not machine.gpus:
        notes.append(_("There is no GPU in this container: the training runs on the processor, many times slower."))
    return options, processes, tuple(notes)


def _check_load_model(host: Host, place: Place, brought: Code, config: Config) -> None:
    """A configuration that begins from another model needs that one first."""
    base = config.scalars.get("load_model")
    if not isinstance(base, str) or not base:
        return
    path = posixpath.normpath(posixpath.join(brought.path, base))
    if path.startswith(f"{DATA_TARGET}/") and not host.files.names(place.outside(path)):
        hint = _("It begins from another model, which has to be trained first: {path}.").format(path=path)
        raise Trouble(Problem.CONFIG_UNUSABLE, subject=config.path, hint=hint)


# --- the log folder ----------------------------------------------------------------------------------------------


def log_folder(host: Host, place: Place, logdir: str, total_steps: int | None) -> LogFolder:
    """What the log folder decides."""
    outside = place.outside(logdir)
    inner = plan.checkpoints(outside)
    said = host.files.after(posixpath.join(inner, "checkpoint"), 0, 65536)
    found = plan.Listing(
        kind=host.files.info(outside).kind,
        names=frozenset(host.files.names(outside)),
        logs=frozenset(host.files.names(inner)),
        checkpoint=said.decode(errors="replace") or None,
    )
    folder = plan.log_folder(logdir, found, total_steps=total_steps, now=time.time())
    taken = folder.aside and host.files.info(place.outside(folder.aside)).kind is not PathKind.MISSING
    return replace(folder, aside=f"{folder.aside}-2") if taken else folder


def _check_same(host: Host, place: Place, config: Config, logdir: str) -> None:
    """Several configurations name the same log folder; one cannot go on from the checkpoint of another."""
    owner = _trained_with(host, place.outside(logdir))
    if owner and posixpath.basename(owner) != posixpath.basename(config.path):
        name = posixpath.basename(config.path).removesuffix(".py")
        hint = _("The log folder {path} holds a training of {other}. Give this one its own: -- --logdir={folder}")
        hint = hint.format(path=logdir, other=owner, folder=posixpath.join(DATA_TARGET, name))
        raise Trouble(Problem.CONFIG_UNUSABLE, subject=config.path, hint=hint)


def _trained_with(host: Host, folder: str) -> str:
    """The configuration of the newest training in a log folder, whoever began it; "" where nothing tells."""
    for name in sorted((name for name in host.files.names(folder) if plan.is_command(name)), reverse=True):
        said = host.files.after(posixpath.join(folder, name), 0, _LINES).decode(errors="replace")
        if config := plan.trained_with(said):
            return config
    return ""
