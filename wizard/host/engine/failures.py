"""One function that gives every failure of the engine, and of the way to it, its kind."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

from wizard.model import engine_text
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _


class Refused(Exception):
    """The engine's refusal of a request that docker-py did not make."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status, body)
        self.status_code = status
        self.explanation = engine_text.unwrapped(body)


ABOUT_THE_ENGINE = frozenset(
    {
        Problem.ENGINE_MISSING,
        Problem.ENGINE_REFUSED,
        Problem.ENGINE_PERMISSION,
        Problem.ENGINE_TIMEOUT,
        Problem.ENGINE_LOST,
        Problem.ENGINE_ADDRESS,
        Problem.ENGINE_TOO_OLD,
    }
)
_BY_ERROR: tuple[tuple[type[BaseException], Problem], ...] = (
    (FileNotFoundError, Problem.ENGINE_MISSING),
    (NotADirectoryError, Problem.ENGINE_MISSING),
    (PermissionError, Problem.ENGINE_PERMISSION),
    (ConnectionRefusedError, Problem.ENGINE_REFUSED),
    (socket.gaierror, Problem.ENGINE_ADDRESS),
    (ConnectionResetError, Problem.ENGINE_LOST),
    (ConnectionAbortedError, Problem.ENGINE_LOST),
    (BrokenPipeError, Problem.ENGINE_LOST),
    (TimeoutError, Problem.ENGINE_TIMEOUT),
    (BlockingIOError, Problem.ENGINE_TIMEOUT),  # the queue of a unix socket whose daemon accepts nobody is full
)
_BY_NAME = {  # classes of libraries that are not imported here
    "ReadTimeout": Problem.ENGINE_TIMEOUT,
    "ConnectTimeout": Problem.ENGINE_TIMEOUT,
    "ReadTimeoutError": Problem.ENGINE_TIMEOUT,
    "ConnectTimeoutError": Problem.ENGINE_TIMEOUT,
    "NameResolutionError": Problem.ENGINE_ADDRESS,
    "RemoteDisconnected": Problem.ENGINE_LOST,
    "BadStatusLine": Problem.ENGINE_LOST,
    "IncompleteRead": Problem.ENGINE_LOST,
    "InvalidChunkLength": Problem.ENGINE_LOST,
    "ProtocolError": Problem.ENGINE_LOST,
    "ChunkedEncodingError": Problem.ENGINE_LOST,
    "InvalidVersion": Problem.ENGINE_TOO_OLD,
    "TLSParameterError": Problem.ENGINE_ADDRESS,
    "InvalidURL": Problem.ENGINE_ADDRESS,
}
_OTHERS = ("DockerException", "RequestException", "HTTPError")


def trouble_of(
    error: BaseException, subject: str = "", call: str = "", *, pull_with_key: bool | None = None
) -> Trouble:
    """``error`` as a typed failure; ``INTERNAL`` for what comes neither from the engine nor from the way to it.

    The order: an HTTP answer by its status and words; then errno and exception classes along the chain of causes.
    ``pull_with_key`` tells that the answer is about a pull, and whether a key was sent with it.
    """
    if isinstance(error, Trouble):
        return error
    chain = _chain(error)
    for link in chain:
        status = getattr(link, "status_code", None)
        if isinstance(status, int):
            text = str(getattr(link, "explanation", "") or link).strip()
            return Trouble(
                _by_answer(status, text, pull_with_key),
                text,
                subject=subject,
                evidence=(Evidence(f"{call} (HTTP {status})".strip(), text),),
            )
    text = str(error)
    kind = next((kind for link in reversed(chain) if (kind := _by_class(link)) is not None), None)
    if kind is None:
        names = {cls.__name__ for link in chain for cls in type(link).__mro__}
        if isinstance(error, OSError):
            kind = Problem.ENGINE_REFUSED  # no route, no such network: nobody answers
        elif names & set(_OTHERS) or isinstance(error, (json.JSONDecodeError, KeyError)):
            kind = Problem.ENGINE_OTHER  # whoever answered does not speak Docker's language
        else:
            kind = Problem.INTERNAL
    hint = ""
    if "paramiko" in text:
        kind = Problem.ENGINE_ADDRESS
        hint = _("The wizard cannot reach Docker through ssh. Run it on the machine where Docker is.")
    return Trouble(kind, text, subject=subject, hint=hint, evidence=(Evidence(call, text),) if call else ())


def _chain(error: BaseException) -> list[BaseException]:
    """The error and everything that caused it: causes, contexts, and the exceptions that libraries keep in args."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if isinstance(link, BaseException) and link not in found:
            found.append(link)
            waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    return found


def _by_class(link: BaseException) -> Problem | None:
    for cls, kind in _BY_ERROR:
        if isinstance(link, cls):
            return kind
    return _BY_NAME.get(type(link).__name__)


def _by_answer(status: int, text: str, pull_with_key: bool | None) -> Problem:
    if pull_with_key is not None:
        kind = engine_text.of_pull(text, key_given=pull_with_key)
        if kind is Problem.PULL_FAILED and status in (401, 403):
            return Problem.KEY_REFUSED if pull_with_key else Problem.KEY_WANTED
        return Problem.TAG_MISSING if kind is Problem.PULL_FAILED and status == 404 else kind
    return engine_text.of_container(text) or Problem.ENGINE_OTHER


def status_of(trouble: Trouble) -> int | None:
    match = re.search(r"\(HTTP (\d+)\)$", trouble.evidence[0].source) if trouble.evidence else None
    return int(match[1]) if match else None


def raise_for_status(response: Any) -> None:
    if response.status_code >= 400:
        raise Refused(response.status_code, response.text)
