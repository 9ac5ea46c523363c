"""Images with a Python: one with a stand-in for TensorFlow that fails as it is told, one with the real TensorFlow 1."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import docker
import pytest

from tests.support import images
from tests.support.engine import REQUIRE

STAND_IN = "s2s-test/stand-in:1"
"""This machine's Python and ``tests/support/stand_in``; /data/mode in the container says what is to fail."""
REAL = "s2s-test/tensorflow:1.13.1"
_FOLDER = Path(__file__).with_name("stand_in")
# All that "import tensorflow" asks for; h5py and grpcio, which it offers more with, would have to be compiled.
_PACKAGES = (
    *("tensorflow==1.13.1", "tensorflow-estimator==1.13.0", "numpy==1.16.4", "protobuf==3.8.0", "six==1.12.0"),
    *("gast==0.3.3", "absl-py==1.4.0", "astor==0.8.1", "termcolor==1.1.0"),
    *("keras-applications==1.0.8", "keras-preprocessing==1.1.2"),
)
_PIP = ("install", "-q", "--no-deps", "--no-compile", "--only-binary=:all:", "--no-binary=termcolor", "--target")
_NEVER = ("__pycache__", "test", "tests", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "distutils")


def load_stand_in(url: str, folder: Path) -> None:
    """Gives ``STAND_IN`` to the engine at ``url``."""
    python = Path("/usr/bin/python3").resolve()
    library = next(path for path in Path("/usr/lib").glob("python3.*") if path.name == python.name)
    _load(url, folder, STAND_IN, python, library, {_FOLDER: f"{library}/dist-packages"})


def load_real(url: str, folder: Path) -> None:
    """Gives ``REAL`` to the engine at ``url``. It needs Python 3.6, and is fetched from the package index (90 MB).

    Where there is no Python 3.6 the test is skipped, also where real tests are compulsory: few machines have it.
    Where there is one, everything else is a failure.
    """
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # the tests have a home of their own
    found = sorted(home.glob(".pyenv/versions/3.6.*/bin/python3.6"))
    if not found:
        pytest.skip("NOT TESTED with the real TensorFlow: there is no Python 3.6 under ~/.pyenv")
    python = found[-1]
    packages = folder / "packages"
    done = subprocess.run(
        [str(python), "-m", "pip", *_PIP, str(packages), *_PACKAGES],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        timeout=240,
        check=False,
    )
    if done.returncode != 0 and os.environ.get(REQUIRE) != "1":
        pytest.skip(f"NOT TESTED with the real TensorFlow: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    library = python.parents[1] / "lib" / "python3.6"
    _load(url, folder, REAL, python, library, {packages: f"{library}/site-packages"})
    shutil.rmtree(packages)


def _load(url: str, folder: Path, name: str, python: Path, library: Path, more: dict[Path, str]) -> None:
    """A busybox image with a Python, its library and these folders, at the paths where they are on this machine."""
    archive = folder / "image.tar"
    archive.write_bytes(images.busybox_archive())
    with tarfile.open(archive, "a", dereference=True) as out:
        programs = [python]
        for source, target in {library: str(library), **more}.items():
            for path in sorted(source.rglob("*")):
                parts = path.relative_to(source).parts
                inside_packages = source == library and parts[0] in ("site-packages", "dist-packages")
                if path.is_file() and not inside_packages and not (source == library and set(_NEVER) & set(parts)):
                    out.add(path, f"{target}/{path.relative_to(source)}".lstrip("/"), recursive=False)
                    if ".so" in path.name:
                        programs.append(path)
        out.add(python, str(python).lstrip("/"))
        for link in ("bin/python", "bin/python3"):
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, str(python)
            out.addfile(member)
        for needed in sorted(_libraries(programs, (str(library), *map(str, more)))):
            out.add(needed, needed.lstrip("/"))
    client = docker.APIClient(base_url=url, version="auto", timeout=300)
    try:
        repository, _colon, tag = name.partition(":")
        client.import_image_from_file(
            str(archive),
            repository=repository,
            tag=tag,
            changes=["ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin", 'CMD ["sh"]'],
        )
    finally:
        client.close()
        archive.unlink()


def _libraries(programs: list[Path], inside: tuple[str, ...]) -> set[str]:
    """The libraries outside these folders that programs and modules are linked with, as ldd names them."""
    listed = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    return {path for path in re.findall(r"(?:=>\s*)?(/\S+)\s+\(0x", listed) if not path.startswith(inside)}
