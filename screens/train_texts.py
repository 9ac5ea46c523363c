"""The texts of the page for trainings: the data, the configurations, how something ended, and what a GPU does."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from screens.layout import Block, Code, Facts, Gap, Item, Para, size
from screens.training import State
from wizard.model.finding import Status
from wizard.model.gpu import GpuReading
from wizard.model.i18n import _

if TYPE_CHECKING:
    from wizard.model.container_job import Job as ContainerJob
    from wizard.services.train import Outlook
    from wizard.services.training.configurations import Offer
    from wizard.services.training.rehearsal import Rehearsed
    from wizard.services.training.training_run import Outcome

_SHOWN = 2
"""transcripts of a rehearsal that are shown"""


def data_facts(outlook: Outlook) -> list[Block]:
    """Whether the data for the training is here."""
    rows = [(_("Configuration"), posixpath.basename(outlook.config))]
    if outlook.ready:
        rows.append((_("Data"), _("here")))
    elif outlook.lacks is not None:
        text = _("not here yet: {size} to fetch, which this page does for you")
        rows.append((_("Data"), text.format(size=size(outlook.lacks.download))))
    elif outlook.lacks_why is not None or outlook.offer is None:
        rows.append((_("Data"), _("not here, and there is no room for it")))
    else:
        rows.append((_("Data"), _("not here yet: {title}").format(title=_(outlook.offer.data.title))))
    if outlook.checkpoint is not None:
        path, step = outlook.checkpoint
        rows.append((_("Last checkpoint"), _("step {n}, {path}").format(n=step, path=path)))
    return [Facts(rows)]


def by_hand(outlook: Outlook, offer: Offer) -> list[Block]:
    """How data that the wizard does not fetch comes here."""
    from wizard.services.training.code import WHERE

    made = offer.data.made
    blocks: list[Block] = [
        *(Item(f"{reason}.", Status.WARNING) for reason in offer.stops),
        Gap(),
        Facts([(_("Data"), _(offer.data.title)), (_("Belongs into"), outlook.data_place or offer.data.where)]),
        Gap(),
    ]
    if made.endswith((".sh", ".py")):
        program = "bash" if made.endswith(".sh") else "python"
        blocks.append(Para(_("A script of OpenSeq2Seq fetches it. Type this in the shell in the container:")))
        blocks.append(Code(f"cd {WHERE} && {program} {made}", "command"))
    else:
        blocks.append(Para(_("No script fetches it: bring it there yourself, then come back to this page.")))
    return blocks


def whole_log(state: State) -> list[Block]:
    if state.job is None:
        return []
    return [Gap(), Para(_("The whole log: {path}").format(path=state.job.path("stdout.log")), "$foreground-muted")]


def checkpoint_facts(outcome: Outcome, job: ContainerJob) -> list[Block]:
    """Where the newest checkpoint lies on this machine."""
    from wizard.services import train

    if outcome.checkpoint is None:
        return [Gap(), Para(_("There is no checkpoint yet."))]
    path, step = outcome.checkpoint
    rows = [
        (_("Last checkpoint"), _("step {n}").format(n=step)),
        (_("On this computer"), train.on_host(job, posixpath.dirname(path))),
    ]
    return [Gap(), Facts(rows)]


def rehearsed(state: State) -> list[Block]:
    done: Rehearsed = state.result  # type: ignore[assignment]  # what ``rehearsal.run`` returns
    text = _("The rehearsal went well: this container can train, go on, evaluate and transcribe.")
    blocks: list[Block] = [
        Item(text, Status.OK, style="bold"),
        Gap(),
        Para(
            _(
                "It learned for {n} steps, went on from its own checkpoint, was measured, and wrote down recordings."
                " After so few steps it hears nothing but noise; that is as it should be."
            ).format(n=done.steps)
        ),
    ]
    for wav, heard in list(done.transcripts.items())[:_SHOWN]:
        text = _("{wav}: {heard}").format(wav=posixpath.basename(wav), heard=heard or "-")
        blocks.append(Para(text, "$foreground-muted", indent=2))
    return [*blocks, Gap()]


def is_possible(outlook: Outlook, offer: Offer) -> bool:
    """Whether it can be trained now: of LibriSpeech, a part is enough."""
    if offer.data.id.startswith("librispeech") and outlook.librispeech:
        return outlook.ready
    return offer.fits


def about_config(offer: Offer) -> str:
    """What a configuration is, what it needs, what stops it here, and what the wizard changes for it."""
    parts = [
        _("{title}, with {data}.").format(title=_(offer.config.title), data=_(offer.data.title)),
        _("Needs: {needs}.").format(needs=", ".join(offer.needs)),
    ]
    if offer.stops:
        parts.append(_("Not here now: {reasons}.").format(reasons="; ".join(offer.stops)))
    elif offer.changes:
        parts.append(_("Here: {changes}.").format(changes="; ".join(offer.changes)))
    return " ".join(parts)


def gpu_line(reading: GpuReading) -> str:
    """What a GPU does now: ``GPU 0   97 % busy   4.9 of 6.0 GB   71 °C``."""
    unknown = _("not known")
    busy = _("{n} % busy").format(n=reading.use_percent) if reading.use_percent is not None else unknown
    memory = unknown
    if reading.memory_used is not None and reading.memory_total:
        memory = _("{done} of {total}").format(done=size(reading.memory_used), total=size(reading.memory_total))
    heat = _("{n} °C").format(n=reading.temperature) if reading.temperature is not None else unknown
    return _("GPU {n}: {busy} · memory {memory} · {heat}").format(n=reading.index, busy=busy, memory=memory, heat=heat)
