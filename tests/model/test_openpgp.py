"""The fingerprint of a key as text."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model import openpgp

KEY = """-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawTEuBYJKwYBBAHaRw8BAQdAeIY1fTklMSKSX8BMsHd4JJ5QJg7/IJoAzJ9c
JQeADv+0D3Rlc3RzQGxvY2FsaG9zdIiQBBMWCAA4FiEEn4uPUHmM7C3GrnaGNzSG
jb1NzJsFAmsExLgCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQNzSGjb1N
zJtkDwEA49jsfim9D5j7qVR3iT20UD5FLdcjnxoquVuetm+slEIBAN9cUYgCCEiU
/9RkmB3eQ1Ho2/LXb+9b4B4Ht/9dDjMC
=IaGr
-----END PGP PUBLIC KEY BLOCK-----
"""
"""Made with ``gpg --quick-gen-key tests@localhost ed25519``, which told this fingerprint."""
FINGERPRINT = "9F8B8F50798CEC2DC6AE76863734868DBD4DCC9B"


def packets(*bodies: tuple[int, bytes], new: bool = False) -> str:
    """Packets as text, with lengths in the old or the new form."""
    data = b""
    for tag, body in bodies:
        head = bytes([0xC0 | tag, 255]) + len(body).to_bytes(4, "big")
        data += (head if new else bytes([0x82 | tag << 2]) + len(body).to_bytes(4, "big")) + body
    text = base64.encodebytes(data).decode()
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{text}-----END PGP PUBLIC KEY BLOCK-----\n"


def test_a_key_has_the_fingerprint_that_gpg_tells() -> None:
    assert openpgp.fingerprint(KEY) == FINGERPRINT
    assert openpgp.fingerprint(KEY.replace("\n", "\r\n")) == FINGERPRINT
    assert openpgp.fingerprint(KEY.replace("BLOCK-----\n\n", "BLOCK-----\nVersion: GnuPG v2\n\n", 1)) == FINGERPRINT


def test_both_forms_of_a_length_are_read() -> None:
    body = b"\x04" + bytes(40)
    assert openpgp.fingerprint(packets((6, body))) == openpgp.fingerprint(packets((6, body), new=True))
    assert openpgp.fingerprint(packets((6, body), (14, bytes(9)))) == openpgp.fingerprint(packets((6, body)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>Please log in</html>",
        KEY + KEY,
        f"{KEY}more",
        KEY.replace("mDME", "mDM*"),
        KEY[: len(KEY) // 2],
        packets((6, b"\x04" + bytes(9)), (6, b"\x04" + bytes(8))),
        packets((6, b"\x05" + bytes(9))),
        packets((13, b"nobody")),
        packets((6, b"")),
    ],
)
def test_what_is_not_one_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        openpgp.fingerprint(text)


@given(st.binary(max_size=60))
def test_no_bytes_are_taken_for_a_key_by_accident(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    try:
        found = openpgp.fingerprint(
            f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{text}\n-----END PGP PUBLIC KEY BLOCK-----"
        )
    except ValueError:
        return
    assert len(found) == 40


@given(st.integers(0, len(KEY) - 1), st.characters(codec="ascii"))
def test_a_key_with_one_character_changed_is_another_or_none(place: int, other: str) -> None:
    changed = KEY[:place] + other + KEY[place + 1 :]
    first = KEY.index("\n\n") + 2
    inside = first <= place < first + 68  # the key itself; what follows is whose it is and the signature
    try:
        same = openpgp.fingerprint(changed) == FINGERPRINT
    except ValueError:
        same = False
    assert not (same and inside and changed.split() != KEY.split())
