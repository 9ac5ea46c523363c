"""``s2s-wizard train``: trains in the container, or rehearses, and shows what happens there."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from wizard.cli.call import FINE, Call, Narrator, container_name
from wizard.cli.console import Console, duration, tag
from wizard.host.ports import Host
from wizard.model.container import ContainerInfo
from wizard.model.errors import Trouble
from wizard.model.event import Progress
from wizard.model.finding import Status
from wizard.model.gpu import GpuReading
from wizard.model.i18n import _
from wizard.model.training import events
from wizard.model.training.plan import DEFAULT_CONFIG, Standing
from wizard.services import train
from wizard.services.training import after, preflight, rehearsal, suite, training_run
from wizard.services.training import place as places
from wizard.services.training.place import readings
from wizard.services.training.preflight import Wanted
from wizard.services.training.training_run import Outcome


def run(call: Call) -> int:
    """Exit code 0 when it ended well or goes on alone, else by the failure's kind."""
    options, console = call.options, call.console
    if options.export:
        from wizard.cli import train_export

        return train_export.run(call)
    if options.list:
        from wizard.cli import train_list

        return train_list.run(call)
    if options.tensorboard or options.stop == "tensorboard":
        from wizard.cli import train_tensorboard

        return train_tensorboard.run(call)
    name = container_name(call)
    wanted = Wanted(options.config or DEFAULT_CONFIG, options.words, source=_absolute(options.code))
    narrator = TrainNarrator(console, call.host, name)
    try:
        if options.stop:
            return _stop(call, name, narrator)
        if options.tests:
            suite.run(call.host, name, wanted.source, narrator, call.cancel, skip=options.skip)
            console.tagged(tag(Status.OK), _("The tests of OpenSeq2Seq have passed."))
            return _finished(console, "tests")
        if options.rehearsal:
            return _rehearse(call, name, wanted.source, narrator)
        # Where less of LibriSpeech is here than the configuration names, a copy of it names what is here.
        place = places.find(call.host, name)
        wanted = replace(train.wanted(call.host, place, options.config or "", options.words), source=wanted.source)
        if options.say:
            return _say(call, name, wanted, narrator)
        if options.evaluate:
            after.evaluate(call.host, name, wanted, narrator, call.cancel)
            return FINE
        return _train(call, name, wanted, narrator)
    finally:
        narrator.end()


def _absolute(text: str) -> str:
    """A path as typed, seen from the current folder; an address stays as it is."""
    return text if not text or "://" in text else str(Path(text).expanduser().absolute())


def _train(call: Call, name: str, wanted: Wanted, narrator: TrainNarrator) -> int:
    host, console = call.host, call.console
    if call.options.detach:
        return _detach(call, name, wanted, narrator)
    try:
        outcome = training_run.run(host, name, wanted, narrator, call.cancel)
    except KeyboardInterrupt:
        narrator.end()
        if training_run.find(host, name) is not None:
            console.say(_("The training goes on in the container without this program."))
            console.say(_("See it again: {command}").format(command=_command(call, name)))
            console.say(_("Stop it: {command}").format(command=_command(call, name, "--stop", "checkpoint")))
        raise
    _tell(console, outcome, call, name)
    return FINE


def _detach(call: Call, name: str, wanted: Wanted, narrator: TrainNarrator) -> int:
    host, console = call.host, call.console
    place = places.find(host, name)
    running = training_run.running_in(host, place)
    if running is None:
        ready = preflight.check(host, place, wanted, narrator, call.cancel)
        if ready.folder.standing is Standing.FINISHED and ready.run.mode.startswith("train"):
            _tell(console, training_run.finished_already(ready, narrator), call, name)
            return FINE
        running = training_run.begin(host, ready, narrator)
        console.tagged(tag(Status.OK), _("The training runs in the container ({id}).").format(id=running.id))
    else:
        console.tagged(tag(Status.OK), _("A training runs in the container already ({id}).").format(id=running.id))
    if console.json:
        console.event("detached", {"id": running.id, "container": running.container, "log": running.folder})
    console.say(_("See it: {command}").format(command=_command(call, name)))
    console.say(_("Its log: {path}").format(path=running.path("stdout.log")))
    return FINE


def _rehearse(call: Call, name: str, source: str, narrator: TrainNarrator) -> int:
    console = call.console
    done = rehearsal.run(call.host, name, source, narrator, call.cancel)
    console.tagged(tag(Status.OK), _("The rehearsal went well: it trained, went on, evaluated and transcribed."))
    for wav, text in list(done.transcripts.items())[:2]:
        console.out(f"    {wav}: {text or '-'}")
    console.say(_("Now the real training: {command}").format(command=_command(call, name)))
    return _finished(console, "rehearsal")


def _say(call: Call, name: str, wanted: Wanted, narrator: TrainNarrator) -> int:
    said = after.transcribe(call.host, name, _absolute(call.options.say), wanted, narrator, call.cancel)
    narrator.end()
    if call.console.json:
        call.console.event("transcript", {"wav": call.options.say, "text": said.transcript})
    else:
        call.console.out(said.transcript)
    return FINE


def _stop(call: Call, name: str, narrator: TrainNarrator) -> int:
    host, console = call.host, call.console
    running = training_run.find(host, name)
    if running is None:
        console.out(_("No training runs in this container."))
        return FINE
    outcome = training_run.stop(
        host, running, at_checkpoint=call.options.stop == "checkpoint", emit=narrator, cancel=call.cancel
    )
    console.tagged(tag(Status.OK), _("The training was stopped ({id}).").format(id=running.id))
    if console.json:
        step = outcome.checkpoint[1] if outcome.checkpoint else None
        console.event("stopped", {"id": running.id, "checkpoint_step": step})
    _tell_checkpoint(console, outcome)
    return FINE


def _tell(console: Console, outcome: Outcome, call: Call, name: str) -> None:
    console.tagged(tag(Status.OK), _("The training is finished."))
    _tell_checkpoint(console, outcome)
    console.say(_("Measure it: {command}").format(command=_command(call, name, "--evaluate")))
    console.say(_("Say something: {command}").format(command=_command(call, name, "--say", "FILE.wav")))


def _tell_checkpoint(console: Console, outcome: Outcome) -> None:
    if outcome.checkpoint is not None:
        path, step = outcome.checkpoint
        console.out("    " + _("Last checkpoint: step {n}, {path}").format(n=step, path=path))


def _command(call: Call, name: str, *words: str) -> str:
    config = (call.options.config,) if call.options.config else ()
    named = ("--name", name) if call.options.name else ()
    more = ("--", *call.options.words) if call.options.words else ()
    return call.console.typed("train", *config, *named, *words, *more)


def _finished(console: Console, what: str) -> int:
    if console.json:
        console.event("finished", {"what": what})
    return FINE


GPU_SECONDS = 10.0
"""Between two looks at the GPUs."""


class TrainNarrator(Narrator):
    """What a training says, for people as a line that is drawn again and again, or as JSON lines; and with it, what the
    GPUs of the container ``name`` do.
    """

    def __init__(self, console: Console, host: Host, name: str) -> None:
        super().__init__(console)
        self._host = host
        self._name = name
        self._container: ContainerInfo | None = None
        self._gpus: tuple[GpuReading, ...] = ()
        self._look = 0.0

    def __call__(self, event: object) -> None:
        if self.console.json:
            if isinstance(event, events.TrainingEvent):
                content = events.to_json(event)
                if isinstance(event, Progress) and event.phase:
                    content["phase"] = event.phase
                self.console.event(content.pop("event"), content)
                if isinstance(event, _GPU_EVENTS) and self._looked() and self._gpus:
                    self.console.event("gpu", {"gpus": [gpu_json(gpu) for gpu in self._gpus]})
            elif not isinstance(event, Progress):
                super().__call__(event)
        elif isinstance(event, events.Step):
            self._step(event)
        elif not isinstance(event, Progress) and (text := words(event)):
            self.end()
            self.console.say(text)
        elif isinstance(event, events.Silence):
            self._drawn = self.console.draw(silence(event)) or self._drawn
        elif not isinstance(event, events.TrainingEvent):
            super().__call__(event)

    def _step(self, event: events.Step) -> None:
        self._looked()
        text = step_line(event, gpu_words(self._gpus))
        if self.console.draw(text):
            self._drawn = True
        else:
            self.console.say(text)

    def _looked(self) -> bool:
        """Looks at the GPUs if it is time to; whether it did. What is only told beside a training never disturbs it."""
        now = time.monotonic()
        if now < self._look:
            return False
        self._look = now + GPU_SECONDS
        with suppress(Trouble):
            self._container = self._container or self._host.engine.container(self._name)
        self._gpus = readings(self._host, self._container) if self._container else ()
        return True


_GPU_EVENTS = (events.Step, events.Phase, events.Silence, events.Speed)
"""After which of a training's events the GPUs may be looked at."""


def gpu_json(gpu: GpuReading) -> dict[str, Any]:
    """One GPU of the event ``gpu``: memory in bytes, °C; what the driver does not tell is null."""
    return {
        "index": gpu.index,
        "name": gpu.name,
        "use_percent": gpu.use_percent,
        "memory_used": gpu.memory_used,
        "memory_total": gpu.memory_total,
        "temperature": gpu.temperature,
    }


def gpu_words(gpus: tuple[GpuReading, ...]) -> str:
    """How much the GPUs do, short: ``GPU 97 %``, ``GPUs 91-98 %``; "" where that is not known."""
    used = [gpu.use_percent for gpu in gpus if gpu.use_percent is not None]
    if not used:
        return ""
    if len(used) == 1:
        return _("GPU {percent} %").format(percent=used[0])
    return _("GPUs {lowest}-{highest} %").format(lowest=min(used), highest=max(used))


def step_line(event: events.Step, gpus: str = "") -> str:
    """A reported step for people: ``step 9 of 4394  epoch 1  loss 214.5  0.9 s a step  1 h 04 min left  GPU 97 %``."""
    if event.total_steps:
        parts = [_("step {n} of {total}").format(n=event.step, total=event.total_steps)]
    else:
        parts = [_("step {n}").format(n=event.step)]
    if event.epoch is not None:
        parts.append(_("epoch {n}").format(n=event.epoch))
    parts.append(_("loss {value}").format(value=number(event.loss)))
    if event.seconds_per_step is not None:
        parts.append(_("{n} s a step").format(n=number(event.seconds_per_step)))
    if event.eta_seconds is not None:
        parts.append(_("{time} left").format(time=duration(event.eta_seconds)))
    if gpus:
        parts.append(gpus)
    return "  ".join(parts)


def words(event: object) -> str:
    """What other events of a training are for people; "" for those that say nothing of their own."""
    if isinstance(event, events.Validation):
        wer = "" if event.wer is None else _("{n} % of the words wrong").format(n=number(event.wer * 100))
        loss = "" if event.loss is None else _("loss {value}").format(value=number(event.loss))
        more = ", ".join(f"{name} {number(value)}" for name, value in event.measures)
        return _("measured: {values}").format(values=", ".join(part for part in (loss, wer, more) if part))
    if isinstance(event, events.Sample):
        said = _("said:  {text}").format(text=event.target)
        return said + "\n" + _("heard: {text}").format(text=event.prediction or "-")
    if isinstance(event, events.Checkpoint):
        return _("checkpoint of step {n}: {path}").format(n=event.step, path=event.path)
    if isinstance(event, events.Failure):
        return " ".join((event.summary or event.text, *event.advice))
    if isinstance(event, events.Begun):
        if event.how == "checkpoint":
            return _("The checkpoint of step {n} is loaded.").format(n=event.step)
        return _("Begins from the beginning.")
    return ""


def silence(event: events.Silence) -> str:
    """Why nothing is printed for so long."""
    from wizard.model.training import watch

    return f"{watch.title(event.doing)}: {duration(event.seconds)}"


def number(value: float) -> str:
    """A measured value, short."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
