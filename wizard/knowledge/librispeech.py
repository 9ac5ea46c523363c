"""The parts of LibriSpeech, read from ``librispeech.toml``: sizes, sums, and what each is for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BYTES_PER_SECOND = 32_000
"""16,000 samples of two bytes: what OpenSeq2Seq reads."""
_HEADER = 44


@dataclass(frozen=True, slots=True)
class Part:
    """One archive. ``bytes`` is its size, ``md5`` its published sum ("" where none is known), ``use`` one of
    ``train``, ``evaluate`` and ``test``.
    """

    name: str
    use: str
    bytes: int
    md5: str
    hours: float
    recordings: int

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return f"{self.name}.tar.gz"

    @property
    def csv(self) -> str:
        """The name of the list that ``scripts/import_librivox.py`` of OpenSeq2Seq writes, which its configurations
        read.
        """
        return f"librivox-{self.name}.csv"

    @property
    def wav(self) -> str:
        """The folder of that script's recordings."""
        return f"LibriSpeech/{self.name}-wav"

    @property
    def bytes_ready(self) -> int:
        """About what the converted recordings take."""
        return round(self.hours * 3600 * BYTES_PER_SECOND) + self.recordings * _HEADER


@dataclass(frozen=True, slots=True)
class Corpus:
    """All parts, in the order in which they are worth having. ``begin_with`` are enough for a first training."""

    url: str
    licence: str
    begin_with: tuple[str, ...]
    parts: tuple[Part, ...]


@cache
def corpus() -> Corpus:
    """LibriSpeech as it is published."""
    raw = tomllib.loads((Path(__file__).with_suffix(".toml")).read_text(encoding="utf-8"))
    parts = tuple(Part(**part) for part in raw["parts"])
    return Corpus(raw["url"], raw["licence"], tuple(raw["begin_with"]), parts)
