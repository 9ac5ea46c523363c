"""People at a real terminal of a real machine: sudo that asks, groups that count at the next login, programs that are
killed, two wizards at once.
"""

from __future__ import annotations

import json

import pytest

from tests.support.lab import LabHost, Login

pytestmark = pytest.mark.real

GROUPS = ("/etc/group", "/etc/gshadow")
FILE = "/etc/docker/daemon.json"
RUNS = "docker run --rm --runtime=nvidia tiny:1 true"
FRONT = """#!/bin/sh
# Stands before systemctl and holds up what a repair runs, until somebody lets it go.
case "$1" in
reload | restart) : >/run/held; while [ ! -e /run/go-on ]; do sleep 0.05; done ;;
esac
exec /usr/bin/systemctl "$@"
"""


def access(person: Login) -> str:
    """What the check-up says about Docker for the one who sits there."""
    answer = person.run("s2s-wizard doctor --json --check docker.access 2>/dev/null")
    findings = {finding["id"]: finding for finding in json.loads(answer.stdout)["findings"]}
    return f"{findings['docker.access']['status']}: {findings['docker.access']['detail']}"


def test_joining_the_group_counts_from_the_next_login_on_and_it_says_so(lab_host: LabHost) -> None:
    before = lab_host.snapshot(*GROUPS)
    with lab_host.login("sudopw") as person:
        assert access(person).startswith("error: Whoever may use Docker can do everything on this machine")

        person.type("s2s-wizard fix join-docker-group")
        person.expect("like its administrator")
        person.expect(r"\[y/N\]")
        person.type("")
        person.expect(r"\$ ")
        assert lab_host.snapshot(*GROUPS) == before, "No is the default"

        person.type("s2s-wizard fix join-docker-group --yes; echo ended with $?")
        person.expect("password for sudopw:")
        person.type("sudopw")
        said = person.expect(r"[\s\S]*ended with (\d)\n")
        assert said.group(1) == "3", "a person is needed: log in again"
        assert "after you have logged in again" in said.group()
        assert "sg docker -c s2s-wizard" in said.group()

        assert lab_host.sh("id -nG sudopw").split() == ["sudopw", "sudo", "docker"]
        assert person.run("docker ps").returncode != 0, "this login keeps the groups that it began with"
        found = access(person)
        assert found.startswith("error")
        assert "sg docker -c s2s-wizard" in found
        through = person.run('sg docker -c "s2s-wizard doctor --check docker.access"')
        assert through.returncode == 0, through

        with lab_host.login("sudopw") as later:
            assert access(later).startswith("ok")
            assert later.run("docker ps").returncode == 0

        taken = person.run("s2s-wizard undo --yes")
        assert taken.returncode == 0, taken
        assert lab_host.snapshot(*GROUPS) == before
        with lab_host.login("sudopw") as later:
            assert access(later).startswith("error")


def test_who_has_no_sudo_is_told_so_in_one_sentence(lab_host: LabHost) -> None:
    before = lab_host.snapshot(*GROUPS)
    alone = lab_host.wizard("fix", "join-docker-group", "--yes", user="plainuser")
    assert alone.returncode == 3
    assert "administrator rights" in alone.stderr
    assert "Traceback" not in alone.said

    with lab_host.login("plainuser") as person:
        person.type("s2s-wizard fix join-docker-group --yes; echo ended with $?")
        said = person.expect(r"[\s\S]*ended with (\d)\n")
        assert said.group(1) == "3"
        assert "plainuser may not run sudo" in said.group(), "sudo's own words"
        assert "only its administrator can do this step" in said.group()
    assert lab_host.snapshot(*GROUPS) == before
    assert lab_host.run("ls .local/state/s2s-wizard/receipts/*", user="plainuser").returncode != 0


def held_up(host: LabHost) -> str:
    """A repair that is stopped in the middle: the file is written, the reload is begun; its process id."""
    host.put("/usr/local/bin/systemctl", FRONT, 0o755)
    pid = host.sh("s2s-wizard fix register-runtime --yes >/tmp/said 2>&1 & echo $!")
    host.wait("test -e /run/held")
    return pid


def let_go(host: LabHost) -> None:
    host.sh("touch /run/go-on; rm /usr/local/bin/systemctl")
    host.wait("! pgrep -f '[s]ystemctl reload'")


def test_a_killed_repair_is_found_by_the_next_start_and_finished(lab_host: LabHost) -> None:
    lab_host.tiny()
    lab_host.put(FILE, '{"debug": true}\n')
    pid = held_up(lab_host)
    lab_host.sh(f"kill -9 {pid}; rm /usr/local/bin/systemctl; pkill -9 -f '[s]ystemctl reload'")
    assert "nvidia" in lab_host.sh(f"cat {FILE}")
    assert lab_host.run(RUNS).returncode != 0

    told = lab_host.wizard("doctor", "--check", "runtime.registered")
    assert "interrupted" in told.said, told
    done = lab_host.wizard("fix", "register-runtime", "--yes")
    assert done.returncode == 0, done
    assert lab_host.run(RUNS).returncode == 0
    assert "interrupted" not in lab_host.wizard("doctor", "--check", "runtime.registered").said
    (receipt,) = lab_host.receipts()
    assert receipt["state"] == "done"

    assert lab_host.undo().returncode == 0
    assert lab_host.sh(f"cat {FILE}") == '{"debug": true}'


def test_a_killed_repair_can_be_taken_back(lab_host: LabHost) -> None:
    lab_host.put(FILE, '{"debug": true}\n', 0o640)
    before = lab_host.snapshot("/etc/docker")
    pid = held_up(lab_host)
    lab_host.sh(f"kill -9 {pid}; rm /usr/local/bin/systemctl; pkill -9 -f '[s]ystemctl reload'")
    assert lab_host.snapshot("/etc/docker") != before

    undone = lab_host.undo()
    assert undone.returncode == 0, undone
    assert lab_host.snapshot("/etc/docker") == before
    assert "interrupted" not in lab_host.wizard("doctor", "--check", "runtime.registered").said


def test_the_second_of_two_wizards_says_that_there_is_another(lab_host: LabHost) -> None:
    lab_host.tiny()
    pid = held_up(lab_host)
    second = lab_host.wizard("fix", "register-runtime", "--yes")
    assert second.returncode == 3, second
    assert pid in second.said, "with its process id"
    assert lab_host.wizard("doctor", "--check", "docker.access").returncode == 0, "to look is allowed"

    let_go(lab_host)
    lab_host.wait(f"! kill -0 {pid} 2>/dev/null")
    assert lab_host.run(RUNS).returncode == 0
    third = lab_host.wizard("fix", "register-runtime", "--yes")
    assert third.returncode == 0, third
    assert "already in place" in third.said


def test_what_was_repaired_outlives_a_docker_that_is_killed(lab_host: LabHost) -> None:
    lab_host.tiny()
    assert lab_host.fix("register-runtime").returncode == 0
    old = lab_host.sh("pidof dockerd")
    lab_host.sh("systemctl kill -s KILL docker.service")
    lab_host.wait(f"new=$(pidof dockerd) && [ $new != {old} ] && docker ps")
    assert lab_host.run(RUNS).returncode == 0
    assert lab_host.doctor("runtime.registered")["runtime.registered"]["status"] == "ok"
