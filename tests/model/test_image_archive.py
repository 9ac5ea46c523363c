"""The archives that an engine is given."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from wizard.model import image_archive
from wizard.model.image import LABEL_UNFINISHED, Document, ImageReference, digest_of

WHOLE = ImageReference.parse("nvcr.io/nvidia/tensorflow:20.11-tf1-py3")
CONFIG = json.dumps(
    {
        "architecture": "arm64",
        "os": "linux",
        "config": {"Env": ["A=b"], "Labels": {"theirs": "1"}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2", "sha256:3"]},
        "history": [{}, {}, {}],
    }
).encode()


def test_the_beginning_of_an_image_is_marked_as_ours_and_always_the_same() -> None:
    made = image_archive.beginning(CONFIG, 2, WHOLE)
    assert made == image_archive.beginning(CONFIG, 2, WHOLE)
    assert json.loads(made) == {
        "architecture": "arm64",
        "os": "linux",
        "config": {"Labels": {LABEL_UNFINISHED: str(WHOLE)}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]},
    }


def test_the_manifest_of_a_beginning_names_its_own_configuration_and_the_registry_s_layers() -> None:
    """Nothing else of the whole image's is in it: an engine would show its annotations as this one's."""
    layers = [{"mediaType": "application/layer", "size": n, "digest": f"sha256:{n}"} for n in range(3)]
    whole = {
        "schemaVersion": 2,
        "mediaType": "application/image",
        "config": {"mediaType": "application/config", "size": 9, "digest": "sha256:9"},
        "layers": layers,
        "annotations": {"theirs": "1"},
    }
    made = image_archive.beginning_document(Document("application/image", json.dumps(whole).encode()), b"{}", 2)
    assert made.media_type == "application/image"
    assert json.loads(made.data) == {
        "schemaVersion": 2,
        "mediaType": "application/image",
        "config": {"mediaType": "application/config", "size": 2, "digest": digest_of(b"{}")},
        "layers": layers[:2],
    }


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_a_file_is_read_as_it_was_written(size: int) -> None:
    pieces = [*image_archive.member("a/b", size, [bytes(size)]), *image_archive.file("c", b"more"), image_archive.end()]
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        assert [(member.name, member.size) for member in archive] == [("a/b", size), ("c", 4)]


def test_a_file_of_another_size_is_noticed() -> None:
    with pytest.raises(ValueError, match="3 bytes instead of 4"):
        list(image_archive.member("a", 4, [b"abc"]))
