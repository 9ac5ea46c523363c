"""Recordings of one's own on a simulated machine, and the look through the lists."""

from __future__ import annotations

import io
import tarfile

import pytest

from wizard.demo.machine import build
from wizard.host.ports import Host
from wizard.model.container import DEFAULT_NAME
from wizard.model.errors import Problem, Trouble
from wizard.model.training.plan import DEFAULT_CONFIG
from wizard.services.data import check, configuration, existing, librispeech, recordings, tar
from wizard.services.training import place

DATA = "/home/mei/openseq2seq-data"
FOLDER = "/home/mei/speech"


@pytest.fixture
def host() -> Host:
    return build("with-container", pace=0)


def put(host: Host, name: str, content: bytes) -> None:
    host.files.replace(f"{FOLDER}/{name}", None, content)


def test_pairs_by_name(host: Host) -> None:
    put(host, "a.wav", b"1")
    put(host, "a.txt", "It\u2019s fine, Zo\u00eb!\n".encode())
    put(host, "deeper/b.FLAC", b"2")
    put(host, "deeper/b.txt", b"good bye")
    put(host, "c.mp3", b"3")
    put(host, "d.wav", b"4")
    put(host, "d.txt", b"at 7 o'clock")
    put(host, "e.wav", b"5")
    put(host, "e.txt", b"?")
    put(host, ".hidden.wav", b"6")
    wanted = recordings.plan(host, DATA, FOLDER)
    assert wanted.name == "speech"
    assert sorted(item.text for item in (*wanted.train, *wanted.dev)) == ["good bye", "it's fine zoe"]
    assert (len(wanted.train), len(wanted.dev)) == (1, 1)
    reasons = dict(wanted.left_out)
    assert set(reasons) == {"c.mp3", "d.wav", "e.wav"}
    assert "7" in reasons["d.wav"]
    assert set(wanted.removed) == {"!", ","}


def test_one_list_for_all(host: Host) -> None:
    for number in range(3):
        put(host, f"wav/{number}.wav", b"x")
    put(host, "metadata.csv", b"wav_filename,wav_filesize,transcript\n/other/0.wav,1,Zero\n/other/1.wav,1,One, two\n")
    wanted = recordings.plan(host, DATA, FOLDER, "My voice")
    assert wanted.name == "My_voice"
    assert sorted(item.text for item in (*wanted.train, *wanted.dev)) == ["one two", "zero"]
    assert [name for name, _why in wanted.left_out] == ["wav/2.wav"]


def test_the_same_ones_are_kept_for_the_evaluation_and_more_change_nothing(host: Host) -> None:
    def add(first: int, last: int) -> None:
        for number in range(first, last):
            put(host, f"{number}.wav", b"x")
            put(host, f"{number}.txt", b"hello")

    add(0, 200)
    first = recordings.plan(host, DATA, FOLDER)
    assert recordings.plan(host, DATA, FOLDER) == first
    assert 5 <= len(first.dev) <= 40
    add(200, 250)
    more = recordings.plan(host, DATA, FOLDER)
    assert set(first.dev) <= set(more.dev)
    assert set(first.train) <= set(more.train)


def test_a_recording_that_changed_gets_another_name(host: Host) -> None:
    put(host, "a.wav", b"1")
    put(host, "a.txt", b"hello")
    (before,) = recordings.plan(host, DATA, FOLDER).train
    host.files.replace(f"{FOLDER}/a.wav", b"1", b"12")
    (after,) = recordings.plan(host, DATA, FOLDER).train
    assert before.key != after.key


@pytest.mark.parametrize("folder", ["/home/mei/nowhere", "/home/mei/recordings/the-weather.wav"])
def test_no_folder(host: Host, folder: str) -> None:
    with pytest.raises(Trouble) as caught:
        recordings.plan(host, DATA, folder)
    assert caught.value.kind is Problem.BAD_INPUT


def test_nothing_that_can_be_used(host: Host) -> None:
    put(host, "a.wav", b"1")
    with pytest.raises(Trouble) as caught:
        recordings.plan(host, DATA, FOLDER)
    assert caught.value.kind is Problem.DATA_MISSING
    assert "a.wav" in caught.value.text


def test_added_and_looked_through(host: Host) -> None:
    where = place.find(host, DEFAULT_NAME)
    wanted = recordings.plan(host, where.data, "/home/mei/recordings")
    added = recordings.add(host, where, wanted)
    assert added.rows == {"/data/recordings/recordings/dev.csv": 1, "/data/recordings/recordings/train.csv": 1}
    assert set(recordings.lists(host, DATA)) == set(added.rows)
    found = check.check(host, DATA, check.everything(host, DATA))
    assert [item.checked.rows for item in found] == [1, 1]
    assert not any(item.checked.stops for item in found)
    assert host.files.names("/home/mei/recordings") == (
        "good-morning.txt",
        "good-morning.wav",
        "the-weather.txt",
        "the-weather.wav",
    )


def test_a_list_with_flaws(host: Host) -> None:
    host.files.replace(f"{DATA}/mine.csv", None, b"wav_filename,wav_filesize,transcript\n/data/nowhere.wav,1,Seven 7\n")
    for csv in ("/data/mine.csv", f"{DATA}/mine.csv"):
        (found,) = check.check(host, DATA, (csv,))
        assert found.checked.stops
        flaws = {flaw["id"]: flaw for flaw in check.to_json(found)["flaws"]}
        assert {"missing", "capitals", "letters"} <= set(flaws)
        assert flaws["missing"]["rows"][0]["path"] == "/data/nowhere.wav"


def test_nothing_to_look_through(host: Host) -> None:
    with pytest.raises(Trouble) as caught:
        check.check(host, DATA, check.everything(host, DATA))
    assert caught.value.kind is Problem.DATA_MISSING
    with pytest.raises(Trouble) as caught:
        check.check(host, DATA, ("/data/no.csv",))
    assert caught.value.kind is Problem.FILE_MISSING


def test_the_lists_of_librispeech_are_looked_through(host: Host) -> None:
    where = place.find(host, DEFAULT_NAME)
    librispeech.fetch(host, where, librispeech.plan(host, where.data, ["dev-clean"]))
    (found,) = check.check(host, DATA, check.everything(host, DATA))
    assert found.csv == "/data/librispeech/librivox-dev-clean.csv"
    assert found.checked.rows
    assert not found.checked.stops


def test_a_tar_archive_made_on_the_way() -> None:
    members = [("a.txt", b"x" * 600), ("\u00fc" * 80 + ".wav", b""), ("b", b"y" * 512)]
    data = b"".join(tar.packed(members))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = []
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            found.append((member.name, file.read()))
    assert found == members


def test_librispeech_that_is_here_already(host: Host) -> None:
    where = place.find(host, DEFAULT_NAME)
    chapter = "dev-clean/84/121123"
    for number in range(2702):
        put(host, f"{chapter}/84-121123-{number:04d}.flac", b"x")
    put(host, f"{chapter}/84-121123.trans.txt", b"84-121123-0000 HELLO\n")
    short = existing.plan(host, where, FOLDER)
    assert short.found == ()
    assert short.left_out[0][0] == "dev-clean"
    assert "2702" in short.left_out[0][1]
    put(host, f"{chapter}/84-121123-9999.flac", b"x")
    whole = existing.plan(host, where, FOLDER)
    assert [(item.part.name, item.kind) for item in whole.found] == [("dev-clean", existing.UNPACKED)]
    assert existing.plan(host, where, f"{FOLDER}/dev-clean").found[0].path == f"{FOLDER}/dev-clean"
    (made,) = existing.use(host, where, whole)
    assert made.csv in librispeech.ready(host, DATA)
    again = existing.plan(host, where, FOLDER)
    assert (again.found, again.ready) == ((), ("dev-clean",))


def test_a_folder_without_librispeech(host: Host) -> None:
    where = place.find(host, DEFAULT_NAME)
    with pytest.raises(Trouble) as caught:
        existing.plan(host, where, "/home/mei/recordings")
    assert caught.value.kind is Problem.DATA_MISSING
    with pytest.raises(Trouble) as caught:
        existing.plan(host, where, "/home/mei/nowhere")
    assert caught.value.kind is Problem.BAD_INPUT


def test_a_configuration_names_only_what_is_here(host: Host) -> None:
    where = place.find(host, DEFAULT_NAME)

    def fetch(*names: str) -> str:
        librispeech.fetch(host, where, librispeech.plan(host, where.data, names))
        return configuration.for_librispeech(host, where)

    assert fetch("train-clean-100") == ""
    for name in ("dev-clean", "test-other"):
        path = fetch(name)
        assert path == "/data/librispeech/jasper-mini.py"
    content = host.files.read(f"{DATA}/librispeech/jasper-mini.py")
    assert content is not None
    text = content.data.decode()
    compile(text, path, "exec")
    assert text.count("/data/librispeech/librivox-") == 3
    assert "librivox-train-clean-360" not in text
    assert fetch("train-clean-360", "train-other-500", "test-clean") == DEFAULT_CONFIG


def test_a_configuration_for_recordings(host: Host) -> None:
    where = place.find(host, DEFAULT_NAME)
    wanted = recordings.plan(host, where.data, "/home/mei/recordings")
    recordings.add(host, where, wanted)
    path = configuration.for_recordings(host, where, wanted.name)
    content = host.files.read(where.outside(path))
    assert content is not None
    assert "/data/recordings/recordings/train.csv" in content.data.decode()
