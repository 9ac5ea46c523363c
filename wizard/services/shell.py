"""A shell in the container, or one command, connected to the user's terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from wizard.host.ports import Host
from wizard.model.container import LABEL, ContainerInfo, check_name
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.services import container

SHELLS = ("bash", "sh")
"""What is opened when no command is given: the first of these that the container has."""

_KILLED = 137
"""The exit status of what was running in a container when the container was stopped."""
_TRIES, _PAUSE = 10, 0.1
_KNOWN_TERMINALS = frozenset(
    {"dumb", "linux", "rxvt", "screen", "screen-256color", "vt100", "vt220", "xterm", "xterm-256color"}
)
"""The terminal types that even an old image can be expected to know (ncurses-base of Debian and Ubuntu)."""


@dataclass(frozen=True, slots=True)
class ShellPlan:
    """What will be run, and where. ``shown`` is the docker command that a person could have typed for it; ``notes``
    are translated sentences about what was done on the way.
    """

    container: ContainerInfo
    argv: tuple[str, ...]
    tty: bool
    shown: tuple[str, ...]
    notes: tuple[str, ...] = ()


def prepare(host: Host, name: str, command: tuple[str, ...] | None, tty: bool) -> ShellPlan:
    """Finds the container ``name`` and what to run in it; starts the container if it is ours and has stopped.

    Without ``command`` a shell is chosen. ``tty`` says whether the command gets a terminal. A container that the
    wizard did not make may be used, because the user named it, but only while it runs. Raises ``NAME_INVALID``,
    ``CONTAINER_MISSING``, ``CONTAINER_NOT_RUNNING``, ``CONTAINER_EXITED``, ``NO_SHELL``, what ``Engine.start`` raises,
    and the engine's own kinds.
    """
    found = host.engine.container(check_name(name))
    if found is None:
        raise Trouble(Problem.CONTAINER_MISSING, subject=name, hint=_others(host))
    found, notes = _running(host, found)
    argv = command or (_shell(host, found),)
    shown = ("docker", "exec", "-it" if tty else "-i", found.name, *argv)
    return ShellPlan(found, argv, tty, shown, notes)


def open(host: Host, plan: ShellPlan) -> int:  # noqa: A001 - the word for it
    """Runs the plan on the user's terminal until the command ends; its exit status, 126 and 127 included.

    Raises ``CONTAINER_NOT_RUNNING`` or ``CONTAINER_MISSING`` when the container was stopped or removed meanwhile,
    ``ENGINE_LOST`` when the connection broke, ``NOT_EXECUTABLE`` from an engine that refuses a command which is not
    there, and what ``Terminal.attach`` raises.
    """
    size = host.terminal.size() if plan.tty else None
    session = host.engine.open_exec(plan.container.id, plan.argv, tty=plan.tty, env=_environment(host, plan), size=size)
    try:
        code = host.terminal.attach(session)
    except Trouble as trouble:
        if trouble.kind is Problem.ENGINE_LOST:
            _check_it_runs(host, plan, trouble)
        raise
    finally:
        session.close()
    if code == _KILLED:
        # The commands in a container are gone a moment before the engine says that the container is.
        for _try in range(_TRIES):
            _check_it_runs(host, plan, None)
            time.sleep(_PAUSE)
    return code


def _environment(host: Host, plan: ShellPlan) -> dict[str, str]:
    """What the command is told about the user's terminal, and UTF-8, which containers often lack."""
    told = {"LANG": "C.UTF-8"}
    if plan.tty:
        told["TERM"] = _terminal_type(host.environ.get("TERM", ""))
        if host.environ.get("COLORTERM"):
            told["COLORTERM"] = host.environ["COLORTERM"]
    return told


def _terminal_type(name: str) -> str:
    """``name``, or the nearest type that the container surely knows: with an unknown one, ``less`` and ``vim`` fail."""
    if name in _KNOWN_TERMINALS:
        return name
    return "screen-256color" if name.startswith(("screen", "tmux")) else "xterm-256color"


def _running(host: Host, found: ContainerInfo) -> tuple[ContainerInfo, tuple[str, ...]]:
    """The container, running, and what has to be said about it."""
    hints = {
        "paused": _('This one is paused: wake it with "docker unpause {name}" instead.'),
        "restarting": _('Docker restarts this one again and again; "docker logs {name}" shows why.'),
    }
    hint = hints.get(found.state, "")
    if not found.running and LABEL not in found.labels:
        hint = _('The wizard did not make this one: start it with "docker start {name}" instead.')
    if hint:
        raise Trouble(
            Problem.CONTAINER_NOT_RUNNING,
            subject=found.name,
            hint=hint.format(name=found.name),
            evidence=(_seen(found),),
        )
    if found.running:
        return found, ()
    container.start(host, found.id, found.name)
    note = _('The container "{name}" had stopped and was started again.').format(name=found.name)
    return replace(host.engine.container(found.id) or found, state="running"), (note,)


def _shell(host: Host, found: ContainerInfo) -> str:
    for shell in SHELLS:
        if host.engine.run_in(found.id, (shell, "-c", "exit 0"), timeout=10).exit_code == 0:
            return shell
    raise Trouble(Problem.NO_SHELL, subject=found.image)


def _others(host: Host) -> str:
    """The containers that could be meant, as a sentence."""
    names = sorted(other.name for other in host.engine.containers(all=True) if LABEL in other.labels)
    return _("Containers that the wizard made: {names}.").format(names=", ".join(names)) if names else ""


def _check_it_runs(host: Host, plan: ShellPlan, cause: Trouble | None) -> None:
    """Raises the better reason for an end that nobody asked for, if there is one."""
    name = plan.container.name
    try:
        now = host.engine.container(plan.container.id)
    except Trouble:
        return
    if now is None:
        raise Trouble(
            Problem.CONTAINER_MISSING, subject=name, hint=_("It was removed while you were in it.")
        ) from cause
    if not now.running:
        raise Trouble(
            Problem.CONTAINER_NOT_RUNNING,
            subject=name,
            hint=_("It stopped while you were in it."),
            evidence=(_seen(now),),
        ) from cause


def _seen(found: ContainerInfo) -> Evidence:
    return Evidence(f"docker inspect {found.name}", found.error or f"{found.state}, exit status {found.exit_code}")
