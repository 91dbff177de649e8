"""Predicts late states with local physics from the last state and its commanded targets."""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import replace

import mujoco
import numpy as np

from mujoco_mirror.late_states import Blend, is_newer
from mujoco_mirror.map_rules import MapRules
from mujoco_mirror.model_map import ModelMap
from sim_bridge.types import SimState

_BIAS_AFFINE = int(mujoco.mjtBias.mjBIAS_AFFINE)
_ON_JOINT = int(mujoco.mjtTrn.mjTRN_JOINT)
_DEFAULT_PERIOD_S = 0.1


class Predict:
    """Steps ``model`` from the latest state to the time to draw; corrections are blended in over
    ``blend_s``. After ``horizon_s`` without a state the prediction stands still.

    Position targets go on as they moved over the last control steps, as long as they moved
    steadily: of the last two increments the smaller one counts, and none when the sign changed.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        rules: MapRules | None = None,
        blend_s: float = 0.02,
        horizon_s: float = 0.5,
    ) -> None:
        self._model = copy.copy(model)
        self._data = mujoco.MjData(self._model)
        self._rules = rules or MapRules()
        self._actuator_of = _position_actuators(self._model)
        self._map: ModelMap | None = None
        self._blend = Blend(blend_s)
        self._horizon_s = horizon_s
        self._recent: deque[SimState] = deque(maxlen=3)
        self._shown: SimState | None = None

    def put(self, state: SimState) -> None:
        latest = self._recent[-1] if self._recent else None
        if not is_newer(state, latest):
            return
        if latest is None or state.episode != latest.episode:
            self._recent.clear()
            self._blend.clear()
            self._shown = None
        if self._map is None or not self._map.fits(state):
            self._map = ModelMap(self._model, state.joint_names, state.body_names, self._rules)
        self._recent.append(state)
        self._map.write(state, self._model, self._data)
        self._data.time = state.time_s
        self._data.qacc_warmstart[:] = 0.0
        if self._shown is not None and self._shown.time_s > state.time_s:
            time_s = self._shown.time_s
            self._blend.jump(self._shown, self._advance(time_s), time_s)

    def at(self, time_s: float) -> SimState | None:
        if not self._recent:
            return None
        self._shown = replace(self._blend.apply(self._advance(time_s), time_s), time_s=time_s)
        return self._shown

    def _advance(self, time_s: float) -> SimState:
        latest = self._recent[-1]
        until = min(time_s, latest.time_s + self._horizon_s)
        half_step = 0.5 * self._model.opt.timestep
        while self._data.time < until - half_step:
            self._command(self._data.time - latest.time_s)
            mujoco.mj_step(self._model, self._data)
        joints, bodies = self._map.read_joints(self._data), self._map.read_bodies(self._data)
        return replace(
            latest,
            joint_positions=np.where(np.isnan(joints), latest.joint_positions, joints),
            body_poses=np.where(np.isnan(bodies), latest.body_poses, bodies),
        )

    def _command(self, ahead_s: float) -> None:
        latest = self._recent[-1]
        period, increment = self._trend()
        steps = np.floor(ahead_s / period + 1e-6) + 1
        targets = latest.target_positions + steps * increment
        for address, value in self._map.targets(latest.target_names, targets).items():
            actuator = self._actuator_of.get(address)
            if actuator is not None:
                if int(self._model.actuator_ctrllimited[actuator]):
                    value = np.clip(value, *self._model.actuator_ctrlrange[actuator])
                self._data.ctrl[actuator] = value

    def _trend(self) -> tuple[float, np.ndarray]:
        """Control period [s] and the steady change of the targets in one of them."""
        states = list(self._recent)
        none = np.zeros_like(states[-1].target_positions)
        if len(states) < 2:
            return _DEFAULT_PERIOD_S, none
        span = states[-1].step - states[-2].step
        period = (states[-1].time_s - states[-2].time_s) / max(span, 1)
        if len(states) < 3 or any(s.target_names != states[-1].target_names for s in states):
            return period, none
        new, old = (
            (b.target_positions - a.target_positions) / max(b.step - a.step, 1)
            for a, b in ((states[1], states[2]), (states[0], states[1]))
        )
        steady = np.where(np.abs(new) < np.abs(old), new, old)
        return period, np.where(new * old > 0, steady, 0.0)


def _position_actuators(model: mujoco.MjModel) -> dict[int, int]:
    """Actuator id by qpos address of the joint whose position it controls."""
    return {
        int(model.jnt_qposadr[int(model.actuator_trnid[a, 0])]): a
        for a in range(model.nu)
        if int(model.actuator_biastype[a]) == _BIAS_AFFINE
        and int(model.actuator_trntype[a]) == _ON_JOINT
        and model.actuator_biasprm[a, 1] != 0
    }
