"""TensorBoard in real containers: a stand-in that really serves HTTP, reached over the container's own network."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from wizard.host.ports import Host
from wizard.host.real import build
from wizard.model.container import KEEP_ALIVE, LABEL, LABEL_GPUS
from wizard.model.errors import Problem, Trouble
from wizard.services.training import place as places
from wizard.services.training import tensorboard, training_run
from wizard.services.training.place import Place

pytestmark = pytest.mark.real

IMAGE = "s2s-test/tensorboard:1"
NAME = "shows"
NETWORK = "s2s-test-board"
STANDIN = Path(__file__).parents[1] / "support" / "training_standin" / "tensorboard"
LOGS = "/data/logs"
OWNER = 1234

Make = Callable[..., Place]


@pytest.fixture(scope="session")
def board_image(shared_engine: PrivateEngine) -> str:
    images.add_image(shared_engine.url, IMAGE, files={"/bin/tensorboard": STANDIN.read_bytes()})
    return IMAGE


@pytest.fixture
def host(engine: PrivateEngine) -> Iterator[Host]:
    made = build(engine.environ)
    yield made
    made.engine.close()


@pytest.fixture
def make(host: Host, engine: PrivateEngine, board_image: str, tmp_path: Path) -> Iterator[Make]:
    """Makes the container: on a bridge, as Docker's usual network is one, or on another network."""
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    (data / "logs/events").write_text("curves")
    for path in (data, data / "logs"):
        os.chown(path, OWNER, OWNER)
    tmp_path.chmod(0o755)
    client = engine.client()
    network = client.create_network(NETWORK, driver="bridge")

    def made(network: str = NETWORK, image: str = board_image) -> Place:
        config = client.create_host_config(network_mode=network, binds=[f"{data}:/data"])
        labels = {LABEL: "0", LABEL_GPUS: "none"}
        client.create_container(image, list(KEEP_ALIVE), name=NAME, labels=labels, host_config=config)
        return places.find(host, NAME)

    yield made
    engine.remove_containers()
    client.remove_network(network["Id"])
    client.close()


def _address(host: Host) -> str:
    found = host.engine.container(NAME)
    assert found is not None
    return found.address


def got(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}events", timeout=30) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("network", [NETWORK, "host"])
def test_it_is_started_found_and_ended(host: Host, make: Make, network: str) -> None:
    place = make(network)
    assert tensorboard.find(host, place) is None
    board = tensorboard.start(host, place, LOGS)
    assert got(board.url) == "curves"
    assert (board.url == f"http://127.0.0.1:{board.port}/") == (network == "host")
    assert f":{board.port} " in board.tunnel
    assert tensorboard.find(host, place) == board
    assert tensorboard.start(host, place, LOGS) == board, "one that runs is not started again"
    training_run.check_free(host, place.container)
    assert training_run.find(host, NAME) is None, "it is no training"
    assert tensorboard.stop(host, place)
    assert tensorboard.find(host, place) is None
    assert host.downloads.knock(board.url) is None
    assert {path.stat().st_uid for path in Path(board.job.folder).iterdir()} == {OWNER}
    assert not tensorboard.stop(host, place)


def test_another_folder_takes_its_place_and_a_restart_ends_it(host: Host, make: Make) -> None:
    place = make()
    first = tensorboard.start(host, place, LOGS)
    second = tensorboard.start(host, place, "/data")
    assert (second.port, second.logdir) == (first.port, "/data")
    assert second.job.id != first.job.id
    host.engine.stop(place.container.id, 1)
    again = places.find(host, NAME)
    assert tensorboard.find(host, again) is None


def test_a_port_that_is_taken(host: Host, make: Make) -> None:
    place = make()
    host.engine.run_in(place.container.id, ("sh", "-c", "httpd -p 6006"))
    with pytest.raises(Trouble) as caught:
        tensorboard.start(host, place, LOGS, port=6006)
    assert (caught.value.kind, caught.value.subject) == (Problem.PORT_TAKEN, "6006")
    assert tensorboard.start(host, place, LOGS).port == 6007
    assert tensorboard.start(host, place, LOGS, port=6010).port == 6010


def test_a_port_that_somebody_takes_in_the_last_moment(host: Host, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make()
    host.engine.run_in(place.container.id, ("sh", "-c", "httpd -p 6006"))
    looked, answered = tensorboard._taken, host.downloads.knock(f"http://{_address(host)}:6006/")
    assert answered == 404, "the other one answers, too"
    answers = [frozenset[int]()]
    monkeypatch.setattr(tensorboard, "_taken", lambda *who: answers.pop() if answers else looked(*who))
    assert tensorboard.start(host, place, LOGS).port == 6007


def test_one_that_does_not_say_that_it_serves(host: Host, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "_HEARD_SECONDS", 0.5)
    place = make()
    Path(place.outside("/data/behave")).write_text("mute")
    assert got(tensorboard.start(host, place, LOGS).url) == "curves"


@pytest.mark.parametrize(
    ("network", "image", "behave", "kind"),
    [
        (NETWORK, IMAGE, "die", Problem.BOARD_FAILED),
        (NETWORK, IMAGE, "inside", Problem.BOARD_UNREACHABLE),
        ("none", IMAGE, "", Problem.BOARD_UNREACHABLE),
        (NETWORK, images.BUSYBOX, "", Problem.BOARD_MISSING),
    ],
)
def test_what_can_go_wrong(
    host: Host, make: Make, monkeypatch: pytest.MonkeyPatch, network: str, image: str, behave: str, kind: Problem
) -> None:
    monkeypatch.setattr(tensorboard, "_HEARD_SECONDS", 0.5)
    place = make(network, image)
    Path(place.outside("/data/behave")).write_text(behave)
    with pytest.raises(Trouble) as caught:
        tensorboard.start(host, place, LOGS)
    assert caught.value.kind is kind
    assert ("notf" in caught.value.text) == (behave == "die")
    assert tensorboard.find(host, place) is None, "none is left running"
