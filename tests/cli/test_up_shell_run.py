from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Keyboard, furnish
from wizard.demo.commands import SimPrivilege
from wizard.model.image import ImageReference
from wizard.model.journey import Step
from wizard.services import finish, journey

Sit = Callable[[str], Keyboard]
IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"


@pytest.fixture
def pulled(at: Sit) -> Keyboard:
    """A healthy machine that has the image."""
    keyboard = at("healthy")
    assert keyboard("pull").code == 0
    return keyboard


def test_up_makes_and_finds_again(pulled: Keyboard) -> None:
    first = pulled("up", "--json").document
    assert (first["action"], first["name"], first["image"]) == ("created", "openseq2seq", IMAGE)
    assert first["data"] == f"{pulled.host.home}/openseq2seq-data"
    second = pulled("up", "--json").document
    assert second["action"] == "reused"
    assert second["id"] == first["id"]
    pulled.host.engine.stop(first["id"])
    started = pulled("up")
    assert started.code == 0
    assert started.out == '[ok]    The container "openseq2seq" was started again.\n'
    assert "s2s-wizard --demo healthy shell" in started.err


def test_up_as_it_is_told(pulled: Keyboard) -> None:
    ended = pulled("up", "--name", "mine", "--data", "~/speech", "--gpus", "0", "--image", IMAGE, "--json")
    assert ended.document["name"] == "mine"
    assert ended.document["data"] == f"{pulled.host.home}/speech"
    there = pulled.host.engine.container("mine")
    assert there is not None
    assert there.mounts[0].source == f"{pulled.host.home}/speech"
    other = pulled("up", "--name", "mine", "--data", "~/other", "--json").document
    assert other["data"] == f"{pulled.host.home}/speech"
    assert any("/other" in note for note in other["notes"])


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        (["--name", "-x"], "name-invalid", 2),
        (["--name", "group-notebook"], "name-conflict", 3),
        (["--gpus", "7"], "bad-input", 2),
        (["--data", "/etc"], "bad-input", 2),
        (["--data", ""], "bad-input", 2),
        (["--image", "Not An Image"], "image-ref-bad", 2),
        (["--image", "nvcr.io/nvidia/tensorflow:19.05-py3"], "image-missing-local", 4),
    ],
)
def test_up_with_what_cannot_be(pulled: Keyboard, words: list[str], kind: str, code: int) -> None:
    ended = pulled("up", "--json", *(f"{words[0]}={words[1]}",))
    assert ended.document["error"]["id"] == kind
    assert ended.code == code


def test_up_where_docker_cannot_give_gpus_names_the_way_without(at: Sit) -> None:
    keyboard = at("no-gpu")
    assert keyboard("pull").code == 0
    ended = keyboard("up")
    assert ended.code == 4
    assert "--gpus none" in ended.err
    assert keyboard("up", "--gpus", "none").code == 0


def test_shell_runs_one_command_and_returns_its_exit_code(pulled: Keyboard) -> None:
    assert pulled("up").code == 0
    assert pulled("shell", "--", "echo", "hello").code == 0
    assert pulled("shell", "--", "sh", "-c", "exit 7").code == 7
    assert pulled("shell", "--name", "nobody").code == 4


def test_run_in_json_lines(at: Sit, tmp_path: Path) -> None:
    keyboard = at("unknown-runtime")
    assert isinstance(keyboard.host.privilege, SimPrivilege)
    keyboard.host.privilege.allow()
    answers = tmp_path / "answers.toml"
    answers.write_text('[repairs]\naccept = ["register-runtime"]\n[workspace]\nname = "mine"\n')
    ended = keyboard("run", str(answers), "--yes", "--json")
    assert ended.code == 0
    steps = [(line["step"], line["state"]) for line in ended.lines if line["event"] == "step"]
    assert steps == [
        ("account", "skipped"),
        ("checkup", "done"),
        ("repairs", "done"),
        ("image", "done"),
        ("pull", "done"),
        ("workspace", "done"),
        ("container", "done"),
        ("shell", "done"),
        ("finish", "done"),
    ]
    assert {line["event"] for line in ended.lines} == {"step", "plan", "progress"}
    kept = journey.load(keyboard.host)
    assert kept is not None
    assert kept.image == str(ImageReference.parse(IMAGE))
    assert keyboard("up", "--json").document["name"] == "mine"

    words = keyboard("run", str(answers), "--yes")
    assert words.code == 0
    assert len(words.out.splitlines()) == 9
    assert words.line("[ok]    Container").endswith('The container "mine" is there.')


def test_run_rehearses_and_trains(at: Sit, tmp_path: Path) -> None:
    keyboard = at("healthy")
    furnish(keyboard)
    answers = tmp_path / "answers.toml"
    train = '[train]\nrehearsal = true\nconfig = "jasper-Mini-for-Jetson"\noptions = ["--num_epochs=1"]\n'
    answers.write_text(train)
    ended = keyboard("run", str(answers), "--json")
    assert ended.code == 0, ended.err
    steps = {line["step"]: line for line in ended.lines if line["event"] == "step"}
    assert list(steps)[-2:] == ["train", "finish"]
    assert steps["train"]["summary"] == "The rehearsal went well. The training is finished."
    told = [line["training"] for line in ended.lines if line["event"] == "training"]
    assert [line["what"] for line in told if line["event"] == "finished"][-1] == "training"
    assert max(line["step"] for line in told if line["event"] == "step") == 8, "the last step of the rehearsal"
    kept = journey.load(keyboard.host)
    assert kept is not None
    assert Step.TRAIN in kept.done
    again = finish.answers(keyboard.host, kept)
    assert (again.config, again.rehearsal) == ("jasper-Mini-for-Jetson", False)

    answers.write_text(train + "detach = true\n")
    words = keyboard("run", str(answers))
    assert words.code == 0
    assert words.line("[ok]    Training").endswith("The rehearsal went well. The training is finished.")
    assert "step 8 of 8" in words.err


def test_run_leaves_a_training_alone(at: Sit, tmp_path: Path) -> None:
    keyboard = at("healthy")
    furnish(keyboard)
    answers = tmp_path / "answers.toml"
    answers.write_text('[train]\nconfig = "mine"\ndetach = true\ncode = "https://mirror.example/o.git"\n')
    ended = keyboard("run", str(answers), "--json")
    assert ended.code == 2
    assert ended.lines[-1]["error"]["id"] == "config-unusable"
    answers.write_text('[train]\nconfig = "jasper-Mini-for-Jetson"\ndetach = true\n')
    ended = keyboard("run", str(answers), "--json")
    assert ended.code == 0
    (train,) = [line for line in ended.lines if line["event"] == "step" and line["step"] == "train"]
    assert train["summary"].startswith("The training runs in the container (0")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('rehearsal = "yes"', "line 2: train.rehearsal"),
        ('config = "x"\noptions = ["epochs"]', "line 3: train.options"),
        ("detach = true", "line 2: train.detach"),
        ("epochs = 3", "line 2: train.epochs"),
    ],
)
def test_a_wrong_answer_about_training(at: Sit, tmp_path: Path, text: str, words: str) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text(f"[train]\n{text}\n")
    ended = at("healthy")("run", str(answers))
    assert ended.code == 2
    assert words in ended.err


def test_run_stops_where_a_person_is_needed(at: Sit, tmp_path: Path) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text('[repairs]\naccept = ["register-runtime"]\n')
    keyboard = at("unknown-runtime")
    ended = keyboard("run", str(answers))
    assert ended.code == 3
    assert ended.line("[skip]  Repairs").count("register-runtime") == 1
    ended = keyboard("run", str(answers), "--yes", "--json")
    assert ended.code == 3
    assert ended.lines[-2]["state"] == "failed"
    assert ended.lines[-1]["error"]["id"] == "root-needed"


@pytest.mark.parametrize(
    ("text", "named"),
    [("[workspace]\nnmae = 1\n", "line 2: workspace.nmae"), ("[", "answers.toml"), (None, "answers.toml")],
)
def test_a_wrong_answers_file(at: Sit, tmp_path: Path, text: str | None, named: str) -> None:
    answers = tmp_path / "answers.toml"
    if text is not None:
        answers.write_text(text)
    ended = at("healthy")("run", str(answers))
    assert (ended.code, ended.out) == (2, "")
    assert named in ended.err


def test_an_answers_file_that_is_no_text(at: Sit, tmp_path: Path) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_bytes(b"\xff\xfe\x00")
    assert at("healthy")("run", str(answers)).code == 2
