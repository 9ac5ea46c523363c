"""``s2s-wizard fix``: shows a repair, asks, makes it, checks that it worked."""

from __future__ import annotations

from typing import Any

from wizard.cli.call import FAILED, FINE, PERSON, PROBLEMS, Call, Narrator, agreed, become_root
from wizard.cli.console import Console, tag
from wizard.model.errors import Problem, Trouble
from wizard.model.fix import Effect, Fix, Risk, StepState
from wizard.model.i18n import _
from wizard.model.receipt import Receipt
from wizard.services import checkup, repairs

_CODES = {StepState.DECLINED: PERSON, StepState.NOT_VERIFIED: PERSON, StepState.FAILED: FAILED}


def run(call: Call) -> int:
    """Exit code 0 when all is done or was in place, 3 when a person is needed, 4 when a repair did not work."""
    options, console = call.options, call.console
    ids = tuple(dict.fromkeys(options.ids))
    if options.yes and not ids:
        raise Trouble(Problem.BAD_INPUT, subject="--yes", hint=_("Name the repairs: --yes is only for those."))
    unknown = [wanted for wanted in ids if wanted not in repairs.known()]
    if unknown:
        known = ", ".join(repairs.known())
        raise Trouble(Problem.BAD_INPUT, subject=unknown[0], hint=_("Known repairs: {names}.").format(names=known))
    code = FINE
    if not ids:
        console.say(_("Looking at the machine first."))
        findings = checkup.run(call.host, cancel=call.cancel)
        ids = repairs.offered(findings)
        if not ids and checkup.ready(findings):
            console.out(_("Nothing needs a repair."))
        elif not ids:
            console.out(
                _("There are problems, but no repair for them: {command}").format(command=console.typed("doctor"))
            )
            code = PROBLEMS
    entries: list[dict[str, Any]] = []
    for fix_id in ids:
        entries.append(_one(call, fix_id))
        state = StepState(entries[-1]["state"])
        code = max(code, _CODES.get(state, FINE))
        if state is StepState.FAILED:
            break
    if console.json:
        console.document({"fixes": entries})
    return code


def _one(call: Call, id: str) -> dict[str, Any]:
    """One repair from the preview to its check; its JSON entry."""
    host, console = call.host, call.console
    plan = repairs.plan(host, id)
    if plan is None:
        console.tagged(tag(StepState.ALREADY), _("{id}: already in place, nothing to do.").format(id=id))
        return {"id": id, "state": StepState.ALREADY.value}
    parts = repairs.preview(host, plan)
    _show(console, plan, parts)
    entry = _to_json(plan, parts)
    if call.options.dry_run:
        return {**entry, "state": StepState.PLANNED.value}
    if not agreed(call, _("Make this repair?"), id):
        return {**entry, "state": StepState.DECLINED.value}
    if plan.needs_root:
        become_root(call)
    receipt = repairs.apply(host, plan, emit=Narrator(console), cancel=call.cancel)
    show_receipt(console, receipt)
    if receipt.state in (StepState.DONE, StepState.NOT_VERIFIED):
        console.say(_("To take it back: {command}").format(command=console.typed("undo", receipt.id)))
    return {**entry, "state": receipt.state.value, "reason": receipt.reason, "receipt": receipt.id}


def show_receipt(console: Console, receipt: Receipt) -> None:
    """How a repair, or taking it back, has ended."""
    words = {
        StepState.DONE: _("{title}: done, and checked."),
        StepState.NOT_VERIFIED: _("{title}: done, but the check does not confirm it yet."),
        StepState.FAILED: _("{title}: this did not work."),
        StepState.UNDONE: _("{title}: taken back."),
        StepState.ALREADY: _("{title}: somebody else has done it in the meantime."),
    }
    console.tagged(tag(receipt.state), words[receipt.state].format(title=receipt.title))
    console.paragraph(receipt.reason)


def _show(console: Console, plan: Fix, parts: tuple[repairs.Part, ...]) -> None:
    console.out(_("Repair {id}: {title}").format(id=plan.id, title=plan.title))
    console.paragraph(plan.why, 2)
    for part in parts:
        console.out(f"  {part.title}")
        if part.kind == "diff":
            console.diff(part.text)
            continue
        for line in part.text.splitlines():
            console.out(f"    {line}")
    for note in _notes(plan):
        console.paragraph(note, 2)


def _notes(plan: Fix) -> list[str]:
    """What else it touches, whether root is needed, when it works, how it is taken back."""
    effects = {
        Effect.NOW: "",
        Effect.AFTER_LOGIN: _("It takes effect when you log in again."),
        Effect.AFTER_REBOOT: _("It takes effect after a reboot."),
    }
    touched = _("Running containers: {names}.").format(names=", ".join(plan.touches)) if plan.touches else ""
    restart = _("The Docker service is restarted.") if plan.risk is Risk.RESTART else ""
    root = _("It needs administrator rights (root).") if plan.needs_root else _("It needs no administrator rights.")
    return [note for note in (touched, plan.touches_note, restart, root, effects[plan.effect], plan.undo_note) if note]


def _to_json(plan: Fix, parts: tuple[repairs.Part, ...]) -> dict[str, Any]:
    return {
        "id": plan.id,
        "title": plan.title,
        "why": plan.why,
        "preview": [{"kind": part.kind, "title": part.title, "text": part.text} for part in parts],
        "needs_root": plan.needs_root,
        "risk": plan.risk.value,
        "effect": plan.effect.value,
        "touches": list(plan.touches),
        "undo": plan.undo_note,
    }
