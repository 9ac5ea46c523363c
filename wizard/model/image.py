"""Image references and manifests, by the rules of the distribution specification."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from wizard.model.errors import Problem, Trouble

# Grammar of github.com/distribution/reference: lower-case path components, optional host, tag of up to 128 characters.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
UNFINISHED = "s2s-wizard/unfinished"
"""The repository, in the engine alone, of images that have only the first layers of another one."""
LABEL_UNFINISHED = "s2s-wizard.unfinished"
"""Marks such an image as ours; its value is the name of the whole one."""
DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """The full name of an image: registry host (with port), repository, and tag or digest."""

    host: str
    repository: str
    tag: str
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Reads a name as Docker does. Raises ``Trouble(IMAGE_NAME_INVALID)``, with the text as its subject."""
        match = _REFERENCE.fullmatch(text.strip())
        if not match or len(text) > 512:
            raise Trouble(Problem.IMAGE_NAME_INVALID, subject=text)
        host, path = match["host"], match["path"]
        # A first part is a host only if it looks like one: it has a dot or a port, or is localhost.
        if host and not ("." in host or ":" in host or host == "localhost"):
            if not re.fullmatch(_COMPONENT, host):
                raise Trouble(Problem.IMAGE_NAME_INVALID, subject=text)
            host, path = None, f"{host}/{path}"
        if host in (None, "index.docker.io"):
            host = DOCKER_HUB
        if host == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        return cls(host, path, match["tag"] or ("" if match["digest"] else "latest"), match["digest"] or "")

    @property
    def name(self) -> str:
        """Host and repository, without tag or digest."""
        return f"{self.host}/{self.repository}"

    @property
    def reference(self) -> str:
        """The last part of a manifest's address: the digest where there is one, otherwise the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image as the registry stores it: compressed ``size`` in bytes."""

    digest: str
    size: int


def digest_of(data: bytes | bytearray) -> str:
    """The name of these bytes in a registry and an engine."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or a list of them, byte for byte as the registry has it: only so its digest can be proved."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.data)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image for one platform, as the registry describes it.

    ``digest`` is the digest of what the reference names (an index, if there is one), ``config_digest`` the image id
    on graph drivers. ``anonymous`` tells that it was read without a key.
    """

    reference: ImageReference
    digest: str
    config_digest: str
    config_size: int
    layers: tuple[Layer, ...]
    anonymous: bool
    platform: str = "linux/amd64"
    documents: tuple[Document, ...] = ()
    """what the reference names, and after a list of platforms the manifest of this one; empty: not kept"""

    @property
    def digests(self) -> tuple[str, ...]:
        """Every digest that covers the whole image, as an engine may name it."""
        return (self.digest, *(document.digest for document in self.documents[1:]), self.config_digest)

    @property
    def download_size(self) -> int:
        """Bytes to fetch when nothing is here yet. A layer that is used twice is fetched once."""
        return sum({layer.digest: layer.size for layer in self.layers}.values()) + self.config_size


class Confidence(str, Enum):
    """How sure it is that an image works on a GPU."""

    CONFIRMED = "confirmed"
    """NVIDIA or users say so"""
    LIKELY = "likely"
    """it follows from what is inside"""
    UNPROVEN = "unproven"
    """nobody has reported it"""


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What an image says about itself: its environment and labels, and the processor it is for (``amd64``)."""

    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""
