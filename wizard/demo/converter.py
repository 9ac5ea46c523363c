"""What a simulated container does with the script that converts recordings: its words, a short list, and short tones in
place of the recordings.
"""

from __future__ import annotations

import csv
import io
import json
import math
import posixpath
import struct
import tarfile
import wave
from collections.abc import Iterator
from functools import cache
from typing import Any

from wizard.demo.files import ROOT, Node, Tree
from wizard.demo.shell import Console
from wizard.model.container import Mount
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import PathKind

_ROWS = 40
"""rows of a list that nobody gave texts for"""
_TEXT = "this is a simulated recording"
_STEPS = 20
_SECONDS = 4.0
_USUAL_PACE = 0.004


def run(tree: Tree, mounts: tuple[Mount, ...], pace: float, words: tuple[str, ...], console: Console) -> int:
    """``words`` are the script and its options. Raises ``UNSCRIPTED`` for any other script."""
    if len(words) != 2 or "wav_filename" not in words[0]:
        raise Trouble(Problem.UNSCRIPTED, subject="python3 -c")
    options: dict[str, Any] = json.loads(words[1])
    data = b"".join(iter(console.read, b""))
    expected = int(options["expected"])
    for step in range(1, _STEPS + 1):
        console.sleep(_SECONDS / _STEPS * pace / _USUAL_PACE)
        console.write(1, json.dumps({"recordings": expected * step // _STEPS}) + "\n")
    lists = _manifest(data) or {options["csv"]: [[f"{number:04d}", _TEXT] for number in range(min(_ROWS, expected))]}
    rows = {}
    for path, entries in lists.items():
        wav = posixpath.join(options["root"], options["wav"])
        rows[path] = len(entries)
        named = [(posixpath.join(wav, f"{key}.wav"), text) for key, text in entries]
        for place, _text in named:
            _plant(tree, mounts, place, tone())
        _plant(tree, mounts, posixpath.join(options["root"], path), _csv(named))
    if "manifest.json" not in _names(data):
        rows = dict.fromkeys(rows, expected)
    console.write(1, json.dumps({"finished": {"rows": rows, "recordings": expected, "failed": []}}) + "\n")
    return 0


def _manifest(data: bytes) -> dict[str, list[list[str]]]:
    for name, content in _members(data):
        if name == "manifest.json":
            lists: dict[str, list[list[str]]] = json.loads(content)
            return lists
    return {}


def _names(data: bytes) -> set[str]:
    return {name for name, _content in _members(data)}


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    if data:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None:
                    yield member.name, file.read()


def _plant(tree: Tree, mounts: tuple[Mount, ...], inside: str, data: bytes) -> None:
    """Puts a file where the container's path lies on the machine, owned as the folder is."""
    for mount in mounts:
        if inside.startswith(f"{mount.target}/"):
            owner = tree.nodes[tree.follow(mount.source, ROOT)]
            place = f"{mount.source}{inside.removeprefix(mount.target)}"
            missing = posixpath.dirname(place)
            while missing not in tree.nodes:
                tree.nodes[missing] = Node(PathKind.DIRECTORY, 0o755, owner.uid, owner.gid)
                missing = posixpath.dirname(missing)
            tree.use(place, len(data))
            tree.plant(place, Node(PathKind.FILE, 0o644, owner.uid, owner.gid, data))


def _csv(named: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["wav_filename", "wav_filesize", "transcript"])
    for place, said in named:
        out.writerow([place, len(tone()), said])
    return text.getvalue().encode()


@cache
def tone() -> bytes:
    """A second of 440 Hz: 16 kHz, mono, 16 bit."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        wave_form = (round(8000 * math.sin(math.tau * 440 * at / 16000)) for at in range(16000))
        out.writeframes(struct.pack("<16000h", *wave_form))
    return sound.getvalue()
