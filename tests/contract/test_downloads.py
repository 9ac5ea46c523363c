"""Downloads, on both sides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.conftest import sides, simulated
from tests.support.web import serving
from wizard.demo.machine import build as build_demo
from wizard.host.downloads import WebDownloads
from wizard.host.ports import Downloads, Files
from wizard.host.real import build
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.machine import PathKind
from wizard.services.training import place, tensorboard

CONTENT = b"speech" * 100_000


@dataclass(frozen=True)
class Desk:
    """Downloads, the files that they write, a folder, and the address of a file."""

    downloads: Downloads
    files: Files
    folder: str
    url: str

    def fetch(self, cancel: Cancel | None = None, size: int = len(CONTENT)) -> list[int]:
        told: list[int] = []
        md5 = hashlib.md5(CONTENT).hexdigest()
        self.downloads.fetch(
            self.url, f"{self.folder}/file", size=size, md5=md5, progress=told.append, cancel=cancel or Cancel()
        )
        return told


@pytest.fixture(params=sides())
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    if request.param == "simulated":
        host = simulated()
        yield Desk(host.downloads, host.files, host.home, "https://files.example.org/file")
        return
    with serving() as web:
        web.files["/file"] = CONTENT
        yield Desk(WebDownloads(), build().files, str(tmp_path), f"{web.url}/file")


def test_the_file_is_there_afterwards_and_only_the_file(desk: Desk) -> None:
    told = desk.fetch()
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
    assert desk.files.info(f"{desk.folder}/file").size == len(CONTENT)
    assert desk.files.info(f"{desk.folder}/file.part").kind is PathKind.MISSING
    desk.fetch()


def test_a_file_of_another_size_is_not_taken(desk: Desk) -> None:
    desk.fetch()
    with pytest.raises(Trouble) as caught:
        desk.fetch(size=len(CONTENT) + 1)
    assert caught.value.kind is Problem.DOWNLOAD_DAMAGED


def test_cancelled_before_the_end(desk: Desk) -> None:
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Trouble) as caught:
        desk.fetch(cancel)
    assert caught.value.kind is Problem.CANCELLED
    assert desk.files.info(f"{desk.folder}/file").kind is PathKind.MISSING


# --- knocking ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=sides())
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Downloads, str]]:
    """Something that answers, in spite of a proxy that would not."""
    if request.param == "simulated":
        host = build_demo("with-container", pace=0)
        board = tensorboard.start(host, place.find(host, "openseq2seq"), "/data/log")
        yield host.downloads, board.url
        return
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving() as web:
        web.files["/"] = b"here"
        yield WebDownloads(), f"{web.url}/"


def test_somebody_answers_or_nobody_does(door: tuple[Downloads, str]) -> None:
    downloads, url = door
    assert downloads.knock(url) == 200
    nobody = re.sub(r":\d+/", ":1/", url)
    assert downloads.knock(nobody) is None
