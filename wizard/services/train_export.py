"""A training for an existing scheduler: the file that Slurm or Kubernetes is given.

Pure functions. What the container is given (image, data, limits, options, what the log folder decides) is what a local
run has. No key is in a file: how the scheduler comes to one is told by ``credentials``.
"""

from __future__ import annotations

from wizard.knowledge import jobs
from wizard.model.container import DATA_TARGET, STACK
from wizard.model.image import DOCKER_HUB
from wizard.model.training.job import Scheduler, TrainingJob, check

SECRET = "ngc"  # noqa: S105  a name
"""The Kubernetes secret that is suggested where none was named."""

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
            "MEMLOCK": -1 if job.memlock else None,
            "STACK": STACK,
            "WITHOUT_GPUS": None if job.gpus_per_node else "void",
        },
    )


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
