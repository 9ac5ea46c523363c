"""The bug report: complete for whoever helps, empty of what is nobody's business."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support.leak import canary
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model.key_store import KeyPlace
from wizard.model.receipt import CommandRun, FileChange, Receipt, to_bytes
from wizard.model.step import StepState
from wizard.services import report

CONFIG = "/etc/docker/daemon.json"


@pytest.fixture
def host() -> Host:
    return machine.build("unknown-runtime", pace=0)


def with_settings(host: Host, text: str) -> None:
    found = host.files.read(CONFIG)
    host.files._tree.nodes[CONFIG].data = text.encode()  # type: ignore[attr-defined]
    assert found is not None


def test_it_says_what_a_helper_asks_for(host: Host) -> None:
    text = report.text(host)
    for word in ("Python: 3.", "docker: ", "## Check-up", "[error] runtime.registered", "GET /info", "log-driver"):
        assert word in text, word


def test_the_users_names_are_masked(host: Host) -> None:
    host = replace(host, info=replace(host.info, user="meilin", name="gpu-box.example.org"), home="/home/meilin")
    text = report.cleaned(host, "/home/meilin/data meilin@gpu-box.example.org: mail mei@example.org, meilinger stays")
    assert text == "~/data ****: mail ****, meilinger stays"
    assert report.cleaned(host, "by meilin on gpu-box.example.org.") == "by USER on HOST."


def test_a_name_that_is_a_word_of_its_own_stays(host: Host) -> None:
    host = replace(host, info=replace(host.info, user="root", name="pc"), home="/root")
    assert report.cleaned(host, "root may, pc too") == "root may, pc too"


def test_no_key_whatever_its_shape(host: Host) -> None:
    """A key that this program holds is known by its value, others by their shape, and logins by their place."""
    held, other = canary(), canary()
    host.keys.save(held, KeyPlace.SESSION)
    shapeless = "Xy12" * 5
    with_settings(
        host,
        json.dumps(
            {"log-opts": {"splunk-token": shapeless}, "proxies": {"https-proxy": "http://me:pa55word@proxy:3128"}}
        ),
    )
    receipt = Receipt(
        "20260101T000000Z-x",
        "x",
        "x",
        "2026-01-01T00:00:00Z",
        StepState.DONE,
        (
            FileChange(CONFIG, None, f'{{"log-opts": {{"splunk-token": "{shapeless}"}}}}'.encode(), 0o644, True),
            CommandRun(("login", other.reveal()), False, 0),
        ),
    )
    host.store.write(f"receipts/{receipt.id}.json", to_bytes(receipt))
    host.store.write("log", f"GET / Authorization: Bearer {shapeless}\nkey {held.reveal()}\n".encode())
    text = report.text(host)
    assert receipt.id in text
    assert "splunk-token" in text
    assert "GET / Authorization" in text
    for secret in (held.reveal(), other.reveal(), shapeless, "pa55word"):
        assert secret not in text
        assert secret[:12] not in text


@pytest.mark.parametrize(
    "text",
    ['{"registry-token": "Zz99Zz99Zz99",}', "registry-token = Zz99Zz99Zz99", "[" * 5000],
    ids=["a comma too many", "no JSON", "deep"],
)
def test_settings_that_are_not_json(host: Host, text: str) -> None:
    with_settings(host, text)
    shown = report.text(host)
    assert "Zz99" not in shown
    assert CONFIG in shown


def test_only_the_end_of_the_log(host: Host) -> None:
    host.store.write("log", b"".join(b"line %d\n" % number for number in range(100_000)))
    text = report.text(host)
    assert "line 99999" in text
    assert f"line {100_000 - report.LOG_LINES - 1}\n" not in text
