"""How long a training still takes, and how long a silence is usual.

The program prints the time per step, over everything that happened since its last report: steps, evaluations and
checkpoints (``PrintLossAndTimeHook`` in its ``utils/hooks.py``). The first report also holds the start, so it is left
out. An evaluation may come once in hundreds of reports and last as long as all of them, so its time is kept apart:
measured where the log is read live, else taken from the reports that hold one.
"""

from __future__ import annotations

import statistics
from collections import deque

from wizard.model.training.settings import Settings

WINDOW = 256
"""reports that the speed is taken from: at the usual settings they hold two checkpoints"""
STALL = 10
"""a silence of so many times the usual is a stall"""
SHORTEST_STALL = 60.0
"""seconds; below it a busy machine is the likelier reason"""


class _Sums:
    """The last ``WINDOW`` measurements and their sums, carried along: reports can come by the thousand."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.steps = 0
        self.evaluations = 0
        self.items: deque[tuple[float, int, int]] = deque()

    def add(self, seconds: float, steps: int, evaluations: int = 0) -> None:
        """Adds one measurement and forgets the oldest beyond the window."""
        self.items.append((seconds, steps, evaluations))
        self._count(seconds, steps, evaluations, 1)
        if len(self.items) > WINDOW:
            self._count(*self.items.popleft(), -1)

    def _count(self, seconds: float, steps: int, evaluations: int, sign: int) -> None:
        self.seconds = max(0.0, self.seconds + sign * seconds)
        self.steps += sign * steps
        self.evaluations += sign * evaluations


class Pace:
    """Follows the reports of one run. Times are seconds; ``begin`` is the step that it began at."""

    def __init__(self, begin: int = 0) -> None:
        self.begin = begin
        self._plain = _Sums()
        """reports without an evaluation, or with its measured time taken out"""
        self._mixed = _Sums()
        """reports whose evaluations were not measured"""
        self._measured = _Sums()
        """evaluations that were measured"""
        self._since_report: list[float | None] = []
        self._last: int | None = None
        self._stood_still = False
        """whether the last report was left out as one of a stall"""

    def evaluated(self, seconds: float | None) -> None:
        """An evaluation is over; None where its time could not be measured."""
        self._since_report.append(seconds)
        if seconds is not None:
            self._measured.add(seconds, 0, 1)

    def report(self, step: int, seconds_per_step: float | None) -> bool:
        """A step was reported, with the time per step since the report before (None where it was cut off).

        Returns whether it tells the speed. The program measures with a clock that can be set: what comes out negative
        tells nothing, and a single report as long as a stall is the clock's, or the sleep of the machine.
        """
        last, self._last = self._last, step
        evaluations, self._since_report = self._since_report, []
        if seconds_per_step is None or seconds_per_step < 0:
            return False
        if last is None or step <= last:
            return True
        steps = step - last
        seconds = seconds_per_step * steps
        if None in evaluations:
            self._mixed.add(seconds, steps, len(evaluations))
            return True
        seconds = max(0.0, seconds - sum(value for value in evaluations if value is not None))
        limit = self.stall() if seconds > SHORTEST_STALL else None
        self._stood_still = limit is not None and seconds > limit and not self._stood_still
        if not self._stood_still:
            self._plain.add(seconds, steps)
        return not self._stood_still

    def eta(self, settings: Settings, total: int | None) -> float | None:
        """Seconds until the last step, with the evaluations on the way; None while too little is known."""
        if total is None or self._last is None:
            return None
        left = max(0, total - self._last)
        known = self._plain if self._plain.steps else self._mixed
        if not known.steps:
            return None
        step = known.seconds / known.steps
        if known is self._mixed:
            return left * step
        evaluation = self._evaluation(step)
        if not evaluation:
            return left * step
        return left * step + evaluation * self._evaluations_left(self._last, total, settings.eval_steps)

    def usual(self) -> float | None:
        """Seconds that usually lie between two reports; None before the second."""
        seconds = [item[0] for item in (*self._plain.items, *self._mixed.items)]
        return statistics.median(seconds) if seconds else None

    def stall(self) -> float | None:
        """The silence between two reports from which on the training stands still; None while not known."""
        usual = self.usual()
        return None if usual is None else max(SHORTEST_STALL, STALL * usual)

    def stall_of_evaluation(self) -> float | None:
        """The same for an evaluation, which says nothing until it is over."""
        longest = max((item[0] for item in self._measured.items), default=None)
        return None if longest is None else max(SHORTEST_STALL, STALL * longest)

    def _evaluation(self, step: float) -> float | None:
        """Seconds of one evaluation, when one step takes ``step`` seconds."""
        if self._measured.evaluations:
            return self._measured.seconds / self._measured.evaluations
        if not self._mixed.evaluations:
            return None
        return max(0.0, self._mixed.seconds - self._mixed.steps * step) / self._mixed.evaluations

    def _evaluations_left(self, last: int, total: int, every: int | None) -> int:
        """Evaluations come one step after the begin, then every ``every`` steps, and one step before the end."""
        if not every:
            return 0
        first = self.begin + 1
        passed = (last - first) // every + 1 if last >= first else 0
        regular = max(0, (total - first) // every + 1 - passed)
        return regular + (last < total - 1 and (total - 1 - first) % every != 0)
