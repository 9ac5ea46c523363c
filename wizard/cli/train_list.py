"""``s2s-wizard train --list``: the configurations of OpenSeq2Seq by task, and which of them can be trained here."""

from __future__ import annotations

from contextlib import suppress

from wizard.cli.call import FINE, Call, container_name
from wizard.cli.console import Console, tag
from wizard.knowledge.configs import task_title
from wizard.model.errors import Trouble
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.services.training import configurations
from wizard.services.training import place as places
from wizard.services.training.configurations import Offer
from wizard.services.training.place import Place


def run(call: Call) -> int:
    """With JSON one document: see ``configurations.to_json``."""
    console = call.console
    place = _place(call)
    offers = configurations.offered(call.host, place)
    if console.json:
        console.document(configurations.to_json(call.host, place, offers))
        return FINE
    task = None
    for offer in offers:
        if offer.config.task is not task:
            if task is not None:
                console.out()
            task = offer.config.task
            console.out(task_title(task))
        _show(console, offer)
    console.say()
    console.say(_("Train one: {command}").format(command=console.typed("train", "NAME")))
    return FINE


def _place(call: Call) -> Place | None:
    """The container as it is; without one, and without Docker, the table is of use, too."""
    with suppress(Trouble):
        found = call.host.engine.container(container_name(call))
        return None if found is None else places.of(found)
    return None


def _show(console: Console, offer: Offer) -> None:
    status = Status.SKIPPED if offer.stops else Status.INFO if offer.changes else Status.OK
    console.tagged(tag(status), f"{offer.name}: {_(offer.config.title)}")
    console.paragraph("; ".join((_(offer.data.title), *offer.needs)))
    if offer.stops:
        console.paragraph(_("Not now: {reasons}").format(reasons="; ".join(offer.stops)))
    elif offer.changes:
        console.paragraph(_("Changed here: {reasons}").format(reasons="; ".join(offer.changes)))
    if offer.missing and len(offer.missing) < len(offer.config.lists):
        console.paragraph(_("Missing: {names}").format(names=", ".join(offer.missing)))
