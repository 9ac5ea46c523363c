"""``s2s-wizard train --tensorboard``: the curves of a training in a browser, and ``--stop tensorboard`` to end it."""

from __future__ import annotations

from wizard.cli.call import FINE, Call, container_name
from wizard.cli.console import tag
from wizard.cli.train import TrainNarrator
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.services.training import place as places
from wizard.services.training import tensorboard


def run(call: Call) -> int:
    """Prints one event ``tensorboard``: ``running``, and then ``url``, ``port``, ``tunnel``, ``logdir``."""
    host, console, options = call.host, call.console, call.options
    name = container_name(call)
    if options.stop:
        return _stop(call, name)
    narrator = TrainNarrator(console, host, name)
    try:
        place = places.find(host, name)
        logdir = tensorboard.log_folder(host, place, options.config or "", options.words)
        board = tensorboard.start(host, place, logdir, narrator, call.cancel, port=options.port)
    finally:
        narrator.end()
    if console.json:
        shown = {"url": board.url, "port": board.port, "tunnel": board.tunnel, "logdir": board.logdir}
        console.event("tensorboard", {"running": True, **shown})
        return FINE
    console.tagged(tag(Status.OK), _("TensorBoard: {url}").format(url=board.url))
    console.out("    " + _("From another computer, type there: {command}").format(command=board.tunnel))
    console.out("    " + _("and open http://localhost:{port}/ there.").format(port=board.port))
    console.say(_("Everybody who is logged in on this machine can open it."))
    named = ("--name", name) if options.name else ()
    console.say(_("End it: {command}").format(command=console.typed("train", *named, "--stop", "tensorboard")))
    return FINE


def _stop(call: Call, name: str) -> int:
    host, console = call.host, call.console
    found = host.engine.container(name)
    if found is None:
        raise Trouble(Problem.CONTAINER_MISSING, subject=name)
    place = places.of(found)
    ended = place is not None and found.running and tensorboard.stop(host, place)
    if console.json:
        console.event("tensorboard", {"running": False})
    elif ended:
        console.tagged(tag(Status.OK), _("TensorBoard was ended."))
    else:
        console.out(_("No TensorBoard runs in this container."))
    return FINE
