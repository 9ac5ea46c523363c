"""Downloads from a real server that breaks off, falls silent, knows no ranges, or sends something else."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.web import Web, serving
from wizard.host.downloads import WebDownloads
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel

CONTENT = bytes(range(256)) * 12_000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as made:
        made.files["/corpus.tar.gz"] = CONTENT
        yield made


def fetch(web: Web, folder: Path, md5: str = MD5, size: int = len(CONTENT), pauses: int = 3) -> list[int]:
    """Fetches the file and returns what was told on the way."""
    told: list[int] = []
    downloads = WebDownloads(timeouts=(5.0, 5.0), pauses=(0.01,) * pauses)
    downloads.fetch(
        f"{web.url}/corpus.tar.gz",
        str(folder / "corpus.tar.gz"),
        size=size,
        md5=md5,
        progress=told.append,
        cancel=Cancel(),
    )
    assert told == sorted(told)
    return told


def refused(web: Web, folder: Path, **options: object) -> Trouble:
    with pytest.raises(Trouble) as caught:
        fetch(web, folder, **options)  # type: ignore[arg-type]
    return caught.value


def is_here(folder: Path) -> bool:
    assert not (folder / "corpus.tar.gz.part").exists()
    return (folder / "corpus.tar.gz").read_bytes() == CONTENT


def test_a_file_comes_whole(web: Web, tmp_path: Path) -> None:
    assert fetch(web, tmp_path)[-1] == len(CONTENT)
    assert is_here(tmp_path)
    assert web.requests == [("/corpus.tar.gz", "bytes=0-")]


def test_what_is_here_is_compared_and_not_fetched_again(web: Web, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz").write_bytes(CONTENT)
    fetch(web, tmp_path)
    assert web.requests == []


@pytest.mark.parametrize("found", [CONTENT[:1000], CONTENT[:-1] + b"?"], ids=["shorter", "changed"])
def test_a_wrong_file_of_that_name_is_left_and_told(web: Web, tmp_path: Path, found: bytes) -> None:
    (tmp_path / "corpus.tar.gz").write_bytes(found)
    assert refused(web, tmp_path).kind is Problem.DOWNLOAD_DAMAGED
    assert (tmp_path / "corpus.tar.gz").read_bytes() == found


def test_a_line_that_breaks_again_and_again_is_continued(web: Web, tmp_path: Path) -> None:
    web.cut = [300_000] * 6
    fetch(web, tmp_path, pauses=1)
    assert is_here(tmp_path)
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for _path, asked in web.requests]
    assert starts == [300_000 * number for number in range(7)]


def test_a_later_attempt_goes_on_where_the_first_stopped(web: Web, tmp_path: Path) -> None:
    web.cut = [491_520, 0, 0, 0]
    assert refused(web, tmp_path).kind is Problem.DOWNLOAD_UNREACHABLE
    assert (tmp_path / "corpus.tar.gz.part").stat().st_size == 491_520
    web.requests.clear()
    assert fetch(web, tmp_path)[0] == 491_520
    assert web.requests == [("/corpus.tar.gz", "bytes=491520-")]
    assert is_here(tmp_path)


def test_a_server_without_ranges_is_read_past_what_is_here(web: Web, tmp_path: Path) -> None:
    web.ranges = False
    web.cut = [700_000]
    told = fetch(web, tmp_path)
    assert is_here(tmp_path)
    assert told == sorted(told)


def test_silence_ends_an_attempt_but_not_the_download(web: Web, tmp_path: Path) -> None:
    web.stall = 393_216
    downloads = WebDownloads(timeouts=(5.0, 0.3), pauses=(0.01,) * 3)

    def told(here: int) -> None:
        if here >= 393_216:
            web.stall = 0

    downloads.fetch(
        f"{web.url}/corpus.tar.gz",
        str(tmp_path / "corpus.tar.gz"),
        size=len(CONTENT),
        md5=MD5,
        progress=told,
        cancel=Cancel(),
    )
    assert is_here(tmp_path)
    assert web.requests[1] == ("/corpus.tar.gz", "bytes=393216-")


def test_damage_is_found_and_nothing_of_it_is_kept(web: Web, tmp_path: Path) -> None:
    web.damage = True
    trouble = refused(web, tmp_path)
    assert trouble.kind is Problem.DOWNLOAD_DAMAGED
    assert MD5 in trouble.evidence[0].text
    assert not (tmp_path / "corpus.tar.gz").exists()
    web.damage = False
    assert fetch(web, tmp_path)[0] == 0
    assert is_here(tmp_path)


def test_without_a_sum_the_size_alone_is_compared(web: Web, tmp_path: Path) -> None:
    fetch(web, tmp_path, md5="")
    assert is_here(tmp_path)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_told_at_once(web: Web, tmp_path: Path, status: int) -> None:
    web.statuses = [status]
    trouble = refused(web, tmp_path)
    assert trouble.kind is Problem.DOWNLOAD_REFUSED
    assert str(status) in trouble.evidence[0].text
    assert len(web.requests) == 1


def test_a_server_that_is_busy_is_asked_again(web: Web, tmp_path: Path) -> None:
    web.statuses = [503, 429]
    fetch(web, tmp_path)
    assert is_here(tmp_path)
    web.statuses = [503] * 9
    (tmp_path / "corpus.tar.gz").unlink()
    assert refused(web, tmp_path).kind is Problem.DOWNLOAD_REFUSED


def test_a_page_in_place_of_the_file_is_not_taken_for_it(web: Web, tmp_path: Path) -> None:
    web.files["/corpus.tar.gz"] = b"<html>Please log in to the hotel's network</html>"
    assert refused(web, tmp_path).kind is Problem.DOWNLOAD_REFUSED


def test_nobody_there(tmp_path: Path) -> None:
    with serving() as gone:
        pass
    assert refused(gone, tmp_path, pauses=0).kind is Problem.DOWNLOAD_UNREACHABLE


def test_it_goes_through_the_proxy_of_the_environment(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, web.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    WebDownloads(pauses=()).fetch(
        "http://files.example.org/corpus.tar.gz",
        str(tmp_path / "corpus.tar.gz"),
        size=len(CONTENT),
        md5=MD5,
        progress=lambda _here: None,
        cancel=Cancel(),
    )
    assert web.requests[0][0] == "http://files.example.org/corpus.tar.gz"
    assert is_here(tmp_path)


def test_cancelling_ends_a_silent_read(web: Web, tmp_path: Path) -> None:
    web.stall = 131_072
    cancel = Cancel()

    def told(here: int) -> None:
        if here >= 131_072:
            threading.Timer(0.1, cancel.set).start()

    with pytest.raises(Trouble) as caught:
        WebDownloads(timeouts=(5.0, 60.0)).fetch(
            f"{web.url}/corpus.tar.gz",
            str(tmp_path / "corpus.tar.gz"),
            size=len(CONTENT),
            md5=MD5,
            progress=told,
            cancel=cancel,
        )
    assert caught.value.kind is Problem.CANCELLED
    assert (tmp_path / "corpus.tar.gz.part").stat().st_size == 131_072


def test_killed_in_the_middle_and_another_meanwhile(web: Web, tmp_path: Path) -> None:
    web.stall = 589_824
    script = textwrap.dedent(f"""
        from wizard.host.downloads import WebDownloads
        from wizard.model.event import Cancel
        WebDownloads().fetch({web.url + "/corpus.tar.gz"!r}, {str(tmp_path / "corpus.tar.gz")!r},
            size={len(CONTENT)}, md5={MD5!r}, progress=lambda here: None, cancel=Cancel())
    """)
    process = subprocess.Popen([sys.executable, "-c", script])
    part = tmp_path / "corpus.tar.gz.part"
    try:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size >= 512 * 1024):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert refused(web, tmp_path).kind is Problem.BUSY
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    web.stall = 0
    assert fetch(web, tmp_path)[0] >= 512 * 1024
    assert is_here(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can mount a small disk")
def test_a_full_disk_is_named_and_what_came_is_kept(web: Web, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        assert refused(web, disk).kind is Problem.DISK_FULL
        assert 0 < (disk / "corpus.tar.gz.part").stat().st_size <= 1024 * 1024
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert fetch(web, disk)[0] > 0
        assert is_here(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
