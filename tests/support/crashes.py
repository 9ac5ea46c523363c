"""Runs the program's commands, each time with a fault in another function that handles the key.

``python -m tests.support.crashes`` reads its orders (``Orders`` as JSON, with the key) from standard input, so that the
key stands in no arguments and no environment, and writes what it did as the last line of its standard output.
"""

from __future__ import annotations

import base64
import contextlib
import inspect
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

MODULES = (
    "wizard.cli.key",
    "wizard.host.blobs",
    "wizard.host.engine.client",
    "wizard.host.keys",
    "wizard.host.pass_store",
    "wizard.host.registry",
    "wizard.model.ngc_key",
    "wizard.services.account",
    "wizard.services.pull",
    "wizard.services.report",
)
PULL = "the download, without the process of its own"


@dataclass
class Orders:
    """``commands`` are command lines, in their order; ``before`` is Python to run first; ``log`` the log's file."""

    key: str
    commands: list[list[str]]
    log: str
    before: str = ""


@dataclass
class Done:
    """``handlers`` are the functions that handle a key; ``codes`` the exit codes of those that were made to fail."""

    handlers: list[str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)


def handlers() -> dict[str, tuple[Any, str]]:
    """Every function of ``MODULES`` that takes, gives or opens a key: its name, and where it can be exchanged."""
    found = {}
    for name in MODULES:
        module = import_module(name)
        for owner in (module, *(item for item in vars(module).values() if _own_class(item, module))):
            for attribute, value in vars(owner).items():
                function = inspect.unwrap(value) if callable(value) else None
                if isinstance(function, FunctionType) and function.__module__ == name and _handles(function):
                    found[f"{name}.{function.__qualname__}"] = (owner, attribute)
    return found


def _own_class(item: object, module: ModuleType) -> bool:
    return inspect.isclass(item) and item.__module__ == module.__name__


def _handles(function: FunctionType) -> bool:
    if any(word in str(hint) for hint in function.__annotations__.values() for word in ("Secret", "Entered")):
        return True
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        if "reveal" in code.co_names:
            return True
        codes += [item for item in code.co_consts if inspect.iscode(item)]
    return False


@contextlib.contextmanager
def _exchanged(owner: Any, attribute: str, new: Callable[[Any], Any]) -> Iterator[None]:
    old = vars(owner)[attribute]
    setattr(owner, attribute, new(old))
    try:
        yield
    finally:
        setattr(owner, attribute, old)


def run(orders: Orders) -> Done:
    """Finds out which command leads to which function, then makes each function fail, once before and once after its
    work.
    """
    places = handlers()
    done = Done(sorted(places))
    leads: dict[str, int] = {}
    for number in range(len(orders.commands)):
        with contextlib.ExitStack() as listening:
            for name, (owner, attribute) in places.items():
                noting = partial(_noting, name=name, leads=leads, number=number)
                listening.enter_context(_exchanged(owner, attribute, noting))
            _command(orders, number)
    for name, number in leads.items():
        for late in (False, True):
            met: list[bool] = []
            with _exchanged(*places[name], partial(_failing, key=orders.key, late=late, met=met)):
                code = _command(orders, number)
            if met:
                done.codes[f"{name}, {'after' if late else 'before'}"] = code
    return done


def _noting(old: Any, name: str, leads: dict[str, int], number: int) -> Any:
    def noting(*args: Any, **options: Any) -> Any:
        leads.setdefault(name, number)
        return old(*args, **options)

    return noting


def _failing(old: Any, key: str, late: bool, met: list[bool]) -> Any:
    def failing(*args: Any, **options: Any) -> Any:
        met.append(True)
        if late:
            with contextlib.suppress(Exception):
                old(*args, **options)
        login = base64.b64encode(f"$oauthtoken:{key}".encode()).decode()
        try:
            raise RuntimeError(f"the cause, with {key}")
        except RuntimeError as error:
            raise ValueError(key, f"Basic {login}", {"X-Registry-Auth": login}) from error

    return failing


def _command(orders: Orders, number: int) -> int:
    from wizard.cli import main

    words = orders.commands[number]
    sys.stdin = io.StringIO(f"{orders.key}\n")
    if words[0] == PULL:
        return _pull(orders, *words[1:])
    return main([*words, "--log-file", orders.log])


def _pull(orders: Orders, image: str, via: str) -> int:
    """A pull in this way, and what it would take, with the same border around it as the program's."""
    from wizard.cli import _unexpected, fail
    from wizard.cli.console import Console
    from wizard.host import log, real
    from wizard.model.errors import Trouble
    from wizard.services import account, pull

    console = Console()
    with log.start(str(Path(orders.log).parent), orders.log):
        host = real.build()
        try:
            host.commands.run(("docker", "image", "rm", "--force", image))
            found = account.current(host)
            pull.preview(host, image, found and found[0], pull.Way(via))
            pull.run(host, image, found and found[0], way=pull.Way(via))
        except Trouble as trouble:
            return fail(console, trouble)
        except Exception as error:
            return fail(console, _unexpected(error, orders.log))
        finally:
            host.engine.close()
    return 0


if __name__ == "__main__":
    _orders = Orders(**json.load(sys.stdin))
    exec(_orders.before, {})
    print(json.dumps(asdict(run(_orders))))
