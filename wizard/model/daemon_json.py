"""Docker's ``daemon.json``: read strictly, and edited so that every byte that is not ours stays as it is.

Docker reads this file with Go's JSON, which is strict, merges keys that appear twice, and names no line. So a file
that is not plain, unambiguous JSON is refused here with its place, never tidied up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

from wizard.model.engine import DaemonProcess, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _

DEFAULT_PATH = "/etc/docker/daemon.json"
RUNTIMES = "runtimes"

_DEEPEST = 100
_COMMENTS = ("//", "/*", "#")
_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_SCALAR = re.compile(r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![\w.+-])")


# --- reading -----------------------------------------------------------------------------------------------------


class Slip(str, Enum):
    """Why a text is not plain JSON. Some of them have only one thing that can have been meant."""

    BYTE_ORDER_MARK = "byte-order-mark"
    COMMENT = "comment"
    COMMA_TOO_MANY = "comma-too-many"
    COMMA_MISSING = "comma-missing"
    TWICE = "twice"
    AFTER_THE_END = "after-the-end"
    NOT_UTF8 = "not-utf8"
    NO_OBJECT = "no-object"
    OTHER = "other"


class NotPlain(Trouble):
    """``Trouble(BAD_INPUT)`` for a text that is not plain JSON: the ``slip`` and where it stands (in characters)."""

    def __init__(self, slip: Slip, at: int, place: str, where: str, shown: str) -> None:
        super().__init__(
            Problem.BAD_INPUT, place, subject=where, hint=place, evidence=(Evidence(where, f"{place}\n{shown}"),)
        )
        self.slip = slip
        self.at = at


@dataclass(frozen=True, slots=True)
class _Member:
    key: str
    start: int
    value: _Node


@dataclass(frozen=True, slots=True)
class _Node:
    """A value and where it stands in the text. ``members`` is None unless it is an object."""

    start: int
    end: int
    members: tuple[_Member, ...] | None = None

    def get(self, key: str) -> _Member | None:
        return next((member for member in self.members or () if member.key == key), None)


@dataclass(frozen=True, slots=True)
class _Twin:
    """A key that stands twice in one object: the object, the member that came first, and the later one."""

    parent: _Node
    path: tuple[str, ...]
    first: _Member
    second: _Member


class _Reader:
    """Reads one JSON text. ``where`` names it in a refusal.

    With ``twins``, a key that stands twice in one object is noted there; without, it is refused.
    """

    def __init__(self, text: str, where: str, twins: list[_Twin] | None = None) -> None:
        self.text = text
        self.where = where
        self._twins = twins
        self._path: list[str] = []

    def document(self) -> _Node:
        if self.text.startswith("\ufeff"):
            self.refuse(
                0,
                _("the file begins with an invisible mark (a byte order mark), which Docker may not accept"),
                Slip.BYTE_ORDER_MARK,
            )
        node = self._value(self._skip(0), 0)
        end = self._skip(node.end)
        if end != len(self.text):
            if self.text.startswith(_COMMENTS, end):
                self._unexpected(end, "")
            self.refuse(end, _("something follows after the end of the settings"), Slip.AFTER_THE_END)
        return node

    def refuse(self, at: int, what: str, slip: Slip = Slip.OTHER) -> NoReturn:
        """Raises ``NotPlain``, whose text names the line and the column, both from 1, and which shows the line."""
        line = self.text.count("\n", 0, at) + 1
        start = self.text.rfind("\n", 0, at) + 1
        shown = self.text[start:].split("\n", 1)[0].rstrip("\r")
        column = at - start + 1
        place = _("Line {line}, column {column}: {what}.").format(line=line, column=column, what=what)
        mark = f"{shown}\n{' ' * (column - 1)}^" if len(shown) <= 200 else shown[:200] + "…"
        raise NotPlain(slip, at, place, self.where, mark)

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def _value(self, at: int, depth: int) -> _Node:
        if depth > _DEEPEST:
            self.refuse(at, _("the brackets are nested too deeply"))
        first = self.text[at : at + 1]
        if first == "{":
            return self._object(at, depth)
        if first == "[":
            return self._array(at, depth)
        if first == '"':
            return _Node(at, self._string_end(at))
        found = _SCALAR.match(self.text, at)
        if not found:
            self._unexpected(at, _("a value"))
        return _Node(at, found.end())

    def _object(self, start: int, depth: int) -> _Node:
        members: list[_Member] = []
        known: dict[str, _Member] = {}
        twins: list[tuple[_Member, _Member]] = []
        at = self._skip(start + 1)
        if self.text[at : at + 1] == "}":
            return _Node(start, at + 1, ())
        while True:
            if self.text[at : at + 1] != '"':
                if members and self.text[at : at + 1] == "}":
                    self.refuse(at, _("the comma before this brace is one too many"), Slip.COMMA_TOO_MANY)
                self._unexpected(at, _('a key in "quotation marks"'))
            key_at, key_end = at, self._string_end(at)
            key = json.loads(self.text[key_at:key_end])
            if key in known and self._twins is None:
                self.refuse(key_at, _('the key "{key}" appears twice').format(key=key), Slip.TWICE)
            at = self._skip(key_end)
            if self.text[at : at + 1] != ":":
                self._unexpected(at, _("a colon after the key"))
            self._path.append(key)
            value = self._value(self._skip(at + 1), depth + 1)
            self._path.pop()
            member = _Member(key, key_at, value)
            members.append(member)
            if key in known:
                twins.append((known[key], member))
            known.setdefault(key, member)
            at = self._skip(value.end)
            if self.text[at : at + 1] == "}":
                node = _Node(start, at + 1, tuple(members))
                if self._twins is not None:
                    self._twins += [_Twin(node, tuple(self._path), first, second) for first, second in twins]
                return node
            if self.text[at : at + 1] != ",":
                if self.text[at : at + 1] == '"':
                    self.refuse(at, _("a comma is missing before this"), Slip.COMMA_MISSING)
                self._unexpected(at, _("a comma or a closing brace"))
            at = self._skip(at + 1)

    def _array(self, start: int, depth: int) -> _Node:
        at = self._skip(start + 1)
        if self.text[at : at + 1] == "]":
            return _Node(start, at + 1)
        while True:
            at = self._skip(self._value(at, depth + 1).end)
            if self.text[at : at + 1] == "]":
                return _Node(start, at + 1)
            if self.text[at : at + 1] != ",":
                if self.text[at : at + 1] in ('"', "{", "["):
                    self.refuse(at, _("a comma is missing before this"), Slip.COMMA_MISSING)
                self._unexpected(at, _("a comma or a closing bracket"))
            at = self._skip(at + 1)
            if self.text[at : at + 1] == "]":
                self.refuse(at, _("the comma before this bracket is one too many"), Slip.COMMA_TOO_MANY)

    def _string_end(self, at: int) -> int:
        found = _STRING.match(self.text, at)
        if not found:
            self.refuse(at, _("this text does not end, or holds a character that must be written with a backslash"))
        return found.end()

    def _unexpected(self, at: int, wanted: str) -> NoReturn:
        if at >= len(self.text):
            self.refuse(at, _("the file ends too early; {wanted} is missing").format(wanted=wanted))
        if self.text.startswith(_COMMENTS, at):
            self.refuse(at, _("Docker does not accept comments in this file"), Slip.COMMENT)
        self.refuse(
            at, _("{wanted} is expected here, not {character}").format(wanted=wanted, character=repr(self.text[at]))
        )


def _open(data: bytes, where: str, twins: list[_Twin] | None = None) -> tuple[str, _Node, _Reader]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        good = data[: error.start].decode()
        _Reader(good, where).refuse(len(good), _("the file is not UTF-8 text"), Slip.NOT_UTF8)
    reader = _Reader(text, where, twins)
    node = reader.document()
    if node.members is None:
        reader.refuse(node.start, _("the settings must stand in braces"), Slip.NO_OBJECT)
    return text, node, reader


def is_empty(data: bytes | None) -> bool:
    """Whether there is no file, or one with nothing in it but white space."""
    return data is None or not data.strip()


def read(data: bytes, where: str = DEFAULT_PATH) -> dict[str, Any]:
    """The settings in ``data``.

    Raises ``Trouble(BAD_INPUT)`` whose text names line and column when the file is not UTF-8, begins with a byte
    order mark, is not JSON by the letter, is no object, or has a key twice in the same object.
    """
    text, _node, _reader = _open(data, where)
    settings: dict[str, Any] = json.loads(text)
    return settings


# --- the daemon's command line -----------------------------------------------------------------------------------


def daemon_runtimes(daemon: DaemonProcess | None) -> dict[str, str]:
    """Runtimes that were given on the daemon's command line: ``--add-runtime name=path``."""
    values = daemon.option("add-runtime") if daemon is not None else ()
    return {name: path for name, _equals, path in (value.partition("=") for value in values) if path}


def config_path(kind: EngineKind, daemon: DaemonProcess | None, home: str, environ: Mapping[str, str]) -> str | None:
    """The configuration file that the daemon reads: what its ``--config-file`` says, otherwise the usual place of
    its kind; None for a Docker whose settings are no file of this machine.
    """
    if kind not in (EngineKind.ENGINE, EngineKind.ROOTLESS, EngineKind.SNAP):
        return None
    given = daemon.option("config-file") if daemon is not None else ()
    if given:
        return given[-1]
    if kind is EngineKind.SNAP:
        return "/var/snap/docker/current/config/daemon.json"
    if kind is EngineKind.ROOTLESS:
        base = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
        return f"{base}/docker/daemon.json"
    return DEFAULT_PATH


# --- editing -----------------------------------------------------------------------------------------------------


def with_runtime(data: bytes | None, name: str, path: str, where: str = DEFAULT_PATH) -> bytes:
    """``data`` with ``runtimes.NAME.path`` set to ``path`` and nothing else changed, as ``with_text`` does it."""
    return with_text(data, (RUNTIMES, name, "path"), path, where)


def with_text(data: bytes | None, keys: tuple[str, ...], value: str, where: str = DEFAULT_PATH) -> bytes:
    """``data`` with the text ``value`` at the end of the way ``keys``, and nothing else changed.

    A new entry is written in the file's own style: its indent, its line ends, one line or many. Other keys of an
    existing entry are kept. The same text again changes nothing. No file, or an empty one, becomes a new one.
    Raises ``Trouble(BAD_INPUT)`` as ``read`` does, and where something on the way is not an object.
    """
    if data is None or is_empty(data):
        return (json.dumps(_nested(keys, value), indent=4, ensure_ascii=False) + "\n").encode()
    text, node, reader = _open(data, where)
    for depth, key in enumerate(keys):
        member = node.get(key)
        if member is None:
            return _insert(text, node, key, _nested(keys[depth + 1 :], value), depth).encode()
        node = member.value
        if depth + 1 < len(keys) and node.members is None:
            reader.refuse(node.start, _('the value of "{key}" must stand in braces').format(key=key))
    old = text[node.start : node.end]
    if not old.startswith('"'):
        reader.refuse(node.start, _('the value of "{key}" must be a text in quotation marks').format(key=keys[-1]))
    if json.loads(old) == value:
        return data
    return (text[: node.start] + json.dumps(value, ensure_ascii=False) + text[node.end :]).encode()


def _nested(keys: tuple[str, ...], value: str) -> Any:
    """``value`` inside objects of one key each."""
    inner: Any = value
    for key in reversed(keys):
        inner = {key: inner}
    return inner


def with_setting(data: bytes | None, key: str, value: bool | str, where: str = DEFAULT_PATH) -> bytes:
    """``data`` with the setting ``key`` of the outermost object set to ``value`` and nothing else changed.

    The same value again changes nothing. No file, or an empty one, becomes a new one. Raises ``BAD_INPUT`` as ``read``
    does, and where the key has a value that is not a plain one.
    """
    if data is None or is_empty(data):
        return (json.dumps({key: value}, indent=4, ensure_ascii=False) + "\n").encode()
    text, node, reader = _open(data, where)
    member = node.get(key)
    if member is None:
        return _insert(text, node, key, value, 0).encode()
    old = text[member.value.start : member.value.end]
    if old[:1] in ("{", "["):
        reader.refuse(member.value.start, _('the value of "{key}" must be a single one').format(key=key))
    if json.loads(old) == value:
        return data
    return (text[: member.value.start] + json.dumps(value, ensure_ascii=False) + text[member.value.end :]).encode()


def without_key(data: bytes, key: str, where: str = DEFAULT_PATH) -> bytes:
    """``data`` without the setting ``key`` of the outermost object, and nothing else changed.

    Raises ``BAD_INPUT`` as ``read`` does; a key that is not there changes nothing.
    """
    text, node, _reader = _open(data, where)
    member = node.get(key)
    return data if member is None else _cut(text, node, member).encode()


@dataclass(frozen=True, slots=True)
class Twice:
    """A key that stands twice in one object. ``path`` are the keys on the way to it, itself at the end; the values are
    as they are written; ``lines`` are where the two stand, from 1.
    """

    path: tuple[str, ...]
    first: str
    second: str
    lines: tuple[int, int]

    @property
    def same(self) -> bool:
        """Whether both say the same, so that one of them can go without a loss."""
        return json.dumps(_plain(self.first)) == json.dumps(_plain(self.second))


def twice(data: bytes, where: str = DEFAULT_PATH) -> tuple[Twice, ...]:
    """The keys that stand twice in an object, in the order of the file. Raises ``BAD_INPUT`` for all else that
    ``read`` refuses.
    """
    twins: list[_Twin] = []
    text, _node, _reader = _open(data, where, twins)
    return tuple(
        Twice(
            (*twin.path, twin.second.key),
            text[twin.first.value.start : twin.first.value.end],
            text[twin.second.value.start : twin.second.value.end],
            (text.count("\n", 0, twin.first.start) + 1, text.count("\n", 0, twin.second.start) + 1),
        )
        for twin in sorted(twins, key=lambda twin: twin.second.start)
    )


def without_twins(data: bytes, where: str = DEFAULT_PATH) -> bytes:
    """``data`` without the later one of every two settings of the same name and the same value.

    Raises ``BAD_INPUT`` with the place where two of the same name differ: which one is meant cannot be known.
    """
    while True:
        twins: list[_Twin] = []
        text, _node, reader = _open(data, where, twins)
        if not twins:
            return data
        # The innermost first: two values may be the same only without the twins inside them.
        twin = max(twins, key=lambda twin: (len(twin.path), twin.second.start))
        first, second = (text[member.value.start : member.value.end] for member in (twin.first, twin.second))
        if json.dumps(_plain(first)) != json.dumps(_plain(second)):
            reader.refuse(
                twin.second.start,
                _('the key "{key}" appears twice, with different values').format(key=twin.second.key),
                Slip.TWICE,
            )
        data = _cut(text, twin.parent, twin.second).encode()


def _plain(text: str) -> Any:
    """A value for a comparison in which nothing is lost: objects as pairs, so that twins inside count."""
    return json.loads(text, object_pairs_hook=lambda pairs: {"": pairs})


def _cut(text: str, parent: _Node, member: _Member) -> str:
    """``text`` without one member of the object ``parent``, and with commas only between members."""
    members = parent.members or ()
    index = members.index(member)
    if index + 1 < len(members):
        return text[: member.start] + text[members[index + 1].start :]
    if index:
        return text[: members[index - 1].value.end] + text[member.value.end :]
    return f"{text[: parent.start]}{{}}{text[parent.end :]}"


def _insert(text: str, node: _Node, key: str, value: object, depth: int) -> str:
    """``text`` with one more member at the end of the object ``node``, which stands ``depth`` objects deep."""
    newline = "\r\n" if "\r\n" in text else "\n"
    members = node.members or ()
    if members:
        indent = _line_indent(text, members[-1].start)
        at = members[-1].value.end
        if indent is not None:
            unit = _unit(text, indent, depth + 1)
            return f"{text[:at]},{newline}{indent}{_block(key, value, indent, unit, newline)}{text[at:]}"
        comma, colon = _separators(text, node)
        item = f"{json.dumps(key)}{colon}{json.dumps(value, separators=(comma, colon), ensure_ascii=False)}"
        return f"{text[:at]}{comma}{item}{text[at:]}"
    # An empty object is opened over several lines when its own line begins with white space or it is the file.
    outer = "" if depth == 0 else _line_indent(text, _line_first(text, node.start))
    if outer is None or (depth and "\n" not in text):
        item = json.dumps({key: value}, ensure_ascii=False)
        return f"{text[: node.start]}{item}{text[node.end :]}"
    unit = _unit(text, outer, depth) if depth else "    "
    indent = outer + unit
    block = _block(key, value, indent, unit, newline)
    return f"{text[: node.start]}{{{newline}{indent}{block}{newline}{outer}}}{text[node.end :]}"


def _block(key: str, value: object, indent: str, unit: str, newline: str) -> str:
    """A member over several lines, without the indent of its first."""
    dumped = json.dumps({key: value}, indent="\t", ensure_ascii=False).splitlines()[1:-1]
    lines = [line[1:] for line in dumped]
    tabs = [len(line) - len(line.lstrip("\t")) for line in lines]
    return newline.join(
        (indent if number else "") + unit * count + line[count:]
        for number, (count, line) in enumerate(zip(tabs, lines, strict=True))
    )


def _line_first(text: str, at: int) -> int:
    """Where the first character that is no white space stands in the line of ``at``."""
    start = text.rfind("\n", 0, at) + 1
    return start + len(text[start:at]) - len(text[start:at].lstrip(" \t"))


def _line_indent(text: str, at: int) -> str | None:
    """The white space before ``at`` when nothing else stands before it in its line; None otherwise, and in the
    first line.
    """
    start = text.rfind("\n", 0, at) + 1
    before = text[start:at]
    return before if start and not before.strip(" \t") else None


def _unit(text: str, indent: str, depth: int) -> str:
    """One step of indent in a file where ``depth`` steps are ``indent``."""
    length, rest = divmod(len(indent), depth)
    if length and not rest:
        return indent[:length]
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else "    "


def _separators(text: str, node: _Node) -> tuple[str, str]:
    """How an object on one line separates its members, and a key from its value."""
    members = node.members or ()
    first = members[0]
    key = _STRING.match(text, first.start)
    colon = text[key.end() if key else first.start : first.value.start]
    comma = ", "
    if len(members) > 1:
        between = text[first.value.end : members[1].start]
        comma = between if between.strip() == "," and "\n" not in between else ", "
    elif colon == ":":
        comma = ","
    return comma, ": " if "\n" in colon else colon
