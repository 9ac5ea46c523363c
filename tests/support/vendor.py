"""A vendor's package source on a lab host: a signed apt repository behind HTTP on the host's own loopback.

It holds stand-ins with the names and the places of NVIDIA's packages, which are not installed and not known otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support import lab_image
from tests.support.lab import LabHost

PORT = 8123
URL = f"http://127.0.0.1:{PORT}"
FOLDER = "/srv/vendor"
PACKAGES = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)

_SET_UP = f"""
import hashlib, os, pathlib, shutil
here, there = pathlib.Path("{lab_image.APT}"), pathlib.Path("{FOLDER}/deb/amd64")
there.mkdir(parents=True, exist_ok=True)
ours, theirs = [], []
for entry in (here / "Packages").read_text().strip().split("\\n\\n"):
    fields = dict(line.split(": ", 1) for line in entry.splitlines() if not line.startswith(" "))
    if "nvidia" in fields["Package"]:
        name = fields["Filename"].rpartition("/")[2]
        shutil.move(here / name, there / name)
        theirs.append(entry)
    else:
        ours.append(entry)
(here / "Packages").write_text("\\n\\n".join(ours) + "\\n")
(there / "Packages").write_text("\\n\\n".join(theirs) + "\\n")
"""
_RELEASE = """
import email.utils, hashlib, pathlib
there = pathlib.Path("{folder}/deb/amd64")
data = (there / "Packages").read_bytes()
(there / "Release").write_text(
    "Origin: stand-in\\nSuite: stable\\nArchitectures: amd64\\nDate: " + email.utils.formatdate(usegmt=True)
    + "\\nSHA256:\\n " + hashlib.sha256(data).hexdigest() + " " + str(len(data)) + " Packages\\n")
"""


@dataclass
class Vendor:
    """The source. ``fingerprint`` is that of the key that it hands out."""

    host: LabHost
    fingerprint: str = ""

    def sign(self, who: str = "vendor") -> None:
        """Signs what is there now, with the vendor's key or somebody else's."""
        self.host.run(("python3", "-c", _RELEASE.format(folder=FOLDER)), check=True)
        self.host.sh(
            f"cd {FOLDER}/deb/amd64 && rm -f InRelease && gpg --homedir {FOLDER}-keys --batch --yes "
            f"--local-user {who}@localhost --clearsign -o InRelease Release"
        )

    def settings(self, fingerprint: str = "") -> None:
        """Names this source in root's settings of the wizard."""
        self.host.put(
            "~/.config/s2s-wizard/config.toml",
            f'[packages.nvidia]\nurl = "{URL}/deb"\nkey = "{URL}/gpgkey"\n'
            f'fingerprint = "{fingerprint or self.fingerprint}"\n',
        )

    def add(self, deb: Path) -> None:
        """Adds a package file, in the place of one of the same name."""
        self.host.put(f"{FOLDER}/deb/amd64/{deb.name}", deb.read_bytes())
        lab_image.write_index(deb.parent)
        entries = (deb.parent / "Packages").read_text()
        name = deb.name.partition("_")[0]
        there = self.host.sh(f"cat {FOLDER}/deb/amd64/Packages").split("\n\n")
        kept = [entry for entry in there if entry.strip() and f"Package: {name}\n" not in f"{entry}\n"]
        self.host.put(f"{FOLDER}/deb/amd64/Packages", "\n\n".join([*(entry.strip() for entry in kept), entries]))

    def stop(self) -> None:
        """The server is gone."""
        self.host.sh("systemctl stop vendor")

    def start(self) -> None:
        """The server answers."""
        self.host.sh(
            "systemd-run -q --collect --unit=vendor "
            f"python3 -m http.server {PORT} --bind 127.0.0.1 --directory {FOLDER}"
        )
        self.host.wait(f"python3 -c \"import urllib.request as u; u.urlopen('{URL}/gpgkey')\"")


def set_up(host: LabHost) -> Vendor:
    """Takes NVIDIA's stand-ins off the machine and out of its own sources, and puts them into one of their own."""
    host.sh(f"DEBIAN_FRONTEND=noninteractive apt-get purge -qy {' '.join(PACKAGES)}")
    host.run(("python3", "-c", _SET_UP), check=True)
    host.sh("apt-get update -q")
    gpg = f"gpg --homedir {FOLDER}-keys --batch --yes --pinentry-mode loopback --passphrase ''"
    host.sh(f"mkdir -p -m 700 {FOLDER}-keys")
    for who in ("vendor", "stranger"):
        host.sh(f"{gpg} --quick-generate-key {who}@localhost rsa2048 sign never")
    host.sh(f"gpg --homedir {FOLDER}-keys --armor --export vendor@localhost >{FOLDER}/gpgkey")
    listed = host.sh(f"gpg --homedir {FOLDER}-keys --with-colons --fingerprint vendor@localhost")
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
    vendor = Vendor(host, fingerprint)
    vendor.sign()
    vendor.settings()
    vendor.start()
    return vendor
