"""Downloads an image into the cache, and gives it to the engine while it comes.

What is in the cache survives everything that may end this program. The engine gets an archive that every engine takes;
layers that it is known to have are left out of it, and not fetched.

An engine unpacks an archive only when all of it has arrived. So it is given the image in parts: all but the last make
an image of our own with the first layers only, and the engine, which has those then, unpacks them while the next ones
come. These images are removed at the end; those of a process that was killed, with the next one's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from wizard.host.ports import BlobSource, CachedBlob, Host
from wizard.model import engine_text, image_archive
from wizard.model.engine import EngineInfo, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line
from wizard.model.finding import Evidence
from wizard.model.i18n import N_, _
from wizard.model.image import LABEL_UNFINISHED, UNFINISHED, Document, ImageReference, Layer, Manifest, digest_of
from wizard.model.machine import DiskSpace
from wizard.model.progress import PullPlan, TransferProgress, Wait
from wizard.model.secret import Secret
from wizard.services import image_places
from wizard.services.fetch import CONNECTIONS, Fetcher, Limits, Outdated, insist
from wizard.services.pull import Loading, Pulled, Room, Telling, Way, compared, said

_UNPACKED = 2
"""An unpacked image is about that many times its compressed size."""
_TICK = 0.1
_BUSY_SECONDS = 1.0
_LARGEST_CONFIG = 8 * 1024 * 1024
_TRIES = 5
_MOST_RELATIVES = 4
"""images of the same repository whose manifests are asked for, to find layers in common"""
LEAST_PART = 16_000_000
"""bytes of a part of an image that are worth a load of their own"""
LEAST_STORED_PART = 64_000_000
"""the same with the containerd store, where each load and each removal of what it made costs a tenth of a second"""
_MOST_PARTS = 16
_GRACE_SECONDS = 3.0
"""for an engine that unpacks a part when the download is stopped: what it makes later is not removed any more"""
_LEAVE_SECONDS = 1.0
"""for a load whose connection was shut"""
REASONS = {
    Wait.NETWORK: N_("Nothing comes from the network. What is here is kept; it goes on as soon as something comes."),
    Wait.RETRY: N_("The connection broke. It is tried again and again; what is here is kept."),
    Wait.UNPACKING: N_("Docker unpacks a large layer. This can take minutes; the network is not needed for it."),
}


@dataclass(frozen=True, slots=True)
class Stock:
    """What need not be fetched of an image. ``config`` is its configuration, empty where it was not asked for;
    ``skipped`` are the layers that the engine has (``in_engine`` bytes), ``whole`` how many others are in the cache
    (``in_cache`` bytes, with those that are there in part).
    """

    config: bytes
    skipped: frozenset[str]
    in_engine: int
    in_cache: int
    whole: int

    @property
    def bytes_here(self) -> int:
        return self.in_engine + self.in_cache


def stock(
    host: Host,
    manifest: Manifest,
    key: Secret | None,
    info: EngineInfo,
    cancel: Cancel | None = None,
    *,
    look: bool = True,
) -> Stock:
    """Looks at the cache and, with ``look``, at the engine's images; for that the configuration is fetched."""
    config, skipped = b"", frozenset[str]()
    if look:
        config = _config(host, manifest, key, cancel or Cancel())
        skipped = _in_engine(host, manifest, key, info, config)
    sizes = {layer.digest: layer.size for layer in manifest.layers}
    cached = {digest: host.cache.here(digest, size) for digest, size in sizes.items() if digest not in skipped}
    return Stock(
        config,
        skipped,
        sum(sizes[digest] for digest in skipped),
        sum(cached.values()),
        sum(cached[digest] == sizes[digest] for digest in cached),
    )


def rooms(host: Host, info: EngineInfo, missing: int, in_cache: int, *, download: bool) -> tuple[Room, ...]:
    """The disk that is needed at each place when ``missing`` compressed bytes are new to the engine, ``in_cache`` of
    them in the cache already.

    Engines with graph drivers first copy the whole archive to a temporary folder; those with the containerd store keep
    the compressed layers beside the unpacked ones. So both need the compressed size once more.
    """
    places = image_places.folders(host, info)
    place = places[-1] if places else info.root_dir
    engine = _disk(host, place) if places and place else None
    needed = missing * (1 + _UNPACKED)
    of_engine = Room("engine", place, needed, engine.free if engine else None)
    if not download:
        return (of_engine,)
    folder, more = host.cache.folder(), max(0, missing - in_cache)
    cache = _disk(host, folder)
    if engine is not None and cache is not None and engine.device == cache.device:
        return (Room("both", place, needed + more, engine.free),)
    return of_engine, Room("cache", folder, more, cache.free if cache else None)


def check_room(wanted: tuple[Room, ...]) -> None:
    """Raises ``DISK_FULL`` for the first place where there is too little."""
    for room in wanted:
        if room.free is not None and room.free < room.needed:
            raise Trouble(
                Problem.DISK_FULL,
                f"{room.needed} bytes needed, {room.free} free",
                subject=room.path,
                hint=_short_of(room.needed - room.free),
            )


def _short_of(count: int) -> str:
    return _("About {size} more is needed there. What was downloaded is kept.").format(size=f"{count / 1e9:.1f} GB")


def _disk(host: Host, path: str) -> DiskSpace | None:
    try:
        return host.files.disk(path)
    except Trouble:
        return None


def _config(host: Host, manifest: Manifest, key: Secret | None, cancel: Cancel) -> bytes:
    """The image's configuration. Raises the kinds of the registry, ``DIGEST_MISMATCH``."""
    size = manifest.config_size
    if size > _LARGEST_CONFIG:
        raise Trouble(Problem.REGISTRY_TROUBLE, f"a configuration of {size} bytes", subject=manifest.reference.host)
    source = host.registry.blobs(manifest.reference, key)
    try:
        return insist(lambda: _read(source, manifest.config_digest, size), cancel, _TRIES)
    finally:
        source.close()


def _read(source: BlobSource, digest: str, size: int) -> bytes:
    stream = source.open(digest, size, 0, size)
    try:
        return b"".join(iter(stream.read, b""))
    finally:
        stream.close()


def _in_engine(host: Host, manifest: Manifest, key: Secret | None, info: EngineInfo, config: bytes) -> frozenset[str]:
    """The layers that may be left out of the archive.

    Graph drivers know a layer by its place on those below it: what an image here shares with the new one, counted from
    the lowest, is taken from there. The containerd store knows compressed layers by their digests: those of an image
    that was pulled from the same repository.
    """
    if info.kind is EngineKind.PODMAN:
        return frozenset()
    names = host.engine.images()
    if not info.containerd_store:
        wanted = _unpacked(config)
        if len(wanted) != len(manifest.layers):
            return frozenset()
        shared = 0
        for name in names:
            found = host.engine.image(name.id)
            if found is not None:
                shared = max(shared, _in_common(found.layers, wanted))
        rest = {layer.digest for layer in manifest.layers[shared:]}
        return frozenset(layer.digest for layer in manifest.layers[:shared]) - rest
    start = f"{manifest.reference.name}@"
    relatives = [item for name in names for item in name.repo_digests if item.startswith(start)]
    layers: set[str] = set()
    for item in relatives[:_MOST_RELATIVES]:
        try:
            found_manifest = host.registry.manifest(ImageReference.parse(item), key, info.arch or "amd64")
        except Trouble:
            continue
        layers |= {layer.digest for layer in found_manifest.layers}
    return frozenset(layers & {layer.digest for layer in manifest.layers})


def _unpacked(config: bytes) -> tuple[str, ...]:
    """The digests of the layers without compression; none where the configuration cannot be read."""
    try:
        return tuple(json.loads(config)["rootfs"]["diff_ids"])
    except (ValueError, KeyError, TypeError):
        return ()


def _in_common(some: tuple[str, ...], others: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(some, others, strict=False):
        if one != other:
            break
        count += 1
    return count


def run(
    host: Host,
    reference: ImageReference,
    manifest: Manifest,
    key: Secret | None,
    info: EngineInfo,
    emit: Emit,
    cancel: Cancel,
    *,
    way: Way,
    clock: Callable[[], float],
    stall_after: float,
) -> Pulled:
    """Downloads and loads the image that ``manifest`` describes, under the name ``reference``.

    See ``pull.run``, which is how it is called.
    """
    with _alone(host, emit, cancel):
        work = _Work(
            host,
            reference,
            manifest,
            key,
            info,
            emit,
            cancel,
            Limits(way.connections or CONNECTIONS, way.rate or None),
            clock,
            stall_after,
        )
        here = host.engine.image(str(reference))
        if here is not None and here.is_one_of(*manifest.digests):
            emit(Finished(_("{image} is here.").format(image=reference)))
            return Pulled(str(reference), here.id, manifest.digest, already=True)  # the other one has fetched it
        try:
            arrived = work.run()
        finally:
            _remove_unfinished(host)
        if not way.keep:
            host.cache.remove(tuple(layer.digest for layer in manifest.layers))
    return Pulled(str(reference), arrived, manifest.digest, already=False)


def clean(host: Host) -> int:
    """Empties the cache, and removes what a killed download has left in the engine; the bytes that the cache gave back.
    Raises ``BUSY`` while something is downloaded.
    """
    with host.cache.lock():
        _remove_unfinished(host)
        return host.cache.remove()


def _remove_unfinished(host: Host) -> None:
    """Removes our images that have only a part of their layers, as far as the engine lets us."""
    with suppress(Trouble):
        names = [name for found in host.engine.images() for name in found.tags if name.startswith(f"{UNFINISHED}:")]
        for name in names:
            image = host.engine.image(name)
            if image is not None and LABEL_UNFINISHED in image.labels:
                with suppress(Trouble):
                    host.engine.remove_image(name)


@dataclass(slots=True)
class _Part:
    """What the engine gets in one load: the layers from the place ``first`` up to ``end``, which is known (not None)
    when the last of them is under way. ``before`` is the load of the part before it. ``outdated`` ended its load: what
    was given of a layer was not right, and the part is begun anew.
    """

    first: int = 0
    before: Loading | None = None
    end: int | None = None
    outdated: bool = False


class _Work:
    """One download."""

    def __init__(
        self,
        host: Host,
        reference: ImageReference,
        manifest: Manifest,
        key: Secret | None,
        info: EngineInfo,
        emit: Emit,
        cancel: Cancel,
        limits: Limits,
        clock: Callable[[], float],
        stall_after: float,
    ) -> None:
        self._host, self._reference, self._manifest, self._key, self._info = host, reference, manifest, key, info
        self._emit, self._cancel, self._limits, self._clock = emit, cancel, limits, clock
        self._sizes = {layer.digest: layer.size for layer in manifest.layers}
        self._stock = stock(host, manifest, key, info, cancel)
        here = {digest: host.cache.here(digest, size) for digest, size in self._sizes.items()}
        here |= {digest: self._sizes[digest] for digest in self._stock.skipped}
        self._progress = TransferProgress(self._sizes, here, manifest.config_size, len(self._stock.skipped))
        self._telling = Telling(self._progress, emit, clock, stall_after, REASONS)
        as_described = len(_unpacked(self._stock.config)) == len(manifest.layers)
        self._divides = as_described and info.kind is not EngineKind.PODMAN  # which knows no layers but its own

    def run(self) -> str:
        """Fetches, loads and compares; the image's id."""
        stock, total = self._stock, self._manifest.download_size
        self._emit(PullPlan(total, stock.bytes_here, len(self._sizes), via="download"))
        check_room(rooms(self._host, self._info, total - stock.in_engine, stock.in_cache, download=True))
        self._progress.start(self._clock())
        trouble = self._attempt(stock.skipped)
        if trouble is not None:
            # Docker was restarted meanwhile, or an image that had the layers was removed: everything once more, as one.
            self._emit(Line(_("{reason} It is tried once more.").format(reason=said(trouble))))
            self._progress.error = None
            self._divides = False
            for digest in self._host.cache.recheck(tuple(self._sizes)):  # what the disk has changed comes anew
                self._progress.arrived(digest, -self._sizes[digest], self._clock())
            trouble = self._attempt(frozenset())
        if trouble is not None:
            raise trouble
        arrived = compared(str(self._reference), self._host.engine.image(str(self._reference)), *self._manifest.digests)
        self._progress.finish()
        self._telling.tell()
        self._emit(Finished(_("{image} is here.").format(image=self._reference)))
        return arrived.id

    def _attempt(self, skipped: frozenset[str]) -> Trouble | None:
        """Fetches all layers but those, and loads the image meanwhile; what the engine says against it, at the end."""
        blobs: dict[str, CachedBlob] = {}
        part, loads = _Part(), list[Loading]()
        fetcher: Fetcher | None = None
        ended = Cancel()
        try:
            for digest, size in self._sizes.items():
                if digest not in skipped:
                    blobs[digest] = self._host.cache.open(digest, size)
            fetcher = Fetcher(
                tuple(blobs.values()),
                lambda: self._host.registry.blobs(self._manifest.reference, self._key),
                self._progress,
                self._cancel,
                self._limits,
                self._clock,
            )
            fetcher.start()
            loads.append(Loading(self._host, self._archive(part, blobs, fetcher), self._telling, ended))
            while not fetcher.finished or loads[-1].is_alive() or part.outdated or self._is_unfinished(part.end):
                loads[-1].join(_TICK)
                if self._is_unfinished(part.end):
                    part = _Part(part.end or 0, loads[-1])
                    loads.append(Loading(self._host, self._archive(part, blobs, fetcher), self._telling, ended))
                elif part.outdated and not loads[-1].is_alive():
                    part = _Part(part.first, part.before)
                    loads[-1] = Loading(self._host, self._archive(part, blobs, fetcher), self._telling, ended)
                if not loads[-1].is_alive():
                    self._cancel.wait(0 if fetcher.finished else _TICK)
                self._verdict(loads)
                fetcher.tick()
                self._telling.look()
                self._cancel.check()
            fetcher.check()
            return self._verdict(loads)
        except Trouble as trouble:
            raise self._explained(trouble) from trouble
        finally:
            if fetcher is not None:
                fetcher.close()
            for loading in loads if self._is_unfinished(part.end) else loads[:-1]:
                loading.join(_GRACE_SECONDS)
            ended.set()
            for loading in loads:
                loading.join(_LEAVE_SECONDS)  # it reads from what is closed now
            for blob in blobs.values():
                blob.close()

    def _archive(self, part: _Part, blobs: dict[str, CachedBlob], fetcher: Fetcher) -> Iterator[bytes]:
        """The archive of a part: its layers as soon as they are whole, since one that is not would hold up those that
        are. Its last layer is the one that is here when the engine has nothing to do, and there is enough for it; what
        the archive is comes behind.

        An engine with a graph driver looks at nothing before it has all, so that it gets a part's first layer as it
        comes. The containerd store keeps what it was given, also of an archive that was broken off: that has to be
        right.
        """
        archive, layers, sent = image_archive, self._manifest.layers, dict[str, int]()
        store = self._info.containerd_store
        least = max(LEAST_STORED_PART if store else LEAST_PART, self._manifest.download_size // _MOST_PARTS)

        def enough() -> bool:
            idle = part.before is None or not part.before.is_alive()
            return self._divides and idle and sum(sent.values()) >= least

        end = part.first
        for layer in layers[part.first :]:
            blob = blobs.get(layer.digest)
            if blob is not None and layer.digest not in sent:
                if (sent or store or not self._divides) and (enough() or not fetcher.wait(layer.digest, enough)):
                    break
                try:
                    yield from archive.member(archive.path_of(layer.digest), blob.size, fetcher.stream(blob))
                except Outdated:
                    part.outdated = True
                    raise
                sent[layer.digest] = blob.size
            end += 1
        if part.before is not None:
            part.before.join()
            if part.before.trouble is not None or self._progress.error is not None:
                raise part.before.trouble or Trouble(Problem.PULL_FAILED, subject=str(self._reference))
        yield from self._unfinished(end) if self._is_unfinished(end) else self._documents()
        part.end = end
        yield archive.end()

    def _is_unfinished(self, end: int | None) -> bool:
        return end is not None and end < len(self._manifest.layers)

    def _unfinished(self, count: int) -> Iterator[bytes]:
        """What makes an image of the first ``count`` layers."""
        manifest = self._manifest
        config = image_archive.beginning(self._stock.config, count, self._reference)
        name = replace(ImageReference.parse(UNFINISHED), tag=f"{manifest.config_digest[-12:]}-{count}")
        document = image_archive.beginning_document(manifest.documents[-1], config, count)
        return self._image(name, (document,), config, manifest.layers[:count])

    def _documents(self) -> Iterator[bytes]:
        """What makes the image."""
        return self._image(self._reference, self._manifest.documents, self._stock.config, self._manifest.layers)

    def _image(
        self, name: ImageReference, documents: tuple[Document, ...], config: bytes, layers: tuple[Layer, ...]
    ) -> Iterator[bytes]:
        """What makes an image of layers that the engine has, or that came before in the archive."""
        archive = image_archive
        place = archive.path_of(digest_of(config))
        yield from archive.file("oci-layout", archive.layout())
        yield from archive.file("index.json", archive.index(name, documents[0]))
        for document in documents:
            yield from archive.file(archive.path_of(document.digest), document.data)
        yield from archive.file(place, config)
        paths = [archive.path_of(layer.digest) for layer in layers]
        yield from archive.file("manifest.json", archive.legacy(name, place, paths))

    def _verdict(self, loads: list[Loading]) -> Trouble | None:
        """What the engine had against the archives. Raises ``DISK_FULL``, which nothing more can help against."""
        text = self._progress.error
        if text is None:
            return next((loading.trouble for loading in loads if loading.trouble is not None), None)
        kind = engine_text.of_pull(text, key_given=True)
        evidence = (Evidence("POST /images/load", text),)
        if kind is Problem.DISK_FULL:
            raise Trouble(kind, text, subject=self._info.root_dir, evidence=evidence)
        return Trouble(Problem.PULL_FAILED, text, subject=str(self._reference), evidence=evidence)

    def _explained(self, trouble: Trouble) -> Trouble:
        """Says what a failure is about, and how much room is missing where a disk is full."""
        if trouble.kind is Problem.DISK_FULL and not trouble.hint:
            here = sum(self._host.cache.here(digest, size) for digest, size in self._sizes.items())
            try:
                free = self._host.files.disk(self._host.cache.folder()).free
            except Trouble:
                free = 0
            trouble.hint = _short_of(max(0, sum(self._sizes.values()) - self._stock.in_engine - here - free))
        elif trouble.kind is Problem.DIGEST_MISMATCH:
            trouble.subject = str(self._reference)
        return trouble


@contextmanager
def _alone(host: Host, emit: Emit, cancel: Cancel) -> Iterator[None]:
    """Holds the cache; waits as long as another process has it."""
    told = False
    while True:
        try:
            lock = host.cache.lock()
            lock.__enter__()
        except Trouble as trouble:
            if trouble.kind is not Problem.BUSY:
                raise
            if not told:
                text = _("Another download is running (process {pid}). This one waits until it has ended.")
                emit(Line(text.format(pid=trouble.subject)))
                told = True
            cancel.wait(_BUSY_SECONDS)
            cancel.check()
        else:
            break
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
