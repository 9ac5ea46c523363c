"""Exported trainings on a real Slurm, in containers of a real Docker Engine; both are started by the tests.

What trains is a stand-in that keeps OpenSeq2Seq's rules about its log folder. Slurm here has no pyxis: for that
script, ``srun`` is the real one, behind a stand-in that takes pyxis' options away.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from tests.support.slurm import Slurm
from wizard.model.image import ImageReference
from wizard.model.training.job import Scheduler, TrainingJob
from wizard.model.training.plan import Run
from wizard.services.training import code
from wizard.services.training.export import text

pytestmark = pytest.mark.real

IMAGE = "s2s-test/train:1"
RUN_PY = """\
# Keeps the rules of OpenSeq2Seq: "--continue_learning" only with a checkpoint, and always then.
logs= resume= steps=0 status=0
for word; do
  case $word in
    --logdir=*) logs=${word#*=} ;;
    --steps=*) steps=${word#*=} ;;
    --status=*) status=${word#*=} ;;
    --continue_learning) resume=yes ;;
  esac
done
echo "$*"
if [ -n "$resume" ] && ! [ -e "$logs/logs/checkpoint" ]; then echo "no valid checkpoint" && exit 1; fi
if [ -z "$resume" ] && [ -n "$(ls -A "$logs" 2>/dev/null)" ]; then echo "log directory is not empty" && exit 1; fi
mkdir -p "$logs/logs"
step=$(sed -n 's/.*model.ckpt-//; s/"$//p' "$logs/logs/checkpoint" 2>/dev/null)
step=$((${step:-0} + 1))
: >"$logs/logs/model.ckpt-$step.index"
echo "model_checkpoint_path: \\"model.ckpt-$step\\"" >"$logs/logs/checkpoint.new"
mv "$logs/logs/checkpoint.new" "$logs/logs/checkpoint"
while [ "$step" -lt "$steps" ]; do sleep 0.1; done
exit "$status"
"""


def wait(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture(scope="module")
def image(shared_engine: PrivateEngine) -> str:
    images.add_image(shared_engine.url, IMAGE, files={"/bin/python": b'#!/bin/sh\nexec sh "$@"\n'})
    return IMAGE


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    """A training that never ends by itself before its second start; its data folder has a blank in its name."""
    clone = tmp_path / "shared data" / "OpenSeq2Seq"
    clone.mkdir(parents=True)
    (clone / "run.py").write_text(RUN_PY)
    return TrainingJob(
        image=ImageReference.parse(IMAGE),
        data=str(clone.parent),
        run=Run(options={"steps": 2}),
        code=code.WHERE,
        logdir="/data/logs of jasper",
        name="train",
        gpus_per_node=0,
        shm=2**26,
    )


def script(job: TrainingJob, scheduler: Scheduler, tmp_path: Path) -> Path:
    """The job's file."""
    path = tmp_path / "job.sh"
    path.write_text(
        text(replace(job, image=ImageReference.parse(IMAGE)), scheduler).replace(f"docker.io/{IMAGE}", IMAGE)
    )
    return path


def output(tmp_path: Path, number: str) -> str:
    return (tmp_path / f"train-{number}.out").read_text()


def checkpoint(job: TrainingJob) -> str:
    file = Path(job.on_host(job.logdir), "logs", "checkpoint")
    return file.read_text().strip() if file.exists() else ""


def containers(engine: PrivateEngine) -> list[str]:
    client = engine.client()
    try:
        return [found["Names"][0] for found in client.containers(all=True)]
    finally:
        client.close()


def test_a_requeued_job_goes_on_from_its_checkpoint(
    slurm: Slurm, engine: PrivateEngine, image: str, job: TrainingJob, tmp_path: Path
) -> None:
    logs = Path(job.on_host(job.logdir))
    logs.mkdir()
    (logs / "stderr.log").write_text("of a start that failed")
    number = slurm.submit(script(job, Scheduler.SLURM_DOCKER, tmp_path), environ=engine.environ)
    wait(lambda: "model.ckpt-1" in checkpoint(job), "the first checkpoint")
    (aside,) = logs.parent.glob("logs of jasper.failed-*")
    assert (aside / "stderr.log").read_text() == "of a start that failed"
    assert containers(engine) == [f"/train-{number}"]

    slurm.call("scontrol", "requeue", number)
    wait(lambda: containers(engine) == [], "the container has gone with the job that was interrupted")
    wait(lambda: slurm.job(number)["JobState"] == "PENDING", "the job is queued again")
    # Slurm would wait two minutes; in the same second it would take the new start for the one that it has just ended.
    slurm.call("scontrol", "update", f"JobId={number}", "StartTime=now+3")

    ended = slurm.ended(number)
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("COMPLETED", "0:0", "1")
    assert "model.ckpt-2" in checkpoint(job)
    first, second = (line for line in output(tmp_path, number).splitlines() if "--mode=train_eval" in line)
    assert "--continue_learning" not in first
    assert second.endswith("--continue_learning")
    assert len(list(logs.parent.glob("logs of jasper.failed-*"))) == 1
    assert containers(engine) == []


def test_a_job_ends_as_its_training_does(
    slurm: Slurm, engine: PrivateEngine, image: str, job: TrainingJob, tmp_path: Path
) -> None:
    failing = replace(job, run=Run(options={"status": 37}))
    number = slurm.submit(script(failing, Scheduler.SLURM_DOCKER, tmp_path), environ=engine.environ)
    ended = slurm.ended(number)
    assert (ended["JobState"], ended["ExitCode"]) == ("FAILED", "37:0")


def test_a_cancelled_job_leaves_no_container(
    slurm: Slurm, engine: PrivateEngine, image: str, job: TrainingJob, tmp_path: Path
) -> None:
    number = slurm.submit(script(job, Scheduler.SLURM_DOCKER, tmp_path), environ=engine.environ)
    wait(lambda: checkpoint(job), "the first checkpoint")
    slurm.call("scancel", number)
    assert slurm.ended(number)["JobState"] == "CANCELLED"
    wait(lambda: containers(engine) == [], "the container has gone")


def test_what_a_killed_job_left_is_cleared_first(
    slurm: Slurm, engine: PrivateEngine, image: str, job: TrainingJob, tmp_path: Path
) -> None:
    """A node that lost its power cannot tidy up: Docker may still have the container when the job comes again."""
    number = slurm.submit(script(job, Scheduler.SLURM_DOCKER, tmp_path), "--hold", environ=engine.environ)
    client = engine.client()
    client.create_container(images.BUSYBOX, "true", name=f"train-{number}")
    client.close()
    slurm.call("scontrol", "release", number)
    wait(lambda: "model.ckpt-1" in checkpoint(job), "the first checkpoint")
    slurm.call("scancel", number)
    slurm.ended(number)
    wait(lambda: containers(engine) == [], "the container has gone")


def test_docker_is_given_the_gpus_of_the_job(slurm: Slurm, job: TrainingJob, tmp_path: Path) -> None:
    """Without GPUs Docker cannot be asked for one: a stand-in takes its place and keeps what it is given."""
    fake = tmp_path / "bin" / "docker"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n[ "$1" = rm ] || printf "%s\\n" "$@" >"{tmp_path}/argv"\n')
    fake.chmod(0o755)
    two = replace(job, gpus_per_node=2)
    environ = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    number = slurm.submit(script(two, Scheduler.SLURM_DOCKER, tmp_path), environ=environ)
    assert slurm.ended(number)["ExitCode"] == "0:0"
    argv = (tmp_path / "argv").read_text().splitlines()
    assert argv[argv.index("--gpus") + 1] == '"device=0,1"'


def test_srun_starts_one_process_for_each_gpu(slurm: Slurm, job: TrainingJob, tmp_path: Path) -> None:
    """Only what pyxis adds is taken away: containers, and with them the name that the data folder has inside."""
    fake = tmp_path / "bin" / "srun"
    fake.parent.mkdir()
    (fake.parent / "python").write_text(f'#!/bin/sh\necho "rank $SLURM_PROCID: $*" >>"{tmp_path}/ranks"\n')
    fake.write_text(
        """#!/bin/bash
words=()
for word; do
  case $word in
    --mpi=pmix | --container-* | --no-container-*) ;;
    *) words+=("$word") ;;
  esac
done
exec /usr/bin/srun "${words[@]}"
"""
    )
    for file in fake.parent.iterdir():
        file.chmod(0o755)
    two = replace(job, gpus_per_node=2, seconds=600)
    Path(job.on_host(job.logdir), "logs").mkdir(parents=True)
    Path(job.on_host(job.logdir), "logs", "model.ckpt-5.index").touch()
    Path(job.on_host(job.logdir), "logs", "checkpoint").write_text('model_checkpoint_path: "model.ckpt-5"\n')
    environ = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    number = slurm.submit(script(two, Scheduler.SLURM_PYXIS, tmp_path), environ=environ)
    ended = slurm.ended(number)
    assert (ended["ExitCode"], ended["TimeLimit"], ended["NumTasks"]) == ("0:0", "00:10:00", "2")
    lines = sorted((tmp_path / "ranks").read_text().splitlines())
    assert [line.partition(":")[0] for line in lines] == ["rank 0", "rank 1"]
    assert all(line.endswith("--use_horovod=True --continue_learning") for line in lines)


@pytest.mark.parametrize("scheduler", [Scheduler.SLURM_DOCKER, Scheduler.SLURM_PYXIS])
def test_slurm_takes_every_line_that_it_is_asked_for(
    slurm: Slurm, job: TrainingJob, tmp_path: Path, scheduler: Scheduler
) -> None:
    full = replace(job, gpus_per_node=2, seconds=90061, queue="main")
    slurm.call("sbatch", "--test-only", str(script(full, scheduler, tmp_path)))
