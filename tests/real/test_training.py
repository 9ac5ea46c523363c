"""Trainings in real containers: started, left alone, found again, stopped, and lost.

The image is busybox with a shell script in the place of Python; everything between the wizard and the command in the
container is real. The real OpenSeq2Seq is rehearsed by hand with ``tests/rehearsal``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import images, service
from tests.support.engine import PrivateEngine
from wizard.demo.converter import tone
from wizard.host.ports import Host
from wizard.host.real import build
from wizard.knowledge import training_failures
from wizard.model.container import DATA_TARGET, ContainerSpec, GpuChoice, Mount, Workspace
from wizard.model.container_job import Job
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Progress
from wizard.model.training.events import Checkpoint, Finished, Step
from wizard.services import container
from wizard.services.training import code, job, place, preflight, suite, training_run
from wizard.services.training.preflight import Wanted

pytestmark = pytest.mark.real

IMAGE = "s2s-test/training:1"
NAME = "trains"
CONFIG = "example_configs/speech2text/toy.py"
STANDIN = Path(__file__).parents[1] / "support" / "training_standin"
OWNER = 1234
PROGRAM = [sys.executable, "-c", "import sys; from wizard.cli import main; sys.exit(main())", "train", CONFIG]


def add_image(engine: PrivateEngine) -> str:
    bash = b'#!/bin/sh\nexec /bin/sh "$@"\n'
    files = {"/bin/python": (STANDIN / "python").read_bytes(), "/bin/bash": bash}
    images.add_image(engine.url, IMAGE, files=files)
    return IMAGE


@pytest.fixture(scope="session")
def training_image(shared_engine: PrivateEngine) -> str:
    return add_image(shared_engine)


@pytest.fixture
def host(engine: PrivateEngine) -> Iterator[Host]:
    made = build(engine.environ)
    yield made
    made.engine.close()


@dataclass
class Trainer:
    """A container that can train, its data folder, and what was emitted."""

    host: Host
    data: Path
    events: list[object] = field(default_factory=list)

    def up(self) -> None:
        container.up(self.host, Workspace(str(self.data), NAME, GpuChoice(all=False)), IMAGE)

    def behave(self, how: str) -> None:
        """A number of steps, or ``fail``."""
        (self.data / "behave").write_text(how)

    def run(self, cancel: Cancel | None = None, *options: str) -> training_run.Outcome:
        return training_run.run(self.host, NAME, Wanted(CONFIG, options), self.events.append, cancel)

    def began(self) -> threading.Thread:
        """Follows a training in a thread; returns when it has reported a step."""
        thread = threading.Thread(target=self.quietly, daemon=True)
        thread.start()
        self.until(lambda: any(isinstance(event, Step) for event in self.events))
        return thread

    def quietly(self) -> None:
        try:
            self.run()
        except Trouble as trouble:
            self.events.append(trouble)

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.events[-5:]
            time.sleep(0.05)

    def running(self) -> Job:
        found = training_run.find(self.host, NAME)
        assert found is not None
        return found

    @property
    def trouble(self) -> Trouble:
        return next(event for event in self.events if isinstance(event, Trouble))

    def of(self, kind: type) -> list[object]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def trainer(host: Host, training_image: str, tmp_path: Path) -> Trainer:
    return settle(host, tmp_path)


def settle(host: Host, tmp_path: Path) -> Trainer:
    """The data folder belongs to a user who is not root, as usual."""
    data = tmp_path / "data"
    clone = data / "OpenSeq2Seq"
    (clone / "open_seq2seq").mkdir(parents=True)
    (clone / "example_configs/speech2text").mkdir(parents=True)
    (clone / CONFIG).write_text("# a configuration\n")
    (clone / "run.py").write_bytes((STANDIN / "run").read_bytes())
    rows = "".join(f"/data/{n}.wav,1000,hello\n" for n in range(8))
    (data / "train.csv").write_text("wav_filename,wav_filesize,transcript\n" + rows)
    for n in range(8):
        (data / f"{n}.wav").write_bytes(tone())
    for folder, _folders, files in os.walk(data):
        for name in (".", *files):
            os.chown(os.path.join(folder, name), OWNER, OWNER)
    os.chmod(tmp_path, 0o755)
    made = Trainer(host, data)
    made.up()
    return made


@contextmanager
def mounted(trainer: Trainer, *argv: str, where: Path) -> Iterator[None]:
    """Something else is mounted in the data folder, and the container is made again, so that it sees it."""
    box = trainer.host.engine.container(NAME)
    assert box is not None
    trainer.host.engine.remove(box.id, force=True)
    subprocess.run(["mount", *argv, str(where)], check=True)
    try:
        trainer.up()
        yield
    finally:
        box = trainer.host.engine.container(NAME)
        if box is not None:
            trainer.host.engine.remove(box.id, force=True)
        subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_training_runs_to_its_end_and_belongs_to_the_user(trainer: Trainer) -> None:
    outcome = trainer.run()
    assert outcome.fine
    assert outcome.code == 0
    assert [event.step for event in trainer.of(Step) if isinstance(event, Step)] == [1, 2, 3, 4, 5]
    assert outcome.checkpoint == ("/data/OpenSeq2Seq/log/logs/model.ckpt-5", 5)
    assert trainer.of(Checkpoint)
    assert trainer.of(Finished)
    owners = {os.stat(path).st_uid for path in (trainer.data / "OpenSeq2Seq/log").rglob("*")}
    assert owners == {OWNER}
    assert outcome.job is not None
    assert {path.stat().st_uid for path in Path(outcome.job.folder).iterdir()} == {OWNER}
    assert {(trainer.data / name).stat().st_uid for name in ("s2s-wizard", "s2s-wizard/jobs")} == {OWNER}
    assert training_run.find(trainer.host, NAME) is None


def test_the_log_folder_decides_the_next_time(trainer: Trainer) -> None:
    first = trainer.run()
    trainer.behave("8")
    second = trainer.run()
    assert first.job is not None
    assert second.job is not None
    assert "--continue_learning" not in first.job.argv
    assert "--continue_learning" in second.job.argv
    assert second.checkpoint is not None
    assert second.checkpoint[1] == 8


def test_what_a_failed_start_left_is_moved_aside_and_kept(trainer: Trainer) -> None:
    dirty = trainer.data / "OpenSeq2Seq/log"
    dirty.mkdir()
    (dirty / "stdout_2026.log").write_text("a failed start")
    assert trainer.run().fine
    [aside] = dirty.parent.glob("log.failed-*")
    assert (aside / "stdout_2026.log").read_text() == "a failed start"


def test_a_failure_is_explained_by_the_catalogue(trainer: Trainer) -> None:
    trainer.behave("fail")
    with pytest.raises(Trouble) as caught:
        trainer.run()
    assert caught.value.kind is Problem.TRAINING_FAILED
    assert "ResourceExhaustedError" in caught.value.text
    assert "memory" in caught.value.subject
    assert "--batch_size_per_gpu=1" in caught.value.hint


def test_a_training_that_is_killed_without_a_word(trainer: Trainer) -> None:
    """What the kernel does when the memory is full."""
    trainer.behave("killed")
    with pytest.raises(Trouble) as caught:
        trainer.run()
    assert caught.value.kind is Problem.TRAINING_FAILED
    assert "memory" in caught.value.subject


def test_the_disk_runs_full_during_the_run(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "SMALLEST_DISK", 0)
    folder = trainer.data / "s2s-wizard"
    folder.mkdir()
    trainer.behave("fill")
    with mounted(trainer, "-t", "tmpfs", "-o", "size=400k", "tmpfs", where=folder), pytest.raises(Trouble) as caught:
        trainer.run()
    assert caught.value.kind is Problem.DISK_FULL


def test_the_log_folder_is_a_small_disk_of_its_own(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = trainer.data / "OpenSeq2Seq/log"
    logs.mkdir()
    trainer.behave("fill-log")
    with mounted(trainer, "-t", "tmpfs", "-o", "size=400k", "tmpfs", where=logs):
        with pytest.raises(Trouble) as caught:
            trainer.run()
        assert (caught.value.kind, caught.value.subject) == (Problem.DISK_FULL, str(logs))
        monkeypatch.setattr(preflight, "SMALLEST_DISK", 0)
        with pytest.raises(Trouble) as caught:
            trainer.run()
        assert caught.value.kind is Problem.TRAINING_FAILED
        assert caught.value.subject == training_failures.rows()["disk-full"].title
        assert "No space left" in caught.value.text


def test_a_disk_that_can_only_be_read(trainer: Trainer) -> None:
    data = trainer.data
    with mounted(trainer, "--bind", str(data), where=data):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(data)], check=True)
        with pytest.raises(Trouble) as caught:
            trainer.run()
    assert caught.value.kind is Problem.FILE_READ_ONLY
    assert str(data) in caught.value.subject


def test_a_container_that_may_only_read_its_data(trainer: Trainer) -> None:
    box = "reads-only"
    spec = ContainerSpec(
        box, IMAGE, ("sleep", "600"), mounts=(Mount(str(trainer.data), DATA_TARGET, read_only=True),), memlock=False
    )
    trainer.host.engine.start(trainer.host.engine.create(spec))
    with pytest.raises(Trouble) as caught:
        training_run.run(trainer.host, box, Wanted(CONFIG))
    assert caught.value.kind is Problem.FILE_READ_ONLY
    assert "s2s-wizard up" in caught.value.hint


def test_it_goes_on_when_nobody_follows_and_is_found_again(trainer: Trainer) -> None:
    trainer.behave("40")
    cancel = Cancel()

    def emit(event: object) -> None:
        trainer.events.append(event)
        if isinstance(event, Step):
            cancel.set()

    with pytest.raises(Trouble) as caught:
        training_run.run(trainer.host, NAME, Wanted(CONFIG), emit, cancel)
    assert caught.value.kind is Problem.CANCELLED
    left = trainer.running()
    again = trainer.run()
    assert again.job is not None
    assert again.job.id == left.id
    steps = [event.step for event in trainer.of(Step) if isinstance(event, Step)]
    assert steps[-1] == 40
    assert steps.count(1) == 2, "the whole log is shown again"


def test_the_wizard_killed_and_started_again(trainer: Trainer, engine: PrivateEngine, tmp_path: Path) -> None:
    trainer.behave("100")
    environ = {**engine.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    first = subprocess.Popen(
        [*PROGRAM, "--name", NAME, "--json"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert first.stdout is not None
    for line in first.stdout:
        if json.loads(line)["event"] == "step":
            break
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    first.stdout.close()
    assert trainer.running().kind == "train"
    second = subprocess.run(
        [*PROGRAM, "--name", NAME, "--json"], env=environ, capture_output=True, text=True, timeout=200, check=False
    )
    assert second.returncode == 0, second.stderr
    events = [json.loads(line) for line in second.stdout.splitlines()]
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, 101))
    assert any(event["event"] == "finished" and event["what"] == "training" for event in events)


@pytest.mark.parametrize("at_checkpoint", [False, True])
def test_stopping_ends_the_process_in_the_container(trainer: Trainer, at_checkpoint: bool) -> None:
    trainer.behave("1000")
    thread = trainer.began()
    running = trainer.running()
    outcome = training_run.stop(trainer.host, running, at_checkpoint=at_checkpoint)
    thread.join(60)
    assert not thread.is_alive()
    assert outcome.code == 1, "SIGINT, as Python answers to it"
    assert training_run.find(trainer.host, NAME) is None
    if at_checkpoint:
        assert outcome.checkpoint is not None
    listed = trainer.host.engine.run_in(running.container_id, ("ps",)).stdout
    assert b"run.py" not in listed
    assert b"sleep 5000" not in listed
    assert {os.stat(path).st_uid for path in (trainer.data / "OpenSeq2Seq/log").rglob("*")} == {OWNER}


def test_processes_that_are_stopped_without_a_word(trainer: Trainer) -> None:
    """mpiexec ends its processes silently, with the exit status of any error."""
    (trainer.data / "mute").touch()
    trainer.behave("1000")
    thread = trainer.began()
    training_run.stop(trainer.host, trainer.running())
    thread.join(60)
    assert trainer.trouble.kind is Problem.TRAINING_FAILED
    assert trainer.trouble.subject == training_failures.rows()["interrupted"].title


@pytest.mark.parametrize("live", [True, False], ids=["live-restore", "plain"])
def test_docker_is_restarted_during_the_run(
    fresh_engine: Callable[..., PrivateEngine], tmp_path: Path, live: bool
) -> None:
    engine = fresh_engine({"live-restore": live, "shutdown-timeout": 2})
    add_image(engine)
    service.install(engine, tmp_path / "bin")
    host = build(engine.environ)
    try:
        trainer = settle(host, tmp_path)
        trainer.behave("1000")
        thread = trainer.began()
        trainer.until(lambda: bool(trainer.of(Checkpoint)))
        running = trainer.running()
        subprocess.run([tmp_path / "bin/service", "docker", "restart"], check=True)
        if live:
            told = len(trainer.of(Step))
            trainer.until(lambda: len(trainer.of(Step)) > told + 20)
            assert trainer.running() == running
            training_run.stop(host, running)
        thread.join(60)
        assert not thread.is_alive()
        steps = [event.step for event in trainer.of(Step) if isinstance(event, Step)]
        assert steps == list(range(1, len(steps) + 1)), "nothing of the log is lost"
        if live:
            assert b"run.py" not in host.engine.run_in(running.container_id, ("ps",)).stdout
        else:
            assert trainer.trouble.kind in (Problem.CONTAINER_NOT_RUNNING, Problem.CONTAINER_RESTARTED)
            assert "started again" in trainer.trouble.hint
            trainer.behave("1")
            outcome = trainer.run()
            assert outcome.job is not None
            assert "--continue_learning" in outcome.job.argv
    finally:
        host.engine.close()


@pytest.mark.parametrize("how", ["stop", "remove", "restart"])
def test_the_container_goes_during_the_run(trainer: Trainer, how: str) -> None:
    trainer.behave("1000")
    thread = trainer.began()
    trainer.until(lambda: bool(trainer.of(Checkpoint)))
    box = trainer.running().container_id
    if how == "remove":
        trainer.host.engine.remove(box, force=True)
    else:
        trainer.host.engine.stop(box, timeout=1)
        if how == "restart":
            trainer.host.engine.start(box)
    thread.join(60)
    assert not thread.is_alive()
    expected = {
        "stop": {Problem.CONTAINER_NOT_RUNNING},
        "remove": {Problem.CONTAINER_MISSING},
        "restart": {Problem.CONTAINER_NOT_RUNNING, Problem.CONTAINER_RESTARTED},
    }
    assert trainer.trouble.kind in expected[how]
    assert "checkpoint" in trainer.trouble.hint
    if how != "remove":
        trainer.behave("1")  # the container is started again, and the training goes on from its checkpoint
        outcome = trainer.run()
        assert outcome.job is not None
        assert "--continue_learning" in outcome.job.argv


def test_a_docker_service_that_does_not_answer_for_a_moment_is_waited_for(trainer: Trainer) -> None:
    trainer.behave("1000")
    thread = trainer.began()
    running = trainer.running()
    lost = Trouble(Problem.ENGINE_REFUSED)
    answers = [lost, lost]
    engine = trainer.host.engine
    original = engine.container

    def sometimes(name: str) -> object:
        if answers:
            raise answers.pop()
        return original(name)

    engine.container = sometimes  # type: ignore[assignment, method-assign] # a daemon that is away for two looks
    trainer.until(lambda: not answers)
    engine.container = original  # type: ignore[method-assign]
    assert thread.is_alive()
    training_run.stop(trainer.host, running)
    thread.join(60)


def test_two_trainings_at_once(trainer: Trainer) -> None:
    trainer.behave("1000")
    thread = trainer.began()
    found = place.find(trainer.host, NAME)
    with pytest.raises(Trouble) as caught:
        training_run.check_free(trainer.host, found.container)
    assert caught.value.kind is Problem.TRAINING_RUNS
    training_run.stop(trainer.host, trainer.running())
    thread.join(60)
    training_run.check_free(trainer.host, found.container)


def test_two_wizards_begin_at_the_same_moment(trainer: Trainer, engine: PrivateEngine) -> None:
    trainer.behave("30")
    other = build(engine.environ)
    try:
        both = (trainer, Trainer(other, trainer.data))
        threads = [threading.Thread(target=one.quietly, daemon=True) for one in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert len(list((trainer.data / "s2s-wizard/jobs").glob("*-train"))) == 1
        assert sum(bool(one.of(Finished)) for one in both) >= 1
        assert {one.trouble.kind for one in both if one.of(Trouble)} <= {Problem.TRAINING_RUNS}
    finally:
        other.engine.close()


def test_a_short_job_that_a_killed_wizard_left_is_joined_or_ended(trainer: Trainer) -> None:
    here = place.find(trainer.host, NAME)
    argv = ("sh", "-c", "echo waits; until [ -e /data/enough ]; do sleep 0.1; done; echo enough")
    enough = trainer.data / "enough"
    left = job.start(trainer.host, here, "install", argv)
    said = job.run(trainer.host, here, "install", argv, cancel=Cancel(), on_line=lambda _line: enough.touch())
    assert said == (0, ("waits", "enough"))
    assert [found.id for found in job.all_of(trainer.host, here)] == [left.id]
    enough.unlink()
    other = job.start(trainer.host, here, "install", argv)
    assert job.run(trainer.host, here, "install", ("echo", "new"), cancel=Cancel()) == (0, ("new",))
    assert not job.state(trainer.host, other).running


def test_a_file_in_the_place_of_the_log_folder(trainer: Trainer) -> None:
    (trainer.data / "OpenSeq2Seq/log").write_text("a file in its place")
    assert trainer.run().fine
    assert [path.read_text() for path in (trainer.data / "OpenSeq2Seq").glob("log.failed-*")] == ["a file in its place"]


def test_the_code_comes_from_a_mirror_that_somebody_else_owns(trainer: Trainer, tmp_path: Path) -> None:
    source, mirror = trainer.data / "OpenSeq2Seq", tmp_path / "mirror.git"
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "safe.directory=*")
    (source / "open_seq2seq/__init__.py").write_text("")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "all")):
        subprocess.run(["git", *who, *words], cwd=source, check=True)
    source.rename(tmp_path / "clone")
    subprocess.run(["git", *who, "clone", "-q", "--bare", str(tmp_path / "clone"), str(mirror)], check=True)
    for path in (mirror, *mirror.rglob("*")):
        os.chown(path, 4321, 4321)
    brought = code.ensure(trainer.host, place.find(trainer.host, NAME), str(mirror))
    assert not brought.already
    assert len(brought.commit) == 40
    assert (source / "run.py").is_file()
    assert not (trainer.data / "s2s-wizard/OpenSeq2Seq.part").exists()


def test_the_code_comes_from_an_archive(trainer: Trainer, tmp_path: Path) -> None:
    source = trainer.data / "OpenSeq2Seq"
    (source / "open_seq2seq/__init__.py").write_text("")
    archive = tmp_path / "OpenSeq2Seq-master.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", trainer.data, "OpenSeq2Seq"], check=True)
    source.rename(tmp_path / "aside")
    assert not code.ensure(trainer.host, place.find(trainer.host, NAME), str(archive)).already
    assert (source / CONFIG).is_file()
    assert not (trainer.data / "s2s-wizard/OpenSeq2Seq.part").exists()


SUITE = """#!/usr/bin/env bash
set -e
echo '**********>>>> CREATE TOY DATA <<<< ************'
echo toy >>ran
echo '**********>>>> RUNNING UNIT TESTS <<<< ************'
echo unit >>ran; [ ! -e break ]
echo '**********>>>> RUNNING SMALL Models <<<< ************'
echo small >>ran
for name in RR CC CR RC; do echo "$name BLEU:"; done
echo '**********>>>> RUNNING Tests for Blockout <<<< ************'
[ ! -e tmp_log_folder ]; echo jasper >>ran
"""


def test_the_suite_of_openseq2seq(trainer: Trainer) -> None:
    """Its stages in their order; a part that is left out; a stage that fails; what a broken run has left."""
    clone = trainer.data / "OpenSeq2Seq"
    (clone / "scripts").mkdir()
    (clone / "scripts/run_all_tests.sh").write_text(SUITE)
    (clone / "tmp_log_folder").mkdir()
    suite.run(trainer.host, NAME, emit=trainer.events.append)
    stages = [event for event in trainer.of(Progress) if isinstance(event, Progress)]
    assert [event.done for event in stages] == [*range(8), 8]
    assert (clone / "ran").read_text().split() == ["toy", "unit", "small", "jasper"]
    assert not (clone / "tmp_log_folder").exists()

    trainer.events.clear()
    (clone / "break").touch()
    with pytest.raises(Trouble) as caught:
        suite.run(trainer.host, NAME, emit=trainer.events.append)
    assert (caught.value.kind, caught.value.subject) == (Problem.TRAINING_FAILED, "Unit tests")

    trainer.events.clear()
    (clone / "ran").unlink()
    suite.run(trainer.host, NAME, emit=trainer.events.append, skip=["unit-tests", "small-models"])
    assert (clone / "ran").read_text().split() == ["toy", "jasper"]
    assert [event.done for event in trainer.of(Progress) if isinstance(event, Progress)] == [0, 1, 2]
    assert (clone / "scripts/run_all_tests.sh").read_text() == SUITE

    with pytest.raises(Trouble) as caught:
        suite.run(trainer.host, NAME, skip=suite.PARTS)
    assert caught.value.kind is Problem.BAD_INPUT
    (clone / "scripts/run_all_tests.sh").write_text("set -e\n")
    with pytest.raises(Trouble) as caught:
        suite.run(trainer.host, NAME, skip=["jasper"])
    assert caught.value.kind is Problem.CODE_UNUSABLE
