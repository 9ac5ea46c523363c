"""A training as a job for somebody else's scheduler: what it needs, said without the scheduler's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from wizard.model.container import DATA_TARGET, DEFAULT_NAME, DEFAULT_SHM, check_name
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.image import ImageReference
from wizard.model.secret import redact
from wizard.model.training.plan import Run, Value

_PARTITION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,-]*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LONGEST = 63 - len("-worker-9999")
"""Kubernetes' limit for the names of pods and of what belongs to them, less what the MPI operator adds."""
_NOT_TEXT = r"\x00-\x1f\x7f\ud800-\udfff"
"""Control characters, and what Python makes of bytes that are no UTF-8."""
_LIMIT = re.compile(r"(?:(?P<days>\d{1,3})-)?(?P<hours>\d{1,4}):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?")


class Scheduler(str, Enum):
    """Who runs the job, and how the container comes to be."""

    SLURM_PYXIS = "slurm-pyxis"
    """Slurm whose plugin pyxis runs containers with enroot; needs no Docker"""
    SLURM_DOCKER = "slurm-docker"
    """Slurm with Docker on the node; one node only"""
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training on ``nodes`` machines with ``gpus_per_node`` GPUs each (0: on the processor).

    ``data`` is the absolute folder that is /data in the container and that every node sees; ``claim`` the
    PersistentVolumeClaim that takes its place in Kubernetes. ``run`` says the configuration and its options; how many
    processes there are, and whether the training is continued, is the job's to say. The clone ``code`` and ``logdir``
    lie under /data. ``seconds`` is the time limit, None for the scheduler's own. ``queue`` is Slurm's partition, or
    Kueue's queue; ``pull_secret`` the name of the Kubernetes secret with the registry's credentials. ``shm`` are bytes.
    """

    image: ImageReference
    data: str
    run: Run
    code: str
    logdir: str
    name: str = DEFAULT_NAME
    nodes: int = 1
    gpus_per_node: int = 1
    seconds: int | None = None
    queue: str = ""
    claim: str = ""
    pull_secret: str = ""
    shm: int = DEFAULT_SHM

    @property
    def ranks(self) -> int:
        """Processes of the training: one for each GPU, and one at least on each node."""
        return self.nodes * self.slots

    @property
    def slots(self) -> int:
        """Processes on one node."""
        return max(1, self.gpus_per_node)

    @property
    def program(self) -> tuple[str, ...]:
        """What each process runs, without ``--continue_learning``: the log folder decides about that."""
        return self._of(1).argv

    @property
    def on_one_node(self) -> tuple[str, ...]:
        """What one node runs for all its processes, as a local training does."""
        return self._of(self.ranks).argv

    def _of(self, processes: int) -> Run:
        more: Mapping[str, Value] = {"use_horovod": True} if self.ranks > 1 else {}
        options = {**self.run.options, "logdir": self.logdir, **more}
        return replace(self.run, options=options, processes=processes, continue_learning=False, enable_logs=True)

    def on_host(self, path: str) -> str:
        """A path of the container's /data as the node itself sees it."""
        return self.data + path.removeprefix(DATA_TARGET)


def check(job: TrainingJob, scheduler: Scheduler) -> TrainingJob:
    """``job`` if ``scheduler`` can run it. Raises ``Trouble``: ``BAD_INPUT`` with a hint, ``NAME_INVALID``."""
    if any(redact(word) != word for word in job.program):
        raise Trouble(
            Problem.BAD_INPUT, hint=_("One of the options looks like an API key. No key goes into a job's file.")
        )
    for path, hint in (
        (job.data, _("The data folder must be an absolute path.")),
        (job.code, ""),
        (job.logdir, ""),
    ):
        # Commas, colons and quotation marks would end the path in the options that name it.
        if not path.startswith("/") or re.search(rf'[,:"\\{_NOT_TEXT}]', path):
            raise Trouble(Problem.BAD_INPUT, subject=path, hint=hint)
    for path in (job.code, job.logdir):
        if not path.startswith(f"{DATA_TARGET}/") or "/../" in f"{path}/":
            hint = _("It must lie under {folder}, or it is lost with the container.").format(folder=DATA_TARGET)
            raise Trouble(Problem.BAD_INPUT, subject=path, hint=hint)
    for word in (job.run.config, *job.program):
        if re.search(f"[{_NOT_TEXT}]", word) or not word:
            raise Trouble(Problem.BAD_INPUT, subject=word)
    if job.nodes < 1 or job.gpus_per_node < 0:
        raise Trouble(Problem.BAD_INPUT, subject=f"--nodes {job.nodes} --gpus-per-node {job.gpus_per_node}")
    if scheduler is Scheduler.KUBERNETES:
        for label in (job.name, job.queue, job.claim, job.pull_secret):
            if label and (not _LABEL.fullmatch(label) or len(label) > _LONGEST):
                hint = _("Kubernetes takes names of small letters, digits and hyphens, at most {n}.").format(n=_LONGEST)
                raise Trouble(Problem.BAD_INPUT, subject=label, hint=hint)
        return job
    check_name(job.name)
    if job.queue and not _PARTITION.fullmatch(job.queue):
        raise Trouble(Problem.BAD_INPUT, subject=job.queue)
    if scheduler is Scheduler.SLURM_DOCKER and job.nodes > 1:
        raise Trouble(
            Problem.BAD_INPUT,
            subject=f"--nodes {job.nodes}",
            hint=_("Containers of plain Docker cannot train together on several nodes. Use pyxis or Kubernetes."),
        )
    return job


def parse_limit(text: str) -> int:
    """Seconds of a time limit in Slurm's notation: ``H:MM``, ``H:MM:SS``, each with ``D-`` in front.

    Raises ``Trouble(BAD_INPUT)``. Slurm itself reads ``30:00`` as 30 minutes; here it is hours as on a clock.
    """
    match = _LIMIT.fullmatch(text.strip())
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not total:
        raise Trouble(Problem.BAD_INPUT, subject=text, hint=_("A time limit looks like this: 2-00:00:00 or 12:00:00"))
    return total
