"""What was done and with which commands, how to come back tomorrow, how to take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from screens.base import StepScreen
from screens.layout import Block, Code, Gap, Item, Para
from screens.widgets import Choice
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.model.journey import Step

if TYPE_CHECKING:
    from wizard.services.finish import Summary

ANSWERS = "s2s-answers.toml"


class FinishScreen(StepScreen):
    """The end, which is also a page to come back to."""

    step = Step.FINISH

    def begin(self) -> None:
        self.update(self.journey.finished(self.step))
        self.show([Para(_("One moment …"))])
        self.work(_("Looking back …"), lambda _emit, _cancel: self._summary(), self._tell)

    def _summary(self) -> Summary:
        from wizard.services import finish

        return finish.summary(self.session.host, self.journey)

    def _tell(self, summary: Summary, *first: Block) -> None:
        self._told = summary
        blocks: list[Block] = [*first]
        blocks += [Item(line, Status.OK) for line in summary.done]
        for title, lines in (
            (_("To come back tomorrow"), summary.come_back),
            (_("To rehearse a training, fetch its data, and train"), summary.train),
            (_("To take it back"), summary.undo),
        ):
            if lines:
                blocks += [Gap(), Para(title, "bold"), *(Item(line) for line in lines)]
        if summary.commands:
            blocks += [Gap(), Para(_("The same by hand"), "bold")]
            blocks += [Code(line, "command") for line in summary.commands]
        self.show(
            blocks,
            [
                Choice("quit", _("Quit")),
                Choice("shell", _("Open a shell again"), verb=_("Back")),
                Choice("answers", _("Write the answers file"), _("repeats this on another computer"), _("Write")),
            ],
        )

    def picked(self, choice: str) -> None:
        if choice == "quit":
            self.app.exit(0)
        elif choice == "shell":
            self.go(Step.SHELL)
        elif choice == "answers":
            self._write()

    def _write(self) -> None:
        def written(path: str) -> None:
            told = _("Written: {path}. On another computer: s2s-wizard run {name}").format(path=path, name=ANSWERS)
            self._tell(self._told, Item(told, Status.OK, style="bold"), Gap())

        self.work(_("Writing …"), lambda _emit, _cancel: self._written(), written)

    def _written(self) -> str:
        from wizard.services import finish

        return finish.write_answers(self.session.host, ANSWERS, self.journey)

    _told: Summary
