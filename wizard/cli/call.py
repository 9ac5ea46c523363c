"""What every command is given, and what several of them do."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from wizard.cli.console import Console, ask, duration, size, tag
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Line, Progress, Stalled, Started
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import RootAccess
from wizard.model.step import StepState

FINE, PROBLEMS, USAGE, PERSON, FAILED, NETWORK = range(6)
"""Exit codes, by the command-line contract."""

PLAIN_SECONDS = 5.0
"""Between two lines of progress where they cannot be drawn over each other."""
DRAWN_SECONDS = 0.1
JSON_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Call:
    """One command, called: the machine, what was typed, where to print, and how to stop."""

    host: Host
    options: Namespace
    console: Console
    cancel: Cancel


def container_name(call: Call) -> str:
    """The container that is meant: the one that is named, or that of the last walk through the wizard."""
    from wizard.model.container import DEFAULT_NAME
    from wizard.services import journey

    before = journey.load(call.host)
    return getattr(call.options, "name", "") or (before.name if before is not None else "") or DEFAULT_NAME


def agreed(call: Call, question: str, subject: str) -> bool:
    """Whether the user agrees, by --yes or when asked; No is the default. What is refused is said."""
    if call.options.yes:
        return True
    answer = ask(question)
    if answer is None:
        call.console.say(
            _("{subject}: nobody can be asked, because there is no terminal. Add --yes to agree beforehand.").format(
                subject=subject
            )
        )
    if not answer:
        call.console.tagged(tag(StepState.DECLINED), _("{subject}: nothing was changed.").format(subject=subject))
    return bool(answer)


def become_root(call: Call) -> None:
    """Lets sudo ask for its password on the user's own terminal, where that is needed. Raises ``ROOT_NEEDED``."""
    host = call.host
    access = host.privilege.access()
    if access is RootAccess.NONE:
        raise Trouble(Problem.ROOT_NEEDED, hint=_("There is no sudo here: become root first (su -), then try again."))
    if access is not RootAccess.PASSWORD:
        return
    argv = host.privilege.ask_argv()
    if not host.terminal.is_interactive():
        raise Trouble(Problem.ROOT_NEEDED, evidence=(Evidence(_("To be typed first"), " ".join(argv)),))
    call.console.say(_("Administrator rights are needed: {command}").format(command=" ".join(argv)))
    if host.terminal.run(argv) != 0 or host.privilege.access() not in (RootAccess.ROOT, RootAccess.READY):
        raise Trouble(
            Problem.ROOT_NEEDED,
            hint=_("If you may not use sudo on this machine, only its administrator can do this step."),
        )


def fitting_image(host: Host) -> str:
    """The image that fits this machine. Raises ``BAD_INPUT`` where none does: then the user has to name one."""
    from wizard.services import image

    advice = image.for_machine(host)
    if advice.recommended is None:
        raise Trouble(Problem.BAD_INPUT, subject="IMAGE", hint=" ".join((*advice.advice, _("Name an image yourself."))))
    return advice.recommended.image


class Narrator:
    """Events of a long operation as narration: progress is one line drawn again and again on a terminal, otherwise
    a line every few seconds; with ``lines`` as JSON it goes to standard output.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._drawn = False
        self._next = 0.0

    def __call__(self, event: object) -> None:
        if isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Stalled) and self.console.json == "lines":
            self.console.event("stalled", {"seconds": round(event.seconds), "reason": event.reason})
        elif isinstance(event, (Started, Line, Stalled)):
            self.end()
            self.console.say(_text(event))

    def end(self) -> None:
        """Leaves the line that is drawn again and again."""
        if self._drawn:
            self._drawn = False
            self.console.say()

    def _progress(self, event: Progress) -> None:
        finished = event.total is not None and event.done >= event.total
        now = time.monotonic()
        if now < self._next and not finished:
            return
        if self.console.json == "lines":
            self._next = now + JSON_SECONDS
            self.console.event("progress", progress_json(event))
        elif self.console.draw(progress_line(event)):
            self._next = now + DRAWN_SECONDS
            self._drawn = True
        else:
            self._next = now + PLAIN_SECONDS
            self.console.say(progress_line(event))


def progress_json(event: Progress) -> dict[str, Any]:
    """A progress event as the contract wants it."""
    if event.unit == "steps":
        eta = None if event.eta is None else round(event.eta)
        return {"steps_done": event.done, "steps_total": event.total, "eta_seconds": eta, "phase": event.phase}
    return {
        "bytes_done": event.done,
        "bytes_total": event.total,
        "bytes_per_second": None if event.rate is None else round(event.rate),
        "eta_seconds": None if event.eta is None else round(event.eta),
        "phase": event.phase,
    }


def progress_line(event: Progress) -> str:
    """A progress event for people, e.g. ``1.2 GB of 4.9 GB (24 %)  11.0 MB/s  6 min left  3 of 30 layers downloaded``.

    Rounded down: 100 % is said when nothing is missing, not before.
    """
    parts: list[str] = []
    shown = str if event.unit == "steps" else size
    if event.total:
        parts.append(
            _("{done} of {total} ({percent} %)").format(
                done=shown(event.done), total=shown(event.total), percent=event.done * 100 // event.total
            )
        )
    else:
        parts.append(shown(event.done))
    if event.rate and event.unit != "steps":
        parts.append(_("{amount}/s").format(amount=size(round(event.rate))))
    if event.eta is not None:
        parts.append(_("{time} left").format(time=duration(event.eta)))
    if event.phase:
        parts.append(event.phase)
    return "  ".join(parts)


def _text(event: Started | Line | Stalled) -> str:
    if isinstance(event, Started):
        return event.what
    if isinstance(event, Line):
        return event.text
    text = _("Nothing has moved for {time}.").format(time=duration(event.seconds))
    return f"{text} {event.reason}" if event.reason else text
