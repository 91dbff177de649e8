"""Predicts late states with local physics from the last state and the commanded targets."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from mujoco_mirror.late.compensation import Blend, Compensation, is_newer
from mujoco_mirror.late.held_bodies import HeldBodies
from mujoco_mirror.late.target_forecast import TargetForecast
from mujoco_mirror.model.map_rules import MapRules
from mujoco_mirror.model.model_map import ModelMap
from sim_bridge.types import SimState

_BIAS_AFFINE = int(mujoco.mjtBias.mjBIAS_AFFINE)
_ON_JOINT = int(mujoco.mjtTrn.mjTRN_JOINT)


@dataclass(frozen=True)
class _Missed:
    """What physics missed in one control step: positions and velocities of joints ``(n,)``, and
    positions of bodies ``(m, 3)``."""

    joints: np.ndarray
    velocities: np.ndarray
    bodies: np.ndarray


class Predict(Compensation):
    """Steps ``model`` from the latest state to the time to draw; corrections are blended in over
    ``blend_s``. After ``horizon_s`` without a state the prediction stands still.

    What local physics missed in the last control step it will miss again in each of the next: a
    finger that something blocks stays blocked, whatever the model knows of it.
    """

    # From the first state on.
    _map: ModelMap
    _held: HeldBodies

    def __init__(
        self,
        model: mujoco.MjModel,
        rules: MapRules | None = None,
        blend_s: float = 0.02,
        horizon_s: float = 0.5,
    ) -> None:
        self._model = copy.copy(model)
        self._data = mujoco.MjData(self._model)
        self._corrected = mujoco.MjData(self._model)
        self._rules = rules or MapRules()
        self._actuator_of = _position_actuators(self._model)
        self._targets = TargetForecast()
        self._blend = Blend(blend_s)
        self._horizon_s = horizon_s
        self._latest: SimState | None = None
        self._shown: SimState | None = None
        self._missed = _Missed(np.zeros(0), np.zeros(0), np.zeros((0, 3)))
        self._step_began_s = 0.0

    def put(self, state: SimState) -> None:
        before = self._latest
        if not is_newer(state, before):
            return
        if before is None or state.episode != before.episode or not self._map.fits(state):
            self._restart(state)
        else:
            self._learn(before, state)
        self._latest = state
        self._targets.put(state)
        self._begin(state)
        self._held.put(state.body_poses, self._data)
        if self._shown is not None and self._shown.time_s > state.time_s:
            time_s = self._shown.time_s
            self._blend.jump(self._shown, self._advance(state, time_s), time_s)

    def command(self, time_s: float, names: Sequence[str], positions: np.ndarray) -> None:
        """Position targets that were sent at simulation time ``time_s``."""
        self._targets.command(time_s, names, positions)
        if self._latest is not None:
            self._begin(self._latest)

    def at(self, time_s: float) -> SimState | None:
        if self._latest is None:
            return None
        reached = self._advance(self._latest, time_s)
        self._shown = replace(self._blend.apply(reached, time_s), time_s=time_s)
        return self._shown

    def _restart(self, state: SimState) -> None:
        self._targets.restart()
        self._blend.clear()
        self._shown = None
        joints = np.zeros(len(state.joint_names))
        self._missed = _Missed(joints, joints, np.zeros((len(state.body_names), 3)))
        self._map = ModelMap(
            self._model,
            state.joint_names,
            state.body_names,
            self._rules,
            ball_names=state.ball_names,
        )
        self._held = HeldBodies(self._model, self._map.free_bodies)

    def _learn(self, before: SimState, state: SimState) -> None:
        """Compare the step that led to ``state`` with what local physics makes of it."""
        if state.step != before.step + 1 or state.target_names != before.target_names:
            return
        self._begin(before)
        self._command(state.target_names, state.target_positions)
        self._step_until(state.time_s)
        self._missed = _Missed(
            np.nan_to_num(state.joint_positions - self._map.read_joints(self._data)),
            np.nan_to_num(state.joint_velocities - self._map.read_velocities(self._data)),
            np.nan_to_num(state.body_poses - self._map.read_bodies(self._data))[:, :3],
        )

    def _begin(self, state: SimState) -> None:
        self._map.write(state, self._model, self._data)
        self._data.time = self._step_began_s = state.time_s
        self._data.qacc_warmstart[:] = 0.0
        mujoco.mj_kinematics(self._model, self._data)

    def _advance(self, latest: SimState, time_s: float) -> SimState:
        period_s = self._targets.period_s
        until = min(time_s, latest.time_s + self._horizon_s)
        half_step = 0.5 * self._model.opt.timestep
        while self._data.time < until - half_step:
            targets = self._targets.targets(self._data.time - latest.time_s)
            self._command(latest.target_names, targets)
            step_ends = self._step_began_s + period_s
            self._step_until(min(until, step_ends))
            if self._data.time >= step_ends - half_step:
                self._map.write(self._read(latest), self._model, self._data)
                self._step_began_s = step_ends
        return self._read(latest)

    def _read(self, latest: SimState) -> SimState:
        """What physics predicts, corrected by what it has missed so far; bodies have no twists."""
        data, missed = self._data, self._missed
        steps = (data.time - self._step_began_s) / self._targets.period_s
        state = replace(
            latest,
            joint_positions=_or(
                self._map.read_joints(data) + steps * missed.joints, latest.joint_positions
            ),
            joint_velocities=_or(
                self._map.read_velocities(data) + steps * missed.velocities,
                latest.joint_velocities,
            ),
            body_poses=_or(self._map.read_bodies(data), latest.body_poses),
            body_twists=np.zeros((0, 6)),
        )
        self._map.write(state, self._model, self._corrected)
        mujoco.mj_kinematics(self._model, self._corrected)
        held, let_go = self._held.carry(self._corrected)
        for row, pose in enumerate(state.body_poses):
            if row in held:
                pose[:] = held[row]
            elif row not in let_go:
                pose[:3] += steps * missed.bodies[row]
        return state

    def _step_until(self, time_s: float) -> None:
        half_step = 0.5 * self._model.opt.timestep
        while self._data.time < time_s - half_step:
            mujoco.mj_step(self._model, self._data)

    def _command(self, names: Sequence[str], targets: np.ndarray) -> None:
        for address, value in self._map.targets(names, targets).items():
            actuator = self._actuator_of.get(address)
            if actuator is not None:
                if int(self._model.actuator_ctrllimited[actuator]):
                    value = np.clip(value, *self._model.actuator_ctrlrange[actuator])
                self._data.ctrl[actuator] = value


def _or(values: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), otherwise, values)


def _position_actuators(model: mujoco.MjModel) -> dict[int, int]:
    """Actuator id by qpos address of the joint whose position it controls."""
    return {
        int(model.jnt_qposadr[int(model.actuator_trnid[a, 0])]): a
        for a in range(model.nu)
        if int(model.actuator_biastype[a]) == _BIAS_AFFINE
        and int(model.actuator_trntype[a]) == _ON_JOINT
        and model.actuator_biasprm[a, 1] != 0
    }
