from __future__ import annotations

import threading

import pytest

from wizard.model.beside import Beside, regularly


def test_the_result_is_waited_for() -> None:
    go = threading.Event()
    beside = Beside(lambda: go.wait(30), "work")
    assert not beside.is_over
    assert not beside.wait(0)
    go.set()
    assert beside.result() is True
    assert beside.result() is True, "any number of times"
    assert beside.is_over


def test_what_it_raises_is_raised_where_it_is_asked_for() -> None:
    nothing: dict[str, int] = {}
    beside = Beside(lambda: nothing["missing"], "work")
    with pytest.raises(KeyError, match="missing"):
        beside.result()


def test_it_is_looked_at_until_the_end() -> None:
    looks, twice = list[int](), threading.Event()

    def look() -> None:
        looks.append(1)
        if len(looks) == 2:
            twice.set()

    with regularly(look, 0.001, "looks"):
        assert twice.wait(30)
    count = len(looks)
    assert "looks" not in [thread.name for thread in threading.enumerate()]
    assert len(looks) == count
