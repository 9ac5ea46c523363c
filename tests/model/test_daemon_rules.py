"""What an engine makes of its settings, version by version. The real engines are asked in tests/real."""

from __future__ import annotations

import pytest

from wizard.model import daemon_rules
from wizard.model.daemon_keys import KEYS, Version, flags
from wizard.model.daemon_rules import Weight, judge
from wizard.model.engine import DaemonProcess

V17, V18, V20, V24, V28, LATER = (17, 12), (18, 9), (20, 10), (24, 0), (28, 5), (31, 0)


def worst(text: str, version: Version | None, *argv: str) -> str:
    flaws = judge(text.encode(), version, ("dockerd", *argv)).flaws
    return f"{flaws[0].weight.value} {flaws[0].cause}".strip() if flaws else "fine"


@pytest.mark.parametrize(
    ("text", "argv", "expected"),
    [
        ("", (), {V20: "stops conf-json-syntax", V24: "untidy", None: "may-stop conf-json-syntax"}),
        ("{}", (), {V17: "fine", None: "fine"}),
        ('{"a": 1}', (), {V20: "stops conf-unknown-key", LATER: "may-stop conf-unknown-key"}),
        ('{"features": {"cdi": true}}', (), {V17: "stops conf-unknown-key", V18: "fine"}),
        ('{"graph": "/x"}', (), {V20: "fine", V24: "stops conf-unknown-key"}),
        (
            '{"runtimes": {"n": {"path": "/x"}}}',
            ("--add-runtime", "n=/x"),
            {V17: "stops conf-conflict-runtimes", V18: "fine", None: "may-stop conf-conflict-runtimes"},
        ),
        (
            '{"default-runtime": "n"}',
            ("--add-runtime=n=/x",),
            {V20: "stops conf-default-runtime-missing", V24: "fine", None: "may-stop conf-default-runtime-missing"},
        ),
        (
            '{"runtimes": {"n": {}}}',
            (),
            {V20: "breaks conf-runtime-entry-invalid", V24: "stops conf-runtime-entry-invalid"},
        ),
        ('{"debug": true}', ("-D",), {V17: "stops conf-conflict-other", V28: "stops conf-conflict-other"}),
        ('{"hosts": []}', ("-Hfd://",), {V28: "stops conf-conflict-other"}),
    ],
)
def test_the_rules_change_with_the_version(
    text: str, argv: tuple[str, ...], expected: dict[Version | None, str]
) -> None:
    assert {version: worst(text, version, *argv) for version in expected} == expected


def test_a_misspelt_key_gets_a_proposal_and_a_younger_one_its_version() -> None:
    assert '"debug"' in judge(b'{"Debug": 1}', V28).flaws[0].text
    assert "25.0" in judge(b'{"cdi-spec-dirs": []}', V24).flaws[0].text
    assert "data-root" in judge(b'{"graph": "/x"}', V28).flaws[0].text


def test_a_huge_file_is_not_looked_into() -> None:
    found = judge(b" " * 5_000_000 + b"{}", V28)
    assert (found.settings, found.flaws[0].weight) == (None, Weight.MAY_STOP)
    assert "5.0 MB" in found.flaws[0].text


def test_several_flaws_come_worst_first() -> None:
    found = judge(b'{"runtimes": {"n": {}}, "debug": "yes", "a": 1, "a": 2}', V20)
    assert found.flaws[0].weight is Weight.STOPS
    assert found.causes == ("conf-unknown-key", "conf-wrong-type", "conf-runtime-entry-invalid")
    assert found.stops


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dockerd -H fd:// --debug", {"hosts": ("fd://",), "debug": ("",)}),
        ("dockerd -Hfd:// -D --host=unix:///x", {"hosts": ("fd://", "unix:///x"), "debug": ("",)}),
        ("dockerd --add-runtime n=/x --label a=b", {"runtimes": ("n=/x",), "labels": ("a=b",)}),
        (
            "dockerd --live-restore=false -s overlay2 word",
            {"live-restore": ("false",), "storage-driver": ("overlay2",)},
        ),
        ("dockerd", {}),
        ("dockerd --mtu", {"mtu": ("",)}),
    ],
)
def test_flags_under_their_names_in_the_file(line: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert flags(tuple(line.split())) == expected


def test_refusals_in_words() -> None:
    def said(text: str, *argv: str, version: str = "26.1.3") -> str:
        return " ".join(daemon_rules.refusals(text.encode(), version, DaemonProcess(1, ("dockerd", *argv))))

    assert said('{"runtimes": {"a": {"path": "/a"}, "b": {"runtimeType": "io.b"}}, "default-runtime": "a"}') == ""
    assert '"a" has no path' in said('{"runtimes": {"a": {}}}')
    assert said('{"runtimes": {"a": {}}}', version="20.10.24") == ""
    assert '"a" has both' in said('{"runtimes": {"a": {"path": "/a", "runtimeType": "t"}}}')
    assert "reserved" in said('{"runtimes": {"runc": {"path": "/a"}}}')
    assert '"ghost" is not in' in said('{"default-runtime": "ghost"}')
    assert '"hosts" is set here and also' in said('{"hosts": ["unix:///x"]}', "-H", "fd://")
    assert '"insecure-registries" is set' in said('{"insecure-registries": []}', "--insecure-registry=x:1")
    assert '"http-proxy" is set' in said('{"proxies": {"http-proxy": "http://x"}}', "--http-proxy=http://y")
    assert daemon_rules.refusals(None, "26.1.3", None) == ()


def test_versions() -> None:
    assert daemon_rules.version_of("Docker version 20.10.24+dfsg1, build 5d6db84") == (20, 10)
    assert daemon_rules.version_of("unknown") is None
    assert all(key.since is None or key.until is None or key.since < key.until for key in KEYS.values())
