"""A training as it runs: how far it is, loss and wrong words as curves, what it hears, and how the GPU is doing."""

from __future__ import annotations

import math
import os
import posixpath
import sys

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from screens.layout import Block, Item, Para, lay_out, size, two_ends
from screens.pull import duration
from screens.training import State, What
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.model.training import curve, watch
from wizard.model.training.events import Doing

LOW = 5
"""Lines of a curve with its title and its steps on a window of 24 lines."""
MUTED = "$foreground-muted"
_LEARNS = (Doing.TRAINING, Doing.VALIDATING)


class Live(Widget):
    """Draws a ``State``. The curves grow with the window."""

    DEFAULT_CSS = "Live { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state: State | None = None
        self._gpus: tuple[str, ...] = ()
        self._drawn: tuple[int, int, list[Content]] | None = None

    def show(self, state: State | None, gpus: tuple[str, ...] = ()) -> None:
        """Draws how it stands, with one line for each GPU. The page is laid out anew only when the height changes."""
        before = None if self._drawn is None else len(self._drawn[2])
        self._state, self._gpus, self._drawn = state, gpus, None
        self.refresh(layout=before != len(self._lines(self.content_size.width)))

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 - Textual's signature
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(self._lines(width))

    def render(self) -> Content:
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        """The lines at ``width``; Textual asks for their number before it draws them."""
        high = self._height()
        if self._drawn is None or self._drawn[:2] != (width, high):
            state = self._state
            self._drawn = width, high, [] if state is None or width < 1 else self._draw(state, width, high)
        return self._drawn[2]

    def _draw(self, state: State, width: int, high: int) -> list[Content]:
        lines: list[Content] = []
        if state.running:
            lines += [Content.styled(two_ends(title(state), "", width).rstrip(), "bold"), bar(state, width)]
            lines.append(Content(two_ends(where(state), pace(state), width)))
            lines += _laid(_notices(state), width)
        lines += curves(state, width, high)
        lines += _samples(state, width)
        if state.checkpoint is not None and state.running:
            text = _("Last checkpoint: step {n}").format(n=state.checkpoint.step)
            lines.append(Content(two_ends(text, posixpath.basename(state.checkpoint.path), width)))
        if state.running:
            lines += [Content.styled(two_ends(text, "", width).rstrip(), MUTED) for text in self._gpus]
        return lines

    def _height(self) -> int:
        """Lines of a curve: what a higher window has over is theirs, up to twice as many again."""
        return LOW + min(max(self.app.size.height - 26, 0) * 2 // 3, 2 * LOW)


def title(state: State) -> str:
    """What is going on, in a few words."""
    if state.what is What.TRAINING and state.job is not None:
        name = posixpath.basename(state.job.facts.get("config", "")) or state.job.kind
        return _("Training with {config}").format(config=name)
    if state.stage is not None and state.stage.phase:
        text = _("Rehearsal, {n} of {total}: {title}")
        return text.format(n=state.stage.done + 1, total=state.stage.total, title=state.stage.phase)
    return state.title


def bar(state: State, width: int) -> Content:
    """How much of it is done; without a number where none is known."""
    done, total = _counted(state)
    share = min(1.0, done / total) if total else 0.0
    percent = f"{int(share * 100)} %" if total else "…"
    room = max(width - 6, 10)
    filled = int(room * share)
    return Content.assemble(("━" * filled, "$text-accent"), ("─" * (room - filled), MUTED), percent.rjust(6))


def _counted(state: State) -> tuple[int, int | None]:
    """What the bar counts: the parts of a rehearsal, else bytes or batches, else steps."""
    counted = state.stage or state.progress
    if counted is not None:
        return counted.done, counted.total
    return (state.step.step, state.step.total_steps) if state.step is not None else (0, None)


def where(state: State) -> str:
    """Step and epoch; before the first step, what the program does and for how long it has said nothing."""
    if state.what is What.FETCHING:
        return _fetched(state)
    if state.step is None or state.doing not in _LEARNS:
        text = watch.title(state.doing) if state.doing is not None else state.line or state.title
        quiet = state.silence.seconds if state.silence is not None else 0
        if quiet >= 1:
            text = _("{doing}, without a line for {time}").format(doing=text, time=duration(quiet))
        return text
    step = state.step
    parts = [
        _("step {n} of {total}").format(n=step.step, total=step.total_steps)
        if step.total_steps
        else _("step {n}").format(n=step.step)
    ]
    if step.epoch is not None:
        parts.append(_("epoch {n}").format(n=step.epoch))
    if state.doing is Doing.VALIDATING:
        parts.append(watch.title(state.doing))
    return " · ".join(parts)


def _fetched(state: State) -> str:
    counted = state.progress
    if counted is None:
        return state.line
    if counted.unit == "bytes":
        done = size(counted.done)
        return _("{done} of {total}").format(done=done, total=size(counted.total)) if counted.total else done
    return _("{n} of {count}").format(n=counted.done, count=counted.total or "?")


def pace(state: State) -> str:
    """Speed and time left, as far as they are known."""
    if state.what is What.FETCHING:
        counted, parts = state.progress, list[str]()
        if counted is not None and counted.rate and counted.unit == "bytes":
            parts.append(_("{size} a second").format(size=size(counted.rate)))
        if counted is not None and counted.eta is not None:
            parts.append(_("about {time} left").format(time=duration(counted.eta)))
        return " · ".join(parts)
    step = state.step
    if step is None or state.doing not in _LEARNS:
        return ""
    parts = []
    if step.seconds_per_step is not None:
        parts.append(_("{n} s a step").format(n=curve.short(step.seconds_per_step)))
    if step.eta_seconds is not None and state.stage is None:  # of a rehearsal it would be the end of one part
        parts.append(_("about {time} left").format(time=duration(step.eta_seconds)))
    return " · ".join(parts)


def _notices(state: State) -> list[Block]:
    """What goes wrong; else, while nothing has come yet, why it takes so long."""
    if state.stopping == "checkpoint":
        return [Item(_("It stops when the next checkpoint is on the disk."), Status.INFO)]
    if state.stopping:
        text = _("It is being stopped.")
        if state.what is What.TRAINING:
            text = _("It is being stopped. A step that has begun is finished first.")
        return [Item(text, Status.INFO)]
    if state.warning is not None:
        return [Item(f"{state.warning.summary}. {' '.join(state.warning.advice)}", Status.WARNING)]
    if state.stalled is not None:
        text = _("Nothing has moved for {time}.").format(time=duration(state.stalled.seconds))
        return [Item(f"{text} {state.stalled.reason}".strip(), Status.WARNING)]
    if state.step is None and state.doing is not None:
        return [Para(watch.explained(state.doing), MUTED)]
    return []


def _laid(blocks: list[Block], width: int) -> list[Content]:
    return lay_out(blocks, width).split("\n", allow_blank=True) if blocks else []


def curves(state: State, width: int, height: int) -> list[Content]:
    """Loss and wrong words, side by side; nothing before there is one."""
    if not state.loss and not state.wer:
        return []
    room = (width - 3) // 2
    left = _one(_("Loss"), state.step.loss if state.step else None, state.loss, room, height)
    percent = tuple(curve.Point(point.x, point.y * 100, point.count, point.broken) for point in state.wer)
    right = _one(_("Wrong words, %"), percent[-1].y if percent else None, percent, room, height)
    return [
        Content.assemble(
            one if number else (one, "bold"), " " * (room + 3 - cell_len(one)), other if number else (other, "bold")
        )
        for number, (one, other) in enumerate(zip(left, right, strict=True))
    ]


def _one(name: str, value: float | None, points: tuple[curve.Point, ...], width: int, height: int) -> list[str]:
    head = name if value is None else _("{name}: {value}").format(name=name, value=_number(value))
    lines = curve.draw(points, width, height - 1, plain=not draws_braille())
    if not lines:
        lines = [_("measured later")]
    return [*(line for line in (head, *lines)), *[""] * (height - 1 - len(lines))]


def _number(value: float) -> str:
    return curve.short(value) if math.isfinite(value) else _("not a number")


def _samples(state: State, width: int) -> list[Content]:
    """What was said, and below it what the model heard."""
    sample = state.sample
    if sample is None:
        return []
    column = max(cell_len(_("Said")), cell_len(_("Heard"))) + 2
    rows = ((_("Said"), sample.target), (_("Heard"), sample.prediction or "-"))
    return [
        Content.assemble((label + " " * (column - cell_len(label)), MUTED), two_ends(text, "", width - column).rstrip())
        for label, text in rows
    ]


def draws_braille() -> bool:
    """Whether the terminal can be expected to show braille: its encoding has it, and it is not the plain console."""
    try:
        "⣿".encode(getattr(sys.__stderr__, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return os.environ.get("TERM", "") != "linux"
