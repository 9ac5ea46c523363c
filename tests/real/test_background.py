"""A pull in a real process of its own: it outlives the wizard, is found again, and shows the key to nobody."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.contract.conftest import until
from tests.support.engine import PrivateEngine
from tests.support.leak import Hunt, canary
from tests.support.registry import NgcLike, Pushed
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Progress
from wizard.model.journal import Ended
from wizard.model.progress import PullPlan
from wizard.services import background, cost
from wizard.services.background import Found
from wizard.services.pull import Way

pytestmark = pytest.mark.real

PATIENCE = 60.0
MB = 1_000_000
START = [sys.executable, "-m", "wizard", "pull", "--yes", "--detach"]
LOOK = [sys.executable, "-m", "wizard", "pull", "--yes", "--json"]


@pytest.fixture
def environ(engine: PrivateEngine, ngc: NgcLike, own_environment: Path) -> dict[str, str]:
    """The user's environment: this engine, and a configuration that names the registry."""
    folder = own_environment / ".config" / "s2s-wizard"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "config.toml").write_text(f'[registry]\nhosts = ["{ngc.host}"]\n')
    return engine.environ


@pytest.fixture
def host(environ: dict[str, str]) -> Iterator[Host]:
    made = real.build(environ)
    yield made
    for found in background.running(made):
        with suppress(ProcessLookupError):
            os.kill(found.process.pid, signal.SIGKILL)
        assert until(lambda found=found: not made.background.runs(found.process), PATIENCE)  # type: ignore[misc]
    made.engine.close()


@pytest.fixture
def slow_image(ngc: NgcLike) -> Iterator[Callable[..., Pushed]]:
    """Pushes an image that takes a while; ``ngc.throttle(None)`` lets the rest come at once."""

    def push(name: str, *, public: bool = True) -> Pushed:
        pushed = ngc.push_busybox(name, public=public, extra=[3 * MB, 3 * MB, 2 * MB])
        ngc.throttle(400_000)
        return pushed

    yield push
    ngc.throttle(None)


def moving(host: Host, image: str) -> Found:
    """The pull, once some of it has come."""

    def some() -> bool:
        found = background.find(host, image)
        return found is not None and found.runs and found.progress is not None and found.progress.done > 0

    assert until(some, PATIENCE)
    found = background.find(host, image)
    assert found is not None
    return found


def test_it_outlives_the_lost_connection_and_the_kill_of_who_began_it(
    host: Host, environ: dict[str, str], slow_image: Callable[..., Pushed], ngc: NgcLike
) -> None:
    """A session that begins it is hung up on; a second one, that only looks, is killed; a third one sees the end."""
    image = slow_image("background/outlives").image
    first = subprocess.Popen(["sh", "-c", '"$@"; sleep 60', "sh", *START, image], env=environ, start_new_session=True)
    found = moving(host, image)
    assert found.process.pid != first.pid
    os.killpg(first.pid, signal.SIGHUP)
    first.wait(PATIENCE)
    with subprocess.Popen([*LOOK, image], env=environ, stdout=subprocess.PIPE) as second:
        assert second.stdout is not None
        assert json.loads(second.stdout.readline())["event"] == "plan"
        second.kill()
    os.kill(found.process.pid, signal.SIGHUP)
    os.kill(found.process.pid, signal.SIGINT)
    after = background.find(host, image)
    assert after is not None
    assert (after.process, after.runs) == (found.process, True)
    assert os.getsid(found.process.pid) == found.process.pid

    ngc.throttle(None)
    third = subprocess.run([*LOOK, image], env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert third.returncode == 0, third.stderr
    lines = [json.loads(line) for line in third.stdout.splitlines()]
    done = [line["bytes_done"] for line in lines if line["event"] == "progress"]
    assert done == sorted(done)
    assert lines[-1]["event"] == "finished"
    assert host.engine.image(image) is not None
    assert until(lambda: not host.background.runs(found.process), PATIENCE)


def test_a_killed_one_is_told_with_what_it_had_reached_and_begun_again(
    host: Host, environ: dict[str, str], slow_image: Callable[..., Pushed], ngc: NgcLike
) -> None:
    image = slow_image("background/killed").image
    background.begin(host, image, None)
    killed = moving(host, image)
    os.kill(killed.process.pid, signal.SIGKILL)
    seen: list[object] = []
    with pytest.raises(Trouble) as caught:
        background.follow(host, image, seen.append)
    assert (caught.value.kind, caught.value.subject) == (Problem.PULL_CUT_OFF, image)
    assert caught.value.hint.startswith("It had come to ")
    assert any(isinstance(event, Progress) and event.done > 0 for event in seen)
    background.begin(host, image, None)
    os.kill(moving(host, image).process.pid, signal.SIGTERM)
    with pytest.raises(Trouble) as caught:
        background.follow(host, image)
    assert caught.value.kind is Problem.PULL_CUT_OFF
    assert "The system asked it to end" in caught.value.hint
    ngc.throttle(None)
    background.begin(host, image, None)
    assert background.follow(host, image).image == image
    again = background.find(host, image)
    assert again is not None
    assert again.process != killed.process


def test_what_a_paused_one_and_a_killed_one_had_is_not_fetched_again(
    host: Host, slow_image: Callable[..., Pushed], ngc: NgcLike
) -> None:
    pushed = slow_image("background/paused")
    image, way = pushed.image, Way(via="download")
    background.begin(host, image, None, way=way)
    assert until(lambda: host.cache.usage() > 2 * MB, PATIENCE)
    background.ask(host, image, background.PAUSE)
    seen: list[object] = []
    with pytest.raises(Trouble) as caught:
        background.follow(host, image, seen.append)
    assert caught.value.kind is Problem.CANCELLED
    assert isinstance(seen[-1], Ended)
    assert seen[-1].paused
    kept = cost.look(host, image, None, way).plan.bytes_here
    assert 0 < kept < pushed.download_size

    background.begin(host, image, None, way=way)
    assert until(lambda: cost.look(host, image, None, way).plan.bytes_here > kept, PATIENCE)
    found = background.find(host, image)
    assert found is not None
    os.kill(found.process.pid, signal.SIGKILL)
    assert until(lambda: not host.background.runs(found.process), PATIENCE)
    more = cost.look(host, image, None, way).plan.bytes_here
    assert kept < more < pushed.download_size

    ngc.throttle(None)
    background.begin(host, image, None, way=way)
    plans: list[PullPlan] = []
    background.follow(host, image, lambda event: plans.append(event) if isinstance(event, PullPlan) else None)
    assert [plan.bytes_here for plan in plans] == [more]
    assert host.engine.image(image) is not None


def test_two_that_begin_at_once_are_one(
    host: Host, environ: dict[str, str], slow_image: Callable[..., Pushed], own_environment: Path
) -> None:
    image = slow_image("background/twice").image
    both = [subprocess.Popen([*START, image], env=environ, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(PATIENCE) for process in both] == [0, 0]
    found = moving(host, image)

    def others() -> list[int]:
        return [
            pid
            for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if pid != found.process.pid
            and b"wizard.helper" in _of(pid, "cmdline")
            and str(own_environment).encode() in _of(pid, "environ")
        ]

    assert until(lambda: not others(), 5)  # the second one has answered, and leaves
    assert host.background.runs(found.process)
    stopped = subprocess.run(
        [*LOOK[:4], "--stop", image], env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert stopped.returncode == 0, stopped.stderr
    assert until(lambda: not host.background.runs(found.process), PATIENCE)
    ended = background.find(host, image)
    assert ended is not None
    assert ended.ended is not None
    assert ended.ended.trouble is not None
    assert ended.ended.trouble.kind is Problem.CANCELLED


def test_the_key_reaches_it_and_lies_nowhere(
    host: Host, environ: dict[str, str], slow_image: Callable[..., Pushed], ngc: NgcLike, own_environment: Path
) -> None:
    usual, ngc.key = ngc.key, canary()
    try:
        hunt = Hunt(ngc.key)
        image = slow_image("background/secret", public=False).image
        background.begin(host, image, ngc.key)
        found = moving(host, image)
        pid = found.process.pid
        hunt.text("its arguments", _of(pid, "cmdline"))
        hunt.text("its environment", _of(pid, "environ"))
        hunt.text("its open files", "\n".join(_links(pid)))
        assert all(os.readlink(f"/proc/{pid}/fd/{handle}") == os.devnull for handle in (0, 1, 2))
        hunt.folder(own_environment)
        ngc.throttle(None)
        background.follow(host, image)
        assert ngc.saw_the_key
        hunt.folder(own_environment)
        assert hunt.seen_files > 3
        assert hunt.found == []
    finally:
        ngc.key = usual
    folder = Path(host.store.path("pulls"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    # The hunt itself sees a key that lies there.
    (folder / "planted").write_text(hunt.key.reveal())
    hunt.folder(own_environment)
    assert [place for place in hunt.found if place.startswith(f"{folder / 'planted'}:")]


def test_a_wish_for_a_key_is_told_by_the_process_without_one(host: Host, environ: dict[str, str], ngc: NgcLike) -> None:
    image = ngc.push("background/wanted", public=False).image
    background.begin(host, image, None)
    with pytest.raises(Trouble) as caught:
        background.follow(host, image)
    assert caught.value.kind is Problem.KEY_WANTED


def _of(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def _links(pid: int) -> list[str]:
    links = []
    for handle in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            links.append(os.readlink(f"/proc/{pid}/fd/{handle}"))
    return links
