"""A download by keyboard: begun, left by quitting the wizard and by a lost connection, found again, finished."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.registry import NgcLike
from tests.terminal.conftest import Window
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.journey import Journey, Step
from wizard.services import background, journey

pytestmark = [pytest.mark.terminal, pytest.mark.real]

PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))


@pytest.fixture
def host(engine: PrivateEngine, own_environment: Path) -> Iterator[Host]:
    made = real.build(engine.environ)
    yield made
    for found in background.running(made):
        with suppress(ProcessLookupError):
            os.kill(found.process.pid, signal.SIGKILL)
    made.engine.close()


def test_a_download_outlives_the_wizard_and_is_found_again(
    tmux: Callable[..., Window], engine: PrivateEngine, ngc: NgcLike, host: Host
) -> None:
    image = ngc.push_busybox("terminal/download", extra=[3_000_000, 3_000_000]).image
    before = frozenset({Step.WELCOME, Step.ACCOUNT, Step.CHECKUP, Step.REPAIRS, Step.IMAGE})
    journey.save(host, Journey(done=before, image=image))
    ngc.throttle(60_000)

    window = tmux(engine.environ)
    window.run(PROGRAM)
    window.see("> Continue where you stopped")
    window.keys("Enter")
    window.see("Download 6.0 MB (1.1 MB already here)?")
    window.see("> Download it")
    window.keys("Enter")
    window.see("MB of 7.1 MB")
    window.keys("C-c")
    window.see("goes on without the wizard")
    window.keys("Down", "Enter")
    window.back()
    (found,) = background.running(host)
    assert found.image == image

    window.run(PROGRAM)
    window.see("download ")
    window.keys("Enter")
    window.see("It was going on already")
    window.see("> Prepare the next steps")
    window.close_window()
    assert background.running(host)[0].process == found.process

    again = tmux(engine.environ, (140, 40))
    again.run(PROGRAM)
    again.see("> Continue where you stopped")
    again.keys("Enter")
    again.see("It was going on already")
    ngc.throttle(None)
    again.see("The image is on this computer.")
    again.keys("q")
    again.see("> Stay")
    again.keys("Down", "Enter")
    again.back()
    assert host.engine.image(image) is not None
    assert background.running(host) == ()
