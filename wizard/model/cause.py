"""Why Docker, its runtime or the driver failed: the rows of the catalogue, and where a text names one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wizard.model.finding import Link


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of the catalogue.

    ``title`` and ``cause`` are sentences for somebody who is new to Docker, ``advice`` are the steps to take, in order;
    all are English and go through ``_`` where they are shown. ``patterns`` are regular expressions for text without its
    envelope (see ``wizard.model.envelope``); their named groups are what the text is about (``subject``: a name, a
    path, a port). ``samples`` are texts that are known word for word, ``near`` texts that look alike and mean something
    else. ``fixes`` are ids of repairs that can help. ``depth`` tells which of several causes in one text is the root:
    the greater, the nearer to it.
    """

    id: str
    title: str
    cause: str
    advice: tuple[str, ...]
    patterns: tuple[str, ...]
    samples: tuple[str, ...]
    near: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """A cause that a text names. ``text`` is what matched, without its envelope; ``groups`` are the pattern's."""

    cause: Cause
    text: str
    groups: Mapping[str, str] = field(default_factory=dict)
