"""The command line: ``main`` reads it, runs one command, and turns every end into an exit code.

``arguments`` knows what may be typed, ``console`` prints. Each command is the module of its name, with a function
``run(call) -> int``, and is imported only when it was typed, so that each starts fast; Textual is loaded only by the
full-screen wizard, the program without a command.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING

from wizard.cli.arguments import parse
from wizard.cli.console import PROGRAM, Console, is_terminal, prepare_streams, speaks
from wizard.model import i18n
from wizard.model.errors import Problem, Trouble, exit_code
from wizard.model.event import Cancel
from wizard.model.i18n import _

if TYPE_CHECKING:
    from argparse import Namespace

    from wizard.host.ports import Host

INTERRUPTED = 130
_YOUNG = 20_000
"""New objects after which Python looks for garbage among them. With its own 700 a start has hundreds of such looks."""
_LONG = ("fetch", "use", "add")
"""What ``data`` does that takes its time and says so in lines."""


def main(argv: list[str] | None = None) -> int:
    """Runs the program with ``argv`` (without its name; the process's own by default). Returns the exit code."""
    if argv is None:
        gc.set_threshold(_YOUNG)
        atexit.register(gc.freeze)  # no look for garbage at the end: the system takes all memory back at once
    prepare_streams()
    console = Console()
    log_path: str | None = None
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        if not options.lang and not speaks(i18n.LANGUAGES[i18n.language()]):
            i18n.use("en")  # rows of question marks help nobody
        from wizard.host import log

        with log.start(_state_folder(), options.log_file) as opened:
            log_path = opened.path
            return _guarded(options, console, log_path)
    except Trouble as trouble:
        return fail(console, trouble)
    except SystemExit as end:  # --help and --version
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:  # a second Ctrl-C, while the first was being dealt with
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()


def fail(console: Console, trouble: Trouble) -> int:
    """Says what went wrong, in words or as JSON; returns the exit code."""
    from wizard.services import words

    explained = words.explain(trouble)
    if trouble.kind is Problem.CANCELLED:
        console.say(_("{program}: interrupted").format(program=PROGRAM))
    elif not console.json:
        console.say(_("{program}: {summary}").format(program=PROGRAM, summary=explained.summary))
        console.say(f"  {explained.advice}")
        console.evidence(explained.evidence, narration=True)
    if console.json == "document":
        console.document({"error": words.to_json(explained)})
    elif console.json:
        console.event("error", {"error": words.to_json(explained)})
    return exit_code(trouble.kind)


def _guarded(options: Namespace, console: Console, log_path: str | None) -> int:
    """Runs the command; whatever happens in it ends with one sentence and an exit code."""
    try:
        return _run(options, console)
    except Trouble as trouble:
        return fail(console, trouble)
    except KeyboardInterrupt:
        return fail(console, Trouble(Problem.CANCELLED))
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last border: the trace goes to the log, a sentence to the user
        return fail(console, _unexpected(error, log_path))


def _run(options: Namespace, console: Console) -> int:
    if options.json:
        once = getattr(options, "export", "") or getattr(options, "list", False)
        actions = {"train": not once, "data": getattr(options, "action", "") in _LONG}
        console.json = "lines" if actions.get(options.command, options.command in ("pull", "run")) else "document"
    host = _host(options.demo)
    console.info = host.info
    try:
        if not options.command:
            return _full_screen(host)
        if host.info.kind != "real":
            console.say(
                _('Simulated machine "{name}": nothing on your computer is looked at or changed.').format(
                    name=host.info.machine
                )
            )
        from wizard.cli.call import Call

        command: Callable[[Call], int] = import_module(f"wizard.cli.{options.command}").run
        with _interruptible(Cancel()) as cancel:
            return command(Call(host, options, console, cancel))
    finally:
        host.engine.close()


def _full_screen(host: Host) -> int:
    """The wizard itself. Raises ``NO_TERMINAL`` where it could not be seen or not be answered."""
    if not all(map(is_terminal, (sys.stdin, sys.stdout, sys.stderr))):
        raise Trouble(
            Problem.NO_TERMINAL,
            hint=_("Input, output and error output must all be the terminal; the wizard is drawn on the error output."),
        )
    from wizard import app

    return app.run(host, lang=i18n.language())


def _host(machine: str | None) -> Host:
    if machine is None:
        from wizard.host import real

        return real.build()
    from wizard.demo import machine as demo

    if machine not in demo.names():
        raise Trouble(
            Problem.BAD_INPUT,
            subject=machine,
            hint=_("Simulated machines: {names}.").format(names=", ".join(demo.names())),
        )
    return demo.build(machine)


def _state_folder() -> str:
    from pathlib import Path

    from wizard.host.settings import Folders

    return Folders.of(os.environ, str(Path.home())).state


def _unexpected(error: Exception, log_path: str | None) -> Trouble:
    import logging

    from wizard.model.finding import Evidence

    logging.getLogger(__name__).error("the command ended with an error", exc_info=error)
    where = () if log_path is None else (Evidence(_("The details are in the log"), log_path),)
    return Trouble(Problem.INTERNAL, type(error).__name__, evidence=where)


@contextmanager
def _interruptible(cancel: Cancel) -> Iterator[Cancel]:
    """While the block runs, SIGTERM and a closed terminal end it as Ctrl-C does: cleanly, and its threads are told.

    The full-screen wizard has handlers of its own.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: the main thread may hold the very lock that Cancel needs.
        threading.Thread(target=cancel.set, daemon=True).start()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) not in (None, signal.SIG_IGN):  # nohup stays nohup
            before[number] = signal.signal(number, stop)
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reader_gone() -> int:
    """Whoever read our output has gone (``| head``): end quietly, also when Python closes the stream at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (AttributeError, OSError, ValueError):
            continue
    os.close(nowhere)
    return INTERRUPTED
