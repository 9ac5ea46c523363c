"""What the wizard sees on this machine. Results appear as they come; each line opens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Click
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.widget import Widget

from screens.base import StepScreen
from screens.layout import Block, Gap, Para, evidence, finding_row, lay_out, links, plain
from screens.widgets import POINTER, Blocks, Choice, Choices
from wizard.model.finding import Finding, Status
from wizard.model.i18n import _, ngettext
from wizard.model.journey import Step

GPU_CHECKS = ("gpu.pci", "gpu.driver", "gpu.device")
WORST_FIRST = (Status.ERROR, Status.WARNING, Status.UNKNOWN, Status.SKIPPED, Status.INFO, Status.OK)


class Findings(Widget, can_focus=True):
    """One line for each check; a line opens to its meaning, what was seen, and links."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("enter,space", "open_line", show=False),
    ]

    DEFAULT_CSS = "Findings { height: auto; width: 1fr; }"

    findings: reactive[tuple[Finding, ...]] = reactive(tuple, layout=True)
    waiting: reactive[tuple[str, ...]] = reactive(tuple, layout=True)
    index: reactive[int] = reactive(0, layout=True)
    opened: reactive[frozenset[str]] = reactive(frozenset, layout=True)
    on_enter = ""

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 - Textual's signature
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return sum(len(row) for row in self._rows(width))

    def render(self) -> Content:
        return Content("\n").join(line for row in self._rows(self.content_size.width) for line in row)

    @property
    def current(self) -> Finding | None:
        """The finding that the pointer stands on."""
        return self.findings[self.index] if 0 <= self.index < len(self.findings) else None

    def _rows(self, width: int) -> list[list[Content]]:
        names = [finding.title for finding in self.findings] + list(self.waiting)
        rows = []
        for number, finding in enumerate(self.findings):
            pointed = self.has_focus and number == self.index
            row = [
                finding_row(finding.status, finding.title, finding.summary, names, width, POINTER if pointed else "")
            ]
            if finding.id in self.opened:
                cut_off = row[0].plain.endswith("…")
                inner = lay_out(self._inside(finding, cut_off), width - 10)
                row += [Content(" " * 10) + line for line in inner.split("\n", allow_blank=True)]
                row.append(Content(""))
            rows.append(row)
        rows += [[finding_row(None, title, _("looking …"), names, width)] for title in self.waiting]
        return rows

    @staticmethod
    def _inside(finding: Finding, cut_off: bool) -> list[Block]:
        blocks: list[Block] = [Para(finding.summary)] if cut_off else []
        if finding.detail:
            blocks.append(Para(finding.detail))
        if finding.evidence:
            blocks += [Gap(), *evidence(finding.evidence)]
        if finding.links:
            blocks += [Gap(), *links(finding.links)]
        return blocks

    def open(self, finding_id: str) -> None:
        """Opens one line and puts the pointer there."""
        self.index = next((n for n, finding in enumerate(self.findings) if finding.id == finding_id), 0)
        self.opened = self.opened | {finding_id}

    def watch_index(self) -> None:
        self.call_after_refresh(self._into_sight)

    def _into_sight(self) -> None:
        if isinstance(self.parent, VerticalScroll) and self.has_focus:
            rows = self._rows(self.content_size.width)
            top = sum(len(row) for row in rows[: self.index])
            region = Region(0, top, self.size.width, min(len(rows[self.index]) if rows else 1, self.parent.size.height))
            self.parent.scroll_to_region(region, animate=False)

    def action_move(self, by: int) -> None:
        if 0 <= self.index + by < len(self.findings):
            self.index += by
        elif by < 0:
            self.screen.focus_previous()
        else:
            self.screen.focus_next()

    def action_open_line(self) -> None:
        if self.current is not None:
            self.opened = self.opened ^ {self.current.id}
            self.call_after_refresh(self._into_sight)

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        line = 0
        for number, row in enumerate(self._rows(self.content_size.width)[: len(self.findings)]):
            if offset.y == line:
                self.index = number
                self.action_open_line()
            line += len(row)

    def on_focus(self) -> None:
        self.on_enter = _("Open or close")
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()


class CheckupScreen(StepScreen):
    """Looks, changes nothing."""

    step = Step.CHECKUP
    explains = True
    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "look_again", show=False)]

    def content(self) -> ComposeResult:
        yield Blocks(id="text")
        yield Findings(id="findings")

    @property
    def lines(self) -> Findings:
        """The lines."""
        return self.query_one(Findings)

    def begin(self) -> None:
        if self.session.findings:
            self._finished(self.session.findings)
        else:
            self.action_look_again()

    def action_look_again(self) -> None:
        """Runs every check anew."""
        from wizard.services import checks, checkup

        titles = {check.id: _(check.title) for check in checks.ALL}
        self.session.findings = ()
        self.show([Para(_("Looking only reads. Nothing is changed.")), Gap()])
        self.lines.findings, self.lines.opened, self.lines.index = (), frozenset(), 0
        self.lines.waiting = tuple(titles.values())
        self.lines.focus()

        def said(event: object) -> None:
            if isinstance(event, Finding):
                titles.pop(event.id, None)
                self.lines.findings = (*self.lines.findings, event)
                self.lines.waiting = tuple(titles.values())
                self.session.note(f"{event.id}: {event.status.value}: {event.summary}")

        self.work(
            _("Looking …"),
            lambda emit, cancel: checkup.run(self.session.host, emit=emit, cancel=cancel),
            self._finished,
            said=said,
            retry=self.action_look_again,
        )

    def _finished(self, findings: Sequence[Finding]) -> None:
        from wizard.services import checkup, repairs

        self.session.findings = tuple(findings)
        ready = checkup.ready(findings)
        offered = repairs.offered(findings)
        shown = sorted(findings, key=lambda finding: WORST_FIRST.index(finding.status))
        self.lines.waiting = ()
        self.lines.findings = tuple(shown)
        self.show(self._advice(ready, offered), self._choices(ready, offered), note=tally(findings))
        if shown and not shown[0].passed:
            self.lines.open(shown[0].id)

    def _advice(self, ready: bool, offered: Sequence[str]) -> list[Block]:
        if ready and not offered:
            text = _("This computer is ready.")
        elif offered:
            text = ngettext(
                "Next: one repair. You see it in full before anything is changed.",
                "Next: {n} repairs. You see each in full before anything is changed.",
                len(offered),
            ).format(n=len(offered))
        else:
            text = _("The wizard has no repair for this. Open the line to read what helps, then check again.")
        return [Para(text), Gap()]

    def _choices(self, ready: bool, offered: Sequence[str]) -> list[Choice]:
        explain = Choice("explain", _("I have an error message"), _("paste it, and read what it means"), _("Explain"))
        return [*self._ways_on(ready, offered), explain]

    def _ways_on(self, ready: bool, offered: Sequence[str]) -> list[Choice]:
        again = Choice("look", _("Check again"))
        if self.session.looking:
            return [Choice("home", _("Back to the first page"), verb=_("Back")), again]
        if offered:
            label = _("Show me the repair") if len(offered) == 1 else _("Show me the first repair")
            return [Choice("next", label, verb=_("Show repair")), again]
        if ready:
            return [Choice("next", _("Continue")), again]
        if _without_gpu(self.session.findings):
            return [again, Choice("next", _("Go on without a GPU"), _("training takes many times longer"), _("Go on"))]
        return [again, Choice("next", _("Continue anyway"), _("some steps will not work"), _("Continue"))]

    def next(self) -> None:
        from wizard.services import repairs

        self.update(replace(self.journey.finished(self.step), cpu_only=_without_gpu(self.session.findings)))
        if repairs.offered(self.session.findings):
            self.update(self.journey.reopened(Step.REPAIRS))
            self.go(Step.REPAIRS)
        else:
            self.update(self.journey.finished(Step.REPAIRS))
            self.go(Step.IMAGE)

    def picked(self, choice: str) -> None:
        if choice == "look":
            self.action_look_again()
        elif choice == "home":
            self.go(Step.WELCOME)
        elif choice == "explain":
            self.action_explain()

    def more_keys(self) -> Iterable[tuple[str, str]]:
        if isinstance(self.focused, Choices) and self.lines.findings:
            yield _("Up"), _("Results")

    def copyable(self) -> str:
        lines = []
        for finding in self.lines.findings:
            lines.append(f"[{finding.status.value}] {finding.title}: {finding.summary}")
            lines += ["    " + line for line in plain(evidence(finding.evidence)).split("\n") if line]
        return "\n".join(lines)


def _without_gpu(findings: Sequence[Finding]) -> bool:
    """Whether this computer has no GPU that can be used, so that a container can only have the processor."""
    return any(finding.id in GPU_CHECKS and finding.status is Status.ERROR for finding in findings)


def tally(findings: Sequence[Finding]) -> str:
    """``7 fine · 1 to repair · 2 waiting``."""
    counts = {status: sum(finding.status is status for finding in findings) for status in Status}
    fine = counts[Status.OK] + counts[Status.INFO]
    repairable = sum(finding.status is Status.ERROR and bool(finding.fixes) for finding in findings)
    bad = counts[Status.ERROR] - repairable
    parts = [_("{n} fine").format(n=fine)]
    if repairable:
        parts.append(_("{n} to repair").format(n=repairable))
    if bad:
        parts.append(ngettext("one problem", "{n} problems", bad).format(n=bad))
    if counts[Status.WARNING]:
        parts.append(_("{n} to know").format(n=counts[Status.WARNING]))
    if counts[Status.SKIPPED]:
        parts.append(_("{n} waiting").format(n=counts[Status.SKIPPED]))
    if counts[Status.UNKNOWN]:
        parts.append(_("{n} not known").format(n=counts[Status.UNKNOWN]))
    return " · ".join(parts)
