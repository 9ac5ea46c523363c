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


def test_a_command_loads_no_adapter_that_it_does_not_use() -> None:
    modules = loaded_after("from wizard.cli import main\nassert main(['doctor', '--list']) == 0")
    assert "wizard.host.real" in modules
    assert not {"wizard.host.engine", "wizard.host.registry", "wizard.demo"} & modules


def test_a_pull_begins_without_what_it_may_need_later() -> None:
    modules = loaded_after("import wizard.cli.pull, wizard.host.real")
    assert "wizard.services.pull" in modules
    later = {"wizard.services.account", "wizard.services.words", "wizard.services.cost", "wizard.knowledge.images"}
    assert not {*later, "tomllib", "tomli", "platform"} & modules
