"""Starts this program a second time, as a process that nothing of the first one holds on to."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from wizard.host.commands import without_keys
from wizard.model import journal
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.machine import ProcessId
from wizard.model.secret import Secret, redact

SECONDS = 60.0
"""How long the new process may take to say that it has begun; on a busy machine its start alone takes some."""
KEY = "key"
"""Under this name the key stands in what goes through the pipe."""
_MODULE = "wizard.helper"


class SystemBackground:
    """The port ``Background`` on this machine.

    The new process is in a session of its own: no terminal that closes, no Ctrl-C and no lost connection reaches it. It
    gets ``environ`` without NGC keys; request and key go through its standard input, so that they stand in no list of
    processes and in no file.
    """

    lasting = True

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = without_keys(environ)

    def start(self, request: Mapping[str, str], key: Secret | None) -> None:
        argv = [sys.executable, "-m", _MODULE]
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environ,
                start_new_session=True,
            )
        except OSError as error:
            raise Trouble(Problem.COMMAND_FAILED, str(error), subject=argv[0]) from error
        # Whoever begins it may live on for hours after it has ended, and has to take note of that.
        threading.Thread(target=process.wait, name="reap", daemon=True).start()
        given, out, err = (cast("IO[bytes]", pipe) for pipe in (process.stdin, process.stdout, process.stderr))
        with given, out, err:
            with suppress(BrokenPipeError):  # it has ended already; what it said is read below
                given.write(json.dumps(dict(request) if key is None else {**request, KEY: key.reveal()}).encode())
                given.close()
            answer = _first_line(out.fileno())
            if not answer:
                said = redact(os.read(err.fileno(), 65536).decode(errors="replace")).strip()
                raise Trouble(
                    Problem.COMMAND_FAILED,
                    said.rpartition("\n")[2],
                    subject=_MODULE,
                    evidence=(Evidence(" ".join(argv), said),),
                )
        trouble = journal.read_answer(answer)
        if trouble is not None:
            raise trouble

    def this(self) -> ProcessId:
        return ProcessId(os.getpid(), _started(os.getpid()) or "")

    def runs(self, process: ProcessId) -> bool:
        return _started(process.pid) == process.started


def _first_line(handle: int) -> bytes:
    """The first line that comes; b"" if the other side closed before. Raises ``COMMAND_TIMEOUT``."""
    line, deadline = b"", time.monotonic() + SECONDS
    while b"\n" not in line:
        ready, _none, _none = select.select([handle], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise Trouble(Problem.COMMAND_TIMEOUT, f"no answer after {SECONDS:g} s", subject=_MODULE)
        piece = os.read(handle, 4096)
        if not piece:
            return b""
        line += piece
    return line


def _started(pid: int) -> str | None:
    """When the process began, in ticks since the machine's start, with the name of that start; None when there is no
    such process or it has ended. Field 22 of proc_pid_stat(5).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else f"{boot} {fields[18]}"
