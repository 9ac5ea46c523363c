"""The checks of NVIDIA's toolkit: packages, settings, hook, descriptions, and a container that sees the GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.services.checks.machines import Instead, find, trouble, with_engine
from wizard.demo import machine
from wizard.host.ports import Host
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Finding, Status
from wizard.model.machine import CommandResult, FileContent, PathInfo, PathKind
from wizard.services.checks import packages_sources, runtime_toolkit, toolkit_config, toolkit_hook

STATUS = "/var/lib/dpkg/status"
CONFIG = toolkit_config.PATH
HOOK = "/usr/bin/nvidia-container-runtime-hook"
BEGAN = 1_793_613_600 + 14.8
"""When Docker was started on the simulated machines."""


def with_files(host: Host, files: Mapping[str, str | bytes | None]) -> Host:
    real = host.files

    def read(path: str, *, root: bool = False) -> FileContent | None:
        if path not in files:
            return real.read(path, root=root)
        text = files[path]
        data = text.encode() if isinstance(text, str) else text
        return None if data is None else FileContent(path, path, data, 0o644, 0, 0)

    def info(path: str) -> PathInfo:
        if path not in files:
            return real.info(path)
        return PathInfo(path, PathKind.MISSING) if files[path] is None else PathInfo(path, PathKind.FILE, True)

    def names(folder: str) -> tuple[str, ...]:
        here = {path.rpartition("/")[2]: text for path, text in files.items() if path.rpartition("/")[0] == folder}
        kept = {name for name in real.names(folder) if here.get(name, "") is not None}
        return tuple(sorted(kept | {name for name, text in here.items() if text is not None}))

    return replace(host, files=Instead(real, read=read, info=info, names=names))


def with_commands(host: Host, answer: Callable[[tuple[str, ...]], Any], missing: tuple[str, ...] = ()) -> Host:
    def run(argv: tuple[str, ...], **_options: object) -> CommandResult:
        found = answer(argv)
        if isinstance(found, Trouble):
            raise found
        return found if isinstance(found, CommandResult) else host.commands.run(argv)

    def which(name: str) -> str | None:
        return None if name in missing else host.commands.which(name)

    return replace(host, commands=Instead(host.commands, run=run, which=which))


def package(name: str, version: str, state: str = "install ok installed") -> str:
    return f"Package: {name}\nStatus: {state}\nVersion: {version}\nDescription: it\n and more\n\n"


# --- the packages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "causes", "word"),
    [
        (
            package("nvidia-container-toolkit", "1.17.8-1") + package("libnvidia-container1", "1.17.8-1"),
            (),
            "installed",
        ),
        (
            package("nvidia-container-toolkit", "1.17.8-1") + package("libnvidia-container1", "1.14.0-1"),
            ("nvcli-missing",),
            "different versions",
        ),
        (package("nvidia-container-toolkit", "1.17.8-1", "install ok half-configured"), ("nvcli-missing",), "partly"),
        (package("libnvidia-container1", "1.17.8-1", "deinstall ok config-files"), (), "installed"),
        ("", (), "installed"),
    ],
)
def test_the_packages_are_whole_and_of_one_version(status: str, causes: tuple[str, ...], word: str) -> None:
    found = find(with_files(machine.build("healthy"), {STATUS: status}), "runtime.toolkit")
    assert (found.causes, word in found.summary) == (causes, True)
    assert found.status is (Status.WARNING if causes else Status.OK)
    assert found.fixes == ((runtime_toolkit.FIX,) if causes else ())


def test_a_tool_that_is_missing_counts_only_where_packages_brought_the_toolkit() -> None:
    host = with_commands(machine.build("healthy"), lambda argv: None, missing=("nvidia-container-cli",))
    assert find(host, "runtime.toolkit").causes == ("nvcli-missing",)
    assert find(with_files(host, {STATUS: ""}), "runtime.toolkit").status is Status.OK


def test_an_old_library_does_not_know_cgroup_v2() -> None:
    old = package("nvidia-container-toolkit", "1.5.1-1") + package("libnvidia-container1", "1.5.1-1")
    group = "/sys/fs/cgroup/cgroup.controllers"
    host = machine.build("healthy")
    assert find(with_files(host, {STATUS: old, group: None}), "runtime.toolkit").status is Status.OK
    found = find(with_files(host, {STATUS: old, group: "cpu io"}), "runtime.toolkit")
    assert (found.status, found.causes) == (Status.WARNING, ("nvcli-cgroup",))


@pytest.mark.parametrize(
    ("program", "runs"),
    [
        (b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00" + bytes(8), True),
        (b"\x7fELF\x02\x01" + bytes(12) + b"\xb7\x00" + bytes(8), False),
        (b"#!/usr/bin/env sh\n", True),
        (b"#! /usr/bin/not-there -x\n", False),
        (b"", True),
    ],
)
def test_a_program_for_another_processor_or_without_its_interpreter_cannot_run(program: bytes, runs: bool) -> None:
    host = machine.build("healthy")
    path = "/usr/bin/nvidia-container-runtime"

    def read(asked: str, *, root: bool = False) -> FileContent | None:
        return FileContent(path, path, program, 0o755, 0, 0) if asked == path else host.files.read(asked, root=root)

    found = find(replace(host, files=Instead(host.files, read=read)), "runtime.toolkit")
    assert (found.status is Status.OK, found.causes) == (runs, () if runs else ("runtime-not-executable",))


def test_without_the_toolkit_the_errors_that_people_see_are_explained() -> None:
    found = find(machine.build("no-toolkit"), "runtime.toolkit")
    assert (found.status, found.fixes) == (Status.ERROR, ("install-toolkit",))
    assert {"runtime-unknown", "gpus-no-driver"} <= set(found.causes)
    info = machine.build("no-toolkit").engine.info()
    named = with_engine("no-toolkit", info=replace(info, runtimes={"nvidia": "/usr/bin/nvidia-container-runtime"}))
    assert "runtime-binary-missing" in find(named, "runtime.toolkit").causes


# --- settings ----------------------------------------------------------------------------------------------------


def config(text: str | None, **files: str | None) -> Finding:
    return find(with_files(machine.build("healthy"), {CONFIG: text, **files}), "toolkit.config")


@pytest.mark.parametrize(
    ("text", "status", "causes"),
    [
        (None, Status.OK, ()),
        ("", Status.OK, ()),
        ("[nvidia-container-cli\n", Status.ERROR, ("toolkit-config-toml-broken", "runtime-exits-early")),
        ('[nvidia-container-cli]\nldconfig = "@/sbin/ldconfig.real"', Status.ERROR, ("ldconfig-missing",)),
        ('[nvidia-container-cli]\nldconfig = "/sbin/ldconfig.real"', Status.OK, ()),
        ('[nvidia-container-cli]\npath = "/opt/none"', Status.ERROR, ("nvcli-missing",)),
        ('[nvidia-container-runtime]\nruntimes = ["no-such-runc"]', Status.ERROR, ("runtime-lowlevel-missing",)),
        ('[nvidia-container-runtime]\nmode = "csv"', Status.ERROR, ("runtime-false-ok", "hook-mode-direct")),
        ('[nvidia-container-runtime]\nmode = "cdi"', Status.INFO, ("hook-mode-direct",)),
        ('[nvidia-container-runtime]\nmode = "legacy"', Status.OK, ()),
        ("[nvidia-container-cli]\nno-cgroups = true", Status.WARNING, ()),
        ('nvidia-container-cli = "text"\nnvidia-container-runtime = 1', Status.OK, ()),
    ],
)
def test_the_toolkit_s_settings(text: str | None, status: Status, causes: tuple[str, ...]) -> None:
    found = config(text)
    assert (found.status, found.causes) == (status, causes), found.summary


def test_a_jetson_board_is_told_how_it_gives_gpus() -> None:
    found = config("", **{"/etc/nv_tegra_release": "# R35"})
    assert (found.status, found.causes) == (Status.INFO, ("hook-mode-direct",))


@pytest.mark.parametrize(
    ("answer", "causes"),
    [
        (CommandResult(("x",), 1, "", "error loading config: toml"), ("runtime-exits-early",)),
        (CommandResult(("x",), 1, "", "no runtime binary found from candidate list"), ("runtime-lowlevel-missing",)),
        (trouble(Problem.COMMAND_FAILED, "Exec format error"), ("runtime-not-executable",)),
        (trouble(Problem.COMMAND_TIMEOUT), ()),
    ],
)
def test_a_runtime_that_does_not_run(answer: CommandResult | Trouble, causes: tuple[str, ...]) -> None:
    host = with_commands(machine.build("healthy"), lambda argv: answer if argv[-1] == "--version" else None)
    found = find(host, "toolkit.config")
    assert (found.status, found.causes) == (Status.ERROR, causes)


# --- the hook ----------------------------------------------------------------------------------------------------


def log(seconds: float, what: str) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(BEGAN + seconds))
    return f"{stamp} startup archives unpack\n{stamp} {what} 1.17.8-1 1.17.8-1\n"


def hook(ctime: float | None, dpkg: str | None, dnf: str | None = None) -> toolkit_hook.Look:
    """What is seen of a hook that was changed so many seconds after Docker's start; None: there is none."""
    host = with_files(machine.build("healthy"), {"/var/log/dpkg.log": dpkg, "/var/log/dnf.rpm.log": dnf})
    real = host.files

    def info(path: str) -> PathInfo:
        if path != HOOK:
            return real.info(path)
        kind = PathKind.MISSING if ctime is None else PathKind.FILE
        return PathInfo(path, kind, executable=True, changed=BEGAN + (ctime or 0))

    found = toolkit_hook.look(replace(host, files=Instead(real, info=info)))
    assert found is not None
    return found


NAME = "nvidia-container-toolkit:amd64"


@pytest.mark.parametrize(
    ("ctime", "dpkg", "causes"),
    [
        (-600, None, ()),
        (600, None, ("gpus-no-driver",)),
        (600, "", ("gpus-no-driver",)),
        (600, log(599, f"install {NAME}"), ("gpus-no-driver",)),
        (600, log(599, f"upgrade {NAME}"), ()),
        (600, log(599, "upgrade nvidia-driver-libs:amd64"), ("gpus-no-driver",)),
        (600, log(-600, f"upgrade {NAME}"), ("gpus-no-driver",)),
        (None, log(600, f"remove {NAME}"), ("hook-removed-after-start",)),
        (None, log(600, f"install {NAME}") + log(700, f"purge {NAME}"), ("hook-removed-after-start",)),
        (None, log(-600, f"remove {NAME}"), ("gpus-no-driver",)),
        (None, "", ("gpus-no-driver",)),
        (None, None, ("gpus-no-driver", "hook-removed-after-start")),
    ],
)
def test_what_docker_knows_of_the_hook(ctime: float | None, dpkg: str | None, causes: tuple[str, ...]) -> None:
    assert hook(ctime, dpkg).causes == causes


def test_dnf_s_log_tells_the_same() -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(BEGAN + 600))
    assert hook(600, None, f"{stamp} SUBDEBUG Upgraded: nvidia-container-toolkit-1.16.2-1.x86_64\n").causes == ()
    removed = hook(None, None, f"{stamp} SUBDEBUG Erase: nvidia-container-toolkit-1.16.2-1.x86_64\n")
    assert removed.seen is toolkit_hook.Seen.REMOVED


def test_a_toolkit_that_came_late_asks_for_a_restart_and_one_that_is_incomplete_for_an_installation() -> None:
    late = find(machine.build("late-toolkit"), "toolkit.hook")
    assert (late.status, late.fixes, late.causes) == (Status.WARNING, ("restart-docker",), ("gpus-no-driver",))
    host = with_files(machine.build("healthy"), {HOOK: None})
    missing = find(host, "toolkit.hook")
    assert (missing.status, missing.fixes) == (Status.WARNING, ("install-toolkit",))
    by_hand = find(with_files(host, {STATUS: "", HOOK: None}), "toolkit.hook")
    assert (by_hand.status, by_hand.fixes) == (Status.INFO, ())


@pytest.mark.parametrize(
    ("kind", "causes"), [(EngineKind.REMOTE, ()), (EngineKind.DESKTOP, ("gpus-no-driver",)), (EngineKind.PODMAN, ())]
)
def test_the_hook_of_another_docker_is_not_looked_for_here(kind: EngineKind, causes: tuple[str, ...]) -> None:
    info = replace(machine.build("healthy").engine.info(), kind=kind)
    found = find(with_engine(info=info), "toolkit.hook")
    assert (found.status, found.causes) == (Status.INFO, causes)


def test_a_daemon_whose_path_is_known_is_looked_at_there() -> None:
    host = with_files(machine.build("healthy"), {"/proc/812/environ": "A=1\0PATH=/opt/only\0B=2\0"})
    found = toolkit_hook.look(host)
    assert found is not None
    assert found.path == "", "Docker looks where its own PATH says"


# --- lists of sources --------------------------------------------------------------------------------------------


def test_contradicting_lists_are_found_and_others_are_left_alone() -> None:
    found = find(machine.build("old-nvidia-docker"), "packages.sources")
    assert (found.status, found.causes, found.fixes) == (Status.ERROR, ("apt-signed-by",), ("move-stale-apt-list",))
    assert any("nvidia-docker.list" in item.source for item in found.evidence)

    folder = packages_sources.FOLDER
    host = with_files(
        machine.build("healthy"),
        {
            f"{folder}/a.sources": "Types: deb\nURIs: https://example.org/x/\nSuites: stable\nSigned-By: /k.gpg\n",
            f"{folder}/b.list": "deb https://example.org/x stable main",
            f"{folder}/c.list.disabled": "deb https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH) /",
        },
    )
    other = find(host, "packages.sources")
    assert (other.status, other.causes, other.fixes) == (Status.WARNING, (), ())


# --- CDI ---------------------------------------------------------------------------------------------------------


def test_cdi_is_quiet_until_it_is_used() -> None:
    host = machine.build("healthy")
    quiet = find(host, "cdi.specs")
    assert (quiet.status, quiet.fixes) == (Status.OK, ())
    assert quiet.causes == ("cdi-unresolvable", "cdi-not-enabled"), "a container that asks for it would not start"
    wanted = find(with_files(host, {CONFIG: '[nvidia-container-runtime]\nmode = "cdi"\n'}), "cdi.specs")
    assert (wanted.status, wanted.fixes) == (Status.WARNING, ("generate-cdi",))
    switched = find(with_files(host, {"/etc/docker/daemon.json": '{"features": {"cdi": true}}'}), "cdi.specs")
    assert (switched.status, switched.fixes) == (Status.WARNING, ("generate-cdi",))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("kind: nvidia.com/gpu\n- libcuda.so.535.54.03\n", Status.OK),
        ('{"kind": "nvidia.com/gpu", "x": "libnvidia-ml.so.525.60.13"}', Status.WARNING),
        ("kind: nvidia.com/gpu\n", Status.OK),
        ("kind: example.org/gpu\n- libcuda.so.525.60.13\n", Status.OK),
    ],
)
def test_a_description_has_to_fit_the_driver_that_is_loaded(text: str, status: Status) -> None:
    host = with_files(machine.build("healthy"), {"/etc/cdi/nvidia.yaml": text})
    assert find(host, "cdi.specs").status is status


def test_the_open_driver_tells_its_version_in_other_words() -> None:
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\n"
    host = with_files(
        machine.build("healthy"),
        {"/proc/driver/nvidia/version": text, "/etc/cdi/nvidia.yaml": "kind: nvidia.com/gpu\nlibcuda.so.580.159.04"},
    )
    assert find(host, "cdi.specs").status is Status.OK


# --- a container -------------------------------------------------------------------------------------------------


def test_a_container_is_only_tried_where_there_is_a_gpu() -> None:
    host = machine.build("no-gpu")
    never = Instead(host.engine, create=trouble(Problem.INTERNAL))
    assert find(replace(host, engine=never), "gpu.container").status is Status.SKIPPED


def test_the_runtime_that_is_broken_is_told_by_its_own_words() -> None:
    broken = trouble(Problem.RUNTIME_BROKEN, "nvidia-container-cli: initialization error")
    found = find(with_engine(start=broken), "gpu.container")
    assert found.status is Status.ERROR
    assert any("initialization error" in item.text for item in found.evidence)
