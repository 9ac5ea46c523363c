"""The programs of a simulated machine: scripted answers by command line, and what they do to the machine."""

from __future__ import annotations

import posixpath
import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from fnmatch import fnmatchcase

from wizard.demo.daemon import Daemon
from wizard.demo.files import Identity, Tree
from wizard.demo.spec import Answer, Command
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import CommandResult, PathKind, RootAccess

_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/snap/bin")
_START_FAILED = (
    "Job for docker.service failed because the control process exited with error code.\n"
    'See "systemctl status docker.service" and "journalctl -xeu docker.service" for details.\n'
)


class Effect(str, Enum):
    """Everything that a scripted command can do to its machine."""

    NOTHING = ""
    RELOAD_DOCKER = "reload-docker"
    START_DOCKER = "start-docker"
    STOP_DOCKER = "stop-docker"
    RESTART_DOCKER = "restart-docker"
    RESET_FAILED = "reset-failed"
    ENABLE_DOCKER = "enable-docker"
    DISABLE_DOCKER = "disable-docker"
    DOCKER_LOG = "docker-log"
    """prints what the Docker service said last"""
    REMOVE_CONTAINER = "remove-container"
    """the container that the last word names"""
    PRUNE_IMAGES = "prune-images"
    PRUNE_BUILDS = "prune-builds"
    ALLOW_ROOT = "allow-root"
    COPY_FILE = "copy-file"
    """what the right password does for sudo"""


class SimPrivilege:
    """``Privilege`` of the simulated user."""

    def __init__(self, access: RootAccess) -> None:
        self._access = access

    def access(self) -> RootAccess:
        return self._access

    def allow(self) -> None:
        """The user has given the password."""
        if self._access is RootAccess.PASSWORD:
            self._access = RootAccess.READY

    @property
    def is_had(self) -> bool:
        """Whether a command can be run as root now."""
        return self._access in (RootAccess.ROOT, RootAccess.READY)

    def ask_argv(self) -> tuple[str, ...]:
        return ("sudo", "-v")

    def as_typed(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        return argv if self._access is RootAccess.ROOT else ("sudo", *argv)


class SimCommands:
    """``Commands`` that answer from the machine's file. A program that is there but has no scripted answer for its
    arguments raises ``UNSCRIPTED``: the simulation never makes something up.
    """

    def __init__(
        self, script: Mapping[str, Command], tree: Tree, user: Identity, privilege: SimPrivilege, daemon: Daemon
    ) -> None:
        self._script = {tuple(shlex.split(line)): command for line, command in script.items()}
        self._tree = tree
        self._user = user
        self._privilege = privilege
        self._daemon = daemon
        self._lock = threading.Lock()

    def which(self, name: str) -> str | None:
        for path in (name,) if "/" in name else (posixpath.join(folder, name) for folder in _PATH):
            node = self._tree.at(path)
            if node is not None and node.kind is PathKind.FILE and self._user.may(node, 1):
                return path
        return None

    def run(
        self,
        argv: tuple[str, ...],
        *,
        root: bool = False,
        stdin: bytes | None = None,  # noqa: ARG002 - a scripted answer does not depend on it
        env: Mapping[str, str] | None = None,  # noqa: ARG002 - nor on this
        timeout: float = 30.0,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        if root and not self._privilege.is_had:
            raise Trouble(Problem.ROOT_NEEDED, "sudo: a password is required", subject=shlex.join(argv))
        if self.which(argv[0]) is None:
            raise Trouble(Problem.COMMAND_MISSING, subject=argv[0])
        command = self._find(argv)
        as_root = root or self._user.uid == 0
        with self._lock:
            answer: Answer = command
            if command.denied is not None and not as_root:
                answer = command.denied
            else:
                if command.stopped is not None and not self._daemon.running:
                    answer = command.stopped
                if command.failed is not None and self._daemon.failed:
                    answer = command.failed
                if command.disabled is not None and not self._daemon.enabled:
                    answer = command.disabled
                if answer.returncode == 0:
                    self._tree.leave(command.leaves)
                if command.effect == Effect.DOCKER_LOG.value:
                    answer = Answer(self._daemon.log)
                elif why := self._do(Effect(command.effect), argv):
                    answer = Answer(stderr=why, returncode=1)
        if answer.seconds > timeout:
            raise Trouble(Problem.COMMAND_TIMEOUT, subject=shlex.join(argv))
        for line in (*answer.stdout.splitlines(), *answer.stderr.splitlines()):
            if on_line is not None and line.strip():
                on_line(line)
        return CommandResult(argv, answer.returncode, answer.stdout, answer.stderr, answer.seconds)

    def _find(self, argv: tuple[str, ...]) -> Command:
        words = (posixpath.basename(argv[0]), *argv[1:])
        for candidate in (argv, words):
            if candidate in self._script:
                return self._script[candidate]
        for pattern, command in self._script.items():
            if len(pattern) == len(words) and all(map(fnmatchcase, words, pattern)):
                return command
        raise Trouble(Problem.UNSCRIPTED, shlex.join(argv), subject=shlex.join(argv))

    def _do(self, effect: Effect, argv: tuple[str, ...]) -> str:
        """Why it did not work; "" when it did."""
        if effect is Effect.COPY_FILE:
            return self._copy(argv[-2], argv[-1])
        return self._daemon.remove(argv[-1]) if effect is Effect.REMOVE_CONTAINER else self._effects[effect](self)

    def _copy(self, source: str, target: str) -> str:
        node = self._tree.at(source, self._user)
        if node is None or not self._user.may(node, 4):
            return f"cp: cannot open '{source}' for reading"
        self._tree.may_write(target, self._user)
        self._tree.plant(target, replace(node, uid=self._user.uid, gid=self._user.gid))
        return ""

    def _reload(self) -> str:
        self._daemon.reload()
        return ""

    def _start(self) -> str:
        return _START_FAILED if self._daemon.start() else ""

    def _stop(self) -> str:
        self._daemon.stop()
        return ""

    def _restart(self) -> str:
        self._daemon.stop()
        return self._start()

    def _prune_images(self) -> str:
        self._daemon.forget(*self._daemon.dangling)
        self._daemon.dangling.clear()
        return ""

    def _prune_builds(self) -> str:
        self._daemon.forget(self._daemon.build_cache)
        self._daemon.build_cache = 0
        return ""

    def _reset_failed(self) -> str:
        self._daemon.failed = False
        return ""

    def _enable(self) -> str:
        self._daemon.enabled = True
        return ""

    def _disable(self) -> str:
        self._daemon.enabled = False
        return ""

    def _allow(self) -> str:
        self._privilege.allow()
        return ""

    _effects: Mapping[Effect, Callable[[SimCommands], str]] = {
        Effect.NOTHING: lambda _: "",
        Effect.RELOAD_DOCKER: _reload,
        Effect.START_DOCKER: _start,
        Effect.STOP_DOCKER: _stop,
        Effect.RESTART_DOCKER: _restart,
        Effect.RESET_FAILED: _reset_failed,
        Effect.ENABLE_DOCKER: _enable,
        Effect.DISABLE_DOCKER: _disable,
        Effect.PRUNE_IMAGES: _prune_images,
        Effect.PRUNE_BUILDS: _prune_builds,
        Effect.ALLOW_ROOT: _allow,
    }
