"""A command in a container: its input and output on a connection of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING

from wizard.model.errors import Problem, Trouble

if TYPE_CHECKING:
    from wizard.host.engine.client import DockerEngine

_RESIZE_TRIES = 20
PIECE = 65536


class ExecConnection:
    """A command's input and output on a connection of its own. Nothing is read ahead, so ``select`` sees all."""

    def __init__(
        self, engine: DockerEngine, exec_id: str, connection: socket.socket, *, tty: bool, container_id: str
    ) -> None:
        self.tty = tty
        self._engine = engine
        self._exec_id = exec_id
        self._connection = connection
        self._container_id = container_id
        self._stream = 1
        self._left = 0  # bytes of the current frame that were not read yet

    def fileno(self) -> int:
        return self._connection.fileno()

    def limit(self, seconds: float) -> None:
        """Lets the next ``read`` raise ``TimeoutError`` after ``seconds``."""
        self._connection.settimeout(seconds)

    def read(self) -> tuple[int, bytes] | None:
        try:
            if self.tty:
                data = self._connection.recv(PIECE)
                return (1, data) if data else None
            # Without a terminal, output comes in frames: one byte stream number, three zero, four length.
            while self._left == 0:
                head = exactly(self._connection, 8)
                if len(head) < 8:
                    return None
                self._stream, self._left = struct.unpack(">BxxxL", head)
            data = self._connection.recv(min(self._left, PIECE))
            self._left -= len(data)
            return (self._stream, data) if data else None
        except TimeoutError:
            raise
        except OSError:
            return None  # a broken connection is an end; exit_code tells whether it was the command's

    def write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the command has ended: exit_code tells
            self._connection.sendall(data)

    def close_input(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def resize(self, columns: int, rows: int) -> None:
        # A command that has ended, or that is only just being started, has no size.
        with contextlib.suppress(Trouble):
            self._resize(columns, rows)

    def first_size(self, columns: int, rows: int) -> None:
        """Sets the size as soon as the command is there: the engine answers before it has started it."""
        for _try in range(_RESIZE_TRIES):
            try:
                return self._resize(columns, rows)
            except Trouble:
                time.sleep(0.01)
        return None

    def _resize(self, columns: int, rows: int) -> None:
        with self._engine.border(f"POST /exec/{self._exec_id}/resize"):
            self._engine.client().exec_resize(self._exec_id, height=rows, width=columns)

    def exit_code(self, deadline: float | None = None) -> int:
        wait = 0.005
        while True:
            try:
                with self._engine.border(f"GET /exec/{self._exec_id}/json", self._container_id):
                    raw = self._engine.client().exec_inspect(self._exec_id)
            except Trouble as trouble:
                if trouble.kind is Problem.ENGINE_TIMEOUT:
                    raise
                raise Trouble(
                    Problem.ENGINE_LOST, trouble.text, subject=trouble.subject, evidence=trouble.evidence
                ) from trouble
            if not raw.get("Running") and raw.get("ExitCode") is not None:
                return int(raw["ExitCode"])
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(wait)
            wait = min(wait * 1.5, 0.25)

    def close(self) -> None:
        self._connection.close()


def exactly(connection: socket.socket, size: int) -> bytes:
    """``size`` bytes, or fewer at the end of the stream."""
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)
