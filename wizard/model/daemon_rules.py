"""What a Docker Engine of a given version makes of a ``daemon.json`` and of the flags beside it, at its next start.

Measured on engines 17.12 to 29.1 and read from the sources in between; a test starts real engines with each of these
files and compares. ``dockerd --validate`` (since 23.0) finds only a part of it: it calls files fine that stop the
daemon a moment later.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from wizard.model import daemon_json
from wizard.model.daemon_json import NotPlain, Slip
from wizard.model.daemon_keys import FLAT, KEYS, NEWEST, Key, Type, Version, flags
from wizard.model.engine import DaemonProcess
from wizard.model.finding import Evidence
from wizard.model.i18n import _

_FORGIVING: Version = (23, 0)
"""Since this version an empty file and a byte order mark are fine, and bytes after the end are not."""

_MERGED: Version = (23, 0)
"""Since this version the file is judged together with the flags, before alone."""

_RUNTIMES_TWICE: Version = (18, 9)
"""Since this version runtimes may be given as flags and in the file."""

_HUGE = 1_000_000
"""Bytes from which a file is no settings file any more; it is not looked into."""

_SHIM = re.compile(r"io\.containerd\.[\w.-]+")
"""Names that an engine since 23.0 takes for a default runtime without an entry. A path is taken where it is a shim."""

_OPTIONS_READ: Version = (28, 0)
"""Since this version an unknown word in ``exec-opts`` stops the daemon."""

_RESERVED = "runc"
_SHIMS_OF_20 = frozenset({"io.containerd.runc.v2", "io.containerd.runtime.v1.linux"})
_LEVELS = frozenset({"panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"})
_DRIVERS = frozenset(
    {"aufs", "btrfs", "devicemapper", "fuse-overlayfs", "overlay", "overlay2", "overlayfs", "vfs", "zfs"}
)
_COUNTS = ("max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts")


class Weight(Enum):
    """What a flaw does at the next start."""

    STOPS = "stops"
    """Docker does not start"""
    MAY_STOP = "may-stop"
    """it depends on the version, which is not known, or newer than the table"""
    BREAKS = "breaks"
    """Docker starts, but something that the file wants does not work"""
    UNTIDY = "untidy"
    """nothing breaks"""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong. ``cause`` is an id of the catalogue, ``key`` the setting it is about; ``text`` is a
    translated sentence.
    """

    weight: Weight
    cause: str
    text: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: the flaws, the worst first, the settings where they can be read, and what shows the place."""

    flaws: tuple[Flaw, ...]
    settings: Mapping[str, Any] | None
    evidence: tuple[Evidence, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether Docker would certainly not start with it."""
        return any(flaw.weight is Weight.STOPS for flaw in self.flaws)

    @property
    def causes(self) -> tuple[str, ...]:
        """The causes, each once."""
        return tuple(dict.fromkeys(flaw.cause for flaw in self.flaws if flaw.cause))


def version_of(text: str) -> Version | None:
    """``(20, 10)`` from ``20.10.24`` or ``Docker version 20.10.24+dfsg1, build …``; None where there is no number."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def judge(
    data: bytes | None, version: Version | None, argv: tuple[str, ...] = (), where: str = daemon_json.DEFAULT_PATH
) -> Verdict:
    """What an engine of ``version`` (None: not known) that is started with ``argv`` makes of the file ``data``."""
    settings, found, evidence = _read(data, version, where)
    if settings is not None:
        found += list(_of_settings(settings, version, argv))
    order = list(Weight)
    return Verdict(tuple(sorted(found, key=lambda flaw: order.index(flaw.weight))), settings, evidence)


def refusals(data: bytes | None, version: str, daemon: DaemonProcess | None) -> tuple[str, ...]:
    """Why an engine of that version (as it says it) that was started like ``daemon`` would refuse the file ``data``, as
    translated sentences.
    """
    verdict = judge(data, version_of(version), daemon.argv if daemon is not None else ())
    return tuple(flaw.text for flaw in verdict.flaws if flaw.weight in (Weight.STOPS, Weight.MAY_STOP))


# --- the text ----------------------------------------------------------------------------------------------------


def _read(
    data: bytes | None, version: Version | None, where: str
) -> tuple[dict[str, Any] | None, list[Flaw], tuple[Evidence, ...]]:
    if data is None:
        return {}, [], ()
    if len(data) > _HUGE:
        text = _("{path} has {size} MB: that is no settings file. Something else was written there.").format(
            path=where, size=f"{len(data) / 1e6:.1f}"
        )
        return None, [Flaw(Weight.MAY_STOP, "conf-json-syntax", text)], ()
    if data.strip() == b"null":
        return {}, [], ()
    if daemon_json.is_empty(data):
        text = _("The file is empty.")
        weight = Weight.UNTIDY if version and version >= _FORGIVING else _before(version, _FORGIVING)
        return {}, [Flaw(weight, _json(weight), text)], ()
    found: list[Flaw] = []
    evidence: tuple[Evidence, ...] = ()
    while True:
        try:
            settings = daemon_json.read(data, where)
        except NotPlain as slip:
            evidence = evidence or slip.evidence
            weight = _weight(slip.slip, version)
            found.append(Flaw(weight, _json(weight), slip.text))
            rest = _beyond(data, slip)
            if rest is None:
                return None, found, evidence
            if slip.slip is Slip.TWICE:
                found[-1:] = [_twin(item) for item in daemon_json.twice(data, where)]
                return _last_wins(data), found, evidence
            data = rest
        else:
            return settings, found, evidence


def _weight(slip: Slip, version: Version | None) -> Weight:
    if slip is Slip.BYTE_ORDER_MARK:
        return Weight.UNTIDY if version and version >= _FORGIVING else _before(version, _FORGIVING)
    if slip in (Slip.AFTER_THE_END, Slip.NOT_UTF8):
        if version is None:
            return Weight.MAY_STOP
        return Weight.STOPS if version >= _FORGIVING else Weight.UNTIDY
    return Weight.UNTIDY if slip is Slip.TWICE else Weight.STOPS


def _before(version: Version | None, bound: Version) -> Weight:
    return Weight.MAY_STOP if version is None else Weight.STOPS if version < bound else Weight.UNTIDY


def _json(weight: Weight) -> str:
    return "" if weight is Weight.UNTIDY else "conf-json-syntax"


def _beyond(data: bytes, slip: NotPlain) -> bytes | None:
    """What an engine reads that does not mind the slip; None where none of them gets beyond it."""
    if slip.slip is Slip.BYTE_ORDER_MARK:
        return data[3:]
    if slip.slip is Slip.AFTER_THE_END:
        return data.decode()[: slip.at].encode()
    return data if slip.slip is Slip.TWICE else None


def _twin(item: daemon_json.Twice) -> Flaw:
    text = _('Lines {first} and {second}: "{key}" stands twice, ').format(
        first=item.lines[0], second=item.lines[1], key=".".join(item.path)
    )
    text += (
        _("with the same value.")
        if item.same
        else _("as {one} and as {other}.").format(one=item.first, other=item.second)
    )
    return Flaw(Weight.UNTIDY, "", text, item.path[-1])


def _last_wins(data: bytes) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(data)
    return settings


# --- the settings ------------------------------------------------------------------------------------------------


def _of_settings(settings: Mapping[str, Any], version: Version | None, argv: tuple[str, ...]) -> Iterator[Flaw]:
    given = flags(argv)
    flat = dict(_flattened(settings))
    yield from _unknown(flat, version)
    yield from _twice_given(flat, given, version)
    yield from _types(settings, version)
    yield from _runtimes(settings, version)
    yield from _default_runtime(settings, given, version)
    yield from _values(settings, version)


def _flattened(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names that Docker takes for settings: of a value in braces, the names inside."""
    for key, value in settings.items():
        if isinstance(value, dict) and key not in FLAT:
            yield from value.items()
        else:
            yield key, value


def _unknown(flat: Mapping[str, Any], version: Version | None) -> Iterator[Flaw]:
    for name in flat:
        key = KEYS.get(name)
        if key is not None and (version is None or key.known_to(version)):
            continue
        weight = Weight.STOPS if version is not None and version <= NEWEST else Weight.MAY_STOP
        yield Flaw(weight, "conf-unknown-key", _about_unknown(name, key, version), name)


def _about_unknown(name: str, key: Key | None, version: Version | None) -> str:
    if name == "graph":
        return _('"graph" is no longer known to Docker; the same setting is called "data-root" now.')
    if key is not None and key.since and version and version < key.since:
        return _('"{name}" came with Docker {since}; this Docker is older and does not know it.').format(
            name=name, since=_dotted(key.since)
        )
    if key is not None and key.until:
        return _('"{name}" was taken out of Docker with version {until}.').format(name=name, until=_dotted(key.until))
    near = _similar(name)
    if near:
        return _('Docker does not know the setting "{name}". Is "{near}" meant?').format(name=name, near=near)
    return _('Docker does not know the setting "{name}".').format(name=name)


def _similar(name: str) -> str:
    found = difflib.get_close_matches(name.lower(), KEYS, 1, 0.8)
    return found[0] if found else ""


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]:02d}" if version < (20, 10) else f"{version[0]}.{version[1]}"


def _twice_given(
    flat: Mapping[str, Any], given: Mapping[str, tuple[str, ...]], version: Version | None
) -> Iterator[Flaw]:
    for name in flat:
        if name not in given:
            continue
        if name != daemon_json.RUNTIMES:
            text = _('"{key}" is set here and also on the command line that starts Docker.').format(key=name)
            yield Flaw(Weight.STOPS, "conf-conflict-other", text, name)
        elif version is None or version < _RUNTIMES_TWICE:
            text = _("Runtimes are given here and also on the command line that starts Docker (--add-runtime).")
            weight = Weight.MAY_STOP if version is None else Weight.STOPS
            yield Flaw(weight, "conf-conflict-runtimes", text, name)


_TYPES: dict[Type, tuple[type, ...]] = {
    Type.SWITCH: (bool,),
    Type.NUMBER: (int,),
    Type.TEXT: (str,),
    Type.TEXTS: (list,),
    Type.WORDS: (dict,),
    Type.SWITCHES: (dict,),
    Type.TABLE: (dict,),
}
_INNER: dict[Type, type] = {Type.TEXTS: str, Type.WORDS: str, Type.SWITCHES: bool}


def _types(settings: Mapping[str, Any], version: Version | None) -> Iterator[Flaw]:
    for name, value in _typed_settings(settings):
        key = KEYS.get(name)
        if key is None or value is None or (version is not None and not key.known_to(version)):
            continue
        text = _wrong(name, value, key.type)
        if text:
            yield Flaw(Weight.STOPS, "conf-wrong-type", text, name)


def _typed_settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings whose type counts. Of names inside braces only those of ``proxies`` are read."""
    for name, value in settings.items():
        if name == "proxies" and isinstance(value, dict):
            yield from value.items()
        else:
            yield name, value


def _wrong(name: str, value: Any, type: Type) -> str:
    wanted = _TYPES.get(type)
    if wanted is None:
        return ""
    if not _is_a(value, wanted[0]):
        return _should(name, type)
    inner = _INNER.get(type)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if inner is not None and any(item is not None and not _is_a(item, inner) for item in items):
        return _should(name, type)
    if name == daemon_json.RUNTIMES:
        for runtime, entry in value.items():
            if text := _wrong_entry(runtime, entry):
                return text
    return ""


def _wrong_entry(runtime: str, entry: Any) -> str:
    if entry is None:
        return ""
    if not isinstance(entry, dict):
        return _('The runtime "{name}" must be described in braces.').format(name=runtime)
    arguments = entry.get("runtimeArgs")
    if arguments is not None and (not isinstance(arguments, list) or not all(isinstance(x, str) for x in arguments)):
        return _('"runtimeArgs" of the runtime "{name}" must be texts in square brackets.').format(name=runtime)
    if not isinstance(entry.get("path", ""), str):
        return _('The path of the runtime "{name}" must be a text in quotation marks.').format(name=runtime)
    return ""


def _is_a(value: Any, type: type) -> bool:
    return isinstance(value, type) and not (type is int and isinstance(value, bool))


def _should(name: str, type: Type) -> str:
    sentences = {
        Type.SWITCH: _('"{name}" must be true or false, without quotation marks.'),
        Type.NUMBER: _('"{name}" must be a whole number, without quotation marks.'),
        Type.TEXT: _('"{name}" must be a text in quotation marks.'),
        Type.TEXTS: _('"{name}" must be texts in quotation marks, inside square brackets.'),
        Type.WORDS: _('"{name}" must be names with texts in quotation marks, inside braces; numbers, too, need them.'),
        Type.SWITCHES: _('"{name}" must be names with true or false, inside braces.'),
        Type.TABLE: _('"{name}" must stand in braces.'),
    }
    return sentences[type].format(name=name)


def _entries(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    found = settings.get(daemon_json.RUNTIMES)
    return found if isinstance(found, dict) else {}


def _runtimes(settings: Mapping[str, Any], version: Version | None) -> Iterator[Flaw]:
    strict = Weight.MAY_STOP if version is None else Weight.STOPS if version >= _MERGED else Weight.BREAKS
    for name, entry in _entries(settings).items():
        if name == _RESERVED:
            text = _('The name "runc" is reserved; a runtime of your own needs another one.')
            yield Flaw(Weight.STOPS, "conf-runtime-name-reserved", text, daemon_json.RUNTIMES)
        if entry is None:
            entry = {}
        if not isinstance(entry, dict):
            continue
        if not entry.get("path") and not entry.get("runtimeType"):
            text = _('The runtime "{name}" has no path to its program.').format(name=name)
            yield Flaw(strict, "conf-runtime-entry-invalid", text, daemon_json.RUNTIMES)
        elif entry.get("path") and entry.get("runtimeType"):
            text = _('The runtime "{name}" has both a path and a type; only one is allowed.').format(name=name)
            weight = Weight.UNTIDY if strict is Weight.BREAKS else strict
            yield Flaw(weight, "conf-runtime-entry-invalid", text, daemon_json.RUNTIMES)


def _default_runtime(
    settings: Mapping[str, Any], given: Mapping[str, tuple[str, ...]], version: Version | None
) -> Iterator[Flaw]:
    default = settings.get("default-runtime")
    if not isinstance(default, str) or not default:
        return
    known = {_RESERVED, *_entries(settings)}
    if version is None or version >= (20, 10):
        known |= _SHIMS_OF_20
    if default in known:
        return
    by_flag = default in {value.partition("=")[0] for value in given.get(daemon_json.RUNTIMES, ())}
    weight = Weight.STOPS
    if version is None or version >= _MERGED:
        if _SHIM.fullmatch(default) or (by_flag and version is not None):
            return
        if by_flag or default.startswith("/"):
            weight = Weight.MAY_STOP
    text = _('The default runtime "{name}" is not in the list of runtimes.').format(name=default)
    yield Flaw(weight, "conf-default-runtime-missing", text, "default-runtime")


def _values(settings: Mapping[str, Any], version: Version | None) -> Iterator[Flaw]:
    for option in _texts(settings, "exec-opts"):
        name, _equals, value = option.partition("=")
        if name.strip().lower() == "native.cgroupdriver" and value not in ("systemd", "cgroupfs", ""):
            text = _('"{value}" is no cgroup driver; it must be systemd or cgroupfs.').format(value=value)
            yield Flaw(Weight.STOPS, "conf-cgroupdriver-bad", text, "exec-opts")
        elif not value or name.strip().lower() != "native.cgroupdriver":
            text = _('"{value}" in "exec-opts" means nothing to Docker.').format(value=option)
            weight = Weight.STOPS if version and version >= _OPTIONS_READ else Weight.UNTIDY
            yield Flaw(weight, "conf-other-invalid" if weight is Weight.STOPS else "", text, "exec-opts")
    for mirror in _texts(settings, "registry-mirrors"):
        if not _is_mirror(mirror):
            text = _('The mirror "{name}" is no address; write https://name and nothing behind it.').format(name=mirror)
            yield Flaw(Weight.STOPS, "conf-other-invalid", text, "registry-mirrors")
    for server in _texts(settings, "dns"):
        if not _is_ip(server):
            text = _('The name server "{name}" must be an IP address, such as 1.1.1.1.').format(name=server)
            yield Flaw(Weight.STOPS, "conf-other-invalid", text, "dns")
    for label in _texts(settings, "labels"):
        if "=" not in label:
            text = _('The label "{name}" must be written as name=value.').format(name=label)
            yield Flaw(Weight.STOPS, "conf-other-invalid", text, "labels")
    for name in _COUNTS:
        count = settings.get(name)
        if isinstance(count, int) and count < 0:
            yield Flaw(Weight.STOPS, "conf-other-invalid", _('"{name}" must not be negative.').format(name=name), name)
    level = settings.get("log-level")
    if isinstance(level, str) and level and level.lower() not in _LEVELS:
        text = _('"{value}" is no log level; the usual one is info.').format(value=level)
        yield Flaw(Weight.STOPS, "conf-other-invalid", text, "log-level")
    driver = settings.get("storage-driver")
    if isinstance(driver, str) and driver and driver not in _DRIVERS:
        # With containerd's image store it is the name of a snapshotter, of which there are more.
        text = _('Docker may not know the storage driver "{name}"; the usual one is overlay2.').format(name=driver)
        yield Flaw(Weight.MAY_STOP, "conf-other-invalid", text, "storage-driver")


def _texts(settings: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = settings.get(name)
    return tuple(item for item in found if isinstance(item, str)) if isinstance(found, list) else ()


def _is_mirror(text: str) -> bool:
    try:
        parts = urlsplit(text)
        bare = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.username is None
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and bare


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
