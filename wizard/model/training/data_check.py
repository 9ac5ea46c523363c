"""The csv files of a training, looked through before it starts: what would stop it, and what would spoil it.

OpenSeq2Seq finds a missing or wrong file only when it comes to its row: half a minute after the start, or hours. This
needs the csv's bytes and the first bytes of each recording, so 100,000 rows take seconds. It runs on the host, on the
folder that is shared with the container: the Python of an image may be 3.5, that of the host is ours. The reader knows
where a path of the container lies on the host.

Memory is bounded: of each kind of flaw the first ``SHOWN`` rows are kept, and the number of all.
"""

from __future__ import annotations

import codecs
import csv
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from wizard.model.i18n import N_, _

LETTERS = frozenset(" abcdefghijklmnopqrstuvwxyz'")
"""The vocabulary of every speech configuration: ``open_seq2seq/test_utils/toy_speech_data/vocab.txt``."""
COLUMNS = ("wav_filename", "wav_filesize", "transcript")
RATE = 16_000
HEAD = 4_096
"""bytes of a recording that are read: its header, wherever programs put more into it"""
WHOLE = 4 * 2**20
"""bytes of a recording that are read to hear whether it is silent: two minutes"""
SHOWN = 20
"""rows of each kind that are kept"""
SHORTEST = 0.1
"""seconds; a word takes longer"""
PER_LETTER = 0.02
"""seconds of sound for each letter: the models look at every second frame of 10 ms"""
QUIET = 64
"""of 32767: a recording that is never louder is silence with the noise of its sound card"""

_MOST_KNOWN = 1_000_000
_MISSING_TRIED = 20
_CHUNK = 65_536
_SEEN = 80
_NO_TEXT = frozenset(
    {"", "nan", "null", "na", "n/a", "-nan", "#n/a", "#na", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
)
"""What pandas reads as "no value" in its cells, in small letters."""
_FORMATS = (
    (b"ID3", "mp3"),
    (b"\xff\xfb", "mp3"),
    (b"\xff\xf3", "mp3"),
    (b"\xff\xf2", "mp3"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"FORM", "aiff"),
    (b"\x00\x00\x00", "mp4"),
    (b"RIFX", "wav, big-endian"),
)


class Flaw(str, Enum):
    """What can be wrong with a csv file or one of its rows."""

    NO_ROWS = "no-rows"
    HEADER = "header"
    SEPARATOR = "separator"
    MARK = "byte-order-mark"
    ENCODING = "encoding"
    FIELDS = "fields"
    ELSEWHERE = "elsewhere"
    MISSING = "missing"
    NOT_WAV = "not-wav"
    RATE = "rate"
    CHANNELS = "channels"
    BITS = "bits"
    CUT = "cut"
    TOO_LONG = "too-long"
    TOO_SHORT = "too-short"
    TEXT_TOO_LONG = "text-too-long"
    SILENT = "silent"
    NO_TEXT = "no-text"
    CAPITALS = "capitals"
    LETTERS = "letters"
    TWICE = "twice"


_HARMLESS = frozenset({Flaw.MARK, Flaw.TOO_LONG, Flaw.TOO_SHORT, Flaw.TEXT_TOO_LONG, Flaw.SILENT, Flaw.TWICE})

_TITLES = {
    Flaw.NO_ROWS: N_("The file has no rows"),
    Flaw.HEADER: N_("The first line does not name the columns"),
    Flaw.SEPARATOR: N_("The columns are not separated by commas"),
    Flaw.MARK: N_("The file begins with a byte order mark"),
    Flaw.ENCODING: N_("The file is not in UTF-8"),
    Flaw.FIELDS: N_("Rows with too few or too many columns"),
    Flaw.ELSEWHERE: N_("Paths that the container does not have"),
    Flaw.MISSING: N_("Recordings that are not there"),
    Flaw.NOT_WAV: N_("Recordings that are not wav files inside"),
    Flaw.RATE: N_("Recordings with another sampling rate than 16000"),
    Flaw.CHANNELS: N_("Recordings with several channels"),
    Flaw.BITS: N_("Recordings that are not 16 bit PCM"),
    Flaw.CUT: N_("Recordings that were cut off"),
    Flaw.TOO_LONG: N_("Recordings that are too long for this configuration"),
    Flaw.TOO_SHORT: N_("Recordings that are too short"),
    Flaw.TEXT_TOO_LONG: N_("Texts that are too long for their recording"),
    Flaw.SILENT: N_("Silent recordings"),
    Flaw.NO_TEXT: N_("Rows without text"),
    Flaw.CAPITALS: N_("Texts with capital letters"),
    Flaw.LETTERS: N_("Texts with characters outside the vocabulary"),
    Flaw.TWICE: N_("Recordings that are listed twice"),
}

_ADVICE = {
    Flaw.NO_ROWS: N_("Write one row for each recording below the first line."),
    Flaw.HEADER: N_("Write this as the first line: wav_filename,wav_filesize,transcript"),
    Flaw.SEPARATOR: N_("Save the file again with commas between the columns."),
    Flaw.MARK: N_("Save the file as UTF-8 without BOM: some programs take the mark for a part of the first name."),
    Flaw.ENCODING: N_("Save the file again as UTF-8."),
    Flaw.FIELDS: N_("Put texts with a comma between double quotes."),
    Flaw.ELSEWHERE: N_("Write the paths as the container sees them: /data is your data folder."),
    Flaw.MISSING: N_("Remove these rows, or bring the files to their place."),
    Flaw.NOT_WAV: N_("Convert them: sox IN -r 16000 -c 1 -b 16 OUT.wav"),
    Flaw.RATE: N_("Convert them: sox IN -r 16000 -c 1 -b 16 OUT.wav"),
    Flaw.CHANNELS: N_("Convert them: sox IN -r 16000 -c 1 -b 16 OUT.wav"),
    Flaw.BITS: N_("Convert them: sox IN -r 16000 -c 1 -b 16 OUT.wav"),
    Flaw.CUT: N_("Copy them again from where they came from."),
    Flaw.TOO_LONG: N_("Nothing has to be done: the training passes over them. Cut them into sentences to use them."),
    Flaw.TOO_SHORT: N_("Remove these rows: nothing can be learned from them."),
    Flaw.TEXT_TOO_LONG: N_("See whether the text belongs to the recording; otherwise remove these rows."),
    Flaw.SILENT: N_("Remove these rows: silence makes the loss meaningless."),
    Flaw.NO_TEXT: N_("Write down what is said, or remove these rows."),
    Flaw.CAPITALS: N_("Write the texts in small letters."),
    Flaw.LETTERS: N_("Write numbers as words, and leave out punctuation and accents."),
    Flaw.TWICE: N_("Nothing has to be done. Remove one of the two if that was not meant."),
}


@dataclass(frozen=True, slots=True)
class Audio:
    """A file as far as it was read: its size in bytes and its first bytes."""

    size: int
    head: bytes


Read = Callable[[str, int], Audio | None]
"""Reads at most so many first bytes of the file at a path of the container; None where there is no such file."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row with a flaw: its line in the file (1 is the header), its recording, and what was seen there."""

    line: int
    path: str = ""
    seen: str = ""


@dataclass(frozen=True, slots=True)
class FlawFound:
    """One kind of flaw: how many rows have it, and the first of them."""

    flaw: Flaw
    count: int
    rows: tuple[BadRow, ...]

    @property
    def stops(self) -> bool:
        """Whether a training would stop at it. Others only spoil the result a little."""
        return self.flaw not in _HARMLESS

    @property
    def title(self) -> str:
        """What it is, translated."""
        return _(_TITLES[self.flaw])

    @property
    def advice(self) -> str:
        """What to do, translated."""
        return _(_ADVICE[self.flaw])


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in one csv file. ``seconds`` is how much sound its good recordings hold.

    ``rebase`` is an old and a new begin of the paths, where the missing files were found under another folder.
    """

    rows: int
    seconds: float
    found: tuple[FlawFound, ...]
    rebase: tuple[str, str] | None = None

    @property
    def stops(self) -> bool:
        """Whether a training with this file would stop."""
        return any(found.stops for found in self.found)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration asks of the data. ``max_duration`` is seconds, None for any.

    ``roots`` are the folders that the container shares with the host; paths that begin with ``/`` have to lie in one.
    ``deep`` reads whole recordings, to find silent ones.
    """

    letters: frozenset[str] = LETTERS
    rate: int = RATE
    max_duration: float | None = 16.7
    roots: tuple[str, ...] = ("/data",)
    needs_text: bool = True
    deep: bool = False


@dataclass(slots=True)
class _Tally:
    counts: dict[Flaw, int] = field(default_factory=dict)
    rows: dict[Flaw, list[BadRow]] = field(default_factory=dict)

    def note(self, flaw: Flaw, line: int, path: str = "", seen: str = "") -> None:
        self.counts[flaw] = self.counts.get(flaw, 0) + 1
        kept = self.rows.setdefault(flaw, [])
        if len(kept) < SHOWN:
            kept.append(BadRow(line, path[:_CHUNK], seen))

    def found(self) -> tuple[FlawFound, ...]:
        return tuple(FlawFound(flaw, self.counts[flaw], tuple(self.rows[flaw])) for flaw in Flaw if flaw in self.counts)


def vocabulary(text: str) -> frozenset[str]:
    """The characters of a vocabulary file: one a line, the blank too."""
    return frozenset(line[0] for line in text.split("\n") if line.rstrip("\r"))


def rows(data: Iterable[bytes]) -> int:
    """The rows of a csv file, for the number of steps: lines with something in them, below the first."""
    count = 0
    for line in _lines(data, []):
        count += bool(line.strip())
    return max(0, count - 1)


def check(data: Iterable[bytes], read: Read, rules: Rules | None = None, *, folder: str = "") -> Checked:
    """Looks through one csv file, given as pieces of bytes. ``folder`` is where it lies, for a look at what is beside.

    Raises nothing of its own; what ``read`` raises goes through.
    """
    rules = rules or Rules()
    tally = _Tally()
    broken: list[str] = []
    lines = _lines(data, broken)
    first = next(lines, "")
    if first.startswith("\ufeff"):
        tally.note(Flaw.MARK, 1)
        first = first[1:]
    separator = _separator(first)
    if separator != ",":
        tally.note(Flaw.SEPARATOR, 1, seen=first.strip()[:_SEEN])
    table = csv.reader(lines, delimiter=separator)
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
    if "wav_filename" not in names or (rules.needs_text and "transcript" not in names):
        tally.note(Flaw.HEADER, 1, seen=first.strip()[:_SEEN])
        names = list(COLUMNS)
    checker = _Rows(rules, read, tally, folder)
    number = 0
    try:
        for values in table:
            if values:
                number += 1
                checker.row(table.line_num + 1, names, values)
    except csv.Error as error:
        tally.note(Flaw.FIELDS, table.line_num + 1, seen=str(error))
    if broken:
        tally.note(Flaw.ENCODING, 1, seen=broken[0])
    if not number:
        tally.note(Flaw.NO_ROWS, 1)
    return Checked(number, checker.seconds, tally.found(), checker.rebase)


class _Rows:
    """Looks at one row after the other."""

    def __init__(self, rules: Rules, read: Read, tally: _Tally, folder: str) -> None:
        self.seconds = 0.0
        self.rebase: tuple[str, str] | None = None
        self._rules = rules
        self._read = read
        self._tally = tally
        self._folder = folder.rstrip("/")
        self._tried = 0
        self._known: set[int] = set()

    def row(self, line: int, names: list[str], values: list[str]) -> None:
        if len(values) != len(names) or any("\n" in value for value in values):
            # A quote that is never closed takes all rows below it into one column.
            self._tally.note(Flaw.FIELDS, line, values[0], str(len(values)))
            return
        row = dict(zip(names, values, strict=True))
        path = row["wav_filename"]
        text = row.get("transcript", "") if self._rules.needs_text else None
        if text is not None:
            self._text(line, path, text)
        if len(self._known) < _MOST_KNOWN:
            mark = hash(path)
            if mark in self._known:
                self._tally.note(Flaw.TWICE, line, path)
            self._known.add(mark)
        self._recording(line, path, text)

    def _text(self, line: int, path: str, text: str) -> None:
        if text.strip().lower() in _NO_TEXT:
            self._tally.note(Flaw.NO_TEXT, line, path, text)
            return
        strange = set(text) - self._rules.letters
        if not strange:
            return
        capitals = {letter for letter in strange if letter.lower() in self._rules.letters}
        if capitals:
            self._tally.note(Flaw.CAPITALS, line, path, "".join(sorted(capitals)))
        if strange - capitals:
            self._tally.note(Flaw.LETTERS, line, path, "".join(sorted(strange - capitals))[:_SEEN])

    def _recording(self, line: int, path: str, text: str | None) -> None:
        audio = self._read(path, WHOLE if self._rules.deep else HEAD) if path and "\0" not in path else None
        if audio is None:
            inside = not path.startswith("/") or any(
                path == root or path.startswith(root.rstrip("/") + "/") for root in self._rules.roots
            )
            foreign = not inside or re.match(r"[A-Za-z]:[\\/]|\\\\|~", path)
            self._tally.note(Flaw.ELSEWHERE if foreign else Flaw.MISSING, line, path)
            self._look_beside(path)
            return
        wav = _wav(audio)
        if isinstance(wav, str):
            self._tally.note(Flaw.NOT_WAV, line, path, wav)
            return
        before = sum(self._tally.counts.values())
        self._sound(line, path, text, wav, audio)
        if sum(self._tally.counts.values()) == before:
            self.seconds += wav.seconds

    def _sound(self, line: int, path: str, text: str | None, wav: _Wav, audio: Audio) -> None:
        note = self._tally.note
        longest = self._rules.max_duration
        if wav.rate != self._rules.rate:
            note(Flaw.RATE, line, path, str(wav.rate))
        if wav.channels != 1:
            note(Flaw.CHANNELS, line, path, str(wav.channels))
        if wav.bits != 16 or not wav.plain:
            note(Flaw.BITS, line, path, str(wav.bits))
        if wav.begin + wav.length > audio.size:
            note(Flaw.CUT, line, path, f"{audio.size} < {wav.begin + wav.length}")
        if longest and wav.seconds > longest:
            note(Flaw.TOO_LONG, line, path, f"{wav.seconds:.1f} s")
        if wav.seconds < SHORTEST:
            note(Flaw.TOO_SHORT, line, path, f"{wav.seconds:.2f} s")
        elif text and len(text) * PER_LETTER > wav.seconds:
            note(Flaw.TEXT_TOO_LONG, line, path, f"{len(text)} / {wav.seconds:.1f} s")
        sound = audio.head[wav.begin : wav.begin + wav.length]
        if wav.bits == 16 and wav.plain and sound and len(sound) == wav.length and _quiet(sound):
            note(Flaw.SILENT, line, path)

    def _look_beside(self, path: str) -> None:
        """Whether a missing file lies under the csv's own folder: its paths were then those of another machine."""
        if self.rebase or not self._folder or self._tried >= _MISSING_TRIED:
            return
        self._tried += 1
        parts = path.replace("\\", "/").split("/")
        for number in range(1, min(len(parts), 12)):
            rest = "/".join(parts[number:])
            if rest and self._read(f"{self._folder}/{rest}", 1) is not None:
                self.rebase = (path[: len(path) - len(rest)], f"{self._folder}/")
                return


@dataclass(frozen=True, slots=True)
class _Wav:
    rate: int
    channels: int
    bits: int
    plain: bool
    """PCM, not floating point or compressed"""
    begin: int
    """where the sound begins in the file"""
    length: int
    """bytes of sound that the header promises"""

    @property
    def seconds(self) -> float:
        width = self.rate * self.channels * max(1, self.bits // 8)
        return self.length / width if width else 0.0


def _wav(audio: Audio) -> _Wav | str:
    """The header of a wav file; the name of what it is instead."""
    head = audio.head
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        if not audio.size:
            return _("empty")
        return next((name for begin, name in _FORMATS if head.startswith(begin)), "?")
    at, form = 12, None
    while at + 8 <= len(head):
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt " and at + 24 <= len(head):
            kind, channels, rate = struct.unpack_from("<HHI", head, at + 8)
            bits = int.from_bytes(head[at + 22 : at + 24], "little")
            if kind == 0xFFFE and length >= 26:
                kind = int.from_bytes(head[at + 32 : at + 34], "little")
            form = (rate, channels, bits, kind == 1)
        if name == b"data" and form:
            # A program that writes into a pipe does not know the length and leaves it 0 or the greatest number.
            known = 0 < length < 0xFFFF_FF00
            return _Wav(*form, at + 8, length if known else max(0, audio.size - at - 8))
        at += 8 + length + length % 2
    return _Wav(*form, min(at, audio.size), max(0, audio.size - at)) if form else "?"


def _quiet(sound: bytes) -> bool:
    """Whether 16-bit samples are silence. Most are found loud within the first thousand."""
    whole = len(sound) - len(sound) % 2
    for begin in range(0, whole, _CHUNK):
        piece = sound[begin : min(whole, begin + _CHUNK)]
        samples = struct.unpack(f"<{len(piece) // 2}h", piece)
        if max(samples) > QUIET or min(samples) < -QUIET:
            return False
    return True


def _separator(line: str) -> str:
    """What separates the columns of the first line."""
    if "," in line or not line.strip():
        return ","
    return next((sign for sign in (";", "\t", "|") if sign in line), ",")


def _lines(data: Iterable[bytes], broken: list[str]) -> Iterator[str]:
    """The lines of a text, decoded; what is no UTF-8 is put down in ``broken`` and replaced.

    A line longer than any real one is cut, so that a file that is no text needs no more memory.
    """
    decoder: codecs.IncrementalDecoder | None = None
    open_line = ""
    for piece in data:
        if decoder is None:
            encoding = "utf-16" if piece[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
            if encoding != "utf-8":
                broken.append(encoding)
            decoder = codecs.getincrementaldecoder(encoding)("replace")
        text = decoder.decode(piece)
        if "\ufffd" in text and not broken:
            broken.append("?")
        *lines, rest = (open_line + text).replace("\0", "\ufffd").split("\n")
        for line in lines:
            yield line[:_CHUNK].rstrip("\r") + "\n"
        open_line = rest[:_CHUNK]
    if open_line:
        yield open_line.rstrip("\r")
