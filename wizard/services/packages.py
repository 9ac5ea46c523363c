"""The packages of this machine: which program manages them, which are installed, and what it says when it fails.

Looks only. dpkg's list is a file that everybody may read; rpm has to be asked.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model import openpgp
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import PathKind

DPKG_STATUS = "/var/lib/dpkg/status"
INSTALL_SECONDS = 1800.0
"""A package manager that is killed in the middle leaves the system half installed, so it gets its time."""
APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get")
"""apt that asks nothing. Not as an environment of the command: the way back has none."""
APT_WAITS = ("-o", "DPkg::Lock::Timeout=60")
"""So many seconds for another program that is installing; understood since apt 2.0."""
APT_KEEPS = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
"""Settings files that somebody has changed stay as they are."""

_MANAGERS = {"apt": "apt-get", "zypper": "zypper", "dnf": "dnf"}
_OSTREE = "/run/ostree-booted"
_FIELDS = re.compile(r"^(Status|Version): (.*)$", re.MULTILINE)
_RPM_SECONDS = 10.0
_KEY_SECONDS = 30.0
_APT_HELPER = "/usr/lib/apt/apt-helper"
_TRIAL = "trial/key.asc"


@dataclass(frozen=True, slots=True)
class Package:
    """A package that the machine knows. ``state`` is dpkg's word (``installed``, ``config-files``, ``unpacked``,
    ``half-configured``, …); for rpm it is always ``installed``.
    """

    name: str
    version: str
    state: str = "installed"

    @property
    def upstream(self) -> str:
        """The version without the packager's part: ``1.17.8`` of ``1.17.8-1``."""
        return self.version.rpartition(":")[2].partition("-")[0]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(number) for number in re.findall(r"\d+", self.upstream))


def manager(host: Host) -> str | None:
    """``apt``, ``dnf`` or ``zypper``; None where there is none of these, or where it may not change the system."""
    if host.files.info(_OSTREE).kind is not PathKind.MISSING:
        return None
    there = [name for name, program in _MANAGERS.items() if host.commands.which(program)]
    if "apt" in there and host.files.info(DPKG_STATUS).kind is PathKind.MISSING:
        there.remove("apt")
    return there[0] if there else None


def known(host: Host, names: Sequence[str]) -> dict[str, Package]:
    """Those of the packages that the machine knows, by name: also removed ones whose settings are still there."""
    content = host.files.read(DPKG_STATUS)
    if content is not None:
        return _of_dpkg(content.data.decode(errors="replace"), names)
    if host.commands.which("rpm") is None:
        return {}
    argv = ("rpm", "-q", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n", *names)
    try:
        said = host.commands.run(argv, timeout=_RPM_SECONDS).stdout
    except Trouble:
        return {}
    lines = [line.split() for line in said.splitlines()]
    return {words[0]: Package(words[0], words[1]) for words in lines if len(words) == 2 and words[0] in names}


def installed(host: Host, names: Sequence[str]) -> dict[str, Package]:
    """Those of the packages that are there, also half installed ones."""
    return {name: found for name, found in known(host, names).items() if found.state not in ("config-files", "")}


def listed(packages: Sequence[Package]) -> str:
    """Packages as evidence: names, versions, and states that are not the usual one."""
    return "\n".join(
        f"{found.name} {found.version}{'' if found.state == 'installed' else f' ({found.state})'}" for found in packages
    )


def fetch_key(host: Host, url: str, fingerprint: str, vendor: str) -> str:
    """The text of the key with which a vendor signs packages, after a look at its fingerprint.

    Raises ``PACKAGES_UNREACHABLE`` with the words of the program that fetched it, ``COMMAND_MISSING`` where no such
    program is there, ``BAD_INPUT`` when it is another key or none.
    """
    seconds = str(int(_KEY_SECONDS))
    if host.commands.which("curl"):
        text = _fetched(host, url, ("curl", "-fsSL", "--max-time", seconds, url))
    elif host.commands.which("wget"):
        text = _fetched(host, url, ("wget", "-qO-", "--tries=1", f"--timeout={seconds}", url))
    elif host.files.info(_APT_HELPER).kind is not PathKind.MISSING:
        # apt's own way to fetch something writes a file; one that is there already it would only compare.
        host.store.write(_TRIAL, b"")
        host.store.remove(_TRIAL)
        try:
            _fetched(host, url, (_APT_HELPER, "download-file", url, host.store.path(_TRIAL)))
            text = (host.store.read(_TRIAL) or b"").decode(errors="replace")
        finally:
            host.store.remove(_TRIAL)
    else:
        raise Trouble(
            Problem.COMMAND_MISSING,
            subject="curl",
            hint=_("It is needed to fetch the key of the packages of {vendor}.").format(vendor=vendor),
        )
    return _judged(text, url, fingerprint, vendor)


def _fetched(host: Host, url: str, argv: tuple[str, ...]) -> str:
    """What a program has fetched. Raises ``PACKAGES_UNREACHABLE``."""
    result = host.commands.run(argv, timeout=_KEY_SECONDS + 5)
    if result.returncode == 0:
        return result.stdout
    said = result.stderr.strip() or f"exit status {result.returncode}"
    raise Trouble(Problem.PACKAGES_UNREACHABLE, said, subject=url, evidence=(Evidence(shlex.join(argv), said),))


def _judged(text: str, url: str, fingerprint: str, vendor: str) -> str:
    try:
        seen = openpgp.fingerprint(text)
    except ValueError as error:
        seen = str(error)
    if seen != fingerprint:
        raise Trouble(
            Problem.BAD_INPUT,
            seen,
            subject=url,
            hint=_(
                "This is not the key that signs the packages of {vendor}, so nothing was installed. "
                "Is a proxy in between?"
            ).format(vendor=vendor),
            evidence=(Evidence(url, seen), Evidence(_("expected"), fingerprint)),
        )
    return text if text.endswith("\n") else f"{text}\n"


def _of_dpkg(text: str, names: Sequence[str]) -> dict[str, Package]:
    found: dict[str, Package] = {}
    for name in names:
        block = re.search(rf"^Package: {re.escape(name)}\n((?:.+\n?)*)", text, re.MULTILINE)
        if block is not None:
            fields = dict(_FIELDS.findall(block[1]))
            state = fields.get("Status", "").split()
            if state and state[-1] != "not-installed":
                found[name] = Package(name, fields.get("Version", ""), state[-1])
    return found


# --- what a package manager says when it fails --------------------------------------------------------------------

_SAID: Mapping[Problem, tuple[str, ...]] = {
    Problem.PACKAGES_LOCKED: (
        "Could not get lock",
        "Unable to (?:acquire|lock)",
        "is locked by",
        "System management is locked",
        "Waiting for process with pid",
    ),
    Problem.DISK_FULL: (
        "No space left on device",
        "not enough free space",
        "don't have enough free space",
        "more space needed on",
    ),
    Problem.PACKAGES_SOURCES: (
        "Conflicting values set for option",
        "Malformed (?:entry|line|stanza)",
        "The list of sources could not be read",
        "NO_PUBKEY",
        "is not signed",
        "signatures? (?:were|was|couldn't be) ",
        "GPG check FAILED",
        "Type '.*' is not known",
        "Signature verification failed",
    ),
    Problem.PACKAGES_UNREACHABLE: (
        "Temporary failure resolving",
        "Could not resolve",
        "Couldn't resolve",
        "Could not connect",
        "Unable to connect",
        "Connection (?:failed|refused|timed out)",
        "Network is unreachable",
        "Failed to fetch",
        "Cannot download",
        "Curl error",
    ),
    Problem.PACKAGE_UNKNOWN: (
        "Unable to locate package",
        "has no installation candidate",
        "Version '.*' for '.*' was not found",
        "Unable to find a match",
        "No match for argument",
        "No provider of",
        "not found in package names",
    ),
    Problem.PACKAGES_BROKEN: (
        "dpkg was interrupted",
        "unmet dependencies",
        "held broken packages",
        "you must manually run",
        "Sub-process .*dpkg",
        "nothing provides",
    ),
}
"""What is said, as patterns, by kind; the first kind counts. What a server's answer looks like stands before the
package that is then not found, and what dpkg met before that it met something.
"""

_HOLDER = re.compile(r"(?:held by process|PID is|process with PID|with pid) (\d+)(?: \(([^)]+)\))?", re.IGNORECASE)
_PROGRAMS = ("apt-get", "apt", "dpkg", "dnf", "yum", "zypper", "rpm")


def failure(argv: Sequence[str], said: str) -> Trouble | None:
    """The kind of a package manager's failure, with its words as evidence; None for another program, or for words that
    are not known.
    """
    program = next((word for word in argv if word != "env" and "=" not in word), "").rpartition("/")[2]
    if program not in _PROGRAMS:
        return None
    for kind, patterns in _SAID.items():
        if match := re.search("|".join(patterns), said):
            line = next((line for line in said.splitlines() if match.group() in line), match.group()).strip()
            return Trouble(kind, line, hint=_hint(kind, said), evidence=(Evidence(" ".join(argv), said.strip()),))
    return None


def _hint(kind: Problem, said: str) -> str:
    holder = _HOLDER.search(said) if kind is Problem.PACKAGES_LOCKED else None
    if holder is None:
        return ""
    return _("It is the process {pid} ({program}).").format(pid=holder[1], program=holder[2] or "?")
