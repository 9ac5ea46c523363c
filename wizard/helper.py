"""The process in the background: ``python -m wizard.helper``, started by this program and by nobody else.

What it is to do, and the key where one is needed, comes as JSON through standard input. It says on standard output that
it has begun, or what kept it from that, and then lets go of both.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from wizard.model.errors import Trouble
from wizard.model.event import Cancel
from wizard.model.secret import Secret


def main() -> int:
    """Works until the end of the request. Returns 0 also when the pull failed: that stands in its journal."""
    request = json.loads(sys.stdin.buffer.read())
    text = request.pop("key", "")
    key = Secret(text) if text else None
    os.chdir("/")  # no disk is kept from being unmounted
    cancel = Cancel()

    def end(_number: int, _frame: object) -> None:
        # In a thread of its own: the main thread may hold the very lock that Cancel needs.
        threading.Thread(target=cancel.set, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    from pathlib import Path

    from wizard.host import log, real
    from wizard.host.settings import Folders
    from wizard.model import journal
    from wizard.services import background

    def answer(trouble: Trouble | None) -> None:
        sys.stdout.buffer.write(journal.answer(trouble))
        sys.stdout.buffer.flush()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(nowhere, handle)
        os.close(nowhere)

    with log.start(Folders.of(os.environ, str(Path.home())).state):
        host = real.build()
        try:
            background.serve(host, request, key, answer, cancel)
        finally:
            host.engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
