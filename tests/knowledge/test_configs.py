"""The table of configurations, and what fits a machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.knowledge import configs
from wizard.knowledge.configs import Fits, Reason, Task
from wizard.model.training.plan import DEFAULT_CONFIG, Machine

GB = 10**9
BIG = Machine(gpus=8, memory=32 * GB, capability=(7, 0))
RTX = Machine(gpus=1, memory=6 * GB, capability=(7, 5))
PASCAL = Machine(gpus=1, memory=11 * GB, capability=(6, 1))
NONE = Machine(gpus=0)
SPEECH = frozenset({"librispeech"})


def at(name: str) -> configs.Config:
    return next(config for config in configs.load() if name in config.path)


def reasons(name: str, machine: Machine, present: frozenset[str] = SPEECH) -> tuple[Fits, set[Reason]]:
    found = configs.fitting(at(name), machine, present)
    return found.fits, {reason for reason, _subject in found.reasons}


def test_every_task_has_configurations() -> None:
    assert sum(len(configs.by_task(task)) for task in Task) == len(configs.load()) == 61
    assert all(configs.by_task(task) and configs.task_title(task) for task in Task)
    assert configs.load()[0].path == DEFAULT_CONFIG


def test_every_row_names_data_and_a_length() -> None:
    for config in configs.load():
        assert config.data in configs.data()
        assert bool(config.steps) != bool(config.epochs)
        assert config.batch > 0
        assert config.paths
    assert len({config.path for config in configs.load()}) == len(configs.load())


def test_the_customers_configuration() -> None:
    mini = at("jasper-Mini")
    assert (mini.batch, mini.epochs, mini.horovod, mini.gpus, mini.mixed) == (32, 50, True, 1, False)
    assert mini.lists[0] == "/data/librispeech/librivox-dev-clean.csv"
    assert configs.by_path(f"/data/OpenSeq2Seq/{DEFAULT_CONFIG}") is mini
    assert configs.by_path("my.py") is None
    for name in (DEFAULT_CONFIG, "jasper-Mini-for-Jetson", "jasper-Mini-for-Jetson.py"):
        assert configs.named(name) is mini
    assert configs.named("transformer-big") is None, "two have this name"
    assert configs.named("/data/mine/jasper-Mini-for-Jetson.py") is None
    assert at("quartznet") in configs.same_logdir(mini)


@pytest.mark.parametrize(
    ("name", "machine", "present", "fits", "why"),
    [
        ("jasper-Mini", RTX, SPEECH, Fits.YES, set()),
        ("jasper-Mini", RTX, frozenset(), Fits.NO, {Reason.NO_DATA}),
        ("jasper-Mini", Machine(gpus=1, horovod=False), SPEECH, Fits.CHANGED, {Reason.NO_HOROVOD}),
        ("jasper-Mini", NONE, SPEECH, Fits.CHANGED, {Reason.SLOW}),
        ("jasper10x5_LibriSpeech_nvgrad.py", BIG, SPEECH, Fits.YES, set()),
        ("jasper10x5_LibriSpeech_nvgrad.py", PASCAL, SPEECH, Fits.CHANGED, {Reason.GPUS, Reason.NO_MIXED}),
        ("ds2_small", RTX, SPEECH, Fits.CHANGED, {Reason.OTHER_PLACE, Reason.MEMORY}),
        ("ds2_toy", RTX, frozenset(), Fits.CHANGED, {Reason.GPUS}),
        ("ds2_toy", NONE, frozenset(), Fits.CHANGED, {Reason.GPUS, Reason.NO_CUDNN}),
        (
            "tacotron_float.py",
            NONE,
            frozenset({"ljspeech"}),
            Fits.NO,
            {Reason.FILL_IN, Reason.NEEDS_GPU, Reason.SLOW},
        ),
        ("nmt-reversal-RR", RTX, frozenset(), Fits.NO, {Reason.NO_DATA}),
        ("nmt-reversal-RR", RTX, frozenset({"toy-text"}), Fits.YES, set()),
        ("transformer-base", RTX, frozenset({"wmt-en-de"}), Fits.NO, {Reason.FILL_IN}),
        ("imdb-wkt2.py", BIG, frozenset({"imdb"}), Fits.NO, {Reason.FILL_IN, Reason.NO_BASE_MODEL}),
    ],
)
def test_what_fits(name: str, machine: Machine, present: frozenset[str], fits: Fits, why: set[Reason]) -> None:
    assert reasons(name, machine, present) == (fits, why)


def test_a_model_to_begin_from_may_be_there() -> None:
    found = configs.fitting(at("imdb-wkt2.py"), BIG, frozenset({"imdb"}), frozenset({"WKT2-CPT"}))
    assert [reason for reason, _subject in found.reasons] == [Reason.FILL_IN]


machines = st.builds(
    Machine,
    gpus=st.integers(0, 16),
    memory=st.none() | st.integers(0, 80 * GB),
    capability=st.none() | st.tuples(st.integers(3, 12), st.integers(0, 9)),
    horovod=st.booleans(),
)


@given(st.sampled_from(configs.load()), machines, st.frozensets(st.sampled_from(sorted(configs.data()))))
def test_every_reason_has_words(config: configs.Config, machine: Machine, present: frozenset[str]) -> None:
    found = configs.fitting(config, machine, present)
    assert len(found.words) == len(found.reasons)
    assert not any("{" in word for word in found.words)
    assert (found.fits is Fits.NO) == bool({reason for reason, _subject in found.reasons} & configs.STOPS)
