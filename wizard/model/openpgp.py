"""Public keys as text, as package repositories hand them out: just enough to tell whose key it is."""

from __future__ import annotations

import base64
import binascii
import hashlib

_BEGIN, _END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
_PUBLIC_KEY = 6


def fingerprint(text: str) -> str:
    """The fingerprint of the one primary key in ``text`` (RFC 4880: version 4, forty hexadecimal digits).

    Raises ValueError for a text that is no public key, for several keys, and for a key of another version: a text of
    which only a part was looked at could bring a second key with it.
    """
    keys = [body for tag, body in _packets(_binary(text)) if tag == _PUBLIC_KEY]
    if len(keys) != 1 or not keys[0] or keys[0][0] != 4:
        raise ValueError(f"{len(keys)} public keys of version 4, not one")
    # SHA-1 is what a fingerprint of version 4 is; the signature itself is checked by the package manager.
    return hashlib.sha1(b"\x99" + len(keys[0]).to_bytes(2, "big") + keys[0], usedforsecurity=False).hexdigest().upper()


def _binary(text: str) -> bytes:
    before, begin, rest = text.replace("\r\n", "\n").partition(_BEGIN)
    block, end, after = rest.partition(_END)
    if not begin or not end or before.strip() or after.strip():
        raise ValueError("not one public key block")
    lines = block.split("\n\n", 1)[-1].split()
    try:
        return base64.b64decode("".join(line for line in lines if not line.startswith("=")), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not a public key: {error}") from error


def _packets(data: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    here = 0
    while here < len(data):
        head, here = data[here], here + 1
        if not head & 0x80:
            raise ValueError("not an OpenPGP packet")
        tag, size, here = _new(data, head, here) if head & 0x40 else _old(data, head, here)
        if here + size > len(data):
            raise ValueError("the key is cut off")
        found.append((tag, data[here : here + size]))
        here += size
    return found


def _old(data: bytes, head: int, here: int) -> tuple[int, int, int]:
    width = (1, 2, 4, 0)[head & 3]
    if not width:
        raise ValueError("a packet of unknown length")
    return head >> 2 & 0x0F, int.from_bytes(data[here : here + width], "big"), here + width


def _new(data: bytes, head: int, here: int) -> tuple[int, int, int]:
    first = data[here] if here < len(data) else 255
    if first < 192:
        return head & 0x3F, first, here + 1
    if first < 224 and here + 1 < len(data):
        return head & 0x3F, (first - 192 << 8) + data[here + 1] + 192, here + 2
    if first == 255:
        return head & 0x3F, int.from_bytes(data[here + 1 : here + 5], "big"), here + 5
    raise ValueError("a packet in parts")
