"""The contract of ``BlobCache``."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from tests.contract.conftest import simulated
from wizard.host.cache import FolderCache
from wizard.host.ports import BlobCache, CachedBlob

SIZE = 1000


@pytest.fixture(params=["simulated", "real"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> BlobCache:
    return simulated().cache if request.param == "simulated" else FolderCache(str(tmp_path / "cache"), 300)


def content(blob: CachedBlob, cache: BlobCache) -> bytes:
    """Bytes with the right digest: the simulated cache keeps zeros, whatever comes."""
    return DATA if isinstance(cache, FolderCache) else bytes(blob.size)


DATA = random.Random(1).randbytes(SIZE)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


def fill(blob: CachedBlob, data: bytes, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        start = number * blob.chunk
        piece = data[start : start + blob.chunk]
        blob.write(start, piece[:7])
        blob.write(start + 7, piece[7:])
        blob.commit(number)


def everything(blob: CachedBlob) -> bytes:
    data = b""
    while piece := blob.read(len(data)):
        data += piece
    return data


def test_an_empty_cache(cache: BlobCache) -> None:
    assert (cache.usage(), cache.here(DIGEST, SIZE), cache.remove()) == (0, 0, 0)
    assert cache.folder().startswith("/")


def test_a_blob_is_filled_and_read(cache: BlobCache) -> None:
    blob = cache.open(DIGEST, SIZE)
    data = content(blob, cache)
    fill(blob, data, blob.missing()[::-1])
    assert blob.missing() == ()
    assert cache.here(DIGEST, SIZE) == SIZE
    assert blob.damaged() == ()
    assert blob.chunk_bytes(0) == data[: blob.chunk]
    assert blob.verify()
    assert blob.complete
    assert everything(blob) == data
    blob.close()
    assert cache.open(DIGEST, SIZE).complete
    assert cache.usage() > 0
    assert cache.remove((DIGEST,)) > 0
    assert cache.usage() == cache.here(DIGEST, SIZE) == 0


def test_what_has_no_gap_can_be_read_while_the_rest_comes(cache: BlobCache) -> None:
    blob = cache.open(DIGEST, SIZE)
    data = content(blob, cache)
    last = blob.missing()[-1]
    for number in (n for n in blob.missing()[::-1] if n):
        fill(blob, data, (number,))
        assert (blob.ready, blob.read(0)) == (0, b"")
    fill(blob, data, (0,))
    assert blob.ready == SIZE
    blob.save()
    assert blob.read(SIZE - 3) == data[-3:]
    blob.forget((last,))
    assert blob.ready <= last * blob.chunk
    blob.close()


def test_a_complete_blob_is_rechecked(cache: BlobCache) -> None:
    blob = cache.open(DIGEST, SIZE)
    assert cache.recheck((DIGEST,)) == (), "one that is not complete is none of its business"
    fill(blob, content(blob, cache), blob.missing())
    assert blob.verify()
    assert cache.recheck((DIGEST,)) == ()
    assert cache.open(DIGEST, SIZE).complete


def test_another_size_is_another_blob(cache: BlobCache) -> None:
    blob = cache.open(DIGEST, SIZE)
    fill(blob, content(blob, cache), blob.missing())
    blob.close()
    assert cache.here(DIGEST, SIZE + 1) == 0


def test_the_lock_is_given_back(cache: BlobCache) -> None:
    for _time in range(2):
        with cache.lock():
            assert cache.remove() == 0


# --- the real one alone: what a crash leaves -----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def half(folder: Path) -> tuple[FolderCache, Path]:
    """A cache in which two of four chunks count, and a third was being written."""
    cache = FolderCache(str(folder), 300)
    blob = cache.open(DIGEST, SIZE)
    fill(blob, DATA, (0, 2))
    blob.write(300, DATA[300:450])
    blob.close()
    (partial,) = (folder / "partial").iterdir()
    return cache, partial


def test_what_was_committed_is_found_by_the_next_process(folder: Path) -> None:
    cache, _partial = half(folder)
    assert cache.here(DIGEST, SIZE) == 600
    blob = cache.open(DIGEST, SIZE)
    assert blob.missing() == (1, 3)
    assert not blob.verify()
    fill(blob, DATA, blob.missing())
    assert blob.verify()


@pytest.mark.parametrize("left", [0, 10, SIZE - 1, SIZE, SIZE + 5, SIZE + 25])
def test_a_file_that_was_cut_off_anywhere(folder: Path, left: int) -> None:
    cache, partial = half(folder)
    with partial.open("r+b") as file:
        file.truncate(left)
    assert cache.here(DIGEST, SIZE) == 0
    blob = cache.open(DIGEST, SIZE)
    fill(blob, DATA, blob.missing())
    assert blob.verify()
    assert everything(blob) == DATA


def test_a_crash_between_the_last_two_steps(folder: Path) -> None:
    """The table is cut off and everything was right, but the file has not got its name yet."""
    cache, partial = half(folder)
    partial.write_bytes(DATA)
    assert cache.open(DIGEST, SIZE).complete


def test_other_bytes_than_were_written_are_noticed(folder: Path) -> None:
    """As after a power cut: the disk has the table, and not the bytes."""
    cache, partial = half(folder)
    with partial.open("r+b") as file:
        file.seek(650)
        file.write(b"!")
    blob = cache.open(DIGEST, SIZE)
    fill(blob, DATA, blob.missing())
    assert blob.damaged() == (2,)
    assert not blob.verify()
    blob.forget((2,))
    assert blob.missing() == (2,)
    fill(blob, DATA, (2,))
    assert blob.verify()
    assert everything(blob) == DATA


def test_a_chunk_that_is_exchanged_is_in_the_sum(folder: Path) -> None:
    """Also one that was summed up already, whatever comes after it."""
    blob = FolderCache(str(folder), 300).open(DIGEST, SIZE)
    fill(blob, bytes(SIZE), (0, 1))
    fill(blob, DATA, (3, 2))
    assert blob.ready == SIZE
    fill(blob, DATA, (0,))
    assert not blob.verify()
    fill(blob, DATA, (1,))
    assert blob.verify()


def test_a_complete_blob_that_was_changed_is_removed(folder: Path) -> None:
    cache = FolderCache(str(folder), 300)
    blob = cache.open(DIGEST, SIZE)
    fill(blob, DATA, blob.missing())
    assert blob.verify()
    (whole,) = (folder / "blobs" / "sha256").iterdir()
    whole.write_bytes(bytes(SIZE))
    assert cache.recheck((DIGEST, f"sha256:{'0' * 64}")) == (DIGEST,)
    assert (cache.here(DIGEST, SIZE), cache.usage()) == (0, 0)
