"""What people watch: the newest state, however many others wait to be recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mujoco_mirror.late.display import LateDisplay
from mujoco_mirror.node.shot import Shot
from mujoco_mirror.recording.stream_stats import Percentiles

# Pictures between states, where they are wanted: as smooth as a screen needs.
_LATE_PERIOD_S = 1 / 30


class LivePicture:
    """``wanted`` says whether anybody looks. ``lag_s`` is measured from the arrival of a state to
    its picture; ``waiting`` counts the states that arrived since the one on show.
    """

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self.lag_s = Percentiles()
        self.waiting = 0
        self._wanted = wanted
        self._newest: Shot | None = None
        self._timely = False
        self._waits_since = 0.0

    def put(self, shot: Shot) -> None:
        if not self.waiting:
            self._waits_since = shot.arrived_s
        self._newest, self._timely = shot, True
        self.waiting += 1

    def again(self) -> None:
        """Redraw the newest state for a viewer who joins, perhaps while nothing moves."""
        if self._newest is not None and not self.waiting:
            self._timely = False  # its age is not a lag
            self._waits_since = time.monotonic()
            self.waiting = 1

    def due(self) -> Shot | None:
        """What to draw now, if anything."""
        if self.waiting and not self._wanted():
            self.waiting = 0
        return self._newest if self.waiting else None

    def shown(self, shot: Shot) -> float | None:
        """Its picture is out; the lag [s], None when it was shown once more."""
        self.waiting = 0
        if not self._timely:
            return None
        self.lag_s.add(time.monotonic() - shot.arrived_s)
        return self.lag_s.last

    def behind_s(self) -> float:
        """How long the oldest state that is newer than the picture has been waiting."""
        return time.monotonic() - self._waits_since if self.waiting else 0.0

    def patience_s(self) -> float | None:
        """Until there may be something to draw without a new state; None: never."""
        return None

    def forget(self) -> None:
        self._newest, self.waiting = None, 0


class LatePicture(LivePicture):
    """Pictures at a steady rate, of what is most likely to be the case now."""

    def __init__(self, wanted: Callable[[], bool], late: LateDisplay) -> None:
        super().__init__(wanted)
        self._late = late
        self._next_s = 0.0

    def put(self, shot: Shot) -> None:
        self._newest = shot
        self._late.put(shot.state, time.monotonic(), 1e-9 * shot.published_ns)

    def due(self) -> Shot | None:
        now = time.monotonic()
        if now < self._next_s:
            return None
        self._next_s = now + _LATE_PERIOD_S
        newest = self._newest
        state = self._late.at(now) if newest is not None and self._wanted() else None
        if newest is None or state is None:
            return None
        return replace(newest, state=state)

    def again(self) -> None:
        pass  # the next picture is not far

    def shown(self, shot: Shot) -> float | None:
        return None  # a guess about the present has no lag

    def patience_s(self) -> float:
        return max(self._next_s - time.monotonic(), 0.001)
