"""The simulated Docker service: what it read when it started, and what a signal or systemd does to it.

The rules are those measured on real engines (the contract suite compares them): SIGHUP takes over the settings that
daemon.json names and keeps the others as they were, so that a runtime outlives the file that named it; ``--gpus`` is
decided by a program that is looked for once, at the start; a broken daemon.json is harmless until the next start.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from wizard.demo.files import ROOT, Tree
from wizard.demo.spec import Docker
from wizard.model import daemon_json, daemon_rules, systemd_unit
from wizard.model.container import ContainerInfo
from wizard.model.engine import DaemonProcess, ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.systemd_unit import FOLDERS, Unit, UnitFile

_HOOK = "/usr/bin/nvidia-container-runtime-hook"
_PROGRAM = "/usr/bin/dockerd"
_DIRECTIVES = """
    bip builder cgroup-parent data-root debug default-runtime default-shm-size dns exec-opts exec-root experimental
    features hosts insecure-registries ip-forward iptables labels live-restore log-driver log-level log-opts
    max-concurrent-downloads mtu proxies registry-mirrors runtimes selinux-enabled shutdown-timeout storage-driver
    storage-opts
"""
"""What daemon.json may say; a real engine refuses a file with anything else."""


@dataclass(slots=True)
class Box:
    """A container: what is told about it, and what it was made of."""

    info: ContainerInfo
    command: tuple[str, ...]
    gpus: bool = False
    lost_gpu: bool = False
    """until it is started the next time"""
    device_request: bool = False
    memlock: bool = False
    tty: bool = False
    env: dict[str, str] = field(default_factory=dict)
    output: str = ""
    size: int = 0
    """bytes written inside"""

    @property
    def sees_gpu(self) -> bool:
        return self.gpus and not self.lost_gpu


@dataclass(slots=True)
class Daemon:
    """The service and everything that it keeps."""

    spec: Docker
    tree: Tree
    running: bool = False
    failed: bool = False
    """systemd has given up"""
    enabled: bool = True
    """it starts with the machine"""
    log: str = ""
    """what the journal holds"""
    runtimes: dict[str, str] = field(default_factory=dict)
    default_runtime: str = "runc"
    live_restore: bool = False
    gpu_hook: bool = False
    argv: tuple[str, ...] = ()
    """its command line since the last start"""
    starts: int = 0
    proxies: dict[str, str] = field(default_factory=dict)
    """``http-proxy``, ``https-proxy``, ``no-proxy``; read at the start only"""
    dangling: list[int] = field(default_factory=list)
    """the bytes of each image without a name"""
    build_cache: int = 0
    """bytes"""
    images: dict[str, ImageInfo] = field(default_factory=dict)
    """by full name"""
    boxes: dict[str, Box] = field(default_factory=dict)
    """by id"""

    def start(self, *, earlier: bool = False) -> str:
        """Starts it. Returns why it would not: "" when it runs. One that was started ``earlier`` runs, whatever has
        become of its files since.

        systemd tries three times, then refuses every further start until it is told to forget them.
        """
        if self.running:
            return ""
        if self.failed:
            self.log += "docker.service: Start request repeated too quickly.\n"
            return "docker.service: Start request repeated too quickly."
        try:
            self.argv = self._command()
        except ValueError as error:  # systemd refuses the unit before anything is tried
            if not earlier:
                return str(error)
            self.argv = self.spec.argv
        try:
            settings = self._as_read_earlier() if earlier else self._judged()
        except ValueError as error:
            self.failed = True
            self.log += f"{error}\ndocker.service: Start request repeated too quickly.\n"
            return str(error)
        if self.tree.at(_PROGRAM) is None and not self._unit():
            return "Failed to start docker.service: Unit docker.service not found."
        self.runtimes = {**self.spec.runtimes, **daemon_json.daemon_runtimes(DaemonProcess(0, self.argv))}
        self.default_runtime = "runc"
        self.live_restore = False
        self.gpu_hook = self.tree.at(_HOOK) is not None
        self.proxies = {name: str(value) for name, value in settings.get("proxies", {}).items()}
        self._take(settings)
        self._note_start()
        self.running = True
        return ""

    def stop(self) -> None:
        """Stops it and, without live-restore, every container that runs."""
        self.running = False
        if not self.live_restore:
            for box in self.boxes.values():
                if box.info.running:
                    finish(box, 137)

    def reload(self) -> None:
        """SIGHUP: takes over what daemon.json adds; a file that is wrong changes nothing and says nothing."""
        if self.running:
            with suppress(ValueError):
                self._take(self.settings())

    def remove(self, name: str) -> str:
        """``docker rm``: why it was refused; "" when the container is gone."""
        box = next((box for box in self.boxes.values() if name in (box.info.name, box.info.id)), None)
        if box is None:
            return f"Error response from daemon: No such container: {name}\n"
        if box.info.running:
            return f'Error response from daemon: cannot remove container "{name}": container is running\n'
        del self.boxes[box.info.id]
        return ""

    def settings(self) -> dict[str, Any]:
        """daemon.json as it is now; {} when there is none. Raises ValueError with the service's own words."""
        node = self.tree.at(self.spec.config, ROOT)
        if node is None:
            return {}
        says = f"unable to configure the Docker daemon with file {self.spec.config}: "
        try:
            settings = json.loads(node.data)
        except ValueError as error:
            raise ValueError(f"{says}{error}") from error
        if not isinstance(settings, dict):
            raise ValueError(f"{says}json: cannot unmarshal into Go value of type map[string]interface {{}}")
        if unknown := sorted(settings.keys() - set(_DIRECTIVES.split())):
            raise ValueError(
                f"{says}the following directives don't match any configuration option: {', '.join(unknown)}"
            )
        default = settings.get("default-runtime", "runc")
        if default not in {*self.spec.runtimes, *settings.get("runtimes", {})}:
            raise ValueError(f"{says}specified default runtime '{default}' does not exist")
        return settings

    def _as_read_earlier(self) -> dict[str, Any]:
        """What a Docker that runs already goes by; nothing of a file that it could not have read."""
        try:
            return self.settings()
        except ValueError:
            return {}

    def _judged(self) -> dict[str, Any]:
        """The settings, where a Docker of this version starts with them and with its flags. Raises ValueError."""
        program = self.argv[0]
        if self.tree.at(program) is None:
            raise ValueError(
                f"docker.service: Failed at step EXEC spawning {program}: No such file or directory\n"
                "docker.service: Main process exited, code=exited, status=203/EXEC"
            )
        settings = self.settings()
        node = self.tree.at(self.spec.config, ROOT)
        version = daemon_rules.version_of(self.spec.version)
        verdict = daemon_rules.judge(node.data if node else None, version, self.argv, self.spec.config)
        if verdict.stops:
            flaw = verdict.flaws[0]
            raise ValueError(f"unable to configure the Docker daemon with file {self.spec.config}: {flaw.text}")
        return settings

    def _command(self) -> tuple[str, ...]:
        """What the unit starts. Raises ValueError with systemd's words where it refuses the unit."""
        unit = self._unit()
        if not unit:
            return self.spec.argv
        starts = Unit("docker.service", unit).list("ExecStart")
        if len(starts) != 1:
            raise ValueError("Failed to start docker.service: Unit docker.service has a bad unit file setting.\n")
        return systemd_unit.command(starts[0].setting.value, {})

    def _unit(self) -> tuple[UnitFile, ...]:
        """The unit's file and its drop-ins; none where it has no file."""
        main = next((path for folder in FOLDERS if self.tree.at(path := f"{folder}/{self.spec.unit}")), None)
        if main is None:
            return ()
        folder = f"{FOLDERS[0]}/{self.spec.unit}.d/"
        paths = [main, *sorted(path for path in self.tree.nodes if path.startswith(folder) and path.endswith(".conf"))]
        nodes = [(path, self.tree.at(path)) for path in paths]
        return tuple(systemd_unit.parse(node.data.decode(), path) for path, node in nodes if node is not None)

    def forget(self, *sizes: int) -> None:
        """Gives the bytes of what was removed back to the disk."""
        self.tree.use(self.spec.root_dir, -sum(sizes))

    def require(self) -> None:
        """Raises ``ENGINE_REFUSED`` while it does not run."""
        if not self.running:
            raise Trouble(Problem.ENGINE_REFUSED, f"dial unix {self.spec.socket}: connect: connection refused")

    def _note_start(self) -> None:
        """What /proc says about when the process was started: as the machine's file has it, and an hour later each
        time that it is started again.
        """
        node = self.tree.at(f"/proc/{self.spec.pid}/stat", ROOT)
        if node is not None and self.starts:
            fields = node.data.split()
            fields[21] = b"%d" % (int(fields[21]) + 360_000)
            node.data = b" ".join(fields) + b"\n"
        self.starts += 1

    def _take(self, settings: dict[str, Any]) -> None:
        """Takes over what the file names, each setting as a whole."""
        if "runtimes" in settings:
            named = {name: str(runtime.get("path", "")) for name, runtime in settings["runtimes"].items()}
            given = daemon_json.daemon_runtimes(DaemonProcess(0, self.argv)) if not self.running else {}
            self.runtimes = {**self.spec.runtimes, **given, **named}
        self.default_runtime = settings.get("default-runtime", self.default_runtime)
        self.live_restore = settings.get("live-restore", self.live_restore)


def finish(box: Box, code: int) -> None:
    """The container's command has ended with ``code``."""
    box.info = replace_state(box.info, "exited", code)


def replace_state(info: ContainerInfo, state: str, code: int = 0, error: str = "") -> ContainerInfo:
    """``info`` in another state."""
    return replace(info, state=state, exit_code=code, error=error)
