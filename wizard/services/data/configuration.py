"""A configuration for the data that is here: Jasper Mini, or another one, with other lists.

OpenSeq2Seq stops at the first list that is missing, and the command line cannot name others, so a small file beside the
data loads the original and changes the lists.
"""

from __future__ import annotations

import posixpath

from wizard.host.ports import Host
from wizard.knowledge import configs
from wizard.model.container import DATA_TARGET
from wizard.model.training import derived
from wizard.model.training.plan import DEFAULT_CONFIG
from wizard.services.data import librispeech, recordings
from wizard.services.training.place import Place

NAME = "jasper-mini.py"
"""The file, beside the lists that it names."""


def for_librispeech(host: Host, where: Place, original: str = DEFAULT_CONFIG) -> str:
    """What ``s2s-wizard train`` has to be given to train ``original`` with the parts that are here.

    An empty text where too little is here: there has to be a part to train and one to evaluate with. The original
    itself where everything is here that it names.
    """
    here = [state.part for state in librispeech.states(host, where.data) if state.state == librispeech.READY]
    lists = {use: tuple(librispeech.csv_inside(part) for part in here if part.use == use) for use in _USES}
    if not lists["train"] or not lists["evaluate"]:
        return ""
    known = configs.by_path(original)
    if known is not None and set(known.lists) <= {librispeech.csv_inside(part) for part in here}:
        return original
    name = NAME if original == DEFAULT_CONFIG else posixpath.basename(original)
    path = posixpath.join(DATA_TARGET, librispeech.FOLDER, name)
    evaluate = lists["evaluate"][:1]
    _write(host, where, path, derived.dataset(lists["train"], evaluate, lists["test"][:1] or evaluate), original)
    return path


def for_recordings(host: Host, where: Place, name: str) -> str:
    """The same for recordings of one's own."""
    folder = posixpath.join(DATA_TARGET, recordings.FOLDER, name)
    path = posixpath.join(folder, NAME)
    dev = (posixpath.join(folder, recordings.DEV),)
    _write(host, where, path, derived.dataset((posixpath.join(folder, recordings.TRAIN),), dev, dev))
    return path


_USES = ("train", "evaluate", "test")


def _write(
    host: Host, where: Place, path: str, changes: tuple[derived.Change, ...], original: str = DEFAULT_CONFIG
) -> None:
    place = where.outside(path)
    before = host.files.read(place)
    host.files.replace(place, before.data if before else None, derived.text(original, changes).encode())
