"""What is said about a settings file, against what real engines of three versions do with it when they start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.engine import CannotStart, not_here, start
from wizard.model import daemon_rules
from wizard.model.daemon_keys import Version
from wizard.model.daemon_rules import Weight

pytestmark = pytest.mark.real

FINE = """{
  "builder": {"gc": {"enabled": true}}, "data-root-is-a-flag": {}, "debug": false, "default-shm-size": "64M",
  "dns": ["1.1.1.1"], "exec-opts": ["native.cgroupdriver=cgroupfs"], "features": {"cdi": true}, "host": "x",
  "labels": ["a=b"], "live-restore": null, "log-opts": {"max-file": "3"}, "mtu": 1500, "runtimes": {"a": {"path": "/x",
  "args": [], "anything": 1}}, "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 9, "Soft": 9}},
  "registry-mirrors": ["https://mirror.example"], "default-runtime": "io.containerd.runc.v2"
}"""

FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "fine": (FINE, ()),
    "empty": ("", ()),
    "byte order mark": ("\ufeff{}", ()),
    "null": ("null", ()),
    "comma too many": ('{"debug": true,}', ()),
    "comma missing": ('{"debug": true\n "ipv6": false}', ()),
    "comment": ('{\n// x\n"debug": true}', ()),
    "single quotes": ("{'debug': true}", ()),
    "cut off": ('{"debug": true', ()),
    "something after the end": ("{} x", ()),
    "a list": ("[]", ()),
    "a key twice": ('{"debug": true, "debug": false}', ()),
    "unknown key": ('{"debgu": true}', ()),
    "another case": ('{"Debug": true}', ()),
    "unknown, empty braces": ('{"runtimess": {}}', ()),
    "unknown inside braces": ('{"runtimess": {"nvidia": {}}}', ()),
    "known inside unknown": ('{"anything": {"debug": false}}', ()),
    "graph": ('{"graph": "/nowhere-at-all"}', ("--storage-driver=vfs",)),
    "proxies": ('{"proxies": {"http-proxy": "http://proxy.example:3128"}}', ()),
    "came with 25": ('{"cdi-spec-dirs": ["/etc/cdi"]}', ()),
    "came with 28": ('{"host-gateway-ips": ["10.1.2.3"]}', ()),
    "gone with 26": ('{"oom-score-adjust": -500}', ()),
    "gone with 28": ('{"api-cors-header": "*"}', ()),
    "quoted switch": ('{"debug": "true"}', ()),
    "quoted number": ('{"mtu": "1500"}', ()),
    "fraction": ('{"mtu": 1500.0}', ()),
    "number in log-opts": ('{"log-opts": {"max-file": 3}}', ()),
    "text for a list": ('{"dns": "1.1.1.1"}', ()),
    "quoted feature": ('{"features": {"cdi": "true"}}', ()),
    "size as a number": ('{"default-shm-size": 64}', ()),
    "nothing set": ('{"runtimes": null, "dns": null, "debug": null, "features": null}', ()),
    "runtimes as text": ('{"runtimes": "nvidia"}', ()),
    "arguments as text": ('{"runtimes": {"a": {"path": "/x", "runtimeArgs": "-d"}}}', ()),
    "runtime without a path": ('{"runtimes": {"a": {}}}', ()),
    "a runtime named runc": ('{"runtimes": {"runc": {"path": "/x"}}}', ()),
    "default without entry": ('{"default-runtime": "nvidia"}', ()),
    "default from a flag": ('{"default-runtime": "nvidia"}', ("--add-runtime=nvidia=/x",)),
    "cgroup driver": ('{"exec-opts": ["native.cgroupdriver=foo"]}', ()),
    "word in exec-opts": ('{"exec-opts": ["foo=bar"]}', ()),
    "mirror": ('{"registry-mirrors": ["mirror.example"]}', ()),
    "log level": ('{"log-level": "loud"}', ()),
    "name server": ('{"dns": ["dns.example"]}', ()),
    "label": ('{"labels": ["x"]}', ()),
    "negative": ('{"max-concurrent-downloads": -1}', ()),
    "runtimes twice": ('{"runtimes": {"nvidia": {"path": "/x"}}}', ("--add-runtime=nvidia=/y",)),
    "default twice": ('{"default-runtime": "runc"}', ("--default-runtime=runc",)),
    "hosts twice": ('{"hosts": ["unix:///run/x.sock"]}', ()),
    "list twice": ('{"labels": ["a=b"]}', ("--label", "a=b")),
    "short flag": ('{"debug": true}', ("-D",)),
    "log-opts twice": ('{"log-opts": {"max-size": "1m"}}', ("--log-opt", "max-size=2m")),
}


@pytest.fixture(scope="module")
def version(engine_path: str) -> Version:
    """The version of the engine that is tried."""
    path = os.pathsep.join(filter(None, (engine_path, os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    program = shutil.which("dockerd", path=path)
    if program is None:
        not_here(CannotStart("there is no dockerd on this machine (Debian: apt install docker.io)"))
    found = daemon_rules.version_of(subprocess.run([program, "--version"], capture_output=True, text=True).stdout)
    assert found is not None
    return found


def test_a_file_that_is_said_to_stop_docker_stops_it_and_no_other(engine_path: str, version: Version) -> None:
    """Every file is given to a real engine. Those that are said to be fine are put together first: one start proves
    them all.
    """
    try:
        start("{}", path=engine_path).stop()
    except CannotStart as error:
        not_here(error)
    fine, together, alone = _sorted_by_prediction(version)
    wrong: list[str] = []
    if _refusal(json.dumps(together), (), engine_path):
        alone = list(FILES)
    with ThreadPoolExecutor(6) as pool:  # an engine that is about to give up mostly waits
        answers = list(pool.map(lambda name: _refusal(*FILES[name], engine_path), alone))
    for name, said in zip(alone, answers, strict=True):
        if bool(said) is (name in fine):
            wrong.append(f"{name}: said to {'be fine' if name in fine else 'stop it'}; the engine: {said or 'runs'}")
    assert wrong == []


def _sorted_by_prediction(version: Version) -> tuple[set[str], dict[str, Any], list[str]]:
    """The files that are said to be fine, the settings of those among them that can be put into one file, and the names
    of all the others.
    """
    fine: set[str] = set()
    together: dict[str, Any] = {}
    alone: list[str] = []
    for name, (text, options) in FILES.items():
        argv = ("dockerd", "--host", "unix:///x", "--config-file", "x", "--iptables=false", "--bridge=none", *options)
        verdict = daemon_rules.judge(text.encode(), version, argv)
        assert Weight.MAY_STOP not in [flaw.weight for flaw in verdict.flaws], name
        if verdict.stops:
            assert verdict.causes, name
        else:
            fine.add(name)
        settings = verdict.settings or {}
        plain = not verdict.stops and not options and text.startswith("{") and text.endswith("}")
        if plain and text.count('"debug"') < 2 and not together.keys() & settings.keys():
            together.update(settings)
        else:
            alone.append(name)
    return fine, together, alone


def _refusal(text: str, options: tuple[str, ...], path: str) -> str:
    """The last words of an engine that does not start; "" for one that does."""
    try:
        engine = start(text, *options, path=path)
    except CannotStart as error:
        return str(error).splitlines()[-1]
    engine.stop()
    return ""
