"""Whether images can be fetched from here: the name server, the way to the registry, certificates, the clock."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Link, Status
from wizard.model.i18n import N_, _
from wizard.model.machine import Reached
from wizard.model.proxy import of_environment
from wizard.services.account import CLOCK_LIMIT
from wizard.services.checks.check import Check

HOST = "nvcr.io"
REPOSITORY = f"{HOST}/nvidia/tensorflow"
_NETWORK = Link(N_("Docker: use a proxy"), "https://docs.docker.com/engine/daemon/proxy/")
_CERTIFICATES = Link(N_("Docker: certificates"), "https://docs.docker.com/engine/security/certificates/")


@dataclass(frozen=True, slots=True)
class _Docker:
    """What makes this way less important: an image that is here already, a proxy of Docker's own."""

    has_image: bool
    proxy: str


def _run(host: Host) -> Finding:
    # Side by side: each of the two may take five seconds.
    with ThreadPoolExecutor(1) as pool:
        docker = pool.submit(_ask_docker, host)
        return _look(host, docker)


def _look(host: Host, docker: Future[_Docker]) -> Finding:
    try:
        reached = host.registry.reach(HOST)
    except Trouble as trouble:
        return _explain(host, trouble, docker)
    seen = (Evidence(f"GET {reached.url}", f"HTTP {reached.status}"),)
    if reached.status >= 500:
        return _bad(
            docker,
            _("{host} has trouble of its own right now.").format(host=HOST),
            _("Nothing is wrong with your machine. Try again in a few minutes."),
            seen,
            ("registry-5xx",),
        )
    if not reached.is_registry:
        return _bad(
            docker,
            _("Somebody else answers in the place of {host}.").format(host=HOST),
            _(
                "That is what a login page of a hotel or a guest network does, or a company's filter. Open any page in "
                "a web browser and log in there, or ask the people who look after the network to let {host} through."
            ).format(host=HOST),
            seen,
            ("captive-portal",),
        )
    off = _off(reached.clock)
    if off is not None and abs(off) > CLOCK_LIMIT:
        return replace(_clock_is_wrong(off, seen, docker), status=Status.WARNING)
    return CHECK.finding(
        Status.OK,
        _("{host} answers; images can be downloaded.").format(host=HOST),
        _("This is where NVIDIA's images come from. No key was sent."),
        evidence=(*seen, *_clock(reached)),
        facts={"reached": True},
    )


def _explain(host: Host, trouble: Trouble, docker: Future[_Docker]) -> Finding:
    """Why the registry could not be reached."""
    seen = trouble.evidence or (Evidence(f"GET https://{HOST}/v2/", trouble.text),)
    if trouble.kind is Problem.TLS:
        now = host.registry.clock(HOST)
        off = _off(now)
        if off is not None and abs(off) > CLOCK_LIMIT:
            return _clock_is_wrong(off, seen, docker)
        return _certificate(trouble, seen, docker)
    if trouble.kind is Problem.DNS:
        return _bad(
            docker,
            _("The name {host} is not found: there is no way to the internet, or no name server.").format(host=HOST),
            _(
                "Is the network connected? In a company, a proxy may be the only way out: set HTTPS_PROXY in this "
                "shell, then look again."
            ),
            seen,
            ("dns-failure",),
        )
    if trouble.kind is Problem.PROXY:
        return _bad(
            docker,
            _("The proxy {proxy} does not let us through.").format(proxy=trouble.subject),
            _("It is set in this shell (HTTPS_PROXY). Is it spelled right, and does it want a password?"),
            seen,
            (),
        )
    refused = "refused" in trouble.text.lower()
    return _bad(
        docker,
        _("{host} does not let us in: the connection is refused.").format(host=HOST)
        if refused
        else _("{host} cannot be reached from here.").format(host=HOST),
        _("Is the network connected? A firewall may block the way: it must let {host} through, port 443.").format(
            host=f"{HOST}, layers.{HOST}, authn.nvidia.com"
        ),
        seen,
        ("connection-refused-registry",) if refused else (),
    )


def _certificate(trouble: Trouble, seen: tuple[Evidence, ...], docker: Future[_Docker]) -> Finding:
    said = trouble.text.lower()
    if "hostname" in said or "ip address" in said or "expired" in said or "not yet valid" in said:
        return _bad(
            docker,
            _("The certificate of {host} is not for this name, or not for this time.").format(host=HOST),
            _(
                "Something between you and {host} answers in its place. Ask the people who look after the network."
            ).format(host=HOST),
            seen,
            ("x509-name",),
            _CERTIFICATES,
        )
    return _bad(
        docker,
        _("Nobody that this machine knows vouches for the certificate of {host}.").format(host=HOST),
        _(
            "Usually a company's proxy reads the traffic and signs it anew. Ask for the company's CA certificate, put "
            "it into {folder}, run {command}, and restart Docker. Never switch the check off: then anybody could "
            "give you another image."
        ).format(folder="/usr/local/share/ca-certificates", command="sudo update-ca-certificates"),
        seen,
        ("x509-unknown-authority",),
        _CERTIFICATES,
    )


def _clock_is_wrong(off: float, seen: tuple[Evidence, ...], docker: Future[_Docker]) -> Finding:
    minutes = max(1, round(abs(off) / 60))
    way = _("slow") if off > 0 else _("fast")
    return _bad(
        docker,
        _("This machine's clock is {minutes} minutes {way}.").format(minutes=minutes, way=way),
        _("With a wrong clock, good certificates look bad. Let the network set it: {command}").format(
            command="sudo timedatectl set-ntp true"
        ),
        (*seen, Evidence(_("the registry's clock, and ours"), f"{off:+.0f} s")),
        ("x509-name",),
    )


def _bad(
    docker: Future[_Docker],
    summary: str,
    detail: str,
    seen: tuple[Evidence, ...],
    causes: tuple[str, ...],
    link: Link = _NETWORK,
) -> Finding:
    """An image that is here already is all that is needed; without one, this is in the way."""
    status = Status.ERROR
    if docker.result().has_image:
        status = Status.WARNING
        detail = _("{detail} You have an image already, so you can go on without the network.").format(detail=detail)
    elif docker.result().proxy:
        status = Status.WARNING
        detail = _("{detail} Docker has a proxy of its own, so it may fetch the image nevertheless.").format(
            detail=detail
        )
    return CHECK.finding(
        status,
        summary,
        detail,
        evidence=seen,
        causes=causes,
        links=(Link(_(link.title), link.url),),
        facts={"reached": False},
    )


def has_image(host: Host) -> bool:
    """Whether one of NVIDIA's TensorFlow images is in the engine."""
    try:
        return any(tag.startswith(f"{REPOSITORY}:") for image in host.engine.images() for tag in image.tags)
    except Trouble:
        return False


def _ask_docker(host: Host) -> _Docker:
    try:
        proxy = host.engine.info().https_proxy
    except Trouble:
        return _Docker(False, "")
    return _Docker(has_image(host), "" if of_environment(host.environ).to(HOST) else proxy)


def _off(clock: float | None) -> float | None:
    """Seconds by which the registry's clock is ahead of ours."""
    return None if clock is None else clock - time.time()


def _clock(reached: Reached) -> tuple[Evidence, ...]:
    off = _off(reached.clock)
    return () if off is None else (Evidence(_("the registry's clock, and ours"), f"{off:+.0f} s"),)


CHECK = Check(
    id="network.registry",
    title=N_("Way to the images"),
    requires=(),
    # Two knocks at the registry and one probe of Docker.
    timeout=18.0,
    run=_run,
    decides=(
        "dns-failure",
        "connection-refused-registry",
        "registry-5xx",
        "captive-portal",
        "x509-unknown-authority",
        "x509-name",
    ),
)
