"""A user with a GnuPG home of their own, and the password store ``pass`` on top of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.support.engine import REQUIRE

PROGRAMS = ("pass", "gpg", "gpgconf")
NAME = "mei@example.org"

needs_pass = pytest.mark.skipif(
    os.environ.get(REQUIRE) != "1" and not all(map(shutil.which, PROGRAMS)),
    reason=f"NOT TESTED on a real pass: it needs {' and '.join(PROGRAMS)}",
)
"""Skips where there is no pass; with S2S_REQUIRE_REAL=1 the test runs all the same, and fails."""


@dataclass
class User:
    """``environ`` leads to the user's home and GnuPG keys."""

    environ: dict[str, str]

    def gpg(self, *words: str) -> None:
        """Runs GnuPG; it may ask nobody."""
        subprocess.run(["gpg", "--batch", "--quiet", *words], env=self.environ, check=True, capture_output=True)

    def make_key(self, passphrase: str = "") -> None:
        """Makes the user's key, protected by ``passphrase``."""
        self.gpg("--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-gen-key", NAME)

    def set_up(self) -> None:
        """Begins the password store."""
        subprocess.run(["pass", "init", NAME], env=self.environ, check=True, capture_output=True)

    def forget_passphrase(self) -> None:
        """Ends the agent, which remembers passphrases; the next use starts a new one."""
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=self.environ, check=True, capture_output=True)


@contextmanager
def user(environ: Mapping[str, str]) -> Iterator[User]:
    """A user in ``environ``, whose agent ends with the block."""
    # The agent's socket lies in this folder, and its path may not be long.
    folder = tempfile.mkdtemp(prefix="s2s-gpg-", dir="/tmp")
    made = User({**environ, "GNUPGHOME": folder})
    try:
        yield made
    finally:
        made.forget_passphrase()
        shutil.rmtree(folder, ignore_errors=True)
