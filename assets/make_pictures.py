"""Draws the README's pictures from the running program, on simulated machines.

    python assets/make_pictures.py

A picture made this way cannot show what the program does not do. Every picture carries the simulated machine's banner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from screens.base import Go
from wizard.app import WizardApp
from wizard.demo import machine
from wizard.model.journey import Step

HERE = Path(__file__).resolve().parent
SIZE = (100, 30)


async def draw(name: str, machine_name: str, keys: Sequence[str], at: Step | None = None) -> None:
    """Presses ``keys`` on a fresh wizard (a number is a pause in seconds) and keeps what is on the screen. ``at`` is
    the step that it begins with.
    """
    app = WizardApp(machine.build(machine_name))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.5)
        if at is not None:
            app.post_message(Go(at))
            await pilot.pause(2)
        for key in keys:
            if key.replace(".", "").isdigit():
                await pilot.pause(float(key))
            else:
                await pilot.press(key)
        await app.workers.wait_for_complete()
        await pilot.pause(0.5)
        (HERE / f"{name}.svg").write_text(app.export_screenshot(title="s2s-wizard"), encoding="utf-8")


async def main() -> None:
    """All pictures, one after the other."""
    await draw("welcome", "unknown-runtime", [])
    await draw("checkup", "unknown-runtime", ["enter", "0.5", "s", "1.5"])
    await draw("repairs", "unknown-runtime", ["enter", "0.5", "s", "1.5", "enter", "1"])
    await draw("training", "with-container", ["enter", "11"], Step.TRAIN)


if __name__ == "__main__":
    asyncio.run(main())
