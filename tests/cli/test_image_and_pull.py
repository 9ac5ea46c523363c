from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.conftest import Keyboard
from wizard.host.ports import Host
from wizard.model.event import Cancel, Emit, Progress
from wizard.model.key_store import KeyPlace
from wizard.model.progress import PullPlan
from wizard.model.secret import Secret
from wizard.services import background, image, pull

Sit = Callable[[str], Keyboard]
FITTING = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
OLD = "nvcr.io/nvidia/tensorflow:18.07-py3"
PRIVATE = "nvcr.io/example-org/private:1.0"


def test_the_image_for_this_machine(at: Sit) -> None:
    keyboard = at("healthy")
    words, data = keyboard("image"), keyboard("image", "--json").document
    assert words.code == 0
    assert words.out.startswith(f"[ok]    {FITTING}\n")
    assert data["recommended"]["image"] == FITTING
    assert data["recommended"]["reason"] in words.out


def test_the_image_for_another_machine(at: Sit) -> None:
    keyboard = at("no-docker")
    data = keyboard("image", "--capability", "8.9", "--driver", "550.10", "--json").document
    assert data["gpu"]["capability"] == "8.9"
    assert data["recommended"]["image"] != FITTING
    none = keyboard("image", "--capability", "3.5", "--driver", "470.1")
    assert none.code == 1
    assert "[ok]" not in none.out


@pytest.mark.parametrize(
    "words",
    [["--capability", "7.5"], ["--driver", "535.1"], ["--capability", "x", "--driver", "535.1"],
     ["--capability", "7.5", "--driver", "5"]],
)  # fmt: skip
def test_half_a_description_is_wrong_usage(at: Sit, words: list[str]) -> None:
    ended = at("healthy")("image", *words)
    assert ended.code == 2
    assert "Give both" in ended.err


def test_an_image_that_is_named_is_checked(at: Sit) -> None:
    keyboard = at("healthy")
    fits, old = keyboard("image", FITTING), keyboard("image", "nvcr.io/nvidia/tensorflow:18.07-py3", "--json")
    assert (fits.code, fits.out.startswith(f"[ok]    {FITTING}\n")) == (0, True)
    assert (old.code, old.document["checked"]["fits"], old.document["checked"]["source"]) == (1, "no", "known")
    assert old.document["recommended"]["image"] == FITTING
    assert keyboard("image", FITTING, "--capability", "8.9", "--driver", "550.10").code == 1
    unknown = keyboard("image", "python:3.12-slim", "--json")
    assert (unknown.code, unknown.document["checked"]["fits"]) == (0, "unknown")
    assert keyboard("image", "nvcr.io/nvidia/tensorflow:99.99").code == 5
    assert "does not fit this machine" in keyboard("pull", "nvcr.io/nvidia/tensorflow:18.07-py3", "--json").err


def test_tensorflow_in_the_container_is_tested(at: Sit) -> None:
    keyboard = at("healthy")
    missing = keyboard("image", "--test", "--json")
    assert (missing.code, missing.document["error"]["id"]) == (4, "container-missing")
    keyboard("pull")
    assert "image --test" in keyboard("up").err
    words, data = keyboard("image", "--test"), keyboard("image", "--test", "--name", "openseq2seq", "--json").document
    assert words.code == 0
    assert words.out.startswith("[ok]    TensorFlow works in the container openseq2seq.\n")
    assert "NVIDIA GeForce RTX 2060" in words.out
    assert "Loading TensorFlow." in words.err
    assert data["test"]["gpus"] == ["NVIDIA GeForce RTX 2060"]
    assert [item["dtype"] for item in data["test"]["products"]] == ["float32", "float16"]


def test_how_sure_it_is_stands_in_words_and_in_data(at: Sit) -> None:
    keyboard = at("healthy")
    hopper = ("image", "--capability", "9.0", "--driver", "580.65")
    assert keyboard(*hopper, "--json").document["recommended"]["confidence"] == "unproven"
    assert "How sure: unproven." in keyboard(*hopper).out
    assert {item["confidence"] for item in keyboard("image", "--list", "--json").document["images"]} == {
        "confirmed",
        "likely",
        "unproven",
    }


def test_every_image_that_is_known(at: Sit) -> None:
    keyboard = at("no-gpu")
    expected = [choice.image for choice in image.known()]
    assert [item["image"] for item in keyboard("image", "--list", "--json").document["images"]] == expected
    assert [line for line in keyboard("image", "--list").out.splitlines() if line[0] != " "] == expected


def test_a_pull_in_json_lines(at: Sit) -> None:
    keyboard = at("healthy")
    ended = keyboard("pull", "--json")
    plan, *progress, finished = ended.lines
    assert ended.code == 0
    assert plan["event"] == "plan"
    assert (plan["bytes_here"], plan["layers"]) == (0, 30)
    assert {line["event"] for line in progress} == {"progress"}
    done = [line["bytes_done"] for line in progress]
    assert done == sorted(done)
    assert done[-1] == plan["bytes_total"]
    assert all(part < plan["bytes_total"] for part in done[:-1])
    assert (finished["event"], finished["image"]) == ("finished", FITTING)
    assert finished["digest"].startswith("sha256:")

    again = keyboard("pull", "--json").lines
    assert [line["event"] for line in again] == ["plan", "finished"]
    assert again[0]["bytes_here"] == again[0]["bytes_total"]
    assert again[1] == finished


def test_a_pull_in_words(at: Sit) -> None:
    keyboard = at("healthy")
    ended = keyboard("pull", FITTING, "--via", "engine")
    assert (ended.code, ended.out) == (0, f"[ok]    {FITTING} is here now.\n")
    assert "4.5 GB in 30 layers" in ended.err
    assert "(100 %)" in ended.err
    assert keyboard("pull").out == f"[ok]    {FITTING} is here already.\n"


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("nvcr.io/nvidia/tensorflow:no-such-tag", "manifest-unknown", 5),
        ("Not An Image", "image-ref-bad", 2),
    ],
)
def test_what_cannot_be_pulled(at: Sit, name: str, kind: str, code: int) -> None:
    ended = at("healthy")("pull", name, "--json")
    assert ended.code == code
    (line,) = [line for line in ended.lines if line["event"] == "error"]
    assert line["error"]["id"] == kind


def test_a_pull_without_docker(at: Sit) -> None:
    ended = at("no-docker")("pull")
    assert ended.code == 4
    assert ended.out == ""
    assert ended.err.splitlines()[1].startswith("s2s-wizard: The Docker service was not found")


@pytest.mark.parametrize("words", [("--json",), ("--yes",), ()])
def test_a_public_image_opens_no_key_store(at: Sit, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    keyboard = at("healthy")

    def locked() -> None:
        raise AssertionError("the key store was opened")

    monkeypatch.setattr(keyboard.host.keys, "get", locked)
    assert keyboard("pull", FITTING, *words).code == 0


@pytest.mark.parametrize("words", [("--json",), ("--yes",), ()])
def test_an_image_that_wants_a_key_gets_the_one_that_is_kept(at: Sit, words: tuple[str, ...]) -> None:
    keyboard = at("healthy")
    assert keyboard("pull", PRIVATE, *words).code == 5
    keyboard.host.keys.save(Secret("nvapi-" + "a1B2" * 16), KeyPlace.SESSION)
    assert keyboard("pull", PRIVATE, *words).code == 0


# --- what it costs, and other processes ------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 3), (None, 0)])
def test_the_cost_is_said_and_asked_about(
    at: Sit, monkeypatch: pytest.MonkeyPatch, answer: bool | None, code: int
) -> None:
    keyboard = at("healthy")
    questions: list[str] = []

    def asked(question: str) -> bool | None:
        questions.append(question)
        return answer

    monkeypatch.setattr("wizard.cli.pull.ask", asked)
    ended = keyboard("pull")
    assert ended.code == code
    assert questions == ["Download 4.5 GB?"]
    assert "It needs about 17.9 GB in /var/lib/docker. 212.0 GB are free there." in ended.err
    assert ("nothing was downloaded" in ended.out) == (answer is False)
    assert (keyboard.host.engine.image(FITTING) is not None) == (code == 0)


@pytest.mark.parametrize("words", [("--yes",), ("--json",)])
def test_who_says_so_beforehand_is_not_asked(at: Sit, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    keyboard = at("healthy")
    monkeypatch.setattr("wizard.cli.pull.ask", lambda _question: pytest.fail("was asked"))
    assert keyboard("pull", *words).code == 0
    assert keyboard("pull").code == 0, "of an image that is here, nothing is asked"


def test_that_an_image_does_not_fit_is_said_before_the_question(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("healthy")
    said: list[str] = []

    def asked(_question: str) -> bool:
        said.append(keyboard.capsys.readouterr().err)
        return False

    monkeypatch.setattr("wizard.cli.pull.ask", asked)
    assert keyboard("pull", OLD).code == 3
    assert said[0].count("does not fit this machine") == 1


@pytest.mark.parametrize("words", [("--yes",), ("--json",), ("--yes", "--via", "engine"), ("--detach",)])
def test_that_an_image_does_not_fit_is_said_once_beside_the_pull(at: Sit, words: tuple[str, ...]) -> None:
    keyboard = at("healthy")
    for _time in range(2):  # the second time it is here already
        ended = keyboard("pull", OLD, *words)
        assert (ended.code, ended.err.count("does not fit this machine")) == (0, 1)


def test_it_is_said_of_an_image_that_cannot_be_pulled_too(at: Sit) -> None:
    ended = at("no-docker")("pull", OLD, "--yes")
    assert (ended.code, ended.err.count("does not fit this machine")) == (4, 1)


def test_whether_it_fits_is_not_asked_before_the_pull_has_begun(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("healthy")
    order: list[str] = []

    def noted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: object) -> Any:
            order.append(name)
            return work(*given)

        return call

    monkeypatch.setattr(keyboard.host.gpus, "report", noted("driver", keyboard.host.gpus.report))
    monkeypatch.setattr(keyboard.host.engine, "pull", noted("pull", keyboard.host.engine.pull))
    assert keyboard("pull", OLD, "--yes", "--via", "engine").code == 0
    assert order == ["pull", "driver"]


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


class Attended:
    """Somebody at a terminal who presses Ctrl-C during a pull: once for each of ``answers``, what is typed at the
    question; None is Ctrl-C again.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, via: str, answers: tuple[bool | None, ...]) -> None:
        self.questions: list[str] = []
        self._via, self._answers = via, answers
        self._at_the_question: object = None
        self._answered = threading.Semaphore(0)
        monkeypatch.setattr("wizard.cli.pull.can_ask", lambda: True)
        monkeypatch.setattr("wizard.cli.pull.ask", self.ask)
        monkeypatch.setattr(pull, "run", self.run)

    def ask(self, question: str, is_over: Callable[[], bool]) -> bool | None:
        answer = self._answers[len(self.questions)]
        self.questions.append(question)
        assert not is_over(), "the pull goes on meanwhile"
        self._at_the_question = signal.getsignal(signal.SIGINT)
        self._answered.release()
        if answer is None:
            signal.raise_signal(signal.SIGINT)
        return answer

    def run(self, _host: Host, name: str, _key: object, emit: Emit, cancel: Cancel, *, way: pull.Way) -> pull.Pulled:
        emit(PullPlan(1000, 0, 2, via=self._via))
        emit(Progress(250, 1000, "bytes", "half"))
        for _answer in self._answers:
            while signal.getsignal(signal.SIGINT) == self._at_the_question:
                cancel.wait(0.01)  # until the question has gone
            os.kill(os.getpid(), signal.SIGINT)
            while not self._answered.acquire(timeout=0.02):
                cancel.check()
        if self._answers[-1] is not False:
            assert cancel.wait(30)
        cancel.check()
        return pull.Pulled(name, "sha256:1", "sha256:2", already=False)


@pytest.mark.parametrize("words", [("--yes",), ("--json",)])
@pytest.mark.parametrize(
    ("answers", "code"), [((False,), 0), ((True,), 130), ((None,), 130), ((False, True), 130), ((False, None), 130)]
)
def test_ctrl_c_asks_before_a_pull_is_lost(
    at: Sit, monkeypatch: pytest.MonkeyPatch, answers: tuple[bool | None, ...], code: int, words: tuple[str, ...]
) -> None:
    attended = Attended(monkeypatch, "engine", answers)
    before = signal.getsignal(signal.SIGINT)
    ended = at("healthy")("pull", FITTING, *words)
    assert ended.code == code
    assert len(attended.questions) == len(answers)
    assert all("starts again from zero" in question for question in attended.questions)
    assert ("interrupted" in ended.err) == (code == 130)
    assert signal.getsignal(signal.SIGINT) == before


def test_ctrl_c_ends_at_once_what_loses_nothing(at: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    attended = Attended(monkeypatch, "download", (None,))
    assert at("healthy")("pull", FITTING, "--yes").code == 130
    assert attended.questions == []


class Waiting:
    """A pull in the background that waits for the test."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def run(self, _host: Host, name: str, _key: object, emit: Emit, cancel: Cancel, *, way: pull.Way) -> pull.Pulled:
        emit(PullPlan(1000, 0, 2))
        emit(Progress(250, 1000, "bytes", "half"))
        while not self.go.wait(0.01):
            cancel.check()
        return pull.Pulled(name, "sha256:1", "sha256:2", already=False)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    controlled = Waiting()
    monkeypatch.setattr(pull, "run", controlled.run)
    yield controlled
    controlled.go.set()


def test_a_download_that_goes_on_is_joined(at: Sit, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("healthy")
    background.begin(keyboard.host, FITTING, None)
    follow = background.follow

    def followed(*args: Any, **options: Any) -> pull.Pulled:
        waiting.go.set()
        return follow(*args, **options)

    monkeypatch.setattr(background, "follow", followed)
    ended = keyboard("pull", "--json")
    assert ended.code == 0
    assert "downloads this image already" in ended.err
    assert [line["event"] for line in ended.lines] == ["plan", "progress", "finished"]
    assert ended.lines[-1]["digest"] == "sha256:2"


def test_who_only_looks_leaves_it_running(at: Sit, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = at("healthy")
    background.begin(keyboard.host, FITTING, None)

    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(background, "run_or_follow", interrupted)
        ended = keyboard("pull")
    assert ended.code == 130
    assert f"The download goes on. To stop it: s2s-wizard --demo healthy pull --stop {FITTING}" in ended.err
    assert background.running(keyboard.host)
    stopped = keyboard("pull", "--stop")
    assert (stopped.code, stopped.out) == (0, f"[ok]    The download of {FITTING} has ended.\n")
    assert not background.running(keyboard.host)
    assert keyboard("pull", "--stop").out == f"[ok]    {FITTING} is not being downloaded.\n"


def test_on_a_simulated_machine_nothing_is_left_behind(at: Sit) -> None:
    keyboard = at("healthy")
    assert keyboard("pull", "--detach").out == f"[ok]    {FITTING} is here now.\n"
    keyboard.host.background.lasting = True
    left = keyboard("pull", "--detach")
    assert "goes on in the background. To see it: s2s-wizard --demo healthy pull" in left.out
