"""What a training prints, over the whole window: its last lines, to be searched and copied; all of it is on disk."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widgets import Static

from screens.dialogs import LOOK, Banner, copy_text
from screens.fields import Line
from screens.layout import Para
from screens.session import LOG_LINES, Session
from screens.widgets import Blocks, Spread
from screens.work import Job
from wizard.model.event import Cancel, Emit
from wizard.model.i18n import _, ngettext

if TYPE_CHECKING:
    from wizard.model.container_job import Job as ContainerJob
    from wizard.services.train import Piece

REFRESH = 12
"""Times a second that new lines are put on the screen."""
LOGS = ("stdout.log", "stderr.log")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
"""What could move the cursor or change the colours of the user's terminal; tabulators are not among it."""


class Lines(ScrollView, can_focus=True):
    """Lines to scroll and to select in. Nothing is done for a line that is not in sight: Textual's own ``Log`` works on
    every one, which is too slow for a program that prints without end.
    """

    ALLOW_SELECT = True

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    @property
    def allow_select(self) -> bool:
        return True

    def show(self, lines: list[str], new: int) -> None:
        """Shows ``lines``, of which the last ``new`` were not there before; who stands at the end stays at the end."""
        at_end = self.is_vertical_scroll_end
        self.lines = lines
        fresh = lines[max(0, len(lines) - new) :]
        width = max((len(line) if line.isascii() else cell_len(line) for line in fresh), default=0)
        self.virtual_size = Size(max(width, self.virtual_size.width if lines else 0), len(lines))
        if at_end:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width, row = self.size.width, top + y
        if row >= len(self.lines):
            return Strip.blank(width, self.rich_style)
        line, style = self.lines[row], self.rich_style
        chosen = self.text_selection.get_span(row) if self.text_selection is not None else None
        if chosen is None:
            strip = Strip([Segment(line, style)])
        else:
            begin, end = chosen
            text = Text(line, no_wrap=True, style=style)
            marked = self.screen.get_component_rich_style("screen--selection")
            text.stylize(marked, begin, len(text) if end == -1 else end)
            strip = Strip(text.render(self.app.console), cell_len(line))
        return strip.crop_extend(left, left + width, style).apply_offsets(left, row)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract("\n".join(self.lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002 - Textual's signature
        self.refresh()


class TrainingLog(ModalScreen[None]):
    """The end of the log of ``job``, as it grows. ``job`` is asked again and again: a rehearsal has one after another.

    A thread reads; the screen takes what has come twelve times a second, the last lines only, so that no flood of lines
    makes it stand still.
    """

    CSS_PATH = LOOK
    DEFAULT_CSS = """
    TrainingLog { layout: vertical; background: $background; }
    TrainingLog Lines { height: 1fr; overflow: auto scroll; background: $background; padding: 0 2; }
    TrainingLog Lines { scrollbar-size: 1 1; }
    TrainingLog .log-line { padding: 0 2; height: 1; }
    TrainingLog .log-path { padding: 0 2; color: $foreground-muted; }
    TrainingLog #search { height: 1; padding: 0 2; }
    TrainingLog #search Static { width: auto; padding: 0 1 0 0; }
    TrainingLog .scan-keys { background: $panel; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("slash", "search", show=False),
        Binding("e", "other", show=False),
        Binding("c", "copy", show=False),
        Binding("q", "close", show=False),
    ]

    def __init__(self, session: Session, job: Callable[[], ContainerJob | None], name: str = LOGS[0]) -> None:
        super().__init__()
        self.session = session
        self._job, self._which = job, name
        self._of: ContainerJob | None = None
        self._kept: deque[str] = deque(maxlen=LOG_LINES)
        self._fresh: deque[str] = deque(maxlen=LOG_LINES)
        self._lock = threading.Lock()
        self._skipped = 0
        self._needle = ""
        self._reader: Job[None] | None = None

    def compose(self) -> ComposeResult:
        yield Banner(self.session)
        yield Spread(classes="log-line", id="log-title")
        yield Blocks(classes="log-path")
        yield Lines()
        with Horizontal(id="search"):
            yield Static(_("Search"), markup=False)
            yield Line(on_enter=_("Search"))
        yield Spread(_("/ Search   e Output or errors   c Copy   Esc Close"), classes="log-line scan-keys")

    def on_mount(self) -> None:
        self.query_one(Lines).focus()
        self._read()
        self.set_interval(1 / REFRESH, self._take, name="lines")

    def on_unmount(self) -> None:
        if self._reader is not None:
            self._reader.leave()

    def _read(self) -> None:
        """Begins with the log of the job that runs now."""
        if self._reader is not None:
            self._reader.leave()
        with self._lock:
            self._fresh.clear()
            self._skipped = 0
        self._kept.clear()
        self.query_one(Lines).show([], 0)
        self._of = job = self._job()
        if job is None:
            return
        name, deaf = self._which, threading.Event()

        def take(piece: Piece) -> None:
            lines = [_CONTROL.sub("�", line).expandtabs() for line in piece.lines[-LOG_LINES:]]
            with self._lock:
                if not deaf.is_set():
                    self._fresh.extend(lines)
                    self._skipped += piece.skipped

        def follow(_emit: Emit, cancel: Cancel) -> None:
            from wizard.services import train

            cancel.on_set(deaf.set)
            train.read_log(self.session.host, job, name, take, cancel)

        self._reader = Job(
            follow,
            post=self.app.post_message,
            returned=lambda _nothing: None,
            failed=lambda trouble: self._say(str(trouble)),
        )
        self._tell()

    def _take(self) -> None:
        """Puts on the screen what has come since the last look."""
        if self._job() is not self._of:
            self._read()
        with self._lock:
            fresh = list(self._fresh)
            self._fresh.clear()
        if not fresh:
            return
        self._kept.extend(fresh)
        self._show(len(fresh))

    def _show(self, new: int) -> None:
        kept = [line for line in self._kept if self._needle in line.lower()] if self._needle else list(self._kept)
        self.query_one(Lines).show(kept, new)
        self._tell()

    def _tell(self) -> None:
        """How many lines there are, and where all of them stand."""
        title = _("What the training prints") if self._which == LOGS[0] else _("Its messages and errors")
        count = len(self._kept)
        text = ngettext("{n} line", "{n} lines", count).format(n=count)
        if self._needle:
            shown = len(self.query_one(Lines).lines)
            text = _("{n} of the last {count} lines").format(n=shown, count=count)
        elif self._skipped or count == LOG_LINES:
            text = _("the last {n} lines").format(n=count)
        self.query_one("#log-title", Spread).say(title, text)
        where = self._of.path(self._which) if self._of is not None else ""
        text = _("All of it: {path}").format(path=where) if where else _("No log yet.")
        path = self.query_one(".log-path", Blocks)
        if path.blocks != (Para(text),):
            path.blocks = (Para(text),)

    def _say(self, text: str) -> None:
        self.query_one(".scan-keys", Spread).say(text)

    @on(Line.Changed)
    def _sought(self, message: Line.Changed) -> None:
        message.stop()
        self._needle = message.value.strip().lower()
        self._show(len(self._kept))

    @on(Line.Submitted)
    def _found(self, message: Line.Submitted) -> None:
        message.stop()
        self.query_one(Lines).focus()

    def action_search(self) -> None:
        self.query_one(Line).focus()

    def action_other(self) -> None:
        """From what it prints to its messages and errors, and back."""
        self._which = LOGS[1 - LOGS.index(self._which)]
        self._read()

    def action_copy(self) -> None:
        chosen = self.get_selected_text() or "\n".join(self.query_one(Lines).lines)
        self._say(copy_text(self.app, self.session, chosen))

    def action_close(self) -> None:
        """Out of the search first, then out of the log."""
        line = self.query_one(Line)
        if line.has_focus or line.value:
            line.value = ""
            self.query_one(Lines).focus()
        elif self.is_current:
            self.dismiss()
