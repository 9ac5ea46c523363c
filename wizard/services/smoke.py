"""The smoke test: TensorFlow in the container is loaded, sees the GPU, and multiplies matrices on it.

The program that runs inside is ``smoke.txt``, for the old Pythons of the images. It is given a time limit that the
kernel of the machine keeps, and it ends by itself when nobody listens any more.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wizard.host.ports import ExecSession, Host
from wizard.knowledge.images import version
from wizard.model.container import LABEL_GPUS, SMOKE, SMOKE_MARK
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import N_, _
from wizard.services import shell

LIMIT = 900.0
"""Seconds for all of it. A GPU that is newer than the image has its code compiled first, which can take minutes."""
_PYTHONS = ("python", "python3")
_NO_PROGRAM = (126, 127)
_ALARM, _ILLEGAL, _KILLED = 142, 132, 137
"""Exit statuses of a program that was ended by SIGALRM, SIGILL, SIGKILL."""
_BEAT = 10.0
"""Seconds between two signs of life."""
_GRACE = 15.0
"""Seconds that the program may take longer than its limit, until the machine counts as stuck."""
_MOST = 64 * 1024
_FITTING = ((1, 10), (2,))
"""The versions of TensorFlow that OpenSeq2Seq works with: from the first, before the second."""

# TensorFlow's and CUDA's own words; the names are those of cuda.h, which older releases print as bare numbers.
_SIGNS = (
    (Problem.CUDA_MISMATCH, r"SYSTEM_DRIVER_MISMATCH|error:? \(?803\b|unsupported display driver"),
    (Problem.CUDA_COMPAT, r"COMPAT_NOT_SUPPORTED_ON_DEVICE|error:? \(?804\b|forward compatibility was attempted"),
    (Problem.CUDA_DRIVER_OLD, r"driver version is insufficient"),
    (
        Problem.GPU_CODE_MISSING,
        r"no kernel image|NO_BINARY_FOR_GPU|kernel image is invalid|INVALID_PTX|minimum required Cuda",
    ),
    (Problem.GPU_MEMORY, r"CUDA_ERROR_OUT_OF_MEMORY|OOM when allocating|ResourceExhausted|out of memory"),
)


@dataclass(frozen=True, slots=True)
class Product:
    """Two matrices that were multiplied on ``device`` in ``seconds``. ``dtype`` is ``float32`` or ``float16``."""

    device: str
    dtype: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Smoke:
    """A test that went well. ``gpus`` are the names of the GPUs that TensorFlow sees, none in a container without.

    ``notes`` are translated sentences.
    """

    container: str
    python: str
    tensorflow: str
    gpus: tuple[str, ...]
    products: tuple[Product, ...]
    seconds: float
    notes: tuple[str, ...] = ()


def run(host: Host, name: str, emit: Emit = ignore, cancel: Cancel | None = None, *, limit: float = LIMIT) -> Smoke:
    """Tests TensorFlow in the container ``name``, which is started if it is ours and has stopped.

    Raises ``TENSORFLOW_…``, ``CUDA_…``, ``GPU_CODE_MISSING``, ``GPU_MEMORY``, ``CANCELLED``, and what
    ``shell.prepare`` raises. Whatever happens, the program inside ends.
    """
    plan = shell.prepare(host, name, ("true",), tty=False)
    gpu = plan.container.labels.get(LABEL_GPUS) != "none"
    env = {"S2S_SMOKE": _program(), "S2S_GPU": str(int(gpu)), "S2S_SECONDS": str(max(1, round(limit)))}
    emit(Started(_("Testing TensorFlow in the container {name}.").format(name=plan.container.name)))
    seen: tuple[Evidence, ...] = ()
    for python in _PYTHONS:
        try:
            session = host.engine.open_exec(plan.container.id, (python, *SMOKE), tty=False, env=env)
        except Trouble as trouble:
            if trouble.kind is Problem.NOT_EXECUTABLE:  # newer engines refuse, older ones say it as output
                continue
            raise
        talk = _Talk(emit, cancel or Cancel(), time.monotonic() + limit + _GRACE)
        code = talk.listen(session)
        if code not in _NO_PROGRAM or talk.said:
            return talk.result(plan.container.name, code, plan.notes)
        seen = talk.seen() or seen
    hint = _("There is no Python in the container, or it does not start.")
    raise Trouble(Problem.TENSORFLOW_IMPORT, subject=plan.container.name, hint=hint, evidence=seen)


def to_json(smoke: Smoke) -> dict[str, Any]:
    """The document of ``s2s-wizard image --test --json``."""
    return {
        "test": {
            "container": smoke.container,
            "python": smoke.python,
            "tensorflow": smoke.tensorflow,
            "gpus": list(smoke.gpus),
            "products": [
                {"device": item.device, "dtype": item.dtype, "seconds": item.seconds} for item in smoke.products
            ],
            "seconds": round(smoke.seconds, 1),
            "notes": list(smoke.notes),
        }
    }


def in_words(smoke: Smoke) -> tuple[str, ...]:
    """What was seen, as translated lines."""
    lines = [_("TensorFlow {version} was loaded (Python {python}).").format(
        version=smoke.tensorflow, python=smoke.python
    )]  # fmt: skip
    if smoke.gpus:
        lines.append(_("It sees: {gpus}.").format(gpus="; ".join(smoke.gpus)))
    for item in smoke.products:
        text = _("It multiplied matrices on {device} ({dtype}) in {seconds} s, and the result is right.")
        lines.append(text.format(device=_device(item.device), dtype=item.dtype, seconds=f"{item.seconds:.1f}"))
    return (*lines, *smoke.notes)


@dataclass
class _Talk:
    """What the program inside has said so far, and how it ended."""

    emit: Emit
    cancel: Cancel
    deadline: float
    said: dict[str, Any] = field(default_factory=dict)
    products: list[Product] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _output: dict[int, bytearray] = field(default_factory=lambda: {1: bytearray(), 2: bytearray()})
    _now: str = ""

    def listen(self, session: ExecSession) -> int:
        """Listens to the end, or ends the program: it goes when its input is closed. Its exit status."""
        heard: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(session, heard), name="smoke-test", daemon=True)
        reader.start()
        try:
            self._follow(heard)
            return session.exit_code()
        finally:
            session.close_input()
            reader.join(_GRACE)
            session.close()

    def _follow(self, heard: queue.SimpleQueue[tuple[int, bytes] | None]) -> None:
        beat = time.monotonic() + _BEAT
        while True:
            self.cancel.check()
            now = time.monotonic()
            if now > self.deadline:
                raise self._late()
            if now > beat:
                beat = now + _BEAT
                self._sign_of_life(now - self.began)
            try:
                piece = heard.get(timeout=0.2)
            except queue.Empty:
                continue
            if piece is None:
                return
            self._hear(*piece)

    def _hear(self, stream: int, data: bytes) -> None:
        kept = self._output[2 if stream == 2 else 1]
        kept += data
        if stream == 2:
            del kept[:-_MOST]
            return
        while b"\n" in kept:
            line, _newline, rest = bytes(kept).partition(b"\n")
            kept[:] = rest
            text = line.decode(errors="replace")
            if text.startswith(SMOKE_MARK):
                with suppress(ValueError):
                    self._take(json.loads(text.removeprefix(SMOKE_MARK)))
        del kept[:-_MOST]

    def _take(self, message: dict[str, Any]) -> None:
        self.said.update(message)
        step = message.get("step", "")
        if step == "multiplied":
            self.products.append(Product(message["device"], message["dtype"], float(message["seconds"])))
        elif step in _STEPS:
            self._now = _(_STEPS[step]).format(device=_device(message.get("device", "")), dtype=message.get("dtype"))
            self.emit(Line(self._now))

    def _sign_of_life(self, seconds: float) -> None:
        text = _("Still at it after {n} s: {what} On a GPU newer than the image the first time can take minutes.")
        self.emit(Line(text.format(n=round(seconds), what=self._now)))

    # --- how it ended ---

    def result(self, name: str, code: int, notes: tuple[str, ...]) -> Smoke:
        """Raises what went wrong."""
        if code != 0 or self.said.get("step") != "done":
            raise self._trouble(name, code)
        tensorflow = str(self.said.get("tensorflow", ""))
        if not _FITTING[0] <= version(tensorflow) < _FITTING[1]:
            notes = (*notes, _("OpenSeq2Seq needs TensorFlow 1.10 to 1.15."))
        self.emit(Finished(_("TensorFlow works in the container {name}.").format(name=name)))
        return Smoke(
            name,
            str(self.said.get("python", "")),
            tensorflow,
            tuple(_name(gpu) for gpu in self.said.get("gpus", ())),
            tuple(self.products),
            time.monotonic() - self.began,
            notes,
        )

    def _trouble(self, name: str, code: int) -> Trouble:
        if code == _ALARM:
            return self._late()
        failed, text = self.said.get("failed", ""), self._text()
        kind = {"import": Problem.TENSORFLOW_IMPORT, "no-gpu": Problem.TENSORFLOW_NO_GPU}.get(
            failed, Problem.TENSORFLOW_FAILED
        )
        if not failed and self.said.get("step") == "import":
            kind = Problem.TENSORFLOW_IMPORT
        if kind is not Problem.TENSORFLOW_IMPORT:
            words = f"{text}\n{self._errors()}"
            kind = next((found for found, sign in _SIGNS if re.search(sign, words, re.IGNORECASE)), kind)
        hints = {
            _ILLEGAL: _("The processor lacks AVX, which this TensorFlow needs."),
            _KILLED: _("It was killed from outside, most often because the machine has too little memory."),
        }
        return Trouble(
            kind, text or f"exit status {code}", subject=name, hint=hints.get(code, ""), evidence=self.seen()
        )

    def _late(self) -> Trouble:
        return Trouble(Problem.TENSORFLOW_TIMEOUT, self._now, evidence=self.seen())

    def _text(self) -> str:
        kind, text = self.said.get("kind", ""), self.said.get("text", "")
        return f"{kind}: {text}".strip(": ")

    def _errors(self) -> str:
        return self._output[2].decode(errors="replace").strip()

    def seen(self) -> tuple[Evidence, ...]:
        """The end of what TensorFlow printed, and where its program was when it failed."""
        told = ((_("What TensorFlow said"), self._errors()), (_("Where it failed"), self.said.get("trace", "")))
        return tuple(
            Evidence(source, "\n".join(text.strip().splitlines()[-12:]))
            for source, text in told
            if text.strip() and text.strip() != "NoneType: None"
        )


_STEPS = {
    "import": N_("Loading TensorFlow."),
    "devices": N_("TensorFlow is loaded; looking for GPUs."),
    "multiply": N_("Multiplying matrices on {device} ({dtype})."),
}


def _program() -> str:
    return Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")


def _read(session: ExecSession, heard: queue.SimpleQueue[tuple[int, bytes] | None]) -> None:
    """Reads to the end in a thread of its own. A broken connection is an end; the exit status tells more."""
    try:
        with suppress(Trouble, OSError):
            while (piece := session.read()) is not None:
                heard.put(piece)
    finally:
        heard.put(None)


def _device(name: str) -> str:
    """``/device:GPU:0`` as people say it."""
    return " ".join(name.split(":")[-2:]).removeprefix("/device ") if name else ""


def _name(gpu: dict[str, str]) -> str:
    """The GPU's own name out of TensorFlow's description of a device."""
    match = re.search(r"\bname: ([^,]+)", gpu.get("about", ""))
    return match[1] if match else gpu.get("name", "")
