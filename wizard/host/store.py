"""The program's own small files, in one private folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from wizard.host.files import typed, write_whole


class FolderStore:
    """The port ``Store`` in the folder ``root``: folders 0700, files 0600. The folder is made when first written."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def read(self, name: str) -> bytes | None:
        try:
            return self._place(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise typed(error, self.path(name)) from error

    def write(self, name: str, data: bytes) -> None:
        place = self._place(name)
        try:
            self._make(place.parent)
            write_whole(str(place), data, mode=0o600)
        except OSError as error:
            raise typed(error, str(place)) from error

    def remove(self, name: str) -> None:
        try:
            self._place(name).unlink(missing_ok=True)
        except OSError as error:
            raise typed(error, self.path(name)) from error

    def names(self, folder: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(item.name for item in self._place(folder).iterdir() if not item.name.startswith(".")))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise typed(error, self.path(folder)) from error

    def path(self, name: str) -> str:
        return str(self._place(name))

    def _make(self, folder: Path) -> None:
        """The folder and those above it up to the root, each 0700 also where it stood there already."""
        self._root.parent.mkdir(parents=True, exist_ok=True)
        between = [folder, *folder.parents]
        for item in reversed(between[: between.index(self._root) + 1]):
            item.mkdir(mode=0o700, exist_ok=True)
            if item.stat().st_mode & 0o077 and item.stat().st_uid == os.geteuid():
                item.chmod(0o700)

    def _place(self, name: str) -> Path:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts:
            raise ValueError(f"not a name inside the store: {name}")
        return self._root / pure
