"""Taking a repair back, by its receipt."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Started, ignore
from wizard.model.fix import RunCommand
from wizard.model.i18n import _
from wizard.model.receipt import CommandRun, FileChange, Receipt
from wizard.model.step import StepState
from wizard.services.fixes import ALL, docker_service, docker_start
from wizard.services.fixes.repair import Repair
from wizard.services.repairs import record
from wizard.services.repairs.closing import touches_units, wait_for_docker
from wizard.services.repairs.record import Work
from wizard.services.repairs.show import Part, changed, command_line, part, require_root


def can_be_undone(receipt: Receipt) -> bool:
    """Whether something is left that can be taken back; also of a repair that was interrupted or failed."""
    return receipt.state is not StepState.UNDONE and any(_takes_back(item) for item in receipt.done)


def undo_parts(host: Host, receipt: Receipt) -> tuple[Part, ...]:
    """What taking back will do, in its order: files, commands, and what lets that take effect."""
    parts = []
    for item in reversed(receipt.done):
        if isinstance(item, FileChange):
            parts.append(Part("file", _("{path} becomes what it was before").format(path=item.path), item.path))
        elif item.undo is not None:
            command = RunCommand(item.undo, needs_root=item.needs_root)
            parts.append(Part("command", _("Takes back: {command}").format(command=shlex.join(item.argv)),
                              command_line(host, command)))  # fmt: skip
    parts += [part(host, command) for command in _effect(host, receipt)]
    return tuple(dict.fromkeys(parts))


def undo_restarts(host: Host, receipt: Receipt) -> bool:
    """Whether taking it back restarts Docker."""
    return any(docker_service.verb(command) == "restart" for command in _effect(host, receipt))


def needs_root_to_undo(host: Host, receipt: Receipt) -> bool:
    """Whether taking it back has to be done as root."""
    own = any(item.needs_root for item in receipt.done if _takes_back(item))
    return own or any(command.needs_root for command in _effect(host, receipt))


def undo(host: Host, receipt_id: str | None = None, emit: Emit = ignore, cancel: Cancel | None = None) -> Receipt:
    """Takes back the repair of that receipt, or the last one that can be.

    Files are restored byte for byte, commands by those that take them back, the last first. The receipt is ``UNDONE``
    then; its reason says what stays in effect all the same. It is ``FAILED`` where something could not be taken back
    (that can be tried again), and where Docker would not have come back: then it keeps what it had. A receipt that was
    undone before is returned as it is. Raises ``BAD_INPUT`` when there is no such receipt or nothing to take back,
    ``FILE_CHANGED`` with the difference when a file is no longer what the repair left, ``BUSY`` and ``ROOT_NEEDED``;
    nothing is changed then.
    """
    with host.store.lock():
        receipt = _to_undo(record.receipts(host), receipt_id)
        if receipt.state is StepState.UNDONE:
            return receipt
        _refuse_changed(host, receipt)
        if needs_root_to_undo(host, receipt):
            require_root(host)
        if cancel is not None:
            cancel.check()
        emit(Started(_("Undo: {title}").format(title=receipt.title)))
        for item in reversed(receipt.done):
            if isinstance(item, FileChange):
                emit(Line(_("Puts back: {path}").format(path=item.path)))
        effect = _effect(host, receipt)
        work = Work(host, receipt, emit)
        problems = work.take_back(lambda item: item.returncode in (0, None))
        if problems:
            work.note(replace(work.receipt, state=StepState.FAILED, reason=" ".join(problems), closing=()))
            return work.receipt
        return _ended(work, receipt, effect, emit)


def _ended(work: Work, receipt: Receipt, effect: tuple[RunCommand, ...], emit: Emit) -> Receipt:
    """Lets what was put back take effect; the receipt, ended."""
    host = work.host
    units_changed = touches_units((receipt,))
    notes: list[str] = []
    answered, began = docker_service.answers(host), time.time()
    for command in effect:
        if docker_service.verb(command) in ("restart", "start"):
            try:
                docker_start.refuse(host, units_changed=units_changed)
            except Trouble as trouble:
                text = _("Docker was not restarted, because it would not start with the old file: {reason}")
                notes.append(text.format(reason=trouble.hint or trouble.text))
                break
        note = record.run_noted(host, command, emit)
        if not docker_service.verb(command) or docker_service.verb(command) == "reload":
            notes.append(note if "reset-failed" not in command.argv else "")
            continue
        try:
            if note:
                raise Trouble(Problem.COMMAND_FAILED, note)
            wait_for_docker(host)
        except Trouble as trouble:
            if not answered:
                notes.append(record.sentence(trouble))
                break
            return _keep_after_all(work, receipt, docker_start.why_not(host, began, trouble.text), emit)
    repair = _repair(receipt)
    if repair is not None:
        notes.append(repair.left_behind(host))
    undone = replace(receipt, state=StepState.UNDONE, reason=" ".join(note for note in notes if note), closing=())
    record.keep(host, undone)
    emit(Finished(_("Undone: {title}").format(title=receipt.title)))
    return undone


def _keep_after_all(work: Work, receipt: Receipt, why: str, emit: Emit) -> Receipt:
    """Docker does not start with the old file: the repair's files come again, and Docker with them."""
    host = work.host
    emit(Line(_("Docker did not come back. The repair is kept, and Docker is started again.")))
    notes = [_("Docker does not start without this repair, so it was kept. {reason}").format(reason=why)]
    try:
        for item in receipt.done:
            if isinstance(item, FileChange) and record.current(host, item.path) == item.before:
                host.files.replace(item.path, item.before, item.after, mode=item.mode, root=item.needs_root)
        for command in docker_service.start(host, units_changed=touches_units((receipt,))):
            notes.append(record.run_noted(host, command, emit))
        wait_for_docker(host)
    except Trouble as trouble:
        notes.append(record.sentence(trouble))
    work.note(replace(receipt, state=StepState.FAILED, reason=" ".join(note for note in notes if note)))
    return work.receipt


def _effect(host: Host, receipt: Receipt) -> tuple[RunCommand, ...]:
    """What lets the old files count; a Docker that does not run reads them when it is started.

    A repair that was never let take effect needs nothing.
    """
    repair = _repair(receipt)
    if repair is None or not _files(receipt) or receipt.closing:
        return ()
    try:
        wanted = docker_service.merged([repair.take_effect(host)])
    except Trouble:
        return ()
    if docker_service.answers(host):
        return wanted
    return tuple(command for command in wanted if "daemon-reload" in command.argv)


def _to_undo(found: tuple[Receipt, ...], receipt_id: str | None) -> Receipt:
    if receipt_id is not None:
        for receipt in found:
            if receipt.id == receipt_id:
                if receipt.state is StepState.UNDONE or can_be_undone(receipt):
                    return receipt
                hint = _("This repair left nothing behind that could be taken back.")
                raise Trouble(Problem.BAD_INPUT, subject=receipt_id, hint=hint)
        raise Trouble(Problem.BAD_INPUT, subject=receipt_id, hint=_("There is no receipt of that name."))
    for receipt in reversed(found):
        if can_be_undone(receipt):
            return receipt
    raise Trouble(Problem.BAD_INPUT, hint=_("There is no repair to take back."))


def _refuse_changed(host: Host, receipt: Receipt) -> None:
    """Raises ``FILE_CHANGED`` when a file holds neither what the repair left nor what was there before."""
    now: dict[str, bytes | None] = {}
    for change in reversed(_files(receipt)):
        there = now[change.path] if change.path in now else record.current(host, change.path)
        if there not in (change.before, change.after):
            later = [
                other.id
                for other in record.receipts(host)
                if other.id > receipt.id and any(item.path == change.path for item in _files(other))
                if can_be_undone(other)
            ]
            hint = _("A later repair has changed it; take that back first: {id}").format(id=later[-1]) if later else ""
            raise changed(change.path, change.after, there, hint)
        now[change.path] = change.before


def _takes_back(item: CommandRun | FileChange) -> bool:
    return isinstance(item, FileChange) or (item.undo is not None and item.returncode in (0, None))


def _files(receipt: Receipt) -> tuple[FileChange, ...]:
    return tuple(item for item in receipt.done if isinstance(item, FileChange))


def _repair(receipt: Receipt) -> Repair | None:
    """The repair that made it; None where this version does not know it any more."""
    return next((repair for repair in ALL if repair.id == receipt.fix), None)
