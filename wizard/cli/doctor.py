"""``s2s-wizard doctor``: looks at the machine and changes nothing."""

from __future__ import annotations

from wizard.cli.call import FINE, PROBLEMS, Call
from wizard.cli.console import Console, pad, tag, width
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import ignore
from wizard.model.finding import Finding, Status
from wizard.model.i18n import _, ngettext
from wizard.model.receipt import Receipt
from wizard.services import checks, checkup


def run(call: Call) -> int:
    """Exit code 0 when the machine is ready, 1 when it is not."""
    options, console = call.options, call.console
    if options.list:
        return _list(console)
    known = [check.id for check in checks.ALL]
    for wanted in options.check or ():
        if wanted not in known:
            raise Trouble(
                Problem.BAD_INPUT, subject=wanted, hint=_("Known checks: {names}.").format(names=", ".join(known))
            )
    listing = _Listing(console, options.check)
    emit = ignore if console.json else listing
    findings = checkup.run(call.host, ids=options.check, emit=emit, cancel=call.cancel)
    ready = checkup.ready(findings)
    began, waiting = _unfinished(call.host)
    if console.json:
        stopped = {"interrupted": began.id if began else None, "waiting": [receipt.id for receipt in waiting]}
        console.document({**checkup.to_json(call.host, findings), **stopped})
    else:
        listing.rest(findings)
        _explain(console, findings)
        _tell(console, began, waiting)
        _conclude(console, findings, ready)
    return FINE if ready else PROBLEMS


def _unfinished(host: Host) -> tuple[Receipt | None, tuple[Receipt, ...]]:
    """The repair that was interrupted, and those that wait for their last step."""
    if not host.store.names("receipts"):
        return None, ()
    from wizard.services import repairs

    return repairs.interrupted(host), repairs.pending(host)


def _tell(console: Console, began: Receipt | None, waiting: tuple[Receipt, ...]) -> None:
    if began is None and not waiting:
        return
    from wizard.cli.fix import tell_interrupted, tell_pending

    console.out()
    if began is not None:
        tell_interrupted(console, began)
    tell_pending(console, waiting)


def _list(console: Console) -> int:
    if console.json:
        every = [{"id": item.id, "title": _(item.title), "requires": list(item.requires)} for item in checks.ALL]
        console.document({"checks": every})
        return FINE
    columns = max(len(item.id) for item in checks.ALL)
    for item in checks.ALL:
        console.out(f"{item.id:<{columns}}  {_(item.title)}")
    return FINE


class _Listing:
    """Prints findings in the declared order while they come in any order."""

    def __init__(self, console: Console, only: list[str] | None) -> None:
        self._console = console
        self._waiting = [item.id for item in checks.ALL if only is None or item.id in only]
        self._columns = max(width(_(item.title)) for item in checks.ALL)
        self._here: dict[str, Finding] = {}

    def __call__(self, event: object) -> None:
        if isinstance(event, Finding):
            self._here[event.id] = event
            while self._waiting and self._waiting[0] in self._here:
                self._show(self._here[self._waiting.pop(0)])

    def rest(self, findings: tuple[Finding, ...]) -> None:
        """Prints those that were not announced one by one."""
        for finding in findings:
            if finding.id in self._waiting:
                self._show(finding)

    def _show(self, finding: Finding) -> None:
        self._console.tagged(tag(finding.status), f"{pad(finding.title, self._columns)}  {finding.summary}")


def _explain(console: Console, findings: tuple[Finding, ...]) -> None:
    """What is not fine, the worst last: there the eye is when the command has ended."""
    for status in (Status.WARNING, Status.UNKNOWN, Status.ERROR):
        for finding in findings:
            if finding.status is not status:
                continue
            console.out()
            console.tagged(tag(status), finding.title)
            console.paragraph(finding.detail or finding.summary)
            console.evidence(finding.evidence)
            for fix_id in finding.fixes:
                console.out("    " + _("Repair: {command}").format(command=console.typed("fix", fix_id)))
            for link in finding.links:
                console.out("    " + _("More: {title}, {url}").format(title=link.title, url=link.url))


def _conclude(console: Console, findings: tuple[Finding, ...], ready: bool) -> None:
    console.out()
    if ready:
        console.out(_("Ready."))
        return
    count = max(1, sum(finding.status in (Status.ERROR, Status.UNKNOWN) for finding in findings))
    console.out(ngettext("Not ready yet: {n} problem.", "Not ready yet: {n} problems.", count).format(n=count))
