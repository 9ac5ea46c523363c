"""What is said in recordings, as people write it down: lists are read, and texts brought to the models' letters."""

from __future__ import annotations

import csv
import posixpath
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from wizard.model.training.data_check import LETTERS

DEV_PERCENT = 10
"""How many of a hundred recordings are kept for the evaluation."""
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'", "\u00b4": "'"})
_SPOKEN = frozenset("%&@#+=$\u20ac\u00a3\u00b0")
"""Signs that are read aloud: leaving them out would make the text wrong."""
_SEPARATORS = ("\t", "|", ";", ",")
_FILES = ("wav_filename", "filename", "file", "path", "audio", "wav", "id")
_TEXTS = ("transcript", "transcription", "sentence", "text")


@dataclass(frozen=True, slots=True)
class Normalised:
    """A text in the letters of the models. ``removed`` is the punctuation that is left out, ``strange`` what cannot be
    written with these letters: then the text cannot be used.
    """

    text: str
    removed: str
    strange: str


def normalise(text: str) -> Normalised:
    """Small letters without accents, words apart by one blank."""
    kept: list[str] = []
    removed: set[str] = set()
    strange: set[str] = set()
    for char in unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).lower():
        kind = unicodedata.category(char)
        if char in LETTERS:
            kept.append(char)
        elif char.isspace() or kind == "Pd":
            kept.append(" ")
        elif kind == "Mn":
            continue  # the accent of the letter before it
        elif char in _SPOKEN or not kind.startswith(("P", "C")):
            strange.add(char)
        else:
            removed.add(char)
    return Normalised(" ".join("".join(kept).split()), "".join(sorted(removed)), "".join(sorted(strange)))


def read_list(data: bytes) -> dict[str, str] | None:
    """The texts of a list by the recording's name as it stands there; None for a file that is no such list.

    Understood are columns apart by tabulators, bars, semicolons or commas, with or without a first line that names
    them, and lines of a name, a blank and the text. Where the columns have no names, the first is the recording and the
    last the text.
    """
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeError:
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    separator = next((sign for sign in _SEPARATORS if sign in lines[0]), "")
    if not separator:
        pairs = [line.split(None, 1) for line in lines]
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    # Only where a text may hold the separator are quotes more than a part of the text.
    split = csv.reader(lines, delimiter=separator) if separator in ",;" else (line.split(separator) for line in lines)
    table = [row for row in split if len(row) > 1]
    if not table:
        return None
    names = [name.strip().lower() for name in table[0]]
    file = next((names.index(name) for name in _FILES if name in names), None)
    said = next((names.index(name) for name in _TEXTS if name in names), None)
    if file is None or said is None:
        return {row[0].strip(): row[-1] for row in table}
    # A comma in a text that nobody put in quotes.
    last = said == len(names) - 1
    return {
        row[file].strip(): separator.join(row[said:]) if last else row[said]
        for row in table[1:]
        if len(row) > max(file, said)
    }


def look_up(texts: Mapping[str, str], path: str) -> str | None:
    """The text of the recording at ``path``: by its path or its name, with the ending or without."""
    name = posixpath.basename(path)
    for known in (path, posixpath.splitext(path)[0], name, posixpath.splitext(name)[0]):
        if known in texts:
            return texts[known]
    return None


def by_base_name(texts: Mapping[str, str]) -> dict[str, str]:
    """The same texts, to be found by the last part of their paths too, with the ending or without."""
    found: dict[str, str] = {}
    for path, text in texts.items():
        name = re.split(r"[\\/]", path)[-1]
        found.setdefault(name, text)
        found.setdefault(posixpath.splitext(name)[0], text)
    return {**found, **texts}
