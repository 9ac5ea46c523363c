"""Which image: one recommendation with its reason, its size, other choices, or a name of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from screens.base import StepScreen, brief, trouble_blocks
from screens.dialogs import Pick
from screens.fields import AskLine
from screens.layout import Block, Facts, Gap, Item, Para, size
from screens.widgets import Choice
from wizard.model.errors import Trouble
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.model.image import ImageReference
from wizard.model.journey import Step

if TYPE_CHECKING:
    from wizard.services.image import Advice
    from wizard.services.image import Choice as Option
    from wizard.services.image_fit import Fit
    from wizard.services.pull import Preview


_VERDICTS = {"yes": Status.OK, "no": Status.WARNING, "unknown": Status.INFO}


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known about the image that would be used."""

    image: str
    advice: Advice
    plan: Preview | None
    trouble: Trouble | None
    fit: Fit | None = None


class ImageScreen(StepScreen):
    """Recommends, explains, lets the user decide."""

    step = Step.IMAGE
    _looked: Looked | None = None

    def begin(self) -> None:
        self._look(self.journey.image)

    def _look(self, wanted: str) -> None:
        self.show([Para(_("One moment …"))])
        self.work(
            _("Asking the registry …"),
            lambda _emit, _cancel: self._find(wanted),
            self._show,
            retry=lambda: self._look(wanted),
        )

    def _find(self, wanted: str) -> Looked:
        from wizard.services import account, image, image_fit, pull

        host = self.session.host
        advice = image.for_machine(host)
        chosen = wanted or (advice.recommended.image if advice.recommended else "")
        if not chosen and advice.alternatives:
            chosen = advice.alternatives[0].image
        if not chosen:
            return Looked("", advice, None, None)
        try:
            key = account.current(host)
            fit = None
            offered = (advice.recommended, *advice.alternatives)
            if wanted and wanted not in (choice.image for choice in offered if choice is not None):
                fit = image_fit.check(host, wanted, key[0] if key else None)
            return Looked(chosen, advice, pull.preview(host, chosen, key[0] if key else None), None, fit)
        except Trouble as trouble:
            return Looked(chosen, advice, None, trouble)

    def _show(self, looked: Looked) -> None:
        self._looked = looked
        advice, best = looked.advice, looked.advice.recommended
        blocks: list[Block] = []
        if best is not None and best.image == looked.image:
            blocks += [
                Item(_("Recommended: {image}").format(image=best.image), Status.OK, style="bold"),
                Gap(),
                *_about(best),
            ]
        elif looked.image:
            blocks += [Item(_("Your choice: {image}").format(image=looked.image), Status.INFO, style="bold"), Gap()]
            for choice in advice.alternatives:
                if choice.image == looked.image:
                    blocks += _about(choice)
            if looked.fit is not None:
                blocks += [Item(line, _VERDICTS[looked.fit.verdict.value]) for line in looked.fit.reasons]
        else:
            blocks.append(Item(_("No image is known to work on this GPU."), Status.WARNING, style="bold"))
        blocks += [Item(line, Status.INFO) for line in advice.advice]
        if looked.plan is not None:
            blocks += [Gap(), *_sizes(looked.plan)]
        if looked.trouble is not None:
            blocks += [Gap(), *trouble_blocks(looked.trouble)]
        self.show(blocks, self._choices(looked))
        self._trouble = looked.trouble

    def _choices(self, looked: Looked) -> list[Choice]:
        choices = []
        if looked.trouble is not None:
            choices.append(Choice("again", _("Try again")))
        if looked.image:
            choices.append(Choice("use", _("Use this image")))
        if looked.advice.alternatives:
            choices.append(Choice("others", _("Other images"), _("with what each is good for"), _("Show")))
        choices.append(Choice("own", _("Enter a name"), _("for another image or registry")))
        return choices

    def picked(self, choice: str) -> None:
        if choice == "use" and self._looked is not None:
            self._use(self._looked)
        elif choice == "others" and self._looked is not None:
            self._choose(self._looked.advice)
        elif choice == "own":
            self._ask()

    def _use(self, looked: Looked) -> None:
        self.session.manifest = looked.plan.manifest if looked.plan else None
        journey = self.journey
        if journey.image != looked.image:
            journey = journey.reopened(Step.PULL).reopened(Step.CONTAINER)
        self.update(replace(journey, image=looked.image))
        self.next()

    def _choose(self, advice: Advice) -> None:
        options = ([advice.recommended] if advice.recommended else []) + list(advice.alternatives)
        dialog = Pick(
            self.session,
            _("Which image?"),
            [Choice(option.image, option.tag) for option in options],
            {option.image: "\n".join(block.text for block in _about(option)) for option in options},
            self._looked.image if self._looked else "",
        )

        def chosen(image: str | None) -> None:
            if image:
                self._look(image)

        self.app.push_screen(dialog, chosen)

    def _ask(self) -> None:
        def wrong(text: str) -> str:
            try:
                ImageReference.parse(text)
            except Trouble as trouble:
                return brief(trouble)
            return ""

        def entered(text: str | None) -> None:
            if text:
                self._look(text.strip())

        self.app.push_screen(
            AskLine(
                self.session,
                _("The name of the image"),
                _("Registry, name and tag, as in nvcr.io/nvidia/tensorflow:20.11-tf1-py3"),
                self._looked.image if self._looked else "",
                wrong,
            ),
            entered,
        )

    def action_back(self) -> None:
        from wizard.services import repairs

        nothing = not self.journey.receipts and not repairs.offered(self.session.findings)
        self.go(Step.CHECKUP if nothing else Step.REPAIRS)


def _about(choice: Option) -> list[Para]:
    """Why, and how sure that is."""
    from wizard.services import image

    sure = image.sure(choice)
    return [Para(choice.reason), *([Para(sure)] if sure else [])]


def _sizes(plan: Preview) -> Sequence[Block]:
    if plan.here is not None:
        return [Item(_("It is on this computer already. Nothing has to be downloaded."), Status.OK)]
    if plan.bytes_total is None:
        return unknown(plan)
    rows = [(_("Download"), size(plan.bytes_total - plan.bytes_here))]
    if plan.bytes_here:
        rows.append((_("Here already"), size(plan.bytes_here)))
    blocks: list[Block] = [Facts([*rows, *disk_rows(plan)])]
    if not plan.fits:
        blocks += [Gap(), Item(_("There is not enough room on the disk. Make room first."), Status.WARNING)]
    return blocks


def unknown(plan: Preview) -> list[Block]:
    """Why the size is not known."""
    reason = brief(plan.why) if plan.why else ""
    text = _("{reason} So the size is not known before; Docker tries it by a way of its own.").format(reason=reason)
    return [Item(text.strip(), Status.WARNING)]


def disk_rows(plan: Preview) -> list[tuple[str, str]]:
    """The disk that a download needs at each place, as rows of a table."""
    rows = []
    for room in plan.rooms:
        text = _("about {size} in {path}").format(size=size(room.needed), path=room.path)
        if room.free is not None:
            text = _("about {size} in {path}, {free} free").format(
                size=size(room.needed), path=room.path, free=size(room.free)
            )
        rows.append((_("Disk needed"), text))
    return rows
