"""A key, tried at servers that bear the names of NVIDIA's: over TLS, with a real registry and its tokens behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import nvidia as servers
from tests.support.nvidia import HOSTS, Nvidia, Proxy
from tests.support.registry import NgcLike
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.host.registry import NgcRegistry
from wizard.model.errors import Problem, Trouble
from wizard.model.image import ImageReference
from wizard.model.key_store import KeyFacts
from wizard.model.secret import Secret
from wizard.services import account
from wizard.services.account import KeyCheck, KeyState

pytestmark = pytest.mark.real

PUBLIC, PRIVATE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3", "nvcr.io/example/private:1"
CALLER, TOKEN, REGISTRY = "api.ngc.nvidia.com", "authn.nvidia.com", "nvcr.io"


@pytest.fixture
def stocked(ngc: NgcLike) -> NgcLike:
    """The registry with a public image and a private one, whose challenges name nvcr.io."""
    ngc.push("nvidia/tensorflow", "20.11-tf1-py3", layers=[1000], arch="amd64")
    ngc.push("example/private", "1", layers=[1000], public=False, arch="amd64")
    ngc.realm("https://nvcr.io/proxy_auth")
    return ngc


@pytest.fixture
def nvidia(stocked: NgcLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nvidia]:
    """NVIDIA's hosts, found and trusted by this process."""
    with servers.running(stocked, tmp_path) as nvidia, servers.redirected(nvidia):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(nvidia.authority))
        yield nvidia


def real(registry: NgcRegistry | None = None) -> Host:
    return replace(machine.build("healthy"), registry=registry or NgcRegistry(timeouts=(5.0, 5.0)))


def check(key: Secret | None, image: str) -> KeyCheck:
    result = account.check(real(), key, image)
    if key is not None:
        assert key.reveal() not in repr((result, account.check_json(result)))
    return result


def refused(key: Secret) -> Trouble:
    with pytest.raises(Trouble) as caught:
        NgcRegistry(timeouts=(5.0, 5.0)).about_key(key)
    return caught.value


# --- the way by the kind of key ---


def test_a_key_of_today_is_known_to_the_key_service_alone(nvidia: Nvidia) -> None:
    facts = NgcRegistry().about_key(nvidia.ngc.key)

    assert facts == KeyFacts("PERSONAL_KEY", "example-org", ("artifact-catalog",))
    assert nvidia.seen == [("POST", CALLER, "/v3/keys/get-caller-info", True)]


def test_a_key_of_the_old_kind_is_known_to_the_token_service_alone(nvidia: Nvidia) -> None:
    assert NgcRegistry().about_key(nvidia.legacy_key) == KeyFacts()
    assert nvidia.seen == [("GET", TOKEN, "/token?service=ngc", True)]


def test_a_key_that_is_not_of_nvidias_making_is_sent_nowhere(nvidia: Nvidia) -> None:
    assert NgcRegistry().about_key(Secret("a mirror's own password")) is None
    assert nvidia.seen == []


def test_a_service_key_has_no_user(nvidia: Nvidia) -> None:
    nvidia.caller |= {"type": "SERVICE_KEY", "user": None}
    assert NgcRegistry().about_key(nvidia.ngc.key) == KeyFacts("SERVICE_KEY", "example-org", ("artifact-catalog",))


def test_a_personal_key_of_nobody_is_refused(nvidia: Nvidia) -> None:
    nvidia.caller["user"] = {"name": "Mei", "roles": []}
    assert refused(nvidia.ngc.key).kind is Problem.KEY_REFUSED


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Problem.KEY_REFUSED),
        (403, Problem.KEY_REFUSED),
        (404, Problem.REGISTRY_TROUBLE),
        (412, Problem.REGISTRY_TROUBLE),
        (429, Problem.RATE_LIMITED),
        (500, Problem.REGISTRY_TROUBLE),
        (503, Problem.REGISTRY_TROUBLE),
        (511, Problem.CAPTIVE_PORTAL),
    ],
)
@pytest.mark.parametrize("host", [CALLER, TOKEN])
def test_only_nvidias_own_word_makes_a_key_a_bad_one(nvidia: Nvidia, host: str, status: int, kind: Problem) -> None:
    key = nvidia.ngc.key if host == CALLER else nvidia.legacy_key
    nvidia.answers[host] = (status, {}, key.reveal().encode())
    seen = refused(key)

    assert (seen.kind, seen.subject) == (kind, host)
    assert key.reveal() not in f"{seen} {seen.evidence}"


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"[" * 100_000])
def test_answers_that_make_no_sense_are_no_verdict(nvidia: Nvidia, body: bytes) -> None:
    nvidia.answers[CALLER] = (200, {"Content-Type": "application/json"}, body)
    assert refused(nvidia.ngc.key).kind is Problem.REGISTRY_TROUBLE


def test_facts_of_strange_types_are_left_out(nvidia: Nvidia) -> None:
    nvidia.caller = {"user": 3, "products": 7, "orgName": []}
    assert NgcRegistry().about_key(nvidia.ngc.key) == KeyFacts()


@pytest.mark.parametrize("host", [CALLER, TOKEN])
@pytest.mark.parametrize("target", ["https://evil.example/", "https://nvcr.io/collect", "http://api.ngc.nvidia.com/"])
def test_no_redirect_is_followed_with_the_key(nvidia: Nvidia, host: str, target: str) -> None:
    nvidia.answers[host] = (307, {"Location": target}, b"")
    assert refused(nvidia.ngc.key if host == CALLER else nvidia.legacy_key).kind is Problem.REGISTRY_UNTRUSTED
    assert len(nvidia.seen) == 1


# --- the key and the image together ---


def test_a_good_key_and_an_image_that_wants_one(nvidia: Nvidia) -> None:
    result = check(nvidia.ngc.key, PRIVATE)

    assert (result.state, result.problem, result.anonymous) == (KeyState.ACCEPTED, None, False)
    assert result.key is not None
    assert nvidia.with_key() == {REGISTRY, CALLER}
    assert {path.partition("?")[0] for _m, host, path, key in nvidia.seen if key and host == REGISTRY} == {
        "/proxy_auth"
    }


def test_a_public_image_is_fetched_without_the_key(nvidia: Nvidia) -> None:
    result = check(nvidia.ngc.key, PUBLIC)

    assert (result.state, result.anonymous) == (KeyState.NOT_NEEDED, True)
    assert nvidia.with_key() == {CALLER}


def test_a_wrong_key(nvidia: Nvidia) -> None:
    private, public = check(nvidia.ngc.wrong_key, PRIVATE), check(nvidia.ngc.wrong_key, PUBLIC)

    assert (private.state, public.state) == (KeyState.REFUSED, KeyState.REFUSED)
    assert not private.anonymous
    assert public.anonymous


def test_a_good_key_for_something_else(nvidia: Nvidia) -> None:
    nvidia.ngc.deny("example/private")
    result = check(nvidia.ngc.key, PRIVATE)

    assert result.state is KeyState.NOT_ENTITLED
    assert "example-org" in " ".join(result.notes)


def test_terms_that_are_not_accepted_come_with_their_page(nvidia: Nvidia) -> None:
    nvidia.ngc.want_licence("example/private")
    result = check(nvidia.ngc.key, PRIVATE)

    assert result.state is KeyState.LICENCE
    assert "https://catalog.ngc.nvidia.com/orgs/example/containers/private?version=1" in result.advice


@pytest.mark.parametrize(
    ("status", "state", "problem"),
    [
        (402, KeyState.BLOCKED, Problem.BLOCKED),
        (451, KeyState.BLOCKED, Problem.BLOCKED),
        (404, KeyState.NO_IMAGE, Problem.TAG_MISSING),
        (429, KeyState.NOT_CHECKED, Problem.RATE_LIMITED),
        (500, KeyState.NOT_CHECKED, Problem.REGISTRY_TROUBLE),
        (511, KeyState.NOT_CHECKED, Problem.CAPTIVE_PORTAL),
    ],
)
def test_the_registrys_answers_are_told_apart(nvidia: Nvidia, status: int, state: KeyState, problem: Problem) -> None:
    nvidia.answers[REGISTRY] = (status, {}, b"")
    result = check(nvidia.ngc.key, PUBLIC)
    assert (result.state, result.problem) == (state, problem)
    assert nvidia.with_key() == set()


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "http://login.hotel.example/"}, b""),
        (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Welcome to the hotel</html>"),
    ],
)
def test_a_login_page_of_the_network(nvidia: Nvidia, answer: tuple[int, dict[str, str], bytes]) -> None:
    nvidia.answers |= {REGISTRY: answer, CALLER: answer}
    result = check(nvidia.ngc.key, PUBLIC)
    assert (result.state, result.problem) == (KeyState.NOT_CHECKED, Problem.CAPTIVE_PORTAL)
    assert nvidia.with_key() == set()


def test_a_realm_elsewhere_gets_nothing(nvidia: Nvidia) -> None:
    nvidia.ngc.realm("https://evil.example/token")
    result = check(nvidia.ngc.key, PRIVATE)
    assert (result.state, result.problem) == (KeyState.NOT_CHECKED, Problem.REGISTRY_UNTRUSTED)
    assert nvidia.with_key() == set()


def test_a_token_that_has_expired_is_dropped_and_all_begins_again(nvidia: Nvidia) -> None:
    amd = nvidia.ngc.push("example/many", "amd", arch="amd64", layers=[1000], public=False)
    nvidia.ngc.push_index("example/many", "1", {"amd64": amd})
    registry = NgcRegistry(timeouts=(5.0, 5.0))
    given = nvidia.ngc._tokens

    class Forgetful(dict[str, str]):
        """Forgets the token of the key once it has opened the index."""

        def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
            user = super().get(key, default)
            if user and len(nvidia.ngc.seen("manifest")) == 2:
                return None
            return user

    nvidia.ngc._tokens = Forgetful(given)
    try:
        manifest = registry.manifest(ImageReference.parse("nvcr.io/example/many:1"), nvidia.ngc.key)
    finally:
        nvidia.ngc._tokens = given
    assert not manifest.anonymous
    last = [request.authorization.partition(" ")[0] for request in nvidia.ngc.seen("manifest")]
    assert last[2:5] == ["Bearer", "", "Bearer"], "refused, then without, then anew"


# --- certificates, clocks, proxies ---


def test_a_certificate_that_nobody_vouches_for_is_not_believed(nvidia: Nvidia, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    result = check(nvidia.ngc.key, PRIVATE)

    assert (result.state, result.problem) == (KeyState.NOT_CHECKED, Problem.TLS)
    assert "REQUESTS_CA_BUNDLE" in result.advice
    assert refused(nvidia.ngc.key).kind is Problem.TLS
    assert nvidia.with_key() == set()


def test_a_file_of_certificates_that_is_not_there(nvidia: Nvidia, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent/ca.pem")
    result = check(nvidia.ngc.key, PRIVATE)
    assert result.problem is Problem.TLS
    assert "REQUESTS_CA_BUNDLE" in result.advice
    assert nvidia.with_key() == set()


def test_a_certificate_for_another_name(stocked: NgcLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.running(stocked, tmp_path, names=("other.example",)) as nvidia, servers.redirected(nvidia):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(nvidia.authority))
        result = check(stocked.key, PRIVATE)
    assert (result.state, result.problem) == (KeyState.NOT_CHECKED, Problem.TLS)
    assert nvidia.with_key() == set()


def test_a_clock_that_is_slow(stocked: NgcLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.running(stocked, tmp_path, days=400) as nvidia, servers.redirected(nvidia):
        nvidia.ahead = 400 * 86400.0
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(nvidia.authority))
        result = check(stocked.key, PRIVATE)
    assert (result.state, result.problem) == (KeyState.NOT_CHECKED, Problem.CLOCK)
    assert nvidia.with_key() == set()


@pytest.fixture
def through(stocked: NgcLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nvidia]:
    """NVIDIA's hosts, which only a proxy can find."""
    with servers.running(stocked, tmp_path) as nvidia:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(nvidia.authority))
        yield nvidia


@pytest.mark.parametrize("password", ["", "mei:sword-fish"])
def test_through_a_proxy(through: Nvidia, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    proxy = Proxy(through.port, password)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{password and password + '@'}{proxy.address}")
    result = check(through.ngc.key, PRIVATE)
    proxy.close()

    assert result.state is KeyState.ACCEPTED
    assert {line.split()[1] for line in proxy.asked} == {f"{host}:443" for host in (REGISTRY, CALLER)}
    assert not any(through.ngc.key.reveal() in line for line in proxy.asked)


def test_a_proxy_that_wants_a_password(through: Nvidia, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(through.port, "mei:sword-fish")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    result = check(through.ngc.key, PRIVATE)
    proxy.close()

    assert (result.state, result.problem) == (KeyState.NOT_CHECKED, Problem.PROXY)
    assert "user name and a password" in result.advice
    assert through.seen == []


def test_a_proxy_that_reads_along(
    stocked: NgcLike, tmp_path: Path, through: Nvidia, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's: it signs anew, with an authority that this machine does not know."""
    (tmp_path / "company").mkdir()
    with servers.running(stocked, tmp_path / "company", names=HOSTS) as company:
        proxy = Proxy(company.port)
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        before = check(stocked.key, PRIVATE)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(company.authority))
        after = check(stocked.key, PRIVATE)
        proxy.close()
    assert (before.state, before.problem) == (KeyState.NOT_CHECKED, Problem.TLS)
    assert "REQUESTS_CA_BUNDLE" in before.advice
    assert after.state is KeyState.ACCEPTED
