"""TensorBoard on simulated machines: which folder it shows, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wizard.demo.machine import build
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.training.plan import DEFAULT_CONFIG
from wizard.services.training import job as jobs
from wizard.services.training import place as places
from wizard.services.training import tensorboard, training_run
from wizard.services.training.place import Place

LOGS = "/data/OpenSeq2Seq/jasper_log_folder"


@pytest.fixture
def host() -> Host:
    return build("with-container", pace=0)


@pytest.fixture
def place(host: Host) -> Place:
    return places.find(host, "openseq2seq")


def trained(host: Host, place: Place, config: str, logdir: str) -> None:
    facts = {"config": config, "mode": "train_eval", "logdir": logdir}
    jobs.start(host, place, "train", ("true",), facts=facts)


def test_it_answers_is_found_and_is_ended(host: Host, place: Place) -> None:
    host = replace(host, environ={**host.environ, "SSH_CONNECTION": "10.0.0.5 51234 10.0.0.9 22"})
    said: list[object] = []
    board = tensorboard.start(host, place, LOGS, said.append)
    assert (board.port, board.logdir) == (6006, LOGS)
    assert board.url.endswith(":6006/")
    assert board.tunnel.endswith(" mei@10.0.0.9")
    assert host.downloads.knock(board.url) == 200
    assert tensorboard.find(host, place) == board
    assert training_run.find(host, "openseq2seq") is None
    assert training_run.latest(host, place) is None
    (idle,) = host.gpus.readings()
    assert idle.use_percent == 0
    assert tensorboard.stop(host, place)
    assert tensorboard.find(host, place) is None
    assert host.downloads.knock(board.url) is None


def test_it_goes_with_its_container(host: Host, place: Place) -> None:
    board = tensorboard.start(host, place, LOGS)
    host.engine.stop(place.container.id)
    assert host.downloads.knock(board.url) is None
    assert tensorboard.find(host, places.find(host, "openseq2seq")) is None


def test_one_that_is_cancelled_is_not_left_running(host: Host, place: Place) -> None:
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Trouble) as caught:
        tensorboard.start(host, place, LOGS, cancel=cancel)
    assert caught.value.kind is Problem.CANCELLED
    assert tensorboard.find(host, place) is None


def test_an_image_without_it(host: Host, place: Place) -> None:
    other = host.engine.container("group-notebook")
    assert other is not None
    with pytest.raises(Trouble) as caught:
        tensorboard.start(host, replace(place, container=other), LOGS)
    assert caught.value.kind is Problem.BOARD_MISSING


def test_one_that_never_answers(host: Host, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "_SECONDS", 0.0)
    monkeypatch.setattr(tensorboard, "_taken", lambda *_who: frozenset())
    monkeypatch.setattr(host.downloads, "knock", lambda _url: None)
    with pytest.raises(Trouble) as caught:
        tensorboard.start(host, place, LOGS)
    assert caught.value.kind is Problem.BOARD_FAILED
    assert "seconds" in caught.value.hint
    assert tensorboard.find(host, place) is None


def test_which_folder_is_shown(host: Host, place: Place) -> None:
    assert tensorboard.log_folder(host, place) == LOGS, "where the usual training would be"
    assert tensorboard.log_folder(host, place, "ds2_toy_config") == "/data/OpenSeq2Seq/ds2_log/toy"
    trained(host, place, "example_configs/speech2text/ds2_toy_config.py", "/data/toy")
    trained(host, place, DEFAULT_CONFIG, "/data/mini")
    assert tensorboard.log_folder(host, place) == "/data/mini", "the newest"
    assert tensorboard.log_folder(host, place, "ds2_toy_config.py") == "/data/toy"
    assert tensorboard.log_folder(host, place, "", ("--num_epochs=3", "--logdir=../other")) == "/data/other"
    with pytest.raises(Trouble) as caught:
        tensorboard.log_folder(host, place, "/data/mine.py")
    assert caught.value.kind is Problem.NO_CHECKPOINT
