"""What the catalogue tells people: that it can be translated, and that it keeps to the rules of the house."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from tests.house import translations
from wizard.knowledge import daemon_errors
from wizard.model.cause import Cause

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CAUSES = daemon_errors.causes()
HARMFUL = {
    "a script that runs as it is downloaded": r"(?:curl|wget)\b[^;]*\|\s*(?:sudo )?(?:ba|z|da)?sh\b",
    "a socket for everybody": r"chmod\b[^;]*docker\.sock",
    "files for everybody": r"chmod\b[^;]*\b(?:0?777|0?666|a\+rwx?)\b",
    "deleting without a look": r"\brm -(?:rf|fr|r|f)\b",
    "deleting everything": r"prune\b[^;]*(?:-a\b|--all|--volumes|-f\b|--force)",
    "old NVIDIA packages": r"install\b[^;]*\bnvidia-docker2?\b",
    "a password among the arguments": r"docker login\b[^;]*(?: -p\b|--password[ =])",
    "ending programs by name": r"\b(?:pkill|killall)\b",
}
VENDORS = (".docker.com", ".dockerstatus.com", ".nvidia.com", ".ubuntu.com", "github.com")
FORBIDDEN = re.compile(r"^(?:Never|Do not|Avoid)\b", re.IGNORECASE)
"""How a sentence begins that names what is not to be done."""


def rows() -> list[tuple[str, dict[str, Any]]]:
    """Every row as it stands in its file."""
    return [
        (id_, row)
        for name in daemon_errors.ORDER
        for id_, row in tomllib.loads((daemon_errors.FOLDER / f"{name}.toml").read_text("utf-8")).items()
    ]


def test_every_text_of_the_catalogue_is_among_the_messages_to_translate() -> None:
    messages = {message.id for message in translations.messages()}
    said = {
        text
        for cause in CAUSES
        for text in (cause.title, cause.cause, *cause.advice, *(link.title for link in cause.links))
    }
    assert len(said) > len(CAUSES) * 3
    assert said - messages == set()


def test_texts_are_one_line_however_they_stand_in_the_file() -> None:
    in_files = dict(rows())
    assert any("\n" in row["cause"] for row in in_files.values())
    for cause in CAUSES:
        for text in (cause.title, cause.cause, *cause.advice):
            assert text == " ".join(text.split())
        assert cause.cause.split() == in_files[cause.id]["cause"].split()


@pytest.mark.parametrize("cause", CAUSES, ids=[cause.id for cause in CAUSES])
def test_a_row_tells_a_beginner_what_and_what_to_do(cause: Cause) -> None:
    assert 10 <= len(cause.title) <= 90
    assert not cause.title.endswith(".")
    assert 40 <= len(cause.cause) <= 600
    assert cause.cause.endswith(".")
    assert cause.advice
    assert cause.samples
    assert cause.patterns
    assert len(set(cause.advice)) == len(cause.advice)


def test_links_lead_to_the_pages_of_those_who_make_it() -> None:
    hosts = {(cause.id, link.url.split("/")[2]) for cause in CAUSES for link in cause.links}
    assert all(link.url.startswith("https://") for cause in CAUSES for link in cause.links)
    assert {(id_, host) for id_, host in hosts if not host.endswith(VENDORS)} == set()
    one_title = {(link.url, link.title) for cause in CAUSES for link in cause.links}
    assert len(one_title) == len({url for url, _title in one_title}), (
        "a page has one title, so that it is translated once"
    )


@pytest.mark.parametrize("what", HARMFUL)
def test_no_advice_does_harm(what: str) -> None:
    bad = [
        (cause.id, step)
        for cause in CAUSES
        for step in cause.advice
        for sentence in re.split(r"(?<=[.;:]) ", step)
        if re.search(HARMFUL[what], sentence) and not FORBIDDEN.match(sentence)
    ]
    assert bad == []


def test_fixes_are_known_ones() -> None:
    known = {
        "move-stale-apt-list",
        "remove-nvidia-docker2",
        "install-docker",
        "install-toolkit",
        "repair-daemon-json",
        "remove-duplicate-key",
        "repair-drop-in",
        "register-runtime",
        "set-daemon-proxy",
        "generate-cdi",
        "enable-live-restore",
        "reset-failed-docker",
        "start-docker",
        "enable-docker",
        "restart-docker",
        "join-docker-group",
        "remove-own-container",
        "free-disk-space",
    }
    assert {fix for cause in CAUSES for fix in cause.fixes} <= known
