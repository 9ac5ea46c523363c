"""``s2s-wizard train --export``: a training as a job for Slurm or Kubernetes."""

from __future__ import annotations

import shlex
from pathlib import Path

from wizard.cli.call import FINE, PERSON, Call, agreed, fitting_image
from wizard.model.container import DEFAULT_NAME
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.image import ImageReference
from wizard.model.journey import Journey
from wizard.model.machine import PathKind
from wizard.model.training.job import Scheduler, TrainingJob, parse_limit
from wizard.services import journey, workspace
from wizard.services.training import code, export


def run(call: Call) -> int:
    """Exit code 0 when the job was printed or written, 3 when a file is there and the user wants to keep it.

    Image and data folder are those of the container, unless others are said. This machine needs neither GPU nor Docker:
    the job runs elsewhere.
    """
    host, options, console = call.host, call.options, call.console
    before = journey.load(host) or Journey()
    suggested = workspace.defaults(host, before)
    data = suggested.data if options.data is None else _absolute(options.data, host.home)
    what, logdir = export.run_of(host, data, options.config or "", options.words)
    job = TrainingJob(
        image=ImageReference.parse(options.image or before.image or fitting_image(host)),
        data=data,
        run=what,
        code=code.WHERE,
        logdir=logdir,
        name=options.name or DEFAULT_NAME,
        nodes=1 if options.nodes is None else options.nodes,
        gpus_per_node=1 if options.gpus_per_node is None else options.gpus_per_node,
        seconds=None if options.time_limit is None else parse_limit(options.time_limit),
        queue=options.queue or "",
        claim=options.claim or "",
        pull_secret=options.pull_secret or "",
        shm=suggested.shm,
    )
    scheduler = (
        Scheduler.KUBERNETES if options.export == "kubernetes" else Scheduler(f"slurm-{options.containers or 'pyxis'}")
    )
    content = export.text(job, scheduler)
    path = None if options.output is None else _absolute(options.output, host.home)
    notes = export.notes(job, scheduler, shlex.quote(options.output) if options.output else _("FILE"))
    if path is not None and not _written(call, path, content):
        return PERSON
    if console.json:
        console.document(export.to_json(job, scheduler, content, notes, path))
        return FINE
    if path is None:
        console.file(content)
    else:
        console.say(_("Written: {path}").format(path=path))
    for note in notes:
        console.say(note)
    return FINE


def _written(call: Call, path: str, content: str) -> bool:
    """Writes the file; what is there is written over only when the user agrees."""
    files = call.host.files
    kind = files.info(path).kind
    if kind not in (PathKind.MISSING, PathKind.FILE):
        raise Trouble(Problem.FILE_NOT_REGULAR, subject=path)
    there = files.read(path)
    before, after = None if there is None else there.data, content.encode()
    if before == after:
        return True
    if before is not None and not agreed(call, _("{path} is there already. Write over it?").format(path=path), path):
        return False
    files.replace(path, before, after)
    return True


def _absolute(path: str, home: str) -> str:
    """A path as typed, seen from the current folder; ``~`` is the user's home."""
    return home + path[1:] if path == "~" or path.startswith("~/") else str(Path.cwd() / path)
