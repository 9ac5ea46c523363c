"""Repairs: planned, shown, done, proved, remembered, taken back."""

from __future__ import annotations

import difflib
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from wizard.host.ports import Host
from wizard.model import receipt as receipts_model
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Started, ignore
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.fix import Action, Effect, Fix, HandOver, ReplaceFile, RunCommand, StepState
from wizard.model.i18n import _
from wizard.model.machine import RootAccess
from wizard.model.receipt import CommandRun, FileChange, Receipt
from wizard.services import checks, words
from wizard.services.checkup import run_one
from wizard.services.fixes import ALL
from wizard.services.fixes.repair import Repair

VERIFY_SECONDS = 5.0
"""How long the check may take to pass after a repair: Docker reads its settings in its own time."""

_POLL_SECONDS = 0.2
_FOLDER = "receipts"


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a preview: ``kind`` is ``diff``, ``command`` or ``terminal``; ``title`` is translated."""

    kind: str
    title: str
    text: str


def known() -> tuple[str, ...]:
    """The ids of all repairs."""
    return tuple(repair.id for repair in ALL)


def offered(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The repairs that the findings name, each once, in the order of the findings."""
    return tuple(dict.fromkeys(id_ for finding in findings for id_ in finding.fixes if id_ in known()))


def plan(host: Host, fix_id: str) -> Fix | None:
    """The repair, ready to be shown and run; None when there is nothing to do. Changes nothing.

    Raises ``BAD_INPUT`` for an unknown id, and what the repair raises where it cannot be done.
    """
    return _repair(fix_id).plan(host)


def preview(host: Host, fix: Fix) -> tuple[Part, ...]:
    """What the repair does, action by action: a diff for a file, the command line as a person would type it."""
    return tuple(_part(host, action) for action in fix.actions)


def apply(host: Host, fix: Fix, emit: Emit = ignore, cancel: Cancel | None = None) -> Receipt:
    """Runs a repair that was shown, and proves it with its check.

    Returns the receipt, which is kept on disk from the first action on: ``DONE`` when the check has passed,
    ``NOT_VERIFIED`` when it can only pass later, ``ALREADY`` (and nothing kept) when there is nothing to do any more,
    ``FAILED`` with the reason when something went wrong on the way: then the files were put back. Raises ``Trouble``
    when nothing was changed at all: ``FILE_CHANGED`` when the machine is not as the preview showed it,
    ``ROOT_NEEDED``, or what stopped the first action; and ``CANCELLED``, after putting everything back.
    """
    repair = _repair(fix.id)
    if not _is_still_right(host, repair, fix):
        return Receipt(_new_id(fix.id), fix.id, fix.title, _now(), StepState.ALREADY)
    if fix.needs_root:
        _require_root(host)
    emit(Started(fix.title))
    work = _Work(host, Receipt(_new_id(fix.id), fix.id, fix.title, _now(), StepState.PLANNED, reason=_interrupted()))
    try:
        for action in fix.actions:
            if cancel is not None:
                cancel.check()
            emit(Line(action.why or _command_line(host, action)))
            work.do(action)
        receipt = work.end(*_proof(host, fix, cancel))
    except Trouble as trouble:
        if not work.receipt.done:
            work.forget()
            raise
        emit(Line(_("It did not work. The files are put back.")))
        work.take_back(repair, _sentence(trouble))
        if trouble.kind is Problem.CANCELLED:
            raise
        return work.receipt
    if receipt.state is StepState.FAILED:
        emit(Line(_("It did not work. The files are put back.")))
        work.take_back(repair, receipt.reason)
        return work.receipt
    emit(Finished(fix.title))
    return receipt


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


def undo(host: Host, receipt_id: str | None = None, emit: Emit = ignore, cancel: Cancel | None = None) -> Receipt:
    """Takes back the repair of that receipt, or the last one that changed a file.

    Files are restored byte for byte. The receipt is ``UNDONE`` then; its reason says what stays in effect all the
    same. A receipt that was undone before is returned as it is. Raises ``BAD_INPUT`` when there is no such receipt or
    nothing to take back, ``FILE_CHANGED`` with the difference when a file is no longer what the repair left, and
    ``ROOT_NEEDED``; nothing is changed then.
    """
    receipt = _to_undo(receipts(host), receipt_id)
    if receipt.state is StepState.UNDONE:
        return receipt
    repair = _repair(receipt.fix)
    changes = [item for item in reversed(receipt.done) if isinstance(item, FileChange)]
    todo = [change for change in changes if _still_ours(host, change)]
    effect = repair.take_effect(host)
    if any(change.needs_root for change in todo) or any(command.needs_root for command in effect):
        _require_root(host)
    if cancel is not None:
        cancel.check()
    emit(Started(_("Undo: {title}").format(title=receipt.title)))
    for change in todo:
        emit(Line(_("Puts back: {path}").format(path=change.path)))
        _put_back(host, change)
    notes = [_run(host, command) for command in effect]
    notes.append(repair.left_behind(host))
    undone = replace(receipt, state=StepState.UNDONE, reason=" ".join(note for note in notes if note))
    _keep(host, undone)
    emit(Finished(_("Undone: {title}").format(title=receipt.title)))
    return undone


def diff(before: bytes | None, after: bytes | None, path: str) -> str:
    """The difference between two contents of a file as people know it from ``diff -u``."""
    lines = difflib.unified_diff(
        _lines(before), _lines(after), "/dev/null" if before is None else path, "/dev/null" if after is None else path
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


# --- parts -------------------------------------------------------------------------------------------------------


class _Work:
    """A repair on its way. Its receipt is on disk at every moment.

    A file is noted before it is touched: after a crash in between, the receipt holds the old bytes, and undo sees from
    the file itself whether it was changed.
    """

    def __init__(self, host: Host, receipt: Receipt) -> None:
        self.host = host
        self.receipt = receipt

    def do(self, action: Action) -> None:
        if isinstance(action, ReplaceFile):
            known = self.receipt
            self._note(
                known.with_done(FileChange(action.path, action.before, action.after, action.mode, action.needs_root))
            )
            try:
                self.host.files.replace(
                    action.path, action.before, action.after, mode=action.mode, root=action.needs_root
                )
            except Trouble:
                self._note(known)
                raise
            return
        if isinstance(action, HandOver):
            code, said = self.host.terminal.run(action.argv), ""
        else:
            result = self.host.commands.run(
                action.argv, root=action.needs_root, stdin=action.stdin, env=action.env, timeout=action.timeout
            )
            code, said = result.returncode, result.stderr.strip() or result.stdout.strip()
        needs_root = isinstance(action, RunCommand) and action.needs_root
        self._note(self.receipt.with_done(CommandRun(action.argv, needs_root, code)))
        if code != 0:
            raise Trouble(Problem.COMMAND_FAILED, said, subject=shlex.join(action.argv))

    def end(self, state: StepState, reason: str) -> Receipt:
        self._note(replace(self.receipt, state=state, reason=reason))
        return self.receipt

    def take_back(self, repair: Repair, reason: str) -> None:
        """Puts every file back and lets that take effect. What could not be put back stays in the receipt."""
        kept: list[receipts_model.Done] = []
        problems: list[str] = []
        for item in reversed(self.receipt.done):
            if not isinstance(item, FileChange):
                kept.insert(0, item)
                continue
            try:
                _put_back(self.host, item)
            except Trouble as trouble:
                kept.insert(0, item)
                problems.append(_("{path} could not be put back: {why}").format(path=item.path, why=_sentence(trouble)))
        problems += [note for note in (_run(self.host, command) for command in repair.take_effect(self.host)) if note]
        end = " ".join(problems) if problems else _("Everything is as it was before.")
        self._note(replace(self.receipt, state=StepState.FAILED, done=tuple(kept), reason=f"{reason} {end}"))

    def forget(self) -> None:
        """Nothing was done, so there is nothing to remember."""
        self.host.store.remove(_name(self.receipt))

    def _note(self, receipt: Receipt) -> None:
        _keep(self.host, receipt)
        self.receipt = receipt


def _repair(fix_id: str) -> Repair:
    for repair in ALL:
        if repair.id == fix_id:
            return repair
    raise Trouble(
        Problem.BAD_INPUT, subject=fix_id, hint=_("The repairs are: {names}.").format(names=", ".join(known()))
    )


def _is_still_right(host: Host, repair: Repair, fix: Fix) -> bool:
    """False when the repair is not needed any more. Raises ``FILE_CHANGED`` when it would be another one now."""
    for action in fix.actions:
        if isinstance(action, ReplaceFile):
            content = host.files.read(action.path, root=True)
            current = content.data if content is not None else None
            if current != action.before:
                if current == action.after and repair.plan(host) is None:
                    return False
                raise _changed(action.path, action.before, current)
    now = repair.plan(host)
    if now is None:
        return False
    if now.actions != fix.actions:
        raise Trouble(
            Problem.FILE_CHANGED,
            hint=_("The repair would do something else now than what you have seen. Look at it again."),
            evidence=tuple(Evidence(part.title, part.text) for part in preview(host, now)),
        )
    return True


def _changed(path: str, expected: bytes | None, current: bytes | None) -> Trouble:
    return Trouble(Problem.FILE_CHANGED, subject=path, evidence=(Evidence(path, diff(expected, current, path)),))


def _require_root(host: Host) -> None:
    """Raises ``ROOT_NEEDED`` before the first action, so that it is not met in the middle."""
    access = host.privilege.access()
    if access is RootAccess.PASSWORD:
        raise Trouble(Problem.ROOT_NEEDED)
    if access is RootAccess.NONE:
        raise Trouble(Problem.ROOT_NEEDED, hint=_("There is no sudo here that could be used: run the wizard as root."))


def _proof(host: Host, fix: Fix, cancel: Cancel | None) -> tuple[StepState, str]:
    """How the repair ended, and why it did not end well."""
    if fix.effect is Effect.AFTER_LOGIN:
        return StepState.NOT_VERIFIED, _("It takes effect after you have logged in again.")
    if fix.effect is Effect.AFTER_REBOOT:
        return StepState.NOT_VERIFIED, _("It takes effect after the next start of the machine.")
    check = checks.by_id(fix.check)
    deadline = time.monotonic() + VERIFY_SECONDS
    while True:
        finding = run_one(host, check)
        if finding.status in (Status.OK, Status.INFO):
            return StepState.DONE, ""
        if time.monotonic() >= deadline:
            return StepState.FAILED, _("The check did not pass afterwards: {summary}").format(summary=finding.summary)
        if cancel is not None:
            cancel.check()
        time.sleep(_POLL_SECONDS)


def _to_undo(found: tuple[Receipt, ...], receipt_id: str | None) -> Receipt:
    if receipt_id is not None:
        for receipt in found:
            if receipt.id == receipt_id:
                if receipt.state is StepState.UNDONE or _files(receipt):
                    return receipt
                raise Trouble(Problem.BAD_INPUT, subject=receipt_id, hint=_("This repair left no changed file behind."))
        raise Trouble(Problem.BAD_INPUT, subject=receipt_id, hint=_("There is no receipt of that name."))
    for receipt in reversed(found):
        if receipt.state is not StepState.UNDONE and _files(receipt):
            return receipt
    raise Trouble(Problem.BAD_INPUT, hint=_("There is no repair to take back."))


def _files(receipt: Receipt) -> tuple[FileChange, ...]:
    return tuple(item for item in receipt.done if isinstance(item, FileChange))


def _still_ours(host: Host, change: FileChange) -> bool:
    """Whether the file holds what the repair left; False when it is as before. Raises ``FILE_CHANGED``."""
    content = host.files.read(change.path, root=True)
    current = content.data if content is not None else None
    if current == change.before:
        return False
    if current != change.after:
        raise _changed(change.path, change.after, current)
    return True


def _put_back(host: Host, change: FileChange) -> None:
    host.files.replace(change.path, change.after, change.before, mode=change.mode, root=change.needs_root)


def _run(host: Host, command: RunCommand) -> str:
    """Runs a command that lets files take effect; a sentence when that did not work, "" otherwise."""
    try:
        result = host.commands.run(
            command.argv, root=command.needs_root, stdin=command.stdin, env=command.env, timeout=command.timeout
        )
    except Trouble as trouble:
        return _sentence(trouble)
    if result.returncode == 0:
        return ""
    return _sentence(Trouble(Problem.COMMAND_FAILED, result.stderr.strip(), subject=shlex.join(command.argv)))


def _sentence(trouble: Trouble) -> str:
    return words.explain(trouble).summary


def _interrupted() -> str:
    return _("This repair was interrupted before its end.")


def _part(host: Host, action: Action) -> Part:
    if isinstance(action, ReplaceFile):
        title = _("New file: {path}") if action.before is None else _("Change in the file {path}")
        return Part("diff", title.format(path=action.path), diff(action.before, action.after, action.path))
    if isinstance(action, HandOver):
        return Part("terminal", action.why or _("In your own terminal"), shlex.join(action.argv))
    return Part("command", action.why or _("Command"), _command_line(host, action))


def _command_line(host: Host, action: Action) -> str:
    if isinstance(action, ReplaceFile):
        return action.path
    needs_root = isinstance(action, RunCommand) and action.needs_root
    return shlex.join(host.privilege.as_typed(action.argv) if needs_root else action.argv)


def _lines(data: bytes | None) -> list[str]:
    # A carriage return would move the cursor; the line ends of a file are not what a preview is about.
    return (data or b"").decode(errors="replace").replace("\r\n", "\n").splitlines(keepends=True)


def _keep(host: Host, receipt: Receipt) -> None:
    host.store.write(_name(receipt), receipts_model.to_bytes(receipt))


def _name(receipt: Receipt) -> str:
    return f"{_FOLDER}/{receipt.id}.json"


def _new_id(fix_id: str) -> str:
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}-{fix_id}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
