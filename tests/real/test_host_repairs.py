"""What Docker keeps, and the proxy that it goes through: on real engines, and on a real systemd host."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator

import pytest

from tests.support import images
from tests.support.engine import CannotStart, PrivateEngine, start
from tests.support.lab import LabHost
from tests.support.registry import NgcLike
from wizard.host import real
from wizard.host.ports import Host
from wizard.host.registry import NgcRegistry
from wizard.model import daemon_json
from wizard.model.fix import RunCommand
from wizard.model.proxy import address
from wizard.services import repairs
from wizard.services.checks import disk_space
from wizard.services.fixes import set_daemon_proxy

pytestmark = pytest.mark.real

SECRET = "http://me:sword%20fish@proxy.example:3128"
DROP_IN = "/etc/systemd/system/docker.service.d/http-proxy.conf"
Engines = Callable[..., PrivateEngine]


@pytest.fixture
def host(versioned_engine: PrivateEngine) -> Iterator[Host]:
    made = real.build(versioned_engine.environ)
    yield made
    made.engine.close()
    versioned_engine.remove_containers()


def test_what_nobody_misses_is_removed_and_nothing_else(versioned_engine: PrivateEngine, host: Host) -> None:
    """A nameless image goes; one that a stopped container is made of stays, and so does every name."""
    client = versioned_engine.client()
    nameless = []
    for words in ("one", "two"):
        made = client.create_container(images.BUSYBOX, ["sh", "-c", f"echo {words} >/{words}"])["Id"]
        client.start(made)
        client.wait(made)
        nameless.append(client.commit(made)["Id"])
        client.remove_container(made)
    used = client.create_container(nameless[1], ["true"], name="keeps-it")["Id"]

    usage = host.engine.disk_usage()
    kept = {image.id: (image.tags, image.in_use) for image in usage.images}
    assert (kept[nameless[0]], kept[nameless[1]]) == (((), False), ((), True))
    assert [(item.name, item.running) for item in usage.containers if item.id == used] == [("keeps-it", False)]
    assert disk_space.safe(usage) > 0

    fix = repairs.plan(host, "free-disk-space")
    assert fix is not None
    for action in fix.actions:
        assert isinstance(action, RunCommand)
        result = host.commands.run(action.argv, timeout=action.timeout)
        assert result.returncode == 0, result.stderr
    left = {image.id for image in host.engine.disk_usage().images}
    assert nameless[0] not in left
    assert nameless[1] in left
    assert {image.id for image in usage.images if image.tags} <= left
    client.remove_container(used)
    client.remove_image(nameless[1])


def test_docker_tells_its_proxy_and_masks_the_password(fresh_engine: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the variables of its process, as systemd gives them."""
    monkeypatch.setenv("HTTPS_PROXY", SECRET)
    monkeypatch.setenv("NO_PROXY", "localhost,.example")
    private = fresh_engine()
    made = real.build({**private.environ, "HTTPS_PROXY": SECRET})
    info = made.engine.info()
    assert address(info.https_proxy) == "proxy.example:3128"
    assert "sword" not in info.https_proxy
    assert info.no_proxy == "localhost,.example"
    assert repairs.plan(made, "set-daemon-proxy") is None
    made.engine.close()


def test_which_engines_take_a_proxy_in_their_file(versioned_engine: PrivateEngine, engine_path: str) -> None:
    """The rule by which the plan chooses the file: an older engine would not start with that key."""
    info = real.build(versioned_engine.environ).engine.info()
    config = daemon_json.with_text(b'{"debug": true}\n', ("proxies", "https-proxy"), SECRET).decode()
    if not set_daemon_proxy.in_file(info):
        with pytest.raises(CannotStart, match=r"directives don.t match any configuration option: https-proxy"):
            start(config, path=engine_path)
        return
    private = start(config, path=engine_path)
    try:
        told = real.build(private.environ).engine.info()
        assert address(told.https_proxy) == "proxy.example:3128"
        assert "sword" not in told.https_proxy
    finally:
        private.stop()


def test_a_real_registry_is_known_by_its_front_door(ngc: NgcLike) -> None:
    reached = NgcRegistry().reach(ngc.host)
    assert (reached.status, reached.is_registry) == (401, True)
    assert not ngc.saw_the_key


def test_the_proxy_on_a_host_with_systemd_and_back(lab_host: LabHost) -> None:
    """Docker 20.10 does not know the key "proxies": a file of systemd, a restart, and both taken back."""
    shell = {"HTTPS_PROXY": SECRET, "NO_PROXY": "localhost"}
    before = lab_host.snapshot("/etc/systemd/system", "/etc/docker")
    dry = lab_host.wizard("fix", "set-daemon-proxy", "--dry-run", env=shell)
    assert "fish" not in dry.said
    assert "http-proxy.conf" in dry.said

    done = lab_host.fix("set-daemon-proxy", env=shell)
    assert done.returncode == 0, done.said
    assert "fish" not in done.said
    told = json.loads(lab_host.sh("docker info --format '{{json .}}'"))
    assert address(told["HttpsProxy"]) == "proxy.example:3128"
    assert told["NoProxy"] == "localhost"
    assert "sword%20fish" in lab_host.sh("systemctl show docker --property=Environment"), "the percent sign is kept"
    assert lab_host.sh(f"stat -c %a {DROP_IN}") == "600"

    assert lab_host.undo().returncode == 0
    after = lab_host.snapshot("/etc/systemd/system", "/etc/docker")
    assert after.pop(posixpath.dirname(DROP_IN))["mode"] == "0o40755", "only the empty folder is left"
    assert after == before
    assert json.loads(lab_host.sh("docker info --format '{{json .}}'"))["HttpsProxy"] == ""
