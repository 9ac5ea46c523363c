"""Which daemon the user's own ``docker`` command would talk to, and the way to it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wizard.model.engine import Endpoint
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence

DEFAULT_URL = "unix:///var/run/docker.sock"
_CONNECT_SECONDS = 5.0
_PORT = 2375
"""What the docker command takes for ``tcp://host``."""


def resolve(environ: Mapping[str, str]) -> Endpoint:
    """The daemon that the docker command would talk to: DOCKER_HOST, then the context, then the default socket.

    The context is DOCKER_CONTEXT or ``currentContext`` of Docker's configuration file. Raises
    ``Trouble(ENGINE_ADDRESS)`` for an address that is none and for a context that does not exist.
    """
    host = environ.get("DOCKER_HOST", "").strip()
    if host:
        return Endpoint(_checked(host), "DOCKER_HOST")
    name = environ.get("DOCKER_CONTEXT") or _current_context(environ)
    if name in ("", "default"):
        return Endpoint(DEFAULT_URL, "default")
    path = _context_folder(environ, "meta", name) / "meta.json"
    try:
        url = json.loads(path.read_bytes())["Endpoints"]["docker"].get("Host") or DEFAULT_URL
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Trouble(
            Problem.ENGINE_ADDRESS, subject=f"context {name}", evidence=(Evidence(str(path), repr(error)),)
        ) from error
    return Endpoint(_checked(str(url)), f"context {name}")


def _checked(url: str) -> str:
    """``url`` in the form that is used from here on. Raises ``Trouble(ENGINE_ADDRESS)``."""
    scheme, _colon, rest = url.partition("://")
    if scheme == "unix":
        path = rest or DEFAULT_URL.removeprefix("unix://")
        if path.startswith("/") and "\0" not in path and len(os.fsencode(path)) <= 107:
            return f"unix://{path}"
    elif scheme == "ssh" and rest:
        return url
    elif scheme in ("tcp", "http", "https"):
        try:
            parts = urlsplit(url)
            if parts.hostname and not parts.password:
                return url if parts.port else f"{url.rstrip('/')}:{_PORT}"
        except ValueError:
            pass  # a port that is no number, a bracket too many
    raise Trouble(Problem.ENGINE_ADDRESS, subject=url)


def _config_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "~").expanduser() / ".docker")


def _current_context(environ: Mapping[str, str]) -> str:
    try:
        return str(json.loads((_config_folder(environ) / "config.json").read_bytes()).get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""  # the docker command warns and goes on with the default, too


def _context_folder(environ: Mapping[str, str], kind: str, name: str) -> Path:
    return _config_folder(environ) / "contexts" / kind / hashlib.sha256(name.encode()).hexdigest()


def tls_of(environ: Mapping[str, str], endpoint: Endpoint) -> Any:
    """docker-py's TLS settings: from the environment for DOCKER_HOST, from the context's folder for a context."""
    from docker.tls import TLSConfig

    if endpoint.socket is not None:
        return False
    if endpoint.source.startswith("context "):
        folder = _context_folder(environ, "tls", endpoint.source.removeprefix("context ")) / "docker"
        verify = True
        if not folder.is_dir():
            return False
    else:
        verify = bool(environ.get("DOCKER_TLS_VERIFY"))
        folder = Path(environ.get("DOCKER_CERT_PATH") or _config_folder(environ))
        if not verify and not environ.get("DOCKER_CERT_PATH"):
            return False
    return TLSConfig(
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")), ca_cert=str(folder / "ca.pem"), verify=verify
    )


def connected(path: str) -> socket.socket:
    """A connection to a unix socket. Raises what ``connect`` raises: its errno is the best cause there is.

    docker-py would wrap it, and leave the socket open behind it.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_CONNECT_SECONDS)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection
