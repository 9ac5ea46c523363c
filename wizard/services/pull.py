"""Fetches an image through the engine, with honest progress.

The registry is asked, too, because only its manifest tells how much there is to fetch and what has to come out.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from wizard.host.ports import Host
from wizard.model import engine_text
from wizard.model.beside import Beside, regularly
from wizard.model.engine import EngineInfo, EngineKind, ImageInfo
from wizard.model.errors import UNREACHABLE, Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line, Stalled, Started, ignore
from wizard.model.finding import Evidence
from wizard.model.i18n import N_, _
from wizard.model.image import ImageReference, Manifest
from wizard.model.machine import go_arch
from wizard.model.progress import PullPlan, PullProgress, TransferProgress, Wait
from wizard.model.secret import Secret

STALL_SECONDS = 30.0
_BETWEEN_EVENTS = 0.1
_BETWEEN_LAYERS = 1.0
"""What is told of each layer is for those who look closely, and it is long."""
_WATCH_SECONDS = 1.0
REFUSED = (Problem.KEY_WANTED, Problem.KEY_REFUSED, Problem.ACCESS_DENIED)
"""Kinds that a key may help against."""
# Where the registry could not be asked, Docker gets the key only if nobody was seen to read along.
_SAFE_FOR_THE_KEY = UNREACHABLE - {Problem.REGISTRY_HTTP, Problem.TLS}
_REASONS = {
    Wait.NETWORK: N_("Nothing comes from the network. It may go on by itself; a restart begins at zero."),
    Wait.RETRY: N_("The connection broke, and Docker tries again. It may take some minutes."),
    Wait.UNPACKING: N_("Docker unpacks a large layer. This can take minutes; the network is not needed for it."),
}


@dataclass(frozen=True, slots=True)
class Way:
    """How an image is fetched. ``via`` is ``engine``, ``download`` (by this program, resumable) or "" for what suits
    the image; ``mirror`` is another registry's host to download from, which never gets the key. For downloads:
    ``connections`` at most (0: the usual limit), ``rate`` in bytes a second (0: no limit), ``keep`` leaves the layers
    in the cache. ``file`` is the path of an archive that the image is in: then nothing is downloaded.
    """

    via: str = ""
    mirror: str = ""
    connections: int = 0
    rate: int = 0
    keep: bool = False
    file: str = ""

    def words(self) -> dict[str, str]:
        """As text, for another process."""
        return {name: str(value) for name, value in asdict(self).items() if value}

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Way:
        """The way that ``words`` says. Raises ValueError."""
        return cls(
            words.get("via", ""),
            words.get("mirror", ""),
            int(words.get("connections", 0)),
            int(words.get("rate", 0)),
            "keep" in words,
            words.get("file", ""),
        )


LARGE = 500_000_000
"""bytes from which on a download that can be resumed is worth its room in the cache"""


@dataclass(frozen=True, slots=True)
class Room:
    """Disk space that a pull needs at one place, in bytes. ``free`` is None where it cannot be told. ``what`` is
    ``engine`` (images), ``cache`` (what was downloaded), or ``both`` where they share a file system.
    """

    what: str
    path: str
    needed: int
    free: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a pull would take. ``here`` is the image if nothing has to be fetched; ``via`` is who would download.

    ``manifest``, ``bytes_total`` and ``layers`` are None where the registry could not be asked, and ``why`` tells the
    reason. ``bytes_here`` and ``layers_here`` are those that need not be fetched.
    """

    manifest: Manifest | None
    here: ImageInfo | None
    via: str
    bytes_total: int | None
    bytes_here: int
    layers: int | None
    layers_here: int
    rooms: tuple[Room, ...]
    why: Trouble | None = None

    @property
    def fits(self) -> bool:
        """Whether there is room at every place, as far as is known."""
        return all(room.free is None or room.needed <= room.free for room in self.rooms)


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that is here. ``digest`` is what the registry has under its name; ``already``: nothing was fetched."""

    image: str
    image_id: str
    digest: str
    already: bool


def run(
    host: Host,
    text: str,
    key: Secret | None,
    emit: Emit = ignore,
    cancel: Cancel | None = None,
    *,
    way: Way | None = None,
    clock: Callable[[], float] = time.monotonic,
    stall_after: float = STALL_SECONDS,
) -> Pulled:
    """Fetches the image named ``text`` and compares what came with what the registry announced.

    ``key`` is used only if the registry wants one. Emits ``Started``, ``PullPlan``, ``Progress`` (at most ten a
    second), ``Layers`` (at most one a second), ``Stalled`` (nothing moved for ``stall_after`` seconds of ``clock``),
    ``Line`` and ``Finished``. Raises ``Trouble``: the kinds of the registry, the engine and the cache,
    ``DIGEST_MISMATCH``, ``CANCELLED``.
    """
    cancel, way = cancel or Cancel(), way or Way()
    reference = ImageReference.parse(text)
    image = str(reference)
    if way.file:
        from wizard.services import archive

        info = host.engine.info()
        emit(Started(_("Reading {path}").format(path=way.file)))
        return archive.run(host, reference, way.file, info, emit, cancel, clock=clock, stall_after=stall_after)
    with _begun(host, reference, key, way, cancel) as begun:
        info, manifest, why = _asked(
            host, reference, key, lambda: emit(Started(_("Asking the registry about {image}").format(image=image)))
        )
        cancel.check()
        if way.mirror:
            manifest, why = _mirrored(host, reference, way.mirror, manifest, why, info, emit), None
        here = None if begun else host.engine.image(image)
        if here is not None and (manifest is None or here.is_one_of(*manifest.digests)):
            return _already(image, here, manifest, emit)
        if manifest is not None and _suits(host, manifest, info, way, emit):
            from wizard.services import download

            return download.run(
                host, reference, manifest, None if manifest.anonymous else key, info, emit, cancel,
                way=way, clock=clock, stall_after=stall_after,
            )  # fmt: skip
        if why is not None:
            emit(Line(_("{reason} So the size is not known before; Docker tries it now.").format(reason=said(why))))
        emit(_plan(manifest, here=False))
        progress = PullProgress(manifest.layers, manifest.config_size) if manifest else PullProgress()
        telling = Telling(progress, emit, clock, stall_after, _REASONS)
        _stream(host, reference, _keys(host, reference, key, manifest, why), telling, cancel, info, begun)
        arrived = host.engine.image(image)
        digest = manifest.digest if manifest else progress.digest
        arrived = compared(image, arrived, *(manifest.digests if manifest else (digest,)))
        progress.finish()
        telling.tell()
        emit(Finished(_("{image} is here.").format(image=image)))
        return Pulled(image, arrived.id, digest, already=False)


def preview(host: Host, text: str, key: Secret | None, way: Way | None = None) -> Preview:
    """What a pull would take: how much is here already, and the disk that is needed at each place.

    Asks the registry and the engine, changes nothing. Raises ``Trouble`` as ``run`` does before it begins.
    """
    way = way or Way()
    reference = ImageReference.parse(text)
    info, manifest, why = _asked(host, reference, key)
    if way.mirror:
        manifest, why = _mirrored(host, reference, way.mirror, manifest, why, info, ignore), None
    here = host.engine.image(str(reference))
    if here is not None and manifest is not None and not here.is_one_of(*manifest.digests):
        here = None
    if manifest is None:
        return Preview(None, here, "engine", None, 0, None, 0, (), why)
    sizes = {layer.digest: layer.size for layer in manifest.layers}
    total = manifest.download_size
    if here is not None:
        return Preview(manifest, here, "engine", total, total, len(sizes), len(sizes), ())
    chosen = "download" if _suits(host, manifest, info, way, ignore) else "engine"
    from wizard.services import download

    stock = download.stock(host, manifest, None if manifest.anonymous else key, info)
    held = stock.bytes_here if chosen == "download" else stock.in_engine
    return Preview(
        manifest, None, chosen, total, held, len(sizes),
        len(stock.skipped) + (stock.whole if chosen == "download" else 0),
        download.rooms(host, info, total - stock.in_engine, stock.in_cache, download=chosen == "download"),
    )  # fmt: skip


def _suits(host: Host, manifest: Manifest, info: EngineInfo, way: Way, emit: Emit) -> bool:
    """Whether this program downloads the image itself, as was asked or because it is large and there is room."""
    if manifest.reference.digest or not manifest.documents:
        # An archive cannot give an image the name that a digest is.
        if way.via == "download" or way.mirror:
            emit(Line(_("Only Docker itself can fetch an image that is named by its digest.")))
        return False
    if way.via or way.mirror:
        return way.via != "engine"
    if info.kind in (EngineKind.REMOTE, EngineKind.PODMAN) or manifest.download_size < LARGE:
        return False
    from wizard.services import download

    stock = download.stock(host, manifest, None, info, look=False)
    rooms = download.rooms(host, info, manifest.download_size, stock.in_cache, download=True)
    return all(room.free is None or room.free >= room.needed for room in rooms)


def _mirrored(
    host: Host,
    reference: ImageReference,
    mirror: str,
    original: Manifest | None,
    why: Trouble | None,
    info: EngineInfo,
    emit: Emit,
) -> Manifest:
    """The manifest at the mirror; the same as the original's as far as that could be asked. No key is ever sent."""
    at = replace(reference, host=mirror)
    found = host.registry.manifest(at, None, info.arch or "amd64")
    if original is None:
        emit(Line(_("{reason} So it cannot be told whether the mirror has the same image.").format(reason=said(why))))
    elif original.digest != found.digest:
        raise Trouble(
            Problem.DIGEST_MISMATCH,
            subject=str(at),
            evidence=(Evidence(str(reference), original.digest), Evidence(str(at), found.digest)),
        )
    return found


def _asked(
    host: Host, reference: ImageReference, key: Secret | None, begun: Callable[[], None] = lambda: None
) -> tuple[EngineInfo, Manifest | None, Trouble | None]:
    """What the engine says of itself, and the manifest as ``_ask`` has it; ``begun`` is called between the two.

    The registry is far, so it is asked while the engine answers: for this machine's processor, and once more where the
    engine runs on another one.
    """
    guess = go_arch(host.info.arch)
    manifest = Beside(lambda: _ask(host, reference, key, guess), "registry")
    info = host.engine.info()
    begun()
    arch = info.arch or "amd64"
    return info, *(manifest.result() if arch == guess else _ask(host, reference, key, arch))


def _ask(
    host: Host, reference: ImageReference, key: Secret | None, arch: str
) -> tuple[Manifest | None, Trouble | None]:
    """The manifest, or why the registry could not be asked. What the registry itself says against it is raised."""
    try:
        return host.registry.manifest(reference, key, arch), None
    except Trouble as trouble:
        if trouble.kind not in UNREACHABLE:
            raise
        return None, trouble


@contextmanager
def _begun(
    host: Host, reference: ImageReference, key: Secret | None, way: Way, cancel: Cancel
) -> Iterator[_Begun | None]:
    """The engine's pull, where it is certain from the start that there will be one; it ends with the block.

    Not with a key: whether the registry wants it is known only from its answer.
    """
    chosen = way.via == "engine" and not way.mirror and key is None
    if not chosen or host.engine.image(str(reference)) is not None:
        yield None
        return
    begun = _Begun(host, reference, cancel)
    try:
        yield begun
    finally:
        begun.stop()


class _Begun:
    """A pull without a key that the engine has begun while the registry is asked. Its messages wait to be read, once;
    then it raises what ended it.
    """

    def __init__(self, host: Host, reference: ImageReference, cancel: Cancel) -> None:
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancel = Cancel()
        cancel.on_set(self._cancel.set)
        self._work = Beside(lambda: self._run(host, reference), "pull-begun")

    def _run(self, host: Host, reference: ImageReference) -> None:
        try:
            for message in host.engine.pull(reference, None, self._cancel):
                self._messages.put(message)
        finally:
            self._messages.put(None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (message := self._messages.get()) is not None:
            yield message
        self._work.result()

    def stop(self) -> None:
        """Ends it, if it has not ended yet."""
        if not self._work.is_over:
            self._cancel.set()


def _already(image: str, here: ImageInfo, manifest: Manifest | None, emit: Emit) -> Pulled:
    if manifest is None:
        emit(Line(_("The registry cannot be reached, so it is not known whether there is a newer one.")))
    emit(_plan(manifest, here=True))
    emit(Finished(_("{image} is here already.").format(image=image)))
    digest = manifest.digest if manifest else next((item.rpartition("@")[2] for item in here.repo_digests), "")
    return Pulled(image, here.id, digest, already=True)


def _plan(manifest: Manifest | None, *, here: bool) -> PullPlan:
    if manifest is None:
        return PullPlan(None, 0, None)
    layers = len({layer.digest for layer in manifest.layers})
    return PullPlan(manifest.download_size, manifest.download_size if here else 0, layers)


def _keys(
    host: Host, reference: ImageReference, key: Secret | None, manifest: Manifest | None, why: Trouble | None
) -> tuple[Secret | None, ...]:
    """What to pull with, in this order. The key only where the registry is known to want it, or may want it."""
    if manifest is not None:
        return (None,) if manifest.anonymous else (key,)
    if key is not None and host.registry.takes_key(reference.host) and why and why.kind in _SAFE_FOR_THE_KEY:
        return None, key
    return (None,)


def _stream(
    host: Host,
    reference: ImageReference,
    keys: tuple[Secret | None, ...],
    telling: Telling,
    cancel: Cancel,
    info: EngineInfo,
    begun: _Begun | None,
) -> None:
    """Runs the engine's pull to its end. Raises what it says went wrong, before the stream and in it."""
    for number, key in enumerate(keys, start=1):
        try:
            with telling.watched():
                for message in begun or host.engine.pull(reference, key, cancel):
                    telling.hear(message)
            cancel.check()
            error = telling.progress.error
            if error is None:
                return
            kind = engine_text.of_pull(error, key_given=key is not None)
            raise Trouble(kind, error, evidence=(Evidence("POST /images/create", error),))
        except Trouble as trouble:
            if trouble.kind in REFUSED and number < len(keys):
                telling.progress.error = None
                continue
            trouble.subject = _subject(trouble, reference, info)
            raise


def _subject(trouble: Trouble, reference: ImageReference, info: EngineInfo) -> str:
    """What a failure of the pull is about."""
    if trouble.kind is Problem.DISK_FULL:
        return info.root_dir
    if trouble.kind is Problem.PROXY:
        return ""  # Docker's own; it does not say which
    return reference.host if trouble.kind in UNREACHABLE else trouble.subject or str(reference)


def compared(image: str, arrived: ImageInfo | None, *digests: str) -> ImageInfo:
    """The image, if it is the one that was promised."""
    if arrived is None:
        raise Trouble(Problem.PULL_FAILED, "the engine reports success, but has no such image", subject=image)
    if any(digests) and not arrived.is_one_of(*digests):
        raise Trouble(
            Problem.DIGEST_MISMATCH,
            subject=image,
            evidence=(
                Evidence(_("The registry"), ", ".join(filter(None, digests))),
                Evidence(_("Docker"), ", ".join((arrived.id, *arrived.repo_digests))),
            ),
        )
    return arrived


def said(trouble: Trouble | None) -> str:
    """What happened, in one sentence."""
    from wizard.services import words

    return "" if trouble is None else words.explain(trouble).summary


class Telling:
    """Turns the engine's messages into events: at most ten a second, and a name for it when nothing moves.

    The messages come in one thread, which may block for minutes; a second one looks at the clock meanwhile.
    """

    def __init__(
        self,
        progress: PullProgress | TransferProgress,
        emit: Emit,
        clock: Callable[[], float],
        stall_after: float,
        reasons: Mapping[Wait, str],
    ) -> None:
        self.progress = progress
        self._reasons = reasons
        self._emit = emit
        self._clock = clock
        self._stall_after = stall_after
        self._lock = threading.Lock()
        self._since = clock()
        self._told = self._since - _BETWEEN_EVENTS
        self._layers_told = self._since - _BETWEEN_LAYERS
        self._stalls = 0

    def hear(self, message: dict[str, object]) -> None:
        """Takes a message of the engine."""
        with self._lock:
            now = self._clock()
            self.progress.feed(message, now)
            self._speak(now)

    def look(self) -> None:
        """Says how far it is, or that nothing moves, if it is time for that."""
        with self._lock:
            self._speak(self._clock())

    def tell(self) -> None:
        """Says how far it is, whenever the last time was."""
        with self._lock:
            self._emit(self.progress.snapshot(self._clock()))

    def watched(self) -> AbstractContextManager[None]:
        """Looks at the clock in a thread of its own until the end."""
        return regularly(self.look, min(_WATCH_SECONDS, self._stall_after / 4), "pull-watch")

    def _speak(self, now: float) -> None:
        """Progress while there is some. Once nothing has moved for too long, that is said instead, again and again
        after the same time.
        """
        moved = self._since if self.progress.moved_at is None else self.progress.moved_at
        quiet = now - moved
        if quiet < self._stall_after:
            self._stalls = 0
            if now - self._told >= _BETWEEN_EVENTS:
                self._told = now
                self._emit(self.progress.snapshot(now))
            if now - self._layers_told >= _BETWEEN_LAYERS:
                self._layers_told = now
                self._emit(self.progress.layers)
        elif quiet >= self._stall_after * (self._stalls + 1):
            self._stalls = int(quiet // self._stall_after)
            self._emit(Stalled(quiet, _(self._reasons[self.progress.waits_for])))


class Loading(threading.Thread):
    """Gives the archive to the engine. ``trouble`` is what ended it, after its end."""

    def __init__(self, host: Host, archive: Iterator[bytes], telling: Telling, cancel: Cancel) -> None:
        super().__init__(name="load", daemon=True)
        self._host, self._archive, self._telling, self._cancel = host, archive, telling, cancel
        self.trouble: Trouble | None = None
        self.start()

    def run(self) -> None:
        try:
            for message in self._host.engine.load(self._archive, self._cancel):
                self._telling.hear(message)
        except Trouble as trouble:
            self.trouble = trouble
