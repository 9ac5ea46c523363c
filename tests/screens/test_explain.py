"""The page that explains an error text: pasted, looked at, proved, and from there to the repair; keyboard only."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from textual.events import Paste

from screens.explain import LONGEST, ExplainScreen
from tests.screens.conftest import Start, Walk
from wizard.model.errors import Problem, Trouble
from wizard.model.journey import Step
from wizard.services import explain

UNKNOWN_RUNTIME = "docker: Error response from daemon: Unknown runtime specified nvidia.\nSee 'docker run --help'.\n"


async def opened(walk: Walk, step: Step = Step.CHECKUP) -> None:
    """Goes to the page from a step, by its key."""
    await walk.go(step)
    await walk.press("e")
    await walk.until(lambda: isinstance(walk.screen, ExplainScreen) and walk.screen.field.has_focus, "the field")


async def paste(walk: Walk, text: str) -> None:
    """What a terminal sends when a text is pasted."""
    (walk.screen.focused or walk.screen).post_message(Paste(text))
    await walk.until(lambda: walk.screen.choices.has_focus, "pasted")


async def explained(walk: Walk, text: str) -> None:
    await paste(walk, text)
    await walk.press("enter")
    await walk.until(lambda: not walk.screen.working and not walk.screen.field.display, "explained")


@pytest.mark.parametrize("step", [Step.WELCOME, Step.CHECKUP, Step.REPAIRS, Step.FINISH])
async def test_the_key_leads_there_and_escape_back(start: Start, step: Step) -> None:
    async with start() as walk:
        await opened(walk, step)
        assert "An error text, explained" in walk.text
        assert "Ctrl-D Explain" in walk.keys
        await walk.press("escape")
        await walk.until(lambda: not isinstance(walk.screen, ExplainScreen), "back")
        assert walk.step is step


async def test_the_first_page_tells_the_way(start: Start) -> None:
    async with start() as walk:
        await walk.choose("explain")
        await walk.until(lambda: isinstance(walk.screen, ExplainScreen) and walk.screen.field.has_focus, "the field")
        await walk.press("escape")
        await walk.at(Step.WELCOME)
        assert "explain" in walk.offered


async def test_the_check_up_and_the_repairs_tell_the_way(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await walk.go(Step.CHECKUP)
        assert "I have an error message" in walk.text
        await walk.choose("explain")
        await walk.until(lambda: isinstance(walk.screen, ExplainScreen), "the page")
        await walk.go(Step.REPAIRS)
        assert "e Explain" in walk.keys


async def test_a_pasted_text_is_proved_and_leads_to_its_repair(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await opened(walk)
        await paste(walk, UNKNOWN_RUNTIME)
        assert walk.screen.field.text == UNKNOWN_RUNTIME
        assert walk.pointed == "look"
        await walk.press("enter")
        await walk.until(lambda: "repair" in walk.offered, "explained")
        assert "[error] On this machine: yes, this is so." in walk.text, "in words, not by colour alone"
        assert "GET /info → Runtimes" in walk.whole
        await walk.choose("repair")
        await walk.at(Step.REPAIRS)
        assert "not-now" in walk.offered
        assert walk.screen._offer.fix.id == "register-runtime"


async def test_a_repair_that_was_declined_is_shown_when_it_is_asked_for(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await walk.go(Step.REPAIRS)
        await walk.choose("not-now")
        await walk.until(lambda: "ask-again" in walk.offered, "declined")
        await walk.press("e")
        await walk.until(lambda: isinstance(walk.screen, ExplainScreen) and walk.screen.field.has_focus, "the field")
        await explained(walk, UNKNOWN_RUNTIME)
        await walk.choose("repair")
        await walk.at(Step.REPAIRS)
        assert walk.screen._offer.fix.id == "register-runtime"


async def test_text_and_machine_disagree(start: Start) -> None:
    async with start("healthy") as walk:
        await opened(walk)
        await explained(walk, UNKNOWN_RUNTIME)
        assert "it has been repaired since" in walk.whole
        assert "On this machine: no, this is in order." in walk.whole
        assert walk.offered == ("another", "leave")


async def test_an_unknown_text_gets_a_way_on(start: Start) -> None:
    async with start() as walk:
        await opened(walk)
        await explained(walk, "the coffee machine is empty")
        assert "The wizard does not know this text." in walk.text
        await walk.choose("same")
        await walk.until(lambda: walk.screen.field.has_focus, "the field")
        assert walk.screen.field.text == "the coffee machine is empty"
        await walk.press("ctrl+d")
        await walk.until(lambda: "checkup" in walk.offered, "looked again")
        await walk.choose("checkup")
        await walk.at(Step.CHECKUP)


async def test_no_text_is_said_and_nothing_happens(start: Start) -> None:
    async with start() as walk:
        await opened(walk)
        await walk.press("enter", "ctrl+d")
        await walk.until(lambda: "There is no text yet" in walk.text, "said")
        assert walk.screen.field.has_focus
        await walk.press("x")
        await walk.until(lambda: "There is no text yet" not in walk.text, "gone")


async def test_with_the_keyboard_alone(start: Start) -> None:
    """Typed letter by letter, newlines included, as a terminal without bracketed paste sends it; q does not quit."""
    async with start("unknown-runtime") as walk:
        await opened(walk)
        for key in ("q", "enter", *"unknown", "space", *"runtime", "space", *"specified", "space", *"nvidia"):
            await walk.pilot.press(key)
        assert walk.screen.field.text == "q\nunknown runtime specified nvidia"
        await walk.press("down")
        assert walk.pointed == "look"
        await walk.press("enter")
        await walk.until(lambda: "repair" in walk.offered, "explained")
        await walk.choose("another")
        await walk.until(lambda: walk.screen.field.has_focus, "the field")
        assert walk.screen.field.text == ""


async def test_escape_ends_the_look_and_keeps_the_text(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, left = threading.Event(), threading.Event()

    def slow(_host: Any, _text: str, *, cancel: Any, **_options: Any) -> tuple[()]:
        entered.set()
        cancel.wait(20)
        left.set()
        raise Trouble(Problem.CANCELLED)

    monkeypatch.setattr(explain, "run", slow)
    async with start() as walk:
        await opened(walk)
        await paste(walk, UNKNOWN_RUNTIME)
        await walk.press("enter")
        await walk.until(entered.is_set, "busy")
        assert "Nothing is changed." in walk.text
        await walk.press("escape")
        await walk.until(lambda: left.is_set() and walk.screen.field.has_focus, "the field again")
        assert walk.screen.field.text == UNKNOWN_RUNTIME


async def test_what_goes_wrong_is_said_and_can_be_tried_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    real = explain.run

    def broken(*_args: Any, **_options: Any) -> tuple[()]:
        monkeypatch.setattr(explain, "run", real)
        raise RuntimeError("a mistake")

    monkeypatch.setattr(explain, "run", broken)
    async with start("unknown-runtime") as walk:
        await opened(walk)
        await explained(walk, UNKNOWN_RUNTIME)
        assert "it is not your fault" in walk.whole
        await walk.choose("again")
        await walk.until(lambda: "repair" in walk.offered, "explained")


async def test_a_second_paste_takes_the_place_of_what_was_explained(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await opened(walk)
        await explained(walk, UNKNOWN_RUNTIME)
        walk.screen.focused.post_message(Paste("another text"))
        await walk.until(lambda: walk.screen.field.display and walk.pointed == "look", "the field")
        assert walk.screen.field.text == "another text"


async def test_a_very_long_text_is_cut_and_control_characters_do_not_come_through(start: Start) -> None:
    async with start() as walk:
        await opened(walk)
        await paste(walk, "noise\r\n" * 40_000 + "\x1b[31mthe end\x07\0")
        assert len(walk.screen.field.text) <= LONGEST
        assert walk.screen.field.text.endswith("\n[31mthe end")
        await walk.until(lambda: "only its end is looked at" in walk.text, "said")


async def test_a_key_in_the_text_is_not_repeated(start: Start) -> None:
    key = "nvapi-" + "a1B2" * 16
    async with start() as walk:
        await opened(walk)
        await explained(walk, f"unknown runtime specified nvidia {key}")
        assert "On this machine" in walk.whole
        assert key not in walk.whole + walk.text + "\n".join(walk.app.session.log)


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_everything_that_is_needed_is_in_sight(start: Start, size: tuple[int, int]) -> None:
    async with start("unknown-runtime", size) as walk:
        await opened(walk)
        assert "> Explain this text" in walk.text or "  Explain this text" in walk.text
        await explained(walk, UNKNOWN_RUNTIME)
        for seen in ("Docker does not know the runtime", "On this machine: yes", "Show me the repair", "Go back"):
            assert seen in walk.text
        await walk.pilot.resize_terminal(100, 30)
        await walk.until(lambda: "On this machine: yes" in walk.text and "> Show me the repair" in walk.text, "resized")


async def test_just_looking_offers_no_repair(start: Start) -> None:
    async with start("unknown-runtime") as walk:
        await walk.choose("look")
        await walk.at(Step.CHECKUP)
        await walk.choose("explain")
        await walk.until(lambda: isinstance(walk.screen, ExplainScreen) and walk.screen.field.has_focus, "the field")
        await explained(walk, UNKNOWN_RUNTIME)
        assert "repair" not in walk.offered
