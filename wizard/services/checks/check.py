"""What a check is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import _
from wizard.services import words

PROBE = 7.0
"""Seconds for a check that asks Docker: a probe of the port ends after five, so that the answer to a service that hangs
is "it hangs", not "the check took too long".
"""


@dataclass(frozen=True, slots=True)
class Check:
    """Looks at one thing and changes nothing.

    ``title`` is marked with ``N_``. ``requires`` are ids of checks that must have passed for this one to mean
    anything. ``timeout`` is in seconds. ``run`` may raise ``Trouble``: that is a finding too. ``decides`` are the ids
    of the causes in ``wizard.knowledge`` that this check can see: one of them that a finding does not name is not the
    cause on this machine.
    """

    id: str
    title: str
    requires: tuple[str, ...]
    timeout: float
    run: Callable[[Host], Finding]
    decides: tuple[str, ...] = ()

    def finding(
        self,
        status: Status,
        summary: str,
        detail: str = "",
        *,
        evidence: tuple[Evidence, ...] = (),
        causes: tuple[str, ...] = (),
        fixes: tuple[str, ...] = (),
        links: tuple[Link, ...] = (),
        blocked_by: str | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> Finding:
        """A finding of this check. ``causes`` are some of ``decides``."""
        return Finding(
            self.id,
            status,
            _(self.title),
            summary,
            detail,
            evidence=evidence,
            causes=causes,
            fixes=fixes,
            links=links,
            blocked_by=blocked_by,
            facts=facts or {},
        )

    def trouble(
        self,
        trouble: Trouble,
        detail: str = "",
        *,
        status: Status = Status.ERROR,
        causes: tuple[str, ...] = (),
        fixes: tuple[str, ...] = (),
    ) -> Finding:
        """A finding in the words for ``trouble``; ``detail`` instead of the usual advice."""
        said = words.explain(trouble)
        return self.finding(
            status,
            said.summary,
            detail or said.advice,
            evidence=said.evidence,
            causes=causes,
            fixes=fixes,
            links=said.links,
            facts={"problem": trouble.kind.value},
        )


def gigabytes(count: int) -> str:
    """A number of bytes for people: decimal gigabytes, as disks are sold."""
    return _("{number} GB").format(number=f"{count / 1e9:.0f}" if count >= 10e9 else f"{count / 1e9:.1f}")
