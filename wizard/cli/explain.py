"""``s2s-wizard explain``: recognises an error text and looks whether its cause holds on this machine."""

from __future__ import annotations

import codecs
import sys
from typing import BinaryIO

from wizard.cli.call import FINE, PROBLEMS, Call
from wizard.cli.console import PROGRAM, Console, is_terminal, tag
from wizard.model.errors import Problem, Trouble
from wizard.model.event import ignore
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.services import explain
from wizard.services.explain import Confirmed, Explanation

_PIECE = 64 * 1024
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def run(call: Call) -> int:
    """Exit code 0 when the text is known, 1 when it is not."""
    console = call.console
    text, cut = _text(call)
    if not text.strip():
        raise Trouble(Problem.BAD_INPUT, hint=_usage(console))
    if cut:
        console.say(_("The text is very long: only its beginning and its end were looked at."))
    found = explain.run(call.host, text, probe=not call.options.no_probe, emit=ignore, cancel=call.cancel)
    if console.json:
        console.document(explain.to_json(found))
    elif found:
        _show(console, found)
    else:
        _tell_unknown(console)
    return FINE if found else PROBLEMS


def _text(call: Call) -> tuple[str, bool]:
    """What was given, and whether it was too long to be kept whole: words of the command line, or standard input."""
    words = " ".join(word.strip() for word in call.options.text if word != "-")
    if words.strip() and "-" not in call.options.text:
        return explain.clip(words)
    if sys.stdin is None:
        return words, False
    if is_terminal(sys.stdin):
        call.console.say(_("Paste the error text here, then press Enter and Ctrl-D:"))
    return read(sys.stdin.buffer)


def read(stream: BinaryIO) -> tuple[str, bool]:
    """The text of a stream, in bounded memory: of a long one its beginning and its end; and whether it was cut.

    Every byte becomes some character, so that a binary file is a text that nobody knows, not a failure.
    """
    head, tail, cut = bytearray(), bytearray(), False
    reader = getattr(stream, "read1", stream.read)
    while piece := reader(_PIECE):
        room = explain.HEAD - len(head)
        head += piece[:room]
        tail += piece[room:] if room > 0 else piece
        if len(tail) > 2 * explain.TAIL:
            del tail[: -explain.TAIL]
            cut = True
    if len(tail) > explain.TAIL:
        del tail[: -explain.TAIL]
        cut = True
    encoding = next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8")
    data = bytes(head) + (b"\n" if cut and encoding != "utf-16" else b"") + bytes(tail)
    return data.decode(encoding, errors="replace").replace("\0", ""), cut


def _usage(console: Console) -> str:
    return _(
        "There is no text to explain. Give it in quotes ({words}), send it through a pipe ({pipe}), or paste it into"
        " the full-screen wizard."
    ).format(words=f'{PROGRAM} explain "…"', pipe=f"docker run … 2>&1 | {console.typed('explain')}")


def _show(console: Console, found: tuple[Explanation, ...]) -> None:
    for item in found:
        console.tagged(tag(item.confirmed.status), item.title)
        console.paragraph(item.cause)
        console.out()
        console.paragraph(explain.sure(item))
        console.evidence(item.evidence)
        console.paragraph(item.note)
        if item.confirmed is not Confirmed.NO:
            console.out()
            console.out("    " + _("What to do:"))
            for number, step in enumerate(item.advice, 1):
                console.paragraph(f"{number}. {step}", 6)
            for fix_id in item.fixes:
                console.out("    " + _("Repair: {command}").format(command=console.typed("fix", fix_id)))
            if item.fixes and item.confirmed is Confirmed.NOT_PROBED:
                console.paragraph(_("Whether this repair helps was not looked at; it shows first what it would do."))
        for link in item.links:
            console.out("    " + _("More: {title}, {url}").format(title=link.title, url=link.url))
        console.out()
    for sentence in explain.verdict(found):
        console.paragraph(sentence, 0)
    for fix_id in explain.repairs_for(found):
        if not any(fix_id in item.fixes for item in found):
            console.out(_("Repair: {command}").format(command=console.typed("fix", fix_id)))
    console.say(_("To look at the whole machine: {command}").format(command=console.typed("doctor")))


def _tell_unknown(console: Console) -> None:
    console.tagged(tag(Status.UNKNOWN), _("The wizard does not know this text."))
    for number, step in enumerate(explain.unknown(), 1):
        console.paragraph(f"{number}. {step}", 6)
    console.say(_("To look at the whole machine: {command}").format(command=console.typed("doctor")))
