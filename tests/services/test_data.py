"""LibriSpeech on a simulated machine: what is here, what it would take, and how it comes."""

from __future__ import annotations

import ast
import posixpath
from dataclasses import replace
from pathlib import Path

import pytest

from wizard.demo import spec
from wizard.demo.machine import assemble, build
from wizard.demo.spec import Disk
from wizard.host.ports import Host
from wizard.knowledge import librispeech as knowledge
from wizard.model.container import DEFAULT_NAME
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Finished, Progress, Stalled
from wizard.model.machine import PathKind
from wizard.services.data import converting, librispeech
from wizard.services.data.telling import Telling
from wizard.services.training import inside, place

DATA = "/home/mei/openseq2seq-data"


@pytest.fixture
def host() -> Host:
    return build("with-container", pace=0)


def with_disk(free: int) -> Host:
    machine = spec.load("with-container")
    return assemble(replace(machine, disks={"/": Disk(total=480_000_000_000, free=free)}))


def test_the_catalogue_adds_up() -> None:
    parts = knowledge.corpus().parts
    assert sum(part.recordings for part in parts if part.use == "train") == 281_241
    assert len({part.md5 for part in parts}) == len(parts) == 7
    assert all(len(part.md5) == 32 for part in parts)
    assert set(knowledge.corpus().begin_with) <= {part.name for part in parts}
    # What openslr.org and OpenSeq2Seq's documentation say in round numbers.
    assert round(sum(part.bytes for part in parts) / 2**30) == 57
    assert round(sum(part.bytes_ready for part in parts) / 2**30) in (105, 106)


def test_fetched_part_by_part(host: Host) -> None:
    where = place.find(host, DEFAULT_NAME)
    wanted = librispeech.plan(host, where.data)
    assert [state.part.name for state in wanted.todo] == ["dev-clean", "train-clean-100"]
    heard: list[object] = []
    made = librispeech.fetch(host, where, wanted, emit=heard.append)
    assert [part.csv for part in made] == [
        "/data/librispeech/librivox-dev-clean.csv",
        "/data/librispeech/librivox-train-clean-100.csv",
    ]
    assert librispeech.ready(host, DATA) == tuple(part.csv for part in made)
    assert isinstance(heard[-1], Finished)
    for unit in ("bytes", "steps"):
        done = [event.done for event in heard if isinstance(event, Progress) and event.unit == unit]
        assert done
        assert done[-1] in (6_387_309_499, 28_539)
    assert not [name for name in host.files.names(f"{DATA}/librispeech") if "tar" in name]
    again = librispeech.plan(host, where.data)
    assert (again.todo, again.ready, again.download, again.peak) == ((), ("dev-clean", "train-clean-100"), 0, 0)


def test_what_it_takes_is_known_before(host: Host) -> None:
    parts = {part.name: part for part in knowledge.corpus().parts}
    dev, train = parts["dev-clean"], parts["train-clean-100"]
    wanted = librispeech.plan(host, DATA)
    assert wanted.download == dev.bytes + train.bytes
    assert wanted.after == dev.bytes_ready + train.bytes_ready
    assert wanted.peak == round((dev.bytes_ready + train.bytes_ready + train.bytes) * 1.02)
    kept = librispeech.plan(host, DATA, keep=True)
    assert kept.after == wanted.after + wanted.download
    everything = librispeech.plan(host, DATA, ["all"])
    assert len(everything.todo) == 7
    # 224 GiB at the worst moment with OpenSeq2Seq's own script, which unpacks everything first.
    assert everything.peak < 150_000_000_000


def test_a_disk_that_is_too_small_is_told_before_anything_is_made() -> None:
    host = with_disk(15_000_000_000)
    with pytest.raises(Trouble) as caught:
        librispeech.plan(host, DATA)
    assert caught.value.kind is Problem.DISK_SMALL
    assert "15.0 GB" in caught.value.hint
    assert librispeech.plan(host, DATA, ["dev-clean"]).todo
    assert host.files.names(DATA) == ()


def test_what_was_begun_is_counted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wizard.services.data.telling._BETWEEN_EVENTS", 0.0)
    where = place.find(host, DEFAULT_NAME)
    wanted = librispeech.plan(host, where.data, ["dev-clean"])
    cancel = Cancel()

    def stop_half_way(event: object) -> None:
        if isinstance(event, Progress) and event.done > 100_000_000:
            cancel.set()

    with pytest.raises(Trouble) as caught:
        librispeech.fetch(host, where, wanted, emit=stop_half_way, cancel=cancel)
    assert caught.value.kind is Problem.CANCELLED
    (state,) = librispeech.plan(host, where.data, ["dev-clean"]).todo
    assert state.state in (librispeech.BEGUN, librispeech.ARCHIVE)
    assert state.here > 100_000_000
    assert librispeech.plan(host, where.data, ["dev-clean"]).download == wanted.download - state.here
    assert librispeech.ready(host, DATA) == ()


def test_a_part_that_does_not_exist(host: Host) -> None:
    with pytest.raises(Trouble) as caught:
        librispeech.plan(host, DATA, ["train-clean-1000"])
    assert caught.value.kind is Problem.BAD_INPUT
    assert "train-clean-100," in caught.value.hint


def test_without_a_container(host: Host) -> None:
    with pytest.raises(Trouble) as caught:
        place.find(host, "another")
    assert caught.value.kind is Problem.CONTAINER_MISSING
    assert converting.folder_of(host, DEFAULT_NAME) == DATA
    assert converting.folder_of(build("healthy"), "another") == posixpath.join("/home/mei", "openseq2seq-data")


def test_a_container_without_a_data_folder(host: Host) -> None:
    with pytest.raises(Trouble) as caught:
        place.find(host, "group-notebook")
    assert caught.value.kind is Problem.NO_DATA_FOLDER


def test_a_network_that_is_not_there() -> None:
    machine = spec.load("with-container")
    host = assemble(replace(machine, network=spec.Network(problem="dns-failure", text="Name or service not known")))
    where = place.find(host, DEFAULT_NAME)
    with pytest.raises(Trouble) as caught:
        librispeech.fetch(host, where, librispeech.plan(host, where.data))
    assert caught.value.kind is Problem.DNS
    assert host.files.info(f"{DATA}/librispeech/librivox-dev-clean.csv").kind is PathKind.MISSING


def test_progress_never_goes_back_and_a_stall_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wizard.services.data.telling._WATCH_SECONDS", 0.001)
    heard: list[object] = []
    now = [0.0]
    telling = Telling(heard.append, 100, "bytes", "x", "why", clock=lambda: now[0])
    for done in (10, 30, 20):
        now[0] += 3
        telling(done)
    assert [event.done for event in heard if isinstance(event, Progress)] == [10, 30, 30]
    stalled = False
    with telling.watched():
        now[0] += 31
        for _try in range(10_000):
            stalled = any(isinstance(event, Stalled) for event in heard)
            if stalled:
                break
            Cancel().wait(0.001)
    assert stalled


@pytest.mark.parametrize("script", sorted(Path(inside.__file__).parent.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_what_runs_in_the_container_needs_no_new_python(script: Path) -> None:
    """The oldest Python of the images is 3.5: neither formatted strings nor annotated variables."""
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr)
    assert not [node.lineno for node in ast.walk(ast.parse(script.read_text("utf-8"))) if isinstance(node, newer)]
