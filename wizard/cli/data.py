"""``s2s-wizard data``: what there is to train on, brought here and looked at."""

from __future__ import annotations

import posixpath
from typing import Any

from wizard.cli.call import FINE, PERSON, Call, Narrator, agreed
from wizard.cli.console import pad, size, tag
from wizard.knowledge import librispeech as knowledge
from wizard.model.container import DEFAULT_NAME
from wizard.model.finding import Status
from wizard.model.i18n import N_, _, ngettext
from wizard.model.journey import Journey
from wizard.services import journey
from wizard.services.data import converting, librispeech
from wizard.services.training import place

_STATES = {
    librispeech.READY: (Status.OK, N_("ready")),
    librispeech.ARCHIVE: (Status.INFO, N_("downloaded")),
    librispeech.BEGUN: (Status.INFO, N_("begun")),
    librispeech.MISSING: (Status.SKIPPED, N_("not here")),
}
_USES = {"train": N_("to train"), "evaluate": N_("to evaluate"), "test": N_("to test")}


def run(call: Call) -> int:
    """Hands over to the action that was typed."""
    return {"list": _list, "fetch": _fetch}[call.options.action](call)


def _name(call: Call) -> str:
    return call.options.name or (journey.load(call.host) or Journey()).name or DEFAULT_NAME


# --- what is here ------------------------------------------------------------------------------------------------


def _list(call: Call) -> int:
    host, console = call.host, call.console
    folder = converting.folder_of(host, _name(call))
    states = librispeech.states(host, folder)
    disk = host.files.disk(folder)
    if console.json:
        console.document(
            {
                "folder": posixpath.join(folder, librispeech.FOLDER),
                "bytes_free": disk.free,
                "licence": knowledge.corpus().licence,
                "begin_with": list(knowledge.corpus().begin_with),
                "parts": [librispeech.to_json(state) for state in states],
            }
        )
        return FINE
    console.out(_("LibriSpeech in {folder}; free: {size}").format(folder=folder, size=size(disk.free)))
    for state in states:
        status, text = _STATES[state.state]
        part = state.part
        line = _("{hours} h {use}; download {archive}, ready {ready}; {state}").format(
            hours=f"{part.hours:5.1f}",
            use=_(_USES[part.use]),
            archive=size(part.bytes),
            ready=size(part.bytes_ready),
            state=_(text) if state.state != librispeech.BEGUN else _begun(state),
        )
        console.tagged(tag(status), f"{pad(part.name, 16)} {line}")
    whole = sum(state.part.bytes for state in states), sum(state.part.bytes_ready for state in states)
    console.out(_("All: download {archive}, ready {ready}.").format(archive=size(whole[0]), ready=size(whole[1])))
    names = " ".join(knowledge.corpus().begin_with)
    console.say(_("Enough to begin with: {command}").format(command=console.typed("data", "fetch", names)))
    return FINE


def _begun(state: librispeech.PartState) -> str:
    if state.converted:
        return _("begun: {done} of {total} recordings").format(done=state.converted, total=state.part.recordings)
    return _("begun: {size} here").format(size=size(state.here))


# --- bringing parts here -----------------------------------------------------------------------------------------


def _fetch(call: Call) -> int:
    """Says what it takes, asks, and does it."""
    host, options, console = call.host, call.options, call.console
    where = place.find(host, _name(call))
    wanted = librispeech.plan(host, where.data, options.parts, keep=options.keep_archives)
    if console.json:
        console.event("plan", librispeech.plan_json(wanted))
    else:
        _say_plan(call, wanted)
    if not wanted.todo:
        return _finished(call, wanted.ready)
    if not agreed(call, _("Begin?"), _("The download")):
        return PERSON
    narrator = DataNarrator(console)
    try:
        made = librispeech.fetch(host, where, wanted, mirror=options.mirror, emit=narrator, cancel=call.cancel)
    finally:
        narrator.end()
    return _finished(call, (*wanted.ready, *(part.name for part in made)))


def _say_plan(call: Call, wanted: librispeech.FetchPlan) -> None:
    say = call.console.say
    for name in wanted.ready:
        say(_("{part} is ready already.").format(part=name))
    if not wanted.todo:
        return
    names = ", ".join(state.part.name for state in wanted.todo)
    say(_("To fetch into {folder}: {parts}").format(folder=wanted.folder, parts=names))
    say(
        _("Download {download}; at the worst moment {peak} of disk; {free} are free.").format(
            download=size(wanted.download), peak=size(wanted.peak), free=size(wanted.free)
        )
    )
    if wanted.keep:
        say(_("The archives stay when they are converted."))
    else:
        say(_("Each archive is removed when its part is ready (--keep-archives keeps it)."))
    if any(not state.part.md5 for state in wanted.todo):
        say(_("Not verified: no sum is published for some of them, so only the size is compared."))
    say(_("It can be ended at any time; the same command goes on where it stopped."))


def _finished(call: Call, names: tuple[str, ...]) -> int:
    if call.console.json:
        call.console.event("finished", {"parts": list(names)})
    else:
        text = ngettext("{n} part is ready: {names}", "{n} parts are ready: {names}", len(names))
        call.console.tagged(tag(Status.OK), text.format(n=len(names), names=", ".join(names)))
    return FINE


class DataNarrator(Narrator):
    """Says which lists are there, too."""

    def __call__(self, event: object) -> None:
        if not isinstance(event, librispeech.PartReady):
            super().__call__(event)
        elif self.console.json:
            self.console.event("part", part_json(event))
        else:
            self.end()
            text = _("{part} is ready: {n} recordings in {csv}")
            self.console.say(text.format(part=event.name, n=event.recordings, csv=event.csv))


def part_json(part: librispeech.PartReady) -> dict[str, Any]:
    """A part that has just become ready."""
    return {"name": part.name, "csv": part.csv, "recordings": part.recordings}
