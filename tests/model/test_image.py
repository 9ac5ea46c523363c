"""Image names are read as Docker reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model.errors import Problem, Trouble
from wizard.model.image import ImageReference, Layer, Manifest

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nvcr.io/nvidia/tensorflow:20.11-tf1-py3", ("nvcr.io", "nvidia/tensorflow", "20.11-tf1-py3", "")),
        ("  nvcr.io/nvidia/tensorflow:x  ", ("nvcr.io", "nvidia/tensorflow", "x", "")),
        ("busybox", ("docker.io", "library/busybox", "latest", "")),
        ("index.docker.io/busybox", ("docker.io", "library/busybox", "latest", "")),
        ("nvidia/cuda:11.0", ("docker.io", "nvidia/cuda", "11.0", "")),
        ("localhost/a", ("localhost", "a", "latest", "")),
        ("127.0.0.1:5000/a/b_c--d:1", ("127.0.0.1:5000", "a/b_c--d", "1", "")),
        ("[::1]:5000/a", ("[::1]:5000", "a", "latest", "")),
        ("HOST.example/a", ("HOST.example", "a", "latest", "")),
        (f"nvcr.io/a@{DIGEST}", ("nvcr.io", "a", "", DIGEST)),
        (f"nvcr.io/a:1@{DIGEST}", ("nvcr.io", "a", "1", DIGEST)),
        ("a:" + "t" * 128, ("docker.io", "library/a", "t" * 128, "")),
    ],
)
def test_a_name_is_taken_apart(text: str, expected: tuple[str, str, str, str]) -> None:
    reference = ImageReference.parse(text)
    assert (reference.host, reference.repository, reference.tag, reference.digest) == expected
    assert reference.reference == (expected[3] or expected[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "nvcr.io/",
        "nvcr.io/NVIDIA/tensorflow",
        "nvcr.io//tensorflow",
        "https://nvcr.io/nvidia/tensorflow",
        "nvcr.io/nvidia/tensorflow:",
        "nvcr.io/nvidia/tensorflow: 20.11",
        "nvcr.io/nvidia/tensorflow:20.11\nx",
        "nvcr.io/nvidia/tensorflow@sha256:123",
        "nvcr.io/-a",
        "Docker pull nvcr.io/nvidia/tensorflow",
        "NVIDIA/tensorflow",
        "a:" + "t" * 129,
        "a/" * 300 + "a",
        "镜像",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(Trouble) as caught:
        ImageReference.parse(text)
    assert (caught.value.kind, caught.value.subject) == (Problem.IMAGE_NAME_INVALID, text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except Trouble:
        return
    assert ImageReference.parse(str(reference)) == reference


def test_a_layer_that_is_used_twice_is_fetched_once() -> None:
    layers = (Layer("sha256:a", 100), Layer("sha256:b", 10), Layer("sha256:a", 100))
    manifest = Manifest(ImageReference.parse("a"), DIGEST, DIGEST, 5, layers, anonymous=True)
    assert manifest.download_size == 115
