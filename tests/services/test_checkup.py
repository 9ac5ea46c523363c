"""The check-up runs side by side, bounded in time, and nothing that a check does can break it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest

from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.finding import Evidence, Finding, Status
from wizard.services import checkup
from wizard.services.checks import ALL
from wizard.services.checks.check import Check


def check(
    id: str,
    status: Status = Status.OK,
    *,
    requires: tuple[str, ...] = (),
    seconds: float = 0.0,
    timeout: float = 5.0,
    do: Callable[[], object] | None = None,
) -> Check:
    def run(host: Host) -> Finding:
        time.sleep(seconds)
        if do is not None:
            do()
        return Finding(id, status, id, "")

    return Check(id=id, title=id, requires=requires, timeout=timeout, run=run)


@pytest.fixture
def host() -> Host:
    return machine.build("healthy")


def states(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.id: finding.status.value for finding in findings}


def test_it_takes_as_long_as_its_slowest_check(host: Host) -> None:
    chain = (
        check("a", seconds=0.5),
        check("b", seconds=0.5, requires=("a",)),
        check("c", seconds=0.5, requires=("b",)),
        check("d", seconds=0.5),
    )
    began = time.monotonic()
    findings = checkup.run(host, checks=chain)
    took = time.monotonic() - began
    assert states(findings) == {"a": "ok", "b": "ok", "c": "ok", "d": "ok"}
    assert took <= 1.2 * max(finding.seconds for finding in findings)


def test_what_a_failure_makes_meaningless_is_skipped_and_says_why(host: Host) -> None:
    findings = checkup.run(
        host,
        checks=(
            check("a", Status.ERROR, seconds=0.1),
            check("b", Status.ERROR, requires=("a",)),
            check("c", requires=("b",)),
            check("d", Status.WARNING),
            check("e", requires=("d",)),
        ),
    )
    assert states(findings) == {"a": "error", "b": "skipped", "c": "skipped", "d": "warning", "e": "ok"}
    assert [finding.blocked_by for finding in findings] == [None, "a", "b", None, None]
    assert not checkup.ready(findings)


def test_a_check_that_hangs_is_unknown_and_holds_nobody_up(host: Host) -> None:
    hang = threading.Event()
    began = time.monotonic()
    findings = checkup.run(
        host, checks=(check("a", timeout=0.3, do=lambda: hang.wait(20)), check("b", requires=("a",)), check("c"))
    )
    took = time.monotonic() - began
    hang.set()
    assert states(findings) == {"a": "unknown", "b": "skipped", "c": "ok"}
    assert took < 2
    assert "0.3 seconds" in findings[0].summary


def test_a_check_that_crashes_is_unknown_and_a_trouble_is_said_in_words(host: Host) -> None:
    def crash() -> None:
        raise RuntimeError("a mistake with nvapi-0123456789abcdef in it")

    def trouble() -> None:
        raise Trouble(Problem.ENGINE_LOST, "EOF")

    crashed, failed = checkup.run(host, checks=(check("a", do=crash), check("b", do=trouble)))
    assert (crashed.status, failed.status) == (Status.UNKNOWN, Status.ERROR)
    assert crashed.evidence == (Evidence("RuntimeError", "a mistake with **** in it"),)
    assert "broke in the middle" in failed.summary


def test_findings_are_emitted_as_they_arrive_and_returned_in_order(host: Host) -> None:
    seen: list[object] = []
    checks = (check("slow", seconds=0.3), check("fast"))
    findings = checkup.run(host, emit=seen.append, checks=checks)
    assert [finding.id for finding in findings] == ["slow", "fast"]
    assert [finding.id for finding in seen if isinstance(finding, Finding)] == ["fast", "slow"]


def test_only_what_was_asked_for_is_told_but_what_it_requires_is_asked(host: Host) -> None:
    checks = (check("a", Status.ERROR), check("b", requires=("a",)), check("c"))
    seen: list[object] = []
    findings = checkup.run(host, ["b"], emit=seen.append, checks=checks)
    assert states(findings) == {"b": "skipped"}
    assert seen == list(findings)
    with pytest.raises(Trouble) as caught:
        checkup.run(host, ["nothing"])
    assert caught.value.kind is Problem.BAD_INPUT
    assert "docker.running" in caught.value.hint


@pytest.mark.parametrize("when", ["before", "while"])
def test_it_can_be_cancelled(host: Host, when: str) -> None:
    cancel = Cancel()
    hang = threading.Event()
    if when == "before":
        cancel.set()
    else:
        threading.Timer(0.2, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Trouble) as caught:
        checkup.run(host, cancel=cancel, checks=(check("a", do=lambda: hang.wait(20), timeout=20),))
    hang.set()
    assert caught.value.kind is Problem.CANCELLED
    assert time.monotonic() - began < 2


def test_every_check_stands_after_what_it_requires() -> None:
    known: set[str] = set()
    for item in ALL:
        assert set(item.requires) <= known, item.id
        known.add(item.id)
    assert len(known) == len(ALL)


def test_the_document_is_json_and_complete(host: Host) -> None:
    findings = checkup.run(host)
    document = json.loads(json.dumps(checkup.to_json(host, findings)))
    assert document["schema_version"] == 1
    assert (document["host"]["kind"], document["host"]["machine"]) == ("simulated", "healthy")
    assert document["ready"] is True
    assert document["engine"]["version"] == "26.1.3"
    assert document["engine"]["url"].startswith("unix://")
    assert document["gpus"][0]["capability"] == "7.5"
    assert [item["id"] for item in document["findings"]] == [item.id for item in ALL]
    keys = {
        "id",
        "status",
        "title",
        "summary",
        "detail",
        "evidence",
        "causes",
        "fixes",
        "blocked_by",
        "links",
        "seconds",
    }
    assert all(set(item) == keys for item in document["findings"])


def test_without_docker_the_document_has_no_engine() -> None:
    host = machine.build("no-docker")
    document = checkup.to_json(host, checkup.run(host))
    assert (document["engine"], document["ready"]) == (None, False)
