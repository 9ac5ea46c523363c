"""Translation of the words on the screen, by gettext.

``_`` and ``ngettext`` translate at the moment of the call, so a text that is built while the program
runs is written ``_("…")``. A text that is a constant of a module is marked with ``N_`` and translated
with ``_`` where it is shown. The language is one choice for the whole process, as it is for gettext itself.
"""

import gettext as _gettext
import os
from collections.abc import Mapping
from pathlib import Path

DOMAIN = "s2s-wizard"
LANGUAGES = {"en": "English", "zh": "简体中文"}

_locale_dir = Path(__file__).resolve().parent.parent / "locale"
_catalogue: _gettext.NullTranslations = _gettext.NullTranslations()
_language = "en"


def use(language: str) -> None:
    """Speak ``language`` (a key of ``LANGUAGES``) from now on. Raises ValueError for any other."""
    global _catalogue, _language
    if language not in LANGUAGES:
        raise ValueError(language)
    _catalogue = (
        _gettext.NullTranslations()
        if language == "en"
        else _gettext.translation(DOMAIN, _locale_dir, languages=[language], fallback=True)
    )
    _language = language


def language() -> str:
    """The language in use, a key of ``LANGUAGES``."""
    return _language


def preferred(environ: Mapping[str, str] | None = None) -> str:
    """The language that the user's locale asks for, by the usual order of variables; English otherwise."""
    env = os.environ if environ is None else environ
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = env.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def _(message: str) -> str:
    """``message`` in the language in use."""
    return _catalogue.gettext(message) if message else ""


def ngettext(singular: str, plural: str, n: int) -> str:
    """The form of a counted text that belongs to ``n``; the caller fills in the number."""
    return _catalogue.ngettext(singular, plural, n)


def N_(message: str) -> str:
    """Marks a constant for translation and returns it as it is."""
    return message
