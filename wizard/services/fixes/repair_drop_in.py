"""Repairs a file that changes how systemd starts Docker: the remains of guides from 2018.

Facts (systemd 252): a drop-in that sets ``ExecStart=`` without emptying it first makes systemd refuse the whole unit; a
program that is not there ends in 203/EXEC. A Docker that runs is not touched by either until its next start. A
``daemon-reload`` can take the GPU away from containers that run, where the cgroup driver is systemd (NVIDIA's notice).
"""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model import systemd_unit
from wizard.model.daemon_json import RUNTIMES
from wizard.model.daemon_keys import flags
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Fix, ReplaceFile, RunCommand
from wizard.model.i18n import _
from wizard.model.machine import FileContent
from wizard.model.systemd_unit import EXEC_START, Unit, UnitFile
from wizard.services import docker_files
from wizard.services.checks import docker_unit
from wizard.services.docker_files import Start
from wizard.services.fixes import docker_service
from wizard.services.fixes.repair import Repair

ID = docker_unit.FIX
_OURS = "/etc/systemd/system/"
_TRIAL = "trial-unit"
_CONTAINERD = "/run/containerd/containerd.sock"
_COMPLAINTS = ("Refusing.", "bad unit file setting", "is not executable", "Failed to load")


def plan(host: Host) -> Fix | None:
    """The corrected drop-in; None when there is nothing to correct.

    Raises ``BAD_INPUT`` where what was meant cannot be known, where the service is masked, and for a file that is none
    of the administrator's drop-ins.
    """
    start = docker_files.next_start(host)
    unit = start.unit
    if unit is None:
        return None
    if unit.masked:
        docker_service.refuse_masked(host)
        return None
    found = _broken(host, start, unit)
    if found is None:
        return None
    file, after, done = found
    content = host.files.read(file.path, root=True)
    if content is None:
        return None
    _try_out(host, unit, file, after)
    return Fix(
        id=ID,
        title=_("Repair the file that changes how Docker starts"),
        why=" ".join(done),
        actions=(_replaced(content, after),),
        check=docker_unit.CHECK.id,
        touches=_touched(host, start),
        touches_note=_note(host, start),
        undo_note=_("Undo puts the old file back, byte for byte."),
        evidence=tuple(Evidence(item.file.path, item.setting.value) for item in unit.list(EXEC_START)),
        closing=docker_service.daemon_reload(host) if start.running else docker_service.start(host, units_changed=True),
    )


def _broken(host: Host, start: Start, unit: Unit) -> tuple[UnitFile, str | None, tuple[str, ...]] | None:
    """The drop-in to change, its new text (None: it goes), and what is done, as sentences."""
    main = unit.main
    done: list[str] = []
    file = _without_reset(unit)
    if file is not None:
        _refuse_foreign(file)
        file = systemd_unit.parse(systemd_unit.with_reset(file), file.path)
        done.append(
            _('The missing line "ExecStart=" is put in: it takes the first start command away before the new one.')
        )
        unit = _exchanged(unit, file)
    starts = unit.list(EXEC_START)
    if len(starts) != 1 or main is None:
        return None
    line = starts[0]
    program = systemd_unit.program(line.setting.value)
    if line.file is not unit.main and not docker_files.can_run(host, program):
        _refuse_foreign(line.file)
        right = _vendor_s_program(host, main)
        text = systemd_unit.with_program(line.file, line.setting, right)
        done.append(
            _("{wrong} is not there; the start command gets the program of this system, {right}.").format(
                wrong=program, right=right
            )
        )
        file = systemd_unit.parse(text, line.file.path)
        unit = _exchanged(unit, file)
        line = unit.list(EXEC_START)[0]
    double = docker_unit.leftover(host, start, unit)
    if double:
        _refuse_foreign(line.file)
        text = line.file.text
        for value in flags(systemd_unit.words(line.setting.value)).get(RUNTIMES, ()):
            if value.partition("=")[0] in double:
                current = systemd_unit.parse(text, line.file.path)
                text = systemd_unit.without_option(current, _start_of(current), "add-runtime", value)
        done.append(
            _('The runtime "{name}" stands in Docker\'s settings already, so it is not added here as well.').format(
                name=", ".join(double)
            )
        )
        file = systemd_unit.parse(text, line.file.path)
        if _repeats(file, main):
            done.append(_("Nothing else stands in the file than what Docker's own service file says, so it goes."))
            return file, None, tuple(done)
    if file is None or not done:
        return None
    return file, file.text, tuple(done)


def _without_reset(unit: Unit) -> UnitFile | None:
    """The drop-in that adds a second start command. Raises ``BAD_INPUT`` where one file gives two."""
    if not unit.refused:
        return None
    there = False
    for file in unit.files:
        here = False
        for setting in file.values(EXEC_START):
            if setting.value and here:
                hint = _("{path} gives two start commands; which one is meant cannot be known.").format(path=file.path)
                raise Trouble(
                    Problem.BAD_INPUT, subject=file.path, hint=hint, evidence=(Evidence(file.path, file.text),)
                )
            if setting.value and there:
                return file
            here = bool(setting.value)
            there = False if not setting.value else there
        there = there or here
    return None


def _start_of(file: UnitFile) -> systemd_unit.Setting:
    return [item for item in file.values(EXEC_START) if item.value][-1]


def _exchanged(unit: Unit, file: UnitFile) -> Unit:
    return Unit(unit.name, tuple(file if old.path == file.path else old for old in unit.files))


def _vendor_s_program(host: Host, main: UnitFile) -> str:
    """What the unit's own file starts. Raises ``BAD_INPUT`` where that is not there either."""
    for setting in reversed(main.values(EXEC_START)):
        program = systemd_unit.program(setting.value)
        if program and docker_files.can_run(host, program):
            return program
    hint = _("The program of Docker's own service file is not there either. Install Docker again.")
    raise Trouble(Problem.COMMAND_MISSING, subject="dockerd", hint=hint, evidence=(Evidence(main.path, main.text),))


def _repeats(file: UnitFile, main: UnitFile) -> bool:
    """Whether a drop-in says no more than the unit's own file. Docker finds containerd without being told."""
    if any((item.section, item.key) != (systemd_unit.SERVICE, EXEC_START) for item in file.settings):
        return False
    if any(line.strip().startswith(("#", ";")) for line in file.text.split("\n")):
        return False
    first, second = (systemd_unit.words(_start_of(item).value) for item in (file, main))
    ours, theirs = flags(first), flags(second)
    for given in (ours, theirs):
        if given.get("containerd") == (_CONTAINERD,):
            del given["containerd"]
    return first[0] == second[0] and ours == theirs and not any("$" in word for word in first)


def _refuse_foreign(file: UnitFile) -> None:
    if not file.path.startswith(_OURS):
        hint = _("{path} belongs to a package; it is changed by that, not by the wizard.").format(path=file.path)
        raise Trouble(Problem.BAD_INPUT, subject=file.path, hint=hint)


def _replaced(content: FileContent, after: str | None) -> ReplaceFile:
    why = _("Every line that the change does not need stays as it is.")
    data = None if after is None else after.encode()
    return ReplaceFile(content.path, content.data, data, mode=content.mode, needs_root=True, why=why)


def _try_out(host: Host, unit: Unit, file: UnitFile, after: str | None) -> None:
    """Lets systemd judge the new files in a folder of their own. Raises ``BAD_INPUT`` when it refuses them.

    A file there takes the place of the one of the same name in the system's folders, which are read as well; an empty
    one stands for a file that goes.
    """
    if host.commands.which("systemd-analyze") is None:
        return
    written: list[str] = []
    for number, old in enumerate(unit.files):
        text = (after or "") if old.path == file.path else old.text
        base = old.path.rpartition("/")[2]
        name = f"{_TRIAL}/{unit.name}" if number == 0 else f"{_TRIAL}/{unit.name}.d/{base}"
        host.store.write(name, text.encode())
        written.append(name)
    path = host.store.path(f"{_TRIAL}/{unit.name}")
    folder = path.rpartition("/")[0]
    try:
        result = host.commands.run(
            ("systemd-analyze", "verify", path), env={"SYSTEMD_UNIT_PATH": f"{folder}:"}, timeout=10.0
        )
    except Trouble as trouble:
        if trouble.kind in (Problem.COMMAND_MISSING, Problem.COMMAND_FAILED, Problem.COMMAND_TIMEOUT):
            return
        raise
    finally:
        for name in written:
            host.store.remove(name)
    lines = [line for line in f"{result.stdout}\n{result.stderr}".splitlines() if unit.name in line]
    said = next((line for line in lines if any(words in line for words in _COMPLAINTS)), "")
    if result.returncode != 0 and said:
        evidence = (Evidence("systemd-analyze verify", said),)
        raise Trouble(Problem.BAD_INPUT, said, subject=file.path, hint=said, evidence=evidence)


def _touched(host: Host, start: Start) -> tuple[str, ...]:
    """The containers that may lose the GPU when systemd reads its files again."""
    if not start.running:
        return ()
    try:
        if host.engine.info().cgroup_driver != "systemd":
            return ()
        return tuple(sorted(item.name for item in host.engine.containers()))
    except Trouble:
        return ()


def _note(host: Host, start: Start) -> str:
    if not start.running:
        return _("Docker is started; containers that are set to start with Docker start, too.")
    if _touched(host, start):
        return _(
            "Docker is not restarted. But when the system reads its service files again, running containers can lose "
            "the GPU; those would have to be restarted. Wait until no training runs."
        )
    return _("Docker is not restarted; what is repaired is its next start.")


def _after_undo(host: Host) -> tuple[RunCommand, ...]:
    return docker_service.daemon_reload(host)


REPAIR = Repair(id=ID, plan=plan, take_effect=_after_undo)
