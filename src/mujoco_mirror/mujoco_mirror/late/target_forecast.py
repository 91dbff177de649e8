"""What the position targets of the next control steps will be: commanded ones, else the trend."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from sim_bridge.types import SimState

_DEFAULT_PERIOD_S = 0.1
_COMMANDS = 256
# A command that leaves with a state belongs to the step after it, whichever comes first.
_ROUNDING = 1e-3


class TargetForecast:
    """Targets by control step. States say what a step used; commands what the next ones will.

    Beyond what is known, targets go on as they moved, as long as they moved steadily: of the last
    two increments the smaller one counts, and none when the sign changed.
    """

    def __init__(self) -> None:
        self.period_s = _DEFAULT_PERIOD_S
        self._states: deque[SimState] = deque(maxlen=3)
        self._commands: deque[tuple[float, dict[str, float]]] = deque(maxlen=_COMMANDS)
        self._known: dict[int, np.ndarray] = {}

    def restart(self) -> None:
        """A new episode: nothing of the old one matters."""
        self._states.clear()
        self._commands.clear()
        self._known.clear()

    def put(self, state: SimState) -> None:
        """``state`` is newer than all before."""
        if self._states and state.step > self._states[-1].step:
            before = self._states[-1]
            self.period_s = (state.time_s - before.time_s) / (state.step - before.step)
        if self._states and state.target_names != self._states[-1].target_names:
            self._states.clear()
        self._states.append(state)
        used = state.time_s - _ROUNDING * self.period_s
        self._commands = deque((c for c in self._commands if c[0] >= used), maxlen=_COMMANDS)
        self._find_known()

    def command(self, time_s: float, names: Sequence[str], positions: np.ndarray) -> None:
        """Targets that were sent at simulation time ``time_s``, for the step that begins last
        before then. Joints that ``names`` leaves out keep their targets."""
        self._commands.append((time_s, dict(zip(names, positions, strict=True))))
        if self._states:
            self._find_known()

    def targets(self, ahead_s: float) -> np.ndarray:
        """Targets ``(k,)`` at ``ahead_s`` after the latest state, order of its names."""
        latest = self._states[-1]
        step = latest.step + int(np.floor(ahead_s / self.period_s + 1e-6)) + 1
        last = max(known for known in self._known if known <= step)
        return self._known[last] + (step - last) * self._steady(last)

    def _find_known(self) -> None:
        latest = self._states[-1]
        self._known = {s.step: s.target_positions for s in self._states}
        targets = dict(zip(latest.target_names, latest.target_positions, strict=True))
        for time_s, command in sorted(self._commands, key=lambda c: c[0]):
            ahead = int(np.floor((time_s - latest.time_s) / self.period_s + _ROUNDING))
            if ahead >= 0:
                targets.update((n, p) for n, p in command.items() if n in targets)
                self._known[latest.step + 1 + ahead] = np.array(list(targets.values()))

    def _steady(self, last: int) -> np.ndarray:
        """The change of the targets in one step that the steps up to ``last`` agree about."""
        steps = sorted(step for step in self._known if step <= last)[-3:]
        if len(steps) < 3:
            return np.zeros_like(self._known[last])
        old, new = ((self._known[b] - self._known[a]) / (b - a) for a, b in pairwise(steps))
        smaller = np.where(np.abs(new) < np.abs(old), new, old)
        return np.where(old * new > 0, smaller, 0.0)
