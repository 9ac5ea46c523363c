"""Docker installed for real on a machine that has none, with Debian's own packages and apt, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import lab_image
from tests.support.lab import LabHost

pytestmark = pytest.mark.real

OWNER = "sudofree"
"""Who installs: a user with sudo who is not in the group docker."""
QUICK = "/usr/local/bin/apt-get"
"""A front of apt that does not wait a minute for a lock; the last option counts."""


@pytest.fixture
def bare(lab_hosts: Callable[[], LabHost]) -> LabHost:
    """A machine on which Docker was never installed, and where apt knows its packages."""
    host = lab_hosts()
    host.sh("DEBIAN_FRONTEND=noninteractive apt-get purge -qy docker.io containerd runc tini iptables")
    host.sh("rm -rf /etc/docker /run/docker.sock /var/lib/docker/* && groupdel docker")
    return host


def packages(host: LabHost) -> set[str]:
    """The packages that are installed, half installed ones included."""
    said = host.sh("dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n'")
    return {line.split()[0] for line in said.splitlines() if not line.split()[1].startswith(("rc", "un"))}


def entry(host: LabHost, id: str = "install-docker", user: str = OWNER) -> dict[str, Any]:
    """What the repair came to."""
    answer = host.fix(id, user=user)
    assert answer.stdout, answer
    (found,) = answer.json()["fixes"]
    assert isinstance(found, dict)
    return found


def test_debian_s_docker_is_installed_runs_and_goes_again_exactly(bare: LabHost) -> None:
    before = packages(bare)
    found = bare.doctor("docker.installed", user=OWNER)["docker.installed"]
    assert (found["status"], found["causes"]) == ("error", ["docker-cli-missing"])
    assert found["fixes"] == ["install-docker", "install-docker-ce"]

    shown = bare.wizard("fix", "install-docker", "--dry-run", user=OWNER)
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y" in shown.said
    assert packages(bare) == before

    done = entry(bare)
    assert (done["state"], done["reason"]) == ("done", ""), done
    new = packages(bare) - before
    assert {"docker.io", "containerd", "runc"} <= new
    assert bare.sh("systemctl is-active docker docker.socket").split() == ["active", "active"]
    bare.tiny()
    assert bare.sh("docker run --rm tiny:1 echo inside") == "inside"
    assert bare.doctor("docker.installed", "docker.running", user=OWNER)["docker.running"]["status"] == "ok"
    assert entry(bare)["state"] == "already-done"

    undone = bare.undo(user=OWNER)
    assert undone.returncode == 0, undone
    assert "/var/lib/docker stay" in undone.json()["receipt"]["reason"]
    assert packages(bare) == before
    assert bare.sh("ls /var/lib/docker/image"), "what Docker keeps is the user's"
    assert bare.doctor("docker.installed", user=OWNER)["docker.installed"]["status"] == "error"


def test_apt_that_is_busy_is_said_with_the_process(bare: LabHost) -> None:
    before = packages(bare)
    bare.put(QUICK, '#!/bin/sh\nexec /usr/bin/apt-get "$@" -o DPkg::Lock::Timeout=0\n', 0o755)
    bare.put(
        "/tmp/hold",
        "import fcntl, time\nfile = open('/var/lib/dpkg/lock-frontend', 'w')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
        "open('/run/held', 'w').close()\ntime.sleep(600)\n",
    )
    bare.sh("systemd-run -q --unit=other python3 /tmp/hold")
    bare.wait("test -e /run/held")
    found = entry(bare)
    assert found["state"] == "failed"
    assert "Another program is installing" in found["reason"]
    assert packages(bare) == before

    bare.sh("systemctl stop other")
    assert entry(bare)["state"] == "done", "and it can be tried again"


def test_a_disk_that_gets_full_in_the_middle_leaves_nothing_behind(bare: LabHost) -> None:
    before = packages(bare)
    bare.sh("mkdir -p /usr/share/docker.io && mount -t tmpfs -o size=16k tmpfs /usr/share/docker.io")
    found = entry(bare)
    assert found["state"] == "failed"
    assert "disk" in found["reason"], found
    assert "full" in found["reason"], found
    assert packages(bare) == before
    bare.sh("umount /usr/share/docker.io")
    assert entry(bare)["state"] == "done"


def test_lists_that_were_never_read_are_read_first(bare: LabHost) -> None:
    before = packages(bare)
    bare.sh("rm -rf /var/lib/apt/lists/*")
    assert entry(bare)["state"] == "done"
    assert bare.undo(user=OWNER).returncode == 0
    left = packages(bare) - before
    assert all(name.startswith(("lib", "iptables", "tini")) for name in left), (
        "what came along and nobody could foresee"
    )


def test_without_a_network_it_says_that_the_server_cannot_be_reached(bare: LabHost) -> None:
    before = packages(bare)
    bare.sh("rm -rf /var/lib/apt/lists/*; echo 'deb http://127.0.0.1:9/debian bookworm main' >/etc/apt/sources.list")
    answer = bare.fix("install-docker", user=OWNER)
    assert answer.returncode in (4, 5), answer
    assert "could not be reached" in answer.said
    assert packages(bare) == before


def test_a_package_that_no_source_has_is_said_so(bare: LabHost) -> None:
    bare.sh(f"echo 'deb [trusted=yes] file:{lab_image.APT} ./' >/etc/apt/sources.list; : >{lab_image.APT}/Packages")
    bare.sh("apt-get update -q")
    answer = bare.fix("install-docker", user=OWNER)
    assert answer.returncode == 4, answer
    assert "not in any of the system's package sources" in answer.said


def test_docker_s_own_packages_come_from_a_source_whose_key_is_checked(bare: LabHost) -> None:
    """Docker's repository is stood for by a signed one: Debian's files, in packages with Docker's names."""
    before = packages(bare)
    own_repository(bare)
    places = ("/etc/apt", "/usr/share/keyrings")
    files = bare.snapshot(*places)

    settings = bare.sh("cat ~/.config/s2s-wizard/config.toml")
    bare.put("~/.config/s2s-wizard/config.toml", settings.replace('fingerprint = "', 'fingerprint = "0'))
    refused = bare.fix("install-docker-ce")
    assert refused.returncode == 2, refused
    assert "not the key that signs" in refused.said
    bare.put("~/.config/s2s-wizard/config.toml", settings)

    assert entry(bare, "install-docker-ce", "root")["state"] == "done"
    assert packages(bare) - before >= {"docker-ce", "docker-ce-cli", "containerd.io"}
    assert bare.sh("systemctl is-active docker") == "active"
    assert bare.undo().returncode == 0
    assert not packages(bare) & {"docker-ce", "docker-ce-cli", "containerd.io"}
    assert bare.snapshot(*places) == files

    bare.sh("DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends containerd")
    blocked = bare.fix("install-docker-ce")
    assert blocked.returncode == 4, blocked
    assert "would have to be removed" in blocked.said
    assert "containerd" in blocked.said


MAKE = f"""
set -e
mkdir -p /srv/own/deb /srv/own/tree && cd /srv/own
for pair in docker.io:docker-ce containerd:containerd.io; do
    rm -rf tree && dpkg-deb -R {lab_image.APT}/${{pair%:*}}_*.deb tree
    sed -i -e "s/^Package: .*/Package: ${{pair#*:}}/" -e '/^ /!s/^Depends: .*/Depends: containerd.io, iptables/' \\
        -e '/^\\(Recommends\\|Suggests\\|Breaks\\|Replaces\\|Conflicts\\|Built-Using\\)/d' tree/DEBIAN/control
    if [ ${{pair%:*}} = containerd ]; then
        dpkg-deb -x {lab_image.APT}/runc_*.deb tree
        sed -i 's/^Depends: .*/Depends: libseccomp2/' tree/DEBIAN/control
        printf 'Conflicts: containerd, runc\\n' >>tree/DEBIAN/control
    fi
    dpkg-deb -Znone -b tree deb >/dev/null
done
rm -rf tree && mkdir -p tree/DEBIAN
printf '%s\\n' 'Package: docker-ce-cli' 'Version: 1' 'Architecture: amd64' 'Maintainer: t <t@localhost>' \\
    'Description: none' >tree/DEBIAN/control
dpkg-deb -Znone -b tree deb >/dev/null
there=dists/bookworm/stable/binary-amd64
mkdir -p $there
for file in deb/*.deb; do
    dpkg-deb -f $file
    printf 'Filename: %s\\nSize: %s\\nSHA256: %s\\n\\n' $file $(stat -c %s $file) $(sha256sum $file | cut -d' ' -f1)
done >$there/Packages
cd dists/bookworm
{{
    printf 'Suite: bookworm\\nCodename: bookworm\\nComponents: stable\\nArchitectures: amd64\\nDate: '
    LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC'
    printf 'SHA256:\\n %s %s stable/binary-amd64/Packages\\n' \\
        $(sha256sum stable/binary-amd64/Packages | cut -d' ' -f1) $(stat -c %s stable/binary-amd64/Packages)
}} >Release
mkdir -m 700 /srv/keys
gpg="gpg --homedir /srv/keys --batch --yes"
$gpg --pinentry-mode loopback --passphrase '' --quick-generate-key docker@localhost rsa2048 sign never 2>/dev/null
$gpg --clearsign -o InRelease Release 2>/dev/null
$gpg --armor --export docker@localhost >/srv/own/gpg
mkdir -p ~/.config/s2s-wizard
{{
    printf '[packages.docker]\\nurl = "http://127.0.0.1:8124"\\n'
    printf 'key = "http://127.0.0.1:8124/gpg"\\nfingerprint = "%s"\\n' \\
        $($gpg --with-colons --fingerprint docker@localhost | grep ^fpr: | cut -d: -f10)
}} >~/.config/s2s-wizard/config.toml
systemd-run -q --collect --unit=own python3 -m http.server 8124 --bind 127.0.0.1 --directory /srv/own
"""


def own_repository(host: LabHost) -> None:
    """Serves a signed repository in the shape of Docker's, and names it in root's settings of the wizard."""
    host.put("/tmp/make", MAKE, 0o755)
    host.sh("sh /tmp/make")
    host.wait("curl -fsS http://127.0.0.1:8124/gpg")
