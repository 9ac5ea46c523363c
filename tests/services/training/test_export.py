"""Trainings for a scheduler: what the files say, and that they are what the schedulers' own rules want.

The schemas are in ``tests/support/schemas``; the shell script that every job carries runs here for real.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from wizard.knowledge import jobs
from wizard.model.errors import Problem, Trouble
from wizard.model.image import ImageReference
from wizard.model.training.job import Scheduler, TrainingJob, check, parse_limit
from wizard.model.training.plan import QUIET_MPI, UNBUFFERED, Run
from wizard.services.training import code
from wizard.services.training.export import credentials, text

SCHEMAS = Path(__file__).resolve().parents[2] / "support" / "schemas"
JOB = TrainingJob(
    image=ImageReference.parse("nvcr.io/nvidia/tensorflow:20.11-tf1-py3"),
    data="/mnt/shared data",
    run=Run(options={"batch_size_per_gpu": 16}),
    code=code.WHERE,
    logdir="/data/jasper_log_folder",
)
ODD = {"x": ": #'\"{}[]&*!|>%@`- ", "y": "\\n\\", "z": "é中\U0001f600"}
KUBERNETES = (
    JOB,
    replace(JOB, gpus_per_node=0),
    replace(JOB, gpus_per_node=8, seconds=3600, queue="team-a", pull_secret="ngc", claim="speech"),
    replace(JOB, nodes=2, gpus_per_node=4),
    replace(JOB, nodes=4, gpus_per_node=1, seconds=3600, queue="team-a", pull_secret="ngc", claim="speech"),
    replace(JOB, run=Run(options=ODD), data="/mnt/#é中{"),
)
SLURM = (
    (JOB, Scheduler.SLURM_DOCKER),
    (replace(JOB, gpus_per_node=0), Scheduler.SLURM_DOCKER),
    (replace(JOB, gpus_per_node=8, seconds=90061, queue="gpu"), Scheduler.SLURM_DOCKER),
    (JOB, Scheduler.SLURM_PYXIS),
    (replace(JOB, nodes=2, gpus_per_node=4, seconds=90061, queue="gpu"), Scheduler.SLURM_PYXIS),
    (replace(JOB, run=Run(options={"x": "it's $HOME `id` \"\\"}), data="/mnt/it's $HOME"), Scheduler.SLURM_PYXIS),
)


# --- Kubernetes --------------------------------------------------------------------------------------------------


@cache
def validator(name: str) -> Draft202012Validator:
    """A schema that also refuses fields that it does not know, as ``kubectl --validate=strict`` does."""
    loaded = {path.name: closed(json.loads(path.read_text())) for path in SCHEMAS.glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        (key, Resource.from_contents(schema)) for key, schema in loaded.items()
    )
    return Draft202012Validator(loaded[name], registry=registry)


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "$schema" not in schema:
        made.setdefault("additionalProperties", False)
    return made


def manifest(job: TrainingJob) -> dict[str, Any]:
    loaded = yaml.safe_load(text(job, Scheduler.KUBERNETES))
    assert isinstance(loaded, dict)
    return loaded


def errors(document: dict[str, Any]) -> list[str]:
    kind = {"Job": "job.json", "MPIJob": "mpijob.json"}[document["kind"]]
    return [f"{error.json_path}: {error.message}" for error in validator(kind).iter_errors(document)]


@pytest.mark.parametrize("job", KUBERNETES)
def test_manifests_pass_the_published_schemas(job: TrainingJob) -> None:
    assert errors(manifest(job)) == []


@pytest.mark.parametrize("job", [KUBERNETES[0], KUBERNETES[3]])
def test_the_schemas_refuse_what_is_wrong(job: TrainingJob) -> None:
    wrong = manifest(job)
    wrong["spec"]["backoff"] = 1
    wrong["metadata"]["name"] = 7
    for spec in pods(wrong):
        spec["containers"][0]["volumeMount"] = []
        spec["volumes"][0]["hostPath"] = "/data"
    assert len(errors(wrong)) >= 2 + 2 * len(pods(wrong))


def pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The pods of a manifest: that of the job, or the launcher's and the worker's."""
    spec = document["spec"]
    templates = [spec["template"]] if "template" in spec else [s["template"] for s in spec["mpiReplicaSpecs"].values()]
    return [template["spec"] for template in templates]


def test_a_job_for_one_node() -> None:
    document = manifest(KUBERNETES[2])
    (pod,) = pods(document)
    (container,) = pod["containers"]
    assert (document["apiVersion"], document["kind"]) == ("batch/v1", "Job")
    assert document["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert (document["spec"]["backoffLimit"], document["spec"]["activeDeadlineSeconds"]) == (3, 3600)
    assert pod["restartPolicy"] == "Never"
    assert pod["imagePullSecrets"] == [{"name": "ngc"}]
    assert container["image"] == "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
    assert {e["name"]: e["value"] for e in container["env"]} == dict((UNBUFFERED, QUIET_MPI))
    assert {m["name"]: m["mountPath"] for m in container["volumeMounts"]} == {"data": "/data", "shm": "/dev/shm"}
    assert {v.pop("name"): v for v in pod["volumes"]} == {
        "data": {"persistentVolumeClaim": {"claimName": "speech"}},
        "shm": {"emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
    }
    script, zero, *argv = container["args"]
    assert script == jobs.read("train.sh")
    assert (zero, *argv[:7]) == (
        *("train", "/data/OpenSeq2Seq", "/data/jasper_log_folder"),
        *("mpiexec", "-np", "8", "--allow-run-as-root", "python"),
    )
    assert argv[-1] == "--use_horovod=True"


def test_a_job_on_the_processor_asks_for_no_gpu_and_no_account() -> None:
    said = text(KUBERNETES[1], Scheduler.KUBERNETES)
    (pod,) = pods(yaml.safe_load(said))
    assert "gpu" not in re.sub(r"batch_size_per_gpu", "", said)
    assert "imagePullSecrets" not in pod
    assert pod["volumes"][0]["hostPath"] == {"path": "/mnt/shared data", "type": "Directory"}
    assert pod["containers"][0]["args"][4] == "python"


def test_a_job_for_several_nodes() -> None:
    document = manifest(KUBERNETES[3])
    spec = document["spec"]
    assert (document["apiVersion"], document["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    assert (spec["slotsPerWorker"], spec["launcherCreationPolicy"]) == (4, "WaitForWorkersReady")
    launcher, worker = (spec["mpiReplicaSpecs"][name] for name in ("Launcher", "Worker"))
    assert (launcher["replicas"], worker["replicas"]) == (1, 2)
    ours, theirs = pods(document)
    assert "resources" not in ours["containers"][0]
    assert theirs["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 4}
    argv = ours["containers"][0]["args"]
    assert argv[0].endswith(jobs.read("train.sh"))
    assert argv[4:8] == ["mpiexec", "-np", "8", "--allow-run-as-root"]
    assert theirs["volumes"][0] == ours["volumes"][0]


def test_kubernetes_expands_nothing_in_the_arguments() -> None:
    """The kubelet reads ``$(NAME)`` as the container's variable, and ``$$`` as a dollar."""
    (pod,) = pods(manifest(replace(JOB, run=Run(options={"x": "$(PYTHONUNBUFFERED)$$"}))))
    script, *argv = pod["containers"][0]["args"]
    variables = [entry["name"] for entry in pod["containers"][0]["env"]]
    assert not any(f"$({name})" in script for name in variables)
    assert "$$" not in script
    assert "--x=$$(PYTHONUNBUFFERED)$$$$" in argv


def test_odd_characters_arrive_as_they_are() -> None:
    document = manifest(KUBERNETES[5])
    (pod,) = pods(document)
    assert {f"--{name}={value}" for name, value in ODD.items()} < set(pod["containers"][0]["args"])
    assert pod["volumes"][0]["hostPath"]["path"] == "/mnt/#é中{"


@pytest.mark.parametrize("name", ["Jasper", "my_job", "-a", "a" * 60, "a.b"])
def test_names_that_kubernetes_refuses(name: str) -> None:
    with pytest.raises(Trouble) as caught:
        text(replace(JOB, name=name), Scheduler.KUBERNETES)
    assert (caught.value.kind, caught.value.subject) == (Problem.BAD_INPUT, name)


def test_the_secret_is_made_without_the_key_in_an_argument(tmp_path: Path) -> None:
    """The line runs in a real bash; only kubectl is a stand-in, which keeps what it was given."""
    fake = tmp_path / "bin" / "kubectl"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/argv\ncat >{tmp_path}/stdin\n')
    fake.chmod(0o755)
    line = credentials(replace(JOB, pull_secret="mine"), Scheduler.KUBERNETES)
    subprocess.run(
        ["bash", "-c", line],
        input="nvapi-canary\n",
        text=True,
        check=True,
        env={"PATH": f"{fake.parent}:/usr/bin:/bin"},
    )
    assert "canary" not in (tmp_path / "argv").read_text()
    assert "mine" in (tmp_path / "argv").read_text().splitlines()
    assert json.loads((tmp_path / "stdin").read_text()) == {
        "auths": {"nvcr.io": {"username": "$oauthtoken", "password": "nvapi-canary"}}
    }


# --- Slurm -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("job", "scheduler"), SLURM)
def test_scripts_are_valid_for_bash(job: TrainingJob, scheduler: Scheduler) -> None:
    said = text(job, scheduler)
    assert said.startswith("#!/bin/bash\n")
    assert not re.findall(r"@[A-Z_?]+@", said)
    subprocess.run(["bash", "-n"], input=said, text=True, check=True)


def directives(said: str) -> dict[str, str]:
    """The ``#SBATCH`` lines."""
    found = (line.removeprefix("#SBATCH --").partition("=") for line in said.splitlines() if line.startswith("#SBATCH"))
    return {name: value for name, _equals, value in found}


def test_what_slurm_is_asked_for() -> None:
    assert directives(text(*SLURM[4])) == {
        "job-name": "openseq2seq",
        "nodes": "2",
        "ntasks-per-node": "4",
        "gres": "gpu:4",
        "time": "1-01:01:01",
        "partition": "gpu",
        "output": "%x-%j.out",
        "open-mode": "append",
        "requeue": "",
    }
    assert set(directives(text(*SLURM[1]))) == {"job-name", "nodes", "ntasks", "output", "open-mode", "requeue"}


def called(said: str, program: str, tmp_path: Path, refuses: str = "", **variables: str) -> list[str]:
    """What a job script gives to ``program`` in the end, a stand-in that fails with the option ``refuses``."""
    fake = tmp_path / "bin" / program
    fake.parent.mkdir(exist_ok=True)
    fake.write_text(
        f'#!/bin/sh\n[ "$1" != rm ] || exit 0\nfor word; do [ "$word" != "{refuses}" ] || exit 125; done\n'
        f'printf "%s\\0" "$@" >{tmp_path}/argv\n'
    )
    fake.chmod(0o755)
    subprocess.run(
        ["bash", "-c", said], check=True, cwd=tmp_path, env={"PATH": f"{fake.parent}:/usr/bin:/bin", **variables}
    )
    return (tmp_path / "argv").read_text().split("\0")[:-1]


def test_what_docker_is_given(tmp_path: Path) -> None:
    job = replace(JOB, gpus_per_node=2, run=Run(options={"x": "it's $HOME"}))
    argv = called(text(job, Scheduler.SLURM_DOCKER), "docker", tmp_path, SLURM_JOB_ID="7", SLURM_JOB_GPUS="2,5")
    place = argv.index("nvcr.io/nvidia/tensorflow:20.11-tf1-py3")
    assert argv[:place] == [
        *("run", "--rm", "--name", "openseq2seq-7", "--gpus", '"device=2,5"'),
        *("--env", "NVIDIA_DRIVER_CAPABILITIES=compute,utility", "--shm-size", "1024m"),
        *("--ulimit=memlock=-1", "--ulimit", "stack=67108864"),
        *("--mount", "type=bind,source=/mnt/shared data,target=/data", "--env", "PYTHONUNBUFFERED=1"),
        *("--env", "OMPI_MCA_btl_vader_single_copy_mechanism=none"),
    ]
    assert argv[place + 1 : place + 3] == ["sh", "-c"]
    assert argv[place + 3].strip() == jobs.read("train.sh").strip()
    assert argv[place + 4 :] == [
        *("train", "/data/OpenSeq2Seq", "/data/jasper_log_folder"),
        *("mpiexec", "-np", "2", "--allow-run-as-root", *job.program),
    ]


def test_a_docker_that_refuses_to_lock_memory_is_not_asked_for_it(tmp_path: Path) -> None:
    said = text(JOB, Scheduler.SLURM_DOCKER)
    given = {"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "0"}
    argv = called(said, "docker", tmp_path, refuses="--ulimit=memlock=-1", **given)
    assert "--ulimit=memlock=-1" not in argv
    assert "" not in argv
    everything = called(said, "docker", tmp_path, **given)
    assert [word for word in everything if word != "--ulimit=memlock=-1"] == argv


def test_what_pyxis_is_given(tmp_path: Path) -> None:
    clone = tmp_path / "it's $HOME" / "OpenSeq2Seq"
    clone.mkdir(parents=True)
    (clone / "run.py").touch()
    job = replace(JOB, data=str(clone.parent), nodes=2, gpus_per_node=4)
    argv = called(text(job, Scheduler.SLURM_PYXIS), "srun", tmp_path)
    assert argv == [
        *("--mpi=pmix", "--kill-on-bad-exit=1", "--container-image=nvcr.io#nvidia/tensorflow:20.11-tf1-py3"),
        *(f"--container-mounts={clone.parent}:/data", "--container-workdir=/data/OpenSeq2Seq"),
        *("--container-writable", "--no-container-mount-home", *job.program),
    ]
    assert argv[-1] == "--use_horovod=True"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("tensorflow/tensorflow:1.15.5", "tensorflow/tensorflow:1.15.5"), ("h:5000/x:1", "'h:5000#x:1'")],
)
def test_images_as_enroot_names_them(name: str, wanted: str) -> None:
    said = text(replace(JOB, image=ImageReference.parse(name)), Scheduler.SLURM_PYXIS)
    assert f"--container-image={wanted} \\" in said


def test_plain_docker_stays_on_one_node() -> None:
    with pytest.raises(Trouble) as caught:
        text(replace(JOB, nodes=2), Scheduler.SLURM_DOCKER)
    assert caught.value.kind is Problem.BAD_INPUT


# --- what goes into no job ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"data": "relative"},
        {"data": "/a,b"},
        {"data": "/a:b"},
        {"data": "/a\nb"},
        {"logdir": "/elsewhere/logs"},
        {"logdir": "/data/../logs"},
        {"logdir": "/data"},
        {"code": "/OpenSeq2Seq"},
        {"run": Run("")},
        {"run": Run(options={"a": "b\n#SBATCH --x"})},
        {"run": Run(options={"key": "nvapi-" + "x" * 64})},
        {"data": "/\udcff"},
        {"nodes": 0},
        {"gpus_per_node": -1},
        {"queue": "a b"},
        {"queue": "a\n#"},
    ],
)
@pytest.mark.parametrize("scheduler", Scheduler)
def test_values_that_cannot_stand_in_a_file(change: dict[str, Any], scheduler: Scheduler) -> None:
    with pytest.raises(Trouble) as caught:
        check(replace(JOB, **change), scheduler)
    assert caught.value.kind is Problem.BAD_INPUT


@pytest.mark.parametrize(
    ("typed", "seconds"), [("12:00", 43200), ("12:00:30", 43230), ("2-00:00", 172800), ("1-01:01:01", 90061)]
)
def test_time_limits(typed: str, seconds: int) -> None:
    assert parse_limit(typed) == seconds


@pytest.mark.parametrize("typed", ["", "0:00", "12", "1:60", "x", "-1:00"])
def test_what_is_no_time_limit(typed: str) -> None:
    with pytest.raises(Trouble) as caught:
        parse_limit(typed)
    assert caught.value.kind is Problem.BAD_INPUT


# --- the script in every job -------------------------------------------------------------------------------------

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


@pytest.mark.parametrize("shell", SHELLS)
class TestTheLogFolderDecides:
    """``train.sh`` in the shells of images: what it runs, and what it leaves."""

    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / "run.py").touch()
        return tmp_path / "code"

    def run(self, shell: str, clone: Path, logs: Path, *command: str) -> subprocess.CompletedProcess[str]:
        program = ["busybox", "sh"] if shell == "busybox" else [shell]
        words = command or ("printf", "%s|", "run.py", "a b")
        return subprocess.run(
            [*program, "-c", jobs.read("train.sh"), "train", str(clone), str(logs), *words],
            capture_output=True,
            text=True,
            check=False,
        )

    def checkpoint(self, logs: Path, path: str, *, index: bool = True) -> None:
        (logs / "logs").mkdir(parents=True)
        (logs / "logs" / "checkpoint").write_text(
            f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "model.ckpt-0"\n'
        )
        if index:
            (logs / "logs" / "model.ckpt-12.index").touch()

    @pytest.mark.parametrize("there", [False, True])
    def test_nothing_there(self, shell: str, clone: Path, tmp_path: Path, there: bool) -> None:
        logs = tmp_path / "new logs"
        if there:
            logs.mkdir()
        done = self.run(shell, clone, logs)
        assert (done.returncode, done.stdout, done.stderr) == (0, "run.py|a b|", "")
        assert logs.exists() is there

    @pytest.mark.parametrize("path", ["model.ckpt-12", "/data/new logs/logs/model.ckpt-12"])
    def test_a_checkpoint(self, shell: str, clone: Path, tmp_path: Path, path: str) -> None:
        logs = tmp_path / "new logs"
        self.checkpoint(logs, path)
        done = self.run(shell, clone, logs)
        assert (done.returncode, done.stdout) == (0, "run.py|a b|--continue_learning|")
        assert "model.ckpt-12" in done.stderr
        assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("new logs")) == ["new logs"]

    @pytest.mark.parametrize(
        ("commands", "same"),
        [
            ((), True),
            (("run.py --config_file=/data/my configs/a b.py --mode=train_eval --enable_logs",), True),
            (("run.py --config_file=x.py --mode=train", "run.py --mode train --config_file other/a b.py"), True),
            (("run.py --config_file=a b.py --mode=train", "run.py --config_file=x.py --mode=eval"), True),
            (("run.py --config_file=example_configs/x.py --mode=train_eval --enable_logs",), False),
            (("run.py --config_file=x/aa b.py --mode=train_eval",), False),
            (("run.py --config_file=a b.py --mode=train", "run.py --config_file=c.py --mode=train"), False),
        ],
    )
    def test_a_checkpoint_of_another_configuration_is_left_alone(
        self, shell: str, clone: Path, tmp_path: Path, commands: tuple[str, ...], same: bool
    ) -> None:
        logs = tmp_path / "new logs"
        self.checkpoint(logs, "model.ckpt-12")
        for day, command in enumerate(commands):
            (logs / f"cmd-args_2026-11-0{day + 1}_10-00-00.log").write_text(command)
        argv = ("printf", "%s|", "run.py", "--config_file=example_configs/a b.py", "--mode=train_eval")
        done = self.run(shell, clone, logs, *argv)
        if same:
            assert done.stdout == "run.py|--config_file=example_configs/a b.py|--mode=train_eval|--continue_learning|"
        else:
            assert (done.returncode, done.stdout) == (2, "")
            assert "--logdir" in done.stderr
            assert commands[-1] in done.stderr
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith("new logs")] == ["new logs"]

    @pytest.mark.parametrize("index", [False, None])
    def test_files_without_a_checkpoint_are_moved_aside(
        self, shell: str, clone: Path, tmp_path: Path, index: bool | None
    ) -> None:
        logs = tmp_path / "new logs"
        if index is None:
            logs.mkdir()
            (logs / ".hidden").write_text("kept")
        else:
            self.checkpoint(logs, "model.ckpt-12", index=index)
        before = {p.name for p in logs.iterdir()}
        done = self.run(shell, clone, logs)
        assert (done.returncode, done.stdout) == (0, "run.py|a b|")
        (aside,) = [p for p in tmp_path.iterdir() if p.name.startswith("new logs")]
        assert re.fullmatch(r"new logs\.failed-\d{8}-\d{6}", aside.name)
        assert {p.name for p in aside.iterdir()} == before

    def test_a_file_in_its_place_is_moved_aside(self, shell: str, clone: Path, tmp_path: Path) -> None:
        logs = tmp_path / "new logs"
        logs.write_text("kept")
        done = self.run(shell, clone, logs)
        assert (done.returncode, done.stdout) == (0, "run.py|a b|")
        (aside,) = [p for p in tmp_path.iterdir() if p.name.startswith("new logs")]
        assert aside.read_text() == "kept"

    def test_it_ends_as_the_command_does(self, shell: str, clone: Path, tmp_path: Path) -> None:
        assert self.run(shell, clone, tmp_path / "logs", "sh", "-c", "exit 37").returncode == 37

    def test_without_the_code_nothing_is_moved(self, shell: str, clone: Path, tmp_path: Path) -> None:
        logs = tmp_path / "logs"
        logs.mkdir()
        (logs / "x").touch()
        done = self.run(shell, tmp_path / "none", logs)
        assert done.returncode == 2
        assert str(tmp_path / "none") in done.stderr
        assert (logs / "x").exists()

    def test_limits_go_up_as_far_as_they_may(self, shell: str, clone: Path, tmp_path: Path) -> None:
        done = self.run(shell, clone, tmp_path / "logs", "sh", "-c", "ulimit -s", "x")
        assert done.stdout.strip() == "65536"
