"""The frame that every step stands in: title, banner, list of steps, page, choices, keys; and work, errors, leaving.

A step's module subclasses ``StepScreen``: it puts its widgets into the page (``content``), starts its work when it is
shown (``begin``) and answers to the choice that was made (``picked``). Everything else is here once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import DescendantBlur, DescendantFocus
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from screens.dialogs import Banner, Dialog, copy_text
from screens.layout import Block, Code, Gap, Item, Para, evidence, links, plain
from screens.session import Session
from screens.widgets import Blocks, Choice, Choices, Keys, Page, Spread
from screens.work import Happened, Job
from wizard.model.errors import Trouble
from wizard.model.event import Cancel, Emit, Started
from wizard.model.event import Line as Said
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.model.journey import TITLES, Journey, Step

if TYPE_CHECKING:
    from textual.widgets import Input

T = TypeVar("T")

MARK_WIDTH = 9
"""Cells of the widest mark in the list of steps."""


class Go(Message):
    """The user wants to be at ``step``."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step


class Explain(Message):
    """The user has an error text; ``step`` is where they come from and go back to."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step


class StepScreen(Screen[None]):
    """One step of the wizard."""

    AUTO_FOCUS = ""
    step: Step
    skippable: ClassVar[bool] = False
    explains: ClassVar[bool] = False
    """whether the key line tells that an error text can be explained; the key works everywhere"""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - declared by Textual
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False),
        Binding("s", "skip", show=False),
        Binding("question_mark,f1", "help", show=False),
        Binding("c", "copy", show=False),
        Binding("e", "explain", show=False),
        Binding("l", "log", show=False),
        Binding("q", "app.quit", show=False),
        Binding("pageup", "scroll_page(-1)", show=False),
        Binding("pagedown", "scroll_page(1)", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._job: Job[Any] | None = None
        self._clock: Timer | None = None
        self._retry: Callable[[], None] = self.begin
        self._trouble: Trouble | None = None

    # --- what a step fills in

    def content(self) -> ComposeResult:
        """The widgets of the page, above the choices."""
        yield Blocks(self.opening()[0], id="text")

    def opening(self) -> tuple[Sequence[Block], Sequence[Choice]]:
        """What is known before anything was asked: it is there in the very first frame."""
        return (), ()

    def begin(self) -> None:
        """Called when the screen is shown, and again by "Try again"."""

    def picked(self, choice: str) -> None:
        """The user chose one of the step's own choices."""

    def submitted(self, message: Input.Submitted) -> None:  # noqa: ARG002 - a step may look at it
        """Enter in a text field: on to what stands below."""
        self.focus_next()

    def more_keys(self) -> Iterable[tuple[str, str]]:
        """Keys of this step for the key line."""
        return ()

    def copyable(self) -> str:
        """What the key c copies."""
        return plain(self.query_one("#text", Blocks).blocks)

    def rescue(self, trouble: Trouble) -> Sequence[Choice]:  # noqa: ARG002 - a step may decide by the kind
        """The choices under an error."""
        choices = [Choice("again", _("Try again")), Choice("back", _("Go back"), verb=_("Back"))]
        if self.skippable:
            choices.append(Choice("skip", _("Skip this step"), verb=_("Skip")))
        return choices

    def hold(self) -> str:
        """Why the step cannot be left at this moment; empty when it can."""
        return ""

    @property
    def heading(self) -> str:
        """The title of the page."""
        return _(TITLES[self.step])

    @property
    def leads_back(self) -> bool:
        """Whether there is a page to go back to."""
        return self.step is not Step.WELCOME

    # --- what a step uses

    @property
    def journey(self) -> Journey:
        """What has been decided so far."""
        return self.session.journey

    @property
    def choices(self) -> Choices:
        """The choices at the foot of the page."""
        return self.query_one("#choices", Choices)

    def show(
        self, blocks: Iterable[Block], choices: Iterable[Choice] = (), default: str = "", *, note: str = ""
    ) -> None:
        """Puts a text on the page and choices under it, and the focus on them."""
        self._trouble = None
        self._stop_clock()
        self.say_note(note)
        self.query_one("#text", Blocks).blocks = tuple(blocks)
        self.page.scroll_home(animate=False)
        self.offer(choices, default)

    def offer(self, choices: Iterable[Choice], default: str = "") -> None:
        """Offers choices, with the pointer on ``default`` or on the first."""
        offered = tuple(choices)
        self.choices.offer(offered, default or (offered[0].id if offered else ""))
        if offered:
            self.choices.focus()
        self.refresh_keys()
        self.fit()

    def fit(self) -> None:
        """Gives the page the lines that the choices leave, so that these are always in sight."""
        self.page.fit(self._room(self.choices))

    def _room(self, choices: Choices) -> int:
        """Lines for the page: all but title, heading, choices, keys, and the space between them."""
        return max(self.app.size.height - 8 - bool(self.session.simulated) - len(choices.options), 1)

    def on_resize(self) -> None:
        self.fit()

    @property
    def page(self) -> Page:
        """The part that scrolls."""
        return self.query_one(Page)

    def say_note(self, text: str) -> None:
        """The short text at the right end of the heading."""
        self.query_one("#heading", Spread).say(right=text)

    def work(
        self,
        what: str,
        run: Callable[[Emit, Cancel], T],
        returned: Callable[[T], None],
        *,
        failed: Callable[[Trouble], None] | None = None,
        said: Callable[[object], None] | None = None,
        retry: Callable[[], None] | None = None,
    ) -> None:
        """Runs a service beside the screen. ``what`` says so in the heading; ``retry`` is what "Try again" does."""
        self.end_work()
        self._retry = retry or self.begin
        self.session.note(what)

        def listen(event: object) -> None:
            if isinstance(event, Said | Started):
                self.session.note(event.text if isinstance(event, Said) else event.what)
            if said is not None:
                said(event)

        def ended(result: T) -> None:
            self._job = None
            self._stop_clock()
            returned(result)

        def broke(trouble: Trouble) -> None:
            self._job = None
            self._stop_clock()
            self.session.note(str(trouble))
            (failed or self.show_trouble)(trouble)

        self._start_clock(what)
        self._job = Job(run, post=self.post_message, returned=ended, failed=broke, said=listen)
        self.refresh_keys()

    @property
    def working(self) -> bool:
        """Whether a service runs for this screen."""
        return self._job is not None

    def stop_safely(self) -> bool:
        """Whether the step can be left; otherwise what runs is asked to come to a safe end, which is said."""
        reason = self.hold()
        if reason:
            if self._job is not None:
                self._job.cancel.set()
            self.tell(reason)
        return not reason

    def end_work(self) -> None:
        """Stops listening to the service that runs, and asks it to stop."""
        if self._job is not None:
            self._job.leave()
            self._job = None
        self._stop_clock()

    def show_trouble(self, trouble: Trouble) -> None:
        """The error panel: what happened, what to do, what was seen, and the ways on."""
        self.show(trouble_blocks(trouble), self.rescue(trouble))
        self._trouble = trouble

    def update(self, journey: Journey) -> None:
        """Keeps what was decided."""
        self.session.update(journey)

    def aside(self, run: Callable[[], T], intro: str) -> T | None:
        """Gives the user's own terminal to ``run`` and comes back; None where a terminal cannot be given away.

        What ``run`` raises is raised here, when the wizard is on the screen again: Textual would leave the terminal
        to whoever raised.
        """
        result: T | None = None
        failure: Exception | None = None
        try:
            with self.app.suspend():
                try:
                    sys.stdout.write(f"\n{intro}\n\n")
                    sys.stdout.flush()
                    result = run()
                except Exception as error:  # noqa: BLE001 - raised again below
                    failure = error
        except SuspendNotSupported:
            return None
        self.refresh(layout=True)
        if failure is not None:
            raise failure
        return result

    def next(self) -> None:
        """This step is done: on to the next."""
        self.update(self.journey.finished(self.step))
        self.go(following(self.step))

    def go(self, step: Step) -> None:
        """Leaves for another step."""
        self.post_message(Go(step))

    def tell(self, text: str) -> None:
        """One quiet line above the keys; empty takes it away."""
        line = self.query_one("#notice", Spread)
        line.say(text)
        line.display = bool(text)

    # --- the frame

    def compose(self) -> ComposeResult:
        info = self.session.host.info
        place = " · ".join(part for part in (info.name, info.os.split(" (")[0]) if part)
        yield Spread(f"s2s-wizard   {place}", self._place(), id="title")
        yield Banner(self.session)
        with Horizontal(id="middle"):
            yield Blocks(self._steps(), id="steps")
            with Vertical(id="sheet"):
                yield Spread(self.heading, id="heading")
                page, choices = Page(id="page"), Choices(self.opening()[1], id="choices")
                page.styles.max_height = self._room(choices)
                with page:
                    yield from self.content()
                yield choices
        yield Spread(id="notice")
        yield Keys()

    def on_mount(self) -> None:
        self.set_interval(1.0, self._show_place)
        if self.session.unsaved is not None:
            from wizard.services import words

            reason = words.explain(self.session.unsaved).summary
            self.tell(_("[warn] Your place is not saved: {reason}").format(reason=reason))
        self.begin()
        self.refresh_keys()

    def on_unmount(self) -> None:
        if self._job is not None:
            self._job.leave()

    def refresh_keys(self) -> None:
        """Brings the key line up to date with what has the focus."""
        if not self.is_mounted:
            return
        typing = getattr(self.focused, "is_typed_in", False)
        keys: list[tuple[str, str]] = []
        verb = getattr(self.focused, "on_enter", "")
        if verb:
            keys.append((_("Enter"), verb))
        keys.extend(getattr(self.focused, "keys", ()))
        if self.leads_back:
            keys.append((_("Esc"), _("Stop") if self.working and self.hold() else _("Back")))
        if self.page.more:
            keys.append((_("PgDn"), _("More")))
        if not typing:
            keys.extend(self.more_keys())
            if self.skippable:
                keys.append(("s", _("Skip")))
        keys.append(("F1" if typing else "?", _("Help")))
        keys.append(("Ctrl-C" if typing else "q", _("Quit")))
        if not typing:
            if self.explains:
                keys.append(("e", _("Explain")))
            keys.append(("c", _("Copy")))
            keys.append(("l", _("Log")))
        self.query_one(Keys).show(keys)

    @on(Page.Fits)
    @on(DescendantFocus)
    @on(DescendantBlur)
    def _focus_moved(self) -> None:
        self.call_later(self.refresh_keys)

    @on(Choices.Moved)
    def _pointer_moved(self) -> None:
        self.refresh_keys()

    @on(Happened)
    def _deal(self, message: Happened) -> None:
        message.deal()

    @on(Choices.Picked)
    def _picked(self, message: Choices.Picked) -> None:
        message.stop()
        self.tell("")
        own = {"next": self.next, "back": self.action_back, "skip": self.action_skip, "again": self.action_again}
        own.get(message.choice.id, lambda: self.picked(message.choice.id))()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """By its name, so that text fields are loaded only by the pages that have one."""
        message.stop()
        self.submitted(message)

    def action_back(self) -> None:
        """To the step before; while something runs that must not be cut off, only asks it to stop."""
        if not self.leads_back:
            return
        if self.stop_safely():
            self.go(Step.WELCOME if self.session.looking else preceding(self.step))

    def action_skip(self) -> None:
        if not self.skippable or self.hold() or self.session.looking:
            return
        self.update(self.journey.passed_over(self.step))
        self.go(following(self.step))

    def action_again(self) -> None:
        """Does again what failed."""
        self._retry()

    def action_help(self) -> None:
        from screens.help import HelpDialog

        self.app.push_screen(HelpDialog(self.session, self.step))

    def action_copy(self) -> None:
        copied = plain(trouble_blocks(self._trouble)) if self._trouble else self.copyable()
        self.tell(copy_text(self.app, self.session, copied))

    def action_explain(self) -> None:
        """To the page that explains an error text, and from there back here."""
        reason = self.hold()
        if reason:
            self.tell(reason)
        else:
            self.post_message(Explain(self.step))

    def action_log(self) -> None:
        lines = "\n".join(self.session.log) or _("Nothing yet.")
        self.app.push_screen(
            Dialog(self.session, _("What the wizard did so far"), [Code(lines)], [Choice("", _("Close"))], at_end=True)
        )

    def action_scroll_page(self, direction: int) -> None:
        self.page.scroll_relative(y=direction * max(self.page.size.height - 1, 1), animate=False)

    def _show_place(self) -> None:
        """Brings title and list of steps up to date with a download that goes on in the background."""
        self.query_one("#title", Spread).say(right=self._place())
        self.query_one("#steps", Blocks).blocks = self._steps()

    def _share(self) -> str:
        """How far a download in the background is; empty when there is none."""
        download = self.session.download
        return download.share if download is not None and self.step is not Step.PULL else ""

    def _trained(self) -> str:
        """How far what runs in the container is, as seen from another page; empty when nothing runs."""
        training = self.session.training
        return training.share if training is not None and self.step is not Step.TRAIN else ""

    def _place(self) -> str:
        place, share = f"{self.step.number}/{len(Step)}", self._share()
        place = _("download {share}").format(share=share) + "   " + place if share else place
        trained = self._trained()
        return _("training {share}").format(share=trained) + "   " + place if trained else place

    def _steps(self) -> tuple[Block, ...]:
        rows = []
        for step in Step:
            mark = self._mark(step)
            style = "bold $text-accent" if step is self.step else "" if mark else "$foreground-muted"
            rows.append(Item(_(TITLES[step]), mark=mark + " " * (MARK_WIDTH - cell_len(mark)), style=style))
        return tuple(rows)

    def _mark(self, step: Step) -> str:
        if step is self.step:
            return _("[now]")
        share = self._share()
        if step is Step.PULL and share:
            return f"[{share}]"
        if step is Step.TRAIN and (trained := self._trained()):
            return f"[{trained}]"
        if step in self.journey.done:
            return _("[done]")
        return _("[skipped]") if step in self.journey.skipped else ""

    def _start_clock(self, what: str) -> None:
        self._stop_clock()
        seconds = 0
        self.say_note(what)

        def tick() -> None:
            nonlocal seconds
            seconds += 1
            self.say_note(_("{what} {seconds} s").format(what=what, seconds=seconds))

        self._clock = self.set_interval(1.0, tick)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None
            self.say_note("")


def trouble_blocks(trouble: Trouble) -> list[Block]:
    """A failure in words, laid out: what happened, what to do, that nothing is lost, what was seen,"
    " where to read on."""
    from wizard.services import words

    said = words.explain(trouble)
    blocks: list[Block] = [Item(said.summary, Status.ERROR, style="bold"), Gap(), Para(said.advice)]
    if said.evidence:
        blocks += [Gap(), Para(_("What the wizard saw"), "bold"), *evidence(said.evidence)]
    if said.links:
        blocks += [Gap(), *links(said.links)]
    blocks += [Gap(), Para(_("What you have done so far is kept."), "$foreground-muted")]
    return blocks


def brief(trouble: Trouble) -> str:
    """What is wrong with a text that was typed, in as few words as there are."""
    from wizard.services import words

    said = words.explain(trouble)
    return trouble.hint or f"{said.summary} {said.advice}"


def following(step: Step) -> Step:
    """The step after ``step``; the last one has none after it."""
    return list(Step)[min(step.number, len(Step) - 1)]


def preceding(step: Step) -> Step:
    """The step before ``step``."""
    return list(Step)[max(step.number - 2, 0)]
