"""The few widgets that every page is made of. They know nothing of services or steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from screens.layout import Block, lay_out, two_ends
from wizard.model.i18n import _

POINTER = "> "
"""Stands in front of what has the focus, so that no colour is needed to see it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing the user can do. ``hint`` says in a few words what it means; ``verb`` is the word in the key line."""

    id: str
    label: str
    hint: str = ""
    verb: str = ""

    @property
    def on_enter(self) -> str:
        """What the key line says about Enter."""
        return self.verb or (self.label if cell_len(self.label) <= 18 else _("Choose"))


class Blocks(Widget):
    """Blocks of text, laid out for the width that there is."""

    blocks: reactive[Sequence[Block]] = reactive(tuple, layout=True)

    def __init__(self, blocks: Iterable[Block] = (), *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(Blocks.blocks, tuple(blocks))
        self._last: tuple[Sequence[Block], int, Content] | None = None

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 - Textual's signature
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return self._laid_out(width).plain.count("\n") + 1 if self.blocks else 0

    def render(self) -> Content:
        return self._laid_out(self.content_size.width)

    def _laid_out(self, width: int) -> Content:
        """The text at ``width``; Textual asks for its height several times before it is drawn."""
        if self._last is None or self._last[:2] != (self.blocks, width):
            self._last = (self.blocks, width, lay_out(self.blocks, width))
        return self._last[2]


class Page(VerticalScroll, can_focus=False):
    """The part of a screen that scrolls when it does not fit. Page Up and Page Down reach it from anywhere."""

    more = False
    """whether there is more than fits"""

    class Fits(Message):
        """It began to fit, or no longer does."""

    def watch_virtual_size(self) -> None:
        self._mark()

    def on_resize(self) -> None:
        self._mark()

    def fit(self, room: int) -> None:
        """Takes at most ``room`` lines; what is longer scrolls."""
        self.styles.max_height = max(room, 1)
        self.call_after_refresh(self._mark)

    def _mark(self) -> None:
        if self.more != (self.max_scroll_y > 0):
            self.more = self.max_scroll_y > 0
            self.post_message(self.Fits())


class Choices(Widget, can_focus=True):
    """What can be done, one to a line. Up and Down move, Enter chooses. Of more than ``room`` lines those around the
    pointer are in sight.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("home", "jump(0)", show=False),
        Binding("end", "jump(-1)", show=False),
        Binding("enter,space", "pick", show=False),
    ]

    options: reactive[tuple[Choice, ...]] = reactive(tuple, layout=True)
    index: reactive[int] = reactive(0)
    room: reactive[int | None] = reactive(None, layout=True)
    _top = 0
    """the first line in sight"""

    class Picked(Message):
        """``choice`` was chosen."""

        def __init__(self, choices: Choices, choice: Choice) -> None:
            super().__init__()
            self.choices = choices
            self.choice = choice

        @property
        def control(self) -> Choices:
            return self.choices

    class Moved(Message):
        """Another line has the pointer."""

    def __init__(self, options: Iterable[Choice] = (), default: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.set_reactive(Choices.options, tuple(options))
        self.set_reactive(Choices.index, self._place(default))

    def offer(self, options: Iterable[Choice], default: str = "") -> None:
        """Offers other choices; the pointer stands on ``default``, or on the first."""
        self.options = tuple(options)
        self.index = self._place(default)
        self.post_message(self.Moved())

    @property
    def current(self) -> Choice | None:
        """The choice that Enter takes."""
        return self.options[self.index] if 0 <= self.index < len(self.options) else None

    @property
    def on_enter(self) -> str:
        """What the key line says about Enter."""
        return self.current.on_enter if self.current else ""

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 - Textual's signature
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(self.options) if self.room is None else min(len(self.options), max(self.room, 1))

    def _in_sight(self) -> range:
        """The lines that are drawn: the pointer's is among them."""
        high = min(len(self.options), max(self.content_size.height, 1))
        self._top = min(max(self._top, self.index - high + 1, 0), max(self.index, 0), len(self.options) - high)
        return range(self._top, self._top + high)

    def render(self) -> Content:
        column = max((cell_len(option.label) for option in self.options if option.hint), default=0) + 3
        width = self.content_size.width
        lines = []
        for number in self._in_sight():
            option = self.options[number]
            here = self.has_focus and number == self.index
            label = (POINTER if here else "  ") + option.label
            text = Content.assemble(
                (label, "bold $text-accent" if here else ""),
                " " * (column + 2 - cell_len(label)) if option.hint else "",
                (option.hint, "$foreground-muted"),
            ).truncate(width, ellipsis=True)
            lines.append(
                text.pad_right(max(width - text.cell_length, 0)).stylize("on $panel-lighten-1") if here else text
            )
        return Content("\n").join(lines)

    def watch_index(self) -> None:
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Moves the pointer; past an end, the focus goes to what stands there."""
        if 0 <= self.index + by < len(self.options):
            self.index += by
        elif by < 0:
            self.screen.focus_previous()
        else:
            self.screen.focus_next()

    def action_jump(self, index: int) -> None:
        self.index = index % max(len(self.options), 1)

    def action_pick(self) -> None:
        if self.current:
            self.post_message(self.Picked(self, self.current))

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and 0 <= offset.y + self._top < len(self.options):
            self.index = offset.y + self._top
            self.action_pick()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _place(self, wanted: str) -> int:
        return next((number for number, option in enumerate(self.options) if wanted and option.id == wanted), 0)


class Spread(Static):
    """One line with a text at each end."""

    def __init__(self, left: str = "", right: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._ends = (left, right)

    def say(self, left: str | None = None, right: str | None = None) -> None:
        """Changes one end or both."""
        ends = (self._ends[0] if left is None else left, self._ends[1] if right is None else right)
        if ends != self._ends:
            self._ends = ends
            self.refresh()

    def render(self) -> Content:
        return Content(two_ends(*self._ends, self.content_size.width))


class Keys(Static):
    """The keys that do something now, in one line."""

    def __init__(self) -> None:
        super().__init__(id="keys", markup=False)
        self._entries: tuple[tuple[str, str], ...] = ()

    def show(self, entries: Iterable[tuple[str, str]]) -> None:
        """``entries`` are keys and what they do, the most important first; what does not fit is left out."""
        new = tuple(entries)
        if new != self._entries:
            self._entries = new
            self.refresh()

    def render(self) -> Content:
        room = self.content_size.width
        parts: list[Content] = []
        for key, text in self._entries:
            part = Content.assemble((key, "bold $text-accent"), " ", text)
            if part.cell_length > room:
                break
            room -= part.cell_length + 3
            parts.append(part)
        return Content("   ").join(parts)
