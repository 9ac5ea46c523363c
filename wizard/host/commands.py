"""Runs programs of this machine, as the user or as root through sudo."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from wizard.host.ports import Commands
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.machine import CommandResult, RootAccess

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_KEY_VARIABLE = re.compile(r"NGC_(?:\w+_)?KEY")
# What sudo says when it does not let the command run. A warning about the host's name is none of it.
_SUDO_REFUSED = re.compile(
    r"^sudo: (?!unable to resolve host)|is not in the sudoers file|not allowed to (?:execute|run sudo)"
    r"|may not run sudo",
    re.MULTILINE,
)
_SUDO_NOT_FOUND = re.compile(r"^sudo: .*: command not found$", re.MULTILINE)


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without the variables that can hold an NGC key (``NGC_API_KEY``, ``NGC_CLI_API_KEY``, …)."""
    return {name: value for name, value in environ.items() if not _KEY_VARIABLE.fullmatch(name)}


class SystemCommands:
    """The port ``Commands`` on this machine.

    Children get ``environ`` without NGC keys, with ``LC_ALL=C`` (their output is parsed) and with the sbin folders
    in ``PATH``. They stay in the session of this process, because sudo forgets its ticket in a new one. ``uid`` is
    the effective user id that decides whether sudo is needed; by default that of this process.
    """

    def __init__(self, environ: Mapping[str, str], *, uid: int | None = None) -> None:
        self._uid = uid
        path = environ.get("PATH", os.defpath).split(os.pathsep)
        self._path = os.pathsep.join([*path, *(folder for folder in _SBIN if folder not in path)])
        self._environ = {**without_keys(environ), "LC_ALL": "C", "PATH": self._path}

    def which(self, name: str) -> str | None:
        return shutil.which(name, path=self._path)

    def run(
        self,
        argv: tuple[str, ...],
        *,
        root: bool = False,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        extra = dict(env or {})
        sudo = root and self._effective_uid() != 0
        if sudo:
            # sudo cleans the environment, so what was asked for goes through env(1).
            assigned = ("env", *(f"{name}={value}" for name, value in extra.items())) if extra else ()
            command, extra = ("sudo", "-n", *assigned, *argv), {}
        else:
            command = argv
        environ = without_keys({**self._environ, **extra})
        began = time.monotonic()
        try:
            if on_line is None:
                code, out, err = _to_the_end(command, argv, stdin, environ, timeout)
            else:
                code, out, err = _followed(command, argv, stdin, environ, timeout, on_line)
        except FileNotFoundError as error:
            kind = Problem.ROOT_NEEDED if sudo else Problem.COMMAND_MISSING
            raise Trouble(kind, str(error), subject=argv[0]) from error
        except OSError as error:
            raise Trouble(Problem.COMMAND_FAILED, str(error), subject=argv[0]) from error
        result = CommandResult(
            argv, code, out.decode(errors="replace"), err.decode(errors="replace"), time.monotonic() - began
        )
        if sudo and result.returncode != 0:
            _refused(result)
        return result

    def _effective_uid(self) -> int:
        return os.geteuid() if self._uid is None else self._uid


_Ended = tuple[int, bytes, bytes]
"""Exit status, standard output, standard error."""


def _to_the_end(
    command: tuple[str, ...], argv: tuple[str, ...], stdin: bytes | None, environ: dict[str, str], timeout: float
) -> _Ended:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
    )
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as expired:
        _abandon(process)
        raise _late(argv, timeout, b"".join(part for part in (expired.stdout, expired.stderr) if part)) from expired
    except BaseException:
        _abandon(process)
        raise
    return process.returncode, out, err


def _followed(
    command: tuple[str, ...],
    argv: tuple[str, ...],
    stdin: bytes | None,
    environ: dict[str, str],
    timeout: float,
    on_line: Callable[[str], None],
) -> _Ended:
    """Runs a command that must not be broken off. It writes into files, not into pipes, so that it does not notice when
    this process dies; and it is in a process group of its own, so that Ctrl-C does not reach it.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
        given.write(stdin or b"")
        given.seek(0)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if stdin is None else given,
            stdout=out,
            stderr=err,
            env=environ,
            **_OWN_GROUP,
        )
        tails = (_Tail(out.fileno(), on_line), _Tail(err.fileno(), on_line))
        deadline = time.monotonic() + timeout
        try:
            while True:
                try:
                    process.wait(_FOLLOW_SECONDS)
                except subprocess.TimeoutExpired as expired:
                    if time.monotonic() >= deadline:
                        with contextlib.suppress(OSError):
                            process.terminate()
                        raise _late(argv, timeout, b"".join(tail.data for tail in tails)) from expired
                for tail in tails:
                    tail.read(last=process.returncode is not None)
                if process.returncode is not None:
                    return process.returncode, tails[0].data, tails[1].data
        finally:
            if process.returncode is None:
                threading.Thread(target=process.wait, name="reap", daemon=True).start()


_FOLLOW_SECONDS = 0.1
_OWN_GROUP: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}


class _Tail:
    """Reads on in a file into which a child writes, and tells its lines. The place of reading is our own."""

    def __init__(self, handle: int, on_line: Callable[[str], None]) -> None:
        self._handle = handle
        self._on_line = on_line
        self._told = 0
        self.data = b""

    def read(self, *, last: bool) -> None:
        """Tells the lines that are complete, or with ``last`` all that is there."""
        while piece := os.pread(self._handle, 65536, len(self.data)):
            self.data += piece
        end = len(self.data) if last else self.data.rfind(b"\n") + 1
        text = self.data[self._told : end].decode(errors="replace")
        self._told = max(self._told, end)
        for line in text.replace("\r", "\n").split("\n"):
            if line.strip():
                self._on_line(line.rstrip())


def _late(argv: tuple[str, ...], timeout: float, seen: bytes) -> Trouble:
    return Trouble(
        Problem.COMMAND_TIMEOUT,
        f"no end after {timeout:g} s",
        subject=" ".join(argv),
        evidence=(Evidence(" ".join(argv), seen.decode(errors="replace")),),
    )


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """Kills a child without waiting for it: it may belong to root, sit in the kernel, or have children of its own
    that keep the pipes open. A thread collects its exit status whenever it comes.
    """
    with contextlib.suppress(OSError):
        process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    threading.Thread(target=process.wait, name="reap", daemon=True).start()


def _refused(result: CommandResult) -> None:
    """Raises when it was sudo that failed, not the command."""
    if _SUDO_NOT_FOUND.search(result.stderr):
        raise Trouble(Problem.COMMAND_MISSING, result.stderr.strip(), subject=result.argv[0])
    if result.returncode == 1 and _SUDO_REFUSED.search(result.stderr):
        raise Trouble(Problem.ROOT_NEEDED, result.stderr.strip(), subject=" ".join(result.argv))


class SudoPrivilege:
    """The port ``Privilege``: sudo with the ticket that the user got on their own terminal."""

    def __init__(self, commands: Commands, *, uid: int | None = None) -> None:
        self._commands = commands
        self._uid = uid

    def access(self) -> RootAccess:
        if self._is_root():
            return RootAccess.ROOT
        if self._commands.which("sudo") is None:
            return RootAccess.NONE
        try:
            # `sudo -n -v` asks for a password even where NOPASSWD lets every command through.
            result = self._commands.run(("sudo", "-n", "true"), timeout=5.0)
        except Trouble as trouble:
            return RootAccess.NONE if trouble.kind is Problem.COMMAND_MISSING else RootAccess.PASSWORD
        if result.returncode == 0:
            return RootAccess.READY
        return RootAccess.NONE if "no new privileges" in result.stderr else RootAccess.PASSWORD

    def ask_argv(self) -> tuple[str, ...]:
        return ("sudo", "-v")

    def as_typed(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        return argv if self._is_root() else ("sudo", *argv)

    def _is_root(self) -> bool:
        return (os.geteuid() if self._uid is None else self._uid) == 0
