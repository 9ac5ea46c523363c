"""``up`` in all its cases, on a real Docker Engine that the tests start."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from wizard.host.engine import DockerEngine
from wizard.host.ports import Host
from wizard.host.real import build
from wizard.model.container import LABEL, ContainerInfo, ContainerSpec, GpuChoice, Workspace
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Finished, Started
from wizard.model.finding import Status
from wizard.services import container
from wizard.services.container import Up

pytestmark = pytest.mark.real

NONE = GpuChoice.parse("none")


@pytest.fixture
def host(engine: PrivateEngine) -> Iterator[Host]:
    made = build(engine.environ)
    yield made
    made.engine.close()


@pytest.fixture
def box(tmp_path: Path) -> Workspace:
    (tmp_path / "data").mkdir()
    return Workspace(str(tmp_path / "data"), "box", NONE, 2**26)


@pytest.fixture
def image(engine: PrivateEngine) -> Iterator[Callable[..., str]]:
    """Makes an image for one test: ``image("s2s-test/x:1", 'ENTRYPOINT ["/x"]', files={...})``."""
    made: list[str] = []

    def make(name: str, *changes: str, files: dict[str, bytes] | None = None) -> str:
        made.append(name)
        return images.add_image(engine.url, name, *changes, files=files)

    yield make
    engine.remove_containers()
    client = engine.client()
    for name in set(made):
        client.remove_image(name, force=True)
    client.close()


def info_of(host: Host, name: str = "box") -> ContainerInfo:
    info = host.engine.container(name)
    assert info is not None
    return info


def inside(host: Host, *argv: str, name: str = "box") -> str:
    result = host.engine.run_in(name, argv)
    assert result.exit_code == 0, result
    return result.stdout.decode().strip()


def other_notes(up: Up) -> tuple[str, ...]:
    """The notes without the one about memlock, which depends on the machine that the tests run on."""
    return tuple(note for note in up.notes if "memlock" not in note)


def trouble_in(call: Callable[[], object]) -> Trouble:
    with pytest.raises(Trouble) as caught:
        call()
    return caught.value


# --- nothing is there ---------------------------------------------------------------------------------------------


def test_a_new_container(host: Host, box: Workspace) -> None:
    heard: list[object] = []
    up = container.up(host, box, images.BUSYBOX, heard.append)
    assert (up.name, up.action, up.image, up.data) == ("box", "created", images.BUSYBOX, box.data)
    assert other_notes(up) == ()
    info = info_of(host)
    assert (info.id, info.state) == (up.id, "running")
    assert info.labels[LABEL]
    assert isinstance(heard[0], Started)
    assert isinstance(heard[-1], Finished)
    inside(host, "sh", "-c", "echo hello >/data/file")
    assert Path(box.data, "file").read_text() == "hello\n"
    assert inside(host, "sh", "-c", "df -k /dev/shm | tail -1").split()[1] == "65536"
    assert inside(host, "sh", "-c", "ulimit -s") == "65536"
    assert inside(host, "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES") == "void"


def test_a_container_stops_when_it_is_asked_to(host: Host, box: Workspace) -> None:
    up = container.up(host, box, images.BUSYBOX)
    begun = time.monotonic()
    host.engine.stop(up.id, 10)
    assert time.monotonic() - begun < 5
    assert info_of(host).exit_code == 0


def test_processes_that_nobody_waits_for_are_collected(host: Host, box: Workspace) -> None:
    container.up(host, box, images.BUSYBOX)
    inside(host, "sh", "-c", "(sleep 0.05 &) ; true")
    time.sleep(0.4)
    assert " Z" not in inside(host, "sh", "-c", "cat /proc/[0-9]*/stat")


def test_memlock_is_asked_for_and_its_refusal_is_said(host: Host, box: Workspace) -> None:
    up = container.up(host, box, images.BUSYBOX)
    limit = inside(host, "sh", "-c", "ulimit -l")
    if up.notes:
        assert "memlock" in up.notes[0]
        assert limit != "unlimited"
    else:
        assert limit == "unlimited"
    assert len(host.engine.containers(all=True)) == 1


def test_memlock_refused_by_an_engine(host: Host, box: Workspace) -> None:
    refusing = replace(host, engine=NoMemlock(host))
    up = container.up(refusing, box, images.BUSYBOX)
    assert up.action == "created"
    assert len(up.notes) == 1
    assert "memlock" in up.notes[0]
    assert info_of(host).running


def test_the_entry_point_of_the_image_stays(host: Host, box: Workspace, image: Callable[..., str]) -> None:
    script = b'#!/bin/sh\necho "== banner =="\nsleep 0.2\n: >/tmp/prepared\nexec "$@"\n'
    image("s2s-test/ngc:1", 'ENTRYPOINT ["/entry.sh"]', 'CMD ["/bin/bash"]', files={"/entry.sh": script})
    up = container.up(host, box, "s2s-test/ngc:1")
    inside(host, "ls", "/tmp/prepared")
    assert "== banner ==" in host.engine.logs(up.id)


# --- ours is there ------------------------------------------------------------------------------------------------


def test_a_running_container_is_found_again(host: Host, box: Workspace) -> None:
    first = container.up(host, box, images.BUSYBOX)
    second = container.up(host, box, images.BUSYBOX)
    assert second == Up("box", first.id, images.BUSYBOX, "reused", box.data)


def test_a_stopped_container_is_started_with_what_is_in_it(host: Host, box: Workspace) -> None:
    first = container.up(host, box, images.BUSYBOX)
    inside(host, "touch", "/installed")
    host.engine.stop(first.id, 1)
    second = container.up(host, box, images.BUSYBOX)
    assert second == Up("box", first.id, images.BUSYBOX, "started", box.data)
    inside(host, "ls", "/installed")


def test_a_container_that_never_ran_is_made_again(host: Host, box: Workspace) -> None:
    spec = container.spec_for(host.engine.info(), box, images.BUSYBOX)
    old = host.engine.create(spec)
    up = container.up(host, box, images.BUSYBOX)
    assert up.action == "created"
    assert up.id != old
    assert host.engine.container(old) is None
    (note,) = other_notes(up)
    assert "replaced" in note


def test_a_container_that_cannot_be_started_any_more_is_made_again(
    host: Host, box: Workspace, image: Callable[..., str]
) -> None:
    script = b'#!/bin/sh\n[ -e /data/broken ] && { echo "cannot go on"; exit 5; }\nexec "$@"\n'
    image("s2s-test/fragile:1", 'ENTRYPOINT ["/entry.sh"]', files={"/entry.sh": script})
    first = container.up(host, box, "s2s-test/fragile:1")
    host.engine.stop(first.id, 1)
    Path(box.data, "broken").touch()
    trouble = trouble_in(lambda: container.up(host, box, "s2s-test/fragile:1"))
    assert trouble.kind is Problem.CONTAINER_EXITED  # the new one cannot either
    assert host.engine.container("box") is None
    Path(box.data, "broken").unlink()
    assert container.up(host, box, "s2s-test/fragile:1").action == "created"


def test_a_container_whose_data_folder_is_gone_is_made_again(host: Host, box: Workspace, tmp_path: Path) -> None:
    first = container.up(host, box, images.BUSYBOX)
    host.engine.stop(first.id, 1)
    Path(box.data).rename(tmp_path / "elsewhere")
    moved = replace(box, data=str(tmp_path / "elsewhere"))
    second = container.up(host, moved, images.BUSYBOX)
    assert second.action in ("created", "started")  # some engines make the folder anew
    assert info_of(host).running


def test_what_a_user_installed_survives_a_missing_runtime(
    fresh_engine: Callable[..., PrivateEngine], box: Workspace, tmp_path: Path
) -> None:
    """The stopped container of a machine whose engine has lost the runtime is kept, and the cause is named."""
    runtime = tmp_path / "nvidia-container-runtime"
    runtime.write_text('#!/bin/sh\nexec runc "$@"\n')
    runtime.chmod(0o755)
    private = fresh_engine({"runtimes": {"nvidia": {"path": str(runtime)}}})
    images.load(private.url)
    host = build(private.environ)
    try:
        wanted = replace(box, gpus=GpuChoice())
        up = container.up(host, wanted, images.BUSYBOX)
        info = info_of(host)
        assert info.runtime == "nvidia"
        assert inside(host, "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES") == "all"
        inside(host, "touch", "/installed")
        host.engine.stop(up.id, 1)
        runtime.unlink()
        trouble = trouble_in(lambda: container.up(host, wanted, images.BUSYBOX))
        assert trouble.kind is Problem.RUNTIME_BROKEN
        assert trouble.hint
        assert info_of(host).id == up.id
    finally:
        host.engine.close()


def test_the_image_has_been_renewed(host: Host, box: Workspace, image: Callable[..., str]) -> None:
    image("s2s-test/moving:1", "LABEL round=1")
    first = container.up(host, box, "s2s-test/moving:1")
    image("s2s-test/moving:1", "LABEL round=2")
    second = container.up(host, box, "s2s-test/moving:1")
    assert (second.id, second.action) == (first.id, "reused")
    assert "renewed" in second.notes[0]
    assert "another name" in second.notes[0]


def test_other_wishes_than_at_the_time_of_making_are_said(host: Host, box: Workspace, tmp_path: Path) -> None:
    first = container.up(host, box, images.BUSYBOX)
    (tmp_path / "new").mkdir()
    wishes = Workspace(str(tmp_path / "new"), "box", GpuChoice(), 2**26)
    second = container.up(host, wishes, images.BASH)
    assert (second.id, second.action, second.data, second.image) == (first.id, "reused", box.data, images.BUSYBOX)
    assert [images.BASH in note for note in second.notes] == [True, False, False]
    assert str(tmp_path / "new") in second.notes[1]
    assert "none" in second.notes[2]
    assert container.up(host, replace(box, data=box.data + "/"), images.BUSYBOX).notes == ()


def test_a_paused_container_is_named(host: Host, box: Workspace, engine: PrivateEngine) -> None:
    container.up(host, box, images.BUSYBOX)
    client = engine.client()
    client.pause("box")
    trouble = trouble_in(lambda: container.up(host, box, images.BUSYBOX))
    client.unpause("box")
    client.close()
    assert trouble.kind is Problem.CONTAINER_NOT_RUNNING
    assert "unpause" in trouble.hint


# --- somebody else's is there -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["created", "running", "exited"])
def test_a_container_of_somebody_else_is_never_touched(host: Host, box: Workspace, state: str) -> None:
    foreign = ContainerSpec("box", images.BUSYBOX, command=("sleep", "1000"), memlock=False)
    other = host.engine.create(foreign)
    host.engine.create(replace(foreign, name="box-2"))
    if state != "created":
        host.engine.start(other)
    if state == "exited":
        host.engine.stop(other, 0)
    before = info_of(host)
    trouble = trouble_in(lambda: container.up(host, box, images.BUSYBOX))
    assert (trouble.kind, trouble.subject) == (Problem.NAME_TAKEN, "box")
    assert "box-3" in trouble.hint
    (evidence,) = trouble.evidence
    assert images.BUSYBOX in evidence.text
    assert state in evidence.text
    assert before.created in evidence.text
    assert info_of(host) == before


def test_somebody_takes_the_name_at_the_last_moment(host: Host, box: Workspace) -> None:
    foreign = host.engine.create(ContainerSpec("box", images.BUSYBOX, memlock=False))
    trouble = trouble_in(lambda: container.up(replace(host, engine=LooksTooEarly(host)), box, images.BUSYBOX))
    assert trouble.kind is Problem.NAME_TAKEN
    assert info_of(host).id == foreign


def test_a_name_that_is_the_beginning_of_an_id_is_free(host: Host, box: Workspace) -> None:
    other = host.engine.create(ContainerSpec("other", images.BUSYBOX, memlock=False))
    up = container.up(host, replace(box, name=other[:12]), images.BUSYBOX)
    assert up.action == "created"
    assert info_of(host, "other").id == other


# --- it does not work, and leaves nothing behind ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (None, Problem.IMAGE_MISSING),
        ('ENTRYPOINT ["/bin/echo", "I only talk:"]', Problem.CONTAINER_EXITED),
        ('ENTRYPOINT ["/no/such/program"]', Problem.NOT_EXECUTABLE),
    ],
)
def test_an_image_that_is_of_no_use(
    host: Host, box: Workspace, image: Callable[..., str], entry: str | None, kind: Problem
) -> None:
    if entry is not None:
        image("s2s-test/odd:1", entry)
    trouble = trouble_in(lambda: container.up(host, box, "s2s-test/odd:1"))
    assert trouble.kind is kind
    assert host.engine.containers(all=True) == ()
    if kind is Problem.CONTAINER_EXITED:
        assert trouble.subject == "box"
        assert "I only talk: sh -c" in trouble.evidence[0].text


def test_an_image_without_a_shell(host: Host, box: Workspace, image: Callable[..., str]) -> None:
    image("s2s-test/bare:1", "ENV PATH=/nowhere")
    trouble = trouble_in(lambda: container.up(host, box, "s2s-test/bare:1"))
    assert (trouble.kind, trouble.subject) == (Problem.NO_SHELL, "s2s-test/bare:1")
    assert host.engine.container("box") is None


def test_gpus_without_a_driver_for_them(host: Host, box: Workspace) -> None:
    trouble = trouble_in(lambda: container.up(host, replace(box, gpus=GpuChoice()), images.BUSYBOX))
    assert trouble.kind in (Problem.GPU_DRIVER_NOT_SELECTED, Problem.RUNTIME_BROKEN)
    assert host.engine.container("box") is None


def test_the_data_folder_is_made_when_the_container_is(host: Host, box: Workspace) -> None:
    new = replace(box, data=box.data + "/new")
    trouble = trouble_in(lambda: container.up(host, new, "s2s-test/not-here:1"))
    assert trouble.kind is Problem.IMAGE_MISSING
    assert not Path(new.data).exists()
    assert container.up(host, new, images.BUSYBOX).action == "created"
    assert Path(new.data).is_dir()


def test_a_data_folder_that_cannot_be_made(host: Host, box: Workspace) -> None:
    Path(box.data, "file").write_text("")
    trouble = trouble_in(lambda: container.up(host, replace(box, data=box.data + "/file/none"), images.BUSYBOX))
    assert trouble.kind is Problem.FILE_NOT_REGULAR
    assert host.engine.container("box") is None


def test_ctrl_c_while_the_container_starts(
    host: Host, box: Workspace, image: Callable[..., str], engine: PrivateEngine
) -> None:
    image("s2s-test/slow:1", 'ENTRYPOINT ["/slow"]', files={"/slow": b"#!/bin/sh\nsleep 30\n"})
    script = (
        "from wizard.host.real import build; from wizard.services import container\n"
        "from wizard.model.container import Workspace, GpuChoice\n"
        f"container.up(build(), Workspace({box.data!r}, 'box', GpuChoice.parse('none')), 's2s-test/slow:1')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], env=engine.environ, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        there = host.engine.container("box")
        if there is not None and there.running:
            break
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    assert host.engine.container("box") is None


def test_ctrl_c_before_the_engine_has_answered(host: Host, box: Workspace) -> None:
    interrupted = replace(host, engine=Interrupted(host))
    with pytest.raises(KeyboardInterrupt):
        container.up(interrupted, box, images.BUSYBOX)
    assert host.engine.container("box") is None


# --- from the inside ----------------------------------------------------------------------------------------------


def test_a_container_made_without_a_gpu_says_so(host: Host, box: Workspace) -> None:
    container.up(host, box, images.BUSYBOX)
    (finding,) = container.look_inside(host, "box")
    assert finding.status is Status.INFO


@pytest.mark.parametrize(
    ("device", "smi", "statuses"),
    [
        (False, None, [Status.ERROR]),
        (True, None, [Status.OK, Status.WARNING]),
        (True, "echo 'Failed to initialize NVML: Unknown Error'; exit 255", [Status.OK, Status.ERROR]),
        (
            True,
            "echo 'GPU 0: NVIDIA GeForce RTX 2060 (UUID: GPU-1)'; echo 'GPU 1: Tesla T4 (UUID: GPU-2)'",
            [Status.OK, Status.OK],
        ),
    ],
)
def test_the_gpu_as_the_container_sees_it(
    host: Host, box: Workspace, device: bool, smi: str | None, statuses: list[Status]
) -> None:
    spec = container.spec_for(host.engine.info(), replace(box, gpus=GpuChoice()), images.BUSYBOX)
    made = host.engine.create(replace(spec, device_request=False, memlock=False))
    host.engine.start(made)
    if device:
        inside(host, "touch", "/dev/nvidiactl")
    if smi is not None:
        inside(host, "sh", "-c", 'printf "#!/bin/sh\\n%s\\n" "$0" >/bin/nvidia-smi; chmod 755 /bin/nvidia-smi', smi)
    findings = container.look_inside(host, "box")
    assert [finding.status for finding in findings] == statuses
    assert all(finding.evidence for finding in findings)
    if statuses == [Status.OK, Status.OK]:
        assert findings[1].summary == "GPU 0: NVIDIA GeForce RTX 2060; GPU 1: Tesla T4"


def test_looking_into_nothing(host: Host) -> None:
    assert trouble_in(lambda: container.look_inside(host, "box")).kind is Problem.CONTAINER_MISSING


# --- engines with one habit changed; everything else is the real one ----------------------------------------------


class Changed(DockerEngine):
    """The engine of a host, to be changed in one place."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.environ, host.commands)


class NoMemlock(Changed):
    def start(self, container_id: str) -> None:
        client = self.client()
        limits = client.inspect_container(container_id)["HostConfig"]["Ulimits"]
        if any(limit["Name"] == "memlock" for limit in limits):
            raise Trouble(Problem.RLIMIT_REFUSED, "error setting rlimit type 8: operation not permitted")
        super().start(container_id)


class LooksTooEarly(Changed):
    def container(self, name: str) -> ContainerInfo | None:
        return None


class Interrupted(Changed):
    """The request reaches the engine a moment after Ctrl-C, and nobody reads its answer."""

    def create(self, spec: ContainerSpec) -> str:
        threading.Timer(0.2, super().create, (spec,)).start()
        raise KeyboardInterrupt


def test_a_container_is_stopped_only_if_it_is_ours(host: Host) -> None:
    with pytest.raises(Trouble) as caught:
        container.stop(host, "nobody")
    assert caught.value.kind is Problem.CONTAINER_MISSING
    made = host.engine.create(ContainerSpec("theirs", images.BASH, ("sleep", "60"), memlock=False))
    host.engine.start(made)
    with pytest.raises(Trouble) as caught:
        container.stop(host, "theirs")
    assert caught.value.kind is Problem.NAME_TAKEN
    found = host.engine.container(made)
    assert found is not None
    assert found.running
