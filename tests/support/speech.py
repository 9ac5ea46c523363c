"""A tiny LibriSpeech: archives of the same shape as the published ones, made with sox, and a catalogue of them."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from dataclasses import asdict
from functools import cache
from pathlib import Path

from wizard.knowledge.librispeech import Corpus, Part

SECONDS = 0.25


@cache
def sound(kind: str = "flac", rate: int = 16000, channels: int = 1, tone: int = 440, seconds: float = SECONDS) -> bytes:
    """A short tone as a file of that kind."""
    with tempfile.NamedTemporaryFile(suffix=f".{kind}") as file:
        bits = [] if kind == "mp3" else ["-b", "16"]
        argv = ["sox", "-n", "-r", str(rate), "-c", str(channels), *bits, "-t", kind, file.name]
        subprocess.run([*argv, "synth", str(seconds), "sine", str(tone)], check=True)
        return Path(file.name).read_bytes()


def word(number: int) -> str:
    """A number in letters."""
    return "".join("ABCDEFGHIJ"[int(digit)] for digit in str(number))


def archive(name: str, recordings: int, *, left_out: str = "", bad: str = "") -> bytes:
    """``NAME.tar.gz`` with that many recordings by one reader.

    ``left_out`` is the end of a file's name that is missing, ``bad`` a file that is no flac.
    """
    folder = f"LibriSpeech/{name}/84/121123"
    keys = [f"84-121123-{number:04d}" for number in range(recordings)]
    texts = "".join(f"{key} HE'S SAID CAF\u00c9 NUMBER {word(number)}\n" for number, key in enumerate(keys))
    files = {"LibriSpeech/README.TXT": b"about", f"{folder}/84-121123.trans.txt": texts.encode()}
    files |= {f"{folder}/{key}.flac": sound(tone=300 + number % 50) for number, key in enumerate(keys)}
    if bad:
        files[f"{folder}/{bad}"] = b"no sound at all"
    files = {path: data for path, data in files.items() if not left_out or not path.endswith(left_out)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as out:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o644
            out.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def part(name: str, data: bytes, recordings: int) -> Part:
    """What the catalogue says about an archive."""
    md5 = hashlib.md5(data).hexdigest()
    use = name.partition("-")[0].replace("dev", "evaluate")
    return Part(name, use, len(data), md5, recordings * SECONDS / 3600, recordings)


def catalogue(*parts: Part, url: str = "http://127.0.0.1:9") -> Corpus:
    """A corpus of these parts."""
    return Corpus(url, "CC BY 4.0", (parts[0].name,), parts)


def command(corpus: Corpus, *words: str) -> list[str]:
    """The program as a process of its own that knows ``corpus`` in place of the published one."""
    script = textwrap.dedent("""
        import json, sys
        from wizard.knowledge import librispeech
        raw = json.loads(sys.argv[1])
        parts = tuple(librispeech.Part(**part) for part in raw.pop("parts"))
        made = librispeech.Corpus(raw["url"], raw["licence"], tuple(raw["begin_with"]), parts)
        librispeech.corpus = lambda: made
        from wizard.cli import main
        sys.exit(main(sys.argv[2:]))
    """)
    return [sys.executable, "-c", script, json.dumps(asdict(corpus)), *words]


def rows(path: Path) -> list[list[str]]:
    """The lines of a list, without its head, which has to be the one that OpenSeq2Seq reads."""
    head, *lines = path.read_text().splitlines()
    assert head == "wav_filename,wav_filesize,transcript"
    return [line.split(",") for line in lines]
