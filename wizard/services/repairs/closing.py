"""The end of a round of repairs: one restart of Docker for all of them, and the way back when it does not return."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import replace

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Started, ignore
from wizard.model.fix import RunCommand
from wizard.model.i18n import _
from wizard.model.receipt import CommandRun, FileChange, Receipt
from wizard.model.step import StepState
from wizard.services import words
from wizard.services.fixes import docker_service, docker_start
from wizard.services.repairs import record
from wizard.services.repairs.proof import prove
from wizard.services.repairs.record import Work
from wizard.services.repairs.show import command_line, require_root

ANSWER_SECONDS = 60.0
"""How long Docker may take until it answers after a start that systemd called a success."""

_POLL_SECONDS = 0.2
_UNITS = ("/etc/systemd/", "/lib/systemd/", "/usr/lib/systemd/", "/run/systemd/")


def settle(
    host: Host, receipts: Sequence[Receipt], emit: Emit = ignore, cancel: Cancel | None = None
) -> tuple[Receipt, ...]:
    """Runs once what all these repairs wait for, and proves each with its check. Returns the receipts in their order.

    Before a restart, the new settings are judged; after it, Docker has to answer. When it does not, every file of these
    repairs is put back, Docker is started again, and the receipts are ``FAILED`` with the reason from its journal. A
    repair whose check does not pass although Docker runs is ``NOT_VERIFIED`` and stays: ``undo`` takes it back. Raises
    ``ROOT_NEEDED``, ``BUSY`` and ``CANCELLED`` before anything is done; then the repairs wait on.
    """
    waiting = tuple(receipt for receipt in receipts if receipt.closing)
    if not waiting:
        return tuple(receipts)
    with host.store.lock():
        commands = docker_service.merged(receipt.closing for receipt in waiting)
        if any(command.needs_root for command in commands):
            require_root(host)
        if cancel is not None:
            cancel.check()
        emit(Started(_("Letting the repairs take effect")))
        ended = _Closing(host, waiting, commands, emit).run()
    by_id = {receipt.id: receipt for receipt in ended}
    return tuple(by_id.get(receipt.id, receipt) for receipt in receipts)


def touches_units(receipts: Sequence[Receipt]) -> bool:
    """Whether a file of systemd was changed."""
    changes = (item for receipt in receipts for item in receipt.done if isinstance(item, FileChange))
    return any(item.path.startswith(_UNITS) or "/.config/systemd/" in item.path for item in changes)


def wait_for_docker(host: Host) -> None:
    """Returns when Docker answers. Raises ``ENGINE_REFUSED`` when it does not."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while not docker_service.answers(host):
        if time.monotonic() >= deadline:
            raise Trouble(Problem.ENGINE_REFUSED)
        time.sleep(_POLL_SECONDS)


class _Closing:
    """One round's end."""

    def __init__(self, host: Host, receipts: Sequence[Receipt], commands: Sequence[RunCommand], emit: Emit) -> None:
        self.host = host
        self.commands = commands
        self.emit = emit
        self.units_changed = touches_units(receipts) or any("daemon-reload" in command.argv for command in commands)
        # Each receipt knows how its own command is taken back, whatever is run for all of them.
        self.works = [Work(host, receipt, emit) for receipt in receipts]
        self.undo = {
            work.receipt.id: next((command.undo for command in work.receipt.closing if command.undo), None)
            for work in self.works
        }

    def run(self) -> tuple[Receipt, ...]:
        answered = docker_service.answers(self.host)
        began = time.time()
        restarted = False
        try:
            for command in self.commands:
                if docker_service.verb(command) in ("restart", "start"):
                    docker_start.refuse(self.host, units_changed=self.units_changed)
                    restarted = True
                self._do(command)
            if restarted:
                wait_for_docker(self.host)
        except Trouble as trouble:
            return self._back(trouble, answered, began if restarted else None)
        for work in self.works:
            state, reason = prove(self.host, work.receipt)
            work.end(StepState.NOT_VERIFIED if state is StepState.FAILED else state, reason)
            if state is StepState.DONE:
                self.emit(Finished(work.receipt.title))
        return tuple(work.receipt for work in self.works)

    def _do(self, command: RunCommand) -> None:
        """Runs a command that all share. Raises ``Trouble`` when it did not work."""
        self.emit(Line(command.why or command_line(self.host, command)))
        self._note(command, None)
        code, said = record.run(self.host, command, self.emit)
        self._note(command, code)
        # Where systemd has forgotten the unit altogether, there is nothing to reset.
        if code != 0 and "reset-failed" not in command.argv:
            raise Trouble(Problem.COMMAND_FAILED, said, subject=shlex.join(command.argv))

    def _note(self, command: RunCommand, code: int | None) -> None:
        for work in self.works:
            undo = self.undo[work.receipt.id] if docker_service.verb(command) else None
            run = CommandRun(command.argv, command.needs_root, code, undo)
            done = work.receipt.done
            if done and done[-1] == replace(run, returncode=None):
                done = done[:-1]
            work.note(replace(work.receipt, done=(*done, run)))

    def _back(self, trouble: Trouble, answered: bool, began: float | None) -> tuple[Receipt, ...]:
        """Puts every file back, and Docker runs again. ``began`` is when the restart was tried, None if it was not."""
        host = self.host
        if began is None:
            explained = words.explain(trouble)
            said = trouble.hint or trouble.text.strip() or explained.advice
            why = _("Docker was not restarted, because it would not start again: {reason}").format(reason=said)
            self.emit(Line(_("Docker would not start with this. The files are put back.")))
        else:
            reason = docker_start.why_not(host, began, trouble.text)
            why = _("Docker did not start with the change. {reason}").format(reason=reason)
            self.emit(Line(_("Docker did not come back. The files are put back, and it is started again.")))
        problems = [text for work in reversed(self.works) for text in work.take_back(lambda _item: False)]
        end = self._bring_back(answered)
        if problems:
            end = " ".join((*problems, end))
        for work in self.works:
            work.end(StepState.FAILED, f"{why} {end}")
        return tuple(work.receipt for work in self.works)

    def _bring_back(self, answered: bool) -> str:
        """Starts Docker with the old files where it ran before; how that ended."""
        host = self.host
        as_before = _("The files are as they were before.")
        try:
            if docker_service.answers(host) or not answered:
                commands = docker_service.daemon_reload(host) if self.units_changed else ()
            else:
                commands = docker_service.start(host, units_changed=self.units_changed)
            failed = [text for text in (record.run_noted(host, command, self.emit) for command in commands) if text]
            if answered:
                wait_for_docker(host)
        except Trouble as trouble:
            text = _("The files are as they were before, but Docker does not run: {why}")
            return text.format(why=record.sentence(trouble))
        if not answered:
            return " ".join((as_before, *failed))
        return _("The files are as they were before, and Docker runs.")
