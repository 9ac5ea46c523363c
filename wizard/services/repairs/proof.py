"""Whether a repair has worked: its check says so, not the exit status of a command."""

from __future__ import annotations

import time

from wizard.host.ports import Host
from wizard.model.event import Cancel
from wizard.model.finding import Finding, Status
from wizard.model.fix import Effect
from wizard.model.i18n import _
from wizard.model.receipt import Receipt
from wizard.model.step import StepState
from wizard.services import checks
from wizard.services.checks.check import Check
from wizard.services.checkup import run_one
from wizard.services.fixes import ALL

VERIFY_SECONDS = 5.0
"""How long the check may take to pass after a repair: Docker reads its settings in its own time."""

_POLL_SECONDS = 0.2


def prove(host: Host, receipt: Receipt, cancel: Cancel | None = None) -> tuple[StepState, str]:
    """How the repair ended (``FAILED`` when its check does not pass), and why it did not end well."""
    if receipt.effect is Effect.AFTER_LOGIN:
        later = _("It takes effect after you have logged in again.")
        until = next((repair.meanwhile(host) for repair in ALL if repair.id == receipt.fix), "")
        return StepState.NOT_VERIFIED, f"{later} {until}".strip()
    if receipt.effect is Effect.AFTER_REBOOT:
        return StepState.NOT_VERIFIED, _("It takes effect after the next start of the machine.")
    check = _check(receipt)
    if check is None:
        return StepState.NOT_VERIFIED, _("This version of the wizard has no check for it.")
    deadline = time.monotonic() + VERIFY_SECONDS
    while True:
        finding = run_one(host, check)
        if _passes(finding, receipt.fix):
            return StepState.DONE, ""
        if time.monotonic() >= deadline:
            return StepState.FAILED, _("The check did not pass afterwards: {summary}").format(summary=finding.summary)
        if cancel is not None:
            cancel.check()
        time.sleep(_POLL_SECONDS)


def _check(receipt: Receipt) -> Check | None:
    own = [repair.check for repair in ALL if repair.id == receipt.fix and repair.check is not None]
    return next((check for check in (*own, *checks.ALL) if check.id == receipt.check), None)


def _passes(finding: Finding, fix_id: str) -> bool:
    """A check looks at several things: what it asks for now may be another repair, and this one is done."""
    if finding.status in (Status.OK, Status.INFO):
        return True
    if fix_id in finding.fixes:
        return False
    return finding.status is Status.WARNING or (finding.status is Status.ERROR and bool(finding.fixes))
