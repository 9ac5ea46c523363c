"""The registry adapter against a real docker-registry behind a front that behaves like NVIDIA's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.registry import ARCH, NgcLike, Pushed
from wizard.host.registry import NgcRegistry
from wizard.model.errors import Problem, Trouble
from wizard.model.image import ImageReference, Layer, Manifest
from wizard.model.secret import Secret

pytestmark = pytest.mark.real


def ask(ngc: NgcLike, image: str, key: Secret | None = None, arch: str = ARCH, named: bool = True) -> Manifest:
    """The manifest, from an adapter whose settings name the registry (or not)."""
    registry = NgcRegistry((ngc.host,) if named else (), timeouts=(2.0, 2.0))
    return registry.manifest(ImageReference.parse(image), key, arch)


def trouble(ngc: NgcLike, image: str, key: Secret | None = None, named: bool = True, arch: str = ARCH) -> Trouble:
    with pytest.raises(Trouble) as caught:
        ask(ngc, image, key, arch, named)
    for part in (str(caught.value), repr(caught.value.evidence), caught.value.hint):
        assert "nvapi-" not in part
    return caught.value


@pytest.fixture
def public(ngc: NgcLike) -> Pushed:
    return ngc.push("nvidia/tensorflow", "20.11-tf1-py3", layers=[50_000, 30_000, 50_000])


@pytest.fixture
def private(ngc: NgcLike) -> Pushed:
    return ngc.push("org/private", "1", public=False)


def test_a_public_image_needs_no_key(ngc: NgcLike, public: Pushed) -> None:
    manifest = ask(ngc, public.image, ngc.key)
    assert replace(manifest, documents=()) == Manifest(
        reference=ImageReference.parse(public.image),
        digest=public.digest,
        config_digest=public.config.digest,
        config_size=public.config.size,
        layers=tuple(Layer(blob.digest, blob.size) for blob in public.layers),
        anonymous=True,
        platform=f"linux/{ARCH}",
    )
    assert manifest.download_size == public.download_size
    assert [(request.kind, request.status) for request in ngc.requests] == [
        ("manifest", 401),
        ("token", 200),
        ("manifest", 200),
    ]
    assert not ngc.saw_the_key


def test_passwords_of_netrc_are_not_sent(ngc: NgcLike, public: Pushed, own_environment: Path) -> None:
    netrc = own_environment / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password swordfish\n")
    netrc.chmod(0o600)
    ask(ngc, public.image)
    assert not ngc.saw_the_key


def test_a_proxy_of_the_shell_is_not_used_for_loopback(
    ngc: NgcLike, public: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(ngc, public.image).digest == public.digest


def test_a_private_image_is_read_with_the_key(ngc: NgcLike, private: Pushed) -> None:
    manifest = ask(ngc, private.image, ngc.key)
    assert manifest.digest == private.digest
    assert not manifest.anonymous
    assert [(request.kind, request.status) for request in ngc.requests] == [
        ("manifest", 401),
        ("token", 401),
        ("token", 200),
        ("manifest", 200),
    ]


def test_without_a_key_a_private_image_wants_one(ngc: NgcLike, private: Pushed) -> None:
    seen = trouble(ngc, private.image)
    assert (seen.kind, seen.subject) == (Problem.KEY_WANTED, private.image)


def test_a_wrong_key_is_refused(ngc: NgcLike, private: Pushed) -> None:
    seen = trouble(ngc, private.image, ngc.wrong_key)
    assert seen.kind is Problem.KEY_REFUSED
    assert "Invalid apikey" in seen.text


def test_a_wrong_key_does_not_matter_for_a_public_image(ngc: NgcLike, public: Pushed) -> None:
    assert ask(ngc, public.image, ngc.wrong_key).anonymous


def test_the_key_is_not_sent_to_a_registry_that_nobody_named(ngc: NgcLike, private: Pushed) -> None:
    seen = trouble(ngc, private.image, ngc.key, named=False)
    assert seen.kind is Problem.KEY_WANTED
    assert "settings" in seen.hint
    assert not ngc.saw_the_key


def test_the_key_is_not_sent_to_a_realm_elsewhere(ngc: NgcLike, own_ngc: NgcLike, private: Pushed) -> None:
    ngc.realm(f"http://{own_ngc.host}/proxy_auth")
    seen = trouble(ngc, private.image, ngc.key)
    assert (seen.kind, seen.subject) == (Problem.REGISTRY_UNTRUSTED, "127.0.0.1")
    assert own_ngc.requests == []


def test_a_token_server_that_redirects_gets_no_key(ngc: NgcLike, own_ngc: NgcLike, private: Pushed) -> None:
    ngc.answer("token", 307, times=2, headers={"Location": f"http://{own_ngc.host}/proxy_auth"})
    assert trouble(ngc, private.image, ngc.key).kind is Problem.REGISTRY_UNTRUSTED
    assert own_ngc.requests == []
    assert not ngc.saw_the_key


def test_a_manifest_on_another_server_is_fetched_without_the_token(
    ngc: NgcLike, own_ngc: NgcLike, private: Pushed
) -> None:
    ngc.answer("manifest", 401, headers={"WWW-Authenticate": f"Bearer realm=http://{ngc.host}/proxy_auth"})
    ngc.answer("manifest", 307, times=9, headers={"Location": f"http://{own_ngc.host}/v2/org/private/manifests/1"})
    trouble(ngc, private.image, ngc.key)
    assert any(request.status == 307 and request.authorization for request in ngc.requests)
    assert {request.authorization for request in own_ngc.requests} == {""}


def test_a_redirect_is_not_followed_with_the_key_even_within_its_server(ngc: NgcLike, private: Pushed) -> None:
    ngc.answer("manifest", 401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    ngc.answer("manifest", 307, headers={"Location": f"http://{ngc.host}/v2/org/private/manifests/other"})
    trouble(ngc, private.image, ngc.key)
    assert [request.authorization.partition(" ")[0] for request in ngc.seen("manifest")[:3]] == ["", "Basic", ""]


def test_a_good_key_without_entitlement(ngc: NgcLike) -> None:
    pushed = ngc.push("org/denied")
    ngc.deny("org/denied")
    seen = trouble(ngc, pushed.image, ngc.key)
    assert seen.kind is Problem.ACCESS_DENIED
    assert "Access Denied" in seen.text


def test_a_licence_that_is_not_accepted(ngc: NgcLike) -> None:
    pushed = ngc.push("org/licensed")
    ngc.want_licence("org/licensed")
    assert trouble(ngc, pushed.image, ngc.key).kind is Problem.LICENCE


def test_a_tag_that_does_not_exist(ngc: NgcLike, public: Pushed) -> None:
    image = public.image.replace("20.11", "99.99")
    seen = trouble(ngc, image, ngc.key)
    assert (seen.kind, seen.subject) == (Problem.TAG_MISSING, image)
    assert "manifest unknown" in seen.text
    assert not ngc.saw_the_key


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (402, Problem.BLOCKED),
        (451, Problem.BLOCKED),
        (429, Problem.RATE_LIMITED),
        (500, Problem.REGISTRY_TROUBLE),
        (503, Problem.REGISTRY_TROUBLE),
        (405, Problem.REGISTRY_TROUBLE),
    ],
)
@pytest.mark.parametrize("where", ["manifest", "token"])
def test_other_answers(ngc: NgcLike, public: Pushed, status: int, kind: Problem, where: str) -> None:
    ngc.answer(where, status, body=b"<html>no</html>")
    assert trouble(ngc, public.image).kind is kind


@pytest.mark.parametrize(
    "challenge",
    [
        ("Bearer realm=http://{host}/proxy_auth",),
        ('Negotiate, BEARER Realm="http://{host}/proxy_auth", Service="registry"',),
        ("Negotiate", 'Basic realm="x"', 'Bearer realm="http://{host}/proxy_auth",scope="repository:org/private:pull"'),
    ],
    ids=["unquoted, no scope", "capitals, service", "several headers"],
)
def test_challenges_in_other_dresses(ngc: NgcLike, private: Pushed, challenge: tuple[str, ...]) -> None:
    ngc.challenge(*(item.replace("{host}", ngc.host) for item in challenge))
    assert ask(ngc, private.image, ngc.key).digest == private.digest


def test_a_challenge_that_offers_nothing_we_know(ngc: NgcLike, public: Pushed) -> None:
    ngc.challenge("Negotiate")
    assert trouble(ngc, public.image, ngc.key).kind is Problem.KEY_WANTED
    assert not ngc.saw_the_key


def test_the_platform_is_picked_from_an_index(ngc: NgcLike) -> None:
    amd = ngc.push("org/many", "amd", arch="amd64", layers=[1000])
    arm = ngc.push("org/many", "arm", arch="arm64", layers=[2000])
    digest = ngc.push_index("org/many", "1", {"amd64": amd, "arm64": arm})
    image = f"{ngc.host}/org/many:1"
    manifest = ask(ngc, image, arch="arm64")
    assert (manifest.digest, manifest.config_digest, manifest.platform) == (digest, arm.config.digest, "linux/arm64")
    assert ask(ngc, image, arch="amd64").config_digest == amd.config.digest
    seen = trouble(ngc, image, arch="s390x")
    assert seen.kind is Problem.PLATFORM_MISSING
    assert "linux/amd64, linux/arm64" in seen.text


def test_an_image_can_be_named_by_its_digest(ngc: NgcLike, public: Pushed) -> None:
    name = public.image.rpartition(":")[0]
    assert ask(ngc, f"{name}@{public.digest}").digest == public.digest


@pytest.mark.parametrize("header", [{"Docker-Content-Digest": "sha256:" + "0" * 64}, {}])
def test_content_that_is_not_what_was_promised(ngc: NgcLike, public: Pushed, header: dict[str, str]) -> None:
    """Told by the header, or by the digest in the name."""
    ngc.answer("manifest", 200, headers=header, body=b'{"layers": []}')
    name = public.image if header else f"{public.image.rpartition(':')[0]}@{public.digest}"
    assert trouble(ngc, name).kind is Problem.DIGEST_MISMATCH


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"schemaVersion": 1, "fsLayers": []}',
        b'{"config": {"digest": "sha256:x", "size": 1}, "layers": []}',
        b'{"config": null, "layers": null}',
        b'{"manifests": [null]}',
        b"[" * 100_000,
        b" " * 5_000_000,
    ],
    ids=["html", "list", "empty", "schema 1", "digest", "null", "index", "deep", "long"],
)
def test_answers_that_make_no_sense(ngc: NgcLike, public: Pushed, body: bytes) -> None:
    ngc.answer("manifest", 200, body=body)
    assert trouble(ngc, public.image).kind is Problem.REGISTRY_TROUBLE


@pytest.mark.parametrize("body", [b"", b"{}", b'{"token": 7}', b"[]"])
def test_tokens_that_make_no_sense(ngc: NgcLike, public: Pushed, body: bytes) -> None:
    ngc.answer("token", 200, body=body)
    assert trouble(ngc, public.image).kind is Problem.REGISTRY_TROUBLE


def test_a_registry_that_has_gone(own_ngc: NgcLike) -> None:
    pushed = own_ngc.push("org/gone")
    own_ngc.stop()
    seen = trouble(own_ngc, pushed.image)
    assert (seen.kind, seen.subject) == (Problem.REGISTRY_UNREACHABLE, own_ngc.host)
