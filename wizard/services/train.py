"""The page for trainings: how things stand in the container, what would be run, and one call for each wish.

The work itself is done in ``wizard.services.training`` and ``wizard.services.data``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.knowledge import configs
from wizard.model.container import DATA_TARGET, LABEL_GPUS
from wizard.model.container_job import Job
from wizard.model.errors import Trouble
from wizard.model.event import Cancel, Emit, Started, ignore
from wizard.model.i18n import _
from wizard.model.training.lines import Lines
from wizard.model.training.plan import DEFAULT_CONFIG, LogFolder, Run
from wizard.services.data import configuration, librispeech
from wizard.services.data.librispeech import READY, FetchPlan, PartReady
from wizard.services.training import code, configurations, preflight, training_run
from wizard.services.training import place as places
from wizard.services.training.configurations import Offer
from wizard.services.training.place import Place
from wizard.services.training.preflight import Ready, Wanted
from wizard.services.training.training_run import Outcome

LOG_BYTES = 128 * 1024
"""How much of a log is read at once: what came before is passed over, it stands on the disk."""
_LOOK_SECONDS = 0.05
"""Twenty looks a second at a log."""
_BATCH = "--batch_size_per_gpu="
_DECIDED = ("--config_file=", "--mode=", "--enable_logs", "--continue_learning", "--infer_output_file=", "--allow-run")
"""Words of a run's command that are decided anew for each run."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How trainings stand in a container.

    ``running`` is what uses its GPU now. ``config`` would be trained with ``command``, and ``folder`` is what its log
    folder allows. ``offers`` are all configurations that are known, ``offer`` the one of ``config`` among them.
    ``lacks`` is what of LibriSpeech has to be fetched first: None where enough is here, or it is not needed.
    ``lacks_why`` says why it cannot be fetched, such as a disk that is too small.
    """

    place: Place
    running: Job | None
    config: str
    offer: Offer | None
    offers: tuple[Offer, ...]
    command: tuple[str, ...]
    folder: LogFolder
    lacks: FetchPlan | None
    lacks_why: Trouble | None
    gpu: bool

    @property
    def checkpoint(self) -> tuple[str, int] | None:
        """The newest checkpoint of the configuration: its path on this machine, without suffix, and its step."""
        folder = self.folder
        return None if folder.step is None else (self.place.outside(folder.checkpoint), folder.step)

    @property
    def ready(self) -> bool:
        """Whether nothing is known to be missing."""
        if self.lacks is not None or self.lacks_why is not None:
            return False
        return self.offer is None or self.librispeech or not self.offer.stops

    @property
    def librispeech(self) -> bool:
        """Whether it trains with LibriSpeech, of which a part is enough."""
        return self.offer is not None and self.offer.data.id.startswith("librispeech")

    @property
    def data_place(self) -> str:
        """Where its data belongs, on this machine; "" where that is not known, or somewhere else."""
        if self.offer is None:
            return ""
        inner = posixpath.normpath(posixpath.join(code.WHERE, self.offer.data.where))
        return self.place.outside(inner) if inner.startswith(f"{DATA_TARGET}/") else ""


def look(host: Host, name: str, config: str = "") -> Outlook:
    """Looks at the container ``name``; starts it if it is ours and has stopped. "" is the usual configuration.

    Raises what ``place.find`` raises.
    """
    place = places.find(host, name)
    wanted = config or DEFAULT_CONFIG
    offers = configurations.offered(host, place)
    offer = next((one for one in offers if one.config.path == wanted), None)
    logdir = posixpath.normpath(posixpath.join(code.WHERE, offer.config.logdir if offer else "experiment"))
    folder = preflight.log_folder(host, place, logdir, None)
    lacks, why = None, None
    if offer is not None and offer.data.id.startswith("librispeech"):
        lacks, why = _lacking(host, place)
    return Outlook(
        place=place,
        running=training_run.running_in(host, place),
        config=wanted,
        offer=offer,
        offers=offers,
        command=Run(wanted, continue_learning=folder.resumes).argv,
        folder=folder,
        lacks=lacks,
        lacks_why=why,
        gpu=place.container.labels.get(LABEL_GPUS) != "none",
    )


def _lacking(host: Host, place: Place) -> tuple[FetchPlan | None, Trouble | None]:
    """What is missing of LibriSpeech to begin with: one part to train with and one to evaluate with are enough."""
    here = {state.part.use for state in librispeech.states(host, place.data) if state.state == READY}
    if {"train", "evaluate"} <= here:
        return None, None
    try:
        return librispeech.plan(host, place.data), None
    except Trouble as trouble:
        return None, trouble


def parts(plan: FetchPlan) -> str:
    """The names of what would be fetched."""
    return ", ".join(state.part.name for state in plan.todo)


def fetch(host: Host, name: str, emit: Emit = ignore, cancel: Cancel | None = None) -> tuple[PartReady, ...]:
    """Fetches the parts of LibriSpeech that are enough to begin with; goes on where an earlier call stopped."""
    place = places.find(host, name)
    return librispeech.fetch(host, place, librispeech.plan(host, place.data), emit=emit, cancel=cancel)


def check(
    host: Host,
    name: str,
    config: str = "",
    options: tuple[str, ...] = (),
    emit: Emit = ignore,
    cancel: Cancel | None = None,
) -> Ready:
    """Brings the code and what it needs, and looks at everything that would fail late; what it returns can be run.

    Raises what ``preflight.check`` raises.
    """
    place = places.find(host, name)
    emit(Started(_("Looking at everything that could stop the training later.")))
    return preflight.check(host, place, wanted(host, place, config, options), emit, cancel)


def wanted(host: Host, place: Place, config: str = "", options: tuple[str, ...] = ()) -> Wanted:
    """What to run for a configuration that was chosen; where it names more of LibriSpeech than is here, a copy that
    names what is here.
    """
    config = config or DEFAULT_CONFIG
    known = configs.named(config)
    if known is not None and known.data.startswith("librispeech"):
        config = configuration.for_librispeech(host, place, known.path) or config
    return Wanted(config, options)


def train(host: Host, ready: Ready, emit: Emit = ignore, cancel: Cancel | None = None) -> Outcome:
    """Begins what was checked and follows it to its end, whatever that is. ``cancel`` ends the following only."""
    return training_run.watch(host, training_run.begin(host, ready, emit), emit, cancel)


def follow(host: Host, job: Job, emit: Emit = ignore, cancel: Cancel | None = None) -> Outcome:
    """Follows what runs already, from the beginning of its log."""
    return training_run.watch(host, job, emit, cancel)


def again(job: Job, *, half: bool = False) -> tuple[str, tuple[str, ...]]:
    """The configuration and the options of an earlier run, to run it again; with ``half`` the batch, where it has one
    to halve.
    """
    words = tuple(word for word in job.argv if word.startswith("--") and not word.startswith(_DECIDED))
    batch = training_run.half_batch(job) if half else None
    if batch is not None:
        words = (*(word for word in words if not word.startswith(_BATCH)), f"{_BATCH}{batch}")
    return job.facts.get("config", ""), words


def on_host(job: Job, path: str) -> str:
    """Where a path of the job's container below /data lies on this machine."""
    data = job.folder.removesuffix(job.inside.removeprefix(DATA_TARGET))
    return posixpath.normpath(posixpath.join(data, posixpath.relpath(path, DATA_TARGET)))


@dataclass(frozen=True, slots=True)
class Piece:
    """New lines of a log, oldest first. ``skipped`` are the bytes before them that were passed over."""

    lines: tuple[str, ...]
    skipped: int = 0


def read_log(host: Host, job: Job, name: str, take: Callable[[Piece], None], cancel: Cancel) -> None:
    """Gives the end of a job's log ``name`` (``stdout.log`` or ``stderr.log``) and what is added to it, until it is
    cancelled. However fast the log grows, no more than ``LOG_BYTES`` of it are read at a time.
    """
    path, offset, lines = job.path(name), 0, Lines()
    while True:
        size = host.files.info(path).size
        skipped = max(0, size - LOG_BYTES - offset)
        if skipped:
            offset, lines = offset + skipped, Lines()
        piece = host.files.after(path, offset, LOG_BYTES)
        offset += len(piece)
        if skipped:  # it begins in the middle of a line
            cut = piece.find(b"\n") + 1
            skipped, piece = skipped + cut, piece[cut:]
        if fresh := lines.feed(piece):
            take(Piece(tuple(fresh), skipped))
        if cancel.wait(_LOOK_SECONDS):
            return
