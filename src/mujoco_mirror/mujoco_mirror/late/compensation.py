"""What to show when states come late: the last one, a delayed mixture, or a prediction.

All three answer ``at(time_s)`` with the state to draw at that simulation time, and take states
with ``put`` as they arrive. Times must move forward within an episode; a new episode starts over.
They are for simulators that run in real time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from mujoco_mirror.model.rotations import conjugate, multiply, slerp
from sim_bridge.types import SimState

_HISTORY = 64


class Compensation(Protocol):
    def put(self, state: SimState) -> None:
        """A state has arrived; older ones than the latest are ignored."""

    def command(self, time_s: float, names: Sequence[str], positions: np.ndarray) -> None:
        """Position targets were sent to the simulator at ``time_s``; of use to predictions."""
        return None

    def at(self, time_s: float) -> SimState | None:
        """The state to draw at simulation time ``time_s``; None before the first one."""


class HoldLast(Compensation):
    """Shows the latest state until the next one comes."""

    def __init__(self) -> None:
        self._latest: SimState | None = None

    def put(self, state: SimState) -> None:
        if is_newer(state, self._latest):
            self._latest = state

    def at(self, time_s: float) -> SimState | None:
        return self._latest


class Interpolate(Compensation):
    """Shows the past of ``delay_s`` ago, between the two states around it: smooth, but behind."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._states: deque[SimState] = deque(maxlen=_HISTORY)

    def put(self, state: SimState) -> None:
        if self._states and state.episode != self._states[-1].episode:
            self._states.clear()
        if is_newer(state, self._states[-1] if self._states else None):
            self._states.append(state)

    def at(self, time_s: float) -> SimState | None:
        wanted = time_s - self._delay_s
        after = next((i for i, s in enumerate(self._states) if s.time_s > wanted), None)
        if after is None:
            return self._states[-1] if self._states else None
        if after == 0:
            return self._states[0]
        before, later = self._states[after - 1], self._states[after]
        return mix(before, later, (wanted - before.time_s) / (later.time_s - before.time_s))


class Blend:
    """Lets the jump of a corrected prediction decay with ``time_constant_s``."""

    def __init__(self, time_constant_s: float) -> None:
        self._time_constant_s = time_constant_s
        self._since_s = -np.inf
        self._joints = np.zeros(0)
        self._positions = np.zeros((0, 3))
        self._rotations = np.zeros((0, 4))

    def jump(self, shown: SimState, corrected: SimState, time_s: float) -> None:
        """``shown`` was drawn for ``time_s``, ``corrected`` is what it should have been."""
        self._since_s = time_s
        self._joints = shown.joint_positions - corrected.joint_positions
        self._positions = shown.body_poses[:, :3] - corrected.body_poses[:, :3]
        self._rotations = multiply(shown.body_poses[:, 3:], conjugate(corrected.body_poses[:, 3:]))

    def clear(self) -> None:
        self._since_s = -np.inf

    def apply(self, state: SimState, time_s: float) -> SimState:
        left = float(np.exp(-max(time_s - self._since_s, 0.0) / self._time_constant_s))
        if left < 1e-3 or len(self._joints) != len(state.joint_positions):
            return state
        poses = state.body_poses.copy()
        if len(poses):
            identity = np.broadcast_to([0.0, 0.0, 0.0, 1.0], self._rotations.shape)
            poses[:, :3] += left * self._positions
            poses[:, 3:] = multiply(slerp(identity, self._rotations, left), poses[:, 3:])
        joints = state.joint_positions + left * self._joints
        return replace(state, joint_positions=joints, body_poses=poses)


def is_newer(state: SimState, than: SimState | None) -> bool:
    return than is None or state.episode != than.episode or state.time_s > than.time_s


def mix(a: SimState, b: SimState, weight: float) -> SimState:
    """From ``a`` (0) to ``b`` (1); joints and positions linearly, orientations by slerp.

    States with different names cannot be mixed: the nearer one is returned.
    """
    if _names(a) != _names(b):
        return b if weight > 0.5 else a
    poses = a.body_poses + weight * (b.body_poses - a.body_poses)
    if len(poses):
        poses[:, 3:] = slerp(a.body_poses[:, 3:], b.body_poses[:, 3:], weight)
    balls = a.ball_rotations
    if len(balls):
        balls = slerp(balls, b.ball_rotations, weight)
    return replace(
        a,
        time_s=a.time_s + weight * (b.time_s - a.time_s),
        joint_positions=a.joint_positions + weight * (b.joint_positions - a.joint_positions),
        joint_velocities=a.joint_velocities + weight * (b.joint_velocities - a.joint_velocities),
        body_poses=poses,
        ball_rotations=balls,
    )


def _names(state: SimState) -> tuple[tuple[str, ...], ...]:
    return state.joint_names, state.body_names, state.ball_names
