"""The QR code of characters is the code that was made, and fits a small window."""

from __future__ import annotations

import pytest
import segno

from wizard.services import account, qr

ADDRESSES = [account.KEY_PAGE_URL, account.SIGN_UP_URL, account.CATALOG_URL]
_PARTS = {" ": "00", "▀": "10", "▄": "01", "█": "11"}


@pytest.mark.parametrize("url", ADDRESSES)
def test_every_module_is_drawn(url: str) -> None:
    drawn = qr.lines(url)
    rows = [[_PARTS[letter][half] == "1" for letter in line] for line in drawn for half in (0, 1)]
    code = segno.make_qr(url, error="l", boost_error=False)
    size, quiet = len(code.matrix), qr.QUIET

    assert {len(row) for row in rows} == {size + 2 * quiet}
    for y, row in enumerate(rows):
        for x, light in enumerate(row):
            inside = 0 <= y - quiet < size and 0 <= x - quiet < size
            assert light == (not inside or not code.matrix[y - quiet][x - quiet])
    # What tells a camera where the code is: three squares, seven modules wide, around three.
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        square = [rows[quiet + top + y][quiet + left : quiet + left + 7] for y in range(7)]
        assert square[0] == square[6] == [False] * 7
        assert square[3] == [False, True, False, False, False, True, False]


@pytest.mark.parametrize("url", ADDRESSES)
def test_it_fits_a_small_window(url: str) -> None:
    assert len(qr.lines(url)) <= 19
    assert len(qr.lines(url)[0]) <= 76
