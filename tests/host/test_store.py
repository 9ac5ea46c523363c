"""The program's own folder is private, and no name leads out of it. Settings and the machine's description."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wizard.host import real, settings, system
from wizard.host.settings import Folders, Settings
from wizard.host.store import FolderStore
from wizard.model.errors import Problem, Trouble


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_is_private_whatever_the_umask(tmp_path: Path) -> None:
    root = tmp_path / "state" / "s2s-wizard"
    before = os.umask(0)
    try:
        FolderStore(str(root)).write("receipts/one.json", b"{}")
    finally:
        os.umask(before)
    assert [mode(root), mode(root / "receipts"), mode(root / "receipts/one.json")] == [0o700, 0o700, 0o600]
    assert FolderStore(str(root)).names("receipts") == ("one.json",)


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "s2s-wizard"
    root.mkdir(mode=0o755)
    FolderStore(str(root)).write("journey.json", b"{}")
    assert mode(root) == 0o700


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b"])
def test_no_name_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="inside the store"):
        FolderStore(str(tmp_path / "root")).write(name, b"")


def test_a_place_that_is_a_file_is_typed(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("in the way")
    store = FolderStore(str(tmp_path / "root"))
    assert store.read("a") is None
    assert store.names("receipts") == ()
    with pytest.raises(Trouble) as caught:
        store.write("a", b"")
    assert caught.value.kind is Problem.FILE_NOT_REGULAR


def test_settings_are_optional_and_a_mistake_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    assert settings.read(str(file)) == Settings()
    file.write_text('[registry]\nhosts = ["127.0.0.1:5000"]\n')
    assert settings.read(str(file)) == Settings(("127.0.0.1:5000",))
    for wrong in ('[registry]\nhosts = "127.0.0.1"\n', "[registry]\nhosts = [\n", "registry = 1\n"):
        file.write_text(wrong)
        with pytest.raises(Trouble) as caught:
            settings.read(str(file))
        assert (caught.value.kind, caught.value.subject) == (Problem.BAD_INPUT, str(file))


def test_a_mirror_of_a_vendor_s_packages(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[packages.nvidia]\nurl = "http://mirror/deb"\nfingerprint = "AB CD"\n')
    assert settings.read(str(file)).packages == {"nvidia": {"url": "http://mirror/deb", "fingerprint": "AB CD"}}
    for wrong in (
        "packages = 1\n",
        "[packages]\nnvidia = 1\n",
        "[packages.nvidia]\nurl = 1\n",
        '[packages.nvidia]\nulr = "http://mirror"\n',
        '[packages.nvidia]\nurl = "http://mirror /\\ndeb http://other"\n',
        '[packages.nvidia]\nkey = ""\n',
    ):
        file.write_text(wrong)
        with pytest.raises(Trouble) as caught:
            settings.read(str(file))
        assert (caught.value.kind, caught.value.subject) == (Problem.BAD_INPUT, str(file)), wrong


def test_folders_follow_the_xdg_rules() -> None:
    assert Folders.of({}, "/home/mei") == Folders(
        "/home/mei/.config/s2s-wizard", "/home/mei/.local/state/s2s-wizard", "/home/mei/.cache/s2s-wizard"
    )
    assert Folders.of({"XDG_STATE_HOME": "/state", "XDG_CACHE_HOME": "relative"}, "/h").state == "/state/s2s-wizard"
    assert Folders.of({"XDG_CACHE_HOME": "relative"}, "/h").cache == "/h/.cache/s2s-wizard"


def test_this_machine_is_described() -> None:
    info = system.read()
    assert (info.kind, info.machine, info.uid) == ("real", None, os.geteuid())
    assert info.groups


def test_the_name_of_the_system_is_found(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    assert system.os_name((str(tmp_path / "missing"), str(file))) == "Debian GNU/Linux 12 (bookworm)"
    assert system.os_name((str(tmp_path / "missing"),)) == "Linux"


def test_the_real_host_has_no_key_in_its_environment(tmp_path: Path) -> None:
    config = tmp_path / "cfg" / "s2s-wizard"
    config.mkdir(parents=True)
    (config / "config.toml").write_text('[registry]\nhosts = ["127.0.0.1:5000"]\n')
    host = real.build({**os.environ, "NGC_API_KEY": "nvapi-canary", "XDG_CONFIG_HOME": str(tmp_path / "cfg")})
    assert "canary" not in repr(host.environ)
    assert host.registry.takes_key("127.0.0.1:5000")
    assert not host.registry.takes_key("127.0.0.1:5001")
    found = host.keys.get()
    assert found is not None, "the key store alone sees the variable"


def test_of_two_processes_one_has_the_lock_and_a_crash_frees_it(tmp_path: Path) -> None:
    root = str(tmp_path / "state" / "s2s-wizard")
    mine = FolderStore(root)
    assert mine.locked_by() is None
    code = (
        "import sys\nfrom wizard.host.store import FolderStore\n"
        f"with FolderStore({root!r}).lock():\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert mine.locked_by() == other.pid
        with pytest.raises(Trouble) as caught, mine.lock():
            pass
        assert (caught.value.kind, caught.value.subject) == (Problem.BUSY, str(other.pid))
        mine.write("journey.json", b"{}")
        assert mine.read("journey.json") == b"{}", "the others' files are not locked"
        other.kill()
    assert mine.locked_by() is None
    with mine.lock():
        assert FolderStore(root).locked_by() == os.getpid(), "another store stands for another process"
        with pytest.raises(Trouble) as caught, FolderStore(root).lock():
            pass
        assert caught.value.kind is Problem.BUSY
