"""One repair at a time: why, exactly what, and what else it touches. Nothing happens before the user says yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from screens.base import StepScreen, trouble_blocks
from screens.dialogs import Dialog
from screens.layout import Block, Code, Facts, Gap, Item, Para, evidence
from screens.widgets import Choice
from wizard.model.errors import Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.finding import Finding, Status
from wizard.model.fix import Effect, Fix, HandOver, Risk, StepState
from wizard.model.i18n import N_, _
from wizard.model.journey import Step
from wizard.model.machine import RootAccess
from wizard.model.receipt import Receipt

if TYPE_CHECKING:
    from wizard.services.repairs import Part

EFFECTS = {
    Effect.NOW: N_("at once"),
    Effect.AFTER_LOGIN: N_("after you log out and in again"),
    Effect.AFTER_REBOOT: N_("after a restart of the computer"),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A repair that is ready to be shown."""

    fix: Fix
    parts: tuple[Part, ...]
    access: RootAccess


class RepairsScreen(StepScreen):
    """Default is always "Not now"."""

    step = Step.REPAIRS
    skippable = True
    explains = True
    _offer: Offer | None = None
    _receipt: Receipt | None = None
    _changing = False

    def begin(self) -> None:
        self._offer = self._receipt = None
        self._changing = False
        self.show([Para(_("One moment …"))])
        self.work(_("Preparing …"), self._next_offer, self._show_offer)

    def _next_offer(self, emit: Emit, cancel: Cancel) -> Offer | None:
        """The first repair that would help, that was not declined, and that is not in place already."""
        from wizard.services import checkup, repairs

        host = self.session.host
        if not self.session.findings:
            self.session.findings = checkup.run(host, emit=emit, cancel=cancel)
        for fix_id in dict.fromkeys((*self.session.wanted, *repairs.offered(self.session.findings))):
            if fix_id in self.journey.declined:
                continue
            fix = repairs.plan(host, fix_id)
            if fix is not None:
                return Offer(fix, repairs.preview(host, fix), host.privilege.access())
        return None

    # --- nothing (more) to do

    def _show_offer(self, offer: Offer | None) -> None:
        self._offer = offer
        if offer is not None:
            self._show_fix(offer)
            return
        declined = self.journey.declined
        blocks: list[Block] = [Item(_("There is nothing to repair."), Status.OK)]
        choices = [Choice("next", _("Continue"))]
        if declined:
            blocks = [
                Item(_("No other repair is left."), Status.INFO),
                Gap(),
                Para(
                    _("You said Not now to: {names}. The next steps may not work without.").format(
                        names=", ".join(declined)
                    )
                ),
            ]
            choices.append(Choice("ask-again", _("Show me these repairs again"), verb=_("Show")))
        if self.journey.receipts:
            choices.append(Choice("undo-list", _("Take back what was repaired"), verb=_("Take back")))
        self.show(blocks, choices)

    # --- one repair

    def _show_fix(self, offer: Offer) -> None:
        fix = offer.fix
        rows = []
        if fix.risk is Risk.RESTART:
            rows.append((_("Careful"), _("The Docker service restarts.")))
        if fix.touches:
            rows.append(
                (_("Touches"), _("{note} ({names})").format(note=fix.touches_note, names=", ".join(fix.touches)))
            )
        elif fix.touches_note:
            rows.append((_("Touches"), fix.touches_note))
        rows.append((_("Rights"), _rights(fix, offer.access)))
        rows.append((_("Takes effect"), _(EFFECTS[fix.effect])))
        if fix.undo_note:
            rows.append((_("Can be undone"), _("yes; see below")))
        blocks: list[Block] = [Para(fix.title, "bold"), Para(fix.why), Gap(), Facts(rows), Gap()]
        blocks += [Para(_("Exactly this would be done:"), "bold"), *part_blocks(offer.parts)]
        if fix.undo_note:
            blocks += [Gap(), Para(_("How it is undone"), "bold"), Para(fix.undo_note)]
        choices = [
            Choice("not-now", _("Not now"), _("changes nothing")),
            Choice("repair", _("Repair"), _("does what is shown above, then checks that it worked")),
            Choice("myself", _("I do it myself"), _("shows the commands, then checks again"), _("Show commands")),
        ]
        if fix.needs_root and offer.access is RootAccess.NONE:
            del choices[1]
        self.show(blocks, choices, "not-now", note=_("nothing is changed yet"))

    def picked(self, choice: str) -> None:
        if choice == "not-now" and self._offer is not None:
            self.update(replace(self.journey, declined=(*self.journey.declined, self._offer.fix.id)))
            self.begin()
        elif choice == "repair":
            self._repair()
        elif choice == "myself":
            self._show_commands()
        elif choice == "look":
            self.session.findings = ()
            self.begin()
        elif choice == "more":
            self.begin()
        elif choice == "ask-again":
            self.update(replace(self.journey, declined=()))
            self.begin()
        elif choice in ("undo", "undo-list"):
            self._ask_undo()

    def _show_commands(self) -> None:
        if self._offer is None:
            return
        self.show(
            [
                Para(_("Do this in another window. The wizard waits, and looks again when you come back.")),
                Gap(),
                *part_blocks(self._offer.parts),
            ],
            [
                Choice("look", _("I have done it: check again"), verb=_("Check again")),
                Choice("more", _("Back to the repair"), verb=_("Back")),
            ],
        )

    # --- doing it

    def _repair(self) -> None:
        offer = self._offer
        if offer is None or (offer.fix.needs_root and not self._become_root()):
            return
        if any(isinstance(action, HandOver) for action in offer.fix.actions):
            self._repair_aside(offer.fix)
        else:
            self._apply(offer.fix)

    def _become_root(self) -> bool:
        """Whether commands can be run as root now; asks for the password on the user's own terminal if need be."""
        host = self.session.host
        if host.privilege.access() is not RootAccess.PASSWORD:
            return True
        intro = _("sudo asks for your password here. The wizard never sees it.")
        try:
            asked = self.aside(lambda: host.terminal.run(host.privilege.ask_argv()), intro)
        except Trouble as trouble:
            self._broke(trouble)
            return False
        if asked is None:
            self._show_commands()
        elif host.privilege.access() not in (RootAccess.READY, RootAccess.ROOT):
            self.tell(_("[warn] sudo did not agree, so nothing was changed."))
        else:
            return True
        return False

    def _apply(self, fix: Fix) -> None:
        from wizard.services import repairs

        self._changing = True
        self.show([Para(fix.title, "bold"), Gap(), Para(_("Repairing. Please leave the wizard open."))])
        self.work(
            _("Repairing …"),
            lambda emit, cancel: self._proved(repairs.apply(self.session.host, fix, emit, cancel), fix.check),
            self._show_proof,
            failed=self._broke,
            retry=self.begin,
        )

    def _repair_aside(self, fix: Fix) -> None:
        """A repair that talks to the user has the terminal to itself."""
        from wizard.model.event import ignore
        from wizard.services import repairs

        host = self.session.host
        try:
            receipt = self.aside(lambda: repairs.apply(host, fix, ignore, Cancel()), fix.title)
        except Trouble as trouble:
            self._broke(trouble)
            return
        if receipt is None:
            self._show_commands()
            return
        self.work(_("Checking …"), lambda _emit, _cancel: self._proved(receipt, fix.check), self._show_proof)

    def _proved(self, receipt: Receipt, check: str) -> tuple[Receipt, Finding | None]:
        """The receipt, and what a new look at the machine says."""
        from wizard.services import checkup

        self.session.findings = checkup.run(self.session.host)
        found = next((finding for finding in self.session.findings if finding.id == check), None)
        return receipt, found

    def _broke(self, trouble: Trouble) -> None:
        self._changing = False
        self.session.findings = ()
        self.show(
            trouble_blocks(trouble),
            [
                Choice("again", _("Look again and try again"), verb=_("Try again")),
                Choice("myself", _("I do it myself"), verb=_("Show commands")),
                Choice("back", _("Go back"), verb=_("Back")),
                Choice("skip", _("Skip this step"), verb=_("Skip")),
            ],
        )

    def _show_proof(self, result: tuple[Receipt, Finding | None]) -> None:
        from wizard.services import repairs

        self._changing = False
        receipt, found = result
        self._receipt = receipt
        self.update(replace(self.journey, receipts=(*self.journey.receipts, receipt.id)))
        good = receipt.state in (StepState.DONE, StepState.ALREADY)
        status = Status.OK if good else Status.ERROR if receipt.state is StepState.FAILED else Status.WARNING
        headline = {
            StepState.DONE: _("Repaired: {title}"),
            StepState.ALREADY: _("Already in place: {title}"),
            StepState.NOT_VERIFIED: _("Done, but not working yet: {title}"),
            StepState.UNDONE: _("Taken back: {title}"),
        }.get(receipt.state, _("This did not work: {title}"))
        blocks: list[Block] = [Item(headline.format(title=receipt.title), status, style="bold")]
        if receipt.reason:
            blocks += [Gap(), Para(receipt.reason)]
        if found is not None:
            blocks += [Gap(), Para(_("The proof: the wizard looked again"), "bold")]
            blocks += [Item(f"{found.title}: {found.summary}", found.status), *evidence(found.evidence)]
        left = [id_ for id_ in repairs.offered(self.session.findings) if id_ not in self.journey.declined]
        choices = [Choice("next" if good and not left else "more", _("Continue"))]
        if receipt.state is not StepState.UNDONE and receipt.done:
            choices.append(Choice("undo", _("Take it back"), _("puts everything back as it was")))
        self.show(blocks, choices)

    # --- taking it back

    def _ask_undo(self) -> None:
        receipt = self._receipt.id if self._receipt else self.journey.receipts[-1] if self.journey.receipts else None
        dialog = Dialog(
            self.session,
            _("Take the repair back?"),
            [Para(_("Everything is put back as it was before, byte for byte."))],
            [Choice("", _("No, keep it")), Choice("undo", _("Take it back"))],
        )

        def answered(answer: str | None) -> None:
            if answer == "undo":
                self.call_later(self._undo, receipt)

        self.app.push_screen(dialog, answered)

    def _undo(self, receipt_id: str | None) -> None:
        from wizard.services import repairs

        kept = [item for item in repairs.receipts(self.session.host) if item.id == receipt_id]
        if any(done.needs_root for receipt in kept for done in receipt.done) and not self._become_root():
            return
        self._changing = True
        self.work(
            _("Taking it back …"),
            lambda emit, cancel: self._proved(repairs.undo(self.session.host, receipt_id, emit, cancel), ""),
            self._undone,
            failed=self._broke,
            retry=self.begin,
        )

    def _undone(self, result: tuple[Receipt, Finding | None]) -> None:
        receipts = tuple(item for item in self.journey.receipts if item != result[0].id)
        self._show_proof(result)
        self.update(replace(self.journey, receipts=receipts, declined=(*self.journey.declined, result[0].fix)))

    # --- the frame

    def hold(self) -> str:
        return _("The repair is being ended cleanly. One moment, please.") if self._changing else ""


def part_blocks(parts: Sequence[Part]) -> list[Block]:
    """What a repair does, word for word."""
    blocks: list[Block] = []
    for part in parts:
        blocks.append(Para(part.title, "$foreground-muted"))
        blocks.append(Code(part.text, "diff" if part.kind == "diff" else "command"))
    return blocks


def _rights(fix: Fix, access: RootAccess) -> str:
    if not fix.needs_root:
        return _("your own are enough")
    return {
        RootAccess.ROOT: _("root, which you are"),
        RootAccess.READY: _("root; sudo does not ask for a password now"),
        RootAccess.PASSWORD: _("root; sudo asks for your password in the terminal"),
        RootAccess.NONE: _("root, but there is no sudo here: do it yourself as root"),
    }[access]
