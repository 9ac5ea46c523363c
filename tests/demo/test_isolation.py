"""Nothing that is simulated touches the machine that the program runs on."""

from __future__ import annotations

import subprocess
import sys

WALK = """
import sys

TOUCHES = ("subprocess.", "os.posix_spawn", "os.exec", "os.fork", "os.system", "os.mkdir", "os.rename", "os.remove",
           "os.chmod", "os.chown", "os.kill", "socket.connect", "socket.bind", "socket.getaddrinfo")
seen = []

def watch(event, arguments):
    if event.startswith(TOUCHES):
        seen.append((event, arguments))
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen.append((event, arguments))

from wizard.demo import machine
from wizard.model.container import Workspace
from wizard.model.event import Cancel
from wizard.model.image import ImageReference
from wizard.model.key_store import KeyPlace
from wizard.model.secret import Secret
from wizard.services import checkup, container, repairs

sys.dont_write_bytecode = True
sys.addaudithook(watch)
IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
for name in machine.names():
    checkup.run(machine.build(name))
host = machine.build("unknown-runtime", pace=0)
host.commands.run(host.privilege.ask_argv())
repairs.apply(host, repairs.plan(host, "register-runtime"))
for place in (KeyPlace.FILE, KeyPlace.KEYRING, KeyPlace.SESSION):
    host.keys.save(Secret("nvapi-one"), place)
for message in host.engine.pull(ImageReference.parse(IMAGE), None, Cancel()):
    pass
host.files.make_folder("/home/mei/data")
made = container.up(host, Workspace("/home/mei/data"), IMAGE)
session = host.engine.open_exec(made.name, ("bash",), tty=True)
session.write(b"ls\\rexit 7\\r")
while session.read():
    pass
assert session.exit_code() == 7
session.close()
host.engine.remove(made.id, force=True)
assert not seen, seen
try:
    open("/dev/null", "w").close()
finally:
    assert seen, "the watch does not see anything"
"""


def test_a_whole_walk_touches_nothing() -> None:
    result = subprocess.run(
        [sys.executable, "-B", "-c", WALK], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
