"""The table of configurations, compared with OpenSeq2Seq itself.

    OPENSEQ2SEQ=/path/to/clone python -m tests.house.openseq2seq_configs [--print]

Each configuration of ``example_configs`` is run, with everything that it imports replaced by names, so that neither
TensorFlow nor the code of OpenSeq2Seq is needed. What differs from ``wizard/knowledge/configs.toml`` is printed, and
the exit code is 1; ``--print`` prints what stands in the clone instead.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import re
import runpy
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wizard.knowledge import configs

STUBBED = ("tensorflow", "open_seq2seq", "numpy", "pandas", "six")
PATHS = (
    "dataset_files",
    "source_file",
    "target_file",
    "src_vocab_file",
    "tgt_vocab_file",
    "data_root",
    "data_dir",
    "dataset_location",
    "vocab_file",
)


class Name:
    """Stands for anything that a configuration imports."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Name:
        if name.startswith("__"):
            raise AttributeError(name)
        return Name(f"{self.name}.{name}")

    def __call__(self, *values: object, **more: object) -> Name:
        return self

    def __repr__(self) -> str:
        return self.name


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module of names for everything in ``STUBBED``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in STUBBED:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)

        def attribute(name: str) -> Name:
            if name.startswith("__"):
                raise AttributeError(name)
            return Name(name)

        module.__getattr__ = attribute  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing in it."""


def in_clone(clone: Path) -> dict[str, dict[str, Any]]:
    """What each configuration of a clone says, by its path."""
    sys.meta_path.insert(0, Stubs())
    os.environ["HOME"] = "~"  # paths in somebody's home stay as they are written
    try:
        files = sorted((clone / "example_configs").rglob("*.py"))
        return {path.relative_to(clone).as_posix(): _facts(path) for path in files}
    finally:
        sys.meta_path.pop(0)


def _facts(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8")
    left_open = set(re.findall(r"^\w+ = (\w*REPLACE\w*)\b", text, re.MULTILINE))
    space = runpy.run_path(str(path), init_globals={"tf": Name("tf"), **dict.fromkeys(left_open, "[REPLACE]")})
    base: dict[str, Any] = space["base_params"]
    train = {**base, **space.get("train_params", {})}
    data = sorted(set(_paths([base, space.get("train_params"), space.get("eval_params"), space.get("infer_params")])))
    return {
        "model": repr(space["base_model"]),
        "gpus": train.get("num_gpus", 1),
        "horovod": bool(train.get("use_horovod")),
        "batch": train["batch_size_per_gpu"],
        "epochs": train.get("num_epochs", 0),
        "steps": train.get("max_steps", 0),
        "mixed": train.get("dtype") == "mixed",
        "logdir": train["logdir"],
        "infers": "infer_params" in space,
        "cudnn": bool(train.get("encoder_params", {}).get("use_cudnn_rnn")),
        "load_model": train.get("load_model") or "",
        "fill_in": "REPLACE" in re.sub(r"#.*", "", text),
        "paths": data,
    }


def _paths(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _paths(item, str(name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _paths(item, key)
    elif isinstance(value, str) and key in PATHS and value:
        yield value


def main() -> int:
    """Prints what differs, or everything."""
    there = in_clone(Path(os.environ["OPENSEQ2SEQ"]))
    if "--print" in sys.argv:
        print(json.dumps(there, indent=1))
        return 0
    known = {config.path: asdict(config) for config in configs.load()}
    wrong = [f"only in one of both: {path}" for path in sorted(known.keys() ^ there.keys())]
    for path in sorted(known.keys() & there.keys()):
        for name, value in there[path].items():
            if known[path][name] != (tuple(value) if isinstance(value, list) else value):
                wrong.append(f"{path}: {name} is {value!r}")
    print("\n".join(wrong) or f"{len(known)} configurations, all as in the clone")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
