"""The choice of the image, and what it would take, on scripted and simulated machines."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from wizard.demo import spec as demo_spec
from wizard.demo.machine import assemble
from wizard.knowledge.images import capability_of, load, version
from wizard.model.gpu import Gpu, GpuReport, MigInstance
from wizard.model.image import Confidence
from wizard.services import image

NAME = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
DIGEST = "sha256:" + "d" * 64
CONFIG = "sha256:" + "c" * 64


def report(*gpus: tuple[str, tuple[int, int] | None], driver: str = "535.54.03") -> GpuReport:
    found = tuple(Gpu(index, name, 6 * 1024**3, capability) for index, (name, capability) in enumerate(gpus))
    return GpuReport(driver, "12.2", found)


def tags(advice: image.Advice) -> list[str]:
    return [choice.tag for choice in advice.alternatives]


# --- the recommendation ---


def test_an_ordinary_card() -> None:
    advice = image.recommend(report(("NVIDIA GeForce RTX 2060", (7, 5))))
    assert advice.recommended is not None
    assert (advice.recommended.image, advice.recommended.confidence) == (NAME, "likely")
    assert tags(advice) == ["19.05-py3", "22.12-tf1-py3"]
    assert advice.advice == ()


def test_alternatives_need_the_right_driver_too() -> None:
    assert tags(image.recommend(report(("GeForce RTX 2060", (7, 5)), driver="455.23"))) == ["19.05-py3"]
    assert tags(image.recommend(report(("GeForce GTX 1080", (6, 1)), driver="418.40"))) == []
    assert tags(image.recommend(report(("GeForce GTX 1080", (6, 1)), driver="430.50"))) == ["19.10-py3"]


def test_an_old_driver_gets_an_old_image_and_a_word_about_it() -> None:
    advice = image.recommend(report(("GeForce RTX 2060", (7, 5)), driver="430.50"))
    assert advice.recommended is not None
    assert advice.recommended.tag == "19.05-py3"
    assert "430.50" in advice.recommended.reason
    assert len(advice.advice) == 1
    assert "455" in advice.advice[0]


def test_a_driver_that_is_too_old() -> None:
    advice = image.recommend(report(("GeForce GTX 1080", (6, 1)), driver="390.157"))
    assert advice.recommended is None
    assert [(choice.tag, choice.confidence) for choice in advice.alternatives] == [
        ("18.08-py3", "unproven"),
        ("20.11-tf1-py3", "likely"),
    ]
    assert "390.157" in advice.advice[0]
    assert "from 455 to 580" in advice.advice[1]  # the newest driver would leave this GPU behind
    assert any("beyond driver 580" in line for line in advice.advice)
    assert advice.newer is not None
    assert (advice.newer.driver, advice.newer.last, advice.newer.choice.tag) == ("455", "580", "20.11-tf1-py3")


def test_turing_is_not_told_to_stay_below_a_driver() -> None:
    advice = image.recommend(report(("GeForce RTX 2060", (7, 5)), driver="390.157"))
    assert tags(advice) == ["20.11-tf1-py3"]
    assert not any("580" in line for line in advice.advice)


@pytest.mark.parametrize(("name", "capability"), [("Tesla K80", (3, 7)), ("NVIDIA GeForce RTX 5090", (12, 0))])
def test_a_gpu_that_no_image_knows(name: str, capability: tuple[int, int]) -> None:
    advice = image.recommend(report((name, capability)))
    assert advice.recommended is None
    assert [(choice.tag, choice.confidence) for choice in advice.alternatives] == [("20.11-tf1-py3", "likely")]
    assert name in advice.advice[0]


@pytest.mark.parametrize(
    ("name", "driver", "tag"),
    [
        ("NVIDIA L40S", "470.82.01", "22.12-tf1-py3"),
        ("NVIDIA GeForce RTX 4090", "470.82.01", None),
        ("NVIDIA L40S", "460.91.03", None),
        ("", "470.82.01", None),
    ],
)
def test_data_center_boards_may_run_newer_images(name: str, driver: str, tag: str | None) -> None:
    advice = image.recommend(report((name, (8, 9)), driver=driver))
    assert (advice.recommended.tag if advice.recommended else None) == tag


def test_what_was_only_concluded_is_called_probable() -> None:
    ada = image.recommend(report(("NVIDIA GeForce RTX 4080", (8, 9))))
    assert [(choice.tag, choice.confidence) for choice in ada.alternatives] == [("23.03-tf1-py3", "likely")]
    assert [image.sure(choice)[:17] for choice in ada.alternatives] == ["How sure: likely."]
    hopper = image.recommend(report(("NVIDIA H100 80GB HBM3", (9, 0))))
    assert hopper.recommended is not None
    assert (hopper.recommended.tag, hopper.recommended.confidence) == ("23.03-tf1-py3", "unproven")
    assert [(choice.tag, choice.confidence) for choice in hopper.alternatives] == [("22.12-tf1-py3", "unproven")]
    assert any("Test it" in line for line in hopper.advice)


def test_newer_images_say_what_they_lack() -> None:
    lines = image.recommend(report(("NVIDIA GeForce RTX 4080", (8, 9)))).advice
    assert any("OpenSeq2Seq is not inside" in line for line in lines)
    assert any("Python 3.8" in line for line in lines)


def test_of_several_gpus_the_newest_decides() -> None:
    advice = image.recommend(report(("GeForce RTX 2060", (7, 5)), ("GeForce RTX 4080", (8, 9)), ("GTX 980", (5, 2))))
    assert advice.recommended is not None
    assert advice.recommended.tag == "22.12-tf1-py3"
    assert advice.gpu is not None
    assert advice.gpu.index == 1
    assert [line for line in advice.advice if "GPU 2 (GTX 980)" in line]
    assert not [line for line in advice.advice if "GPU 0" in line]


def test_a_gpu_without_an_image_leaves_the_choice_to_the_next() -> None:
    advice = image.recommend(report(("GeForce RTX 2060", (7, 5)), ("GeForce RTX 5090", (12, 0))))
    assert advice.recommended is not None
    assert advice.recommended.tag == "20.11-tf1-py3"
    assert advice.gpu is not None
    assert advice.gpu.index == 0
    assert any("GPU 1 (GeForce RTX 5090)" in line for line in advice.advice)


@pytest.mark.parametrize("machine", [None, GpuReport("535.54.03", "12.2", ())])
def test_without_a_gpu_there_is_the_cpu(machine: GpuReport | None) -> None:
    advice = image.recommend(machine)
    assert advice.recommended is not None
    assert (advice.recommended.tag, advice.recommended.confidence) == ("20.11-tf1-py3", "likely")
    assert advice.gpu is None
    assert "CPU" in advice.advice[0]
    assert image.to_json(advice)["gpu"] is None


def test_a_driver_that_does_not_say_what_its_gpu_can_do() -> None:
    advice = image.recommend(report(("GRID V100", None)))
    assert advice.recommended is not None
    assert (advice.recommended.tag, advice.recommended.confidence) == ("20.11-tf1-py3", "unproven")


def test_a_driver_without_a_version() -> None:
    advice = image.recommend(report(("GeForce RTX 2060", (7, 5)), driver=""))
    assert advice.recommended is not None
    assert advice.recommended.tag == "20.11-tf1-py3"
    assert any("could not be read" in line for line in advice.advice)


def test_the_document() -> None:
    document = image.to_json(image.recommend(report(("NVIDIA GeForce RTX 2060", (7, 5)))))
    assert document["gpu"] == {
        "index": 0,
        "name": "NVIDIA GeForce RTX 2060",
        "memory_bytes": 6 * 1024**3,
        "capability": "7.5",
        "driver": "535.54.03",
        "mig": False,
        "instances": [],
    }
    assert document["recommended"].keys() == {"image", "tag", "reason", "confidence", "cpu"}
    assert document["recommended"]["confidence"] == "likely"
    assert document["with_newer_driver"] is None
    assert [choice["tag"] for choice in document["alternatives"]] == ["19.05-py3", "22.12-tf1-py3"]
    assert image.to_json(image.recommend(report(("Tesla K80", (3, 7)))))["recommended"] is None


def test_the_document_tells_what_a_newer_driver_would_open() -> None:
    newer = image.to_json(image.recommend(report(("GeForce GTX 1080", (6, 1)), driver="430.50")))["with_newer_driver"]
    assert (newer["driver"], newer["last_driver"], newer["tag"]) == ("455", "580", "20.11-tf1-py3")
    newer = image.to_json(image.recommend(report(("NVIDIA GeForce RTX 4080", (8, 9)), driver="470.82")))
    assert newer["with_newer_driver"]["last_driver"] is None


# The decision table once more, taken from its sources and not from images.toml: compute capabilities, then drivers from
# … to (exclusive), and the tag for boards of every kind.
TABLE: tuple[tuple[tuple[str, ...], tuple[tuple[str, str, str | None], ...]], ...] = (
    (("3.0", "3.5", "3.7", "5.0", "5.2", "5.3"), (("0", "9999", None),)),
    (
        ("6.0", "6.1", "6.2", "7.0"),
        (
            *(("0", "410.48", None), ("410.48", "418.39", "18.12-py3"), ("418.39", "440.33", "19.05-py3")),
            *(("440.33", "455", "20.03-tf1-py3"), ("455", "9999", "20.11-tf1-py3")),
        ),
    ),
    (
        ("7.2", "7.5"),
        (
            *(("0", "410.48", None), ("410.48", "418.39", "18.12-py3"), ("418.39", "440.33", "19.05-py3")),
            *(("440.33", "455", "20.03-tf1-py3"), ("455", "9999", "20.11-tf1-py3")),
        ),
    ),
    (("8.0",), (("0", "450", None), ("450", "455", "20.09-tf1-py3"), ("455", "9999", "20.11-tf1-py3"))),
    (("8.6",), (("0", "455", None), ("455", "9999", "20.11-tf1-py3"))),
    (("8.9",), (("0", "520", None), ("520", "9999", "22.12-tf1-py3"))),
    (("9.0",), (("0", "520", None), ("520", "530", "22.12-tf1-py3"), ("530", "9999", "23.03-tf1-py3"))),
    (("10.0", "10.3", "11.0", "12.0", "12.1"), (("0", "9999", None),)),
)
LIMITS = sorted(
    {
        *(limit for _capabilities, rules in TABLE for start, end, _tag in rules for limit in (start, end)),
        *(".".join(map(str, rule.driver)) for family in load().families for rule in family.rules),
        *(item.driver for item in load().images),
        *("384.81", "384.111", "396", "450.51", "470.57", "510.47", "515.65", "525.85", "580.65", "590", "9999"),
    },
    key=version,
)


def around(limit: str) -> list[str]:
    """The last driver before a limit, the limit itself, and the next one."""
    *first, last = version(limit)
    before = [*first, last - 1] if first else [last - 1, 999]
    return [
        ".".join(map(str, numbers)) for numbers in (before, version(limit), [*version(limit), 1]) if min(numbers) >= 0
    ]


DRIVERS = [driver for limit in LIMITS for driver in around(limit)]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0][0])
def test_every_pair_of_gpu_and_driver_ends_in_exactly_the_answer_of_the_table(
    row: tuple[tuple[str, ...], tuple[tuple[str, str, str | None], ...]],
) -> None:
    capabilities, rules = row
    for capability, driver in itertools.product(capabilities, DRIVERS):
        answers = [tag for start, end, tag in rules if version(start) <= version(driver) < version(end)]
        if version(driver) >= (9999,):
            answers = [rules[-1][2]]
        assert len(answers) == 1, f"the table itself has a gap or an overlap: {capability}, {driver}"
        advice = image.recommend(report(("a board", capability_of(capability)), driver=driver))
        got = advice.recommended.tag if advice.recommended else None
        assert got == answers[0], f"{capability} with {driver}"
        # A plain no comes with its reason and with what can still be done, a yes with its reason.
        assert advice.recommended or (len(advice.advice) >= 2 and advice.alternatives[-1].cpu), (capability, driver)
        assert all(choice.reason and choice.confidence for choice in advice.alternatives)
        assert got not in tags(advice)


@pytest.mark.parametrize("capability", ["3.7", "5.2", "6.0", "6.1", "7.0"])
def test_owners_of_old_gpus_are_never_sent_beyond_their_last_driver(capability: str) -> None:
    last = "470" if capability < "5" else "580"
    for driver in DRIVERS:
        advice = image.recommend(report(("an old one", capability_of(capability)), driver=driver))
        text = " ".join((*advice.advice, *(choice.reason for choice in advice.alternatives)))
        assert "or newer, " not in text, "an image is promised without an end to the drivers"
        assert not re.search(r"(newest|latest|current) driver", text)
        if advice.newer is not None or version(driver)[:1] > version(last):
            assert f"beyond driver {last}" in text, driver
        if advice.newer is not None:
            assert version(advice.newer.driver) <= version(advice.newer.last) == version(last)


def test_one_old_gpu_among_new_ones_keeps_the_driver_back_for_all() -> None:
    advice = image.recommend(
        report(("NVIDIA GeForce RTX 4080", (8, 9)), ("GeForce GTX 980", (5, 2)), driver="470.82.01")
    )
    assert advice.recommended is None
    assert any("from 520 to 580" in line for line in advice.advice)
    assert any("GeForce GTX 980" in line and "beyond driver 580" in line for line in advice.advice)
    impossible = image.recommend(report(("NVIDIA GeForce RTX 4080", (8, 9)), ("Tesla K80", (3, 7)), driver="470.82.01"))
    assert any("driver 520 or newer" in line for line in impossible.advice)
    assert any("Tesla K80" in line and "beyond driver 470" in line for line in impossible.advice)


@pytest.mark.parametrize(
    ("name", "capability", "driver", "tag"),
    [
        ("Tesla V100-SXM2-16GB", (7, 0), "384.145", "19.05-py3"),
        ("Tesla V100-SXM2-16GB", (7, 0), "384.90", None),
        ("Tesla P6", (6, 1), "384.145", None),
        ("NVIDIA TITAN V", (7, 0), "384.145", None),
        ("NVIDIA A10", (8, 6), "450.80.02", "20.11-tf1-py3"),
        ("NVIDIA GeForce RTX 3090", (8, 6), "450.80.02", None),
    ],
)
def test_what_data_center_boards_may_do_depends_on_board_and_branch(
    name: str, capability: tuple[int, int], driver: str, tag: str | None
) -> None:
    advice = image.recommend(report((name, capability), driver=driver))
    assert (advice.recommended.tag if advice.recommended else None) == tag
    if advice.recommended is not None:
        assert advice.recommended.confidence is not Confidence.CONFIRMED
        assert driver in advice.recommended.reason


def test_a_divided_gpu_gets_the_same_image_and_a_word_about_its_parts() -> None:
    whole = report(("NVIDIA A100-SXM4-40GB", (8, 0)))
    parts = (MigInstance("MIG 3g.20gb", 20 * 1024**3), MigInstance("MIG 1g.5gb", 5 * 1024**3))
    divided = replace(whole, gpus=(replace(whole.gpus[0], mig=True, instances=parts),))
    advice = image.recommend(divided)
    assert advice.recommended == image.recommend(whole).recommended
    assert any("into 2 parts: 20 GB, 5 GB" in line for line in advice.advice)
    document = image.to_json(advice)["gpu"]
    assert (document["mig"], document["instances"][1]) == (True, {"name": "MIG 1g.5gb", "memory_bytes": 5 * 1024**3})
    empty = image.recommend(replace(divided, gpus=(replace(whole.gpus[0], mig=True),)))
    assert any("no part was made" in line for line in empty.advice)


def test_in_windows_the_driver_is_that_of_windows() -> None:
    advice = image.recommend(report(("GeForce GTX 1080", (6, 1)), driver="430.50"), windows=True)
    assert any("update it there" in line for line in advice.advice)
    assert not any("Windows" in line for line in image.recommend(None, windows=True).advice)


def test_an_arm_machine_is_told_and_a_jetson_is_sent_elsewhere() -> None:
    grace = image.recommend(report(("NVIDIA GH200 480GB", (9, 0))), arm=True)
    assert grace.recommended is not None
    assert any("x86-64 alone" in line for line in grace.advice)
    jetson = image.recommend(report(("Xavier", (7, 2))), jetson=True, arm=True)
    assert (jetson.recommended, jetson.alternatives) == (None, ())
    assert "l4t-tensorflow:r32.7.1-tf1.15-py3" in jetson.advice[0]
    assert "PC or a server" in jetson.advice[1]


@pytest.mark.parametrize(
    ("files", "arch", "line"),
    [
        ({"/etc/nv_tegra_release": "# R32 (release), REVISION: 7.1"}, "aarch64", "This is a Jetson."),
        ({"/proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2"}, "x86_64", "driver is that of Windows"),
        ({}, "aarch64", "x86-64 alone"),
    ],
)
def test_the_kind_of_machine_is_found_out(files: dict[str, str], arch: str, line: str) -> None:
    table = "\n".join(f'[files."{path}"]\ntext = "{text}\\n"' for path, text in files.items())
    machine = assemble(demo_spec.parse(f'extends = "healthy"\n[os]\narch = "{arch}"\n{table}\n', "here"))
    assert any(line in text for text in image.for_machine(machine).advice)


def test_the_whole_list_is_newest_first() -> None:
    listed = image.known()
    assert (len(listed), listed[0].tag, listed[-1].tag) == (55, "23.03-tf1-py3", "18.06-py3")


@pytest.mark.parametrize("capability", [(6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (12, 0), (5, 2)])
@pytest.mark.parametrize("driver", ["390.157", "410.48", "418.87", "440.33", "450.80", "470.82", "525.85", "580.65"])
def test_every_text_is_filled_in(capability: tuple[int, int], driver: str) -> None:
    advice = image.recommend(report(("", capability), driver=driver))
    texts = [*advice.advice, *(choice.reason for choice in advice.alternatives)]
    texts += [advice.recommended.reason] if advice.recommended else []
    assert texts
    assert not [text for text in texts if "{" in text or "}" in text or "  " in text or not text.endswith(".")]
