"""The image of a lab host: made with debootstrap from this machine's own Debian mirror, in about a minute.

``S2S_LAB_CACHE`` may name a folder where its files are kept for the next run.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from docker.api.client import APIClient
from packaging.requirements import Requirement

SUITE, PYTHON = "bookworm", (3, 11)
APT = "/opt/lab/apt"
"""The local repository in a lab host: packages of Debian and stand-ins for NVIDIA's."""
TOOLKIT = "1.17.8-1"
"""The version of NVIDIA's stand-ins."""

_FILES = Path(__file__).with_name("lab_files")
_REPOSITORY = Path(__file__).parents[2]
_PACKAGES = (
    *("systemd", "systemd-sysv", "libpam-systemd", "dbus", "sudo", "python3", "procps", "iproute2"),
    *("docker.io", "iptables", "busybox-static", "ca-certificates", "curl", "gpg", "gpg-agent"),
)
_KEPT = re.compile(
    r"^(docker\.io|containerd|runc|tini|iptables|lib(ip4tc|ip6tc|xtables|nfnetlink|nftnl|netfilter)\S*)_"
)
"""The package files that a lab host keeps, so that Docker can be removed and installed again there."""
_USERS = ("sudopw", "sudofree", "plainuser", "indocker")
# The container sees the real machine's /sys, /proc/sys and consoles: nobody in it may touch them.
_MASKED = (
    *("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"),
    *("systemd-udev-trigger.service", "systemd-sysctl.service", "systemd-modules-load.service"),
    *("kmod-static-nodes.service", "systemd-pstore.service", "systemd-rfkill.socket"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount"),
    *("sys-fs-fuse-connections.mount", "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount"),
    *("getty@.service", "serial-getty@.service", "console-getty.service", "container-getty@.service"),
    *("getty-static.service", "dev-hugepages.mount", "apt-daily.timer", "apt-daily-upgrade.timer"),
    *("dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAME = "s2s-lab:1"
"""The image."""

_BASE = "s2s-lab-base:1"


class CannotBuild(Exception):
    """No lab host can be made on this machine; the text says why."""


def require() -> None:
    """Raises ``CannotBuild`` where something is missing."""
    if os.geteuid() != 0:
        raise CannotBuild("only root can build a lab host")
    if platform.machine() != "x86_64":
        raise CannotBuild("lab hosts are built for x86_64 only")
    for program, package in (("debootstrap", "debootstrap"), ("dpkg-deb", "dpkg")):
        if shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin") is None:
            raise CannotBuild(f"there is no {program} on this machine (Debian: apt install {package})")


def make(client: APIClient) -> None:
    """Makes the image of a lab host: the base, which may be kept from an earlier run, and today's program on it."""
    folder = os.environ.get("S2S_LAB_CACHE")
    with tempfile.TemporaryDirectory(prefix="s2s-lab-") as scratch:
        archive = Path(folder or scratch, f"lab-{_fingerprint()}.tar")
        if not archive.is_file():
            archive.parent.mkdir(parents=True, exist_ok=True)
            _build(Path(scratch, "root"), archive)
        with archive.open("rb") as stream:
            client.import_image(src=stream, repository=_BASE.partition(":")[0], tag=_BASE.partition(":")[2])
    compile_ = ["python3", "-m", "compileall", "-q", "/opt/s2s-wizard/program"]
    made = client.create_container(_BASE, compile_, host_config=client.create_host_config(network_mode="none"))
    try:
        client.put_archive(made["Id"], "/", _program())
        client.start(made["Id"])
        client.wait(made["Id"])
        client.commit(made["Id"], repository=NAME.partition(":")[0], tag=NAME.partition(":")[2])
    finally:
        client.remove_container(made["Id"], force=True)


def _fingerprint() -> str:
    """What the base image is made from, as a short name."""
    known = [Path(__file__).read_bytes(), *(path.read_bytes() for path in sorted(_FILES.iterdir()))]
    known += [f"{name}=={version}".encode() for name, version in sorted(_libraries().items())]
    return hashlib.sha256(b"\0".join(known)).hexdigest()[:16]


def _build(root: Path, archive: Path) -> None:
    mirror = _mirror()
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", SUITE, str(root), mirror]
    log = _run(command, environ=_proxies())
    if not (root / "usr/bin/dockerd").exists() and not (root / "usr/sbin/dockerd").exists():
        raise CannotBuild(f"debootstrap did not finish with {mirror}:\n{log[-2000:]}")
    _users(root)
    _units(root)
    for name, place in (("lab-init", "sbin"), ("runc-front", "usr/local/sbin"), ("s2s-wizard", "usr/local/bin")):
        target = root / place / ("runc" if name == "runc-front" else name)
        shutil.copy(_FILES / name, target)
        target.chmod(0o755)
    _helpers(root)
    _repository(root)
    _install_libraries(root / "opt/s2s-wizard/libraries")
    _run(["chroot", str(root), "python3", "-m", "compileall", "-q", "/opt/s2s-wizard/libraries"], fail=False)
    part = archive.with_suffix(".part")
    _run(["tar", "-C", str(root), "--numeric-owner", "--one-file-system", "-cf", str(part), "."])
    part.rename(archive)


def _users(root: Path) -> None:
    for user in _USERS:
        _run(["chroot", str(root), "useradd", "-m", "-s", "/bin/bash", user])
    passwords = "".join(f"{user}:{user}\n" for user in _USERS)
    _run(["chroot", str(root), "chpasswd"], said=passwords)
    for user, group in (("sudopw", "sudo"), ("sudofree", "sudo"), ("indocker", "docker")):
        _run(["chroot", str(root), "usermod", "-aG", group, user])
    rule = root / "etc/sudoers.d/sudofree"
    rule.write_text("sudofree ALL=(ALL:ALL) NOPASSWD: ALL\n")
    rule.chmod(0o440)


def _units(root: Path) -> None:
    for unit in _MASKED:
        (root / "etc/systemd/system" / unit).unlink(missing_ok=True)
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (root / "etc/systemd/system/default.target").unlink(missing_ok=True)
    (root / "etc/systemd/system/default.target").symlink_to("/lib/systemd/system/multi-user.target")
    (root / "etc/fstab").write_text("")
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/environment").write_text(f"PATH={PATH}\n")


def _helpers(root: Path) -> None:
    folder = root / "opt/lab"
    folder.mkdir(parents=True)
    shutil.copy(_FILES / "snapshot", folder / "snapshot")
    (folder / "snapshot").chmod(0o755)
    busybox = (root / "bin/busybox").read_bytes()
    applets = _run(["chroot", str(root), "busybox", "--list"]).split()
    with tarfile.open(folder / "tiny.tar", "w") as out:
        _add(out, "bin/busybox", busybox, 0o755)
        _add(out, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        for applet in applets:
            if applet != "busybox":
                member = tarfile.TarInfo(f"bin/{applet}")
                member.type, member.linkname = tarfile.SYMTYPE, "/bin/busybox"
                out.addfile(member)


def _repository(root: Path) -> None:
    """The local repository, and NVIDIA's stand-ins installed from it."""
    folder = root / APT.lstrip("/")
    folder.mkdir(parents=True)
    archives = root / "var/cache/apt/archives"
    for file in archives.glob("*.deb"):
        if _KEPT.match(file.name):
            shutil.copy(file, folder / file.name.replace("%3a", ":").replace(":", "."))
        file.unlink()
    tools = {f"/usr/bin/{name}": (_FILES / name).read_bytes() for name in ("nvidia-container-cli",)}
    base = {f"/usr/bin/{name}": (_FILES / name).read_bytes() for name in ("nvidia-container-runtime", "nvidia-ctk")}
    config = {"/etc/nvidia-container-runtime/config.toml": (_FILES / "config.toml").read_bytes()}
    hook = {"/usr/bin/nvidia-container-runtime-hook": (_FILES / "nvidia-container-runtime-hook").read_bytes()}
    make_package(folder, "libnvidia-container1", TOOLKIT, {})
    make_package(folder, "libnvidia-container-tools", TOOLKIT, tools, f"libnvidia-container1 (= {TOOLKIT})")
    make_package(folder, "nvidia-container-toolkit-base", TOOLKIT, {**base, **config})
    needs = f"nvidia-container-toolkit-base (= {TOOLKIT}), libnvidia-container-tools (= {TOOLKIT})"
    make_package(folder, "nvidia-container-toolkit", TOOLKIT, hook, needs)
    make_package(folder, "nvidia-docker2", "2.14.0-1", {}, "nvidia-container-toolkit")
    write_index(folder)
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{APT} ./\n")
    _run(["chroot", str(root), "apt-get", "update", "-q"])
    _run(["chroot", str(root), "apt-get", "install", "-qy", "nvidia-container-toolkit"])


def make_package(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    depends: str = "",
    scripts: Mapping[str, str] = {},
) -> Path:
    """Makes a Debian package of these files (path -> content; those in a bin folder can be run) in ``folder``.

    ``scripts`` are its maintainer scripts (``postinst`` …).
    """
    with tempfile.TemporaryDirectory(prefix="s2s-deb-") as scratch:
        tree = Path(scratch)
        tree.chmod(0o755)
        control = [
            f"Package: {name}",
            f"Version: {version}",
            "Architecture: amd64",
            "Maintainer: tests <tests@localhost>",
        ]
        control += [f"Depends: {depends}"] if depends else []
        control += ["Section: utils", "Priority: optional", f"Description: stand-in for {name} in tests"]
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text("\n".join(control) + "\n")
        settings = [path for path in files if path.startswith("/etc/")]
        if settings:
            (tree / "DEBIAN/conffiles").write_text("\n".join(settings) + "\n")
        for script, text in scripts.items():
            (tree / "DEBIAN" / script).write_text(text)
            (tree / "DEBIAN" / script).chmod(0o755)
        for path, data in files.items():
            target = tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(0o755 if "bin/" in path else 0o644)
        made = folder / f"{name}_{version}_amd64.deb"
        _run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(made)])
    return made


def write_index(folder: Path) -> None:
    """Writes the file ``Packages`` of a flat repository."""
    entries: list[str] = []
    for file in sorted(folder.glob("*.deb")):
        data = file.read_bytes()
        control = _run(["dpkg-deb", "-f", str(file)]).strip()
        entries.append(
            f"{control}\nFilename: ./{file.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
    (folder / "Packages").write_text("\n".join(entries))


def _add(out: tarfile.TarFile, path: str, data: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(path)
    member.size, member.mode = len(data), mode
    out.addfile(member, io.BytesIO(data))


def _program() -> bytes:
    """Today's program as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for package in ("wizard", "screens"):
            for path in sorted((_REPOSITORY / package).rglob("*")):
                if path.is_file() and not path.name.endswith(".pyc"):
                    _add(out, f"opt/s2s-wizard/program/{path.relative_to(_REPOSITORY)}", path.read_bytes())
    return buffer.getvalue()


@functools.cache
def _libraries() -> dict[str, str]:
    """What the program needs at run time in a lab host: name -> the version that is installed here, "" where there is
    none.
    """
    found: dict[str, str] = {}
    marks = {"python_version": "3.11", "python_full_version": "3.11.2", "extra": ""}
    waiting = [Requirement(line) for line in importlib.metadata.requires("s2s-wizard") or ()]
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-")
        if name in found or (wanted.marker is not None and not wanted.marker.evaluate(marks)):
            continue
        try:
            distribution = importlib.metadata.distribution(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
            continue
        found[name] = distribution.version
        waiting += [Requirement(line) for line in distribution.requires or ()]
    return found


def _install_libraries(target: Path) -> None:
    """Copies them from the Python that runs the tests where it is the lab's version, and lets pip fetch them if not."""
    target.mkdir(parents=True)
    if sys.version_info[:2] == PYTHON:
        for name in _libraries():
            for file in importlib.metadata.distribution(name).files or ():
                source = Path(str(file.locate()))
                if ".." not in file.parts and source.is_file() and source.suffix != ".pyc":
                    place = target.joinpath(*file.parts)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, place)
        return
    version = ".".join(map(str, PYTHON))
    argv = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "--python-version", version]
    lock = ["-c", str(_REPOSITORY / "requirements.lock")] if (_REPOSITORY / "requirements.lock").is_file() else []
    wanted = [line for line in importlib.metadata.requires("s2s-wizard") or () if "extra ==" not in line]
    # Marks are judged by the Python that runs pip; the lab's own needs are named.
    own = ["importlib-metadata", "backports-tarfile"]
    _run([*argv, "--only-binary=:all:", *lock, *(line.partition(";")[0] for line in wanted), *own])


def _mirror() -> str:
    """The Debian mirror of this machine, from its lists of package sources (both formats)."""
    folder = Path("/etc/apt")
    uris: list[str] = []
    for file in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]:
        if not file.is_file() or file.suffix not in (".list", ".sources"):
            continue
        for line in file.read_text(errors="replace").splitlines():
            if match := re.match(r"URIs:\s*(.+)|deb\s+(?:\[[^]]*\]\s+)?(\S+)", line):
                uris += (match.group(1) or match.group(2)).split()
    for uri in uris:
        if re.match(r"(https?|file|ftp)://?.*/debian/?$", uri):
            return uri
    raise CannotBuild("the package sources of this machine name no Debian mirror")


def _proxies() -> dict[str, str]:
    """This environment, with apt's own proxy for programs that ask the environment."""
    environ = dict(os.environ)
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
        for scheme, proxy in re.findall(r'^Acquire::(https?)::Proxy "([^"]+)";', said, re.MULTILINE):
            if proxy != "DIRECT":
                environ.setdefault(f"{scheme}_proxy", proxy)
    return environ


def _run(argv: Sequence[str], *, environ: Mapping[str, str] | None = None, said: str = "", fail: bool = True) -> str:
    """Runs a program of this machine; both its outputs."""
    clean = {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    done = subprocess.run(
        argv,
        input=said,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        env={**(environ or os.environ), **clean, "PATH": path},
    )
    if fail and done.returncode != 0:
        raise CannotBuild(f"{shlex.join(argv)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout
