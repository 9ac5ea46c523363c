"""Makes the container, or finds the one that is there, and looks at the GPU from the inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from screens.base import StepScreen, brief, trouble_blocks
from screens.dialogs import Dialog
from screens.fields import AskLine
from screens.layout import Block, Code, Facts, Gap, Item, Para, shell_line
from screens.widgets import Choice
from wizard.model.container import DATA_TARGET, DEFAULT_NAME, GpuChoice, Workspace, check_name
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.finding import Finding, Status
from wizard.model.i18n import _
from wizard.model.journey import Step
from wizard.services.container import Up

if TYPE_CHECKING:
    from wizard.services.smoke import Smoke

NO_GPU = frozenset(
    {
        Problem.RUNTIME_UNKNOWN,
        Problem.RUNTIME_BROKEN,
        Problem.GPU_DRIVER_NOT_SELECTED,
    }
)
"""Failures that a container without a GPU would not have."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be made, and the command that a person could type for it."""

    workspace: Workspace
    command: tuple[str, ...]
    image_here: bool
    notes: tuple[str, ...]


class ContainerScreen(StepScreen):
    """Shows what will be made before it is made."""

    step = Step.CONTAINER
    _making = False

    def begin(self) -> None:
        self._making = False
        download = self.session.download
        if download is not None and download.running:
            self._wait_for_image()
            return
        self.show([Para(_("One moment …"))])
        self.work(_("Preparing …"), lambda _emit, _cancel: self._plan(), self._show_plan)

    def _wait_for_image(self) -> None:
        self.show(
            [
                Item(_("The image is still being downloaded."), Status.INFO, style="bold"),
                Gap(),
                Para(_("The container is made from it, so this step has to wait.")),
            ],
            [Choice("download", _("Show the download")), Choice("again", _("Look again"))],
        )

    def _plan(self) -> Planned:
        from wizard.services import container, workspace

        host = self.session.host
        chosen = workspace.defaults(host, self.journey)
        if self.journey.cpu_only:
            chosen = replace(chosen, gpus=GpuChoice(all=False))
        spec = container.spec_for(host.engine.info(), chosen, self.journey.image)
        here = host.engine.image(self.journey.image) is not None
        return Planned(chosen, container.command_line(spec), here, workspace.notes(host, chosen))

    def _show_plan(self, planned: Planned) -> None:
        if not planned.image_here:
            self.show(
                [
                    Item(_("The image is not on this computer yet."), Status.INFO, style="bold"),
                    Gap(),
                    Para(_("The container is made from it, so it has to be downloaded first.")),
                ],
                [Choice("download", _("To the download"))],
            )
            return
        chosen = planned.workspace
        gpus = str(chosen.gpus) if chosen.gpus.any else _("none: everything runs on the processor, much slower")
        blocks: list[Block] = [
            Para(_("This container will be made, or found again if it is there:")),
            Gap(),
            Facts(
                [
                    (_("Name"), chosen.name),
                    (_("Image"), self.journey.image),
                    (
                        _("Data folder"),
                        _("{data}, seen inside as {target}").format(data=chosen.data, target=DATA_TARGET),
                    ),
                    (_("GPUs"), gpus),
                ]
            ),
            *(Item(note, Status.INFO) for note in planned.notes),
            Gap(),
            Para(_("The command that a person would type for it:"), "$foreground-muted"),
            Code(shell_line(planned.command), "command"),
        ]
        self._planned = planned
        self.show(
            blocks,
            [
                Choice("make", _("Make the container"), verb=_("Make it")),
                Choice("change", _("Change something"), verb=_("Back")),
            ],
        )

    def picked(self, choice: str) -> None:
        if choice == "make":
            self._make()
        elif choice == "change":
            self.go(Step.WORKSPACE)
        elif choice == "download":
            self.go(Step.PULL)
        elif choice == "cpu":
            self.update(replace(self.journey, cpu_only=True))
            self.begin()
        elif choice == "repairs":
            self.session.findings = ()
            self.go(Step.CHECKUP)
        elif choice == "restart":
            self._ask_restart()
        elif choice == "name":
            self._ask_name()
        elif choice == "test":
            self._test()
        elif choice == "stop":
            self.end_work()
            self._tested([Item(_("The test was stopped."), Status.INFO, style="bold")])
        elif choice == "image":
            self.go(Step.IMAGE)

    # --- making it

    def _make(self, *, anew: bool = False) -> None:
        """With ``anew`` it is stopped before."""
        self._making = True
        self.show([Para(_("Starting the container anew …") if anew else _("Making the container …"), "bold")])
        make = self._anew if anew else self._up
        self.work(_("Working …"), make, self._made, failed=self._broke, said=self._said, retry=self.begin)

    def _up(self, emit: Emit, _cancel: Cancel) -> tuple[Up, tuple[Finding, ...]]:
        from wizard.services import container

        host, chosen = self.session.host, self._planned.workspace
        up = container.up(host, chosen, self.journey.image, emit)
        return up, container.look_inside(host, up.name)

    def _anew(self, emit: Emit, cancel: Cancel) -> tuple[Up, tuple[Finding, ...]]:
        from wizard.services import container

        container.stop(self.session.host, self._planned.workspace.name)
        return self._up(emit, cancel)

    def _ask_restart(self) -> None:
        def answered(choice: str | None) -> None:
            if choice:
                self._make(anew=True)

        text = _("What runs in the container is ended, a training too. Your data and what was installed in it stay.")
        choices = [Choice("", _("Leave it as it is")), Choice("anew", _("Start it anew"))]
        self.app.push_screen(Dialog(self.session, _("Start the container anew?"), [Para(text)], choices), answered)

    def _said(self, event: object) -> None:
        text = getattr(event, "text", "") or getattr(event, "what", "")
        if text:
            self.say_note(text)

    def _made(self, result: tuple[Up, Sequence[Finding]]) -> None:
        self._making = False
        up, seen = result
        headline = {
            "created": _("The container {name} is made and running."),
            "started": _("The container {name} was there and is running again."),
            "reused": _("The container {name} is running already."),
        }[up.action].format(name=up.name)
        blocks: list[Block] = [Item(headline, Status.OK, style="bold")]
        blocks += [Item(note, Status.INFO) for note in up.notes]
        blocks += [Gap(), Para(_("The GPU, seen from inside the container"), "bold")]
        for finding in seen:
            blocks.append(Item(f"{finding.title}: {finding.summary}", finding.status))
            if finding.detail and finding.status is not Status.OK:
                blocks.append(Para(finding.detail, "$foreground-muted", indent=8))
        failed = any(finding.status is Status.ERROR for finding in seen)
        choices = [Choice("next", _("Continue"))]
        if failed:
            choices = [
                Choice("repairs", _("Run the check-up again"), verb=_("Check-up")),
                Choice("next", _("Continue without a GPU"), _("training takes many times longer"), _("Continue")),
            ]
            if up.action == "reused":
                often = _("often gives it the GPU back")
                choices.insert(0, Choice("restart", _("Start the container anew"), often, _("Start anew")))
        elif any(finding.status is Status.OK for finding in seen):
            choices = [
                Choice("test", _("Test TensorFlow on the GPU"), _("takes a minute, on a new GPU longer"), _("Test")),
                *choices,
            ]
        else:
            choices.append(Choice("test", _("Test TensorFlow"), verb=_("Test")))
        self.update(replace(self.journey, name=up.name, notes=up.notes))
        self.show(blocks, choices)

    # --- TensorFlow in it

    def _test(self) -> None:
        self.show(
            [
                Para(_("Testing TensorFlow in the container …"), "bold"),
                Gap(),
                Para(_("It is loaded, looks for the GPU, and multiplies matrices on it.")),
                Para(_("A GPU that is newer than the image has its code compiled first: that can take minutes.")),
            ],
            [Choice("stop", _("Stop the test"), verb=_("Stop"))],
        )
        self.work(
            _("Testing …"), self._smoke, self._works, failed=self._does_not_work, said=self._said, retry=self._test
        )

    def _smoke(self, emit: Emit, cancel: Cancel) -> Smoke:
        from wizard.services import smoke

        return smoke.run(self.session.host, self.journey.name or DEFAULT_NAME, emit, cancel)

    def _works(self, seen: Smoke) -> None:
        from wizard.services import smoke

        headline = _("TensorFlow works in the container {name}.").format(name=seen.container)
        lines = (Item(line, Status.INFO) for line in smoke.in_words(seen))
        self._tested([Item(headline, Status.OK, style="bold"), Gap(), *lines])

    def _tested(self, blocks: Sequence[Block]) -> None:
        self.show(blocks, [Choice("next", _("Continue")), Choice("test", _("Test again"), verb=_("Test"))])

    def _does_not_work(self, trouble: Trouble) -> None:
        self.show(
            trouble_blocks(trouble),
            [
                Choice("test", _("Test again"), verb=_("Test")),
                Choice("image", _("Choose another image"), verb=_("Choose")),
                Choice("repairs", _("Run the check-up"), _("it finds out why"), _("Check-up")),
                Choice("next", _("Continue without it"), verb=_("Continue")),
            ],
        )
        self._trouble = trouble

    def _broke(self, trouble: Trouble) -> None:
        self._making = False
        choices = [Choice("again", _("Try again"))]
        blocks = trouble_blocks(trouble)
        if trouble.kind is Problem.NAME_TAKEN:
            choices = [Choice("name", _("Choose another name")), *choices]
        elif trouble.kind in NO_GPU:
            blocks = [
                *blocks[:3],
                Gap(),
                Para(
                    _(
                        "You can also go on without a GPU. Everything works then, but on the processor alone:"
                        " training takes many times longer. You can change this later."
                    )
                ),
                *blocks[3:],
            ]
            choices = [
                Choice("repairs", _("Run the check-up"), _("it finds out why"), _("Check-up")),
                *choices,
                Choice("cpu", _("Go on without a GPU"), verb=_("Go on")),
            ]
        elif trouble.kind is Problem.IMAGE_MISSING:
            choices = [Choice("download", _("To the download")), *choices]
        else:
            choices.append(Choice("change", _("Change something"), verb=_("Back")))
        self.show(blocks, choices)
        self._trouble = trouble

    def _ask_name(self) -> None:
        def wrong(text: str) -> str:
            try:
                check_name(text)
            except Trouble as trouble:
                return brief(trouble)
            return ""

        def entered(name: str | None) -> None:
            if name:
                self.update(replace(self.journey, name=name))
                self.begin()

        hint = _("Letters, digits, and . _ - after the first.")
        name = self._planned.workspace.name
        self.app.push_screen(AskLine(self.session, _("Another name"), hint, f"{name}-2", wrong), entered)

    def hold(self) -> str:
        return _("The container is being made. One moment, please.") if self._making else ""

    _planned: Planned
