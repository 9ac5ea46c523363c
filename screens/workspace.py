"""Where the data lies and what the container is called. Enter accepts what is there."""

from __future__ import annotations

from dataclasses import replace

from textual.app import ComposeResult

from screens.base import StepScreen, brief
from screens.fields import Field, Line
from screens.layout import Gap, Para
from screens.widgets import Blocks, Choice
from wizard.model.container import DATA_TARGET, Workspace
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.journey import Step


class WorkspaceScreen(StepScreen):
    """Four fields with sensible values."""

    step = Step.WORKSPACE

    def content(self) -> ComposeResult:
        from wizard.services import workspace

        ready = workspace.defaults(self.session.host, self.journey)
        yield Blocks(
            [Para(_("These values are good for most people. Nothing is created yet.")), Gap()],
            id="text",
        )
        inside = _("Your files. Inside the container it is {target}.")
        yield Field(_("Data folder"), ready.data, inside.format(target=DATA_TARGET), id="data")
        yield Field(_("Container name"), ready.name, _("How you call it later: s2s-wizard shell"), id="name")
        yield Field(
            _("Shared memory"), shm_text(ready.shm), _("Training programs exchange data there; 1g is enough."), id="shm"
        )
        numbers = _("all, none, or numbers such as 0,1")
        yield Field(_("GPUs"), str(ready.gpus), numbers, on_enter=_("Continue"), id="gpus")

    def begin(self) -> None:
        self.offer(
            [Choice("accept", _("Continue")), Choice("default", _("Put the first values back"), verb=_("Put back"))]
        )

    def picked(self, choice: str) -> None:
        if choice == "accept":
            self._accept()
        elif choice == "default":
            self._put_back()

    def submitted(self, message: Line.Submitted) -> None:
        if message.input is self.query_one("#gpus", Field).line:
            self._accept()
        else:
            self.focus_next()

    def _put_back(self) -> None:
        from wizard.services import workspace

        self.update(replace(self.journey, data="", name="", gpus="", shm=0))
        ready = workspace.defaults(self.session.host, self.journey)
        for name, value in (
            ("data", ready.data),
            ("name", ready.name),
            ("shm", shm_text(ready.shm)),
            ("gpus", str(ready.gpus)),
        ):
            field = self.query_one(f"#{name}", Field)
            field.line.value = value
            field.explain()

    def _accept(self) -> None:
        texts = {field.id or "": field.value.strip() for field in self.query(Field)}
        for field in self.query(Field):
            field.explain()
        self.work(_("Looking …"), lambda _emit, _cancel: self._checked(texts), self._good, failed=self._bad)

    def _checked(self, texts: dict[str, str]) -> Workspace:
        from wizard.services import workspace

        return workspace.validate(
            self.session.host, data=texts["data"], name=texts["name"], gpus=texts["gpus"], shm=texts["shm"]
        )

    def _good(self, ready: Workspace) -> None:
        journey = replace(self.journey, data=ready.data, name=ready.name, gpus=str(ready.gpus), shm=ready.shm)
        self.update(journey if journey == self.journey else journey.reopened(Step.CONTAINER))
        self.next()

    def _bad(self, trouble: Trouble) -> None:
        field = self._culprit(trouble)
        field.explain(brief(trouble))
        field.line.focus()
        field.scroll_visible(animate=False)

    def _culprit(self, trouble: Trouble) -> Field:
        """The field that the trouble is about."""
        fields = {field.id: field for field in self.query(Field)}
        if trouble.kind in (Problem.NAME_INVALID, Problem.NAME_TAKEN):
            return fields["name"]
        if trouble.kind is Problem.BAD_INPUT:
            for name in ("shm", "gpus", "name"):
                if trouble.subject and trouble.subject in (fields[name].value, fields[name].value.strip().lower()):
                    return fields[name]
        return fields["data"]


def shm_text(count: int) -> str:
    """Bytes as Docker writes them: ``1g``, ``512m``."""
    for unit, width in (("g", 1024**3), ("m", 1024**2), ("k", 1024)):
        if count and count % width == 0:
            return f"{count // width}{unit}"
    return f"{count}b"
