"""An error text pasted into the wizard in a real terminal, and into the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.terminal.conftest import Window

pytestmark = pytest.mark.terminal

PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))
TEXT = "docker: Error response from daemon: Unknown runtime specified nvidia.\nSee 'docker run --help'.\n"
Open = Callable[..., Window]


def paste(window: Window, text: str, *, bracketed: bool) -> None:
    """What the terminal sends for a paste; without brackets its lines arrive as keys."""
    subprocess.run(
        [*window._base, "load-buffer", "-"], env=window._environ, input=text, text=True, check=True, timeout=20
    )
    window._tmux("paste-buffer", *(("-p",) if bracketed else ()), "-t", "w")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
@pytest.mark.parametrize("bracketed", [True, False])
def test_a_text_of_several_lines_is_pasted_and_explained(tmux: Open, size: tuple[int, int], bracketed: bool) -> None:
    window = tmux({"NO_COLOR": "1"}, size)
    window.run(PROGRAM, "--demo", "unknown-runtime")
    window.see("> Start")
    window.keys("e")
    window.see("Ctrl-D Explain")
    paste(window, TEXT, bracketed=bracketed)
    window.see("See 'docker run --help'.")
    window.see("Quit the wizard?", gone=True)
    window.keys("Enter" if bracketed else "C-d")
    screen = window.see("On this machine: yes, this is so.")
    assert "> Show me the repair" in screen
    window.resize(80, 24)
    window.see("> Show me the repair")
    window.keys("Enter")
    window.see("> Not now")
    window.see("Exactly this would be done:" if size[1] > 24 else "Rights")


def test_the_command_asks_for_the_text_and_takes_it_until_ctrl_d(tmux: Open) -> None:
    window = tmux()
    window.run(PROGRAM, "--demo", "unknown-runtime", "explain")
    window.see("Paste the error text here, then press Enter and Ctrl-D:")
    paste(window, TEXT, bracketed=True)
    window.keys("C-d")
    window.see("Repair: s2s-wizard --demo unknown-runtime fix register-runtime")
    window.back()


def test_ctrl_c_at_the_question(tmux: Open) -> None:
    window = tmux()
    window.run(PROGRAM, "--demo", "unknown-runtime", "explain")
    window.see("Paste the error text here")
    window.keys("C-c")
    window.back()
    window.shell('echo "rc=$?"')
    window.see("rc=130")
