"""``s2s-wizard data``: what there is to train on, brought here and looked at."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from wizard.cli.call import FINE, PERSON, PROBLEMS, Call, Narrator, agreed, container_name
from wizard.cli.console import duration, pad, size, tag, width
from wizard.knowledge import librispeech as knowledge
from wizard.model.finding import Status
from wizard.model.i18n import N_, _, ngettext
from wizard.model.training.plan import DEFAULT_CONFIG
from wizard.services.data import check, configuration, converting, existing, librispeech, recordings
from wizard.services.training import place
from wizard.services.training.place import Place

_STATES = {
    librispeech.READY: (Status.OK, N_("ready")),
    librispeech.ARCHIVE: (Status.INFO, N_("downloaded")),
    librispeech.BEGUN: (Status.INFO, N_("begun")),
    librispeech.MISSING: (Status.SKIPPED, N_("not here")),
}
_USES = {"train": N_("to train"), "evaluate": N_("to evaluate"), "test": N_("to test")}

_SHOWN = 10
"""examples of each kind"""


def run(call: Call) -> int:
    """Hands over to the action that was typed."""
    actions = {"list": _list, "fetch": _fetch, "use": _use, "add": _add, "check": _check}
    return actions[call.options.action](call)


def _named(call: Call) -> tuple[str, ...]:
    """The container as it was typed, for commands that are to be typed next."""
    return ("--name", call.options.name) if call.options.name else ()


# --- what is here ------------------------------------------------------------------------------------------------


def _list(call: Call) -> int:
    host, console = call.host, call.console
    folder = converting.folder_of(host, container_name(call))
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
    heads = ((32, _("hours")), (11, _("download")), (11, _("ready")))
    console.out("".join(" " * (columns - width(head)) + head for columns, head in heads))
    for state in states:
        status, text = _STATES[state.state]
        part = state.part
        line = _("{hours} h {archive} {ready}  {use}; {state}").format(
            hours=f"{part.hours:5.1f}",
            archive=f"{size(part.bytes):>10}",
            ready=f"{size(part.bytes_ready):>10}",
            use=_(_USES[part.use]),
            state=_(text) if state.state != librispeech.BEGUN else _begun(state),
        )
        console.tagged(tag(status), f"{pad(part.name, 16)} {line}")
    whole = sum(state.part.bytes for state in states), sum(state.part.bytes_ready for state in states)
    console.out(_("All: download {archive}, ready {ready}.").format(archive=size(whole[0]), ready=size(whole[1])))
    names = " ".join(knowledge.corpus().begin_with)
    command = console.typed("data", "fetch", names, *_named(call))
    console.say(_("Enough to begin with: {command}").format(command=command))
    return FINE


def _begun(state: librispeech.PartState) -> str:
    if state.converted:
        return _("begun: {done} of {total} recordings").format(done=state.converted, total=state.part.recordings)
    return _("begun: {size} here").format(size=size(state.here))


# --- bringing parts here -----------------------------------------------------------------------------------------


def _fetch(call: Call) -> int:
    """Says what it takes, asks, and does it."""
    host, options, console = call.host, call.options, call.console
    where = place.find(host, container_name(call))
    wanted = librispeech.plan(host, where.data, options.parts, keep=options.keep_archives)
    if console.json:
        console.event("plan", librispeech.plan_json(wanted))
    else:
        _say_plan(call, wanted)
    if not wanted.todo:
        return _finished(call, where, wanted.ready)
    if not agreed(call, _("Begin?"), _("The download")):
        return PERSON
    narrator = DataNarrator(console)
    try:
        made = librispeech.fetch(host, where, wanted, mirror=options.mirror, emit=narrator, cancel=call.cancel)
    finally:
        narrator.end()
    return _finished(call, where, (*wanted.ready, *(part.name for part in made)))


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


def _finished(call: Call, where: Place, names: tuple[str, ...]) -> int:
    config = configuration.for_librispeech(call.host, where)
    if call.console.json:
        call.console.event("finished", {"parts": list(names), "config": config or None})
    else:
        text = ngettext("{n} part is ready: {names}", "{n} parts are ready: {names}", len(names))
        call.console.tagged(tag(Status.OK), text.format(n=len(names), names=", ".join(names)))
        _say_training(call, config)
    return FINE


def _say_training(call: Call, config: str) -> None:
    if not config:
        call.console.say(_("To train, a part to train with and one to evaluate with are needed."))
        return
    words = _named(call) if config == DEFAULT_CONFIG else (config, *_named(call))
    call.console.say(_("To train with it: {command}").format(command=call.console.typed("train", *words)))


# --- what is on this machine already -----------------------------------------------------------------------------


def _use(call: Call) -> int:
    """Says what was found, asks, and makes it ready. Exit code 1 when a part is not whole."""
    host, options, console = call.host, call.options, call.console
    where = place.find(host, container_name(call))
    wanted = existing.plan(host, where, _typed(call, options.folder))
    if console.json:
        console.event("plan", existing.plan_json(wanted))
    for name, why in wanted.left_out:
        console.tagged(tag(Status.WARNING), _("left out: {name}: {why}").format(name=name, why=why))
    outcome = PROBLEMS if wanted.left_out else FINE
    if not wanted.found:
        return _finished(call, where, wanted.ready) or outcome
    names = ", ".join(f"{item.part.name} ({item.kind})" for item in wanted.found)
    console.say(_("Parts found in {folder}: {parts}").format(folder=wanted.folder, parts=names))
    console.say(
        _("Nothing there is changed; only the converted recordings are written, {size}.").format(size=size(wanted.need))
    )
    if not agreed(call, _("Begin?"), _("The data")):
        return PERSON
    narrator = DataNarrator(console)
    try:
        made = existing.use(host, where, wanted, narrator, call.cancel)
    finally:
        narrator.end()
    return _finished(call, where, (*wanted.ready, *(part.name for part in made))) or outcome


# --- recordings of one's own -------------------------------------------------------------------------------------


def _add(call: Call) -> int:
    """Says what it would make of them, asks, and does it. Exit code 1 when some cannot be used."""
    host, options, console = call.host, call.options, call.console
    where = place.find(host, container_name(call))
    wanted = recordings.plan(host, where.data, _typed(call, options.folder), options.called)
    if console.json:
        console.event("plan", recordings.plan_json(wanted))
    else:
        _say_recordings(call, wanted)
    if not agreed(call, _("Begin?"), _("The recordings")):
        return PERSON
    narrator = DataNarrator(console)
    try:
        added = recordings.add(host, where, wanted, narrator, call.cancel)
    finally:
        narrator.end()
    config = configuration.for_recordings(host, where, wanted.name)
    if console.json:
        failed = [{"recording": name, "reason": why} for name, why in added.failed]
        console.event("finished", {"lists": added.rows, "failed": failed, "config": config})
    else:
        for name, why in added.failed:
            console.tagged(tag(Status.ERROR), f"{name}: {why}")
        for csv, count in added.rows.items():
            console.tagged(
                tag(Status.OK), ngettext("{csv}: {n} row", "{csv}: {n} rows", count).format(csv=csv, n=count)
            )
        _say_training(call, config)
    return PROBLEMS if wanted.left_out or added.failed else FINE


def _say_recordings(call: Call, wanted: recordings.AddPlan) -> None:
    say = call.console.say
    for name, why in wanted.left_out[:_SHOWN]:
        call.console.tagged(tag(Status.WARNING), _("left out: {name}: {why}").format(name=name, why=why))
    if len(wanted.left_out) > _SHOWN:
        say(_("… and {n} more").format(n=len(wanted.left_out) - _SHOWN))
    if wanted.removed:
        say(_("Punctuation that the texts lose: {characters}").format(characters=" ".join(wanted.removed)))
    say(
        _('"{name}": {train} recordings to train, {dev} to evaluate. The originals stay as they are.').format(
            name=wanted.name, train=len(wanted.train), dev=len(wanted.dev)
        )
    )


def _typed(call: Call, folder: str) -> str:
    """A path as typed: seen from the current folder, ``~`` is the home; on a simulated machine from its home."""
    home = call.host.home
    if folder == "~" or folder.startswith("~/"):
        return posixpath.normpath(posixpath.join(home, folder[2:]))
    current = home if call.host.info.kind != "real" else str(Path.cwd())
    return posixpath.normpath(posixpath.join(current, folder))


# --- looking through the lists -----------------------------------------------------------------------------------


def _check(call: Call) -> int:
    """Exit code 1 when a training would stop at one of them."""
    host, console = call.host, call.console
    data = converting.folder_of(host, container_name(call))
    typed = tuple(csv if csv.startswith("/data/") else _typed(call, csv) for csv in call.options.lists)
    narrator = Narrator(console)
    found = check.check(host, data, typed or check.everything(host, data), narrator, call.cancel)
    narrator.end()
    if console.json:
        console.document({"lists": [check.to_json(item) for item in found]})
    else:
        for item in found:
            _say_list(call, item)
    return PROBLEMS if any(item.checked.stops for item in found) else FINE


def _say_list(call: Call, item: check.CheckedList) -> None:
    console, checked = call.console, item.checked
    status = Status.ERROR if checked.stops else Status.WARNING if checked.found else Status.OK
    text = ngettext("{csv}: {n} row, {time} of sound", "{csv}: {n} rows, {time} of sound", checked.rows)
    console.tagged(tag(status), text.format(csv=item.csv, n=checked.rows, time=duration(checked.seconds)))
    for flaw in checked.found:
        console.tagged(tag(Status.ERROR if flaw.stops else Status.WARNING), f"{flaw.title}: {flaw.count}")
        console.out(f"    {flaw.advice}")
        for row in flaw.rows[:_SHOWN]:
            line = _("line {n}").format(n=row.line)
            console.out("    " + "  ".join(part for part in (line, row.path, row.seen) if part))
        if flaw.count > _SHOWN:
            console.out("    " + _("… and {n} more").format(n=flaw.count - _SHOWN))


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
