"""A bug report: what a stranger needs to know about this machine, without what is nobody's business."""

from __future__ import annotations

import json
import platform
import re
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from wizard import __version__
from wizard.host.ports import Host
from wizard.model import daemon_json
from wizard.model import receipt as receipts_model
from wizard.model.errors import Trouble
from wizard.model.event import Cancel
from wizard.model.finding import Finding
from wizard.model.i18n import _
from wizard.model.receipt import FileChange, Receipt
from wizard.model.secret import MASK, Secret, redact
from wizard.services import checkup, repairs

LOG_LINES = 200
"""How much of the end of the log is in a report."""

_LIBRARIES = ("textual", "docker", "nvidia-ml-py", "requests", "keyring")
_LONGEST_LOG = 200_000
_SECRET_NAME = re.compile(r"token|secret|passw|credential|auth|key", re.IGNORECASE)
_SECRET_SETTING = re.compile(
    r"([\w.-]{0,64}(?:token|secret|passw|credential)[\w.-]{0,64}[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?)[^\s\"',]+",
    re.IGNORECASE,
)
"""The same in one line of anything: evidence shows the line of a settings file that has a mistake."""
_E_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,5}")
_SHORTEST_NAME = 3
"""Shorter names of users and machines are parts of ordinary words."""
_NOBODYS_NAMES = frozenset({"root", "localhost", "docker", "user", "ubuntu", "debian"})


def text(host: Host, cancel: Cancel | None = None) -> str:
    """The report, in Markdown: versions, the check-up with its evidence, the repairs, Docker's settings, the end of the
    log.

    Keys, passwords, e-mail addresses, and the names of the user, their home folder and the machine are masked. Changes
    nothing. Raises ``CANCELLED``.
    """
    findings = checkup.run(host, cancel=cancel)
    sections = (
        (_("Versions"), _versions(host)),
        (_("Check-up"), "\n".join(line for finding in findings for line in _finding(finding))),
        (_("Repairs"), "\n".join(line for receipt in repairs.receipts(host) for line in _receipt(receipt))),
        (_("Docker's settings"), _settings(host, findings)),
        (_("The end of the log"), _log(host)),
    )
    body = "\n\n".join(f"## {title}\n\n{content.strip() or '-'}" for title, content in sections)
    return cleaned(host, f"# s2s-wizard {__version__}\n\n{body}\n")


def file_name() -> str:
    """A name for the file that does not stand there yet, with the time in UTC."""
    return datetime.now(timezone.utc).strftime("s2s-wizard-report-%Y%m%d-%H%M%S.md")


def cleaned(host: Host, report: str) -> str:
    """``report`` without keys (those that this program holds, by their value, and whatever looks like one), and without
    the names of people and machines.
    """
    report = redact(report, _keys(host))
    report = _SECRET_SETTING.sub(rf"\1{MASK}", report)
    report = _E_MAIL.sub(MASK, report)
    # The home folder first: it holds the user's name.
    if len(host.home) > 1 and host.home != "/root":
        report = report.replace(host.home, "~")
    for name, stands_for in ((host.info.user, "USER"), (host.info.name, "HOST")):
        if len(name) >= _SHORTEST_NAME and name not in _NOBODYS_NAMES:
            report = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", stands_for, report)
    return report


def _keys(host: Host) -> tuple[Secret, ...]:
    with suppress(Trouble):  # a password store that cannot be asked hides nothing from the patterns
        found = host.keys.get()
        return (found[0],) if found else ()
    return ()


def _versions(host: Host) -> str:
    rows = {"s2s-wizard": __version__, "Python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            rows[name] = metadata.version(name)
    info = host.info
    rows |= {"OS": info.os, "kernel": _first_line(host, "/proc/version"), "arch": info.arch, "kind": info.kind}
    return "\n".join(f"- {name}: {value}" for name, value in rows.items() if value)


def _first_line(host: Host, path: str) -> str:
    try:
        content = host.files.read(path)
    except Trouble:
        return ""
    return content.data.decode(errors="replace").partition("\n")[0] if content else ""


def _finding(finding: Finding) -> list[str]:
    lines = [f"- [{finding.status.value}] {finding.id}: {finding.summary} ({finding.seconds:.1f} s)"]
    if finding.causes:
        lines.append(f"  causes: {', '.join(finding.causes)}")
    for item in finding.evidence:
        lines.append(f"  {item.source}:")
        lines += [f"    {line}" for line in item.text.splitlines()]
    return lines


def _receipt(receipt: Receipt) -> list[str]:
    """What was done, without the contents of files: the difference is enough."""
    lines = [f"- {receipt.id} [{receipt.state.value}] {receipt.reason}".rstrip()]
    raw = receipts_model.to_json(receipt)["done"]
    for item, values in zip(receipt.done, raw, strict=True):
        if isinstance(item, FileChange):
            shown = repairs.diff(_masked(item.before), _masked(item.after), item.path)
        else:
            shown = json.dumps(values, ensure_ascii=False)
        lines += [f"    {line}" for line in shown.splitlines()]
    return lines


def _masked(data: bytes | None) -> bytes | None:
    """A file's content for the eye of a stranger: the values of settings that hold secrets are taken out."""
    return data if data is None else _without_secrets(data).encode()


def _settings(host: Host, findings: tuple[Finding, ...]) -> str:
    path = next(
        (str(item.facts["path"]) for item in findings if item.id == "docker.config" and "path" in item.facts), ""
    )
    if not path:
        return ""
    try:
        content = host.files.read(path)
    except Trouble as trouble:
        return f"{path}: {trouble.kind.value}"
    return f"{path}:\n\n{_without_secrets(content.data)}" if content else f"{path}: -"


def _without_secrets(data: bytes) -> str:
    """A settings file with the values of secret-looking keys masked; one that is not JSON, line by line."""
    if not daemon_json.is_empty(data):
        with suppress(ValueError, RecursionError):
            return json.dumps(_hide(json.loads(data)), indent=2, ensure_ascii=False)
    lines = data.decode(errors="replace").splitlines()
    return "\n".join(
        re.sub(r"([:=]\s*).*", rf"\1{MASK}", line) if _SECRET_NAME.search(line) else line for line in lines
    )


def _hide(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _hide(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hide(inner, name) for inner in value]
    return MASK if isinstance(value, str) and _SECRET_NAME.search(name) else value


def _log(host: Host) -> str:
    try:
        data = host.store.read("log") or b""
    except Trouble as trouble:
        return trouble.kind.value
    return "\n".join(data[-_LONGEST_LOG:].decode(errors="replace").splitlines()[-LOG_LINES:])
