"""Whether Docker knows the proxy that is needed: there are three, that of this shell, that of the Docker service, and
that of the programs in containers.

It is the service that downloads images, and it does not know what is set in a shell.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from wizard.host.ports import Host
from wizard.model.engine import EngineInfo, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.proxy import Proxies, address, of_environment
from wizard.model.secret import redact
from wizard.services.checks.check import PROBE, Check
from wizard.services.checks.network_registry import HOST, has_image

FIX = "set-daemon-proxy"
_HERE = (EngineKind.ENGINE, EngineKind.ROOTLESS)
_PAGE = Link(N_("Docker: use a proxy"), "https://docs.docker.com/engine/daemon/proxy/")


def _run(host: Host) -> Finding:
    info = host.engine.info()
    shell, docker = of_environment(host.environ), of_daemon(info)
    ours, theirs = shell.to(HOST), docker.to(HOST)
    inside = _of_containers(host)
    evidence: tuple[Evidence, ...] = (
        Evidence(_("this shell: HTTPS_PROXY, NO_PROXY"), _shown(shell)),
        Evidence("GET /info → HttpsProxy, NoProxy", _shown(docker)),
        Evidence(_config(host), inside or _("no proxy")),
    )
    if not ours and not theirs:
        return CHECK.finding(Status.OK, _("No proxy is set."), evidence=evidence)
    if info.kind not in _HERE:
        return CHECK.finding(
            Status.INFO, _("The proxy of this Docker is set in its own program, not here."), evidence=evidence
        )
    if address(ours) == address(theirs):
        return CHECK.finding(
            Status.OK,
            _("Docker goes through the same proxy as you: {proxy}").format(proxy=address(ours)),
            _about_containers(inside),
            evidence=evidence,
        )
    with ThreadPoolExecutor(2) as pool:
        mine, dockers = pool.map(lambda proxy: _knock(host, proxy), (ours, theirs))
    evidence = (*evidence, *(item.evidence[0] for item in (dockers,) if item is not None and item.evidence))
    if dockers is None or (_has_masked_password(theirs) and dockers.kind is Problem.PROXY):
        return CHECK.finding(
            Status.INFO,
            _("Docker goes another way than you, and that works: {proxy}").format(
                proxy=address(theirs) or _("without a proxy")
            ),
            _about_containers(inside),
            evidence=evidence,
        )
    if ours and mine is None:
        return _unknown_to_docker(host, ours, theirs, dockers, evidence)
    if theirs and (mine is None or dockers.kind is Problem.PROXY):
        return CHECK.finding(
            Status.WARNING,
            _("Docker's proxy {proxy} does not lead to {host}.").format(proxy=address(theirs), host=HOST),
            _(
                "Ask the people who look after the network which proxy is right, set it in this shell (HTTPS_PROXY), "
                "and look again: then the wizard can tell Docker."
            ),
            evidence=evidence,
            causes=("proxy-failure",),
            links=(Link(_(_PAGE.title), _PAGE.url),),
        )
    return CHECK.finding(
        Status.INFO,
        _("Which proxy is right can be told once {host} can be reached.").format(host=HOST),
        evidence=evidence,
    )


def _unknown_to_docker(host: Host, ours: str, theirs: str, dockers: Trouble, evidence: tuple[Evidence, ...]) -> Finding:
    """The shell has a way and Docker has none. A name that only a proxy can resolve is the usual face of that."""
    by_name = dockers.kind is Problem.DNS and not theirs
    return CHECK.finding(
        Status.WARNING if has_image(host) else Status.ERROR,
        _("You reach {host} through a proxy that Docker does not know.").format(host=HOST),
        _(
            "The Docker service downloads the images, and it does not see what is set in your shell. It must be told "
            "about the proxy {proxy} in its own settings."
        ).format(proxy=address(ours)),
        evidence=evidence,
        causes=("proxy-failure", "dns-failure") if by_name else ("proxy-failure",),
        fixes=(FIX,),
        links=(Link(_(_PAGE.title), _PAGE.url),),
    )


def of_daemon(info: EngineInfo) -> Proxies:
    """The proxies of the Docker service."""
    return Proxies(info.http_proxy, info.https_proxy, info.no_proxy)


def _knock(host: Host, proxy: str) -> Trouble | None:
    """What goes wrong on the way to the registry through ``proxy`` ("": directly); None when it works."""
    try:
        reached = host.registry.reach(HOST, proxy)
    except Trouble as trouble:
        return trouble
    if reached.is_registry or reached.status >= 500:
        return None
    text = f"HTTP {reached.status}"
    return Trouble(Problem.REGISTRY_UNREACHABLE, text, subject=HOST, evidence=(Evidence(f"GET {reached.url}", text),))


def _has_masked_password(url: str) -> bool:
    """Docker writes xxxxx for a user and a password, so nobody else can try its proxy."""
    return "xxxxx" in url or "****" in url


def _config(host: Host) -> str:
    return f"{host.environ.get('DOCKER_CONFIG') or f'{host.home}/.docker'}/config.json"


def _of_containers(host: Host) -> str:
    """The proxy that new containers get, "" for none; the rest of that file is nobody's business here."""
    try:
        content = host.files.read(_config(host))
        proxies = json.loads(content.data if content is not None else b"{}").get("proxies", {})
        default = proxies.get("default", {})
        return redact(str(default.get("httpsProxy") or default.get("httpProxy") or ""))
    except (Trouble, ValueError, AttributeError):
        return ""


def _about_containers(inside: str) -> str:
    if inside:
        return _("Programs in containers go through {proxy}.").format(proxy=address(inside))
    return _(
        "Programs in containers do not get it by themselves; whoever needs it there writes it into {file}."
    ).format(file="~/.docker/config.json")


def _shown(proxies: Proxies) -> str:
    none = ", " + _("not for") + f": {proxies.none}" if proxies.none else ""
    return (redact(proxies.https) or _("no proxy")) + none


CHECK = Check(
    id="network.proxy",
    title=N_("Proxy of Docker"),
    requires=("docker.access",),
    timeout=2 * PROBE,
    run=_run,
    decides=("proxy-failure", "dns-failure"),
)
