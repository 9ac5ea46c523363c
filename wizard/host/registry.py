"""Image registries, asked over HTTP by the rules of the distribution specification and its token authentication.

What is peculiar to nvcr.io: its challenge has no ``service``, its tokens are made at nvcr.io or authn.nvidia.com, the
user is the literal ``$oauthtoken`` with the API key as password, and public images need no key at all (NVIDIA's
``ngcsdk`` does the same). The key leaves this module in one request, to a host that ``takes_key`` and ``trusted_realm``
have let through, or to the two services of NVIDIA's that know about keys; no redirect is followed with it.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from wizard.model import ngc_key
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.image import DOCKER_HUB, Document, ImageReference, Layer, Manifest
from wizard.model.machine import Reached
from wizard.model.secret import Secret, redact

if TYPE_CHECKING:
    import requests

    from wizard.host.blobs import HttpBlobs
    from wizard.model.key_store import KeyFacts

NGC = "nvcr.io"
KEY_SERVICE = "https://api.ngc.nvidia.com/v3/keys/get-caller-info"
"""Knows today's keys. A key that is good here may be refused by ``TOKEN_SERVICE`` (NVIDIA's SDK asks by the shape)."""
TOKEN_SERVICE = "https://authn.nvidia.com/token"  # noqa: S105 - an address, not a password
"""Knows keys of the old kind."""
USER = "$oauthtoken"
_TOKEN_HOSTS = {NGC: ("authn.nvidia.com",), DOCKER_HUB: ("auth.docker.io",)}
_SERVERS = {DOCKER_HUB: "registry-1.docker.io"}
_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
_LARGEST = 4 * 1024 * 1024  # the distribution specification's advice for a manifest
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 3
REACH_SECONDS = 4.5
_T = TypeVar("_T")
_STATUS = {
    402: Problem.BLOCKED,
    403: Problem.ACCESS_DENIED,
    404: Problem.TAG_MISSING,
    407: Problem.PROXY,
    412: Problem.LICENCE,
    429: Problem.RATE_LIMITED,
    451: Problem.BLOCKED,
    511: Problem.CAPTIVE_PORTAL,
}
# What OpenSSL says when the other side answers a TLS greeting with plain text.
_PLAIN_TEXT = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate that a 401 offers. ``scheme`` and the names of ``values`` are in lower case."""

    scheme: str
    values: Mapping[str, str]


class NgcRegistry:
    """The ``Registry`` port over HTTP.

    ``hosts`` are registries (``host`` or ``host:port``) that may be given the NGC key besides nvcr.io. ``timeouts`` are
    seconds for connecting and for each answer.
    """

    def __init__(self, hosts: tuple[str, ...] = (), timeouts: tuple[float, float] = (5.0, 10.0)) -> None:
        self._hosts = frozenset({NGC, *hosts})
        self._timeouts = timeouts
        self._schemes: dict[str, str] = {}
        """of loopback registries, by ``host:port``"""

    def takes_key(self, host: str) -> bool:
        """Whether the NGC key may be sent to this registry."""
        return host in self._hosts

    def manifest(self, reference: ImageReference, key: Secret | None, arch: str = "amd64") -> Manifest:
        """See ``ports.Registry``: no key, an anonymous token, a token for the key, in this order."""
        import requests

        with requests.Session() as session:
            # A do-nothing ``auth`` keeps requests from looking for passwords in ~/.netrc.
            session.auth = lambda request: request
            return Talk(session, reference, key, *self._talks_with(reference.host)).manifest(arch)

    def about_key(self, key: Secret) -> KeyFacts | None:
        """See ``ports.Registry``: whom to ask depends on the shape of the key."""
        import requests

        from wizard.model.key_store import KeyFacts

        kind = ngc_key.kind(key)
        if kind == ngc_key.UNKNOWN:
            return None
        with requests.Session() as session:
            session.auth = lambda request: request
            if kind == ngc_key.LEGACY:
                _said_of_key(self._ask_nvidia(session, "GET", TOKEN_SERVICE, key))
                return KeyFacts()
            return _facts(_said_of_key(self._ask_nvidia(session, "POST", KEY_SERVICE, key)))

    def _ask_nvidia(self, session: requests.Session, method: str, url: str, key: Secret) -> _Said:
        """Gives the key to one of NVIDIA's two services."""
        headers = {"User-Agent": "s2s-wizard", "Accept": "application/json"}
        query, form = None, None
        if method == "GET":
            headers["Authorization"] = _basic(key)
            query = {"service": "ngc"}
        else:
            form = {"credentials": key.reveal()}
        with (
            typed(url, (key,)),
            session.request(
                method,
                url,
                params=query,
                data=form,
                headers=headers,
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            body = b"".join(islice(response.iter_content(64 * 1024), 16))
            text = redact(f"{response.status_code} {_message(body)}".strip(), (key,))
            return _Said(response.status_code, response.headers, body, text, f"{method} {url}")

    def blobs(self, reference: ImageReference, key: Secret | None) -> HttpBlobs:
        """See ``ports.Registry``."""
        from wizard.host.blobs import HttpBlobs

        return HttpBlobs(reference, key, *self._talks_with(reference.host))

    def _talks_with(self, host: str) -> tuple[bool, tuple[float, float], str]:
        """How: whether it takes the key, the seconds for connecting and for each answer, and the scheme."""
        return self.takes_key(host), self._timeouts, self._scheme(host)

    def _scheme(self, host: str) -> str:
        """``https``, or ``http`` for a loopback registry that speaks nothing else, as Docker itself does with it."""
        if not is_loopback(host):
            return "https"
        if host not in self._schemes:
            with suppress(OSError, ValueError):  # whoever asks it then meets the same, and says it
                self._schemes[host] = _spoken(host, self._timeouts[0])
        return self._schemes.get(host, "https")

    def reach(self, host: str, proxy: str | None = None) -> Reached:
        """See ``ports.Registry``."""
        return _in_time(host, lambda: self._front_door(host, proxy))

    def _front_door(self, host: str, proxy: str | None) -> Reached:
        import requests

        url = f"{self._scheme(host)}://{_SERVERS.get(host, host)}/v2/"
        with requests.Session() as session, typed(url, proxy=proxy):
            session.auth = lambda request: request
            session.trust_env = proxy is None
            with session.get(
                url,
                headers={"User-Agent": "s2s-wizard"},
                timeout=(REACH_SECONDS, REACH_SECONDS),
                allow_redirects=False,
                stream=True,
                proxies=proxies(url, proxy),
            ) as response:
                said = response.headers
                return Reached(
                    url,
                    response.status_code,
                    is_registry=response.status_code in (200, 401)
                    and ("WWW-Authenticate" in said or "Docker-Distribution-Api-Version" in said),
                    clock=_clock(said.get("Date", "")),
                )

    def clock(self, host: str) -> float | None:
        """See ``ports.Registry``. The certificate is not looked at, and nothing is said that could be listened to."""
        try:
            return _in_time(host, lambda: _clock_of(f"https://{_SERVERS.get(host, host)}/v2/"))
        except Trouble:
            return None


class Talk:
    """One conversation about one image; remembers what opened the door."""

    def __init__(
        self,
        session: requests.Session,
        reference: ImageReference,
        key: Secret | None,
        takes_key: bool,
        timeouts: tuple[float, float],
        scheme: str,
    ) -> None:
        self.session = session
        self.reference = reference
        self.key = key
        self.takes_key = takes_key
        self.timeouts = timeouts
        self.server = _SERVERS.get(reference.host, reference.host)
        self.scheme = scheme
        self.authorization: str | None = None
        self.used_key = False

    def manifest(self, arch: str) -> Manifest:
        named = self._open(self.reference.reference)
        documents = [named]
        document = self._document(named.data)
        if "manifests" in document:
            documents.append(self._open(self._pick(document, arch)))
            document = self._document(documents[-1].data)
        try:
            config, layers = document["config"], document["layers"]
            return Manifest(
                reference=self.reference,
                digest=named.digest,
                config_digest=_digest(config["digest"]),
                config_size=_size(config["size"]),
                layers=tuple(Layer(_digest(layer["digest"]), _size(layer["size"])) for layer in layers),
                anonymous=not self.used_key,
                platform=f"linux/{arch}",
                documents=tuple(documents),
            )
        except (KeyError, TypeError, ValueError) as error:
            self._unreadable(error)

    def _pick(self, index: Mapping[str, Any], arch: str) -> str:
        """The digest of the manifest for linux on ``arch``."""
        try:
            platforms = {
                f"{entry['platform']['os']}/{entry['platform']['architecture']}": _digest(entry["digest"])
                for entry in reversed(index["manifests"])
                if "platform" in entry
            }
        except (KeyError, TypeError, ValueError) as error:
            self._unreadable(error)
        wanted = f"linux/{arch}"
        if wanted not in platforms:
            raise Trouble(
                Problem.PLATFORM_MISSING,
                f"no match for {wanted} in {', '.join(sorted(platforms))}",
                subject=str(self.reference),
            )
        return platforms[wanted]

    def _open(self, name: str) -> Document:
        """A manifest as it is, with as little authentication as the registry accepts."""
        url = f"{self.scheme}://{self.server}/v2/{self.reference.repository}/manifests/{name}"
        status, headers, body, source = self._get(url, self.authorization)
        if status == 401 and self.authorization is not None:
            # The token has expired. The challenge of a request that carries one leads to another realm, which gives
            # nothing to anonymous users: so it begins again without.
            self.authorization, self.used_key = None, False
            status, headers, body, source = self._get(url, None)
        if status == 401:
            challenges = parse_challenges(headers.get("WWW-Authenticate", ""))
            token = self.token(challenges, None)
            if token is not None:
                self.authorization = token
                status, headers, body, source = self._get(url, token)
            if status in (401, 403) and self.key is not None and self.takes_key:
                self.authorization = self.token(challenges, self.key)
                self.used_key = self.authorization is not None
                status, headers, body, source = self._get(url, self.authorization)
        if status != 200:
            self.refused(status, body, source, with_key=self.used_key)
        if headers.get("Content-Type", "").startswith("text/html"):
            raise _somebody_else(self.server, source, f"200 {_message(body)}")
        opened = Document(_media_type(headers.get("Content-Type", ""), body), body)
        for claimed in (headers.get("Docker-Content-Digest", ""), name):
            if claimed.startswith("sha256:") and claimed != opened.digest:
                raise Trouble(
                    Problem.DIGEST_MISMATCH,
                    f"{claimed} was promised, {opened.digest} came",
                    subject=str(self.reference),
                )
        return opened

    def token(self, challenges: tuple[Challenge, ...], key: Secret | None) -> str | None:
        """The Authorization header that the challenge asks for; None where nobody may have one without a key."""
        for challenge in challenges:
            if challenge.scheme == "bearer":
                break
        else:
            return _basic(key) if key is not None and any(item.scheme == "basic" for item in challenges) else None
        realm = challenge.values.get("realm", "")
        if not trusted_realm(realm, self.reference.host, self.scheme):
            raise Trouble(
                Problem.REGISTRY_UNTRUSTED,
                f'Bearer realm="{realm}"',
                subject=urlsplit(realm).hostname or realm,
                evidence=(Evidence(f"{self.scheme}://{self.server}/v2/", f'WWW-Authenticate: Bearer realm="{realm}"'),),
            )
        query = {"scope": challenge.values.get("scope") or f"repository:{self.reference.repository}:pull"}
        if "service" in challenge.values:
            query["service"] = challenge.values["service"]
        status, _headers, body, source = self._get(realm, _basic(key) if key else None, query, follow=False)
        if key is None and status in (401, 403):
            return None
        if status != 200:
            self.refused(status, body, source, with_key=key is not None)
        answer = self._document(body)
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str):
            self._unreadable(KeyError("token"))
        return f"Bearer {token}"

    def _get(
        self, url: str, authorization: str | None, query: Mapping[str, str] | None = None, *, follow: bool = True
    ) -> tuple[int, Mapping[str, str], bytes, str]:
        """Status, headers and body of a GET, and how to name it as evidence.

        A redirect is followed without the Authorization header when it leads to another server, and not at all with
        ``follow=False``.
        """
        for _hop in range(MOST_REDIRECTS + 1):
            headers = {"Accept": ", ".join(_MANIFESTS + _INDEXES), "User-Agent": "s2s-wizard"}
            if authorization is not None:
                headers["Authorization"] = authorization
            with (
                typed(url, (self.key,) if self.key else ()),
                self.session.get(
                    url,
                    params=query,
                    headers=headers,
                    timeout=self.timeouts,
                    allow_redirects=False,
                    stream=True,
                    proxies=proxies(url),
                ) as response,
            ):
                if response.status_code not in REDIRECTS:
                    return response.status_code, response.headers, self._read(response), f"GET {url}"
                target = urljoin(url, response.headers.get("Location", ""))
            if authorization is None and follow and not self.may_follow(target):
                raise _somebody_else(self.server, f"GET {url}", f"{response.status_code} Location: {redact(target)}")
            if not follow or not self.may_follow(target):
                raise Trouble(
                    Problem.REGISTRY_UNTRUSTED,
                    f"{response.status_code} Location: {redact(target)}",
                    subject=urlsplit(target).hostname or target,
                    evidence=(Evidence(f"GET {url}", f"{response.status_code} Location: {redact(target)}"),),
                )
            authorization = taken_along(authorization, url, target)
            url = target
        raise Trouble(Problem.REGISTRY_TROUBLE, "too many redirects", subject=self.reference.host)

    def may_follow(self, target: str) -> bool:
        scheme = urlsplit(target).scheme
        return scheme == "https" or (scheme == self.scheme == "http" and is_loopback(urlsplit(target).netloc))

    def _read(self, response: requests.Response) -> bytes:
        body = b""
        for piece in response.iter_content(64 * 1024):
            body += piece
            if len(body) > _LARGEST:
                raise Trouble(
                    Problem.REGISTRY_TROUBLE, f"an answer of more than {_LARGEST} bytes", subject=self.reference.host
                )
        return body

    def _document(self, body: bytes) -> dict[str, Any]:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            self._unreadable(error)
        if not isinstance(document, dict):
            self._unreadable(TypeError("not an object"))
        return document

    def _unreadable(self, error: Exception) -> NoReturn:
        raise Trouble(
            Problem.REGISTRY_TROUBLE, f"the answer cannot be understood: {error!r}", subject=self.reference.host
        ) from error

    def refused(self, status: int, body: bytes, source: str, *, with_key: bool) -> NoReturn:
        """Raises what a status other than 200 means."""
        said = redact(_message(body), (self.key,) if self.key else ())
        text = f"{status} {said}".strip()
        hint = ""
        if status == 401:
            kind = Problem.KEY_REFUSED if with_key else Problem.KEY_WANTED
            if self.key is not None and not self.takes_key:
                hint = _("Your NGC API key is sent only to nvcr.io and to registries that are named in your settings.")
        else:
            kind = _STATUS.get(status, Problem.REGISTRY_TROUBLE)
        if kind is Problem.LICENCE:
            hint = _("The page: {url}").format(url=catalog_page(self.reference))
        general = (Problem.REGISTRY_TROUBLE, Problem.CAPTIVE_PORTAL, Problem.PROXY)
        subject = self.reference.host if kind in general else str(self.reference)
        raise Trouble(kind, text, subject=subject, hint=hint, evidence=(Evidence(source, f"HTTP {text}"),))


@contextmanager
def typed(url: str, secrets: tuple[Secret, ...] = (), proxy: str | None = None) -> Iterator[None]:
    """Gives what requests raises its kind. ``proxy`` as in ``reach``."""
    import requests
    import urllib3

    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:  # requests lets some of them through
        kind = kind_of(error)
        subject = urlsplit(url).netloc
        if kind is Problem.PROXY:
            used = proxy or requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
            subject = _address(urlsplit(used)) if used else subject
        text = redact(str(deepest(error)), secrets)
        raise Trouble(
            kind, text, subject=subject, hint=_hint(kind, error), evidence=(Evidence(f"GET {url}", text),)
        ) from error
    except OSError as error:  # requests looks for the file of certificates before it does anything
        text = redact(str(error), secrets)
        raise Trouble(
            Problem.TLS, text, subject=urlsplit(url).netloc, hint=_("Is REQUESTS_CA_BUNDLE right?")
        ) from error


def _hint(kind: Problem, error: Exception) -> str:
    """What helps in the two cases that look alike from far away."""
    if kind is Problem.PROXY and any("407" in str(item) for item in _chain(error)):
        return _(
            "It wants a user name and a password: they stand in front of its address in the variable HTTPS_PROXY, with "
            "a colon between them and @ behind."
        )
    if kind is Problem.TLS:
        code = next((getattr(item, "verify_code", 0) for item in _chain(error) if hasattr(item, "verify_code")), 0)
        if code in _UNKNOWN_AUTHORITY:
            return _(
                "In a company, a proxy may sign the traffic anew: ask for the company's CA certificate (a .pem file) "
                "and set REQUESTS_CA_BUNDLE to its path; Docker needs it in /usr/local/share/ca-certificates."
            )
        if code in _WRONG_TIME:
            return _("The certificate is not for this time: check the clock of this machine.")
    return ""


# OpenSSL's codes: self-signed, self-signed in the chain, no issuer found, leaf without issuer; not yet valid, expired.
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)
_WRONG_TIME = (9, 10)


def _somebody_else(server: str, source: str, said: str) -> Trouble:
    return Trouble(Problem.CAPTIVE_PORTAL, said, subject=server, evidence=(Evidence(source, said),))


def catalog_page(reference: ImageReference) -> str:
    """The image's page in NGC's catalogue, where its terms are accepted (NVIDIA's SDK makes the same address)."""
    org, *team, name = reference.repository.split("/") if "/" in reference.repository else ("", reference.repository)
    place = f"orgs/{org}/" + (f"teams/{team[0]}/" if team else "")
    version = f"?version={reference.tag}" if reference.tag else ""
    return f"https://catalog.ngc.nvidia.com/{place}containers/{name}{version}"


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer of one of NVIDIA's services; ``text`` is its status and message, masked."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    text: str
    source: str


def _said_of_key(said: _Said) -> dict[str, Any]:
    """The document of a good answer. Raises ``KEY_REFUSED`` only where NVIDIA says so itself."""
    host = urlsplit(said.source.partition(" ")[2]).netloc
    seen = (Evidence(said.source, f"HTTP {said.text}"),)
    if said.status in (401, 403):
        raise Trouble(Problem.KEY_REFUSED, said.text, subject=host, evidence=seen)
    if said.status in REDIRECTS:
        target = redact(said.headers.get("Location", ""))
        raise Trouble(
            Problem.REGISTRY_UNTRUSTED,
            f"{said.status} Location: {target}",
            subject=urlsplit(target).hostname or target,
            evidence=seen,
        )
    if said.headers.get("Content-Type", "").startswith("text/html") and said.status < 500:
        raise _somebody_else(host, said.source, said.text)
    if said.status != 200:
        kind = _STATUS.get(said.status, Problem.REGISTRY_TROUBLE)
        if kind not in (Problem.RATE_LIMITED, Problem.PROXY, Problem.CAPTIVE_PORTAL):
            kind = Problem.REGISTRY_TROUBLE
        raise Trouble(kind, said.text, subject=host, evidence=seen)
    try:
        document = json.loads(said.body)
    except (ValueError, RecursionError) as error:
        raise Trouble(Problem.REGISTRY_TROUBLE, said.text, subject=host, evidence=seen) from error
    if not isinstance(document, dict):
        raise Trouble(Problem.REGISTRY_TROUBLE, said.text, subject=host, evidence=seen)
    return document


def _facts(document: Mapping[str, Any]) -> KeyFacts:
    """Caller info, as NVIDIA's SDK reads it. A personal key whose owner belongs to no organisation is good for nothing:
    the SDK refuses it, too.
    """
    from wizard.model.key_store import KeyFacts

    def text(value: object) -> str:
        return value if isinstance(value, str) else ""

    user, products = document.get("user"), document.get("products")
    kind = text(document.get("type"))
    if kind == "PERSONAL_KEY" and isinstance(user, dict) and not user.get("roles"):
        raise Trouble(
            Problem.KEY_REFUSED,
            "no roles",
            subject=urlsplit(KEY_SERVICE).netloc,
            hint=_("NGC says that its owner belongs to no organisation."),
        )
    known = tuple(item for item in products if isinstance(item, str)) if isinstance(products, list) else ()
    return KeyFacts(kind, text(document.get("orgName")), known)


def proxies(url: str, proxy: str | None = None) -> dict[str, str] | None:
    """For requests: None leaves it to the environment, which never has a proxy for this machine itself."""
    if is_loopback(urlsplit(url).netloc):
        return {"no_proxy": urlsplit(url).hostname or ""}
    return {urlsplit(url).scheme: proxy} if proxy else None


def _spoken(server: str, timeout: float) -> str:
    """The scheme of this machine's registry ``server``, by how it answers a TLS greeting. Whose certificate it has is
    of no interest, and nothing is said to it: the list of authorities, which takes long to read, is not needed here.
    Raises OSError, also where it hangs up, as a tunnel does whose far end is away; ValueError for a port that is none.
    """
    address = urlsplit(f"//{server}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((address.hostname or "", address.port or 443), timeout) as connection:
        try:
            context.wrap_socket(connection).close()
        except ssl.SSLError as error:
            if error.reason in _PLAIN_TEXT:
                return "http"
            raise
    return "https"


def _in_time(host: str, ask: Callable[[], _T]) -> _T:
    """What ``ask`` returns or raises; ``REGISTRY_UNREACHABLE`` when that takes too long. A look-up of a name cannot be
    given a limit, so it is left behind in its thread.
    """
    answers: queue.SimpleQueue[_T | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(ask())
        except Exception as error:  # noqa: BLE001 - raised again by the one who waits
            answers.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        answer = answers.get(timeout=REACH_SECONDS)
    except queue.Empty:
        text = f"no answer within {REACH_SECONDS:g} seconds"
        raise Trouble(
            Problem.REGISTRY_UNREACHABLE, text, subject=host, evidence=(Evidence(f"GET https://{host}/v2/", text),)
        ) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _clock_of(url: str) -> float | None:
    import requests
    import urllib3

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    with requests.Session() as session:
        session.auth = lambda request: request
        try:
            with session.head(
                url,
                timeout=REACH_SECONDS,
                allow_redirects=False,
                verify=False,  # what comes is taken for a time and for nothing else
                proxies=proxies(url),
            ) as response:
                return _clock(response.headers.get("Date", ""))
        except requests.RequestException:
            return None


def _clock(text: str) -> float | None:
    """A ``Date`` header in seconds since 1970."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a ``WWW-Authenticate`` header, several headers joined by commas. Values may be unquoted."""
    challenges: list[tuple[str, dict[str, str]]] = []
    for match in re.finditer(_PART, header):
        if match["scheme"]:
            challenges.append((match["scheme"].lower(), {}))
        elif challenges:
            value = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
            challenges[-1][1].setdefault(match["name"].lower(), value)
    return tuple(Challenge(scheme, values) for scheme, values in challenges)


_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - the grammar of RFC 9110, not a password
_PART = rf'(?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]*))|(?P<scheme>{_TOKEN})'


def trusted_realm(realm: str, host: str, scheme: str = "https") -> bool:
    """Whether a registry may send its visitors to ``realm`` for a token.

    ``host`` is the registry as the image's name has it. The realm must be https and on the registry's own server, or on
    the token server that is known for it. A loopback registry that speaks plain HTTP (``scheme``) may use that for its
    realm too.
    """
    try:
        parts = urlsplit(realm)
        address = _address(parts)
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or parts.fragment:
        return False
    server = _SERVERS.get(host, host)
    if parts.scheme == "http":
        return scheme == "http" and is_loopback(server) and address == server.lower()
    return parts.scheme == "https" and address in (server.lower(), *_TOKEN_HOSTS.get(host, ()))


def is_loopback(server: str) -> bool:
    """Whether ``host`` or ``host:port`` is this very machine, so that nobody can listen in."""
    name = urlsplit(f"//{server}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def kind_of(error: Exception) -> Problem:
    """The kind of a failure to talk to a registry, from the types in its chain of causes."""
    import requests

    chain = tuple(_chain(error))
    if any(isinstance(item, requests.exceptions.ProxyError) for item in chain):
        return Problem.PROXY
    for item in chain:
        if isinstance(item, socket.gaierror):
            return Problem.DNS
        # The other side hung up; which of the two it is depends on the moment and on OpenSSL's version.
        if isinstance(item, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return Problem.REGISTRY_UNREACHABLE
        if isinstance(item, ssl.SSLError):
            return Problem.REGISTRY_HTTP if item.reason in _PLAIN_TEXT else Problem.TLS
    if isinstance(error, requests.exceptions.SSLError):
        return Problem.TLS
    if isinstance(error, (requests.exceptions.ConnectionError, requests.exceptions.Timeout)):
        return Problem.REGISTRY_UNREACHABLE
    return Problem.REGISTRY_TROUBLE


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes, and the errors that urllib3 keeps as arguments and reasons, each once."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]


def deepest(error: BaseException) -> BaseException:
    """The operating system's own words, where there are any."""
    for item in _chain(error):
        if isinstance(item, (ssl.SSLError, socket.gaierror)) or (isinstance(item, OSError) and item.errno):
            return item
    return error


def _address(parts: SplitResult) -> str:
    """``host`` or ``host:port``, without the port that the scheme implies."""
    port = None if parts.port == {"https": 443, "http": 80}.get(parts.scheme) else parts.port
    name = (parts.hostname or "").lower()
    if ":" in name:
        name = f"[{name}]"
    return f"{name}:{port}" if port else name


def taken_along(authorization: str | None, url: str, target: str) -> str | None:
    """What of an Authorization header goes with a redirect from ``url`` to ``target``: a token within its own server;
    the key, which Basic would carry, nowhere.
    """
    if authorization is None or authorization.startswith("Basic ") or origin(target) != origin(url):
        return None
    return authorization


def origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, _address(parts)


def _basic(key: Secret) -> str:
    pair = f"{USER}:{key.reveal()}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _media_type(header: str, body: bytes) -> str:
    """What a manifest is: as it says itself, or as its header says."""
    with suppress(ValueError, RecursionError, AttributeError):
        said = json.loads(body).get("mediaType")
        if isinstance(said, str):
            return said
    return header.partition(";")[0].strip()


def _message(body: bytes) -> str:
    """What the registry says about an error: the messages of its JSON, or the beginning of its text."""
    try:
        errors = json.loads(body)["errors"]
        return "; ".join(f"{item['code']}: {item['message']}" for item in errors)
    except (ValueError, KeyError, TypeError, RecursionError):
        return " ".join(body[:200].decode("utf-8", "replace").split())


def _digest(value: str) -> str:
    if not _DIGEST.fullmatch(value):
        raise ValueError(value)
    return value


def _size(value: int) -> int:
    if value < 0:
        raise ValueError(value)
    return int(value)
