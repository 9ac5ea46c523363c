"""The first page: what this is, what it needs, what it never does, and where to begin."""

from __future__ import annotations

from textual.message import Message

from screens.base import StepScreen
from screens.layout import Block, Facts, Gap, Item, Para
from screens.widgets import Choice
from wizard.model import i18n
from wizard.model.errors import Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.finding import Status
from wizard.model.i18n import N_, _
from wizard.model.journey import TITLES, Journey, Step

MACHINES = {
    "healthy": N_("everything is as it should be"),
    "unknown-runtime": N_("Docker does not know the GPU runtime: one repair"),
    "no-docker": N_("Docker is not installed"),
    "docker-stopped": N_("Docker is installed but not running"),
    "docker-gives-up": N_("Docker failed so often that the system does not start it"),
    "no-permission": N_("you may not use Docker yet"),
    "no-gpu": N_("a computer without an NVIDIA GPU"),
    "leftover-container": N_("the wizard's own container is broken: one repair"),
}
"""What the simulated machines are good for."""


class Practise(Message):
    """Go on with a simulated machine, or leave the one that is in use."""


class Speak(Message):
    """Speak another language from now on."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.language = language


class WelcomeScreen(StepScreen):
    """Where to begin. Changes nothing."""

    step = Step.WELCOME

    def begin(self) -> None:
        self.session.looking = False
        blocks, choices = self.opening()
        began = self._interrupted()
        if began:
            text = _("finish it, or take it back")
            choices.insert(0, Choice("finish", _("Look at the interrupted repair"), text, _("Look")))
            blocks = [*began, Gap(), *blocks]
        self.show(blocks, choices)

    def _interrupted(self) -> list[Block]:
        """What is said about a repair that was broken off, or that waits for its last step; nothing where none is."""
        host = self.session.host
        try:
            if not host.store.names("receipts"):
                return []
            from screens.repairs import interrupted_blocks
            from wizard.services import repairs

            began, waiting = repairs.interrupted(host), repairs.pending(host)
        except Trouble:
            return []
        if began is not None:
            return [Para(began.title, "bold"), *interrupted_blocks(began)]
        return [
            Item(_('The repair "{title}" waits for its last step.').format(title=item.title), Status.INFO)
            for item in waiting
        ]

    def opening(self) -> tuple[list[Block], list[Choice]]:
        stopped = self.journey.first_open
        choices = []
        if stopped is not Step.WELCOME:
            where = _("Continue where you stopped (step: {step})").format(step=_(TITLES[stopped]))
            if stopped is Step.FINISH:
                where = _("Go to your container {name}").format(name=self.journey.name)
            choices.append(Choice("continue", where, verb=_("Continue")))
        choices += [
            Choice("start", _("Start") if not choices else _("Start again from the beginning"), verb=_("Start")),
            Choice("look", _("Just look"), _("checks this computer, changes nothing"), _("Look")),
            Choice("explain", _("I have an error message"), _("paste it, and read what it means"), _("Explain")),
            Choice("practise", _("Practise"), _("on a simulated machine, nothing can break")),
            Choice("words", _("What is a container? What is an image?"), verb=_("Read")),
            Choice("language", {"en": "中文", "zh": "English"}[i18n.language()], verb="中文 / English"),
        ]
        return (
            [
                Para(
                    _(
                        "This program takes you, step by step, to a command line inside a container that has"
                        " NVIDIA's TensorFlow and OpenSeq2Seq, and that can use your GPU. You need not know Docker."
                    )
                ),
                Gap(),
                Facts(
                    [
                        (_("At the end"), _("a container with your GPU: a shell in it, or a training")),
                        (_("It needs"), _("about 30 minutes, 20 GB of disk, perhaps your sudo password")),
                        (_("It never"), _("changes anything before you have seen the change and said yes")),
                        (_("You can"), _("stop at any time and go on later, and take every repair back")),
                    ]
                ),
            ],
            choices,
        )

    def picked(self, choice: str) -> None:
        if choice == "continue":
            self.work(
                _("Looking where you stopped …"), self._first_open, self.go, failed=lambda _trouble: self._resume()
            )
        elif choice == "finish":
            self.go(Step.REPAIRS)
        elif choice == "start":
            self.update(Journey(receipts=self.journey.receipts).finished(Step.WELCOME))
            self.go(Step.ACCOUNT)
        elif choice == "look":
            self.session.looking = True
            self.go(Step.CHECKUP)
        elif choice == "explain":
            self.action_explain()
        elif choice == "practise":
            self.post_message(Practise())
        elif choice == "words":
            from screens.help import HelpDialog

            self.app.push_screen(HelpDialog(self.session, self.step, "container"))
        elif choice == "language":
            self.post_message(Speak("en" if i18n.language() == "zh" else "zh"))

    def _first_open(self, _emit: Emit, _cancel: Cancel) -> Step:
        from wizard.services import journey

        step = journey.first_open(self.session.host, self.journey)
        # Whoever has everything comes back for the shell.
        return Step.SHELL if step is Step.FINISH else step

    def _resume(self) -> None:
        self.go(self.journey.first_open)
