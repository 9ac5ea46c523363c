"""Texts that the catalogue was not made from: the right cause first, and nothing in what only looks alike."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from wizard.knowledge import daemon_errors

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HELD_OUT: dict[str, list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parent / "held_out.toml").read_text(encoding="utf-8")
)
TEXTS, OTHERS = HELD_OUT["text"], HELD_OUT["other"]
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
ENOUGH = 0.95
"""The least part of the texts whose cause must be the first one."""


def _noise(lines: int) -> list[str]:
    """What a busy terminal shows before and after an error: nothing of it is one."""
    kinds = (
        "{n:04}: Pull complete",
        'time="2024-05-06T10:00:{n:02}Z" level=info msg="Loading containers: done." step={n}',
        "[+] Building {n}.3s (7/12)",
        " => [internal] load metadata for docker.io/library/python:3.11-slim",
        "May 06 10:{n:02}:00 gpu01 CRON[{n}]: (root) CMD (run-parts --report /etc/cron.hourly)",
        "",
        "Get:{n} http://archive.ubuntu.com/ubuntu jammy/main amd64 libfoo{n} amd64 1.{n}-1 [12.3 kB]",
        "step {n}: loss = 123.4, 0.51 s/step",
    )
    return [kinds[n % len(kinds)].format(n=n) for n in range(lines)]


def _dressed(entry: dict[str, Any]) -> str:
    """The text in its form: ``wrapped`` as a terminal of 80 columns shows it, ``noise`` among 100 other lines."""
    text = str(entry["text"])
    form = entry.get("form")
    if form == "wrapped":
        text = COLOUR.sub("", text)  # a terminal does not count them
        return "\n".join(line[at : at + 80] for line in text.split("\n") for at in range(0, max(1, len(line)), 80))
    if form == "noise":
        noise = _noise(100)
        return "\n".join([*noise[:60], text, *noise[60:]])
    assert form is None
    return text


def _first(text: str) -> str:
    found = daemon_errors.find(text)
    return found[0].cause.id if found else ""


def _share_right(texts: list[tuple[str, str]]) -> float:
    wrong = [(meant, found, text) for meant, text in texts if (found := _first(text)) != meant]
    for meant, found, text in wrong:
        print(f"{meant} was taken for {found or 'nothing'}: {text!r}")
    return 1 - len(wrong) / len(texts)


def test_the_texts_are_many_and_of_many_causes() -> None:
    known = {cause.id for cause in daemon_errors.causes()}
    assert len(TEXTS) >= 120
    assert len(OTHERS) >= 40
    assert {entry["id"] for entry in TEXTS} <= known
    assert len({entry["id"] for entry in TEXTS}) >= 75


def test_the_texts_are_not_those_of_the_catalogue() -> None:
    samples = {sample.strip() for cause in daemon_errors.causes() for sample in cause.samples}
    assert [entry["text"] for entry in TEXTS if str(entry["text"]).strip() in samples] == []


def test_texts_of_the_wild_name_their_cause_first() -> None:
    assert _share_right([(entry["id"], _dressed(entry)) for entry in TEXTS]) >= ENOUGH


@pytest.mark.parametrize("form", ["wrapped", "wrapped at words", "crlf", "coloured", "quoted", "indented", "noise"])
def test_texts_of_the_wild_name_their_cause_first_in_every_envelope(form: str) -> None:
    texts: list[tuple[str, str]] = []
    for entry in TEXTS:
        text = str(entry["text"])
        lines = text.split("\n")
        if form == "wrapped at words":
            text = "\n".join("\n".join(textwrap.wrap(COLOUR.sub("", line), 80)) for line in lines)
        elif form == "crlf":
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        elif form == "coloured":
            text = "\n".join(f"\x1b[1;31m{line}\x1b[0m\x1b[K" for line in lines)
        elif form == "quoted":
            text = "\n".join(f"> {line}" for line in lines)
        elif form == "indented":
            text = "\n".join(f"        {line}" for line in lines)
        else:
            text = _dressed({"text": text, "form": form})
        texts.append((entry["id"], text))
    assert _share_right(texts) >= ENOUGH


@pytest.mark.parametrize("entry", OTHERS, ids=[f"{number}-{entry['what']}" for number, entry in enumerate(OTHERS)])
def test_nothing_is_found_in_texts_that_only_look_alike(entry: dict[str, Any]) -> None:
    assert [match.cause.id for match in daemon_errors.find(str(entry["text"]))] == []


def test_nothing_is_found_in_noise() -> None:
    assert daemon_errors.find("\n".join(_noise(100))) == ()
