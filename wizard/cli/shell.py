"""``s2s-wizard shell``: a shell in the container, or one command."""

from __future__ import annotations

import shlex

from wizard.cli.call import Call, container_name
from wizard.model.i18n import _
from wizard.services import shell


def run(call: Call) -> int:
    """Returns the exit code of the shell or the command."""
    host = call.host
    name = container_name(call)
    interactive = host.terminal.is_interactive()
    plan = shell.prepare(host, name, call.options.words or None, tty=interactive)
    for note in plan.notes:
        call.console.say(note)
    if interactive:
        call.console.say(_("The same by hand: {command}").format(command=shlex.join(plan.shown)))
    return shell.open(host, plan)
