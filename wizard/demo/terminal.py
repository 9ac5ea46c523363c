"""The terminal beside a simulated machine: the user really sits there, the programs are played."""

from __future__ import annotations

import shlex
import sys

from wizard.host.ports import Commands, ExecSession, Terminal
from wizard.model.errors import Problem, Trouble


class SimTerminal:
    """``Terminal``: the real one for typing into the toy shell; programs answer from the machine's script."""

    def __init__(self, real: Terminal, commands: Commands) -> None:
        self._real = real
        self._commands = commands

    def is_interactive(self) -> bool:
        return self._real.is_interactive()

    def size(self) -> tuple[int, int]:
        return self._real.size()

    def run(self, argv: tuple[str, ...]) -> int:
        if not self.is_interactive():
            raise Trouble(Problem.NO_TERMINAL, subject=shlex.join(argv))
        if argv[0] == "sudo" and not argv[1].startswith("-"):
            self._show(("sudo", "-v"))
            return self._show(argv[1:], root=True)
        return self._show(argv)

    def attach(self, session: ExecSession) -> int:
        return self._real.attach(session)

    def _show(self, argv: tuple[str, ...], *, root: bool = False) -> int:
        result = self._commands.run(argv, root=root)
        sys.stdout.write(result.stdout)
        sys.stderr.write(result.stderr)
        sys.stdout.flush()
        return result.returncode
