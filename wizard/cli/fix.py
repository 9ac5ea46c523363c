"""``s2s-wizard fix``: shows each repair, asks, makes it; then all take effect at once, and each is checked."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from wizard.cli.call import FAILED, FINE, PERSON, PROBLEMS, Call, Narrator, agreed, become_root
from wizard.cli.console import Console, tag
from wizard.model.errors import Problem, Trouble, exit_code
from wizard.model.fix import Effect, Fix, Risk
from wizard.model.i18n import _
from wizard.model.receipt import Receipt
from wizard.model.step import StepState
from wizard.services import checkup, repairs, words

_CODES = {StepState.DECLINED: PERSON, StepState.NOT_VERIFIED: PERSON, StepState.FAILED: FAILED}
_STOPS_ALL = (Problem.CANCELLED, Problem.ROOT_NEEDED, Problem.BUSY)


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
    with nullcontext() if options.dry_run else call.host.store.lock():
        walk = _Walk(call)
        walk.named(ids) if ids else walk.offered()
    if console.json:
        console.document({"fixes": walk.entries})
    return walk.code


class _Walk:
    """One run: what was tried, what waits for the restart that comes last, and the entries of the JSON document."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.console = call.console
        self.entries: list[dict[str, Any]] = []
        self.code = FINE
        self._tried: list[str] = []
        self._waiting: list[Receipt] = []
        self._from_before = False
        self._plans: list[Fix] = []

    def named(self, ids: tuple[str, ...]) -> None:
        """The repairs that were named, in the order in which they have to be made."""
        self._take_up(receipt for receipt in repairs.pending(self.call.host) if receipt.fix in ids)
        self._all(tuple(id_ for id_ in repairs.known() if id_ in ids))

    def offered(self) -> None:
        """What the check-up asks for, and what becomes possible by that."""
        host, console = self.call.host, self.console
        began = repairs.interrupted(host)
        if began is not None:
            tell_interrupted(console, began)
        self._take_up(repairs.pending(host))
        console.say(_("Looking at the machine first."))
        for number in range(repairs.ROUNDS):
            findings = checkup.run(host, cancel=self.call.cancel)
            ids = repairs.next_round(findings, self._tried)
            if began is not None and not self._tried:
                ids = (began.fix, *(id_ for id_ in ids if id_ != began.fix))
            if not ids and not self._waiting:
                self._nothing_left(ready=checkup.ready(findings), first=number == 0)
                return
            if number:
                console.say(_("The check-up finds what has become possible by that."))
            if not self._all(ids) or self.call.options.dry_run:
                return

    def _take_up(self, receipts: Iterable[Receipt]) -> None:
        """Repairs of an earlier run that still wait for their last step; nobody has agreed to it in this one."""
        self._waiting = list(receipts)
        self._from_before = bool(self._waiting)

    def _nothing_left(self, *, ready: bool, first: bool) -> None:
        if ready and first:
            self.console.out(_("Nothing needs a repair."))
        elif not ready and self.code in (FINE, PERSON):
            doctor = self.console.typed("doctor")
            text = _("There are problems, but no repair for them: {command}")
            if not first:
                text = _("Some problems are left that no repair solves: {command}")
            self.console.out(text.format(command=doctor))
            self.code = max(self.code, PROBLEMS)

    def _all(self, ids: tuple[str, ...]) -> bool:
        """These repairs and the restart that they share; whether the machine has been changed and nothing failed."""
        before = len(self.entries)
        for fix_id in ids:
            self._tried.append(fix_id)
            try:
                self.entries.append(self._one(fix_id))
            except Trouble as trouble:
                if (len(ids) == 1 and not self._waiting) or trouble.kind in _STOPS_ALL:
                    raise
                self.entries.append(self._impossible(fix_id, trouble))
                continue
            state = StepState(self.entries[-1]["state"])
            self.code = max(self.code, FINE if self._waits(self.entries[-1]) else _CODES.get(state, FINE))
            if state is StepState.FAILED:
                break
        if self.call.options.dry_run:
            self._show_closing()
            return False
        settled = self._settle()
        states = [entry["state"] for entry in self.entries[before:]]
        return StepState.FAILED.value not in states and (settled or StepState.DONE.value in states)

    def _waits(self, entry: dict[str, Any]) -> bool:
        return any(receipt.id == entry.get("receipt") for receipt in self._waiting)

    def _one(self, id: str) -> dict[str, Any]:
        """One repair from the preview to its check, or to the restart that comes last; its JSON entry."""
        host = self.call.host
        earlier = next((receipt for receipt in self._waiting if receipt.fix == id), None)
        if earlier is not None:
            self.console.tagged(
                tag(StepState.PLANNED), _("{id}: made already, it waits for its last step.").format(id=id)
            )
            return {"id": id, "state": earlier.state.value, "reason": earlier.reason, "receipt": earlier.id}
        plan = repairs.plan(host, id)
        if plan is None:
            if not self.call.options.dry_run:
                repairs.confirm(host, id)
            self.console.tagged(tag(StepState.ALREADY), _("{id}: already in place, nothing to do.").format(id=id))
            return {"id": id, "state": StepState.ALREADY.value}
        return self._planned(plan)

    def _planned(self, plan: Fix) -> dict[str, Any]:
        host, console = self.call.host, self.console
        parts = repairs.preview(host, plan)
        _show(console, plan, parts)
        entry = _to_json(plan, parts)
        if self.call.options.dry_run:
            self._plans.append(plan)
            return {**entry, "state": StepState.PLANNED.value}
        if not agreed(self.call, _("Make this repair?"), plan.id):
            return {**entry, "state": StepState.DECLINED.value}
        if plan.needs_root:
            become_root(self.call)
        receipt = repairs.apply(host, plan, emit=Narrator(console), cancel=self.call.cancel, defer=True)
        if receipt.closing:
            self._waiting.append(receipt)
            console.say(_("{title}: made. It takes effect with the last step.").format(title=receipt.title))
        else:
            self._ended(receipt)
        return {**entry, "state": receipt.state.value, "reason": receipt.reason, "receipt": receipt.id}

    def _ended(self, receipt: Receipt) -> None:
        show_receipt(self.console, receipt)
        if receipt.state in (StepState.DONE, StepState.NOT_VERIFIED) and repairs.can_be_undone(receipt):
            self.console.say(_("To take it back: {command}").format(command=self.console.typed("undo", receipt.id)))

    def _impossible(self, id: str, trouble: Trouble) -> dict[str, Any]:
        """A repair that cannot be planned or begun does not keep the others from being made."""
        explained = words.explain(trouble)
        self.console.tagged(tag(StepState.FAILED), _("{id}: {summary}").format(id=id, summary=explained.summary))
        self.console.paragraph(explained.advice)
        self.code = max(self.code, exit_code(trouble.kind))
        return {"id": id, "state": StepState.FAILED.value, "reason": explained.summary}

    # --- the last step -------------------------------------------------------------------------------------------

    def _settle(self) -> bool:
        """The commands that the repairs share, once. Whether they were run."""
        if not self._waiting:
            return False
        host, console = self.call.host, self.console
        if not self._may_restart():
            for receipt in self._waiting:
                self._note(receipt)
            console.say(_("To finish it later: {command}").format(command=console.typed("fix")))
            self.code = max(self.code, PERSON)
            return False
        if any(command.needs_root for receipt in self._waiting for command in receipt.closing):
            become_root(self.call)
        for receipt in repairs.settle(host, self._waiting, emit=Narrator(console), cancel=self.call.cancel):
            self._ended(receipt)
            self._note(receipt)
            self.code = max(self.code, _CODES.get(receipt.state, FINE))
        self._waiting, self._from_before = [], False
        return True

    def _may_restart(self) -> bool:
        """Shows the last step; asks once more when it stops containers that nobody has agreed to lose."""
        host, console = self.call.host, self.console
        console.out()
        console.out(_("The last step of all these repairs:"))
        for part in repairs.closing_parts(host, self._waiting):
            console.out(f"    {part.text}")
        names = repairs.stopped(host) if repairs.restarts(self._waiting) else ()
        if self.call.options.yes or not (names or self._from_before):
            return True
        protection = repairs.protection(host) if names else None
        if protection is not None and protection.id not in self._tried:
            self._tried.append(protection.id)
            console.out(_("This would stop running containers ({names}).").format(names=", ".join(names)))
            self.entries.append(self._planned(protection))
            names = repairs.stopped(host)
            if not names and not self._from_before:
                return True
        if names:
            console.out(_("Restarting Docker stops: {names}.").format(names=", ".join(names)))
        return agreed(self.call, _("Restart Docker now?"), "docker")

    def _note(self, receipt: Receipt) -> None:
        for entry in self.entries:
            if entry.get("receipt") == receipt.id:
                entry.update(state=receipt.state.value, reason=receipt.reason)
                return
        self.entries.append(
            {"id": receipt.fix, "state": receipt.state.value, "reason": receipt.reason, "receipt": receipt.id}
        )

    def _show_closing(self) -> None:
        """For --dry-run: what several repairs share is done once."""
        if sum(bool(plan.closing) for plan in self._plans) < 2:
            return
        self.console.out(_("Of all these, the last step is done only once:"))
        for line in repairs.closing_lines(self.call.host, self._plans):
            self.console.out(f"    {line}")


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


def tell_interrupted(console: Console, receipt: Receipt) -> None:
    """That a repair was broken off, how far it had come, and the two ways on."""
    console.out(_('The repair "{title}" was interrupted. Done until then:').format(title=receipt.title))
    for line in repairs.story(receipt):
        console.out(f"    {line}")
    console.out("  " + _("To finish it: {command}").format(command=console.typed("fix", receipt.fix)))
    console.out("  " + _("To take it back: {command}").format(command=console.typed("undo", receipt.id)))


def tell_pending(console: Console, receipts: tuple[Receipt, ...]) -> None:
    """That repairs wait for the restart that comes last."""
    for receipt in receipts:
        console.out(_('The repair "{title}" waits for its last step.').format(title=receipt.title))
        console.out("  " + _("To finish it: {command}").format(command=console.typed("fix", receipt.fix)))
        console.out("  " + _("To take it back: {command}").format(command=console.typed("undo", receipt.id)))


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
    restart = _("The Docker service is restarted.") if plan.risk is Risk.RESTART and not plan.touches_note else ""
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
