"""Late-state compensation on a clock, judged by the states that arrive later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import mujoco
import numpy as np

from mujoco_mirror.late.compensation import Compensation, HoldLast, Interpolate, is_newer, mix
from mujoco_mirror.model.map_rules import MapRules
from sim_bridge.errors import unknown
from sim_bridge.types import SimState

HOLD, INTERPOLATE, PREDICT = "hold", "interpolate", "predict"
COMPENSATIONS = (HOLD, INTERPOLATE, PREDICT)
_WINDOW = 100
# Without states for this long there is nothing left to extrapolate from.
_STALE_S = 0.5


def make_compensation(
    name: str, delay_s: float, model: mujoco.MjModel, rules: MapRules | None
) -> Compensation:
    """NotFound lists the valid names."""
    if name == HOLD:
        return HoldLast()
    if name == INTERPOLATE:
        return Interpolate(delay_s)
    if name == PREDICT:
        from mujoco_mirror.late.prediction import Predict

        return Predict(model, rules)
    raise unknown("late-state compensation", name, COMPENSATIONS)


class DisplayClock:
    """Simulation time now, from the states that came through fastest. For real-time simulators."""

    def __init__(self) -> None:
        self._offsets: deque[float] = deque(maxlen=_WINDOW)

    def arrived(self, time_s: float, wall_s: float) -> None:
        self._offsets.append(wall_s - time_s)

    def now(self, wall_s: float) -> float:
        return wall_s - min(self._offsets, default=0.0)

    def restart(self) -> None:
        self._offsets.clear()


class LateJudge:
    """Root mean square joint error [rad or m] of what was shown, and of the last state held."""

    def __init__(self) -> None:
        self._shown: deque[tuple[SimState, SimState]] = deque(maxlen=_WINDOW)
        self._squares: deque[tuple[float, float]] = deque(maxlen=_WINDOW)

    def shown(self, shown: SimState, held: SimState, time_s: float) -> None:
        """``shown`` was drawn for ``time_s`` while ``held`` was the latest state."""
        self._shown.append((_at(shown, time_s), _at(held, time_s)))

    def truth(self, state: SimState) -> None:
        """Compare with what was drawn for the time of ``state``, if anything was."""
        for (shown, held), (next_shown, _) in pairwise(self._shown):
            if not shown.time_s <= state.time_s < next_shown.time_s:
                continue
            if len({s.joint_names for s in (shown, next_shown, held, state)}) != 1:
                return
            weight = (state.time_s - shown.time_s) / (next_shown.time_s - shown.time_s)
            mixed = mix(shown, next_shown, weight)
            self._squares.append((_square_error(mixed, state), _square_error(held, state)))
            return

    @property
    def errors(self) -> tuple[float, float] | None:
        """Of the compensation and of holding; None before the first comparison."""
        if not self._squares:
            return None
        shown, held = np.sqrt(np.mean(self._squares, axis=0))
        return float(shown), float(held)

    def restart(self) -> None:
        self._shown.clear()


def _square_error(shown: SimState, truth: SimState) -> float:
    return float(np.mean((shown.joint_positions - truth.joint_positions) ** 2))


class LateDisplay:
    """Takes states as they arrive; gives the state to draw at any wall-clock time."""

    def __init__(self, compensation: Compensation) -> None:
        self.judge = LateJudge()
        self._compensation = compensation
        self._hold = HoldLast()
        self._clock = DisplayClock()
        self._sent = DisplayClock()
        self._latest: SimState | None = None

    def put(self, state: SimState, wall_s: float, published_s: float) -> None:
        """``wall_s`` is when it arrived here, ``published_s`` when it left, by its clock."""
        if self._latest is not None and state.episode != self._latest.episode:
            self._clock.restart()
            self._sent.restart()
            self.judge.restart()
        self._clock.arrived(state.time_s, wall_s)
        self._sent.arrived(state.time_s, published_s)
        self.judge.truth(state)
        self._compensation.put(state)
        self._hold.put(state)
        if is_newer(state, self._latest):
            self._latest = state

    def command(self, names: Sequence[str], positions: np.ndarray, published_s: float) -> None:
        """Targets that left for the simulator at ``published_s``, by the clock of the states."""
        if self._latest is not None:
            self._compensation.command(self._sent.now(published_s), names, positions)

    def at(self, wall_s: float) -> SimState | None:
        if self._latest is None:
            return None
        time_s = min(self._clock.now(wall_s), self._latest.time_s + _STALE_S)
        shown, held = self._compensation.at(time_s), self._hold.at(time_s)
        if shown is not None and held is not None:
            self.judge.shown(shown, held, time_s)
        return shown


MakeLate = Callable[[mujoco.MjModel], "LateDisplay | None"]


def _at(state: SimState, time_s: float) -> SimState:
    return replace(state, time_s=time_s)
