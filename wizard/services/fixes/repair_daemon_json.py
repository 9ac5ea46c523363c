"""Corrects Docker's settings file where only one thing can have been meant, or puts back the last one that was good.

See ``wizard.model.json_repair`` for what has one reading. Everything else is left to a person: the finding shows the
place.
"""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Action, Fix, ReplaceFile, RunCommand
from wizard.model.i18n import _
from wizard.model.machine import FileContent
from wizard.services import docker_files
from wizard.services.checks import docker_config
from wizard.services.docker_files import Start
from wizard.services.fixes import docker_service
from wizard.services.fixes.register_runtime import may_write
from wizard.services.fixes.repair import Repair

ID = docker_config.REPAIR
_TRIAL = "trial/daemon.json"


def plan(host: Host) -> Fix | None:
    """The corrected file; None when Docker can start with the file as it is.

    Raises ``BAD_INPUT`` with the place where something would have to be guessed, and what reading the file raises.
    """
    start, content = settings_file(host)
    if content is None or start.config is None:
        return None
    path, verdict = start.config, docker_config.judged(host, start, content.data)
    better = docker_files.slips_corrected(start, content.data)
    if better is not None:
        after, why = better.data, " ".join(better.done)
        title = _("Correct Docker's settings file")
        comments = better.comments
    elif not verdict.stops:
        return None
    elif (good := docker_files.last_good(host, start, content.data)) is not None:
        after, comments = good, ()
        title = _("Put back the last settings of Docker that were good")
        why = _(
            "The file as it is now stops Docker, and what was meant cannot be known. An earlier repair of this wizard "
            "has kept the file of that time. What was written since then is lost unless you undo this."
        )
    else:
        flaw = verdict.flaws[0].text
        raise Trouble(
            Problem.BAD_INPUT,
            flaw,
            subject=path,
            hint=_("{flaw} What was meant cannot be known. Correct the place with: {command}").format(
                flaw=flaw, command=f"sudoedit {path}"
            ),
            evidence=verdict.evidence or (Evidence(path, flaw),),
        )
    try_out(host, start, after)
    return Fix(
        id=ID,
        title=title,
        why=why,
        actions=(replaced(host, path, content, after), *_kept(host, path, content, comments)),
        check=docker_config.CHECK.id,
        touches_note=take_effect_note(start),
        undo_note=_("Undo puts the old file back, byte for byte."),
        evidence=verdict.evidence,
        closing=take_effect(host, start),
    )


def settings_file(host: Host) -> tuple[Start, FileContent | None]:
    """How Docker starts the next time, and its settings file. Raises what reading raises."""
    start = docker_files.next_start(host)
    return start, host.files.read(start.config, root=True) if start.config else None


def replaced(host: Host, path: str, content: FileContent, after: bytes) -> ReplaceFile:
    """The change of the settings file."""
    why = _("Every byte that the change does not need stays as it is.")
    return ReplaceFile(path, content.data, after, needs_root=not may_write(host, path, content), why=why)


def try_out(host: Host, start: Start, data: bytes) -> None:
    """Lets Docker's own program judge the new file, where it can. Raises ``BAD_INPUT`` when it refuses."""
    if not docker_files.version_there(start):
        return
    host.store.write(_TRIAL, data)
    try:
        said = docker_files.docker_s_judgement(host, start, host.store.path(_TRIAL))
    finally:
        host.store.remove(_TRIAL)
    if said:
        evidence = (Evidence("dockerd --validate", said),)
        raise Trouble(Problem.BAD_INPUT, said, subject=start.config or "", hint=said, evidence=evidence)


def take_effect(host: Host, start: Start) -> tuple[RunCommand, ...]:
    """A Docker that runs reads the file again; one that does not is started."""
    return docker_service.reload(host) if start.running else docker_service.start(host)


def take_effect_note(start: Start) -> str:
    """What happens to containers."""
    if start.running:
        return _("Docker keeps running and reads its settings again; no container is stopped.")
    return _("Docker is started; containers that are set to start with Docker start, too.")


def _kept(host: Host, path: str, content: FileContent, comments: tuple[str, ...]) -> tuple[Action, ...]:
    """What somebody wrote down is not thrown away: the comments go into a file beside."""
    if not comments:
        return ()
    beside = f"{path}.comments"
    found = host.files.read(beside, root=True)
    before = found.data if found else None
    text = "".join(f"{comment}\n" for comment in comments)
    return (
        ReplaceFile(
            beside,
            before,
            (before or b"") + text.encode(),
            mode=content.mode,
            needs_root=not may_write(host, beside, found),
            why=_("Keeps the comments, which Docker does not accept in its settings."),
        ),
    )


def _after_undo(host: Host) -> tuple[RunCommand, ...]:
    return docker_service.reload(host)


REPAIR = Repair(id=ID, plan=plan, take_effect=_after_undo)
