"""The kinds of failure behind the Docker engine's own words.

The engine says most of its errors only as text, often with the same status code. Causes that errno or the HTTP
status tell are typed before this; what is here reads the sentences of engines 17.12 to 29.1, whose envelopes differ
(prefixes, ``: unknown`` at the end, quotes escaped up to three times) while the core stays the same.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

from wizard.model.errors import Problem

_Table = tuple[tuple[Problem, str], ...]
"""Patterns, which are compiled when there is something to read: most commands meet no error."""

# The order matters: a runtime that cannot be run says "executable file not found" too, and is another matter than a
# program that is missing inside the container.
_CONTAINER: _Table = (
    (Problem.RUNTIME_UNKNOWN, r"unknown runtime specified|unknown or invalid runtime name"),
    (Problem.GPU_DRIVER_NOT_SELECTED, r"could not select device driver|no known GPU vendor"),
    (Problem.RLIMIT_REFUSED, r"error setting rlimit"),
    (Problem.NAME_TAKEN, r"container name \S+ is already in use"),
    (Problem.NAME_INVALID, r"invalid container name"),
    (Problem.BIND_SOURCE_MISSING, r"bind source path does not exist"),
    (Problem.DISK_FULL, r"no space left on device|disk quota exceeded"),
    (
        Problem.RUNTIME_BROKEN,
        (
            r"unable to retrieve OCI runtime error|nvidia-container-(cli|runtime)|error running (prestart )?hook"
            r"|running prestart hook|could not apply required modification|failed to create nvidia container runtime"
            r"|CDI device"
        ),
    ),
    (
        Problem.NOT_EXECUTABLE,
        (
            r'exec: "[^"]*": |exec: \S+: (no such file|permission denied|not found)|exec format error'
            r"|executable file .*not found in \$?PATH"
        ),
    ),
    (Problem.IMAGE_MISSING, r"no such image"),
    (Problem.CONTAINER_MISSING, r"no such container|no container with name or id"),
    (Problem.CONTAINER_NOT_RUNNING, r"container \S+ is (not running|paused|restarting)|cannot exec in a stopped"),
    (Problem.IMAGE_NAME_INVALID, r"invalid reference format"),
    (Problem.ENGINE_TOO_OLD, r"client version \S+ is too new"),
)

_PULL: _Table = (
    (Problem.DISK_FULL, r"no space left on device|disk quota exceeded"),
    (Problem.IMAGE_NAME_INVALID, r"invalid reference format"),
    (Problem.REGISTRY_HTTP, r"server gave HTTP response to HTTPS client"),
    (Problem.PROXY, r"proxyconnect|proxy authentication required"),
    (Problem.DNS, r"no such host|dial tcp: lookup |temporary failure in name resolution"),
    (Problem.RATE_LIMITED, r"toomanyrequests|too many requests|pull rate limit"),
    (Problem.LICENCE, r"precondition failed|accept\w* (the |its )?(licen[cs]e|terms)|licen[cs]e .*accept"),
    (Problem.PLATFORM_MISSING, r"no matching manifest for|no match for platform"),
    (Problem.KEY_REFUSED, r"\bunauthorized\b|no basic auth credentials|incorrect username or password"),
    (Problem.ACCESS_DENIED, r"\bdenied\b|\bforbidden\b|payment required|unavailable for legal reasons"),
    (
        Problem.TAG_MISSING,
        r'manifest unknown|manifest for \S+ not found|name unknown|failed to resolve reference "[^"]*": \S+: not found',
    ),
    (Problem.DIGEST_MISMATCH, r"layer verification failed|manifest verification failed|unexpected commit digest"),
    (Problem.REGISTRY_TROUBLE, r"status\b.{0,80}\b5\d\d\b|internal server error|bad gateway|service unavailable"),
    (
        Problem.REGISTRY_UNREACHABLE,
        (
            r"connection refused|connection reset|no route to host|network is unreachable|i/o timeout|handshake timeout"
            r"|deadline exceeded|client\.timeout|\bEOF\b|broken pipe"
        ),
    ),
    (Problem.TLS, r"x509:|\btls: |certificate"),
)


def of_container(text: str) -> Problem | None:
    """What an answer about a container, an image that is here, or a command in a container means; None: unknown."""
    return _first(_CONTAINER, text)


def of_pull(text: str, *, key_given: bool) -> Problem:
    """What the end of a pull means, said before the stream or in it; ``PULL_FAILED`` where the words are unknown.

    Registries refuse alike whoever asks. Without a key a refusal therefore means that a key is wanted.
    """
    kind = _first(_PULL, text) or Problem.PULL_FAILED
    if kind in (Problem.KEY_REFUSED, Problem.ACCESS_DENIED) and not key_given:
        return Problem.KEY_WANTED
    return kind


def _first(table: _Table, text: str) -> Problem | None:
    plain = unwrapped(text)
    return next((kind for kind, pattern in table if re.search(pattern, plain, re.IGNORECASE)), None)


def unwrapped(text: str) -> str:
    """The engine's sentence without the envelopes of clients, runtimes and versions."""
    text = text.strip()
    if text.startswith("{"):
        with suppress(ValueError, KeyError, TypeError):  # not the engine's JSON: read as it is
            text = str(json.loads(text)["message"])
    for _level in range(3):
        text = text.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
    text = re.sub(r"^(docker: )?(Error response from daemon: )?", "", text)
    return re.sub(r"(: unknown)?\.?$", "", text.strip())
