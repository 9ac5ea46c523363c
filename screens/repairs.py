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
from wizard.model.event import Cancel, Emit, Line
from wizard.model.finding import Finding, Status
from wizard.model.fix import Effect, Fix, HandOver, Risk
from wizard.model.i18n import N_, _
from wizard.model.journey import Step
from wizard.model.machine import RootAccess
from wizard.model.receipt import Receipt
from wizard.model.step import StepState

if TYPE_CHECKING:
    from wizard.services.repairs import Part

EFFECTS = {
    Effect.NOW: N_("at once"),
    Effect.AFTER_LOGIN: N_("after you log out and in again"),
    Effect.AFTER_REBOOT: N_("after a restart of the computer"),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A repair that is ready to be shown. ``others`` are more that could be made in the same go, this one first;
    ``began`` is the receipt of an earlier start of it that was interrupted.
    """

    fix: Fix
    parts: tuple[Part, ...]
    access: RootAccess
    others: tuple[Offer, ...] = ()
    began: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Last:
    """The last step, which the repairs that were made wait for. ``stops`` are the containers that it would stop,
    ``protection`` the repair that saves them.
    """

    receipts: tuple[Receipt, ...]
    parts: tuple[Part, ...]
    stops: tuple[str, ...]
    protection: Offer | None
    access: RootAccess


class RepairsScreen(StepScreen):
    """Default is always "Not now"."""

    step = Step.REPAIRS
    skippable = True
    explains = True
    _offer: Offer | None = None
    _last: Last | None = None
    _later = False
    _by_hand: tuple[Receipt, ...] = ()
    _receipt: Receipt | None = None
    _changing = False

    def begin(self) -> None:
        self._offer = self._receipt = self._last = None
        self._changing = False
        self.show([Para(_("One moment …"))])
        self.work(_("Preparing …"), self._next_offer, self._show_offer)

    def _next_offer(self, emit: Emit, cancel: Cancel) -> Offer | Last | None:
        """The first repair that would help, that was not declined, and that is not in place already; after them the
        last step that those which were made wait for.
        """
        from wizard.services import checkup, repairs

        host = self.session.host
        if not self.session.findings:
            self.session.findings = checkup.run(host, emit=emit, cancel=cancel)
        for receipt in self._by_hand:
            repairs.confirm(host, receipt.fix)
        self._by_hand = ()
        began, waiting = repairs.interrupted(host), repairs.pending(host)
        passed = (*self.journey.declined, *(receipt.fix for receipt in waiting))
        asked = {*self.session.wanted, *repairs.sequence(self.session.findings)}
        ids = [id_ for id_ in repairs.known() if id_ in asked and id_ not in passed]
        if began is not None and began.fix in repairs.known() and began.fix not in passed:
            ids = [began.fix, *(id_ for id_ in ids if id_ != began.fix)]
        offers: list[Offer] = []
        impossible: Trouble | None = None
        for fix_id in ids:
            try:
                fix = repairs.plan(host, fix_id)
            except Trouble as trouble:
                # Perhaps it becomes possible when the others are made.
                impossible = impossible or trouble
                continue
            if fix is None:
                repairs.confirm(host, fix_id)
                continue
            first = began if began is not None and began.fix == fix_id else None
            offers.append(Offer(fix, repairs.preview(host, fix), host.privilege.access(), began=first))
        if offers:
            wanted = (offer for offer in offers if offer.fix.id in self.session.wanted and began is None)
            return replace(next(wanted, offers[0]), others=tuple(offers))
        if waiting and not self._later:
            return self._last_step(waiting)
        if impossible is not None and not waiting:
            raise impossible
        return None

    def _last_step(self, waiting: tuple[Receipt, ...]) -> Last:
        from wizard.services import repairs

        host = self.session.host
        access = host.privilege.access()
        stops = repairs.stopped(host) if repairs.restarts(waiting) else ()
        fix = repairs.protection(host) if stops else None
        protection = None
        if fix is not None and fix.id not in self.journey.declined:
            protection = Offer(fix, repairs.preview(host, fix), access)
        return Last(waiting, repairs.closing_parts(host, waiting), stops, protection, access)

    # --- nothing (more) to do

    def _show_offer(self, offer: Offer | Last | None) -> None:
        if isinstance(offer, Last):
            self._show_last(offer)
            return
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
        if self._later:
            blocks += [Gap(), Para(_("The repairs that were made still wait for their last step."))]
            choices.append(Choice("last", _("Show me the last step again"), verb=_("Show")))
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
        rows.append((_("Rights"), _rights(fix.needs_root, offer.access)))
        rows.append((_("Takes effect"), _(EFFECTS[fix.effect])))
        if fix.undo_note:
            rows.append((_("Can be undone"), _("yes; see below")))
        blocks: list[Block] = [Para(fix.title, "bold"), Para(fix.why), Gap(), Facts(rows), Gap()]
        if offer.began is not None:
            blocks = [*interrupted_blocks(offer.began), Gap(), *blocks]
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
        elif len(offer.others) > 1:
            text = _("All {number} repairs in one go").format(number=len(offer.others))
            choices.insert(2, Choice("all", text, _("shows them together first"), _("Show all")))
        if offer.began is not None:
            choices.append(Choice("undo", _("Take back what was done"), _("puts everything back as it was")))
            self._receipt = offer.began
        self.show(blocks, choices, "not-now", note=_("nothing is changed yet"))

    def picked(self, choice: str) -> None:
        if choice == "not-now" and self._offer is not None:
            self.update(replace(self.journey, declined=(*self.journey.declined, self._offer.fix.id)))
            self.begin()
        elif choice == "repair":
            self._repair()
        elif choice == "all":
            self._show_all()
        elif choice == "repair-all":
            self._repair_all()
        elif choice == "last":
            self._later = False
            self.begin()
        elif choice == "later":
            self._later = True
            self.begin()
        elif choice == "settle" and self._last is not None:
            self._settle(self._last)
        elif choice == "protect" and self._last is not None and self._last.protection is not None:
            self._offer, self._last = self._last.protection, None
            self._show_fix(self._offer)
        elif choice == "myself":
            self._show_commands()
        elif choice == "look":
            self._by_hand = () if self._last is None else self._last.receipts
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
        shown = self._last if self._last is not None else self._offer
        if shown is None:
            return
        self.show(
            [
                Para(_("Do this in another window. The wizard waits, and looks again when you come back.")),
                Gap(),
                *part_blocks(shown.parts),
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
            lambda emit, cancel: self._proved(
                repairs.apply(self.session.host, fix, emit, cancel, defer=True), fix.check
            ),
            self._show_proof,
            failed=self._broke,
            retry=self.begin,
            said=self._said,
        )

    def _said(self, event: object) -> None:
        """What the programs of a repair print goes to the log, and its last line under the page."""
        if isinstance(event, Line):
            self.session.note(event.text)
            self.tell(event.text)

    def _repair_aside(self, fix: Fix) -> None:
        """A repair that talks to the user has the terminal to itself."""
        from wizard.model.event import ignore
        from wizard.services import repairs

        host = self.session.host
        try:
            receipt = self.aside(lambda: repairs.apply(host, fix, ignore, Cancel(), defer=True), fix.title)
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

        if receipt.closing:  # the proof comes with the last step
            return receipt, None
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
        self.tell("")
        good = receipt.state in (StepState.DONE, StepState.ALREADY)
        status = Status.OK if good else Status.ERROR if receipt.state is StepState.FAILED else Status.WARNING
        headline: str = {
            StepState.DONE: _("Repaired: {title}"),
            StepState.ALREADY: _("Already in place: {title}"),
            StepState.NOT_VERIFIED: _("Done, but not working yet: {title}"),
            StepState.UNDONE: _("Taken back: {title}"),
        }.get(receipt.state, _("This did not work: {title}"))
        if receipt.closing:
            headline, status = _("Made: {title}"), Status.INFO
        blocks: list[Block] = [Item(headline.format(title=receipt.title), status, style="bold")]
        if receipt.reason:
            blocks += [Gap(), Para(receipt.reason)]
        if found is not None:
            blocks += [Gap(), Para(_("The proof: the wizard looked again"), "bold")]
            blocks += [Item(f"{found.title}: {found.summary}", found.status), *evidence(found.evidence)]
        left = [id_ for id_ in repairs.offered(self.session.findings) if id_ not in self.journey.declined]
        more = left or (repairs.pending(self.session.host) and not self._later)
        choices = [Choice("next" if good and not more else "more", _("Continue"))]
        if repairs.can_be_undone(receipt):
            choices.append(Choice("undo", _("Take it back"), _("puts everything back as it was")))
        self.show(blocks, choices)

    # --- several in one go

    def _show_all(self) -> None:
        """All that is left, on one page, for one yes."""
        if self._offer is None:
            return
        offers = self._offer.others
        blocks: list[Block] = [Para(_("All of this would be done, in this order:"), "bold")]
        for number, offer in enumerate(offers, 1):
            blocks += [Gap(), Para(f"{number}. {offer.fix.title}", "bold"), *part_blocks(offer.parts)]
            if offer.fix.touches_note:
                blocks.append(Para(offer.fix.touches_note))
        if sum(bool(offer.fix.closing) for offer in offers) > 1:
            blocks += [Gap(), Para(_("What starts or restarts Docker is done only once, after the last of them."))]
        self.show(
            blocks,
            [
                Choice("more", _("Back, one at a time"), _("changes nothing"), _("Back")),
                Choice("repair-all", _("Repair all"), _("then asks about the last step"), _("Repair")),
            ],
            "more",
            note=_("nothing is changed yet"),
        )

    def _repair_all(self) -> None:
        if self._offer is None:
            return
        offers = self._offer.others
        if any(offer.fix.needs_root for offer in offers) and not self._become_root():
            return
        if any(isinstance(action, HandOver) for offer in offers for action in offer.fix.actions):
            self._repair()  # one of them talks to the user
            return
        self._changing = True
        self.show([Para(_("Repairing. Please leave the wizard open."), "bold")])
        self.work(
            _("Repairing …"),
            lambda emit, cancel: self._apply_all(offers, emit, cancel),
            self._show_made,
            failed=self._broke,
            retry=self.begin,
            said=self._said,
        )

    def _apply_all(self, offers: Sequence[Offer], emit: Emit, cancel: Cancel) -> tuple[Receipt, ...]:
        """Makes one after the other. One that would do something else than what was shown is left for later."""
        from wizard.services import repairs

        host = self.session.host
        made: list[Receipt] = []
        with host.store.lock():
            for offer in offers:
                fix = repairs.plan(host, offer.fix.id)
                if fix is None:
                    continue
                if fix.actions != offer.fix.actions:
                    break
                made.append(repairs.apply(host, fix, emit, cancel, defer=True))
                if made[-1].state is StepState.FAILED:
                    break
        self.session.findings = ()
        return tuple(made)

    def _show_made(self, made: tuple[Receipt, ...]) -> None:
        self._changing = False
        self.tell("")
        self.update(replace(self.journey, receipts=(*self.journey.receipts, *(receipt.id for receipt in made))))
        self._receipt = made[-1] if made else None
        blocks = receipt_blocks(made) or [Item(_("No other repair is left."), Status.INFO)]
        failed = tuple(receipt.fix for receipt in made if receipt.state is StepState.FAILED)
        if failed:  # not offered at once again; "Show me these repairs again" does
            self.update(replace(self.journey, declined=(*self.journey.declined, *failed)))
        self.show(blocks, [Choice("more", _("Continue"))])

    # --- the last step

    def _show_last(self, last: Last) -> None:
        self._last = last
        rows = [(_("Repairs"), ", ".join(receipt.title for receipt in last.receipts))]
        if last.stops:
            rows.append((_("Careful"), _("This stops running containers: {names}").format(names=", ".join(last.stops))))
        needs_root = any(command.needs_root for receipt in last.receipts for command in receipt.closing)
        rows.append((_("Rights"), _rights(needs_root, last.access)))
        blocks: list[Block] = [
            Para(_("The last step"), "bold"),
            Para(
                _(
                    "The repairs are made. They count when Docker has read its settings. Before that, the new settings "
                    "are tried out; if Docker does not come back, the wizard puts the old ones back and starts it."
                )
            ),
            Gap(),
            Facts(rows),
            Gap(),
            *part_blocks(last.parts),
        ]
        choices = [
            Choice("later", _("Not now"), _("the repairs wait; nothing is stopped")),
            Choice("settle", _("Do it now"), _("then checks each repair")),
            Choice("myself", _("I do it myself"), _("shows the commands, then checks again"), _("Show commands")),
        ]
        if last.protection is not None:
            text = _("nothing stops then, except containers that remove themselves")
            choices.insert(1, Choice("protect", _("Protect the containers first"), text, _("Show")))
        if needs_root and last.access is RootAccess.NONE:
            choices = [choice for choice in choices if choice.id != "settle"]
        self.show(blocks, choices, "later", note=_("nothing is stopped yet"))

    def _settle(self, last: Last) -> None:
        from wizard.services import checkup, repairs

        needs_root = any(command.needs_root for receipt in last.receipts for command in receipt.closing)
        if needs_root and not self._become_root():
            return

        def run(emit: Emit, cancel: Cancel) -> tuple[Receipt, ...]:
            ended = repairs.settle(self.session.host, last.receipts, emit, cancel)
            self.session.findings = checkup.run(self.session.host)
            return ended

        self._changing = True
        self.show([Para(_("The last step"), "bold"), Gap(), Para(_("Repairing. Please leave the wizard open."))])
        self.work(_("Repairing …"), run, self._show_settled, failed=self._broke, retry=self.begin, said=self._said)

    def _show_settled(self, ended: tuple[Receipt, ...]) -> None:
        self._changing = False
        self.tell("")
        self._receipt = ended[-1]
        ids = [receipt.id for receipt in ended if receipt.id not in self.journey.receipts]
        failed = tuple(receipt.fix for receipt in ended if receipt.state is not StepState.DONE)
        declined = (*self.journey.declined, *failed)
        self.update(replace(self.journey, receipts=(*self.journey.receipts, *ids), declined=declined))
        blocks = receipt_blocks(ended)
        proofs = [item for item in self.session.findings if item.id in {receipt.check for receipt in ended}]
        if proofs:
            blocks += [Gap(), Para(_("The proof: the wizard looked again"), "bold")]
        for found in proofs:
            blocks += [Item(f"{found.title}: {found.summary}", found.status), *evidence(found.evidence)]
        self.show(blocks, [Choice("more", _("Continue"))])

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


def receipt_blocks(receipts: Sequence[Receipt]) -> list[Block]:
    """How repairs ended, one line each, with the reason where there is one."""
    blocks: list[Block] = []
    for receipt in receipts:
        status = {
            StepState.DONE: Status.OK,
            StepState.ALREADY: Status.OK,
            StepState.FAILED: Status.ERROR,
        }.get(receipt.state, Status.INFO if receipt.closing else Status.WARNING)
        blocks.append(Item(receipt.title, status, style="bold"))
        if receipt.reason:
            blocks.append(Para(receipt.reason))
    return blocks


def interrupted_blocks(receipt: Receipt) -> list[Block]:
    """That a repair was broken off, and how far it had come."""
    from wizard.services import repairs

    lines = "\n".join(repairs.story(receipt))
    return [Item(_("This repair was interrupted. Done until then:"), Status.WARNING), Code(lines, "command")]


def _rights(needs_root: bool, access: RootAccess) -> str:
    if not needs_root:
        return _("your own are enough")
    return {
        RootAccess.ROOT: _("root, which you are"),
        RootAccess.READY: _("root; sudo does not ask for a password now"),
        RootAccess.PASSWORD: _("root; sudo asks for your password in the terminal"),
        RootAccess.NONE: _("root, but there is no sudo here: do it yourself as root"),
    }[access]
