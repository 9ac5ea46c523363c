"""Takes a setting out of Docker's settings file that stands somewhere else, too.

Facts: a key that is a flag of the service as well stops Docker on every engine from 17.12 to 29.1, even with the same
value; only ``runtimes`` are merged since 18.09. A key that stands twice in the file itself is accepted, and of the two
the later one counts: it is removed only where both say the same.
"""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model import daemon_json, daemon_rules
from wizard.model.daemon_keys import flags
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Fix
from wizard.model.i18n import _
from wizard.services.checks import docker_config
from wizard.services.docker_files import Start
from wizard.services.fixes import repair_daemon_json
from wizard.services.fixes.repair import Repair

ID = docker_config.REMOVE_KEY


def plan(host: Host) -> Fix | None:
    """The file without what is double; None when nothing is.

    Raises ``BAD_INPUT`` with the place where two values differ or the file is not one to edit, and what reading it
    raises.
    """
    start, content = repair_daemon_json.settings_file(host)
    if content is None or start.config is None or daemon_json.is_empty(content.data):
        return None
    path = start.config
    after = daemon_json.without_twins(content.data, path)
    keys = _given_twice(start, after)
    why = _why(start, after, keys)
    for key in keys:
        after = daemon_json.without_key(after, key, path)
    if after == content.data:
        return None
    verdict = daemon_rules.judge(after, start.version, start.argv, path)
    if verdict.stops:
        flaw = verdict.flaws[0].text
        hint = _("Docker would still not start: {flaw}").format(flaw=flaw)
        raise Trouble(Problem.BAD_INPUT, flaw, subject=path, hint=hint, evidence=(Evidence(path, flaw),))
    repair_daemon_json.try_out(host, start, after)
    return Fix(
        id=ID,
        title=_("Say it once: {names}").format(names=", ".join(keys)) if keys else _("Remove what stands there twice"),
        why=why,
        actions=(repair_daemon_json.replaced(host, path, content, after),),
        check=docker_config.CHECK.id,
        touches_note=repair_daemon_json.take_effect_note(start),
        undo_note=_("Undo puts the old file back, byte for byte."),
        evidence=(Evidence(start.shown, " ".join(start.argv)),) if keys else (),
        closing=repair_daemon_json.take_effect(host, start),
    )


def _given_twice(start: Start, data: bytes) -> tuple[str, ...]:
    """The keys of the file that the command line gives, too. Raises ``BAD_INPUT`` for one inside other braces."""
    settings = daemon_json.read(data, start.config or "")
    flaws = daemon_rules.judge(data, start.version, start.argv).flaws
    keys = tuple(flaw.key for flaw in flaws if flaw.cause == "conf-conflict-other")
    for key in keys:
        if key not in settings:
            hint = _('"{key}" stands inside other braces; take it out with: {command}').format(
                key=key, command=f"sudoedit {start.config}"
            )
            raise Trouble(Problem.BAD_INPUT, subject=start.config or "", hint=hint)
    return keys


def _why(start: Start, data: bytes, keys: tuple[str, ...]) -> str:
    if not keys:
        return _("The same setting stands twice in the file, with the same value; one of the two is enough.")
    given, settings = flags(start.argv), daemon_json.read(data)
    lines = [
        _('"{key}": the command line says {flag}, the file says {value}.').format(
            key=key, flag=", ".join(given[key]) or "true", value=settings[key]
        )
        for key in keys
    ]
    return " ".join(
        (
            _(
                "Docker does not start when a setting is given both on its command line ({path}) and in its file."
            ).format(path=start.shown),
            *lines,
            _("The command line stays as it is, and the file no longer says it."),
        )
    )


REPAIR = Repair(id=ID, plan=plan, take_effect=repair_daemon_json.REPAIR.take_effect)
