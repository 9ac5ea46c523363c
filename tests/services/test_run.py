"""The whole way with no questions, on simulated machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wizard.demo import machine, spec
from wizard.demo.commands import SimPrivilege
from wizard.host.ports import Host
from wizard.model.answers import Answers
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Progress
from wizard.model.journey import Step
from wizard.model.key_store import KeyPlace
from wizard.model.secret import Secret
from wizard.services import container, finish, journey, repairs
from wizard.services.run import StepEnded, load, run

REPAIR = Answers(accept=("register-runtime",))


def at(name: str, *, root: bool = True) -> Host:
    host = machine.build(name, pace=0)
    if root:
        assert isinstance(host.privilege, SimPrivilege)
        host.privilege.allow()
    return host


class Walk:
    """Runs the answers and keeps what was said."""

    def __init__(self, host: Host, answers: Answers, *, yes: bool = True, cancel: Cancel | None = None) -> None:
        self.events: list[object] = []
        self.code: int | None = None
        self.trouble: Trouble | None = None
        try:
            self.code = run(host, answers, yes, self.events.append, cancel)
        except Trouble as trouble:
            self.trouble = trouble

    @property
    def states(self) -> dict[str, str]:
        return {event.step.value: event.state for event in self.events if isinstance(event, StepEnded)}

    @property
    def last(self) -> StepEnded:
        return [event for event in self.events if isinstance(event, StepEnded)][-1]


def test_the_whole_way() -> None:
    host = at("unknown-runtime")
    walk = Walk(host, REPAIR)
    assert walk.code == 0
    assert walk.states == {
        "account": "skipped",
        "checkup": "done",
        "repairs": "done",
        "image": "done",
        "pull": "done",
        "workspace": "done",
        "container": "done",
        "shell": "done",
        "finish": "done",
    }
    there = host.engine.container("openseq2seq")
    assert there is not None
    assert there.running
    assert any(isinstance(event, Progress) for event in walk.events)
    assert len(repairs.receipts(host)) == 1


def test_again_it_finds_its_place_and_changes_nothing() -> None:
    host = at("unknown-runtime")
    first = Walk(host, REPAIR)
    before = host.engine.containers(all=True)
    second = Walk(host, REPAIR)
    assert (first.code, second.code) == (0, 0)
    assert second.states["repairs"] == "skipped"
    assert second.states["pull"] == second.states["container"] == "already-done"
    assert host.engine.containers(all=True) == before
    assert len(repairs.receipts(host)) == 1


def test_the_wizard_goes_on_where_it_stopped() -> None:
    host = at("healthy")
    assert Walk(host, Answers(name="mine", data="~/speech", shm="2g")).code == 0
    kept = journey.load(host)
    assert kept is not None
    assert (kept.name, kept.data, kept.shm) == ("mine", f"{host.home}/speech", 2 * 1024**3)
    assert journey.first_open(host, kept) is Step.TRAIN
    assert kept.done >= {Step.CHECKUP, Step.PULL, Step.CONTAINER}


@pytest.mark.parametrize(("answers", "yes"), [(REPAIR, False), (Answers(), True), (Answers(), False)])
def test_a_repair_needs_its_name_in_the_file_and_yes(answers: Answers, yes: bool) -> None:
    host = at("unknown-runtime")
    walk = Walk(host, answers, yes=yes)
    assert walk.code == 3
    assert walk.last.step is Step.REPAIRS
    assert walk.last.state == "declined"
    assert "register-runtime" in walk.last.summary
    assert repairs.receipts(host) == ()


def test_without_rights_it_stops_before_anything_is_changed() -> None:
    host = at("unknown-runtime", root=False)
    walk = Walk(host, REPAIR)
    assert walk.trouble is not None
    assert walk.trouble.kind is Problem.ROOT_NEEDED
    assert (walk.last.step, walk.last.state) == (Step.REPAIRS, "failed")
    assert repairs.receipts(host) == ()


def test_what_no_repair_solves() -> None:
    walk = Walk(at("no-gpu"), REPAIR)
    assert walk.code == 1
    assert (walk.last.step, walk.last.state) == (Step.REPAIRS, "failed")


def test_a_registry_that_cannot_be_reached_is_told_by_the_pull_itself() -> None:
    """The image may come from somewhere else; the check-up knows only NVIDIA's registry."""
    text = 'extends = "healthy"\n[network]\nproblem = "dns-failure"\ntext = "no"'
    walk = Walk(machine.assemble(spec.parse(text, "test"), pace=0), Answers())
    assert walk.states["checkup"] == "done"
    assert walk.states["pull"] == "failed"
    assert walk.trouble is not None
    assert walk.trouble.kind is Problem.DNS


def test_a_proxy_that_docker_does_not_know_is_repaired_where_the_file_allows_it() -> None:
    walk = Walk(at("behind-proxy"), Answers(accept=("set-daemon-proxy",)))
    assert (walk.code, walk.states["repairs"], walk.states["pull"]) == (0, "done", "done")
    assert Walk(at("behind-proxy"), Answers()).states["repairs"] == "declined"


def test_without_a_gpu_on_the_processor_alone() -> None:
    host = at("no-gpu")
    walk = Walk(host, Answers(gpus="none"))
    assert walk.code == 0
    kept = journey.load(host)
    assert kept is not None
    assert kept.cpu_only
    assert "without a GPU" in next(
        event.summary for event in walk.events if isinstance(event, StepEnded) and event.step is Step.SHELL
    )


@pytest.mark.parametrize("place", [KeyPlace.KEYRING, KeyPlace.FILE])
def test_the_key_has_to_be_where_the_file_says(place: KeyPlace) -> None:
    host = at("healthy")
    answers = Answers(key=place.value)
    walk = Walk(host, answers)
    assert walk.code == 3
    assert walk.last.step is Step.ACCOUNT
    assert place.value in walk.last.summary
    host.keys.save(Secret("nvapi-" + "canary12" * 8), place)
    walk = Walk(host, answers)
    assert walk.code == 0
    assert walk.states["account"] == "already-done"
    assert "canary" not in repr(walk.events)


def test_cancelled_it_stops_and_the_place_is_kept() -> None:
    host = at("healthy")
    cancel = Cancel()
    walk = Walk.__new__(Walk)
    walk.events = []

    def stop_after_checkup(event: object) -> None:
        walk.events.append(event)
        if isinstance(event, StepEnded) and event.step is Step.CHECKUP:
            cancel.set()

    with pytest.raises(Trouble) as caught:
        run(host, Answers(), True, stop_after_checkup, cancel)
    assert caught.value.kind is Problem.CANCELLED
    kept = journey.load(host)
    assert kept is not None
    assert Step.CHECKUP in kept.done
    assert Step.PULL not in kept.done


def test_a_name_that_is_taken_is_said_before_the_download() -> None:
    walk = Walk(at("healthy"), Answers(name="group-notebook"))
    assert walk.trouble is not None
    assert walk.trouble.kind is Problem.NAME_TAKEN
    assert walk.states == {}


def test_the_file_that_the_wizard_writes_repeats_the_journey(tmp_path: Path) -> None:
    host = at("unknown-runtime")
    assert Walk(host, Answers(accept=("register-runtime",), name="mine", data="~/speech", shm="512m")).code == 0
    kept = journey.load(host)
    assert kept is not None
    answers = load(finish.answers_text(host, kept))
    assert answers == Answers(
        key="skip",
        accept=("register-runtime",),
        image="nvcr.io/nvidia/tensorflow:20.11-tf1-py3",
        data="~/speech",
        name="mine",
        gpus="all",
        shm="512m",
    )
    other = at("unknown-runtime")
    assert Walk(other, answers).code == 0
    mine = other.engine.container("mine")
    assert mine is not None
    assert container.look_inside(other, "mine")


# --- the answers file --------------------------------------------------------------------------------------------


def refused(text: str) -> Trouble:
    with pytest.raises(Trouble) as caught:
        load(text, "answers.toml")
    assert caught.value.kind is Problem.BAD_INPUT
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("schema_version = 2\n", 1, "schema_version"),
        ("# a\n\n[workspace]\nnmae = 'x'\n", 4, "workspace.nmae"),
        ("[workspace]\nname = 'x'\n\n[image]\n  name = 7\n", 5, "image.name"),
        ("[image]\nname = 'Not An Image'\n", 2, "image.name"),
        ("[repairs]\naccept = ['colour-the-gpu']\n", 2, "repairs.accept"),
        ("[wrokspace]\n", 1, "wrokspace"),
        ("[account]\n'key' = 'nvapi'\n", 2, "account.key"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(text: str, line: int, field: str) -> None:
    assert refused(text).subject == f"line {line}: {field}"


def test_a_field_whose_line_cannot_be_told_is_still_named() -> None:
    assert refused("workspace = {shm = 1}\n").subject == "workspace.shm"


def test_broken_toml_is_named_with_its_line() -> None:
    trouble = refused("[workspace]\nname = \n")
    assert trouble.subject == "answers.toml"
    assert "line 2" in trouble.text


def values() -> Iterator[str]:
    yield ""
    yield finish.HEADER
    yield '[workspace]\ndata = "~/数据"\n'


@pytest.mark.parametrize("text", values())
def test_files_that_are_fine(text: str) -> None:
    assert isinstance(load(text), Answers)
