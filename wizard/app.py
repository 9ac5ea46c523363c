"""The full-screen wizard: owns the order of the screens, the machine, and the end of the program."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import gc
import io
import os
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import ClassVar, TextIO

from rich.cells import cell_len
from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.reactive import Reactive
from textual.theme import Theme
from textual.timer import Timer

import screens
from screens.base import Explain, Go, StepScreen
from screens.dialogs import SMALLEST, Dialog, Pick, TooSmall
from screens.layout import Block, Gap, Para
from screens.session import Session
from screens.welcome import MACHINES, Practise, Speak
from screens.widgets import Choice
from screens.work import Happened, Job
from wizard.host.ports import Host
from wizard.model import i18n
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.i18n import _
from wizard.model.journey import Journey, Step
from wizard.services import journey as journeys

HEAVY = ("docker", "requests", "keyring", "pynvml")
"""Libraries that the adapters import when they are used; loaded behind the first frame."""

STOP = "stop"
"""The answer of whoever quits and wants the download to end, too."""
SWITCH_SECONDS = 0.0005
"""How long one thread keeps the interpreter when another wants it; Python's own choice is ten times as long."""
END_SECONDS = 3.0
"""How long an end by a signal may take."""
_SAFE_SECONDS = 0.1
"""Between two looks whether what changes the machine has come to a safe end."""
CANNOT = ("", "dumb", "unknown")
"""Values of TERM that promise nothing."""
PLAIN = {"━": "=", "─": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "…": "~", "·": "-", "→": ">", "•": "*"}

THEME = Theme(
    name="s2s",
    primary="#5fb0a5",
    secondary="#7d93b2",
    accent="#79c7b8",
    foreground="#d6dde4",
    background="#10151a",
    surface="#151c22",
    panel="#1c252d",
    success="#86c77f",
    warning="#e0b568",
    error="#e5807b",
    dark=True,
)


def run(host: Host, *, lang: str) -> int:
    """Shows the wizard on the terminal until the user leaves; returns the exit code of the program.

    Raises ``NO_TERMINAL`` for a terminal that cannot show pages.
    """
    if os.environ.get("TERM", "") in CANNOT:
        hint = _('The variable TERM is "{term}". Try: TERM=xterm-256color s2s-wizard')
        raise Trouble(Problem.NO_TERMINAL, hint=hint.format(term=os.environ.get("TERM", "")))
    i18n.use(lang)
    _draw_plainly(sys.__stderr__)
    app = WizardApp(host)
    # A thread that reads a log without end must not keep the screen waiting for its turn.
    sys.setswitchinterval(SWITCH_SECONDS)
    # Until the first page is on the screen much is made and nothing let go: looking for garbage would only cost time.
    gc.disable()
    try:
        result = app.run()
    finally:
        gc.enable()
    if app.crash is not None:
        raise app.crash
    return app.return_code or 0 if result is None else result


def _draw_plainly(stream: TextIO | None) -> None:
    """Where the terminal's encoding has no lines and dots, plain characters take their place."""

    def plainly(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        cut = error.object[error.start : error.end]
        return "".join(PLAIN.get(letter, "?" * cell_len(letter)) for letter in cut), error.end

    codecs.register_error("s2s-plain", plainly)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="s2s-plain")


class WizardApp(App[int]):
    """The application. Screens say what the user wants in messages; the order of things is decided here."""

    TITLE = "s2s-wizard"
    CSS_PATH: ClassVar[str] = str(Path(screens.__file__).with_name("wizard.tcss"))
    ENABLE_COMMAND_PALETTE = False
    # Ours from the beginning: setting it later would read the whole look twice.
    theme: Reactive[str] = Reactive(os.environ.get("TEXTUAL_THEME", THEME.name))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "quit", show=False, priority=True),
    ]

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.session = Session(host)
        self._recall(self.session)
        self._home = self.session
        self.crash: Exception | None = None
        self._ending: Timer | None = None
        """looks whether what is being changed has come to a safe end, and then leaves"""

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Textual's themes and ours."""
        return {**super().available_themes, THEME.name: THEME}

    # --- start and end

    def get_default_screen(self) -> StepScreen:
        return self._screen(Step.WELCOME)

    def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().add_signal_handler(number, self._told_to_end, number)
        self.call_after_refresh(self._preload)

    def _preload(self) -> None:
        gc.enable()
        threading.Thread(target=_import_heavy, daemon=True).start()
        self._find_download()

    def _find_download(self) -> None:
        """Looks whether the image is still being downloaded since the last time; shows it on every page if so."""
        session = self.session

        def look(_emit: Emit, _cancel: Cancel) -> bool:
            from wizard.services import background

            return any(found.image == session.journey.image for found in background.running(session.host))

        def found(there: bool) -> None:
            if there and session.download is None and session is self.session:
                from screens.download import attach

                attach(session, self.post_message, session.journey.image, None, start=False)

        if session.journey.image:
            Job(look, post=self.post_message, returned=found, failed=lambda trouble: session.note(str(trouble)))

    def _told_to_end(self, number: int) -> None:
        if not self.is_headless:
            # Textual waits for ever to draw on a terminal that has gone, so the orderly end gets a limited time. What
            # has to be kept is on disk by now.
            late = threading.Timer(END_SECONDS, os._exit, (128 + number,))
            late.daemon = True
            late.start()
        self._let_go()
        self.exit(128 + number)

    def on_unmount(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self.session.download is not None:
            self.session.download.leave()
            self.session.download = None
        if self.session.training is not None:
            self.session.training.leave()
            self.session.training = None

    def _handle_exception(self, error: Exception) -> None:
        self.crash = self.crash or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Textual would print a trace with the local variables of every frame. Ours goes to the log, without them, and a
        # sentence to the user: both by whoever called ``run``, which raises the error again.
        self._close_messages_no_wait()

    # --- where we are

    def _screen(self, step: Step) -> StepScreen:
        """The screen of a step. Its module is loaded when it is first needed."""
        module = import_module(f"screens.{step.value}")
        screen: StepScreen = getattr(module, f"{step.value.capitalize()}Screen")(self.session)
        return screen

    async def _show(self, step: Step) -> None:
        """Shows a step in place of the one before."""
        await self._put(self._screen(step))

    async def _put(self, screen: StepScreen) -> None:
        """Shows a page in place of the one before. The very first page is the application's own default screen, which
        costs one screen less to draw at the start; it can only be covered, not replaced.
        """
        if len(self.screen_stack) == 1:
            await self.push_screen(screen)
        else:
            await self.switch_screen(screen)

    @on(Go)
    async def _go(self, message: Go) -> None:
        while isinstance(self.screen, Dialog):
            await self.pop_screen()
        await self._show(message.step)

    @on(Explain)
    async def _explain(self, message: Explain) -> None:
        from screens.explain import ExplainScreen

        await self._put(ExplainScreen(self.session, message.step))

    @on(Practise)
    async def _practise(self) -> None:
        """Goes on with a simulated machine that the user chooses, or back to the real one."""
        from wizard.demo import machine

        if self.session is not self._home:
            await self._settle(self._home)
            return
        dialog = Pick(
            self.session,
            _("Which machine?"),
            [Choice(name, name, _(MACHINES.get(name, ""))) for name in machine.names()],
            dict.fromkeys(machine.names(), _("It exists only in this program. Try everything: nothing can break.")),
            "unknown-runtime",
        )

        def chosen(name: str | None) -> None:
            if name:
                self.call_later(self._settle, Session(machine.build(name)))

        self.push_screen(dialog, chosen)

    async def _settle(self, session: Session) -> None:
        """Starts from the first page with another machine."""
        self._let_go()
        self.session = session
        self._recall(session)
        await self._show(Step.WELCOME)
        self._find_download()

    @on(Speak)
    async def _speak(self, message: Speak) -> None:
        i18n.use(message.language)
        await self._show(Step.WELCOME)

    @on(Happened)
    def _deal(self, message: Happened) -> None:
        message.deal()

    def _recall(self, session: Session) -> None:
        try:
            session.journey = journeys.load(session.host) or Journey()
        except Trouble as trouble:
            session.note(str(trouble))

    # --- the window

    def on_resize(self, event: Resize) -> None:
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        covered = isinstance(self.screen, TooSmall)
        if small and not covered:
            self.push_screen(TooSmall(self.session))
        elif covered and not small:
            self.pop_screen()

    # --- quitting

    async def action_quit(self) -> None:
        """Asks whether to leave; says what is kept and what is not."""
        if isinstance(self.screen, QuitDialog):
            return
        if isinstance(self.screen, TooSmall):
            if self.screen.has_told(self._warnings()):
                self._end()
            return
        self.push_screen(QuitDialog(self.session, self._warnings()), self._quit)

    def _quit(self, answer: str | None) -> None:
        if answer == STOP and self.session.download is not None:
            self.session.download.stop()
        if answer in ("quit", STOP):
            self._end()
        elif self._ending is not None:
            self._ending.stop()
            self._ending = None

    def _end(self) -> None:
        """Leaves, once what changes the machine has come to a safe end; the second time at once."""
        if self._ending is not None or self._page.stop_safely():
            self.exit(0)
        else:
            self._ending = self.set_interval(_SAFE_SECONDS, self._end_if_safe)

    def _end_if_safe(self) -> None:
        if not self._page.hold():
            self.exit(0)

    @property
    def _page(self) -> StepScreen:
        """The page of the step, also when something lies on top of it."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, StepScreen))

    def _warnings(self) -> list[str]:
        """What to know before leaving, in sentences: what ends with the wizard."""
        texts, session = [], self.session
        if (download := session.download) is not None and download.running and not download.lasting:
            texts.append(_("A download is running. If you quit now it stops, and the next one starts again from zero."))
        if (training := session.training) is not None and training.running and not training.lasting:
            texts.append(_("What runs in the container now ends when you quit."))
        if self._page.hold():
            text = _(
                "This machine is being changed. If you quit, that first comes to a safe end; then the wizard ends."
            )
            if self._ending is not None:
                text = _("There is no safe end yet. If you quit all the same, the next wizard says what was done.")
            texts.append(text)
        return texts


class QuitDialog(Dialog):
    """Stay or leave; staying is the default."""

    def __init__(self, session: Session, warnings: list[str]) -> None:
        text: list[Block] = [Para(_("Your place is saved. Start s2s-wizard again and choose Continue."))]
        choices = [Choice("", _("Stay")), Choice("quit", _("Quit"))]
        if (download := session.download) is not None and download.running and download.lasting:
            goes_on = _("The download goes on without the wizard, which finds it again when it starts.")
            text += [Gap(), Para(goes_on)]
            choices.append(Choice(STOP, _("Quit and stop the download")))
        if (training := session.training) is not None and training.running and training.lasting:
            goes_on = _("The training goes on in the container without the wizard, which finds it again.")
            text += [Gap(), Para(goes_on)]
        for warning in warnings:
            text += [Gap(), Para(warning, "$text-warning")]
        super().__init__(session, _("Quit the wizard?"), text, choices)


def _import_heavy() -> None:
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            import_module(name)
