"""An address as a QR code of characters: a server has no browser, but its user has a telephone."""

from __future__ import annotations

QUIET = 2
"""Modules of empty space around the code. The standard asks for 4; telephones are content with less."""
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
"""What is drawn for two modules, one above the other; True is a light one. So it is right on a dark terminal even where
colours are lost.
"""


def lines(text: str) -> tuple[str, ...]:
    """The QR code of ``text``, two rows of modules to a line, all lines of the same width."""
    import segno

    code = segno.make_qr(text, error="l", boost_error=False)
    rows = [tuple(not dark for dark in row) for row in code.matrix_iter(border=QUIET)]
    if len(rows) % 2:
        rows.append((True,) * len(rows[0]))
    return tuple(
        "".join(_HALVES[pair] for pair in zip(above, below, strict=True))
        for above, below in zip(rows[::2], rows[1::2], strict=True)
    )
