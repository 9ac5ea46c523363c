"""Newer Docker Engines beside the one that is installed: other suites' packages, unpacked, never installed.

The packages come through apt, from the mirror that this machine uses for Debian, with lists in a folder of their own.
Their dockerd, containerd and shim are static and run here; ``runc`` is the installed one: theirs wants a newer C
library.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images
from tests.support.engine import CannotStart, PrivateEngine, not_here, start

INSTALLED = "installed"
SUITES = ("trixie", "testing")
"""26.1 and 28.5 when this was written."""
CONTAINERD_STORE = {"features": {"containerd-snapshotter": True}}
"""for ``engine.start``; the installed engine may be too old for it, and ignores it then"""

_PACKAGES = ("docker.io", "containerd")
_SIGNED_BY = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SECONDS = 180


def fetch(suite: str, folder: Path) -> str:
    """Unpacks the engine of a Debian suite into ``folder``; the folders to put before ``PATH``.

    Raises ``CannotStart`` where apt cannot get it.
    """
    sources, debs, root = folder / "sources", folder / "debs", folder / "root"
    for place in (sources, debs, root, folder / "lists" / "partial", folder / "cache" / "archives" / "partial"):
        place.mkdir(parents=True)
    (sources / "suite.sources").write_text(
        f"Types: deb\nURIs: {_mirror()}\nSuites: {suite}\nComponents: main\nSigned-By: {_SIGNED_BY}\n"
    )
    own = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": str(sources),
        "Dir::Etc::preferencesparts": str(folder / "none"),
        "Dir::State::lists": str(folder / "lists"),
        "Dir::Cache": str(folder / "cache"),
        "APT::Sandbox::User": "root",  # the folder is root's alone
    }
    options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
    for command in (["update", "-q"], ["download", "-q", *_PACKAGES]):
        done = subprocess.run(
            ["apt-get", *options, *command], cwd=debs, capture_output=True, text=True, timeout=_SECONDS
        )
        if done.returncode != 0:
            raise CannotStart(f"apt cannot get the engine of {suite}:\n{done.stdout[-500:]}{done.stderr[-1000:]}")
    for package in debs.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, root], check=True)
    return f"{root}/usr/sbin{os.pathsep}{root}/usr/bin"


def _mirror() -> str:
    """The address from which this machine gets Debian itself."""
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for place in places:
        text = place.read_text(errors="replace") if place.is_file() else ""
        found = re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?)\s+(\S+/debian/?)(?:\s|$)", text, re.MULTILINE)
        if found:
            return found[1]
    raise CannotStart("this machine's apt sources name no Debian mirror")


@pytest.fixture(scope="session")
def containerd_engine() -> Iterator[PrivateEngine]:
    """The newest engine, with the containerd image store."""
    folder = Path(tempfile.mkdtemp(prefix="s2s-engine-"))
    try:
        try:
            if os.geteuid() != 0:
                raise CannotStart("only root can start dockerd")
            private = start(CONTAINERD_STORE, path=fetch(SUITES[-1], folder))
        except CannotStart as error:
            not_here(error)
        try:
            yield private
        finally:
            private.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["graph driver", "containerd store"])
def any_engine(request: pytest.FixtureRequest) -> PrivateEngine:
    """An engine with each kind of image store."""
    name = "engine" if request.param == "graph driver" else "containerd_engine"
    found: PrivateEngine = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session", params=[INSTALLED, *SUITES])
def engine_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """For ``engine.start(path=…)``: where each version's programs lie; "" for the installed one."""
    if request.param == INSTALLED:
        yield ""
        return
    folder = Path(tempfile.mkdtemp(prefix="s2s-engine-"))
    try:
        try:
            if os.geteuid() != 0:
                raise CannotStart("only root can start dockerd")
            path = fetch(request.param, folder)
        except CannotStart as error:
            not_here(error)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def versioned_engine(engine_path: str) -> Iterator[PrivateEngine]:
    """One running engine of each version, with the images of ``tests.support.images``."""
    try:
        private = start(path=engine_path)
    except CannotStart as error:
        not_here(error)
    try:
        images.load(private.url)
        yield private
    finally:
        private.stop()
