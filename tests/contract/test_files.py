"""The contract of ``Files``."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from tests.contract.conftest import Disk
from wizard.host.ports import Files
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import PathKind


def path(disk: Disk, name: str) -> str:
    return f"{disk.folder}/{name}"


def test_a_file_is_read_with_its_mode_and_its_real_path(disk: Disk) -> None:
    disk.put(path(disk, "a"), b"one\n", 0o640)
    found = disk.files.read(path(disk, "a"))
    assert found is not None
    assert (found.path, found.real_path) == (path(disk, "a"), path(disk, "a"))
    assert (found.data, found.mode) == (b"one\n", 0o640)


def test_no_file_is_none(disk: Disk) -> None:
    assert disk.files.read(path(disk, "missing")) is None
    assert disk.files.read(path(disk, "missing/deeper")) is None


def test_a_file_that_grows_is_read_from_where_one_was(disk: Disk) -> None:
    place = path(disk, "log")
    assert disk.files.after(place, 0, 10) == b""
    assert disk.files.after(path(disk, "missing/deeper"), 0, 10) == b""
    disk.put(place, b"one\ntwo\n", 0o644)
    assert disk.files.after(place, 0, 4) == b"one\n"
    assert disk.files.after(place, 4, 100) == b"two\n"
    assert disk.files.after(place, 8, 100) == b""
    assert disk.files.after(place, 1000, 100) == b""
    with pytest.raises(Trouble) as caught:
        disk.files.after(disk.folder, 0, 1)
    assert caught.value.kind is Problem.FILE_NOT_REGULAR


def test_a_folder_is_no_file(disk: Disk) -> None:
    with pytest.raises(Trouble) as caught:
        disk.files.read(disk.folder)
    assert caught.value.kind is Problem.FILE_NOT_REGULAR


def test_info_tells_what_stands_there(disk: Disk) -> None:
    disk.put(path(disk, "a"), b"", 0o755)
    disk.link(path(disk, "link"), "a")
    disk.link(path(disk, "dangling"), "nowhere")
    disk.link(path(disk, "ring"), "ring")
    kinds = {name: disk.files.info(path(disk, name)).kind for name in ("", "a", "link", "dangling", "missing", "a/b")}
    assert kinds == {
        "": PathKind.DIRECTORY,
        "a": PathKind.FILE,
        "link": PathKind.FILE,
        "dangling": PathKind.MISSING,
        "missing": PathKind.MISSING,
        "a/b": PathKind.MISSING,
    }
    assert disk.files.info(path(disk, "ring")).kind is PathKind.OTHER


def test_info_tells_what_the_owner_may_do(disk: Disk) -> None:
    disk.put(path(disk, "a"), b"", 0o755)
    found = disk.files.info(path(disk, "a"))
    assert (found.readable, found.writable, found.executable) == (True, True, True)
    missing = disk.files.info(path(disk, "missing"))
    assert (missing.readable, missing.writable, missing.executable) == (False, False, False)


def test_info_tells_what_a_stranger_may_do(disk: Disk) -> None:
    disk.put(path(disk, "a"), b"", 0o644)
    with disk.stranger() as files:
        found = files.info(path(disk, "a"))
    assert (found.readable, found.writable, found.executable) == (True, False, False)


def test_a_new_file_gets_the_mode_that_was_asked_for(disk: Disk) -> None:
    disk.files.replace(path(disk, "new"), None, b"{}", mode=0o600)
    found = disk.files.read(path(disk, "new"))
    assert found is not None
    assert (found.data, found.mode) == (b"{}", 0o600)


def test_missing_folders_are_made(disk: Disk) -> None:
    disk.files.replace(path(disk, "x/y/new"), None, b"{}")
    assert disk.files.info(path(disk, "x/y")).kind is PathKind.DIRECTORY
    found = disk.files.read(path(disk, "x/y/new"))
    assert found is not None
    assert found.data == b"{}"


def test_a_replaced_file_keeps_its_mode_and_owner(disk: Disk) -> None:
    disk.put(path(disk, "a"), b"one", 0o640)
    before = disk.files.read(path(disk, "a"))
    disk.files.replace(path(disk, "a"), b"one", b"two", mode=0o777)
    after = disk.files.read(path(disk, "a"))
    assert before is not None
    assert after is not None
    assert after.data == b"two"
    assert (after.mode, after.uid, after.gid) == (before.mode, before.uid, before.gid)


def test_a_link_is_followed_and_stays(disk: Disk) -> None:
    disk.put(path(disk, "target"), b"one", 0o644)
    disk.link(path(disk, "link"), "target")
    disk.files.replace(path(disk, "link"), b"one", b"two")
    through = disk.files.read(path(disk, "link"))
    target = disk.files.read(path(disk, "target"))
    assert through is not None
    assert target is not None
    assert through.real_path == path(disk, "target")
    assert (through.data, target.data) == (b"two", b"two")


def test_a_link_to_a_file_that_is_not_there_yet(disk: Disk) -> None:
    disk.link(path(disk, "link"), "later")
    assert disk.files.read(path(disk, "link")) is None
    disk.files.replace(path(disk, "link"), None, b"now")
    target = disk.files.read(path(disk, "later"))
    assert target is not None
    assert target.data == b"now"


def test_a_file_is_removed(disk: Disk) -> None:
    disk.put(path(disk, "a"), b"one", 0o644)
    disk.files.replace(path(disk, "a"), b"one", None)
    assert disk.files.info(path(disk, "a")).kind is PathKind.MISSING
    disk.files.replace(path(disk, "a"), None, None)  # nothing there, nothing wanted


@pytest.mark.parametrize("before", [None, b"", b"other"])
@pytest.mark.parametrize("after", [None, b"two"])
def test_a_file_that_was_changed_meanwhile_is_left_alone(disk: Disk, before: bytes | None, after: bytes | None) -> None:
    disk.put(path(disk, "a"), b"one", 0o644)
    with pytest.raises(Trouble) as caught:
        disk.files.replace(path(disk, "a"), before, after)
    assert caught.value.kind is Problem.FILE_CHANGED
    found = disk.files.read(path(disk, "a"))
    assert found is not None
    assert found.data == b"one"


def test_a_file_that_has_gone_meanwhile_is_not_made_again(disk: Disk) -> None:
    with pytest.raises(Trouble) as caught:
        disk.files.replace(path(disk, "a"), b"one", b"two")
    assert caught.value.kind is Problem.FILE_CHANGED
    assert disk.files.info(path(disk, "a")).kind is PathKind.MISSING


def test_a_folder_is_not_replaced(disk: Disk) -> None:
    disk.files.make_folder(path(disk, "x"))
    with pytest.raises(Trouble) as caught:
        disk.files.replace(path(disk, "x"), None, b"")
    assert caught.value.kind is Problem.FILE_NOT_REGULAR


def test_folders_are_made_with_those_above(disk: Disk) -> None:
    disk.files.make_folder(path(disk, "x/y"))
    disk.files.make_folder(path(disk, "x/y"))
    found = disk.files.info(path(disk, "x/y"))
    assert (found.kind, found.writable) == (PathKind.DIRECTORY, True)


@pytest.mark.parametrize("name", ["a", "a/b"])
def test_no_folder_where_a_file_stands(disk: Disk, name: str) -> None:
    disk.put(path(disk, "a"), b"", 0o644)
    with pytest.raises(Trouble) as caught:
        disk.files.make_folder(path(disk, name))
    assert caught.value.kind is Problem.FILE_NOT_REGULAR


def test_a_stranger_reads_what_is_open_and_nothing_else(disk: Disk) -> None:
    disk.put(path(disk, "open"), b"one", 0o644)
    disk.put(path(disk, "closed"), b"one", 0o600)
    with disk.stranger() as files:
        found = files.read(path(disk, "open"))
        with pytest.raises(Trouble) as caught:
            files.read(path(disk, "closed"))
    assert found is not None
    assert found.data == b"one"
    assert caught.value.kind is Problem.FILE_PERMISSION


@pytest.mark.parametrize(
    "do",
    [
        lambda files, folder: files.replace(f"{folder}/a", b"one", b"two"),
        lambda files, folder: files.replace(f"{folder}/a", b"one", None),
        lambda files, folder: files.replace(f"{folder}/new", None, b"two"),
        lambda files, folder: files.make_folder(f"{folder}/x"),
    ],
    ids=["replace", "remove", "new file", "new folder"],
)
def test_a_stranger_changes_nothing(disk: Disk, do: Callable[[Files, str], None]) -> None:
    disk.put(path(disk, "a"), b"one", 0o644)
    with disk.stranger() as files, pytest.raises(Trouble) as caught:
        do(files, disk.folder)
    assert caught.value.kind is Problem.FILE_PERMISSION
    found = disk.files.read(path(disk, "a"))
    assert found is not None
    assert found.data == b"one"
    assert disk.files.info(path(disk, "new")).kind is PathKind.MISSING
    assert disk.files.info(path(disk, "x")).kind is PathKind.MISSING


def test_a_stranger_sees_nothing_in_a_closed_folder(disk: Disk) -> None:
    closed = path(disk, "closed")
    disk.files.make_folder(closed)
    disk.put(f"{closed}/a", b"", 0o644)
    disk.close(closed)
    with disk.stranger() as files:
        for do in (files.info, files.read, files.disk):
            with pytest.raises(Trouble) as caught:
                do(f"{closed}/a")
            assert caught.value.kind is Problem.FILE_PERMISSION


def test_disk_space_is_told_for_paths_that_are_not_there_yet(disk: Disk) -> None:
    here, later = disk.files.disk(disk.folder), disk.files.disk(path(disk, "x/y/z"))
    assert later.path == path(disk, "x/y/z")
    assert 0 <= here.free <= here.total
    assert here.total == later.total


def test_a_folder_tells_its_names(disk: Disk) -> None:
    assert disk.files.names(path(disk, "missing")) == ()
    disk.put(path(disk, "b"), b"", 0o644)
    disk.put(path(disk, "a"), b"", 0o644)
    disk.files.make_folder(path(disk, "deeper"))
    disk.put(path(disk, "deeper/c"), b"", 0o644)
    disk.link(path(disk, "link"), "deeper")
    assert disk.files.names(disk.folder) == ("a", "b", "deeper", "link")
    assert disk.files.names(path(disk, "link")) == ("c",)
    assert disk.files.names(path(disk, "a")) == ()


def test_a_link_is_told_as_it_stands(disk: Disk) -> None:
    disk.put(path(disk, "a"), b"", 0o644)
    disk.link(path(disk, "link"), "../nowhere")
    assert disk.files.link(path(disk, "link")) == "../nowhere"
    assert [disk.files.link(path(disk, name)) for name in ("a", "missing", "a/b", "")] == [None] * 4


def test_info_tells_when_a_file_was_changed(disk: Disk) -> None:
    """0 is "not known": a simulated file has a time only where its machine says so."""
    disk.put(path(disk, "a"), b"", 0o644)
    assert disk.files.info(path(disk, "a")).changed >= 0
    assert disk.files.info(path(disk, "missing")).changed == 0


def test_a_disk_tells_bytes_and_files(disk: Disk) -> None:
    space = disk.files.disk(path(disk, "not/there/yet"))
    assert 0 < space.free <= space.total
    assert 0 <= space.files_free <= space.files or space.files == 0


def test_a_file_is_opened_and_read_in_pieces(disk: Disk) -> None:
    disk.put(path(disk, "large"), b"abcdef", 0o644)
    with disk.files.open(path(disk, "large")) as file:
        assert file.read(4) == b"abcd"
        assert file.seek(1) == 1
        assert file.read() == b"bcdef"
    for name, kind in (("missing", Problem.FILE_MISSING), ("", Problem.FILE_NOT_REGULAR)):
        with pytest.raises(Trouble) as caught:
            disk.files.open(path(disk, name).rstrip("/"))
        assert caught.value.kind is kind


def test_a_packed_file_is_read_as_it_stands_or_unpacked(disk: Disk) -> None:
    packed = gzip.compress(b"abcdef")
    disk.put(path(disk, "packed.gz"), packed, 0o644)
    with disk.files.open(path(disk, "packed.gz")) as file:
        assert file.read() == packed
    with disk.files.open(path(disk, "packed.gz"), unpack=True) as file:
        assert file.read() == b"abcdef"
    disk.put(path(disk, "cut.gz"), packed[:-6], 0o644)
    with disk.files.open(path(disk, "cut.gz"), unpack=True) as file, pytest.raises(Trouble) as caught:
        file.read()
    assert caught.value.kind is Problem.ARCHIVE_BAD


def test_paths_on_one_file_system_have_one_device(disk: Disk) -> None:
    assert disk.files.disk(disk.folder).device == disk.files.disk(path(disk, "missing/deeper")).device


def test_the_size_of_a_file_is_told(disk: Disk) -> None:
    disk.put(path(disk, "archive"), b"a" * 3000, 0o644)
    assert disk.files.info(path(disk, "archive")).size == 3000


def test_a_file_is_removed_whatever_it_holds(disk: Disk) -> None:
    place = path(disk, "archive")
    disk.put(place, b"old", 0o644)
    disk.files.remove(place)
    assert disk.files.info(place).kind is PathKind.MISSING
    disk.files.remove(place)
    with pytest.raises(Trouble) as caught:
        disk.files.remove(disk.folder)
    assert caught.value.kind is Problem.FILE_NOT_REGULAR
