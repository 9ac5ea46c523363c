"""The API key as a value that cannot be printed by accident, and the redaction of texts that may hold one."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NoReturn
from urllib.parse import quote
from weakref import WeakValueDictionary

MASK = "****"


def _inside_base64(text: str) -> Iterator[str]:
    """The part of every base64 text with ``text`` somewhere inside that depends on ``text`` alone."""
    data = text.encode("utf-8", "surrogatepass")
    for before in range(3):
        # Base64 has one character for 6 bits: those that share bits with the neighbours are left out.
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode("ascii")[first:last]


# The second line of defence: shapes that also catch a key which this process never held. The shapes of NGC keys are
# facts of trufflehog's detectors and of NVIDIA's own SDK. Group 1, where there is one, is kept. Every pattern either
# consumes what it scanned or gives up after a bounded distance, so that redaction takes linear time.
_HEADERS = r"(?:authorization|x-registry-auth|x-registry-config)"
_FIELDS = r"(?:auth|password|token|access_token|refresh_token|identitytoken|registrytoken|secret|api_?key)"
_PATTERNS = (
    r"nvapi-[A-Za-z0-9_\-]{8,}",
    # the same in base64, and the login that it is the password of
    rf"(?:{'|'.join(dict.fromkeys(_inside_base64('nvapi-')))})[A-Za-z0-9+/_\-]{{30,}}={{0,2}}",
    rf"{base64.b64encode(b'$oauthtoken:').decode()}[A-Za-z0-9+/_\-]+={{0,2}}",
    r"(?<![A-Za-z0-9])[A-Za-z0-9]{84}(?![A-Za-z0-9])",
    # headers, as a Python or JSON dictionary shows them, and as they are sent
    rf"(?i:({_HEADERS}\"[ \t]{{0,4}}:[ \t]{{0,4}}\"))[^\"]*",
    rf"(?i:({_HEADERS}'[ \t]{{0,4}}:[ \t]{{0,4}}'))[^']*",
    rf"(?i:({_HEADERS}[ \t]{{0,4}}[:=][ \t]{{0,4}}))[^\r\n]+",
    r"(?i:((?:bearer|basic) ))[A-Za-z0-9._~+/\-]{16,}=*",
    # fields of Docker's config.json, of token answers and of NGC's configuration; quotes may be escaped
    rf"(?i:(\"{_FIELDS}\\?\"[ \t]{{0,4}}:[ \t]{{0,4}}\\?\"))[^\"\\]*",
    rf"(?i:('{_FIELDS}'[ \t]{{0,4}}:[ \t]{{0,4}}'))[^']*",
    r"((?:API_KEY|APP_KEY|TOKEN|PASSWORD|SECRET)[ \t]?=[ \t]?)[^\s]+",
    # user:password@ in an address
    r"(://[^/@\s:]{0,256}:)[^/@\s]+(?=@)",
    r"(\$oauthtoken:)\S+",
)
_ANY_PATTERN = re.compile("|".join(_PATTERNS))
"""Most texts hold nothing of the kind, and one look tells."""
_ENCODED_FROM = 12
"""Shorter secrets are looked for only as they are, and only where they are named: they would be found by chance."""
_PIECE = 8
"""So many characters in a row of a key, or of its encoded forms, are masked wherever they stand."""
_RANDOM = re.compile(r"[A-Za-z0-9_\-]{40,}")
"""Secrets that are long and random, as keys of NGC are: a piece of one stands nowhere else by chance."""
_LETTER = re.compile(r"[A-Za-z0-9+/=_%\-]")
"""What a key and its encoded forms are made of. Anything else may stand between its pieces: line ends, frames."""


class Secret:
    """Holds one secret text from the input handler to the request header.

    ``repr``, ``str`` and ``format`` give ``****``; copying and pickling are refused; ``reveal()`` is the only way
    out, so that every use can be found by searching for that word. As long as it exists, ``redact`` knows it by its
    value, in the whole process.
    """

    __slots__ = ("__weakref__", "_pieces", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._pieces: frozenset[str] | None = None
        _existing[id(self)] = self

    def reveal(self) -> str:
        """The text itself. For a request header or a key store, nothing else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")


_existing: WeakValueDictionary[int, Secret] = WeakValueDictionary()


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """``text`` with every secret that this process holds, and everything that looks like one, replaced by ``****``.

    Secrets are also found URL-encoded, JSON-escaped and inside base64 text, whatever stands before or after them there;
    of a long random one every piece of eight characters, also broken over lines. ``secrets`` are more to mask, however
    short they are. Takes time in proportion to the length of the text.
    """
    held = {secret for ref in _existing.valuerefs() if (secret := ref()) is not None and len(secret) >= _ENCODED_FROM}
    known = held.union(secrets)
    # The longest first: one secret may be a part of another.
    for form in sorted({form for secret in known for form in forms(secret)}, key=len, reverse=True):
        text = text.replace(form, MASK)
    if _ANY_PATTERN.search(text):
        for pattern in _PATTERNS:
            text = re.sub(pattern, _masked, text)
    # The pieces last: all keys begin alike, and a pattern knows a strange one by its beginning.
    return _without_pieces(text, frozenset().union(*map(_pieces, known)))


def forms(secret: Secret) -> Iterator[str]:
    """The texts by which ``secret`` can be recognised: itself, URL-encoded, JSON-escaped, and the part of every base64
    text with the secret somewhere inside that depends on the secret alone.
    """
    value = secret.reveal()
    if not value:
        return
    yield value
    if len(value) < _ENCODED_FROM:
        return
    yield quote(value, safe="")
    yield json.dumps(value)[1:-1]
    yield from _inside_base64(value)


def _pieces(secret: Secret) -> frozenset[str]:
    """Every ``_PIECE`` characters in a row of the forms of ``secret``; none where they would be found by chance."""
    if secret._pieces is None:
        secret._pieces = frozenset(
            form[place : place + _PIECE]
            for form in (forms(secret) if _RANDOM.fullmatch(secret.reveal()) else ())
            for place in range(len(form) - _PIECE + 1)
        )
    return secret._pieces


def _without_pieces(text: str, pieces: frozenset[str]) -> str:
    """``text`` without these pieces, whatever that is no letter of a key stands between their letters."""
    if not pieces or len(text) < _PIECE:
        return text
    places = [match.start() for match in _LETTER.finditer(text)]
    letters = "".join([text[place] for place in places])
    hidden: set[int] = set()
    for first in range(len(letters) - _PIECE + 1):
        if letters[first : first + _PIECE] in pieces:
            hidden.update(places[first : first + _PIECE])
    if not hidden:
        return text
    runs = groupby(enumerate(text), key=lambda item: item[0] in hidden)
    return "".join(MASK if masked else "".join(letter for _place, letter in run) for masked, run in runs)


def _masked(match: "re.Match[str]") -> str:
    return (match[1] if match.re.groups else "") + MASK
