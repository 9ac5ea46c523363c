"""Simulated machines with one port that answers differently."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Finding
from wizard.services import checks
from wizard.services.checkup import run_one


class Instead:
    """A port of which some methods give another answer; a ``Trouble`` as an answer is raised."""

    def __init__(self, port: Any, **answers: Any) -> None:
        self._port = port
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        if name not in self._answers:
            return getattr(self._port, name)

        def method(*args: Any, **options: Any) -> Any:
            answer = self._answers[name]
            if callable(answer):
                answer = answer(*args, **options)
            if isinstance(answer, Trouble):
                raise answer
            return answer

        return method


def with_engine(name: str = "healthy", **answers: Any) -> Host:
    """The simulated machine ``name`` whose engine answers differently."""
    host = machine.build(name)
    return replace(host, engine=Instead(host.engine, **answers))


def trouble(kind: Problem, text: str = "") -> Trouble:
    return Trouble(kind, text)


def find(host: Host, id: str) -> Finding:
    """What one check finds, with nothing around it."""
    return run_one(host, checks.by_id(id))
