"""``s2s-wizard pull``: downloads the image, with honest progress."""

from __future__ import annotations

from wizard.cli.call import FINE, Call, Narrator, fitting_image
from wizard.cli.console import size, tag
from wizard.model.finding import Status
from wizard.model.i18n import _, ngettext
from wizard.model.progress import PullPlan
from wizard.services import account, pull


def run(call: Call) -> int:
    """Without an image, the one that fits this machine. A key is used only if the registry wants one."""
    console = call.console
    image = call.options.image or fitting_image(call.host)
    found = account.current(call.host)
    narrator = PullNarrator(console)
    try:
        pulled = pull.run(call.host, image, None if found is None else found[0], emit=narrator, cancel=call.cancel)
    finally:
        narrator.end()
    if console.json:
        console.event("finished", {"image": pulled.image, "image_id": pulled.image_id, "digest": pulled.digest})
    else:
        text = _("{image} is here already.") if pulled.already else _("{image} is here now.")
        console.tagged(tag(Status.OK), text.format(image=pulled.image))
    return FINE


class PullNarrator(Narrator):
    """Says the plan of a download too."""

    def __call__(self, event: object) -> None:
        if not isinstance(event, PullPlan):
            super().__call__(event)
        elif self.console.json:
            plan = {"bytes_total": event.bytes_total, "bytes_here": event.bytes_here, "layers": event.layers}
            self.console.event("plan", plan)
        elif event.bytes_total is not None and event.layers is not None:
            missing = size(event.bytes_total - event.bytes_here)
            text = ngettext("To download: {size} in {n} layer.", "To download: {size} in {n} layers.", event.layers)
            self.console.say(text.format(size=missing, n=event.layers))
