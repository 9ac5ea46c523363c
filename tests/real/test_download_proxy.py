"""The program's own download in a company: the registry behind TLS of the company's authority, reached only through a
proxy that wants a password.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import nvidia as servers
from tests.support.engine import PrivateEngine
from tests.support.nvidia import LAYERS, Nvidia, Proxy
from tests.support.registry import NgcLike

pytestmark = pytest.mark.real

PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))
REGISTRY = "registry.example"
USER, PASSWORD = "mei", "sw0rdf1sh-4711"
MB = 1_000_000


@dataclass
class Company:
    """What its network has. ``pull`` runs the program there; ``authority`` is the file that vouches for its servers."""

    engine: PrivateEngine
    nvidia: Nvidia
    proxy: Proxy
    home: Path

    def pull(
        self, image: str, *words: str, password: str = PASSWORD, authority: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        environ = {name: text for name, text in self.engine.environ.items() if not name.upper().endswith("_PROXY")}
        environ |= {
            "HTTPS_PROXY": f"http://{USER}:{password}@{self.proxy.address}",
            "REQUESTS_CA_BUNDLE": str(authority or self.nvidia.authority),
        }
        command = [PROGRAM, "pull", image, "--via", "download", "--yes", *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)

    def leaks(self, said: subprocess.CompletedProcess[str]) -> list[str]:
        """Where the password is that was sent to the proxy."""
        secrets = [PASSWORD.encode(), base64.b64encode(f"{USER}:{PASSWORD}".encode())]
        texts = {"output": said.stdout.encode(), "narration": said.stderr.encode()}
        texts |= {str(path): path.read_bytes() for path in self.home.rglob("*") if path.is_file()}
        assert any(name.endswith("log") for name in texts), "the log was looked at, too"
        return [name for name, text in texts.items() if any(secret in text for secret in secrets)]


@pytest.fixture
def company(engine: PrivateEngine, ngc: NgcLike, own_environment: Path, tmp_path: Path) -> Iterator[Company]:
    ngc.realm(f"https://{REGISTRY}/proxy_auth")
    folder = tmp_path / "servers"
    folder.mkdir()
    with servers.running(ngc, folder, names=(REGISTRY, LAYERS)) as nvidia:
        proxy = Proxy(nvidia.port, f"{USER}:{PASSWORD}")
        yield Company(engine, nvidia, proxy, own_environment)
        proxy.close()


def test_everything_comes_through_the_proxy_and_is_vouched_for_by_the_company(company: Company, ngc: NgcLike) -> None:
    pushed = ngc.push("company/image", layers=[2 * MB, 300_000])
    image = pushed.image.replace(ngc.host, REGISTRY)
    done = company.pull(image, "--log-file", str(company.home / "full.log"))
    assert (done.returncode, done.stdout) == (0, f"[ok]    {image} is here now.\n"), done.stderr

    asked = [head.splitlines()[0] for head in company.proxy.asked]
    assert {line.split()[1] for line in asked} == {f"{REGISTRY}:443", f"{LAYERS}:443"}
    assert {line.split()[0] for line in asked} == {"CONNECT"}
    layers = {path.rpartition("/")[2] for _method, host, path, _key in company.nvidia.seen if host == LAYERS}
    assert {blob.digest for blob in pushed.layers} <= layers
    client = company.engine.client()
    try:
        (arrived,) = client.images(image)
        assert arrived["Id"] == pushed.config.digest
        client.remove_image(image)
    finally:
        client.close()
    assert company.leaks(done) == []


def test_a_certificate_of_somebody_else_is_told(company: Company, ngc: NgcLike, tmp_path: Path) -> None:
    image = ngc.push("company/other").image.replace(ngc.host, REGISTRY)
    other, _chain = servers.certificates(tmp_path, (REGISTRY,))
    done = company.pull(image, "--log-file", str(company.home / "full.log"), authority=other)
    assert done.returncode == 5
    assert f"The certificate of {REGISTRY} was not accepted, so the connection is not safe." in done.stderr
    assert company.nvidia.seen == [], "nothing was asked of whom nobody vouches for"
    assert company.leaks(done) == []


def test_a_proxy_that_refuses_the_password_is_told(company: Company, ngc: NgcLike) -> None:
    image = ngc.push("company/refused").image.replace(ngc.host, REGISTRY)
    done = company.pull(image, "--log-file", str(company.home / "full.log"), password=PASSWORD[::-1])
    assert done.returncode == 5
    assert f"The proxy {company.proxy.address} does not answer well." in done.stderr
    assert PASSWORD[::-1] not in done.stdout + done.stderr
    assert company.leaks(done) == []
