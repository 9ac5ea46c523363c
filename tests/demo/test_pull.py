"""A simulated pull says what a real one says, keeps its time, and can be stopped."""

from __future__ import annotations

import time
from typing import Any

import pytest

from wizard.demo import spec
from wizard.demo.machine import assemble, build
from wizard.host.ports import Host
from wizard.knowledge import images
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference
from wizard.model.progress import PullProgress
from wizard.model.secret import Secret

TENSORFLOW = ImageReference.parse("nvcr.io/nvidia/tensorflow:20.11-tf1-py3")
PRIVATE = ImageReference.parse("nvcr.io/example-org/private:1.0")


@pytest.fixture
def host() -> Host:
    return build("healthy", pace=0)


def pull(host: Host, reference: ImageReference = TENSORFLOW, key: Secret | None = None) -> list[dict[str, Any]]:
    return list(host.engine.pull(reference, key, Cancel()))


def test_every_layer_goes_through_all_its_states_in_order(host: Host) -> None:
    manifest = host.registry.manifest(TENSORFLOW, None)
    messages = pull(host)
    for layer in manifest.layers:
        said = [item for item in messages if item.get("id") == layer.digest.removeprefix("sha256:")[:12]]
        order = list(dict.fromkeys(item["status"] for item in said))
        assert order in (
            ["Pulling fs layer", *rest]
            for rest in (
                ["Downloading", "Verifying Checksum", "Download complete", "Extracting", "Pull complete"],
                ["Waiting", "Downloading", "Verifying Checksum", "Download complete", "Extracting", "Pull complete"],
            )
        )
        assert said[-2]["progressDetail"] == {"current": layer.size, "total": layer.size}
    assert messages[0] == {"status": "Pulling from nvidia/tensorflow", "id": "20.11-tf1-py3"}
    assert messages[-2]["status"] == f"Digest: {manifest.digest}"


def test_three_layers_at_a_time_and_unpacking_in_the_manifests_order(host: Host) -> None:
    manifest = host.registry.manifest(TENSORFLOW, None)
    active: set[str] = set()
    finished = []
    for message in pull(host):
        match message["status"]:
            case "Downloading":
                active.add(message["id"])
            case "Download complete":
                active.discard(message["id"])
            case "Pull complete":
                finished.append(message["id"])
        assert len(active) <= 3
    assert finished == [layer.digest.removeprefix("sha256:")[:12] for layer in manifest.layers]


def test_the_progress_reaches_the_manifests_total_and_never_goes_back(host: Host) -> None:
    manifest = host.registry.manifest(TENSORFLOW, None)
    progress = PullProgress(manifest.layers, manifest.config_size)
    seen = [0]
    for number, message in enumerate(pull(host)):
        progress.feed(message, number / 10)
        seen.append(progress.done)
    progress.finish()
    assert seen == sorted(seen)
    assert progress.done == manifest.download_size
    assert progress.digest == manifest.digest


def test_the_image_is_there_afterwards_and_a_second_pull_has_nothing_to_do(host: Host) -> None:
    manifest = host.registry.manifest(TENSORFLOW, None)
    assert host.engine.image(str(TENSORFLOW)) is None
    before = host.files.disk("/var/lib/docker").free
    pull(host)
    image = host.engine.image(str(TENSORFLOW))
    assert image is not None
    assert (image.id, image.repo_digests) == (manifest.config_digest, (f"{TENSORFLOW.name}@{manifest.digest}",))
    assert host.files.disk("/var/lib/docker").free == before - image.size
    assert [item["status"] for item in pull(host)] == [
        "Pulling from nvidia/tensorflow",
        f"Digest: {manifest.digest}",
        f"Status: Image is up to date for {TENSORFLOW}",
    ]


def test_a_cancelled_pull_keeps_nothing(host: Host) -> None:
    cancel = Cancel()
    messages = host.engine.pull(TENSORFLOW, None, cancel)
    for message in messages:
        if message["status"] == "Downloading":
            break
    cancel.set()
    with pytest.raises(Trouble) as caught:
        list(messages)
    assert caught.value.kind is Problem.CANCELLED
    assert host.engine.image(str(TENSORFLOW)) is None


def test_a_waiting_pull_is_cancelled_at_once() -> None:
    host = build("healthy", pace=10)
    cancel = Cancel()
    messages = host.engine.pull(TENSORFLOW, None, cancel)
    began = time.monotonic()
    cancel.set()
    with pytest.raises(Trouble):
        list(messages)
    assert time.monotonic() - began < 1


def test_the_pace_is_kept() -> None:
    host = build("healthy", pace=0.003)
    manifest = host.registry.manifest(PRIVATE, Secret("nvapi-good"))
    began = time.monotonic()
    pull(host, PRIVATE, Secret("nvapi-good"))
    wanted = manifest.download_size / 1e6 * 0.003
    assert wanted * 0.8 < time.monotonic() - began < wanted + 1.5


@pytest.mark.parametrize(
    ("reference", "key", "kind"),
    [
        ("nvcr.io/nvidia/tensorflow:no-such-tag", None, Problem.TAG_MISSING),
        ("nvcr.io/nvidia/no-such-image:1", None, Problem.TAG_MISSING),
        (str(PRIVATE), None, Problem.KEY_WANTED),
        (str(PRIVATE), Secret("nvapi-refused"), Problem.KEY_REFUSED),
    ],
)
def test_a_refusal_comes_before_the_first_message(
    host: Host, reference: str, key: Secret | None, kind: Problem
) -> None:
    with pytest.raises(Trouble) as caught:
        next(host.engine.pull(ImageReference.parse(reference), key, Cancel()))
    assert caught.value.kind is kind


def test_a_full_disk_ends_the_pull() -> None:
    text = 'extends = "healthy"\n[disks]\n"/" = { total = 9_000_000_000, free = 5_000_000_000 }'
    host = assemble(spec.parse(text, "small"))
    with pytest.raises(Trouble) as caught:
        pull(host)
    assert caught.value.kind is Problem.DISK_FULL
    assert host.engine.image(str(TENSORFLOW)) is None


def test_every_image_that_the_wizard_knows_can_be_pulled(host: Host) -> None:
    known = [image.image for image in images.load().images]
    assert len(known) > 40
    for name in known:
        assert host.registry.manifest(ImageReference.parse(name), None).layers
