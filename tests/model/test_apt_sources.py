"""apt's lists of package sources."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wizard.model import apt_sources
from wizard.model.apt_sources import Source

LIST = """
# deb http://example.org/off stable main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] https://example.org/debian/ stable main  # why
deb-src https://example.org/debian stable main
deb [ signed-by=/b.asc ] http://example.org/flat ./
deb
rubbish
"""
SOURCES = """\
# a comment
Types: deb deb-src
URIs: https://example.org/debian https://mirror.example.org/debian
Suites: stable
 stable-updates
Components: main
Signed-By: /usr/share/keyrings/a.gpg

Enabled: no
Types: deb
URIs: https://example.org/off
Suites: stable

Types: deb
URIs: https://example.org/flat
Suites: ./
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
"""


def test_a_list_of_lines() -> None:
    found = apt_sources.read("/a.list", LIST.encode())
    assert found == (
        Source("/a.list", "https://example.org/debian/", "stable", "/usr/share/keyrings/a.gpg"),
        Source("/a.list", "https://example.org/debian", "stable", ""),
        Source("/a.list", "http://example.org/flat", "./", "/b.asc"),
    )
    assert found[0].host == "example.org"


def test_a_list_of_paragraphs() -> None:
    found = apt_sources.read("/a.sources", SOURCES.encode())
    assert [(source.uri, source.suite) for source in found] == [
        ("https://example.org/debian", "stable"),
        ("https://example.org/debian", "stable-updates"),
        ("https://mirror.example.org/debian", "stable"),
        ("https://mirror.example.org/debian", "stable-updates"),
        ("https://example.org/flat", "./"),
    ]
    assert found[0].signed_by == "/usr/share/keyrings/a.gpg"
    assert "BEGIN PGP" in found[-1].signed_by


def test_the_same_place_with_different_keys_is_a_conflict() -> None:
    one, same, other = apt_sources.read("/a.list", LIST.encode())
    assert apt_sources.conflicts((one, other)) == {}
    assert apt_sources.conflicts((one, one)) == {}
    assert list(apt_sources.conflicts((one, same, other)).values()) == [(one, same)], "a slash at the end is no matter"
    assert apt_sources.conflicts((same, one)) == {}, "apt takes the key that comes later for both"
    assert len(apt_sources.conflicts((same, one, same))) == 1


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    for path in ("/a.list", "/a.sources"):
        assert all(source.file == path for source in apt_sources.read(path, data))
