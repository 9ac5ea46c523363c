"""How the repairs of NVIDIA's toolkit are planned. What they do on a machine is tested for real elsewhere; dnf and
zypper are only planned for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.model.test_openpgp import FINGERPRINT, KEY
from tests.services.checks.machines import Instead, trouble
from tests.services.checks.test_toolkit import STATUS, package, with_commands, with_files
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.fix import Fix, ReplaceFile, RunCommand
from wizard.model.machine import CommandResult
from wizard.services import packages, repairs
from wizard.services.checks.packages_sources import FOLDER

OWN = {"nvidia": {"url": "http://mirror/deb/", "key": "http://mirror/key", "fingerprint": FINGERPRINT}}
NONE: dict[str, str | None] = {STATUS: None}


def bare(manager: str, *, key: str = KEY, code: int = 0, lists: Mapping[str, str] | None = None) -> Host:
    """A machine without the toolkit, with that package manager, and a mirror for NVIDIA's packages."""
    host = replace(machine.build("no-toolkit"), packages=OWN)
    there = {"apt": "apt-get", "dnf": "dnf", "zypper": "zypper"}[manager]

    def answer(argv: tuple[str, ...]) -> Any:
        if argv[0] in ("curl", "wget"):
            return CommandResult(argv, code, key, "curl: (6) Could not resolve host: mirror" if code else "")
        if argv[0] in ("apt-cache", "dnf", "zypper", "rpm"):
            return CommandResult(argv, 1, "", "")
        return None

    host = with_commands(host, answer)
    found = host.commands

    def which(name: str) -> str | None:
        if name in ("apt-get", "dnf", "zypper"):
            return f"/usr/bin/{name}" if name == there else None
        return found.which(name)

    host = replace(host, commands=Instead(found, which=which))
    return with_files(host, {**({} if manager == "apt" else NONE), **(lists or {})})


def planned(host: Host, id: str = "install-toolkit") -> Fix:
    fix = repairs.plan(host, id)
    assert fix is not None
    return fix


def refused(host: Host, id: str) -> Trouble:
    with pytest.raises(Trouble) as caught:
        repairs.plan(host, id)
    return caught.value


def commands(fix: Fix) -> list[str]:
    return [" ".join(action.argv) for action in fix.actions if isinstance(action, RunCommand)]


@pytest.mark.parametrize(
    ("manager", "list_file", "line", "install", "undo"),
    [
        (
            "apt",
            f"{FOLDER}/nvidia-container-toolkit.list",
            "deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.asc] http://mirror/deb/$(ARCH) /\n",
            "apt-get install -y --no-install-recommends",
            "apt-get purge -y",
        ),
        (
            "dnf",
            "/etc/yum.repos.d/nvidia-container-toolkit.repo",
            "baseurl=http://mirror/deb/$basearch\n",
            "dnf install -y",
            "dnf remove -y --noautoremove",
        ),
        (
            "zypper",
            "/etc/zypp/repos.d/nvidia-container-toolkit.repo",
            "baseurl=http://mirror/deb/$basearch\n",
            "zypper --non-interactive install --no-recommends",
            "zypper --non-interactive remove",
        ),
    ],
)
def test_an_installation_is_a_key_a_list_and_two_commands(
    manager: str, list_file: str, line: str, install: str, undo: str
) -> None:
    fix = planned(bare(manager))
    key, sources, refresh, last = fix.actions
    assert isinstance(key, ReplaceFile)
    assert isinstance(sources, ReplaceFile)
    assert (key.before, key.after) == (None, KEY.encode())
    assert FINGERPRINT in key.why
    assert FINGERPRINT in fix.why
    assert sources.path == list_file
    assert sources.after is not None
    assert line in sources.after.decode()
    assert key.path in sources.after.decode()
    assert isinstance(refresh, RunCommand)
    assert isinstance(last, RunCommand)
    assert install in " ".join(last.argv)
    assert last.argv[-1] == "nvidia-container-toolkit"
    assert last.undo is not None
    assert undo in " ".join(last.undo)
    assert {"nvidia-container-toolkit-base", "libnvidia-container1"} <= set(last.undo)
    assert refresh.undo == last.undo, "an installation that broke off is taken back, too"
    assert all(action.needs_root for action in (key, sources, refresh, last))
    assert [command.argv[:2] for command in fix.closing][-1] == ("systemctl", "restart")


def test_a_key_that_is_another_none_or_not_to_be_had_stops_everything() -> None:
    other = bare("apt", key=KEY.replace("eIY1", "eIY2"))
    assert refused(other, "install-toolkit").kind is Problem.BAD_INPUT
    page = refused(bare("apt", key="<html>Log in</html>"), "install-toolkit")
    assert (page.kind, page.subject) == (Problem.BAD_INPUT, "http://mirror/key")
    away = refused(bare("apt", code=6), "install-toolkit")
    assert away.kind is Problem.PACKAGES_UNREACHABLE
    assert "resolve" in away.text


def test_a_source_that_is_there_already_is_used_as_it_is() -> None:
    own = {f"{FOLDER}/ours.list": "deb [signed-by=/k.gpg] http://mirror/deb/amd64 /\n"}
    fix = planned(bare("apt", lists=own))
    assert not any(isinstance(action, ReplaceFile) for action in fix.actions)
    assert f"Dir::Etc::sourcelist={FOLDER}/ours.list" in commands(fix)[0]


def test_half_installed_packages_are_written_again_and_stay_at_an_undo() -> None:
    status = package("nvidia-container-toolkit", "1.17.8-1", "install ok half-configured")
    host = with_files(replace(machine.build("healthy"), packages={}), {STATUS: status})
    policy = "  Candidate: 1.17.8-1\n  500 https://nvidia.github.io/libnvidia-container/stable/deb/amd64  Packages\n"
    host = with_commands(host, lambda argv: CommandResult(argv, 0, policy) if argv[0] == "apt-cache" else None)
    fix = planned(host)
    (update, install) = commands(fix)
    assert "--reinstall nvidia-container-toolkit" in install
    assert "nvidia-container-toolkit.list" in update
    last = fix.actions[-1]
    assert isinstance(last, RunCommand)
    assert last.undo is not None
    assert "nvidia-container-toolkit" not in last.undo
    assert "libnvidia-container1" in last.undo


def test_nothing_is_planned_where_it_is_there_or_would_not_help() -> None:
    assert repairs.plan(machine.build("healthy"), "install-toolkit") is None
    host = bare("apt")
    for kind in (EngineKind.DESKTOP, EngineKind.SNAP, EngineKind.REMOTE, EngineKind.PODMAN):
        elsewhere = replace(host, engine=Instead(host.engine, info=replace(host.engine.info(), kind=kind)))
        assert refused(elsewhere, "install-toolkit").kind is Problem.ENGINE_OTHER
    frozen = with_files(host, {"/run/ostree-booted": ""})
    assert refused(frozen, "install-toolkit").kind is Problem.COMMAND_MISSING
    contradicting = bare(
        "apt",
        lists={
            f"{FOLDER}/nvidia-docker.list": "deb https://nvidia.github.io/x /\n",
            f"{FOLDER}/nvidia-container-toolkit.list": "deb [signed-by=/k.gpg] https://nvidia.github.io/x /\n",
        },
    )
    stopped = refused(contradicting, "install-toolkit")
    assert (stopped.kind, "move-stale-apt-list" in stopped.hint) == (Problem.PACKAGES_SOURCES, True)


def test_a_docker_that_was_started_by_hand_is_not_restarted() -> None:
    host = bare("apt")
    daemon = replace(host.engine.daemon(), unit=None)  # type: ignore[type-var]
    fix = planned(replace(host, engine=Instead(host.engine, daemon=daemon)))
    assert fix.closing == ()
    assert "restart Docker" in fix.touches_note
    stopped = trouble(Problem.ENGINE_REFUSED)
    quiet = planned(replace(host, engine=Instead(host.engine, info=stopped, ping=stopped, daemon=None)))
    assert quiet.closing == ()


# --- lists that contradict each other ----------------------------------------------------------------------------

PLACE = "https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /"


@pytest.mark.parametrize(
    ("lists", "moved"),
    [
        (
            {"nvidia-docker": f"deb {PLACE}", "nvidia-container-toolkit": f"deb [signed-by=/k] {PLACE}"},
            ["nvidia-docker"],
        ),
        (
            {
                "nvidia-docker": f"deb {PLACE}",
                "libnvidia-container": f"deb [signed-by=/old] {PLACE}",
                "nvidia-container-toolkit": f"deb [signed-by=/k] {PLACE}",
            },
            ["libnvidia-container", "nvidia-docker"],
        ),
        (
            {"nvidia-docker": f"deb {PLACE}", "nvidia-container-runtime": f"deb [signed-by=/k] {PLACE}"},
            ["nvidia-docker"],
        ),
        ({"nvidia-docker": f"deb {PLACE}", "mine": f"deb [signed-by=/k] {PLACE}"}, ["nvidia-docker"]),
        ({"zz-mine": f"deb {PLACE}", "nvidia-container-toolkit": f"deb [signed-by=/k] {PLACE}"}, None),
        ({"mine": f"deb {PLACE}", "nvidia-container-toolkit": f"deb [signed-by=/k] {PLACE}"}, []),
        (
            {
                "nvidia-docker": f"deb {PLACE}\ndeb http://example.org/x stable main",
                "nvidia-container-toolkit": f"deb [signed-by=/k] {PLACE}",
            },
            None,
        ),
        ({"nvidia-docker": f"deb [signed-by=/a] {PLACE}", "libnvidia-container": f"deb [signed-by=/b] {PLACE}"}, None),
        ({"nvidia-container-toolkit": f"deb [signed-by=/k] {PLACE}"}, []),
    ],
)
def test_only_old_lists_of_nvidia_alone_are_moved(lists: dict[str, str], moved: list[str] | None) -> None:
    host = with_files(machine.build("healthy"), {f"{FOLDER}/{name}.list": text for name, text in lists.items()})
    if "nvidia-container-toolkit" not in lists:
        host = with_files(host, {f"{FOLDER}/nvidia-container-toolkit.list": None})
    if moved is None:
        assert refused(host, "move-stale-apt-list").kind is Problem.BAD_INPUT
        return
    fix = repairs.plan(host, "move-stale-apt-list")
    paths = [action.path for action in fix.actions if isinstance(action, ReplaceFile)] if fix else []
    wanted = [f"{FOLDER}/{name}.list{end}" for name in moved for end in (".disabled", "")]
    assert paths == wanted


def test_a_list_that_was_put_aside_before_is_not_overwritten() -> None:
    host = with_files(machine.build("old-nvidia-docker"), {f"{FOLDER}/nvidia-docker.list.disabled": "earlier"})
    first = planned(host, "move-stale-apt-list").actions[0]
    assert isinstance(first, ReplaceFile)
    assert (first.path, first.before) == (f"{FOLDER}/nvidia-docker.list.2.disabled", None)


# --- the old package, and the description for CDI ----------------------------------------------------------------


def test_the_old_package_is_not_removed_when_others_would_go_with_it() -> None:
    host = machine.build("old-nvidia-docker")
    said = "Remv nvidia-docker2 [2.13.0-1]\nRemv nvidia-container-toolkit [1.17.8-1]\n"
    more = with_commands(host, lambda argv: CommandResult(argv, 0, said) if "--simulate" in argv else None)
    found = refused(more, "remove-nvidia-docker2")
    assert (found.kind, "nvidia-container-toolkit" in found.hint) == (Problem.PACKAGES_BROKEN, True)
    mark, remove = planned(host, "remove-nvidia-docker2").actions
    assert isinstance(mark, RunCommand)
    assert isinstance(remove, RunCommand)
    assert mark.argv[:3] == ("apt-mark", "manual", "nvidia-container-toolkit")
    assert "purge" not in remove.argv
    assert repairs.plan(machine.build("healthy"), "remove-nvidia-docker2") is None


def test_a_description_is_made_only_by_a_program_that_sees_the_gpus() -> None:
    host = machine.build("stale-cdi")
    assert (
        repairs.plan(
            with_files(host, {"/etc/cdi/nvidia.yaml": "kind: nvidia.com/gpu\nlibcuda.so.535.54.03"}), "generate-cdi"
        )
        is None
    )
    blind = with_commands(host, lambda argv: CommandResult(argv, 1, "", "ERROR_LIBRARY_NOT_FOUND"))
    assert refused(blind, "generate-cdi").kind is Problem.COMMAND_FAILED
    (action,) = planned(with_files(host, {"/etc/cdi/nvidia.yaml": None}), "generate-cdi").actions
    assert isinstance(action, ReplaceFile)
    assert (action.path, action.before) == ("/etc/cdi/nvidia.yaml", None)


# --- what a package manager says ---------------------------------------------------------------------------------

APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install")


@pytest.mark.parametrize(
    ("argv", "said", "kind", "hint"),
    [
        (
            APT,
            (
                "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (unattended-upgr)\n"
                "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), "
                "is another process using it?"
            ),
            Problem.PACKAGES_LOCKED,
            "1234 (unattended-upgr)",
        ),
        (APT, "E: You don't have enough free space in /var/cache/apt/archives/.", Problem.DISK_FULL, ""),
        (APT, "dpkg: error processing archive x.deb: cannot copy: No space left on device", Problem.DISK_FULL, ""),
        (APT, "E: Unable to locate package nvidia-container-toolkit", Problem.PACKAGE_UNKNOWN, ""),
        (
            APT,
            (
                "E: Failed to fetch https://example.org/InRelease  Temporary failure resolving 'example.org'\n"
                "E: Some index files failed to download."
            ),
            Problem.PACKAGES_UNREACHABLE,
            "",
        ),
        (
            APT,
            (
                "W: GPG error: https://example.org InRelease: The following signatures couldn't be verified "
                "because the "
                "public key is not available: NO_PUBKEY DDCAE044F796ECB0\nE: The repository is not signed."
            ),
            Problem.PACKAGES_SOURCES,
            "",
        ),
        (
            APT,
            "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
            Problem.PACKAGES_BROKEN,
            "",
        ),
        (("dnf", "install"), "Error: Unable to find a match: nvidia-container-toolkit", Problem.PACKAGE_UNKNOWN, ""),
        (
            ("dnf", "install"),
            "Error: Failed to download metadata for repo: Curl error (6): Couldn't resolve host name",
            Problem.PACKAGES_UNREACHABLE,
            "",
        ),
        (
            ("zypper", "install"),
            "System management is locked by the application with pid 4711 (zypper).",
            Problem.PACKAGES_LOCKED,
            "4711 (zypper)",
        ),
        (("zypper", "install"), "No provider of 'nvidia-container-toolkit' found.", Problem.PACKAGE_UNKNOWN, ""),
    ],
)
def test_what_a_package_manager_says_has_a_kind(argv: tuple[str, ...], said: str, kind: Problem, hint: str) -> None:
    found = packages.failure(argv, said)
    assert found is not None
    assert (found.kind, hint in found.hint) == (kind, True)
    assert said.strip() in found.evidence[0].text


def test_other_programs_and_unknown_words_are_not_judged() -> None:
    assert packages.failure(("systemctl", "restart", "docker"), "No space left on device") is None
    assert packages.failure(APT, "E: something that nobody has seen yet") is None
