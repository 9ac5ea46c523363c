"""TensorBoard in the container: how it is looked for and started, and how a person reaches it."""

from __future__ import annotations

import re

FIRST_PORT = 6006
"""TensorBoard's own."""
_TRIED = 100
LOOK = "command -v tensorboard >/dev/null || exit 127; cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; exit 0"
"""The shell script that tells what listens in the container's network; its exit status is 127 without TensorBoard."""
_LISTENS = re.compile(r"^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A ", re.MULTILINE)
_READY = re.compile(r"^TensorBoard \S+ at http", re.MULTILINE)
_TAKEN = re.compile(r"could not bind|already in use", re.IGNORECASE)


def listening(text: str) -> frozenset[int]:
    """The TCP ports on which somebody listens, from ``/proc/net/tcp`` and ``tcp6`` (proc(5): state 0A is LISTEN)."""
    return frozenset(int(port, 16) for port in _LISTENS.findall(text))


def free_port(taken: frozenset[int]) -> int | None:
    """The first port from TensorBoard's own on that nobody uses; None where a hundred are taken."""
    return next((port for port in range(FIRST_PORT, FIRST_PORT + _TRIED) if port not in taken), None)


def argv(logdir: str, address: str, port: int) -> tuple[str, ...]:
    """The command. It listens at the container's own address only, or at this machine's own with the host's network."""
    return ("tensorboard", f"--logdir={logdir}", f"--host={address}", f"--port={port}")


def port_taken(text: str) -> bool:
    """Whether these last words are about a port that somebody else has."""
    return _TAKEN.search(text) is not None


def ready(text: str) -> bool:
    """Whether it has said that it serves: ``TensorBoard 1.13.1 at http://box:6006 (Press CTRL+C to quit)``."""
    return _READY.search(text) is not None


def url(address: str, port: int) -> str:
    """Where a browser on this machine finds it."""
    return f"http://{_bracketed(address)}:{port}/"


def tunnel(address: str, port: int, user: str, name: str, connection: str) -> str:
    """The command for another computer, after which its own ``localhost`` shows the board.

    ``connection`` is ``SSH_CONNECTION`` of this session (client, its port, server, its port), "" where there is none:
    then the machine is called by its ``name``.
    """
    words = connection.split()
    server, door = (words[2], words[3]) if len(words) == 4 else (name, "22")
    port_option = "" if door == "22" else f"-p {door} "
    return f"ssh -N {port_option}-L {port}:{_bracketed(address)}:{port} {user}@{server}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
