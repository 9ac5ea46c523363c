"""An error text, explained: the causes that it names, whether they hold on this machine, and what helps.

A text alone proves nothing: it may come from another machine, or from yesterday. ``yes`` is said only with evidence
that the cause holds here and now: a check of the check-up, or a probe that looks at the very thing that the text names.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wizard.host.ports import Host
from wizard.knowledge import daemon_errors
from wizard.model.cause import Match
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Started, ignore
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import _
from wizard.model.secret import redact
from wizard.services import words

if TYPE_CHECKING:
    from wizard.services.probes.probe import Probe, Proof

HEAD, TAIL = 1_000_000, 3_000_000
"""Characters that are looked at from the beginning and from the end of a text; errors stand at the end of a log."""
LONGEST = 2000
"""Characters of what is repeated from the text."""

SECONDS = 5.0
"""How long a probe may take."""

_FIXES = Path(__file__).with_name("fixes")
_SERVICE = "docker.running"
_WHY_STOPPED = ("docker.config", "docker.unit")


class Confirmed(str, Enum):
    """Whether a cause holds on this machine."""

    YES = "yes"
    NO = "no"
    NOT_PROBED = "not-probed"

    @property
    def status(self) -> Status:
        """How it is marked for people."""
        return {Confirmed.YES: Status.ERROR, Confirmed.NO: Status.OK}.get(self, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One cause that a text names. ``title``, ``cause`` and ``advice`` are translated; nothing in it is secret.

    ``fixes`` are repairs that this program can make: none where the cause does not hold, mere suggestions where it was
    not looked at. ``note`` is a sentence about this machine, "" for none. ``instead`` are the findings of checks that
    failed on the way: what is wrong on this machine, whatever the text says.
    """

    id: str
    title: str
    cause: str
    confirmed: Confirmed
    evidence: tuple[Evidence, ...]
    advice: tuple[str, ...]
    fixes: tuple[str, ...]
    links: tuple[Link, ...]
    matched_text: str
    note: str = ""
    instead: tuple[Finding, ...] = ()


def run(
    host: Host, text: str, *, probe: bool = True, emit: Emit = ignore, cancel: Cancel | None = None
) -> tuple[Explanation, ...]:
    """What ``text`` says: one explanation for each cause that it names, the root first; none when it is not known.

    With ``probe`` this machine is looked at, which changes nothing and takes some seconds; findings of checks are
    emitted. Raises ``CANCELLED``.
    """
    emit(Started(_("Reading the text.")))
    matches = daemon_errors.find(clip(text)[0])
    if cancel is not None:
        cancel.check()
    if not matches:
        return ()
    if not probe:
        return tuple(_explanation(match, Confirmed.NOT_PROBED, fixes=match.cause.fixes) for match in matches)
    emit(Started(_("Looking at this machine.")))
    return _probed(host, matches, emit, cancel)


def clip(text: str) -> tuple[str, bool]:
    """``text``, or its beginning and its end where it is very long; and whether it was cut."""
    if len(text) <= HEAD + TAIL:
        return text, False
    return f"{text[:HEAD]}\n{text[-TAIL:]}", True


def verdict(explanations: Sequence[Explanation]) -> tuple[str, ...]:
    """What is to be said about the text as a whole, in sentences; none where the explanations say it all."""
    if not explanations:
        return ()
    root = explanations[0]
    said: list[str] = []
    here = [item for item in explanations if item.confirmed is Confirmed.YES]
    if not here and root.confirmed is Confirmed.NO:
        said.append(
            _(
                "This text names a cause ({title}), but on this machine that is in order: the text comes from another"
                " machine, or it has been repaired since."
            ).format(title=root.title)
        )
    elif here and root.confirmed is Confirmed.NO:
        said.append(_("On this machine the cause is another one: {title}.").format(title=here[0].title))
    seen = dict.fromkeys(finding.id for item in explanations for finding in item.instead)
    findings = {finding.id: finding for item in explanations for finding in item.instead}
    for id_ in seen:
        finding = findings[id_]
        if not any(item.id in finding.causes for item in here):
            said.append(
                _("What is wrong on this machine: {title}: {summary}").format(
                    title=finding.title, summary=finding.summary
                )
            )
    return tuple(said)


def sure(item: Explanation) -> str:
    """Whether it is so on this machine, in a sentence."""
    if item.confirmed is Confirmed.YES:
        return _("On this machine: yes, this is so.")
    if item.confirmed is Confirmed.NO:
        return _("On this machine: no, this is in order.")
    if item.evidence:
        return _("On this machine: this could not be proved.")
    return _("On this machine: this was not looked at.")


def repairs_for(explanations: Iterable[Explanation]) -> tuple[str, ...]:
    """The repairs to begin with: those of causes that were proved, and of what stands in the way of looking."""
    proved = [fix for item in explanations if item.confirmed is Confirmed.YES for fix in item.fixes]
    found = [fix for item in explanations for finding in item.instead for fix in _known(finding.fixes)]
    return tuple(dict.fromkeys([*found, *proved]))


def to_json(explanations: Sequence[Explanation]) -> dict[str, Any]:
    """The document of ``s2s-wizard explain --json``."""
    notes = [*verdict(explanations), *(item.note for item in explanations if item.note)]
    return {"schema_version": 1, "matches": [_to_json(item) for item in explanations], "notes": notes}


def unknown() -> tuple[str, ...]:
    """What somebody can do whose text is not known; translated, without the commands of the program."""
    return (
        _("Look whether the whole message is there: the cause often stands in its last line."),
        _("Let the wizard look at this machine: the check-up finds many causes without any text."),
        _("Read what Docker itself has noted: {command}").format(command="sudo journalctl -u docker -n 50"),
    )


# --- looking at the machine --------------------------------------------------------------------------------------


def _probed(host: Host, matches: tuple[Match, ...], emit: Emit, cancel: Cancel | None) -> tuple[Explanation, ...]:
    """Checks and probes side by side. A probe that looks at what the text names comes before the checks, one that looks
    at the machine as a whole after them.
    """
    from wizard.services import probes

    wanted: dict[str, Probe] = {}
    for match in matches:
        id_ = match.cause.id
        special = probes.ABOUT.get(id_) or (None if _deciding(id_) else probes.GENERAL.get(id_))
        if special is not None:
            wanted[id_] = special
    asked = _ask(host, wanted, matches)
    findings = _check(host, matches, emit, cancel)
    proofs = _answers(asked, cancel)
    return tuple(_settled(match, findings, proofs.get(match.cause.id)) for match in matches)


def _deciding(cause: str) -> tuple[str, ...]:
    """The checks that can see this cause."""
    from wizard.services import checks

    return tuple(check.id for check in checks.ALL if cause in check.decides)


def _check(host: Host, matches: tuple[Match, ...], emit: Emit, cancel: Cancel | None) -> dict[str, Finding]:
    """The findings of the checks that decide one of the causes, and of all that these require. Where the service is one
    of those, also of the checks that know why it does not start.
    """
    from wizard.services import checks, checkup

    todo = [id_ for match in matches for id_ in _deciding(match.cause.id)]
    ids: set[str] = set()
    while todo:
        id_ = todo.pop()
        if id_ not in ids:
            ids.add(id_)
            todo.extend(checks.by_id(id_).requires)
            todo.extend(_WHY_STOPPED if id_ == _SERVICE else ())
    if not ids:
        return {}
    ordered = [check.id for check in checks.ALL if check.id in ids]
    return {finding.id: finding for finding in checkup.run(host, ordered, emit, cancel)}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Probes on their way, and until when they are waited for (monotonic seconds)."""

    pending: frozenset[str]
    answers: queue.Queue[tuple[str, Proof | None] | None]
    deadline: float


def _ask(host: Host, wanted: dict[str, Probe], matches: tuple[Match, ...]) -> _Asked:
    """Starts the probes side by side, each in a thread that nobody has to wait for."""
    from wizard.services.probes.probe import Proof

    answers: queue.Queue[tuple[str, Proof | None] | None] = queue.Queue()

    def look(id_: str, probe: Probe, match: Match) -> None:
        try:
            proof = probe(host, match)
        except Trouble as trouble:
            proof = Proof(None, _seen_of(trouble))
        except Exception as error:  # noqa: BLE001 - a probe that crashes has looked at nothing
            proof = Proof(None, (Evidence(type(error).__name__, str(error)),))
        answers.put((id_, proof))

    for match in matches:
        if probe := wanted.get(match.cause.id):
            threading.Thread(target=look, args=(match.cause.id, probe, match), daemon=True).start()
    return _Asked(frozenset(wanted), answers, time.monotonic() + SECONDS)


def _answers(asked: _Asked, cancel: Cancel | None) -> dict[str, Proof | None]:
    """What the probes say; one that is late says nothing. Raises ``CANCELLED``."""
    from wizard.services.probes.probe import Proof

    if cancel is not None:
        cancel.on_set(lambda: asked.answers.put(None))
    proofs: dict[str, Proof | None] = {}
    while len(proofs) < len(asked.pending):
        try:
            answer = asked.answers.get(timeout=max(asked.deadline - time.monotonic(), 0.0))
        except queue.Empty:
            break
        if answer is None:
            raise Trouble(Problem.CANCELLED)
        proofs[answer[0]] = answer[1]
    late = Proof(None, (Evidence(_("This machine"), _("no answer within {n:g} seconds").format(n=SECONDS)),))
    return {id_: proofs.get(id_, late) for id_ in asked.pending}


def _settled(match: Match, findings: dict[str, Finding], proof: Proof | None) -> Explanation:
    """One cause, with everything that was seen."""
    cause = match.cause
    if proof is not None and proof.holds is not None:
        fixes = (cause.fixes if proof.fixes is None else proof.fixes) if proof.holds else ()
        confirmed = Confirmed.YES if proof.holds else Confirmed.NO
        return _explanation(match, confirmed, proof.evidence, fixes, note=proof.note)
    deciding = [findings[id_] for id_ in _deciding(cause.id) if id_ in findings]
    naming = [finding for finding in deciding if cause.id in finding.causes]
    if naming:
        helping = tuple(dict.fromkeys(fix for finding in naming for fix in finding.fixes)) or cause.fixes
        return _explanation(match, Confirmed.YES, _seen_by(naming), helping, note=_about(naming))
    instead = _wrong(findings)
    if deciding and all(finding.status not in (Status.SKIPPED, Status.UNKNOWN) for finding in deciding):
        return _explanation(match, Confirmed.NO, _seen_by(deciding), (), instead=instead)
    evidence = proof.evidence if proof is not None else _seen_by(instead or deciding)
    first = any(_known(finding.fixes) for finding in instead)  # then nothing can be said about this one before
    return _explanation(match, Confirmed.NOT_PROBED, evidence, () if first else cause.fixes, _note_of(proof), instead)


def _wrong(findings: dict[str, Finding]) -> tuple[Finding, ...]:
    """What is wrong on this machine, whatever the text says: the errors among the findings, their own roots first."""
    return tuple(finding for finding in findings.values() if finding.status is Status.ERROR)


def _seen_by(findings: Iterable[Finding]) -> tuple[Evidence, ...]:
    """What checks saw, under their names."""
    seen: list[Evidence] = []
    for finding in findings:
        seen.append(Evidence(finding.title, finding.summary))
        seen.extend(finding.evidence)
    return tuple(dict.fromkeys(seen))


def _seen_of(trouble: Trouble) -> tuple[Evidence, ...]:
    said = words.explain(trouble)
    return (Evidence(_("It could not be looked at"), said.summary), *said.evidence)


def _about(findings: Sequence[Finding]) -> str:
    """What the check tells a beginner about this very machine."""
    return next((finding.detail for finding in findings if finding.detail), "")


def _note_of(proof: Proof | None) -> str:
    return proof.note if proof is not None else ""


# --- in words ----------------------------------------------------------------------------------------------------


def _explanation(
    match: Match,
    confirmed: Confirmed,
    evidence: Iterable[Evidence] = (),
    fixes: Iterable[str] = (),
    note: str = "",
    instead: tuple[Finding, ...] = (),
) -> Explanation:
    cause = match.cause
    matched = redact(match.text)
    return Explanation(
        id=cause.id,
        title=_(cause.title),
        cause=_flat(_(cause.cause)),
        confirmed=confirmed,
        evidence=tuple(replace(item, source=redact(item.source), text=redact(item.text)) for item in evidence),
        advice=tuple(_(step) for step in cause.advice),
        fixes=_known(fixes),
        links=tuple(Link(_(link.title), link.url) for link in cause.links),
        matched_text=matched if len(matched) <= LONGEST else f"{matched[:LONGEST]}…",
        note=redact(note),
        instead=instead,
    )


def _known(fixes: Iterable[str]) -> tuple[str, ...]:
    """The repairs among ``fixes`` that this program has, each once. A repair is the module of its name: to load them
    all would take longer than to read most texts.
    """
    return tuple(dict.fromkeys(id_ for id_ in fixes if (_FIXES / f"{id_.replace('-', '_')}.py").is_file()))


def _to_json(item: Explanation) -> dict[str, Any]:
    return {
        "id": item.id,
        "title": item.title,
        "cause": item.cause,
        "confirmed": item.confirmed.value,
        "evidence": [{"source": seen.source, "text": seen.text} for seen in item.evidence],
        "advice": list(item.advice),
        "fixes": list(item.fixes),
        "links": [{"title": link.title, "url": link.url} for link in item.links],
        "matched_text": item.matched_text,
    }


def _flat(text: str) -> str:
    """Prose of the catalogue without its line breaks."""
    return " ".join(text.split())
