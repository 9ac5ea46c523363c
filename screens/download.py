"""A download that goes on in a process of its own while the user looks at other pages, or quits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from screens.session import Session
from screens.work import Happened, Job
from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit, Line, Progress, Stalled
from wizard.model.journal import Ended
from wizard.model.journey import Step
from wizard.model.progress import Layers, PullPlan
from wizard.model.secret import Secret

HERE = frozenset(
    {
        Problem.FILE_PERMISSION,
        Problem.FILE_READ_ONLY,
        Problem.FILE_NOT_REGULAR,
        Problem.DISK_FULL,
        Problem.COMMAND_FAILED,
        Problem.COMMAND_TIMEOUT,
    }
)
"""Where no process in the background can be had for one of these, the wizard downloads itself."""


@dataclass(frozen=True, slots=True)
class State:
    """How the download stands at one moment. ``found``: it was going on before this wizard looked."""

    image: str
    via: str = ""
    found: bool = False
    plan: PullPlan | None = None
    progress: Progress | None = None
    layers: Layers | None = None
    stalled: Stalled | None = None
    line: str = ""
    trouble: Trouble | None = None
    paused: bool = False
    done: bool = False
    already: bool = False


class Download:
    """One pull in the background, and a thread that follows it. Events only change ``state``: the page looks at it.

    ``key`` gives the key that the download needs, None for none; without ``key`` itself, one that goes on already is
    followed, and none is begun.
    """

    def __init__(
        self,
        host: Host,
        image: str,
        key: Callable[[], Secret | None] | None,
        *,
        post: Callable[[Happened], object],
        ended: Callable[[Download], None],
        note: Callable[[str], None],
    ) -> None:
        self.image = image
        self._host, self._key, self._note, self._ended = host, key, note, ended
        self._lock = threading.Lock()
        self._state = State(image, found=key is None)
        self.lasting = host.background.lasting
        """whether it goes on when the wizard is quit"""
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
        """Ends it. What becomes of the part that is here depends on how it is fetched."""
        self._ask("stop")

    def pause(self) -> None:
        """Ends it in such a way that a new one goes on where it was."""
        self._ask("pause")

    def leave(self) -> None:
        """Looks at it no longer; it goes on where it can."""
        self._job.leave()

    def _ask(self, what: str) -> None:
        from wizard.services import background

        if not self.running:
            return
        try:
            background.ask(self._host, self.image, what)
        except Trouble as trouble:
            self._note(str(trouble))
            self._job.cancel.set()

    def _run(self, _emit: Emit, cancel: Cancel) -> bool:
        from wizard.services import background

        if self._key is not None:
            key = self._key()
            try:
                background.begin(self._host, self.image, key)
            except Trouble as trouble:
                if trouble.kind not in HERE:
                    raise
                self._note(str(trouble))
                self.lasting = False
                return background.run(self._host, self.image, key, self._said, cancel).already
        return background.follow(self._host, self.image, self._said, cancel).already

    def _said(self, event: object) -> None:
        with self._lock:
            if isinstance(event, PullPlan):
                self._state = replace(self._state, plan=event, via=event.via)
            elif isinstance(event, Progress):
                self._state = replace(self._state, progress=event, stalled=None)
            elif isinstance(event, Layers):
                self._state = replace(self._state, layers=event)
            elif isinstance(event, Stalled):
                self._state = replace(self._state, stalled=event)
            elif isinstance(event, Line):
                self._state = replace(self._state, line=event.text)
            elif isinstance(event, Ended):
                self._state = replace(self._state, paused=event.paused)
        if isinstance(event, Line):
            self._note(event.text)

    def _done(self, already: bool) -> None:
        with self._lock:
            self._state = replace(self._state, done=True, already=already, stalled=None)
        self._ended(self)

    def _failed(self, trouble: Trouble) -> None:
        with self._lock:
            self._state = replace(self._state, trouble=trouble)
        self._note(str(trouble))
        self._ended(self)


def attach(
    session: Session, post: Callable[[Happened], object], image: str, key: Secret | None, *, start: bool
) -> None:
    """Makes the download of ``image`` the session's: begins it, or follows the one that goes on or was cut off."""

    def ended(download: Download) -> None:
        if download is session.download and download.state.done:
            session.update(session.journey.finished(Step.PULL))

    if session.download is not None:
        session.download.leave()
    session.download = Download(
        session.host, image, (lambda: key) if start else None, post=post, ended=ended, note=session.note
    )
