"""Lab hosts: containers that behave like a real Debian 12 machine.

systemd is their first process; they have Docker as a service with its socket, a journal, logins, sudo, apt, and
stand-ins for NVIDIA's toolkit. They have no network and no GPU. The image is made once for all tests
(``tests.support.lab_image``); a host from it takes a second.

Users, whose password is their name: ``sudopw`` may use sudo with the password, ``sudofree`` without, ``plainuser`` may
nothing, ``indocker`` is in the group docker and has no sudo. Package files of Docker and of NVIDIA's stand-ins lie in a
local repository, ``lab_image.APT``, where apt finds them.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

import docker
import pytest
from docker.api.client import APIClient

from tests.support import engine as private_engines
from tests.support import lab_image
from tests.support.engine import REQUIRE, PrivateEngine
from wizard.host.ports import ExecSession
from wizard.host.real import build

_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": lab_image.PATH}
_BOOT_SECONDS = 60.0


@dataclass(frozen=True)
class Result:
    """How a command in a lab host has ended."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Both outputs."""
        return self.stdout + self.stderr

    def json(self) -> Any:
        """Standard output as JSON; the whole answer in the error when it is none."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            raise AssertionError(f"no JSON from {shlex.join(self.argv)}: {self}") from None


@dataclass
class LabHost:
    """A machine that runs. ``id`` is its container's."""

    engine: PrivateEngine
    client: APIClient
    id: str
    name: str

    def run(
        self,
        command: str | Sequence[str],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        check: bool = False,
    ) -> Result:
        """Runs a shell's command line or an argv, in the user's home. The user has the groups of the group file, not
        those of a login (``login`` has).
        """
        argv = ("sh", "-c", command) if isinstance(command, str) else tuple(command)
        home = "/root" if user == "root" else f"/home/{user}"
        made = self.client.exec_create(
            self.id,
            ["timeout", "-k", "5", f"{timeout:g}", *argv],
            user=user,
            workdir=home,
            environment={**_ENVIRONMENT, "HOME": home, "USER": user, **(env or {})},
        )
        out, err = self.client.exec_start(made["Id"], demux=True)
        code = self.client.exec_inspect(made["Id"])["ExitCode"]
        result = Result(argv, code, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))
        if check and code != 0:
            raise AssertionError(f"{shlex.join(argv)} ended with {code}:\n{result.said}")
        return result

    def sh(self, command: str, **options: Any) -> str:
        """What a shell's command line that must succeed has printed, without the last line end."""
        return self.run(command, check=True, **options).stdout.rstrip("\n")

    def wizard(self, *arguments: str, user: str = "root", **options: Any) -> Result:
        """Runs ``s2s-wizard``."""
        return self.run(("s2s-wizard", *arguments), user=user, **options)

    def doctor(self, *checks: str, user: str = "root", **options: Any) -> dict[str, Any]:
        """The findings of the check-up by id; of these checks and what they require where some are named."""
        named = [word for id_ in checks for word in ("--check", id_)]
        answer = self.wizard("doctor", "--json", *named, user=user, **options)
        if answer.returncode not in (0, 1):
            raise AssertionError(f"doctor ended with {answer.returncode}: {answer.said}")
        return {finding["id"]: finding for finding in answer.json()["findings"]}

    def fix(self, *ids: str, user: str = "root", **options: Any) -> Result:
        """Makes these repairs without a question; ``json()`` of the result holds them under ``fixes``."""
        return self.wizard("fix", *ids, "--yes", "--json", user=user, timeout=options.pop("timeout", 180.0), **options)

    def undo(self, receipt: str | None = None, *, user: str = "root") -> Result:
        """Takes back the repair of that receipt, or the last one."""
        return self.wizard("undo", *([receipt] if receipt else []), "--yes", "--json", user=user, timeout=180.0)

    def receipts(self, user: str = "root") -> list[dict[str, Any]]:
        """The receipts on that user's disk, oldest first, as they are written."""
        home = "/root" if user == "root" else f"/home/{user}"
        found = self.run(f"cat {home}/.local/state/s2s-wizard/receipts/*.json")
        decoder, text, receipts = json.JSONDecoder(), found.stdout.strip(), []
        while text:
            value, end = decoder.raw_decode(text)
            receipts.append(value)
            text = text[end:].lstrip()
        return receipts

    def put(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """Writes a file of root's, and its folders; ``~`` is root's home."""
        if path.startswith("~/"):
            path = self.sh("echo ~").strip() + path[1:]
        data = text.encode() if isinstance(text, str) else text
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as out:
            member = tarfile.TarInfo(path.rpartition("/")[2])
            member.size, member.mode, member.mtime = len(data), mode, int(time.time())
            out.addfile(member, io.BytesIO(data))
        folder = path.rpartition("/")[0] or "/"
        self.run(("mkdir", "-p", folder), check=True)
        self.client.put_archive(self.id, folder, buffer.getvalue())

    def snapshot(self, *paths: str) -> dict[str, Any]:
        """Everything at and under these paths: kind, mode, owner and every byte, comparable with ``==``."""
        found: dict[str, Any] = self.run(("/opt/lab/snapshot", *paths), check=True).json()
        return found

    def tiny(self) -> None:
        """Gives this host's Docker the image ``tiny:1``: a busybox."""
        self.sh(
            "docker image inspect tiny:1 >/dev/null 2>&1 || docker import -c 'CMD [\"sh\"]' /opt/lab/tiny.tar tiny:1"
        )

    def login(self, user: str) -> Login:
        """A new login of that user on a terminal of its own, as at the console: through PAM, with the groups of now."""
        real = build(self.engine.environ).engine
        session = real.open_exec(
            self.id, ("login", "-f", user), tty=True, env={"TERM": "dumb", "LANG": "C.UTF-8"}, size=(1000, 50)
        )
        return Login(session, real.close)

    def wait(self, command: str, seconds: float = 20.0) -> None:
        """Waits until a shell's command line succeeds; an AssertionError with what it last said where it never does."""
        deadline = time.monotonic() + seconds
        while (last := self.run(command)).returncode != 0:
            if time.monotonic() > deadline:
                raise AssertionError(f"{command}: not within {seconds:g} s: {last.said}")
            time.sleep(0.1)

    def remove(self) -> None:
        """Ends the machine and deletes it."""
        with suppress(docker.errors.NotFound):
            self.client.remove_container(self.id, force=True, v=True)


@dataclass
class Login:
    """Somebody who sits at a terminal."""

    session: ExecSession
    _close: Callable[[], None]
    seen: str = ""
    _prompts: int = field(default=0)

    def type(self, text: str) -> None:
        """Types a line and the enter key."""
        self.session.write(text.encode() + b"\r")

    def expect(self, pattern: str, seconds: float = 30.0) -> re.Match[str]:
        """Reads until what was printed since the last match holds ``pattern``."""
        deadline = time.monotonic() + seconds
        while (match := re.search(pattern, self.seen)) is None:
            self.session.limit(max(0.1, deadline - time.monotonic()))  # type: ignore[attr-defined]
            try:
                piece = self.session.read()
            except TimeoutError:
                piece = None
            if piece is None:
                raise AssertionError(f"{pattern!r} did not come; last seen:\n{self.seen[-3000:]}")
            self.seen += piece[1].decode(errors="replace").replace("\r\n", "\n")
        self.seen = self.seen[match.end() :]
        return match

    def run(self, command: str, seconds: float = 60.0) -> Result:
        """Types a command and waits for its end; both outputs are in ``stdout``."""
        self._prompts += 1
        mark = f"ended-{self._prompts}"
        # The mark is typed in two parts, so that the echo of the line is not taken for the answer.
        self.type(f"{command}; printf '\\n%s%s=%d\\n' ended -{self._prompts} $?")
        match = self.expect(rf"([\s\S]*)\n{mark}=(\d+)\n", seconds)
        printed = match.group(1).rpartition(" $?\n")[2]
        return Result((command,), int(match.group(2)), printed, "")

    def become_root(self, password: str) -> None:
        """Gets a ticket of sudo with the password; what is typed before sudo has read it would be thrown away."""
        self.run("true")
        self.type("sudo -v")
        self.expect("password for")
        self.type(password)
        self.expect(r"\n[^\n]*\$ ")

    def close(self) -> None:
        """Hangs up."""
        self.session.close()
        self._close()

    def __enter__(self) -> Login:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


@dataclass
class Lab:
    """The engine and the image that lab hosts are made from."""

    engine: PrivateEngine
    client: APIClient
    _hosts: list[LabHost] = field(default_factory=list)

    def host(self) -> LabHost:
        """Starts a fresh machine and waits until it has come up, Docker included."""
        name = f"lab-{len(self._hosts) + 1}"
        settings = self.client.create_host_config(
            network_mode="none",
            cap_add=["ALL"],
            cap_drop=["SYS_RESOURCE"],  # not every machine that runs tests has it
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            device_cgroup_rules=["a *:* rwm"],
        )
        settings.update(CgroupnsMode="private", MaskedPaths=[], ReadonlyPaths=[])
        made = self.client.create_container(
            lab_image.NAME,
            entrypoint=["/sbin/lab-init"],
            hostname=name,
            tty=True,
            stop_signal="SIGRTMIN+3",
            volumes=["/var/lib/docker"],
            environment={"container": "docker"},
            host_config=settings,
        )
        host = LabHost(self.engine, self.client, made["Id"], name)
        self._hosts.append(host)
        self.client.start(host.id)
        deadline = time.monotonic() + _BOOT_SECONDS
        while True:
            state = host.run("systemctl is-system-running --wait 2>&1").stdout.strip()
            if state in ("running", "degraded"):
                break
            if time.monotonic() > deadline:
                log = self.client.logs(host.id, tail=30).decode(errors="replace")
                raise AssertionError(f"the lab host did not come up: {state}\n{log}")
            time.sleep(0.1)
        host.wait("systemctl is-active docker")
        return host

    def remove_all(self) -> None:
        """Removes every host that was started."""
        while self._hosts:
            self._hosts.pop().remove()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The means to start lab hosts, for the whole run. Use ``lab_host`` or ``lab_hosts`` in tests."""
    try:
        lab_image.require()
    except lab_image.CannotBuild as error:
        _refuse(error)
    private = private_engines.start_or_skip()
    client = docker.APIClient(base_url=private.url, version="auto", timeout=120)
    made = Lab(private, client)
    try:
        try:
            lab_image.make(client)
        except lab_image.CannotBuild as error:
            _refuse(error)
        yield made
        made.remove_all()
    finally:
        client.close()
        private.stop()


@pytest.fixture
def lab_hosts(lab: Lab) -> Iterator[Callable[[], LabHost]]:
    """Starts fresh machines for one test."""
    yield lab.host
    lab.remove_all()


@pytest.fixture
def lab_host(lab_hosts: Callable[[], LabHost]) -> LabHost:
    """A fresh machine for one test."""
    return lab_hosts()


def _refuse(error: lab_image.CannotBuild) -> NoReturn:
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {error}", pytrace=False)
    pytest.skip(f"NOT TESTED on a systemd host: {error}")
