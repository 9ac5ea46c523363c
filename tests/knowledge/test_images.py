"""The facts about images hold together, and the rules have neither gaps nor overlaps."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.knowledge.images import Capability, capability_of, load, version

CAPABILITIES: tuple[Capability, ...] = (
    *((3, 0), (3, 5), (5, 0), (5, 2)),
    *((6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0)),
    *((10, 0), (10, 3), (11, 0), (12, 0), (12, 1)),
)
# The packaged driver of each CUDA release (NVIDIA's CUDA release notes), and some in between.
DRIVERS = (
    *("340.108", "375.26", "384.80", "384.81", "390.46", "396.26", "410.47", "410.48", "418.38", "418.39", "418.87.01"),
    *("440.32", "440.33", "440.33.01", "450.51.05", "454.9", "455", "455.23", "460.27.03", "470.57.02", "470.256.02"),
    *("495.29.05", "510.47.03", "515.65.01", "519.9", "520.61.05", "525.85.12", "529.9", "530.30.02", "535.54.03"),
    *("550.54.14", "570.26", "580.65.06", "590.44.01", "615.71"),
)


def expected(capability: Capability, driver: tuple[int, ...]) -> str:
    """The decision table once more, written by hand: which tag for a board that is not for data centers."""
    if capability < (6, 0) or capability >= (10, 0):
        return ""
    if capability >= (9, 0):
        return "23.03-tf1-py3" if driver >= (530,) else "22.12-tf1-py3" if driver >= (520,) else ""
    if capability >= (8, 9):
        return "22.12-tf1-py3" if driver >= (520,) else ""
    if driver >= (455,):
        return "20.11-tf1-py3"
    if capability >= (8, 6):
        return ""
    if capability >= (8, 0):
        return "20.09-tf1-py3" if driver >= (450,) else ""
    for floor, tag in (((440, 33), "20.03-tf1-py3"), ((418, 39), "19.05-py3"), ((410, 48), "18.12-py3")):
        if driver >= floor:
            return tag
    return ""


@pytest.mark.parametrize("capability", CAPABILITIES, ids=str)
def test_every_pair_of_gpu_and_driver_has_its_answer(capability: Capability) -> None:
    for driver in DRIVERS:
        rule = load().family(capability).rule(version(driver))
        assert rule.tag == expected(capability, version(driver)), driver


@given(st.tuples(st.integers(0, 99), st.integers(0, 99)), st.lists(st.integers(0, 9999), min_size=1, max_size=3))
def test_there_is_exactly_one_rule_for_everything(capability: Capability, driver: list[int]) -> None:
    images = load()
    family = images.family(capability)
    following = [item for item in images.families if item.capability > family.capability]
    assert family.capability <= capability
    assert all(capability < item.capability for item in following)
    rule = family.rule(tuple(driver))
    assert rule.driver <= tuple(driver)
    assert rule.reason


def test_families_and_rules_begin_at_zero_and_rise() -> None:
    families = load().families
    assert families[0].capability == (0, 0)
    assert [item.capability for item in families] == sorted({item.capability for item in families})
    for family in families:
        assert family.rules[0].driver == (0,)
        assert [rule.driver for rule in family.rules] == sorted({rule.driver for rule in family.rules})


@pytest.mark.parametrize("capability", CAPABILITIES, ids=str)
def test_what_is_recommended_runs_on_that_gpu_with_that_driver(capability: Capability) -> None:
    images = load()
    family = images.family(capability)
    for rule in family.rules:
        if rule.tag:
            image = images.tagged(rule.tag)
            assert image.knows(capability)
            # NVIDIA's banner compares the first number only; the packaged driver of CUDA has two that count.
            assert version(image.driver)[:2] <= (*rule.driver, 99)[:2]
        if rule.forward:
            assert images.tagged(rule.forward).knows(capability)
            assert images.tagged(rule.forward).forward


def test_every_tag_that_a_rule_names_is_known() -> None:
    images = load()
    named = {
        tag
        for family in images.families
        for rule in family.rules
        for tag in (rule.tag, rule.forward, *rule.alternatives)
        if tag
    }
    assert named <= {image.tag for image in images.images}
    assert all(rule.tag not in rule.alternatives for family in images.families for rule in family.rules)
    assert all(bool(family.best) == any(rule.tag for rule in family.rules) for family in images.families)


def test_the_table_is_whole() -> None:
    images = load().images
    assert len({image.tag for image in images}) == len(images) == 55
    assert [image.tag for image in images] == sorted(image.tag for image in images)
    assert images[-1].tag == "23.03-tf1-py3"
    for image in images:
        assert re.fullmatch(r"\d\d\.\d\d-(tf1-)?py3", image.tag)
        assert image.image == f"nvcr.io/nvidia/tensorflow:{image.tag}"
        assert version(image.driver)
        assert image.source
        assert image.proven <= image.likely <= image.newest
        assert image.proven == (0, 0) or image.proven >= (6, 0)
        assert set(image.boards) <= images_known_boards()
        assert all(version(branch) for branch in image.forward)


def images_known_boards() -> frozenset[str]:
    return load().data_center


def test_newer_images_never_ask_for_older_drivers() -> None:
    floors = [version(image.driver)[:1] for image in load().images]
    assert floors == sorted(floors)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Tesla T4", True),
        ("NVIDIA A100-SXM4-40GB", True),
        ("NVIDIA H100 80GB HBM3", True),
        ("NVIDIA L4", True),
        ("NVIDIA GeForce RTX 4090", False),
        ("NVIDIA RTX A4000", False),
        ("NVIDIA RTX 4000 Ada Generation", False),
        ("", False),
    ],
)
def test_data_center_boards_are_known_by_name(name: str, expected: bool) -> None:
    assert load().is_data_center(name) is expected


@pytest.mark.parametrize(
    ("driver", "data_center", "expected"),
    [
        ("520", False, True),
        ("519.99", False, False),
        ("470.57.02", True, True),
        ("470.57.02", False, False),
        ("470.42.01", True, False),
        ("460.91", True, False),
        ("515.65.01", True, True),
    ],
)
def test_forward_compatibility_is_by_branch(driver: str, data_center: bool, expected: bool) -> None:
    assert load().tagged("22.12-tf1-py3").runs_with(version(driver), data_center=data_center) is expected


@pytest.mark.parametrize(
    ("tag", "driver", "board", "expected"),
    [
        ("19.05-py3", "384.111", "Tesla V100-SXM2-16GB", True),
        ("19.05-py3", "384.81", "Tesla V100-SXM2-16GB", False),
        ("19.05-py3", "384.111", "Tesla P6", False),
        ("19.05-py3", "384.145", "GeForce GTX 1080", False),
        ("19.10-py3", "396.44", "Tesla P6", True),
        ("20.11-tf1-py3", "450.80.02", "NVIDIA A100-SXM4-40GB", True),
        ("20.11-tf1-py3", "450.80.02", "GeForce RTX 2080", False),
    ],
)
def test_forward_compatibility_is_for_the_boards_that_are_named(
    tag: str, driver: str, board: str, expected: bool
) -> None:
    images = load()
    assert images.runs(images.tagged(tag), version(driver), board) is expected


@pytest.mark.parametrize(
    ("tag", "capability", "expected"),
    [
        ("19.05-py3", (7, 5), "confirmed"),
        ("20.03-tf1-py3", (7, 5), "likely"),
        ("20.11-tf1-py3", (8, 6), "likely"),
        ("22.12-tf1-py3", (8, 9), "confirmed"),
        ("22.12-tf1-py3", (9, 0), "unproven"),
        ("23.03-tf1-py3", (8, 6), "confirmed"),
        ("23.03-tf1-py3", (8, 9), "likely"),
        ("23.03-tf1-py3", (9, 0), "unproven"),
        ("18.10-py3", (6, 1), "likely"),
    ],
)
def test_how_sure_an_image_is(tag: str, capability: Capability, expected: str) -> None:
    assert load().tagged(tag).confidence_on(capability).value == expected


def test_the_versions_of_cuda_rise_and_hold_for_the_images() -> None:
    images = load()
    versions = [item.version for item in images.cuda]
    assert versions == sorted(set(versions))
    assert [version(item.driver) for item in images.cuda] == sorted(version(item.driver) for item in images.cuda)
    for image in images.images:
        cuda = images.for_cuda(version(image.cuda))
        assert cuda is not None, image.tag
        assert image.newest <= cuda.newest, image.tag
        assert version(image.driver)[:1] == version(cuda.driver)[:1], image.tag


def test_numbers_are_read() -> None:
    assert version("418.87.01") == (418, 87, 1)
    assert version("") == ()
    assert capability_of("8.6") == (8, 6)
    assert capability_of("9") == (9, 0)
    with pytest.raises(ValueError, match=r"8\.6\.1"):
        capability_of("8.6.1")
