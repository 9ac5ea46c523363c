"""``s2s-wizard report``: a bug report without secrets, shown before it is written."""

from __future__ import annotations

from pathlib import Path

from wizard.cli.call import FINE, PERSON, Call, agreed
from wizard.model.i18n import _
from wizard.services import report


def run(call: Call) -> int:
    """Exit code 0 when the report was printed or written, 3 when the user did not want it to be written."""
    host, console = call.host, call.console
    if not call.options.stdout:
        console.say(_("Looking at the machine. Nothing is sent anywhere."))
    text = report.text(host, cancel=call.cancel)
    console.out(text.rstrip("\n"))
    if call.options.stdout:
        return FINE
    path = str(Path.cwd() / report.file_name())
    console.say(
        _("This is the report. Names, keys and passwords are masked; read it all the same before you give it away.")
    )
    if not agreed(call, _("Write it to {path}?").format(path=path), _("Report")):
        return PERSON
    host.files.replace(path, None, text.encode(), mode=0o600)
    console.say(_("Written: {path}").format(path=path))
    return FINE
