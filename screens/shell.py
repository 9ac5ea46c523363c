"""The command line inside the container. The wizard steps aside and comes back as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from screens.base import StepScreen
from screens.layout import MARK_WIDTH, Block, Code, Gap, Item, Para
from screens.widgets import Choice
from wizard.model.container import DATA_TARGET, DEFAULT_NAME
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.model.journey import Step
from wizard.model.secret import redact

if TYPE_CHECKING:
    from wizard.services.shell import ShellPlan


class ShellScreen(StepScreen):
    """Explains what comes, then opens it."""

    step = Step.SHELL
    skippable = True

    def begin(self) -> None:
        self._explain()

    @property
    def _container(self) -> str:
        return self.journey.name or DEFAULT_NAME

    def _explain(self, *first: Block) -> None:
        open_label = _("Open a shell") if not first else _("Open a shell again")
        choices = [Choice("open", open_label), Choice("next", _("Continue"), _("to a training"))]
        self.show(
            [
                *first,
                Para(
                    _(
                        "A shell is a command line. This one is inside the container {name}: what you type there runs"
                        " there, with its Python, its TensorFlow and your GPU."
                    ).format(name=self._container)
                ),
                Gap(),
                Item(_("The wizard steps aside and leaves you the whole window.")),
                Item(_("Your data folder is {target}. Keep there what has to stay.").format(target=DATA_TARGET)),
                Item(_("To come back to the wizard, type exit and press Enter.")),
                Gap(),
                Para(_("Try, for example:"), "$foreground-muted"),
                Code("nvidia-smi -L", "command"),
            ],
            choices,
            "next" if first else "open",
        )

    def picked(self, choice: str) -> None:
        if choice == "open":
            self.work(_("Opening …"), lambda _emit, _cancel: self._plan(), self._open, retry=self._explain)

    def _plan(self) -> ShellPlan:
        from wizard.services import shell

        return shell.prepare(self.session.host, self._container, None, True)

    def _open(self, plan: ShellPlan) -> None:
        from wizard.services import shell

        typed = shell_text(plan)
        intro = _("+ {command}\n\nYou are about to be inside the container. Type exit to come back.").format(
            command=typed
        )
        try:
            code = self.aside(lambda: shell.open(self.session.host, plan), intro)
        except Trouble as trouble:
            self._failed(trouble)
            return
        except Exception as error:  # noqa: BLE001 - the border: an error nobody foresaw becomes a panel, not a crash
            self._failed(Trouble(Problem.INTERNAL, redact(f"{type(error).__name__}: {error}")))
            return
        if code is None:
            self._cannot_step_aside(typed)
            return
        self.session.note(_("The shell ended with exit status {code}.").format(code=code))
        self._explain(*_came_back(code), *(Item(note, Status.INFO) for note in plan.notes))

    def _failed(self, trouble: Trouble) -> None:
        if trouble.kind is Problem.CANCELLED:
            self._explain()
            return
        self.session.note(str(trouble))
        self.show_trouble(trouble)

    def _cannot_step_aside(self, typed: str) -> None:
        self.show(
            [
                Item(_("Here the wizard cannot give you its window."), Status.INFO, style="bold"),
                Gap(),
                Para(_("Open a terminal on this computer and type one of these:")),
                Code(
                    "s2s-wizard shell" + ("" if self._container == DEFAULT_NAME else f" --name {self._container}"),
                    "command",
                ),
                Code(typed, "command"),
            ],
            [Choice("next", _("Continue"), _("to a training"))],
        )


def shell_text(plan: ShellPlan) -> str:
    """The command that a person could have typed."""
    from screens.layout import shell_line

    return shell_line(plan.shown)


def _came_back(code: int) -> list[Block]:
    blocks: list[Block] = [Item(_("Welcome back. The container goes on running."), Status.OK, style="bold")]
    if code not in (0, 130):
        # "exit" passes on the status of the last command, so this is for those who look for it, and no error.
        said = _("The last command in the shell ended with exit status {code}.").format(code=code)
        blocks.append(Para(said, "$foreground-muted", indent=MARK_WIDTH))
    return [*blocks, Gap()]
