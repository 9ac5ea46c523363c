"""The user's own terminal: programs that talk to the user, and the inside of a container.

Everything here works on file descriptors, so that it does the same in the main thread and in a worker's, under a
full-screen application that has stepped aside and in a script without any terminal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from wizard.host.commands import without_keys
from wizard.host.ports import ExecSession
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _

_PIECE = 65536
_LOOK_EVERY = 0.1
"""Seconds between two looks at the terminal's size. Looking needs no signal handler, so it works in every thread and
leaves the application's own SIGWINCH handler alone.
"""
_QUIET = b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?47l\x1b[?1l\x1b>\x1b[?25h\x1b[0m\r\n"
"""Switches off what a program that was cut off may have left on: mouse reports, bracketed paste, the second screen,
the hidden cursor, colours.
"""
_READER_GONE = 128 + signal.SIGPIPE
_KILLED = 128 + signal.SIGKILL


class _Ended(BaseException):
    """A signal asked this process to end; not for any ``except`` on the way out."""


class SystemTerminal:
    """The port ``Terminal`` on three file descriptors; by default those of this process.

    ``environ`` is the environment of the programs that ``run`` starts, by default that of this process; NGC keys are
    left out of it.
    """

    def __init__(
        self, stdin: int = 0, stdout: int = 1, stderr: int = 2, *, environ: Mapping[str, str] | None = None
    ) -> None:
        self._stdin = _as_started(stdin)
        self._stdout = _as_started(stdout)
        self._stderr = _as_started(stderr)
        self._environ = environ

    def is_interactive(self) -> bool:
        """Whether standard input and output are a terminal."""
        return os.isatty(self._stdin) and os.isatty(self._stdout)

    def size(self) -> tuple[int, int]:
        """Columns and rows; 80 and 24 where nobody knows."""
        for fd in (self._stdout, self._stdin, self._stderr):
            with contextlib.suppress(OSError):
                columns, rows = os.get_terminal_size(fd)
                if columns and rows:
                    return columns, rows
        return 80, 24

    # --- a program of this machine -------------------------------------------------------------------------------

    def run(self, argv: tuple[str, ...]) -> int:
        """Runs a program that talks to the user; its exit status, 128 + n when signal n ended it.

        The program is a process group of its own in the terminal's foreground, as under a shell: Ctrl-C is for it
        alone. Stopped by Ctrl-Z it goes on at once, because nobody could continue it. Where the foreground is not
        ours to give, it stays in our group. Raises ``NO_TERMINAL``, ``COMMAND_MISSING``, ``COMMAND_FAILED``.
        """
        if not self.is_interactive():
            raise Trouble(Problem.NO_TERMINAL, subject=" ".join(argv))
        leader = _foreground(self._stdin)
        pid: int | None = None

        def take_back() -> None:
            if leader is not None:
                os.tcsetpgrp(self._stdin, leader)
            if pid is not None:  # left before its end: the user who could answer it is gone
                (os.kill if leader is None else os.killpg)(pid, signal.SIGHUP)

        with self._kept(take_back), _sigttou_blocked() as mask:
            pid = self._spawn(argv, mask, group=os.getpgrp() if leader is None else 0)
            code = self._wait(pid, hand_over=leader is not None)
            pid = None
        return code

    def _spawn(self, argv: tuple[str, ...], mask: set[signal.Signals], group: int) -> int:
        wiring = [
            (os.POSIX_SPAWN_DUP2, self._stdin, 0),
            (os.POSIX_SPAWN_DUP2, self._stdout, 1),
            (os.POSIX_SPAWN_DUP2, self._stderr if self._stderr >= 0 else self._stdout, 2),
        ]
        try:
            return os.posix_spawnp(
                argv[0],
                argv,
                without_keys(os.environ if self._environ is None else self._environ),
                file_actions=wiring,
                setpgroup=group,
                setsigmask=mask,
                # What Python or the application ignores or handles is no business of the program.
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP),
            )
        except FileNotFoundError as error:
            raise Trouble(Problem.COMMAND_MISSING, str(error), subject=argv[0]) from error
        except OSError as error:
            raise Trouble(Problem.COMMAND_FAILED, str(error), subject=argv[0]) from error

    def _wait(self, pid: int, *, hand_over: bool) -> int:
        while True:
            if hand_over:
                with contextlib.suppress(OSError):
                    os.tcsetpgrp(self._stdin, pid)
            _, status = os.waitpid(pid, os.WUNTRACED if hand_over else 0)
            if not os.WIFSTOPPED(status):
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            # It touched the terminal before it had it, or the user pressed Ctrl-Z.
            os.killpg(pid, signal.SIGCONT)

    # --- a command in a container --------------------------------------------------------------------------------

    def attach(self, session: ExecSession) -> int:
        """Connects the terminal to a command in a container until it ends; returns its exit status.

        With a terminal on both sides every key goes to the command as it is, Ctrl-C, Ctrl-Z and Ctrl-D included,
        and a change of size is passed on. Otherwise standard input is sent until its end, and standard output and
        error are kept apart. What was typed and not yet sent when the command ends stays for the next reader.

        The exit status is 141 when the reader of our output has gone. Raises what ``session`` raises
        (``ENGINE_LOST``), and ``CANCELLED`` when the terminal goes away. The terminal is as it was before,
        whatever happens; SIGTERM and SIGHUP included where this runs in the main thread.
        """
        if not (session.tty and self.is_interactive()):
            return self._pump(session, raw=False)
        cut_off = True

        def tidy() -> None:
            if cut_off and os.environ.get("TERM") != "dumb" and _writable_now(self._stdout):
                os.write(self._stdout, _QUIET)

        with self._kept(tidy):
            tty.setraw(self._stdin, termios.TCSANOW)  # not TCSAFLUSH, which throws away what was typed ahead
            code = self._pump(session, raw=True)
            cut_off = code == _KILLED
        return code

    def _pump(self, session: ExecSession, *, raw: bool) -> int:
        """Input goes in a thread of its own, so that a command that does not read cannot keep us from reading it."""
        ended, end = os.pipe()
        lost, lose = os.pipe()
        feeder = threading.Thread(target=self._feed, args=(session, raw, ended, lose), daemon=True)
        feeder.start()
        try:
            self._drain(session, raw, lost)
            return session.exit_code()
        except BrokenPipeError:
            return _READER_GONE
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise Trouble(
                Problem.DISK_FULL if full else Problem.CANCELLED, str(error), subject=_("standard output")
            ) from error
        finally:
            os.close(end)
            session.close()
            feeder.join(1.0)
            os.close(lost)
            if not feeder.is_alive():
                # A feeder that another reader of the same terminal holds up keeps its ends until it wakes.
                os.close(ended)
                os.close(lose)

    def _drain(self, session: ExecSession, raw: bool, lost: int) -> None:
        """Output and size, until the command ends."""
        source = session.fileno()
        told: tuple[int, int] | None = None
        while True:
            if raw and (now := self.size()) != told:
                told = now
                with contextlib.suppress(Trouble):  # the wrong size is a nuisance; the stream says what is broken
                    session.resize(*now)
            ready = _ready((source, lost), _LOOK_EVERY if raw else None)
            if source in ready:
                piece = session.read()
                if piece is None:
                    return
                stream, data = piece
                _write_all(self._stderr if stream == 2 else self._stdout, data)
            elif lost in ready:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _feed(self, session: ExecSession, raw: bool, ended: int, lose: int) -> None:
        """Input, until it ends or the command does. Failures are left to the reading side, which knows why."""
        with contextlib.suppress(Trouble, OSError):
            while True:
                ready = _ready((self._stdin, ended), None)
                if ended in ready:
                    return
                data = _read(self._stdin)
                if data:
                    session.write(data)
                elif data is not None:
                    break
            if raw:
                os.write(lose, b"\0")
            else:
                session.close_input()

    # --- as it was -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _kept(self, also: Callable[[], None]) -> Iterator[None]:
        """Gives the terminal its modes back and calls ``also``, once, however the block is left.

        SIGTERM and SIGHUP would end the process without any ``finally``; in the main thread they are held until the
        terminal is itself again, and then they do what they did before.
        """
        before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        restored = False

        def restore() -> None:
            nonlocal restored
            if restored:
                return
            restored = True
            with contextlib.suppress(OSError, termios.error), _sigttou_blocked():
                termios.tcsetattr(self._stdin, termios.TCSANOW, modes)
                also()

        def on_signal(number: int, _frame: FrameType | None) -> None:
            restore()
            signal.signal(number, before[number])
            os.kill(os.getpid(), number)
            # Still here: the application has a handler of its own. It must not find us in the user's way.
            raise _Ended(signal.Signals(number).name)

        try:
            modes = termios.tcgetattr(self._stdin)
        except termios.error as error:
            raise Trouble(Problem.NO_TERMINAL, str(error)) from error
        if threading.current_thread() is threading.main_thread():
            for ending in (signal.SIGTERM, signal.SIGHUP):
                handler = signal.getsignal(ending)
                if handler not in (None, signal.SIG_IGN):
                    before[ending] = handler
                    signal.signal(ending, on_signal)
        try:
            yield
        except (_Ended, termios.error) as error:
            raise Trouble(Problem.CANCELLED, str(error)) from error
        finally:
            restore()
            for number, handler in before.items():
                signal.signal(number, handler)


def _as_started(fd: int) -> int:
    """``fd``, or -1 for a standard stream that was closed when this process started.

    Its number is then free, and the next socket that is opened gets it.
    """
    if fd in (0, 1, 2) and (sys.__stdin__, sys.__stdout__, sys.__stderr__)[fd] is None:
        return -1
    return fd


def _foreground(fd: int) -> int | None:
    """Our process group, if the terminal is ours to give away; None otherwise."""
    with contextlib.suppress(OSError):
        if os.tcgetpgrp(fd) == os.getpgrp():
            return os.getpgrp()
    return None


@contextlib.contextmanager
def _sigttou_blocked() -> Iterator[set[signal.Signals]]:
    """Whoever is not in the foreground and takes the terminal back is stopped by SIGTTOU, unless he blocks it."""
    mask = {signal.Signals(item) for item in signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})}
    try:
        yield mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _ready(fds: tuple[int, ...], seconds: float | None) -> set[int]:
    """Those of ``fds`` that can be read without waiting; one that is closed, broken or missing counts as such."""
    missing = {fd for fd in fds if fd < 0}
    poller = select.poll()
    for fd in set(fds) - missing:
        poller.register(fd, select.POLLIN)
    if missing:
        seconds = 0
    return missing | {fd for fd, _ in poller.poll(None if seconds is None else seconds * 1000)}


def _writable_now(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poller.poll(0))


def _read(fd: int) -> bytes | None:
    """The next input; empty at its end, and where there is none; None when another reader was faster."""
    try:
        return os.read(fd, _PIECE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _write_all(fd: int, data: bytes) -> None:
    """Writes all of ``data``, to a slow terminal and to one that somebody made non-blocking too."""
    rest = memoryview(data)
    while rest and fd >= 0:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            poller = select.poll()
            poller.register(fd, select.POLLOUT)
            poller.poll()
