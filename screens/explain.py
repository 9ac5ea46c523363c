"""An error text, pasted into the wizard: what it means, whether it is so on this machine, and what helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Paste
from textual.widgets import TextArea

from screens.base import StepScreen
from screens.layout import Block, Code, Gap, Item, Para, evidence, links
from screens.session import Session
from screens.widgets import Blocks, Choice
from wizard.model.finding import Status
from wizard.model.i18n import _, ngettext
from wizard.model.journey import Step

if TYPE_CHECKING:
    from wizard.services.explain import Explanation

LONGEST = 200_000
"""Characters that the field takes; of more, the end is kept, where the error stands."""


class Pasted(TextArea):
    """The field for the text. Enter begins a new line, because a terminal may send a pasted text as keys."""

    DEFAULT_CSS = """
    Pasted, Pasted:focus { border: none; padding: 0 1; background: $panel-lighten-1; }
    Pasted { height: 10; min-height: 3; }
    .-tall Pasted { height: 20; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+d", "screen.look", show=False),
        Binding("escape", "screen.back", show=False, priority=True),
    ]
    is_typed_in = True
    on_enter = ""

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """What can be done from here, for the key line."""
        return (("Ctrl-D", _("Explain")), (_("Tab"), _("Choices")))

    async def _on_paste(self, event: Paste) -> None:
        """The page deals with it, so that a text can be pasted wherever the focus is."""
        event.prevent_default()

    def action_cursor_down(self, select: bool = False) -> None:
        """At the end of the text, on to what stands below."""
        if self.cursor_at_last_line and not select:
            self.screen.focus_next()
        else:
            super().action_cursor_down(select)


class ExplainScreen(StepScreen):
    """Asks for a text and explains it. Belongs to no step: it leads back to where the user came from."""

    def __init__(self, session: Session, origin: Step) -> None:
        self.step = origin
        super().__init__(session)
        self._found: tuple[Explanation, ...] = ()
        self._fixes: tuple[str, ...] = ()
        self._about_text = ""
        """what is to be said about the text that is just being put into the field"""

    @property
    def heading(self) -> str:
        return _("An error text, explained")

    @property
    def leads_back(self) -> bool:
        return True

    @property
    def field(self) -> Pasted:
        """The field that the text goes into."""
        return self.query_one(Pasted)

    def content(self) -> ComposeResult:
        yield Blocks(id="text")
        yield Pasted("", id="pasted", tab_behavior="focus", show_line_numbers=False)

    def begin(self) -> None:
        """Asks for a text; one that was given before is still there."""
        self._found = ()
        self.show(
            [
                Para(_("Paste the error message here, as much of it as you have. It stays on this computer.")),
                Gap(),
            ],
            [
                Choice("look", _("Explain this text"), _("looks at this computer too, changes nothing"), _("Explain")),
                Choice("leave", _("Go back"), verb=_("Back")),
            ],
        )
        self.field.display = True
        self.field.focus()

    # --- the text

    @on(TextArea.Changed)
    def _typed(self) -> None:
        self.tell(self._about_text)
        self._about_text = ""

    def on_paste(self, event: Paste) -> None:
        """What is pasted goes into the field, wherever the focus is; then Enter explains it."""
        event.stop()
        if self.working:
            return
        if not self.field.display:
            self.field.text = ""
            self.begin()
        self.add(event.text)

    def add(self, text: str) -> None:
        """Puts a pasted text where the cursor stands, and the focus on what is done with it."""
        if len(text) > LONGEST:
            text = text[-LONGEST:]
            self._about_text = _("[warn] The text is very long: only its end is looked at.")
        self.field.insert(_tidied(text))
        self.choices.focus()

    def action_look(self) -> None:
        """Explains what stands in the field."""
        from wizard.services import explain

        text = self.field.text
        if not text.strip():
            self.tell(_("[info] There is no text yet: paste the error message first."))
            self.field.focus()
            return
        if self.working:
            return
        self.field.display = False
        self.show([Para(_("Reading the text, then looking at this computer. Nothing is changed."))])
        self.work(
            _("Looking …"),
            lambda emit, cancel: explain.run(self.session.host, text, emit=emit, cancel=cancel),
            self._explained,
            retry=self.action_look,
        )

    # --- what it means

    def _explained(self, found: tuple[Explanation, ...]) -> None:
        from wizard.services import explain

        self._found = found
        if not found:
            self._show_unknown()
            return
        proved = explain.repairs_for(found)
        self._fixes = proved or found[0].fixes
        blocks: list[Block] = [Para(sentence, "bold") for sentence in explain.verdict(found)]
        for item in found:
            blocks += [*([Gap()] if blocks else []), *explanation_blocks(item)]
        choices = []
        if self._fixes and not self.session.looking:
            label = _("Show me the repair") if proved else _("Show me a repair that may help")
            choices.append(Choice("repair", label, _("nothing is changed before you say yes"), _("Show repair")))
        choices.append(Choice("another", _("Paste another text"), verb=_("Paste")))
        choices.append(Choice("leave", _("Go back"), verb=_("Back")))
        note = ngettext("one cause", "{n} causes", len(found)).format(n=len(found))
        self.show(blocks, choices, note=note)

    def _show_unknown(self) -> None:
        from wizard.services import explain

        blocks: list[Block] = [
            Item(_("The wizard does not know this text."), Status.UNKNOWN, style="bold"),
            Gap(),
            Para(_("This is what you can do:")),
        ]
        blocks += [Item(step, mark=f"{number}.") for number, step in enumerate(explain.unknown(), 1)]
        self.show(
            blocks,
            [
                Choice("checkup", _("Run the check-up"), _("it finds many causes without any text"), _("Check-up")),
                Choice("same", _("Change the text"), verb=_("Change")),
                Choice("leave", _("Go back"), verb=_("Back")),
            ],
        )

    def picked(self, choice: str) -> None:
        if choice == "look":
            self.action_look()
        elif choice == "same":
            self.begin()
        elif choice == "another":
            self.field.text = ""
            self.begin()
        elif choice == "checkup":
            self.session.findings = ()
            self.go(Step.CHECKUP)
        elif choice == "repair":
            self._show_repair()
        elif choice == "leave":
            self.go(self.step)

    def _show_repair(self) -> None:
        from dataclasses import replace

        declined = tuple(id_ for id_ in self.journey.declined if id_ not in self._fixes)
        self.session.wanted = self._fixes
        self.update(replace(self.journey.reopened(Step.REPAIRS), declined=declined))
        self.go(Step.REPAIRS)

    def action_back(self) -> None:
        """While it looks, back to the text; otherwise to where the user came from."""
        if self.working:
            self.end_work()
            self.begin()
        else:
            self.go(self.step)

    def action_explain(self) -> None:
        """This is the page."""


def explanation_blocks(item: Explanation) -> list[Block]:
    """One cause: what it is, whether it is so here and by what that is seen, and what to do."""
    from wizard.services import explain
    from wizard.services.explain import Confirmed

    blocks: list[Block] = [Para(item.title, "bold"), Item(explain.sure(item), item.confirmed.status), Para(item.cause)]
    if item.evidence:
        blocks += [Gap(), Para(_("What the wizard saw"), "bold"), *evidence(item.evidence)]
    if item.note:
        blocks += [Gap(), Para(item.note)]
    if item.confirmed is not Confirmed.NO:
        blocks += [Gap(), Para(_("What to do"), "bold"), *_steps(item.advice)]
    blocks += [Gap(), Para(_("In your text"), "$foreground-muted"), Code(item.matched_text)]
    if item.links:
        blocks += [Gap(), *links(item.links)]
    return blocks


def _steps(advice: Sequence[str]) -> list[Block]:
    return [Item(step, mark=f"{number}.") for number, step in enumerate(advice, 1)]


def _tidied(text: str) -> str:
    """A pasted text without what would disturb the screen: control characters, and the line ends of other systems."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in text if char in "\n\t" or char.isprintable())
