"""When a camera's next picture is due, in simulation time."""

from __future__ import annotations

import math

_SLACK_S = 1e-9  # simulation times are sums of time steps


class CameraSchedule:
    """Keeps a mean rate of ``rate_hz`` over times that come in control periods; 0 is never.

    A time that did not advance (a new episode, a written state) is due at once.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz if rate_hz else math.inf
        self._last_s = math.inf
        self._next_s = -math.inf

    def due(self, time_s: float) -> bool:
        """Whether to draw at ``time_s``; a True counts as drawn."""
        if self._period_s == math.inf:
            return False
        if time_s <= self._last_s:
            self._next_s = time_s
        self._last_s = time_s
        if time_s < self._next_s - _SLACK_S:
            return False
        # Late by more than a period: do not catch up with a burst.
        behind = time_s - self._next_s >= self._period_s
        self._next_s = (time_s if behind else self._next_s) + self._period_s
        return True
