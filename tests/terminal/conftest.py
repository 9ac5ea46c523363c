"""A tmux server of the test's own, with one window in which a person sits."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PATIENCE = 30.0
REQUIRE = "S2S_REQUIRE_REAL"


class Window:
    """A shell in tmux. ``run`` types a command line; ``see`` waits for a text on the screen."""

    def __init__(self, tmux: str, socket: Path, environ: Mapping[str, str], size: tuple[int, int]) -> None:
        self._base = [tmux, "-u", "-S", str(socket), "-f", os.devnull]
        self._environ = dict(environ)
        columns, rows = size
        # The server lives as long as the window; a plain sh with a short prompt, so that little is on the screen.
        self._tmux("new-session", "-d", "-s", "w", "-x", str(columns), "-y", str(rows), "env PS1='$ ' sh -i")
        self.see("$")

    def _tmux(self, *args: str) -> str:
        done = subprocess.run(
            [*self._base, *args], env=self._environ, capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        """Presses keys by tmux's names: ``Enter``, ``Down``, ``C-c``."""
        self._tmux("send-keys", "-t", "w", *keys)

    def type(self, text: str) -> None:
        """Types text as it is."""
        self._tmux("send-keys", "-t", "w", "-l", text)

    def run(self, *argv: str) -> None:
        """Types a command line and Enter."""
        self.type(shlex.join(argv))
        self.keys("Enter")

    def shell(self, line: str) -> None:
        """Types a line of shell and Enter."""
        self.type(line)
        self.keys("Enter")

    def resize(self, columns: int, rows: int) -> None:
        """Gives the window another size."""
        self._tmux("resize-window", "-t", "w", "-x", str(columns), "-y", str(rows))

    @property
    def text(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p", "-t", "w")

    def in_full_screen(self) -> bool:
        """Whether a program uses the terminal's second screen."""
        return self._tmux("display-message", "-p", "-t", "w", "#{alternate_on}").strip() == "1"

    def see(self, text: str, *, gone: bool = False) -> str:
        """Waits until ``text`` is on the screen, or no longer; returns the screen."""
        deadline = time.monotonic() + PATIENCE
        while True:
            screen = self.text
            if (text in screen) is not gone:
                return screen
            if time.monotonic() > deadline:
                raise AssertionError(f"{'still there' if gone else 'never came'}: {text!r}\n{screen}")
            time.sleep(0.05)

    def back(self) -> None:
        """Waits until the program has ended and the shell's prompt stands on the last line."""
        deadline = time.monotonic() + PATIENCE
        while self.in_full_screen() or self.text.rstrip("\n ").split("\n")[-1] != "$":
            if time.monotonic() > deadline:
                raise AssertionError(f"the prompt never came back:\n{self.text}")
            time.sleep(0.05)

    def program(self, name: str) -> int:
        """The process id of the child of the window's shell, once it runs ``name``."""
        shell = int(self._tmux("display-message", "-p", "-t", "w", "#{pane_pid}"))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for child in Path(f"/proc/{shell}/task/{shell}/children").read_text().split():
                if name in Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace"):
                    return int(child)
            time.sleep(0.05)
        raise AssertionError(f"{name} does not run")

    def close_window(self) -> None:
        """Closes the window, as a lost connection does."""
        self._tmux("kill-session", "-t", "w")

    def end(self) -> None:
        """Closes everything."""
        subprocess.run([*self._base, "kill-server"], capture_output=True, timeout=20, check=False)


@pytest.fixture
def tmux(own_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Window]]:
    """Opens windows: ``tmux(environ, size)``; they are closed at the end."""
    program = shutil.which("tmux")
    if program is None:
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, but there is no tmux", pytrace=False)
        pytest.skip("NOT TESTED in a real terminal: there is no tmux")
    folder = tmp_path_factory.mktemp("tmux")
    opened: list[Window] = []

    def window(environ: Mapping[str, str] | None = None, size: tuple[int, int] = (80, 24)) -> Window:
        socket = folder / f"s{len(opened)}"
        made = Window(program, socket, {**os.environ, "LANG": "C.UTF-8", **(environ or {})}, size)
        opened.append(made)
        return made

    yield window  # type: ignore[misc]
    for made in opened:
        made.end()
