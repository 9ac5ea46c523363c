"""Small images made from this machine's own programs: nothing is downloaded."""

from __future__ import annotations

import io
import platform
import re
import shutil
import subprocess
import tarfile
from functools import cache
from pathlib import Path

import docker

BUSYBOX = "s2s-test/busybox:1"
"""busybox as /bin/sh and all its applets; CMD is ``sh``."""
BASH = "s2s-test/bash:1"
"""The same with a real bash and the usual terminfo entries; CMD is ``bash``."""

SPEECH = "s2s-test/speech:1"
"""busybox with this machine's own Python and sox, as a TensorFlow image has them: see ``add_speech``."""

_TERMINALS = ("dumb", "linux", "screen", "screen-256color", "tmux", "tmux-256color", "vt100", "xterm", "xterm-256color")


_NOT_NEEDED = {"__pycache__", "test", "idlelib", "ensurepip", "lib2to3", "pydoc_data", "tkinter", "dist-packages"}


def load(url: str) -> None:
    """Gives both images to the engine at ``url``."""
    client = docker.APIClient(base_url=url, version="auto", timeout=60)
    try:
        for name, archive, command in ((BUSYBOX, busybox_archive(), "sh"), (BASH, bash_archive(), "bash")):
            repository, tag = name.split(":")
            changes = [
                f'CMD ["{command}"]',
                "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "LABEL org.example.made-by=tests",
            ]
            client.import_image_from_data(archive, repository=repository, tag=tag, changes=changes)
    finally:
        client.close()


def add_image(url: str, name: str, *changes: str, files: dict[str, bytes] | None = None) -> str:
    """Makes one more busybox image with Dockerfile instructions (``ENTRYPOINT [...]``) and executable files.

    Returns its id.
    """
    archive = busybox_archive()
    if files:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as out:
            with tarfile.open(fileobj=io.BytesIO(archive)) as base:
                for member in base:
                    out.addfile(member, base.extractfile(member) if member.isfile() else None)
            for path, data in files.items():
                _add(out, path, data)
        archive = buffer.getvalue()
    client = docker.APIClient(base_url=url, version="auto", timeout=60)
    try:
        repository, _, tag = name.rpartition(":")
        client.import_image_from_data(
            archive, repository=repository, tag=tag, changes=["ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin", *changes]
        )
        return str(client.images(name, quiet=True)[0])
    finally:
        client.close()


def add_speech(url: str) -> None:
    """Gives ``SPEECH`` to the engine at ``url``."""
    client = docker.APIClient(base_url=url, version="auto", timeout=120)
    try:
        repository, tag = SPEECH.split(":")
        client.import_image_from_data(
            speech_archive(), repository=repository, tag=tag, changes=["ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        )
    finally:
        client.close()


@cache
def speech_archive() -> bytes:
    """The file system of ``SPEECH`` as a tar archive."""
    python = Path("/usr/bin/python3").resolve()
    library = Path("/usr/lib", python.name)
    plugins = Path("/usr/lib", f"{platform.machine()}-linux-gnu", "sox")
    if shutil.which("sox") is None or not library.is_dir() or not (plugins / "libsox_fmt_mp3.so").exists():
        raise RuntimeError("the speech image needs Debian's python3, sox and libsox-fmt-mp3 on this machine")
    seen: set[str] = set()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        _add_base(out)
        _add_program(out, "sox", seen)
        _add(out, "/bin/python3", python.read_bytes())
        _add_libraries(out, python, seen)
        for path in sorted(plugins.glob("*.so")):
            _add(out, str(path), path.read_bytes())
            _add_libraries(out, path, seen)
        for path in sorted(library.rglob("*")):
            parts = set(path.relative_to(library).parts)
            if path.is_file() and not parts & _NOT_NEEDED and not parts & {f"config-{python.name[6:]}"}:
                _add(out, str(path), path.read_bytes(), 0o644)
                if path.suffix == ".so":
                    _add_libraries(out, path, seen)
    return buffer.getvalue()


@cache
def busybox_archive() -> bytes:
    """The file system of ``BUSYBOX`` as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        _add_base(out)
    return buffer.getvalue()


@cache
def bash_archive() -> bytes:
    """The file system of ``BASH`` as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        _add_base(out)
        _add_program(out, "bash", seen=set())
        for terminal in _TERMINALS:
            for folder in ("/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo"):
                path = Path(folder, terminal[0], terminal)
                if path.is_file():
                    _add(out, f"/lib/terminfo/{terminal[0]}/{terminal}", path.read_bytes(), 0o644)
                    break
    return buffer.getvalue()


def _add_base(out: tarfile.TarFile) -> None:
    for folder, mode in (("tmp", 0o1777), ("root", 0o700), ("etc", 0o755), ("proc", 0o755), ("dev", 0o755)):
        member = tarfile.TarInfo(folder)
        member.type, member.mode = tarfile.DIRTYPE, mode
        out.addfile(member)
    _add(out, "/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644)
    _add(out, "/etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)
    _add_program(out, "busybox", seen=set())
    applets = subprocess.run([_program("busybox"), "--list"], capture_output=True, text=True, check=True).stdout
    for applet in applets.split():
        if applet not in ("busybox", "bash"):
            member = tarfile.TarInfo(f"bin/{applet}")
            member.type, member.linkname = tarfile.SYMTYPE, "/bin/busybox"
            out.addfile(member)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise RuntimeError(f"the test images need {name} on this machine (Debian: busybox-static, bash)")
    return path


def _add_program(out: tarfile.TarFile, name: str, seen: set[str]) -> None:
    """Adds /bin/NAME and, where it is not static, the libraries that ldd names, at their own paths."""
    path = _program(name)
    _add(out, f"/bin/{name}", Path(path).read_bytes())
    _add_libraries(out, Path(path), seen)


def _add_libraries(out: tarfile.TarFile, path: Path, seen: set[str]) -> None:
    listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(?:=>\s*)?(/\S+)\s+\(0x", listed):
        if library not in seen:
            seen.add(library)
            _add(out, library, Path(library).read_bytes())


def _add(out: tarfile.TarFile, path: str, data: bytes, mode: int = 0o755) -> None:
    member = tarfile.TarInfo(path.lstrip("/"))
    member.size, member.mode = len(data), mode
    out.addfile(member, io.BytesIO(data))
