"""The registries of a simulated machine: manifests made from the repositories in its file."""

from __future__ import annotations

import time
from collections.abc import Mapping

from wizard.demo.blobs import SimBlobs
from wizard.demo.spec import Network, Repository
from wizard.model import ngc_key
from wizard.model.engine import ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.image import Document, ImageReference, Layer, Manifest, digest_of
from wizard.model.key_store import KeyFacts
from wizard.model.machine import Reached
from wizard.model.proxy import Proxies, address
from wizard.model.secret import Secret

_MB = 1_000_000
_CONFIG_SIZE = 12_345
_NGC = "nvcr.io"
_KEY_SERVICE = "api.ngc.nvidia.com"


class SimRegistry:
    """``Registry``. Public images ask for no key; every other key than ``refused`` opens the private ones.

    ``way`` are the proxies of the user's shell, ``network`` is what they lead through. ``pace`` is the seconds that a
    megabyte takes.
    """

    def __init__(
        self,
        repositories: Mapping[str, Repository],
        refused: Secret,
        arch: str,
        network: Network | None = None,
        way: Proxies | None = None,
        pace: float = 0,
    ) -> None:
        self._pace = pace
        self._repositories = repositories
        self._refused = refused
        self._arch = arch
        self._network = network or Network()
        self._way = way or Proxies()

    def manifest(
        self, reference: ImageReference, key: Secret | None, arch: str = "amd64", way: Proxies | None = None
    ) -> Manifest:
        self._pass(reference.host, (way or self._way).to(reference.host))
        if self._network.status:
            raise Trouble(Problem.REGISTRY_TROUBLE, f"{self._network.status} <html>", subject=reference.host)
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
            documents=(Document("application/vnd.docker.distribution.manifest.v2+json", name.encode()),),
        )

    def about_key(self, key: Secret) -> KeyFacts | None:
        self._pass(_KEY_SERVICE, self._way.to(_KEY_SERVICE))
        kind = ngc_key.kind(key)
        if kind == ngc_key.UNKNOWN:
            return None
        if key == self._refused:
            raise Trouble(Problem.KEY_REFUSED, "401 Invalid API key.", subject=_KEY_SERVICE)
        return (
            KeyFacts("PERSONAL_KEY", "example-org", ("artifact-catalog",)) if kind == ngc_key.PERSONAL else KeyFacts()
        )

    def blobs(self, reference: ImageReference, key: Secret | None) -> SimBlobs:
        def admit() -> None:
            self.manifest(reference, key, self._arch)

        return SimBlobs(self._pace, admit)

    def reach(self, host: str, proxy: str | None = None) -> Reached:
        self._pass(host, self._way.to(host) if proxy is None else proxy)
        return Reached(
            f"https://{host}/v2/",
            self._network.status or 401,
            is_registry=not self._network.status,
            clock=time.time() + self._network.clock,
        )

    def clock(self, host: str) -> float | None:
        try:
            self._pass(host, self._way.to(host), certificate=False)
        except Trouble:
            return None
        return time.time() + self._network.clock

    def _pass(self, host: str, proxy: str, *, certificate: bool = True) -> None:
        """Raises what one meets on the way to a registry through ``proxy`` ("": directly)."""
        network = self._network
        url = f"https://{host}/v2/"
        if network.problem and (certificate or network.problem != Problem.TLS):
            raise Trouble(
                Problem(network.problem), network.text, subject=host, evidence=(Evidence(f"GET {url}", network.text),)
            )
        if address(proxy) == address(network.proxy):
            return
        kind, text = Problem.DNS, f"[Errno -2] {host}: Name or service not known"
        if proxy:
            kind, text = Problem.PROXY, f"{address(proxy)}: [Errno 111] Connection refused"
        raise Trouble(kind, text, subject=address(proxy) or host, evidence=(Evidence(f"GET {url}", text),))

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
    return digest_of(text.encode())
