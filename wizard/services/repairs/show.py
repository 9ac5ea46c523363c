"""What people see of a repair before it is made: diffs, and commands as they would type them."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Action, Fix, HandOver, ReplaceFile, RunCommand
from wizard.model.i18n import _
from wizard.model.machine import RootAccess
from wizard.model.receipt import FileChange, Receipt
from wizard.model.secret import redact
from wizard.services.fixes import docker_service


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a preview: ``kind`` is ``diff``, ``command`` or ``terminal``; ``title`` is translated."""

    kind: str
    title: str
    text: str


def preview(host: Host, fix: Fix) -> tuple[Part, ...]:
    """What the repair does, action by action: a diff for a file, the command line as a person would type it."""
    return tuple(part(host, action) for action in (*fix.actions, *fix.closing))


def closing_parts(host: Host, receipts: Sequence[Receipt]) -> tuple[Part, ...]:
    """The commands that the repairs of these receipts still wait for, each once."""
    return tuple(part(host, command) for command in docker_service.merged(receipt.closing for receipt in receipts))


def closing_lines(host: Host, plans: Sequence[Fix]) -> tuple[str, ...]:
    """The same for repairs that are only planned, as command lines."""
    return tuple(command_line(host, command) for command in docker_service.merged(plan.closing for plan in plans))


def restarts(receipts: Sequence[Receipt]) -> bool:
    """Whether Docker is restarted by what these repairs wait for."""
    return any(docker_service.verb(command) == "restart" for receipt in receipts for command in receipt.closing)


def story(receipt: Receipt) -> tuple[str, ...]:
    """What was done, line by line, for people."""
    lines = []
    for item in receipt.done:
        if isinstance(item, FileChange):
            lines.append(_("changed: {path}").format(path=item.path))
        elif item.returncode is None:
            lines.append(_("begun, its end was not seen: {command}").format(command=shlex.join(item.argv)))
        else:
            lines.append(_("run: {command}").format(command=shlex.join(item.argv)))
    return tuple(lines)


def part(host: Host, action: Action) -> Part:
    if isinstance(action, ReplaceFile):
        title = _("New file: {path}") if action.before is None else _("Change in the file {path}")
        # A proxy's password stands in a file of settings; the person who looks over your shoulder need not see it.
        return Part("diff", title.format(path=action.path), redact(diff(action.before, action.after, action.path)))
    if isinstance(action, HandOver):
        return Part("terminal", action.why or _("In your own terminal"), shlex.join(action.argv))
    return Part("command", action.why or _("Command"), command_line(host, action))


def command_line(host: Host, action: Action) -> str:
    """An action in one line."""
    if isinstance(action, ReplaceFile):
        return action.path
    needs_root = isinstance(action, RunCommand) and action.needs_root
    return shlex.join(host.privilege.as_typed(action.argv) if needs_root else action.argv)


def diff(before: bytes | None, after: bytes | None, path: str) -> str:
    """The difference between two contents of a file as people know it from ``diff -u``."""
    lines = difflib.unified_diff(
        _lines(before), _lines(after), "/dev/null" if before is None else path, "/dev/null" if after is None else path
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def changed(path: str, expected: bytes | None, current: bytes | None, hint: str = "") -> Trouble:
    """``FILE_CHANGED`` with the difference."""
    return Trouble(
        Problem.FILE_CHANGED, subject=path, hint=hint, evidence=(Evidence(path, diff(expected, current, path)),)
    )


def require_root(host: Host) -> None:
    """Raises ``ROOT_NEEDED`` before the first action, so that it is not met in the middle."""
    access = host.privilege.access()
    if access is RootAccess.PASSWORD:
        raise Trouble(Problem.ROOT_NEEDED)
    if access is RootAccess.NONE:
        raise Trouble(Problem.ROOT_NEEDED, hint=_("There is no sudo here that could be used: run the wizard as root."))


def _lines(data: bytes | None) -> list[str]:
    # A carriage return would move the cursor; the line ends of a file are not what a preview is about.
    return (data or b"").decode(errors="replace").replace("\r\n", "\n").splitlines(keepends=True)
