"""OpenSeq2Seq itself, in the data folder: cloned once, or brought from a copy that the user has; never overwritten."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET
from wizard.model.container_job import FOLDER
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import CommandResult, PathKind
from wizard.services.training import job
from wizard.services.training.place import Place

URL = "https://github.com/NVIDIA/OpenSeq2Seq.git"
NAME = "OpenSeq2Seq"
WHERE = posixpath.join(DATA_TARGET, NAME)
"""Where the code stands in the container unless the user's copy lies elsewhere in the data folder."""

_MARKS = ("run.py", "open_seq2seq", "example_configs")
"""What a copy of OpenSeq2Seq has at its top."""
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_COPY_SECONDS = 1800.0
# In a subshell of its own folder: what a broken connection left is removed, and only a whole clone gets the name.
_CLONE = (
    'url=$1 half=$2 where=$3; shift 3; rm -rf -- "$half" && git clone "$@" -- "$url" "$half"'
    ' && [ -f "$half/run.py" ] && [ ! -e "$where" ] && mv -- "$half" "$where"'
)
_SHALLOW = ("--depth", "1")
_NOT_SHALLOW = "does not support shallow"
"""What git says of a plain web server, which can only give everything."""
_UNREACHABLE = re.compile(
    r"unable to access|Could not resolve|Connection (?:refused|timed out|reset)|early EOF|RPC failed"
)


@dataclass(frozen=True, slots=True)
class Code:
    """A copy of OpenSeq2Seq: where it stands in the container, and its commit ("" where that is not known)."""

    path: str
    commit: str = ""
    already: bool = True


def find(host: Host, place: Place, path: str = WHERE) -> Code | None:
    """The copy that is there; None where nothing is. Raises ``CODE_UNUSABLE`` where something else stands."""
    outside = place.outside(path)
    info = host.files.info(outside)
    names = frozenset(host.files.names(outside))
    if info.kind is PathKind.MISSING or (info.kind is PathKind.DIRECTORY and not names):
        return None
    if not names.issuperset(_MARKS):
        raise Trouble(Problem.CODE_UNUSABLE, subject=outside)
    return Code(path, commit(host, outside))


def commit(host: Host, folder: str) -> str:
    """The commit that a clone stands at, read from git's own files; "" for a copy without them."""
    head = _first_line(host, posixpath.join(folder, ".git/HEAD"))
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    if direct := _first_line(host, posixpath.join(folder, ".git", name)):
        return direct
    packed = host.files.read(posixpath.join(folder, ".git/packed-refs"))
    lines = packed.data.decode(errors="replace").splitlines() if packed else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")


def _first_line(host: Host, path: str) -> str:
    content = host.files.read(path) if host.files.info(path).kind is PathKind.FILE else None
    return content.data.decode(errors="replace").partition("\n")[0].strip() if content else ""


def ensure(host: Host, place: Place, source: str = "", emit: Emit = ignore, cancel: Cancel | None = None) -> Code:
    """The code in the data folder, fetched when it is not there.

    ``source`` is the address of a git server, or on this machine a clone, a mirror, a plain copy or a tar archive; ""
    is NVIDIA's own repository. A copy that lies in the data folder is used where it is. One that is there already is
    never changed; a half one never gets the name. Raises ``CODE_UNUSABLE``, ``CODE_UNREACHABLE``, ``COMMAND_FAILED``,
    ``DISK_FULL``, ``CANCELLED``.
    """
    cancel = cancel or Cancel()
    local = posixpath.normpath(posixpath.join(host.home, source)) if source and not _is_address(source) else ""
    if local and (inside := place.inside(local)) is not None and _is_copy(host, local):
        return _told(Code(inside, commit(host, local)), emit)
    there = find(host, place)
    if there is not None:
        return _told(there, emit)
    emit(Started(_("Fetching OpenSeq2Seq from {source}.").format(source=source or URL)))
    if local:
        _bring(host, place, local)
    else:
        _clone(host, place, source or URL, emit, cancel)
    made = find(host, place)
    if made is None:
        raise Trouble(Problem.CODE_UNUSABLE, subject=source or URL)
    emit(Finished(_("OpenSeq2Seq is in the data folder, at commit {commit}.").format(commit=made.commit[:12] or "-")))
    return Code(made.path, made.commit, already=False)


def _told(code: Code, emit: Emit) -> Code:
    text = _("OpenSeq2Seq is there already, at commit {commit}. It is used as it is.")
    emit(Finished(text.format(commit=code.commit[:12] or "-")))
    return code


def _is_address(source: str) -> bool:
    return "://" in source or re.match(r"[\w.-]+@[\w.-]+:", source) is not None


def _is_copy(host: Host, folder: str) -> bool:
    return frozenset(host.files.names(folder)).issuperset(_MARKS)


def _clone(host: Host, place: Place, url: str, emit: Emit, cancel: Cancel) -> None:
    """Clones inside the container: it has git, and the network that the training's machine has."""
    half = posixpath.join(DATA_TARGET, FOLDER, f"{NAME}.part")
    for depth in (_SHALLOW, ()):
        argv = ("sh", "-c", _CLONE, "sh", url, half, WHERE, *depth)
        code, said = job.run(
            host, place, "clone", argv, cancel=cancel, owned=(WHERE,), on_line=lambda text: emit(Line(text))
        )
        if code == 0:
            return
        text = "\n".join(line for line in said if not line.startswith("Cloning into"))
        if _NOT_SHALLOW not in text:
            break
    if code == 127 or "git: not found" in text:
        raise Trouble(Problem.DEPENDENCIES_MISSING, text, subject="git")
    if "No space left" in text:
        raise Trouble(Problem.DISK_FULL, text, subject=place.data)
    kind = Problem.CODE_UNREACHABLE if _UNREACHABLE.search(text) else Problem.CODE_UNUSABLE
    raise Trouble(kind, text, subject=url, evidence=(Evidence(f"git clone {url}", text),))


def _bring(host: Host, place: Place, source: str) -> None:
    """A copy of this machine, brought by this user, so that it is the user's own."""
    target = place.outside(WHERE)
    part = half = posixpath.join(place.data, FOLDER, f"{NAME}.part")
    host.files.make_folder(posixpath.dirname(half))
    info = host.files.info(source)
    with suppress(Trouble):
        host.commands.run(("rm", "-rf", "--", half))
    if info.kind is PathKind.FILE and source.endswith(_ARCHIVES):
        host.files.make_folder(half)
        _do(host, ("tar", "-xf", source, "-C", half, "--no-same-owner"), source)
        tops = host.files.names(half)
        if len(tops) == 1 and not _is_copy(host, half):
            half = posixpath.join(half, tops[0])
    elif info.kind is not PathKind.DIRECTORY:
        raise Trouble(Problem.CODE_UNUSABLE, subject=source)
    elif _is_copy(host, source):
        _do(host, ("cp", "-a", "--", source, half), source)
    else:  # a mirror, or the .git folder alone
        # git refuses a mirror that somebody else owns, as a lab's does. It was named on purpose, and is only read.
        trust = posixpath.join(place.data, FOLDER, "gitconfig")
        before = host.files.read(trust)
        host.files.replace(trust, before.data if before else None, f"[safe]\n\tdirectory = {source}\n".encode())
        argv = ("git", "clone", "--depth", "1", "--", f"file://{source}", half)
        _do(host, argv, source, {"GIT_CONFIG_GLOBAL": trust})
    if not _is_copy(host, half):
        raise Trouble(Problem.CODE_UNUSABLE, subject=source)
    _do(host, ("mv", "-T", "--", half, target), source)
    if half != part:  # the archive's own folder was inside
        _do(host, ("rm", "-rf", "--", part), source)


def _do(host: Host, argv: tuple[str, ...], source: str, env: Mapping[str, str] | None = None) -> CommandResult:
    result = host.commands.run(argv, env=env, timeout=_COPY_SECONDS)
    if result.returncode != 0:
        kind = Problem.DISK_FULL if "No space left" in result.stderr else Problem.CODE_UNUSABLE
        seen = Evidence(" ".join(argv), result.stderr.strip())
        raise Trouble(kind, result.stderr.strip(), subject=source, evidence=(seen,))
    return result
