"""The catalogue of daemon errors: it is whole, it finds each cause in every envelope, and no text makes it slow."""

from __future__ import annotations

import importlib
import random
import re
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.envelopes import COMBINED, ENVELOPES, NOISE
from wizard.knowledge import daemon_errors
from wizard.knowledge.daemon_errors import causes, compiled, find, needles
from wizard.model import envelope
from wizard.model.cause import Cause
from wizard.services.fixes import ALL as REPAIRS

NAMES = """
api-version-mismatch apt-signed-by bind-source-missing captive-portal cdi-not-enabled cdi-unresolvable
conf-add-runtime-bad conf-cgroupdriver-bad conf-conflict-other conf-conflict-runtimes conf-default-runtime-missing
conf-file-missing-or-dir conf-json-syntax conf-other-invalid conf-runtime-entry-invalid conf-runtime-name-reserved
conf-unknown-key conf-wrong-type connection-refused-registry container-missing container-not-running credstore-missing
cuda-too-new daemon-disk-full daemon-unreachable device-cgroup-rule-bad device-missing device-unknown dns-failure
docker-cli-missing docker-config-json-bad docker-context-missing docker-desktop-context docker-host-wrong
docker-tls-missing dockerd-already-running exec-not-found exec-permission fd-host-no-activation gpus-flag-too-old
gpus-no-driver hook-mode-direct hook-removed-after-start http-vs-https image-missing-local image-ref-bad
layer-interrupted ldconfig-missing limits-invalid login-non-tty manifest-unknown name-conflict name-invalid
ngc-driver-too-old ngc-gpu-unsupported ngc-no-driver ngc-shmem no-devices no-matching-platform no-space-pull not-a-tty
nouveau nvcli-cgroup nvcli-driver-not-loaded nvcli-file-exists nvcli-lib-missing nvcli-missing nvml-blocked
nvml-permissions nvml-unknown-error nvml-version-mismatch nvruntime-jit-cdi-no-driver oom-137 persistenced-socket
port-allocated port-bad-address port-in-use-host proxy-failure pull-access-denied registry-5xx rlimit-not-permitted
rm-running runtime-binary-missing runtime-exits-early runtime-false-ok runtime-lowlevel-missing runtime-not-executable
runtime-unknown schema1-image secure-boot shim-dead shim-oom-score shm-size-bad sigbus-shm smi-lib-missing snap-docker
sock-permission systemd-docker-failed systemd-two-execstart toolkit-config-toml-broken toomanyrequests ulimit-bad
unauthorized volume-spec-bad wsl-no-adapter x509-name x509-unknown-authority
"""
IDS = frozenset(NAMES.split())
SAMPLES = [(cause.id, sample) for cause in causes() for sample in cause.samples]
BARE = {
    ("container-not-running", "Error response from daemon: Container <ID> is not running"),
    ("container-not-running", "Error response from daemon: container <ID> is not running"),
    ("docker-cli-missing", "nvidia-docker: command not found"),
    ("layer-interrupted", "read tcp 127.0.0.1:48518->127.0.0.1:5903: read: connection reset by peer"),
    ("layer-interrupted", "unexpected EOF"),
    ("no-devices", "No devices were found"),
    ("pull-access-denied", "Error response from daemon: denied"),
}
"""Words that many programs use: they mean something only where Docker is seen to have said them."""
ENOUGH = 0.97
M = 1_000_000


def first(text: str) -> str:
    found = find(text)
    return found[0].cause.id if found else ""


def test_every_cause_is_there_once() -> None:
    assert len(IDS) == 107
    assert sorted(cause.id for cause in causes()) == sorted(IDS)
    assert all(daemon_errors.by_id(id_).id == id_ for id_ in IDS)


@pytest.mark.parametrize("cause", causes(), ids=lambda cause: cause.id)
def test_a_row_is_well_formed(cause: Cause) -> None:
    assert cause.title
    assert "\n" not in cause.title + cause.cause + "".join(cause.advice)
    assert not cause.title.endswith(".")
    assert cause.cause.endswith(".")
    assert cause.advice
    assert cause.patterns
    assert cause.samples
    assert cause.links
    assert all(link.url.startswith("https://") for link in cause.links)
    assert set(cause.fixes) <= {repair.id for repair in REPAIRS}
    assert 10 <= cause.depth <= 99
    assert len(set(cause.patterns)) == len(cause.patterns)


@pytest.mark.parametrize(("id_", "sample"), SAMPLES, ids=[f"{id_}-{n}" for n, (id_, _sample) in enumerate(SAMPLES)])
def test_a_verbatim_text_names_its_cause_first(id_: str, sample: str) -> None:
    match = find(sample)[0]
    assert match.cause.id == id_
    assert match.text
    assert all(match.groups.values())


@pytest.mark.parametrize("cause", [cause for cause in causes() if cause.near], ids=lambda cause: cause.id)
def test_what_only_looks_alike_is_not_taken_for_it(cause: Cause) -> None:
    for near in cause.near:
        assert cause.id not in [match.cause.id for match in find(near)], near


@pytest.mark.parametrize("name", [*ENVELOPES, *COMBINED])
def test_a_cause_is_found_first_in_every_envelope(name: str) -> None:
    wrap = {**ENVELOPES, **COMBINED}[name]
    missed = [(id_, sample) for id_, sample in SAMPLES if first(wrap(sample)) != id_]
    assert len(missed) <= (1 - ENOUGH) * len(SAMPLES), missed
    assert [item for item in missed if item not in BARE and item[0] != "docker-desktop-context"] == []


@settings(max_examples=150, deadline=None)
@given(
    item=st.sampled_from([item for item in SAMPLES if item not in BARE]),
    inner=st.sampled_from(["run, to 27", "run, from 28", "api", "journal", "compose", "plain"]),
    outer=st.sampled_from(["noise", "much noise", "windows", "colours", "hard 80", "soft 80", "bom", "nuls", "mail"]),
    before=st.integers(0, 300),
    after=st.integers(0, 300),
)
def test_a_cause_is_found_wherever_it_stands_in_a_log(
    item: tuple[str, str], inner: str, outer: str, before: int, after: int
) -> None:
    id_, sample = item
    noise = [NOISE[number % len(NOISE)].format(number % 60) for number in range(before + after)]
    text = "\n".join([*noise[:before], ENVELOPES[outer](ENVELOPES[inner](sample)), *noise[before:]])
    assert id_ in [match.cause.id for match in find(text)]


def test_what_a_text_is_about_is_handed_on() -> None:
    assert find("docker: Error response from daemon: unknown or invalid runtime name: nvidia.")[0].groups == {
        "subject": "nvidia"
    }
    assert find("nvidia-container-cli: device error: 0:0: unknown device")[0].groups == {"subject": "0:0"}


def test_the_matching_line_can_be_recognised() -> None:
    said = (
        'time="2026-11-22T12:00:01Z" level=error msg="could not select device driver \\"\\" with capabilities: [[gpu]]"'
    )
    assert find(f"one\n{said}\ntwo")[0].text == 'could not select device driver "" with capabilities: [[gpu]]'
    long = find("x " * 900 + "Unknown runtime specified nvidia" + " y" * 900)[0].text
    assert "Unknown runtime specified nvidia" in long
    assert len(long) < 500


@pytest.mark.parametrize(
    ("root", "consequence"),
    [
        ("gpus-no-driver", "name-conflict"),
        ("conf-json-syntax", "systemd-docker-failed"),
        ("conf-json-syntax", "daemon-unreachable"),
        ("systemd-two-execstart", "systemd-docker-failed"),
        ("conf-conflict-other", "runtime-unknown"),
        ("secure-boot", "nvcli-driver-not-loaded"),
        ("nouveau", "nvcli-driver-not-loaded"),
        ("nvcli-driver-not-loaded", "name-conflict"),
        ("runtime-binary-missing", "container-not-running"),
    ],
)
@pytest.mark.parametrize("root_first", [True, False])
def test_the_root_comes_before_what_follows_from_it(root: str, consequence: str, root_first: bool) -> None:
    texts = [daemon_errors.by_id(root).samples[0], daemon_errors.by_id(consequence).samples[0]]
    noise = "\n".join(line.format(7) for line in NOISE)
    text = f"\n{noise}\n".join(texts if root_first else texts[::-1])
    assert [match.cause.id for match in find(text)] == [root, consequence]


def test_a_cause_is_named_once_however_often_it_is_said() -> None:
    assert [match.cause.id for match in find("Unknown runtime specified nvidia\n" * 5000)] == ["runtime-unknown"]


def test_a_client_that_gave_up_waiting_is_no_cause() -> None:
    said = 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n'
    waited = 'time="2020-05-01T10:00:00Z" level=error msg="error waiting for container: context canceled" \n'
    assert [match.cause.id for match in find(said + waited)] == ["gpus-no-driver"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\r\n ",
        "\0" * 10_000,
        "\ufeff",
        "the weather is fine",
        "Fehler: Die Datei wurde nicht gefunden",
        "错误:找不到文件,请检查路径",
        "エラー: ファイルが見つかりません",
        "docker: Error response from daemon: something that nobody has ever seen.",
        '{"message":"something else"}',
        "{no json",
        "Auto-detected mode as 'legacy'",
        random.Random(3).randbytes(200_000).decode("utf-8", "replace"),
        random.Random(4).randbytes(200_000).decode("latin-1"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_unknown_text_is_unknown(text: str) -> None:
    assert find(text) == ()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=400))
def test_no_text_makes_it_fail(text: str) -> None:
    find(text)
    find(f"Unknown runtime specified {text}\n{text}")


def test_of_a_very_long_text_both_ends_are_read() -> None:
    filler = "one line of a log that goes on and on\n" * (6 * M // 38)
    said = "docker: Error response from daemon: Unknown runtime specified nvidia.\n"
    assert [match.cause.id for match in find(filler + said)] == ["runtime-unknown"]
    assert [match.cause.id for match in find(said + filler)] == ["runtime-unknown"]
    assert len(envelope.cleaned(filler)) <= envelope.LONGEST + 1


def parser() -> Any:
    return importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


def repeats(parsed: Any, unbounded: bool = False) -> list[str]:
    """What is wrong with the quantifiers of a parsed pattern: one without a bound within another, and long ones."""
    wrong: list[str] = []
    for kind, value in parsed:
        name = str(kind)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, body = value
            endless = high is parser().MAXREPEAT or int(high) > envelope.AROUND
            if unbounded and high != 1:
                wrong.append("a quantifier within one without a bound")
            if endless and any(str(item[0]) in ("ANY", "NOT_LITERAL") for item in body):
                wrong.append("a gap without a bound")
            del low
            wrong += repeats(body, unbounded or endless)
        elif name == "SUBPATTERN":
            wrong += repeats(value[3], unbounded)
        elif name == "BRANCH":
            for branch in value[1]:
                wrong += repeats(branch, unbounded)
        elif name in ("ASSERT", "ASSERT_NOT"):
            wrong += repeats(value[1], unbounded)
    return wrong


@pytest.mark.parametrize("cause", causes(), ids=lambda cause: cause.id)
def test_the_patterns_are_quick_by_their_form(cause: Cause) -> None:
    for pattern in cause.patterns:
        compiled(pattern)
        assert all(parts for parts in needles(pattern)), pattern
        assert repeats(parser().parse(pattern)) == [], pattern


def test_the_form_of_slow_patterns_is_seen() -> None:
    assert repeats(parser().parse(r"(?:a+)+b"))
    assert repeats(parser().parse(r"begin .* end"))
    assert not repeats(parser().parse(r"begin [^\n]{0,200} end \S+"))


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        (r"unknown runtime specified (?P<subject>[\w.-]+)", (("unknown runtime specified ",),)),
        (r"could not\s+Find (?:a|b) thing", (("could not", " thing", "find "),)),
        (r"suc+essfully? done", (("essfull", " done", "suc"),)),
        (r"first words|second \(one\)", (("first words",), ("second (one)",))),
        (r"[^\]a]{3}literal(?!long lookahead)", (("literal",),)),
        (r"from daemon:\n(?:error: )?denied$", (("denied",),)),
    ],
)
def test_the_literal_parts_of_a_pattern(pattern: str, parts: tuple[tuple[str, ...], ...]) -> None:
    assert needles(pattern) == parts


@pytest.mark.parametrize("pattern", [r"\w+: (?:a|b)", r"long enough|\d+", r"(?:all in a group)"])
def test_a_pattern_without_literal_parts_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no literal part"):
        needles(pattern)


HOSTILE = {
    "letters": "a",
    "blanks": " ",
    "lines": "\n",
    "short lines": "a\n",
    "quotes": '"',
    "backslashes": "\\",
    "escaped quotes": '\\\\\\"',
    "escaped lines": "\\n",
    "braces": "{",
    "message": '{"message":"',
    "escapes": "\x1b[",
    "titles": "\x1b]0;",
    "colours as text": "^[[3",
    "rows of a terminal": "x" * 79 + " ",
    "full rows": "x" * 80 + "\n",
    "prefixes": "docker: Error response from daemon: ",
    "journal": 'time="x" level=error msg="',
    "help": "See 'docker run ",
    "mail": "> ",
    "oci": "failed to create shim task: OCI runtime create failed: unable to retrieve OCI runtime error (open ",
    "oci, lines": "unable to retrieve OCI runtime error (open \n",
    "config": "unable to configure the Docker daemon with file ",
    "get": 'Get "https://a/v2/": ',
    "unauthorized": "unauthorized: ",
    "exec": 'exec: "',
    "network": "error during connect: ",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_length_only(name: str) -> None:
    """Four times the text may take some four times as long; what grows with the square takes sixteen times."""
    find("warm")
    known = "\ndocker: Error response from daemon: Unknown runtime specified\n"

    def seconds(length: int) -> float:
        text = (HOSTILE[name] * (length // len(HOSTILE[name]) + 1))[:length] + known
        begin = time.process_time()
        find(text)
        return time.process_time() - begin

    ratios = []
    for _attempt in range(3):  # a busy machine disturbs one measurement, not all
        ratios.append(seconds(M) / max(seconds(M // 4), 0.002))
        if ratios[-1] < 8:
            return
    pytest.fail(f"four times the text took {ratios} times as long")


def test_the_patterns_words_over_and_over_are_no_trouble() -> None:
    """Each pattern on its own words repeated: as quick on a block as its form promises, for all patterns together."""
    short = long = 0.0
    for cause in causes():
        for pattern in cause.patterns:
            words = (" ".join(needles(pattern)[0]) + " ") * 400
            for length in (4_000, 16_000):
                text = words[:length].ljust(length, "x")
                begin = time.process_time()
                for _match in compiled(pattern).finditer(text):
                    pass
                taken = time.process_time() - begin
                if length == 4_000:
                    short += taken
                else:
                    long += taken
    assert long / short < 8


def test_white_space_in_the_catalogue_is_single() -> None:
    """The text that patterns see has single blanks, so a double one in a pattern could never match."""
    wrong = [
        (cause.id, pattern)
        for cause in causes()
        for pattern in cause.patterns
        if re.search(r"  ", re.sub(r"\[[^\]]*\]", "", pattern))
    ]
    assert wrong == []
