"""One repair: made, proved, and put back when it does not work."""

from __future__ import annotations

from dataclasses import replace

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.fix import Fix, ReplaceFile
from wizard.model.i18n import _
from wizard.model.receipt import Receipt
from wizard.model.step import StepState
from wizard.services.fixes.repair import Repair
from wizard.services.repairs import record
from wizard.services.repairs.choose import find
from wizard.services.repairs.closing import settle
from wizard.services.repairs.proof import prove
from wizard.services.repairs.record import Work
from wizard.services.repairs.show import changed, command_line, preview, require_root


def apply(host: Host, fix: Fix, emit: Emit = ignore, cancel: Cancel | None = None, *, defer: bool = False) -> Receipt:
    """Makes a repair that was shown, and proves it with its check.

    Returns the receipt, which is kept on disk from the first action on: ``DONE`` when the check has passed,
    ``NOT_VERIFIED`` when it can only pass later, ``ALREADY`` (and nothing kept) when there is nothing to do any more,
    ``FAILED`` with the reason when something went wrong on the way: then it was put back. With ``defer``, the closing
    commands of the repair are left to ``settle``, and the receipt is ``NOT_VERIFIED`` until then. Raises ``Trouble``
    when nothing was changed at all: ``FILE_CHANGED`` when the machine is not as the preview showed it,
    ``ROOT_NEEDED``, ``BUSY``, or what stopped the first action; and ``CANCELLED``, after putting everything back.
    """
    repair = find(fix.id)
    with host.store.lock():
        if not _is_still_right(host, repair, fix):
            return Receipt(record.new_id(fix.id), fix.id, fix.title, record.now(), StepState.ALREADY)
        if fix.needs_root:
            require_root(host)
        emit(Started(fix.title))
        if cancel is not None:
            cancel.on_set(lambda: emit(Line(_("It stops after this step; nothing is broken off in the middle."))))
        work = Work(host, record.begin(host, fix), emit)
        try:
            receipt = _make(work, fix, emit, cancel, defer)
        except Trouble as trouble:
            if not work.receipt.done:
                record.forget(host, work.receipt)
                raise
            _take_back(work, repair, fix, record.sentence(trouble), emit)
            if trouble.kind is Problem.CANCELLED:
                raise
            return work.receipt
        if receipt.state is StepState.FAILED and not fix.closing:
            _take_back(work, repair, fix, receipt.reason, emit)
            return work.receipt
        if receipt.state is not StepState.FAILED:
            emit(Finished(fix.title))
        return receipt


def confirm(host: Host, fix_id: str) -> Receipt | None:
    """Ends the receipt of a repair whose last part was done in another way: its check decides.

    That is one that was interrupted although nothing was left to do, and one whose last step a person has taken. None
    where no such receipt exists; one that still waits for its last step is returned as it is.
    """
    with host.store.lock():
        for receipt in record.receipts(host):
            waits = receipt.state is StepState.NOT_VERIFIED and bool(receipt.closing)
            if receipt.fix == fix_id and (waits or receipt.state is StepState.PLANNED):
                state, reason = prove(host, receipt)
                if waits and state is StepState.FAILED:
                    return receipt
                ended = replace(receipt, state=state, reason=reason, closing=())
                record.keep(host, ended)
                return ended
    return None


def _make(work: Work, fix: Fix, emit: Emit, cancel: Cancel | None, defer: bool) -> Receipt:
    """All actions, and the proof. Raises ``Trouble`` where something has to be put back."""
    for action in fix.actions:
        if cancel is not None:
            cancel.check()
        emit(Line(action.why or command_line(work.host, action)))
        work.do(action)
    if not fix.closing:
        return work.end(*prove(work.host, work.receipt, cancel))
    if not defer and cancel is not None:
        cancel.check()
    work.note(
        replace(
            work.receipt,
            state=StepState.NOT_VERIFIED,
            reason=_("It counts only after the last step, which all repairs share: {command}").format(
                command=command_line(work.host, fix.closing[-1])
            ),
            closing=fix.closing,
        )
    )
    if defer:
        return work.receipt
    (receipt,) = settle(work.host, (work.receipt,), emit)
    return receipt


def _take_back(work: Work, repair: Repair, fix: Fix, reason: str, emit: Emit) -> None:
    """Takes back what was done and lets that take effect. What cannot be taken back stays in the receipt."""
    host = work.host
    emit(Line(_("It did not work. What was changed is put back.")))
    problems = work.take_back(lambda item: item.returncode == 0)
    if not fix.closing:  # otherwise nothing has taken effect yet
        try:
            problems += [record.run_noted(host, command, emit) for command in repair.take_effect(host)]
        except Trouble as trouble:
            problems.append(record.sentence(trouble))
    end = " ".join(filter(None, problems)) or _("Everything is as it was before.")
    work.end(StepState.FAILED, f"{reason} {end}")


def _is_still_right(host: Host, repair: Repair, fix: Fix) -> bool:
    """False when the repair is not needed any more. Raises ``FILE_CHANGED`` when it would be another one now."""
    for action in fix.actions:
        if isinstance(action, ReplaceFile):
            now_there = record.current(host, action.path)
            if now_there != action.before:
                if now_there == action.after and repair.plan(host) is None:
                    return False
                raise changed(action.path, action.before, now_there)
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
