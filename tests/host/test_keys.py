"""The places for a key: what is found first, what is refused, what is left behind (nothing)."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.errors
import pytest

from tests.host.test_files import mounted, only_root
from wizard.host import keys
from wizard.host.keys import Keys
from wizard.model.errors import Problem, Trouble
from wizard.model.key_store import KeyPlace
from wizard.model.secret import Secret

KEY = Secret("nvapi-" + "Zq7_" * 16)
OTHER = Secret("nvapi-" + "Ab1-" * 16)


class Backend(keyring.backend.KeyringBackend):
    """A password store in memory. What a real one does is tested with a real one, in ``tests/real``."""

    priority = 0  # keyring must not choose it by itself

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None
        self.hang = threading.Event()
        self.hang.set()

    def get_password(self, service: str, username: str) -> str | None:
        self._meet()
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._meet()
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]

    def _meet(self) -> None:
        self.hang.wait(30)
        if self.error is not None:
            raise self.error


def _use(backend: keyring.backend.KeyringBackend, monkeypatch: pytest.MonkeyPatch, module: str | None = None) -> None:
    if module is not None:
        monkeypatch.setattr(type(backend), "__module__", module)
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A password store that is accepted, by the name of KDE's."""
    backend = Backend()
    _use(backend, monkeypatch, "keyring.backends.kwallet")
    yield backend
    backend.hang.set()


@pytest.fixture(autouse=True)
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    _use(keyring.backends.fail.Keyring(), monkeypatch)  # type: ignore[no-untyped-call]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".config" / "s2s-wizard"


@pytest.fixture
def here(folder: Path) -> Keys:
    return Keys({}, str(folder))


def _problems(here: Keys) -> dict[KeyPlace, str | None]:
    return {info.place: info.problem for info in here.places()}


def _kind(call: object, *arguments: object) -> Problem:
    assert callable(call)
    with pytest.raises(Trouble) as caught:
        call(*arguments)
    return caught.value.kind


def test_importing_the_adapter_loads_no_keyring() -> None:
    code = "import sys, wizard.host.keys as k; k.Keys({}, '/x'); print('keyring' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_nothing_anywhere(here: Keys, folder: Path) -> None:
    assert here.get() is None
    assert [info.place for info in here.places()] == list(KeyPlace)
    assert not any(info.holds_key for info in here.places())
    assert here.forget() == ()
    assert not folder.exists(), "looking changes nothing"


@pytest.mark.parametrize("name", ["NGC_API_KEY", "NGC_CLI_API_KEY"])
def test_the_environment_is_used_and_never_stored(name: str, folder: Path) -> None:
    here = Keys({name: f"  {KEY.reveal()}\n"}, str(folder))

    assert here.get() == (KEY, KeyPlace.ENVIRONMENT)
    info = here.places()[0]
    assert (info.usable, info.holds_key, info.detail) == (True, True, name)
    assert _kind(here.save, KEY, KeyPlace.ENVIRONMENT) is Problem.BAD_INPUT
    assert not folder.exists()


def test_the_first_variable_wins_and_an_empty_one_counts_as_none(folder: Path) -> None:
    both = {"NGC_API_KEY": KEY.reveal(), "NGC_CLI_API_KEY": OTHER.reveal()}

    assert Keys(both, str(folder)).get() == (KEY, KeyPlace.ENVIRONMENT)
    assert Keys({**both, "NGC_API_KEY": " "}, str(folder)).get() == (OTHER, KeyPlace.ENVIRONMENT)


def test_only_for_this_session(here: Keys, tmp_path: Path) -> None:
    here.save(KEY, KeyPlace.SESSION)

    assert here.get() == (KEY, KeyPlace.SESSION)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert here.forget() == (KeyPlace.SESSION,)
    assert here.get() is None


# --- the file ----------------------------------------------------------------------------------------------------


def test_the_file_is_private(here: Keys, folder: Path) -> None:
    before = os.umask(0)
    try:
        here.save(KEY, KeyPlace.FILE)
    finally:
        os.umask(before)

    assert here.get() == (KEY, KeyPlace.FILE)
    assert [path.name for path in folder.iterdir()] == ["ngc_key"]
    assert stat.S_IMODE((folder / "ngc_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert here.forget() == (KeyPlace.FILE,)
    assert not list(folder.iterdir())


def test_the_file_of_an_earlier_run_is_found(here: Keys, folder: Path) -> None:
    here.save(KEY, KeyPlace.FILE)

    assert Keys({}, str(folder)).get() == (KEY, KeyPlace.FILE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(here: Keys, folder: Path, mode: int) -> None:
    here.save(KEY, KeyPlace.FILE)
    (folder / "ngc_key").chmod(mode)

    assert here.get() is None
    assert _problems(here)[KeyPlace.FILE] == Problem.STORE_FAILED.value


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o777])
def test_a_folder_that_others_may_enter_is_refused(here: Keys, folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)

    with pytest.raises(Trouble) as caught:
        here.save(KEY, KeyPlace.FILE)
    assert caught.value.kind is Problem.STORE_FAILED
    assert f"chmod 700 {folder}" in caught.value.hint
    assert not list(folder.iterdir())
    assert _problems(here)[KeyPlace.FILE] == Problem.STORE_FAILED.value

    folder.chmod(0o700)
    here.save(KEY, KeyPlace.FILE)
    folder.chmod(mode)
    assert here.get() is None


def test_a_symbolic_link_is_not_read_and_not_written_through(here: Keys, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(OTHER.reveal())
    elsewhere.chmod(0o600)
    folder.mkdir(parents=True, mode=0o700)
    (folder / "ngc_key").symlink_to(elsewhere)

    assert here.get() is None
    here.save(KEY, KeyPlace.FILE)
    assert elsewhere.read_text() == OTHER.reveal()
    assert here.get() == (KEY, KeyPlace.FILE)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_something_else_in_the_files_place(here: Keys, folder: Path, make: types.BuiltinFunctionType) -> None:
    folder.mkdir(parents=True, mode=0o700)
    make(str(folder / "ngc_key"), 0o600)

    assert here.get() is None
    assert _problems(here)[KeyPlace.FILE] == Problem.FILE_NOT_REGULAR.value


def test_a_file_in_the_folders_place(here: Keys, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("")

    assert _kind(here.save, KEY, KeyPlace.FILE) is Problem.FILE_NOT_REGULAR
    assert _problems(here)[KeyPlace.FILE] == Problem.FILE_NOT_REGULAR.value


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs a folder in which nobody can write")
def test_a_place_in_which_nothing_can_be_written() -> None:
    here = Keys({}, "/proc/self/s2s-wizard")

    with pytest.raises(Trouble):
        here.save(KEY, KeyPlace.FILE)
    assert here.get() is None


@only_root
@pytest.mark.parametrize("made", [True, False], ids=["folder is there", "folder is not there"])
def test_a_home_on_a_full_disk(tmp_path: Path, made: bool) -> None:
    with mounted(tmp_path / "small", "size=64k") as home:
        folder = home / ".config" / "s2s-wizard"
        if made:
            folder.mkdir(parents=True, mode=0o700)
        fill(home)
        here = Keys({}, str(folder))

        assert _kind(here.save, KEY, KeyPlace.FILE) is Problem.DISK_FULL
        assert here.get() is None
        assert not [path for path in home.rglob("*") if path.is_file() and path.name != "filler"]
        here.save(KEY, KeyPlace.SESSION)
        assert here.get() == (KEY, KeyPlace.SESSION)


@only_root
def test_a_key_in_its_file_outlives_a_disk_that_becomes_full(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=64k") as home:
        here = Keys({}, str(home / "s2s-wizard"))
        here.save(KEY, KeyPlace.FILE)
        fill(home)

        assert _kind(here.save, OTHER, KeyPlace.FILE) is Problem.DISK_FULL
        assert here.get() == (KEY, KeyPlace.FILE)
        assert here.forget() == (KeyPlace.FILE,)


@only_root
def test_a_home_that_is_read_only(tmp_path: Path) -> None:
    with mounted(tmp_path / "still", "size=64k") as home:
        folder = home / "s2s-wizard"
        here = Keys({}, str(folder))
        here.save(KEY, KeyPlace.FILE)
        subprocess.run(["mount", "-o", "remount,ro", home], check=True)

        assert _kind(here.save, OTHER, KeyPlace.FILE) is Problem.FILE_READ_ONLY
        assert here.get() == (KEY, KeyPlace.FILE), "what is there can be read"
        assert _kind(here.forget) is Problem.FILE_READ_ONLY
        assert _problems(here)[KeyPlace.FILE] is not None, "nothing can be kept there"
        assert _kind(Keys({}, str(home / "new")).save, KEY, KeyPlace.FILE) is Problem.FILE_READ_ONLY


def fill(disk: Path) -> None:
    """Writes until there is no room left."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)


def test_an_empty_file_holds_no_key(here: Keys, folder: Path) -> None:
    here.save(KEY, KeyPlace.FILE)
    (folder / "ngc_key").write_text("\n")

    assert here.get() is None
    assert not here.places()[4].holds_key


# --- the password store ------------------------------------------------------------------------------------------


def test_the_store_keeps_finds_and_forgets(here: Keys, store: Backend) -> None:
    here.save(KEY, KeyPlace.KEYRING)

    assert store.held == {("s2s-wizard", "ngc"): KEY.reveal()}
    assert here.get() == (KEY, KeyPlace.KEYRING)
    info = here.places()[1]
    assert (info.usable, info.holds_key, info.detail) == (True, True, "KWallet")
    assert here.forget() == (KeyPlace.KEYRING,)
    assert not store.held


def test_a_key_lies_in_one_place_of_ours(here: Keys, store: Backend, folder: Path) -> None:
    here.save(KEY, KeyPlace.KEYRING)
    here.save(OTHER, KeyPlace.FILE)
    assert not store.held
    assert here.get() == (OTHER, KeyPlace.FILE)

    here.save(KEY, KeyPlace.SESSION)
    assert not list(folder.iterdir())
    here.save(OTHER, KeyPlace.KEYRING)
    assert [info.place for info in here.places() if info.holds_key] == [KeyPlace.KEYRING]


def test_a_store_that_forgets_at_once_is_noticed(here: Keys, store: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "set_password", lambda *arguments: None)

    assert _kind(here.save, KEY, KeyPlace.KEYRING) is Problem.STORE_FAILED


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (keyring.errors.KeyringLocked("locked"), Problem.STORE_LOCKED),
        (keyring.errors.InitError("Failed to create the collection: Prompt dismissed.."), Problem.STORE_MISSING),
        (keyring.errors.PasswordSetError("no"), Problem.STORE_FAILED),
        (OSError("bus gone"), Problem.STORE_FAILED),
        (ZeroDivisionError("a fault of the backend"), Problem.STORE_FAILED),
    ],
)
def test_errors_of_the_store_have_a_kind(here: Keys, store: Backend, error: Exception, kind: Problem) -> None:
    store.error = error

    assert here.get() is None
    assert _problems(here)[KeyPlace.KEYRING] == kind.value
    assert _kind(here.save, KEY, KeyPlace.KEYRING) is kind
    if kind is not Problem.STORE_MISSING:
        assert _kind(here.forget) is kind


def test_the_key_in_a_backends_error_is_masked(here: Keys, store: Backend) -> None:
    odd = Secret("a key without a known shape")
    store.error = RuntimeError(f"cannot write {odd.reveal()}")

    with pytest.raises(Trouble) as caught:
        here.save(odd, KeyPlace.KEYRING)
    assert caught.value.text == "RuntimeError: cannot write ****"


def test_a_store_that_hangs_is_left_behind(here: Keys, store: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SECONDS", 0.2)
    store.hang.clear()
    start = time.monotonic()

    assert here.get() is None
    assert _kind(here.save, KEY, KeyPlace.KEYRING) is Problem.STORE_FAILED
    assert not here.places()[1].usable
    assert time.monotonic() - start < 2
    waiting = [thread for thread in threading.enumerate() if thread.name == "keyring"]
    assert len(waiting) == 1, "a store that hangs is not asked a second time"
    assert waiting[0].daemon
    here.save(KEY, KeyPlace.FILE)
    assert here.get() == (KEY, KeyPlace.FILE)

    store.hang.set()
    waiting[0].join(5)
    assert here.places()[1].usable, "and is asked again when it has answered"


@pytest.mark.parametrize("backend", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring])
def test_no_store(here: Keys, backend: type[keyring.backend.KeyringBackend], monkeypatch: pytest.MonkeyPatch) -> None:
    _use(backend(), monkeypatch)

    assert _problems(here)[KeyPlace.KEYRING] == Problem.STORE_MISSING.value
    assert _kind(here.save, KEY, KeyPlace.KEYRING) is Problem.STORE_MISSING
    assert here.forget() == ()


@pytest.mark.parametrize("module", ["keyrings.alt.file", "keyrings.cryptfile.cryptfile", "keyring.backends.kwallet2"])
def test_a_store_that_is_not_known_to_be_safe_is_not_used(
    here: Keys, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Backend()
    _use(backend, monkeypatch, module)

    assert _kind(here.save, KEY, KeyPlace.KEYRING) is Problem.STORE_MISSING
    assert here.get() is None
    assert not backend.held


def test_among_several_stores_the_safe_one_is_used(here: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(Backend):
        pass

    class Wallet(Backend):
        pass

    class Chain(Backend):
        backends: tuple[Backend, ...] = ()

    plain, wallet, chain = Plain(), Wallet(), Chain()
    chain.backends = (plain, wallet)
    monkeypatch.setattr(Plain, "__module__", "keyrings.alt.file")
    monkeypatch.setattr(Wallet, "__module__", "keyring.backends.kwallet")
    _use(chain, monkeypatch, "keyring.backends.chainer")
    here.save(KEY, KeyPlace.KEYRING)

    assert wallet.held
    assert not plain.held
    assert not chain.held
