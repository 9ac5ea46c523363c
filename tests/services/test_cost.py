"""What a download takes, before it starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wizard.demo import machine, spec
from wizard.demo.machine import assemble
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference
from wizard.model.machine import DiskSpace
from wizard.model.secret import Secret
from wizard.services import background, cost, pull
from wizard.services.pull import Way

IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
PRIVATE = "nvcr.io/example-org/private:1.0"
KEY = Secret("nvapi-good")


@pytest.fixture
def host() -> Host:
    return machine.build("healthy", pace=0)


class Disks:
    """Files on two disks: ``small`` bytes are free where the cache lies, ``large`` elsewhere."""

    def __init__(self, files: Any, cache: str, small: int, large: int) -> None:
        self._files, self._cache, self._small, self._large = files, cache, small, large

    def disk(self, path: str) -> DiskSpace:
        there: DiskSpace = self._files.disk(path)
        if path == self._cache:
            return replace(there, free=self._small, device=2)
        return replace(there, free=self._large, device=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


def with_disks(host: Host, small: int, large: int) -> Host:
    return replace(host, files=Disks(host.files, host.cache.folder(), small, large))


def test_what_a_large_image_takes(host: Host) -> None:
    price = cost.look(host, IMAGE, None)
    assert price.missing == price.plan.bytes_total == 4_468_612_345
    assert (price.plan.layers, price.plan.via, price.needs_key, price.seconds) == (30, "download", False, None)
    assert price.plan.fits


def test_each_disk_is_told_with_what_it_needs_and_has(host: Host) -> None:
    plan = cost.look(with_disks(host, 10**12, 10**12), IMAGE, None).plan
    assert plan.bytes_total is not None
    assert [(room.what, room.needed, room.free) for room in plan.rooms] == [
        ("engine", 3 * plan.bytes_total, 10**12),
        ("cache", plan.bytes_total, 10**12),
    ]
    assert plan.fits


def test_without_room_in_the_cache_docker_downloads(host: Host) -> None:
    crowded = with_disks(host, 10**6, 10**12)
    plan = cost.look(crowded, IMAGE, None).plan
    assert (plan.via, [room.what for room in plan.rooms], plan.fits) == ("engine", ["engine"], True)
    assert not cost.look(crowded, IMAGE, None, Way(via="download")).plan.fits


def test_of_an_image_that_is_here_nothing_is_missing(host: Host) -> None:
    pull.run(host, IMAGE, None)
    price = cost.look(host, IMAGE, None)
    assert price.plan.here is not None
    assert (price.missing, price.plan.rooms) == (0, ())


def test_a_registry_that_cannot_be_asked_says_why() -> None:
    host = assemble(
        spec.parse('extends = "healthy"\n[network]\nproblem = "dns-failure"\ntext = "no such host"', "test")
    )
    price = cost.look(host, IMAGE, None)
    assert (price.missing, price.seconds, price.plan.manifest, price.needs_key) == (None, None, None, True)
    assert price.plan.why is not None
    assert price.plan.why.kind is Problem.DNS
    assert cost.measure(host, price, None) == price


@pytest.mark.parametrize(
    ("name", "kind"),
    [("nvcr.io/nvidia/tensorflow:none", Problem.TAG_MISSING), ("Not An Image", Problem.IMAGE_NAME_INVALID),
     (PRIVATE, Problem.KEY_WANTED)],
)  # fmt: skip
def test_what_has_no_price(host: Host, name: str, kind: Problem) -> None:
    with pytest.raises(Trouble) as caught:
        cost.look(host, name, None)
    assert caught.value.kind is kind


# --- the time --------------------------------------------------------------------------------------------------------


def test_the_last_speed_is_used(host: Host) -> None:
    background._keep_speed(host, IMAGE, [1e6] * 4)
    assert cost.look(host, IMAGE, None).rate is None, "too short to be believed"
    background._keep_speed(host, IMAGE, [1e6, 3e6] * 4)
    price = cost.look(host, IMAGE, None)
    assert price.missing is not None
    assert price.seconds == pytest.approx(price.missing / 2e6)
    assert not price.measured
    assert cost.look(host, "docker.io/library/python:3.12-slim", None).rate is None, "another registry"


def test_a_speed_that_was_spoilt_is_none(host: Host) -> None:
    for data in (b"{", b"[1]", b'{"nvcr.io": "fast"}', b'{"nvcr.io": 0}'):
        host.store.write("pulls/speeds.json", data)
        assert background.speed(host, "nvcr.io") is None


class Blobs:
    """A registry's blobs that come at a megabyte for each second of a clock that only they move."""

    def __init__(self, fails: bool = False) -> None:
        self.now, self.read_bytes, self.closed, self.fails = 0.0, 0, 0, fails
        self.keys: list[Secret | None] = []

    def blobs(self, _reference: ImageReference, key: Secret | None) -> Blobs:
        self.keys.append(key)
        return self

    def open(self, _digest: str, size: int, first: int, end: int) -> Blobs:
        assert 0 == first < end <= size
        if self.fails:
            raise Trouble(Problem.REGISTRY_UNREACHABLE)
        self.now += 5.0  # to connect is no part of the speed
        return self

    def read(self) -> bytes:
        self.now += 0.1
        self.read_bytes += 100_000
        return bytes(100_000)

    def close(self) -> None:
        self.closed += 1

    def clock(self) -> float:
        return self.now


def test_a_registry_is_measured_for_a_moment(host: Host) -> None:
    price, blobs = cost.look(host, IMAGE, None), Blobs()
    measured = cost.measure(replace(host, registry=blobs), price, KEY, clock=blobs.clock)  # type: ignore[arg-type]
    assert measured.measured
    assert measured.rate == pytest.approx(1e6)
    assert blobs.read_bytes <= 1_100_000
    assert blobs.closed == 2
    assert blobs.keys == [None], "a public image is measured without the key"


def test_a_private_image_is_measured_with_the_key(host: Host) -> None:
    price, blobs = cost.look(host, PRIVATE, KEY), Blobs()
    assert price.needs_key
    cost.measure(replace(host, registry=blobs), price, KEY, clock=blobs.clock)  # type: ignore[arg-type]
    assert blobs.keys == [KEY]


def test_what_cannot_be_measured_stays_unknown(host: Host) -> None:
    price, broken, stopped = cost.look(host, IMAGE, None), Blobs(fails=True), Cancel()
    stopped.set()
    for blobs, cancel in ((broken, None), (Blobs(), stopped)):
        answer = cost.measure(replace(host, registry=blobs), price, None, cancel, blobs.clock)  # type: ignore[arg-type]
        assert answer == price
        assert blobs.closed >= 1
