"""The contracts of ``Store``, ``Gpus`` and ``KeyStore``."""

from __future__ import annotations

import pytest

from wizard.host.ports import Gpus, KeyStore, Store
from wizard.model.errors import Problem, Trouble
from wizard.model.key_store import KeyPlace
from wizard.model.secret import Secret

NVML = {
    Problem.NVML_LIBRARY_MISSING,
    Problem.NVML_DRIVER_NOT_LOADED,
    Problem.NVML_VERSION_MISMATCH,
    Problem.NVML_PERMISSION,
    Problem.NVML_BLOCKED,
    Problem.NVML_GPU_LOST,
    Problem.NVML_OTHER,
}
KEY = Secret("nvapi-one")
OTHER = Secret("nvapi-two")


# --- Store -------------------------------------------------------------------------------------------------------


def test_what_was_written_is_read(store: Store) -> None:
    assert store.read("journey.json") is None
    store.write("journey.json", b"one")
    store.write("journey.json", b"two\x00")
    assert store.read("journey.json") == b"two\x00"


def test_the_lock_may_be_nested_and_is_free_afterwards(store: Store) -> None:
    with store.lock(), store.lock():
        assert store.locked_by() is None, "it is ours"
    with store.lock():
        store.write("journey.json", b"one")
    assert store.locked_by() is None
    assert store.read("journey.json") == b"one"


def test_locks_of_different_names_are_different(store: Store) -> None:
    with store.lock("pulls/one.lock"), store.lock(), store.lock("pulls/two.lock"):
        store.write("journey.json", b"one")
    assert store.locked_by() is None


def test_a_file_grows_and_is_read_on(store: Store) -> None:
    assert store.read_on("pulls/one", 0) is None
    store.append("pulls/one", b"abc")
    store.append("pulls/one", b"def")
    assert store.read("pulls/one") == b"abcdef"
    assert store.read_on("pulls/one", 4) == b"ef"
    assert store.read_on("pulls/one", 6) == b""


def test_names_in_folders_are_listed_in_order(store: Store) -> None:
    assert store.names("receipts") == ()
    for name in ("receipts/b.json", "receipts/a.json", "other/c.json"):
        store.write(name, b"")
    assert store.names("receipts") == ("a.json", "b.json")
    assert store.read("receipts/a.json") == b""


def test_what_was_removed_is_gone(store: Store) -> None:
    store.write("receipts/a.json", b"")
    store.remove("receipts/a.json")
    store.remove("receipts/a.json")
    assert store.read("receipts/a.json") is None
    assert store.names("receipts") == ()


def test_the_path_for_people_ends_in_the_name(store: Store) -> None:
    assert store.path("receipts/a.json").endswith("/s2s-wizard/receipts/a.json")


# --- Gpus --------------------------------------------------------------------------------------------------------


def test_a_report_or_a_typed_reason(gpus: Gpus) -> None:
    trouble = None
    try:
        report = gpus.report()
    except Trouble as error:
        trouble = error
    if trouble is not None:
        assert trouble.kind in NVML
        return
    assert report.driver
    assert report.cuda.count(".") == 1
    assert [gpu.index for gpu in report.gpus] == list(range(len(report.gpus)))
    for gpu in report.gpus:
        assert gpu.name
        assert gpu.memory > 1024**3
        assert gpu.uuid.startswith(("GPU-", "MIG-"))


def test_readings_are_of_the_gpus_of_the_report_or_there_are_none(gpus: Gpus) -> None:
    readings = gpus.readings()
    try:
        report = gpus.report()
    except Trouble:
        assert readings == ()
        return
    known = {gpu.index: gpu for gpu in report.gpus}
    for reading in readings:
        gpu = known[reading.index]
        assert (reading.uuid, reading.name) == (gpu.uuid, gpu.name)
        assert reading.use_percent is None or 0 <= reading.use_percent <= 100
        assert reading.temperature is None or 0 < reading.temperature < 120
        if reading.memory_total is not None:
            assert reading.memory_used is not None
            assert 0 <= reading.memory_used <= reading.memory_total == gpu.memory
    assert [reading.index for reading in readings] == sorted(known)
    assert [reading.index for reading in gpus.readings()] == sorted(known), "asked again"


# --- KeyStore ----------------------------------------------------------------------------------------------------


def test_every_place_is_told_once_and_in_order(keys: KeyStore) -> None:
    assert [info.place for info in keys.places()] == list(KeyPlace)
    assert keys.get() is None
    assert not any(info.holds_key for info in keys.places())


def test_each_place_does_what_it_says(keys: KeyStore) -> None:
    for info in keys.places():
        if info.usable:
            keys.save(KEY, info.place)
            assert keys.get() == (KEY, info.place)
            assert [there.place for there in keys.places() if there.holds_key] == [info.place]
        else:
            with pytest.raises(Trouble) as caught:
                keys.save(KEY, info.place)
            assert caught.value.kind.value == (info.problem or "bad-input")


def test_a_key_saved_later_replaces_the_one_before(keys: KeyStore) -> None:
    keys.save(KEY, KeyPlace.FILE)
    keys.save(OTHER, KeyPlace.SESSION)
    assert keys.get() == (OTHER, KeyPlace.SESSION)


def test_forgetting_tells_what_was_held(keys: KeyStore) -> None:
    keys.save(KEY, KeyPlace.FILE)
    assert keys.forget() == (KeyPlace.FILE,)
    assert keys.forget() == ()
    assert keys.get() is None


def test_the_environment_belongs_to_the_user(keys: KeyStore) -> None:
    with pytest.raises(Trouble) as caught:
        keys.save(KEY, KeyPlace.ENVIRONMENT)
    assert caught.value.kind is Problem.BAD_INPUT
