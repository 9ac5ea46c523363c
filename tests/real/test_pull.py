"""Pulls by a real Docker Engine from a real registry behind a front that behaves, and misbehaves, like NVIDIA's."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import PrivateEngine
from tests.support.registry import KEY, WRONG_KEY, NgcLike, running_or_skip
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Finished, Line, Progress, Stalled
from wizard.model.image import ImageReference
from wizard.model.progress import PullPlan
from wizard.model.secret import Secret
from wizard.services import pull

pytestmark = pytest.mark.real
MB = 1_000_000


@pytest.fixture
def build(engine: PrivateEngine) -> Callable[[NgcLike], Host]:
    """Makes the host of a user whose settings name the registry."""

    def make(ngc: NgcLike) -> Host:
        folder = Path(os.environ["XDG_CONFIG_HOME"], "s2s-wizard")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(f'[registry]\nhosts = ["{ngc.host}"]\n')
        return real.build(engine.environ)

    return make


@pytest.fixture
def host(build: Callable[[NgcLike], Host], ngc: NgcLike) -> Host:
    return build(ngc)


@pytest.fixture(params=["", "engine"], ids=["what suits it", "asked for"])
def way(request: pytest.FixtureRequest, engine: PrivateEngine, ngc: NgcLike) -> Iterator[pull.Way]:
    """By the engine in both cases: the image is small, or that was chosen, so that it begins at once. Nothing of the
    one case is left for the other.
    """
    ngc.requests.clear()
    yield pull.Way(request.param)
    client = engine.client()
    try:
        for tag in [tag for image in client.images() for tag in image["RepoTags"] or () if "/pull/" in tag]:
            client.remove_image(tag, force=True)
    finally:
        client.close()


def only(kind: type[Any], events: list[object]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def check_honest(events: list[object], total: int | None, *, ended_well: bool) -> None:
    """What is promised of every progress: never back, one total, everything only at the end."""
    shown = only(Progress, events)
    assert [event.done for event in shown] == sorted(event.done for event in shown)
    assert {event.total for event in shown} <= {total}
    if total is not None:
        assert [event for event in shown if event.done >= total] == (shown[-1:] if ended_well else [])
    assert bool(only(Finished, events)) == ended_well


def trouble(host: Host, name: str, key: Secret | None = None, **more: Any) -> tuple[Trouble, list[object]]:
    events: list[object] = []
    with pytest.raises(Trouble) as caught:
        pull.run(host, name, key, events.append, **more)
    for text in (repr(events), str(caught.value), repr(caught.value.evidence)):
        assert "nvapi-" not in text
    return caught.value, events


def test_a_public_image_comes_without_a_key(host: Host, ngc: NgcLike) -> None:
    pushed = ngc.push_busybox("pull/public", extra=[3 * MB, 2 * MB, 100_000, 10_000])
    plan = pull.preview(host, pushed.image, ngc.key)
    base = pushed.layers[0].size  # of an image that is in the engine already
    assert (plan.bytes_total, plan.bytes_here, plan.here) == (pushed.download_size, base, None)
    assert plan.fits
    assert [(room.needed, room.free is None) for room in plan.rooms] == [(3 * (pushed.download_size - base), False)]
    ngc.requests.clear()
    ngc.throttle(2 * MB)

    events: list[object] = []
    pulled = pull.run(host, pushed.image, ngc.key, events.append)
    assert pulled == pull.Pulled(pushed.image, pushed.config.digest, pushed.digest, already=False)
    assert only(PullPlan, events) == [PullPlan(pushed.download_size, 0, 5)]
    check_honest(events, pushed.download_size, ended_well=True)
    shown = only(Progress, events)
    assert len(shown) >= 5
    assert any("of 5 layers downloaded" in event.phase for event in shown)
    assert not ngc.saw_the_key

    arrived = host.engine.image(pushed.image)
    assert arrived is not None
    assert arrived.repo_digests == (f"{ngc.host}/pull/public@{pushed.digest}",)
    assert pull.preview(host, pushed.image, None).here == arrived

    ngc.requests.clear()
    events.clear()
    again = pull.run(host, pushed.image, None, events.append)
    assert again == pull.Pulled(pushed.image, pushed.config.digest, pushed.digest, already=True)
    assert only(PullPlan, events) == [PullPlan(pushed.download_size, pushed.download_size, 5)]
    assert ngc.seen("layer") == []


def test_a_shared_layer_is_here_already(host: Host, ngc: NgcLike, way: pull.Way) -> None:
    """The layers of the first image are not fetched again for the second, and count as done at once."""
    base = ngc.push_busybox("pull/shared", "base")
    pull.run(host, base.image, None, way=way)
    more = ngc.push_busybox("pull/shared", "more", extra=[MB])
    ngc.requests.clear()
    events: list[object] = []
    pull.run(host, more.image, None, events.append, way=way)
    check_honest(events, more.download_size, ended_well=True)
    fetched = {request.path.rpartition("/")[2] for request in ngc.seen("layer")}
    assert fetched == {more.config.digest, more.layers[1].digest}


def test_a_private_image_comes_with_the_key(host: Host, ngc: NgcLike, engine: PrivateEngine) -> None:
    pushed = ngc.push("pull/private", public=False)
    events: list[object] = []
    assert pull.run(host, pushed.image, ngc.key, events.append).digest == pushed.digest
    assert ngc.saw_the_key
    assert "nvapi-" not in repr(events)
    assert KEY not in engine.log.read_text(errors="replace")
    assert not Path(os.environ["HOME"], ".docker").exists()


def test_a_list_of_platforms(host: Host, ngc: NgcLike, way: pull.Way) -> None:
    """RepoDigests then holds the digest of the list, which is what the tag names."""
    arch = host.engine.info().arch
    mine = ngc.push("pull/many", "mine", arch=arch, layers=[200_000])
    other = ngc.push("pull/many", "other", arch="s390x", layers=[900_000])
    digest = ngc.push_index("pull/many", "1", {"s390x": other, arch: mine})
    events: list[object] = []
    pulled = pull.run(host, f"{ngc.host}/pull/many:1", None, events.append, way=way)
    assert (pulled.digest, pulled.image_id) == (digest, mine.config.digest)
    check_honest(events, mine.download_size, ended_well=True)


@pytest.mark.parametrize(
    ("key", "kind"),
    [(None, Problem.KEY_WANTED), (Secret(WRONG_KEY), Problem.KEY_REFUSED)],
    ids=["no key", "wrong key"],
)
def test_a_private_image_without_the_right_key(host: Host, ngc: NgcLike, key: Secret | None, kind: Problem) -> None:
    pushed = ngc.push("pull/secret", public=False)
    seen, events = trouble(host, pushed.image, key)
    assert (seen.kind, seen.subject) == (kind, pushed.image)
    assert not only(PullPlan, events)
    assert host.engine.image(pushed.image) is None


def test_a_tag_that_does_not_exist(host: Host, ngc: NgcLike, way: pull.Way) -> None:
    name = ngc.push("pull/tags").image + "23"
    assert trouble(host, name, way=way)[0].kind is Problem.TAG_MISSING


def test_a_connection_that_is_cut(host: Host, ngc: NgcLike, way: pull.Way) -> None:
    """Docker waits five seconds and asks for the rest; its own numbers then start again from zero."""
    pushed = ngc.push("pull/cut", layers=[3 * MB, 50_000])
    ngc.cut(pushed.layers[0], 2 * MB)
    ngc.throttle(4 * MB)
    events: list[object] = []
    started = time.monotonic()
    pulled = pull.run(host, pushed.image, None, events.append, stall_after=3, way=way)
    assert time.monotonic() - started < 40
    assert pulled.digest == pushed.digest
    check_honest(events, pushed.download_size, ended_well=True)
    statuses = [item.status for item in ngc.seen("layer") if item.path.endswith(pushed.layers[0].digest)]
    assert statuses == [200, 206]
    assert any("trying again" in event.phase for event in only(Progress, events))
    assert [event for event in only(Stalled, events) if "tries again" in event.reason]
    after = [event.done for event in only(Progress, events)]
    assert any(1.5 * MB < done < pushed.download_size for done in after)


def test_a_layer_that_was_changed_on_the_way(host: Host, ngc: NgcLike, way: pull.Way) -> None:
    pushed = ngc.push("pull/corrupt", layers=[300_000, 100_000])
    ngc.corrupt(pushed.layers[0])
    seen, events = trouble(host, pushed.image, way=way)
    assert seen.kind is Problem.DIGEST_MISMATCH
    assert seen.evidence
    assert only(PullPlan, events)
    check_honest(events, pushed.download_size, ended_well=False)
    assert host.engine.image(pushed.image) is None


def test_a_stall_is_named_and_survived(host: Host, ngc: NgcLike, way: pull.Way) -> None:
    pushed = ngc.push("pull/stall", layers=[MB])
    ngc.stall(pushed.layers[0], 300_000)
    events: list[object] = []

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Stalled):
            ngc.release()

    pull.run(host, pushed.image, None, listen, stall_after=1.0, way=way)
    assert "network" in only(Stalled, events)[0].reason
    check_honest(events, pushed.download_size, ended_well=True)


def test_cancelling_ends_the_pull_in_the_engine_too(host: Host, ngc: NgcLike, way: pull.Way) -> None:
    pushed = ngc.push("pull/cancel", layers=[MB] * 6)
    ngc.throttle(200_000)
    cancel = Cancel()
    cancelled_at: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, Progress) and event.done > 0 and not cancel.is_set:
            cancelled_at.append(time.monotonic())
            threading.Thread(target=cancel.set).start()

    with pytest.raises(Trouble) as caught:
        pull.run(host, pushed.image, None, listen, cancel, way=way)
    assert caught.value.kind is Problem.CANCELLED
    assert time.monotonic() - cancelled_at[0] < 3
    time.sleep(0.5)  # for the engine to notice; it may still begin with layers that waited, and drop them at once
    asked = len(ngc.seen("layer"))
    ngc.throttle(None)
    ngc.release()
    time.sleep(1.5)  # a pull that went on would be complete by now
    assert len(ngc.seen("layer")) == asked
    assert host.engine.image(pushed.image) is None


def test_a_registry_that_goes_away_in_the_middle(
    build: Callable[[NgcLike], Host], own_ngc: NgcLike, way: pull.Way
) -> None:
    """Docker would try for a quarter of an hour; the user is told at once and can stop."""
    host = build(own_ngc)
    pushed = own_ngc.push("pull/away", layers=[2 * MB] * 2)
    own_ngc.throttle(500_000)
    cancel = Cancel()
    events: list[object] = []

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.done > 0:
            own_ngc.stop()
        if isinstance(event, Stalled):
            cancel.set()

    with pytest.raises(Trouble) as caught:
        pull.run(host, pushed.image, None, listen, cancel, stall_after=2.0, way=way)
    assert caught.value.kind is Problem.CANCELLED
    assert "tries again" in only(Stalled, events)[0].reason
    check_honest(events, pushed.download_size, ended_well=False)


def test_a_registry_that_is_not_there(build: Callable[[NgcLike], Host], own_ngc: NgcLike) -> None:
    host = build(own_ngc)
    pushed = own_ngc.push("pull/gone")
    own_ngc.stop()
    seen, events = trouble(host, pushed.image, own_ngc.key)
    assert (seen.kind, seen.subject) == (Problem.REGISTRY_UNREACHABLE, own_ngc.host)
    assert only(PullPlan, events) == [PullPlan(None, 0, None)]


def test_a_registry_that_only_docker_reaches(host: Host, ngc: NgcLike) -> None:
    """The first requests are ours and fail; then the registry has recovered."""
    pushed = ngc.push("pull/recovered", layers=[MB])
    ngc.answer("manifest", 503)
    events: list[object] = []
    pulled = pull.run(host, pushed.image, None, events.append)
    assert pulled.digest == pushed.digest
    assert only(PullPlan, events) == [PullPlan(None, 0, None)]
    assert only(Line, events)
    check_honest(events, None, ended_well=True)


def test_a_registry_that_speaks_http_where_https_is_expected(build: Callable[[NgcLike], Host]) -> None:
    """Only loopback may do that, to us as to Docker. The key does not leave."""
    with running_or_skip(own_address()) as ngc:
        host = build(ngc)
        pushed = ngc.push("pull/http", public=False)
        seen, _events = trouble(host, pushed.image, ngc.key)
        assert (seen.kind, seen.subject) == (Problem.REGISTRY_HTTP, ngc.host)
        with pytest.raises(Trouble) as caught:
            host.registry.manifest(ImageReference.parse(pushed.image), ngc.key)
        assert caught.value.kind is Problem.REGISTRY_HTTP
        assert ngc.requests == []


def own_address() -> str:
    """An address of this machine that is not loopback. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address
