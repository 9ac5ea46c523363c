from __future__ import annotations

import getpass
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.cli.conftest import Keyboard
from tests.cli.test_console import Screen
from wizard.demo import machine
from wizard.demo.keys import SimKeys
from wizard.model.key_store import KeyPlace
from wizard.model.secret import Secret
from wizard.services import account

Sit = Callable[[str], Keyboard]
KEY = "nvapi-" + "canary12" * 8


@pytest.fixture
def at_healthy(at: Sit) -> Keyboard:
    return at("healthy")


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def kept(keyboard: Keyboard) -> tuple[str, KeyPlace] | None:
    found = keyboard.host.keys.get()
    return None if found is None else (found[0].reveal(), found[1])


@pytest.mark.parametrize(("store", "place"), [([], KeyPlace.KEYRING), (["--store", "file"], KeyPlace.FILE)])
def test_a_key_from_standard_input(
    at_healthy: Keyboard, monkeypatch: pytest.MonkeyPatch, store: list[str], place: KeyPlace
) -> None:
    pipe(monkeypatch, f"  {KEY}\r\n")
    ended = at_healthy("key", "set", "--stdin", *store, "--json")
    assert ended.code == 0
    assert kept(at_healthy) == (KEY, place)
    assert ended.document["place"] == place.value
    assert ended.document["kind"] == "personal"
    assert ("unencrypted" in ended.err) == (place is KeyPlace.FILE)
    assert "canary" not in ended.out + ended.err

    where = at_healthy("key", "where", "--json").document
    assert where["used"] == place.value
    assert f"[ok]    {place.value}" in at_healthy("key", "where").out

    forgotten = at_healthy("key", "forget", "--json")
    assert forgotten.document["forgotten"] == [place.value]
    assert kept(at_healthy) is None
    assert at_healthy("key", "forget").out == "There was no key to remove.\n"


def test_a_key_from_the_keyboard_is_not_shown(at_healthy: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def unseen(prompt: str, stream: Any = None) -> str:
        asked.append((prompt, stream))
        return KEY

    monkeypatch.setattr(sys, "stdin", Screen())
    monkeypatch.setattr(getpass, "getpass", unseen)
    assert at_healthy("key", "set").code == 0
    assert kept(at_healthy) == (KEY, KeyPlace.KEYRING)
    assert asked[0][1] is sys.stderr


def test_without_a_terminal_the_other_way_is_named(at_healthy: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, KEY)
    ended = at_healthy("key", "set")
    assert ended.code == 2
    assert "--stdin" in ended.err
    assert kept(at_healthy) is None


@pytest.mark.parametrize("text", ["", "\n", "canary canary", "canary\ncanary\n", "canary" * 10_000])
def test_what_is_no_key_is_refused_and_not_repeated(
    at_healthy: Keyboard, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    pipe(monkeypatch, text)
    ended = at_healthy("key", "set", "--stdin", "--json")
    assert ended.code == 2
    assert ended.document["error"]["id"] == "key-shape"
    assert "canary" not in ended.out + ended.err
    assert kept(at_healthy) is None


def test_the_key_of_ngc_cli_is_taken_when_it_is_asked_for(
    at_healthy: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert at_healthy("key", "set", "--ngc-cli").code == 2
    monkeypatch.setattr(account, "offered", lambda _host: (Secret(KEY), "~/.ngc/config"))
    assert "key set --ngc-cli" in at_healthy("key", "where").err
    assert kept(at_healthy) is None
    ended = at_healthy("key", "set", "--ngc-cli")
    assert ended.code == 0
    assert "~/.ngc/config" in ended.err
    assert kept(at_healthy) == (KEY, KeyPlace.KEYRING)
    assert "canary" not in ended.out + ended.err


@pytest.mark.parametrize("problem", ["key-store-missing", "key-store-locked"])
def test_without_a_password_store_the_other_places_are_named(
    at: Sit, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    keyboard = at("healthy")
    keyboard.host = replace(keyboard.host, keys=SimKeys(problem))
    monkeypatch.setattr(machine, "build", lambda _name: keyboard.host)
    pipe(monkeypatch, KEY)
    ended = keyboard("key", "set", "--stdin")
    assert ended.code == 3
    assert "--store file" in ended.err
    assert "NGC_API_KEY" in ended.err
    assert keyboard("key", "where").code == 0


@pytest.mark.parametrize("words", [["key", "set", KEY], ["key", "set", "canary-in-no-known-form"], ["key", KEY]])
def test_a_key_on_the_command_line(at_healthy: Keyboard, words: list[str]) -> None:
    ended = at_healthy(*words)
    assert ended.code == 2
    assert "never goes on the command line" in ended.err
    assert "canary" not in ended.out + ended.err
    assert kept(at_healthy) is None


def test_check_needs_no_key_for_a_public_image(at_healthy: Keyboard) -> None:
    words, data = at_healthy("key", "check"), at_healthy("key", "check", "--json")
    assert (words.code, data.code) == (0, 0)
    assert data.document["state"] == "not-needed"
    assert words.line("[ok]").endswith(data.document["summary"])


def test_check_of_an_image_that_is_not_there(at_healthy: Keyboard) -> None:
    ended = at_healthy("key", "check", "--image", "nvcr.io/nvidia/tensorflow:no-such-tag", "--json")
    assert ended.code == 5
    assert ended.document["problem"] == "manifest-unknown"
