"""``s2s-wizard up``: makes the container, or finds it again."""

from __future__ import annotations

from pathlib import Path

from wizard.cli.call import FINE, Call, Narrator, fitting_image
from wizard.cli.console import tag
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.model.image import ImageReference
from wizard.model.journey import Journey
from wizard.services import container, journey, workspace

_NO_GPU = (Problem.GPU_DRIVER_NOT_SELECTED, Problem.RUNTIME_UNKNOWN, Problem.RUNTIME_BROKEN)


def run(call: Call) -> int:
    """What is not said is as it was said last time, or as the wizard suggests."""
    host, options, console = call.host, call.options, call.console
    before = journey.load(host) or Journey()
    suggested = workspace.defaults(host, before)
    wanted = workspace.validate(
        host,
        data=suggested.data if options.data is None else _absolute(options.data),
        name=suggested.name if options.name is None else options.name,
        gpus=str(suggested.gpus) if options.gpus is None else options.gpus,
        shm=str(suggested.shm),
    )
    image = str(ImageReference.parse(options.image or before.image or fitting_image(host)))
    try:
        up = container.up(host, wanted, image, emit=Narrator(console))
    except Trouble as trouble:
        if trouble.kind in _NO_GPU:
            trouble.hint = trouble.hint or _("To go on with the processor alone, add: --gpus none")
        raise
    if console.json:
        console.document(container.to_json(up))
        return FINE
    words = {
        "created": _('The container "{name}" was made and is running.'),
        "started": _('The container "{name}" was started again.'),
        "reused": _('The container "{name}" is running already.'),
    }
    console.tagged(tag(Status.OK), words[up.action].format(name=up.name))
    for note in up.notes:
        console.out(f"    {note}")
    console.say(
        _("Test TensorFlow in it: {command}").format(command=console.typed("image", "--test", *_named(options.name)))
    )
    console.say(_("A shell in it: {command}").format(command=console.typed("shell", *_named(options.name))))
    return FINE


def _absolute(folder: str) -> str:
    """A folder as typed, seen from the current one; ``~`` is left to the service, which knows the user."""
    return folder if not folder or folder.startswith("~") else str(Path.cwd() / folder)


def _named(name: str | None) -> tuple[str, ...]:
    return () if name is None else ("--name", name)
