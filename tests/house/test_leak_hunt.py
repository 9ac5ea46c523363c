"""The hunt for the key finds one that was planted: otherwise "nothing found" would mean nothing."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import pytest

from tests.support.leak import OWN, Hunt, canary, spellings

KEY = canary()
VALUE = KEY.reveal()
ENGINE = json.dumps({"username": "$oauthtoken", "password": VALUE, "serveraddress": "nvcr.io"}).encode()


@pytest.fixture
def hunt() -> Hunt:
    return Hunt(KEY)


@pytest.mark.parametrize("name", spellings(KEY))
def test_in_a_file(hunt: Hunt, tmp_path: Path, name: str) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "deep" / "down" / "file").write_bytes(b"\x00\xff before " + spellings(KEY)[name] + b" after")
    hunt.folder(tmp_path)

    assert any(found.endswith(name) for found in hunt.found)


@pytest.mark.parametrize(
    "content",
    [
        base64.b64encode(f"$oauthtoken:{VALUE}".encode()),
        base64.urlsafe_b64encode(ENGINE),
        base64.b64encode(b'{"auths":{"x":{"password":"' + VALUE.encode() + b'"}}}'),
        base64.b64encode(f"user:{VALUE}".encode()),
        base64.b64encode(f"{VALUE}\n".encode()),
    ],
)
def test_in_the_ways_that_programs_write_logins(hunt: Hunt, content: bytes) -> None:
    hunt.text("there", b"Authorization: Basic " + content)

    assert hunt.found


def test_a_piece_of_it(hunt: Hunt) -> None:
    hunt.text("a picture", f"<text>nvapi-CANARY…{VALUE[30:42]}</text>")

    assert hunt.found == ["a picture: a piece of it"]


def test_in_a_files_name(hunt: Hunt, tmp_path: Path) -> None:
    (tmp_path / VALUE).write_text("")
    hunt.folder(tmp_path)

    assert hunt.found


def test_a_file_that_may_hold_it_is_left_out(hunt: Hunt, tmp_path: Path) -> None:
    (tmp_path / "store").write_text(VALUE)
    hunt.folder(tmp_path, but=[tmp_path / "store"])

    assert not hunt.found


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_in_a_stream(hunt: Hunt, stream: str) -> None:
    hunt.run([sys.executable, "-c", f"import sys; print(sys.stdin.read(), file=sys.{stream})"], stdin=VALUE)

    assert any(found.startswith(stream) for found in hunt.found)


CHILD = """
import os, subprocess, sys
key = sys.stdin.read()
sleep = [sys.executable, "-c", "import time; time.sleep(0.3)"]
"""


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("subprocess.run([*sleep, key])", "cmdline"),
        ("subprocess.run(sleep, env={**os.environ, 'NGC_API_KEY': key})", "environ"),
        ("subprocess.run(['sh', '-c', '\"$@\"; true', 'sh', *sleep, key])", "cmdline"),
    ],
)
def test_in_a_child_process(hunt: Hunt, code: str, place: str) -> None:
    hunt.run([sys.executable, "-c", CHILD + code], stdin=VALUE)

    assert any(found.startswith(place) and OWN not in found for found in hunt.found)
    assert len(hunt.seen_processes) >= 2


def test_the_programs_own_environment_is_told_from_its_childrens(hunt: Hunt) -> None:
    code = "subprocess.run(sleep, env={'PATH': os.environ['PATH']})"
    hunt.run([sys.executable, "-c", CHILD + code], environ={**os.environ, "NGC_API_KEY": VALUE})

    assert hunt.found
    assert all(found.startswith(f"environ of {OWN}") for found in hunt.found)


def test_nothing_is_found_where_nothing_is(hunt: Hunt, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("Authorization: Basic **** nvapi-CANARY nvapi-****")
    hunt.folder(tmp_path)
    hunt.run([sys.executable, "-c", "import sys; sys.stdin.read(); print('nvapi-****')"], stdin=VALUE)

    assert hunt.found == []
    assert hunt.seen_files == 1
    assert hunt.seen_processes
