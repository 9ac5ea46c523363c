"""The checks of Docker: what is wrong is told apart."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.services.checks.machines import Instead, find, trouble, with_engine
from wizard.demo import machine, spec
from wizard.demo.machine import assemble
from wizard.host import real
from wizard.host.ports import Host
from wizard.model.engine import Endpoint, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Finding, Status
from wizard.model.machine import CommandResult, DiskSpace, FileContent
from wizard.services import checkup

CONFIG = "/etc/docker/daemon.json"


def says(stdout: str, code: int = 0) -> CommandResult:
    return CommandResult((), code, stdout)


def shows(service: str, socket: str = "inactive", result: str = "success") -> CommandResult:
    """What systemd says about the two units."""
    units = (("docker.service", service), ("docker.socket", socket))
    return says("\n".join(f"Id={unit}\nActiveState={state}\nResult={result}\n" for unit, state in units))


def running(kind: Problem, **commands: CommandResult | Trouble) -> Finding:
    """What the check of the service finds when a ping fails and the programs answer as given."""

    def run(argv: tuple[str, ...], **options: Any) -> CommandResult | Trouble:
        return commands.get(argv[0], trouble(Problem.COMMAND_MISSING))

    host = with_engine(ping=trouble(kind, "the engine's words"), info=trouble(kind), daemon=None)
    return find(replace(host, commands=Instead(host.commands, run=run)), "docker.running")


def test_a_service_that_is_stopped() -> None:
    found = running(Problem.ENGINE_REFUSED, systemctl=shows("inactive"))
    assert found.status is Status.ERROR
    assert "not running" in found.summary
    assert "sudo systemctl start docker" in found.detail
    assert found.evidence[0].text == "the engine's words"
    assert "ActiveState=inactive" in found.evidence[1].text
    assert (found.causes, found.fixes) == (("daemon-unreachable",), ("start-docker",))


def test_a_service_that_is_not_there_and_one_that_failed() -> None:
    assert "socket is not there" in running(Problem.ENGINE_MISSING, systemctl=shows("inactive")).summary
    assert "socket is not there" in running(Problem.ENGINE_MISSING).summary
    failed = running(Problem.ENGINE_REFUSED, systemctl=shows("failed"))
    assert "could not start" in failed.summary
    assert "journalctl" in failed.detail
    assert "three tries" not in failed.detail
    assert failed.causes == ("daemon-unreachable", "systemd-docker-failed")
    limit = running(Problem.ENGINE_REFUSED, systemctl=shows("failed", "failed", "start-limit-hit"))
    assert "three tries" in limit.detail
    assert limit.fixes == ("reset-failed-docker",)
    only_socket = running(Problem.ENGINE_REFUSED, systemctl=shows("inactive", "failed", "service-start-limit-hit"))
    assert only_socket.fixes == ("reset-failed-docker",)
    starting = running(Problem.ENGINE_REFUSED, systemctl=shows("activating"))
    assert ("just being started" in starting.summary, starting.fixes) == (True, ())


REFUSAL = "unable to configure the Docker daemon with file /etc/docker/daemon.json: EOF"


def test_the_reason_stands_in_the_journal_where_it_may_be_read() -> None:
    journal = says(f"Starting\n{REFUSAL}\ndocker.service: Failed with result 'exit-code'.\n")
    found = running(Problem.ENGINE_REFUSED, systemctl=shows("failed"), journalctl=journal)
    assert REFUSAL in [item.text for item in found.evidence]
    assert "The reason, as its log has it" in found.detail
    unread = running(Problem.ENGINE_REFUSED, systemctl=shows("failed"), journalctl=says("-- No entries --\n"))
    assert "sudo journalctl" in unread.detail


def test_another_try_is_not_offered_while_the_reason_is_there() -> None:
    host = machine.build("broken-json")
    assert find(host, "docker.running").fixes == ()
    assert find(machine.build("docker-gives-up"), "docker.running").fixes == ("reset-failed-docker",)


def test_a_service_that_listens_elsewhere() -> None:
    found = running(Problem.ENGINE_MISSING, systemctl=shows("active"))
    assert "not at the address" in found.summary
    assert "DOCKER_HOST" in found.detail


def test_being_refused_at_the_socket_does_not_prove_that_it_runs() -> None:
    refused = Problem.ENGINE_PERMISSION
    assert running(refused, systemctl=shows("active")).status is Status.OK
    assert running(refused, systemctl=shows("inactive", "active")).status is Status.OK
    assert running(refused, pgrep=says("812\n")).status is Status.OK
    stopped = running(refused, systemctl=shows("inactive"), pgrep=says("", 1))
    assert stopped.status is Status.ERROR
    assert "not running" in stopped.summary
    assert "could not start" in running(refused, systemctl=shows("failed"), pgrep=says("", 1)).summary
    unseen = running(refused)
    assert unseen.status is Status.WARNING, "nobody could look, so nothing is claimed"
    assert unseen.passed


def elsewhere(url: str, kind: Problem, **environ: str) -> Finding:
    """What is found where DOCKER_HOST names ``url``, with the variables ``environ``."""
    host = with_engine(
        ping=trouble(kind, "refused"), endpoint=Endpoint(url, "DOCKER_HOST"), info=trouble(kind), daemon=None
    )
    return find(replace(host, environ={**host.environ, **environ}), "docker.running")


def test_an_address_where_nobody_answers() -> None:
    found = elsewhere("tcp://10.9.8.7:2375", Problem.ENGINE_REFUSED)
    assert found.causes == ("docker-host-wrong", "daemon-unreachable")
    assert "unset DOCKER_HOST" in found.detail
    web = elsewhere("tcp://10.9.8.7:80", Problem.ENGINE_OTHER)
    assert "docker-host-wrong" in web.causes
    tls = elsewhere("tcp://10.9.8.7:2376", Problem.ENGINE_ADDRESS, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH="/gone")
    assert tls.causes == ("docker-tls-missing",)
    assert "/gone/ca.pem" in [item.source for item in tls.evidence]
    ours = elsewhere("unix:///var/run/docker.sock", Problem.ENGINE_REFUSED)
    assert ours.causes == ("daemon-unreachable",), "the address is right; the service does not run"
    old = elsewhere("tcp://10.9.8.7:2375", Problem.ENGINE_TOO_OLD)
    assert old.causes == ("api-version-mismatch",)


def test_a_full_disk_and_another_daemon() -> None:
    host = machine.build("docker-stopped")
    full = Instead(host.files, disk=lambda path: DiskSpace(path, 10**9, 0))
    assert "daemon-disk-full" in find(replace(host, files=full), "docker.running").causes

    def read(path: str, **options: Any) -> FileContent | None:
        texts = {"/var/run/docker.pid": b"77", "/proc/77/comm": b"dockerd\n"}
        return FileContent(path, path, texts[path], 0o644, 0, 0) if path in texts else host.files.read(path)

    other = find(replace(host, files=Instead(host.files, read=read)), "docker.running")
    assert "dockerd-already-running" in other.causes


def test_an_address_that_is_none() -> None:
    host = with_engine(endpoint=trouble(Problem.ENGINE_ADDRESS, "no host given"))
    assert find(host, "docker.running").status is Status.ERROR
    assert find(host, "docker.running").facts["problem"] == "engine-address"


@pytest.fixture
def address() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="s2s-") as name:
        yield Path(name, "docker.sock")


def of_this_machine(url: str) -> Host:
    return real.build({**os.environ, "DOCKER_HOST": url})


def test_a_real_service_that_hangs_costs_five_seconds_and_is_named(address: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(64)
        host = of_this_machine(f"unix://{address}")
        began = time.monotonic()
        findings = {finding.id: finding for finding in checkup.run(host)}
        took = time.monotonic() - began
        host.engine.close()
    assert took < 8, "the probes run side by side"
    assert findings["docker.running"].status is Status.ERROR
    assert "hangs" in findings["docker.running"].summary
    assert findings["docker.access"].blocked_by == "docker.running"
    assert findings["runtime.registered"].status is Status.SKIPPED
    assert findings["disk.space"].status is not Status.UNKNOWN


@pytest.mark.parametrize("left", [True, False])
def test_a_real_socket_with_nobody_behind_it(address: Path, left: bool) -> None:
    if left:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
    found = find(of_this_machine(f"unix://{address}"), "docker.running")
    assert found.status is Status.ERROR
    assert found.facts["problem"] == ("engine-refused" if left else "engine-missing")


# --- access and kind ---------------------------------------------------------------------------------------------


def access(groups: tuple[str, ...], on_file: tuple[str, ...]) -> Finding:
    host = with_engine(ping=trouble(Problem.ENGINE_PERMISSION, "permission denied"))
    info = replace(host.info, groups=groups, groups_on_file=on_file)
    return find(replace(host, info=info), "docker.access")


def test_access_tells_a_missing_group_from_an_old_login() -> None:
    missing = access(("mei",), ("mei",))
    assert "not in the group docker" in missing.summary
    assert "sudo usermod -aG docker mei" in missing.detail
    assert missing.facts["login_again"] is False
    old = access(("mei",), ("mei", "docker"))
    assert "log in again" in old.detail
    assert old.facts["login_again"] is True
    other = access(("mei", "docker"), ("mei", "docker"))
    assert "does not let this group in" in other.summary


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        (EngineKind.ENGINE, Status.OK, "Docker Engine 26.1.3"),
        (EngineKind.ROOTLESS, Status.INFO, "rootless"),
        (EngineKind.SNAP, Status.WARNING, "snap"),
        (EngineKind.DESKTOP, Status.WARNING, "Docker Desktop"),
        (EngineKind.PODMAN, Status.WARNING, "Podman"),
        (EngineKind.REMOTE, Status.WARNING, "another machine"),
    ],
)
def test_the_docker_that_answers_is_named(kind: EngineKind, status: Status, words: str) -> None:
    info = replace(machine.build("healthy").engine.info(), kind=kind)
    found = find(with_engine(info=info), "docker.engine")
    assert (found.status, words in found.summary) == (status, True)


def test_a_docker_without_gpus_is_old() -> None:
    info = replace(machine.build("healthy").engine.info(), version="18.09.7")
    found = find(with_engine(info=info), "docker.engine")
    assert found.status is Status.WARNING
    assert "19.03" in found.detail


def test_docker_elsewhere_needs_no_docker_here(address: Path) -> None:
    host = machine.build("no-docker")
    assert find(host, "docker.installed").status is Status.ERROR
    endpoint = replace(host.engine.endpoint(), url="tcp://10.0.0.7:2376", source="DOCKER_HOST")
    elsewhere = replace(host, engine=Instead(host.engine, endpoint=endpoint))
    assert find(elsewhere, "docker.installed").status is Status.OK


# --- the settings file -------------------------------------------------------------------------------------------


def config(data: bytes | Trouble | None) -> Finding:
    host = machine.build("healthy")
    content = FileContent(CONFIG, CONFIG, data, 0o644, 0, 0) if isinstance(data, bytes) else data
    return find(replace(host, files=Instead(host.files, read=content)), "docker.config")


def test_a_settings_file_in_every_state() -> None:
    assert config(None).status is Status.OK
    assert config(b'{"debug": true}').status is Status.OK
    assert config(b" \n").status is Status.INFO, "an engine of today takes an empty file"
    broken = config(b'{\n  "debug": true,\n}')
    assert broken.status is Status.WARNING, "Docker runs; it is its next start that is in danger"
    assert "Line 3, column 1" in broken.summary
    assert "after the next boot" in broken.detail
    assert any("^" in item.text for item in broken.evidence), "the place is shown"
    assert (broken.causes, broken.fixes) == (("conf-json-syntax",), ("repair-daemon-json",))
    guess = config(b"{'debug': true}")
    assert (guess.causes, guess.fixes) == (("conf-json-syntax",), ())
    assert "sudoedit /etc/docker/daemon.json" in guess.detail
    twice = config(b'{"labels": [], "labels": []}')
    assert ("twice" in twice.summary, twice.status, twice.fixes) == (True, Status.INFO, ("remove-duplicate-key",))
    differ = config(b'{"mtu": 1500, "mtu": 1400}')
    assert (differ.status, differ.fixes) == (Status.WARNING, ())
    assert "1500" in differ.summary
    double = config(b'{"hosts": ["unix:///x"]}')
    assert (double.status, "hosts" in double.summary) == (Status.WARNING, True)
    assert (double.causes, double.fixes) == (("conf-conflict-other",), ("remove-duplicate-key",))
    unknown = config(b'{"debgu": true}')
    assert (unknown.causes, unknown.fixes) == (("conf-unknown-key",), ())
    assert '"debug"' in unknown.summary
    runtime = config(b'{"default-runtime": "nvidia"}')
    assert (runtime.causes, runtime.fixes) == (("conf-default-runtime-missing",), ("register-runtime",))
    unreadable = config(trouble(Problem.FILE_PERMISSION, "Permission denied"))
    assert unreadable.status is Status.INFO
    folder = config(trouble(Problem.FILE_NOT_REGULAR))
    assert folder.causes == ("conf-file-missing-or-dir",)
    assert "rmdir" in folder.detail


def test_the_same_file_with_a_docker_that_does_not_run() -> None:
    found = find(machine.build("broken-json"), "docker.config")
    assert (found.status, found.causes) == (Status.ERROR, ("conf-json-syntax",))


def test_what_docker_s_own_program_refuses_is_believed() -> None:
    host = machine.build("healthy")
    said = "unable to configure the Docker daemon with file /etc/docker/daemon.json: invalid something: x"

    def run(argv: tuple[str, ...], **options: Any) -> CommandResult:
        if "--validate" in argv:
            return CommandResult(argv, 1, "", said)
        return host.commands.run(argv, **options)

    found = find(replace(host, commands=Instead(host.commands, run=run)), "docker.config")
    assert (found.status, "invalid something: x" in found.summary) == (Status.WARNING, True)


# --- how it is started -------------------------------------------------------------------------------------------

DROP_IN = "/etc/systemd/system/docker.service.d/x.conf"
SOCKET_UNIT = "/etc/systemd/system/docker.socket"


def unit(text: str = "", *, link: str = "", at: str = DROP_IN, running: bool = True, more: str = "") -> Finding:
    """What is found with a drop-in of that text, or with a link."""
    file = f"link = {json.dumps(link)}" if link else f"text = {json.dumps(text)}"
    extends = 'extends = "healthy"\n[docker]\nrunning = false\n' if not running else 'extends = "healthy"\n'
    return find(assemble(spec.parse(f'{extends}[files."{at}"]\n{file}\n{more}', "trial")), "docker.unit")


def test_a_drop_in_in_every_state() -> None:
    second = unit("[Service]\nExecStart=/usr/bin/dockerd\n")
    assert (second.status, second.causes, second.fixes) == (
        Status.WARNING,
        ("systemd-two-execstart",),
        ("repair-drop-in",),
    )
    assert "neither after a restart nor after a boot" in second.detail
    assert unit("[Service]\nExecStart=/usr/bin/dockerd\n", running=False).status is Status.ERROR
    gone = unit("[Service]\nExecStart=\nExecStart=/opt/dockerd -H fd://\n")
    assert ("/opt/dockerd" in gone.summary, gone.fixes) == (True, ("repair-drop-in",))
    none = unit("[Service]\nExecStart=\n")
    assert ("no start command" in none.summary, none.fixes) == (True, ())
    typo = unit("[Service]\nEnvironment HTTP_PROXY=x\nNonsense\n")
    assert (typo.status, "line 3" in typo.summary) == (Status.WARNING, True)
    header = unit("[Service\nExecStart=/x\n")
    assert (header.status, "line 1" in header.summary) == (Status.WARNING, True)
    bad = unit("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --add-runtime nvidia\n")
    assert bad.causes == ("conf-add-runtime-bad",)
    twice = unit("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --add-runtime=a=/x --add-runtime=a=/x\n")
    assert twice.causes == ("conf-add-runtime-bad",)
    fine = unit("[Service]\nEnvironment=HTTP_PROXY=http://proxy.example:3128\n")
    assert (fine.status, fine.causes) == (Status.OK, ())


def test_a_misspelt_name_is_found_by_systemd_itself() -> None:
    said = f"{DROP_IN}:3: Unknown key 'Enviroment' in section [Service], ignoring.\n/other.conf:1: Unknown section 'x'."
    found = unit(
        "\n[Service]\nEnviroment=HTTP_PROXY=x\n",
        more=f'[commands."systemd-analyze verify *"]\nstderr = {json.dumps(said)}\n',
    )
    assert (found.status, "line 3: Unknown key 'Enviroment'" in found.summary) == (Status.WARNING, True)
    assert [item.source for item in found.evidence] == [DROP_IN]
    assert "Enviroment=HTTP_PROXY=x" in found.evidence[0].text


def test_a_service_that_is_locked() -> None:
    service = unit(link="/dev/null", at="/etc/systemd/system/docker.service", running=False)
    assert (service.status, "masked" in service.summary, service.fixes) == (Status.ERROR, True, ())
    assert "systemctl unmask" in service.detail
    sock = unit(link="/dev/null", at=SOCKET_UNIT, running=False)
    assert sock.causes == ("fd-host-no-activation",)


def test_a_machine_without_systemd() -> None:
    found = unit(more='[files."/run/systemd/system"]\nabsent = true\n[programs]\n"/usr/sbin/service" = true\n')
    assert (found.status, "service docker start" in found.summary) == (Status.OK, True)


def test_a_docker_of_another_kind_has_no_service_here() -> None:
    host = with_engine(info=replace(machine.build("healthy").engine.info(), kind=EngineKind.DESKTOP), daemon=None)
    assert find(host, "docker.unit").status is Status.OK


def test_two_dockers_at_once() -> None:
    more = '[files."/snap/docker/current"]\nkind = "directory"\n'
    host = assemble(spec.parse(f'extends = "healthy"\n{more}', "trial"))
    found = find(host, "docker.engine")
    assert (found.status, "second Docker" in found.detail) == (Status.WARNING, True)
    snap = replace(host.engine.info(), kind=EngineKind.SNAP)
    found = find(replace(host, engine=Instead(host.engine, info=snap)), "docker.engine")
    assert found.causes == ("snap-docker",)
    assert "/usr/bin/dockerd" in found.detail


def test_the_file_of_another_daemon_is_not_looked_at() -> None:
    host = with_engine(info=replace(machine.build("healthy").engine.info(), kind=EngineKind.REMOTE), daemon=None)
    assert find(host, "docker.config").status is Status.INFO
