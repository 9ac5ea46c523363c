"""Images from files: every kind of archive, into real engines of both stores."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from tests.support.engine import PrivateEngine
from tests.support.registry import NgcLike, Pushed
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Line, Progress
from wizard.services import archive, image_places, pull
from wizard.services.pull import Way

pytestmark = pytest.mark.real
Change = Callable[[dict[str, bytes]], None]


@pytest.fixture
def host(any_engine: PrivateEngine, ngc: NgcLike) -> Host:
    return real.build(any_engine.environ)


def parts(ngc: NgcLike, pushed: Pushed) -> dict[str, bytes]:
    """The files of an OCI layout, as other tools write it: without a name."""
    repository = pushed.image.split("/", 1)[1].rpartition(":")[0]
    manifest = ngc.read(f"/v2/{repository}/manifests/{pushed.digest}", "*/*")
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    for blob in (pushed.config, *pushed.layers):
        files[f"blobs/sha256/{blob.digest[7:]}"] = ngc.read(f"/v2/{repository}/blobs/{blob.digest}")
    files[f"blobs/sha256/{pushed.digest[7:]}"] = manifest
    entry = {"mediaType": json.loads(manifest)["mediaType"], "digest": pushed.digest, "size": len(manifest)}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    return files


def saved(ngc: NgcLike, pushed: Pushed) -> dict[str, bytes]:
    """The files of ``docker save`` of the old kind: unpacked layers in folders."""
    files = {f"{pushed.config.digest[7:]}.json": b"", "manifest.json": b""}
    layout = parts(ngc, pushed)
    files[f"{pushed.config.digest[7:]}.json"] = layout[f"blobs/sha256/{pushed.config.digest[7:]}"]
    names = []
    for number, blob in enumerate(pushed.layers):
        names.append(f"{number:064}/layer.tar")
        files[names[-1]] = gzip.decompress(layout[f"blobs/sha256/{blob.digest[7:]}"])
    entry = {"Config": f"{pushed.config.digest[7:]}.json", "RepoTags": [pushed.image], "Layers": names}
    files["manifest.json"] = json.dumps([entry]).encode()
    return files


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_archive_of_every_kind(host: Host, ngc: NgcLike, tmp_path: Path, kind: str, packed: str) -> None:
    pushed = ngc.push_busybox(f"file/{kind}-{packed}", extra=[300_000])
    path = tmp_path / "image"
    path.write_bytes(PACK[packed](tar(parts(ngc, pushed) if kind == "oci" else saved(ngc, pushed))))
    ngc.requests.clear()
    events: list[object] = []
    pulled = pull.run(host, pushed.image, None, events.append, way=Way(file=str(path)))
    arrived = host.engine.image(pushed.image)
    assert arrived is not None
    assert arrived.id == pulled.image_id
    assert arrived.layers == tuple(blob.diff_id for blob in pushed.layers)
    if not host.engine.info().containerd_store:
        assert arrived.id == pushed.config.digest
    elif kind == "oci":
        assert arrived.id == pushed.digest
    shown = [event for event in events if isinstance(event, Progress)]
    assert [event.done for event in shown] == sorted(event.done for event in shown)
    assert [event for event in shown if event.done == event.total] == shown[-1:]
    assert not [event for event in events if isinstance(event, Line)]
    assert ngc.seen("layer") == []
    assert pull.run(host, pushed.image, None, way=Way(file=str(path))).already


def test_the_name_comes_from_the_archive(host: Host, ngc: NgcLike, tmp_path: Path) -> None:
    pushed = ngc.push("file/named")
    path = tmp_path / "image.tar"
    path.write_bytes(tar(saved(ngc, pushed)))
    assert archive.name_in(host, str(path)) == pushed.image
    path.write_bytes(tar(parts(ngc, pushed)))
    with pytest.raises(Trouble) as caught:
        archive.name_in(host, str(path))
    assert caught.value.kind is Problem.ARCHIVE_BAD


def test_another_image_than_the_registrys_is_said(host: Host, ngc: NgcLike, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(tar(saved(ngc, ngc.push("file/older", layers=[1000]))))
    newer = ngc.push("file/older", layers=[2000])
    events: list[object] = []
    pull.run(host, newer.image, None, events.append, way=Way(file=str(path)))
    assert [event for event in events if isinstance(event, Line) and "another image" in event.text]


def _layer_is_missing(files: dict[str, bytes]) -> None:
    del files[next(name for name in files if name.endswith("layer.tar"))]


def _layer_is_changed(files: dict[str, bytes]) -> None:
    name = next(name for name in files if name.endswith("layer.tar"))
    files[name] = files[name][:700] + b"?" + files[name][701:]


def _no_manifest(files: dict[str, bytes]) -> None:
    del files["manifest.json"]


def _nonsense(files: dict[str, bytes]) -> None:
    files["manifest.json"] = b'[{"Layers": 3}]'


@pytest.mark.parametrize("change", [_layer_is_missing, _layer_is_changed, _no_manifest, _nonsense])
def test_a_bad_archive(host: Host, ngc: NgcLike, tmp_path: Path, change: Change) -> None:
    pushed = ngc.push(f"file/bad{change.__name__.replace('_', '-')}", layers=[2000])
    files = saved(ngc, pushed)
    change(files)
    path = tmp_path / "image.tar"
    path.write_bytes(tar(files))
    refused(host, pushed, path)


@pytest.mark.parametrize("data", [b"", b"no archive" * 200, b"\x1f\x8bnot gzip", b"\x28\xb5\x2f\xfdnot zstd"])
def test_what_is_no_archive(host: Host, ngc: NgcLike, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(data)
    refused(host, ngc.push("file/nothing"), path)


@pytest.mark.parametrize("packed", PACK)
def test_an_archive_that_is_cut_off(host: Host, ngc: NgcLike, tmp_path: Path, packed: str) -> None:
    pushed = ngc.push(f"file/cut-{packed}", layers=[400_000])
    data = PACK[packed](tar(saved(ngc, pushed)))
    path = tmp_path / "image"
    path.write_bytes(data[: len(data) // 2])
    refused(host, pushed, path)


def refused(host: Host, pushed: Pushed, path: Path) -> None:
    with pytest.raises(Trouble) as caught:
        pull.run(host, pushed.image, None, way=Way(file=str(path)))
    assert (caught.value.kind, caught.value.subject) == (Problem.ARCHIVE_BAD, str(path))
    assert host.engine.image(pushed.image) is None


def test_an_archive_for_another_machine(host: Host, ngc: NgcLike, tmp_path: Path) -> None:
    pushed = ngc.push("file/arch", arch="s390x", layers=[2000])
    path = tmp_path / "image.tar"
    path.write_bytes(tar(saved(ngc, pushed)))
    with pytest.raises(Trouble) as caught:
        pull.run(host, pushed.image, None, way=Way(file=str(path)))
    assert caught.value.kind is Problem.PLATFORM_MISSING
    with pytest.raises(Trouble) as caught:
        pull.run(host, pushed.image, None, way=replace(Way(), file=str(tmp_path / "missing")))
    assert caught.value.kind is Problem.FILE_MISSING


def test_images_lie_in_the_folder_whose_disk_is_looked_at(host: Host, ngc: NgcLike, tmp_path: Path) -> None:
    """Two engines on one machine: each has its own, not the one that the system's containerd would have."""
    pushed = ngc.push("file/placed")
    path = tmp_path / "image.tar"
    path.write_bytes(tar(parts(ngc, pushed)))
    pull.run(host, pushed.image, None, way=Way(file=str(path)))
    info = host.engine.info()
    folder = Path(image_places.folders(host, info)[-1])
    kept = (
        "**/io.containerd.content.v1.content/blobs/sha256/*" if info.containerd_store else "image/*/imagedb/content/*/*"
    )
    assert next(folder.glob(kept), None) is not None
