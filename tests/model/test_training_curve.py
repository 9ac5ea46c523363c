"""Curves in the terminal: bounded memory, and pictures that stay in their frame and tell the truth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model.training.curve import BROKEN, Curve, Point, draw, short

ANY = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.lists(ANY, min_size=1, max_size=80)


def curve(values: list[float], limit: int = 240) -> Curve:
    made = Curve(limit)
    for step, value in enumerate(values):
        made.add(step + 1, value)
    return made


def tops(lines: list[str]) -> list[int]:
    """The highest dot of each column that has one, in quarters of a line from above; the axis is left out."""
    found: dict[int, int] = {}
    for row, line in enumerate(lines):
        for column, letter in enumerate(line):
            for half in range(2):
                for quarter, bits in enumerate(((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))):
                    if 0x2800 <= ord(letter) < 0x2900 and (ord(letter) - 0x2800) & bits[half]:
                        found.setdefault(2 * column + half, 4 * row + quarter)
    return [found[column] for column in sorted(found)]


@given(STEPS, st.integers(-2, 60), st.integers(-2, 20), st.booleans())
def test_a_picture_stays_in_its_frame(values: list[float], width: int, height: int, plain: bool) -> None:
    lines = draw(curve(values).points, width, height, plain=plain)
    assert len(lines) <= max(height, 0)
    assert all(len(line) <= max(width, 0) for line in lines)
    assert not plain or all(line.isascii() for line in lines)


@given(st.lists(FINITE, min_size=2, max_size=60), st.booleans())
def test_what_only_falls_is_drawn_falling(values: list[float], rising: bool) -> None:
    ordered = sorted(values, reverse=not rising)
    rows = tops(draw(curve(ordered).points, 40, 8))
    assert rows == sorted(rows, reverse=rising)


@given(st.lists(ANY, max_size=3000), st.integers(2, 50))
def test_memory_is_bounded_and_no_value_is_lost(values: list[float], limit: int) -> None:
    points = curve(values, limit).points
    assert len(points) <= limit
    assert sum(point.count for point in points) == len(values)
    assert [point.x for point in points] == sorted({point.x for point in points})
    assert any(point.broken for point in points) == any(not math.isfinite(value) for value in values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=500))
def test_merging_keeps_the_mean(values: list[float]) -> None:
    points = curve(values, 10).points
    mean = sum(point.y * point.count for point in points) / len(values)
    assert math.isclose(mean, sum(values) / len(values), rel_tol=1e-9, abs_tol=1e-6)


def test_a_falling_loss_has_its_values_and_steps_beside_it() -> None:
    lines = draw(curve([800 - 7 * step for step in range(100)]).points, 30, 6)
    assert lines[0].startswith("800 ")
    assert lines[-2].startswith("107 ")
    assert lines[-1].split() == ["1", "100"]
    assert len(lines[-1]) == 30


def test_plain_characters() -> None:
    lines = draw(curve([3.0, 2.0, 1.0]).points, 14, 4, plain=True)
    assert lines == [
        "3 *****",
        "      ******",
        "1          ***",
        "  1          3",
    ]


def test_one_point_and_a_constant_stand_in_the_middle() -> None:
    assert draw(curve([2.0]).points, 14, 4, plain=True) == ["2.2", "    *", "1.8", "    1"]
    assert draw(curve([0.0, 0.0]).points, 14, 4, plain=True) == [" 1", "   ***********", "-1", "   1         2"]


def test_what_is_no_number_is_marked_and_interrupts_the_curve() -> None:
    lines = draw(curve([3.0, 3.0, math.nan, 1.0]).points, 14, 4, plain=True)
    assert lines[0].count(BROKEN) == 1
    assert lines[2].count("*") == 1
    alone = draw(curve([math.nan, math.inf]).points, 12, 4)
    assert alone[0].count(BROKEN) == 2
    assert draw((), 12, 4) == []


def test_huge_values_are_drawn() -> None:
    lines = draw(curve([1.7e308, -1.7e308, 1.7e308]).points, 30, 5)
    assert lines[0].split()[0] == "2e+308"
    assert tops(lines)[0] < tops(lines)[len(tops(lines)) // 2 + 1]


def test_going_back_to_a_checkpoint_takes_back_what_came_after() -> None:
    made = curve([5.0, 4.0, 3.0, 9.0])
    made.add(3, 2.5)
    assert [(point.x, point.y) for point in made.points] == [(1, 5.0), (2, 4.0), (3, 2.5)]
    assert made.last == 2.5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.971234, "0.971"),
        (12.345, "12.3"),
        (747.01, "747"),
        (123456.0, "1.2e+05"),
        (0.00012, "1.2e-4"),
        (-1e308, "-1e+308"),
        (math.nan, "nan"),
    ],
)
def test_values_in_few_characters(value: float, text: str) -> None:
    assert short(value) == text


@given(FINITE)
def test_no_value_takes_more_than_seven_or_eight_characters(value: float) -> None:
    assert len(short(value)) <= 8


def test_a_point_is_what_it_was() -> None:
    assert curve([1.5]).points == (Point(1, 1.5),)
