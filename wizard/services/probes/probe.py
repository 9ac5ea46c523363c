"""What a probe is made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.cause import Match
from wizard.model.finding import Evidence


@dataclass(frozen=True, slots=True)
class Proof:
    """What a look at the machine says about one cause.

    ``holds`` is None where it cannot be told; the evidence then says what was seen. ``fixes`` are the repairs that help
    in this very case, None for those of the catalogue. ``note`` is one translated sentence for the user.
    """

    holds: bool | None
    evidence: tuple[Evidence, ...]
    fixes: tuple[str, ...] | None = None
    note: str = ""


Probe = Callable[[Host, Match], Proof | None]
"""Looks at exactly what a text names and changes nothing; None where the text does not say enough. May raise
``Trouble``: then it could not be looked at.
"""


def named(match: Match, *patterns: str) -> str:
    """What the text is about, by the first pattern that finds it, otherwise by the catalogue; "" for nothing."""
    for pattern in patterns:
        if found := re.search(pattern, match.text, re.IGNORECASE):
            return next((group for group in found.groups() if group), "")
    return match.groups.get("subject", "")
