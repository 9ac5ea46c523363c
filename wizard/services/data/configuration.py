"""A configuration for the data that is here: Jasper Mini with other lists.

OpenSeq2Seq stops at the first list that is missing, and the command line cannot name others, so a small file beside the
data loads the original and changes the lists.
"""

from __future__ import annotations

import posixpath

from wizard.host.ports import Host
from wizard.knowledge import librispeech as knowledge
from wizard.model.container import DATA_TARGET
from wizard.model.training import derived
from wizard.model.training.plan import DEFAULT_CONFIG
from wizard.services.data import librispeech, recordings
from wizard.services.training.place import Place

NAME = "jasper-mini.py"
"""The file, beside the lists that it names."""


def for_librispeech(host: Host, where: Place) -> str:
    """What ``s2s-wizard train`` has to be given to train with the parts that are here.

    An empty text where too little is here: there has to be a part to train and one to evaluate with. The original
    itself where everything is here that it names.
    """
    here = [state.part for state in librispeech.states(host, where.data) if state.state == librispeech.READY]
    lists = {use: tuple(librispeech.csv_inside(part) for part in here if part.use == use) for use in _USES}
    if not lists["train"] or not lists["evaluate"]:
        return ""
    names = {part.name for part in here}
    if {part.name for part in knowledge.corpus().parts if part.name in _OF_THE_ORIGINAL} <= names:
        return DEFAULT_CONFIG
    path = posixpath.join(DATA_TARGET, librispeech.FOLDER, NAME)
    evaluate = lists["evaluate"][:1]
    _write(host, where, path, derived.dataset(lists["train"], evaluate, lists["test"][:1] or evaluate))
    return path


def for_recordings(host: Host, where: Place, name: str) -> str:
    """The same for recordings of one's own."""
    folder = posixpath.join(DATA_TARGET, recordings.FOLDER, name)
    path = posixpath.join(folder, NAME)
    dev = (posixpath.join(folder, recordings.DEV),)
    _write(host, where, path, derived.dataset((posixpath.join(folder, recordings.TRAIN),), dev, dev))
    return path


_USES = ("train", "evaluate", "test")
_OF_THE_ORIGINAL = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "test-clean")
"""The parts that Jasper Mini names."""


def _write(host: Host, where: Place, path: str, changes: tuple[derived.Change, ...]) -> None:
    place = where.outside(path)
    before = host.files.read(place)
    host.files.replace(place, before.data if before else None, derived.text(DEFAULT_CONFIG, changes).encode())
