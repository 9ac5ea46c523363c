"""Describes the GPUs for CDI, where the description is missing or is one of another driver.

The text is made while the repair is planned, by NVIDIA's own program, which only reads for it; the file is then written
like every other, so that the preview is exact and undo puts the old one back.
"""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Fix, ReplaceFile
from wizard.model.i18n import _
from wizard.services.checks import cdi_specs
from wizard.services.checks.cdi_specs import Spec
from wizard.services.fixes.repair import Repair

ID = cdi_specs.FIX
_SECONDS = 60.0


def plan(host: Host) -> Fix | None:
    """The description; None when there is one that fits the driver.

    Raises ``COMMAND_MISSING`` without NVIDIA's toolkit, ``COMMAND_FAILED`` with its words when it cannot see the GPUs,
    ``FILE_PERMISSION`` or ``ROOT_NEEDED`` when the old file cannot be read.
    """
    found = cdi_specs.specs(host)
    old = cdi_specs.stale(host, found)
    if found and not old:
        return None
    path = old[-1].path if old else cdi_specs.TARGET
    # By its ending: the program writes what the file's name says, and would write YAML to standard output.
    form = ("--format=json",) if path.endswith(".json") else ()
    argv = ("nvidia-ctk", "cdi", "generate", *form)
    result = host.commands.run(argv, timeout=_SECONDS)
    if result.returncode != 0 or "nvidia.com/gpu" not in result.stdout:
        said = result.stderr.strip() or result.stdout.strip()
        raise Trouble(Problem.COMMAND_FAILED, said, subject=" ".join(argv))
    content = host.files.read(path, root=True)
    return build(path, content.data if content is not None else None, result.stdout, old)


def build(path: str, before: bytes | None, text: str, old: tuple[Spec, ...]) -> Fix:
    """The plan from the facts, purely."""
    return Fix(
        id=ID,
        title=_("Describe the GPUs for CDI"),
        why=_("The description in {path} is for driver {driver}, which is not loaded any more.").format(
            path=path, driver=old[-1].driver
        )
        if old
        else _("CDI gives GPUs to containers by a description of them, and there is none yet."),
        actions=(
            ReplaceFile(
                path, before, text.encode(), needs_root=True, why=_("Writes what NVIDIA's program says about the GPUs.")
            ),
        ),
        check=cdi_specs.CHECK.id,
        touches_note=_("Docker reads it when a container starts. Nothing is restarted."),
        undo_note=_("Undo puts the old file back, byte for byte, or removes the new one."),
        evidence=tuple(Evidence(spec.path, spec.driver) for spec in old),
    )


REPAIR = Repair(id=ID, plan=plan)
