"""The configurations of OpenSeq2Seq by task: what each needs, whether it can be trained here, and what stops it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from wizard.host.ports import Host
from wizard.knowledge import configs
from wizard.knowledge.configs import STOPS, Config, Data, Fits
from wizard.model.container import DATA_TARGET
from wizard.model.i18n import _, ngettext
from wizard.model.journey import Journey
from wizard.model.training.plan import Machine
from wizard.services import journey, workspace
from wizard.services.training import code
from wizard.services.training import place as places
from wizard.services.training.place import Place


@dataclass(frozen=True, slots=True)
class Offer:
    """One configuration on this machine. ``stops`` say why it cannot be trained here now, ``changes`` what the wizard
    changes so that it can, as translated parts of sentences.

    ``missing`` are the lists of its data that are not here, by the names of their files; ``here`` whether all is.
    """

    config: Config
    data: Data
    here: bool
    missing: tuple[str, ...]
    stops: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What ``train`` can be given: the file's name, or its path where two files have the same name."""
        name = posixpath.basename(self.config.path)
        alone = sum(posixpath.basename(other.path) == name for other in configs.load()) == 1
        return name.removesuffix(".py") if alone else self.config.path

    @property
    def fits(self) -> bool:
        """Whether it can be trained here now."""
        return not self.stops

    @property
    def needs(self) -> tuple[str, ...]:
        """What it is written for, as translated words."""
        config = self.config
        parts = [ngettext("{n} GPU", "{n} GPUs", config.gpus).format(n=config.gpus)]
        if config.memory:
            parts.append(_("{n} GB of GPU memory").format(n=config.memory))
        if config.mixed:
            parts.append(_("mixed precision"))
        if self.data.disk:
            parts.append(_("{n} GB of disk for the data").format(n=f"{self.data.disk:g}"))
        return tuple(parts)


def offered(host: Host, place: Place | None = None) -> tuple[Offer, ...]:
    """Every configuration, by task, the best to begin with first. Starts nothing and asks no container: without
    ``place``, the data folder and the GPUs are those that a new container would get.

    Raises ``FILE_PERMISSION`` for a data folder that may not be looked at.
    """
    data = place.data if place is not None else workspace.defaults(host, journey.load(host) or Journey()).data
    machine = places.machine(host, place.container if place is not None else None)

    @cache
    def names(folder: str) -> frozenset[str]:
        inner = posixpath.normpath(posixpath.join(code.WHERE, folder))
        if not inner.startswith(f"{DATA_TARGET}/"):
            return frozenset()
        return frozenset(host.files.names(posixpath.join(data, posixpath.relpath(inner, DATA_TARGET))))

    return tuple(_offer(config, machine, names) for config in configs.load())


def _offer(config: Config, machine: Machine, names: Callable[[str], frozenset[str]]) -> Offer:
    data = configs.data()[config.data]
    there = names(data.where)
    missing = tuple(name for name in map(posixpath.basename, config.lists) if name not in there)
    in_code = data.made == "in the code"
    here = in_code or bool(there and not missing)
    trained = frozenset({config.load_model} if config.load_model and names(config.load_model) else ())
    found = configs.fitting(config, machine, frozenset({data.id} if here else ()), trained)
    told = tuple(zip((reason for reason, _subject in found.reasons), found.words, strict=True))
    return Offer(
        config,
        data,
        here,
        () if in_code else missing,
        stops=tuple(words for reason, words in told if reason in STOPS),
        changes=tuple(words for reason, words in told if reason not in STOPS),
    )


def to_json(host: Host, place: Place | None, offers: tuple[Offer, ...]) -> dict[str, Any]:
    """The document of ``train --list --json``: ``machine`` with ``gpus``, ``memory`` (bytes of the smallest GPU) and
    ``capability``; ``configurations``, each with what it needs, whether it ``fits`` (``yes``, ``changed``: with what
    ``changes`` say, ``no``: because of what ``stops`` say), and its ``data``. Sizes of data and of a GPU's memory are
    GB, null where not known; ``missing`` are lists that are not here.
    """
    machine = places.machine(host, place.container if place is not None else None)
    return {
        "schema_version": 1,
        "machine": {
            "gpus": machine.gpus,
            "memory": machine.memory,
            "capability": ".".join(map(str, machine.capability)) if machine.capability else None,
        },
        "configurations": [_row(offer) for offer in offers],
    }


def _row(offer: Offer) -> dict[str, Any]:
    config, data = offer.config, offer.data
    fits = Fits.NO if offer.stops else Fits.CHANGED if offer.changes else Fits.YES
    return {
        "name": offer.name,
        "path": config.path,
        "title": _(config.title),
        "task": config.task.value,
        "model": config.model,
        "gpus": config.gpus,
        "gpu_memory_gb": config.memory or None,
        "mixed_precision": config.mixed,
        "batch_size_per_gpu": config.batch,
        "epochs": config.epochs or None,
        "steps": config.steps or None,
        "fits": fits.value,
        "stops": list(offer.stops),
        "changes": list(offer.changes),
        "data": {
            "id": data.id,
            "title": _(data.title),
            "where": data.where,
            "made_by": data.made,
            "download_gb": data.download or None,
            "disk_gb": data.disk or None,
            "here": offer.here,
            "missing": list(offer.missing),
        },
    }
