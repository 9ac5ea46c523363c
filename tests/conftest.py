"""Fixtures for every test: what the tests bring up, and a home of its own for each."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest_plugins = [
    "tests.support.engine",
    "tests.support.engines",
    "tests.support.lab",
    "tests.support.registry",
    "tests.support.slurm",
]

_FOLDERS = {
    "HOME": "home",
    "XDG_CONFIG_HOME": "home/.config",
    "XDG_STATE_HOME": "home/.local/state",
    "XDG_CACHE_HOME": "home/.cache",
    "XDG_DATA_HOME": "home/.local/share",
}
_FOREIGN = ("NGC_", "DOCKER_", "NVIDIA_", "CUDA_", "DBUS_", "PYTHON_KEYRING_", "XDG_RUNTIME_DIR", "LANG", "LC_")


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder for this test alone, and none of the developer's keys, contexts, buses and languages.

    Returns the home folder.
    """
    for name in list(os.environ):
        if name.startswith(_FOREIGN):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANG", "C.UTF-8")
    for name, folder in _FOLDERS.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(name, str(tmp_path / folder))
    return tmp_path / "home"


def pytest_configure() -> None:
    """Lets signals do what they do for a user: a job in the background starts with some ignored, and so would all that
    the tests start.
    """
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says aloud what a quiet run would hide: which real things were not there to be tested."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = [str(place[2]) for place in skipped if isinstance(place, tuple) and "NOT TESTED" in place[2]]
    for reason in sorted(set(reasons)):
        terminalreporter.write_line(
            f"{reasons.count(reason)} x {reason.removeprefix('Skipped: ')}", yellow=True, bold=True
        )
