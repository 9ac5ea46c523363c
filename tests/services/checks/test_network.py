"""The way to the images, and the proxy that Docker should know."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.services.checks.machines import Instead, find, trouble
from wizard.demo import machine, spec
from wizard.host.ports import Host
from wizard.model.engine import EngineKind, ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Status
from wizard.model.machine import Reached
from wizard.services import checkup

PROXY = "http://mei:swordfish@proxy.example.com:3128"
OURS = ImageInfo("sha256:1", ("nvcr.io/nvidia/tensorflow:20.11-tf1-py3",), (), 1)


def host_of(text: str = "") -> Host:
    return machine.assemble(spec.parse(f'extends = "healthy"\n{text}', "test"))


def meeting(kind: Problem, text: str = "", *, images: tuple[ImageInfo, ...] = ()) -> Host:
    host = machine.build("healthy")
    return replace(
        host,
        registry=Instead(host.registry, reach=trouble(kind, text)),
        engine=Instead(host.engine, images=images),
    )


# --- the way to the registry ---


@pytest.mark.parametrize(
    ("kind", "text", "causes"),
    [
        (Problem.DNS, "Name or service not known", ("dns-failure",)),
        (Problem.REGISTRY_UNREACHABLE, "[Errno 111] Connection refused", ("connection-refused-registry",)),
        (Problem.REGISTRY_UNREACHABLE, "no answer within 4.5 seconds", ()),
        (Problem.PROXY, "[Errno 111] Connection refused", ()),
        (Problem.TLS, "certificate verify failed: unable to get local issuer certificate", ("x509-unknown-authority",)),
        (Problem.TLS, "certificate verify failed: self-signed certificate in chain", ("x509-unknown-authority",)),
        (Problem.TLS, "certificate verify failed: Hostname mismatch", ("x509-name",)),
        (Problem.TLS, "certificate verify failed: certificate has expired", ("x509-name",)),
    ],
)
def test_why_the_registry_is_not_reached(kind: Problem, text: str, causes: tuple[str, ...]) -> None:
    found = find(meeting(kind, text), "network.registry")
    assert (found.status, found.causes) == (Status.ERROR, causes)
    assert found.detail


def test_an_image_that_is_here_makes_the_network_less_important() -> None:
    found = find(meeting(Problem.DNS, "no", images=(OURS,)), "network.registry")
    assert found.status is Status.WARNING
    assert "go on without" in found.detail


def test_a_docker_with_a_proxy_of_its_own_may_fetch_it() -> None:
    host = meeting(Problem.DNS, "no")
    info = replace(host.engine.info(), https_proxy="http://proxy:1")
    found = find(replace(host, engine=Instead(host.engine, info=info)), "network.registry")
    assert found.status is Status.WARNING
    assert "proxy of its own" in found.detail


def test_a_docker_that_hangs_does_not_make_the_look_fail() -> None:
    host = meeting(Problem.DNS, "no")
    hung = trouble(Problem.ENGINE_TIMEOUT)
    found = find(replace(host, engine=Instead(host.engine, info=hung, images=hung)), "network.registry")
    assert (found.status, found.causes) == (Status.ERROR, ("dns-failure",))


@pytest.mark.parametrize(("clock", "status"), [(0.0, Status.OK), (200.0, Status.OK), (-4000.0, Status.WARNING)])
def test_the_clock_is_compared_with_the_registrys(clock: float, status: Status) -> None:
    found = find(host_of(f"[network]\nclock = {clock}"), "network.registry")
    assert found.status is status
    assert ("clock" in found.summary) is (status is Status.WARNING)


@pytest.mark.parametrize(("clock", "way"), [(86400.0, "slow"), (-86400.0, "fast")])
def test_a_wrong_clock_is_the_reason_for_bad_certificates(clock: float, way: str) -> None:
    text = f'[network]\nproblem = "x509"\ntext = "certificate is not yet valid"\nclock = {clock}'
    found = find(host_of(text), "network.registry")
    assert (found.status, found.causes) == (Status.ERROR, ("x509-name",))
    assert f"1440 minutes {way}" in found.summary


@pytest.mark.parametrize(
    ("status", "causes"),
    [(302, ("captive-portal",)), (200, ("captive-portal",)), (403, ("captive-portal",)), (502, ("registry-5xx",))],
)
def test_somebody_else_at_the_front_door(status: int, causes: tuple[str, ...]) -> None:
    found = find(host_of(f"[network]\nstatus = {status}"), "network.registry")
    assert (found.status, found.causes) == (Status.ERROR, causes)


def test_without_any_network_there_is_one_line_and_no_cascade() -> None:
    host = host_of('[network]\nproblem = "dns-failure"\ntext = "no"')
    bad = [finding.id for finding in checkup.run(host) if finding.status not in (Status.OK, Status.INFO)]
    assert bad == ["network.registry"]


# --- the three proxies ---


def at(docker: str = "", shell: str = "", ways: tuple[str, ...] = (), none: str = "", **info: Any) -> Host:
    """A machine whose Docker and shell have these proxies; ``ways`` are the proxies that lead out ("": directly)."""
    host = machine.build("healthy")

    def reach(where: str, proxy: str | None = None) -> Reached | Trouble:
        if (shell if proxy is None else proxy) in ways:
            return Reached(f"https://{where}/v2/", 401, is_registry=True, clock=time.time())
        return Trouble(Problem.PROXY if proxy else Problem.DNS, "no way", subject=where)

    told = replace(host.engine.info(), https_proxy=docker, **info)
    return replace(
        host,
        engine=Instead(host.engine, info=told, images=()),
        registry=Instead(host.registry, reach=reach),
        environ={**host.environ, "HTTPS_PROXY": shell, "NO_PROXY": none},
    )


@pytest.mark.parametrize(
    ("docker", "shell", "ways", "status", "causes", "fixes"),
    [
        ("", "", ("",), Status.OK, (), ()),
        ("", "", (), Status.OK, (), ()),
        (PROXY, PROXY, (PROXY,), Status.OK, (), ()),
        ("http://xxxxx:xxxxx@proxy.example.com:3128", PROXY, (PROXY,), Status.OK, (), ()),
        ("", PROXY, (PROXY,), Status.ERROR, ("proxy-failure", "dns-failure"), ("set-daemon-proxy",)),
        ("", PROXY, (PROXY, ""), Status.INFO, (), ()),
        ("http://old:1", PROXY, (PROXY,), Status.ERROR, ("proxy-failure",), ("set-daemon-proxy",)),
        ("http://other:1", PROXY, (PROXY, "http://other:1"), Status.INFO, (), ()),
        ("http://xxxxx:xxxxx@other:1", PROXY, (PROXY,), Status.INFO, (), ()),
        ("http://other:1", "", ("http://other:1",), Status.INFO, (), ()),
        ("http://old:1", "", ("",), Status.WARNING, ("proxy-failure",), ()),
        ("http://old:1", PROXY, (), Status.WARNING, ("proxy-failure",), ()),
        ("", PROXY, (), Status.INFO, (), ()),
    ],
)
def test_which_proxy_is_missing(
    docker: str, shell: str, ways: tuple[str, ...], status: Status, causes: tuple[str, ...], fixes: tuple[str, ...]
) -> None:
    found = find(at(docker, shell, ways), "network.proxy")
    assert (found.status, found.causes, found.fixes) == (status, causes, fixes)
    assert "swordfish" not in f"{found}"


def test_a_host_that_needs_no_proxy() -> None:
    assert find(at("", PROXY, ("",), none=".io"), "network.proxy").status is Status.OK


def test_the_proxy_of_another_machines_docker_is_not_ours_to_set() -> None:
    found = find(at("", PROXY, (PROXY,), kind=EngineKind.REMOTE), "network.proxy")
    assert (found.status, found.fixes) == (Status.INFO, ())


def test_an_image_that_is_here_makes_the_proxy_less_important() -> None:
    host = at("", PROXY, (PROXY,))
    found = find(replace(host, engine=Instead(host.engine, images=(OURS,))), "network.proxy")
    assert (found.status, found.fixes) == (Status.WARNING, ("set-daemon-proxy",))


@pytest.mark.parametrize(
    ("config", "seen"),
    [
        ({"proxies": {"default": {"httpsProxy": PROXY}}}, "http://mei:****@proxy.example.com:3128"),
        ({"proxies": []}, "no proxy"),
        ({"auths": {"nvcr.io": {"auth": "c2VjcmV0"}}}, "no proxy"),
        ("no json", "no proxy"),
    ],
)
def test_the_proxy_of_containers_is_shown_and_nothing_else_of_that_file(config: object, seen: str) -> None:
    text = json.dumps(json.dumps(config) if not isinstance(config, str) else config)
    host = host_of(f'[files]\n"/home/mei/.docker/config.json" = {{ text = {text}, owner = 1000, group = 1000 }}')
    found = find(host, "network.proxy")
    assert [item.text for item in found.evidence if item.source.endswith("config.json")] == [seen]
    assert "c2VjcmV0" not in f"{found}"
