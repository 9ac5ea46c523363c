"""daemon.json is read by the letter and edited without touching a byte that is not ours."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model import daemon_json
from wizard.model.engine import DaemonProcess, EngineKind
from wizard.model.errors import Problem, Trouble

PATH = "/usr/bin/nvidia-container-runtime"

keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | keys
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
entries = st.fixed_dictionaries({}, optional={"path": keys, "runtimeArgs": st.lists(keys, max_size=2), "args": values})
runtimes = st.dictionaries(keys.filter(lambda name: name != "nvidia"), entries, max_size=2)


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Settings with or without runtimes, with or without our entry, in any order."""
    found: dict[str, Any] = draw(st.dictionaries(keys.filter(lambda key: key != "runtimes"), values, max_size=4))
    if draw(st.booleans()):
        found["runtimes"] = draw(runtimes)
        if draw(st.booleans()):
            found["runtimes"]["nvidia"] = draw(entries)
    order = draw(st.permutations(list(found)))
    return {key: found[key] for key in order}


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """The same settings as somebody may have written them: indent, separators, line ends, white space around."""
    found = draw(settings())
    text = json.dumps(
        found,
        indent=draw(st.sampled_from([None, 0, 1, 2, 4, "\t"])),
        separators=draw(st.sampled_from([None, (",", ":"), (", ", " : ")])),
        ensure_ascii=draw(st.booleans()),
    )
    text = draw(st.sampled_from(["", " ", "\n"])) + text + draw(st.sampled_from(["", "\n", "\n\n", "  "]))
    # A raw line end cannot stand inside a JSON text, so this changes only the white space.
    return found, text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))).encode()


@given(files())
def test_reading_agrees_with_the_standard_library(file: tuple[dict[str, Any], bytes]) -> None:
    found, data = file
    assert daemon_json.read(data) == found


@given(files())
def test_the_edit_says_what_was_meant_and_nothing_else(file: tuple[dict[str, Any], bytes]) -> None:
    before, data = file
    expected = copy.deepcopy(before)
    expected.setdefault("runtimes", {}).setdefault("nvidia", {})["path"] = PATH
    after = daemon_json.with_runtime(data, "nvidia", PATH)
    # As text, so that the order of the keys counts and 1 is not 1.0.
    assert json.dumps(json.loads(after)) == json.dumps(expected)
    assert daemon_json.with_runtime(after, "nvidia", PATH) == after, "a second time changes nothing"


@given(files())
def test_every_byte_that_is_not_ours_stays(file: tuple[dict[str, Any], bytes]) -> None:
    before, data = file
    after = daemon_json.with_runtime(data, "nvidia", PATH)
    start = next((i for i, (a, b) in enumerate(zip(data, after, strict=False)) if a != b), min(len(data), len(after)))
    end = 0
    while end < len(data) - start and end < len(after) - start and data[-1 - end] == after[-1 - end]:
        end += 1
    gone = data[start : len(data) - end].decode()
    if "path" in before.get("runtimes", {}).get("nvidia", {}):
        old = before["runtimes"]["nvidia"]["path"]
        assert gone in json.dumps(old) or gone in json.dumps(old, ensure_ascii=False), "only the old path may go"
    else:
        assert gone.strip() == "", "only white space in an empty pair of braces may go"
    if b"\r\n" in data:
        assert after.count(b"\n") == after.count(b"\r\n"), "the line ends stay of one kind"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}\n", '{\n    "runtimes": {\n        "nvidia": {\n            "path": "P"\n        }\n    }\n}\n'),
        ('{"debug":true}', '{"debug":true,"runtimes":{"nvidia":{"path":"P"}}}'),
        ('{"debug": true}', '{"debug": true, "runtimes": {"nvidia": {"path": "P"}}}'),
        (
            '{\n  "debug": true,\n  "runtimes": {\n    "x": {"path": "/x"}\n  }\n}',
            (
                '{\n  "debug": true,\n  "runtimes": {\n    "x": {"path": "/x"},\n'
                '    "nvidia": {\n      "path": "P"\n    }\n  }\n}'
            ),
        ),
        (
            '{\n\t"runtimes": {},\n\t"debug": true\n}\n',
            '{\n\t"runtimes": {\n\t\t"nvidia": {\n\t\t\t"path": "P"\n\t\t}\n\t},\n\t"debug": true\n}\n',
        ),
        (
            '{"runtimes": {"nvidia": {"path": "/gone", "runtimeArgs": ["--debug"]}}}',
            '{"runtimes": {"nvidia": {"path": "P", "runtimeArgs": ["--debug"]}}}',
        ),
        (
            '{\r\n  "a": 9007199254740993\r\n}\r\n',
            (
                '{\r\n  "a": 9007199254740993,\r\n'
                '  "runtimes": {\r\n    "nvidia": {\r\n      "path": "P"\r\n    }\r\n  }\r\n}\r\n'
            ),
        ),
    ],
)
def test_the_style_of_the_file_is_kept(before: str, after: str) -> None:
    assert daemon_json.with_runtime(before.encode(), "nvidia", "P").decode() == after


@pytest.mark.parametrize("data", [None, b"", b" \n"])
def test_a_missing_or_empty_file_becomes_a_new_one(data: bytes | None) -> None:
    made = daemon_json.with_runtime(data, "nvidia", PATH)
    assert json.loads(made) == {"runtimes": {"nvidia": {"path": PATH}}}
    assert made.endswith(b"}\n")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{"a": 1,}', "Line 1, column 9"),
        (b'{\n  "a": 1\n  "b": 2\n}', "Line 3, column 3"),
        (b'{\n  // a comment\n  "a": 1\n}', "comments"),
        (b'{\n  "a": 1,\n  "b": 2,\n  "a": 3\n}', "Line 4, column 3"),
        (b'{"runtimes": {"nvidia": {"path": "/a", "path": "/b"}}}', "twice"),
        (b"\xef\xbb\xbf{}", "Line 1, column 1"),
        (b'{"a": "\xff"}', "Line 1, column 8"),
        (b'{"a": 1', "ends too early"),
        (b'{"a": 1} x', "Line 1, column 10"),
        (b'{"a": 01}', "Line 1, column 7"),
        (b'{"a": NaN}', "Line 1, column 7"),
        (b"{'a': 1}", "quotation marks"),
        (b'{"a": "line\nend"}', "Line 1, column 7"),
        (b"[]", "braces"),
        (b'{"a":' + b"[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_not_plain_json_is_refused_with_its_place(data: bytes, place: str) -> None:
    for attempt in (
        lambda: daemon_json.read(data, "/etc/x.json"),
        lambda: daemon_json.with_runtime(data, "nvidia", PATH, "/etc/x.json"),
    ):
        with pytest.raises(Trouble) as caught:
            attempt()
        assert caught.value.kind is Problem.BAD_INPUT
        assert caught.value.subject == "/etc/x.json"
        assert place in caught.value.text


@pytest.mark.parametrize(
    "data",
    [
        b'{"runtimes": null}',
        b'{"runtimes": "nvidia"}',
        b'{"runtimes": {"nvidia": []}}',
        b'{"runtimes": {"nvidia": {"path": 1}}}',
    ],
)
def test_a_value_of_another_type_is_refused_not_replaced(data: bytes) -> None:
    with pytest.raises(Trouble) as caught:
        daemon_json.with_runtime(data, "nvidia", PATH)
    assert caught.value.kind is Problem.BAD_INPUT
    assert "Line 1, column" in caught.value.text


def test_the_file_of_the_daemon_that_answers() -> None:
    def path(kind: EngineKind, *argv: str, **environ: str) -> str | None:
        return daemon_json.config_path(kind, DaemonProcess(1, ("dockerd", *argv)), "/home/mei", environ)

    assert path(EngineKind.ENGINE) == "/etc/docker/daemon.json"
    assert path(EngineKind.ENGINE, "--config-file", "/srv/d.json") == "/srv/d.json"
    assert path(EngineKind.ENGINE, "--config-file=/srv/d.json") == "/srv/d.json"
    assert path(EngineKind.ROOTLESS) == "/home/mei/.config/docker/daemon.json"
    assert path(EngineKind.ROOTLESS, XDG_CONFIG_HOME="/cfg") == "/cfg/docker/daemon.json"
    assert path(EngineKind.SNAP) == "/var/snap/docker/current/config/daemon.json"
    assert [path(kind) for kind in (EngineKind.REMOTE, EngineKind.DESKTOP, EngineKind.PODMAN)] == [None] * 3


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        ('{"a": 1, "b": 2}', "a", '{"b": 2}'),
        ('{"a": 1, "b": 2}', "b", '{"a": 1}'),
        ('{\n  "a": 1,\n  "b": {\n    "c": []\n  },\n  "d": 3\n}\n', "b", '{\n  "a": 1,\n  "d": 3\n}\n'),
        ('{\n  "a": 1,\n  "b": 2\n}\n', "b", '{\n  "a": 1\n}\n'),
        ('{\n  "a": 1\n}\n', "a", "{}\n"),
        ('{"a": 1}', "z", '{"a": 1}'),
    ],
)
def test_a_key_goes_with_its_comma(before: str, key: str, after: str) -> None:
    assert daemon_json.without_key(before.encode(), key).decode() == after


@given(files(), st.data())
def test_without_a_key_the_others_say_the_same(file: tuple[dict[str, Any], bytes], data: st.DataObject) -> None:
    found, text = file
    if not found:
        return
    key = data.draw(st.sampled_from(sorted(found)))
    rest = {name: value for name, value in found.items() if name != key}
    assert json.dumps(json.loads(daemon_json.without_key(text, key))) == json.dumps(rest)


def test_keys_that_stand_twice() -> None:
    text = b'{\n  "a": {"x": 1, "x": 1},\n  "b": 2,\n  "a": {"x": 1, "x": 1}\n}'
    found = daemon_json.twice(text)
    assert [(item.path, item.lines, item.same) for item in found] == [
        (("a", "x"), (2, 2), True),
        (("a",), (2, 4), True),
        (("a", "x"), (4, 4), True),
    ]
    assert daemon_json.without_twins(text) == b'{\n  "a": {"x": 1},\n  "b": 2\n}'
    assert daemon_json.without_twins(b'{"a": 1}') == b'{"a": 1}'
    for other in (b'{"a": 1, "a": 1.0}', b'{"a": {}, "a": []}', b'{"a": true, "b": 0, "a": false}'):
        assert [item.same for item in daemon_json.twice(other)] == [False]
        with pytest.raises(Trouble) as caught:
            daemon_json.without_twins(other)
        assert "different values" in caught.value.text


def test_a_file_of_many_keys_is_read_in_no_time() -> None:
    text = json.dumps({f"key-{number}": number for number in range(100_000)}).encode()
    assert len(daemon_json.read(text)) == 100_000
