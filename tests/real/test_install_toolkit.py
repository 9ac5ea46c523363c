"""NVIDIA's toolkit installed, tidied and taken back with the real apt, on a machine with systemd and Docker.

NVIDIA's package source is stood for by a signed one of the tests, with small packages of the same names and places.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import lab_image, vendor
from tests.support.lab import LabHost
from tests.support.vendor import Vendor

pytestmark = pytest.mark.real

CONFIG = "/etc/nvidia-container-runtime/config.toml"
DAEMON = "/etc/docker/daemon.json"
PLACES = ("/etc/apt", "/usr/share/keyrings", "/etc/docker", "/etc/nvidia-container-runtime", "/usr/bin/nvidia-ctk")
LISTS = "/etc/apt/sources.list.d"
HOLDER = """
import fcntl, time
file = open("/var/lib/apt/lists/lock", "w")
fcntl.lockf(file, fcntl.LOCK_EX)
time.sleep(600)
"""


@pytest.fixture
def source(lab_host: LabHost) -> Vendor:
    """A machine without the toolkit, and a source that has it."""
    return vendor.set_up(lab_host)


def known(host: LabHost) -> dict[str, str]:
    """What dpkg says about the toolkit's packages, removed ones included."""
    said = host.run(("dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", "*nvidia*")).stdout
    return {
        line.split()[0]: line.split()[1] for line in said.splitlines() if len(line.split()) == 2 and "un" not in line
    }


def repaired(host: LabHost, id: str) -> dict[str, Any]:
    """What the repair came to."""
    answer = host.fix(id)
    assert answer.stdout, answer.stderr
    (entry,) = answer.json()["fixes"]
    found: dict[str, Any] = entry
    return found


def test_the_toolkit_comes_from_a_signed_source_counts_after_the_restart_and_goes_again(source: Vendor) -> None:
    host = source.host
    before = host.snapshot(*PLACES)
    assert known(host) == {}
    began = host.sh("systemctl show docker --property=ExecMainStartTimestampMonotonic --value")

    answer = host.wizard("fix", "install-toolkit", "--dry-run")
    shown = answer.said
    assert source.fingerprint in shown, answer
    assert (
        f"+deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.asc] {vendor.URL}/deb/$(ARCH) /" in shown
    )
    assert "apt-get install -y --no-install-recommends" in shown
    assert host.snapshot(*PLACES) == before, "a preview changes nothing"

    entry = repaired(host, "install-toolkit")
    assert entry["state"] == "done", entry
    assert known(host) == dict.fromkeys(vendor.PACKAGES, "ii")
    assert host.sh("systemctl show docker --property=ExecMainStartTimestampMonotonic --value") != began
    found = host.doctor("runtime.toolkit", "toolkit.config", "toolkit.hook")
    assert {name: finding["status"] for name, finding in found.items() if "toolkit" in name} == {
        "runtime.toolkit": "ok",
        "toolkit.config": "ok",
        "toolkit.hook": "ok",
    }, found
    assert host.fix("install-toolkit").json()["fixes"][0]["state"] == "already-done"

    assert host.undo().returncode == 0
    assert host.snapshot(*PLACES) == before
    assert known(host) == {}, "not even settings are left"
    assert host.sh("systemctl is-active docker") == "active"


def test_installed_and_told_to_docker_in_one_go_with_one_restart(source: Vendor) -> None:
    host = source.host
    host.tiny()
    before = host.snapshot(*PLACES)
    since = host.sh("date '+%F %T'")
    answer = host.fix("install-toolkit", "register-runtime")
    assert [entry["state"] for entry in answer.json()["fixes"]] == ["done", "done"], answer.said
    started = host.sh(f"journalctl -u docker --since '{since}' -o cat | grep -c '^Started docker.service'")
    assert started == "1", "one restart for both"
    assert host.sh("docker run --rm --runtime=nvidia tiny:1 echo works") == "works"
    for _receipt in ("register-runtime", "install-toolkit"):
        assert host.undo().returncode == 0
    assert host.snapshot(*PLACES) == before
    assert known(host) == {}


def test_settings_of_before_are_kept_and_no_question_is_asked(source: Vendor) -> None:
    """dpkg asks what to do with a settings file that somebody has written: nobody would be there to answer."""
    host = source.host
    host.put(CONFIG, "# by hand\n[nvidia-container-cli]\n", 0o600)
    before = host.snapshot(CONFIG)
    assert repaired(host, "install-toolkit")["state"] == "done"
    assert host.snapshot(CONFIG) == before


def test_every_way_to_fail_is_named_and_leaves_the_machine_as_it_was(source: Vendor, tmp_path: Path) -> None:
    host = source.host
    before = host.snapshot(*PLACES)

    def fails(wanted: str, evidence: str = "") -> None:
        answer = host.fix("install-toolkit")
        assert answer.returncode not in (0, 130), answer.said
        assert wanted in answer.said, answer.said
        assert evidence in answer.said, answer.said
        assert host.snapshot(*PLACES) == before
        assert known(host) == {}
        assert host.sh("systemctl is-active docker") == "active"

    # Somebody else's key under the right address; the right key, and a list that somebody else has signed.
    source.settings("0" * 40)
    fails("not the key that signs", source.fingerprint)
    source.settings()
    source.sign("stranger")
    fails("package sources has a mistake")
    source.sign()

    # Another program is at it.
    host.put("/srv/hold.py", HOLDER)
    host.sh("systemd-run -q --collect --unit=holder python3 /srv/hold.py")
    host.wait("! apt-get update -q >/dev/null 2>&1")
    fails("Another program is installing", host.sh("systemctl show holder --property=MainPID --value"))
    host.sh("systemctl stop holder")

    # No room for the packages.
    host.sh("mount -t tmpfs -o size=16k none /var/cache/apt/archives && mkdir -p /var/cache/apt/archives/partial")
    fails("disk")
    host.sh("umount /var/cache/apt/archives")

    # A package whose own script fails in the middle, with others unpacked before it.
    script = {"postinst": "#!/bin/sh\nread answer || exit 1\n"}
    broken = lab_image.make_package(tmp_path, "nvidia-container-toolkit-base", lab_image.TOOLKIT, {}, scripts=script)
    kept = host.sh(f"cat {vendor.FOLDER}/deb/amd64/Packages")
    host.sh(f"cp -a {vendor.FOLDER}/deb {vendor.FOLDER}/kept")
    source.add(broken)
    source.sign()
    fails("do not fit together")
    # apt keeps what it has fetched, and tells packages of one version apart by their size alone.
    host.sh(f"apt-get clean && rm -r {vendor.FOLDER}/deb && mv {vendor.FOLDER}/kept {vendor.FOLDER}/deb")
    assert host.sh(f"cat {vendor.FOLDER}/deb/amd64/Packages") == kept

    # A source without the package, and none at all.
    host.put(f"{vendor.FOLDER}/deb/amd64/Packages", "")
    source.sign()
    fails("not in any of the system's package sources")
    source.stop()
    fails("could not be reached")

    source.start()
    host.put(f"{vendor.FOLDER}/deb/amd64/Packages", kept + "\n")
    source.sign()
    entry = repaired(host, "install-toolkit")
    assert entry["state"] == "done", f"after all this, it can still be installed: {entry}"


def test_nvidia_docker2_goes_without_docker_s_settings_or_the_toolkit(source: Vendor, tmp_path: Path) -> None:
    host = source.host
    theirs = b'{"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}}\n'
    files = {DAEMON: theirs, "/usr/bin/nvidia-docker": b"#!/bin/sh\n"}
    source.add(lab_image.make_package(tmp_path, "nvidia-docker2", "2.13.0-1", files, "nvidia-container-toolkit"))
    source.sign()
    assert repaired(host, "install-toolkit")["state"] == "done"
    host.sh(
        "DEBIAN_FRONTEND=noninteractive apt-get install -qy nvidia-docker2 && apt-mark auto nvidia-container-toolkit"
    )
    host.put(DAEMON, '{"log-opts": {"max-size": "10m"}}')
    before = host.snapshot("/etc/docker", "/etc/apt")
    assert host.doctor("toolkit.old")["toolkit.old"]["fixes"] == ["remove-nvidia-docker2"]

    assert repaired(host, "remove-nvidia-docker2")["state"] == "done"
    assert host.snapshot("/etc/docker", "/etc/apt") == before
    assert known(host) == {**dict.fromkeys(vendor.PACKAGES, "ii"), "nvidia-docker2": "rc"}
    assert "Remv" not in host.sh("apt-get autoremove --simulate"), "the toolkit stays at the next clean-up"
    assert host.doctor("toolkit.old")["toolkit.old"]["status"] == "ok"

    assert host.undo().returncode == 0
    assert host.snapshot("/etc/docker", "/etc/apt") == before
    assert known(host)["nvidia-docker2"] == "ii"


def test_lists_that_contradict_each_other_stop_apt_until_the_old_one_is_put_aside(lab_host: LabHost) -> None:
    host = lab_host
    place = "https://nvidia.github.io/libnvidia-container/stable/debian11/$(ARCH) /"
    new = f"deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg] {place}\n#deb {place}\n"
    host.put(f"{LISTS}/nvidia-container-toolkit.list", new)
    host.put(f"{LISTS}/nvidia-docker.list", f"deb {place}\r\n# von Hand geändert\n", 0o640)
    before = host.snapshot("/etc/apt")
    broken = host.run("apt-get check")
    assert "Conflicting values set for option Signed-By" in broken.said
    found = host.doctor("packages.sources")["packages.sources"]
    assert (found["status"], found["causes"]) == ("error", ["apt-signed-by"])

    refused = host.fix("remove-nvidia-docker2", "install-toolkit")
    assert refused.returncode in (0, 4), refused.said
    assert host.snapshot("/etc/apt") == before

    assert repaired(host, "move-stale-apt-list")["state"] == "done"
    assert host.run("apt-get check").returncode == 0
    now = host.snapshot("/etc/apt")
    assert now[f"{LISTS}/nvidia-docker.list.disabled"] == before[f"{LISTS}/nvidia-docker.list"]
    assert f"{LISTS}/nvidia-docker.list" not in now

    assert host.undo().returncode == 0
    assert host.snapshot("/etc/apt") == before
