"""A proxy for Docker, and room on its disk: the plans, and what they never touch."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.checks.machines import Instead
from wizard.demo import machine, spec
from wizard.host.ports import Host
from wizard.model import daemon_json
from wizard.model.disk_usage import DiskUsage, StoredContainer, StoredImage
from wizard.model.engine import DaemonProcess, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.fix import Fix, ReplaceFile, Risk, RunCommand
from wizard.model.machine import FileContent
from wizard.services import repairs
from wizard.services.fixes import free_disk_space, set_daemon_proxy

PASSWORD = "swordfish"
GB = 1_000_000_000


def refusal(host: Host, id_: str) -> Trouble:
    with pytest.raises(Trouble) as caught:
        repairs.plan(host, id_)
    return caught.value


# --- the proxy ---------------------------------------------------------------------------------------------------


def behind(**info: Any) -> Host:
    host = machine.build("behind-proxy")
    return replace(host, engine=Instead(host.engine, info=replace(host.engine.info(), **info)))


def proxy_plan(host: Host) -> tuple[Fix, ReplaceFile]:
    fix = repairs.plan(host, set_daemon_proxy.ID)
    assert fix is not None
    (action,) = fix.actions
    assert isinstance(action, ReplaceFile)
    return fix, action


def test_since_23_the_proxy_stands_in_dockers_own_file_and_the_rest_of_it_stays() -> None:
    host = machine.build("behind-proxy")
    fix, action = proxy_plan(host)
    assert (action.path, fix.risk, fix.check) == ("/etc/docker/daemon.json", Risk.RESTART, "network.proxy")
    assert action.before is not None
    assert action.after is not None
    settings = json.loads(action.after)
    assert settings.pop("proxies") == {
        "http-proxy": "http://proxy.example.com:3128",
        "https-proxy": f"http://mei:{PASSWORD}@proxy.example.com:3128",
        "no-proxy": "localhost,127.0.0.1,.example.com",
    }
    assert settings == json.loads(action.before)
    assert [command.argv[:2] for command in fix.closing] == [("systemctl", "reset-failed"), ("systemctl", "restart")]
    assert fix.touches == ("group-notebook",)


def test_before_23_a_file_of_systemd_holds_it() -> None:
    fix, action = proxy_plan(behind(version="20.10.24"))
    assert (action.path, action.before) == ("/etc/systemd/system/docker.service.d/http-proxy.conf", None)
    assert (action.after or b"").decode().splitlines() == [
        "[Service]",
        'Environment="HTTP_PROXY=http://proxy.example.com:3128"',
        f'Environment="HTTPS_PROXY=http://mei:{PASSWORD}@proxy.example.com:3128"',
        'Environment="NO_PROXY=localhost,127.0.0.1,.example.com"',
    ]
    assert action.mode == 0o600
    assert ("systemctl", "daemon-reload") in [command.argv for command in fix.closing]


def test_the_password_is_masked_in_everything_that_is_shown_and_said_to_be_readable() -> None:
    host = machine.build("behind-proxy")
    fix, _action = proxy_plan(host)
    shown = " ".join(f"{part.title} {part.text}" for part in repairs.preview(host, fix))
    assert PASSWORD not in f"{shown} {fix.title} {fix.why} {fix.evidence}"
    assert "proxy.example.com" in shown
    assert "readable" in fix.why


def test_a_proxy_without_a_password_needs_no_warning() -> None:
    host = machine.build("behind-proxy")
    host = replace(host, environ={**host.environ, "HTTPS_PROXY": "http://proxy.example.com:3128"})
    fix, action = proxy_plan(host)
    assert "readable" not in fix.why
    assert action.mode == 0o644


def test_nothing_to_do_where_docker_has_it() -> None:
    host = behind(https_proxy="http://xxxxx:xxxxx@proxy.example.com:3128")
    assert repairs.plan(host, set_daemon_proxy.ID) is None


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"kind": EngineKind.REMOTE}, Problem.ENGINE_OTHER),
        ({"kind": EngineKind.DESKTOP}, Problem.ENGINE_OTHER),
        ({"kind": EngineKind.ROOTLESS, "version": "20.10.24"}, Problem.ENGINE_OTHER),
    ],
)
def test_a_docker_that_this_is_not_for(changes: dict[str, Any], kind: Problem) -> None:
    seen = refusal(behind(**changes), set_daemon_proxy.ID)
    assert (seen.kind, bool(seen.hint)) == (kind, True)


def test_a_shell_without_a_proxy_has_nothing_to_tell() -> None:
    assert refusal(machine.build("healthy"), set_daemon_proxy.ID).kind is Problem.BAD_INPUT


def test_a_proxy_on_the_command_line_would_stop_docker_from_starting() -> None:
    host = machine.build("behind-proxy")
    argv = ("/usr/bin/dockerd", "-H", "fd://", f"--https-proxy=http://x:{PASSWORD}@old:1")
    engine = Instead(host.engine, daemon=DaemonProcess(812, argv, "docker.service"))
    seen = refusal(replace(host, engine=engine), set_daemon_proxy.ID)
    assert seen.kind is Problem.BAD_INPUT
    assert PASSWORD not in f"{seen.evidence}"


def test_somebody_elses_file_of_systemd_is_not_overwritten() -> None:
    host = behind(version="20.10.24")
    theirs = FileContent(
        set_daemon_proxy.DROP_IN, set_daemon_proxy.DROP_IN, b"[Service]\nEnvironment=A=b\n", 0o644, 0, 0
    )
    files = Instead(host.files, read=lambda path, root=False: theirs if path == set_daemon_proxy.DROP_IN else None)
    assert refusal(replace(host, files=files), set_daemon_proxy.ID).kind is Problem.BAD_INPUT


def test_a_broken_settings_file_is_not_written_to() -> None:
    text = 'extends = "behind-proxy"\n[docker]\nrunning = true\n[files."/etc/docker/daemon.json"]\ntext = "{}"'
    host = machine.assemble(spec.parse(text, "test"))
    there = host.files.read("/etc/docker/daemon.json", root=False)
    assert there is not None
    broken = replace(there, data=b'{"debug": true,}')
    files = Instead(host.files, read=lambda path, root=False: broken if path == there.path else None)
    seen = refusal(replace(host, files=files), set_daemon_proxy.ID)
    assert seen.kind is Problem.BAD_INPUT
    assert "Line 1" in seen.hint


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30))
def test_whatever_a_password_holds_it_arrives_in_the_file(password: str) -> None:
    url = f"http://me:{password}@proxy:1"
    after = daemon_json.with_text(b'{"debug": true}', ("proxies", "https-proxy"), url)
    assert json.loads(after) == {"debug": True, "proxies": {"https-proxy": url}}


# --- the disk ----------------------------------------------------------------------------------------------------


def disk_plan(usage: DiskUsage, **info: Any) -> Fix | None:
    host = machine.build("disk-full")
    told = replace(host.engine.info(), **info)
    return repairs.plan(replace(host, engine=Instead(host.engine, disk_usage=usage, info=told)), free_disk_space.ID)


def image(name: str, size: int = GB, *, in_use: bool = False) -> StoredImage:
    return StoredImage(f"sha256:{name}", (name,) if name else (), size, in_use)


def commands(fix: Fix | None) -> list[tuple[str, ...]]:
    assert fix is not None
    return [action.argv for action in fix.actions if isinstance(action, RunCommand)]


def test_only_what_nobody_misses_is_removed_and_by_docker_itself() -> None:
    host = machine.build("disk-full")
    fix = repairs.plan(host, free_disk_space.ID)
    assert fix is not None
    assert commands(fix) == [("docker", "image", "prune", "--force"), ("docker", "builder", "prune", "--force")]
    assert (fix.needs_root, fix.risk) == (False, Risk.NONE)
    assert "35 GB" in fix.title
    assert "docker image rm docker.io/example/speech-2024:old" in fix.why
    assert "cannot be put back" in fix.undo_note


def test_each_part_is_done_only_where_there_is_something() -> None:
    assert commands(disk_plan(DiskUsage((image(""),), (), 0))) == [("docker", "image", "prune", "--force")]
    assert commands(disk_plan(DiskUsage((), (), GB))) == [("docker", "builder", "prune", "--force")]
    assert disk_plan(DiskUsage((), (), 0)) is None


def test_what_is_somebodys_is_named_with_its_size_and_left_alone() -> None:
    usage = DiskUsage(
        images=(
            image("", in_use=True),
            image("old:1", 4 * GB),
            image("used:1", 9 * GB, in_use=True),
            image("nvcr.io/nvidia/tensorflow:20.11-tf1-py3", 9 * GB),
            image("tiny:1", 1000),
        ),
        containers=(
            StoredContainer("1", "stopped", running=False, size=2 * GB),
            StoredContainer("2", "running", running=True, size=5 * GB),
        ),
        build_cache=0,
    )
    with pytest.raises(Trouble) as caught:
        disk_plan(usage)
    assert caught.value.kind is Problem.DISK_FULL
    seen = [(item.source, item.text) for item in caught.value.evidence]
    assert seen == [("docker image rm old:1", "4.0 GB"), ("docker rm stopped", "2.0 GB")]


def test_the_disk_of_another_machine_is_not_tidied() -> None:
    with pytest.raises(Trouble) as caught:
        disk_plan(DiskUsage((image(""),), (), GB), kind=EngineKind.REMOTE)
    assert caught.value.kind is Problem.ENGINE_OTHER


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 10**12)), max_size=6), st.integers(0, 10**12))
def test_a_plan_never_names_more_than_the_nameless(items: list[tuple[bool, bool, int]], cache: int) -> None:
    images = tuple(
        image(f"name{number}:1" if named else "", size, in_use=used) for number, (named, used, size) in enumerate(items)
    )
    for action in free_disk_space._actions(DiskUsage(images, (), cache)):
        assert action.argv in [("docker", "image", "prune", "--force"), ("docker", "builder", "prune", "--force")]
        assert "-a" not in action.argv
