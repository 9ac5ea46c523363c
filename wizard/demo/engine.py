"""The simulated Docker engine."""

from __future__ import annotations

import hashlib
import json
import posixpath
import shlex
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from wizard.demo import converter
from wizard.demo import pull as stream
from wizard.demo.daemon import Box, Daemon, finish, replace_state
from wizard.demo.files import Identity
from wizard.demo.registry import SimRegistry
from wizard.demo.shell import Captured, Exit, Interpreter, ToySession, missing
from wizard.demo.spec import Answer, Spec
from wizard.demo.training import SimJobs
from wizard.model.container import KEEP_ALIVE, READY, SMOKE, SMOKE_MARK, ContainerInfo, ContainerSpec, check_name
from wizard.model.disk_usage import DiskUsage, StoredContainer, StoredImage
from wizard.model.engine import DaemonProcess, Endpoint, EngineInfo, EngineKind, ExecResult, ImageInfo
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.image import ImageReference
from wizard.model.machine import go_arch
from wizard.model.proxy import Proxies
from wizard.model.secret import Secret, redact

_READ_WRITE = 6
_KILLED = 137


class SimEngine:
    """``Engine``. ``pace`` is the seconds that a pull takes for a megabyte."""

    def __init__(self, spec: Spec, daemon: Daemon, user: Identity, registry: SimRegistry, pace: float) -> None:
        self._spec = spec
        self._daemon = daemon
        self._user = user
        self._registry = registry
        self._pace = pace
        self._jobs = SimJobs(daemon.tree, pace)
        self._lock = threading.RLock()

    def computes(self) -> bool:
        """Whether a training uses the GPUs in one of the containers."""
        return self._jobs.computes()

    def serves(self, address: str, port: int) -> bool:
        """Whether a program in a container with this address answers at this port."""
        boxes = [box for box in self._daemon.boxes.values() if box.info.running and self._told(box).address == address]
        return any(port in self._jobs.ports(box) for box in boxes)

    # --- the daemon ---

    def endpoint(self) -> Endpoint:
        return Endpoint(f"unix://{self._spec.docker.socket}", "default")

    def ping(self) -> None:
        socket = self._spec.docker.socket
        node = self._daemon.tree.at(socket, self._user)
        if node is None:
            raise Trouble(
                Problem.ENGINE_MISSING, f"dial unix {socket}: connect: no such file or directory", subject=socket
            )
        if not (self._user.may(node, 4) and self._user.may(node, 2)):
            raise Trouble(Problem.ENGINE_PERMISSION, f"dial unix {socket}: connect: permission denied", subject=socket)
        self._daemon.require()

    def info(self) -> EngineInfo:
        self.ping()
        docker = self._spec.docker
        return EngineInfo(
            kind=EngineKind.ENGINE,
            version=docker.version,
            api_version=docker.api_version,
            os=self._spec.os.name,
            arch=go_arch(self._spec.os.arch),
            runtimes=dict(self._daemon.runtimes),
            default_runtime=self._daemon.default_runtime,
            root_dir=docker.root_dir,
            storage_driver=docker.storage_driver,
            containerd_store=docker.containerd_store,
            live_restore=self._daemon.live_restore,
            containers_running=sum(box.info.running for box in self._daemon.boxes.values()),
            name=self._spec.os.hostname,
            cgroup_driver=docker.cgroup_driver,
            http_proxy=redact(self._daemon.proxies.get("http-proxy", "")),
            https_proxy=redact(self._daemon.proxies.get("https-proxy", "")),
            no_proxy=self._daemon.proxies.get("no-proxy", ""),
        )

    def daemon(self) -> DaemonProcess | None:
        docker = self._spec.docker
        argv = self._daemon.argv or docker.argv
        return DaemonProcess(docker.pid, argv, docker.unit) if self._daemon.running else None

    def close(self) -> None:
        """Nothing is held."""

    # --- images ---

    def image(self, reference: str) -> ImageInfo | None:
        self.ping()
        return self._image(reference)

    def images(self) -> tuple[ImageInfo, ...]:
        self.ping()
        return tuple(
            replace(image, architecture="", command=(), entrypoint=()) for image in self._daemon.images.values()
        )

    def disk_usage(self) -> DiskUsage:
        self.ping()
        used = {box.info.image_id for box in self._daemon.boxes.values()}
        named = (
            StoredImage(image.id, image.tags, image.size, image.id in used) for image in self._daemon.images.values()
        )
        nameless = (
            StoredImage(f"sha256:{number:064x}", (), size, in_use=False)
            for number, size in enumerate(self._daemon.dangling, 1)
        )
        return DiskUsage(
            images=(*named, *nameless),
            containers=tuple(
                StoredContainer(box.info.id, box.info.name, box.info.running, box.size)
                for box in self._daemon.boxes.values()
            ),
            build_cache=self._daemon.build_cache,
        )

    def pull(self, reference: ImageReference, key: Secret | None, cancel: Cancel) -> Iterator[dict[str, Any]]:
        self.ping()
        # Docker goes its own way to the registry, whatever proxy the user's shell has.
        way = Proxies(https=self._daemon.proxies.get("https-proxy", ""), none=self._daemon.proxies.get("no-proxy", ""))
        manifest = self._registry.manifest(reference, key, go_arch(self._spec.os.arch), way)
        if self._image(str(reference)) is not None:
            yield from stream.up_to_date(reference, manifest.digest)
            return
        yield from stream.messages(reference, manifest.digest, manifest.layers, frozenset(), self._pace, cancel)
        image = self._registry.unpacked(reference)
        self._daemon.tree.use(self._spec.docker.root_dir, image.size)
        self._daemon.images[str(reference)] = image

    def load(self, archive: Iterable[bytes], cancel: Cancel) -> Iterator[dict[str, Any]]:
        self.ping()
        for name in stream.names_in(archive, cancel):
            reference = ImageReference.parse(name)
            image = self._registry.unpacked(reference)
            self._daemon.tree.use(self._spec.docker.root_dir, image.size)
            self._daemon.images[str(reference)] = image
            yield {"stream": f"Loaded image: {name}\n"}

    def remove_image(self, name: str) -> None:
        self.ping()
        reference = str(ImageReference.parse(name))
        image = self._daemon.images.get(reference)
        if image is None:
            return
        if any(box.info.image_id == image.id for box in self._daemon.boxes.values()):
            text = f"conflict: unable to remove repository reference {name!r} (must force) - container is using it"
            raise Trouble(Problem.ENGINE_OTHER, text, subject=name)
        del self._daemon.images[reference]
        self._daemon.tree.use(self._spec.docker.root_dir, -image.size)

    def _image(self, text: str) -> ImageInfo | None:
        for image in self._daemon.images.values():
            if image.id == text or (len(text) >= 12 and image.id.removeprefix("sha256:").startswith(text)):
                return image
        try:
            wanted = str(ImageReference.parse(text))
        except Trouble:
            return None
        for name, image in self._daemon.images.items():
            if wanted == name or wanted in image.repo_digests:
                return image
        return None

    # --- containers ---

    def containers(self, *, all: bool = False) -> tuple[ContainerInfo, ...]:
        self.ping()
        return tuple(self._told(box) for box in self._daemon.boxes.values() if all or box.info.running)

    def container(self, name: str) -> ContainerInfo | None:
        self.ping()
        box = self._find(name)
        return None if box is None else self._told(box)

    def _told(self, box: Box) -> ContainerInfo:
        """What the engine tells of a container; an address it has only while it runs."""
        place = list(self._daemon.boxes).index(box.info.id)
        return replace(box.info, address=f"172.17.0.{place + 2}") if box.info.running else box.info

    def create(self, spec: ContainerSpec) -> str:
        self.ping()
        check_name(spec.name)
        with self._lock:
            runtime = spec.runtime or self._daemon.default_runtime
            if runtime not in self._daemon.runtimes:
                raise Trouble(Problem.RUNTIME_UNKNOWN, f"unknown or invalid runtime name: {runtime}", subject=runtime)
            for mount in spec.mounts:
                if self._daemon.tree.at(mount.source) is None:
                    raise Trouble(
                        Problem.BIND_SOURCE_MISSING,
                        f'invalid mount config for type "bind": bind source path does not exist: {mount.source}',
                        subject=mount.source,
                    )
            image = self._image(spec.image)
            if image is None:
                raise Trouble(Problem.IMAGE_MISSING, f"No such image: {spec.image}", subject=spec.image)
            if any(box.info.name == spec.name for box in self._daemon.boxes.values()):
                raise Trouble(
                    Problem.NAME_TAKEN,
                    f'Conflict. The container name "/{spec.name}" is already in use.',
                    subject=spec.name,
                )
            box_id = hashlib.sha256(f"{spec.name} {len(self._daemon.boxes)}".encode()).hexdigest()
            self._daemon.boxes[box_id] = Box(
                info=ContainerInfo(
                    id=box_id,
                    name=spec.name,
                    image=spec.image,
                    image_id=image.id,
                    state="created",
                    labels=dict(spec.labels),
                    mounts=spec.mounts,
                    runtime=runtime,
                    auto_remove=spec.auto_remove,
                    created=datetime.now(timezone.utc).isoformat(),
                ),
                command=(*spec.entrypoint, *spec.command) or image.command,
                gpus=spec.gpus.any and (spec.device_request or runtime == "nvidia"),
                device_request=spec.device_request,
                memlock=spec.memlock,
                tty=spec.tty,
                env=dict(spec.env),
            )
            return box_id

    def start(self, container_id: str) -> None:
        self.ping()
        with self._lock:
            box = self._box(container_id)
            if box.info.running:
                return
            try:
                self._check_start(box)
            except Trouble as trouble:
                box.info = replace(box.info, error=trouble.text)
                raise
            box.info = replace_state(box.info, "running")
            box.lost_gpu = False
            if box.command == KEEP_ALIVE:
                box.output += f"{READY}\n"
            elif not _stays(box):
                captured = Captured(limit=60.0)
                code = self._run(box, box.command, captured)
                box.output += captured.text[1] + captured.text[2]
                self._finish(box, code)

    def stop(self, container_id: str, timeout: float = 10.0) -> None:
        self.ping()
        box = self._box(container_id)
        if box.info.running:
            self._jobs.lose(box)
            # Only ours listens to the polite request; a plain sleep has to be killed.
            self._finish(box, 0 if box.command == KEEP_ALIVE and timeout > 0 else _KILLED)

    def remove(self, container_id: str, *, force: bool = False) -> None:
        self.ping()
        with self._lock:
            box = self._find(container_id)
            if box is None:
                return
            if box.info.running and not force:
                raise Trouble(
                    Problem.ENGINE_OTHER,
                    f"You cannot remove a running container {box.info.id}. Stop the container before attempting "
                    "removal or force remove",
                    subject=box.info.name,
                )
            del self._daemon.boxes[box.info.id]
            self._jobs.lose(box)

    def logs(self, container_id: str, lines: int = 20) -> str:
        self.ping()
        return "".join(self._box(container_id).output.splitlines(keepends=True)[-lines:])

    def run_in(self, container_id: str, argv: tuple[str, ...], *, timeout: float = 30.0) -> ExecResult:
        box = self._running(container_id)
        if (said := self._jobs.answer(box, argv)) is not None:
            return ExecResult(said.returncode, said.stdout.encode(), said.stderr.encode())
        captured = Captured(limit=timeout)
        code = self._run(box, argv, captured)
        return ExecResult(code, captured.text[1].encode(), captured.text[2].encode())

    def open_exec(
        self,
        container_id: str,
        argv: tuple[str, ...],
        *,
        tty: bool,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] | None = None,
    ) -> ToySession:
        box = self._running(container_id)
        interpreter = self._interpreter(box, env or {})
        if (said := self._jobs.launch(box, argv)) is not None:
            interpreter.answers = {argv: said}
        return ToySession(interpreter, argv, tty=tty, size=size)

    # --- helpers ---

    def _finish(self, box: Box, code: int) -> None:
        finish(box, code)
        if box.info.auto_remove:
            self._daemon.boxes.pop(box.info.id, None)

    def _find(self, name: str) -> Box | None:
        boxes = self._daemon.boxes
        if name in boxes:
            return boxes[name]
        for box in boxes.values():
            if box.info.name == name.removeprefix("/"):
                return box
        short = [box for key, box in boxes.items() if name and key.startswith(name)]
        return short[0] if len(short) == 1 else None

    def _box(self, name: str) -> Box:
        box = self._find(name)
        if box is None:
            raise Trouble(Problem.CONTAINER_MISSING, f"No such container: {name}", subject=name)
        return box

    def _running(self, name: str) -> Box:
        self.ping()
        box = self._box(name)
        if not box.info.running:
            raise Trouble(
                Problem.CONTAINER_NOT_RUNNING, f"Container {box.info.id} is not running", subject=box.info.name
            )
        return box

    def _check_start(self, box: Box) -> None:
        """What a real engine finds out at the start of a container, not before."""
        if box.memlock and not self._spec.docker.memlock:
            raise Trouble(
                Problem.RLIMIT_REFUSED,
                "OCI runtime create failed: error setting rlimit type 8: operation not permitted: unknown",
                subject=box.info.name,
            )
        if box.device_request and not self._daemon.gpu_hook:
            raise Trouble(
                Problem.GPU_DRIVER_NOT_SELECTED,
                'could not select device driver "" with capabilities: [[gpu]]',
                subject=box.info.name,
            )
        if box.info.runtime not in self._daemon.runtimes:
            raise Trouble(
                Problem.RUNTIME_UNKNOWN,
                f"unknown or invalid runtime name: {box.info.runtime}",
                subject=box.info.runtime,
            )
        program = posixpath.join("/usr/bin", self._daemon.runtimes[box.info.runtime])
        if self._daemon.tree.at(program) is None:
            raise Trouble(
                Problem.RUNTIME_BROKEN,
                f"OCI runtime create failed: unable to retrieve OCI runtime error: fork/exec {program}: "
                "no such file or directory: unknown",
                subject=box.info.runtime,
            )
        if box.gpus and self._spec.driver.problem:
            raise Trouble(
                Problem.RUNTIME_BROKEN,
                "OCI runtime create failed: nvidia-container-cli: initialization error: load library failed: "
                "libnvidia-ml.so.1: cannot open shared object file: no such file or directory: unknown",
                subject=box.info.name,
            )
        if not self._interpreter(box, {}).has(box.command[0]):
            raise Trouble(
                Problem.NOT_EXECUTABLE,
                missing(box.command[0]).replace("exec failed", "create failed", 1),
                subject=box.command[0],
            )

    def _run(self, box: Box, argv: tuple[str, ...], captured: Captured) -> int:
        interpreter = self._interpreter(box, {})
        if not interpreter.has(argv[0]):
            captured.write(1, missing(argv[0]) + "\n")
            return 127
        try:
            return interpreter.run(argv, captured)
        except Exit as end:
            return end.code
        except Trouble as trouble:
            if trouble.kind is Problem.COMMAND_TIMEOUT:
                raise Trouble(trouble.kind, subject=shlex.join(argv)) from trouble
            raise

    def _interpreter(self, box: Box, env: Mapping[str, str]) -> Interpreter:
        inside = self._spec.inside
        folders = {"/": (), **inside.folders, **{mount.target: () for mount in box.info.mounts}}
        answers = {tuple(shlex.split(line)): answer for line, answer in inside.commands.items()}
        answers[("python", *SMOKE)] = Answer(stdout=_smoke(self._spec if box.sees_gpu else None))
        if box.sees_gpu:
            folders["/dev"] = (*folders.get("/dev", ()), *_devices(self._spec))
            answers[("nvidia-smi", "-L")] = Answer(stdout=gpu_list(self._spec))
            answers[("cat", "/proc/self/mounts")] = Answer(stdout=_mounts(self._spec))
        return Interpreter(
            inside=inside,
            answers=answers,
            folders=folders,
            hostname=box.info.id[:12],
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                **box.env,
                **env,
            },
            folder=inside.folder,
            python=partial(converter.run, self._daemon.tree, box.info.mounts, self._pace),
        )


def gpu_list(spec: Spec) -> str:
    """What ``nvidia-smi -L`` prints."""
    return "".join(f"GPU {number}: {gpu.name} (UUID: {gpu.uuid})\n" for number, gpu in enumerate(spec.gpus))


def _smoke(spec: Spec | None) -> str:
    """What the smoke test says in a container that has the GPUs of this machine, or none."""
    about = [
        {"name": f"/device:GPU:{number}", "about": f"device: {number}, name: {gpu.name}, pci bus id: 0000:01:00.0"}
        for number, gpu in enumerate(spec.gpus if spec is not None else ())
    ]
    lines: list[dict[str, object]] = [
        {"step": "import", "python": "3.6.9"},
        {"step": "devices", "tensorflow": "1.15.4"},
        {"step": "found", "gpus": about},
    ]
    for device in [gpu["name"] for gpu in about] or ["/device:CPU:0"]:
        for dtype in ("float32", "float16") if about else ("float32",):
            work = {"device": device, "dtype": dtype}
            lines += [{"step": "multiply", **work}, {"step": "multiplied", "seconds": 0.4, **work}]
    lines.append({"step": "done"})
    return "".join(f"{SMOKE_MARK}{json.dumps(line)}\n" for line in lines)


def _devices(spec: Spec) -> tuple[str, ...]:
    return (*(f"nvidia{number}" for number in range(len(spec.gpus))), "nvidia-uvm", "nvidiactl")


def _mounts(spec: Spec) -> str:
    """What a container sees of the driver that was put into it."""
    library = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so"
    return f"overlay / overlay rw,relatime 0 0\n/dev/sda2 {library}.{spec.driver.version} ext4 ro,nosuid,nodev 0 0\n"


def _stays(box: Box) -> bool:
    """Whether the container's command goes on until it is stopped."""
    words = (posixpath.basename(box.command[0]), *box.command[1:])
    if words[0] in ("sh", "bash", "cat"):
        return box.tty and len(words) == 1
    return words[0] == "sleep" or words[:2] == ("tail", "-f")
