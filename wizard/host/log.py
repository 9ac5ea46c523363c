"""The program's log: one private file, from which every key is masked.

Everything that any library logs goes to the file and nowhere else: a line on stderr would tear the full-screen
application apart. A log that cannot be written never stops the program.
"""

from __future__ import annotations

import contextlib
import io
import logging
import logging.handlers
import os
import stat
from pathlib import Path
from types import TracebackType

from wizard.host.files import typed
from wizard.model.secret import redact

SIZE = 1_000_000
"""Bytes after which a new file is begun; two older ones are kept."""


class Log:
    """The log of one run, from ``start`` to ``close``. ``path`` is its file, None where none can be written."""

    def __init__(self, path: str | None, handler: logging.Handler, level: int) -> None:
        self.path = path
        self._handler = handler
        root = logging.getLogger()
        self._level_before = root.level
        root.addHandler(handler)
        root.setLevel(level)
        logging.captureWarnings(True)

    def close(self) -> None:
        """Ends logging and lets go of the file. A second call does nothing."""
        root = logging.getLogger()
        if self._handler in root.handlers:
            root.removeHandler(self._handler)
            root.setLevel(self._level_before)
            logging.captureWarnings(False)
            self._handler.close()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start(state_folder: str, file: str | None = None) -> Log:
    """Begins the log in ``state_folder``, or in ``file`` where the user named one: then with every detail.

    Raises ``FILE_PERMISSION``, ``FILE_NOT_REGULAR``, ``FILE_MISSING``, ``FILE_READ_ONLY`` or ``DISK_FULL`` for a
    ``file`` that cannot be opened; without the default file the program goes on, with no log.
    """
    path = file or str(Path(state_folder, "log"))
    try:
        if file is None:
            Path(state_folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        handler: logging.Handler = _PrivateFile(path)
    except OSError as error:
        if file is not None:
            raise typed(error, path) from error
        return Log(None, logging.NullHandler(), logging.INFO)
    handler.setFormatter(Redacting("%(asctime)s %(levelname)s %(process)d %(threadName)s %(name)s: %(message)s"))
    return Log(path, handler, logging.DEBUG if file else logging.INFO)


class Redacting(logging.Formatter):
    """Masks keys in the finished text: the message with its arguments, the exception, the stack."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            text = super().format(record)
        except (TypeError, ValueError, KeyError):
            # Arguments that do not fit the message: what is known is worth more than an error about the log.
            text = f"{record.levelname} {record.name}: {record.msg} {record.args}"
        finally:
            # The formatted traceback is kept in the record, for other handlers; it is not redacted there.
            record.exc_text = None
        return redact(text)


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A file that only its owner may read. What cannot be written is dropped without a word."""

    def __init__(self, path: str) -> None:
        super().__init__(path, maxBytes=SIZE, backupCount=2, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> io.TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=_open_private)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what is still buffered may find the disk full
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        # logging would print a traceback with the record's arguments on stderr.
        pass


def _open_private(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077 and found.st_uid == os.geteuid():
        os.fchmod(handle, 0o600)
    return handle
