"""A pull in a process of its own: begun, found again, followed, paused and stopped by any other process of this user.

Whoever pulls, in the background or in the foreground, holds a lock for the image and writes a journal into the
program's folder; whoever wants to know reads it. What is asked of a pull (to pause, to stop) is a file beside the
journal. Each image of each engine has one name there, which also tells machines apart that share a home folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model import i18n, journal
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Line, Progress, ignore
from wizard.model.i18n import _
from wizard.model.image import ImageReference
from wizard.model.journal import Began, Ended, Said
from wizard.model.machine import ProcessId
from wizard.model.progress import Layers, PullPlan
from wizard.model.secret import Secret
from wizard.services import pull
from wizard.services.pull import Pulled, Way

log = logging.getLogger(__name__)

PAUSE, STOP = "pause", "stop"
"""What can be asked of a pull. Both end its process; after a pause the next one goes on by what was kept."""
LARGEST = 256_000
"""Bytes of a journal, after which a shorter one takes its place."""
_LINES = 100
"""Lines of narration that the shorter one keeps."""
_FOLDER = "pulls"
_SPEEDS = f"{_FOLDER}/speeds.json"
_LOOK_SECONDS = 0.1
_LOOKS_BETWEEN = 10
"""Looks at the journal between two at the process."""
_PATIENCE_SECONDS = 15.0
"""How long a pull that has just ended, or just begun, may take to be seen as such."""
_TOLD_AFTER = 5
"""Speeds that have to be seen before their mean is kept."""


@dataclass(frozen=True, slots=True)
class Found:
    """A pull that this machine has a journal of. ``runs`` tells whether its process is still at work; ``ended`` is its
    own last word, which it may have had no time for. ``progress`` is what it had reached.
    """

    image: str
    process: ProcessId
    runs: bool
    progress: Progress | None = None
    ended: Ended | None = None


# --- for those who look ----------------------------------------------------------------------------------------------


def find(host: Host, text: str) -> Found | None:
    """The last pull of the image named ``text``; None where none is known."""
    return _found(host, _name(host, str(ImageReference.parse(text))))


def running(host: Host) -> tuple[Found, ...]:
    """The pulls for this machine's engine that go on now."""
    names = dict.fromkeys(name.partition(".")[0] for name in host.store.names(_FOLDER) if _is_segment(name))
    found = (_found(host, name) for name in names)
    return tuple(item for item in found if item and item.runs and _name(host, item.image) in names)


def begin(host: Host, text: str, key: Secret | None, *, way: Way | None = None) -> None:
    """Begins to pull ``text`` in a process of its own, unless that goes on already. Then ``follow`` shows it.

    ``key`` is handed on through a pipe; it should be None for an image that needs none. Raises what kept the process
    from beginning.
    """
    image = str(ImageReference.parse(text))
    _until(lambda: (found := find(host, image)) is None or found.ended is None or not _alive(host, found))
    host.background.start({**(way or Way()).words(), "image": image, "language": i18n.language()}, key)


def follow(host: Host, text: str, emit: Emit = ignore, cancel: Cancel | None = None) -> Pulled:
    """Shows a pull of ``text`` that another process makes, from its beginning or what is left of it, to its end.

    Emits what the pull emits, ``Began`` before and ``Ended`` after it. Raises what the pull raised; ``PULL_CUT_OFF``
    where its process has gone without a word; ``CANCELLED`` when ``cancel`` is set, which ends nothing but the looking.
    """
    cancel = cancel or Cancel()
    image = str(ImageReference.parse(text))
    reader = _Reader(host, _name(host, image))
    process: ProcessId | None = None
    latest: dict[type[object], object] = {}
    is_there = host.background.runs
    told = looks = 0
    while True:
        # The process is looked at before the journal: what it wrote last is read in any case.
        gone = looks >= _LOOKS_BETWEEN if process is None else looks % _LOOKS_BETWEEN == 1 and not is_there(process)
        looks += 1
        for event in reader.news():
            looks = 1
            if isinstance(event, Said):
                if event.number > told:
                    told = event.number
                    emit(Line(event.text))
                continue
            if event == latest.get(type(event)):
                continue  # a new file of the journal repeats what still counts
            latest[type(event)] = event
            if isinstance(event, Began):
                process = event.process
            emit(event)
            if isinstance(event, Ended):
                if event.trouble is not None:
                    raise event.trouble
                return Pulled(image, event.image_id, event.digest, event.already)
        if gone and looks > 1:
            raise _cut_off(host, image, process, latest.get(Progress))
        if cancel.wait(_LOOK_SECONDS):
            raise Trouble(Problem.CANCELLED)


def ask(host: Host, text: str, what: str) -> None:
    """Asks the pull of ``text`` that goes on to ``PAUSE`` or ``STOP``. It answers in its journal."""
    host.store.write(f"{_FOLDER}/{_name(host, str(ImageReference.parse(text)))}.ask", what.encode())


def speed(host: Host, registry: str) -> float | None:
    """Bytes a second that came from ``registry`` during the last pull from it; None where there was none."""
    value = _speeds(host).get(registry)
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


# --- for those who pull ----------------------------------------------------------------------------------------------


def serve(
    host: Host,
    request: Mapping[str, str],
    key: Secret | None,
    answer: Callable[[Trouble | None], None],
    cancel: Cancel | None = None,
) -> None:
    """What the process in the background does with the request of ``begin``.

    ``answer`` is called once: with None as soon as the work is in hand, here or in another process, or with what keeps
    it from being so. Setting ``cancel`` is how the system ends it.
    """
    i18n.use(request.get("language", "en"))
    image, cancel = request["image"], cancel or Cancel()
    answered = False

    def begun() -> None:
        nonlocal answered
        answered = True
        answer(None)

    def attempt() -> bool:
        try:
            run(host, image, key, cancel=cancel, way=Way.of(request), begun=begun)
        except Trouble as trouble:
            if answered:
                return True  # it stands in the journal
            if trouble.kind is not Problem.BUSY:
                answer(trouble)
                return True
            # Another one has just begun, or is just ending: the journal tells which.
            found = find(host, image)
            if found is None or not found.runs:
                return False
            begun()
        except Exception as error:
            log.exception("a pull in the background failed in a way that it does not know")
            if not answered:
                answer(Trouble(Problem.INTERNAL, type(error).__name__))
        return True

    if not _until(attempt) and not answered:
        answer(Trouble(Problem.BUSY))


def run(
    host: Host,
    text: str,
    key: Secret | None,
    emit: Emit = ignore,
    cancel: Cancel | None = None,
    *,
    way: Way | None = None,
    begun: Callable[[], None] | None = None,
) -> Pulled:
    """``pull.run`` in this process, so that others can follow it and ask it to pause or to stop.

    ``begun`` is called when the journal is there; without it, the pull also goes on where none can be written. Raises
    ``BUSY`` where another process pulls that image, and what ``pull.run`` raises.
    """
    cancel, way = cancel or Cancel(), way or Way()
    image = str(ImageReference.parse(text))
    name = _name(host, image)
    with _held(host, name, needed=begun is not None) as writes:
        writer = _Writer(host, name) if writes else None
        try:
            if writer is not None:
                # What was asked of an earlier one is not for this one.
                host.store.remove(f"{_FOLDER}/{name}.ask")
                writer.begin(Began(image, host.background.this()))
        except Trouble:
            if begun is not None:
                raise
            writer = None
        if begun is not None:
            begun()

        def tell(event: object) -> None:
            if writer is not None:
                writer.write(event)
            emit(event)

        with _obeying(host, name, cancel) as asked:
            try:
                pulled = pull.run(host, image, key, tell, cancel, way=way)
            except BaseException as error:
                ended = _ended(image, error, asked(), alone=begun is not None)
                if writer is not None:
                    writer.end(ended)
                if isinstance(error, Trouble) and ended.trouble is not None:
                    raise ended.trouble from error
                raise
        if writer is not None:
            writer.end(Ended(pulled.image_id, pulled.digest, pulled.already))
            _keep_speed(host, image, writer.rates)
        return pulled


def _ended(image: str, error: BaseException, asked: str, *, alone: bool) -> Ended:
    """How a pull that failed is written down. ``alone``: nobody sits before it who could have pressed Ctrl-C."""
    if not isinstance(error, Trouble):
        kind = Problem.CANCELLED if isinstance(error, KeyboardInterrupt) else Problem.INTERNAL
        return Ended(trouble=Trouble(kind, type(error).__name__, subject=image))
    if error.kind is Problem.CANCELLED and alone and not asked:
        hint = _("The system asked it to end, as when a computer is shut down.")
        return Ended(trouble=Trouble(Problem.PULL_CUT_OFF, subject=image, hint=hint))
    if error.kind is Problem.CANCELLED:
        return Ended(trouble=error, paused=asked == PAUSE)
    return Ended(trouble=error)


def run_or_follow(
    host: Host,
    text: str,
    key: Secret | None,
    emit: Emit = ignore,
    cancel: Cancel | None = None,
    *,
    joins: Callable[[int], None] = lambda _pid: None,
    way: Way | None = None,
) -> Pulled:
    """``run``; where another process pulls that image, ``follow`` it, after a call of ``joins`` with its pid."""
    result: list[Pulled] = []

    def attempt() -> bool:
        found = find(host, text)
        if found is not None and found.runs:
            joins(found.process.pid)
            result.append(follow(host, text, emit, cancel))
            return True
        try:
            result.append(run(host, text, key, emit, cancel, way=way))
        except Trouble as trouble:
            if trouble.kind is Problem.BUSY:
                return False  # another one has just begun, or is just ending
            raise
        return True

    if not _until(attempt):
        raise Trouble(Problem.BUSY)
    return result[0]


@contextmanager
def _held(host: Host, name: str, *, needed: bool) -> Iterator[bool]:
    """Holds the image's lock; gives whether files can be written there. Raises ``BUSY``."""
    try:
        lock = host.store.lock(f"{_FOLDER}/{name}.lock")
        lock.__enter__()
    except Trouble as trouble:
        if needed or trouble.kind is Problem.BUSY:
            raise
        yield False
        return
    try:
        yield True
    finally:
        lock.__exit__(None, None, None)


@contextmanager
def _obeying(host: Host, name: str, cancel: Cancel) -> Iterator[Callable[[], str]]:
    """Looks for what is asked of the pull, in a thread of its own, and sets ``cancel``. Gives what was asked."""
    place, over, asked = f"{_FOLDER}/{name}.ask", threading.Event(), [""]

    def watch() -> None:
        while not over.wait(2 * _LOOK_SECONDS):
            with suppress(Trouble):
                word = (host.store.read(place) or b"").decode(errors="replace")
                if word in (PAUSE, STOP):
                    asked[0] = word
                    cancel.set()
                    return

    thread = threading.Thread(target=watch, name="pull-asked", daemon=True)
    thread.start()
    try:
        yield lambda: asked[0]
    finally:
        over.set()
        thread.join()
        with suppress(Trouble):
            host.store.remove(place)


# --- the journal -----------------------------------------------------------------------------------------------------


class _Writer:
    """Writes a journal that never grows beyond ``LARGEST``: then a new file begins with what still counts.

    A journal that cannot be written never ends the pull.
    """

    def __init__(self, host: Host, name: str) -> None:
        self._store, self._name = host.store, name
        self._lock = threading.Lock()
        self._latest: dict[type[object], object] = {}
        self._lines: deque[Said] = deque(maxlen=_LINES)
        self._count = self._size = 0
        self._file = ""
        self.rates: list[float] = []

    def begin(self, event: Began) -> None:
        """Begins the journal in the place of an older one. Raises what the store raises."""
        self._latest[Began] = event
        self._renew()

    def write(self, event: object) -> None:
        """Adds an event; narration gets a number, and what is none of the journal's is left out."""
        with self._lock:
            if isinstance(event, Line):
                self._count += 1
                event = Said(self._count, event.text)
                self._lines.append(event)
            elif isinstance(event, (PullPlan, Progress, Layers)):
                self._latest[type(event)] = event
                if isinstance(event, Progress) and event.rate:
                    self.rates.append(event.rate)
            line = journal.write(event)
            with suppress(Trouble):
                if self._size + len(line) > LARGEST:
                    self._renew()
                self._store.append(self._file, line)
                self._size += len(line)

    def end(self, event: Ended) -> None:
        """Adds the last word, in a journal that has become short."""
        with self._lock:
            self._latest[Ended] = event
            with suppress(Trouble):
                self._renew()

    def _renew(self) -> None:
        """Begins a new file with the plan, the last lines and how far it is, and then removes the older ones."""
        older = _segments(self._store.names(_FOLDER), self._name)
        number = int(older[-1].rpartition(".")[2]) + 1 if older else 1
        first = [self._latest[kind] for kind in (Began, PullPlan, Layers, Progress) if kind in self._latest]
        last = [self._latest[Ended]] if Ended in self._latest else []
        data = b"".join(map(journal.write, (*first, *self._lines, *last)))
        self._file = f"{_FOLDER}/{self._name}.{number:06d}"
        self._size = len(data)
        self._store.write(self._file, data)
        for name in older:
            self._store.remove(f"{_FOLDER}/{name}")


class _Reader:
    """Reads a journal on. When a new file has taken the place of the one that was read, it is read from its start."""

    def __init__(self, host: Host, name: str) -> None:
        self._store, self._name = host.store, name
        self._file, self._place = "", 0

    def news(self) -> list[object]:
        """What was added since the last time."""
        data = self._store.read_on(self._file, self._place) if self._file else None
        if data is None:
            files = _segments(self._store.names(_FOLDER), self._name)
            if not files:
                return []
            self._file, self._place = f"{_FOLDER}/{files[-1]}", 0
            data = self._store.read_on(self._file, 0) or b""
        whole = data[: data.rfind(b"\n") + 1]
        self._place += len(whole)
        return [event for event in map(journal.read, whole.splitlines()) if event is not None]


def _found(host: Host, name: str) -> Found | None:
    events = _Reader(host, name).news()
    began = next((event for event in events if isinstance(event, Began)), None)
    if began is None:
        return None
    progress = next((event for event in reversed(events) if isinstance(event, Progress)), None)
    ended = next((event for event in events if isinstance(event, Ended)), None)
    runs = ended is None and host.background.runs(began.process)
    return Found(began.image, began.process, runs, progress, ended)


def _alive(host: Host, found: Found) -> bool:
    return host.background.runs(found.process) and found.process != host.background.this()


def _cut_off(host: Host, image: str, process: ProcessId | None, progress: object) -> Trouble:
    """The end of a pull that could not say its last word."""
    hints = []
    if isinstance(progress, Progress) and progress.total:
        hints.append(_("It had come to {percent} %.").format(percent=100 * progress.done // progress.total))
    this = host.background.this()
    if process is not None and process.started.partition(" ")[0] != this.started.partition(" ")[0]:
        hints.append(_("This computer was started again since then."))
    return Trouble(Problem.PULL_CUT_OFF, subject=image, hint=" ".join(hints))


def _name(host: Host, image: str) -> str:
    """The name of an image's pulls on this machine and engine, in files."""
    try:
        engine = host.engine.endpoint().url
    except Trouble:
        engine = ""
    return hashlib.sha256(f"{host.info.name}\n{engine}\n{image}".encode()).hexdigest()[:16]


def _is_segment(name: str) -> bool:
    return name.rpartition(".")[2].isdigit()


def _segments(names: tuple[str, ...], name: str) -> list[str]:
    return [item for item in names if item.startswith(f"{name}.") and _is_segment(item)]


def _until(condition: Callable[[], bool]) -> bool:
    """Waits for what takes a moment; whether it came."""
    pause = threading.Event()
    for _look in range(int(_PATIENCE_SECONDS / _LOOK_SECONDS)):
        if condition():
            return True
        pause.wait(_LOOK_SECONDS)
    return False


def _speeds(host: Host) -> dict[str, object]:
    try:
        speeds = json.loads(host.store.read(_SPEEDS) or b"{}")
    except (ValueError, Trouble):
        return {}
    return speeds if isinstance(speeds, dict) else {}


def _keep_speed(host: Host, image: str, rates: Sequence[float]) -> None:
    if len(rates) >= _TOLD_AFTER:
        mean = sum(rates) / len(rates)
        speeds = {**_speeds(host), ImageReference.parse(image).host: round(mean)}
        with suppress(Trouble):
            host.store.write(_SPEEDS, json.dumps(speeds).encode())
