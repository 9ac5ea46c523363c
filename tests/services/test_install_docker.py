"""The plans that install Docker and let a user use it: on the simulated machines, and from bare facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wizard.demo.machine import build
from wizard.host.ports import Commands, Host
from wizard.knowledge import docker_packages
from wizard.model.errors import Problem, Trouble
from wizard.model.fix import Effect, Fix, ReplaceFile, RunCommand
from wizard.model.machine import CommandResult
from wizard.model.step import StepState
from wizard.services import packages, repairs
from wizard.services.fixes import install_docker, install_docker_ce, join_docker_group

DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
MINT = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian", "VERSION_CODENAME": "wilma", "UBUNTU_CODENAME": "noble"}


def argvs(fix: Fix) -> list[tuple[str, ...]]:
    return [action.argv for action in fix.actions if isinstance(action, RunCommand)]


class Saying:
    """The commands of a simulated machine, of which one answers otherwise."""

    def __init__(self, commands: Commands, begins: tuple[str, ...], answer: CommandResult) -> None:
        self._commands, self._begins, self._answer = commands, begins, answer

    def which(self, name: str) -> str | None:
        return self._commands.which(name)

    def run(self, argv: tuple[str, ...], **options: object) -> CommandResult:
        if argv[: len(self._begins)] == self._begins:
            return replace(self._answer, argv=argv)
        return self._commands.run(argv, **options)  # type: ignore[arg-type]


def saying(host: Host, *begins: str, returncode: int = 0, stdout: str = "", stderr: str = "") -> Host:
    answer = CommandResult(begins, returncode, stdout, stderr)
    return replace(host, commands=Saying(host.commands, begins, answer))


def test_os_release_is_read_as_its_manual_describes_it() -> None:
    text = b'# a comment\nID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME=\'X\'\nBROKEN="\nno equals\n'
    assert docker_packages.os_release(text) == {
        "ID": "debian",
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)",
        "NAME": "X",
        "BROKEN": '"',
    }


@pytest.mark.parametrize(
    ("manager", "system", "wanted"),
    [
        ("apt", DEBIAN, "docker.io"),
        ("apt", MINT, "docker.io"),
        ("dnf", {"ID": "fedora"}, "moby-engine"),
        ("dnf", {"ID": "rhel"}, None),
        ("zypper", {"ID": "opensuse-leap"}, "docker"),
    ],
)
def test_every_distribution_has_its_own_name_for_docker(manager: str, system: dict[str, str], wanted: str) -> None:
    choice = docker_packages.distribution(manager, system)
    assert (choice.wanted if choice else None) == wanted


@pytest.mark.parametrize(
    ("manager", "system", "line"),
    [
        ("apt", DEBIAN, "https://download.docker.com/linux/debian bookworm stable"),
        ("apt", MINT, "https://download.docker.com/linux/ubuntu noble stable"),
        ("dnf", {"ID": "fedora"}, "https://download.docker.com/linux/fedora/$releasever/$basearch/stable"),
        ("dnf", {"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "https://download.docker.com/linux/rhel/$releasever"),
    ],
)
def test_docker_s_own_repository_fits_the_system(manager: str, system: dict[str, str], line: str) -> None:
    found = docker_packages.own(manager, system, {})
    assert found is not None
    assert line in found.text
    assert len(found.fingerprint) == 40


@pytest.mark.parametrize(
    ("manager", "system"),
    [("apt", {"ID": "devuan"}), ("zypper", {"ID": "opensuse-leap"}), ("apt", {"ID": "debian"}), ("apt", {})],
)
def test_docker_makes_no_packages_for_every_system(manager: str, system: dict[str, str]) -> None:
    assert docker_packages.own(manager, system, {}) is None


def test_the_settings_may_name_a_mirror() -> None:
    found = docker_packages.own("apt", DEBIAN, {"url": "http://mirror/", "fingerprint": "ab cd"})
    assert found is not None
    assert found.url == "http://mirror"
    assert found.fingerprint == "ABCD"


def test_the_undo_removes_what_apt_would_bring_and_nothing_else() -> None:
    fix = repairs.plan(build("no-docker"), install_docker.ID)
    assert fix is not None
    refresh, install = (action for action in fix.actions if isinstance(action, RunCommand))
    assert install.argv[-1] == "docker.io"
    assert "--no-remove" in install.argv
    assert install.undo is not None
    assert set(install.undo[install.undo.index("-y") + 3 :]) == {"docker.io", "containerd", "runc", "tini"}
    assert refresh.undo == install.undo, "an installation that breaks off is taken back by the step before it"


def test_what_is_updated_is_no_new_package() -> None:
    text = "Inst libc6 [2.36-1] (2.36-2 Debian:12 [amd64])\nInst docker.io (20.10 Debian:12 [amd64])\n"
    assert install_docker.simulate(saying(build("no-docker"), "apt-get", "install", stdout=text), ("docker.io",)) == (
        "docker.io",
    )


def test_packages_that_would_have_to_go_stop_it() -> None:
    text = "Remv podman-docker [4.3.1]\nInst docker.io (20.10 Debian:12 [amd64])\n"
    with pytest.raises(Trouble) as caught:
        install_docker.plan(saying(build("no-docker"), "apt-get", "install", stdout=text))
    assert (caught.value.kind, caught.value.subject) == (Problem.PACKAGES_CONFLICT, "podman-docker")


def test_a_list_that_was_never_read_is_read_first_and_has_to_be_reached() -> None:
    host = saying(build("no-docker"), "apt-cache", "policy", stderr="N: Unable to locate package docker.io")
    fix = install_docker.plan(host)
    assert fix is not None
    refresh, install = argvs(fix)
    assert "APT::Update::Error-Mode=any" in refresh
    assert install[-1] == "docker.io"


@pytest.mark.parametrize(("manager", "last"), [("dnf", "moby-engine"), ("zypper", "docker")])
def test_elsewhere_the_service_is_started_and_stopped_before_the_removal(manager: str, last: str) -> None:
    fix = install_docker.build(install_docker.Facts(manager, (last,), (last, "containerd"), systemd=True))
    _refresh, install, start = (action for action in fix.actions if isinstance(action, RunCommand))
    assert install.argv[-1] == last
    assert start.argv == ("systemctl", "enable", "--now", "docker.service")
    assert start.undo == ("systemctl", "disable", "--now", "docker.service", "docker.socket")
    without = install_docker.build(install_docker.Facts(manager, (last,), (last,), systemd=False))
    assert len(without.actions) == 2


def test_docker_s_own_packages_bring_a_key_and_a_list() -> None:
    fix = repairs.plan(build("no-docker"), install_docker_ce.ID)
    assert fix is not None
    files = {action.path: action.after for action in fix.actions if isinstance(action, ReplaceFile)}
    assert set(files) == {"/etc/apt/keyrings/docker.asc", "/etc/apt/sources.list.d/docker.list"}
    assert "9DC858229FC7DD38854AE2D88D81803C0EBFCD88" in fix.why


def test_another_key_is_refused() -> None:
    host = saying(build("no-docker"), "curl", stdout="<html>please log in</html>")
    with pytest.raises(Trouble) as caught:
        install_docker_ce.plan(host)
    assert caught.value.kind is Problem.BAD_INPUT
    assert "Docker" in caught.value.hint


def test_the_distribution_s_containerd_is_not_thrown_out() -> None:
    host = build("no-docker")
    status = b"Package: containerd\nStatus: install ok installed\nVersion: 1.6.20\n"
    before = host.files.read(packages.DPKG_STATUS)
    assert before is not None
    host.commands.run(host.privilege.ask_argv())
    host.files.replace(packages.DPKG_STATUS, before.data, status, root=True)
    with pytest.raises(Trouble) as caught:
        install_docker_ce.plan(host)
    assert (caught.value.kind, caught.value.subject) == (Problem.PACKAGES_CONFLICT, "containerd")


@pytest.mark.parametrize("fix_id", [install_docker.ID, install_docker_ce.ID])
def test_where_docker_is_nothing_is_installed(fix_id: str) -> None:
    assert repairs.plan(build("healthy"), fix_id) is None


# --- the group ---------------------------------------------------------------------------------------------------


def test_joining_says_what_it_means_and_waits_for_the_next_login() -> None:
    host = build("no-permission")
    fix = repairs.plan(host, join_docker_group.ID)
    assert fix is not None
    assert "everything on this machine" in fix.why
    assert argvs(fix) == [("usermod", "-aG", "docker", "mei")]
    assert fix.effect is Effect.AFTER_LOGIN
    host.commands.run(host.privilege.ask_argv())
    receipt = repairs.apply(host, fix)
    assert receipt.state is StepState.NOT_VERIFIED
    assert "sg docker -c s2s-wizard" in receipt.reason


def test_a_user_of_a_directory_service_is_added_by_another_program_and_a_missing_group_is_made() -> None:
    facts = join_docker_group.Facts("ann", local=False, exists=False, groups=("ann",), closing=(), stopped=())
    fix = join_docker_group.build(facts)
    assert argvs(fix) == [("groupadd", "--system", "docker"), ("gpasswd", "-a", "ann", "docker")]
    undos = [action.undo for action in fix.actions if isinstance(action, RunCommand)]
    assert undos == [("groupdel", "docker"), ("gpasswd", "-d", "ann", "docker")]


def test_root_and_members_need_nothing() -> None:
    host = build("no-permission")
    root = replace(host, info=replace(host.info, uid=0))
    member = replace(host, info=replace(host.info, groups_on_file=("mei", "docker")))
    assert join_docker_group.plan(root) is None
    assert join_docker_group.plan(member) is None
