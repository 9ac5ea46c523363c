"""Everything that the program says can be said in Chinese, with the same placeholders."""

from __future__ import annotations

import ast
import re

import pytest
from babel.messages.catalog import Catalog, Message

from tests.house import translations
from wizard.model import i18n

PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def pairs() -> list[tuple[str, str]]:
    catalogue = translations.read("zh")
    result: list[tuple[str, str]] = []
    for message in catalogue:
        if message.id:
            ids = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
            result.extend((ids[-1], text) for text in translations._strings(message.string))
    return result


def test_every_text_of_the_program_is_in_the_catalogue() -> None:
    here = translations.read("zh")
    missing = [message.id for message in translations.messages() if message.id and not _find(here, message)]
    assert missing == [], "run: python -m tests.house.translations"


def test_no_text_is_marked_inside_an_f_string() -> None:
    """Before Python 3.12 such a string is one piece to whoever extracts the texts."""
    hidden = [
        f"{path.name}:{node.lineno}"
        for package in ("wizard", "screens")
        for path in (translations.ROOT / package).rglob("*.py")
        for joined in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(joined, ast.JoinedStr)
        for node in ast.walk(joined)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in translations.KEYWORDS
        and isinstance(node.args[0], ast.Constant)
    ]
    assert hidden == []


def _find(catalogue: Catalog, message: Message) -> bool:
    return catalogue.get(message.id) is not None


def test_every_text_is_translated_and_keeps_its_placeholders() -> None:
    wrong = [
        (text, translated)
        for text, translated in pairs()
        if not translated or set(PLACEHOLDER.findall(text)) != set(PLACEHOLDER.findall(translated))
    ]
    assert wrong == []


def test_the_compiled_file_is_the_one_of_these_texts() -> None:
    assert translations.path("zh", ".mo").read_bytes() == translations.compiled(translations.read("zh"))


def test_the_language_changes_what_is_said() -> None:
    text = next(text for text, translated in pairs() if text != translated and "{" not in text)
    i18n.use("zh")
    try:
        assert i18n._(text) != text
    finally:
        i18n.use("en")
    assert i18n._(text) == text


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="xx"):
        i18n.use("xx")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANGUAGE": "zh:en", "LANG": "C"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_locale_chooses_the_language(environ: dict[str, str], expected: str) -> None:
    assert i18n.preferred(environ) == expected
