"""The csv files of a training: every flaw is found with its row, and nothing in a good file."""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wizard.model.training import data_check
from wizard.model.training.data_check import SHOWN, Audio, BadRow, Checked, Flaw, Rules

HEADER = "wav_filename,wav_filesize,transcript\n"


def wav(seconds: float = 2.0, *, rate: int = 16_000, channels: int = 1, width: int = 2, loud: int = 8000) -> bytes:
    """A wav file with a tone in it."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        count = int(seconds * rate)
        one = [int(loud * math.sin(number / 5)) for number in range(min(count, 400))]
        tone = b"".join(value.to_bytes(width, "little", signed=width > 1) for value in map(abs, one))
        file.writeframes((tone * (count * channels * width // max(1, len(tone)) + 1))[: count * channels * width])
    return out.getvalue()


GOOD = wav()
FILES = {
    "/data/good.wav": GOOD,
    "/data/8k.wav": wav(rate=8000),
    "/data/stereo.wav": wav(channels=2),
    "/data/24.wav": wav(width=3),
    "/data/8bit.wav": wav(width=1, loud=100),
    "/data/long.wav": wav(17.0),
    "/data/short.wav": wav(0.05),
    "/data/silent.wav": wav(loud=0),
    "/data/faint.wav": wav(loud=20),
    "/data/mp3.wav": b"ID3\x03" + bytes(5000),
    "/data/flac.wav": b"fLaC" + bytes(5000),
    "/data/text.wav": b"hello",
    "/data/empty.wav": b"",
    "/data/cut.wav": GOOD[:20_000],
    "/data/float.wav": GOOD.replace(b"fmt \x10\0\0\0\x01\0", b"fmt \x10\0\0\0\x03\0"),
    "/data/piped.wav": GOOD[:40] + b"\xff\xff\xff\xff" + GOOD[44:],
    "/data/tagged.wav": GOOD[:36] + b"LIST" + struct.pack("<I", 9000) + bytes(9000) + GOOD[36:],
    "/data/odd.wav": GOOD[:36] + b"note" + struct.pack("<I", 3) + bytes(4) + GOOD[36:],
    "toy/relative.wav": GOOD,
    "/data/mine/LibriSpeech/a/1.wav": GOOD,
}


def read(path: str, most: int) -> Audio | None:
    data = FILES.get(path)
    return None if data is None else Audio(len(data), data[:most])


def check(text: str | bytes, rules: Rules | None = None, folder: str = "") -> Checked:
    data = text.encode() if isinstance(text, str) else text
    return data_check.check([data], read, rules, folder=folder)


def row(path: str = "/data/good.wav", text: str = "that is good") -> str:
    return f"{path},64044,{text}\n"


def kinds(found: Checked) -> set[Flaw]:
    return {one.flaw for one in found.found}


def test_a_good_file_has_nothing_to_say() -> None:
    found = check(HEADER + row() + row("toy/relative.wav", "it's"))
    assert found == Checked(2, 4.0, ())
    assert not found.stops


@pytest.mark.parametrize("path", ["/data/piped.wav", "/data/tagged.wav", "/data/odd.wav"])
def test_unusual_headers_are_read(path: str) -> None:
    found = check(HEADER + row(path))
    assert found.found == ()
    assert found.seconds == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("path", "flaw", "seen"),
    [
        ("/data/none.wav", Flaw.MISSING, ""),
        ("toy/none.wav", Flaw.MISSING, ""),
        ("/home/ann/none.wav", Flaw.ELSEWHERE, ""),
        ("C:\\Users\\ann\\none.wav", Flaw.ELSEWHERE, ""),
        ("~/none.wav", Flaw.ELSEWHERE, ""),
        ("/database/none.wav", Flaw.ELSEWHERE, ""),
        ("/data/8k.wav", Flaw.RATE, "8000"),
        ("/data/stereo.wav", Flaw.CHANNELS, "2"),
        ("/data/24.wav", Flaw.BITS, "24"),
        ("/data/8bit.wav", Flaw.BITS, "8"),
        ("/data/float.wav", Flaw.BITS, "16"),
        ("/data/mp3.wav", Flaw.NOT_WAV, "mp3"),
        ("/data/flac.wav", Flaw.NOT_WAV, "flac"),
        ("/data/text.wav", Flaw.NOT_WAV, "?"),
        ("/data/empty.wav", Flaw.NOT_WAV, "empty"),
        ("/data/cut.wav", Flaw.CUT, "20000 < 64044"),
        ("/data/long.wav", Flaw.TOO_LONG, "17.0 s"),
        ("/data/short.wav", Flaw.TOO_SHORT, "0.05 s"),
    ],
)
def test_a_recording_that_is_wrong(path: str, flaw: Flaw, seen: str) -> None:
    found = check(HEADER + row() + row(path))
    assert [(one.flaw, one.count, one.rows) for one in found.found] == [(flaw, 1, (BadRow(3, path, seen),))]
    assert found.stops is (flaw not in (Flaw.TOO_LONG, Flaw.TOO_SHORT))
    assert found.seconds == 2.0
    assert found.found[0].title
    assert found.found[0].advice


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there", {Flaw.CAPITALS: "H"}),
        ("it is 7 o'clock", {Flaw.LETTERS: "7"}),
        ("Café?", {Flaw.CAPITALS: "C", Flaw.LETTERS: "?é"}),
        ("你好", {Flaw.LETTERS: "你好"}),
        ("", {Flaw.NO_TEXT: ""}),
        ("  ", {Flaw.NO_TEXT: "  "}),
        ("nan", {Flaw.NO_TEXT: "nan"}),
        ("null", {Flaw.NO_TEXT: "null"}),
        ("a" * 200, {Flaw.TEXT_TOO_LONG: "200 / 2.0 s"}),
    ],
)
def test_a_text_that_is_wrong(text: str, expected: dict[Flaw, str]) -> None:
    found = check(HEADER + row(text=text))
    assert {one.flaw: one.rows[0].seen for one in found.found} == expected


def test_other_letters_of_another_vocabulary() -> None:
    letters = data_check.vocabulary("a\nb\r\n\né 12\n \n")
    assert letters == {"a", "b", "é", " "}
    assert check(HEADER + row(text="b é"), Rules(letters=letters)).found == ()


def test_silence_is_heard_when_whole_recordings_are_read() -> None:
    text = HEADER + row("/data/silent.wav") + row("/data/faint.wav") + row()
    assert check(text).found == ()
    found = check(text, Rules(deep=True)).found
    assert [(one.flaw, one.count) for one in found] == [(Flaw.SILENT, 2)]


@pytest.mark.parametrize(
    ("text", "flaws"),
    [
        ("\ufeff" + HEADER + row(), {Flaw.MARK}),
        (HEADER.replace(",", ";") + row().replace(",", ";"), {Flaw.SEPARATOR}),
        (HEADER.replace(",", "\t") + row().replace(",", "\t"), {Flaw.SEPARATOR}),
        (row() + row("toy/relative.wav"), {Flaw.HEADER}),
        ("wav_filename,text\n/data/good.wav,a\n", {Flaw.HEADER, Flaw.FIELDS}),
        (HEADER, {Flaw.NO_ROWS}),
        ("", {Flaw.HEADER, Flaw.NO_ROWS}),
        (HEADER + row(text="a, b"), {Flaw.FIELDS}),
        (HEADER + row(text='"a, b"'), {Flaw.LETTERS}),
        (HEADER + row() + row(), {Flaw.TWICE}),
        (HEADER + '/data/good.wav,1,"open\n' + row(), {Flaw.FIELDS}),
    ],
)
def test_the_form_of_the_file(text: str, flaws: set[Flaw]) -> None:
    assert kinds(check(text)) == flaws


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding(encoding: str) -> None:
    found = check((HEADER + row(text="café")).encode(encoding))
    assert Flaw.ENCODING in kinds(found)
    assert found.rows == 1


def test_inference_needs_no_text() -> None:
    assert check("wav_filename\n/data/good.wav\n", Rules(needs_text=False)).found == ()


def test_only_the_first_rows_are_kept() -> None:
    found = check(HEADER + "".join(row(f"/data/none{number}.wav") for number in range(500)))
    assert [(one.flaw, one.count, len(one.rows)) for one in found.found] == [(Flaw.MISSING, 500, SHOWN)]
    assert found.found[0].rows[-1] == BadRow(SHOWN + 1, f"/data/none{SHOWN - 1}.wav")


def test_paths_of_another_machine_are_found_beside_the_file() -> None:
    found = check(HEADER + row("/raid/speech/LibriSpeech/a/1.wav"), folder="/data/mine")
    assert kinds(found) == {Flaw.ELSEWHERE}
    assert found.rebase == ("/raid/speech/", "/data/mine/")
    windows = check(HEADER + row("D:\\speech\\LibriSpeech\\a\\1.wav"), folder="/data/mine/")
    assert windows.rebase == ("D:\\speech\\", "/data/mine/")
    assert check(HEADER + row("/raid/other.wav"), folder="/data/mine").rebase is None


@pytest.mark.parametrize(
    ("text", "count"),
    [(HEADER + row() * 3, 3), (HEADER + row() * 3 + "\n\n", 3), (HEADER + row().strip(), 1), (HEADER, 0), ("", 0)],
)
def test_rows_are_counted(text: str, count: int) -> None:
    assert data_check.rows([text.encode()]) == count
    assert data_check.rows([text.replace("\n", "\r\n").encode()]) == count


pieces = st.lists(st.integers(0, 2000), max_size=8)
files = st.builds(
    lambda rows, mark: (mark + HEADER + "".join(rows)).encode(),
    st.lists(
        st.one_of(
            st.builds(row, st.sampled_from([*FILES, "/x", ""]), st.sampled_from(["ab", "Ab", "é", '"q, r"', "", '"o'])),
            st.text(max_size=20),
        ),
        max_size=20,
    ),
    st.sampled_from(["", "\ufeff"]),
)


def cut(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    for begin, end in pairwise(edges):
        yield data[begin:end]


@given(files, pieces)
@settings(deadline=None, max_examples=60)
def test_any_pieces_give_the_same(data: bytes, cuts: list[int]) -> None:
    assert data_check.check(cut(data, cuts), read) == data_check.check([data], read)
    assert data_check.rows(cut(data, cuts)) == data_check.rows([data])


@given(st.binary(max_size=400), st.binary(max_size=200))
def test_any_bytes_are_looked_through(data: bytes, head: bytes) -> None:
    for whole in (head, b"RIFF\0\0\0\0WAVE" + head, GOOD[:36] + head, GOOD[:20] + head):
        audio = Audio(len(whole), whole)
        text = [HEADER.encode() + b"a,1,b\n", data]
        found = data_check.check(text, lambda *_, audio=audio: audio, Rules(deep=True))
        assert found.rows >= 0
        assert found.seconds >= 0
