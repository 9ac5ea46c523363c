"""A command of this machine behind the port ``ExecSession``, and a small program that attaches a terminal to it.

The tests of the terminal drive ``python -m tests.support.local_session`` in a pty, so that what they see is a real
process with a real terminal; only the container is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

from wizard.host.terminal import SystemTerminal
from wizard.model.errors import Problem, Trouble


class LocalSession:
    """Runs ``argv`` on a pty of its own, or on three pipes. Writes block while the command does not read."""

    def __init__(self, argv: list[str], *, tty: bool, size: tuple[int, int] = (80, 24)) -> None:
        self.tty = tty
        self.sizes: list[tuple[int, int]] = []
        self._epoll = select.epoll()
        self._streams: dict[int, int] = {}
        if tty:
            self._in, slave = pty.openpty()
            self._set_size(*size)
            self._process = subprocess.Popen(
                argv,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
            os.close(slave)
            self._streams[self._in] = 1
        else:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
            )
            assert self._process.stdin
            assert self._process.stdout
            assert self._process.stderr
            self._in = self._process.stdin.fileno()
            self._streams = {self._process.stdout.fileno(): 1, self._process.stderr.fileno(): 2}
        for fd in self._streams:
            self._epoll.register(fd, select.EPOLLIN)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def read(self) -> tuple[int, bytes] | None:
        while self._streams:
            for fd, _ in self._epoll.poll():
                data = b""
                with contextlib.suppress(OSError):  # a pty whose other side is gone answers EIO
                    data = os.read(fd, 65536)
                if data:
                    return self._streams[fd], data
                self._epoll.unregister(fd)
                del self._streams[fd]
        return None

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._in, rest) :]
            except OSError as error:
                raise Trouble(Problem.ENGINE_LOST, str(error)) from error

    def close_input(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))
        self._set_size(columns, rows)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._in, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def exit_code(self) -> int:
        code = self._process.wait(10)
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        if self.tty and self._in >= 0:
            os.close(self._in)
            self._in = -1
        self._epoll.close()


class CutSession(LocalSession):
    """A session whose connection to the engine breaks: the output ends and nobody knows the exit status."""

    def exit_code(self) -> int:
        self._process.kill()
        self._process.wait(10)
        raise Trouble(Problem.ENGINE_LOST, "connection reset")


def main() -> None:
    """``attach`` or ``run`` a command, then say ``CODE n`` and, when asked, echo one more line of input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["attach", "run"])
    parser.add_argument("--no-tty", action="store_true", help="a session without a terminal")
    parser.add_argument("--thread", action="store_true", help="attach in a worker thread")
    parser.add_argument("--handler", action="store_true", help="the application handles SIGTERM itself")
    parser.add_argument("--cut", action="store_true", help="the exit status is lost with the connection")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds before attaching, to type ahead")
    parser.add_argument("--line", action="store_true", help="read a line afterwards")
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args()
    terminal = SystemTerminal()
    if options.handler:
        signal.signal(signal.SIGTERM, lambda number, frame: print("HANDLED", flush=True))
    if options.wait:
        print("WAITING", flush=True)
        time.sleep(options.wait)

    def act() -> None:
        try:
            if options.what == "run":
                code = terminal.run(tuple(options.argv))
            else:
                kind = CutSession if options.cut else LocalSession
                code = terminal.attach(kind(options.argv, tty=not options.no_tty, size=terminal.size()))
            said = f"CODE {code}"
        except Trouble as trouble:
            said = f"TROUBLE {trouble}"
        if terminal.is_interactive():
            os.set_blocking(sys.stdout.fileno(), True)  # a word that a full terminal refuses is lost without an error
            print(said, flush=True)
        elif said.startswith("TROUBLE"):
            print(said, file=sys.stderr, flush=True)
        else:
            os._exit(code)

    if options.thread:
        worker = threading.Thread(target=act)
        worker.start()
        worker.join()
    else:
        act()
    if options.line:
        print("LINE", repr(sys.stdin.readline()), flush=True)


if __name__ == "__main__":
    main()
