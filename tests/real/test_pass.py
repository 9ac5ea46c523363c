"""The key in a real ``pass`` with a real GnuPG key: open, locked by a passphrase, never set up."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gnupg import User, needs_pass, user
from tests.support.leak import Hunt, canary
from wizard.host.commands import SystemCommands
from wizard.host.keys import LONGEST, Keys
from wizard.host.pass_store import NAME, SHOW
from wizard.model.errors import Problem, Trouble
from wizard.model.key_store import KeyPlace, KeyStoreInfo

pytestmark = [pytest.mark.real, needs_pass]


@dataclass
class Store(User):
    """The user, and the program's folder of settings."""

    config: Path

    def keys(self) -> Keys:
        return Keys(self.environ, str(self.config), SystemCommands(self.environ))

    def info(self) -> KeyStoreInfo:
        return next(info for info in self.keys().places() if info.place is KeyPlace.PASS)


@pytest.fixture
def store(own_environment: Path, tmp_path: Path) -> Iterator[Store]:
    with user(os.environ) as somebody:
        yield Store(somebody.environ, tmp_path / "config" / "s2s-wizard")


def kind(call: object, *arguments: object) -> Trouble:
    assert callable(call)
    with pytest.raises(Trouble) as caught:
        call(*arguments)
    return caught.value


def test_it_keeps_finds_replaces_and_forgets(store: Store, own_environment: Path, tmp_path: Path) -> None:
    store.make_key()
    store.set_up()
    key, other = canary(), canary()
    assert store.info() == KeyStoreInfo(KeyPlace.PASS, True, False, f"pass {NAME}")

    store.keys().save(other, KeyPlace.PASS)
    store.keys().save(key, KeyPlace.PASS)
    assert store.info().holds_key
    assert store.keys().get() == (key, KeyPlace.PASS)
    assert (own_environment / ".password-store" / f"{NAME}.gpg").is_file()
    hunt = Hunt(key)
    hunt.folder(tmp_path)
    hunt.folder(Path(store.environ["GNUPGHOME"]))
    assert hunt.found == []
    assert hunt.seen_files > 2

    assert store.keys().forget() == (KeyPlace.PASS,)
    assert store.keys().get() is None
    assert not store.info().holds_key
    assert store.keys().forget() == ()


def test_the_key_is_in_no_arguments_and_no_environment(store: Store) -> None:
    store.make_key()
    store.set_up()
    key = canary()
    hunt = Hunt(key)
    with hunt.watching(os.getpid()):
        store.keys().save(key, KeyPlace.PASS)
        assert store.keys().get() == (key, KeyPlace.PASS)
        deadline = time.monotonic() + 20
        while len(hunt.seen_processes) < 3 and time.monotonic() < deadline:
            store.keys().get()
    assert hunt.found == []
    assert len(hunt.seen_processes) >= 3, "its programs were never seen"


def test_it_comes_after_the_environment_and_before_the_file(store: Store) -> None:
    store.make_key()
    store.set_up()
    key, named = canary(), canary()
    store.keys().save(key, KeyPlace.PASS)
    store.environ["NGC_API_KEY"] = named.reveal()
    assert store.keys().get() == (named, KeyPlace.ENVIRONMENT)
    del store.environ["NGC_API_KEY"]

    moved = store.keys()
    moved.save(key, KeyPlace.FILE)
    assert not store.info().holds_key, "a key lies in one place of ours"


def test_a_passphrase_that_nobody_can_be_asked_for(store: Store) -> None:
    store.make_key("correct horse")
    store.set_up()
    store.forget_passphrase()
    key = canary()
    began = time.monotonic()
    locked = kind(store.keys().save, key, KeyPlace.PASS)

    assert time.monotonic() - began < LONGEST + 2
    assert locked.kind is Problem.STORE_LOCKED
    assert SHOW in locked.hint
    assert key.reveal() not in f"{locked} {locked.evidence} {locked.hint}"
    assert store.keys().get() is None
    assert store.info().usable

    # As the user would in a terminal of their own: then the agent remembers.
    store.gpg(
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "correct horse",
        "--output",
        os.devnull,
        "--yes",
        "--decrypt",
        f"{store.environ['HOME']}/.password-store/{NAME}.gpg",
    )
    assert store.keys().get() == (key, KeyPlace.PASS)


def test_it_was_never_set_up(store: Store, own_environment: Path) -> None:
    assert (store.info().usable, store.info().problem) == (False, Problem.STORE_MISSING.value)
    trouble = kind(store.keys().save, canary(), KeyPlace.PASS)
    assert trouble.kind is Problem.STORE_MISSING
    assert "pass init" in trouble.hint
    assert store.keys().get() is None
    assert store.keys().forget() == ()
    assert not (own_environment / ".password-store").exists()


def test_its_key_is_gone(store: Store) -> None:
    (Path(store.environ["HOME"]) / ".password-store").mkdir()
    (Path(store.environ["HOME"]) / ".password-store" / ".gpg-id").write_text("nobody@example.org\n")
    assert kind(store.keys().save, canary(), KeyPlace.PASS).kind is Problem.STORE_FAILED


def test_a_gnupg_that_hangs_costs_five_seconds(store: Store, tmp_path: Path) -> None:
    store.make_key()
    store.set_up()
    key = canary()
    store.keys().save(key, KeyPlace.PASS)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("gpg", "gpg2"):
        (programs / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (programs / name).chmod(0o755)
    store.environ["PATH"] = f"{programs}:{store.environ['PATH']}"
    began = time.monotonic()

    assert store.keys().get() is None
    assert time.monotonic() - began < LONGEST + 2
    assert store.info().holds_key
    trouble = kind(store.keys().save, key, KeyPlace.PASS)
    assert trouble.kind is Problem.STORE_FAILED
    assert key.reveal() not in repr(trouble)
