"""A wall-clock schedule for control steps: no bursts after a delay, and honest counts."""

from __future__ import annotations

from collections.abc import Callable


class Pacer:
    """Deadlines every ``period_s`` of ``clock`` (monotonic seconds), the first one at once.

    A loop that is late by whole periods has missed that many deadlines: they are counted and
    skipped, so that the steps after a delay keep their distance. The caller does the waiting.
    """

    def __init__(self, period_s: float, clock: Callable[[], float]) -> None:
        self.period_s = period_s
        self.missed = 0
        self._clock = clock
        self._deadline = self._window_start = clock()
        self._window_steps = 0

    def restart(self) -> None:
        """Forget the schedule: the next deadline is now, and what was due is not missed."""
        self._deadline = self._clock()

    def left_s(self) -> float:
        """Time to the next deadline; 0 when it has come."""
        return max(0.0, self._deadline - self._clock())

    def due(self) -> bool:
        return self._clock() >= self._deadline

    def tick(self) -> None:
        """The step of this deadline begins now."""
        late_periods = int(max(0.0, self._clock() - self._deadline) / self.period_s)
        self.missed += late_periods
        self._deadline += (late_periods + 1) * self.period_s
        self._window_steps += 1

    def take_real_time_factor(self) -> float:
        """Simulated over wall-clock time since the last call; 1 is on schedule."""
        now = self._clock()
        elapsed_s = now - self._window_start
        simulated_s = self._window_steps * self.period_s
        self._window_start, self._window_steps = now, 0
        return simulated_s / elapsed_s if elapsed_s > 0 else 0.0
