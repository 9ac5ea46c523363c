"""A configuration made from another one: a small Python file that loads the original and changes values.

The command line of ``run.py`` reaches numbers, words and truth values of ``base_params`` only; lists (the csv files),
and everything in ``train_params``, ``eval_params`` and ``infer_params``, need a file. The file is kept beside the run.
It is written for the Python of the image, which can be 3.5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wizard.model.errors import Problem, Trouble

SECTIONS = ("base_params", "train_params", "eval_params", "infer_params")

Plain = int | float | str | bool | None | list["Plain"] | tuple["Plain", ...] | dict[str, "Plain"]

_HEAD = """\
# Made by s2s-wizard: {original}, with the changes below.
import runpy

import tensorflow as tf

_original = runpy.run_path({path}, init_globals={{"tf": tf}})
globals().update((name, value) for name, value in _original.items() if not name.startswith("__"))


def _change(section, path, value):
    tree = globals().setdefault(section, {{}})
    for key in path[:-1]:
        tree = tree.setdefault(key, {{}})
    tree[path[-1]] = value


def _remove(section, path):
    tree = globals().get(section, {{}})
    for key in path[:-1]:
        tree = tree.get(key, {{}})
    tree.pop(path[-1], None)


"""


@dataclass(frozen=True, slots=True)
class Code:
    """A value that is an expression of Python, not data: the type ``tf.float32``."""

    text: str


FLOAT32 = Code("tf.float32")


@dataclass(frozen=True, slots=True)
class Change:
    """One value of a configuration. ``path`` is as on the command line: ``data_layer_params/dataset_files``."""

    section: str
    path: str
    value: Plain | Code


@dataclass(frozen=True, slots=True)
class Removal:
    """One value of a configuration that goes."""

    section: str
    path: str


def text(original: str, changes: tuple[Change | Removal, ...]) -> str:
    """The file's text. ``original`` is a path that counts where ``run.py`` is started: the root of the clone.

    Raises ``Trouble(BAD_INPUT)`` for a section that no configuration has, and for an empty path.
    """
    lines = [_HEAD.format(original=_comment(original), path=ascii(original))]
    for change in changes:
        keys = tuple(change.path.split("/"))
        if change.section not in SECTIONS or not all(keys):
            raise Trouble(Problem.BAD_INPUT, subject=f"{change.section}/{change.path}")
        place = f"{change.section!a}, {list(keys)!a}"
        if isinstance(change, Removal):
            lines.append(f"_remove({place})\n")
            continue
        value = change.value.text if isinstance(change.value, Code) else _literal(change.value)
        lines.append(f"_change({place}, {value})\n")
    return "".join(lines)


def mixed_off() -> tuple[Change | Removal, ...]:
    """The changes that make a configuration for mixed precision one for plain 32-bit numbers."""
    return (
        Change("base_params", "dtype", FLOAT32),
        Removal("base_params", "loss_scaling"),
        Removal("base_params", "loss_scaling_params"),
    )


def dataset(
    train: tuple[str, ...] = (), evaluate: tuple[str, ...] = (), infer: tuple[str, ...] = ()
) -> tuple[Change, ...]:
    """The changes that name other csv files, for each mode that is given."""
    given = (("train_params", train), ("eval_params", evaluate), ("infer_params", infer))
    return tuple(Change(section, "data_layer_params/dataset_files", list(files)) for section, files in given if files)


def _literal(value: Plain) -> str:
    """A value in Python's own spelling, in ASCII; numbers that have no literal are called by name."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!a}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return ascii(value)


def _comment(text: str) -> str:
    """Text that stays in a comment's line and in ASCII."""
    return re.sub(r"[^ -~]", "?", text)
