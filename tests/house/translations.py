"""The translation files, brought up to date from the source.

    python -m tests.house.translations

Extracts every marked text and the texts of the catalogues in wizard/knowledge, merges them into
``wizard/locale/*/LC_MESSAGES/s2s-wizard.po``, and compiles the ``.mo`` files that the program reads. What is still
untranslated is printed.
"""

from __future__ import annotations

import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from wizard.knowledge import configs, daemon_errors, training_failures

ROOT = Path(__file__).resolve().parents[2]
LOCALE = ROOT / "wizard" / "locale"
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}


def messages() -> Catalog:
    """Every text that the program can say, with the files that say it."""
    catalogue = Catalog(project="s2s-wizard", charset="utf-8")
    for package in ("wizard", "screens"):
        found = extract_from_dir(
            ROOT / package, [("**.py", "python")], keywords=KEYWORDS, comment_tags=("Translators:",)
        )
        for name, _line, message, comments, _context in found:
            catalogue.add(message, locations=[(f"{package}/{name}", 0)], auto_comments=comments)
    causes = daemon_errors.FOLDER.relative_to(ROOT)
    for name, text in daemon_errors.messages():
        catalogue.add(text, locations=[((causes / name).as_posix(), 0)])
    knowledge = training_failures.FILE.parent.relative_to(ROOT)
    for name, text in (*training_failures.messages(), *configs.messages()):
        catalogue.add(text, locations=[((knowledge / name).as_posix(), 0)])
    return catalogue


def path(language: str, suffix: str) -> Path:
    """The catalogue's file of a language: ``.po`` for people, ``.mo`` for the program."""
    return LOCALE / language / "LC_MESSAGES" / f"s2s-wizard{suffix}"


def read(language: str) -> Catalog:
    """The translations as they stand in the repository."""
    with path(language, ".po").open("rb") as stream:
        return read_po(stream, locale=language)


def compiled(catalogue: Catalog) -> bytes:
    """The bytes of the ``.mo`` file."""
    stream = io.BytesIO()
    write_mo(stream, catalogue)
    return stream.getvalue()


def update(language: str) -> list[str]:
    """Merges new texts into a language's file and compiles it; the texts that have no translation yet."""
    catalogue = read(language) if path(language, ".po").exists() else Catalog(locale=language, charset="utf-8")
    made = catalogue.creation_date  # kept, so that a run without new texts changes nothing
    catalogue.update(messages(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.creation_date = made
    catalogue.fuzzy = False
    catalogue.project, catalogue.version = "s2s-wizard", "1"
    catalogue.header_comment = (
        "# The words of s2s-wizard in another language. Kept by: python -m tests.house.translations"
    )
    catalogue.last_translator = catalogue.language_team = "s2s-wizard"
    catalogue.msgid_bugs_address = "s2s-wizard"
    catalogue.revision_date = made
    path(language, ".po").parent.mkdir(parents=True, exist_ok=True)
    with path(language, ".po").open("wb") as stream:
        write_po(stream, catalogue, width=100, sort_output=True, omit_header=False, include_lineno=False)
    path(language, ".mo").write_bytes(compiled(catalogue))
    return [str(message.id) for message in catalogue if message.id and not any(_strings(message.string))]


def _strings(value: object) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (str(value or ""),)


if __name__ == "__main__":
    for text in update("zh"):
        print("untranslated:", text)
