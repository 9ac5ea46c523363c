"""The receipts on disk, and the work that stands under one: every step is noted before it is taken."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

from wizard.host.ports import Host
from wizard.model import receipt as receipts_model
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Emit, Line
from wizard.model.fix import Action, Fix, HandOver, ReplaceFile, RunCommand
from wizard.model.i18n import _
from wizard.model.machine import CommandResult
from wizard.model.receipt import CommandRun, Done, FileChange, Receipt
from wizard.model.step import StepState
from wizard.services import packages, words

_FOLDER = "receipts"
UNDO_SECONDS = 1800.0
"""For a command that takes another back: it may be the removal of packages."""

_LEFTOVER = ".s2s-"
"""How the names of our temporary files begin. systemd, apt and Docker read no file whose name begins with a dot."""


def receipts(host: Host) -> tuple[Receipt, ...]:
    """The receipts on disk, newest last. A file that is none is left out."""
    found: list[Receipt] = []
    for name in host.store.names(_FOLDER):
        data = host.store.read(f"{_FOLDER}/{name}")
        try:
            found.append(receipts_model.from_bytes(data or b""))
        except ValueError:
            continue
    return tuple(sorted(found, key=lambda receipt: receipt.id))


def interrupted(host: Host) -> Receipt | None:
    """The newest repair that was begun and never ended, because its process was killed; None where there is none, and
    while another process is at work.

    Making the same repair again goes on where it stopped, under the same receipt; ``undo`` takes back what was done.
    """
    if host.store.locked_by() is not None:
        return None
    return next((receipt for receipt in reversed(receipts(host)) if receipt.state is StepState.PLANNED), None)


def pending(host: Host) -> tuple[Receipt, ...]:
    """The repairs whose change is made and that still wait for the restart that comes last."""
    return tuple(item for item in receipts(host) if item.state is StepState.NOT_VERIFIED and item.closing)


def begin(host: Host, fix: Fix) -> Receipt:
    """The receipt under which ``fix`` is made now: that of an earlier start which was interrupted, or a new one."""
    for earlier in reversed(receipts(host)):
        if earlier.fix == fix.id and earlier.state is StepState.PLANNED:
            happened = tuple(item for item in earlier.done if _has_happened(host, item))
            return replace(earlier, done=happened, check=fix.check, effect=fix.effect)
    return Receipt(
        new_id(fix.id),
        fix.id,
        fix.title,
        now(),
        StepState.PLANNED,
        reason=_("This repair was interrupted before its end."),
        check=fix.check,
        effect=fix.effect,
    )


def keep(host: Host, receipt: Receipt) -> None:
    """Writes the receipt to disk."""
    host.store.write(f"{_FOLDER}/{receipt.id}.json", receipts_model.to_bytes(receipt))


def forget(host: Host, receipt: Receipt) -> None:
    """Nothing was done, so there is nothing to remember."""
    host.store.remove(f"{_FOLDER}/{receipt.id}.json")


def new_id(fix_id: str) -> str:
    """An id that sorts by time."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}-{fix_id}"


def now() -> str:
    """The time for ``Receipt.when``."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def sentence(trouble: Trouble) -> str:
    """What went wrong, in one sentence."""
    return words.explain(trouble).summary


class Work:
    """A repair on its way. Its receipt is on disk at every moment.

    A file is noted before it is touched, a command before it is begun: after a crash in between, the receipt holds the
    old bytes, and undo sees from the file itself whether it was changed.
    """

    def __init__(self, host: Host, receipt: Receipt, emit: Emit) -> None:
        self.host = host
        self.receipt = receipt
        self._emit = emit

    def do(self, action: Action) -> None:
        """One action. Raises ``Trouble`` when it did not work; ``COMMAND_FAILED`` for an exit status that is not 0."""
        if isinstance(action, ReplaceFile):
            self._replace(action)
            return
        needs_root = isinstance(action, RunCommand) and action.needs_root
        undo = action.undo if isinstance(action, RunCommand) else None
        before = self.receipt
        self.note(before.with_done(CommandRun(action.argv, needs_root, None, undo)))
        try:
            if isinstance(action, HandOver):
                result = CommandResult(action.argv, self.host.terminal.run(action.argv))
            else:
                result = _run(self.host, action, self._emit)
        except Trouble as trouble:
            # One that took too long has been begun, and nobody knows how far it has come.
            if trouble.kind is not Problem.COMMAND_TIMEOUT:
                self.note(before)
            raise
        self.note(before.with_done(CommandRun(action.argv, needs_root, result.returncode, undo)))
        if result.returncode != 0:
            # apt passes on what dpkg said about its errors as ordinary output.
            raise packages.failure(action.argv, f"{result.stdout}\n{result.stderr}") or Trouble(
                Problem.COMMAND_FAILED, _said(result), subject=shlex.join(action.argv)
            )

    def end(self, state: StepState, reason: str) -> Receipt:
        """The receipt, ended so; nothing is to come any more."""
        self.note(replace(self.receipt, state=state, reason=reason, closing=()))
        return self.receipt

    def note(self, receipt: Receipt) -> None:
        """Keeps the receipt as the one that holds from now on."""
        keep(self.host, receipt)
        self.receipt = receipt

    def take_back(self, undone: Callable[[CommandRun], bool]) -> list[str]:
        """Takes back what was done, the last first: every file, and the commands for which ``undone`` says so.

        What could not be taken back stays in the receipt; returns a sentence for each.
        """
        problems: list[str] = []
        ran: set[tuple[str, ...]] = set()
        for item in reversed(self.receipt.done):
            if isinstance(item, FileChange):
                try:
                    put_back(self.host, item)
                except Trouble as trouble:
                    text = _("{path} could not be put back: {why}").format(path=item.path, why=sentence(trouble))
                    problems.append(text)
                    continue
            elif item.undo is None or not undone(item):
                continue
            elif item.undo not in ran:
                self._emit(Line(shlex.join(item.undo)))
                command = RunCommand(item.undo, needs_root=item.needs_root, timeout=UNDO_SECONDS)
                if problem := run_noted(self.host, command, self._emit):
                    problems.append(problem)
                    continue
                ran.add(item.undo)
            self.note(replace(self.receipt, done=tuple(done for done in self.receipt.done if done is not item)))
        return problems

    def _replace(self, action: ReplaceFile) -> None:
        known = self.receipt
        self.note(known.with_done(FileChange(action.path, action.before, action.after, action.mode, action.needs_root)))
        sweep(self.host, action)
        try:
            self.host.files.replace(action.path, action.before, action.after, mode=action.mode, root=action.needs_root)
        except Trouble:
            if known.done:
                self.note(known)
            else:
                self.receipt = known
                forget(self.host, known)
            raise


def run(host: Host, command: RunCommand, emit: Emit) -> tuple[int, str]:
    """Runs a command of a repair, telling its lines; its exit status and what it said about it."""
    result = _run(host, command, emit)
    return result.returncode, _said(result)


def _run(host: Host, command: RunCommand, emit: Emit) -> CommandResult:
    return host.commands.run(
        command.argv,
        root=command.needs_root,
        stdin=command.stdin,
        env=command.env,
        timeout=command.timeout,
        on_line=lambda line: emit(Line(line)),
    )


def _said(result: CommandResult) -> str:
    return result.stderr.strip() or result.stdout.strip()


def run_noted(host: Host, command: RunCommand, emit: Emit) -> str:
    """Runs a command of a way back; a sentence when that did not work, "" otherwise."""
    try:
        code, said = run(host, command, emit)
    except Trouble as trouble:
        return sentence(trouble)
    return "" if code == 0 else sentence(Trouble(Problem.COMMAND_FAILED, said, subject=shlex.join(command.argv)))


def put_back(host: Host, change: FileChange) -> None:
    """Gives a file the bytes that it had before; one that has them already is left as it is."""
    if current(host, change.path) != change.before:
        host.files.replace(change.path, change.after, change.before, mode=change.mode, root=change.needs_root)


def current(host: Host, path: str) -> bytes | None:
    """What the file holds now."""
    content = host.files.read(path, root=True)
    return None if content is None else content.data


def sweep(host: Host, action: ReplaceFile) -> None:
    """Removes temporary files that an interrupted repair left beside the file. What cannot be removed does no harm."""
    folder = posixpath.dirname(action.path)
    try:
        for name in host.files.names(folder):
            if name.startswith(_LEFTOVER):
                path = posixpath.join(folder, name)
                host.files.replace(path, current(host, path), None, root=action.needs_root)
    except Trouble:
        return


def _has_happened(host: Host, item: Done) -> bool:
    if isinstance(item, CommandRun):
        return True
    try:
        return current(host, item.path) != item.before
    except Trouble:
        return True
