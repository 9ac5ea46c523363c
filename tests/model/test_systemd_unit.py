"""Unit files and drop-ins, read as systemd reads them and edited without touching another line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engine import CannotStart, not_here
from wizard.model import systemd_unit
from wizard.model.systemd_unit import EXEC_START, Unit, UnitFile, parse

MAIN = "[Unit]\nDescription=x\n[Service]\nType=notify\nExecStart=/bin/sleep 1\n"


def unit(*drop_ins: str) -> Unit:
    files = [parse(MAIN, "/usr/lib/systemd/system/docker.service")]
    files += [parse(text, f"/etc/{number}.conf") for number, text in enumerate(drop_ins)]
    return Unit("docker.service", tuple(files))


def starts(found: Unit) -> list[str]:
    return [item.setting.value for item in found.list(EXEC_START)]


DROP_INS = {
    "nothing": "",
    "another setting": "[Service]\nEnvironment=A=b\n",
    "second command": "[Service]\nExecStart=/bin/sleep 2\n",
    "reset": "[Service]\nExecStart=\nExecStart=/bin/sleep 2\n",
    "reset after": "[Service]\nExecStart=/bin/sleep 2\nExecStart=\nExecStart=/bin/sleep 3\n",
    "two after a reset": "[Service]\nExecStart=\nExecStart=/bin/sleep 2\nExecStart=/bin/sleep 3\n",
    "spaces": "  [Service]  \n  ExecStart =  \n\tExecStart  =  /bin/sleep 2\n",
    "continued": "[Service]\nExecStart=\nExecStart=/bin/sleep \\\n# a comment between\n  2\n",
    "a comment that goes on": "[Service]\n# x \\\nExecStart=\n; y\nExecStart=/bin/sleep 2\n",
    "windows": "[Service]\r\nExecStart=\r\nExecStart=/bin/sleep 2\r\n",
    "other section": "[Unit]\nExecStart=\n[Service]\nExecStart=/bin/sleep 2\n",
    "outside": "ExecStart=\nExecStart=/bin/sleep 2\n",
    "bad header": "[Service\nExecStart=\nExecStart=/bin/sleep 2\n",
    "bad header after": "[Service]\nExecStart=/bin/sleep 2\n[Install\nExecStart=\n",
    "no equals": "[Service]\nExecStart\nExecStart=\nExecStart=/bin/sleep 2\n",
    "no line end": "[Service]\nExecStart=/bin/sleep 2",
    "oneshot": "[Service]\nType=oneshot\nExecStart=/bin/sleep 2\n",
    "lower case": "[Service]\nexecstart=\nExecStart=/bin/sleep 2\n",
}


@pytest.mark.parametrize("name", DROP_INS)
def test_systemd_itself_refuses_the_same_drop_ins(name: str, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        not_here(CannotStart("there is no systemd-analyze on this machine"))
    (tmp_path / "docker.service").write_text(MAIN)
    (tmp_path / "docker.service.d").mkdir()
    (tmp_path / "docker.service.d" / "x.conf").write_bytes(DROP_INS[name].encode())
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "docker.service"],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    ).stderr
    found = unit(DROP_INS[name])
    assert found.refused == ("more than one ExecStart" in said), said
    marks = ("Missing '='", "Assignment outside of section", "Invalid section header")
    assert bool(found.drop_ins[0].mistakes) == any(mark in said for mark in marks), said


def test_what_is_left_of_a_list() -> None:
    assert starts(unit()) == ["/bin/sleep 1"]
    assert starts(unit(DROP_INS["second command"])) == ["/bin/sleep 1", "/bin/sleep 2"]
    assert starts(unit(DROP_INS["reset"])) == ["/bin/sleep 2"]
    assert starts(unit(DROP_INS["reset"], "[Service]\nExecStart=\n")) == []
    assert starts(unit(DROP_INS["reset after"])) == ["/bin/sleep 3"]
    assert " ".join(starts(unit(DROP_INS["continued"]))[0].split()) == "/bin/sleep 2"
    assert unit("[Service]\nType=oneshot\n", DROP_INS["second command"]).refused is False


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/usr/bin/dockerd -H fd://", ("/usr/bin/dockerd", "-H", "fd://")),
        ("-/usr/bin/dockerd", ("/usr/bin/dockerd",)),
        ("!!/usr/bin/dockerd", ("/usr/bin/dockerd",)),
        ("/x \"a b\" 'c d' e\\ f", ("/x", "a b", "c d", "e f")),
        ('/x --label="a b"', ("/x", "--label=a b")),
        ("/x 100%%", ("/x", "100%")),
        ("/x $OPTS ${OPTS} $NONE $$HOME", ("/x", "-D", "--mtu=1", "-D --mtu=1", "$HOME")),
        ("", ()),
    ],
)
def test_command_lines(value: str, expected: tuple[str, ...]) -> None:
    assert systemd_unit.command(value, {"OPTS": "-D --mtu=1"}) == expected


def test_variables() -> None:
    text = "# x\nDOCKER_OPTS=\"--dns 1.1.1.1 \\\n --debug\"\nexport A='b'\n;C=d\nnonsense\nE=\n"
    assert systemd_unit.assignments(text) == {"DOCKER_OPTS": "--dns 1.1.1.1   --debug", "A": "b", "E": ""}
    assert systemd_unit.variables(['A=b "C=d e"', "F"]) == {"A": "b", "C": "d e"}


def file(text: str) -> UnitFile:
    return parse(text, "/etc/x.conf")


def first(found: UnitFile) -> systemd_unit.Setting:
    return found.values(EXEC_START)[-1]


def test_the_missing_line_is_put_in() -> None:
    before = "# mine\n[Service]\nEnvironment=A=b\n  ExecStart=/x\n"
    assert systemd_unit.with_reset(file(before)) == "# mine\n[Service]\nEnvironment=A=b\n  ExecStart=\n  ExecStart=/x\n"
    assert (
        systemd_unit.with_reset(file("[Service]\r\nExecStart=/x\r\n")) == "[Service]\r\nExecStart=\r\nExecStart=/x\r\n"
    )
    assert not unit(systemd_unit.with_reset(file(DROP_INS["no line end"]))).refused


def test_another_program() -> None:
    before = file("[Service]\nExecStart=\nExecStart=-/usr/bin/dockerd -H fd:// \\\n  --x=/usr/bin/dockerd\n")
    assert systemd_unit.with_program(before, first(before), "/usr/sbin/dockerd") == (
        "[Service]\nExecStart=\nExecStart=-/usr/sbin/dockerd -H fd:// \\\n  --x=/usr/bin/dockerd\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/d -H fd:// --add-runtime=n=/x", "/d -H fd://"),
        ("/d --add-runtime n=/x -H fd://", "/d -H fd://"),
        ("/d --add-runtime=n=/x --add-runtime=m=/y -D", "/d -D"),
        ('/d --add-runtime="n=/x" -D', "/d -D"),
        ("/d \\\n  --add-runtime=n=/x \\\n  -D", "/d \\\n  -D"),
        ("/d -D \\\n  --add-runtime=n=/x", "/d -D"),
        ("/d --add-runtimes=n=/x", "/d --add-runtimes=n=/x"),
    ],
)
def test_an_option_goes_with_its_value(before: str, after: str) -> None:
    found = file(f"[Service]\nExecStart=\nExecStart={before}\n# end\n")
    assert systemd_unit.without_option(found, first(found), "add-runtime") == (
        f"[Service]\nExecStart=\nExecStart={after}\n# end\n"
    )


def test_only_the_option_of_that_value() -> None:
    found = file("[Service]\nExecStart=/d --add-runtime=n=/x --add-runtime=nn=/x -D\n")
    assert systemd_unit.without_option(found, first(found), "add-runtime", "n=/x") == (
        "[Service]\nExecStart=/d --add-runtime=nn=/x -D\n"
    )


@given(st.text(max_size=200))
def test_any_text_at_all(text: str) -> None:
    found = file(text)
    for setting in found.settings:
        systemd_unit.command(setting.value, {})
        assert 0 <= setting.first <= setting.last
    if any(item.value for item in found.values(EXEC_START)):
        again = file(systemd_unit.with_reset(found))
        assert [item.value for item in again.settings if item.value] == [
            item.value for item in found.settings if item.value
        ]
