"""The frame around every step: keys, dialogs, the window, the language, quitting, and errors."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from rich.cells import cell_len

from screens.dialogs import Dialog, TooSmall
from screens.widgets import Choices
from tests.screens.conftest import Start, Walk
from wizard.app import QuitDialog, WizardApp
from wizard.model import i18n
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Line
from wizard.model.journey import Journey, Step
from wizard.services import journey as journeys

BANNER = "SIMULATED MACHINE: healthy. Nothing here changes your computer."


async def test_the_first_page_answers_the_four_questions(start: Start) -> None:
    async with start() as walk:
        assert "1/11" in walk.text
        assert "Welcome" in walk.text
        assert "It needs" in walk.text
        assert "> Start" in walk.text
        assert walk.keys.startswith("Enter Start")


async def test_two_quick_keys_close_a_dialog_once(start: Start) -> None:
    async with start() as walk:
        await walk.press("ctrl+c")
        choices = walk.screen.query_one(Choices)
        choices.action_pick()
        choices.action_pick()
        await walk.at(Step.WELCOME)
        assert walk.app.crash is None


async def test_arrow_keys_move_and_the_pointer_is_text(start: Start) -> None:
    async with start() as walk:
        await walk.press("down")
        assert "> Just look" in walk.text
        assert "> Start" not in walk.text
        assert walk.keys.startswith("Enter Look")


async def test_just_look_runs_the_checkup_and_keeps_nothing(start: Start) -> None:
    async with start() as walk:
        await walk.choose("look")
        await walk.at(Step.CHECKUP)
        assert walk.offered == ("home", "look", "explain")
        await walk.choose("home")
        await walk.at(Step.WELCOME)
        assert walk.app.session.journey == Journey()
        assert journeys.load(walk.app.session.host) is None


async def test_start_goes_to_the_account_and_esc_comes_back(start: Start) -> None:
    async with start() as walk:
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)
        await walk.press("escape")
        await walk.at(Step.WELCOME)


async def test_who_comes_back_goes_on_where_they_stopped(start: Start) -> None:
    async with start() as walk:
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)
        await walk.press("s")
        await walk.at(Step.CHECKUP)
        host = walk.app.session.host
    async with start(host) as walk:
        assert walk.pointed == "continue"
        assert "Continue where you stopped (step: Check-up)" in walk.text
        await walk.press("enter")
        await walk.at(Step.CHECKUP)


async def test_the_banner_stands_on_every_page_and_every_dialog(start: Start) -> None:
    async with start() as walk:
        for step in Step:
            await walk.go(step, image="nvcr.io/nvidia/tensorflow:20.11-tf1-py3")
            assert BANNER in walk.text, step
        for key in ("question_mark", "l", "q"):
            await walk.press(key)
            assert isinstance(walk.screen, Dialog)
            assert BANNER in walk.text, key
            await walk.press("escape")


async def test_every_page_fits_into_80x24(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        for step in Step:
            await walk.go(step, image="nvcr.io/nvidia/tensorflow:20.11-tf1-py3")
            lines = walk.text.split("\n")
            assert len(lines) == 24
            assert all(cell_len(line) <= 80 for line in lines)
            assert f"{step.number}/11" in lines[0]
            shown = [option.label for option in walk.screen.choices.options]
            assert shown, step
            assert all(any(label[:60] in line for line in lines) for label in shown), (step, walk.text)
            assert lines[-1].strip().startswith("Enter"), step


async def test_the_list_of_steps_stands_beside_the_page_on_a_wide_window(start: Start) -> None:
    async with start(size=(120, 40)) as walk:
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)
        await walk.press("s")
        await walk.at(Step.CHECKUP)
        assert "[done]" in walk.text
        assert "[skipped]" in walk.text
        assert "[now]     Check-up" in walk.text
        await walk.pilot.resize_terminal(80, 24)
        await walk.until(lambda: "[now]" not in walk.text)


async def test_a_small_window_is_asked_to_grow_and_loses_nothing(start: Start) -> None:
    async with start() as walk:
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)
        await walk.choose("enter")
        await walk.type("nvapi-half")
        await walk.pilot.resize_terminal(60, 20)
        await walk.until(lambda: "Please make the window larger" in walk.text)
        assert "(now 60x20, needs 80x24)" in walk.text
        await walk.pilot.resize_terminal(50, 20)
        await walk.until(lambda: "(now 50x20, needs 80x24)" in walk.text)
        await walk.press("x", "enter")
        await walk.pilot.resize_terminal(80, 24)
        await walk.until(lambda: not isinstance(walk.screen, TooSmall))
        assert walk.step is Step.ACCOUNT
        assert walk.screen.focused.value == "nvapi-half"


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_a_small_window_can_be_left_where_nothing_would_end(start: Start, key: str) -> None:
    async with start(size=(60, 20)) as walk:
        await walk.until(lambda: "Nothing is lost. Ctrl-C quits." in walk.text)
        await walk.press(key)
        await walk.until(lambda: walk.app.return_value == 0)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_quitting_asks_and_staying_is_the_default(start: Start, key: str) -> None:
    async with start() as walk:
        await walk.press(key)
        assert "Your place is saved" in walk.text
        assert walk.pointed == ""
        assert "> Stay" in walk.text
        await walk.press("enter")
        assert "Your place is saved" not in walk.text
        await walk.press(key, "down", "enter")
        await walk.until(lambda: walk.app.return_value == 0)


async def test_ctrl_c_also_asks_while_typing(start: Start) -> None:
    async with start() as walk:
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)
        await walk.choose("enter")
        await walk.press("q")
        assert walk.screen.focused.value == "q"
        assert "Ctrl-C Quit" in walk.keys
        assert "F1 Help" in walk.keys
        await walk.press("ctrl+c")
        assert isinstance(walk.screen, QuitDialog)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_program_cleanly(start: Start, number: signal.Signals) -> None:
    async with start() as walk:
        os.kill(os.getpid(), number)
        await walk.until(lambda: walk.app.return_value == 128 + number)


async def test_help_explains_the_step_and_the_words(start: Start) -> None:
    async with start() as walk:
        await walk.press("f1")
        assert "Nothing on this page changes your computer" in walk.whole
        await walk.choose("container")
        assert "A container is a closed room" in walk.whole
        await walk.choose("image")
        assert "An image is the box" in walk.whole
        await walk.press("escape")
        assert not isinstance(walk.screen, Dialog)


async def test_the_language_changes_at_once_and_back(start: Start) -> None:
    async with start() as walk:
        assert "中文" in walk.text
        await walk.choose("language")
        await walk.until(lambda: i18n.language() == "zh" and walk.pointed)
        await walk.choose("language")
        await walk.until(lambda: i18n.language() == "en" and "Welcome" in walk.text)


async def test_practising_changes_the_machine_and_back(start: Start) -> None:
    async with start() as walk:
        await walk.choose("practise")
        assert walk.pointed == "unknown-runtime"
        await walk.choose("no-gpu")
        await walk.until(lambda: "SIMULATED MACHINE: no-gpu." in walk.text)
        await walk.choose("practise")
        await walk.until(lambda: BANNER in walk.text)


async def test_copying_goes_to_the_terminal_and_to_a_file(start: Start) -> None:
    async with start() as walk:
        await walk.press("c")
        assert "This program takes you" in walk.app.clipboard
        store = walk.app.session.host.store
        assert (store.read("copied.txt") or b"").decode() == walk.app.clipboard
        assert store.path("copied.txt") in walk.text


async def test_the_log_shows_what_was_done(start: Start) -> None:
    async with start() as walk:
        await walk.choose("look")
        await walk.at(Step.CHECKUP)
        await walk.press("l")
        assert "docker.running: ok" in walk.whole


# --- work that goes wrong ------------------------------------------------------------------------------------------


async def work(walk: Walk, run) -> list[object]:  # type: ignore[no-untyped-def]
    came: list[object] = []
    walk.screen.work("Working …", run, came.append, said=came.append)
    await walk.until(lambda: not walk.screen.working)
    return came


async def test_events_and_the_result_arrive_in_order(start: Start) -> None:
    def run(emit: Emit, _cancel: Cancel) -> str:
        for number in range(50):
            emit(Line(str(number)))
        return "end"

    async with start() as walk:
        came = await work(walk, run)
        assert came == [*(Line(str(number)) for number in range(50)), "end"]


async def test_a_trouble_becomes_a_panel_with_ways_on(start: Start) -> None:
    def run(_emit: Emit, _cancel: Cancel) -> str:
        raise Trouble(Problem.DNS, "lookup nvcr.io: no such host", subject="nvcr.io")

    async with start() as walk:
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)
        await work(walk, run)
        assert "[error]" in walk.text
        assert "lookup nvcr.io: no such host" in walk.text
        assert walk.offered == ("again", "back", "skip")
        assert "What you have done so far is kept." in walk.whole
        await walk.press("enter")
        await walk.until(lambda: walk.pointed == "none")


async def test_an_error_nobody_foresaw_is_a_panel_without_a_traceback_or_a_key(start: Start) -> None:
    key = "nvapi-" + "k" * 64

    def run(_emit: Emit, _cancel: Cancel) -> str:
        raise KeyError(key)

    async with start() as walk:
        await work(walk, run)
        assert "Something went wrong inside the wizard" in walk.whole
        assert "Traceback" not in walk.text
        assert key not in walk.whole
        assert walk.app.is_running


async def test_who_leaves_a_step_is_not_followed_by_its_result(start: Start) -> None:
    stopped = []

    def run(_emit: Emit, cancel: Cancel) -> str:
        stopped.append(cancel.wait(10))
        raise Trouble(Problem.CANCELLED)

    async with start() as walk:
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)
        walk.screen.work("Working …", run, lambda _result: pytest.fail("it was left"))
        await walk.press("escape")
        await walk.at(Step.WELCOME)
        await walk.until(lambda: stopped == [True])
        assert "[error]" not in walk.text


async def test_long_work_counts_its_seconds(start: Start) -> None:
    release = asyncio.Event()

    async with start() as walk:
        walk.screen.work("Working …", lambda _emit, cancel: cancel.wait(10), lambda _result: release.set())
        await walk.until(lambda: "Working …" in walk.text)
        await walk.until(lambda: "Working … 1 s" in walk.text)
        walk.screen.end_work()


async def test_a_crash_shows_no_trace_and_keeps_the_error_for_the_log(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash() -> None:
        secret = "nvapi-" + "z" * 64
        raise RuntimeError(f"a crash of {len(secret)}")

    app: WizardApp | None = None
    with pytest.raises(RuntimeError):  # noqa: PT012 - the error comes out where the application ends
        async with start() as walk:
            app = walk.app
            app.call_later(crash)
            await walk.pilot.pause(0.2)
    assert app is not None
    assert isinstance(app.crash, RuntimeError)
    printed = "".join(str(item) for item in app._exit_renderables) + "".join(capsys.readouterr())
    assert "Traceback" not in printed
    assert "zzzz" not in printed


async def test_a_place_that_cannot_be_saved_is_said_and_the_walk_goes_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as walk:
        store = walk.app.session.host.store

        def full(name: str, data: bytes) -> None:
            raise Trouble(Problem.DISK_FULL, subject=store.path(name))

        monkeypatch.setattr(store, "write", full)
        await walk.press("enter")
        await walk.at(Step.ACCOUNT)
        assert "[warn] Your place is not saved" in walk.text
