"""The contract of ``Registry``."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from tests.contract.conftest import Shelf
from wizard.model.errors import Problem, Trouble
from wizard.model.image import ImageReference
from wizard.model.secret import Secret

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def refusal(shelf: Shelf, reference: ImageReference, key: Secret | None = None, arch: str = "amd64") -> Trouble:
    with pytest.raises(Trouble) as caught:
        shelf.registry.manifest(reference, key, arch)
    return caught.value


def test_a_public_image_needs_no_key(shelf: Shelf) -> None:
    manifest = shelf.registry.manifest(shelf.public, None)
    assert manifest.anonymous
    assert manifest.reference == shelf.public
    assert manifest.platform == "linux/amd64"
    for digest in (manifest.digest, manifest.config_digest, *(layer.digest for layer in manifest.layers)):
        assert DIGEST.fullmatch(digest)
    assert manifest.download_size == manifest.config_size + sum(layer.size for layer in manifest.layers)


def test_a_key_is_not_used_where_none_is_wanted(shelf: Shelf) -> None:
    assert shelf.registry.manifest(shelf.public, shelf.wrong_key).anonymous


def test_the_same_image_by_its_digest(shelf: Shelf) -> None:
    by_tag = shelf.registry.manifest(shelf.public, None)
    by_digest = shelf.registry.manifest(replace(shelf.public, tag="", digest=by_tag.digest), None)
    assert by_digest.layers == by_tag.layers
    assert by_digest.digest == by_tag.digest


def test_a_key_of_another_makers_is_not_asked_about(shelf: Shelf) -> None:
    assert shelf.registry.about_key(Secret("a mirror's own password")) is None


def test_what_is_said_about_keys(talkative: Shelf) -> None:
    facts = talkative.registry.about_key(talkative.key)
    assert facts is not None
    assert facts.type == "PERSONAL_KEY"
    assert facts.org == "example-org"
    assert any("catalog" in product for product in facts.products)
    with pytest.raises(Trouble) as caught:
        talkative.registry.about_key(talkative.wrong_key)
    assert caught.value.kind is Problem.KEY_REFUSED


def test_a_tag_that_is_not_there(shelf: Shelf) -> None:
    trouble = refusal(shelf, replace(shelf.public, tag="no-such-tag"))
    assert trouble.kind is Problem.TAG_MISSING
    assert "no-such-tag" in trouble.subject


def test_a_private_image_wants_a_key(shelf: Shelf) -> None:
    assert refusal(shelf, shelf.private).kind is Problem.KEY_WANTED


def test_the_wrong_key_is_refused(shelf: Shelf) -> None:
    assert refusal(shelf, shelf.private, shelf.wrong_key).kind is Problem.KEY_REFUSED


def test_the_right_key_opens_a_private_image(shelf: Shelf) -> None:
    assert not shelf.registry.manifest(shelf.private, shelf.key).anonymous


def test_another_architecture_is_told(shelf: Shelf) -> None:
    assert refusal(shelf, shelf.public, arch="s390x").kind is Problem.PLATFORM_MISSING


def test_the_key_is_for_the_registries_that_the_user_named(shelf: Shelf) -> None:
    ours, foreign = shelf.hosts
    assert shelf.registry.takes_key("nvcr.io")
    assert shelf.registry.takes_key(ours)
    assert not shelf.registry.takes_key(foreign)


# --- the front door ----------------------------------------------------------------------------------------------


def test_a_registry_is_known_by_its_front_door(shelf: Shelf) -> None:
    reached = shelf.registry.reach(shelf.hosts[0])
    assert reached.url.endswith(f"{shelf.hosts[0]}/v2/")
    assert (reached.status, reached.is_registry) == (401, True)
    assert reached.clock is not None
    assert abs(reached.clock - time.time()) < 60


def test_the_front_door_is_reached_without_a_proxy(shelf: Shelf) -> None:
    assert shelf.registry.reach(shelf.hosts[0], "").is_registry


def test_a_proxy_that_is_not_there(shelf: Shelf) -> None:
    with pytest.raises(Trouble) as caught:
        shelf.registry.reach("registry.example.org", "http://someone:swordfish@127.0.0.1:9")
    assert (caught.value.kind, caught.value.subject) == (Problem.PROXY, "127.0.0.1:9")
    assert "swordfish" not in f"{caught.value} {caught.value.evidence}"


# --- the parts of an image -----------------------------------------------------------------------------------------


def read(shelf: Shelf, key: Secret | None, reference: ImageReference, cut: int = 0) -> tuple[bytes, int]:
    """The lowest layer from the byte ``cut`` on, and its size."""
    layer = shelf.registry.manifest(reference, key).layers[0]
    source = shelf.registry.blobs(reference, key)
    try:
        stream = source.open(layer.digest, layer.size, cut, min(layer.size, cut + 5000))
        assert (stream.first, stream.end) == (cut, min(layer.size, cut + 5000))
        data = b"".join(iter(stream.read, b""))
        assert stream.read() == b""
        stream.close()
    finally:
        source.close()
    return data, layer.size


def test_a_part_comes_in_pieces(shelf: Shelf) -> None:
    whole, size = read(shelf, None, shelf.public)
    assert len(whole) == min(size, 5000)
    rest, _size = read(shelf, None, shelf.public, 1000)
    assert rest[: len(whole) - 1000] == whole[1000:]


def test_a_private_part_wants_the_key(shelf: Shelf) -> None:
    assert read(shelf, shelf.key, shelf.private)[0]
    manifest = shelf.registry.manifest(shelf.private, shelf.key)
    with pytest.raises(Trouble) as caught:
        shelf.registry.blobs(shelf.private, None).open(manifest.config_digest, manifest.config_size, 0, 5)
    assert caught.value.kind is Problem.KEY_WANTED


def test_the_manifest_is_kept_as_it_is(shelf: Shelf) -> None:
    manifest = shelf.registry.manifest(shelf.public, None)
    assert manifest.documents
    assert all(document.media_type.startswith("application/") for document in manifest.documents)
    assert manifest.digest in manifest.digests
    assert manifest.config_digest in manifest.digests
