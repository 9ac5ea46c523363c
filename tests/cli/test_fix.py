from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from tests.cli.conftest import Keyboard
from tests.cli.test_console import Screen
from wizard.demo.commands import SimPrivilege
from wizard.model.fix import Fix
from wizard.services import repairs

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
    ended = at("no-gpu")("fix")
    assert ended.code == 1
    assert "s2s-wizard --demo no-gpu doctor" in ended.out


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


# --- several repairs, one restart --------------------------------------------------------------------------------


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> Screen:
    return type_in(monkeypatch, text)


def test_what_a_repair_makes_possible_is_found_and_offered_in_the_same_run(
    at: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker is stopped and does not know the runtime: the second fault can be seen only when the first is repaired."""
    keyboard = at("docker-stopped")
    give_password(keyboard)
    files = keyboard.host.files
    files.replace(CONFIG, config(keyboard), b"{}\n", root=True)
    screen = answers(monkeypatch, "y\ny\ny\n")
    ended = keyboard("fix")
    assert ended.code == 0, ended.out + screen.getvalue()
    assert screen.getvalue().count("Make this repair?") == 3
    assert "The last step of all these repairs:\n    sudo systemctl start docker" in ended.out
    assert b"nvidia" in config(keyboard)
    listed = keyboard("undo", "--list", "--json").document["receipts"]
    assert [item["state"] for item in listed] == ["done"] * 3
    assert keyboard("doctor").code == 0


def test_a_restart_that_stops_containers_is_asked_for_once_more(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("healthy")
    give_password(keyboard)
    screen = answers(monkeypatch, "y\nn\nn\n")
    ended = keyboard("fix", "restart-docker")
    assert ended.code == 3
    assert "Restarting Docker stops: group-notebook." in ended.out
    assert "Restart Docker now?" in screen.getvalue()
    assert [item.name for item in keyboard.host.engine.containers()] == ["group-notebook"]

    told = keyboard("doctor")
    assert 'The repair "Restart Docker" waits for its last step.' in told.out
    answers(monkeypatch, "y\ny\n")
    ended = keyboard("fix", "restart-docker")
    assert ended.code == 0
    assert "Let containers live through a restart of Docker" in ended.out, "offered before the restart"
    assert [item.name for item in keyboard.host.engine.containers()] == ["group-notebook"], "protected"
    assert keyboard.host.engine.info().live_restore
    assert keyboard("doctor", "--json").document["waiting"] == []


def test_named_repairs_are_made_in_their_own_order_with_one_last_step(at: Sit) -> None:
    keyboard = at("docker-stopped")
    give_password(keyboard)
    ended = keyboard("fix", "enable-docker", "restart-docker", "start-docker", "--yes", "--json")
    assert ended.code == 0
    entries = ended.document["fixes"]
    assert [(entry["id"], entry["state"]) for entry in entries] == [
        ("start-docker", "done"),
        ("enable-docker", "done"),
        ("restart-docker", "done"),
    ]


def test_a_dry_run_tells_the_step_that_is_shared(at: Sit) -> None:
    ended = at("docker-gives-up")("fix", "reset-failed-docker", "start-docker", "--dry-run")
    assert ended.code == 0
    shared = ended.out.split("done only once:\n")[1].splitlines()
    assert shared[-1] == "    sudo systemctl start docker"


def test_one_repair_that_cannot_be_made_does_not_stop_the_others(at: Sit) -> None:
    keyboard = at("docker-stopped")
    give_password(keyboard)
    ended = keyboard("fix", "enable-live-restore", "start-docker", "--yes", "--json")
    states = {entry["id"]: entry["state"] for entry in ended.document["fixes"]}
    assert states == {"enable-live-restore": "failed", "start-docker": "done"}
    assert ended.code == 4


def test_a_repair_of_commands_alone_is_taken_back(at: Sit) -> None:
    keyboard = at("docker-stopped")
    give_password(keyboard)
    assert keyboard("fix", "start-docker", "--yes").code == 0
    undone = keyboard("undo", "--yes")
    assert undone.code == 0
    assert "sudo systemctl stop docker.socket docker.service" in undone.out
    assert keyboard("doctor", "--check", "docker.running").code == 1


def test_an_interrupted_repair_is_told_with_both_ways_on(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("unknown-runtime")
    give_password(keyboard)

    class Killed(BaseException):
        pass

    def kill(*_args: object, **_options: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(keyboard.host.files), "replace", kill)
        with pytest.raises(Killed):
            repairs.apply(keyboard.host, planned(keyboard))
    told = keyboard("doctor")
    name = repairs.receipts(keyboard.host)[0].id
    assert "was interrupted. Done until then:" in told.out
    assert "s2s-wizard --demo unknown-runtime fix register-runtime" in told.out
    assert f"s2s-wizard --demo unknown-runtime undo {name}" in told.out
    assert keyboard("doctor", "--json").document["interrupted"] == name
    answers(monkeypatch, "y\n")
    assert keyboard("fix").code == 0
    assert keyboard("doctor", "--json").document["interrupted"] is None


def planned(keyboard: Keyboard) -> Fix:
    fix = repairs.plan(keyboard.host, "register-runtime")
    assert fix is not None
    return fix
