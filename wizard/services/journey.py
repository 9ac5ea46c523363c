"""The resume point: where the user stopped, written to disk, and compared with the machine when they come back."""

from __future__ import annotations

from contextlib import suppress

from wizard.host.ports import Host
from wizard.model import journey as model
from wizard.model.container import LABEL
from wizard.model.errors import Trouble
from wizard.model.journey import Journey, Step

FILE = "resume.json"
ASIDE = "resume-unreadable.json"
"""Where a resume point is put that this version of the program cannot read."""


def load(host: Host) -> Journey | None:
    """The journey of last time, or None: then the user begins at the beginning.

    The resume point is a convenience, so nothing about it is an error here: one that cannot be read, because it is
    broken or of a newer version, is kept under another name.
    """
    try:
        data = host.store.read(FILE)
    except Trouble:
        return None
    if data is None:
        return None
    try:
        return model.from_bytes(data)
    except ValueError:
        with suppress(Trouble):
            host.store.write(ASIDE, data)
            host.store.remove(FILE)
        return None


def save(host: Host, journey: Journey) -> None:
    """Writes the resume point in one step. Raises ``DISK_FULL``, ``FILE_PERMISSION``, ``FILE_READ_ONLY``."""
    host.store.write(FILE, model.to_bytes(journey))


def clear(host: Host) -> None:
    """Forgets the resume point; the next start begins at the beginning."""
    host.store.remove(FILE)


def first_open(host: Host, journey: Journey) -> Step:
    """The first step that is not done, or that the machine says is not done any more.

    A check-up from last time stands as long as Docker answers; whether GPU and runtime still work is seen where they
    are used, and the check-up can be run again at any time. When Docker does not answer, the check-up says why, so
    it comes next. A downloaded image that has gone is downloaded again, unless the container made from it is still
    there; a container that has gone is made again, and one that has only stopped is as good as done, because
    opening a shell starts it. Asks Docker three questions at most.
    """
    if journey.first_open.number <= Step.CHECKUP.number:
        return journey.first_open
    try:
        host.engine.ping()
        if Step.CONTAINER in journey.done:
            if _container_is_there(host, journey):
                return journey.first_open
            journey = journey.reopened(Step.CONTAINER)
        if Step.PULL in journey.done and not (journey.image and host.engine.image(journey.image)):
            journey = journey.reopened(Step.PULL)
    except Trouble:
        journey = journey.reopened(Step.CHECKUP)
    return journey.first_open


def _container_is_there(host: Host, journey: Journey) -> bool:
    there = host.engine.container(journey.name) if journey.name else None
    # The engine also answers to the beginning of an id.
    return there is not None and there.name == journey.name and LABEL in there.labels
