"""LibriSpeech from a real web server into a real container with a real sox, interrupted in every way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import images, speech
from tests.support.engine import PrivateEngine
from tests.support.speech import rows
from tests.support.web import Web, serving
from wizard.cli import main
from wizard.host.ports import Host
from wizard.host.real import build
from wizard.knowledge import librispeech as knowledge
from wizard.knowledge.librispeech import Corpus
from wizard.model.container import DEFAULT_NAME, KEEP_ALIVE, LABEL, ContainerSpec, Mount

pytestmark = pytest.mark.real

OWNER = 1234
MANY = 160


@pytest.fixture(scope="module")
def speaking(shared_engine: PrivateEngine) -> PrivateEngine:
    images.add_speech(shared_engine.url)
    return shared_engine


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as made:
        yield made


@pytest.fixture
def host(engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    made = build(engine.environ)
    yield made
    made.engine.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that belongs to somebody."""
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, OWNER, OWNER)
    return folder


def boxed(host: Host, data: Path, image: str = images.SPEECH) -> str:
    spec = ContainerSpec(
        DEFAULT_NAME, image, KEEP_ALIVE, mounts=(Mount(str(data), "/data"),), labels={LABEL: "1"}, memlock=False
    )
    made = host.engine.create(spec)
    host.engine.start(made)
    return made


def published(web: Web, monkeypatch: pytest.MonkeyPatch, **recordings: int) -> Corpus:
    """A corpus whose archives are on the server, known to this process."""
    parts = []
    for key, count in recordings.items():
        name = key.replace("_", "-")
        content = speech.archive(name, count)
        web.files[f"/{name}.tar.gz"] = content
        parts.append(speech.part(name, content, count))
    corpus = speech.catalogue(*parts, url=web.url)
    monkeypatch.setattr(knowledge, "corpus", lambda: corpus)
    return corpus


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def converting_in(host: Host, box: str) -> bool:
    return "wav_filename" in host.engine.run_in(box, ("ps", "-o", "args")).stdout.decode()


def wavs(data: Path, name: str = "dev-clean") -> list[Path]:
    return sorted((data / "librispeech" / "LibriSpeech" / f"{name}-wav").glob("*.wav"))


def test_from_the_server_to_the_list(
    speaking: PrivateEngine,
    host: Host,
    web: Web,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    published(web, monkeypatch, dev_clean=5, train_clean_100=7)
    boxed(host, data)
    assert main(["data", "fetch", "dev-clean", "train-clean-100", "--yes", "--json"]) == 0
    said = events(capfd.readouterr().out)
    assert [event["name"] for event in said if event["event"] == "part"] == ["dev-clean", "train-clean-100"]
    assert said[0]["event"] == "plan"
    assert said[-1]["parts"] == ["dev-clean", "train-clean-100"]
    corpus = data / "librispeech"
    table = rows(corpus / "librivox-dev-clean.csv")
    first = corpus / "LibriSpeech/dev-clean-wav/84-121123-0000.wav"
    assert table[0] == [
        "/data/librispeech/LibriSpeech/dev-clean-wav/84-121123-0000.wav",
        str(first.stat().st_size),
        "he's said cafe number a",
    ]
    assert len(table) == 5
    assert len(rows(corpus / "librivox-train-clean-100.csv")) == 7
    with wave.open(str(first)) as made:
        assert (made.getframerate(), made.getnchannels(), made.getsampwidth(), made.getnframes()) == (16000, 1, 2, 4000)
    assert not list(corpus.glob("*.tar.gz*"))
    assert [path for path in corpus.rglob("*") if path.stat().st_uid != OWNER] == []
    web.requests.clear()
    assert main(["data", "fetch", "dev-clean"]) == 0
    assert web.requests == []
    capfd.readouterr()
    assert main(["data", "list", "--json"]) == 0
    listed = json.loads(capfd.readouterr().out)
    assert [part["state"] for part in listed["parts"]] == ["ready", "ready"]


def test_the_archives_stay_on_request(
    speaking: PrivateEngine, host: Host, web: Web, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(web, monkeypatch, dev_clean=3)
    boxed(host, data)
    assert main(["data", "fetch", "--yes", "--keep-archives"]) == 0
    assert (data / "librispeech" / "dev-clean.tar.gz").read_bytes() == web.files["/dev-clean.tar.gz"]


@pytest.mark.parametrize("moment", ["download", "conversion"])
def test_killed_and_called_again(
    speaking: PrivateEngine, host: Host, web: Web, data: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    corpus = published(web, monkeypatch, dev_clean=MANY)
    box = boxed(host, data)
    size = corpus.parts[0].bytes
    archive = data / "librispeech" / "dev-clean.tar.gz"
    part = archive.with_name("dev-clean.tar.gz.part")
    if moment == "download":
        web.stall = size // 2
    words = speech.command(corpus, "data", "fetch", "--yes", "--json")
    process = subprocess.Popen(words, env=speaking.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if moment == "download":
            until(lambda: part.exists() and part.stat().st_size >= size // 4)
        else:
            until(lambda: len(wavs(data)) >= 10)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: not converting_in(host, box))
    assert not list((data / "librispeech").glob("*.csv"))
    before = {path: path.stat().st_mtime_ns for path in wavs(data)}
    assert len(before) < MANY
    web.stall = 0
    web.requests.clear()
    assert main(["data", "fetch", "--yes"]) == 0
    if moment == "download":
        assert int(web.requests[0][1].removeprefix("bytes=").removesuffix("-")) >= size // 4
    else:
        assert web.requests == []
        assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(rows(data / "librispeech" / "librivox-dev-clean.csv")) == MANY
    assert not [path for path in (data / "librispeech").rglob("*") if path.name.endswith(".part")]


def test_interrupted_by_the_user(
    speaking: PrivateEngine, host: Host, web: Web, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = published(web, monkeypatch, dev_clean=8 * MANY)  # more than is converted while it ends
    box = boxed(host, data)
    words = speech.command(corpus, "data", "fetch", "--yes")
    process = subprocess.Popen(words, env=speaking.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: len(wavs(data)) >= 5)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    until(lambda: not converting_in(host, box))
    assert not list((data / "librispeech").glob("*.csv"))


def test_a_container_that_stops_meanwhile(
    speaking: PrivateEngine,
    host: Host,
    web: Web,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus = published(web, monkeypatch, dev_clean=MANY)
    box = boxed(host, data)
    words = speech.command(corpus, "data", "fetch", "--yes", "--json")
    process = subprocess.Popen(
        words, env=speaking.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    until(lambda: len(wavs(data)) >= 5)
    host.engine.stop(box, timeout=0)
    out, _nothing = process.communicate(timeout=60)
    assert process.returncode == 4
    assert events(out)[-1]["error"]["id"] == "container-not-running"
    assert main(["data", "fetch", "--yes"]) == 0


def test_a_disk_that_is_full(
    speaking: PrivateEngine,
    host: Host,
    web: Web,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    corpus = published(web, monkeypatch, dev_clean=MANY)
    disk = tmp_path / "disk"
    disk.mkdir()
    need = corpus.parts[0].bytes + corpus.parts[0].bytes_ready
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={need // 2}", "tmpfs", str(disk)], check=True)
    try:
        boxed(host, disk)
        assert main(["data", "fetch", "--yes", "--json"]) == 4
        assert events(capfd.readouterr().out)[-1]["error"]["id"] == "disk-small"
        assert not list(disk.iterdir())
        # Somebody else fills the disk after the look at it.
        real = os.statvfs
        monkeypatch.setattr(os, "statvfs", lambda path: real("/tmp") if str(path).startswith(str(disk)) else real(path))
        assert main(["data", "fetch", "--yes", "--json"]) == 4
        assert events(capfd.readouterr().out)[-1]["error"]["id"] == "disk-full"
        assert not list(disk.rglob("*.csv"))
        subprocess.run(["mount", "-o", f"remount,size={need * 4}", str(disk)], check=True)
        monkeypatch.setattr(os, "statvfs", real)
        assert main(["data", "fetch", "--yes"]) == 0
        assert len(rows(disk / "librispeech" / "librivox-dev-clean.csv")) == MANY
    finally:
        host.engine.remove(DEFAULT_NAME, force=True)
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"left_out": "0001.flac"}, "3 of 4"),
        ({"left_out": "84-121123.trans.txt"}, "there is no text for it"),
        ({"bad": "84-121123-0002.flac"}, "84-121123-0002"),
    ],
    ids=["a recording is missing", "the texts are missing", "no sound"],
)
def test_an_archive_that_lacks_something(
    speaking: PrivateEngine,
    host: Host,
    web: Web,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    fault: dict[str, str],
    seen: str,
) -> None:
    published(web, monkeypatch, dev_clean=4)
    content = speech.archive("dev-clean", 4, **fault)
    web.files["/dev-clean.tar.gz"] = content
    corpus = speech.catalogue(speech.part("dev-clean", content, 4), url=web.url)
    monkeypatch.setattr(knowledge, "corpus", lambda: corpus)
    boxed(host, data)
    assert main(["data", "fetch", "--yes", "--json"]) == 4
    error = events(capfd.readouterr().out)[-1]["error"]
    assert error["id"] == "data-unreadable"
    assert seen in json.dumps(error)
    assert not list((data / "librispeech").glob("*.csv"))


def test_a_container_without_sox(host: Host, web: Web, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    boxed(host, data, images.BUSYBOX)
    assert main(["data", "fetch", "--yes", "--json"]) == 4
    error = events(capfd.readouterr().out)[-1]["error"]
    assert error["id"] == "dependencies-missing"
    assert not (data / "librispeech").exists()


def test_own_recordings_of_every_kind(
    speaking: PrivateEngine, host: Host, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    boxed(host, data)
    folder = tmp_path / "my voice"
    (folder / "deeper").mkdir(parents=True)
    (folder / "one.wav").write_bytes(speech.sound("wav", rate=44100, channels=2, seconds=1.0))
    (folder / "one.txt").write_text("Hello, one!")
    (folder / "deeper" / "two.flac").write_bytes(speech.sound("flac", rate=8000, seconds=1.0))
    (folder / "deeper" / "two.txt").write_text("hello two")
    (folder / "three.mp3").write_bytes(speech.sound("mp3", rate=22050, seconds=1.0))
    (folder / "three.txt").write_text("hello three")
    (folder / "four.wav").write_bytes(speech.sound("mp3", rate=22050, seconds=1.0))  # the wav that is an mp3
    (folder / "four.txt").write_text("hello four")
    (folder / "five.wav").write_bytes(speech.sound("wav", seconds=1.0))
    (folder / "five.txt").write_text("hello 5")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["data", "add", str(folder), "--yes", "--json"]) == 1
    said = events(capfd.readouterr().out)
    assert [entry["recording"] for entry in said[0]["left_out"]] == ["five.wav"]
    assert [entry["recording"].rpartition("-")[0] for entry in said[-1]["failed"]] == ["four"]
    assert sum(said[-1]["lists"].values()) == 3
    made = data / "recordings" / "my_voice"
    table = rows(made / "train.csv") + rows(made / "dev.csv")
    assert sorted(row[2] for row in table) == ["hello one", "hello three", "hello two"]
    for path, size, _text in table:
        place = data / path.removeprefix("/data/")
        assert place.stat().st_size == int(size)
        assert place.stat().st_uid == OWNER
        with wave.open(str(place)) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert main(["data", "check", "--json"]) == 0
    checked = json.loads(capfd.readouterr().out)
    assert sum(item["rows"] for item in checked["lists"]) == 3


@pytest.mark.parametrize("form", ["archive", "unpacked", "a part", "converted elsewhere", "converted in /data"])
def test_what_is_here_already(
    speaking: PrivateEngine,
    host: Host,
    web: Web,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    form: str,
) -> None:
    published(web, monkeypatch, dev_clean=5)
    boxed(host, data)
    folder = data / "mine" if form == "converted in /data" else tmp_path / "mine"
    folder.mkdir()
    content = web.files["/dev-clean.tar.gz"]
    if form == "archive":
        (folder / "dev-clean.tar.gz").write_bytes(content)
    elif form in ("unpacked", "a part"):
        subprocess.run(["tar", "xzf", "-", "-C", str(folder)], input=content, check=True)
        folder = folder / "LibriSpeech" / "dev-clean" if form == "a part" else folder
    else:
        wav = folder / "LibriSpeech" / "dev-clean-wav"
        wav.mkdir(parents=True)
        lines = ["wav_filename,wav_filesize,transcript"]
        for number in range(5):
            (wav / f"{number}.wav").write_bytes(speech.sound("wav", tone=300 + number))
            lines.append(
                f"/home/somebody/LibriSpeech/dev-clean-wav/{number}.wav,1,hello {(number % 2 and 'you') or 'me'}"
            )
        (folder / "librivox-dev-clean.csv").write_text("\n".join(lines) + "\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["data", "use", str(folder), "--yes", "--json"]) == 0
    said = events(capfd.readouterr().out)
    assert said[-1]["parts"] == ["dev-clean"]
    table = rows(data / "librispeech" / "librivox-dev-clean.csv")
    assert len(table) == 5
    for path, size, _text in table:
        assert (data / path.removeprefix("/data/")).stat().st_size == int(size)
    if form == "converted in /data":
        assert table[0][0] == "/data/mine/LibriSpeech/dev-clean-wav/0.wav"
        assert not wavs(data)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert web.requests == []
    assert main(["data", "check"]) == 0


def test_what_is_here_is_not_all(
    speaking: PrivateEngine,
    host: Host,
    web: Web,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    published(web, monkeypatch, dev_clean=5)
    boxed(host, data)
    folder = tmp_path / "mine"
    folder.mkdir()
    assert main(["data", "use", str(folder), "--yes"]) == 4
    (folder / "dev-clean.tar.gz").write_bytes(web.files["/dev-clean.tar.gz"][:-40])
    capfd.readouterr()
    assert main(["data", "use", str(folder), "--yes", "--json"]) == 4
    assert events(capfd.readouterr().out)[-1]["error"]["id"] == "download-damaged"
    subprocess.run(["tar", "xzf", "-", "-C", str(folder)], input=web.files["/dev-clean.tar.gz"], check=True)
    next(folder.rglob("*.flac")).unlink()
    assert main(["data", "use", str(folder), "--yes", "--json"]) == 1
    assert events(capfd.readouterr().out)[0]["left_out"][0]["name"] == "dev-clean"
    assert not list(data.rglob("*.csv"))
