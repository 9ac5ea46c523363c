"""The registry and the image that a text names, asked anonymously from this machine.

Docker may go another way than this program (a proxy, a mirror of its own). What holds for both is said; where the ways
may differ, it stays open.
"""

from __future__ import annotations

import json
import posixpath
import re

from wizard.host.ports import Host
from wizard.model.cause import Match
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.image import DOCKER_HUB, ImageReference
from wizard.model.machine import go_arch
from wizard.services.probes.probe import Proof, named

_HUB = ("registry-1.docker.io", "auth.docker.io", "index.docker.io", "production.cloudflare.docker.com")
_HOST = r"[\w.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?"
_HOSTS = (
    rf"https?://(?:[^\s/@\"]*@)?({_HOST})[/\"\s]",
    r"dial tcp: lookup ([\w.-]+)",
    rf"reference \"({_HOST})/",
)
_IMAGES = (
    r"reference \"([^\"\s]+)\"",
    r"manifest for (\S+) not found",
    r"pull access denied for ([^\s,]+)",
    r"(?:get|head) \"?https?://(?:[^\s/@\"]*@)?([^\s/\"]+)/v2/([\w./-]+)/manifests/([\w.:-]*\w)",
)
_REFUSALS = (Problem.KEY_WANTED, Problem.KEY_REFUSED, Problem.ACCESS_DENIED, Problem.LICENCE)


def name_not_found(host: Host, match: Match) -> Proof | None:
    """Whether the registry's name cannot be found."""
    return _knock(host, match, Problem.DNS)


def refused(host: Host, match: Match) -> Proof | None:
    """Whether nobody listens at the registry's address."""
    return _knock(host, match, Problem.REGISTRY_UNREACHABLE, words=r"refused")


def not_trusted(host: Host, match: Match) -> Proof | None:
    """Whether the registry's certificate is refused. That this program takes it does not say that Docker does."""
    proof = _knock(host, match, Problem.TLS)
    return Proof(None, proof.evidence) if proof is not None and proof.holds is False else proof


def not_encrypted(host: Host, match: Match) -> Proof | None:
    """Whether the registry speaks HTTP only."""
    return _knock(host, match, Problem.REGISTRY_HTTP)


def somebody_else(host: Host, match: Match) -> Proof | None:
    """Whether somebody else answers in the registry's place, as a network's login page does."""
    server = _server(match)
    if not server or _goes_another_way(host):
        return None
    answer = host.registry.reach(server)
    seen = Evidence(answer.url, f"HTTP {answer.status}")
    return Proof(not answer.is_registry, (seen,))


def ill(host: Host, match: Match) -> Proof | None:
    """Whether the registry says that it has a problem of its own."""
    image = _image(match)
    if image is None:
        return None
    kind, seen = _ask(host, image)
    if kind is Problem.REGISTRY_TROUBLE:
        return Proof(True, seen)
    return Proof(False if kind in (None, Problem.TAG_MISSING, *_REFUSALS) else None, seen)


def wants_a_key(host: Host, match: Match) -> Proof | None:
    """Whether the image is given to nobody without a key. A key that Docker has kept is not tried: it is not ours."""
    image = _image(match)
    if image is None:
        return None
    kind, seen = _ask(host, image)
    kept = _has_kept_a_key(host, image.host)
    if kept is not None:
        seen = (*seen, kept)
    if kind is None:
        logout = _("The image is public. The key that Docker has kept may be wrong; remove it with: {command}").format(
            command=f"docker logout {image.host}"
        )
        return Proof(False if kept is None else None, seen, note=logout if kept is not None else "")
    if kind is Problem.TAG_MISSING:
        return Proof(False, seen)
    return Proof(True if kind in _REFUSALS and kept is None else None, seen)


def no_such_tag(host: Host, match: Match) -> Proof | None:
    """Whether the registry does not have the image."""
    return _told(host, match, Problem.TAG_MISSING)


def no_such_platform(host: Host, match: Match) -> Proof | None:
    """Whether the image was not built for this machine's processor."""
    return _told(host, match, Problem.PLATFORM_MISSING)


def no_name(_host: Host, match: Match) -> Proof | None:
    """Whether Docker takes the image's name; that is the same on every machine."""
    name = named(match, r"repository name \(([^)]+)\)", r"\"([^\"]+)\"")
    if not name:
        return None
    try:
        ImageReference.parse(name)
    except Trouble:
        return Proof(True, (Evidence(name, _("is no name of an image")),))
    return None


def _told(host: Host, match: Match, kind: Problem) -> Proof | None:
    image = _image(match)
    if image is None:
        return None
    said, seen = _ask(host, image)
    return Proof(True if said is kind else False if said is None else None, seen)


def _knock(host: Host, match: Match, kind: Problem, *, words: str = "") -> Proof | None:
    """Whether knocking at the registry's door fails in this way."""
    server = _server(match)
    if not server or _goes_another_way(host):
        return None
    try:
        answer = host.registry.reach(server)
    except Trouble as trouble:
        said = trouble.text or trouble.kind.value
        seen = (Evidence(f"https://{server}/v2/", said),)
        if trouble.kind is kind:
            return Proof(True if re.search(words, said, re.IGNORECASE) else None, seen)
        # A name that was found is all that is needed to be refused or not trusted later.
        found = kind is Problem.DNS and trouble.kind in (Problem.TLS, Problem.REGISTRY_HTTP)
        return Proof(False if found else None, seen)
    return Proof(False, (Evidence(answer.url, f"HTTP {answer.status}"),))


def _ask(host: Host, image: ImageReference) -> tuple[Problem | None, tuple[Evidence, ...]]:
    """What the registry says to somebody without a key: None when it gives the image."""
    source = _("{image}, asked without a key").format(image=image)
    try:
        manifest = host.registry.manifest(image, None, go_arch(host.info.arch))
    except Trouble as trouble:
        return trouble.kind, (Evidence(source, trouble.text or trouble.kind.value),)
    return None, (Evidence(source, manifest.digest),)


def _server(match: Match) -> str:
    """The registry that the text names; "" for none."""
    image = _image(match)
    server = image.host if image is not None else named(match, *_HOSTS).split("/")[0]
    return DOCKER_HUB if server in _HUB else server


def _image(match: Match) -> ImageReference | None:
    """The image that the text names."""
    for pattern in _IMAGES:
        found = re.search(pattern, match.text, re.IGNORECASE)
        if found is None:
            continue
        text = found[1]
        if len(found.groups()) == 3:
            server = DOCKER_HUB if found[1] in _HUB else found[1]
            text = f"{server}/{found[2]}{'@' if found[3].startswith('sha256:') else ':'}{found[3]}"
        try:
            return ImageReference.parse(text)
        except Trouble:
            continue
    return None


def _goes_another_way(host: Host) -> bool:
    """Whether Docker and this program may reach a registry by different ways."""
    if any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in host.environ):
        return True
    try:
        info = host.engine.info()
    except Trouble:
        return False
    return bool(info.http_proxy or info.https_proxy) or info.kind in (EngineKind.REMOTE, EngineKind.DESKTOP)


def _has_kept_a_key(host: Host, server: str) -> Evidence | None:
    """Where Docker has kept a key for this registry; None where it has none. The key itself is not looked at."""
    path = posixpath.join(host.environ.get("DOCKER_CONFIG") or posixpath.join(host.home, ".docker"), "config.json")
    try:
        content = host.files.read(path)
        settings = json.loads(content.data) if content is not None else {}
        kept = {*settings.get("auths", {}), *settings.get("credHelpers", {})}
    except (Trouble, ValueError, AttributeError, TypeError, RecursionError):
        return None
    names = [name for name in kept if server in name or (server == DOCKER_HUB and "docker.io" in name)]
    return Evidence(path, _("names {name}").format(name=", ".join(names))) if names else None
