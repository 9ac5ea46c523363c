"""Text laid out for a width: nothing is wider than it may be, nothing that matters is lost."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from screens.layout import Block, Code, Facts, Gap, Item, Para, fold, lay_out, size, two_ends, wrap
from wizard.model.finding import Status

TEXTS = st.text(st.sampled_from("ab cd.,(/）。，容器镜像 \n"), max_size=200)


@given(TEXTS, st.integers(12, 120))
def test_no_line_is_wider_than_the_window(text: str, width: int) -> None:
    assert all(cell_len(line) <= width for line in wrap(text, width))


@given(TEXTS, st.integers(12, 120))
def test_wrapping_loses_nothing_but_blanks(text: str, width: int) -> None:
    assert "".join("".join(wrap(text, width)).split()) == "".join(text.split())


@given(st.text(st.sampled_from("ab  \t容器"), max_size=200), st.integers(4, 120))
def test_folding_loses_nothing_at_all(text: str, width: int) -> None:
    lines = fold(text, width)
    assert "".join(lines) == text
    assert all(cell_len(line) <= width for line in lines)


def test_words_stay_whole() -> None:
    assert wrap("the container runs", 13) == ["the container", "runs"]


def test_chinese_breaks_between_characters_and_never_before_a_full_stop() -> None:
    lines = wrap("镜像是用来创建容器的模板。容器可以随时删除。", 24)
    assert len(lines) == 2
    assert not any(line[0] in "。，、" for line in lines)


def test_line_breaks_in_a_text_are_kept() -> None:
    assert wrap("一。\n二。", 40) == ["一。", "二。"]


def test_an_item_hangs_under_its_text() -> None:
    lines = lay_out([Item("one two three four", Status.ERROR)], 20).plain.split("\n")
    assert lines == ["[error] one two", "        three four"]


def test_facts_stand_in_two_columns() -> None:
    lines = lay_out([Facts([("Name", "x"), ("Data folder", "a b")])], 40).plain.split("\n")
    assert lines == ["Name         x", "Data folder  a b"]


@pytest.mark.parametrize("width", [30, 40, 76])
def test_a_long_command_is_broken_as_a_shell_allows_it(width: int) -> None:
    command = "docker run --name 'my own box' --shm-size 1g --mount type=bind,source=/d nvcr.io/a:1"
    lines = lay_out([Code(command, "command")], width).plain.split("\n")
    assert len(lines) > 1
    assert all(cell_len(line) <= width for line in lines)
    typed = "\n".join(lines).lstrip(" $").replace("\\\n", "")
    assert shlex.split(typed) == shlex.split(command)


def test_a_word_that_is_longer_than_the_window_is_folded_and_keeps_every_letter() -> None:
    command = "cat /" + "x" * 60
    text = lay_out([Code(command, "command")], 30).plain
    assert "".join(line[4:] for line in text.split("\n")) == command


@pytest.mark.parametrize("width", [10, 30, 80])
def test_every_kind_of_block_fits(width: int) -> None:
    blocks: list[Block] = [
        Para("a b c " * 20),
        Gap(),
        Item("x " * 30, Status.OK),
        Facts([("label " * 5, "text " * 30)]),
        Code("+y" * 60, "diff"),
    ]
    assert all(cell_len(line) <= width for line in lay_out(blocks, width).plain.split("\n"))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (314_700_000, "315 MB"), (6_800_000_000, "6.8 GB"), (2e12, "2000 GB")],
)
def test_sizes_are_for_people(count: float, text: str) -> None:
    assert size(count) == text


def test_of_two_ends_the_left_gives_way() -> None:
    assert two_ends("a long host name here", "3/10", 16) == "a long ho…  3/10"
