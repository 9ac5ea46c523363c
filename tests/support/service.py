"""A stand-in for ``service`` that really stops and starts a private Docker Engine, and a host that has no other.

A private engine is nobody's service, so nothing on the machine restarts it. The script stands on PATH under the name
``service``; the host is one without systemd, whose log of Docker is the engine's own.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.engine import PrivateEngine
from wizard.host.ports import Host
from wizard.model.machine import FileContent, PathInfo, PathKind

_SCRIPT = """#!{python}
import json, os, signal, socket, subprocess, sys, time

folder, argv = {folder!r}, json.loads({argv!r})
with open(folder + "/service-calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(1)
        time.sleep(0.05)


def gone(pid):
    try:
        with open(f"/proc/{{pid}}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def answers():
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(folder + "/docker.sock")
            connection.sendall(b"GET /_ping HTTP/1.0\\r\\n\\r\\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def stop():
    try:
        with open(folder + "/pid") as file:
            pid = int(file.read())
        os.kill(pid, signal.SIGTERM)
    except OSError:
        return
    until(lambda: gone(pid))


def start():
    if answers():
        return 0
    with open(folder + "/log", "ab") as log:
        daemon = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    until(lambda: daemon.poll() is not None or answers())
    return 0 if daemon.poll() is None else 1


what = sys.argv[2]
if what in ("stop", "restart"):
    stop()
sys.exit(start() if what in ("start", "restart") else 0)
"""


def install(engine: PrivateEngine, folder: Path) -> Path:
    """Writes the script for ``engine`` into ``folder``, which has to stand on PATH; returns its log of calls."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = json.dumps([str(word) for word in engine.process.args])  # type: ignore[union-attr]
    script = folder / "service"
    script.write_text(_SCRIPT.format(python=sys.executable, folder=str(engine.folder), argv=argv))
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return engine.folder / "service-calls"


class _Files:
    """The real files, without systemd, and with the engine's log in the place of Docker's."""

    def __init__(self, files: Any, log: str) -> None:
        self._files = files
        self._log = log

    def info(self, path: str) -> PathInfo:
        if path == "/run/systemd/system":
            return PathInfo(path, PathKind.MISSING)
        found: PathInfo = self._files.info(path)
        return found

    def read(self, path: str, *, root: bool = False) -> FileContent | None:
        found: FileContent | None = self._files.read(self._log if path == "/var/log/docker.log" else path, root=root)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


def looked_after(host: Host, folder: str) -> Host:
    """``host`` as a machine whose Docker (the private engine in ``folder``) is started by ``service``."""
    return replace(host, files=_Files(host.files, f"{folder}/log"))


class Deadly:
    """A port of which some methods, once they have done their work, may end this process as a power cut would."""

    def __init__(self, port: Any, methods: tuple[str, ...], count: Callable[[tuple[Any, ...], dict[str, Any]], None]):
        self._port = port
        self._methods = methods
        self._count = count

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in self._methods:
            return method

        def deadly(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            self._count(args, options)
            return result

        return deadly


def main() -> int:
    """``python -m tests.support.service STEP FOLDER WORDS``: the real command line that is killed after its STEPth step
    (a receipt written, a file replaced, a command run); 0 for never.
    """
    import signal

    from wizard.cli import main as wizard
    from wizard.host import real

    step, folder, *words = sys.argv[1:]
    left = [int(step)]
    build = real.build

    def count(args: tuple[Any, ...], options: dict[str, Any]) -> None:
        if args[:1] and isinstance(args[0], tuple) and "on_line" not in options:
            return  # a command that only looks
        if args[:1] and isinstance(args[0], str) and args[0].startswith("trial/"):
            return
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly() -> Host:
        host = looked_after(build(), folder)
        return replace(
            host,
            commands=Deadly(host.commands, ("run",), count),
            files=Deadly(host.files, ("replace",), count),
            store=Deadly(host.store, ("write",), count),
        )

    real.build = deadly  # type: ignore[assignment]
    return wizard(words)


if __name__ == "__main__":
    sys.exit(main())
