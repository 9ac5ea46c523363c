"""The lab hosts themselves: what the other lab tests rely on."""

from __future__ import annotations

import pytest

from tests.support.lab import LabHost

pytestmark = pytest.mark.real


def test_a_lab_host_is_a_machine_with_systemd_and_a_docker_that_runs_containers(lab_host: LabHost) -> None:
    assert lab_host.sh("cat /proc/1/comm") == "systemd"
    assert lab_host.sh("systemctl is-active docker docker.socket").split() == ["active", "active"]
    lab_host.tiny()
    assert lab_host.sh("docker run --rm tiny:1 echo from inside") == "from inside"
    assert lab_host.sh("docker run --rm --privileged --ulimit memlock=-1 tiny:1 id -u") == "0"
    unknown = lab_host.run("docker run --rm --runtime=nvidia tiny:1 true")
    assert unknown.returncode == 125
    assert "unknown runtime specified nvidia" in unknown.said.lower()


def test_the_wizard_runs_there_for_everybody(lab_host: LabHost) -> None:
    for user in ("root", "sudopw", "plainuser"):
        found = lab_host.doctor("docker.installed", "docker.access", user=user)
        assert found["docker.installed"]["status"] == "ok"
        assert (found["docker.access"]["status"] == "ok") == (user == "root")


def test_a_login_has_a_terminal_and_sudo_asks_for_the_password(lab_host: LabHost) -> None:
    assert "password is required" in lab_host.run("sudo -n true", user="sudopw").said
    assert lab_host.sh("sudo -n id -u", user="sudofree") == "0"
    with lab_host.login("sudopw") as person:
        assert person.run("id -un").stdout.strip() == "sudopw"
        assert person.run("tty").returncode == 0
        person.become_root("sudopw")
        assert person.run("sudo -n id -u").stdout.strip() == "0"


def test_a_snapshot_sees_content_mode_and_owner(lab_host: LabHost) -> None:
    lab_host.put("/srv/it/file", "one\n", 0o640)
    before = lab_host.snapshot("/srv/it")
    assert before["/srv/it/file"]["text"] == "one\n"
    for change in ("echo two >/srv/it/file", "chmod 600 /srv/it/file", "chown 7 /srv/it/file", "touch /srv/it/more"):
        lab_host.sh(f"cp -a /srv/it /srv/kept && {change}")
        assert lab_host.snapshot("/srv/it") != before, change
        lab_host.sh("rm -r /srv/it && mv /srv/kept /srv/it")
    assert lab_host.snapshot("/srv/it") == before
