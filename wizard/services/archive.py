"""An image from a file, for machines without a network: what ``docker save`` writes, or an OCI layout, in a tar archive
that may be compressed.

Engines differ in what they take, so the archive is never handed on as it is: its parts go into the one kind of archive
that all of them take, under the name that is wanted.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from wizard.host.ports import Host
from wizard.model import engine_text, image_archive
from wizard.model.engine import EngineInfo, EngineKind, ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Finished, Line
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.image import Document, ImageReference, digest_of
from wizard.model.progress import PullPlan, TransferProgress
from wizard.services.download import REASONS, check_room
from wizard.services.pull import Loading, Pulled, Room, Telling, compared, said

_SMALL = 1024 * 1024
_MOST = 64 * _SMALL
"""bytes of small files that are kept while the archive is looked through"""
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zX")
_PIECE = 1024 * 1024
_ROOM = 2
"""the archive's temporary copy, and the unpacked files"""
_TICK = 0.1


@dataclass(frozen=True, slots=True)
class _Image:
    """One image of an archive. ``layers`` and ``config`` are paths in it; ``document`` is its manifest, if any."""

    names: tuple[str, ...]
    config: str
    layers: tuple[str, ...]
    document: Document | None = None


@dataclass(frozen=True, slots=True)
class _Contents:
    """What an archive holds: the sizes of its files, links (a path and where it leads), and the small files."""

    path: str
    sizes: dict[str, int]
    links: dict[str, str]
    small: dict[str, bytes]

    def json(self, name: str) -> Any:
        try:
            return json.loads(self.small[name])
        except (KeyError, ValueError, RecursionError) as error:
            raise _bad(self.path, f"{name}: {error!r}") from error

    def real(self, name: str) -> str:
        """The path of the file that ``name`` leads to. Raises ``ARCHIVE_BAD`` where it is missing."""
        for _hop in range(4):
            if name in self.sizes:
                return name
            name = self.links.get(name, name)
        raise _bad(self.path, _("{part} is missing in it").format(part=name))


def name_in(host: Host, path: str) -> str:
    """The name of the only image in an archive. Raises ``ARCHIVE_BAD``, with the names where there are several."""
    images = _images(_look(host, path, Cancel()), "")
    names = [name for image in images for name in image.names]
    if len(names) != 1:
        text = ", ".join(names) or _("no name")
        raise _bad(path, text, _("Say which image is wanted, as IMAGE. It holds: {names}.").format(names=text))
    return names[0]


def run(
    host: Host,
    reference: ImageReference,
    path: str,
    info: EngineInfo,
    emit: Emit,
    cancel: Cancel,
    *,
    clock: Callable[[], float],
    stall_after: float,
) -> Pulled:
    """Gives the engine the image of an archive, under the name ``reference``. See ``pull.run``, which calls it.

    Raises ``ARCHIVE_BAD``, ``FILE_MISSING``, ``FILE_PERMISSION``, ``PLATFORM_MISSING``, ``DISK_FULL``.
    """
    contents = _look(host, path, cancel)
    image = _chosen(_images(contents, info.arch or "amd64"), str(reference), path)
    config, layers = contents.real(image.config), [contents.real(layer) for layer in image.layers]
    about = contents.json(config)
    digest = digest_of(contents.small[config])
    _check(about, layers, info, reference, path)
    digests = (image.document.digest if image.document else "", digest)
    here = host.engine.image(str(reference))
    total = sum(contents.sizes[layer] for layer in dict.fromkeys(layers))
    if here is not None and _is(here, digests, about, info):
        emit(PullPlan(total, total, len(layers), via="file"))
        emit(Finished(_("{image} is here already.").format(image=reference)))
        return Pulled(str(reference), here.id, digests[0] or digest, already=True)
    emit(PullPlan(total, 0, len(layers), via="file"))
    place = (
        host.files.disk(info.root_dir).free
        if info.root_dir.startswith("/") and info.kind is EngineKind.ENGINE
        else None
    )
    check_room((Room("engine", info.root_dir, _ROOM * total, place),))
    progress = _Reading({layer: contents.sizes[layer] for layer in layers}, {})
    telling = Telling(progress, emit, clock, stall_after, REASONS)
    progress.start(clock())
    unpacked = dict(zip(layers, about["rootfs"]["diff_ids"], strict=True))
    pieces = _archive(host, contents, image, config, unpacked, reference, progress, clock)
    loading = Loading(host, pieces, telling, cancel)
    while loading.is_alive():
        loading.join(_TICK)
        telling.look()
    cancel.check()
    if loading.trouble is not None:
        raise loading.trouble
    if progress.error is not None:
        kind = engine_text.of_pull(progress.error, key_given=True)
        kind, subject = (kind, info.root_dir) if kind is Problem.DISK_FULL else (Problem.ARCHIVE_BAD, path)
        evidence = (Evidence("POST /images/load", progress.error),)
        raise Trouble(kind, progress.error, subject=subject, evidence=evidence)
    arrived = host.engine.image(str(reference))
    if arrived is None or not _is(arrived, digests, about, info):
        arrived = compared(str(reference), arrived, *digests)
    _tell_difference(host, reference, digests, emit)
    progress.finish()
    telling.tell()
    emit(Finished(_("{image} is here.").format(image=reference)))
    return Pulled(str(reference), arrived.id, digests[0] or digest, already=False)


class _Reading(TransferProgress):
    @property
    def phase(self) -> str:
        if self._finished:
            return _("done")
        return _("reading the archive") if len(self._whole) < len(self._sizes) else _("unpacking")


def _look(host: Host, path: str, cancel: Cancel) -> _Contents:
    contents = _Contents(path, {}, {}, {})
    kept = 0
    for member, read in _members(host, path):
        cancel.check()
        name = _name(member.name)
        if member.issym() or member.islnk():
            base = posixpath.dirname(name) if member.issym() else ""
            contents.links[name] = _name(posixpath.join(base, member.linkname))
        elif member.isfile():
            contents.sizes[name] = member.size
            if member.size <= _SMALL and kept + member.size <= _MOST:
                contents.small[name] = b"".join(read())
                kept += member.size
    return contents


def _members(host: Host, path: str) -> Iterator[tuple[tarfile.TarInfo, Callable[[], Iterator[bytes]]]]:
    """Each file of the archive, and how to read it; only until the next one."""
    with host.files.open(path, unpack=True) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:" if file.seekable() else "r|", bufsize=_PIECE) as archive:
                for member in archive:

                    def read(member: tarfile.TarInfo = member) -> Iterator[bytes]:
                        content = archive.extractfile(member)
                        left = member.size
                        while content is not None and left:
                            try:
                                piece = content.read(min(_PIECE, left))
                            except tarfile.TarError as error:
                                raise _bad(path, f"{member.name}: {error}") from error
                            if not piece:
                                raise _bad(path, f"{member.name}: {left} bytes are missing")
                            left -= len(piece)
                            yield piece

                    yield member, read
        except (tarfile.TarError, EOFError) as error:
            raise _bad(path, str(error)) from error


def _images(contents: _Contents, arch: str) -> list[_Image]:
    documents = list(_documents(contents, arch)) if "index.json" in contents.sizes else []
    if "manifest.json" in contents.sizes:
        try:
            return [
                _Image(
                    tuple(str(ImageReference.parse(name)) for name in entry.get("RepoTags") or ()),
                    _name(entry["Config"]),
                    tuple(_name(layer) for layer in entry["Layers"]),
                    next((found.document for found in documents if found.config == _name(entry["Config"])), None),
                )
                for entry in contents.json("manifest.json")
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise _bad(contents.path, f"manifest.json: {error!r}") from error
    if not documents:
        raise _bad(contents.path, _("it has neither manifest.json nor index.json"))
    return documents


def _documents(contents: _Contents, arch: str) -> Iterator[_Image]:
    """The images of an OCI layout; of a list of platforms the one for ``arch`` ("": each)."""
    waiting = [(entry, "") for entry in contents.json("index.json").get("manifests", ())]
    while waiting:
        entry, name = waiting.pop(0)
        try:
            notes = entry.get("annotations") or {}
            name = notes.get("io.containerd.image.name") or name
            place = image_archive.path_of(entry["digest"])
            platform = entry.get("platform") or {}
            if arch and platform.get("architecture", arch) != arch:
                continue
            document = contents.json(place)
            if "manifests" in document:
                waiting += [(inner, name) for inner in document["manifests"]]
                continue
            yield _Image(
                (str(ImageReference.parse(name)),) if name else (),
                image_archive.path_of(document["config"]["digest"]),
                tuple(image_archive.path_of(layer["digest"]) for layer in document["layers"]),
                Document(document.get("mediaType") or entry["mediaType"], contents.small[place]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise _bad(contents.path, f"index.json: {error!r}") from error


def _chosen(images: list[_Image], wanted: str, path: str) -> _Image:
    fitting = [image for image in images if wanted in image.names] or images
    if len(fitting) != 1:
        names = ", ".join(name for image in images for name in image.names) or _("no name")
        raise _bad(path, names, _("Say which image is wanted, as IMAGE. It holds: {names}.").format(names=names))
    return fitting[0]


def _check(about: Any, layers: list[str], info: EngineInfo, reference: ImageReference, path: str) -> None:
    try:
        arch, count = about["architecture"], len(about["rootfs"]["diff_ids"])
    except (KeyError, TypeError) as error:
        raise _bad(path, f"the configuration: {error!r}") from error
    if count != len(layers):
        raise _bad(path, f"{len(layers)} layers, {count} in the configuration")
    if info.arch and arch != info.arch:
        raise Trouble(Problem.PLATFORM_MISSING, f"{path}: {arch}, not {info.arch}", subject=str(reference))


def _archive(
    host: Host,
    contents: _Contents,
    image: _Image,
    config: str,
    layers: dict[str, str],
    reference: ImageReference,
    progress: TransferProgress,
    clock: Callable[[], float],
) -> Iterator[bytes]:
    """The archive that every engine takes, made of this one while it is read."""
    archive, wanted = image_archive, {*layers, config}
    yield from archive.file("manifest.json", archive.legacy(reference, config, layers))
    if image.document is not None:
        yield from archive.file("oci-layout", archive.layout())
        yield from archive.file("index.json", archive.index(reference, image.document))
        yield from archive.file(archive.path_of(image.document.digest), image.document.data)
    for member, read in _members(host, contents.path):
        name = _name(member.name)
        if name in wanted and member.isfile():
            wanted.discard(name)
            checked = _checked(name, read(), layers.get(name, ""), contents.path, progress, clock)
            yield from archive.member(name, member.size, checked)
    yield archive.end()


def _checked(
    name: str,
    pieces: Iterator[bytes],
    unpacked: str,
    path: str,
    progress: TransferProgress,
    clock: Callable[[], float],
) -> Iterator[bytes]:
    """The bytes of a part, compared with its name where that is a digest, or with ``unpacked``, the digest of a layer
    that is not compressed.
    """
    is_layer, sha, begins = progress.knows(name), hashlib.sha256(), b""
    for piece in pieces:
        begins = begins or piece[:4]
        sha.update(piece)
        yield piece
        if is_layer:
            progress.arrived(name, len(piece), clock())
    if name.startswith("blobs/sha256/") and posixpath.basename(name) != sha.hexdigest():
        raise _bad(path, f"{name}: sha256 {sha.hexdigest()}")
    if unpacked and not begins.startswith(_COMPRESSED) and unpacked != f"sha256:{sha.hexdigest()}":
        raise _bad(path, f"{name}: sha256 {sha.hexdigest()}, {unpacked} in the configuration")
    if is_layer:
        progress.whole(name, clock())


def _is(image: ImageInfo, digests: tuple[str, str], about: Any, info: EngineInfo) -> bool:
    """Whether the engine's image is the archive's. The containerd store makes a manifest of its own for archives that
    have none; then the layers prove it.
    """
    if digests[0] or not info.containerd_store:
        return image.id in digests
    return image.layers == tuple(about["rootfs"]["diff_ids"])


def _tell_difference(host: Host, reference: ImageReference, digests: tuple[str, str], emit: Emit) -> None:
    """Says whether the registry has the same image under this name, where it can be asked without a key."""
    try:
        manifest = host.registry.manifest(reference, None)
    except Trouble as trouble:
        text = _("{reason} So it cannot be told whether the archive has the same image as the registry.")
        emit(Line(text.format(reason=said(trouble))))
        return
    if not set(digests) & set(manifest.digests):
        emit(Line(_("The registry has another image under this name now: the archive is older, or not from there.")))


def _name(path: str) -> str:
    return posixpath.normpath(path).lstrip("/")


def _bad(path: str, text: str, hint: str = "") -> Trouble:
    return Trouble(Problem.ARCHIVE_BAD, text, subject=path, hint=hint)
