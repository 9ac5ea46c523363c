"""An error text, explained: yes only with evidence from this machine, and repairs only where they help."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.services.checks.machines import Instead, trouble, with_engine
from wizard.demo import machine, spec
from wizard.host.ports import Host
from wizard.knowledge import daemon_errors
from wizard.model.cause import Cause, Match
from wizard.model.container import LABEL, ContainerInfo
from wizard.model.engine import EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.machine import CommandResult, DiskSpace, Reached
from wizard.services import checks, explain, own_containers, probes, repairs, words
from wizard.services.checks.check import Check
from wizard.services.explain import Confirmed, Explanation
from wizard.services.probes.probe import Proof

UNKNOWN_RUNTIME = "docker: Error response from daemon: Unknown runtime specified nvidia.\nSee 'docker run --help'.\n"
NO_DAEMON = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
YES, NO, OPEN = Confirmed.YES, Confirmed.NO, Confirmed.NOT_PROBED


def only(found: tuple[Explanation, ...], id: str) -> Explanation:
    assert [item.id for item in found] == [id]
    return found[0]


def built(text: str) -> Host:
    """The healthy machine with what stands in ``text``."""
    return machine.assemble(spec.parse(f'extends = "healthy"\n{text}', "test"))


# --- the founding story ------------------------------------------------------------------------------------------


def test_a_text_that_is_true_here_is_proved_and_its_repair_offered() -> None:
    item = only(explain.run(machine.build("unknown-runtime"), UNKNOWN_RUNTIME), "runtime-unknown")
    assert item.confirmed is YES
    assert item.fixes == ("register-runtime",)
    assert Evidence("GET /info → Runtimes", "io.containerd.runc.v2, runc") in item.evidence
    assert item.matched_text
    assert explain.verdict((item,)) == ()


def test_the_same_text_on_a_healthy_machine_is_of_another_machine_or_repaired() -> None:
    found = explain.run(machine.build("healthy"), UNKNOWN_RUNTIME)
    item = only(found, "runtime-unknown")
    assert (item.confirmed, item.fixes) == (NO, ())
    assert item.evidence
    assert any("another machine, or it has been repaired since" in sentence for sentence in explain.verdict(found))


def test_after_the_repair_the_text_is_no_longer_true() -> None:
    raw = spec.load("unknown-runtime")
    host = machine.assemble(replace(raw, user=replace(raw.user, root="ready")))
    fix = repairs.plan(host, "register-runtime")
    assert fix is not None
    assert explain.run(host, UNKNOWN_RUNTIME)[0].confirmed is YES
    repairs.apply(host, fix)
    assert explain.run(host, UNKNOWN_RUNTIME)[0].confirmed is NO


@pytest.mark.parametrize("name", ["docker-stopped", "no-permission", "no-docker"])
def test_what_cannot_be_looked_at_is_not_proved_and_the_reason_is_said(name: str) -> None:
    found = explain.run(machine.build(name), UNKNOWN_RUNTIME)
    item = only(found, "runtime-unknown")
    assert item.confirmed is OPEN
    wrong = item.instead[0]
    assert wrong.status is Status.ERROR
    assert any(wrong.summary in sentence for sentence in explain.verdict(found))
    assert explain.repairs_for(found) == tuple(
        dict.fromkeys(fix for finding in item.instead for fix in finding.fixes if fix in repairs.known())
    )


def test_what_keeps_docker_from_starting_comes_before_what_the_text_says() -> None:
    found = explain.run(machine.build("old-override"), UNKNOWN_RUNTIME)
    item = only(found, "runtime-unknown")
    assert (item.confirmed, item.fixes) == (OPEN, ())
    assert "docker.unit" in [finding.id for finding in item.instead]
    assert explain.repairs_for(found) == ("repair-drop-in",)


def test_without_probing_nothing_is_asked_of_the_machine() -> None:
    host = machine.build("unknown-runtime")
    untouched = replace(host, engine=None, files=None, commands=None, gpus=None)  # type: ignore[arg-type]
    item = only(explain.run(untouched, UNKNOWN_RUNTIME, probe=False), "runtime-unknown")
    assert (item.confirmed, item.evidence) == (OPEN, ())
    assert "register-runtime" in item.fixes


@pytest.mark.parametrize("text", ["", " \n", "\0\x01\xff" * 99, "все хорошо", "the coffee machine is empty"])
def test_what_is_not_known_is_not_forced_into_a_row(text: str) -> None:
    assert explain.run(machine.build("healthy"), text) == ()
    assert explain.verdict(()) == ()
    assert explain.unknown()


@pytest.mark.parametrize("name", machine.names())
def test_every_known_text_gets_an_answer_on_every_machine(name: str) -> None:
    """No probe may crash, and none may say yes on a machine on which everything is right."""
    host = machine.build(name)
    for cause in daemon_errors.causes():
        if cause.id not in {*probes.ABOUT, *probes.GENERAL}:
            continue
        for sample in cause.samples[:2]:
            for item in explain.run(host, sample):
                assert not any(seen.source.endswith("Error") for seen in item.evidence), item
                if name == "healthy" and item.confirmed is YES:
                    # a made-up name is really not there, wherever one looks
                    assert item.id in PROVED_ANYWHERE, item


PROVED_ANYWHERE = {
    "cuda-too-new",
    "runtime-unknown",
    "name-invalid",
    "image-ref-bad",
    "container-missing",
    "image-missing-local",
    "bind-source-missing",
    "device-missing",
    "docker-cli-missing",
    "manifest-unknown",
    "pull-access-denied",
    "unauthorized",
    "dns-failure",
    "connection-refused-registry",
    "docker-tls-missing",
}


# --- by checks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes one check, which finds what is given, the one that decides the cause ``runtime-unknown``."""

    def decide(*found: tuple[Status, tuple[str, ...]], requires: tuple[str, ...] = ()) -> None:
        made = []
        for number, (status, causes) in enumerate(found):

            def look(_host: Host, n: int = number, s: Status = status, c: tuple[str, ...] = causes) -> Finding:
                return Finding(f"test.{n}", s, f"Test {n}", "seen", causes=c, fixes=("register-runtime",) if c else ())

            made.append(Check(f"test.{number}", f"Test {number}", requires, 5.0, look, ("runtime-unknown",)))
        monkeypatch.setattr(checks, "ALL", tuple(made))
        monkeypatch.setattr("wizard.services.checkup.ALL", tuple(made))
        monkeypatch.setattr("wizard.services.checkup.run.__kwdefaults__", {"checks": tuple(made)})

    return decide


@pytest.mark.parametrize(
    ("found", "confirmed"),
    [
        ([(Status.ERROR, ("runtime-unknown",))], YES),
        ([(Status.OK, ()), (Status.WARNING, ("runtime-unknown",))], YES),
        ([(Status.OK, ())], NO),
        ([(Status.ERROR, ())], NO),
        ([(Status.OK, ()), (Status.SKIPPED, ())], OPEN),
        ([(Status.UNKNOWN, ())], OPEN),
        ([], OPEN),
    ],
)
def test_what_checks_say_decides(
    decided: Callable[..., None], found: list[tuple[Status, tuple[str, ...]]], confirmed: Confirmed
) -> None:
    decided(*found)
    item = only(explain.run(machine.build("healthy"), UNKNOWN_RUNTIME), "runtime-unknown")
    assert item.confirmed is confirmed
    assert (item.fixes == ()) is (confirmed is NO)


def test_only_the_checks_that_decide_and_what_they_require_are_run() -> None:
    seen: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, Finding):
            seen.append(event.id)

    explain.run(machine.build("unknown-runtime"), UNKNOWN_RUNTIME, emit=note)
    assert "runtime.registered" in seen
    assert "docker.running" in seen
    assert "disk.space" not in seen


# --- by probes ---------------------------------------------------------------------------------------------------


def match(id: str, text: str, **groups: str) -> Match:
    """A match as the catalogue would make it, whatever its patterns are."""
    return Match(Cause(id, "Title", "Cause.", ("Step.",), (), ()), text, groups)


def probed(host: Host, id: str, text: str, **groups: str) -> bool | None:
    probe = probes.ABOUT.get(id) or probes.GENERAL[id]
    proof = probe(host, match(id, text, **groups))
    assert proof is None or proof.evidence
    return None if proof is None else proof.holds


def own(**changes: Any) -> ContainerInfo:
    usual = ContainerInfo("f" * 64, "wiz", "python:3.12-slim", "sha256:1", "created", labels={LABEL: "1"})
    return replace(usual, **changes)


TAKEN = 'Conflict. The container name "/wiz" is already in use by container "abc".'


@pytest.mark.parametrize(
    ("there", "holds", "fixes"),
    [
        (None, False, None),
        (own(), True, (own_containers.FIX,)),
        (own(state="dead"), True, (own_containers.FIX,)),
        (own(state="exited"), True, ()),
        (own(state="running"), True, ()),
        (own(labels={}), True, ()),
        (own(labels={}, state="running"), True, ()),
        (own(name="other"), False, None),
    ],
)
def test_a_name_that_is_taken(there: ContainerInfo | None, holds: bool, fixes: tuple[str, ...] | None) -> None:
    proof = probes.ABOUT["name-conflict"](with_engine(container=lambda _name: there), match("name-conflict", TAKEN))
    assert proof is not None
    assert (proof.holds, proof.fixes) == (holds, fixes)
    assert bool(proof.note) is (fixes == ())


CONTAINERS = [
    ("container-missing", "Error: No such container: nosuch", True),
    ("container-missing", "Error response from daemon: No such container: group-notebook", False),
    ("container-not-running", "Error response from daemon: Container group-notebook is not running", False),
    ("container-not-running", "Error response from daemon: container nosuch is not running", False),
    ("rm-running", 'cannot remove container "/group-notebook": container is running: stop the container', True),
    ("rm-running", "You cannot remove a running container nosuch. Stop the container", False),
    ("image-missing-local", "docker: Error response from daemon: No such image: nosuch/image:1.", True),
    ("image-missing-local", "No such image: python:3.12-slim", False),
    ("image-missing-local", "Unable to find image 'python:3.12-slim' locally", False),
    ("runtime-unknown", "Unknown runtime specified kata.", True),
    ("runtime-unknown", "unknown or invalid runtime name: runc", False),
    ("runtime-unknown", "Unknown runtime specified nvidia", None),
    ("name-invalid", "Invalid container name (-bad name), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", True),
    ("image-ref-bad", "invalid reference format: repository name (Nvidia/TF) must be lowercase", True),
    ("bind-source-missing", "bind source path does not exist: /no/such", True),
    ("bind-source-missing", "bind source path does not exist: /etc/docker", False),
    ("device-missing", 'error gathering device information while adding custom device "/dev/nvidiactl": no', False),
    ("device-missing", 'error gathering device information while adding custom device "/dev/nvidia9": no', True),
    ("docker-cli-missing", "nvidia-docker: command not found", True),
    ("docker-cli-missing", "bash: docker: command not found", False),
    ("gpus-flag-too-old", "unknown flag: --gpus", False),
    ("api-version-mismatch", "client version 1.41 is too old. Minimum supported API version is 1.44", False),
    ("api-version-mismatch", "client version 1.52 is too new. Maximum supported API version is 1.43", None),
    ("docker-host-wrong", "failed to connect to the docker API at tcp://foo:2375", False),
    ("docker-config-json-bad", "Error loading config file", False),
    ("docker-desktop-context", "could not select device driver", False),
    ("snap-docker", "unknown or invalid runtime name: nvidia", False),
    ("port-allocated", "Bind for 0.0.0.0:18862 failed: port is already allocated", False),
    ("manifest-unknown", "manifest for nvcr.io/nvidia/tensorflow:99.99 not found: manifest unknown", True),
    ("manifest-unknown", "manifest for nvcr.io/nvidia/tensorflow:20.11-tf1-py3 not found", False),
    ("unauthorized", "Get https://nvcr.io/v2/example-org/private/manifests/1.0: unauthorized", True),
    ("unauthorized", "Get https://nvcr.io/v2/nvidia/tensorflow/manifests/20.11-tf1-py3: unauthorized", False),
    ("pull-access-denied", "pull access denied for nvcr.io/example-org/private, repository does not", True),
    ("registry-5xx", 'failed to resolve reference "nvcr.io/nvidia/tensorflow:20.11-tf1-py3": 502 Bad', False),
    ("no-space-pull", "no space left on device", False),
    ("daemon-disk-full", "no space left on device", False),
]


@pytest.mark.parametrize(("id", "text", "holds"), CONTAINERS)
def test_a_probe_looks_at_what_the_text_names(id: str, text: str, holds: bool | None) -> None:
    assert probed(machine.build("healthy"), id, text) is holds


def test_a_probe_that_does_not_know_what_is_meant_says_nothing() -> None:
    host = machine.build("healthy")
    for id_ in ("name-conflict", "container-missing", "container-not-running", "rm-running", "image-missing-local"):
        assert probed(host, id_, "something was not right") is None
    for id_ in ("dns-failure", "manifest-unknown", "unauthorized", "registry-5xx", "bind-source-missing"):
        assert probed(host, id_, "something was not right") is None


def test_the_subject_of_the_catalogue_helps_where_the_words_are_others() -> None:
    host = machine.build("healthy")
    assert probed(host, "container-missing", "kein Container", subject="nosuch") is True


@pytest.mark.parametrize(
    ("port", "holds"), [("5903", True), ("5904", False), ("22", False), ("631", True), ("99999", False)]
)
def test_who_listens_on_a_port(port: str, holds: bool) -> None:
    tables = {
        "/proc/net/tcp": (
            "  sl  local_address rem_address   st tx_queue\n"
            "   0: 00000000:170F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0\n"
            "   1: 0100007F:0016 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0\n"
        ),
        "/proc/net/tcp6": (
            "   0: 00000000000000000000000000000000:0277 00000000000000000000000000000000:0000 0A 0 0 0\n"
        ),
    }
    host = built("".join(f'[files."{path}"]\ntext = """\n{text}"""\n' for path, text in tables.items()))
    text = f"Error starting userland proxy: listen tcp 0.0.0.0:{port}: bind: address already in use"
    assert probed(host, "port-in-use-host", text) is holds
    assert probed(host, "port-in-use-host", f"failed to bind host port 0.0.0.0:{port}/tcp: address already") is holds
    bound = f"failed to bind host port for 0.0.0.0:{port}:172.31.45.2:80/tcp: address already in use"
    assert probed(host, "port-in-use-host", bound) is holds


def test_a_port_that_a_container_has() -> None:
    host = machine.build("healthy")
    listed = CommandResult((), 0, "web 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp\n", "")
    host = replace(host, commands=Instead(host.commands, run=listed))
    assert probed(host, "port-allocated", "Bind for 0.0.0.0:8080 failed: port is already allocated") is True
    assert probed(host, "port-allocated", "Bind for 0.0.0.0:80 failed: port is already allocated") is False


@pytest.mark.parametrize(("caps", "holds"), [("000001ffffffffff", False), ("00000000a80425fb", True)])
def test_what_docker_may(caps: str, holds: bool) -> None:
    host = built(f'[files."/proc/812/status"]\ntext = "Name:\\tdockerd\\nCapBnd:\\t{caps}\\n"\n')
    assert probed(host, "rlimit-not-permitted", "error setting rlimit type 8: operation not permitted") is holds


@pytest.mark.parametrize(("free", "holds"), [(10, True), (10_000_000_000, None), (99_000_000_000, False)])
def test_a_full_disk(free: int, holds: bool | None) -> None:
    host = machine.build("docker-stopped")
    host = replace(host, files=Instead(host.files, disk=lambda path: DiskSpace(path, 10**12, free)))
    assert probed(host, "no-space-pull", "no space left on device") is holds


PROXIED = {"environ": {"https_proxy": "http://proxy:3128"}}
LOOKUP = 'Get "https://nvcr.io/v2/": dial tcp: lookup nvcr.io on 127.0.0.1:53: no such host'
REFUSED = 'Get "http://127.0.0.1:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused'
UNTRUSTED = 'Get "https://192.0.2.2:5912/v2/": tls: failed to verify certificate: x509: certificate signed by unknown'


@pytest.mark.parametrize(
    ("id", "text", "answer", "holds"),
    [
        ("dns-failure", LOOKUP, trouble(Problem.DNS, "Name or service not known"), True),
        ("dns-failure", LOOKUP, trouble(Problem.TLS, "certificate verify failed"), False),
        ("dns-failure", LOOKUP, trouble(Problem.REGISTRY_UNREACHABLE, "timed out"), None),
        ("dns-failure", LOOKUP, Reached("https://nvcr.io/v2/", 401, True), False),
        ("connection-refused-registry", REFUSED, trouble(Problem.REGISTRY_UNREACHABLE, "Connection refused"), True),
        ("connection-refused-registry", REFUSED, trouble(Problem.REGISTRY_UNREACHABLE, "timed out"), None),
        ("connection-refused-registry", REFUSED, Reached("http://127.0.0.1:5999/v2/", 200, True), False),
        ("x509-unknown-authority", UNTRUSTED, trouble(Problem.TLS, "self-signed certificate"), True),
        ("x509-unknown-authority", UNTRUSTED, Reached("https://192.0.2.2:5912/v2/", 200, True), None),
        ("http-vs-https", UNTRUSTED, trouble(Problem.REGISTRY_HTTP, "wrong version number"), True),
        ("captive-portal", LOOKUP, Reached("https://nvcr.io/v2/", 200, False), True),
        ("captive-portal", LOOKUP, Reached("https://nvcr.io/v2/", 401, True), False),
    ],
)
def test_the_registry_is_asked(id: str, text: str, answer: object, holds: bool | None) -> None:
    host = machine.build("healthy")
    asked: list[str] = []

    def reach(server: str) -> object:
        asked.append(server)
        return answer

    host = replace(host, registry=Instead(host.registry, reach=reach))
    assert probed(host, id, text) is holds
    assert asked == [text.split("://")[1].split("/")[0]]
    assert probed(replace(host, **PROXIED), id, text) is None, "Docker may go another way"  # type: ignore[arg-type]


def test_a_key_that_docker_has_kept_leaves_it_open_who_is_wrong() -> None:
    config = '[files."/home/mei/.docker/config.json"]\ntext = \'{"auths": {"nvcr.io": {"auth": "c2VjcmV0"}}}\'\n'
    host = built(config)
    for image in ("nvidia/tensorflow/manifests/20.11-tf1-py3", "example-org/private/manifests/1.0"):
        text = f"Get https://nvcr.io/v2/{image}: unauthorized: authentication required"
        proof = probes.ABOUT["unauthorized"](host, match("unauthorized", text))
        assert proof is not None
        assert proof.holds is None
        assert "c2VjcmV0" not in str(proof)
        assert ("docker logout nvcr.io" in proof.note) is ("tensorflow" in image)


@pytest.mark.parametrize(
    ("config", "holds"),
    [("{", True), ("[]", True), ('{"credsStore": "desktop"}', False), ("", True)],
)
def test_settings_of_the_docker_command(config: str, holds: bool) -> None:
    host = built(f"[files.\"/home/mei/.docker/config.json\"]\ntext = '''{config}'''\nowner = 1000\n")
    assert probed(host, "docker-config-json-bad", "Error loading config file") is holds
    helper = 'exec: "docker-credential-desktop": executable file not found in $PATH, out: ``'
    assert probed(host, "credstore-missing", helper) is ("credsStore" in config)
    assert probed(host, "credstore-missing", helper.replace("desktop", "pass")) is False


def test_a_version_is_wrong_when_something_here_speaks_it() -> None:
    text = "client version 1.10 is too old. Minimum supported API version is 1.24"
    host = machine.build("healthy")
    assert probed(host, "api-version-mismatch", text) is None
    assert probed(replace(host, environ={"DOCKER_API_VERSION": "1.10"}), "api-version-mismatch", text) is True
    command = Instead(host.commands, run=CommandResult((), 0, "1.10 1.24 1.45\n", ""))
    assert probed(replace(host, commands=command), "api-version-mismatch", text) is True


def test_settings_that_may_not_be_read_are_proved_too() -> None:
    host = built('[files."/home/mei/.docker/config.json"]\ntext = "{}"\nmode = 0o600\nowner = 0\n')
    assert probed(host, "docker-config-json-bad", "open config.json: permission denied") is True


def test_a_docker_context_that_does_not_exist() -> None:
    config = '[files."/home/mei/.docker/config.json"]\ntext = \'{"currentContext": "nosuch"}\'\nowner = 1000\n'
    text = 'unable to resolve docker endpoint: context "nosuch" does not exist'
    assert probed(built(config), "docker-context-missing", text) is True
    assert probed(machine.build("healthy"), "docker-context-missing", text) is False
    other = replace(machine.build("healthy"), environ={"DOCKER_CONTEXT": "nosuch"})
    assert probed(other, "docker-context-missing", text) is True


def test_certificates_that_a_variable_asks_for() -> None:
    host = machine.build("healthy")
    text = "unable to resolve docker endpoint: open /nonexistent/ca.pem: no such file or directory"
    assert probed(host, "docker-tls-missing", text) is False
    assert probed(replace(host, environ={"DOCKER_CERT_PATH": "/nonexistent"}), "docker-tls-missing", text) is True
    assert probed(replace(host, environ={"DOCKER_CERT_PATH": "/elsewhere"}), "docker-tls-missing", text) is None


def test_an_address_where_no_docker_is() -> None:
    from wizard.model.engine import Endpoint

    there = Endpoint("tcp://foo:2375", "DOCKER_HOST")
    gone = trouble(Problem.ENGINE_REFUSED, "no such host")
    assert probed(with_engine(endpoint=there, ping=gone), "docker-host-wrong", "x") is True
    assert probed(with_engine(endpoint=there), "docker-host-wrong", "x") is False
    assert probed(with_engine(endpoint=trouble(Problem.ENGINE_ADDRESS)), "docker-host-wrong", "x") is True


def test_paths_and_ports_of_another_machine_are_not_looked_at() -> None:
    info = replace(machine.build("healthy").engine.info(), kind=EngineKind.REMOTE)
    host = with_engine(info=info)
    assert probed(host, "bind-source-missing", "bind source path does not exist: /no/such") is None
    assert probed(host, "no-space-pull", "no space left on device") is None


# --- how probes end ----------------------------------------------------------------------------------------------


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Puts another probe in the place of the one for names that are taken."""
    return lambda probe: monkeypatch.setattr(probes, "ABOUT", {"name-conflict": probe})


def test_a_probe_that_cannot_look_proves_nothing(instead: Callable[[Any], None]) -> None:
    def fails(_host: Host, _match: Match) -> Proof:
        raise trouble(Problem.ENGINE_LOST, "EOF")

    def crashes(_host: Host, _match: Match) -> Proof:
        raise ZeroDivisionError("nvapi-" + "a" * 64)

    for probe in (fails, crashes):
        instead(probe)
        item = only(explain.run(machine.build("healthy"), TAKEN), "name-conflict")
        assert item.confirmed is OPEN
        assert item.evidence
        assert "nvapi-a" not in str(item)


def test_a_probe_that_hangs_is_left_alone(instead: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Cancel()
    monkeypatch.setattr(explain, "SECONDS", 0.2)

    def hangs(_host: Host, _match: Match) -> Proof:
        stop.wait(60)
        return Proof(True, (Evidence("late", "late"),))

    instead(hangs)
    item = only(explain.run(machine.build("healthy"), TAKEN), "name-conflict")
    stop.set()
    assert item.confirmed is OPEN
    assert "no answer within" in item.evidence[0].text


def test_it_can_be_cancelled_while_a_probe_hangs(instead: Callable[[Any], None]) -> None:
    cancel, stop = Cancel(), Cancel()

    def hangs(_host: Host, _match: Match) -> Proof:
        cancel.set()
        stop.wait(60)
        return Proof(None, ())

    instead(hangs)
    with pytest.raises(Trouble) as caught:
        explain.run(machine.build("healthy"), TAKEN, cancel=cancel)
    stop.set()
    assert caught.value.kind is Problem.CANCELLED


# --- what is told ------------------------------------------------------------------------------------------------


def test_the_document_has_the_keys_of_the_contract() -> None:
    document = json.loads(json.dumps(explain.to_json(explain.run(machine.build("healthy"), UNKNOWN_RUNTIME))))
    assert document["schema_version"] == 1
    assert set(document["matches"][0]) == {
        "id", "title", "cause", "confirmed", "evidence", "advice", "fixes", "links", "matched_text",
    }  # fmt: skip
    assert document["notes"]


def test_a_repair_that_is_told_exists() -> None:
    for cause in daemon_errors.causes():
        for sample in cause.samples[:1]:
            for item in explain.run(machine.build("healthy"), sample, probe=False):
                assert set(item.fixes) <= set(repairs.known())


def test_every_repair_is_known_by_the_name_of_its_module() -> None:
    assert explain._known((*repairs.known(), "no-such-repair")) == repairs.known()


def test_a_key_in_the_text_is_told_nowhere() -> None:
    key = "nvapi-" + "Zq7" * 21 + "x"
    text = f"Unknown runtime specified nvidia {key} https://u:{key}@nvcr.io/ \nAuthorization: Bearer {key}"
    assert key not in str(explain.run(machine.build("unknown-runtime"), text))


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = f"{UNKNOWN_RUNTIME}{'noise ' * 900_000}\n{TAKEN}"
    kept, cut = explain.clip(text)
    assert cut
    assert len(kept) <= explain.HEAD + explain.TAIL + 1
    assert kept.startswith(UNKNOWN_RUNTIME)
    assert kept.endswith(TAKEN)
    assert explain.clip(UNKNOWN_RUNTIME) == (UNKNOWN_RUNTIME, False)


def test_an_error_of_our_own_names_the_cause_that_docker_names() -> None:
    text = daemon_errors.by_id("runtime-binary-missing").samples[0]
    cause = daemon_errors.find(text)[0].cause
    said = words.explain(Trouble(Problem.RUNTIME_BROKEN, text))
    assert cause.title in said.summary
    assert said.kind == "runtime-broken"
    plain = words.explain(Trouble(Problem.RUNTIME_BROKEN, "something that nobody knows"))
    assert cause.title not in plain.summary
    assert words.explain(Trouble(Problem.DNS, UNKNOWN_RUNTIME)).summary == words.explain(Trouble(Problem.DNS)).summary
