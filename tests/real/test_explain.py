"""Real error texts of a real engine, explained: yes while it is so, no after the repair."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.test_cli import Program
from tests.support import images
from tests.support.engine import PrivateEngine
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.container import LABEL, ContainerSpec
from wizard.services import explain, own_containers
from wizard.services.explain import Explanation

pytestmark = pytest.mark.real


@pytest.fixture
def wizard(engine: PrivateEngine) -> Program:
    """The installed program at the shared engine."""
    return Program(engine.environ)


@pytest.fixture
def host(engine: PrivateEngine) -> Iterator[Host]:
    made = real.build(engine.environ)
    yield made
    made.engine.close()


def docker(engine: PrivateEngine, *words: str) -> str:
    """What the docker command says, standard error too."""
    done = subprocess.run(
        ["docker", *words], env=engine.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    return done.stdout


def explained(wizard: Program, text: str, *words: str) -> dict[str, Any]:
    """The first match of a text that is sent through a pipe."""
    done = wizard("explain", "--json", *words, stdin=text)
    assert done.returncode == 0, (text, done)
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    return dict(document["matches"][0])


def root(host: Host, text: str) -> Explanation:
    found = explain.run(host, text)
    assert found, text
    return found[0]


def test_a_runtime_that_docker_does_not_know(wizard: Program, engine: PrivateEngine) -> None:
    text = docker(engine, "run", "--rm", "--runtime=nvidia", images.BUSYBOX, "true")
    assert "nvidia" in text
    match = explained(wizard, text)
    assert match["id"] == "runtime-unknown"
    assert match["confirmed"] in ("yes", "not-probed")  # the check waits for a toolkit, which this machine may not have
    assert explained(wizard, text, "--no-probe")["confirmed"] == "not-probed"
    other = docker(engine, "run", "--rm", "--runtime=ghost", images.BUSYBOX, "true")
    assert (explained(wizard, other)["confirmed"], explained(wizard, other)["fixes"]) == ("yes", [])
    assert explained(wizard, other.replace("ghost", "runc"))["confirmed"] == "no"


def test_a_name_that_our_own_broken_container_takes(wizard: Program, engine: PrivateEngine, host: Host) -> None:
    spec = ContainerSpec("wiz", images.BUSYBOX, ("sleep", "600"), labels={LABEL: "test"}, memlock=False)
    host.engine.create(spec)
    foreign = host.engine.create(ContainerSpec("theirs", images.BUSYBOX, ("sleep", "600"), memlock=False))
    text = docker(engine, "run", "--name", "wiz", images.BUSYBOX, "true")
    match = explained(wizard, text)
    assert (match["id"], match["confirmed"], match["fixes"]) == ("name-conflict", "yes", [own_containers.FIX])
    theirs = explained(wizard, docker(engine, "run", "--name", "theirs", images.BUSYBOX, "true"))
    assert (theirs["confirmed"], theirs["fixes"]) == ("yes", [])

    shown = wizard("fix", own_containers.FIX, "--dry-run")
    assert shown.returncode == 0, shown
    assert "docker rm wiz" in shown.stdout
    assert "theirs" not in shown.stdout
    assert host.engine.container("wiz") is not None, "looking changes nothing"
    done = wizard("fix", own_containers.FIX, "--yes")
    assert done.returncode == 0, done
    assert host.engine.container("wiz") is None
    assert host.engine.container(foreign) is not None
    after = explained(wizard, text)
    assert (after["confirmed"], after["fixes"]) == ("no", [])


def test_our_own_container_that_works_is_left_alone(wizard: Program, engine: PrivateEngine, host: Host) -> None:
    spec = ContainerSpec("wiz", images.BUSYBOX, ("sleep", "600"), labels={LABEL: "test"}, memlock=False)
    made = host.engine.create(spec)
    host.engine.start(made)
    text = docker(engine, "run", "--name", "wiz", images.BUSYBOX, "true")
    for stopped in (False, True):
        if stopped:
            host.engine.stop(made, timeout=0)
        match = explained(wizard, text)
        assert (match["confirmed"], match["fixes"]) == ("yes", [])
        assert wizard("fix", own_containers.FIX, "--yes").returncode == 0
        assert host.engine.container("wiz") is not None


def test_containers_and_images_that_the_engine_names(engine: PrivateEngine, host: Host) -> None:
    made = host.engine.create(ContainerSpec("sleeper", images.BUSYBOX, ("sleep", "600"), memlock=False))

    text = docker(engine, "start", "nosuch")
    assert (root(host, text).id, root(host, text).confirmed.value) == ("container-missing", "yes")
    assert root(host, text.replace("nosuch", "sleeper")).confirmed.value == "no"

    idle = docker(engine, "exec", "sleeper", "true")
    assert (root(host, idle).id, root(host, idle).confirmed.value) == ("container-not-running", "yes")
    host.engine.start(made)
    assert root(host, idle).confirmed.value == "no"

    busy = docker(engine, "rm", "sleeper")
    assert (root(host, busy).id, root(host, busy).confirmed.value) == ("rm-running", "yes")
    host.engine.stop(made, timeout=0)
    assert root(host, busy).confirmed.value == "no"

    gone = docker(engine, "run", "--pull=never", "s2s-test/nosuch:1")
    assert (root(host, gone).id, root(host, gone).confirmed.value) == ("image-missing-local", "yes")
    assert root(host, gone.replace("s2s-test/nosuch:1", images.BUSYBOX)).confirmed.value == "no"


def test_a_folder_that_is_not_there(engine: PrivateEngine, host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    text = docker(engine, "run", "--mount", f"type=bind,src={folder},dst=/d", images.BUSYBOX, "true")
    assert (root(host, text).id, root(host, text).confirmed.value) == ("bind-source-missing", "yes")
    folder.mkdir()
    assert root(host, text).confirmed.value == "no"


def test_who_listens_on_a_port(host: Host) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        text = (
            "docker: Error response from daemon: driver failed programming external connectivity on endpoint wiz"
            f" (abc): Error starting userland proxy: listen tcp 0.0.0.0:{port}: bind: address already in use."
        )
        assert root(host, text).confirmed.value == "no", "bound, but nobody listens"
        listener.listen()
        assert (root(host, text).id, root(host, text).confirmed.value) == ("port-in-use-host", "yes")
    assert root(host, text).confirmed.value == "no"


def test_the_docker_command_and_its_settings(engine: PrivateEngine, host: Host, own_environment: Path) -> None:
    """``own_environment`` is the home folder."""
    config = own_environment / ".docker/config.json"
    config.parent.mkdir()
    config.write_text("{ bad")
    text = docker(engine, "ps")
    assert (root(host, text).id, root(host, text).confirmed.value) == ("docker-config-json-bad", "yes")
    config.write_text("{}")
    assert root(host, text).confirmed.value == "no"

    done = subprocess.run(
        ["docker", "--context", "nosuch", "ps"], capture_output=True, text=True, timeout=60, check=False
    )
    wrong = done.stdout + done.stderr
    assert root(host, wrong).id == "docker-context-missing"
    assert root(host, wrong).confirmed.value == "no", "only that one command used it"


def test_a_service_that_is_not_there(wizard: Program, tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/nowhere.sock"
    done = subprocess.run(["docker", "-H", address, "ps"], capture_output=True, text=True, timeout=60, check=False)
    found = wizard("explain", "--json", stdin=done.stderr, DOCKER_HOST=address)
    assert found.returncode == 0
    match = json.loads(found.stdout)["matches"][0]
    assert match["id"] == "daemon-unreachable"
    assert match["confirmed"] != "no"
