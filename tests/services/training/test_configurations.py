"""The configurations as they are offered on simulated machines."""

from __future__ import annotations

import posixpath
from dataclasses import replace

import pytest

from wizard.demo import spec
from wizard.demo.machine import assemble, build
from wizard.host.ports import Host
from wizard.knowledge import configs
from wizard.model.container import LABEL_GPUS
from wizard.services.training import configurations
from wizard.services.training import place as places
from wizard.services.training.configurations import Offer
from wizard.services.training.place import Place

LISTS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "test-clean")
FOLDER = "/home/mei/openseq2seq-data"


def machine(capability: str = "7.5", gigabytes: int = 32, gpus: int = 1) -> Host:
    rows = (
        f'[[gpus]]\nname = "G"\nmemory = {gigabytes}_000_000_000\ncapability = "{capability}"\nuuid = "GPU-{n}"\n'
        for n in range(gpus)
    )
    return assemble(spec.parse('extends = "with-container"\n' + "".join(rows), "test"))


def where(host: Host) -> Place:
    return places.find(host, "openseq2seq")


def put(host: Host, *paths: str) -> None:
    for path in paths:
        if host.files.read(f"{FOLDER}/{path}") is None:
            host.files.replace(f"{FOLDER}/{path}", None, b"x")


def librispeech(host: Host, *, without: str = "") -> None:
    put(host, *(f"librispeech/librivox-{part}.csv" for part in LISTS if part != without))


def offer(host: Host, name: str, place: Place | None = None) -> Offer:
    return next(one for one in configurations.offered(host, place) if one.name == name)


def test_every_configuration_is_offered_and_can_be_named() -> None:
    offers = configurations.offered(build("with-container"))
    assert [one.config for one in offers] == list(configs.load())
    assert len({one.name for one in offers}) == len(offers)
    assert {one.name for one in offers if "/" in one.name} == {
        one.path for one in configs.load() if posixpath.basename(one.path) == "transformer-big.py"
    }


def test_what_the_data_folder_lacks() -> None:
    host = machine()
    none = offer(host, "jasper-Mini-for-Jetson", where(host))
    assert not none.fits
    assert not none.here
    assert none.stops == ("its data is not here: LibriSpeech, 960 hours of read English",)
    assert len(none.missing) == 5
    librispeech(host, without="train-other-500")
    some = offer(host, "jasper-Mini-for-Jetson", where(host))
    assert not some.fits
    assert some.missing == ("librivox-train-other-500.csv",)
    librispeech(host)
    whole = offer(host, "jasper-Mini-for-Jetson", where(host))
    assert (whole.fits, whole.stops, whole.changes, whole.missing) == (True, (), (), ())
    assert offer(host, "jasper-Mini-for-Jetson").fits, "without a container: in the folder that it would get"
    toy = offer(host, "ds2_toy_config", where(host))
    assert (toy.fits, toy.missing) == (True, ())


@pytest.mark.parametrize(
    ("capability", "gigabytes", "gpus", "name", "changed"),
    [
        ("7.0", 32, 8, "jasper10x5_LibriSpeech_nvgrad", ()),
        ("6.1", 32, 8, "jasper10x5_LibriSpeech_nvgrad", ("mixed precision",)),
        ("7.5", 32, 4, "jasper10x5_LibriSpeech_nvgrad", ("written for 8 GPUs",)),
        ("6.1", 32, 1, "jasper10x5_LibriSpeech_nvgrad", ("written for 8 GPUs", "mixed precision")),
        ("7.5", 6, 1, "ds2_small_1gpu", ("another place", "12 GB of GPU memory")),
        ("7.5", 16, 1, "ds2_small_1gpu", ("another place",)),
    ],
)
def test_what_the_gpus_are_too_small_for(
    capability: str, gigabytes: int, gpus: int, name: str, changed: tuple[str, ...]
) -> None:
    host = machine(capability, gigabytes, gpus)
    librispeech(host)
    found = offer(host, name, where(host))
    assert found.fits
    assert len(found.changes) == len(changed)
    for words, part in zip(found.changes, changed, strict=True):
        assert part in words


def test_a_container_without_gpus_or_with_some_of_them() -> None:
    host = machine(gpus=4)
    place = where(host)
    none = replace(place, container=replace(place.container, labels={LABEL_GPUS: "none"}))
    two = replace(place, container=replace(place.container, labels={LABEL_GPUS: "0,2"}))
    assert any("layers that exist on GPUs only" in words for words in offer(host, "tacotron_float", none).stops)
    assert "it is written for 4 GPUs: with fewer, it takes longer" in offer(host, "ds2_medium_4gpus", two).changes
    assert configurations.to_json(host, two, ())["machine"] == {
        "gpus": 2,
        "memory": 32_000_000_000,
        "capability": "7.5",
    }


def test_a_path_that_has_to_be_written_first() -> None:
    host = machine()
    put(host, "wmt16_de_en/train.clean.en.shuffled.BPE_common.32K.tok")
    found = offer(host, "transformer-base", where(host))
    assert found.here
    assert found.stops == ("the place of the data has to be written into a copy of it first",)


def test_a_model_to_begin_from() -> None:
    host = machine()
    put(host, "aclImdb/train/pos/0_9.txt", "aclImdb/README")
    assert any("begins from another model" in words for words in offer(host, "imdb-wkt2", where(host)).stops)
    put(host, "OpenSeq2Seq/WKT2-CPT/logs/checkpoint")
    assert not any("begins from another model" in words for words in offer(host, "imdb-wkt2", where(host)).stops)


@pytest.mark.parametrize("name", ["no-docker", "docker-stopped", "no-gpu", "nouveau", "healthy"])
def test_it_works_without_a_container_and_without_docker(name: str) -> None:
    host = build(name)
    offers = configurations.offered(host)
    assert len(offers) == len(configs.load())
    assert any(one.fits for one in offers), "the toy at least"
    document = configurations.to_json(host, None, offers)
    assert {row["fits"] for row in document["configurations"]} == {"changed", "no"}
