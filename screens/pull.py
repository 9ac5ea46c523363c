"""The download: one honest bar, that may be left and found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from screens.base import StepScreen, brief, trouble_blocks
from screens.dialogs import Dialog
from screens.download import Download, State, attach
from screens.image import disk_rows, unknown
from screens.layout import Block, Facts, Gap, Item, Para, size, two_ends
from screens.session import Session
from screens.widgets import Blocks, Choice
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.finding import Status
from wizard.model.i18n import _, ngettext
from wizard.model.journey import Step
from wizard.model.progress import LayerState

if TYPE_CHECKING:
    from wizard.model.secret import Secret
    from wizard.services.background import Found
    from wizard.services.cost import Cost

REFRESH = 10
"""Looks at the download a second. More would only cost, less would look stuck."""
ENGINE = "engine"
"""Fetched by Docker, which keeps nothing of a download that is stopped."""


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


@dataclass(frozen=True, slots=True)
class Looked:
    """What there was before anything was begun: an earlier download of the image, and what one costs now."""

    found: Found | None
    cost: Cost | None
    trouble: Trouble | None
    key: Secret | None


class PullScreen(StepScreen):
    """Says what the download costs, starts it when the user says so, and lets them go on while it runs."""

    step = Step.PULL
    _seen: State | None = None
    _looked: Looked | None = None

    def content(self) -> ComposeResult:
        yield Blocks(id="text")
        yield Bar(id="bar")
        yield Blocks(id="below")

    def begin(self) -> None:
        self._seen = None
        self.query_one(Bar).display = False
        self.set_interval(1 / REFRESH, self._look, name="look")
        download = self.session.download
        if download is None or download.image != self.journey.image:
            self._inquire()
        else:
            self._look()

    # --- before it starts

    def _inquire(self) -> None:
        if self.session.download is not None:
            self.session.download.leave()
            self.session.download = None
        self.show([Para(_("One moment …"))])
        self.work(
            _("Asking what the download takes …"),
            lambda _emit, _cancel: self._find(),
            self._offer,
            retry=self._inquire,
        )

    def _find(self) -> Looked:
        from wizard.services import account, background, cost

        host, image = self.session.host, self.journey.image
        found = background.find(host, image)
        if found is not None and found.runs:
            return Looked(found, None, None, None)
        current = account.current(host)
        key = current[0] if current else None
        try:
            return Looked(found, cost.look(host, image, key), None, key)
        except Trouble as trouble:
            return Looked(found, None, trouble, key)

    def _offer(self, looked: Looked) -> None:
        """Asks whether to download, unless it goes on already or the image is here."""
        self._looked = looked
        cost = looked.cost
        if looked.found is not None and looked.found.runs:
            self._take(start=False)
            return
        if cost is not None and cost.plan.here is not None:
            self._start()
            return
        if looked.trouble is not None:
            self.show(trouble_blocks(looked.trouble), self._rescue(looked.trouble))
            self._trouble = looked.trouble
        elif cost is not None:
            self._ask(looked, cost)
            if cost.rate is None and cost.missing:
                self._measure(looked, cost)

    def _ask(self, looked: Looked, cost: Cost, default: str = "") -> None:
        begin = Choice("start", _("Download it"), verb=_("Download"))
        others = [Choice("back", _("Choose another image"), verb=_("Back"))]
        if cost.plan.manifest is None:
            others.append(Choice("again", _("Ask the registry again"), verb=_("Ask again")))
        choices = [begin, *others] if cost.plan.fits else [*others, begin]
        self.show(_price(self.journey.image, cost, looked.found), choices, default)

    def _measure(self, looked: Looked, cost: Cost) -> None:
        """Looks for a moment how fast the registry is, and then names the time."""

        def measured(better: Cost) -> None:
            current = self.choices.current
            if better.rate is not None and current is not None:
                self._ask(looked, better, current.id)

        def run(_emit: Emit, cancel: Cancel) -> Cost:
            from wizard.services import cost as service

            return service.measure(self.session.host, cost, looked.key, cancel)

        self.work(_("Measuring the speed …"), run, measured, failed=lambda _trouble: None)

    def _start(self) -> None:
        self.end_work()
        self.session.note(_("Downloading {image}").format(image=self.journey.image))
        self._take(start=True)

    def _take(self, *, start: bool) -> None:
        looked = self._looked
        wanted = looked is None or looked.cost is None or looked.cost.needs_key
        key = looked.key if looked is not None and wanted else None
        attach(self.session, self.app.post_message, self.journey.image, key, start=start)
        self._seen = None
        self._look()

    # --- while it runs

    def _look(self) -> None:
        download = self.session.download
        if download is None or self.app.screen is not self:
            return  # under a dialog nobody sees it, and drawing both is what costs most
        state = download.state
        before, self._seen = self._seen, state
        if state == before:
            return
        self.query_one(Bar).state = state
        if before is None or _page(before) != _page(state):
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
            self._tell_stopped(state)
        elif state.trouble is not None:
            self.show(trouble_blocks(state.trouble), self._rescue(state.trouble))
            self._trouble = state.trouble
        else:
            blocks: list[Block] = [
                Para(_("Downloading {image}").format(image=state.image), "bold"),
                *([Para(_("It was going on already; here it is again."))] if state.found else []),
                *_plan(state),
                Gap(),
            ]
            lost = state.via == ENGINE
            warning = _("the next one starts again from zero") if lost else _("what is here is kept")
            choices = [Choice("ahead", _("Prepare the next steps"), _("the download goes on meanwhile"), _("Go on"))]
            if state.via and not lost:
                choices.append(Choice("pause", _("Pause"), _("goes on later where it was")))
            if state.layers is not None:
                choices.append(Choice("layers", _("Show the layers"), verb=_("Show")))
            choices.append(Choice("stop", _("Stop the download"), warning, _("Stop")))
            self.show(blocks, choices, self._pointed(choices))

    def _pointed(self, choices: Sequence[Choice]) -> str:
        """The choice that the pointer stands on, if it is still offered: a new line above must not move it."""
        current = self.choices.current
        return current.id if current is not None and current in choices else ""

    def _tell_stopped(self, state: State) -> None:
        other = Choice("back", _("Choose another image"), verb=_("Back"))
        if state.paused:
            text, again = _("The download is paused. What is here is kept."), Choice("again", _("Go on"))
        else:
            text, again = _("The download was stopped."), Choice("again", _("Start again"))
        self.show([Item(text, Status.INFO, style="bold")], [again, other])

    def _rescue(self, trouble: Trouble) -> list[Choice]:
        """The ways on after a failure."""
        choices = [Choice("again", _("Try again")), Choice("back", _("Choose another image"), verb=_("Back"))]
        if trouble.kind in (Problem.KEY_WANTED, Problem.KEY_REFUSED, Problem.ACCESS_DENIED):
            choices.insert(0, Choice("key", _("Enter an API key"), verb=_("Enter key")))
        return choices

    def _tell_stall(self, state: State) -> None:
        below: list[Block] = []
        if state.stalled is not None and not state.done and state.trouble is None:
            text = _("Nothing has arrived for {seconds} s. The wizard goes on waiting.").format(
                seconds=int(state.stalled.seconds)
            )
            below = [Gap(), Item(f"{text} {state.stalled.reason}".strip(), Status.WARNING)]
        self.query_one("#below", Blocks).blocks = tuple(below)

    def picked(self, choice: str) -> None:
        download = self.session.download
        if choice == "start":
            self._start()
        elif choice == "ahead":
            self.go(Step.WORKSPACE)
        elif choice == "pause" and download is not None:
            download.pause()
        elif choice == "layers" and download is not None:
            self.app.push_screen(LayersDialog(self.session, download))
        elif choice == "stop" and download is not None:
            self._confirm_stop(download)
        elif choice == "key":
            self.go(Step.ACCOUNT)

    def _confirm_stop(self, download: Download) -> None:
        text = _("What is here is kept, and the next download goes on with it.")
        if download.state.via == ENGINE:
            text = _("Docker keeps nothing of a download that is stopped: the next one starts again from zero.")

        def answered(choice: str | None) -> None:
            if choice == "stop":
                download.stop()

        self.app.push_screen(
            Dialog(
                self.session,
                _("Stop the download?"),
                [Para(text)],
                [Choice("", _("Let it go on")), Choice("stop", _("Stop it"))],
            ),
            answered,
        )

    def action_again(self) -> None:
        self._inquire()

    def action_skip(self) -> None:
        """A step that cannot be skipped: without the image there is no container."""


class LayersDialog(Dialog):
    """Each layer of a download, as it is now."""

    def __init__(self, session: Session, download: Download) -> None:
        self._download = download
        super().__init__(session, _("Layers"), self._rows(), [Choice("", _("Close"))])

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(1.0, self._again, name="layers")

    def _again(self) -> None:
        text = self.query_one("#text", Blocks)
        rows = tuple(self._rows())
        if rows != text.blocks:
            text.blocks = rows

    def _rows(self) -> list[Block]:
        """Those on their way one by one, and the others as numbers: there may be a hundred."""
        layers = self._download.state.layers
        if layers is None:
            return []
        moving = [layer for layer in layers.layers if layer.stage not in ("waiting", "done")]
        waiting = sum(layer.stage == "waiting" for layer in layers.layers)
        rows = [
            (
                _("Done"),
                _("{n} of {count}").format(n=len(layers.layers) - len(moving) - waiting, count=len(layers.layers)),
            ),
            (_("Waiting"), str(waiting)),
            *((layer.name, _layer(layer)) for layer in moving),
        ]
        return [Facts(rows)]


def _page(state: State) -> tuple[object, ...]:
    """What the text and the choices depend on; the bar shows the rest."""
    return state.done, state.trouble, state.plan, state.via, state.layers is None


def _price(image: str, cost: Cost, found: Found | None) -> list[Block]:
    """The question, and what the answer costs."""
    plan, missing = cost.plan, cost.missing
    if missing is None:
        question = _("Download {image}?").format(image=image)
    elif plan.bytes_here:
        question = _("Download {size} ({here} already here)?").format(size=size(missing), here=size(plan.bytes_here))
    else:
        question = _("Download {size}?").format(size=size(missing))
    rows = [(_("Image"), image)]
    if plan.layers is not None:
        text = ngettext("one layer", "{n} layers", plan.layers).format(n=plan.layers)
        rows.append((_("Parts"), _("{layers}, the parts of an image").format(layers=text)))
    if plan.rooms:
        kept = _("by this program: what is here is kept when it is stopped")
        lost = _("by Docker: it starts again from zero when it is stopped")
        rows.append((_("How"), lost if plan.via == ENGINE else kept))
    rows += disk_rows(plan)
    if cost.seconds is not None and cost.rate is not None:
        text = _("about {time}, at {size} a second as the last time")
        if cost.measured:
            text = _("about {time} or less; one connection gives {size} a second")
        rows.append((_("Time"), text.format(time=duration(cost.seconds), size=size(cost.rate))))
    blocks: list[Block] = [Para(question, "bold"), Gap(), Facts(rows)]
    if found is not None and (text := _earlier(found)):
        blocks[:0] = [Item(text, Status.INFO), Gap()]
    if plan.manifest is None:
        blocks += [Gap(), *unknown(plan)]
    if not cost.plan.fits:
        blocks += [Gap(), Item(_("There is not enough room on the disk. Make room first."), Status.WARNING)]
    return blocks


def _earlier(found: Found) -> str:
    """What became of an earlier download that did not come to its end."""
    ended, progress = found.ended, found.progress
    reached = 100 * progress.done // progress.total if progress is not None and progress.total else 0
    if ended is None:
        return _("The last download was cut off at {percent} %: its process has ended.").format(percent=reached)
    if ended.paused:
        return _("The last download was paused at {percent} %.").format(percent=reached)
    if ended.trouble is not None and ended.trouble.kind is not Problem.CANCELLED:
        return _("The last download stopped at {percent} %: {reason}").format(
            percent=reached, reason=brief(ended.trouble)
        )
    return ""


def _layer(layer: LayerState) -> str:
    stage = {
        "downloading": _("downloading"),
        "downloaded": _("downloaded"),
        "unpacking": _("unpacking"),
    }.get(layer.stage, layer.stage)
    return _("{stage}, {amount}").format(stage=stage, amount=_amount(layer.done, layer.size))


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
