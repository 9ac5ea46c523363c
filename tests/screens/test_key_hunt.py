"""The hunt for the key on the pages: pictures, the log of the session, the clipboard, also when something breaks."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screens.account import AccountScreen
from tests.screens.conftest import Start, Walk
from tests.support.leak import Hunt, canary
from wizard.app import WizardApp
from wizard.cli import _unexpected, fail
from wizard.cli.console import Console
from wizard.host import log
from wizard.model.errors import Problem, Trouble
from wizard.model.journey import Step
from wizard.model.key_store import KeyPlace
from wizard.services import account


@pytest.fixture
def hunt() -> Hunt:
    return Hunt(canary())


@pytest.fixture
def debug_log(tmp_path: Path) -> Iterator[Path]:
    """The log with every detail, as ``--log-file`` writes it."""
    with log.start(str(tmp_path), str(tmp_path / "debug.log")):
        yield tmp_path / "debug.log"


def read(path: Path) -> str:
    return path.read_text()


def look(walk: Walk, hunt: Hunt, place: str) -> None:
    """Looks through everything that a person, a picture or a copy would show of the page."""
    hunt.text(f"picture {place}", walk.app.export_screenshot())
    hunt.text(f"text {place}", walk.text + walk.whole)
    hunt.text(f"log {place}", "\n".join(walk.app.session.log))
    hunt.text(f"clipboard {place}", walk.app.clipboard)
    hunt.text(f"copied {place}", walk.app.session.host.store.read("copied.txt") or b"")
    hunt.text(f"widgets {place}", repr([(widget, vars(widget)) for widget in walk.screen.walk_children()]))


async def paste(walk: Walk, hunt: Hunt) -> None:
    await walk.go(Step.ACCOUNT)
    await walk.choose("enter")
    walk.screen.focused.value = f"  $oauthtoken:{hunt.key.reveal()} "
    await walk.settle()
    hunt.text("picture while it is typed", walk.app.export_screenshot())
    await walk.press("enter")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_no_picture_and_no_copy_shows_the_key(
    start: Start, hunt: Hunt, debug_log: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with start(size=size) as walk:
        await paste(walk, hunt)
        await walk.until(lambda: "session" in walk.offered)
        look(walk, hunt, "after Enter")
        await walk.choose("file")
        await walk.until(lambda: "file-yes" in walk.offered)
        await walk.choose("file-yes")
        await walk.until(lambda: "The key is kept" in walk.whole and not walk.screen.working)
        await walk.press("c")
        look(walk, hunt, "when it is kept")
        await walk.press("l")
        await walk.settle()
        hunt.text("picture of the log", walk.app.export_screenshot())
        await walk.press("escape")
        await walk.go(Step.IMAGE)
        look(walk, hunt, "later")
    hunt.folder(tmp_path)
    assert hunt.found == []


async def test_the_same_hunt_finds_a_key_that_is_shown(start: Start, hunt: Hunt) -> None:
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        walk.screen.tell(hunt.key.reveal())
        await walk.settle()
        hunt.text("picture", walk.app.export_screenshot())
    assert "picture: plain" in hunt.found


class Fault:
    """A function that fails, in words that show the key."""

    def __init__(self, hunt: Hunt) -> None:
        self._hunt = hunt
        self.met = threading.Event()

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.met.set()
        key = self._hunt.key.reveal()
        try:
            raise RuntimeError(f"the cause, with {key}")
        except RuntimeError as error:
            raise ValueError(key, base64.b64encode(f"$oauthtoken:{key}".encode())) from error


@pytest.mark.parametrize("name", ["places", "save", "check"])
async def test_a_fault_in_a_service_that_handles_the_key(
    start: Start, hunt: Hunt, debug_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fault = Fault(hunt)
    async with start() as walk:
        await walk.go(Step.ACCOUNT)
        monkeypatch.setattr(account, name, fault)
        await paste(walk, hunt)
        if name != "places":
            await walk.until(lambda: "session" in walk.offered)
            await walk.choose("session")
        await walk.until(lambda: fault.met.is_set() and not walk.screen.working)
        await walk.press("c")
        look(walk, hunt, f"after a fault in {name}")
    assert "Traceback" in read(debug_log)
    hunt.folder(tmp_path)
    assert hunt.found == []


@pytest.mark.parametrize(("owner", "name"), [(account, "read_key"), (AccountScreen, "_kept")])
async def test_a_fault_that_ends_the_application(
    start: Start,
    hunt: Hunt,
    debug_log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    owner: object,
    name: str,
) -> None:
    """Textual prints the local variables of every frame; the wizard writes a trace without them, and masks it."""
    fault = Fault(hunt)
    seen: list[WizardApp] = []

    async def walk_into_it() -> None:
        async with start() as walk:
            seen.append(walk.app)
            monkeypatch.setattr(owner, name, fault)
            await paste(walk, hunt)
            if name != "read_key":
                await walk.until(lambda: "session" in walk.offered)
                await walk.choose("session")
            await walk.until(lambda: fault.met.is_set())
            await walk.pilot.pause()

    with pytest.raises(ValueError, match="nvapi"):
        await walk_into_it()
    assert seen[0].crash is not None
    code = fail(Console(), _unexpected(seen[0].crash, str(debug_log)))
    said = capsys.readouterr()
    assert code == 4
    hunt.text("what is said at the end", said.out + said.err)
    hunt.folder(tmp_path)
    assert "the cause, with ****" in read(debug_log)
    assert hunt.found == []


async def test_a_store_that_hangs_leaves_the_page_alive(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked = threading.Event(), threading.Event()

    def hangs(_host: object) -> None:
        asked.set()
        release.wait(30)
        raise Trouble(Problem.STORE_FAILED, subject=KeyPlace.KEYRING.value)

    monkeypatch.setattr(account, "current", hangs)
    async with start() as walk:
        await walk.until(lambda: walk.step is Step.WELCOME)
        walk.screen.go(Step.ACCOUNT)
        await walk.until(lambda: asked.is_set() and walk.step is Step.ACCOUNT)
        assert "Looking for a key" in walk.text, "it says what it waits for"
        await walk.press("question_mark")
        await walk.until(lambda: "NVIDIA" in walk.text and "Esc" in walk.text)
        await walk.press("escape")
        await walk.press("s")
        await walk.until(lambda: walk.step is Step.CHECKUP)
        release.set()
