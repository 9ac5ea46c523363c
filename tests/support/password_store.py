"""A real password store (gnome-keyring) on a D-Bus session of its own: what the tests need to start one."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support.engine import REQUIRE

PROGRAMS = ("dbus-run-session", "gnome-keyring-daemon")
UNLOCK = "printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null; "
"""Shell command that starts the store on the current D-Bus session, unlocked."""

needs_password_store = pytest.mark.skipif(
    os.environ.get(REQUIRE) != "1" and not all(map(shutil.which, PROGRAMS)),
    reason=f"NOT TESTED on a real password store: it needs {' and '.join(PROGRAMS)}",
)
"""Skips where no store can be started; with S2S_REQUIRE_REAL=1 the test runs all the same, and fails."""
