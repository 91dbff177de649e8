"""How far the picture that people see is behind the states."""

from __future__ import annotations

from collections import deque
from itertools import islice

_STATES = 4096


class PictureLag:
    """States and pictures by simulation time [s]; ``now`` of one clock. Both must be fed by the
    same process, so that neither travels further than the other."""

    def __init__(self) -> None:
        # Simulation time and arrival: of the state on show, then of those after it.
        self._arrivals: deque[tuple[float, float]] = deque(maxlen=_STATES)
        self._lag_s: float | None = None

    def on_state(self, time_s: float, now: float) -> None:
        self._arrivals.append((round(time_s, 6), now))

    def on_picture(self, time_s: float, now: float) -> None:
        """A picture of the state at ``time_s``, or of a moment after it."""
        shown = self._index(round(time_s, 6))
        if shown is None:
            return
        for _ in range(shown):
            self._arrivals.popleft()
        self._lag_s = max(0.0, now - self._arrivals[0][1])

    def no_pictures(self) -> None:
        """Nobody looks, so none are made."""
        self._lag_s = None

    def at(self, now: float) -> float | None:
        """From a state to its picture, also to the one that is awaited; None without pictures."""
        return None if self._lag_s is None else max(self._lag_s, self.behind_s(now))

    def behind_s(self, now: float) -> float:
        """How long the oldest state that is newer than the picture has been waiting for its own."""
        waiting = next(islice(self._arrivals, 1, None), None)
        return now - waiting[1] if waiting is not None and self._lag_s is not None else 0.0

    def _index(self, time_s: float) -> int | None:
        """Of the newest state of that time; else, for pictures between states, before it."""
        times = [at for at, _ in self._arrivals]
        newest_first = range(len(times) - 1, -1, -1)
        exact = (i for i in newest_first if times[i] == time_s)
        before = (i for i in newest_first if times[i] <= time_s)
        return next(exact, next(before, None))
