"""Where the data lies, and what the container is called and gets: from the texts that a user types to a workspace."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from contextlib import suppress

from wizard.host.ports import Host
from wizard.model.container import DEFAULT_NAME, DEFAULT_SHM, GIB, LABEL, GpuChoice, Workspace, check_name
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.journey import Journey
from wizard.model.machine import PathInfo, PathKind

FOLDER = "openseq2seq-data"
"""The data folder's name in the user's home, unless they choose another."""
SMALLEST_SHM = 64 * 1024**2
"""What Docker gives by default; less has no use."""

_SIZE = re.compile(r"([0-9]{1,15}(?:[.,][0-9]{1,3})?)\s*(?:([kmgt])i?)?b?")
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
# A container may write to its data folder as root, so a folder of the system is no place for it: neither one of
# these itself nor, for the second kind, anything below it.
_NOT_ITSELF = frozenset({"/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/var", "/var/lib"})  # noqa: S108 - refused, not used
_NOT_BELOW = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/usr"),
    *("/var/lib/docker", "/var/lib/containerd", "/var/run"),
)
_LONGEST_NAME = 255
_LONGEST_PATH = 4095


def defaults(host: Host, journey: Journey) -> Workspace:
    """What is suggested: what the user chose before, and otherwise what is good for most."""
    gpus = GpuChoice(all=False) if journey.cpu_only else GpuChoice()
    if journey.gpus and not journey.cpu_only:
        with suppress(Trouble):  # a resume point that somebody edited
            gpus = GpuChoice.parse(journey.gpus)
    return Workspace(
        data=journey.data or posixpath.join(host.home, FOLDER),
        name=journey.name or DEFAULT_NAME,
        gpus=gpus,
        shm=journey.shm or DEFAULT_SHM,
    )


def validate(host: Host, *, data: str, name: str, gpus: str, shm: str) -> Workspace:
    """The workspace that these texts mean; nothing is made yet.

    ``data`` may begin with ``~``, and is otherwise seen from the home folder. It need not exist, but then it must be
    possible to make it. ``shm`` is a size such as ``1g`` or ``512 MiB``, without a unit in bytes. An empty ``gpus`` or
    ``shm`` means what is suggested. Raises ``BAD_INPUT`` (``subject`` is the text, ``hint`` says what is wrong with
    it), ``NAME_INVALID``, ``NAME_TAKEN`` when Docker answers and says so, and ``FILE_PERMISSION`` for a folder that
    this user may not write to.
    """
    return Workspace(
        data=_folder(host, data),
        name=_name(host, name.strip()),
        gpus=_gpus(host, gpus.strip().lower()),
        shm=_shm(host, shm.strip().lower()) if shm.strip() else DEFAULT_SHM,
    )


def notes(host: Host, workspace: Workspace) -> tuple[str, ...]:
    """What the user should know before going on, as translated sentences."""
    if host.files.info(workspace.data).kind is PathKind.MISSING:
        return (_("The folder {path} is not there yet. It will be made.").format(path=workspace.data),)
    return ()


def prepare(host: Host, workspace: Workspace) -> None:
    """Makes the data folder; one that is there is fine. Raises ``FILE_PERMISSION``, ``FILE_NOT_REGULAR``,
    ``DISK_FULL``.
    """
    host.files.make_folder(workspace.data)


# --- the data folder ---------------------------------------------------------------------------------------------


def _folder(host: Host, text: str) -> str:
    path = _absolute(host, text.strip())
    if path == posixpath.normpath(host.home):
        hint = _("This is your whole home folder. Choose a folder inside it, for example {path}.")
        raise _bad(text, hint.format(path=posixpath.join(host.home, FOLDER)))
    if path in _NOT_ITSELF or any(path == top or path.startswith(f"{top}/") for top in _NOT_BELOW):
        hint = _("This folder belongs to the system, and programs in the container could damage it.")
        raise _bad(text, hint)
    info = host.files.info(path)
    if info.kind is PathKind.DIRECTORY:
        _check_writable(info, path)
    elif info.kind is PathKind.MISSING:
        _check_can_be_made(host, path)
    else:
        raise _bad(text, _("Something that is not a folder stands there. Choose a folder."))
    return path


def _absolute(host: Host, text: str) -> str:
    if not text:
        raise _bad(text, _("Write the path of a folder, for example {path}.").format(path=f"~/{FOLDER}"))
    if not _can_be_a_path(text):
        raise _bad(text, _("A path cannot have these characters, or is too long."))
    if text.startswith("~") and text != "~" and not text.startswith("~/"):
        raise _bad(text, _("Only your own home folder can be written as ~. Write the path in full."))
    path = posixpath.normpath(posixpath.join(host.home, text[1:].lstrip("/") if text.startswith("~") else text))
    return "/" + path.lstrip("/")  # POSIX lets two leading slashes stand


def _can_be_a_path(text: str) -> bool:
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # a surrogate: bytes on the command line that were no UTF-8
        return False
    parts = raw.split(b"/")
    control = any(unicodedata.category(char) == "Cc" for char in text)
    return not control and len(raw) <= _LONGEST_PATH and all(len(part) <= _LONGEST_NAME for part in parts)


def _check_writable(info: PathInfo, wanted: str) -> None:
    if not (info.writable and info.executable):
        hint = "" if info.path == wanted else _("The folder {path} cannot be made there.").format(path=wanted)
        raise Trouble(Problem.FILE_PERMISSION, subject=info.path, hint=hint)


def _check_can_be_made(host: Host, wanted: str) -> None:
    """A missing folder can be made if the nearest folder above it that is there may be written to."""
    path = wanted
    while path != "/":
        path = posixpath.dirname(path)
        info = host.files.info(path)
        if info.kind is PathKind.DIRECTORY:
            return _check_writable(info, wanted)
        if info.kind is not PathKind.MISSING:
            raise _bad(path, _("It is not a folder, so no folder can be made in it."))
    return None


# --- name, GPUs, shared memory -----------------------------------------------------------------------------------


def _name(host: Host, name: str) -> str:
    check_name(name)
    try:
        there = host.engine.container(name)
        if there is None or there.name != name or LABEL in there.labels:  # the engine also answers to part of an id
            return name
        names = {other.name for other in host.engine.containers(all=True)}
    except Trouble:
        return name  # Docker does not answer: whoever makes the container will see
    free = next(other for number in range(2, len(names) + 3) if (other := f"{name}-{number}") not in names)
    seen = Evidence(f"docker inspect {name}", f"{there.image}, {there.state}")
    hint = _('This name is free: "{name}".').format(name=free)
    raise Trouble(Problem.NAME_TAKEN, subject=name, hint=hint, evidence=(seen,))


def _gpus(host: Host, text: str) -> GpuChoice:
    try:
        choice = GpuChoice.parse(text)
    except Trouble as trouble:
        raise _bad(text, _('Write "all", "none", or the numbers of GPUs, for example "0,1".')) from trouble
    if choice.indices:
        try:
            there = [gpu.index for gpu in host.gpus.report().gpus]
        except Trouble:
            return choice  # the driver does not answer; the check-up says so
        if not set(choice.indices) <= set(there):
            numbers = ", ".join(map(str, there)) or "-"
            raise _bad(text, _("This machine's GPUs have these numbers: {numbers}.").format(numbers=numbers))
    return choice


def _shm(host: Host, text: str) -> int:
    match = _SIZE.fullmatch(text)
    if not match:
        raise _bad(text, _('Write a size with its unit, for example "1g" or "512m".'))
    size = int(float(match[1].replace(",", ".")) * _UNITS[match[2] or ""])
    if size < SMALLEST_SHM:
        raise _bad(text, _('This is too little. Write a size with its unit, at least "64m"; "1g" is usual.'))
    memory = _memory(host)
    if memory is not None and size > memory:
        raise _bad(text, _("This machine has only {size} GiB of memory.").format(size=f"{memory / GIB:.1f}"))
    return size


def _memory(host: Host) -> int | None:
    """The machine's memory in bytes, as Linux tells it; None where it is not told."""
    try:
        content = host.files.read("/proc/meminfo")
    except Trouble:
        return None
    match = re.search(rb"^MemTotal:\s*(\d+) kB", content.data, re.MULTILINE) if content else None
    return int(match[1]) * 1024 if match else None


def _bad(text: str, hint: str) -> Trouble:
    return Trouble(Problem.BAD_INPUT, subject=text, hint=hint)
