"""This machine: every port with its real adapter.

An adapter is loaded when it is first asked for something, so that the first screen does not wait for those that it does
not need.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from wizard.host import settings, system
from wizard.host.commands import SudoPrivilege, SystemCommands, without_keys
from wizard.host.ports import Host
from wizard.host.store import FolderStore

if TYPE_CHECKING:
    from wizard.host.background import SystemBackground
    from wizard.host.cache import FolderCache
    from wizard.host.downloads import WebDownloads
    from wizard.host.engine import DockerEngine
    from wizard.host.files import SystemFiles
    from wizard.host.gpus import NvmlGpus
    from wizard.host.keys import Keys
    from wizard.host.registry import NgcRegistry
    from wizard.host.terminal import SystemTerminal

T = TypeVar("T")


def build(environ: Mapping[str, str] | None = None) -> Host:
    """The machine that this process runs on. Asks nothing of Docker, the driver, the registry or the key store yet.

    ``environ`` is by default that of this process. Only the key store sees the variables that can hold a key. Raises
    ``Trouble(BAD_INPUT)`` or ``FILE_PERMISSION`` for a ``config.toml`` that cannot be used.
    """
    raw = dict(os.environ if environ is None else environ)
    clean = without_keys(raw)
    home = raw.get("HOME") or str(Path.home())
    folders = settings.Folders.of(raw, home)
    config = settings.read(str(Path(folders.config, "config.toml")))
    commands = SystemCommands(clean)

    def engine() -> DockerEngine:
        from wizard.host.engine import DockerEngine

        return DockerEngine(clean, commands)

    def files() -> SystemFiles:
        from wizard.host.files import SystemFiles

        return SystemFiles(commands)

    def gpus() -> NvmlGpus:
        from wizard.host.gpus import NvmlGpus

        return NvmlGpus()

    def registry() -> NgcRegistry:
        from wizard.host.registry import NgcRegistry

        return NgcRegistry(config.registry_hosts)

    def downloads() -> WebDownloads:
        from wizard.host.downloads import WebDownloads

        return WebDownloads()

    def keys() -> Keys:
        from wizard.host.keys import Keys

        return Keys(raw, folders.config, commands)

    def cache() -> FolderCache:
        from wizard.host.cache import FolderCache

        return FolderCache(folders.cache)

    def terminal() -> SystemTerminal:
        from wizard.host.terminal import SystemTerminal

        return SystemTerminal(environ=clean)

    def background() -> SystemBackground:
        from wizard.host.background import SystemBackground

        return SystemBackground(clean)

    return Host(
        info=system.read(),
        commands=commands,
        privilege=SudoPrivilege(commands),
        files=_later(files),
        engine=_later(engine),
        gpus=_later(gpus),
        registry=_later(registry),
        downloads=_later(downloads),
        keys=_later(keys),
        terminal=_later(terminal),
        store=FolderStore(folders.state),
        background=_later(background),
        cache=_later(cache),
        home=home,
        environ=clean,
        packages=config.packages,
    )


def _later(make: Callable[[], T]) -> T:
    """What ``make`` returns, made when it is first used."""
    return cast(T, _Later(make))


class _Later:
    """Stands for an adapter until it is first used, and passes everything on to it from then on."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._made: object = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)

    def close(self) -> None:
        """Ends an adapter that was used; one that was not needs no end."""
        if self._made is not None:
            self.__getattr__("close")()
