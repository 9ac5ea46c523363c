"""The download: one honest bar, that may be left and found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from screens.base import StepScreen, trouble_blocks
from screens.download import Download, State
from screens.layout import Block, Gap, Item, Para, size, two_ends
from screens.widgets import Blocks, Choice
from wizard.model.errors import Problem
from wizard.model.finding import Status
from wizard.model.i18n import _, ngettext
from wizard.model.journey import Step

if TYPE_CHECKING:
    from wizard.model.secret import Secret

REFRESH = 10
"""Looks at the download a second. More would only cost, less would look stuck."""


class Bar(Widget):
    """The whole download in three lines: the bar, bytes and speed, what happens now."""

    DEFAULT_CSS = "Bar { height: 3; }"

    state: reactive[State | None] = reactive(None)

    def render(self) -> Content:
        state, width = self.state, self.content_size.width
        if state is None:
            return Content("")
        progress = state.progress
        total = progress.total if progress else state.plan.bytes_total if state.plan else None
        done = progress.done if progress else 0
        share = done / total if total else 0.0
        percent = f"{int(share * 100)} %" if total else ""
        room = max(width - 6, 10)
        filled = int(room * share)
        bar = Content.assemble(
            ("━" * filled, "$text-accent"), ("─" * (room - filled), "$foreground-muted"), percent.rjust(6)
        )
        return Content("\n").join([bar, Content(two_ends(_amount(done, total), _speed(state), width)), _phase(state)])


class PullScreen(StepScreen):
    """Starts the download when the user says so, shows how it goes, and lets them go on meanwhile."""

    step = Step.PULL
    _seen: State | None = None

    def content(self) -> ComposeResult:
        yield Blocks(id="text")
        yield Bar(id="bar")
        yield Blocks(id="below")

    def begin(self) -> None:
        download = self.session.download
        if download is None or download.image != self.journey.image:
            self._start()
        self._seen = None
        self.set_interval(1 / REFRESH, self._look, name="look")
        self._look()

    def _start(self) -> None:
        session, app = self.session, self.app
        if session.download is not None:
            session.download.stop()

        def key() -> Secret | None:
            from wizard.services import account

            found = account.current(session.host)
            return found[0] if found else None

        def ended(download: Download) -> None:
            if download is session.download and download.state.done:
                session.update(session.journey.finished(Step.PULL))

        session.download = Download(
            session.host, self.journey.image, key, post=app.post_message, ended=ended, note=session.note
        )
        session.note(_("Downloading {image}").format(image=self.journey.image))

    def _look(self) -> None:
        download = self.session.download
        if download is None:
            return
        state = download.state
        before, self._seen = self._seen, state
        if state == before:
            return
        self.query_one(Bar).state = state
        if before is None or (before.done, before.trouble, before.plan) != (state.done, state.trouble, state.plan):
            self._tell_story(state)
        self._tell_stall(state)

    def _tell_story(self, state: State) -> None:
        bar = self.query_one(Bar)
        bar.display = state.trouble is None and not state.done
        if state.done:
            text = (
                _("The image was on this computer already.") if state.already else _("The image is on this computer.")
            )
            self.show([Item(text, Status.OK, style="bold"), Gap(), Para(state.image)], [Choice("next", _("Continue"))])
        elif state.trouble is not None and state.trouble.kind is Problem.CANCELLED:
            self.show(
                [Item(_("The download was stopped."), Status.INFO, style="bold")],
                [Choice("again", _("Start again")), Choice("back", _("Choose another image"), verb=_("Back"))],
            )
        elif state.trouble is not None:
            choices = [Choice("again", _("Try again")), Choice("back", _("Choose another image"), verb=_("Back"))]
            if state.trouble.kind in (Problem.KEY_WANTED, Problem.KEY_REFUSED, Problem.ACCESS_DENIED):
                choices.insert(0, Choice("key", _("Enter an API key"), verb=_("Enter key")))
            self.show(trouble_blocks(state.trouble), choices)
            self._trouble = state.trouble
        else:
            self.show(
                [Para(_("Downloading {image}").format(image=state.image), "bold"), *_plan(state), Gap()],
                [
                    Choice("ahead", _("Prepare the next steps"), _("the download goes on meanwhile"), _("Go on")),
                    Choice("stop", _("Stop the download"), _("the next one starts again from zero"), _("Stop")),
                ],
            )

    def _tell_stall(self, state: State) -> None:
        below: list[Block] = []
        if state.stalled is not None and not state.done and state.trouble is None:
            text = _("Nothing has arrived for {seconds} s. The wizard goes on waiting.").format(
                seconds=int(state.stalled.seconds)
            )
            below = [Gap(), Item(f"{text} {state.stalled.reason}".strip(), Status.WARNING)]
        self.query_one("#below", Blocks).blocks = tuple(below)

    def picked(self, choice: str) -> None:
        if choice == "ahead":
            self.go(Step.WORKSPACE)
        elif choice == "stop" and self.session.download is not None:
            self.session.download.stop()
        elif choice == "key":
            self.go(Step.ACCOUNT)

    def action_again(self) -> None:
        self._start()
        self._seen = None
        self._look()

    def action_skip(self) -> None:
        """A step that cannot be skipped: without the image there is no container."""


def _plan(state: State) -> list[Block]:
    if state.plan is None:
        return [Para(_("Asking how large it is …"), "$foreground-muted")]
    if state.plan.bytes_total is None or state.plan.layers is None:
        return [Para(_("The registry does not say how large it is."), "$foreground-muted")]
    layers = ngettext("one layer", "{n} layers", state.plan.layers).format(n=state.plan.layers)
    text = _("{size} in {layers}. Layers are the parts of an image.").format(
        size=size(state.plan.bytes_total), layers=layers
    )
    if state.plan.bytes_here:
        text += " " + _("{size} are here already.").format(size=size(state.plan.bytes_here))
    return [Para(text, "$foreground-muted")]


def _amount(done: int, total: int | None) -> str:
    return _("{done} of {total}").format(done=size(done), total=size(total)) if total else size(done)


def _speed(state: State) -> str:
    progress = state.progress
    parts = []
    if progress is not None and progress.rate:
        parts.append(_("{size} a second").format(size=size(progress.rate)))
    if progress is not None and progress.eta is not None:
        parts.append(_("about {time} left").format(time=duration(progress.eta)))
    return " · ".join(parts)


def _phase(state: State) -> Content:
    phase = state.progress.phase if state.progress else ""
    return Content.styled(phase, "$foreground-muted")


def duration(seconds: float) -> str:
    """A time for people: ``40 s``, ``12 min``, ``1 h 20 min``."""
    if seconds < 90:
        return _("{n} s").format(n=int(seconds))
    minutes = round(seconds / 60)
    if minutes < 60:
        return _("{n} min").format(n=minutes)
    return _("{h} h {n} min").format(h=minutes // 60, n=minutes % 60)
