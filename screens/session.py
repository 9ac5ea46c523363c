"""What the screens share while the program runs: the machine, the journey, and what has been found so far."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wizard.host.ports import Host
from wizard.model.errors import Trouble
from wizard.model.finding import Finding
from wizard.model.image import Manifest
from wizard.model.journey import Journey
from wizard.model.secret import redact
from wizard.services import journey as journeys

if TYPE_CHECKING:
    from screens.download import Download
    from screens.training import Training

LOG_LINES = 2000


@dataclass
class Session:
    """One walk through the wizard on one machine. No secrets: the key stays with the host's key store."""

    host: Host
    journey: Journey = field(default_factory=Journey)
    looking: bool = False
    """only the check-up, nothing is kept and nothing is changed"""
    findings: tuple[Finding, ...] = ()
    """of the last check-up"""
    wanted: tuple[str, ...] = ()
    """repairs that the user asked for by name; they are shown before those that the check-up suggests"""
    manifest: Manifest | None = None
    """of the image that was chosen"""
    download: Download | None = None
    training: Training | None = None
    """what runs in the container for the page of trainings, or ended last"""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    unsaved: Trouble | None = None
    """why the resume point could not be written, if so"""

    @property
    def simulated(self) -> str:
        """The name of the simulated machine; empty on a real one."""
        info = self.host.info
        return (info.machine or info.name) if info.kind == "simulated" else ""

    def update(self, journey: Journey) -> None:
        """Goes on with ``journey`` and writes it to disk. A full disk is remembered, not raised: the walk goes on."""
        if journey == self.journey:
            return
        self.journey = journey
        if self.looking:
            return
        try:
            journeys.save(self.host, journey)
            self.unsaved = None
        except Trouble as trouble:
            self.unsaved = trouble

    def note(self, line: str) -> None:
        """Adds one line to the log of this session."""
        self.log.append(redact(line))
