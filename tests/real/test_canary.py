"""Whole runs of the program with a recognisable key: afterwards it lies in the chosen store and nowhere else."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support import crashes, nvidia
from tests.support.engine import PrivateEngine
from tests.support.gnupg import needs_pass, user
from tests.support.leak import OWN, Hunt, canary
from tests.support.password_store import UNLOCK, needs_password_store
from tests.support.registry import NgcLike
from wizard.cli import main

pytestmark = pytest.mark.real

PROGRAM = [sys.executable, "-m", "wizard"]
CRASH = """
import sys
from wizard.host import registry
def crash(self, reference, key, arch="amd64"):
    login = {"username": "$oauthtoken", "password": key.reveal()}
    try:
        raise RuntimeError(f"the cause, with {login}")
    except RuntimeError as error:
        raise ValueError(key.reveal(), f"Basic {registry._basic(key)}") from error
registry.NgcRegistry.manifest = crash
from wizard.cli import main
sys.exit(main())
"""
"""The program, with a fault in the place where it handles the key; the fault's own text shows the key."""

CRASHES = "tests.support.crashes"

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def hunt(ngc: NgcLike) -> Iterator[Hunt]:
    """A hunt for a key that nobody else has, and that the registry accepts."""
    usual, ngc.key = ngc.key, canary()
    yield Hunt(ngc.key)
    ngc.key = usual


@pytest.fixture
def home(own_environment: Path, ngc: NgcLike) -> Path:
    """The user's home, with a configuration that names the registry."""
    folder = own_environment / ".config" / "s2s-wizard"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text(f'[registry]\nhosts = ["{ngc.host}"]\n')
    return own_environment


@pytest.fixture
def run(engine: PrivateEngine, hunt: Hunt, home: Path) -> Run:
    """Runs the program as a user does, with the most detailed log, watched all the time."""

    def run(*words: str, stdin: str = "", argv: list[str] = PROGRAM) -> CompletedProcess[str]:
        log = ["--log-file", str(home / "debug.log")]
        return hunt.run([*argv, *log, *words], stdin=stdin, environ=engine.environ)

    return run


def _nowhere(hunt: Hunt, home: Path, tmp_path: Path, engine: PrivateEngine, *, but: tuple[Path, ...] = ()) -> None:
    hunt.folder(tmp_path, but=but)
    hunt.text("the engine's log", engine.log.read_bytes())
    hunt.folder(engine.folder / "data" / "containers")
    assert hunt.found == []
    assert hunt.seen_files > 1
    assert len(hunt.seen_processes) > 1
    assert b"DEBUG" in (home / "debug.log").read_bytes(), "the log was not as detailed as it can be"


def test_the_key_lies_in_the_chosen_file_and_nowhere_else(
    run: Run, hunt: Hunt, home: Path, tmp_path: Path, engine: PrivateEngine, ngc: NgcLike
) -> None:
    key = hunt.key.reveal()
    store = home / ".config" / "s2s-wizard" / "ngc_key"
    image = ngc.push_busybox("canary/private", public=False).image

    kept = run("key", "set", "--stdin", "--store", "file", stdin=f"  $oauthtoken:{key}\r\n")
    assert kept.returncode == 0, kept.stderr
    assert store.read_text().strip() == key

    where = run("key", "where", "--json")
    assert json.loads(where.stdout)["used"] == "file"

    check = run("key", "check", "--image", image)
    assert check.returncode == 0, check.stdout + check.stderr
    assert ngc.saw_the_key, "the key was never used, so that nothing could leak"

    ngc.answer("token", 401, times=2, body=json.dumps({"errors": [{"code": "X", "message": key}]}).encode())
    refused = run("key", "check", "--image", image, "--json")
    assert refused.returncode == 5, refused.stdout + refused.stderr
    ngc.reset()

    doctor = run("doctor", "--json")
    assert "findings" in json.loads(doctor.stdout)

    crash = run("key", "check", "--image", image, argv=[sys.executable, "-c", CRASH])
    assert crash.returncode == 4, crash.stdout + crash.stderr
    assert "Traceback" in (home / "debug.log").read_text()
    assert "Traceback" not in crash.stderr

    report = run("report", "--stdout")
    assert "## Check-up" in report.stdout

    _nowhere(hunt, home, tmp_path, engine, but=(store,))

    forgot = run("key", "forget")
    assert forgot.returncode == 0, forgot.stderr
    _nowhere(hunt, home, tmp_path, engine)


def test_the_same_crash_is_found_when_nothing_masks_the_log(run: Run, hunt: Hunt, home: Path, ngc: NgcLike) -> None:
    image = ngc.push_busybox("canary/unmasked", public=False).image
    run("key", "set", "--stdin", "--store", "file", stdin=hunt.key.reveal())
    unmasked = "from wizard.host import log; log.redact = lambda text, secrets=(): text\n"
    run("key", "check", "--image", image, argv=[sys.executable, "-c", unmasked + CRASH])
    hunt.folder(home, but=[home / ".config" / "s2s-wizard" / "ngc_key"])

    assert {found.partition(": ")[0] for found in hunt.found} == {str(home / "debug.log")}
    assert any(found.endswith("plain") for found in hunt.found)
    assert any(found.endswith("base64 of login") for found in hunt.found)


@needs_password_store
def test_the_key_lies_in_the_password_store_and_in_no_file(
    hunt: Hunt, home: Path, tmp_path: Path, engine: PrivateEngine, ngc: NgcLike
) -> None:
    image = ngc.push_busybox("canary/store", public=False).image
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    program = f'"$@" --log-file "{home}/debug.log"'
    session = f"""
        {UNLOCK}
        {program} key set --stdin || exit 91
        {program} key where --json || exit 92
        {program} key check --image {image} || exit 93
        {program} key forget || exit 94
        """
    done = hunt.run(
        ["dbus-run-session", "--", "sh", "-c", session, "sh", *PROGRAM],
        stdin=f"{hunt.key.reveal()}\n",
        environ={**engine.environ, "XDG_RUNTIME_DIR": str(runtime)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"used": "keyring"' in done.stdout
    assert ngc.saw_the_key
    assert list((home / ".local" / "share" / "keyrings").iterdir()), "the password store has kept nothing"
    _nowhere(hunt, home, tmp_path, engine)


def test_pull_up_and_shell_with_the_key(
    run: Run, hunt: Hunt, home: Path, tmp_path: Path, engine: PrivateEngine, ngc: NgcLike
) -> None:
    store = home / ".config" / "s2s-wizard" / "ngc_key"
    image = ngc.push_busybox("canary/whole", public=False, extra=(200_000,)).image
    assert run("key", "set", "--stdin", "--store", "file", stdin=hunt.key.reveal()).returncode == 0

    pull = run("pull", image, "--json")
    assert pull.returncode == 0, pull.stdout + pull.stderr
    assert ngc.saw_the_key
    assert json.loads(pull.stdout.splitlines()[-1])["event"] == "finished"

    words = ("--name", "canary", "--data", str(home / "data"), "--gpus", "none", "--image", image)
    up = run("up", *words, "--json")
    assert up.returncode == 0, up.stdout + up.stderr
    shell = run("shell", "--name", "canary", "--", "sh", "-c", "env; cat /proc/1/environ; ls -R /data")
    assert shell.returncode == 0, shell.stdout + shell.stderr
    assert "PATH=" in shell.stdout

    client = engine.client()
    try:
        hunt.text("the container, as the engine describes it", json.dumps(client.inspect_container("canary")))
        hunt.text("the image, as the engine describes it", json.dumps(client.images(image)))
    finally:
        client.close()
    assert not (home / ".docker").exists(), "nothing is written into Docker's own configuration"
    _nowhere(hunt, home, tmp_path, engine, but=(store,))


ELSEWHERE = {
    "wizard.host.keys._typed": "a store that fails by itself: tests/host/test_keys.py",
    "wizard.services.account._docker_key": "a key of Docker's own: tests/services/test_account.py",
}
"""Functions that these commands do not lead to, and what tests them."""


@needs_pass
@needs_password_store
def test_a_fault_in_any_function_that_handles_the_key(
    hunt: Hunt, home: Path, tmp_path: Path, engine: PrivateEngine, ngc: NgcLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two faults in each, whose own texts show the key; all in one process, with every place that can keep a key."""
    private = ngc.push_busybox("canary/faults", public=False).image
    downloaded = ngc.push_busybox("canary/downloaded", public=False).image
    denied = ngc.push("canary/denied", public=True).image
    ngc.deny("canary/denied")
    (tmp_path / "tls").mkdir()
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    with nvidia.running(ngc, tmp_path / "tls") as servers, user(engine.environ) as somebody:
        somebody.make_key()
        somebody.set_up()
        key_set = ["key", "set", "--stdin", "--store"]
        orders = crashes.Orders(
            key=hunt.key.reveal(),
            commands=[
                [*key_set, "keyring"],
                ["key", "where"],
                ["key", "check", "--image", private],
                ["key", "check", "--image", denied],
                [crashes.PULL, downloaded, "download"],
                [crashes.PULL, private, "engine"],
                ["report", "--stdout"],
                ["key", "forget"],
                [*key_set, "pass"],
                ["key", "check", "--image", private, "--json"],
                [*key_set, "file"],
                ["key", "set", "--ngc-cli", "--store", "file"],
                ["key", "where"],
            ],
            log=str(home / "debug.log"),
            before=nvidia.TURN.format(port=servers.port, hosts=nvidia.HOSTS),
        )
        done = hunt.run(
            ["dbus-run-session", "--", "sh", "-c", f'{UNLOCK} exec "$@"', "sh", sys.executable, "-m", CRASHES],
            stdin=json.dumps(asdict(orders)),
            environ={
                **somebody.environ,
                "XDG_RUNTIME_DIR": str(runtime),
                "REQUESTS_CA_BUNDLE": str(servers.authority),
            },
            seconds=280,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout.splitlines()[-1])
        failed = {
            name.partition(",")[0] for name in told["codes"] if f"{name.partition(',')[0]}, after" in told["codes"]
        }

    assert set(told["handlers"]) - failed == set(ELSEWHERE)
    assert servers.with_key() == {"api.ngc.nvidia.com"}
    assert (home / "debug.log").read_text().count("the cause, with ****") > 10
    _nowhere(hunt, home, tmp_path, engine, but=(home / ".config" / "s2s-wizard" / "ngc_key",))


def _echoes(key: str) -> dict[str, tuple[int, dict[str, str], bytes]]:
    """Answers of a server that is not kind: each repeats the key in every way that it can."""
    login = base64.b64encode(f"$oauthtoken:{key}".encode()).decode()
    said = json.dumps(
        {"errors": [{"code": key, "message": f"bad {key} in Basic {login}"}], "credentials": key}
    ).encode()
    statuses = (401, 403, 404, 412, 402, 451, 429, 500, 511)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {
        str(status): (status, {"X-Seen": key, "Content-Type": "application/json"}, said) for status in statuses
    }
    answers["redirect"] = (307, {"Location": f"https://{key}.evil.example/?k={key}&l={login}"}, said)
    answers["login page"] = (200, {"Content-Type": "text/html"}, f"<html>{key}</html>".encode())
    answers["nonsense"] = (200, {"Content-Type": "application/json"}, f'{{"token": 7, "{key}": [}}'.encode())
    return answers


@pytest.mark.parametrize("host", nvidia.HOSTS)
def test_every_refusal_even_of_a_server_that_repeats_the_key(
    hunt: Hunt,
    home: Path,
    tmp_path: Path,
    ngc: NgcLike,
    host: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ngc.push("canary/echo", public=False, arch="amd64")
    ngc.push("canary/public", arch="amd64")
    ngc.realm("https://nvcr.io/proxy_auth")
    image = "nvcr.io/canary/echo:1" if host == "nvcr.io" else "nvcr.io/canary/public:1"
    store = home / ".config" / "s2s-wizard" / "ngc_key"
    (tmp_path / "tls").mkdir()
    with nvidia.running(ngc, tmp_path / "tls") as servers, nvidia.redirected(servers):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servers.authority))
        if host == "authn.nvidia.com":
            hunt = Hunt(servers.legacy_key)
        store.write_text(hunt.key.reveal())
        store.chmod(0o600)
        codes = {}
        for name, answer in _echoes(hunt.key.reveal()).items():
            servers.answers[host] = answer
            for words in ([], ["--json"]):
                codes[name] = main(["key", "check", "--image", image, "--log-file", str(home / "debug.log"), *words])
                said = capsys.readouterr()
                hunt.text(f"what is said to {name}", said.out + said.err)
                assert not words or json.loads(said.out)["image"] == image, name
        assert host == "nvcr.io" or servers.with_key() == {host}
    assert set(codes.values()) <= {0, 5}
    assert codes["401"] == 5
    hunt.folder(tmp_path, but=(store,))
    assert hunt.found == []
    assert hunt.seen_files > 1


def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    run: Run, hunt: Hunt, home: Path, tmp_path: Path, engine: PrivateEngine
) -> None:
    typed = run("key", "set", hunt.key.reveal())

    assert typed.returncode == 2
    # The user's own typing stands in the arguments of this one process; whatever the program did must not.
    hunt.found = [found for found in hunt.found if not found.startswith(f"cmdline of {OWN}")]
    hunt.folder(tmp_path)
    assert hunt.found == []


def test_a_key_in_the_environment_stays_with_the_program(
    hunt: Hunt, home: Path, tmp_path: Path, engine: PrivateEngine, ngc: NgcLike
) -> None:
    image = ngc.push_busybox("canary/environment", public=False).image
    variables = ("NGC_API_KEY", "NGC_CLI_API_KEY", "NGC_APP_KEY")
    environ = {**engine.environ, **dict.fromkeys(variables, hunt.key.reveal())}
    log = ("--log-file", str(home / "debug.log"))
    check = hunt.run([*PROGRAM, *log, "key", "check", "--image", image], environ=environ)
    doctor = hunt.run([*PROGRAM, *log, "doctor"], environ=environ)

    assert check.returncode == 0, check.stdout + check.stderr
    assert doctor.stdout
    assert any(found.startswith(f"environ of {OWN}") for found in hunt.found), "the user put it there"
    hunt.found = [found for found in hunt.found if not found.startswith(f"environ of {OWN}")]
    _nowhere(hunt, home, tmp_path, engine)
