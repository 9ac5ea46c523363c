"""A secret cannot be printed by accident, and redaction finds it in every form, in linear time."""

from __future__ import annotations

import base64
import copy
import dataclasses
import gc
import itertools
import json
import pickle
import re
import string
import time
import traceback
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model.secret import MASK, Secret, forms, redact

ALNUM = string.ascii_letters + string.digits
PERSONAL = st.text(ALNUM + "_-", min_size=64, max_size=64).map("nvapi-".__add__)
LEGACY = st.text(ALNUM, min_size=84, max_size=84)
# A star in a secret could join with the mask; keys have none.
ANY_SECRET = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=1, max_size=120)
AROUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.mark.parametrize("show", [str, repr, format, lambda s: f"{s:>10}", lambda s: f"{s!r}"])
def test_showing_it_gives_the_mask(show: Callable[[Secret], str]) -> None:
    shown = show(Secret("hunter22"))

    assert "hunter22" not in shown
    assert MASK in shown


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_it_is_not_written_or_copied(write: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError):
        write(Secret("hunter22"))


def test_a_dataclass_and_a_traceback_do_not_show_it() -> None:
    @dataclasses.dataclass
    class Holder:
        key: Secret

    key = Secret("hunter" + "22")
    try:
        raise ValueError(Holder(key))
    except ValueError:
        assert "hunter22" not in traceback.format_exc()


def test_equality_and_truth() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


@given(AROUND, ANY_SECRET, AROUND)
def test_a_known_secret_is_found_as_it_is_and_url_encoded(before: str, value: str, after: str) -> None:
    secret = Secret(value)

    assert value not in redact(before + value + after, [secret])
    if len(value) >= 12:
        assert quote(value, safe="") not in redact(before + quote(value, safe="") + after, [secret])


@given(st.binary(max_size=40), st.one_of(PERSONAL, LEGACY, ANY_SECRET.filter(lambda v: len(v) >= 12)), st.binary())
def test_a_known_secret_is_found_inside_base64(before: bytes, value: str, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        hidden = encode(before + value.encode() + after).decode()
        left = redact(f"x={hidden}", [Secret(value)])
        # What is left of the base64 text is too little to get the secret back.
        assert left.count(MASK) >= 1
        assert len(left) <= len("x=") + len(hidden) - len(value) * 8 // 6 + 2 + len(MASK) * left.count(MASK)


@given(AROUND, st.lists(st.text("abc", min_size=1, max_size=6), max_size=4))
def test_secrets_that_overlap_are_all_found(before: str, values: list[str]) -> None:
    text = before + "abcabc".join(values)
    left = redact(text, [Secret(value) for value in values])

    assert not any(value in left for value in values)


@given(st.text(string.whitespace + "\"'<>=:,;()[]{}|", max_size=5), st.one_of(PERSONAL, LEGACY))
def test_an_unknown_key_is_found_by_its_shape(edge: str, key: str) -> None:
    assert key not in redact(f"before {edge}{key}{edge} after")


# --- eight characters in a row are too many ---


def _spelled(value: str) -> dict[str, str]:
    """The key in the ways that it could be written down."""
    login = f"$oauthtoken:{value}"
    engine = json.dumps({"username": "$oauthtoken", "password": value, "serveraddress": "nvcr.io"})
    return {
        "plain": value,
        "url": quote(value, safe=""),
        "json": json.dumps({"password": value}),
        "json in json": json.dumps(json.dumps({"x": value})),
        "base64": base64.b64encode(value.encode()).decode(),
        "base64 of login": base64.b64encode(login.encode()).decode(),
        "base64url of the engine's login": base64.urlsafe_b64encode(engine.encode()).decode(),
        "base64 in lines": base64.encodebytes(engine.encode()).decode(),
    }


def _readable(text: str) -> Iterator[str]:
    """``text`` and whatever a reader could decode from what is left in it, line ends taken out or not."""
    for read in (text, "".join(text.split())):
        yield read
        for part in re.findall(r"[A-Za-z0-9+/_-]{4,}", read):
            for start in range(4):
                piece = part[start:].replace("-", "+").replace("_", "/")
                yield base64.b64decode(piece[: len(piece) // 4 * 4]).decode("latin-1")


def _too_much(value: str, text: str) -> set[str]:
    """The pieces of eight characters of ``value`` that can be read from ``text``."""
    pieces = {value[place : place + 8] for place in range(len(value) - 7)}
    return {piece for read in _readable(text) for piece in pieces if piece in read}


@pytest.mark.parametrize("way", _spelled("x"))
@given(AROUND, st.one_of(PERSONAL, LEGACY), AROUND)
def test_no_eight_characters_of_a_key_are_left_however_it_is_spelled(
    way: str, before: str, value: str, after: str
) -> None:
    secret = Secret(value)

    assert not _too_much(value, redact(f"{before} {_spelled(value)[way]} {after}"))
    assert secret


@given(
    st.one_of(PERSONAL, LEGACY),
    st.sampled_from(["plain", "url", "base64", "base64 of login"]),
    st.lists(st.integers(1, 100), max_size=20),
    st.sampled_from(["\n", "\r\n", "', '", "│\n│ ", " \\\n    ", '",\n"']),
)
def test_nor_when_it_is_broken_over_lines_and_chunks(value: str, way: str, cuts: list[int], between: str) -> None:
    secret, whole = Secret(value), _spelled(value)[way]
    places = [0, *sorted({cut for cut in cuts if cut < len(whole)}), len(whole)]
    chunks = [whole[first:last] for first, last in itertools.pairwise(places)]
    # Nothing around it can be a letter of a key: with its neighbours, one might be a piece of it by chance.
    left = redact(f"之前：{between.join(chunks)}。之后")

    assert not _too_much(value, left)
    assert not _too_much(value, left.replace(between, ""))
    assert left.startswith("之前：")
    assert left.endswith("。之后")
    assert secret


@pytest.mark.parametrize("between", ["\n", "\r\n", "', '", " \\\n    "])
def test_the_words_around_a_broken_key_stay(between: str) -> None:
    value = "nvapi-" + "k3Y7Qx9Z" * 8
    secret = Secret(value)
    for cut in range(1, len(value)):
        left = redact(f"before {value[:cut]}{between}{value[cut:]} after")
        assert left.startswith("before ")
        assert left.endswith(" after")
        assert not _too_much(value, left.replace(between, ""))
    assert secret


@given(st.one_of(PERSONAL, LEGACY), st.integers(8, 40), st.integers(0, 60))
def test_nor_a_piece_of_it(value: str, length: int, start: int) -> None:
    secret = Secret(value)

    assert not _too_much(value, redact(f"cut off: {value[start : start + length]}"))
    assert secret


@given(st.sampled_from(["base64", "base64 of login", "plain", "url", "json"]), st.one_of(PERSONAL, LEGACY))
def test_nor_of_a_key_that_nobody_holds(way: str, value: str) -> None:
    if way == "base64" and not value.startswith("nvapi-"):
        return  # nothing tells an old key in base64 from any other text
    assert not _too_much(value, redact(f"seen: {_spelled(value)[way]} end"))


@pytest.mark.parametrize("way", _spelled("x"))
def test_what_is_looked_for_would_be_found(way: str) -> None:
    value = "nvapi-" + "Zq7_kM2x" * 8

    assert _too_much(value, f"seen: {_spelled(value)[way]} end")


def test_a_secret_is_masked_as_long_as_it_exists() -> None:
    secret = Secret("a mirror's own password")

    assert redact("with a mirror's own password") == f"with {MASK}"
    del secret
    gc.collect()
    assert redact("with a mirror's own password") == "with a mirror's own password"


def test_words_are_not_pieces_of_a_password() -> None:
    secret = Secret("registry-password")

    assert redact("the registry wants a password") == "the registry wants a password"
    assert secret


@given(AROUND)
def test_redaction_is_stable(text: str) -> None:
    once = redact(text)

    assert redact(once) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Basic JG9hdXRo", "Authorization: ****"),
        ("authorization:Bearer abc\r\nHost: nvcr.io", "authorization:****\r\nHost: nvcr.io"),
        ("{'Authorization': 'Basic abc=', 'Accept': '*/*'}", "{'Authorization': '****', 'Accept': '*/*'}"),
        ('{"X-Registry-Auth": "eyJ1", "Accept": "*/*"}', '{"X-Registry-Auth": "****", "Accept": "*/*"}'),
        ('{"auths": {"nvcr.io": {"auth": "JG9hdXRo"}}}', '{"auths": {"nvcr.io": {"auth": "****"}}}'),
        (r'"{\"auth\": \"JG9hdXRo\"}"', r'"{\"auth\": \"****\"}"'),
        ('{"token":"eyJh","expires_in":3600}', '{"token":"****","expires_in":3600}'),
        ("sent Bearer eyJhbGciOiJSUzI1NiJ9.e30.x end", "sent Bearer **** end"),
        ("export NGC_API_KEY=abc; true", "export NGC_API_KEY=**** true"),
        ("http://me:pass@proxy.example:3128/", "http://me:****@proxy.example:3128/"),
        ("$oauthtoken:abc def", "$oauthtoken:**** def"),
    ],
)
def test_what_holds_a_secret_by_its_place_is_masked(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "nvcr.io/nvidia/tensorflow:20.11-tf1-py3@sha256:" + "0123456789abcdef" * 4,
        'Bearer realm="https://nvcr.io/proxy_auth",scope="repository:nvidia/tensorflow:pull"',
        "Error response from daemon: Unknown runtime specified nvidia.",
        "ssh://me@gpu-box:22/run/docker.sock and tcp://10.0.0.1:2375",
        "sha512:" + "0123456789abcdef" * 8,
        "keys begin with nvapi-",
        "unauthorized: authentication required",
    ],
)
def test_what_holds_no_secret_is_left_alone(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "nvapi-",
        "nvapi-a",
        "a",
        "A_",
        "://",
        "://a:",
        "://a",
        ":",
        "authorization:",
        'authorization: "',
        "authorization='",
        "authorization    ",
        "bearer ",
        "basic aaaa",
        '"auth":',
        '"auth":"',
        "'auth': '",
        "API_KEY",
        "TOKEN=",
        "$oauthtoken:",
        "$oauthtoken",
        "\n",
        " ",
        "=",
    ],
)
def test_no_text_makes_redaction_slow(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    redact(text, [Secret("nvapi-" + "a" * 64)])

    # A quadratic pattern would take many minutes for a megabyte.
    assert time.process_time() - start < 5


def test_a_short_secret_has_no_encoded_forms() -> None:
    assert list(forms(Secret("abc"))) == ["abc"]
    assert list(forms(Secret(""))) == []
    assert redact("abcabc", [Secret("")]) == "abcabc"
