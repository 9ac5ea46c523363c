"""Broken machines, broken for real on a systemd host: found by the check-up, repaired, proved without the wizard, and
brought back byte for byte.

Texts and numbers of the states are those of Debian 12 with docker.io 20.10.24 and systemd 252.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.lab import LabHost, Result

pytestmark = pytest.mark.real

PLACES = (
    *("/etc/docker", "/etc/systemd/system", "/etc/default", "/etc/apt", "/etc/nvidia-container-runtime", "/etc/cdi"),
    *("/lib/systemd/system/docker.service", "/lib/systemd/system/docker.socket", "/etc/group", "/etc/gshadow"),
)
"""What a repair may touch, and what has to be as before after an undo."""

RUNS = "docker run --rm --runtime=nvidia tiny:1 true && test -s /run/nvidia-container-runtime.calls"
"""The runtime is known, and it is really the one that is called."""
IS_UP = "systemctl is-active docker docker.socket && docker ps"
STARTS_AGAIN = "{ systemctl reset-failed docker docker.socket; systemctl restart docker && docker ps; }"
"""For a machine that runs but would not come back: the proof is a restart."""
RESTART_FAILS = (
    "! systemctl restart docker; for i in $(seq 100); do systemctl is-failed -q docker && break; sleep 0.2; done; "
    "systemctl is-failed docker >/dev/null"
)
"""systemd tries it three times, then it gives up."""
REFUSED = "! systemctl restart docker"
"""systemd does not even try."""
FILE = "/etc/docker/daemon.json"
FOLDER = "/etc/systemd/system/docker.service.d"


@dataclass(frozen=True)
class State:
    """One broken machine.

    ``make`` breaks it (a shell's command line, as root). ``check`` is the one that has to see it, with this ``status``
    and these ``causes``. ``fixes`` are offered by it and made, in this order; ``and_then`` are made as well, and
    ``by_name`` without being offered. ``final`` says that there is nothing to take back afterwards. ``proof``
    succeeds afterwards, and fails before where ``fails`` says so. Where no repair is to be offered, because only a
    person can decide, ``says`` is a pattern of what has to be told. ``environ`` is the wizard's.
    """

    name: str
    make: str
    check: str
    status: str = "error"
    causes: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    and_then: tuple[str, ...] = ()
    by_name: tuple[str, ...] = ()
    final: bool = False
    proof: str = IS_UP
    fails: bool = True
    says: str = ""
    environ: dict[str, str] = field(default_factory=dict)


def file(text: str, *, restart: bool = True) -> str:
    """Writes daemon.json; the restart that then fails leaves the service and its socket failed."""
    return f"printf '%s' '{text}' >{FILE}; {RESTART_FAILS if restart else 'true'}"


def override(text: str, then: str) -> str:
    """Writes the drop-in of the old guides."""
    return f"mkdir -p {FOLDER} && printf '%s\\n' {text} >{FOLDER}/override.conf && systemctl daemon-reload; {then}"


GUIDE = (
    "'[Service]' 'ExecStart=' "
    "'ExecStart=/usr/bin/dockerd --host=fd:// --add-runtime=nvidia=/usr/bin/nvidia-container-runtime'"
)
"""What NVIDIA's guides said for years, to the letter."""
HERE = GUIDE.replace("/usr/bin/dockerd", "/usr/sbin/dockerd")
UBUNTU = "ln -s /usr/sbin/dockerd /usr/bin/dockerd; "

STATES = (
    # --- the founding story ---
    State(
        "no runtime", "true", "runtime.registered", causes=("runtime-unknown",), fixes=("register-runtime",), proof=RUNS
    ),
    State(
        "no runtime, other settings kept",
        file('{\n  "log-driver": "json-file",\n\n  "debug":true\n}', restart=False) + "; systemctl reload docker",
        "runtime.registered",
        causes=("runtime-unknown",),
        fixes=("register-runtime",),
        proof=RUNS,
    ),
    State(
        "the guide's override on Debian: 203/EXEC",
        override(GUIDE, RESTART_FAILS),
        "docker.unit",
        fixes=("repair-drop-in",),
    ),
    State(
        "the guide's override on Debian, before the restart",
        override(GUIDE, "true"),
        "docker.unit",
        status="warning",
        fixes=("repair-drop-in",),
        proof=STARTS_AGAIN,
        fails=False,
    ),
    State(
        "the guide's override without the empty line",
        override(HERE.replace("'ExecStart=' ", ""), REFUSED),
        "docker.unit",
        status="warning",
        causes=("systemd-two-execstart",),
        fixes=("repair-drop-in",),
        proof=STARTS_AGAIN,
        fails=False,
    ),
    State(
        "the override without the empty line, after a stop",
        override(HERE.replace("'ExecStart=' ", ""), "systemctl stop docker.socket docker; ! systemctl start docker"),
        "docker.unit",
        causes=("systemd-two-execstart",),
        fixes=("repair-drop-in",),
        and_then=("start-docker",),
    ),
    State(
        "SIGHUP refused: default-runtime twice",
        override(f"{HERE[:-1]} --default-runtime=nvidia'", "systemctl restart docker; ")
        + file(
            '{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}\n',
            restart=False,
        )
        + "; systemctl reload docker",
        "docker.config",
        status="warning",
        causes=("conf-conflict-other",),
        fixes=("remove-duplicate-key",),
        proof=f"{STARTS_AGAIN} && {RUNS}",
        fails=False,
    ),
    State(
        "a repaired file that hits the start limit",
        f"{file('{,}')}; printf '{{}}\\n' >{FILE}; {REFUSED}",
        "docker.running",
        causes=("systemd-docker-failed",),
        fixes=("reset-failed-docker",),
    ),
    State(
        "the runtime in both places, with different paths",
        override(
            HERE.replace("/usr/bin/nvidia-container-runtime", "/usr/local/bin/other"), "systemctl restart docker; "
        )
        + file('{"runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}\n', restart=False)
        + "; systemctl reload docker",
        "docker.unit",
        status="info",
        fixes=("repair-drop-in",),
        proof=f"! grep -r add-runtime {FOLDER} && {STARTS_AGAIN} && {RUNS}",
    ),
    State(
        "the guide's override on Ubuntu's layout, and the runtime is gone from there",
        UBUNTU + override(GUIDE, "systemctl restart docker; ") + RUNS + "; rm /run/nvidia-container-runtime.calls; "
        f"rm -r {FOLDER}; systemctl daemon-reload; systemctl restart docker",
        "runtime.registered",
        causes=("runtime-unknown",),
        fixes=("register-runtime",),
        proof=RUNS,
    ),
    # --- the settings file ---
    State(
        "trailing comma",
        file('{\n  "debug": true,\n}\n'),
        "docker.config",
        causes=("conf-json-syntax",),
        fixes=("repair-daemon-json",),
    ),
    State(
        "trailing comma, Docker still runs",
        file('{\n  "debug": true,\n}\n', restart=False),
        "docker.config",
        status="warning",
        causes=("conf-json-syntax",),
        fixes=("repair-daemon-json",),
        proof=STARTS_AGAIN,
        fails=False,
    ),
    State(
        "comments",
        file('{\n  // the log\n  "log-driver": "json-file" # small\n}\n', restart=False),
        "docker.config",
        status="warning",
        causes=("conf-json-syntax",),
        fixes=("repair-daemon-json",),
        proof=STARTS_AGAIN,
        fails=False,
    ),
    State(
        "byte order mark",
        f"printf '\\357\\273\\277{{\"debug\": true}}\\n' >{FILE}",
        "docker.config",
        status="warning",
        causes=("conf-json-syntax",),
        fixes=("repair-daemon-json",),
        proof=STARTS_AGAIN,
        fails=False,
    ),
    State("empty file", file(""), "docker.config", causes=("conf-json-syntax",), fixes=("repair-daemon-json",)),
    State(
        "missing comma",
        file('{\n  "debug": true\n  "log-driver": "json-file"\n}\n', restart=False),
        "docker.config",
        status="warning",
        causes=("conf-json-syntax",),
        fixes=("repair-daemon-json",),
        proof=STARTS_AGAIN,
        fails=False,
    ),
    State(
        "the same key twice, with the same value",
        file('{"debug": true, "log-driver": "json-file", "debug": true}\n', restart=False),
        "docker.config",
        status="info",
        fixes=("remove-duplicate-key",),
        proof=f"[ $(grep -o debug {FILE} | wc -l) = 1 ] && {STARTS_AGAIN}",
    ),
    State(
        "the same key twice, with two values",
        file('{"debug": true, "log-driver": "json-file", "debug": false}\n', restart=False),
        "docker.config",
        status="warning",
        says="debug",
    ),
    State(
        "hosts twice",
        file('{"hosts": ["unix:///var/run/docker.sock"]}\n'),
        "docker.config",
        causes=("conf-conflict-other",),
        fixes=("remove-duplicate-key",),
    ),
    State(
        "data-root twice",
        override("'[Service]' 'ExecStart=' 'ExecStart=/usr/sbin/dockerd -H fd:// --data-root=/var/lib/docker'", "true")
        + "; "
        + file('{"data-root": "/var/lib/docker"}\n', restart=False),
        "docker.config",
        status="warning",
        causes=("conf-conflict-other",),
        fixes=("remove-duplicate-key",),
        proof=STARTS_AGAIN,
        fails=False,
    ),
    State(
        "runtime without a path",
        file('{"runtimes": {"nvidia": {"runtimeArgs": []}}}\n', restart=False) + "; systemctl restart docker",
        "docker.config",
        status="warning",
        causes=("conf-runtime-entry-invalid",),
        fixes=("register-runtime",),
        proof=RUNS,
    ),
    State(
        "default-runtime without an entry",
        file('{"default-runtime": "nvidia"}\n'),
        "docker.config",
        causes=("conf-default-runtime-missing",),
        fixes=("register-runtime",),
    ),
    State(
        "runtime with another place",
        file('{"runtimes": {"nvidia": {"path": "/opt/nowhere/runtime"}}}\n', restart=False)
        + "; systemctl restart docker",
        "runtime.registered",
        causes=("runtime-binary-missing",),
        fixes=("register-runtime",),
        proof=RUNS,
    ),
    # --- what only a person can decide ---
    State("unknown key", file('{"debgu": true}\n'), "docker.config", causes=("conf-unknown-key",), says="debgu"),
    State(
        "wrong type",
        file('{"debug": "yes"}\n', restart=False),
        "docker.config",
        status="warning",
        causes=("conf-wrong-type",),
        says="debug",
    ),
    State(
        "default-runtime that nobody knows",
        file('{"default-runtime": "ghost"}\n', restart=False),
        "docker.config",
        status="warning",
        causes=("conf-default-runtime-missing",),
        says="ghost",
    ),
    State(
        "cut off in the middle",
        file('{"log-driver": "json-file", "runtimes": {"nvidia": {"pa', restart=False),
        "docker.config",
        status="warning",
        causes=("conf-json-syntax",),
        says=r"Line 1, column 53",
    ),
    State(
        "a folder instead of the file",
        f"rm -f {FILE}; mkdir {FILE}; {RESTART_FAILS}",
        "docker.config",
        causes=("conf-file-missing-or-dir",),
        says="folder",
    ),
    State(
        "masked",
        "systemctl stop docker.socket docker; systemctl mask docker.service",
        "docker.unit",
        says="unmask",
    ),
    State(
        "masked socket",
        "systemctl stop docker.socket docker; systemctl mask docker.socket; ! systemctl start docker",
        "docker.unit",
        causes=("fd-host-no-activation",),
        says="unmask",
    ),
    State(
        "a drop-in with a slip",
        f"mkdir -p {FOLDER}; printf '[Service]\\nEnviroment=HTTP_PROXY=http://proxy:3128\\n' >{FOLDER}/proxy.conf; "
        "systemctl daemon-reload",
        "docker.unit",
        status="warning",
        says=r"proxy\.conf",
    ),
    State(
        "the toolkit's settings cannot be read",
        "echo '[nvidia-container-runtime' >>/etc/nvidia-container-runtime/config.toml",
        "toolkit.config",
        causes=("toolkit-config-toml-broken",),
        says=r"line \d+",
    ),
    State(
        "DOCKER_HOST wrong",
        "true",
        "docker.running",
        causes=("docker-host-wrong",),
        says="unset DOCKER_HOST",
        environ={"DOCKER_HOST": "tcp://127.0.0.1:2375"},
    ),
    # --- the service ---
    State(
        "stopped",
        "systemctl stop docker.socket docker",
        "docker.running",
        causes=("daemon-unreachable",),
        fixes=("start-docker",),
    ),
    State(
        "socket stopped",
        "systemctl stop docker.socket",
        "docker.running",
        causes=("daemon-unreachable",),
        fixes=("start-docker",),
    ),
    State(
        "disabled",
        "systemctl disable docker.service docker.socket",
        "docker.unit",
        status="warning",
        fixes=("enable-docker",),
        proof="systemctl is-enabled docker.service",
    ),
    # --- the toolkit ---
    State(
        "the runtime's program may not be run",
        file('{"runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}\n', restart=False)
        + "; systemctl restart docker; chmod -x /usr/bin/nvidia-container-runtime",
        "runtime.toolkit",
        causes=("runtime-not-executable",),
        fixes=("install-toolkit",),
        final=True,
        proof=RUNS,
    ),
    State(
        "hook newer than the daemon",
        "mv /usr/bin/nvidia-container-runtime-hook /tmp/hook && systemctl restart docker && sleep 3 && "
        "mv /tmp/hook /usr/bin/nvidia-container-runtime-hook",
        "toolkit.hook",
        status="warning",
        causes=("gpus-no-driver",),
        fixes=("restart-docker",),
        final=True,
        # The hook is found now, and ends as it does on a machine without a driver.
        proof="docker run --rm --gpus all tiny:1 true 2>&1 | grep nvidia-container-cli",
    ),
    State(
        "nvidia-docker2",
        "apt-get install -qy nvidia-docker2",
        "toolkit.old",
        status="warning",
        fixes=("remove-nvidia-docker2",),
        proof="! dpkg-query -W -f '${Status}\\n' nvidia-docker2 | grep -w installed",
    ),
    State(
        "stale list of packages",
        "cd /etc/apt/sources.list.d; "
        "echo 'deb https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /' >nvidia-docker.list; "
        "echo 'deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg] "
        "https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /' >nvidia-container-toolkit.list",
        "packages.sources",
        causes=("apt-signed-by",),
        fixes=("move-stale-apt-list",),
        proof="! apt-get install --simulate nvidia-container-toolkit 2>&1 | grep 'Conflicting values'",
    ),
    # --- our own ---
    State(
        "a broken container of ours keeps the name",
        "docker run -d --name openseq2seq --label s2s-wizard.version=1 --gpus all tiny:1 >/dev/null 2>&1; "
        "docker inspect -f '{{.State.Status}}' openseq2seq | grep -w created",
        "container.own",
        status="warning",
        fixes=("remove-own-container",),
        final=True,
        proof="docker create --name openseq2seq tiny:1",
    ),
    State(
        "somebody else's container has the name",
        "docker create --name openseq2seq tiny:1",
        "container.own",
        status="ok",
        says="in the way",
    ),
    # --- what the check-up cannot see without a GPU, or without a network: the repair by its name ---
    State(
        "toolkit missing",
        "apt-get purge -qy nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools "
        "libnvidia-container1",
        "runtime.toolkit",
        status="skipped",
        by_name=("install-toolkit",),
        proof="dpkg -V nvidia-container-toolkit && nvidia-container-runtime --version && nvidia-ctk --version",
    ),
    State(
        "Docker does not know the proxy of this shell",
        "true",
        "network.proxy",
        status="info",
        by_name=("set-daemon-proxy",),
        proof="docker info -f '{{.HTTPSProxy}}' | grep -w proxy.example:3128",
        environ={"HTTPS_PROXY": "http://proxy.example:3128"},
    ),
)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name.replace(" ", "-"))
def test_a_broken_machine(lab_hosts: Callable[[], LabHost], state: State) -> None:
    host = lab_hosts()
    host.tiny()
    host.sh(state.make)
    broken = host.snapshot(*PLACES)
    fixes = (*state.fixes, *state.and_then, *state.by_name)
    if fixes and state.fails:
        assert host.run(state.proof).returncode != 0, "it is not broken at all"

    finding = host.doctor(state.check, env=state.environ)[state.check]
    assert (finding["status"], set(finding["causes"]) & set(state.causes)) == (state.status, set(state.causes)), finding
    assert finding["evidence"]
    if not fixes:
        assert finding["fixes"] == [], "only a person can decide here"
        assert re.search(state.says, f"{finding['summary']} {finding['detail']}"), finding
        assert host.snapshot(*PLACES) == broken
        return
    assert set(state.fixes) <= set(finding["fixes"]), finding

    answer = host.fix(*fixes, env=state.environ)
    entries = done(answer)
    assert host.run(state.proof).returncode == 0, (answer, host.run("journalctl -u docker -n 20 -o cat").stdout)
    again = host.doctor(state.check, env=state.environ)[state.check]
    assert again["status"] in ("ok", "info"), again
    assert not set(state.causes) & set(again["causes"])

    for receipt in reversed([entry["receipt"] for entry in entries if entry.get("receipt")]):
        undone = host.undo(receipt)
        assert undone.returncode == 0, undone
        if state.final:
            assert "nothing to take back" in undone.said
        else:
            assert undone.json()["receipt"]["state"] == "undone", undone
    assert files(host.snapshot(*PLACES), broken) == broken


def files(found: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """A snapshot without new folders: an empty one that a repair has made does nothing, and stays."""
    return {path: entry for path, entry in found.items() if path in before or not entry["mode"].startswith("0o40")}


def done(answer: Result) -> list[dict[str, str]]:
    """The entries of a repair that went well."""
    assert answer.returncode == 0, answer
    entries: list[dict[str, str]] = answer.json()["fixes"]
    assert {entry["state"] for entry in entries} <= {"done", "already-done"}, answer
    return entries
