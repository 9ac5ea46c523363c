"""The wizard in a real terminal: drawn, resized, left, interrupted, and out of the way while a shell is open."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from tests.terminal.conftest import Window
from wizard.host.real import build
from wizard.model.container import GpuChoice, Workspace
from wizard.model.journey import Journey, Step
from wizard.services import container, journey

pytestmark = pytest.mark.terminal

PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))
Open = Callable[..., Window]


def test_the_wizard_comes_and_leaves_the_terminal_as_it_was(tmux: Open) -> None:
    window = tmux()
    window.shell("stty -g >$HOME/before")
    window.run(PROGRAM, "--demo", "healthy")
    screen = window.see("> Start")
    assert "SIMULATED MACHINE: healthy. Nothing here changes your computer." in screen
    assert window.in_full_screen()
    window.keys("q")
    window.see("> Stay")
    window.keys("Down", "Enter")
    window.back()
    window.shell('stty -g >$HOME/after; cmp $HOME/before $HOME/after && echo "rc=$? same"')
    window.see("rc=0 same")


def test_a_resize_is_followed_and_a_small_window_said(tmux: Open) -> None:
    window = tmux()
    window.run(PROGRAM, "--demo", "healthy")
    window.see("> Start")
    window.resize(130, 40)
    window.see("[now]     Welcome")
    window.resize(60, 20)
    window.see("(now 60x20, needs 80x24)")
    window.resize(80, 24)
    window.see("> Start")


@pytest.mark.parametrize("keys", [("C-c",), ("q",)])
def test_ctrl_c_asks_and_esc_stays(tmux: Open, keys: tuple[str, ...]) -> None:
    window = tmux()
    window.run(PROGRAM, "--demo", "healthy")
    window.see("> Start")
    window.keys(*keys)
    window.see("Quit the wizard?")
    window.keys("Escape")
    window.see("Quit the wizard?", gone=True)
    window.see("> Start")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(tmux: Open, number: signal.Signals) -> None:
    window = tmux()
    window.shell("stty -g >$HOME/before")
    window.run(PROGRAM, "--demo", "healthy")
    window.see("> Start")
    os.kill(window.program("s2s-wizard"), number)
    window.back()
    window.shell('echo "rc=$?"; stty -g >$HOME/after; cmp $HOME/before $HOME/after && echo same modes')
    window.see("same modes")
    assert f"rc={128 + number}" in window.text


def test_a_closed_window_ends_the_program(tmux: Open) -> None:
    window = tmux()
    window.run(PROGRAM, "--demo", "healthy")
    window.see("> Start")
    process = Path(f"/proc/{window.program('s2s-wizard')}")
    window.close_window()
    deadline = time.monotonic() + 10
    while process.exists():
        assert time.monotonic() < deadline, "it still runs without a terminal"
        time.sleep(0.1)


def test_no_colour_is_readable(tmux: Open) -> None:
    window = tmux({"NO_COLOR": "1"})
    window.run(PROGRAM, "--demo", "unknown-runtime")
    window.see("> Start")
    window.keys("Down")
    window.see("> Just look")
    window.keys("Enter")
    assert "[error]" in window.see("1 to repair")


def test_a_terminal_without_unicode_gets_plain_lines(tmux: Open) -> None:
    window = tmux({"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    window.run(PROGRAM, "--demo", "healthy")
    screen = window.see("> Start")
    assert "\\u" not in screen
    window.keys("q")
    assert "+----" in window.see("Quit the wizard?")


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_show_pages_is_said(tmux: Open, term: str) -> None:
    window = tmux()
    window.shell(f"TERM={term} {PROGRAM} --demo healthy; echo rc=$?")
    screen = window.see("rc=2")
    assert "TERM=xterm-256color" in screen
    assert "Traceback" not in screen


def test_output_that_goes_to_a_file_is_said(tmux: Open) -> None:
    window = tmux()
    window.shell(f"{PROGRAM} --demo healthy 2>$HOME/errors; echo rc=$?")
    window.see("rc=2")


def test_a_whole_walk_by_keyboard_to_the_shell_and_back(tmux: Open) -> None:
    window = tmux()
    window.run(PROGRAM, "--demo", "unknown-runtime")
    window.see("> Start")
    window.keys("Enter")
    window.see("> Continue without a key")
    window.keys("Enter")
    window.see("> Show me the repair")
    window.keys("Enter")
    window.see("> Not now")
    window.keys("Down", "Enter")
    window.see("Repaired: Tell Docker about the runtime")
    window.keys("Enter")
    window.see("> Use this image")
    window.keys("Enter")
    window.see("> Download it")
    window.keys("Enter")
    window.see("> Prepare the next steps")
    window.see("The image is on this computer.")
    window.keys("Enter")
    window.see("Data folder")
    window.keys("Enter")
    window.see("> Make the container")
    window.keys("Enter")
    window.see("GPU 0: NVIDIA GeForce RTX 2060")
    window.see("> Test TensorFlow on the GPU")
    window.keys("Enter")
    window.see("TensorFlow works in the container openseq2seq.")
    window.see("> Continue")
    window.keys("Enter")
    window.see("> Open a shell")
    window.keys("Enter")
    window.see("root@")
    assert not window.in_full_screen()
    assert "docker exec -it openseq2seq bash" in window.text
    window.shell("python --version")
    window.see("Python 3")
    window.shell("exit")
    window.see("Welcome back.")
    assert window.in_full_screen()
    window.keys("Enter")
    window.see("> Rehearse a training")
    window.keys("Enter")
    window.see("> Train on real data")
    assert "The rehearsal went well" in window.text
    window.keys("Down", "Enter")
    window.see("To come back tomorrow")
    window.keys("Enter")
    window.back()
    window.shell("echo rc=$?")
    window.see("rc=0")


# --- a real container ------------------------------------------------------------------------------------------------


def settled(engine: PrivateEngine, data: Path) -> None:
    """A container of ours on the real engine, and a resume point that leads to its shell."""
    host = build(engine.environ)
    workspace = Workspace(str(data), "openseq2seq", GpuChoice(all=False))
    container.up(host, workspace, images.BASH)
    done = frozenset(step for step in Step if step.number < Step.SHELL.number)
    walked = Journey(done=done, image=images.BASH, name="openseq2seq", data=str(data), gpus="none")
    journey.save(host, walked)
    host.engine.close()


def at_the_prompt(tmux: Open, engine: PrivateEngine, data: Path) -> Window:
    """A window in which the real shell of the real container is open."""
    settled(engine, data)
    window = tmux(engine.environ)
    window.shell("stty -g >$HOME/before")
    window.run(PROGRAM)
    window.see("> Continue where you stopped (step: Shell)")
    window.keys("Enter")
    window.see("> Open a shell")
    window.keys("Enter")
    window.see("bash-")
    return window


@pytest.mark.real
def test_a_real_shell_and_back(tmux: Open, engine: PrivateEngine, tmp_path: Path) -> None:
    window = at_the_prompt(tmux, engine, tmp_path)
    assert "SIMULATED" not in window.text
    assert not window.in_full_screen()
    window.resize(100, 30)
    # The new size arrives a moment after the window has it.
    window.shell(
        'until [ "$(stty size)" = "30 100" ]; do sleep 0.1; done; echo size=$(stty size); touch /data/made-inside'
    )
    window.see("size=30 100")
    window.shell("echo going; sleep 60")
    window.see("\ngoing")
    window.keys("C-c")
    window.see("^C")
    window.shell("echo status=$?")
    window.see("status=130")
    window.shell("exit 0")
    window.see("Welcome back.")
    window.see("Enter Continue")
    assert window.in_full_screen()
    assert (tmp_path / "made-inside").exists()
    # As it was: keys still reach it, and the size of meanwhile is known.
    window.keys("Up")
    window.see("> Open a shell again")
    assert re.search(r"9/11\s*$", window.text.split("\n")[0])
    window.keys("q")
    window.see("> Stay")
    window.keys("Down", "Enter")
    window.back()
    window.shell("stty -g >$HOME/after; cmp $HOME/before $HOME/after; echo end")
    window.see("end")
    assert "differ" not in window.text


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_shell_is_open_ends_cleanly(
    tmux: Open, engine: PrivateEngine, tmp_path: Path, number: signal.Signals
) -> None:
    window = at_the_prompt(tmux, engine, tmp_path)
    os.kill(window.program("s2s-wizard"), number)
    window.back()
    window.shell('echo "rc=$?"; stty -g >$HOME/after; cmp $HOME/before $HOME/after && echo same modes')
    window.see("same modes")
    assert f"rc={128 + number}" in window.text


@pytest.mark.real
def test_a_container_that_stops_while_a_shell_is_open_is_said(
    tmux: Open, engine: PrivateEngine, tmp_path: Path
) -> None:
    window = at_the_prompt(tmux, engine, tmp_path)
    engine.client().kill("openseq2seq")
    window.see("[error]")
    assert window.in_full_screen()
    assert "It stopped while you were in it." in " ".join(window.text.split())
