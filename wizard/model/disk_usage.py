"""What the Docker engine keeps on the disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image and what it takes on the disk, in bytes. ``in_use`` says whether a container is made of it, running or
    not; ``tags`` are none for a leftover of a build or of a newer pull ("dangling").
    """

    id: str
    tags: tuple[str, ...]
    size: int
    in_use: bool


@dataclass(frozen=True, slots=True)
class StoredContainer:
    """A container and the bytes that were written in it, which go with it."""

    id: str
    name: str
    running: bool
    size: int


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What the engine keeps. ``build_cache`` is the bytes of it that no build uses now."""

    images: tuple[StoredImage, ...]
    containers: tuple[StoredContainer, ...]
    build_cache: int
