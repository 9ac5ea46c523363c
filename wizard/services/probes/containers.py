"""Containers and images: whether what a text says about one of them is so."""

from __future__ import annotations

import re

from wizard.host.ports import Host
from wizard.model.cause import Match
from wizard.model.container import ContainerInfo, check_name
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.services import own_containers
from wizard.services.probes.probe import Proof, named

_CONTAINER = (
    r"container name \"?/?([\w.-]*\w)",
    r"no such container: /?([\w.-]*\w)",
    r"container \"?/?([\w.-]*\w)\"?[ :]",
)
_IMAGE = (r"no such image: ([\w./:@-]+?)\.?(?:[\s\"']|$)", r"unable to find image '([^']+)'")
_PORT = (r":(\d{1,5}) failed: port is already allocated",)


def name_conflict(host: Host, match: Match) -> Proof | None:
    """Whether a container has the name that was wanted. Only one of ours that never worked can be taken away."""
    name = named(match, _CONTAINER[0]).removeprefix("/")
    if not name:
        return None
    there = host.engine.container(name)
    if there is None or there.name != name:
        return Proof(False, (_asked(name, _("there is no container of that name")),))
    if own_containers.is_broken(there):
        return Proof(True, (_seen(there),), (own_containers.FIX,))
    if own_containers.is_ours(there):
        note = _('It is the wizard\'s own container and in order: "{command}" takes you into it.').format(
            command=f"s2s-wizard shell --name {name}"
        )
        return Proof(True, (_seen(there),), (), note)
    note = _("Somebody made this container and may need it: the wizard does not touch it. Take another name.")
    return Proof(True, (_seen(there),), (), note)


def name_invalid(_host: Host, match: Match) -> Proof | None:
    """Whether Docker takes the name; that is the same on every machine."""
    name = named(match, r"invalid container name \(([^)]*)\)")
    if not name:
        return None
    try:
        check_name(name)
    except Trouble:
        return Proof(True, (Evidence(name, "[a-zA-Z0-9][a-zA-Z0-9_.-]+"),))
    return Proof(False, (Evidence(name, "[a-zA-Z0-9][a-zA-Z0-9_.-]+"),))


def missing(host: Host, match: Match) -> Proof | None:
    """Whether there is no container of that name or id."""
    name = named(match, _CONTAINER[1])
    if not name:
        return None
    there = host.engine.container(name)
    if there is None:
        return Proof(True, (_asked(name, _("there is no such container")),))
    return Proof(False, (_seen(there),))


def not_running(host: Host, match: Match) -> Proof | None:
    """Whether the container is there and does not run."""
    name = named(match, _CONTAINER[2])
    if not name:
        return None
    there = host.engine.container(name)
    if there is None:
        return Proof(False, (_asked(name, _("there is no such container")),))
    return Proof(not there.running or there.state == "paused", (_seen(there),))


def still_running(host: Host, match: Match) -> Proof | None:
    """Whether the container that should be removed runs."""
    name = named(match, r"running container ([\w.-]*\w)", r"cannot remove container \"?/?([\w.-]*\w)")
    if not name:
        return None
    there = host.engine.container(name)
    if there is None:
        return Proof(False, (_asked(name, _("there is no such container")),))
    return Proof(there.running, (_seen(there),))


def image_missing(host: Host, match: Match) -> Proof | None:
    """Whether this Docker has the image."""
    name = named(match, *_IMAGE)
    if not name:
        return None
    there = host.engine.image(name)
    source = f"GET /images/{name}/json"
    if there is None:
        return Proof(True, (Evidence(source, _("there is no such image")),))
    return Proof(False, (Evidence(source, there.id),))


def port_allocated(host: Host, match: Match) -> Proof | None:
    """Whether a running container has published the port."""
    port = named(match, *_PORT)
    if not port.isdigit():
        return None
    argv = ("docker", "ps", "--format", "{{.Names}} {{.Ports}}")
    result = host.commands.run(argv, timeout=4.0)
    if result.returncode != 0:
        raise Trouble(Problem.COMMAND_FAILED, result.stderr, subject=" ".join(argv))
    taken = [line for line in result.stdout.splitlines() if re.search(rf":{port}->", line)]
    return Proof(bool(taken), (Evidence(" ".join(argv), "\n".join(taken) or _("nobody has this port")),))


def _asked(name: str, answer: str) -> Evidence:
    return Evidence(f"GET /containers/{name}/json", answer)


def _seen(there: ContainerInfo) -> Evidence:
    seen = own_containers.told(there)
    if there.state != "exited" or there.error:
        return seen
    return Evidence(seen.source, seen.text + " " + _("(exit status {code})").format(code=there.exit_code))
