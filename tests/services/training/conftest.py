"""A simulated machine with a container that can train, and real-looking data in its data folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from wizard.demo import machine
from wizard.demo.converter import tone
from wizard.host.ports import Host
from wizard.model.container import GpuChoice, Workspace
from wizard.model.container_job import Job
from wizard.model.errors import Trouble
from wizard.model.event import Cancel
from wizard.services import container
from wizard.services.training import code, place, training_run
from wizard.services.training.place import Place
from wizard.services.training.preflight import Wanted

NAME = "box"
IMAGE = "python:3.12-slim"
MINI = "example_configs/speech2text/jasper-Mini-for-Jetson.py"
SPLITS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "test-clean")


@dataclass
class Bench:
    """A machine, its container, and what was emitted."""

    host: Host
    events: list[object] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return place.find(self.host, NAME)

    @property
    def data(self) -> str:
        return f"{self.host.home}/data"

    def write(self, path: str, text: str) -> None:
        before = self.host.files.read(f"{self.data}/{path}")
        self.host.files.replace(f"{self.data}/{path}", before.data if before else None, text.encode())

    def furnish(self, rows: int = 64) -> None:
        """Csv files where the Mini configuration looks for them, their recordings, and the code."""
        for split in SPLITS:
            for n in range(rows):
                self.host.files.replace(f"{self.data}/{split}-{n}.wav", None, tone())
            lines = "".join(f"/data/{split}-{n}.wav,1000,hello\n" for n in range(rows))
            self.write(f"librispeech/librivox-{split}.csv", "wav_filename,wav_filesize,transcript\n" + lines)
        code.ensure(self.host, self.place)

    def train(self, *options: str, cancel: Cancel | None = None) -> training_run.Outcome:
        return training_run.run(self.host, NAME, Wanted(MINI, options), self.events.append, cancel)

    def began(self, *options: str) -> threading.Thread:
        """Trains in a thread; returns when a job runs."""

        def work() -> None:
            try:
                self.train(*options)
            except Trouble as trouble:
                self.events.append(trouble)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        until(lambda: training_run.find(self.host, NAME) is not None)
        return thread

    def running(self) -> Job:
        found = training_run.find(self.host, NAME)
        assert found is not None
        return found

    def of(self, kind: type) -> list[object]:
        return [event for event in self.events if isinstance(event, kind)]


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def made(pace: float) -> Iterator[Bench]:
    """Its container is gone afterwards, and with it all that still runs there."""
    host = machine.build("healthy", pace=pace)
    host.files.make_folder(f"{host.home}/data")
    container.up(host, Workspace(f"{host.home}/data", NAME, GpuChoice()), IMAGE)
    try:
        yield Bench(host)
    finally:
        with suppress(Trouble):
            host.engine.remove(NAME, force=True)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Everything happens at once."""
    with made(0) as bench:
        yield bench


@pytest.fixture
def slow() -> Iterator[Bench]:
    """A training of hours: it is there to be left, found and stopped."""
    with made(0.002) as bench:
        yield bench
