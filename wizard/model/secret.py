"""The API key as a value that cannot be printed by accident, and the redaction of texts that may hold one."""

import base64
import re
from collections.abc import Iterable, Iterator
from typing import NoReturn
from urllib.parse import quote

MASK = "****"

# The second line of defence: shapes that also catch a key which this process never held. The shapes of NGC keys are
# facts of trufflehog's detectors and of NVIDIA's own SDK. Group 1, where there is one, is kept. Every pattern either
# consumes what it scanned or gives up after a bounded distance, so that redaction takes linear time.
_HEADERS = r"(?:authorization|x-registry-auth|x-registry-config)"
_FIELDS = r"(?:auth|password|token|access_token|refresh_token|identitytoken|registrytoken|secret|api_?key)"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"nvapi-[A-Za-z0-9_\-]{8,}",
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
)
_ENCODED_FROM = 12
"""Shorter secrets are looked for only as they are: their encoded forms would be found by chance."""


class Secret:
    """Holds one secret text from the input handler to the request header.

    ``repr``, ``str`` and ``format`` give ``****``; copying and pickling are refused; ``reveal()`` is the only way
    out, so that every use can be found by searching for that word.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """``text`` with the given secrets, and everything that looks like one, replaced by ``****``.

    The given secrets are also found URL-encoded and inside base64 text, whatever stands before or after them
    there. Takes time in proportion to the length of the text.
    """
    # The longest first: one secret may be a part of another.
    for form in sorted({form for secret in secrets for form in forms(secret)}, key=len, reverse=True):
        text = text.replace(form, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(_masked, text)
    return text


def forms(secret: Secret) -> Iterator[str]:
    """The texts by which ``secret`` can be recognised: itself, URL-encoded, and the part of every base64 text with
    the secret somewhere inside that depends on the secret alone.
    """
    value = secret.reveal()
    if not value:
        return
    yield value
    if len(value) < _ENCODED_FROM:
        return
    yield quote(value, safe="")
    data = value.encode("utf-8", "surrogatepass")
    for before in range(3):
        # Base64 has one character for 6 bits: those that share bits with the neighbours are left out.
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode("ascii")[first:last]


def _masked(match: "re.Match[str]") -> str:
    return (match[1] if match.re.groups else "") + MASK
