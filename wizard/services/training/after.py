"""After a training: measure the model, and let it write down a recording of the user's own."""

from __future__ import annotations

import csv
import io
import posixpath
import re
from contextlib import suppress
from dataclasses import dataclass, replace

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET
from wizard.model.container_job import FOLDER
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.model.training import derived
from wizard.services.training import code, dependencies, job, preflight, training_run
from wizard.services.training import place as places
from wizard.services.training.place import Place
from wizard.services.training.preflight import Wanted
from wizard.services.training.training_run import Outcome

SAY = f"{FOLDER}/say"
_COLUMNS = ("wav_filename", "wav_filesize", "transcript")
# What the training was fed with: 16 kHz, one channel, 16 bit. Whatever sox can read may come in.
_CONVERT = 'sox "$1" -r 16000 -c 1 -b 16 "$2" && stat -c %s "$2"'


@dataclass(frozen=True, slots=True)
class Said:
    """What the model heard in a recording, and how its run ended."""

    transcript: str
    outcome: Outcome


def evaluate(host: Host, name: str, wanted: Wanted, emit: Emit = ignore, cancel: Cancel | None = None) -> Outcome:
    """Measures the newest checkpoint on the validation set of the configuration.

    Raises ``NO_CHECKPOINT`` and what a training raises.
    """
    return _once(host, places.find(host, name), wanted, "eval", emit, cancel)


def _once(
    host: Host, place: Place, wanted: Wanted, mode: str, emit: Emit, cancel: Cancel | None, output: str = ""
) -> Outcome:
    """One pass without training; ended in the container when it is cancelled."""
    want = replace(wanted, mode=mode, output=output)
    ready = preflight.check(host, place, want, emit, cancel)
    begun = training_run.begin(host, ready, emit)
    try:
        return training_run.follow(host, begun, emit, cancel)
    except BaseException:
        with suppress(Trouble):
            training_run.stop(host, begun, patience=2.0)
        raise


def transcribe(
    host: Host, name: str, wav: str, wanted: Wanted, emit: Emit = ignore, cancel: Cancel | None = None
) -> Said:
    """Lets the newest checkpoint write down the recording ``wav``, an absolute path of this machine.

    The recording is copied and converted to what the model was trained on; the original stays as it is. Raises
    ``FILE_MISSING``, ``BAD_INPUT`` for a file that is no recording, ``NO_CHECKPOINT``, and what a training raises.
    """
    cancel = cancel or Cancel()
    if host.files.info(wav).kind is not PathKind.FILE:
        raise Trouble(Problem.FILE_MISSING, subject=wav)
    place = places.find(host, name)
    brought = code.ensure(host, place, wanted.source, emit, cancel)
    dependencies.ensure(host, place, emit, cancel, sox=True)
    original = preflight.resolve(host, place, brought, wanted.config)
    emit(Started(_("Converting the recording.")))
    converted, size = _converted(host, place, wav, cancel)
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows((_COLUMNS, (converted, size, "a")))
    listed = posixpath.join(DATA_TARGET, SAY, "say.csv")
    _write(host, place, listed, table.getvalue())
    config = posixpath.join(DATA_TARGET, SAY, posixpath.basename(original))
    _write(host, place, config, derived.text(original, (*READER, *derived.dataset(infer=(listed,)))))
    output = posixpath.join(DATA_TARGET, SAY, "said.csv")
    options = (*wanted.options, "--batch_size_per_gpu=1")
    want = Wanted(config, options, "infer", wanted.source)
    outcome = _once(host, place, want, "infer", emit, cancel, output)
    return Said(transcripts(host, place, output).get(converted, ""), outcome)


READER = (
    derived.Change("infer_params", "data_layer", derived.Code('eval_params["data_layer"]')),
    derived.Change(
        "infer_params",
        "data_layer_params",
        derived.Code('dict(eval_params["data_layer_params"], **infer_params.get("data_layer_params", {}))'),
    ),
)
"""A configuration that was only for training gets the reader of data that its evaluation has, and how that reads."""


def _converted(host: Host, place: Place, wav: str, cancel: Cancel) -> tuple[str, int]:
    name = re.sub(r"[^\w.-]", "_", posixpath.basename(wav))
    folder = posixpath.join(place.data, SAY)
    host.files.make_folder(folder)
    copied = posixpath.join(folder, f"as-given-{name}")
    result = host.commands.run(("cp", "--", wav, copied), timeout=120)
    if result.returncode != 0:
        raise Trouble(Problem.FILE_PERMISSION, result.stderr.strip(), subject=wav)
    source, target = (posixpath.join(DATA_TARGET, SAY, item) for item in (f"as-given-{name}", f"{name}.16k.wav"))
    argv = ("sh", "-c", _CONVERT, "sh", source, target)
    status, said = job.run(host, place, "convert", argv, cancel=cancel, owned=(target,))
    text = "\n".join(said)
    if status or not said or not said[-1].isdigit():
        hint = _("Give a recording as wav or flac.")
        raise Trouble(Problem.BAD_INPUT, text, subject=wav, hint=hint, evidence=(Evidence("sox", text),))
    return target, int(said[-1])


def transcripts(host: Host, place: Place, output: str) -> dict[str, str]:
    """What the mode ``infer`` wrote: recording -> transcript."""
    content = host.files.read(place.outside(output))
    text = content.data.decode(errors="replace") if content else ""
    return {row["wav_filename"]: row["predicted_transcript"] or "" for row in csv.DictReader(io.StringIO(text))}


def _write(host: Host, place: Place, path: str, text: str) -> None:
    outside = place.outside(path)
    before = host.files.read(outside)
    host.files.replace(outside, before.data if before else None, text.encode())
