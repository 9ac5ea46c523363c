"""The command line in this process, on a simulated machine that the test can look into."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from wizard.cli import main
from wizard.demo import machine
from wizard.demo.converter import tone
from wizard.host.ports import Host
from wizard.model import i18n


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """The language is one for the process; a test that chooses another leaves English behind."""
    yield
    i18n.use("en")


@dataclass
class Ended:
    """What a command returned and printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        document = json.loads(self.out)
        assert document["schema_version"] == 1
        assert document["host"]["kind"] == "simulated"
        return dict(document)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on standard output."""
        lines = [json.loads(line) for line in self.out.splitlines()]
        assert all(line["schema_version"] == 1 and line["host"]["kind"] == "simulated" for line in lines)
        return lines

    def line(self, beginning: str) -> str:
        """The first line of words that begins so."""
        return next(line for line in self.out.splitlines() if line.startswith(beginning))


@dataclass
class Keyboard:
    """Runs ``s2s-wizard --demo NAME WORDS`` again and again on the same simulated machine."""

    name: str
    host: Host
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Ended:
        self.capsys.readouterr()
        code = main(["--demo", self.name, *words])
        caught = self.capsys.readouterr()
        return Ended(code, caught.out, caught.err)


def furnish(keyboard: Keyboard) -> None:
    """Puts the data that Jasper Mini names into the data folder that is suggested."""
    keyboard.host.files.replace(f"{keyboard.host.home}/openseq2seq-data/a.wav", None, tone())
    for split in ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "test-clean"):
        path = f"{keyboard.host.home}/openseq2seq-data/librispeech/librivox-{split}.csv"
        text = "wav_filename,wav_filesize,transcript\n" + "/data/a.wav,1,a\n" * 64
        keyboard.host.files.replace(path, None, text.encode())


@pytest.fixture
def at(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Keyboard]:
    """``at("healthy")``: a keyboard at that machine, which keeps its state from one command to the next."""

    def sit_down(name: str) -> Keyboard:
        host = machine.build(name, pace=0)
        monkeypatch.setattr(machine, "build", lambda _name: host)
        return Keyboard(name, host, capsys)

    return sit_down
