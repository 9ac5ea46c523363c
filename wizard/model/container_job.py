"""A job: a command in the container that goes on when this program ends, and what its files on the disk tell.

Everything is in the job's own folder inside the data folder, which the container sees too: ``job.json`` (written
before it starts), ``pid`` (the process, and when it began), ``stdout.log``, ``stderr.log``, at the end ``exit``, and
``stopped`` where somebody has ended it.
So a job is found again after this program, the terminal or the Docker service was restarted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FOLDER = "s2s-wizard"
"""Where this program keeps its things in the data folder."""
JOBS = f"{FOLDER}/jobs"

STARTED = "started"
"""The line that ``LAUNCH`` prints when the command runs."""
STOPPED = "stopped"
"""The file of a job that somebody has asked to end: what mpiexec says then is silence, and an exit status of 1."""

_BEGAN = "sed 's/.*) //' \"/proc/$1/stat\" 2>/dev/null | cut -d' ' -f20"

LAUNCH = rf"""
job=$1; cd -- "$2" || exit 125; shift 2
sh -c '
  began() {{ sed "s/.*) //" "/proc/$1/stat" | cut -d" " -f20; }}
  echo "$$ $(began $$)" >"$0/pid" || exit 125
  echo {STARTED} >&3; exec 3>&-
  command -v setsid >/dev/null && exec setsid "$@"
  exec "$@"
' "$job" "$@" 3>&1 >"$job/stdout.log" 2>"$job/stderr.log" </dev/null
code=$?
[ -s "$job/pid" ] || exit 125
session=$(cut -d' ' -f1 "$job/pid")
kill -KILL $(sed -n "s/^\([0-9]*\) (.*) . [0-9]* [0-9]* $session .*/\1/p" /proc/[0-9]*/stat 2>/dev/null) 2>/dev/null
owner=$(stat -c %u:%g "$job/../../..")
while IFS= read -r path; do
  [ -z "$path" ] || [ ! -e "$path" ] || find "$path" -user 0 -exec chown -h "$owner" {{}} + 2>/dev/null
done <"$job/owned"
echo "$code" >"$job/exit.new" && {{ chown "$owner" "$job/exit.new" 2>/dev/null; mv "$job/exit.new" "$job/exit"; }}
"""
"""The shell script that runs a job: its folder, the working folder, the command. It prints ``STARTED``, stays with the
command (which has a session of its own) to its end, and ends what is left of that session: mpiexec gives each of its
processes a group of its own, and may be killed before them. Then it gives what root made to the owner of the data
(as the container sees it, so that it is right with user namespaces, too), and writes the exit status last.
"""

ALIVE = f'[ "$({_BEGAN})" = "$2" ] && echo alive'
"""Whether the process ``$1`` that began at ``$2`` still runs; a pid alone could be another process by now."""

SIGNAL = f'[ "$({_BEGAN})" = "$2" ] && {{ kill -"$3" -"$1" 2>/dev/null || kill -"$3" "$1"; }}'
"""Sends the signal ``$3`` to the process ``$1`` that began at ``$2``, and to those that it has started."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was started. ``id`` is its folder's name, ``0007-train``: the numbers tell the order, whatever the
    clock.

    ``folder`` is its folder on this machine, ``inside`` the same in the container. ``facts`` are what whoever started
    it wants to find again; ``started`` is seconds since 1970 by this machine's clock.
    """

    id: str
    kind: str
    container: str
    """the container's name"""
    container_id: str
    folder: str
    inside: str
    argv: tuple[str, ...]
    cwd: str
    started: float
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return int(self.id.partition("-")[0])

    def path(self, name: str) -> str:
        """A file of the job, on this machine."""
        return f"{self.folder}/{name}"


def to_text(job: Job) -> str:
    """What ``job.json`` holds. Where the folder lies is not in it: the data folder may be moved."""
    values = {key: value for key, value in asdict(job).items() if key not in ("id", "folder", "inside")}
    return json.dumps(values, indent=1) + "\n"


def from_text(text: str, id: str, folder: str, inside: str) -> Job | None:
    """The job of a ``job.json``; None for one that cannot be read (a full disk, somebody's editor)."""
    try:
        raw: dict[str, Any] = json.loads(text)
        return Job(
            id=id,
            kind=str(raw["kind"]),
            container=str(raw["container"]),
            container_id=str(raw["container_id"]),
            folder=folder,
            inside=inside,
            argv=tuple(map(str, raw["argv"])),
            cwd=str(raw["cwd"]),
            started=float(raw["started"]),
            facts={str(key): str(value) for key, value in raw["facts"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def process(text: str) -> tuple[str, str] | None:
    """The pid and the beginning of a job's process, from the text of its file ``pid``; None for half of one."""
    words = text.split()
    return (words[0], words[1]) if len(words) == 2 and all(word.isdigit() for word in words) else None
