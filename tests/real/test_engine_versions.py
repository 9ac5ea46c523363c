"""The road on the installed Docker Engine and on two newer ones: their rules and their sentences differ."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import engine as engines
from tests.support import images
from tests.support.engine import PrivateEngine
from tests.support.registry import WRONG_KEY, NgcLike
from wizard.host import real
from wizard.host.ports import Host
from wizard.knowledge import daemon_errors
from wizard.model.container import KEEP_ALIVE, LABEL, ContainerSpec, GpuChoice, Workspace
from wizard.model.errors import Problem, Trouble
from wizard.model.secret import Secret
from wizard.model.step import StepState
from wizard.services import checkup, container, pull, repairs

pytestmark = pytest.mark.real
SHELL = [sys.executable, "-c", "import sys; from wizard.cli import main; sys.exit(main())", "shell", "--name", "box"]


@pytest.fixture
def engine(versioned_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    yield versioned_engine
    versioned_engine.remove_containers()


@pytest.fixture
def host(engine: PrivateEngine) -> Iterator[Host]:
    made = real.build(engine.environ)
    yield made
    made.engine.close()


def box(host: Host, name: str = "box") -> str:
    made = host.engine.create(ContainerSpec(name, images.BASH, KEEP_ALIVE, labels={LABEL: "1"}, memlock=False))
    host.engine.start(made)
    return made


def kind(call: Callable[[], object]) -> Problem:
    with pytest.raises(Trouble) as caught:
        call()
    return caught.value.kind


def said(engine: PrivateEngine, *words: str) -> str:
    """What the docker command prints when it fails."""
    done = subprocess.run(["docker", *words], env=engine.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


@pytest.fixture
def own_engine(engine_path: str) -> Iterator[PrivateEngine]:
    """An engine for one test: a runtime that it was told about stays in its memory."""
    private = engines.start(path=engine_path)
    images.load(private.url)
    yield private
    private.stop()


def test_the_founding_story(own_engine: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = own_engine
    program = tmp_path / "nvidia-container-runtime"
    program.write_text('#!/bin/sh\nexec runc "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    host = real.build(engine.environ)
    before = engine.config_file.read_bytes()

    run = ("run", "--rm", "--network=none", "--runtime=nvidia", images.BUSYBOX, "true")
    assert [match.cause.id for match in daemon_errors.find(said(engine, *run))] == ["runtime-unknown"]
    findings = checkup.run(host, ["runtime.registered"])
    fix = repairs.plan(host, "register-runtime")
    assert fix is not None, findings
    receipt = repairs.apply(host, fix)
    assert receipt.state is StepState.DONE, receipt.reason
    assert subprocess.run(["docker", *run], env=engine.environ, capture_output=True, timeout=60).returncode == 0
    assert repairs.undo(host).state is StepState.UNDONE
    assert engine.config_file.read_bytes() == before
    host.engine.close()


def test_refusals_have_their_kind(host: Host) -> None:
    box(host)
    spec = ContainerSpec("box", images.BUSYBOX, ("true",), memlock=False)
    assert kind(lambda: host.engine.create(spec)) is Problem.NAME_TAKEN
    missing = ContainerSpec("other", "s2s-test/none:1", ("true",), memlock=False)
    assert kind(lambda: host.engine.create(missing)) is Problem.IMAGE_MISSING
    gpus = Workspace("/tmp", "gpus", GpuChoice(), 2**26)
    assert kind(lambda: container.up(host, gpus, images.BUSYBOX)) in (
        Problem.GPU_DRIVER_NOT_SELECTED,
        Problem.RUNTIME_BROKEN,
    )
    assert host.engine.container("gpus") is None


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("run", "--rm", "--network=none", "--gpus=all", images.BUSYBOX, "true"), "gpus-no-driver"),
        (("run", "--rm", "--network=none", images.BUSYBOX, "nosuch"), "exec-not-found"),
        (("create", "--name=box", images.BUSYBOX), "name-conflict"),
        (("exec", "nobody", "true"), "container-missing"),
        (
            ("run", "--rm", "--network=none", "--mount=type=bind,src=/no/such,dst=/d", images.BUSYBOX),
            "bind-source-missing",
        ),
        (("run", "--rm", "--network=none", "--shm-size=x", images.BUSYBOX), "shm-size-bad"),
        (("run", "--rm", "--network=none", "--device=/dev/nosuch", images.BUSYBOX), "device-missing"),
        (("rm", "box"), "rm-running"),
        (("run", "--rm", "nvcr.io/UPPER/case"), "image-ref-bad"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_docker_prints_is_known(engine: PrivateEngine, host: Host, words: tuple[str, ...], cause: str) -> None:
    box(host)
    text = said(engine, *words)
    assert [match.cause.id for match in daemon_errors.find(text)][:1] == [cause], text


def test_a_command_in_the_container(engine: PrivateEngine, host: Host) -> None:
    box(host)

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run([*SHELL, "--", *words], env=engine.environ, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout

    assert run("sh", "-c", "echo there; exit 7") == (7, "there\n")
    assert run("nosuch")[0] in (126, 127)


def test_a_private_image_is_pulled(engine: PrivateEngine, ngc: NgcLike) -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"], "s2s-wizard")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(f'[registry]\nhosts = ["{ngc.host}"]\n')
    host = real.build(engine.environ)
    pushed = ngc.push_busybox("versions/private", extra=[2_000_000, 100_000], public=False)
    assert kind(lambda: pull.run(host, pushed.image, None)) is Problem.KEY_WANTED
    assert kind(lambda: pull.run(host, pushed.image, Secret(WRONG_KEY))) is Problem.KEY_REFUSED
    pulled = pull.run(host, pushed.image, ngc.key)
    assert (pulled.image, pulled.digest, pulled.already) == (pushed.image, pushed.digest, False)
    assert pull.run(host, pushed.image, ngc.key).already
    host.engine.close()
