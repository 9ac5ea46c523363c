"""The wizard under Textual's Pilot, on simulated machines whose downloads take no time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from screens.base import StepScreen
from screens.layout import plain
from screens.widgets import Blocks, Choices, Keys
from wizard.app import WizardApp
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model import i18n
from wizard.model.journey import Journey, Step

PATIENCE = 20.0
"""Seconds that a test waits for what has to come."""


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins in English and without the heavy libraries being loaded behind its back."""
    i18n.use("en")
    monkeypatch.setattr("wizard.app.HEAVY", ())


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """No thread outlives its test: Pilot waits until the process rests, up to a second at every key, so that a few
    threads that go on looking for something make all later tests many times as slow.
    """
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + PATIENCE
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.01)


class Walk:
    """One run of the wizard and what a person can see and do in it."""

    def __init__(self, app: WizardApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> Any:
        return self.app.screen

    @property
    def step(self) -> Step | None:
        """The step that is shown, also when a dialog lies on top of it."""
        shown = [screen for screen in self.app.screen_stack if isinstance(screen, StepScreen)]
        return shown[-1].step if shown else None

    @property
    def journey(self) -> Journey:
        return self.app.session.journey

    @property
    def text(self) -> str:
        """What is on the screen, line by line, as the terminal would show it."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    @property
    def whole(self) -> str:
        """All the text of the page, also what has to be scrolled to, in one line."""
        return " ".join(plain(blocks.blocks, 1000) for blocks in self.screen.query(Blocks))

    @property
    def keys(self) -> str:
        return str(self.screen.query_one(Keys).render())

    @property
    def offered(self) -> tuple[str, ...]:
        """The ids of the choices."""
        return tuple(option.id for option in self.screen.query_one(Choices).options)

    @property
    def pointed(self) -> str:
        """The id of the choice that Enter would take."""
        current = self.screen.query_one(Choices).current
        return current.id if current else ""

    async def until(self, seen: Callable[[], object], what: str = "") -> None:
        """Waits until ``seen``; says what was on the screen when it never came."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            await self.pilot.pause(0.02)
            with contextlib.suppress(Exception):  # the screen is just being changed
                if seen():
                    return await self.settle()
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"never came: {what}\n{self.text}\n{self.state}")

    @property
    def state(self) -> str:
        """What may have kept the page from changing: messages that wait, threads that run, what went wrong."""
        waiting = {repr(pump): pump.message_queue_size for pump in (self.app, *self.app.screen_stack)}
        return f"messages: {waiting}\nthreads: {threading.enumerate()}\ncrash: {self.app.crash!r}"

    async def settle(self) -> None:
        """Waits until the whole page is drawn: on a busy machine its first line stands before its last."""
        before = ""
        for _ in range(10):  # a page that moves by itself never rests
            await self.pilot.pause()
            if (now := self.text) == before:
                return
            before = now

    async def at(self, step: Step) -> None:
        """Waits until the step is shown and its work is done."""
        await self.until(lambda: self.step is step and not self.screen.working and self.text.strip(), step.value)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Types ``text`` into the field that has the focus, in place of what stands there."""
        await self.pilot.press("end", "ctrl+u")
        for letter in text:
            await self.pilot.press(
                {"/": "slash", ".": "full_stop", "-": "minus", ":": "colon", " ": "space"}.get(letter, letter)
            )
        await self.pilot.pause()

    async def choose(self, choice: str) -> None:
        """Moves the pointer to a choice with the arrow keys and presses Enter."""
        choices = self.screen.query_one(Choices)
        assert choice in self.offered, f"{choice} is not offered: {self.offered}\n{self.text}"
        choices.focus()
        await self.pilot.pause()
        way = self.offered.index(choice) - choices.index
        await self.pilot.press(*(["down"] * way if way > 0 else ["up"] * -way), "enter")
        await self.pilot.pause()

    async def go(self, step: Step, **changes: Any) -> None:
        """Jumps to a step, with a journey that leads there."""
        done = frozenset(before for before in Step if before.number < step.number)
        session = self.app.session
        session.journey = replace(session.journey, done=done, **changes)
        before = self.screen
        before.go(step)
        await self.until(lambda: self.screen is not before, step.value)
        await self.at(step)


Start = Callable[..., contextlib.AbstractAsyncContextManager[Walk]]


@pytest.fixture
def start() -> Start:
    """Starts the wizard on a simulated machine (by name) or on a given host."""

    @contextlib.asynccontextmanager
    async def started(host: str | Host = "healthy", size: tuple[int, int] = (80, 24)) -> AsyncIterator[Walk]:
        app = WizardApp(machine.build(host, pace=0) if isinstance(host, str) else host)
        async with app.run_test(size=size) as pilot:
            walk = Walk(app, pilot)
            await walk.until(lambda: walk.step is not None, "the first page")
            yield walk

    return started
