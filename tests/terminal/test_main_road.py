"""The whole road, by keyboard: a Docker Engine without the runtime, a registry that wants the key, and at the end a
prompt inside the container; and the key is nowhere afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.leak import Hunt
from tests.support.registry import NgcLike
from tests.terminal.conftest import Window

pytestmark = [pytest.mark.terminal, pytest.mark.real]

PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a stand-in for NVIDIA's runtime, which hands everything on to the usual one."""
    folder = tmp_path / "programs"
    folder.mkdir()
    runtime = folder / "nvidia-container-runtime"
    runtime.write_text('#!/bin/sh\nexec runc "$@"\n')
    runtime.chmod(0o755)
    return folder


def test_from_the_first_screen_to_a_prompt_in_the_container_and_back(
    tmux: Callable[..., Window],
    fresh_engine: Callable[..., PrivateEngine],
    ngc: NgcLike,
    programs: Path,
    own_environment: Path,
    tmp_path: Path,
) -> None:
    engine = fresh_engine('{\n  "debug": true\n}')
    before = Path(engine.config_file).read_bytes()
    image = ngc.push_bash("nvidia/for-members", "19.05-py3", public=False, extra=(4_000_000, 1_000_000)).image
    settings = Path(os.environ["XDG_CONFIG_HOME"], "s2s-wizard", "config.toml")
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[registry]\nhosts = ["{ngc.host}"]\n')
    hunt = Hunt(ngc.key)

    def look(window: Window, text: str) -> str:
        screen = window.see(text)
        hunt.text(f"the screen with {text!r}", screen)
        return screen

    window = tmux({**engine.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
    window.shell("stty -g >$HOME/before")
    window.run(PROGRAM, "--log-file", str(tmp_path / "debug.log"))
    look(window, "> Start")
    with hunt.watching(window.program("s2s-wizard")):
        window.keys("Enter")
        look(window, "> Continue without a key")
        window.keys("Down", "Enter")
        look(window, "> API key")
        window.type(ngc.key.reveal())
        look(window, "•••")
        window.keys("Enter")
        look(window, "> Only until I quit")
        window.keys("Enter")
        look(window, "> Continue")
        window.keys("Enter")

        look(window, "> Show me the repair")
        window.keys("Enter")
        look(window, "> Not now")
        assert Path(engine.config_file).read_bytes() == before
        window.keys("Down", "Enter")
        look(window, "Repaired: Tell Docker about the runtime")
        window.keys("Enter")

        look(window, "Enter a name")
        while "> Enter a name" not in window.text:
            window.keys("Down")
            window.see("> ")
        window.keys("Enter")
        look(window, "The name of the image")
        window.type(image)
        window.keys("Enter")
        look(window, f"Your choice: {image}")
        while "> Use this image" not in window.text:
            window.keys("Up")
            window.see("> ")
        window.keys("Enter")
        look(window, "> Download it")
        window.keys("Enter")
        look(window, "The image is on this computer.")
        window.keys("Enter")
        look(window, "Data folder")
        window.keys("Enter")
        look(window, "> Make the container")
        window.keys("Enter")
        look(window, "is made and running")
        window.keys("Enter")
        look(window, "> Open a shell")
        window.keys("Enter")
        look(window, "bash-")
        window.shell("env; touch /data/from-inside; echo inside=$?")
        look(window, "inside=0")
        window.shell("exit 0")
        look(window, "Welcome back.")
        window.keys("Enter")
        look(window, "> Rehearse a training")
        window.keys("s")
        look(window, "To come back tomorrow")
        window.keys("Enter")
        window.back()
    window.shell("stty -g >$HOME/after; cmp $HOME/before $HOME/after && echo same modes")
    look(window, "same modes")

    assert (own_environment / "openseq2seq-data" / "from-inside").exists()
    assert ngc.saw_the_key, "the image was pulled without the key, so nothing is proved"
    window.run(PROGRAM, "undo", "--yes")
    look(window, "taken back")
    assert Path(engine.config_file).read_bytes() == before

    hunt.folder(own_environment)
    hunt.folder(tmp_path)
    hunt.text("the engine's log", Path(engine.log).read_bytes())
    assert hunt.found == []
    assert hunt.seen_processes
