from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from tests.cli.conftest import Keyboard
from tests.cli.test_console import Screen
from wizard.demo.commands import SimPrivilege

Sit = Callable[[str], Keyboard]
CONFIG = "/etc/docker/daemon.json"


def config(keyboard: Keyboard) -> bytes:
    content = keyboard.host.files.read(CONFIG)
    assert content is not None
    return content.data


def give_password(keyboard: Keyboard) -> None:
    privilege = keyboard.host.privilege
    assert isinstance(privilege, SimPrivilege)
    privilege.allow()


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> Screen:
    """A person at a terminal who types ``text``; what is asked."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdin", Screen(text))
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_the_whole_way_and_back(at: Sit) -> None:
    keyboard = at("unknown-runtime")
    before = config(keyboard)
    give_password(keyboard)

    made = keyboard("fix", "register-runtime", "--yes")
    assert made.code == 0
    assert '+    "runtimes": {' in made.out
    assert "sudo systemctl reload docker" in made.out
    assert "group-notebook" in made.out
    assert made.line("[ok]").endswith("done, and checked.")
    assert config(keyboard) != before
    assert keyboard("doctor").code == 0

    listed = keyboard("undo", "--list", "--json").document["receipts"]
    assert [(item["fix"], item["state"]) for item in listed] == [("register-runtime", "done")]
    assert f"undo {listed[0]['id']}" in made.err

    undone = keyboard("undo", listed[0]["id"], "--yes", "--json")
    assert undone.code == 0
    assert undone.document["receipt"]["state"] == "undone"
    assert config(keyboard) == before
    assert "taken back" in undone.err
    again = keyboard("undo", "--yes")
    assert (again.code, again.out) == (0, "There is nothing to take back.\n")


def test_json_tells_the_preview_and_the_receipt(at: Sit) -> None:
    keyboard = at("unknown-runtime")
    give_password(keyboard)
    ended = keyboard("fix", "register-runtime", "--yes", "--json")
    (entry,) = ended.document["fixes"]
    assert ended.code == 0
    assert (entry["id"], entry["state"], entry["needs_root"], entry["risk"]) == (
        "register-runtime",
        "done",
        True,
        "none",
    )
    assert [part["kind"] for part in entry["preview"]] == ["diff", "command"]
    assert entry["touches"] == ["group-notebook"]
    assert entry["receipt"] == keyboard("undo", "--list", "--json").document["receipts"][0]["id"]
    assert "+++ /etc/docker/daemon.json" in ended.err


def test_already_in_place(at: Sit) -> None:
    keyboard = at("healthy")
    words, data = keyboard("fix", "register-runtime"), keyboard("fix", "register-runtime", "--yes", "--json")
    assert (words.code, data.code) == (0, 0)
    assert words.out == "[ok]    register-runtime: already in place, nothing to do.\n"
    assert data.document["fixes"] == [{"id": "register-runtime", "state": "already-done"}]


def test_a_dry_run_changes_nothing(at: Sit) -> None:
    keyboard = at("unknown-runtime")
    before = config(keyboard)
    ended = keyboard("fix", "--dry-run", "--json")
    assert ended.code == 0
    assert ended.document["fixes"][0]["state"] == "planned"
    assert config(keyboard) == before
    assert keyboard("undo", "--list", "--json").document["receipts"] == []


def test_without_a_terminal_nobody_is_asked_and_nothing_done(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("unknown-runtime")
    before = config(keyboard)
    give_password(keyboard)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    ended = keyboard("fix", "register-runtime", "--json")
    assert ended.code == 3
    assert ended.document["fixes"][0]["state"] == "declined"
    assert "--yes" in ended.err
    assert config(keyboard) == before


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "yess\n"])
def test_anything_but_yes_is_no(at: Sit, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    keyboard = at("unknown-runtime")
    before = config(keyboard)
    give_password(keyboard)
    screen = type_in(monkeypatch, answer)
    ended = keyboard("fix")
    assert ended.code == 3
    assert "Make this repair? [y/N]" in screen.getvalue()
    assert ended.line("[skip]").endswith("nothing was changed.")
    assert config(keyboard) == before


def test_yes_is_yes(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("unknown-runtime")
    before = config(keyboard)
    give_password(keyboard)
    type_in(monkeypatch, "y\n")
    assert keyboard("fix").code == 0
    assert config(keyboard) != before
    type_in(monkeypatch, "n\n")
    assert keyboard("undo").code == 3
    type_in(monkeypatch, "y\n")
    assert keyboard("undo").code == 0
    assert config(keyboard) == before


def test_the_password_is_only_ever_asked_by_sudo_itself(at: Sit) -> None:
    keyboard = at("unknown-runtime")
    before = config(keyboard)
    ended = keyboard("fix", "register-runtime", "--yes", "--json")
    assert ended.code == 3
    assert ended.document["error"]["id"] == "root-needed"
    assert ended.document["error"]["evidence"][0]["text"] == "sudo -v"
    assert config(keyboard) == before


def test_nothing_to_repair(at: Sit) -> None:
    ended = at("healthy")("fix")
    assert (ended.code, ended.out) == (0, "Nothing needs a repair.\n")


def test_problems_without_a_repair(at: Sit) -> None:
    ended = at("no-docker")("fix")
    assert ended.code == 1
    assert "s2s-wizard --demo no-docker doctor" in ended.out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["fix", "--yes"], "--yes"),
        (["fix", "colour-the-gpu"], "register-runtime"),
        (["undo", "no-such-receipt"], "no-such-receipt"),
    ],
)
def test_wrong_usage(at: Sit, words: list[str], named: str) -> None:
    ended = at("unknown-runtime")(*words)
    assert ended.code == 2
    assert named in ended.err
    assert ended.out == ""
