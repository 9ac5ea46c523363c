"""``s2s-wizard undo``: takes a repair back, by its receipt."""

from __future__ import annotations

from typing import Any

from wizard.cli.call import FAILED, FINE, PERSON, Call, Narrator, agreed, become_root
from wizard.cli.console import tag
from wizard.cli.fix import show_receipt
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.receipt import Receipt
from wizard.model.step import StepState
from wizard.services import repairs


def run(call: Call) -> int:
    """Exit code 0 when it was taken back or there was nothing, 3 when a person is needed, 4 when it did not work."""
    console = call.console
    receipts = repairs.receipts(call.host)
    if call.options.list:
        return _list(call, receipts)
    receipt = _wanted(receipts, call.options.receipt)
    if receipt is None or not repairs.can_be_undone(receipt):
        console.out(_("There is nothing to take back."))
        if console.json:
            console.document({"receipt": None if receipt is None else _to_json(receipt)})
        return FINE
    console.out(_("Take back {id}: {title}").format(id=receipt.id, title=receipt.title))
    for part in repairs.undo_parts(call.host, receipt):
        console.out(f"  {part.title}")
        if part.kind == "command":
            console.out(f"    {part.text}")
    stopped = repairs.stopped(call.host) if repairs.undo_restarts(call.host, receipt) else ()
    if stopped:
        console.out("  " + _("Restarting Docker stops: {names}.").format(names=", ".join(stopped)))
    if not agreed(call, _("Take this repair back?"), receipt.id):
        if console.json:
            console.document({"receipt": {**_to_json(receipt), "state": StepState.DECLINED.value}})
        return PERSON
    if repairs.needs_root_to_undo(call.host, receipt):
        become_root(call)
    after = repairs.undo(call.host, receipt.id, emit=Narrator(console), cancel=call.cancel)
    show_receipt(console, after)
    if console.json:
        console.document({"receipt": _to_json(after)})
    if after.state is StepState.UNDONE:
        return FINE
    return FAILED if after.state is StepState.FAILED else PERSON


def _list(call: Call, receipts: tuple[Receipt, ...]) -> int:
    if call.console.json:
        call.console.document({"receipts": [_to_json(receipt) for receipt in receipts]})
        return FINE
    if not receipts:
        call.console.say(_("Nothing was repaired here yet."))
    for receipt in receipts:
        call.console.tagged(
            tag(receipt.state), f"{receipt.id}  {receipt.when}  {receipt.title} ({receipt.state.value})"
        )
    return FINE


def _wanted(receipts: tuple[Receipt, ...], id: str | None) -> Receipt | None:
    """The receipt of that id, or the newest that can be taken back. Raises ``BAD_INPUT`` for an unknown id."""
    if id is None:
        return next((receipt for receipt in reversed(receipts) if repairs.can_be_undone(receipt)), None)
    for receipt in receipts:
        if receipt.id == id:
            return receipt
    known = ", ".join(receipt.id for receipt in receipts) or "-"
    raise Trouble(Problem.BAD_INPUT, subject=id, hint=_("Known receipts: {names}.").format(names=known))


def _to_json(receipt: Receipt) -> dict[str, Any]:
    """A receipt without the contents of files."""
    return {
        "id": receipt.id,
        "fix": receipt.fix,
        "title": receipt.title,
        "when": receipt.when,
        "state": receipt.state.value,
        "reason": receipt.reason,
    }
