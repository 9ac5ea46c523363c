"""The NGC account: what a key is for, reading one that was pasted, keeping it, and asking the registry about it."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

from wizard.host.ports import Host
from wizard.model import ngc_key
from wizard.model.errors import NETWORK, Problem, Trouble
from wizard.model.finding import Link
from wizard.model.i18n import N_, _
from wizard.model.image import ImageReference
from wizard.model.key_store import KeyFacts, KeyPlace, KeyStoreInfo
from wizard.model.secret import Secret
from wizard.services import words
from wizard.services.words import Explained

SIGN_UP_URL = "https://ngc.nvidia.com/signin"
KEY_PAGE_URL = "https://org.ngc.nvidia.com/setup/api-keys"
CATALOG_URL = "https://catalog.ngc.nvidia.com/orgs/nvidia/containers/tensorflow"

LONGEST = 1024
CLOCK_LIMIT = 300.0
"""Seconds by which a clock may be off: certificates are given some minutes before they count."""
_NGC = "nvcr.io"
_NGC_USER = "$oauthtoken"
_NGC_SERVER = re.compile(rf"(?:https?://)?{re.escape(_NGC)}(?:/.*)?")
_NGC_KEY = re.compile(r"\bapikey[\"']?[ \t]*[=:][ \t]*[\"']?(?!no-apikey\b)([A-Za-z0-9][^\s\"',}]*)")
"""A key in the files of NVIDIA's own program."""


# --- what is said about keys -------------------------------------------------------------------------------------


def steps() -> tuple[str, ...]:
    """How to make a key, one short translated line a step."""
    return (
        _("Open {url} in any browser, also on another computer.").format(url=KEY_PAGE_URL),
        _("Sign in, or make a free NVIDIA account: {url}").format(url=SIGN_UP_URL),
        _('Press "Generate Personal Key" and give it any name.'),
        _('Under "Services Included" choose "NGC Catalog".'),
        _("Choose when the key should expire, then generate it."),
        _("Copy the key at once: NGC shows it only this one time."),
    )


def links() -> tuple[Link, ...]:
    """The pages that belong to an account."""
    return (
        Link(_("Make a key"), KEY_PAGE_URL),
        Link(_("Sign up"), SIGN_UP_URL),
        Link(_("The image in the NGC catalog"), CATALOG_URL),
    )


def open_page(host: Host, url: str) -> bool:
    """Opens ``url`` in the desktop's web browser; whether there is one that could be asked to."""
    if not (host.environ.get("DISPLAY") or host.environ.get("WAYLAND_DISPLAY")) or not host.commands.which("xdg-open"):
        return False
    try:
        # In a session of its own and deaf: a browser outlives the wizard, and must not write over it.
        done = host.commands.run(
            ("setsid", "--fork", "sh", "-c", 'exec xdg-open "$1" >/dev/null 2>&1 </dev/null', "sh", url), timeout=5.0
        )
    except Trouble:
        return False
    return done.returncode == 0


# --- reading a key -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entered:
    """A key as it was typed or pasted. ``kind`` is one of ``ngc_key``; ``notes`` are translated lines about what was
    cleaned off and what looks odd.
    """

    key: Secret
    kind: str
    notes: tuple[str, ...] = ()


_SHORTEST = 12
_NAME = re.compile(r"(?=.{0,40}\Z)[A-Za-z]+(?:[._-]?[A-Za-z]+|[._-][0-9]{1,4})*")
"""A name as people give to a key: words, and small numbers behind a dash."""
_PREFIXES = (
    (re.compile(r"(?:export\s+)?NGC(?:_CLI)?_(?:API|APP)_KEY\s*=\s*"), N_("The variable's name in front was removed.")),
    (re.compile(r"apikey\s*[=:]\s*", re.IGNORECASE), N_('The word "apikey" in front was removed.')),
    (
        re.compile(r"\$oauthtoken\s*:\s*"),
        N_('"$oauthtoken:" in front was removed: that is the user name, not the key.'),
    ),
)
_QUOTES = ("\"'`", "“”", "‘’", "«»", "<>")
_EDGES = re.compile(r"\A[\s\ufeff\u200b\u2060]+|[\s\ufeff\u200b\u2060]+\Z")
"""Blanks around a key, also those that cannot be seen."""
_MISTAKES = (
    (
        re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE),
        N_("This is the key's ID: NGC shows the key itself only once, so make a new one."),
    ),
    (re.compile(r"https?://.*"), N_("This is the address of a web page.")),
    (
        re.compile(r"(?:file://|~|\.{0,2}/|[A-Za-z]:\\).*|\S+\.(?:txt|key|pem|json|ya?ml|ini|cfg|conf|env)"),
        N_("This is the name of a file. The key itself is wanted; it may stand in the file."),
    ),
    (re.compile(r"[{\[].*|-----BEGIN .*"), N_("This is the content of a file. Paste the key alone.")),
    (re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+"), N_("This is an e-mail address.")),
    (re.compile(r"(?:gh[pousr]_|github_pat_).*"), N_("This is a key for GitHub.")),
    (re.compile(r"sk-.*"), N_("This is a key for another service, such as OpenAI.")),
    (re.compile(r"dckr_[a-z]+_.*"), N_("This is a key for Docker Hub.")),
    (re.compile(r"hf_.*"), N_("This is a key for Hugging Face.")),
    (re.compile(r"glpat-.*"), N_("This is a key for GitLab.")),
    (re.compile(r"npm_.*|pypi-.*"), N_("This is a key for a collection of packages.")),
    (re.compile(r"xox[a-z]-.*"), N_("This is a key for Slack.")),
    (re.compile(r"AIza.*|ya29\..*"), N_("This is a key for Google.")),
    (re.compile(r"eyJ[\w-]+\.eyJ.*"), N_("This is a token that lasts for some hours, not a key.")),
    (re.compile(r"A[KS]IA[A-Z0-9]{12,}"), N_("This is a key for Amazon's cloud.")),
    (re.compile(r"nvapi-.*[*…].*"), N_("This is the shortened form that NGC shows later, not the key itself.")),
)


def read_key(text: str) -> Entered:
    """The key in ``text``, without what a copy brings along. Raises ``KEY_SHAPE`` with a hint when there is none; the
    text itself is in no message.
    """
    if len(text) > LONGEST:
        raise _no_key(_("It is much too long: was a whole file pasted?"))
    key, notes = _cleaned(text)
    if not key:
        raise _no_key(_("Nothing was entered."))
    if re.search(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", key):
        raise _no_key(_("It has more than one line: paste the key alone."))
    for pattern, hint in _MISTAKES:
        if pattern.fullmatch(key):
            raise _no_key(_(hint))
    if re.search(r"\s", key):
        raise _no_key(_("There is a space in it: is it the key's name?"))
    if not key.isascii():
        raise _no_key(_("A character in it is not a plain letter or digit."))
    if not key.isprintable():
        raise _no_key(_("There is an invisible character in it."))
    if len(key) < _SHORTEST:
        raise _no_key(_("It is too short."))
    secret = Secret(key)
    kind = ngc_key.kind(secret)
    if kind == ngc_key.PERSONAL and len(key) != ngc_key.USUAL_LENGTH:
        notes.append(
            _("The key has {length} characters; most have {usual}. Was all of it copied?").format(
                length=len(key), usual=ngc_key.USUAL_LENGTH
            )
        )
    elif kind == ngc_key.LEGACY:
        notes.append(_("This is an API key of the old kind. It still works; a new key (nvapi-…) will last longer."))
    elif kind == ngc_key.UNKNOWN:
        notes.append(_("This does not look like a key from NGC; it is used as it is."))
        if _NAME.fullmatch(key):
            notes.append(_("Is it the key's name? The key itself is a long row of letters and digits."))
        elif re.fullmatch(r"[A-Za-z0-9]{70,100}", key):
            notes.append(
                _("It has {length} characters; keys of the old kind have {usual}. Was all of it copied?").format(
                    length=len(key), usual=ngc_key.LEGACY_LENGTH
                )
            )
    return Entered(secret, kind, tuple(notes))


def _cleaned(text: str) -> tuple[str, list[str]]:
    """``text`` without surrounding blanks, quotes and prefixes, and a note for each that a person could have meant."""
    notes: list[str] = []
    key = _EDGES.sub("", text)
    while True:
        before = key
        for pair in _QUOTES:
            if len(key) > 1 and key[0] in pair and key[-1] in pair:
                key = _EDGES.sub("", key[1:-1])
                notes.append(_("The quotes around the key were removed."))
        for pattern, note in _PREFIXES:
            match = pattern.match(key)
            if match:
                key = _EDGES.sub("", key[match.end() :])
                notes.append(_(note))
        if key == before:
            return key, list(dict.fromkeys(notes))


def _no_key(hint: str) -> Trouble:
    return Trouble(Problem.KEY_SHAPE, hint=hint)


# --- keeping it --------------------------------------------------------------------------------------------------


def current(host: Host) -> tuple[Secret, KeyPlace] | None:
    """The key that would be used, and where it lies."""
    return host.keys.get()


def places(host: Host) -> tuple[KeyStoreInfo, ...]:
    """Every place for a key, in the order in which one is looked for."""
    return host.keys.places()


def save(host: Host, key: Secret, place: KeyPlace) -> None:
    """Keeps the key in ``place``, and there only. Raises as ``KeyStore.save``."""
    host.keys.save(key, place)


def forget(host: Host) -> tuple[KeyPlace, ...]:
    """Removes the key wherever this program put it; the places that held one. ``elsewhere`` tells what is left."""
    return host.keys.forget()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A file of another program that holds a key for NGC. ``owner`` is that program's name, ``how`` the command that
    removes it there (empty: by hand). The key itself was not kept.
    """

    path: str
    owner: str
    how: str = ""


def elsewhere(host: Host) -> tuple[Elsewhere, ...]:
    """Other programs' files on this machine that hold an NGC key. They are read, never used, never changed."""
    ngc = _ngc_folder(host)
    found = [
        Elsewhere(path, "Docker", f"docker logout {_NGC}")
        for path in (f"{_docker_folder(host)}/config.json",)
        if _docker_holds_key(_text(host, path))
    ]
    for name in ("config", "config.BAK", "meta_data"):
        if _ngc_holds_key(_text(host, f"{ngc}/{name}")):
            found.append(Elsewhere(f"{ngc}/{name}", "NGC CLI"))
    return tuple(found)


def offered(host: Host) -> tuple[Secret, str] | None:
    """A key that NVIDIA's own program keeps, and the file where. It is for the user to say whether we may use it."""
    path = f"{_ngc_folder(host)}/config"
    match = _NGC_KEY.search(_text(host, path))
    try:
        return (read_key(match[1]).key, path) if match else None
    except Trouble:
        return None


def docker_login(host: Host) -> str:
    """What is wrong with the login for NGC in Docker's own configuration, as translated sentences; empty where nothing
    is, or nothing can be said.

    A login that is no longer good is sent by Docker even for public images, and NGC refuses it then. The wizard never
    uses it. NVIDIA is asked, whose key it is; nobody else gets it.
    """
    path = f"{_docker_folder(host)}/config.json"
    user, key = _docker_key(_text(host, path))
    if key is None:
        return ""
    command = f"docker logout {_NGC}"
    if user != _NGC_USER:
        said = _("Docker's own login for NGC in {path} has a wrong user name: it must be {user}.")
        said = said.format(path=path, user=_NGC_USER)
    else:
        about = _about(host, key)
        if not isinstance(about, Trouble) or about.kind is not Problem.KEY_REFUSED:
            return ""
        said = _("Docker's own login for NGC in {path} is no longer good.").format(path=path)
    broken = _('It can break "docker pull" even of public images. To remove it: {command}').format(command=command)
    return f"{said} {broken}"


def where_json(host: Host) -> dict[str, Any]:
    """The places for a key, which of them is used, and what other programs hold: the document of ``key where``."""
    infos = places(host)
    return {
        "used": next((info.place.value for info in infos if info.holds_key), None),
        "places": [
            {
                "place": info.place.value,
                "usable": info.usable,
                "holds_key": info.holds_key,
                "detail": info.detail,
                "problem": info.problem,
            }
            for info in infos
        ],
        "elsewhere": [{"path": item.path, "owner": item.owner, "how": item.how} for item in elsewhere(host)],
    }


def _docker_folder(host: Host) -> str:
    return host.environ.get("DOCKER_CONFIG") or f"{host.home}/.docker"


def _ngc_folder(host: Host) -> str:
    return f"{host.environ.get('NGC_CLI_HOME') or host.home}/.ngc"


def _text(host: Host, path: str) -> str:
    try:
        content = host.files.read(path)
    except Trouble:  # what this user may not read is not a key that they left behind
        return ""
    return content.data.decode("utf-8", "replace") if content else ""


def _docker_holds_key(text: str) -> bool:
    """Whether Docker's config.json has a login for NGC, in the file itself or with a credential helper."""
    # An entry without a login of its own is how Docker notes that its credential helper has one.
    helped = '"credsStore"' in text
    return any(bool(login) or helped for login in _docker_logins(text))


def _docker_logins(text: str) -> list[Any]:
    """The entries for NGC in Docker's config.json."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        return []
    auths = config.get("auths") if isinstance(config, dict) else None
    if not isinstance(auths, dict):
        return []
    return [login for server, login in auths.items() if _NGC_SERVER.fullmatch(server)]


def _docker_key(text: str) -> tuple[str, Secret | None]:
    """User and key of the login for NGC that stands in the file itself."""
    for login in _docker_logins(text):
        try:
            user, _colon, key = base64.b64decode(login["auth"]).decode().partition(":")
        except (TypeError, KeyError, ValueError):
            continue
        if key:
            return user, Secret(key)
    return "", None


def _ngc_holds_key(text: str) -> bool:
    return _NGC_KEY.search(text) is not None


# --- asking the registry -----------------------------------------------------------------------------------------


class KeyState(str, Enum):
    """What the registry's answer means for a key and an image."""

    ACCEPTED = "accepted"
    """the image wants a key, and this one opens it"""
    NOT_NEEDED = "not-needed"
    """the image is public: the key was not even asked for"""
    NO_KEY = "no-key"
    """the image wants a key, and there is none"""
    NOT_SENT = "not-sent"
    """the image wants a key, and this registry must not be given ours"""
    REFUSED = "refused"
    """wrong, expired or revoked"""
    NOT_ENTITLED = "not-entitled"
    """the key is fine, but not for this image"""
    LICENCE = "licence"
    """the image's terms have to be accepted first"""
    BLOCKED = "blocked"
    """the image is not given to this account or this country, whatever the key"""
    NO_IMAGE = "no-image"
    """there is no such image or tag"""
    NOT_CHECKED = "not-checked"
    """the registry could not be asked; nothing is known about the key"""


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What came of asking. ``accepted``: the image can be had, and the key, where there is one, is not known to be bad;
    ``anonymous``: the image can be had even without a key. ``problem`` is the kind of what stands in the way, None when
    nothing does. ``key`` is what NVIDIA itself says about the key, None where it was not asked or could not be;
    ``notes`` are translated sentences about the key.
    """

    image: str
    state: KeyState
    explained: Explained
    problem: Problem | None = None
    anonymous: bool = False
    key: KeyFacts | None = None
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.problem is None

    @property
    def summary(self) -> str:
        """One translated sentence on what happened."""
        return self.explained.summary

    @property
    def advice(self) -> str:
        """One translated sentence on what to do."""
        return self.explained.advice


_STATES = {
    Problem.KEY_REFUSED: KeyState.REFUSED,
    Problem.ACCESS_DENIED: KeyState.NOT_ENTITLED,
    Problem.LICENCE: KeyState.LICENCE,
    Problem.BLOCKED: KeyState.BLOCKED,
    Problem.TAG_MISSING: KeyState.NO_IMAGE,
    Problem.PLATFORM_MISSING: KeyState.NO_IMAGE,
}
_FOR_IMAGES = "catalog"
"""Part of the name of the service that a key needs for images; what NVIDIA calls it exactly is not documented."""


def check(host: Host, key: Secret | None, image_text: str) -> KeyCheck:
    """Asks the registry for the image's description, first without the key, and NVIDIA about the key; nothing is
    downloaded.

    The key is sent only to a registry that takes it, when the image is not public, and to NVIDIA, when it is one of
    NVIDIA's making. What they or the network refuse is a result. Raises ``IMAGE_NAME_INVALID`` for a name that is none.
    """
    reference = ImageReference.parse(image_text)
    image = str(reference)
    sent = key if key and host.registry.takes_key(reference.host) else None
    try:
        manifest = host.registry.manifest(reference, sent)
    except Trouble as trouble:
        if trouble.kind not in NETWORK:
            raise
        return _bad(host, image, key, sent, _with_clock(host, reference.host, trouble))
    about = _about(host, sent)
    if isinstance(about, Trouble) and about.kind is Problem.KEY_REFUSED and manifest.anonymous:
        about.hint = _("{image} is public, so you can download it without a key.").format(image=image)
        return KeyCheck(image, KeyState.REFUSED, words.explain(about), about.kind, anonymous=True)
    state = KeyState.NOT_NEEDED if manifest.anonymous else KeyState.ACCEPTED
    facts, notes = _told(about)
    stale = docker_login(host) if reference.host == _NGC else ""
    return KeyCheck(
        image,
        state,
        _good(state, key, image),
        None,
        manifest.anonymous,
        facts,
        (*notes, stale) if stale else notes,
    )


def _bad(host: Host, image: str, key: Secret | None, sent: Secret | None, trouble: Trouble) -> KeyCheck:
    """The image cannot be had: why, and whether that is the key's fault."""
    state = _STATES.get(trouble.kind, KeyState.NOT_CHECKED)
    # Without a key, a refusal says nothing about rights: it may be that the key would open it.
    if trouble.kind is Problem.KEY_WANTED or (state is KeyState.NOT_ENTITLED and sent is None):
        state = KeyState.NOT_SENT if key else KeyState.NO_KEY
        if key:
            hint = _("Your key was not sent: {registry} is not NVIDIA's registry and not named in your settings.")
            trouble.hint = hint.format(registry=ImageReference.parse(image).host)
    about = _about(host, sent) if state in (KeyState.REFUSED, KeyState.NOT_ENTITLED) else None
    if state is KeyState.REFUSED and isinstance(about, KeyFacts):
        # The registry's word alone would make somebody throw a good key away.
        state = KeyState.NOT_ENTITLED
        trouble = Trouble(
            Problem.ACCESS_DENIED,
            trouble.text,
            subject=image,
            hint=_('NGC knows the key, so it is not wrong. Was it made with the service "NGC Catalog"?'),
            evidence=trouble.evidence,
        )
    elif state is KeyState.NOT_ENTITLED and isinstance(about, Trouble) and about.kind is Problem.KEY_REFUSED:
        state, trouble = KeyState.REFUSED, about
    facts, notes = _told(about)
    return KeyCheck(image, state, words.explain(trouble), trouble.kind, key=facts, notes=notes)


def _about(host: Host, key: Secret | None) -> KeyFacts | Trouble | None:
    """What NVIDIA says about the key; the ``Trouble`` where it could not be asked or refuses it."""
    if key is None:
        return None
    try:
        return host.registry.about_key(key)
    except Trouble as trouble:
        if trouble.kind not in NETWORK:
            raise
        return trouble


def _told(about: KeyFacts | Trouble | None) -> tuple[KeyFacts | None, tuple[str, ...]]:
    if about is None:
        return None, ()
    if isinstance(about, Trouble):
        if about.kind is Problem.KEY_REFUSED:  # the registry has just taken it: who is right is not ours to say
            return None, (_("NVIDIA's key service does not know this key."),)
        reason = words.explain(about).summary
        return None, (_("NVIDIA could not be asked about the key itself: {reason}").format(reason=reason),)
    notes = [_("NGC accepts the key.")]
    if about.org:
        notes = [_('NGC accepts the key; it belongs to the organisation "{org}".').format(org=about.org)]
    if about.products and not any(_FOR_IMAGES in product.lower() for product in about.products):
        notes.append(_('The key was made without the service "NGC Catalog": images that are not public may refuse it.'))
    return about, tuple(notes)


def _with_clock(host: Host, server: str, trouble: Trouble) -> Trouble:
    """A certificate that looks bad only because of this machine's clock is the clock's fault."""
    if trouble.kind is not Problem.TLS:
        return trouble
    now = host.registry.clock(server)
    if now is None or abs(now - time.time()) <= CLOCK_LIMIT:
        return trouble
    return Trouble(Problem.CLOCK, trouble.text, subject=server, evidence=trouble.evidence)


def _good(state: KeyState, key: Secret | None, image: str) -> Explained:
    if state is KeyState.ACCEPTED:
        summary, advice = _("The registry accepts your key for {image}."), _("You can download the image.")
    else:
        summary = _("{image} is public: no key is needed.")
        advice = _("You can download the image without your key.") if key else _("You can download the image.")
    return Explained(state.value, summary.format(image=image), advice, (), ())


def check_json(result: KeyCheck) -> dict[str, Any]:
    """The document of ``key check``. Holds nothing of the key."""
    return {
        "image": result.image,
        "state": result.state.value,
        "accepted": result.accepted,
        "anonymous": result.anonymous,
        **{name: value for name, value in words.to_json(result.explained).items() if name != "id"},
        "problem": result.problem.value if result.problem else None,
        "key": None
        if result.key is None
        else {"type": result.key.type, "org": result.key.org, "products": list(result.key.products)},
        "notes": list(result.notes),
    }
