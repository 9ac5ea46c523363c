"""A training for an existing scheduler: the file that Slurm or Kubernetes is given.

``text`` is a pure function. What the container is given (image, data, limits, options, what the log folder decides) is
what a local run has. No key is in a file: how the scheduler comes to one is told by ``credentials``.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from wizard.host.ports import Host
from wizard.knowledge import jobs
from wizard.model.container import DATA_TARGET, STACK
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.image import DOCKER_HUB
from wizard.model.machine import PathKind
from wizard.model.training.job import Scheduler, TrainingJob, check
from wizard.model.training.plan import DEFAULT_CONFIG, Run, Value
from wizard.services.training import code, preflight

SECRET = "ngc"  # noqa: S105 - a name
"""The Kubernetes secret that is suggested where none was named."""

_THE_JOB_SAYS = ("enable_logs", "continue_learning")
"""What the log folder decides; said by the user it changes nothing."""
_TRAINS = ("train", "train_eval")
_LOGDIR = re.compile(r"""^\s*["']logdir["']\s*:\s*["']([^"'\n]+)["']""", re.MULTILINE)
# Several nodes: Horovod's own advice for Open MPI, what the processes over there must know, and an SSH that has never
# seen the workers before.
_OVER_SSH = (
    "--allow-run-as-root",
    *("-bind-to", "none", "-map-by", "slot", "-mca", "pml", "ob1", "-mca", "btl", "^openib"),
    *("-mca", "plm_rsh_args", "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectionAttempts=10"),
    *("-x", "PATH", "-x", "LD_LIBRARY_PATH", "-x", "PYTHONUNBUFFERED"),
)


def text(job: TrainingJob, scheduler: Scheduler) -> str:
    """The job's file, ready for ``sbatch`` or ``kubectl``. Raises what ``wizard.model.training.job.check`` raises."""
    check(job, scheduler)
    values: dict[str, jobs.Value] = {
        "NAME": job.name,
        "IMAGE": str(job.image),
        "NODES": job.nodes,
        "SLOTS": job.slots,
        "GPUS": job.gpus_per_node or None,
        "QUEUE": job.queue or None,
        "DATA": job.data,
        "TARGET": DATA_TARGET,
        "CODE": job.code,
        "LOGDIR": job.logdir,
        "TRAIN": jobs.Text(jobs.read("train.sh")),
        "COMMAND": job.program,
    }
    if scheduler is Scheduler.KUBERNETES:
        command = job.on_one_node if job.nodes == 1 else ("mpiexec", "-np", str(job.ranks), *_OVER_SSH, *job.program)
        values |= {
            # The kubelet reads $(NAME) as a variable of the container, and $$ as a dollar.
            "COMMAND": tuple(word.replace("$", "$$") for word in command),
            "SECONDS": job.seconds,
            "SHM": f"{job.shm // 2**20}Mi",
            "CLAIM": job.claim or None,
            "DATA": None if job.claim else job.data,
            "PULL_SECRET": job.pull_secret or None,
        }
        return jobs.fill("job.yaml" if job.nodes == 1 else "mpijob.yaml", values)
    values["TIME"] = None if job.seconds is None else _clock(job.seconds)
    if scheduler is Scheduler.SLURM_PYXIS:
        host, path = job.image.host, str(job.image).removeprefix(f"{job.image.host}/")
        return jobs.fill(
            "slurm-pyxis.sh",
            values
            | {
                "IMAGE": path if host == DOCKER_HUB else f"{host}#{path}",
                "HOST_CODE": job.on_host(job.code),
                "HOST_LOGDIR": job.on_host(job.logdir),
            },
        )
    return jobs.fill(
        "slurm-docker.sh",
        values
        | {
            "COMMAND": job.on_one_node,
            "SHM": f"{job.shm // 2**20}m",
            "STACK": STACK,
            "WITHOUT_GPUS": None if job.gpus_per_node else "void",
        },
    )


def run_of(host: Host, data: str, config: str, words: tuple[str, ...]) -> tuple[Run, str]:
    """What is to be run, and its log folder in the container, from what a person typed.

    ``config`` is a path in the clone, or the name of an example; "" is Jasper Mini. ``words`` are options of run.py.
    The clone in the folder ``data`` is looked at where this machine has it: it knows the examples, and which log folder
    a configuration names. Which options a configuration has is not checked: only its container knows, and the job may
    run elsewhere. Raises ``BAD_INPUT``.
    """
    root = data + code.WHERE.removeprefix(DATA_TARGET)
    path = _config(host, root, config or DEFAULT_CONFIG)
    options, left = dict[str, Value](), list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if name in _THE_JOB_SAYS:
            continue
        if not equals and left and not left[0].startswith("--"):
            equals, value = "=", left.pop(0)
        if not (word.startswith("--") and name and equals) or name == "config_file":
            raise Trouble(Problem.BAD_INPUT, subject=word, hint=_("Options of run.py look like this: --name=value"))
        options[name] = value
    mode, logdir = str(options.pop("mode", "train_eval")), options.pop("logdir", None)
    if mode not in _TRAINS:
        raise Trouble(Problem.BAD_INPUT, subject=mode, hint=_("Only trainings can be exported."))
    logdir = _logdir(host, root, path) if logdir is None else logdir
    return Run(path, mode, options), posixpath.normpath(posixpath.join(code.WHERE, str(logdir)))


def _config(host: Host, root: str, config: str) -> str:
    name = config if config.endswith(".py") else f"{config}.py"
    try:
        found = [path for path in preflight.examples(host, root) if posixpath.basename(path) == name]
    except Trouble:  # a folder of the cluster's that this machine may not look into
        found = []
    return found[0] if len(found) == 1 else name


def _logdir(host: Host, root: str, config: str) -> str:
    """The log folder that the configuration names; where it cannot be read, one beside the code."""
    path = posixpath.join(root, config)
    try:
        content = host.files.read(path) if host.files.info(path).kind is PathKind.FILE else None
    except Trouble:
        content = None
    said = _LOGDIR.search(content.data.decode(errors="replace")) if content else None
    return said[1] if said else posixpath.join(DATA_TARGET, posixpath.basename(config).removesuffix(".py") + "_logs")


def notes(job: TrainingJob, scheduler: Scheduler, file: str) -> tuple[str, ...]:
    """What to do with the file, and what has to be there before, as translated sentences."""
    kubernetes = scheduler is Scheduler.KUBERNETES
    command = f"kubectl create -f {file}" if kubernetes else f"sbatch {file}"
    said = [
        _("Hand it in with: {command}").format(command=command),
        _("Every node must see OpenSeq2Seq at {path}.").format(
            path=job.code if kubernetes and job.claim else job.on_host(job.code)
        ),
        _("Log folder in the container: {path}").format(path=job.logdir),
    ]
    if kubernetes and job.nodes > 1:
        said.append(_("The cluster needs the MPI operator of Kubeflow, version 0.5 or newer."))
    if kubernetes and not job.pull_secret:
        said.append(_("For an image that wants a key, add: --pull-secret {name}").format(name=SECRET))
    elif kubernetes:
        text = _("If the secret is not there yet, this line asks for the key and makes it: {command}")
        said.append(text.format(command=credentials(job, scheduler)))
    elif scheduler is Scheduler.SLURM_PYXIS:
        text = _(
            "For an image that wants a key, write {path} yourself, as the file says. The key is in no file of ours."
        )
        said.append(text.format(path=credentials(job, scheduler)))
    return tuple(said)


def to_json(
    job: TrainingJob, scheduler: Scheduler, content: str, notes: tuple[str, ...], file: str | None
) -> dict[str, Any]:
    """The document of ``train --export --json``. ``file`` is where the text was written, None where nowhere."""
    return {
        "schema_version": 1,
        "scheduler": scheduler.value,
        "name": job.name,
        "image": str(job.image),
        "nodes": job.nodes,
        "processes": job.ranks,
        "logdir": job.logdir,
        "file": file,
        "text": content,
        "notes": list(notes),
    }


def credentials(job: TrainingJob, scheduler: Scheduler) -> str:
    """How the scheduler is given the key of the image's registry, without the key in a file of ours or in an argument.

    For Kubernetes a line for bash, which asks for the key and hands it on through a pipe; for pyxis the file that
    enroot reads; "" for Docker, which has its own.
    """
    if scheduler is Scheduler.SLURM_PYXIS:
        return "~/.config/enroot/.credentials"
    if scheduler is Scheduler.KUBERNETES:
        return (
            "read -rsp 'API key: ' key && "
            f"""printf '{{"auths":{{"{job.image.host}":{{"username":"$oauthtoken","password":"%s"}}}}}}' "$key" | """
            f"kubectl create secret generic {job.pull_secret or SECRET} "
            "--type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=/dev/stdin; unset key"
        )
    return ""


def _clock(seconds: int) -> str:
    """Slurm's notation, which has days."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24}-{hours % 24:02d}:{minutes:02d}:{rest:02d}"
