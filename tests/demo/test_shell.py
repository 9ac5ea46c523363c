"""The toy shell: what a person sees who types into a simulated container."""

from __future__ import annotations

import threading

import pytest

from wizard.demo.machine import build
from wizard.host.ports import Host
from wizard.model.container import KEEP_ALIVE, ContainerSpec, GpuChoice
from wizard.model.errors import Problem, Trouble


@pytest.fixture
def host() -> Host:
    host = build("healthy", pace=0)
    made = host.engine.create(
        ContainerSpec("box", "python:3.12-slim", KEEP_ALIVE, gpus=GpuChoice(), runtime="nvidia", memlock=False)
    )
    host.engine.start(made)
    return host


def typed(host: Host, *lines: str, container: str = "box") -> str:
    """Types lines at a terminal and gives back everything that appeared."""
    session = host.engine.open_exec(container, ("bash",), tty=True)
    session.write("".join(f"{line}\r" for line in lines).encode())
    seen = b""
    while piece := session.read():
        seen += piece[1]
    session.close()
    return seen.decode()


def test_it_says_that_it_is_simulated(host: Host) -> None:
    assert "simulated container" in typed(host, "exit").splitlines()[0]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("pwd", "/workspace\r\n"),
        ("cd nvidia-examples && ls", "OpenSeq2Seq  cnn  resnet50v1.5\r\n"),
        ("cd .. ; pwd", "\r\n/\r\n"),
        ("cd nowhere", "sh: cd: nowhere: No such file or directory\r\n"),
        ("python --version", "Python 3.6.9\r\n"),
        ("nvidia-smi -L", "GPU 0: NVIDIA GeForce RTX 2060 (UUID: GPU-"),
        ("ls /dev/nvidiactl", "\r\n/dev/nvidiactl\r\n"),
        ("echo a 'b  c' # and no more", "\r\na b  c\r\n"),
        ("false || echo no", "\r\nno\r\n"),
        ("false; echo $?", "\r\n1\r\n"),
        ("vim", "sh: vim: not found\r\n"),
        ("python train.py", "This simulated container cannot do that: python train.py\r\n"),
        ("ls > list", "This simulated container cannot do that: ls '>' list\r\n"),
        ("echo 'open", "This simulated container cannot do that: echo 'open\r\n"),
        ("\x1b[A\x1b[1;5Cecho arrows", "\r\narrows\r\n"),
        ("echo 容器x\x7f", "\r\n容器\r\n"),
        ("cat\rone\r\x04", "one\r\none\r\n"),
    ],
)
def test_a_line_and_its_answer(host: Host, line: str, answer: str) -> None:
    assert answer in typed(host, line, "exit")


def test_there_is_no_gpu_where_none_was_given() -> None:
    host = build("healthy")
    assert "not found" in typed(host, "nvidia-smi -L", "exit", container="group-notebook")
    assert "No such file" in typed(host, "ls /dev/nvidiactl", "exit", container="group-notebook")


def test_a_command_that_is_there_but_not_scripted_is_an_error(host: Host) -> None:
    with pytest.raises(Trouble) as caught:
        host.engine.run_in("box", ("python", "-c", "1"))
    assert (caught.value.kind, caught.value.subject) == (Problem.UNSCRIPTED, "python -c 1")
    session = host.engine.open_exec("box", ("python", "-c", "1"), tty=False)
    assert session.read() is None
    with pytest.raises(Trouble) as caught:
        session.exit_code()
    assert caught.value.kind is Problem.UNSCRIPTED
    session.close()


def test_nobody_is_left_behind_when_the_caller_goes(host: Host) -> None:
    session = host.engine.open_exec("box", ("bash",), tty=True)
    session.close()
    for thread in threading.enumerate():
        if thread.name == "simulated-exec":
            thread.join(5)
            assert not thread.is_alive()
