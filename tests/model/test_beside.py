from __future__ import annotations

import threading

import pytest

from wizard.model.beside import Beside


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
