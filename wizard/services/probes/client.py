"""The docker command of this user: which one it is, where it looks, and what its settings say."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from typing import Any

from wizard.host.ports import Host
from wizard.model.cause import Match
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.machine import PathKind
from wizard.services.probes.probe import Proof, named

_GPUS_SINCE = (19, 3)
_SECONDS = 4.0
_UNREACHED = (Problem.ENGINE_MISSING, Problem.ENGINE_REFUSED, Problem.ENGINE_ADDRESS, Problem.ENGINE_TIMEOUT)


def program_missing(host: Host, match: Match) -> Proof | None:
    """Whether a program that the text names is not here."""
    name = named(match, r"([\w.-]+): (?:command )?not found", r"exec: \"([\w.-]+)\": executable file not found")
    if not re.fullmatch(r"[\w.-]+", name):
        return None
    path = host.commands.which(name)
    return Proof(path is None, (Evidence(name, path or _("not found")),))


def too_old_for_gpus(host: Host, _match: Match) -> Proof | None:
    """Whether the docker command is older than its option --gpus."""
    said = _docker(host, "docker", "--version")
    found = re.search(r"(\d+)\.(\d+)", said.text)
    if found is None:
        return None
    return Proof((int(found[1]), int(found[2])) < _GPUS_SINCE, (said,))


def versions(host: Host, match: Match) -> Proof | None:
    """Whether this Docker refuses the version of the text, and something here speaks it: the docker command, or a
    variable that makes it.
    """
    spoken = re.search(r"client version (\d+)\.(\d+) is too (old|new)", match.text, re.IGNORECASE)
    if spoken is None:
        return None
    fields = ".Client.DefaultAPIVersion", ".Server.MinAPIVersion", ".Server.APIVersion"
    said = _docker(host, "docker", "version", "--format", " ".join(f"{{{{{name}}}}}" for name in fields))
    found = re.fullmatch(r"(\d+\.\d+) (\d+)\.(\d+) (\d+)\.(\d+)", said.text)
    if found is None:
        return Proof(None, (said,))
    version, least, most = (
        (int(major), int(minor)) for major, minor in (spoken.groups()[:2], found.groups()[1:3], found.groups()[3:5])
    )
    forced = host.environ.get("DOCKER_API_VERSION", "")
    seen = (said, Evidence("DOCKER_API_VERSION", forced)) if forced else (said,)
    if least <= version <= most:
        return Proof(False, seen)
    return Proof(True if f"{version[0]}.{version[1]}" in (forced, found[1]) else None, seen)


def address_wrong(host: Host, _match: Match) -> Proof:
    """Whether the docker command was sent to an address where no Docker is."""
    try:
        endpoint = host.engine.endpoint()
    except Trouble as trouble:
        return Proof(True, trouble.evidence or (Evidence("DOCKER_HOST", trouble.subject),))
    seen = Evidence(endpoint.source, endpoint.url)
    if endpoint.source == "default":
        return Proof(False, (seen,))
    try:
        host.engine.ping()
    except Trouble as trouble:
        told = (seen, Evidence("GET /_ping", trouble.text or trouble.kind.value))
        return Proof(True if trouble.kind in _UNREACHED else None, told)
    return Proof(False, (seen, Evidence("GET /_ping", "OK")))


def tls_missing(host: Host, match: Match) -> Proof | None:
    """Whether Docker's variables ask for a certificate that is not there."""
    names = [name for name in ("DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH") if name in host.environ]
    seen = tuple(Evidence(name, host.environ[name]) for name in names)
    if not names:
        return Proof(False, (Evidence("DOCKER_TLS_VERIFY, DOCKER_CERT_PATH", _("not set")),))
    folder = host.environ.get("DOCKER_CERT_PATH") or _folder(host)
    path = named(match, r"open (/\S+\.pem)") or posixpath.join(folder, "ca.pem")
    if posixpath.dirname(path) != posixpath.normpath(folder):
        return Proof(None, seen)
    there = host.files.info(path).kind is not PathKind.MISSING
    return Proof(not there, (*seen, Evidence(path, _("is there") if there else _("is not there"))))


def context_missing(host: Host, match: Match) -> Proof | None:
    """Whether a docker context that the text names is in use and does not exist."""
    name = named(match, r"context \"([^\"]+)\"")
    if not name:
        return None
    used = host.environ.get("DOCKER_CONTEXT") or str((_settings(host) or {}).get("currentContext") or "default")
    using = Evidence("DOCKER_CONTEXT" if "DOCKER_CONTEXT" in host.environ else _config(host), used)
    if used != name:
        return Proof(False, (using,))
    folder = hashlib.sha256(name.encode()).hexdigest()
    path = posixpath.join(_folder(host), "contexts/meta", folder, "meta.json")
    there = host.files.info(path).kind is not PathKind.MISSING
    return Proof(not there, (using, Evidence(path, _("is there") if there else _("is not there"))))


def config_bad(host: Host, _match: Match) -> Proof:
    """Whether the docker command cannot read its settings."""
    path = _config(host)
    try:
        content = host.files.read(path)
        if content is None:
            return Proof(False, (Evidence(path, _("not there")),))
        settings = json.loads(content.data)
    except Trouble as trouble:
        return Proof(True, (Evidence(path, trouble.text or trouble.kind.value),))
    except (ValueError, RecursionError) as error:
        return Proof(True, (Evidence(path, str(error)),))
    whole = isinstance(settings, dict)
    return Proof(not whole, (Evidence(path, _("can be read") if whole else _("is no JSON object")),))


def helper_missing(host: Host, match: Match) -> Proof | None:
    """Whether Docker's settings name a program for keys that is not there. Its keys are not looked at."""
    program = named(match, r"(docker-credential-[\w.-]*\w)")
    if not program.startswith("docker-credential-"):
        return None
    settings = _settings(host) or {}
    helpers = settings.get("credHelpers")
    wanted = {settings.get("credsStore"), *(helpers.values() if isinstance(helpers, dict) else ())}
    name = program.removeprefix("docker-credential-")
    path = host.commands.which(program)
    seen = (
        Evidence(_config(host), _("names {name}").format(name=name) if name in wanted else _("does not name it")),
        Evidence(program, path or _("not found")),
    )
    return Proof(name in wanted and path is None, seen)


def _folder(host: Host) -> str:
    return host.environ.get("DOCKER_CONFIG") or posixpath.join(host.home, ".docker")


def _config(host: Host) -> str:
    return posixpath.join(_folder(host), "config.json")


def _settings(host: Host) -> dict[str, Any] | None:
    """Docker's settings of this user; None where there are none that can be read."""
    try:
        content = host.files.read(_config(host))
        settings = json.loads(content.data) if content is not None else None
    except (Trouble, ValueError, RecursionError):
        return None
    return settings if isinstance(settings, dict) else None


def _docker(host: Host, *argv: str) -> Evidence:
    """What the docker command says. Raises ``COMMAND_MISSING``, ``COMMAND_FAILED``."""
    result = host.commands.run(argv, timeout=_SECONDS)
    if result.returncode != 0:
        raise Trouble(Problem.COMMAND_FAILED, result.stderr or result.stdout, subject=" ".join(argv))
    return Evidence(" ".join(argv), result.stdout.strip())
