"""Files of this machine, where they are in trouble and where only root may go."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wizard.host.commands import SystemCommands
from wizard.host.files import RootFiles, SystemFiles
from wizard.model.errors import Problem, Trouble

NOBODY = 65534
BYTES = bytes(range(256)) * 40 + b"no line end"

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def files() -> SystemFiles:
    return SystemFiles(SystemCommands(os.environ))


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="s2s-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def somebody() -> Iterator[None]:
    """In here, this process has the rights of nobody."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def with_sudo(place: Path) -> SystemFiles:
    """Files of a user who is not root, but has a sudo. This one is a shell: it gives up the rights of ``somebody``
    and takes those of the real user, root. What it runs are the machine's own coreutils.
    """
    sudo = place / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/sh\n[ "$1" = -n ] || exit 9\nshift\nexec "$@"\n')
    sudo.chmod(0o755)
    return SystemFiles(SystemCommands({**os.environ, "PATH": f"{sudo.parent}:{os.environ['PATH']}"}))


def kind_of(call: Callable[[], object]) -> Problem:
    with pytest.raises(Trouble) as caught:
        call()
    return caught.value.kind


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def closed(place: Path) -> Path:
    """A settings file of root's, in a folder that only root may enter."""
    folder = place / "etc"
    folder.mkdir()
    file = folder / "daemon.json"
    file.write_bytes(BYTES)
    os.chown(file, 0, 4321)
    file.chmod(0o640)
    folder.chmod(0o700)
    return file


@only_root
def test_root_reads_and_writes_every_byte_where_the_user_may_not(place: Path, with_sudo: SystemFiles) -> None:
    file = closed(place)
    after = BYTES[::-1]
    with somebody():
        assert kind_of(lambda: with_sudo.read(str(file))) is Problem.FILE_PERMISSION
        found = with_sudo.read(str(file), root=True)
        assert found is not None
        assert (found.data, found.mode, found.uid, found.gid) == (BYTES, 0o640, 0, 4321)
        assert kind_of(lambda: with_sudo.replace(str(file), BYTES, after)) is Problem.FILE_PERMISSION
        with_sudo.replace(str(file), BYTES, after, root=True)
        assert kind_of(lambda: with_sudo.replace(str(file), BYTES, b"", root=True)) is Problem.FILE_CHANGED
        assert with_sudo.read(f"{file}.missing", root=True) is None
        assert kind_of(lambda: with_sudo.read(str(file.parent / ".."), root=True)) is Problem.FILE_NOT_REGULAR
    now = file.stat()
    assert file.read_bytes() == after
    assert (now.st_mode & 0o777, now.st_uid, now.st_gid) == (0o640, 0, 4321)
    assert names(file.parent) == ["daemon.json"]


@only_root
def test_root_follows_links_makes_folders_and_removes(place: Path, with_sudo: SystemFiles) -> None:
    file = closed(place)
    link = file.parent / "link.json"
    link.symlink_to("deep/er/new.json")
    with somebody():
        with_sudo.replace(str(link), None, b"{}", mode=0o644, root=True)
    made = file.parent / "deep/er/new.json"
    assert link.is_symlink()
    assert (made.read_bytes(), made.stat().st_uid, made.stat().st_mode & 0o777) == (b"{}", 0, 0o644)
    with somebody():
        with_sudo.replace(str(link), b"{}", None, root=True)
    assert not made.exists()
    assert link.is_symlink()


@only_root
def test_a_file_of_another_in_a_folder_of_ours_is_not_taken_over(place: Path, with_sudo: SystemFiles) -> None:
    """The folder's permission would be enough to exchange the file, but then it would be ours."""
    folder = place / "ours"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    file = folder / "file"
    file.write_bytes(b"before")
    with somebody():
        assert kind_of(lambda: with_sudo.replace(str(file), b"before", b"after")) is Problem.FILE_PERMISSION
    assert (file.read_bytes(), names(folder)) == (b"before", ["file"])
    file.chmod(0o666)
    with somebody():
        assert kind_of(lambda: with_sudo.replace(str(file), b"before", b"after")) is Problem.FILE_PERMISSION
        with_sudo.replace(str(file), b"before", b"after", root=True)
    assert (file.read_bytes(), file.stat().st_uid, names(folder)) == (b"after", 0, ["file"])


@only_root
def test_sudo_that_refuses_leaves_everything_as_it_was(place: Path, with_sudo: SystemFiles) -> None:
    file = closed(place)
    (place / "bin" / "sudo").write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    with somebody():
        assert kind_of(lambda: with_sudo.replace(str(file), BYTES, b"", root=True)) is Problem.ROOT_NEEDED
    assert (file.read_bytes(), names(file.parent)) == (BYTES, ["daemon.json"])


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory at ``folder``; skips where none can be mounted."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@only_root
@pytest.mark.parametrize("way", ["direct", "as root"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, files: SystemFiles, way: str) -> None:
    with mounted(tmp_path / "small", "size=64k") as folder:
        file = folder / "file"
        file.write_bytes(b"before")
        big = b"x" * 200_000
        if way == "direct":
            assert kind_of(lambda: files.replace(str(file), b"before", big)) is Problem.DISK_FULL
        else:
            root = RootFiles(SystemCommands(os.environ))
            assert kind_of(lambda: root.replace(str(file), b"before", big, 0o644)) is Problem.DISK_FULL
        assert (file.read_bytes(), names(folder)) == (b"before", ["file"])


@only_root
@pytest.mark.parametrize("way", ["direct", "as root"])
def test_a_read_only_disk(tmp_path: Path, files: SystemFiles, way: str) -> None:
    with mounted(tmp_path / "still", "size=64k") as folder:
        file = folder / "file"
        file.write_bytes(b"before")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        root = RootFiles(SystemCommands(os.environ))
        for before, path in ((b"before", file), (None, folder / "new")):
            if way == "direct":
                found = kind_of(lambda before=before, path=path: files.replace(str(path), before, b"x"))  # type: ignore[misc]
            else:
                found = kind_of(lambda before=before, path=path: root.replace(str(path), before, b"x", 0o644))  # type: ignore[misc]
            assert found is Problem.FILE_READ_ONLY
        assert (file.read_bytes(), names(folder)) == (b"before", ["file"])


@only_root
def test_a_file_that_is_itself_a_mount_cannot_be_exchanged(tmp_path: Path, files: SystemFiles) -> None:
    with mounted(tmp_path / "disk", "size=64k") as folder:
        file, other = tmp_path / "daemon.json", folder / "other"
        file.write_bytes(b"before")
        other.write_bytes(b"before")
        subprocess.run(["mount", "--bind", other, file], check=True)
        try:
            assert kind_of(lambda: files.replace(str(file), b"before", b"after")) is Problem.FILE_READ_ONLY
            assert file.read_bytes() == b"before"
            assert not [name for name in names(tmp_path) if name.startswith(".s2s-")]
        finally:
            subprocess.run(["umount", file], check=True)


def test_a_pipe_does_not_hold_us_up(tmp_path: Path, files: SystemFiles) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert kind_of(lambda: files.read(str(tmp_path / "pipe"))) is Problem.FILE_NOT_REGULAR


def test_a_crash_while_writing_leaves_the_old_file(
    tmp_path: Path, files: SystemFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")

    class Stopped(BaseException):
        pass

    def stop(descriptor: int) -> None:
        raise Stopped

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(Stopped):
        files.replace(str(file), b"before", b"after")
    assert file.read_bytes() == b"before"
    assert [name for name in names(tmp_path) if name != "home"] == ["file"]


def test_space_is_that_of_an_ordinary_user(tmp_path: Path, files: SystemFiles) -> None:
    found = files.disk(str(tmp_path / "not" / "there" / "yet"))
    told = os.statvfs(tmp_path)
    assert found.total == told.f_blocks * told.f_frsize
    assert abs(found.free - told.f_bavail * told.f_frsize) < 1_000_000_000


@only_root
def test_what_root_makes_in_somebodys_folder_is_theirs(files: SystemFiles, tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 4321)
    files.replace(str(tmp_path / "a/b/new"), None, b"x")
    files.make_folder(str(tmp_path / "a/c/d"))
    made = [tmp_path / name for name in ("a", "a/b", "a/b/new", "a/c", "a/c/d")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(1234, 4321)}
