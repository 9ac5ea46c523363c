"""Text fields: a line to type in, with its label and what is wrong with it. Loaded by the pages that have one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from screens.dialogs import Dialog
from screens.layout import Block, Item, Para
from screens.session import Session
from screens.widgets import POINTER, Blocks, Choice
from wizard.model.finding import Status
from wizard.model.i18n import _


class Line(Input):
    """A one-line text field whose Up and Down go to the neighbours."""

    DEFAULT_CSS = """
    Line, Line:focus { width: 1fr; height: 1; border: none; padding: 0 1; background: $panel-lighten-1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(self, value: str = "", *, password: bool = False, on_enter: str = "", select: bool = False) -> None:
        super().__init__(value, password=password, compact=True, select_on_focus=select)
        self.is_typed_in = True
        self.on_enter = on_enter or _("Next line")


class Field(Vertical):
    """A label, a text field, and a line below that explains it or says what is wrong with it.

    With ``select`` the value is an example: what is typed or pasted takes its place.
    """

    SCOPED_CSS = False
    DEFAULT_CSS = """
    Field { height: auto; }
    .-tall Field { margin-bottom: 1; }
    .field-row { layout: horizontal; height: 1; }
    .field-label { width: 20; height: 1; }
    .field-hint { margin-left: 21; }
    Field:focus-within .field-label { color: $text-accent; text-style: bold; }
    """

    def __init__(
        self,
        label: str,
        value: str = "",
        hint: str = "",
        *,
        password: bool = False,
        on_enter: str = "",
        select: bool = False,
        id: str,
    ) -> None:
        super().__init__(id=id)
        self._label, self._hint = label, hint
        self._line = Line(value, password=password, on_enter=on_enter, select=select)

    def compose(self) -> ComposeResult:
        with Vertical(classes="field-row"):
            yield Static(self._shown(False), classes="field-label", markup=False)
            yield self._line
        yield Blocks(classes="field-hint")

    def on_mount(self) -> None:
        self.explain()

    @property
    def line(self) -> Line:
        """The text field itself."""
        return self._line

    @property
    def value(self) -> str:
        """What stands in the field."""
        return self.line.value

    def explain(self, error: str = "") -> None:
        """Shows ``error`` below the field, or the ordinary hint again."""
        self.set_class(bool(error), "-wrong")
        shown: Block = Item(error, Status.ERROR) if error else Para(self._hint, "$foreground-muted")
        self.query_one(".field-hint", Blocks).blocks = (shown,)

    def on_descendant_focus(self) -> None:
        self.query_one(".field-label", Static).update(self._shown(True))

    def on_descendant_blur(self) -> None:
        self.query_one(".field-label", Static).update(self._shown(False))

    def _shown(self, focused: bool) -> str:
        return (POINTER if focused else "  ") + self._label


class AskLine(Dialog):
    """Asks for one line; the result is the text, empty when the user changed their mind.

    ``wrong`` looks at the text and says in a sentence what is wrong with it, or nothing.
    """

    def __init__(
        self, session: Session, title: str, hint: str, value: str, wrong: Callable[[str], str], *, label: str = ""
    ) -> None:
        super().__init__(session, title, (), [Choice("ok", _("Use it")), Choice("", _("Close"))])
        self._hint, self._value, self._wrong, self._label = hint, value, wrong, label or _("Name")

    def content(self) -> ComposeResult:
        yield Field(self._label, self._value, self._hint, on_enter=_("Use it"), select=True, id="line")

    def start(self) -> None:
        self.query_one(Field).line.focus()

    @on(Line.Submitted)
    def _submitted(self) -> None:
        self.picked("ok")

    def picked(self, choice: str) -> None:
        field = self.query_one(Field)
        if choice != "ok":
            self.dismiss("")
            return
        wrong = self._wrong(field.value.strip())
        field.explain(wrong)
        if wrong:
            field.line.focus()
        else:
            self.dismiss(field.value.strip())
