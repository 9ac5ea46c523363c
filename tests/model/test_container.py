"""Names, GPUs and what the engine is told."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model.container import KEEP_ALIVE, READY, ContainerSpec, GpuChoice, check_name
from wizard.model.errors import Problem, Trouble


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("all", GpuChoice()),
        ("", GpuChoice()),
        (" ALL ", GpuChoice()),
        ("none", GpuChoice(all=False)),
        ("0", GpuChoice(all=False, indices=(0,))),
        ("3, 1 ,1", GpuChoice(all=False, indices=(1, 3))),
    ],
)
def test_gpus_are_read(text: str, choice: GpuChoice) -> None:
    assert GpuChoice.parse(text) == choice


@pytest.mark.parametrize("text", ["0,", ",", "-1", "one", "0 1", "1000", "all,0", "0.5", "GPU-2f1c"])
def test_other_gpus_are_refused(text: str) -> None:
    with pytest.raises(Trouble) as caught:
        GpuChoice.parse(text)
    assert caught.value.kind is Problem.BAD_INPUT


@given(
    st.one_of(
        st.just(GpuChoice()), st.frozensets(st.integers(0, 999)).map(lambda s: GpuChoice(False, tuple(sorted(s))))
    )
)
def test_gpus_are_written_as_they_are_read(choice: GpuChoice) -> None:
    assert GpuChoice.parse(str(choice)) == choice
    assert choice.any == (str(choice) != "none")


@pytest.mark.parametrize("name", ["openseq2seq", "ab", "A1", "0.a_b-c", "x" * 128])
def test_names_that_docker_takes(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a", "-ab", ".ab", "a b", "a/b", "../info", "容器", "ab\n", "x" * 129])
def test_names_that_docker_refuses(name: str) -> None:
    with pytest.raises(Trouble) as caught:
        check_name(name)
    assert (caught.value.kind, caught.value.subject) == (Problem.NAME_INVALID, name)


def test_without_memlock_all_else_stays() -> None:
    spec = ContainerSpec("box", "image:1", ("sh",), labels={"a": "b"}, shm=5)
    other = spec.without_memlock()
    assert (spec.memlock, other.memlock) == (True, False)
    assert (other.name, other.command, other.labels, other.shm) == ("box", ("sh",), {"a": "b"}, 5)


def test_printing_the_arguments_does_not_look_like_being_ready() -> None:
    assert READY not in " ".join(KEEP_ALIVE)
    said = subprocess.run(("timeout", "2", *KEEP_ALIVE), capture_output=True, text=True, timeout=20).stdout
    assert said == f"{READY}\n"
