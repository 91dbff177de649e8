"""Where each named joint and body of a ``SimState`` lives in an ``MjModel``.

Names decide, never the order. What could not be matched on either side is listed, and refused
in strict mode.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from mujoco_mirror.model.map_builder import BodyTable, MapBuilder
from mujoco_mirror.model.map_rules import MapRules
from mujoco_mirror.model.rotations import compose, conjugate, inverse, rotate, to_wxyz, to_xyzw
from sim_bridge.errors import InvalidRequest
from sim_bridge.types import SimState


class ModelMap:
    """Writes states with exactly these joint, body and ball joint names into an ``MjData``.

    Raises InvalidRequest when a rule names something that the model lacks, when two names
    collide, and in strict mode when anything is left over.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        joint_names: Sequence[str],
        body_names: Sequence[str] = (),
        rules: MapRules | None = None,
        strict: bool = False,
        ball_names: Sequence[str] = (),
    ) -> None:
        self.joint_names = tuple(joint_names)
        self.body_names = tuple(body_names)
        self.ball_names = tuple(ball_names)
        builder = MapBuilder(model, rules or MapRules())
        self._joints, joint_pairs = builder.joints(self.joint_names)
        self._balls, ball_pairs = builder.balls(self.ball_names)
        self._free, self._mocap, self._fixed, body_pairs = builder.bodies(self.body_names)
        self._coupled, coupled = builder.coupled(self._joints.qpos)
        self.report = builder.report(
            (*self.joint_names, *self.ball_names),
            self.body_names,
            joint_pairs + ball_pairs,
            body_pairs,
            coupled,
        )
        if strict and not self.report.complete:
            raise InvalidRequest(f"strict mapping: {self.report}")

    def fits(self, state: SimState) -> bool:
        return (
            state.joint_names == self.joint_names
            and state.body_names == self.body_names
            and state.ball_names == self.ball_names
        )

    def write(self, state: SimState, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Set qpos, qvel and mocap poses of ``data``, and bases that ``model`` fixes to the world.

        Joints and bodies that the state does not name keep their values.
        """
        joints = self._joints
        data.qpos[joints.qpos] = (
            joints.factor * state.joint_positions[joints.source] + joints.offset
        )
        if len(state.joint_velocities):
            data.qvel[joints.dof] = joints.factor * state.joint_velocities[joints.source]
        balls = self._balls
        if len(balls.source):
            data.qpos[balls.qpos] = to_wxyz(state.ball_rotations[balls.source])
            data.qvel[balls.dof] = state.ball_velocities[balls.source]
        for follower, leader, coefficients in self._coupled:
            data.qpos[follower] = np.polyval(coefficients, data.qpos[leader])
        for kind in (self._free, self._mocap, self._fixed):
            if len(kind.source):
                poses = state.body_poses[kind.source]
                if kind.pose is not None:
                    poses = compose(poses, kind.pose)
                self._write_poses(kind, poses, model, data)
        if len(self._free.source) and len(state.body_twists):
            self._write_twists(state.body_twists[self._free.source], data)

    def read_joints(self, data: mujoco.MjData) -> np.ndarray:
        """Positions in wire units, order ``joint_names``; NaN for joints that are not mapped."""
        out = np.full(len(self.joint_names), np.nan)
        joints = self._joints
        out[joints.source] = (data.qpos[joints.qpos] - joints.offset) / joints.factor
        return out

    def read_velocities(self, data: mujoco.MjData) -> np.ndarray:
        """Joint velocities, as ``read_joints`` gives positions."""
        out = np.full(len(self.joint_names), np.nan)
        out[self._joints.source] = data.qvel[self._joints.dof] / self._joints.factor
        return out

    def read_bodies(self, data: mujoco.MjData) -> np.ndarray:
        """Poses ``(n, 7)`` of the free bodies, order ``body_names``; NaN for all others."""
        out = np.full((len(self.body_names), 7), np.nan)
        free = self._free
        if len(free.source):
            poses = data.qpos[free.address[:, None] + np.arange(7)]
            poses = np.concatenate([poses[:, :3], to_xyzw(poses[:, 3:])], axis=1)
            out[free.source] = poses if free.pose is None else compose(poses, inverse(free.pose))
        return out

    @property
    def free_bodies(self) -> dict[int, int]:
        """The model's free bodies by their index in ``body_names``."""
        return dict(zip(self._free.source.tolist(), self._free.body.tolist(), strict=True))

    def targets(self, names: Sequence[str], positions: np.ndarray) -> dict[int, float]:
        """Model position by qpos address for wire position targets."""
        out = {}
        joints = self._joints
        for name, position in zip(names, positions, strict=True):
            if name not in self.joint_names:
                continue
            for row in np.flatnonzero(joints.source == self.joint_names.index(name)):
                value = joints.factor[row] * position + joints.offset[row]
                out[int(joints.qpos[row])] = float(value)
        return out

    def _write_poses(
        self, kind: BodyTable, poses: np.ndarray, model: mujoco.MjModel, data: mujoco.MjData
    ) -> None:
        quaternions = to_wxyz(poses[:, 3:])
        if kind is self._free:
            data.qpos[kind.address[:, None] + np.arange(3)] = poses[:, :3]
            data.qpos[kind.address[:, None] + np.arange(3, 7)] = quaternions
        elif kind is self._mocap:
            data.mocap_pos[kind.address] = poses[:, :3]
            data.mocap_quat[kind.address] = quaternions
        else:
            model.body_pos[kind.address] = poses[:, :3]
            model.body_quat[kind.address] = quaternions

    def _write_twists(self, twists: np.ndarray, data: mujoco.MjData) -> None:
        """The wire has world angular velocity; MuJoCo's free joint has it in the body frame."""
        free = self._free
        turned = to_xyzw(data.qpos[free.address[:, None] + np.arange(3, 7)])
        linear, angular = twists[:, :3], twists[:, 3:]
        if free.pose is not None:
            offset = rotate(conjugate(free.pose[:, 3:]), free.pose[:, :3])
            linear = linear + np.cross(angular, rotate(turned, offset))
        data.qvel[free.dof[:, None] + np.arange(3)] = linear
        data.qvel[free.dof[:, None] + np.arange(3, 6)] = rotate(conjugate(turned), angular)
