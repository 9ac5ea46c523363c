"""``s2s-wizard report``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Keyboard
from wizard.cli import call


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def at_healthy(at: Callable[[str], Keyboard]) -> Keyboard:
    return at("healthy")


def written(folder: Path) -> list[Path]:
    return list(folder.glob("s2s-wizard-report-*"))


def test_printed_only(at_healthy: Keyboard, here: Path) -> None:
    ended = at_healthy("report", "--stdout")
    assert ended.code == 0
    assert ended.out.startswith("# s2s-wizard ")
    assert not written(here)


def test_nobody_agrees_without_a_terminal(at_healthy: Keyboard, here: Path) -> None:
    ended = at_healthy("report")
    assert ended.code == 3
    assert "## Check-up" in ended.out, "it is shown before it would be written"
    assert not written(here)


def test_written_when_the_user_agrees(at_healthy: Keyboard, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    asked: list[str] = []

    def agree(question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr(call, "ask", agree)
    files = at_healthy.host.files
    ended = at_healthy("report")
    assert ended.code == 0
    path = asked[0].removeprefix("Write it to ").removesuffix("?")
    content = files.read(path)
    assert content is not None
    assert (content.mode, content.data.decode()) == (0o600, ended.out)
    assert not written(here), "a simulated machine leaves nothing on the real disk"
