"""Looks for a key where it must not be: in files, in streams, in the processes of this machine while something runs."""

from __future__ import annotations

import base64
import json
import os
import secrets
import string
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from wizard.model.secret import Secret


def canary() -> Secret:
    """A key of the right shape that nobody else has."""
    alphabet = string.ascii_letters + string.digits
    return Secret("nvapi-CANARY" + "".join(secrets.choice(alphabet) for _ in range(56)) + "-_")


def spellings(key: Secret) -> dict[str, bytes]:
    """The key as it could lie somewhere, with a name for each. Made without the code that masks keys."""
    value = key.reveal()
    login = f"$oauthtoken:{value}"
    engine = json.dumps({"username": "$oauthtoken", "password": value, "serveraddress": "127.0.0.1"})
    found = {"plain": value, "without prefix": value.removeprefix("nvapi-"), "URL-encoded": quote(value, safe="")}
    for name, text in {
        "key": value,
        "key with newline": f"{value}\n",
        "login": login,
        "engine's login": engine,
    }.items():
        # The end depends on what follows, and a reader needs all of it: so the last characters may differ.
        found[f"base64 of {name}"] = base64.b64encode(text.encode()).decode()[:-4].rstrip("=")
        found[f"base64url of {name}"] = base64.urlsafe_b64encode(text.encode()).decode()[:-4].rstrip("=")
    for shift in range(3):
        # Inside a longer base64 text the key begins at one of three places within a group.
        inside = base64.b64encode(b"\0" * shift + value.encode()).decode()
        found[f"base64, shifted by {shift}"] = inside[4:-4]
    found["hexadecimal"] = value.encode().hex()
    return {name: text.encode() for name, text in found.items()}


PIECE = 10
"""So many characters of the key in a row are too many: a broken line or a shortened text may show a part."""
OWN = "the program itself"
"""In the names of places: the process that was run, not one that it started."""


@dataclass
class Hunt:
    """What was looked through for ``key``, and where it was found: ``place: spelling``."""

    key: Secret
    found: list[str] = field(default_factory=list)
    seen_processes: set[int] = field(default_factory=set)
    seen_files: int = 0

    def __post_init__(self) -> None:
        self._spellings = spellings(self.key)
        value = self.key.reveal().removeprefix("nvapi-CANARY")
        self._pieces = [value[place : place + PIECE].encode() for place in range(len(value) - PIECE + 1)]

    def text(self, place: str, data: str | bytes) -> None:
        """Looks through a stream or the like."""
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        for name, spelling in self._spellings.items():
            if spelling in raw:
                self.found.append(f"{place}: {name}")
        if any(piece in raw for piece in self._pieces):
            self.found.append(f"{place}: a piece of it")

    def folder(self, top: Path, but: Iterable[Path] = ()) -> None:
        """Looks through the names and contents of every file below ``top``, but not those in ``but``."""
        left_out = set(but)
        for folder, _folders, files in os.walk(top):
            for name in files:
                path = Path(folder, name)
                if path in left_out or not path.is_file():
                    continue
                self.text(f"name of {path}", str(path))
                with suppress(FileNotFoundError):
                    self.text(str(path), path.read_bytes())
                    self.seen_files += 1

    def run(
        self, argv: Sequence[str], *, stdin: str = "", environ: Mapping[str, str] | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end and looks through what it printed, and, all the time that it runs, through the
        arguments and environments of the program and of everything that it starts.
        """
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
        )
        try:
            with self.watching(process.pid):
                out, err = process.communicate(stdin, timeout=seconds)
        finally:
            process.kill()
            process.wait()
        self.text(f"stdout of {argv}", out)
        self.text(f"stderr of {argv}", err)
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    @contextmanager
    def watching(self, pid: int) -> Iterator[None]:
        """Looks through the arguments and environments of ``pid`` and of all that it starts, meanwhile. Begins when
        ``pid`` itself was seen, which a busy machine may not do before a short program has ended.
        """
        stop, seen = threading.Event(), threading.Event()

        def watch() -> None:
            while not stop.is_set():
                for member in _family(pid):
                    self._process(member, pid)
                if pid in self.seen_processes:
                    seen.set()
                stop.wait(0.01)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        seen.wait(5)
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def _process(self, pid: int, top: int) -> None:
        with suppress(OSError):
            argv = _of(pid, "cmdline")
            environ = _of(pid, "environ")
            if not argv or argv != _of(pid, "cmdline"):
                return  # it has just become another program: whose environment this was is not known
            # A child that has not yet become its own program is still the one that was run.
            whose = OWN if argv == _of(top, "cmdline") else repr(argv)
            self.text(f"cmdline of {whose}", argv)
            self.text(f"environ of {whose}", environ)
            self.seen_processes.add(pid)


def _of(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def _family(top: int) -> set[int]:
    """``top`` and everything that it, directly or not, has started and that still runs."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
    family = {top}
    while True:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        if not more:
            return family
        family |= more
