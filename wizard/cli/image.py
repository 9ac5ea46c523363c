"""``s2s-wizard image``: which image fits this GPU and driver, or those that are named, and why; and whether TensorFlow
works in the container that was made from one.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace

from wizard.cli.call import FINE, PROBLEMS, Call, Narrator, container_name
from wizard.cli.console import Console, tag
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Status
from wizard.model.gpu import Gpu, GpuReading, GpuReport
from wizard.model.i18n import _
from wizard.services import account, image, image_fit, smoke
from wizard.services.image_fit import Verdict

_MARKS = {Verdict.YES: Status.OK, Verdict.NO: Status.ERROR, Verdict.UNKNOWN: Status.INFO}


@dataclass(frozen=True, slots=True)
class _Described:
    """``Gpus`` of a machine that the options describe."""

    described: GpuReport

    def report(self) -> GpuReport:
        return self.described

    def readings(self) -> tuple[GpuReading, ...]:
        return ()


def run(call: Call) -> int:
    """Exit code 1 when no image fits."""
    options, console = call.options, call.console
    if options.test:
        return _test(call)
    if options.list:
        return _list(console)
    described = _described(options.capability, options.driver)
    advice = image.recommend(described) if described else image.for_machine(call.host)
    if options.image:
        return _check(call, options.image, described, advice)
    best = advice.recommended
    if console.json:
        console.document(image.to_json(advice))
        return FINE if best else PROBLEMS
    if best is not None:
        _show(console, Status.OK, best)
    for choice in advice.alternatives:
        _show(console, Status.INFO, choice)
    for line in advice.advice:
        console.paragraph(line, 0)
    return FINE if best else PROBLEMS


def _check(call: Call, name: str, described: GpuReport | None, advice: image.Advice) -> int:
    """Whether one image fits; exit code 1 when it does not."""
    host, console = call.host, call.console
    if described is not None:
        host = replace(host, gpus=_Described(described))
    found = account.current(call.host)
    fit = image_fit.check(host, name, found[0] if found else None)
    if console.json:
        console.document({**image.to_json(advice), "checked": image_fit.to_json(fit)})
    else:
        console.tagged(tag(_MARKS[fit.verdict]), fit.image)
        for reason in fit.reasons:
            console.paragraph(reason)
        if fit.verdict is not Verdict.YES and advice.recommended is not None:
            console.paragraph(_("Recommended for this machine: {image}").format(image=advice.recommended.image))
    return PROBLEMS if fit.verdict is Verdict.NO else FINE


def _test(call: Call) -> int:
    host, console = call.host, call.console
    name = container_name(call)
    seen = smoke.run(host, name, Narrator(console), call.cancel)
    if console.json:
        console.document(smoke.to_json(seen))
        return FINE
    console.tagged(tag(Status.OK), _("TensorFlow works in the container {name}.").format(name=seen.container))
    for line in smoke.in_words(seen):
        console.paragraph(line)
    return FINE


def _list(console: Console) -> int:
    if console.json:
        console.document({"images": [asdict(choice) for choice in image.known()]})
        return FINE
    for choice in image.known():
        console.out(choice.image)
        _about(console, choice)
    return FINE


def _show(console: Console, status: Status, choice: image.Choice) -> None:
    console.tagged(tag(status), choice.image)
    _about(console, choice)


def _about(console: Console, choice: image.Choice) -> None:
    console.paragraph(choice.reason)
    console.paragraph(image.sure(choice))


def _described(capability: str | None, driver: str | None) -> GpuReport | None:
    """The GPU and driver that the options describe; None when they describe none. Raises ``BAD_INPUT``."""
    if capability is None and driver is None:
        return None
    together = _("Give both: --capability 7.5 --driver 535.54")
    if capability is None or not re.fullmatch(r"\d{1,2}\.\d", capability):
        raise Trouble(Problem.BAD_INPUT, subject=capability or "--capability", hint=together)
    if driver is None or not re.fullmatch(r"\d{3}(\.\d+){0,2}", driver):
        raise Trouble(Problem.BAD_INPUT, subject=driver or "--driver", hint=together)
    major, minor = capability.split(".")
    return GpuReport(driver, "", (Gpu(0, _("the GPU that was named"), 0, (int(major), int(minor))),))
