"""Trainings on a simulated machine: jobs in containers that print what OpenSeq2Seq prints, and leave its files.

The formats are those of real logs; the numbers are made up, and fall as those of a real training do. Nothing is
computed.
"""

from __future__ import annotations

import json
import math
import posixpath
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from wizard.demo.converter import tone
from wizard.demo.daemon import Box
from wizard.demo.files import Node, Tree
from wizard.demo.spec import Answer
from wizard.knowledge import configs
from wizard.model.container_job import ALIVE, LAUNCH, SIGNAL, STARTED
from wizard.model.machine import PathKind
from wizard.model.training.board import LOOK

COMMIT = "8681d381ed404fde516e2c1b823de5a213c59aba"
STEP = 40.0
"""Megabytes of a pull that take as long as one simulated step: both go at the machine's pace."""
_MODULES = ("tensorflow", "numpy", "horovod", "mpi4py", "pandas", "six", "joblib", "nltk", "resampy", "librosa")
_MORE = ("python_speech_features", "matplotlib", "sentencepiece", "sacrebleu", "h5py")
_INSTALLED = ("tqdm", "sox")
_SPLITS = {
    "train-clean-100": 4,
    "train-clean-360": 2,
    "train-other-500": 2,
    "dev-clean": 2,
    "dev-other": 1,
    "test-clean": 2,
    "test-other": 1,
}
_TARGETS = (
    "there was no autopsy period",
    "they have put in a lot of money but is that enough",
    "quote there aren't any financial irregularities unquote he says",
)
_SCALARS = {
    "random_seed": 0,
    "use_horovod": True,
    "num_epochs": 50,
    "num_gpus": 1,
    "batch_size_per_gpu": 32,
    "iter_size": 1,
    "save_summaries_steps": 100,
    "print_loss_steps": 10,
    "print_samples_steps": 2200,
    "eval_steps": 2200,
    "save_checkpoint_steps": 1100,
    "logdir": "jasper_log_folder",
    "num_checkpoints": 2,
    "encoder_params/dropout_keep_prob": 1.0,
    "data_layer_params/vocab_file": "open_seq2seq/test_utils/toy_speech_data/vocab.txt",
}
_PARAMETERS = 8192733
_CODE = ("run.py", "open_seq2seq/__init__.py", "scripts/import_librivox.py", "scripts/run_all_tests.sh")


@dataclass(slots=True)
class _Job:
    """One job: its folder on the simulated machine, and what was asked of it."""

    folder: str
    box: Box
    began: str
    command: tuple[str, ...]
    stopped: threading.Event = field(default_factory=threading.Event)
    alive: bool = True

    @property
    def serves(self) -> bool:
        """Whether it goes on until it is stopped."""
        return self.command[0] == "tensorboard"


class SimJobs:
    """The jobs of one simulated engine. ``pace`` is the seconds that a megabyte of a pull takes."""

    def __init__(self, tree: Tree, pace: float) -> None:
        self._tree = tree
        self._pace = pace
        self._jobs: dict[str, _Job] = {}
        self._installed: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def answer(self, box: Box, argv: tuple[str, ...]) -> Answer | None:
        """What a command of a training answers at once; None for any other command."""
        words = tuple(argv)
        if words[:2] == ("sh", "-c") and words[2] in (ALIVE, SIGNAL):
            job = self._jobs.get(words[4])
            there = job is not None and job.alive and job.began == words[5] and job.box.info.running
            if words[2] == SIGNAL and job is not None and there:
                job.stopped.set()
            return Answer(stdout="alive\n" if there and words[2] == ALIVE else "", returncode=0 if there else 1)
        if words[:2] == ("python", "-c") and "pkg_resources" in words[2]:
            return Answer(stdout=json.dumps(self._look(box)) + "\n")
        if words[:2] == ("sh", "-c") and "runpy" in " ".join(words):
            return Answer(stdout="\n" + json.dumps(self._config(box, words[-1])) + "\n")
        if words == ("sh", "-c", LOOK):
            if "tensorflow" not in box.info.image:
                return Answer(returncode=127)
            rows = (f"   {n}: 00000000:{port:04X} 00000000:0000 0A 0 0\n" for n, port in enumerate(self.ports(box)))
            return Answer(stdout="".join(rows))
        if words[:1] == ("mv",) and self._moved(box, words[-2], words[-1]):
            return Answer()
        return None

    def computes(self) -> bool:
        """Whether a training runs in one of the containers."""
        with self._lock:
            return any(job.alive and "run.py" in job.command for job in self._jobs.values())

    def lose(self, box: Box) -> None:
        """The container stops, and its jobs go with it."""
        for job in self._jobs.values():
            job.alive = job.alive and job.box is not box

    def ports(self, box: Box) -> tuple[int, ...]:
        """The ports at which TensorBoard answers in a container."""
        with self._lock:
            boards = [job for job in self._jobs.values() if job.alive and job.box is box and job.serves]
        return tuple(
            int(word.partition("=")[2]) for job in boards for word in job.command if word.startswith("--port=")
        )

    def launch(self, box: Box, argv: tuple[str, ...]) -> Answer | None:
        """Starts a job if that is what ``argv`` asks for; what the launch prints."""
        if argv[:3] != ("sh", "-c", LAUNCH):
            return None
        folder, cwd, command = self._outside(box, argv[4]), argv[5], argv[6:]
        with self._lock:
            pid = str(101 + 10 * len(self._jobs))
            job = self._jobs[pid] = _Job(folder, box, str(880_000 + 10 * len(self._jobs)), command)
        self._put(f"{folder}/pid", f"{pid} {job.began}\n")
        self._put(f"{folder}/stdout.log", "")
        self._put(f"{folder}/stderr.log", "")
        threading.Thread(target=self._work, args=(job, cwd, command), name="simulated-job", daemon=True).start()
        return Answer(stdout=f"{STARTED}\n")

    # --- files -------------------------------------------------------------------------------------------------------

    def _outside(self, box: Box, path: str) -> str:
        mount = box.info.mounts[0]
        return posixpath.normpath(posixpath.join(mount.source, posixpath.relpath(path, mount.target)))

    def _put(self, path: str, content: str | bytes) -> None:
        """A file that belongs to whom the folder above belongs, as it does when a real job has ended."""
        above = posixpath.dirname(path)
        while above not in self._tree.nodes:
            above = posixpath.dirname(above)
        owner = self._tree.nodes[above]
        data = content if isinstance(content, bytes) else content.encode()
        missing = [posixpath.dirname(path)]
        while missing[-1] != above:
            missing.append(posixpath.dirname(missing[-1]))
        for folder in reversed(missing[:-1]):
            self._tree.plant(folder, Node(PathKind.DIRECTORY, 0o755, owner.uid, owner.gid))
        self._tree.plant(path, Node(PathKind.FILE, 0o644, owner.uid, owner.gid, data))

    def _text(self, path: str) -> str:
        node = self._tree.at(path)
        return "" if node is None else node.data.decode()

    def _moved(self, box: Box, source: str, target: str) -> bool:
        old, new = self._outside(box, source), self._outside(box, target)
        for path in [path for path in self._tree.nodes if path == old or path.startswith(f"{old}/")]:
            self._tree.nodes[new + path.removeprefix(old)] = self._tree.nodes.pop(path)
        return new in self._tree.nodes

    # --- what the container has --------------------------------------------------------------------------------------

    def _look(self, box: Box) -> dict[str, object]:
        own = [name for container, name in self._installed if container == box.info.id]
        return {
            "python": [3, 6, 9],
            "modules": [*_MODULES, *_MORE, *own],
            "programs": ["git", "mpiexec", "perl", "sox", "tensorboard"],
            "versions": {"tensorflow-gpu": "1.15.4+nv", "numpy": "1.17.3", "horovod": "0.20.0"},
        }

    def _config(self, box: Box, path: str) -> dict[str, object]:
        text = self._text(self._outside(box, path)) if path.startswith("/") else ""
        named = re.findall(r"[\"'](/[^\"']+\.csv)[\"']", text)
        files = named or [f"/data/librispeech/librivox-{split}.csv" for split in _SPLITS if "other" not in split[4:9]]
        kinds = {"train": ("-train-",), "eval": ("-dev-clean",), "infer": ("-test-clean", "/say.csv")}
        sections = {name: [file for file in files if any(mark in file for mark in kinds[name])] for name in kinds}
        return {
            "model": "Speech2Text",
            "dtype": "float32",
            "scalars": _SCALARS,
            "files": sections,
            "gpu_only": False,
        }

    # --- working -----------------------------------------------------------------------------------------------------

    def _work(self, job: _Job, cwd: str, command: tuple[str, ...]) -> None:
        """Prints line after line, as long as the container runs and nobody stops it; then leaves the exit status."""
        out = f"{job.folder}/stdout.log"
        for line, pause in self._lines(job, cwd, command):
            if pause and self._pace:
                job.stopped.wait(pause * self._pace * STEP)
            if self._gone(job):
                return
            if job.stopped.is_set():
                break
            self._tree.nodes[out].data += f"{line}\n".encode()
        while job.serves and not self._gone(job) and not job.stopped.wait(0.1):
            pass
        if self._gone(job):
            return
        code = 0
        if job.stopped.is_set():
            self._put(f"{job.folder}/stderr.log", "Traceback (most recent call last):\nKeyboardInterrupt\n")
            code = 1
        job.alive = False
        self._put(f"{job.folder}/exit", f"{code}\n")

    def _gone(self, job: _Job) -> bool:
        """Whether its container has stopped, though it may run again by now."""
        job.alive = job.alive and job.box.info.running
        return not job.alive

    def _lines(self, job: _Job, cwd: str, command: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        said = " ".join(command)
        for mark, does in self._does.items():
            if mark in said:
                yield from does(self, job.box, cwd, command)
                return
        yield f"simulated: {posixpath.basename(command[0])}", 0

    def _clone(self, box: Box, _cwd: str, command: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        yield "Cloning into 'OpenSeq2Seq'...", 1
        yield "Receiving objects: 100% (1021/1021), 43.21 MiB | 11.02 MiB/s, done.", 4
        root = self._outside(box, command[6])  # the place that it gets when it is whole
        for name in (*_CODE, *(config.path for config in configs.load())):
            self._put(f"{root}/{name}", "# simulated\n")
        self._put(f"{root}/.git/HEAD", f"{COMMIT}\n")

    def _install(self, box: Box, _cwd: str, command: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        wanted = [word.partition("==")[0] for word in command if "==" in word and " " not in word]
        for name in wanted:
            yield f"Collecting {name}", 1
        yield f"Successfully installed {' '.join(wanted)}", 1
        self._installed |= {(box.info.id, name) for name in wanted}

    def _archives(self, box: Box, _cwd: str, command: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        folder = self._outside(box, command[4])
        for path in [path for path in self._tree.nodes if path.startswith(f"{folder}/")]:
            del self._tree.nodes[path]
        for split, count in _SPLITS.items():
            yield f"{split}.tar.gz: {count} utterances", 0.2

    def _import(self, box: Box, _cwd: str, command: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        yield "Converting FLAC to WAV and splitting transcriptions...", 1
        folder = command[-1]
        for split, count in _SPLITS.items():
            for n in range(count):
                self._put(self._outside(box, f"{folder}/LibriSpeech/{split}-wav/1-1-{n}.wav"), tone())
            rows = [f"{folder}/LibriSpeech/{split}-wav/1-1-{n}.wav,86444,{_TARGETS[n % 3]}" for n in range(count)]
            text = "\n".join(("wav_filename,wav_filesize,transcript", *rows)) + "\n"
            self._put(self._outside(box, f"{folder}/librivox-{split}.csv"), text)

    def _convert(self, box: Box, _cwd: str, command: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        sound = tone()
        self._put(self._outside(box, command[-1]), sound)
        yield str(len(sound)), 1

    def _run(self, box: Box, cwd: str, command: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        values = dict(word.removeprefix("--").partition("=")[::2] for word in command if word.startswith("--"))
        options = {**{name: str(value) for name, value in _SCALARS.items()}, **values}
        logdir = self._outside(box, posixpath.join(cwd, options["logdir"]))
        kept = sum(path.startswith(f"{logdir}/cmd-args_") for path in self._tree.nodes)
        self._put(f"{logdir}/cmd-args_2026-11-22_15-06-{kept:02d}.log", " ".join(command[command.index("run.py") :]))
        mode = options.get("mode", "train_eval")
        files = self._config(box, options["config_file"])["files"]
        listed = files["train" if mode.startswith("train") else mode] if isinstance(files, dict) else []
        rows = sum(max(0, self._text(self._outside(box, file)).count("\n") - 1) for file in listed)
        yield from (("", 0), ("*** Using horovod", 2)) if options["use_horovod"] == "True" else ()
        if mode.startswith("train"):
            yield from self._train(logdir, options, rows)
        else:
            yield from self._pass(box, logdir, options, mode, listed)

    def _train(self, logdir: str, options: dict[str, str], rows: int) -> Iterator[tuple[str, float]]:
        number = {name: int(value) for name, value in options.items() if value.isdigit()}
        per_epoch = max(1, rows // number["batch_size_per_gpu"])
        total = number["num_epochs"] * per_epoch
        first = self._checkpoint(logdir)
        if first is None:
            yield "*** Starting training from scratch", 1
        else:
            yield f"*** Restored checkpoint from {options['logdir']}/logs/model.ckpt-{first}. Resuming training", 1
        yield "*** Training config:", 0
        for place, (name, value) in enumerate(sorted(_SCALARS.items())):
            if "/" not in name:
                said = options[name] if name in number else repr(value)
                yield f"{'{' if not place else ' '}'{name}': {said},", 0
        yield " 'use_xla_jit': False}", 0
        yield "*** Building graph on GPU:0", 2
        yield f"*** Total trainable parameters: {_PARAMETERS}", 2
        self._save(logdir, first or 0, 1.0)
        for step in range((first or 0) + 1, max(total, (first or 0) + 1) + 1):
            loss = 40 + 760 * math.exp(-3 * step / max(total, 60))
            wer = min(1.0, 0.15 + math.exp(-2.5 * step / max(total, 60)))
            if (step - 1) % number["eval_steps"] == 0 or step == total:
                yield "*** Running evaluation on a validation set:", 0
                yield f"***     Validation loss: {loss * 1.05:.4f} ", 1
                yield f"***     Validation WER:  {wer:.4f}", 0
            if (step - 1) % number["print_loss_steps"] == 0:
                yield f"*** Epoch {step // per_epoch}, global step {step}: ***     Train loss: {loss:.4f} ", 1
                yield "time per step = 0:00:0.812", 0
            if (step - 1) % number["print_samples_steps"] == 0:
                target = _TARGETS[step % len(_TARGETS)]
                yield f"***     Sample WER: {wer:.4f}", 0
                yield f"***     Sample target:     {target}", 0
                yield f"***     Sample prediction: {_heard(target, wer)}", 0
            if step % number["save_checkpoint_steps"] == 0 or step == total:
                self._save(logdir, step, wer)
        yield "*** Finished training", 0
        yield "*** Avg time per step: 0.812s", 0
        yield "*** Avg objects per second: 21044.127", 0

    def _pass(
        self, box: Box, logdir: str, options: dict[str, str], mode: str, listed: list[str]
    ) -> Iterator[tuple[str, float]]:
        step = self._checkpoint(logdir)
        yield "*** Restoring from the latest checkpoint", 1
        yield f"*** Loading model from {options['logdir']}/logs/model.ckpt-{step}", 1
        if mode == "infer":
            yield "*** Inference Mode. Loss part of graph isn't built.", 0
        yield "*** Building graph on GPU:0", 2
        yield "*** Processed 1/1 batches", 1
        yield "*** Not enough steps for benchmarking", 0
        if mode == "eval":
            wer = self._text(f"{logdir}/logs/model.ckpt-{step}.data-00000-of-00001")
            yield f"***     Validation WER:  {wer or '1.0000'}", 0
            yield "*** Finished evaluation", 0
            return
        rows = [line for file in listed for line in self._text(self._outside(box, file)).splitlines()[1:]]
        names = [line.partition(",")[0] for line in rows]
        heard = [f"{name},{_heard(_TARGETS[place % 3], 0.3)}" for place, name in enumerate(names)]
        text = "\n".join(("wav_filename,predicted_transcript", *heard)) + "\n"
        self._put(self._outside(box, options["infer_output_file"]), text)
        yield "*** Finished inference", 0

    def _checkpoint(self, logdir: str) -> int | None:
        match = re.search(r"model\.ckpt-(\d+)", self._text(f"{logdir}/logs/checkpoint"))
        return int(match[1]) if match else None

    def _save(self, logdir: str, step: int, wer: float) -> None:
        """A checkpoint, which knows how well its model hears."""
        name = f"model.ckpt-{step}"
        for suffix, text in (("data-00000-of-00001", f"{wer:.4f}"), ("index", ""), ("meta", "")):
            self._put(f"{logdir}/logs/{name}.{suffix}", text)
        self._put(
            f"{logdir}/logs/checkpoint", f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'
        )

    _does: Mapping[str, Callable[[SimJobs, Box, str, tuple[str, ...]], Iterator[tuple[str, float]]]] = {
        "git clone": _clone,
        "pip install": _install,
        "toy_speech_data": _archives,
        "import_librivox": _import,
        'sox "$1"': _convert,
        "run.py": _run,
    }


def _heard(target: str, wer: float) -> str:
    """What a model hears that gets this share of the words wrong."""
    words = target.split()
    wrong = round(len(words) * min(1.0, wer))
    return " ".join(word[::2] if place < wrong else word for place, word in enumerate(words))
