"""A measure over the steps of a training as a curve: points that are merged as they become many, drawn with characters.

A cell of braille holds two by four dots, so a curve of 30 by 5 cells has 60 by 20; where a terminal has no braille, one
asterisk stands in a cell.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LIMIT = 240
"""points that are kept of a curve, however long the training is"""
BROKEN = "x"
"""stands at the top of the curve where a value was no number"""
_DOT = "*"
_BRAILLE = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille character by row and column (Unicode, block "Braille Patterns")."""
_NARROWEST = 10
"""cells of a curve that are worth having beside the names of its values"""


@dataclass(frozen=True, slots=True)
class Point:
    """``count`` neighbouring values as one: ``x`` is the step of the last, ``y`` the mean of those that are finite (NaN
    where none is). ``broken``: one of them was no finite number.
    """

    x: float
    y: float
    count: int = 1
    broken: bool = False


class Curve:
    """The values of one measure. Memory is bounded: when there are more than ``limit`` points, neighbours become one,
    and from then on as many values make up a point.

    A value at an earlier step (a training that went back to its last checkpoint) takes the place of what came after it.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = max(2, limit)
        self._points: list[Point] = []
        self._each = 1
        self.last: float | None = None
        """the newest value as it was"""

    @property
    def points(self) -> tuple[Point, ...]:
        """The points, by step."""
        return tuple(self._points)

    def add(self, x: float, y: float) -> None:
        """Takes the value ``y`` of step ``x``."""
        self.last = y
        while self._points and self._points[-1].x >= x:
            self._points.pop()
        new = Point(x, y if math.isfinite(y) else math.nan, broken=not math.isfinite(y))
        if self._points and self._points[-1].count < self._each:
            self._points[-1] = _merged(self._points[-1], new)
            return
        self._points.append(new)
        if len(self._points) > self._limit:
            pairs = zip(self._points[::2], self._points[1::2], strict=False)
            odd = self._points[len(self._points) // 2 * 2 :]
            self._points = [*(_merged(one, other) for one, other in pairs), *odd]
            self._each *= 2


def _merged(one: Point, other: Point) -> Point:
    sums = [(point.y, point.count) for point in (one, other) if math.isfinite(point.y)]
    count = sum(weight for _y, weight in sums)
    # Divided first: the sum of two huge values would be no number.
    mean = sum(y * (weight / count) for y, weight in sums) if sums else math.nan
    return Point(other.x, mean, one.count + other.count, one.broken or other.broken)


def draw(points: Sequence[Point], width: int, height: int, *, plain: bool = False) -> list[str]:
    """The curve in ``height`` lines of at most ``width`` cells: greatest and smallest value at the left, first and last
    step below. ``plain`` uses ASCII only. Where there is no room the names of the values are left out; an empty list
    where there is none at all, or nothing to draw.
    """
    if width < 1 or height < 1 or not points:
        return []
    low, high = _range(points)
    labels = ("", "") if low is None or high is None else (short(high), short(low))
    margin = max(map(len, labels)) + 1
    if width - margin < _NARROWEST or height < 3:
        margin, labels = 0, ("", "")
    rows = height - 1 if height >= 3 else height
    cells = _cells(points, width - margin, rows, low, high, plain=plain)
    lines = [" " * margin + "".join(line) for line in cells]
    lines[0] = labels[0].rjust(max(margin - 1, 0)) + lines[0][max(margin - 1, 0) :]
    if rows > 1:
        lines[-1] = labels[1].rjust(max(margin - 1, 0)) + lines[-1][max(margin - 1, 0) :]
    if height >= 3:
        lines.append(" " * margin + _steps(points, width - margin))
    return [line.rstrip() for line in lines]


def short(value: float) -> str:
    """A value in at most seven characters: ``0.97``, ``12.3``, ``747``, ``1.2e+05``."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 100_000 or 0 < size < 0.001:
        return f"{value:.0e}" if size >= 1e100 or (value < 0 and size < 1e-99) else f"{value:.1e}".replace("e-0", "e-")
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def _range(points: Iterable[Point]) -> tuple[float, float] | tuple[None, None]:
    """The smallest and the greatest value, a little apart also where all are the same."""
    values = [point.y for point in points if math.isfinite(point.y)]
    if not values:
        return None, None
    low, high = min(values), max(values)
    if low == high:
        apart = abs(low) / 10 or 1.0
        low, high = max(low - apart, -sys.float_info.max), min(high + apart, sys.float_info.max)
    return low, high


def _share(value: float, low: float, high: float) -> float:
    """Where ``value`` lies between both, from 0 to 1. Halves, because the whole distance may be no number."""
    whole = high / 2 - low / 2
    return min(1.0, max(0.0, (value / 2 - low / 2) / whole)) if whole > 0 else 0.5


def _cells(
    points: Sequence[Point], width: int, height: int, low: float | None, high: float | None, *, plain: bool
) -> list[list[str]]:
    """The characters of the curve alone."""
    wide, tall = (1, 1) if plain else (2, 4)
    dots: set[tuple[int, int]] = set()
    broken: set[int] = set()
    first, last = points[0].x, points[-1].x
    before: tuple[int, int] | None = None
    for point in points:
        column = round(_share(point.x, first, last) * (width * wide - 1)) if last > first else 0
        if point.broken:
            broken.add(column // wide)
            before = None
        if low is None or high is None or not math.isfinite(point.y):
            continue
        here = column, round((1 - _share(point.y, low, high)) * (height * tall - 1))
        dots.update(_line(before or here, here))
        before = here
    cells = [[" "] * width for _row in range(height)]
    for column, row in dots:
        cell = cells[row // tall][column // wide]
        bit = _BITS[row % 4][column % 2]
        cells[row // tall][column // wide] = _DOT if plain else chr((_BRAILLE if cell == " " else ord(cell)) | bit)
    for column in broken:
        cells[0][column] = BROKEN
    return cells


def _line(begin: tuple[int, int], end: tuple[int, int]) -> set[tuple[int, int]]:
    """The dots from one to the other, without a gap from column to column."""
    (x0, y0), (x1, y1) = begin, end
    dots: set[tuple[int, int]] = set()
    row = y0
    for column in range(x0, x1 + 1):
        target = y1 if x1 == x0 else y0 + round((y1 - y0) * (column - x0) / (x1 - x0))
        dots.update((column, between) for between in range(min(row, target), max(row, target) + 1))
        row = target
    return dots


def _steps(points: Sequence[Point], width: int) -> str:
    """The first and the last step, at both ends of a line."""
    first, last = f"{points[0].x:.0f}", f"{points[-1].x:.0f}"
    if first == last or len(first) + len(last) + 1 > width:
        return last[:width]
    return first + last.rjust(width - len(first))
