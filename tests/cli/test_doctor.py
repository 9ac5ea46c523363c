from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Keyboard
from wizard.demo import machine
from wizard.services import checks

Sit = Callable[[str], Keyboard]


@pytest.mark.parametrize("name", machine.names())
def test_words_and_json_agree_on_every_machine(at: Sit, name: str) -> None:
    keyboard = at(name)
    words, data = keyboard("doctor"), keyboard("doctor", "--json")
    document = data.document
    assert words.code == data.code == (0 if document["ready"] else 1)
    assert [finding["id"] for finding in document["findings"]] == [check.id for check in checks.ALL]
    table = words.out.splitlines()[: len(checks.ALL)]
    for line, finding in zip(table, document["findings"], strict=True):
        assert finding["title"] in line
        assert finding["summary"] in line
        assert line.startswith({"skipped": "[skip]", "warning": "[warn]", "unknown": "[?]"}.get(finding["status"], "["))
    assert f'Simulated machine "{name}"' in words.err
    assert document["host"]["machine"] == name


def test_a_healthy_machine_is_ready(at: Sit) -> None:
    ended = at("healthy")("doctor")
    assert ended.code == 0
    assert ended.out.endswith("Ready.\n")


def test_what_is_wrong_is_explained_at_the_end_with_the_command_that_repairs_it(at: Sit) -> None:
    ended = at("unknown-runtime")("doctor")
    assert ended.code == 1
    explained = ended.out.split("\n\n")[1]
    assert explained.startswith("[error] ")
    assert "GET /info" in explained
    assert "Repair: s2s-wizard --demo unknown-runtime fix register-runtime" in explained
    assert ended.out.endswith("Not ready yet: 1 problem.\n")


def test_the_summaries_stand_in_one_column_in_chinese_too(at: Sit) -> None:
    from wizard.cli.console import width

    keyboard = at("healthy")
    for language in ("en", "zh"):
        data = keyboard("--lang", language, "doctor", "--json").document
        table = keyboard("--lang", language, "doctor").out.splitlines()
        columns = {
            width(line[: line.index(finding["summary"])])
            for line, finding in zip(table, data["findings"], strict=False)
        }
        assert len(columns) == 1


def test_single_checks(at: Sit) -> None:
    ended = at("no-docker")("doctor", "--check", "gpu.driver", "disk.space", "--json")
    assert [finding["id"] for finding in ended.document["findings"]] == ["gpu.driver", "disk.space"]
    assert ended.code == 0


def test_an_unknown_check_is_wrong_usage_and_the_known_ones_are_named(at: Sit) -> None:
    ended = at("healthy")("doctor", "--check", "gpu.colour")
    assert ended.code == 2
    assert ended.out == ""
    assert '"gpu.colour"' in ended.err
    assert "runtime.registered" in ended.err


def test_the_list(at: Sit) -> None:
    keyboard = at("no-docker")
    ended = keyboard("doctor", "--list")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()] == [check.id for check in checks.ALL]
    listed = keyboard("doctor", "--list", "--json").document["checks"]
    assert {item["id"]: item["requires"] for item in listed} == {check.id: list(check.requires) for check in checks.ALL}
