"""Texts as people write them, brought to the letters of the models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model.training.data_check import LETTERS
from wizard.model.transcript import by_base_name, look_up, normalise, read_list


@pytest.mark.parametrize(
    ("text", "clean", "removed", "strange"),
    [
        ("Good morning, everybody!", "good morning everybody", "!,", ""),
        ("It\u2019s  a caf\u00e9\n", "it's a cafe", "", ""),
        ("well-known \u2013 or not", "well known or not", "", ""),
        ("\u00c0 la fran\u00e7aise", "a la francaise", "", ""),
        ("24 hours", "hours", "", "24"),
        ("ten % more", "ten more", "", "%"),
        ("\u4f60\u597d", "", "", "\u4f60\u597d"),
        ("stra\u00dfe", "strae", "", "\u00df"),
        ("...", "", ".", ""),
    ],
)
def test_a_text(text: str, clean: str, removed: str, strange: str) -> None:
    found = normalise(text)
    assert (found.text, found.removed, found.strange) == (clean, removed, strange)


@given(st.text())
def test_every_text_ends_in_the_letters_and_a_second_time_changes_nothing(text: str) -> None:
    found = normalise(text)
    assert set(found.text) <= LETTERS
    assert normalise(found.text).text == found.text
    # Nothing that is spoken goes without a word.
    lost = {char for char in text if char.isalnum() and char.isascii() and char.lower() not in LETTERS}
    assert lost <= set(found.strange)


@pytest.mark.parametrize(
    "data",
    [
        b"a.wav,hello there\nb.wav,good bye\n",
        b"\xef\xbb\xbffile;text\r\na.wav;hello there\r\nb.wav;good bye\r\n",
        b"a\thello there\nb\tgood bye\n",
        b"a|hello there\nb|good bye\n",
        b"a|HELLO|hello there\nb|GOOD|good bye\n",
        b"a hello there\nb good bye\n",
        b"wav_filename,wav_filesize,transcript\n/old/machine/a.wav,12,hello there\nC:\\data\\b.wav,12,good bye\n",
        "path\tsentence\na.mp3\thello there\nb.mp3\tgood bye\n".encode("utf-16"),
    ],
    ids=["commas", "mark and semicolons", "tabs", "bars", "three columns", "blanks", "openseq2seq", "utf-16"],
)
def test_a_list(data: bytes) -> None:
    texts = by_base_name(read_list(data) or {})
    for path, text in (("sub/a.wav", "hello there"), ("b.wav", "good bye")):
        assert look_up(texts, path) == text
    assert look_up(texts, "c.wav") is None


def test_a_comma_in_a_text() -> None:
    assert read_list(b'file,text\na,well, then\nb,"so, so"\n') == {"a": "well, then", "b": "so, so"}


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\xfeabc\x00", b"\x80\x81"])
def test_no_list(data: bytes) -> None:
    assert not read_list(data)
