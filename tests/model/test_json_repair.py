"""A settings file is corrected where only one thing can have been meant, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.test_daemon_json import files
from wizard.model import daemon_json
from wizard.model.errors import Trouble
from wizard.model.json_repair import repaired

LONG = '{\n    "debug": true,\n    "log-opts": {\n        "max-size": "10m"\n    }\n}\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "{}\n"),
        (" \n", "{}\n"),
        ("\ufeff" + LONG, LONG),
        ('{"debug": true,}', '{"debug": true}'),
        ('{\n  "dns": ["1.1.1.1",\n  ],\n}\n', '{\n  "dns": ["1.1.1.1"\n  ]\n}\n'),
        (LONG.replace("true,", "true"), LONG),
        ('{"dns": ["1.1.1.1" "8.8.8.8"]}', '{"dns": ["1.1.1.1", "8.8.8.8"]}'),
        ('{\n  // mine\n  "debug": true\n}', '{\n  "debug": true\n}'),
        ('{\n  "debug": true // mine\n}', '{\n  "debug": true\n}'),
        ('{\n  "debug": true, # mine\n}', '{\n  "debug": true\n}'),
        ('{"debug": /* mine */ true}', '{"debug":  true}'),
        ('{"debug": true}\n# the end', '{"debug": true}\n'),
        ('\ufeff{\r\n  "a": 1\r\n  "b": 2,\r\n}', '{\r\n  "a": 1,\r\n  "b": 2\r\n}'),
    ],
)
def test_what_has_one_reading(before: str, after: str) -> None:
    found = repaired(before.encode())
    assert found is not None
    assert found.data.decode() == after
    assert found.done
    assert repaired(found.data) is None, "once is enough"


def test_comments_are_kept_for_a_file_of_their_own() -> None:
    found = repaired(b'{\n  # one\n  "debug": true /* two\n lines */\n}')
    assert found is not None
    assert found.comments == ("# one", "/* two\n lines */")


@pytest.mark.parametrize(
    "text",
    [
        '{"debug": true}',
        "{'debug': true}",
        "{“debug”: true}",
        '{"debug": true',
        '{"debug": true}}',
        '{"debug": True}',
        '{"debug" true}',
        '{"debug": "say "hi""}',
        '{"debug": true, "debug": false,}',
        '{"dns": ["1.1.1.1"] "x"}',
        '{"mtu": 1 500}',
        "{,}",
        '{"a": 1,, "b": 2}',
        "[]",
        '{"a": 1 /* no end',
        "\x00\x01",
    ],
)
def test_nothing_is_guessed(text: str) -> None:
    assert repaired(text.encode()) is None


def test_no_text_at_all() -> None:
    assert repaired(b'{"a": "\xff",}') is None


@given(files(), st.data())
def test_a_comma_more_or_less_is_found_again(file: tuple[dict[str, Any], bytes], data: st.DataObject) -> None:
    """Of a file in which one comma was lost or doubled at the end of an object, the same settings come back, or
    nothing is touched.
    """
    settings, text = file
    commas = [at for at, byte in enumerate(text) if byte == ord(",")]
    if not commas:
        return
    at = data.draw(st.sampled_from(commas))
    broken = text[:at] + text[at + 1 :]
    try:
        daemon_json.read(broken)
    except Trouble:
        found = repaired(broken)
        if found is not None:
            assert json.dumps(json.loads(found.data)) == json.dumps(settings)
            assert found.data == text or found.data.replace(b",", b"") == text.replace(b",", b"")


@given(st.binary(max_size=60))
def test_any_bytes_at_all(data: bytes) -> None:
    found = repaired(data)
    if found is not None:
        assert isinstance(daemon_json.read(found.data), dict)
