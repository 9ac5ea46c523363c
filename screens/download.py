"""A download that goes on while the user looks at other pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from screens.work import Happened, Job
from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.event import Cancel, Emit, Line, Progress, Stalled
from wizard.model.progress import PullPlan
from wizard.model.secret import Secret


@dataclass(frozen=True, slots=True)
class State:
    """How the download stands at one moment."""

    image: str
    plan: PullPlan | None = None
    progress: Progress | None = None
    stalled: Stalled | None = None
    line: str = ""
    trouble: Trouble | None = None
    done: bool = False
    already: bool = False


class Download:
    """One pull, in a thread of its own. Events only change ``state``: the page looks at it ten times a second."""

    def __init__(
        self,
        host: Host,
        image: str,
        key: Callable[[], Secret | None],
        *,
        post: Callable[[Happened], object],
        ended: Callable[[Download], None],
        note: Callable[[str], None],
    ) -> None:
        self.image = image
        self._host, self._key, self._note, self._ended = host, key, note, ended
        self._lock = threading.Lock()
        self._state = State(image)
        self._job = Job(self._run, post=post, returned=self._done, failed=self._failed)

    @property
    def state(self) -> State:
        """How it stands now."""
        with self._lock:
            return self._state

    @property
    def running(self) -> bool:
        """Whether it neither came to an end nor failed."""
        state = self.state
        return not state.done and state.trouble is None

    @property
    def share(self) -> str:
        """How much of it is done, in a few characters; empty when it does not run."""
        if not self.running:
            return ""
        progress = self.state.progress
        return f"{100 * progress.done // progress.total} %" if progress is not None and progress.total else "…"

    def stop(self) -> None:
        """Ends it. Docker forgets what was not complete."""
        self._job.cancel.set()

    def _run(self, _emit: Emit, cancel: Cancel) -> bool:
        from wizard.services import pull

        return pull.run(self._host, self.image, self._key(), self._said, cancel).already

    def _said(self, event: object) -> None:
        with self._lock:
            if isinstance(event, PullPlan):
                self._state = replace(self._state, plan=event)
            elif isinstance(event, Progress):
                self._state = replace(self._state, progress=event, stalled=None)
            elif isinstance(event, Stalled):
                self._state = replace(self._state, stalled=event)
            elif isinstance(event, Line):
                self._state = replace(self._state, line=event.text)
        if isinstance(event, Line):
            self._note(event.text)

    def _done(self, already: bool) -> None:
        with self._lock:
            self._state = replace(self._state, done=True, already=already, stalled=None)
        self._ended(self)

    def _failed(self, trouble: Trouble) -> None:
        with self._lock:
            self._state = replace(self._state, trouble=trouble)
        self._ended(self)
