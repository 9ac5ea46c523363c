"""Each step on simulated machines: start, busy, done, error, cancel, back; with the keyboard alone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from screens.checkup import Findings
from screens.dialogs import Dialog, TooSmall
from screens.fields import AskLine, Field
from tests.screens.conftest import Start, Walk
from wizard.demo import machine, spec
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Line, Progress, Stalled
from wizard.model.finding import Status
from wizard.model.fix import Fix
from wizard.model.journey import Journey, Step
from wizard.model.key_store import KeyPlace
from wizard.model.progress import Layers, LayerState, PullPlan
from wizard.model.secret import Secret
from wizard.model.step import StepState
from wizard.services import account, background, checks, pull, qr, repairs
from wizard.services import journey as journeys

IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
KEY = "nvapi-" + "a1B2" * 16


def sudo_ready(name: str) -> Host:
    """A machine whose user becomes root without a password."""
    raw = spec.load(name)
    return machine.assemble(replace(raw, user=replace(raw.user, root="ready")))


# --- account ---------------------------------------------------------------------------------------------------------


async def test_going_on_without_a_key_is_the_default(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        assert walk.pointed == "none"
        await walk.press("enter")
        await walk.at(Step.CHECKUP)
        assert walk.journey.key == "skip"
        assert Step.ACCOUNT in walk.journey.skipped


async def test_a_key_is_read_hidden_kept_and_tried(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        await walk.choose("enter")
        await walk.type(KEY)
        assert KEY not in walk.text
        await walk.press("enter")
        await walk.until(lambda: "keyring" in walk.offered or "session" in walk.offered)
        assert walk.screen.query_one(Field).value == ""
        await walk.choose("session")
        await walk.until(lambda: "The key is kept" in walk.whole and not walk.screen.working)
        assert walk.journey.key == KeyPlace.SESSION.value
        found = walk.app.session.host.keys.get()
        assert found is not None
        assert found[0].reveal() == KEY
        assert KEY not in walk.text + walk.whole + "\n".join(walk.app.session.log)
        await walk.choose("continue")
        await walk.at(Step.CHECKUP)
        assert Step.ACCOUNT in walk.journey.done


async def test_what_is_no_key_is_said_below_the_field_and_not_repeated(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        await walk.choose("enter")
        await walk.type("hunter2")
        await walk.press("enter")
        await walk.until(lambda: "[error]" in walk.text)
        assert "This is not an NGC API key." in walk.text
        assert "hunter2" not in walk.whole
        assert walk.screen.focused is walk.screen.query_one(Field).line


async def test_a_file_is_warned_of_before_a_key_goes_there(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        await walk.choose("enter")
        await walk.type(KEY)
        await walk.press("enter")
        await walk.until(lambda: "file" in walk.offered)
        await walk.choose("file")
        assert "[warn]" in walk.text
        assert walk.pointed == "session"
        assert walk.app.session.host.keys.get() is None
        await walk.choose("file-yes")
        await walk.until(lambda: walk.journey.key == KeyPlace.FILE.value)


async def test_how_to_get_a_key_shows_addresses_that_can_be_copied(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        await walk.choose("how")
        await walk.press("c")
        assert "https://" in walk.app.clipboard


async def test_the_page_for_a_key_fills_the_window_as_a_qr_code(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        await walk.choose("how")
        await walk.choose("scan")
        await walk.until(lambda: "Point the camera" in walk.text)
        shown = walk.text.splitlines()
        assert len([line for line in shown if "█" in line or "▄" in line]) == len(qr.lines(account.KEY_PAGE_URL))
        assert any(account.KEY_PAGE_URL in line for line in shown), "and as text"
        await walk.press("c")
        assert walk.app.clipboard == account.KEY_PAGE_URL
        await walk.press("escape")
        await walk.until(lambda: "scan" in walk.offered)


async def test_where_no_blocks_can_be_drawn_the_address_stands_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screens.scan._draws_blocks", lambda: False)
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        await walk.choose("how")
        await walk.choose("scan")
        await walk.until(lambda: account.KEY_PAGE_URL in walk.text)
        assert "█" not in walk.text


@pytest.mark.parametrize(("opened", "said"), [(True, "was opened"), (False, "no web browser")])
async def test_the_page_for_a_key_is_opened_where_there_is_a_browser(
    start: Start, monkeypatch: pytest.MonkeyPatch, opened: bool, said: str
) -> None:
    monkeypatch.setattr(account, "open_page", lambda _host, url: opened and url == account.KEY_PAGE_URL)
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        await walk.choose("how")
        await walk.choose("open")
        await walk.until(lambda: said in walk.text)


async def test_a_key_that_ngc_cli_keeps_is_offered_and_not_taken(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "offered", lambda _host: (Secret(KEY), "~/.ngc/config"))
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        assert walk.pointed == "none"
        assert walk.app.session.host.keys.get() is None
        assert "~/.ngc/config" in walk.text
        await walk.choose("ngc")
        await walk.until(lambda: "session" in walk.offered)
        assert walk.app.session.host.keys.get() is None
        await walk.choose("session")
        await walk.until(lambda: "The key is kept" in walk.whole and not walk.screen.working)
        assert walk.app.session.host.keys.get() == (Secret(KEY), KeyPlace.SESSION)
        assert KEY not in walk.text + walk.whole


async def test_a_key_that_is_kept_can_be_used_or_forgotten(start: Start) -> None:
    async with start() as walk:
        walk.app.session.host.keys.save(Secret(KEY), KeyPlace.SESSION)
        await walk.go(Step.ACCOUNT)
        assert walk.pointed == "continue"
        await walk.choose("forget")
        await walk.until(lambda: walk.pointed == "none")
        assert walk.app.session.host.keys.get() is None


# --- check-up --------------------------------------------------------------------------------------------------------


async def test_a_healthy_machine_is_ready(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.CHECKUP)
        assert "This computer is ready." in walk.whole
        assert f"{len(checks.ALL)} fine" in walk.text
        await walk.press("enter")
        await walk.at(Step.IMAGE)
        assert Step.REPAIRS in walk.journey.done


async def test_the_worst_comes_first_and_is_open(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await walk.go(Step.CHECKUP)
        findings = walk.screen.query_one(Findings)
        assert findings.findings[0].status is Status.ERROR
        assert "nobody has told Docker about it" in walk.text
        assert " fine · 1 to repair" in walk.text
        assert walk.pointed == "next"


async def test_lines_open_and_close_by_keyboard(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.CHECKUP)
        findings = walk.screen.query_one(Findings)
        await walk.press("up")
        assert walk.screen.focused is findings
        assert "Enter Open or close" in walk.keys
        await walk.press("down")
        assert findings.current is not None
        opened = findings.current.id
        await walk.press("enter")
        assert findings.opened == {opened}
        await walk.press("space")
        assert findings.opened == frozenset()


async def test_checking_again_sees_what_has_changed(start: Start) -> None:
    async with start("docker-stopped") as walk:
        await walk.go(Step.CHECKUP)
        first = walk.app.session.findings
        assert any(finding.status is Status.ERROR for finding in first)
        await walk.press("r")
        await walk.until(lambda: walk.app.session.findings and walk.app.session.findings is not first)
        await walk.at(Step.CHECKUP)


@pytest.mark.parametrize("name", machine.names())
async def test_every_machine_can_be_walked_past_the_checkup(start: Start, name: str) -> None:
    async with start(name) as walk:
        await walk.go(Step.CHECKUP)
        assert "next" in walk.offered
        await walk.choose("next")
        await walk.until(lambda: walk.step in (Step.REPAIRS, Step.IMAGE) and not walk.screen.working)


# --- repairs ---------------------------------------------------------------------------------------------------------


async def test_a_repair_shows_all_and_does_nothing_by_default(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await walk.go(Step.CHECKUP)
        await walk.press("enter")
        await walk.at(Step.REPAIRS)
        assert walk.pointed == "not-now"
        assert "/etc/docker/daemon.json" in walk.whole
        assert '"nvidia": {' in walk.whole
        assert "group-notebook" in walk.whole
        before = walk.app.session.host.files.read("/etc/docker/daemon.json")
        await walk.press("enter")
        await walk.at(Step.REPAIRS)
        assert walk.app.session.host.files.read("/etc/docker/daemon.json") == before
        assert walk.journey.declined == ("register-runtime",)
        assert "next" in walk.offered


async def test_a_repair_is_done_proved_and_taken_back(start: Start) -> None:
    async with start(sudo_ready("unknown-runtime")) as walk:
        host = walk.app.session.host
        before = host.files.read("/etc/docker/daemon.json")
        await walk.go(Step.REPAIRS)
        await walk.choose("repair")
        await walk.until(lambda: "Repaired" in walk.whole)
        assert "[ok]" in walk.text
        assert "The proof" in walk.text
        assert "nvidia" in host.engine.info().runtimes
        assert len(walk.journey.receipts) == 1
        await walk.choose("undo")
        assert isinstance(walk.screen, Dialog)
        assert walk.pointed == ""
        await walk.choose("undo")
        await walk.until(lambda: "Taken back" in walk.whole)
        after = host.files.read("/etc/docker/daemon.json")
        assert before is not None
        assert after is not None
        assert after.data == before.data
        assert not walk.journey.receipts


async def test_after_the_repair_the_way_goes_on(start: Start) -> None:
    async with start(sudo_ready("unknown-runtime")) as walk:
        await walk.go(Step.REPAIRS)
        await walk.choose("repair")
        await walk.until(lambda: "next" in walk.offered and "Repaired" in walk.whole)
        await walk.press("enter")
        await walk.at(Step.IMAGE)


async def test_without_a_terminal_to_give_away_the_commands_are_shown(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await walk.go(Step.REPAIRS)
        await walk.choose("repair")
        await walk.until(lambda: "look" in walk.offered)
        assert "another window" in walk.whole
        assert walk.app.session.host.engine.info().runtimes.keys().isdisjoint({"nvidia"})


async def test_who_does_it_by_hand_is_checked_afterwards(start: Start) -> None:
    async with start(sudo_ready("unknown-runtime")) as walk:
        host = walk.app.session.host
        await walk.go(Step.REPAIRS)
        await walk.choose("myself")
        fix = repairs.plan(host, "register-runtime")
        assert fix is not None
        repairs.apply(host, fix)
        await walk.choose("look")
        await walk.at(Step.REPAIRS)
        assert "There is nothing to repair." in walk.whole


async def test_a_repair_that_fails_says_so_and_offers_the_commands(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*_args: object, **_options: object) -> None:
        raise Trouble(Problem.FILE_CHANGED, subject="/etc/docker/daemon.json")

    async with start(sudo_ready("unknown-runtime")) as walk:
        await walk.go(Step.REPAIRS)
        monkeypatch.setattr(repairs, "apply", changed)
        await walk.choose("repair")
        await walk.until(lambda: "[error]" in walk.text)
        assert walk.offered == ("again", "myself", "back", "skip")


async def test_a_repair_is_not_left_half_way(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def slow(_host: Host, _fix: object, _emit: object, cancel: Any, *, defer: bool) -> None:
        seen["stopped"] = cancel.wait(10)
        raise Trouble(Problem.CANCELLED)

    async with start(sudo_ready("unknown-runtime")) as walk:
        await walk.go(Step.REPAIRS)
        monkeypatch.setattr(repairs, "apply", slow)
        await walk.choose("repair")
        await walk.until(lambda: "Repairing" in walk.text)
        await walk.press("escape")
        await walk.until(lambda: seen.get("stopped") is True)
        assert walk.step is Step.REPAIRS
        await walk.until(lambda: "You stopped it." in walk.whole)


@pytest.fixture
def repairing(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, threading.Event]]:
    """Repairs that note when they were ``asked`` to stop, and stop when the test says that it is ``safe``."""
    marks = {"asked": threading.Event(), "safe": threading.Event()}

    def slow(_host: Host, _fix: object, _emit: object, cancel: Any, *, defer: bool) -> None:
        if cancel.wait(10):
            marks["asked"].set()
        marks["safe"].wait(10)
        raise Trouble(Problem.CANCELLED)

    monkeypatch.setattr(repairs, "apply", slow)
    yield marks
    marks["safe"].set()


async def begin_repair(walk: Walk) -> None:
    await walk.go(Step.REPAIRS)
    await walk.choose("repair")
    await walk.until(lambda: "Repairing" in walk.text)


async def test_quitting_waits_for_a_repair_to_end_safely(start: Start, repairing: dict[str, threading.Event]) -> None:
    async with start(sudo_ready("unknown-runtime")) as walk:
        await begin_repair(walk)
        await walk.press("q")
        assert "that first comes to a safe end" in walk.whole
        assert not repairing["asked"].is_set()
        await walk.choose("quit")
        await walk.until(lambda: repairing["asked"].is_set() and "is being ended cleanly" in walk.text)
        assert walk.app.return_value is None
        repairing["safe"].set()
        await walk.until(lambda: walk.app.return_value == 0)


async def test_who_stays_after_all_is_not_taken_along(start: Start, repairing: dict[str, threading.Event]) -> None:
    async with start(sudo_ready("unknown-runtime")) as walk:
        await begin_repair(walk)
        await walk.press("q")
        await walk.choose("quit")
        await walk.until(repairing["asked"].is_set)
        await walk.press("q")
        assert "There is no safe end yet" in walk.whole
        await walk.press("enter")
        repairing["safe"].set()
        await walk.until(lambda: "You stopped it." in walk.whole)
        await walk.pilot.pause(0.3)
        assert walk.app.return_value is None


async def test_quitting_twice_does_not_wait(start: Start, repairing: dict[str, threading.Event]) -> None:
    async with start(sudo_ready("unknown-runtime")) as walk:
        await begin_repair(walk)
        await walk.pilot.resize_terminal(60, 20)
        await walk.until(lambda: isinstance(walk.screen, TooSmall))
        await walk.press("ctrl+c")
        assert "that first comes to a safe end" in " ".join(walk.text.split())
        await walk.press("ctrl+c")
        await walk.until(repairing["asked"].is_set)
        await walk.press("ctrl+c")
        assert "If you quit all the same, the next wizard says" in " ".join(walk.text.split())
        assert walk.app.return_value is None
        await walk.press("ctrl+c")
        await walk.until(lambda: walk.app.return_value == 0)


async def test_staying_lets_a_repair_go_on(start: Start, repairing: dict[str, threading.Event]) -> None:
    async with start(sudo_ready("unknown-runtime")) as walk:
        await begin_repair(walk)
        await walk.press("q")
        await walk.press("enter")
        await walk.pilot.pause(0.3)
        assert not repairing["asked"].is_set()
        assert walk.step is Step.REPAIRS
        await walk.press("escape")
        await walk.until(repairing["asked"].is_set)


async def test_the_last_step_is_shown_with_what_it_stops_and_can_be_protected(start: Start) -> None:
    host = sudo_ready("healthy")
    made = repairs.apply(host, must(repairs.plan(host, "restart-docker")), defer=True)
    async with start(host) as walk:
        await walk.go(Step.REPAIRS)
        assert walk.pointed == "later"
        assert "group-notebook" in walk.whole
        assert "sudo systemctl restart docker" in walk.whole
        await walk.choose("protect")
        assert '"live-restore": true' in walk.whole
        await walk.choose("repair")
        await walk.until(lambda: "Repaired" in walk.whole)
        await walk.choose("more")
        await walk.until(lambda: "settle" in walk.offered)
        assert "protect" not in walk.offered
        await walk.choose("settle")
        await walk.until(lambda: "The proof" in walk.whole)
        assert [item.name for item in host.engine.containers()] == ["group-notebook"]
        assert repairs.pending(host) == ()
        assert made.id in walk.journey.receipts


async def test_the_last_step_can_wait(start: Start) -> None:
    host = sudo_ready("healthy")
    repairs.apply(host, must(repairs.plan(host, "restart-docker")), defer=True)
    async with start(host) as walk:
        await walk.go(Step.REPAIRS)
        await walk.press("enter")
        await walk.until(lambda: "last" in walk.offered)
        assert "still wait for their last step" in walk.whole
        assert len(repairs.pending(host)) == 1
        await walk.choose("last")
        await walk.until(lambda: "settle" in walk.offered)


async def test_all_repairs_in_one_go(start: Start) -> None:
    host = sudo_ready("docker-stopped")
    async with start(host) as walk:
        await walk.go(Step.REPAIRS)
        await walk.choose("all")
        assert walk.pointed == "more"
        assert "sudo systemctl enable docker.service" in walk.whole
        assert "sudo systemctl start docker" in walk.whole
        await walk.choose("repair-all")
        await walk.until(lambda: "Start Docker" in walk.whole and walk.offered == ("more",))
        await walk.choose("more")
        await walk.until(lambda: "settle" in walk.offered)
        await walk.choose("settle")
        await walk.until(lambda: "The proof" in walk.whole)
        assert {receipt.state for receipt in repairs.receipts(host)} == {StepState.DONE}
        host.engine.ping()


async def test_an_interrupted_repair_is_told_first_and_can_be_taken_back(start: Start) -> None:
    host = sudo_ready("unknown-runtime")
    before = host.files.read("/etc/docker/daemon.json")
    fix = must(repairs.plan(host, "register-runtime"))
    work = repairs.record.Work(host, repairs.record.begin(host, fix), lambda _event: None)
    work.do(fix.actions[0])
    async with start(host) as walk:
        assert "finish" in walk.offered
        assert "was interrupted" in walk.whole
        await walk.choose("finish")
        await walk.at(Step.REPAIRS)
        assert "This repair was interrupted" in walk.whole
        await walk.choose("undo")
        await walk.choose("undo")
        await walk.until(lambda: "Taken back" in walk.whole)
        after = host.files.read("/etc/docker/daemon.json")
        assert before is not None
        assert after is not None
        assert after.data == before.data


def must(fix: Fix | None) -> Fix:
    assert fix is not None
    return fix


# --- image -----------------------------------------------------------------------------------------------------------


async def test_one_image_is_recommended_with_its_reason_and_size(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.IMAGE)
        assert f"Recommended: {IMAGE}" in walk.text
        assert "Fits your GPU and driver" in walk.text
        assert "GB in /var/lib/docker" in walk.text
        await walk.press("enter")
        await walk.at(Step.PULL)
        assert walk.journey.image == IMAGE


async def test_another_image_is_chosen_from_the_list(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.IMAGE)
        await walk.choose("others")
        other = next(choice for choice in walk.offered if choice and choice != IMAGE)
        await walk.choose(other)
        await walk.until(lambda: f"Your choice: {other}" in walk.whole and not walk.screen.working)


async def test_a_name_that_is_none_is_refused_below_the_field(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.IMAGE)
        await walk.choose("own")
        assert isinstance(walk.screen, AskLine)
        await walk.type("Not An Image")
        await walk.press("enter")
        assert isinstance(walk.screen, AskLine)
        assert "[error]" in walk.text
        await walk.press("escape")
        assert walk.step is Step.IMAGE


async def test_an_image_that_does_not_exist_is_said_and_another_can_be_chosen(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.IMAGE)
        await walk.choose("own")
        await walk.type("nvcr.io/nvidia/tensorflow:99.99")
        await walk.press("enter")
        await walk.until(lambda: "[error]" in walk.text)
        assert {"again", "others", "own"} <= set(walk.offered)


# --- pull ------------------------------------------------------------------------------------------------------------


class Slow:
    """A pull that waits for the test."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.events: list[object] = [
            PullPlan(1_000_000_000, 0, 3),
            Progress(250_000_000, 1_000_000_000, "bytes", "1 of 3 layers", 5e6, 150),
        ]
        self.trouble: Trouble | None = None
        self.calls = 0

    def run(self, _host: Host, image: str, _key: object, emit: Any, cancel: Any, *, way: pull.Way) -> pull.Pulled:
        self.calls += 1
        for event in self.events:
            emit(event)
        while not self.go.wait(0.01):
            cancel.check()
        if self.trouble is not None:
            raise self.trouble
        return pull.Pulled(image, "sha256:1", "sha256:2", already=False)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    controlled = Slow()
    monkeypatch.setattr(pull, "run", controlled.run)
    yield controlled
    controlled.go.set()


async def download(walk: Walk) -> None:
    """To the download, and yes to what it costs."""
    await walk.go(Step.PULL, image=IMAGE)
    await walk.until(lambda: walk.pointed == "start", "the question")
    await walk.press("enter")


async def test_an_image_is_pulled_and_the_next_step_waits(start: Start) -> None:
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "next" in walk.offered)
        assert "[ok]    The image is on this computer." in walk.text
        assert Step.PULL in walk.journey.done
        assert walk.app.session.host.engine.image(IMAGE) is not None
        await walk.press("enter")
        await walk.at(Step.WORKSPACE)


async def test_an_image_that_is_here_is_not_pulled_again(start: Start) -> None:
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "next" in walk.offered)
        walk.app.session.download = None
        await walk.go(Step.PULL, image=IMAGE)
        await walk.until(lambda: "already" in walk.text)


async def test_the_bar_tells_bytes_speed_time_and_layers(start: Start, slow: Slow) -> None:
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "25 %" in walk.text)
        assert "250 MB of 1.0 GB" in walk.text
        assert "5.0 MB a second · about 2 min left" in walk.text
        assert "1 of 3 layers" in walk.text


async def test_a_time_that_is_not_known_is_not_told(start: Start, slow: Slow) -> None:
    slow.events = [PullPlan(None, 0, None), Progress(1_000_000, None, "bytes", "downloading")]
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "1.0 MB" in walk.text)
        assert "%" not in walk.text
        assert "left" not in walk.text


async def test_a_stall_is_named_and_forgotten(start: Start, slow: Slow) -> None:
    slow.events.append(Stalled(31, "The registry is slow."))
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "Nothing has arrived for 31 s" in walk.text)
        assert "The registry is slow." in walk.whole
        slow.go.set()
        await walk.until(lambda: "next" in walk.offered and "Nothing has arrived" not in walk.text)


async def test_the_download_goes_on_while_the_next_step_is_prepared(start: Start, slow: Slow) -> None:
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "25 %" in walk.text)
        await walk.press("enter")
        await walk.at(Step.WORKSPACE)
        assert "download 25 %" in walk.text
        slow.go.set()
        await walk.until(lambda: Step.PULL in walk.journey.done)
        await walk.go(Step.PULL)
        await walk.until(lambda: "next" in walk.offered)
        assert slow.calls == 1


async def test_what_it_costs_is_said_before_it_starts(start: Start, slow: Slow) -> None:
    async with start() as walk:
        background._keep_speed(walk.app.session.host, IMAGE, [5e6] * 5)
        await walk.go(Step.PULL, image=IMAGE)
        await walk.until(lambda: "Download 4.5 GB?" in walk.text)
        assert "30 layers" in walk.text
        assert "about 17.9 GB in /var/lib/docker, 212 GB free" in walk.text
        assert "by this program: what is here is kept when it is stopped" in walk.whole
        assert "about 15 min, at 5.0 MB a second as the last time" in walk.text
        assert slow.calls == 0
        await walk.press("escape")
        await walk.at(Step.IMAGE)
        assert slow.calls == 0


async def test_without_room_the_pointer_stands_on_another_image(start: Start) -> None:
    async with start("disk-full") as walk:
        await walk.go(Step.PULL, image=IMAGE)
        await walk.until(lambda: walk.pointed == "back")
        assert "There is not enough room on the disk" in walk.whole


async def test_a_small_window_says_what_is_lost_before_it_is_left(start: Start, slow: Slow) -> None:
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "25 %" in walk.text)
        await walk.pilot.resize_terminal(60, 20)
        await walk.until(lambda: isinstance(walk.screen, TooSmall))
        await walk.press("ctrl+c")
        shown = " ".join(walk.text.split())
        assert (
            "now it stops, and the next one starts again from zero. Press Ctrl-C once more to quit all the same."
            in shown
        )
        assert walk.app.return_value is None
        await walk.press("ctrl+c")
        await walk.until(lambda: walk.app.return_value == 0)


async def test_quitting_a_simulated_download_says_what_is_lost(start: Start, slow: Slow) -> None:
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "25 %" in walk.text)
        await walk.press("q")
        assert "starts again from zero" in walk.whole
        assert walk.pointed == ""


async def test_quitting_leaves_a_download_that_lasts(start: Start, slow: Slow) -> None:
    host = machine.build("healthy", pace=0)
    host.background.lasting = True
    async with start(host) as walk:
        await download(walk)
        await walk.until(lambda: "25 %" in walk.text)
        await walk.press("q")
        assert "goes on without the wizard" in walk.whole
        assert walk.offered == ("", "quit", "stop")
        await walk.choose("quit")
    assert [found.image for found in background.running(host)] == [IMAGE]
    async with start(host) as walk:
        await walk.go(Step.PULL, image=IMAGE)
        await walk.until(lambda: "It was going on already" in walk.text and "25 %" in walk.text)
        slow.go.set()
        await walk.until(lambda: "next" in walk.offered)
    assert slow.calls == 1


async def test_the_wizard_finds_its_download_when_it_starts(start: Start, slow: Slow) -> None:
    host = machine.build("healthy", pace=0)
    journeys.save(host, Journey(done=frozenset({Step.WELCOME, Step.ACCOUNT}), image=IMAGE))
    background.begin(host, IMAGE, None)
    async with start(host) as walk:
        await walk.until(lambda: "download 25 %" in walk.text)
        slow.go.set()
        await walk.until(lambda: Step.PULL in walk.journey.done)


async def test_quitting_can_stop_the_download(start: Start, slow: Slow) -> None:
    host = machine.build("healthy", pace=0)
    host.background.lasting = True
    async with start(host) as walk:
        await download(walk)
        await walk.until(lambda: "25 %" in walk.text)
        await walk.press("q")
        await walk.choose("stop")
        await walk.until(lambda: not background.running(host))
    found = background.find(host, IMAGE)
    assert found is not None
    assert found.ended is not None
    assert found.ended.trouble is not None
    assert found.ended.trouble.kind is Problem.CANCELLED


async def test_a_download_can_be_stopped_and_started_again(start: Start, slow: Slow) -> None:
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "stop" in walk.offered)
        await walk.choose("stop")
        assert "the next one starts again from zero" in walk.whole
        await walk.press("enter")
        await walk.until(lambda: "stop" in walk.offered)
        assert slow.calls == 1
        await walk.choose("stop")
        await walk.choose("stop")
        await walk.until(lambda: "The download was stopped." in walk.whole)
        await walk.choose("again")
        await walk.until(lambda: walk.pointed == "start")
        await walk.press("enter")
        await walk.until(lambda: slow.calls == 2 and "25 %" in walk.text)


async def test_a_download_of_the_program_itself_can_be_paused_and_goes_on(start: Start, slow: Slow) -> None:
    slow.events[0] = PullPlan(1_000_000_000, 0, 3, "download")
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "pause" in walk.offered)
        assert "what is here is kept" in walk.text
        await walk.choose("pause")
        await walk.until(lambda: "The download is paused. What is here is kept." in walk.whole)
        assert walk.pointed == "again"
        await walk.press("enter")
        await walk.until(lambda: walk.pointed == "start")
        assert "The last download was paused at 25 %." in walk.text
        await walk.press("enter")
        await walk.until(lambda: slow.calls == 2 and "25 %" in walk.text)
        await walk.choose("stop")
        assert "the next download goes on with it" in walk.whole


async def test_the_time_is_named_once_the_registry_was_measured(start: Start) -> None:
    async with start(machine.build("healthy", pace=0.02)) as walk:
        await walk.go(Step.PULL, image=IMAGE)
        await walk.until(lambda: "one connection gives" in walk.text)
        assert "or less" in walk.text
        assert walk.pointed == "start"


async def test_without_the_registry_it_is_said_why_the_size_is_not_known(start: Start, slow: Slow) -> None:
    text = 'extends = "healthy"\n[network]\nproblem = "dns-failure"\ntext = "no such host"'
    async with start(machine.assemble(spec.parse(text, "test"))) as walk:
        await walk.go(Step.PULL, image=IMAGE)
        await walk.until(lambda: walk.pointed == "start")
        assert "So the size is not known before" in walk.whole
        assert walk.offered == ("start", "back", "again")


async def test_a_download_whose_process_has_gone_is_told_with_what_it_had_reached(start: Start, slow: Slow) -> None:
    host = machine.build("healthy", pace=0)
    background.begin(host, IMAGE, None)
    for name in host.store.names("pulls"):
        if name[-1].isdigit():  # the journal of a process that was killed at 25 %
            data = (host.store.read(f"pulls/{name}") or b"").replace(b'"simulated"', b'"another start of the machine"')
            host.store.write(f"pulls/{name}", data)
    async with start(host) as walk:
        await walk.go(Step.PULL, image=IMAGE)
        await walk.until(lambda: walk.pointed == "start")
        assert "was cut off at 25 %" in walk.text


async def test_the_layers_are_shown_when_asked_for(start: Start, slow: Slow) -> None:
    states = (LayerState("d83e0c5b1f2a", 300_000_000, 75_000_000, "downloading"), LayerState("aa", None, 0, "waiting"))
    slow.events.append(Layers(states))
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "layers" in walk.offered)
        await walk.choose("layers")
        assert "d83e0c5b1f2a" in walk.text
        assert "downloading, 75.0 MB of 300 MB" in walk.text
        await walk.press("escape")
        await walk.until(lambda: "25 %" in walk.text)


async def test_a_download_that_breaks_offers_to_try_again(start: Start, slow: Slow) -> None:
    slow.trouble = Trouble(Problem.PULL_FAILED, "unexpected EOF", subject=IMAGE)
    slow.go.set()
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: "[error]" in walk.text)
        assert "unexpected EOF" in walk.text
        assert walk.offered == ("again", "back")
        slow.trouble = None
        await walk.press("enter")
        await walk.until(lambda: walk.pointed == "start")
        await walk.press("enter")
        await walk.until(lambda: "next" in walk.offered)


async def test_a_registry_that_wants_a_key_leads_to_the_account(start: Start, slow: Slow) -> None:
    slow.trouble = Trouble(Problem.KEY_WANTED, subject=IMAGE)
    slow.go.set()
    async with start() as walk:
        await download(walk)
        await walk.until(lambda: walk.pointed == "key")
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)


# --- workspace -------------------------------------------------------------------------------------------------------


async def test_enter_accepts_the_workspace(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.WORKSPACE, image=IMAGE)
        assert walk.pointed == "accept"
        await walk.press("enter")
        await walk.at(Step.CONTAINER)
        assert walk.journey.name == "openseq2seq"
        assert walk.journey.data
        assert walk.journey.gpus == "all"


@pytest.mark.parametrize(("field", "value"), [("name", "-no"), ("gpus", "seven"), ("shm", "much"), ("data", "/etc")])
async def test_what_cannot_be_used_is_said_below_its_own_field(start: Start, field: str, value: str) -> None:
    async with start() as walk:
        await walk.go(Step.WORKSPACE, image=IMAGE)
        line = walk.screen.query_one(f"#{field}", Field)
        line.line.focus()
        await walk.pilot.pause()
        await walk.type(value)
        await walk.choose("accept")
        await walk.until(lambda: "[error]" in walk.text)
        assert line.has_class("-wrong")
        assert walk.screen.focused is line.line
        await walk.choose("default")
        assert "[error]" not in walk.text


async def test_up_and_down_move_between_the_fields(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.WORKSPACE, image=IMAGE)
        await walk.press("up")
        assert walk.screen.focused is walk.screen.query_one("#gpus", Field).line
        assert "> GPUs" in walk.text
        await walk.press("up", "up")
        assert "> Container name" in walk.text
        await walk.press("down", "down", "down")
        assert "> Continue" in walk.text


# --- container -------------------------------------------------------------------------------------------------------


async def with_image(walk: Walk) -> None:
    await download(walk)
    await walk.until(lambda: "next" in walk.offered)


async def test_an_image_of_ones_own_is_checked_against_the_gpu(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.IMAGE, image="nvcr.io/nvidia/tensorflow:18.07-py3")
        await walk.until(lambda: "made before NVIDIA GeForce RTX 2060" in walk.whole)
        assert "[warn]" in walk.text
        assert "use" in walk.offered, "whoever named it may want it all the same"


async def test_the_container_is_shown_made_and_looked_at_from_inside(start: Start) -> None:
    async with start() as walk:
        await with_image(walk)
        await walk.go(Step.CONTAINER)
        assert "docker run" in walk.whole
        assert walk.app.session.host.engine.container("openseq2seq") is None
        await walk.press("enter")
        await walk.until(lambda: "is made and running" in walk.whole)
        assert "RTX 2060" in walk.whole
        made = walk.app.session.host.engine.container("openseq2seq")
        assert made is not None
        assert made.running
        assert walk.pointed == "test"
        await walk.press("enter")
        await walk.until(lambda: "TensorFlow works in the container openseq2seq." in walk.whole)
        assert "(float16)" in walk.whole
        assert walk.pointed == "next"
        await walk.press("enter")
        await walk.at(Step.SHELL)


async def test_a_tensorflow_that_fails_is_explained_with_ways_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from wizard.services import smoke

    def fail(*_arguments: object) -> smoke.Smoke:
        raise Trouble(Problem.GPU_CODE_MISSING, "no kernel image is available", subject="openseq2seq")

    async with start() as walk:
        await with_image(walk)
        await walk.go(Step.CONTAINER)
        await walk.press("enter")
        await walk.until(lambda: "test" in walk.offered)
        monkeypatch.setattr(smoke, "run", fail)
        await walk.press("enter")
        await walk.until(lambda: "no code for this GPU" in walk.whole)
        assert walk.offered == ("test", "image", "repairs", "next")
        await walk.choose("image")
        await walk.at(Step.IMAGE)


async def test_the_test_of_tensorflow_can_be_stopped(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from wizard.services import smoke

    asked: list[Cancel] = []

    def wait(_host: object, _name: str, emit: Emit, cancel: Cancel) -> smoke.Smoke:
        asked.append(cancel)
        emit(Line("Loading TensorFlow."))
        cancel.wait(60)
        raise Trouble(Problem.CANCELLED)

    async with start() as walk:
        await with_image(walk)
        await walk.go(Step.CONTAINER)
        await walk.press("enter")
        await walk.until(lambda: "test" in walk.offered)
        monkeypatch.setattr(smoke, "run", wait)
        await walk.press("enter")
        await walk.until(lambda: "Loading TensorFlow." in walk.text)
        await walk.choose("stop")
        await walk.until(lambda: "The test was stopped." in walk.whole)
        assert asked[0].is_set
        assert walk.pointed == "next"


async def test_without_the_image_the_way_leads_to_the_download(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.CONTAINER, image=IMAGE)
        assert walk.offered == ("download",)
        await walk.press("enter")
        await walk.at(Step.PULL)


async def test_while_the_image_comes_the_container_waits(start: Start, slow: Slow) -> None:
    async with start() as walk:
        await download(walk)
        await walk.go(Step.CONTAINER)
        assert "still being downloaded" in walk.whole


async def test_a_name_that_is_taken_is_asked_for_again(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await with_image(walk)
        await walk.go(Step.CONTAINER, name="group-notebook", gpus="none")
        await walk.press("enter")
        await walk.until(lambda: walk.pointed == "name")
        await walk.press("enter")
        assert isinstance(walk.screen, AskLine)
        await walk.type("mine")
        await walk.press("enter")
        await walk.until(lambda: walk.journey.name == "mine" and walk.step is Step.CONTAINER)
        await walk.at(Step.CONTAINER)
        await walk.press("enter")
        await walk.until(lambda: "is made and running" in walk.whole)
        there = walk.app.session.host.engine.container("group-notebook")
        assert there is not None
        assert there.running


async def test_without_a_gpu_it_is_explained_and_the_processor_offered(start: Start) -> None:
    async with start("no-gpu") as walk:
        await with_image(walk)
        await walk.go(Step.CONTAINER)
        await walk.press("enter")
        await walk.until(lambda: "cpu" in walk.offered)
        assert "training takes many times longer" in walk.whole
        await walk.choose("cpu")
        await walk.at(Step.CONTAINER)
        await walk.press("enter")
        await walk.until(lambda: "is made and running" in walk.whole)
        assert walk.journey.cpu_only


# --- shell -----------------------------------------------------------------------------------------------------------


async def test_where_the_wizard_cannot_step_aside_it_shows_the_command(start: Start) -> None:
    async with start() as walk:
        await with_image(walk)
        await walk.go(Step.CONTAINER)
        await walk.press("enter")
        await walk.until(lambda: "next" in walk.offered)
        await walk.choose("next")
        await walk.at(Step.SHELL)
        await walk.press("enter")
        await walk.until(lambda: "s2s-wizard shell" in walk.whole)
        assert "docker exec" in walk.whole


async def test_the_shell_opens_in_the_users_own_terminal(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    aside: list[str] = []

    @contextlib.contextmanager
    def suspend() -> Iterator[None]:
        aside.append("out")
        yield
        aside.append("in")

    async with start() as walk:
        await with_image(walk)
        await walk.go(Step.CONTAINER)
        await walk.press("enter")
        await walk.until(lambda: "next" in walk.offered)
        await walk.go(Step.SHELL)
        monkeypatch.setattr(walk.app, "suspend", suspend)
        from wizard.services import shell

        monkeypatch.setattr(shell, "open", lambda _host, _plan: 7)
        await walk.press("enter")
        await walk.until(lambda: "exit status 7" in walk.whole)
        assert aside == ["out", "in"]
        assert walk.pointed == "next"


async def test_a_container_that_is_gone_is_said(start: Start) -> None:
    async with start() as walk:
        await walk.go(Step.SHELL, image=IMAGE, name="openseq2seq")
        await walk.press("enter")
        await walk.until(lambda: "[error]" in walk.text)
        assert "openseq2seq" in walk.whole


# --- finish ----------------------------------------------------------------------------------------------------------


async def test_the_end_tells_how_to_come_back_and_writes_the_answers(start: Start) -> None:
    async with start() as walk:
        await with_image(walk)
        await walk.go(Step.FINISH, image=IMAGE, name="openseq2seq", data="/home/mei/data", gpus="all", shm=1024**3)
        assert "To come back tomorrow" in walk.text
        assert "s2s-wizard shell" in walk.text
        await walk.choose("answers")
        await walk.until(lambda: "Written:" in walk.whole)
        path = f"{walk.app.session.host.home}/s2s-answers.toml"
        written = walk.app.session.host.files.read(path)
        assert written is not None
        assert IMAGE.encode() in written.data
        assert path in walk.whole


async def test_without_a_gpu_the_checkup_offers_the_processor(start: Start) -> None:
    async with start("no-gpu") as walk:
        await walk.go(Step.CHECKUP)
        await walk.until(lambda: "next" in walk.offered)
        assert "Go on without a GPU" in walk.text
        await walk.choose("next")
        await walk.at(Step.IMAGE)
        assert walk.journey.cpu_only


async def test_a_container_that_has_lost_its_gpu_is_started_anew(start: Start) -> None:
    async with start("lost-gpu") as walk:
        await walk.go(
            Step.CONTAINER, image="nvcr.io/nvidia/tensorflow:20.11-tf1-py3", data="/home/mei/openseq2seq-data"
        )
        await walk.until(lambda: "make" in walk.offered)
        await walk.choose("make")
        await walk.until(lambda: "it got no GPU" in walk.text)
        assert walk.offered == ("restart", "repairs", "next")
        await walk.choose("restart")
        assert walk.pointed == ""
        await walk.press("enter")
        assert "it got no GPU" in walk.text
        await walk.choose("restart")
        await walk.choose("anew")
        await walk.until(lambda: "The GPU's device is there" in walk.text)
        assert "is running again" in walk.text
        assert list(walk.offered) == ["test", "next"]
