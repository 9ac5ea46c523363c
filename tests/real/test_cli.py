"""The installed program as a user runs it: a real Docker Engine, a real registry, processes and exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from tests.support.registry import NgcLike

pytestmark = pytest.mark.real

PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))
FIX = "register-runtime"


@dataclass
class Program:
    """``s2s-wizard`` at one engine. Called with words it returns the finished process."""

    environ: dict[str, str]

    def __call__(self, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *words],
            input=stdin,
            env={**self.environ, **more},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def json(self, *words: str, code: int = 0, **more: str) -> dict[str, Any]:
        """The one document of a command that has to end with ``code``."""
        result = self(*words, "--json", **more)
        assert result.returncode == code, result
        document = dict(json.loads(result.stdout))
        assert document["schema_version"] == 1
        assert document["host"]["kind"] == "real"
        return document

    def lines(self, *words: str, code: int = 0, **more: str) -> list[dict[str, Any]]:
        """The JSON lines of a command that has to end with ``code``."""
        result = self(*words, "--json", **more)
        assert result.returncode == code, result
        return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def wizard(engine: PrivateEngine, ngc: NgcLike, own_environment: Path) -> Program:
    """The program at the shared engine, with the registry named in its settings."""
    folder = own_environment / ".config/s2s-wizard"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text(f'[registry]\nhosts = ["{ngc.host}"]\n')
    return Program(engine.environ)


@pytest.fixture
def forget(engine: PrivateEngine) -> Iterator[Callable[[str], str]]:
    """``forget(name)`` has the image removed from the shared engine after the test; returns the name."""
    names: list[str] = []

    def remember(name: str) -> str:
        names.append(name)
        return name

    yield remember
    engine.remove_containers()
    client = engine.client()
    for name in names:
        if client.images(name):
            client.remove_image(name, force=True)
    client.close()


# --- doctor ------------------------------------------------------------------------------------------------------


def test_doctor_tells_about_the_engine_that_the_user_talks_to(wizard: Program, engine: PrivateEngine) -> None:
    result = wizard("doctor", "--json")
    document = json.loads(result.stdout)
    assert result.stderr == ""
    assert result.returncode == (0 if document["ready"] else 1)
    assert document["engine"]["url"] == engine.url
    assert document["engine"]["source"] == "DOCKER_HOST"
    found = {finding["id"]: finding["status"] for finding in document["findings"]}
    assert found["docker.running"] == found["docker.access"] == "ok"
    words = wizard("doctor")
    assert words.returncode == result.returncode
    assert len([line for line in words.stdout.split("\n\n")[0].splitlines() if line.startswith("[")]) == len(found)


@pytest.mark.parametrize("address", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "nonsense", "ssh://"])
def test_doctor_where_no_docker_answers(wizard: Program, address: str) -> None:
    began = time.monotonic()
    document = wizard.json("doctor", code=1, DOCKER_HOST=address)
    assert time.monotonic() - began < 12
    assert document["engine"] is None
    assert any(f["status"] == "error" for f in document["findings"] if f["id"].startswith("docker."))
    for words in (["pull", "x/y:1"], ["up"], ["shell"]):
        result = wizard(*words, DOCKER_HOST=address)
        assert result.returncode == 4
        assert result.stdout == ""
        assert "Traceback" not in result.stderr


def test_a_docker_that_hangs_costs_seconds_and_is_named(wizard: Program, tmp_path: Path) -> None:
    path = str(tmp_path / "d.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen(50)
        began = time.monotonic()
        document = wizard.json("doctor", code=1, DOCKER_HOST=f"unix://{path}")
        assert time.monotonic() - began < 12
    found = {finding["id"]: finding for finding in document["findings"]}
    assert found["docker.running"]["status"] == "error"
    assert found["docker.access"]["status"] == "skipped"


# --- pull --------------------------------------------------------------------------------------------------------


def test_a_pull_counts_to_the_size_that_the_registry_told(
    wizard: Program, ngc: NgcLike, forget: Callable[[str], str]
) -> None:
    pushed = ngc.push_busybox("nvidia/cli-public", extra=(3_000_000, 2_000_000))
    image = forget(pushed.image)
    plan, *progress, finished = wizard.lines("pull", image)
    assert (plan["event"], plan["bytes_total"], plan["layers"]) == ("plan", pushed.download_size, 3)
    done = [line["bytes_done"] for line in progress]
    assert done == sorted(done)
    assert done[-1] == pushed.download_size
    assert finished["event"] == "finished"
    assert (finished["image"], finished["digest"]) == (image, pushed.digest)
    again = wizard("pull", image)
    assert (again.returncode, again.stdout) == (0, f"[ok]    {image} is here already.\n")
    assert not ngc.saw_the_key


def test_a_key_opens_a_private_image_and_only_the_right_key(
    wizard: Program, ngc: NgcLike, forget: Callable[[str], str]
) -> None:
    image = forget(ngc.push_busybox("nvidia/cli-private", public=False).image)
    assert wizard.lines("pull", image, code=5)[-1]["error"]["id"] == "key-wanted"
    wrong = wizard("pull", image, NGC_API_KEY=ngc.wrong_key.reveal())
    assert wrong.returncode == 5
    assert ngc.wrong_key.reveal() not in wrong.stdout + wrong.stderr
    refused = wizard.json("key", "check", "--image", image, code=5, NGC_API_KEY=ngc.wrong_key.reveal())
    assert refused["state"] == "refused"

    kept = wizard("key", "set", "--stdin", "--store", "file", stdin=ngc.key.reveal() + "\n")
    assert kept.returncode == 0
    assert "unencrypted" in kept.stderr
    assert wizard.json("key", "check", "--image", image)["state"] == "accepted"
    assert wizard.lines("pull", image)[-1]["event"] == "finished"
    assert wizard.json("key", "forget")["forgotten"] == ["file"]
    assert wizard.json("key", "where")["used"] is None


def test_without_a_password_store_a_script_is_told_what_to_do(wizard: Program, ngc: NgcLike) -> None:
    result = wizard("key", "set", "--stdin", stdin=ngc.key.reveal())
    assert result.returncode == 3
    assert "--store file" in result.stderr
    assert "NGC_API_KEY" in result.stderr


def test_what_the_registry_does_not_have(wizard: Program, ngc: NgcLike) -> None:
    ngc.push_busybox("nvidia/cli-public")
    result = wizard("pull", f"{ngc.host}/nvidia/cli-public:no-such-tag")
    assert result.returncode == 5
    assert "no-such-tag" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_interrupted_ends_the_download(
    wizard: Program, ngc: NgcLike, engine: PrivateEngine, number: signal.Signals
) -> None:
    image = ngc.push_busybox("nvidia/cli-slow", extra=(30_000_000,)).image
    ngc.throttle(2_000_000)
    process = subprocess.Popen(
        [PROGRAM, "pull", image, "--json"],
        env=wizard.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("bytes_done", 0) > 0:
            break
    process.send_signal(number)
    began = time.monotonic()
    _out, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert err.splitlines()[-1] == "s2s-wizard: interrupted"
    ngc.throttle(None)
    time.sleep(1)
    client = engine.client()
    try:
        assert client.images(image) == []
    finally:
        client.close()


def pull_at_a_terminal(wizard: Program, image: str) -> pexpect.spawn[str]:
    """A pull by Docker itself, which goes on at a terminal and is then interrupted."""
    words = ["pull", image, "--via", "engine", "--yes"]
    child = pexpect.spawn(PROGRAM, words, env={**wizard.environ, "TERM": "xterm"}, encoding="utf-8", timeout=30)
    child.expect("MB of")
    child.sendintr()
    child.expect(r"starts\s+again\s+from\s+zero")  # as wide as the terminal is
    child.expect_exact("Stop the download? [y/N] ")
    return child


def test_ctrl_c_at_a_terminal_asks_before_a_pull_by_docker_is_lost(
    wizard: Program, ngc: NgcLike, engine: PrivateEngine
) -> None:
    image = ngc.push_busybox("nvidia/cli-asked", extra=(30_000_000,)).image
    ngc.throttle(1_000_000)
    child = pull_at_a_terminal(wizard, image)
    child.sendline("")
    child.expect("MB of")  # it goes on
    child.sendintr()
    child.expect_exact("Stop the download? [y/N] ")
    child.sendintr()
    child.expect_exact("\ns2s-wizard: interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    ngc.throttle(None)
    client = engine.client()
    try:
        assert client.images(image) == []
    finally:
        client.close()


def test_a_question_that_nobody_answers_does_not_hold_up_the_end(
    wizard: Program, ngc: NgcLike, forget: Callable[[str], str]
) -> None:
    image = forget(ngc.push_busybox("nvidia/cli-unanswered", extra=(10_000_000,)).image)
    ngc.throttle(1_000_000)
    child = pull_at_a_terminal(wizard, image)
    ngc.reset()  # at full speed
    child.expect_exact(f"{image} is here now.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


# --- the container and the shell ---------------------------------------------------------------------------------


def test_up_and_shell(wizard: Program, engine: PrivateEngine, own_environment: Path) -> None:
    up = ("up", "--image", images.BASH, "--gpus", "none", "--data", "~/speech")
    first = wizard.json(*up)
    assert (first["action"], first["data"]) == ("created", str(own_environment / "speech"))
    assert wizard.json(*up)["action"] == "reused"

    (own_environment / "speech/file").write_text("seen\n")
    seen = wizard("shell", "--", "cat", "/data/file")
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, "seen\n", "")
    assert wizard("shell", "--", "sh", "-c", "exit 42").returncode == 42
    both = wizard("shell", "--", "sh", "-c", "cat; echo told >&2", stdin="given\n")
    assert (both.stdout, both.stderr) == ("given\n", "told\n")
    assert wizard("shell", stdin="echo from $0; exit 9\n").returncode == 9
    assert wizard("shell", "--", "no-such-program").returncode in (126, 127)

    client = engine.client()
    try:
        client.stop(first["id"], timeout=1)
    finally:
        client.close()
    back = wizard("shell", "--", "true")
    assert back.returncode == 0
    assert "started again" in back.stderr


def test_an_interactive_shell_shows_the_command_and_returns_the_exit_code(wizard: Program) -> None:
    assert wizard("up", "--image", images.BASH, "--gpus", "none").returncode == 0
    child = pexpect.spawn(PROGRAM, ["shell"], env={**wizard.environ, "TERM": "xterm"}, encoding="utf-8", timeout=30)
    child.expect_exact("docker exec -it openseq2seq bash")
    child.expect("[#$] ")
    child.sendline("echo $((6*7)); tty")
    child.expect("42\r\n/dev/pts/")
    child.sendline("exit 5")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5


def test_up_never_touches_the_container_of_somebody_else(wizard: Program, engine: PrivateEngine) -> None:
    client = engine.client()
    try:
        theirs = client.create_container(images.BUSYBOX, "sleep 60", name="openseq2seq")["Id"]
        document = wizard.json("up", "--image", images.BUSYBOX, "--gpus", "none", code=3)
        assert document["error"]["id"] == "name-conflict"
        assert client.inspect_container("openseq2seq")["Id"] == theirs
    finally:
        client.close()


def test_up_without_the_runtime_names_the_ways_on(wizard: Program, engine: PrivateEngine) -> None:
    result = wizard("up", "--image", images.BUSYBOX)
    assert result.returncode == 4
    assert "--gpus none" in result.stderr
    client = engine.client()
    try:
        assert client.containers(all=True) == []
    finally:
        client.close()


# --- repairs -----------------------------------------------------------------------------------------------------


def test_fix_and_undo(
    fresh_engine: Callable[..., PrivateEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolkit = tmp_path / "bin/nvidia-container-runtime"
    toolkit.parent.mkdir()
    toolkit.write_text('#!/bin/sh\nexec runc "$@"\n')
    toolkit.chmod(0o755)
    monkeypatch.setenv("PATH", f"{toolkit.parent}:{os.environ['PATH']}")
    private = fresh_engine('{"log-opts": {"max-size": "10m"}}')
    wizard = Program(private.environ)
    before = private.config_file.read_bytes()

    planned = wizard.json("fix", FIX, "--dry-run")["fixes"][0]
    assert planned["state"] == "planned"
    assert '"nvidia"' in planned["preview"][0]["text"]
    assert wizard.json("fix", FIX, code=3)["fixes"][0]["state"] == "declined"
    assert private.config_file.read_bytes() == before

    done = wizard.json("fix", FIX, "--yes")["fixes"][0]
    assert done["state"] == "done"
    assert json.loads(private.config_file.read_text())["runtimes"]["nvidia"]["path"] == str(toolkit)
    assert wizard.json("fix", FIX, "--yes")["fixes"][0]["state"] == "already-done"
    assert "nvidia" in json.loads(wizard("doctor", "--json").stdout)["engine"]["runtimes"]

    listed = wizard.json("undo", "--list")["receipts"]
    assert [item["id"] for item in listed] == [done["receipt"]]
    assert wizard("undo").returncode == 3
    assert wizard.json("undo", done["receipt"], "--yes")["receipt"]["state"] == "undone"
    assert private.config_file.read_bytes() == before


# --- the whole way -----------------------------------------------------------------------------------------------


def test_run_goes_the_whole_way_and_finds_its_place_again(
    wizard: Program, ngc: NgcLike, tmp_path: Path, own_environment: Path, forget: Callable[[str], str]
) -> None:
    image = forget(ngc.push_bash("nvidia/cli-run", public=False).image)
    answers = tmp_path / "answers.toml"
    answers.write_text(
        f'[account]\nkey = "environment"\n[image]\nname = "{image}"\n'
        '[workspace]\nname = "speech"\ndata = "~/speech"\ngpus = "none"\nshm = "64m"\n'
    )
    no_key = wizard.lines("run", str(answers), code=3)
    assert [(line["step"], line["state"]) for line in no_key] == [("account", "failed")]

    key = ngc.key.reveal()
    first = wizard.lines("run", str(answers), NGC_API_KEY=key)
    states = {line["step"]: line["state"] for line in first if line["event"] == "step"}
    assert states["pull"] == states["container"] == states["shell"] == states["finish"] == "done"
    second = wizard.lines("run", str(answers), NGC_API_KEY=key)
    again = {line["step"]: line["state"] for line in second if line["event"] == "step"}
    assert again["pull"] == again["container"] == "already-done"

    inside = wizard("shell", "--", "sh", "-c", "echo $0 > /data/made; df -k /dev/shm | tail -1")
    assert inside.returncode == 0
    assert "65536" in inside.stdout
    assert (own_environment / "speech/made").exists()
    assert key not in wizard("shell", "--", "env", NGC_API_KEY=key).stdout

    answers.write_text("[workspace]\nnmae = 'x'\n")
    wrong = wizard("run", str(answers))
    assert wrong.returncode == 2
    assert "line 2: workspace.nmae" in wrong.stderr
