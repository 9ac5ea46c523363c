"""The end of the wizard: what was done, how to come back, how to take it back, and a file that repeats it."""

from __future__ import annotations

import posixpath
import shlex
import sys
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.answers import KEYS, SKIP, Answers, to_table
from wizard.model.container import DEFAULT_NAME, GIB, GpuChoice, Workspace
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.journey import Journey, Step
from wizard.model.key_store import KeyPlace
from wizard.model.receipt import CommandRun, FileChange, Receipt
from wizard.model.step import StepState
from wizard.services import container, repairs

PROGRAM = "s2s-wizard"
HEADER = "# Made by s2s-wizard. To repeat it: s2s-wizard run THIS-FILE --yes\n"
"""The first line of an answers file that the wizard writes; only such a file is written over."""
_KEPT = (KeyPlace.KEYRING.value, KeyPlace.PASS.value, KeyPlace.FILE.value)
"""Places that hold a key after the wizard has ended."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The last screen, in lines for people.

    ``done`` is translated. The rest are commands that can be typed as they stand: ``commands`` do by hand what the
    wizard did, ``come_back`` opens a shell again, ``train`` goes on to a training, ``undo`` takes everything back.
    ``answers`` is the answers file.
    """

    done: tuple[str, ...]
    commands: tuple[str, ...]
    come_back: tuple[str, ...]
    train: tuple[str, ...]
    undo: tuple[str, ...]
    answers: str


def summary(host: Host, journey: Journey) -> Summary:
    """What ``journey`` came to. Asks the engine how it stands; without an answer less is told, nothing is raised."""
    made = tuple(receipt for receipt in repairs.receipts(host) if receipt.id in journey.receipts)
    in_place = tuple(receipt for receipt in made if receipt.state in (StepState.DONE, StepState.NOT_VERIFIED))
    return Summary(
        done=(*_done(journey, in_place), *journey.notes),
        commands=_commands(host, journey, in_place),
        come_back=_come_back(host, journey),
        train=_train(host, journey),
        undo=_undo(host, journey, in_place),
        answers=answers_text(host, journey),
    )


def answers(host: Host, journey: Journey) -> Answers:
    """The answers that repeat ``journey``. Paths in the user's home are written with ``~``, so that the file also
    works for another user and on another machine.
    """
    fixes = {receipt.fix: None for receipt in repairs.receipts(host) if receipt.id in journey.receipts}
    return Answers(
        key=journey.key if journey.key in KEYS else SKIP,
        accept=tuple(fixes),
        image=journey.image,
        data=_with_tilde(journey.data, host.home),
        name=journey.name,
        gpus="none" if journey.cpu_only else journey.gpus,
        shm=_size(journey.shm),
        rehearsal=Step.TRAIN in journey.done and not journey.trained,
        config=journey.trained,
    )


def answers_text(host: Host, journey: Journey) -> str:
    """The answers file as TOML."""
    import tomli_w

    return HEADER + tomli_w.dumps(to_table(answers(host, journey)))


def write_answers(host: Host, path: str, journey: Journey) -> str:
    """Writes the answers file to ``path`` (``~`` and paths seen from the home folder are fine) and returns its full
    path. Raises ``BAD_INPUT`` for a file there that is none of ours, and what ``Files.replace`` raises.
    """
    place = posixpath.join(host.home, path.removeprefix("~/"))
    there = host.files.read(place)
    if there is not None and not there.data.startswith(HEADER.encode()):
        hint = _("Another file stands there, and it is not written over. Choose another name.")
        raise Trouble(Problem.BAD_INPUT, subject=place, hint=hint)
    host.files.replace(place, None if there is None else there.data, answers_text(host, journey).encode(), mode=0o600)
    return place


def _done(journey: Journey, receipts: tuple[Receipt, ...]) -> list[str]:
    lines = [_("Repaired: {title}").format(title=receipt.title) for receipt in receipts]
    if journey.key in _KEPT:
        lines.append(_("API key kept in: {place}").format(place=journey.key))
    if Step.PULL in journey.done:
        lines.append(_("Image downloaded: {image}").format(image=journey.image))
    if Step.CONTAINER in journey.done:
        lines.append(_('Container made: "{name}"').format(name=journey.name))
        lines.append(
            _("Data folder: {path}, in the container /data; it stays, whatever happens to the container").format(
                path=journey.data
            )
        )
    if Step.TRAIN in journey.done:
        lines.append(_("The container has trained: the rehearsal, or more, went well"))
    return lines


def _commands(host: Host, journey: Journey, receipts: tuple[Receipt, ...]) -> tuple[str, ...]:
    lines = []
    for receipt in receipts:
        for item in receipt.done:
            if isinstance(item, CommandRun):
                argv = host.privilege.as_typed(item.argv) if item.needs_root else item.argv
                lines.append(shlex.join(argv))
            else:
                lines.append(_by_hand(host, item))
    # What several repairs share was done once, after the last of them.
    lines = list(dict.fromkeys(reversed(lines)))[::-1]
    if Step.PULL in journey.done:
        lines.append(shlex.join(("docker", "pull", journey.image)))
    if Step.CONTAINER in journey.done:
        workspace = Workspace(
            journey.data, journey.name or DEFAULT_NAME, GpuChoice.parse(journey.gpus), journey.shm or GIB
        )
        lines.append(shlex.join(("mkdir", "-p", journey.data)))
        try:
            spec = container.spec_for(host.engine.info(), workspace, journey.image)
        except Trouble:  # an engine that does not answer now cannot say which way it gives GPUs
            return tuple(lines)
        lines.append(shlex.join(container.command_line(spec)))
    return tuple(lines)


def _by_hand(host: Host, change: FileChange) -> str:
    editor = ("sudoedit", change.path) if change.needs_root and host.info.uid != 0 else ("editor", change.path)
    return shlex.join(editor)


def typed(host: Host, *words: str) -> str:
    """A command of this program as the user can type it: by its name where their shell finds it, otherwise by the path
    from which it was started (a virtual environment that is not on PATH).
    """
    started = posixpath.abspath(sys.argv[0])
    unknown = host.info.kind == "real" and host.commands.which(PROGRAM) is None
    return shlex.join((started if unknown and posixpath.basename(started) == PROGRAM else PROGRAM, *words))


def _come_back(host: Host, journey: Journey) -> tuple[str, ...]:
    name = journey.name or DEFAULT_NAME
    return typed(host, "shell", *_named(name)), f"docker start {name} && docker exec -it {name} bash"


def _train(host: Host, journey: Journey) -> tuple[str, ...]:
    """The rehearsal comes first: it shows within minutes what would go wrong after hours."""
    if Step.CONTAINER not in journey.done:
        return ()
    named = _named(journey.name or DEFAULT_NAME)
    chosen = (journey.config,) if journey.config else ()
    return (
        typed(host, "train", "--rehearsal", *named),
        typed(host, "data", "fetch", *named),
        typed(host, "train", *chosen, *named),
    )


def _named(name: str) -> tuple[str, ...]:
    return () if name == DEFAULT_NAME else ("--name", name)


def _undo(host: Host, journey: Journey, receipts: tuple[Receipt, ...]) -> tuple[str, ...]:
    lines = []
    if Step.CONTAINER in journey.done:
        lines.append(shlex.join(("docker", "rm", "--force", journey.name or DEFAULT_NAME)))
    if Step.PULL in journey.done:
        lines.append(shlex.join(("docker", "image", "rm", journey.image)))
    if journey.key in _KEPT:
        lines.append(typed(host, "key", "forget"))
    lines += [typed(host, "undo", receipt.id) for receipt in reversed(receipts) if repairs.can_be_undone(receipt)]
    return tuple(lines)


def _with_tilde(path: str, home: str) -> str:
    inside = posixpath.relpath(path, home) if path else ""
    if not path or inside == ".." or inside.startswith("../"):
        return path
    return "~" if inside == "." else f"~/{inside}"


def _size(amount: int) -> str:
    """Bytes as they are typed on the workspace screen: ``1g``, ``512m``, or plain bytes."""
    for unit, letter in ((GIB, "g"), (1024**2, "m")):
        if amount and amount % unit == 0:
            return f"{amount // unit}{letter}"
    return str(amount) if amount else ""
