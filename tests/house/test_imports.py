"""The layers hold at run time, not only in the source."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running ``code``."""
    script = f"{code}\nimport sys\nprint('MODULES', *sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(result.stdout.splitlines()[-1].split()[1:])


def test_doctor_starts_no_textual() -> None:
    modules = loaded_after(
        "from wizard.cli import main\n"
        "try:\n    main(['--demo', 'healthy', 'doctor', '--json'])\nexcept SystemExit:\n    pass"
    )
    assert "wizard.services.checkup" in modules
    assert not {"textual", "rich", "wizard.app"} & modules


def test_the_application_is_imported_without_the_heavy_libraries() -> None:
    modules = loaded_after("import wizard.app, wizard.host.real")
    assert "textual" in modules
    assert not {"docker", "requests", "urllib3", "keyring", "pynvml", "screens.pull"} & modules


@pytest.mark.parametrize("name", ["wizard.cli", "wizard.host.real", "wizard.services.checkup", "wizard.demo.machine"])
def test_these_modules_load_neither_textual_nor_the_heavy_libraries(name: str) -> None:
    assert not {"textual", "docker", "requests", "keyring", "pynvml"} & loaded_after(f"import {name}")
