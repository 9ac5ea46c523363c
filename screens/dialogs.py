"""Pages on top of the page: a question, a text to read, and "the window is too small"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from screens.layout import Block, Para, plain
from screens.session import Session
from screens.widgets import Blocks, Choice, Choices, Page, Spread
from wizard.model.errors import Trouble
from wizard.model.i18n import _
from wizard.model.secret import redact

SMALLEST = (80, 24)
"""Columns and rows that every screen needs."""
LEAST_TEXT = 4
"""Lines of text that a dialog shows, however many choices it has."""
COPIED = "copied.txt"
LOOK = str(Path(__file__).with_name("dialogs.tcss"))


class Banner(Static):
    """Says on every screen that the machine is simulated, and nothing on a real one."""

    def __init__(self, session: Session) -> None:
        name = session.simulated
        text = _("SIMULATED MACHINE: {name}. Nothing here changes your computer.").format(name=name) if name else ""
        super().__init__(text, classes="banner", markup=False)
        self.display = bool(name)


class Dialog(ModalScreen[str]):
    """A text and choices on top of a step. The result is the id of the choice; Esc gives an empty one."""

    AUTO_FOCUS = ""
    CSS_PATH = LOOK
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("c", "copy", show=False),
        Binding("pageup", "scroll_page(-1)", show=False),
        Binding("pagedown", "scroll_page(1)", show=False),
    ]

    def __init__(
        self,
        session: Session,
        title: str,
        blocks: Iterable[Block],
        choices: Iterable[Choice],
        default: str = "",
        *,
        at_end: bool = False,
    ) -> None:
        super().__init__()
        self.session = session
        self._title, self._blocks = title, tuple(blocks)
        self._choices, self._default, self._at_end = tuple(choices), default, at_end

    def compose(self) -> ComposeResult:
        yield Banner(self.session)
        with Vertical(classes="dialog"):
            yield Spread(self._title, classes="dialog-title")
            with Page():
                yield from self.content()
            yield Choices(self._choices, self._default, id="choices")
            yield Spread(_("Enter Choose   Esc Close   c Copy"), classes="dialog-keys")

    def content(self) -> ComposeResult:
        """What stands above the choices."""
        yield Blocks(self._blocks, id="text")

    def start(self) -> None:
        """Puts the focus where the user begins."""
        self.query_one(Choices).focus()

    def on_mount(self) -> None:
        self.start()
        self.query_one(Choices).post_message(Choices.Moved())
        page = self.query_one(Page)
        self._fit()
        if self._at_end:
            page.scroll_end(animate=False)

    def read(self, title: str, blocks: Iterable[Block], choices: Iterable[Choice]) -> None:
        """Shows another text in the same dialog."""
        self._choices = tuple(choices)
        self.query_one(Choices).offer(self._choices)
        self.query_one(".dialog-title", Spread).say(title)
        self.query_one("#text", Blocks).blocks = tuple(blocks)
        page = self.query_one(Page)
        page.scroll_home(animate=False)
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """Leaves room for the frame, the title, the choices and the keys; of many choices some are in sight."""
        room = self.app.size.height - 12
        shown = min(len(self._choices), max(room - LEAST_TEXT, 1))
        self.query_one(Choices).room = shown
        self.query_one(Page).fit(room - shown)

    @on(Choices.Picked)
    def _picked(self, message: Choices.Picked) -> None:
        message.stop()
        self.picked(message.choice.id)

    def picked(self, choice: str) -> None:
        """A choice was made."""
        self.dismiss(choice)

    def dismiss(self, result: str | None = None) -> AwaitComplete:
        """Closes the dialog, once: a second key can arrive before the first has closed it."""
        return super().dismiss(result) if self.is_current else AwaitComplete()

    def action_close(self) -> None:
        self.dismiss("")

    def action_copy(self) -> None:
        told = copy_text(self.app, self.session, plain(self.query_one("#text", Blocks).blocks))
        self.query_one(".dialog-keys", Spread).say(told)

    def action_scroll_page(self, direction: int) -> None:
        page = self.query_one(Page)
        page.scroll_relative(y=direction * max(page.size.height - 1, 1), animate=False)


class Pick(Dialog):
    """A list to choose from; ``about`` is what is said of the line that the pointer stands on."""

    def __init__(
        self, session: Session, title: str, choices: Iterable[Choice], about: Mapping[str, str], default: str = ""
    ) -> None:
        super().__init__(session, title, (), [*choices, Choice("", _("Close"))], default)
        self._about = about

    @on(Choices.Moved)
    def _moved(self, message: Choices.Moved) -> None:
        message.stop()
        choices = self.query_one(Choices)
        current = choices.current
        place = _("{n} of {count}").format(n=choices.index + 1, count=len(choices.options))
        self.query_one(".dialog-title", Spread).say(right=place)
        self.query_one("#text", Blocks).blocks = (Para(self._about.get(current.id, "") if current else ""),)
        self._fit()


class TooSmall(ModalScreen[None]):
    """Covers everything while the window is too small to show it, and goes away by itself."""

    CSS_PATH = LOOK
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.quit", show=False)]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._warnings: list[str] = []

    def has_told(self, warnings: list[str]) -> bool:
        """Whether all that would end with the wizard has been said; otherwise it is said now."""
        told = self._warnings == warnings
        self._warnings = warnings
        self._say()
        return told

    def compose(self) -> ComposeResult:
        yield Banner(self.session)
        yield Static(id="too-small", markup=False)

    def on_mount(self) -> None:
        self._say()

    def on_resize(self) -> None:
        self._say()

    def _say(self) -> None:
        size = self.app.size
        text = _("Please make the window larger\n(now {columns}x{rows}, needs {wide}x{high}).").format(
            columns=size.width, rows=size.height, wide=SMALLEST[0], high=SMALLEST[1]
        )
        how = _("Nothing is lost. Ctrl-C quits.")
        if self._warnings:
            how = "\n".join((*self._warnings, _("Press Ctrl-C once more to quit all the same.")))
        self.query_one("#too-small", Static).update(f"{text}\n\n{how}")


def copy_text(app: App[int], session: Session, text: str) -> str:
    """Copies ``text`` and returns the line that says so.

    A terminal may drop what a program copies without a word, so the text is kept in a file as well.
    """
    text = redact(text)
    app.copy_to_clipboard(text)
    try:
        session.host.store.write(COPIED, text.encode())
    except Trouble:
        return _("Copied. If pasting gives nothing, your terminal does not allow it.")
    return _("Copied. It is also in {path}").format(path=session.host.store.path(COPIED))
