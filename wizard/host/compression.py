"""Files that are read unpacked, whichever way they are compressed: gzip, zstd, or not at all."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, cast

from wizard.model.errors import Problem, Trouble

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


def unpacked(file: BinaryIO, path: str) -> BinaryIO:
    """``file`` as it was before it was compressed. A compressed one can only be read forwards; what is wrong with it
    raises ``ARCHIVE_BAD`` while it is read.
    """
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(_GZIP):
        return cast(BinaryIO, _Unpacked(gzip.GzipFile(fileobj=file), file, path))
    if magic == _ZSTD:
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return cast(BinaryIO, _Unpacked(cast(BinaryIO, reader), file, path))
    return file


class _Unpacked(io.RawIOBase):
    """A file that is unpacked while it is read, with typed errors."""

    def __init__(self, reader: BinaryIO | gzip.GzipFile, file: BinaryIO, path: str) -> None:
        self._reader = reader
        self._file = file
        self._path = path

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._reader.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise Trouble(Problem.ARCHIVE_BAD, str(error), subject=self._path) from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            raise Trouble(Problem.ARCHIVE_BAD, str(error), subject=self._path) from error

    def close(self) -> None:
        self._reader.close()
        self._file.close()
        super().close()
