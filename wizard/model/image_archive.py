"""One archive of an image that every engine takes.

It is an OCI layout and an old ``docker save`` archive at once: ``index.json`` names the manifest's original bytes, so
that an engine with the containerd store keeps the registry's digest; ``manifest.json`` names the same blobs for engines
that know only graph drivers. Layers stay compressed. Seen to be taken by engines 20.10, 26.1 and 28.5.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator

from wizard.model.image import LABEL_UNFINISHED, Document, ImageReference, digest_of

_INDEX = "application/vnd.oci.image.index.v1+json"
_BLOCK = 512


def path_of(digest: str) -> str:
    """Where a blob lies in the archive."""
    return "blobs/" + digest.replace(":", "/", 1)


def index(name: ImageReference, document: Document) -> bytes:
    """``index.json``: the image's name, and the document that it names."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _INDEX,
            "manifests": [
                {
                    "mediaType": document.media_type,
                    "digest": document.digest,
                    "size": len(document.data),
                    "annotations": {
                        "io.containerd.image.name": str(name),
                        "org.opencontainers.image.ref.name": name.tag,
                    },
                }
            ],
        }
    ).encode()


def legacy(name: ImageReference, config: str, layers: Iterable[str]) -> bytes:
    """``manifest.json``: the image's name, and the places of its configuration and layers in the archive."""
    return json.dumps([{"Config": config, "RepoTags": [str(name)], "Layers": list(layers)}]).encode()


def beginning(config: bytes, count: int, whole: ImageReference) -> bytes:
    """The configuration of an image that has only the first ``count`` layers of the one that ``config`` describes; the
    same bytes each time. Raises ValueError, KeyError or TypeError for what is no configuration.
    """
    about = json.loads(config)
    return json.dumps(
        {
            "architecture": about["architecture"],
            "os": about["os"],
            "config": {"Labels": {LABEL_UNFINISHED: str(whole)}},
            "rootfs": {"type": "layers", "diff_ids": about["rootfs"]["diff_ids"][:count]},
        }
    ).encode()


def beginning_document(whole: Document, config: bytes, count: int) -> Document:
    """The manifest of the image whose configuration ``beginning`` has made; ``whole`` is that of the whole image."""
    about = json.loads(whole.data)
    about["config"] |= {"digest": digest_of(config), "size": len(config)}
    wanted = {name: about[name] for name in ("schemaVersion", "mediaType", "config") if name in about}
    return Document(whole.media_type, json.dumps(wanted | {"layers": about["layers"][:count]}).encode())


def layout() -> bytes:
    """``oci-layout``."""
    return b'{"imageLayoutVersion":"1.0.0"}'


def file(name: str, data: bytes) -> Iterator[bytes]:
    """A small file in the archive."""
    return member(name, len(data), [data])


def member(name: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A file in the archive: its head, its bytes, and what fills the last block. Raises ValueError for other sizes."""
    head = tarfile.TarInfo(name)
    head.size, head.mode = size, 0o644
    yield head.tobuf(tarfile.USTAR_FORMAT if size < 8**11 else tarfile.GNU_FORMAT)
    count = 0
    for piece in pieces:
        count += len(piece)
        yield piece
    if count != size:
        raise ValueError(f"{name}: {count} bytes instead of {size}")
    yield bytes(-size % _BLOCK)


def end() -> bytes:
    """What closes the archive."""
    return bytes(2 * _BLOCK)
