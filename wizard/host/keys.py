"""Where the API key lies: the environment, a password store, the memory of this process, or a private file.

The desktop's password store is reached through ``keyring``, only by backends that keep secrets encrypted, and always
with a time limit: a store that wants to ask its user something would otherwise block for ever.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wizard.host.files import typed, write_whole
from wizard.host.pass_store import PassStore
from wizard.host.ports import Commands
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.key_store import KeyPlace, KeyStoreInfo
from wizard.model.secret import Secret, redact

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

VARIABLES = ("NGC_API_KEY", "NGC_CLI_API_KEY")
"""The variables that NVIDIA's own tools read."""
SERVICE, USER = "s2s-wizard", "ngc"
"""Under these names the key is found in the password store."""
FILE = "ngc_key"
SECONDS = 3.0
"""How long the password store may take for one request of ours."""
LONGEST = 4.8
"""How long the places may take together."""
BACKENDS = {
    "keyring.backends.SecretService": "Secret Service",
    "keyring.backends.kwallet": "KWallet",
    "keyring.backends.libsecret": "libsecret",
    "keyring.backends.macOS": "Keychain",
    "keyring.backends.Windows": "Credential Manager",
}
"""The modules of the backends that are used, with their names for people. All others keep secrets in plain text, ask
for a password on the terminal, or keep nothing.
"""
_LARGEST = 4096


class Keys:
    """The ``KeyStore`` port on a real machine.

    ``environ`` is the whole environment of the process, ``config_folder`` the program's own folder; ``pass`` is run
    through ``commands``, and is not looked for without them. Nothing is looked at before the first question.
    """

    def __init__(self, environ: Mapping[str, str], config_folder: str, commands: Commands | None = None) -> None:
        self._environ = environ
        self._file = _KeyFile(Path(config_folder, FILE))
        self._keyring = _Keyring()
        self._pass = PassStore(commands, environ, LONGEST) if commands else None
        self._session: Secret | None = None
        self._seen: set[Secret] = set()  # what exists is masked by its value everywhere

    def places(self) -> tuple[KeyStoreInfo, ...]:
        """Every place, in the order in which a key is looked for."""
        name, key = self._variable()
        return (
            KeyStoreInfo(KeyPlace.ENVIRONMENT, key is not None, key is not None, name),
            self._keyring.info(),
            self._pass.info() if self._pass else _NO_PASS,
            KeyStoreInfo(KeyPlace.SESSION, True, self._session is not None),
            self._file.info(),
        )

    def get(self) -> tuple[Secret, KeyPlace] | None:
        """The first key that is found, and where. A place that cannot be used holds none; ``places`` says why."""
        began = time.monotonic()
        looks: tuple[tuple[KeyPlace, Callable[[], Secret | None]], ...] = (
            (KeyPlace.ENVIRONMENT, lambda: self._variable()[1]),
            (KeyPlace.KEYRING, self._keyring.get),
            (KeyPlace.PASS, lambda: self._pass.get(LONGEST - (time.monotonic() - began)) if self._pass else None),
            (KeyPlace.SESSION, lambda: self._session),
            (KeyPlace.FILE, self._file.get),
        )
        for place, look in looks:
            with contextlib.suppress(Trouble):
                key = look()
                if key is not None:
                    self._seen.add(key)
                    return key, place
        return None

    def save(self, key: Secret, place: KeyPlace) -> None:
        """Keeps the key and reads it back.

        Afterwards no other place of ours holds one: an older key there could be found first. Raises ``BAD_INPUT`` for
        the environment, which belongs to the user.
        """
        self._seen.add(key)
        if place is KeyPlace.ENVIRONMENT:
            raise Trouble(Problem.BAD_INPUT, subject=place.value)
        if place is KeyPlace.KEYRING:
            self._keyring.save(key)
        elif place is KeyPlace.PASS:
            if self._pass is None:
                raise Trouble(Problem.STORE_MISSING, subject="pass")
            self._pass.save(key)
        elif place is KeyPlace.FILE:
            self._file.save(key)
        self._forget(keep=place)
        self._session = key if place is KeyPlace.SESSION else None

    def forget(self) -> tuple[KeyPlace, ...]:
        """Removes the key wherever this program put it; the places that held one.

        Raises ``STORE_LOCKED`` or ``STORE_FAILED``, after the other places were emptied, when the password store
        could not be asked.
        """
        held, trouble = self._forget(keep=None)
        if trouble is not None:
            raise trouble
        return held

    def _forget(self, keep: KeyPlace | None) -> tuple[tuple[KeyPlace, ...], Trouble | None]:
        held: list[KeyPlace] = []
        first: Trouble | None = None
        stores: tuple[tuple[KeyPlace, Callable[[], bool]], ...] = (
            (KeyPlace.KEYRING, self._keyring.forget),
            (KeyPlace.PASS, self._pass.forget if self._pass else lambda: False),
            (KeyPlace.FILE, self._file.forget),
        )
        for place, forget in stores:
            if place is not keep:
                try:
                    if forget():
                        held.append(place)
                except Trouble as trouble:
                    if trouble.kind is not Problem.STORE_MISSING:  # where there is no store, there is no key
                        first = first or trouble
        if self._session is not None and keep is not KeyPlace.SESSION:
            held.append(KeyPlace.SESSION)
            self._session = None
        return tuple(held), first

    def _variable(self) -> tuple[str, Secret | None]:
        for name in VARIABLES:
            value = self._environ.get(name, "").strip()
            if value:
                return name, Secret(value)
        return VARIABLES[0], None


_NO_PASS = KeyStoreInfo(KeyPlace.PASS, False, False, "pass", Problem.STORE_MISSING.value)


class _KeyFile:
    """The key in a file of its own, readable by its owner alone, in a folder that is closed to others."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def info(self) -> KeyStoreInfo:
        problem, holds = None, False
        try:
            holds = self.get() is not None
            self._check_place()
        except Trouble as trouble:
            problem = trouble.kind.value
        except OSError as error:
            problem = typed(error, str(self._path)).kind.value
        return KeyStoreInfo(KeyPlace.FILE, problem is None, holds, str(self._path), problem)

    def get(self) -> Secret | None:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise typed(error, str(self._path)) from error
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise Trouble(Problem.FILE_NOT_REGULAR, subject=str(self._path))
            self._refuse_open(self._path, found)
            self._refuse_open(self._path.parent, self._path.parent.stat())
            text = os.read(handle, _LARGEST).decode("utf-8", "replace").strip()
        finally:
            os.close(handle)
        return Secret(text) if text else None

    def save(self, key: Secret) -> None:
        path = str(self._path)
        try:
            self._path.parent.parent.mkdir(parents=True, exist_ok=True)
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._refuse_open(self._path.parent, self._path.parent.stat())
            write_whole(path, (key.reveal() + "\n").encode(), mode=0o600)
        except OSError as error:
            raise typed(error, path) from error
        if self.get() != key:
            raise Trouble(Problem.STORE_FAILED, "the file does not hold what was written", subject=path)

    def forget(self) -> bool:
        try:
            self._path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise typed(error, str(self._path)) from error
        return True

    def _check_place(self) -> None:
        """Raises the ``Trouble`` that ``save`` would meet, as far as it can be seen now."""
        folder = self._path.parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise Trouble(Problem.FILE_NOT_REGULAR, subject=str(folder))
        if folder == self._path.parent:
            self._refuse_open(folder, folder.stat())
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise Trouble(Problem.FILE_PERMISSION, subject=str(folder))

    def _refuse_open(self, path: Path, found: os.stat_result) -> None:
        if stat.S_IMODE(found.st_mode) & 0o077:
            mode = "700" if stat.S_ISDIR(found.st_mode) else "600"
            raise Trouble(
                Problem.STORE_FAILED,
                f"{path}: mode {stat.S_IMODE(found.st_mode):04o}",
                subject=str(self._path),
                hint=_('Other users of this machine can look into {path}: run "chmod {mode} {path}" first.').format(
                    path=path, mode=mode
                ),
            )


class _Keyring:
    """The desktop's password store. Each request is made in a thread of its own that may be left behind."""

    def __init__(self) -> None:
        self._running: threading.Thread | None = None

    def info(self) -> KeyStoreInfo:
        def look() -> tuple[str, bool]:
            backend = _backend()
            return _name(backend), backend.get_password(SERVICE, USER) is not None

        try:
            name, holds = self._ask(look)
        except Trouble as trouble:
            name = trouble.subject if trouble.subject in BACKENDS.values() else ""
            return KeyStoreInfo(KeyPlace.KEYRING, False, False, name, trouble.kind.value)
        return KeyStoreInfo(KeyPlace.KEYRING, True, holds, name)

    def get(self) -> Secret | None:
        value = self._ask(lambda: _backend().get_password(SERVICE, USER))
        return Secret(value) if value else None

    def save(self, key: Secret) -> None:
        def put() -> None:
            backend = _backend()
            backend.set_password(SERVICE, USER, key.reveal())
            if backend.get_password(SERVICE, USER) != key.reveal():
                raise Trouble(Problem.STORE_FAILED, "the key that was read back differs", subject=_name(backend))

        self._ask(put, key)

    def forget(self) -> bool:
        def remove() -> bool:
            backend = _backend()
            held = backend.get_password(SERVICE, USER) is not None
            if held:
                backend.delete_password(SERVICE, USER)
            return held

        return self._ask(remove)

    def _ask(self, request: Callable[[], T], key: Secret | None = None) -> T:
        """What ``request`` returns. Raises ``STORE_MISSING``, ``STORE_LOCKED`` or ``STORE_FAILED``, the last also after
        ``SECONDS``.

        A daemon thread, because nothing else can be left behind: an executor would wait for it when the program ends.
        """
        if self._running is not None and self._running.is_alive():
            raise _too_slow()
        results: list[T] = []
        troubles: list[Trouble] = []

        def work() -> None:
            try:
                results.append(request())
            except Trouble as trouble:
                troubles.append(trouble)
            except Exception as error:  # noqa: BLE001 - backends are other people's code and raise anything
                troubles.append(_typed(error, key))

        self._running = threading.Thread(target=work, name="keyring", daemon=True)
        self._running.start()
        self._running.join(SECONDS)
        if troubles:
            raise troubles[0]
        if not results:
            raise _too_slow()
        return results[0]


def _backend() -> KeyringBackend:
    """The backend that keyring prefers, or the best among several, if it is one of ``BACKENDS`` and can be used
    without a question to the user.
    """
    import keyring

    preferred = keyring.get_keyring()
    candidates: tuple[KeyringBackend, ...] = (preferred, *getattr(preferred, "backends", ()))
    for backend in candidates:
        if type(backend).__module__ in BACKENDS:
            if type(backend).__module__ == "keyring.backends.SecretService":
                _refuse_questions(backend)
            return backend
    raise Trouble(Problem.STORE_MISSING, f"keyring offers only {type(preferred).__module__}")


def _refuse_questions(backend: KeyringBackend) -> None:
    """Raises where the Secret Service would have to ask the user: to unlock the collection, or to make the first one.

    It would open a window for that, on a desktop that may not even be there, and wait.
    """
    import secretstorage

    with closing(secretstorage.dbus_init()) as bus:
        path = getattr(backend, "preferred_collection", None)
        collection = secretstorage.Collection(bus, path) if path else secretstorage.Collection(bus)
        if collection.is_locked():
            raise Trouble(Problem.STORE_LOCKED, subject=_name(backend))


def _typed(error: Exception, key: Secret | None) -> Trouble:
    import keyring.errors

    kinds: list[tuple[type[Exception], Problem]] = [
        (keyring.errors.KeyringLocked, Problem.STORE_LOCKED),
        (keyring.errors.NoKeyringError, Problem.STORE_MISSING),
        (keyring.errors.InitError, Problem.STORE_MISSING),
    ]
    with contextlib.suppress(ImportError):
        import secretstorage.exceptions as secret_service

        kinds += [
            (secret_service.LockedException, Problem.STORE_LOCKED),
            (secret_service.SecretServiceNotAvailableException, Problem.STORE_MISSING),
            # No collection was ever made: the user has never set up a password store.
            (secret_service.ItemNotFoundException, Problem.STORE_MISSING),
        ]
    kind = next((kind for type_, kind in kinds if isinstance(error, type_)), Problem.STORE_FAILED)
    text = redact(f"{type(error).__name__}: {error}", (key,) if key else ())
    return Trouble(kind, text, subject=_("the password store"))


def _too_slow() -> Trouble:
    return Trouble(
        Problem.STORE_FAILED,
        subject=_("the password store"),
        hint=_("It did not answer within {seconds} seconds.").format(seconds=round(SECONDS)),
    )


def _name(backend: KeyringBackend) -> str:
    return BACKENDS[type(backend).__module__]
