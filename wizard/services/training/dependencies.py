"""What OpenSeq2Seq needs beside the image: looked for in the container, and only what lacks is installed.

Every package is pinned to a version that works in Python 3.5, 3.6 and 3.8, and everything that the image has is a
constraint: nothing takes the place of its numpy, TensorFlow or Horovod.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.container import DATA_TARGET
from wizard.model.container_job import FOLDER
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.services.training import inside, job
from wizard.services.training.place import Place

PINS: Mapping[str, str] = {
    "tqdm": "tqdm==4.64.1",
    "sox": "sox==1.3.7",
    "pandas": "pandas==0.23.0",
    "six": "six",
    "joblib": "joblib==0.13.2",
    "nltk": "nltk==3.2.5",
    "resampy": "resampy==0.2.2",
    "librosa": "librosa==0.6.3",
    "python_speech_features": "python_speech_features==0.6",
    "matplotlib": "matplotlib<3.1",
    "sentencepiece": "sentencepiece==0.1.91",
    "sacrebleu": "sacrebleu==1.2.20",
    "h5py": "h5py<2.11",
}
"""Module -> what pip is asked for. tqdm and sox are for the import of data; sox from 1.5 on needs a newer Python, and
1.3.7 is the last that comes as a wheel for every Python 3. The others are those of OpenSeq2Seq's requirements.txt.
"""
_NEWER: Mapping[str, str] = {"pandas": "pandas==1.0.5", "matplotlib": "matplotlib==3.2.2", "joblib": "joblib==0.14.1"}
"""For Python 3.8, which the pinned ones of 2018 and 2019 do not know."""
_BESIDE: Mapping[str, tuple[str, ...]] = {
    "librosa": ("numba<0.50", "llvmlite<0.33"),
    "resampy": ("numba<0.50", "llvmlite<0.33"),
}
"""What a module needs in an old version: numba 0.50 took away what librosa 0.6 imports."""
_IMAGE = ("tensorflow", "numpy")
"""What only the image can have."""
_PROGRAMS = ("git", "sox", "mpiexec", "perl", "tensorboard")
_OPTIONAL = ("horovod", "mpi4py")
_LIMITS = posixpath.join(DATA_TARGET, FOLDER, "constraints.txt")
# A package's file name or a local path in pip's list is no constraint; the lines with versions are.
_INSTALL = (
    'limits=$1; shift; python -m pip freeze 2>/dev/null | grep -E "^[A-Za-z0-9._-]+==[^ ]+$" >"$limits";'
    ' exec python -m pip install --no-cache-dir -c "$limits" "$@"'
)
_APT = (
    "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
    " sox libsox-fmt-base libsox-fmt-mp3"
)


@dataclass(frozen=True, slots=True)
class Inside:
    """What the container has: the version of its Python, the modules and programs of those that matter, and the
    versions of all packages by their name in lower case.
    """

    python: tuple[int, ...]
    modules: frozenset[str]
    programs: frozenset[str]
    versions: Mapping[str, str]

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that OpenSeq2Seq needs and that are not there."""
        return tuple(name for name in PINS if name not in self.modules)

    @property
    def horovod(self) -> bool:
        """Whether training with Horovod can work."""
        return self.modules.issuperset(_OPTIONAL)


def look(host: Host, place: Place) -> Inside:
    """What the container has, in about a second. Raises ``DEPENDENCIES_MISSING`` without Python or TensorFlow 1."""
    names = ",".join((*PINS, *_IMAGE, *_OPTIONAL))
    argv = ("python", "-c", inside.text("look"), names, ",".join(_PROGRAMS))
    result = host.engine.run_in(place.container.id, argv, timeout=60)
    text = result.stdout.decode(errors="replace")
    try:
        raw = json.loads(text)
    except ValueError:
        said = result.stderr.decode(errors="replace").strip() or text.strip()
        raise Trouble(Problem.DEPENDENCIES_MISSING, said, subject="python") from None
    found = Inside(tuple(raw["python"]), frozenset(raw["modules"]), frozenset(raw["programs"]), dict(raw["versions"]))
    absent = [name for name in _IMAGE if name not in found.modules]
    if absent:
        hint = _("The image {image} is no TensorFlow image of NVIDIA's.").format(image=place.container.image)
        raise Trouble(Problem.DEPENDENCIES_MISSING, subject=", ".join(absent), hint=hint)
    tensorflow = next((found.versions[name] for name in sorted(found.versions) if name.startswith("tensorflow")), "1")
    version = found.versions.get("tensorflow") or found.versions.get("tensorflow-gpu") or tensorflow
    if not version.startswith("1."):
        hint = _("OpenSeq2Seq needs TensorFlow 1; this image has {version}.").format(version=version)
        raise Trouble(Problem.DEPENDENCIES_MISSING, subject="TensorFlow 1", hint=hint)
    return found


def requirements(found: Inside) -> tuple[str, ...]:
    """What pip is asked for, for exactly the modules that are missing."""
    pins = {**PINS, **_NEWER} if found.python >= (3, 8) else PINS
    wanted = [pins[name] for name in found.missing]
    for name in found.missing:
        wanted += [item for item in _BESIDE.get(name, ()) if item not in wanted]
    return tuple(wanted)


def ensure(host: Host, place: Place, emit: Emit = ignore, cancel: Cancel | None = None, *, sox: bool = False) -> Inside:
    """Installs in the container what lacks, and looks again. ``sox`` also wants the program that converts recordings.

    Raises ``DEPENDENCIES_MISSING``, ``CANCELLED``, and what ``job.run`` raises.
    """
    cancel = cancel or Cancel()
    found = look(host, place)
    wanted = requirements(found)
    if wanted:
        emit(Started(_("Installing in the container: {names}.").format(names=", ".join(wanted))))
        _install(host, place, ("sh", "-c", _INSTALL, "sh", _LIMITS, *wanted), emit, cancel)
    if sox:
        ensure_sox(host, place, emit, cancel)
    if not wanted and not (sox and "sox" not in found.programs):
        emit(Finished(_("The container has everything that OpenSeq2Seq needs.")))
        return found
    now = look(host, place)
    lacking = (*now.missing, *(("sox",) if sox and "sox" not in now.programs else ()))
    if lacking:
        raise Trouble(Problem.DEPENDENCIES_MISSING, subject=", ".join(lacking))
    _check_unchanged(found, now)
    emit(Finished(_("The container has everything that OpenSeq2Seq needs.")))
    return now


def ensure_sox(host: Host, place: Place, emit: Emit = ignore, cancel: Cancel | None = None) -> None:
    """Installs the program that converts recordings, where it lacks. Raises as ``ensure`` does."""
    if _has_sox(host, place):
        return
    emit(Started(_("Installing in the container: {names}.").format(names="sox")))
    _install(host, place, ("sh", "-c", _APT), emit, cancel or Cancel())
    if not _has_sox(host, place):
        raise Trouble(Problem.DEPENDENCIES_MISSING, subject="sox")


def _has_sox(host: Host, place: Place) -> bool:
    return host.engine.run_in(place.container.id, ("sox", "--version")).exit_code not in (126, 127)


def _install(host: Host, place: Place, argv: tuple[str, ...], emit: Emit, cancel: Cancel) -> None:
    code, said = job.run(
        host, place, "install", argv, cancel=cancel, owned=(_LIMITS,), on_line=lambda text: emit(Line(text))
    )
    if code:
        text = "\n".join(said)
        lacking = re.findall(r"No matching distribution found for (\S+)|Unable to locate package (\S+)", text)
        subject = ", ".join(first or second for first, second in lacking) or argv[-1]
        raise Trouble(Problem.DEPENDENCIES_MISSING, text, subject=subject, evidence=(Evidence("pip install", text),))


def _check_unchanged(before: Inside, after: Inside) -> None:
    """The promise that the image's own are untouched, kept by looking."""
    for name in ("numpy", "tensorflow", "tensorflow-gpu", "horovod"):
        old, new = before.versions.get(name), after.versions.get(name)
        if old != new:
            seen = Evidence("pip freeze", f"{name}: {old} -> {new}")
            raise Trouble(Problem.DEPENDENCIES_MISSING, subject=name, evidence=(seen,))
