"""What may be typed, and what is never repeated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wizard.cli.arguments import DEMO, parse
from wizard.model import i18n
from wizard.model.errors import Problem, Trouble

KEY = "nvapi-" + "Ab1_-" * 12 + "Ab1_"
LEGACY = "Ab1z" * 21


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    i18n.use("en")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"command": "", "demo": None, "lang": None}),
        (["--demo"], {"command": "", "demo": DEMO}),
        (["--demo", "doctor", "--json"], {"command": "doctor", "demo": DEMO, "json": True}),
        (["--demo", "healthy", "doctor"], {"command": "doctor", "demo": "healthy"}),
        (["doctor", "--demo", "healthy"], {"command": "doctor", "demo": "healthy"}),
        (["doctor", "--demo"], {"command": "doctor", "demo": DEMO}),
        (["--log-file", "a", "doctor", "--log-file", "b"], {"log_file": "b"}),
        (["--lang", "zh", "pull", "x/y:1"], {"command": "pull", "image": "x/y:1", "lang": "zh", "via": ""}),
        (["doctor", "--check", "a", "b", "--check", "c"], {"check": ["a", "b", "c"]}),
        (["fix"], {"ids": [], "yes": False, "dry_run": False}),
        (["fix", "a", "b", "--yes"], {"ids": ["a", "b"], "yes": True}),
        (["undo", "r1", "--json"], {"receipt": "r1", "json": True}),
        (["key", "set", "--stdin", "--store", "file"], {"command": "key", "action": "set", "store": "file"}),
        (["up", "--gpus", "0,1"], {"gpus": "0,1", "name": None, "data": None, "image": None}),
        (["shell"], {"command": "shell", "words": ()}),
        (["shell", "--"], {"words": ()}),
        (["shell", "--name", "x", "--", "ls", "--", "--demo"], {"name": "x", "words": ("ls", "--", "--demo")}),
        (["explain"], {"command": "explain", "text": [], "no_probe": False}),
        (["explain", "a b", "c", "--no-probe", "--json"], {"text": ["a b", "c"], "no_probe": True, "json": True}),
        (["explain", "-"], {"text": ["-"]}),
        (["explain", "unknown", "flag:", "--gpus", "-x"], {"text": ["unknown", "flag:", " --gpus", " -x"]}),
        (["explain", "--", "--json", "doctor"], {"text": ["--json", "doctor"], "json": False}),
        (["--demo", "explain", "x", "--lang", "zh"], {"demo": DEMO, "text": ["x"], "lang": "zh"}),
        (["explain", "x", KEY], {"text": ["x", KEY]}),
        (["run", "a.toml"], {"command": "run", "answers": "a.toml", "yes": False}),
    ],
)
def test_the_contract_can_be_typed(words: list[str], expected: dict[str, object]) -> None:
    options = vars(parse(words))
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["data"],
        ["doctor", "extra"],
        ["doctor", "--check"],
        ["doctor", "--jso"],
        ["doctor", "--", "ls"],
        ["--lang", "xx"],
        ["pull", "a", "b"],
        ["pull", "--via", "nobody"],
        ["pull", "--limit", "fast"],
        ["pull", "--connections", "0"],
        ["key"],
        ["run"],
        ["shell", "ls"],
    ],
)
def test_what_the_contract_does_not_know_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(Trouble) as caught:
        parse(words)
    assert caught.value.kind is Problem.BAD_INPUT
    assert any("usage:" in item.text for item in caught.value.evidence)


@pytest.mark.parametrize(
    "words",
    [
        ["key", "set", KEY],
        ["key", "set", LEGACY],
        ["key", KEY],
        ["key", "set", "--stdin", f"--key={KEY}"],
        ["key", "set", "canary-of-no-known-shape"],
        ["key", "canary-of-no-known-shape"],
        ["key", "set", "--store", "canary-of-no-known-shape"],
        ["key", "check", "canary-of-no-known-shape"],
        ["pull", KEY],
        [KEY],
        ["doctor", "--check", KEY],
        ["--log-file", KEY, "doctor"],
    ],
)
def test_a_key_on_the_command_line_is_refused_and_not_repeated(words: list[str]) -> None:
    with pytest.raises(Trouble) as caught:
        parse(words)
    trouble = caught.value
    said = repr((trouble.text, trouble.subject, trouble.hint, trouble.evidence))
    assert trouble.kind is Problem.BAD_INPUT
    assert "s2s-wizard key set" in trouble.hint
    assert not any(part in said for part in (KEY, LEGACY, "canary"))


def test_the_words_of_a_command_in_the_container_are_its_own_business() -> None:
    assert parse(["shell", "--", "echo", LEGACY]).words == ("echo", LEGACY)


@pytest.mark.parametrize(
    ("words", "locale", "expected"),
    [
        ([], "zh_CN.UTF-8", "zh"),
        (["--lang", "en"], "zh_CN.UTF-8", "en"),
        (["doctor", "--lang=zh"], "en_US.UTF-8", "zh"),
    ],
)
def test_the_language_is_chosen_before_anything_is_said(
    words: list[str], locale: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", locale)
    parse(words)
    assert i18n.language() == expected


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    said = capsys.readouterr().out
    for word in ("doctor", "fix", "undo", "key", "image", "pull", "up", "shell", "run", "130 interrupted"):
        assert word in said
