"""The registries of a simulated machine: manifests made from the repositories in its file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from wizard.demo.spec import Repository
from wizard.model.errors import Problem, Trouble
from wizard.model.image import ImageReference, Layer, Manifest
from wizard.model.machine import ImageInfo
from wizard.model.secret import Secret

_MB = 1_000_000
_CONFIG_SIZE = 12_345
_NGC = "nvcr.io"


class SimRegistry:
    """``Registry``. Public images ask for no key; every other key than ``refused`` opens the private ones."""

    def __init__(self, repositories: Mapping[str, Repository], refused: Secret, arch: str) -> None:
        self._repositories = repositories
        self._refused = refused
        self._arch = arch

    def manifest(self, reference: ImageReference, key: Secret | None, arch: str = "amd64") -> Manifest:
        repository = self._repositories.get(reference.name)
        if repository is not None and repository.access != "public":
            if key is None:
                raise Trouble(Problem.KEY_WANTED, "unauthorized: authentication required", subject=str(reference))
            if key == self._refused:
                raise Trouble(Problem.KEY_REFUSED, "unauthorized: authentication required", subject=str(reference))
        repository, name = self._find(reference)
        if arch != self._arch:
            raise Trouble(Problem.PLATFORM_MISSING, f"no match for platform linux/{arch}", subject=str(reference))
        return Manifest(
            reference=reference,
            digest=_digest(name),
            config_digest=_digest(f"{name} config"),
            config_size=_CONFIG_SIZE,
            layers=tuple(
                Layer(_digest(f"{name} layer {number}"), int(size * _MB))
                for number, size in enumerate(repository.layers)
            ),
            anonymous=repository.access == "public",
            platform=f"linux/{arch}",
        )

    def takes_key(self, host: str) -> bool:
        return host == _NGC

    def unpacked(self, reference: ImageReference) -> ImageInfo:
        """The image as an engine shows it that has pulled it. Raises ``TAG_MISSING``."""
        repository, name = self._find(reference)
        return ImageInfo(
            id=_digest(f"{name} config"),
            tags=(name,) if reference.tag else (),
            repo_digests=(f"{reference.name}@{_digest(name)}",),
            size=int(repository.unpacked * sum(repository.layers) * _MB),
            architecture=self._arch,
            command=("bash",),
        )

    def _find(self, reference: ImageReference) -> tuple[Repository, str]:
        """The repository, and the image's name with its tag, which may have been said by digest."""
        repository = self._repositories.get(reference.name)
        for tag in repository.tags if repository is not None else ():
            name = f"{reference.name}:{tag}"
            if repository is not None and reference.reference in (tag, _digest(name)):
                return repository, name
        raise Trouble(Problem.TAG_MISSING, "manifest unknown", subject=str(reference))


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
