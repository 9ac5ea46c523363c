"""The toy shell inside a simulated container: a few commands, enough to look around, and nothing that runs for real.

``Interpreter`` runs command lines; ``ToySession`` connects one to a socket, so that a terminal attaches to it as to a
real container. Without a terminal the socket carries Docker's frames: one byte for the stream, three of zero, four
for the length.
"""

from __future__ import annotations

import re
import select
import shlex
import socket
import struct
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from wizard.demo.spec import Answer, Inside
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _

_BUILTIN = frozenset({"cd", "exit", "true", "false", "echo", "pwd", "command", "test", "[", "exec", ":"})
_SHELLS = frozenset({"sh", "bash"})
_INTERRUPTED = 130
_NOT_FOUND = 127


class Exit(Exception):
    """``exit N`` was run."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Interrupted(Exception):
    """Ctrl-C was typed."""


class Console(Protocol):
    """Where a command's words go, and where its input comes from."""

    size: tuple[int, int]
    tty: bool

    def write(self, stream: int, text: str) -> None: ...

    def read(self) -> bytes: ...

    def sleep(self, seconds: float) -> None: ...


@dataclass
class Interpreter:
    """Runs command lines in one container. ``answers`` are the scripted ones, by words; they come first."""

    inside: Inside
    answers: Mapping[tuple[str, ...], Answer]
    folders: Mapping[str, tuple[str, ...]]
    hostname: str
    env: dict[str, str]
    folder: str = "/"
    status: int = 0
    python: Callable[[tuple[str, ...], Console], int] | None = None
    """runs a Python script of the program's own, given the words after ``-c``"""
    programs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.programs = frozenset(self.inside.programs) | {words[0] for words in self.answers}

    def has(self, program: str) -> bool:
        """Whether the container holds that program, by name or path."""
        return program.rpartition("/")[2] in self.programs

    def run(self, argv: tuple[str, ...], console: Console) -> int:
        """Runs one program. Raises ``UNSCRIPTED`` for one that is there but not understood with these words."""
        words = (argv[0].rpartition("/")[2], *argv[1:])
        if words in self.answers:
            answer = self.answers[words]
            console.write(1, answer.stdout)
            console.write(2, answer.stderr)
            return answer.returncode
        if words[0] in _SHELLS:
            return self._shell(words, console)
        known = getattr(self, f"_run_{_METHODS.get(words[0], words[0])}", None)
        if known is not None and (words[0] in _BUILTIN or self.has(words[0])):
            run: Callable[[tuple[str, ...], Console], int] = known
            return run(words[1:], console)
        if self.has(words[0]):
            raise Trouble(Problem.UNSCRIPTED, subject=shlex.join(argv))
        console.write(2, f"sh: {argv[0]}: not found\n")
        return _NOT_FOUND

    def script(self, text: str, console: Console) -> int:
        """Runs a script: simple commands joined by newline, ``;``, ``&&`` and ``||``, with ``>`` to streams."""
        for joint, words in _commands(text):
            if (joint == "&&" and self.status) or (joint == "||" and not self.status):
                continue
            redirected = _Redirected(console)
            argv = tuple(self._expand(redirected.take(words)))
            if argv:
                self.status = self.run(argv, redirected)
        return self.status

    def interactive(self, console: Line) -> int:
        """A session at a terminal: prompts, reads lines and runs them until ``exit`` or Ctrl-D."""
        console.write(1, _("This is a simulated container. Nothing that you type here runs on a real machine.") + "\n")
        console.write(1, _('Try: ls, pwd, nvidia-smi -L, python --version. "exit" brings you back.') + "\n")
        while True:
            try:
                line = console.line(f"root@{self.hostname}:{self.folder}# ")
                if line is None:
                    console.write(1, "exit\n")
                    return self.status
                self.script(line, console)
            except Exit as end:
                return end.code
            except Interrupted:
                console.write(1, "^C\n")
                self.status = _INTERRUPTED
            except Trouble as trouble:
                console.write(
                    2, _("This simulated container cannot do that: {command}").format(command=trouble.subject)
                )
                console.write(2, "\n")
                self.status = _NOT_FOUND

    def _shell(self, words: tuple[str, ...], console: Console) -> int:
        options = [word for word in words[1:] if word.startswith("-")]
        rest = [word for word in words[1:] if not word.startswith("-")]
        self.status = 0
        try:
            if any("c" in option for option in options if not option.startswith("--")):
                return self.script(rest[0], console)
            if isinstance(console, Line):
                return self.interactive(console)
            return self.script(console.read().decode(errors="replace"), console)
        except Exit as end:
            return end.code

    def _expand(self, words: list[str]) -> Iterator[str]:
        values = {**self.env, "?": str(self.status)}
        for word in words:
            yield re.sub(r"\$(?:\{(\w+)\}|(\w+|\?))", lambda match: values.get(match[1] or match[2], ""), word)

    def _path(self, word: str) -> str:
        parts: list[str] = []
        for part in (word if word.startswith("/") else f"{self.folder}/{word}").split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)

    # --- the commands: words after the program's name in, exit status out ---

    def _run_true(self, words: tuple[str, ...], console: Console) -> int:  # noqa: ARG002
        return 0

    def _run_false(self, words: tuple[str, ...], console: Console) -> int:  # noqa: ARG002
        return 1

    def _run_echo(self, words: tuple[str, ...], console: Console) -> int:
        end = "\n"
        if words[:1] == ("-n",):
            words, end = words[1:], ""
        console.write(1, " ".join(words) + end)
        return 0

    def _run_exit(self, words: tuple[str, ...], console: Console) -> int:  # noqa: ARG002
        raise Exit(int(words[0]) & 0xFF if words and words[0].isdigit() else self.status)

    def _run_exec(self, words: tuple[str, ...], console: Console) -> int:
        raise Exit(self.run(words, console))

    def _run_pwd(self, words: tuple[str, ...], console: Console) -> int:  # noqa: ARG002
        console.write(1, f"{self.folder}\n")
        return 0

    def _run_cd(self, words: tuple[str, ...], console: Console) -> int:
        path = self._path(words[0] if words else "/root")
        if path not in self.folders:
            console.write(2, f"sh: cd: {words[0]}: No such file or directory\n")
            return 1
        self.folder = path
        return 0

    def _run_ls(self, words: tuple[str, ...], console: Console) -> int:
        status = 0
        for word in [word for word in words if not word.startswith("-")] or ["."]:
            path = self._path(word)
            if path in self.folders:
                separator = "  " if console.tty else "\n"
                listing = separator.join(self.folders[path])
                console.write(1, f"{listing}\n" if listing else "")
            elif self._exists(path):
                console.write(1, f"{word}\n")
            else:
                console.write(2, f"ls: cannot access '{word}': No such file or directory\n")
                status = 2
        return status

    def _run_test(self, words: tuple[str, ...], console: Console) -> int:  # noqa: ARG002
        words = words[:-1] if words[-1:] == ("]",) else words
        if len(words) != 2 or words[0] not in ("-e", "-f", "-x", "-r", "-d", "-c", "-w"):
            raise Trouble(Problem.UNSCRIPTED, subject=shlex.join(("test", *words)))
        path = self._path(words[1])
        return 0 if (path in self.folders if words[0] == "-d" else self._exists(path)) else 1

    def _run_command(self, words: tuple[str, ...], console: Console) -> int:
        if words[:1] != ("-v",) or len(words) != 2:
            raise Trouble(Problem.UNSCRIPTED, subject=shlex.join(("command", *words)))
        name = words[1].rpartition("/")[2]
        if not self.has(name) and name not in _BUILTIN:
            return _NOT_FOUND
        console.write(1, f"/bin/{name}\n")
        return 0

    def _run_cat(self, words: tuple[str, ...], console: Console) -> int:
        if words:
            raise Trouble(Problem.UNSCRIPTED, subject=shlex.join(("cat", *words)))
        while data := console.read():
            console.write(1, data.decode(errors="replace"))
        return 0

    def _run_sleep(self, words: tuple[str, ...], console: Console) -> int:
        console.sleep(float(words[0]))
        return 0

    def _run_stty(self, words: tuple[str, ...], console: Console) -> int:
        if words != ("size",):
            raise Trouble(Problem.UNSCRIPTED, subject=shlex.join(("stty", *words)))
        if not console.tty:
            console.write(2, "stty: standard input: Inappropriate ioctl for device\n")
            return 1
        columns, rows = console.size
        console.write(1, f"{rows} {columns}\n")
        return 0

    def _run_hostname(self, words: tuple[str, ...], console: Console) -> int:  # noqa: ARG002
        console.write(1, f"{self.hostname}\n")
        return 0

    def _run_python3(self, words: tuple[str, ...], console: Console) -> int:
        if self.python is None or words[:2] != ("-u", "-c"):
            raise Trouble(Problem.UNSCRIPTED, subject=shlex.join(("python3", *words))[:100])
        return self.python(words[2:], console)

    def _run_env(self, words: tuple[str, ...], console: Console) -> int:  # noqa: ARG002
        console.write(1, "".join(f"{name}={value}\n" for name, value in self.env.items()))
        return 0

    def _exists(self, path: str) -> bool:
        above, _slash, name = path.rpartition("/")
        if path in self.folders or name in self.folders.get(above or "/", ()):
            return True
        return above in ("/bin", "/usr/bin", "/usr/local/bin") and self.has(name)


_METHODS = {"[": "test", ":": "true"}


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The simple commands of a script, each with what stands before it: "", ``;``, ``&&`` or ``||``."""
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";|")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        joint, words = "", list[str]()
        try:
            for word in lexer:
                if word in (";", "&&", "||"):
                    yield joint, words
                    joint, words = word, []
                elif word and set(word) <= set(";&|"):
                    raise Trouble(Problem.UNSCRIPTED, subject=line)
                else:
                    words.append(word)
        except ValueError as error:  # a quotation that is not closed
            raise Trouble(Problem.UNSCRIPTED, subject=line) from error
        yield joint, words


class _Redirected:
    """A console whose streams were sent elsewhere by ``>&2``, ``2>&1`` or ``>/dev/null``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._to = {1: 1, 2: 2}
        self.tty = console.tty
        self.size = console.size

    def take(self, words: list[str]) -> list[str]:
        """``words`` without the redirections. Raises ``UNSCRIPTED`` for one into a file."""
        left: list[str] = []
        for word in words:
            match = re.fullmatch(r"([12]?)>(?:&([12])|(/dev/null))", word)
            if match:
                self._to[int(match[1] or 1)] = self._to[int(match[2])] if match[2] else 0
            elif word.startswith((">", "<", "1>", "2>")):
                raise Trouble(Problem.UNSCRIPTED, subject=shlex.join(words))
            else:
                left.append(word)
        return left

    def write(self, stream: int, text: str) -> None:
        if self._to[stream]:
            self._console.write(self._to[stream], text)

    def read(self) -> bytes:
        return self._console.read()

    def sleep(self, seconds: float) -> None:
        self._console.sleep(seconds)


class Captured:
    """A console without input that keeps what is written. ``limit`` is the seconds that may be slept in all."""

    tty = False
    size = (80, 24)

    def __init__(self, limit: float) -> None:
        self.text = {1: "", 2: ""}
        self._left = limit

    def write(self, stream: int, text: str) -> None:
        self.text[stream] += text

    def read(self) -> bytes:
        return b""

    def sleep(self, seconds: float) -> None:
        self._left -= seconds
        if self._left < 0:
            raise Trouble(Problem.COMMAND_TIMEOUT)


class _Wire:
    """The container's end of the socket, without a terminal: output in frames, input as it comes."""

    tty = False

    def __init__(self, connection: socket.socket, size: tuple[int, int]) -> None:
        self._connection = connection
        self.size = size

    def write(self, stream: int, text: str) -> None:
        data = text.encode()
        if data:
            self._connection.sendall(struct.pack(">BxxxL", stream, len(data)) + data)

    def read(self) -> bytes:
        return self._connection.recv(4096)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Line(_Wire):
    """The container's end of the socket, with a terminal: what a line discipline does for a shell."""

    tty = True

    def write(self, stream: int, text: str) -> None:  # noqa: ARG002 - a terminal has one stream
        if text:
            self._connection.sendall(text.replace("\n", "\r\n").encode())

    def line(self, prompt: str) -> str | None:
        """Prompts and reads one line, echoing what is typed; None at Ctrl-D or when nobody is there any more."""
        self.write(1, prompt)
        typed = b""
        while True:
            key = self._key()
            if key in (b"", b"\x04"):
                if not key or not typed:
                    return None
            elif key == b"\x03":
                raise Interrupted
            elif key in (b"\r", b"\n"):
                self.write(1, "\n")
                return typed.decode(errors="replace")
            elif key in (b"\x7f", b"\x08"):
                text = typed.decode(errors="ignore")
                wide = 2 if text and unicodedata.east_asian_width(text[-1]) in "WF" else 1
                typed = text[:-1].encode()
                self.write(1, "\b \b" * wide if text else "")
            elif key == b"\x1b":
                self._skip_escape()
            elif key >= b" ":
                typed += key
                self._connection.sendall(key)

    def read(self) -> bytes:
        text = self.line("")
        return b"" if text is None else f"{text}\n".encode()

    def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._connection], [], [], left)[0]:
                key = self._key()
                if key == b"\x03":
                    raise Interrupted
                if not key:
                    return

    def _key(self) -> bytes:
        return self._connection.recv(1)

    def _skip_escape(self) -> None:
        """Swallows an arrow or function key: ESC, ``[`` or ``O``, and all up to a letter or ``~``."""
        if self._key() not in (b"[", b"O"):
            return
        while (key := self._key()) and not (key.isalpha() or key == b"~"):
            pass


class ToySession:
    """``ExecSession`` of a command in a simulated container: a socket pair, and a thread behind it."""

    def __init__(
        self, interpreter: Interpreter, argv: tuple[str, ...], *, tty: bool, size: tuple[int, int] | None
    ) -> None:
        self.tty = tty
        self._mine, theirs = socket.socketpair()
        console = (Line if tty else _Wire)(theirs, size or (80, 24))
        self._console = console
        self._code = 0
        self._trouble: Trouble | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(interpreter, argv, console, theirs), name="simulated-exec", daemon=True
        )
        self._thread.start()

    def fileno(self) -> int:
        return self._mine.fileno()

    def read(self) -> tuple[int, bytes] | None:
        if self.tty:
            data = self._mine.recv(65536)
            return (1, data) if data else None
        header = self._exactly(8)
        if not header:
            return None
        stream, length = struct.unpack(">BxxxL", header)
        return stream, self._exactly(length)

    def write(self, data: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the command has ended: nobody reads any more
            self._mine.sendall(data)

    def close_input(self) -> None:
        with suppress(OSError):
            self._mine.shutdown(socket.SHUT_WR)

    def resize(self, columns: int, rows: int) -> None:
        self._console.size = (columns, rows)

    def exit_code(self) -> int:
        self._ended.wait()
        if self._trouble is not None:
            raise self._trouble
        return self._code

    def close(self) -> None:
        self._mine.close()

    def _serve(
        self, interpreter: Interpreter, argv: tuple[str, ...], console: _Wire, connection: socket.socket
    ) -> None:
        try:
            if interpreter.has(argv[0]):
                self._code = interpreter.run(argv, console)
            else:
                console.write(1, missing(argv[0]) + "\n")
                self._code = _NOT_FOUND
        except Exit as end:
            self._code = end.code
        except Interrupted:
            self._code = _INTERRUPTED
        except Trouble as trouble:
            self._trouble = trouble
        except OSError:
            self._code = 129  # the other side has hung up
        finally:
            connection.close()
            self._ended.set()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := self._mine.recv(count - len(data))):
            data += more
        return data


def missing(program: str) -> str:
    """What Docker says about a program that a container does not hold."""
    return (
        f'OCI runtime exec failed: exec failed: unable to start container process: exec: "{program}": '
        "executable file not found in $PATH: unknown"
    )
