"""Where each named joint and body of a ``SimState`` lives in an ``MjModel``.

Names decide, never the order. What could not be matched on either side is listed, and refused
in strict mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from mujoco_mirror.map_rules import JointRule, MapRules, PoseRule
from mujoco_mirror.name_match import NameMatcher, require_injective
from mujoco_mirror.rotations import compose, conjugate, inverse, rotate, to_wxyz, to_xyzw
from sim_bridge.errors import InvalidRequest
from sim_bridge.types import SimState

_FREE = int(mujoco.mjtJoint.mjJNT_FREE)
_SINGLE_AXIS = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
_JOINT_EQUALITY = int(mujoco.mjtEq.mjEQ_JOINT)
_WORLD = 0


@dataclass(frozen=True)
class MapReport:
    """What was mapped (wire name, model name) and what is left over on each side."""

    joints: tuple[tuple[str, str], ...]
    bodies: tuple[tuple[str, str], ...]
    coupled: tuple[str, ...]
    unmapped_wire: tuple[str, ...]
    unmapped_model: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.unmapped_wire and not self.unmapped_model

    def __str__(self) -> str:
        text = f"mapped {len(self.joints)} joints and {len(self.bodies)} bodies"
        if self.coupled:
            text += f"; {len(self.coupled)} follow by coupling: {', '.join(self.coupled)}"
        if self.unmapped_wire:
            text += f"; not in the model: {', '.join(self.unmapped_wire)}"
        if self.unmapped_model:
            text += f"; not in the state: {', '.join(self.unmapped_model)}"
        return text


@dataclass(frozen=True)
class _Joints:
    source: np.ndarray  # index into the wire's joints
    qpos: np.ndarray
    dof: np.ndarray
    factor: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class _Bodies:
    source: np.ndarray  # index into the wire's bodies
    address: np.ndarray  # first qpos address, mocap id or body id
    dof: np.ndarray  # first dof address; free bodies only
    pose: np.ndarray | None  # (n, 7) model frame in the wire's frame; None: all identity


class ModelMap:
    """Writes states with exactly these joint and body names into an ``MjData``.

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
    ) -> None:
        self.joint_names = tuple(joint_names)
        self.body_names = tuple(body_names)
        builder = _Builder(model, rules or MapRules())
        self._joints, joint_pairs = builder.joints(self.joint_names)
        self._free, self._mocap, self._fixed, body_pairs = builder.bodies(self.body_names)
        self._coupled, coupled = builder.coupled(self._joints.qpos)
        self.report = builder.report(
            self.joint_names, self.body_names, joint_pairs, body_pairs, coupled
        )
        if strict and not self.report.complete:
            raise InvalidRequest(f"strict mapping: {self.report}")

    def fits(self, state: SimState) -> bool:
        return state.joint_names == self.joint_names and state.body_names == self.body_names

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

    def read_bodies(self, data: mujoco.MjData) -> np.ndarray:
        """Poses ``(n, 7)`` of the free bodies, order ``body_names``; NaN for all others."""
        out = np.full((len(self.body_names), 7), np.nan)
        free = self._free
        if len(free.source):
            poses = data.qpos[free.address[:, None] + np.arange(7)]
            poses = np.concatenate([poses[:, :3], to_xyzw(poses[:, 3:])], axis=1)
            out[free.source] = poses if free.pose is None else compose(poses, inverse(free.pose))
        return out

    def targets(self, names: Sequence[str], positions: np.ndarray) -> dict[int, float]:
        """Model position by qpos address for wire position targets."""
        out = {}
        joints = self._joints
        for name, position in zip(names, positions):
            if name not in self.joint_names:
                continue
            for row in np.flatnonzero(joints.source == self.joint_names.index(name)):
                value = joints.factor[row] * position + joints.offset[row]
                out[int(joints.qpos[row])] = float(value)
        return out

    def _write_poses(
        self, kind: _Bodies, poses: np.ndarray, model: mujoco.MjModel, data: mujoco.MjData
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


class _Builder:
    def __init__(self, model: mujoco.MjModel, rules: MapRules) -> None:
        self._model = model
        self._rules = rules
        self._joint_ids = {
            model.joint(j).name: j
            for j in range(model.njnt)
            if int(model.jnt_type[j]) in _SINGLE_AXIS
        }
        self._body_ids = {model.body(b).name: b for b in range(1, model.nbody)}
        # A free joint often has the name by which the body is known.
        for j in range(model.njnt):
            if int(model.jnt_type[j]) == _FREE and model.joint(j).name:
                self._body_ids.setdefault(model.joint(j).name, int(model.jnt_bodyid[j]))

    def joints(self, wire: Sequence[str]) -> tuple[_Joints, list[tuple[str, str]]]:
        matcher = NameMatcher(self._joint_ids, self._rules.prefixes)
        rows, pairs = [], []
        for i, name in enumerate(wire):
            rule = self._joint_rule(name, matcher)
            for to in rule.to if rule else ():
                joint = self._lookup("joint", name, to, self._joint_ids)
                rows.append((i, joint, rule.factor, rule.offset))
                pairs.append((name, to))
        require_injective("joint", pairs)
        ids = np.array([r[1] for r in rows], dtype=int)
        table = _Joints(
            source=np.array([r[0] for r in rows], dtype=int),
            qpos=self._model.jnt_qposadr[ids].astype(int),
            dof=self._model.jnt_dofadr[ids].astype(int),
            factor=np.array([r[2] for r in rows], dtype=float),
            offset=np.array([r[3] for r in rows], dtype=float),
        )
        return table, pairs

    def bodies(
        self, wire: Sequence[str]
    ) -> tuple[_Bodies, _Bodies, _Bodies, list[tuple[str, str]]]:
        matcher = NameMatcher(self._body_ids, self._rules.prefixes)
        free, mocap, fixed, pairs = [], [], [], []
        for i, name in enumerate(wire):
            rule = self._pose_rule(name, matcher)
            if rule is None:
                continue
            body = self._lookup("body", name, rule.to, self._body_ids)
            kind, address, dof = self._place(name, body)
            {"free": free, "mocap": mocap, "fixed": fixed}[kind].append(
                (i, address, dof, rule.pose)
            )
            pairs.append((name, self._model.body(body).name))
        require_injective("body", pairs)
        return _bodies(free), _bodies(mocap), _bodies(fixed), pairs

    def coupled(
        self, driven: np.ndarray
    ) -> tuple[list[tuple[int, int, np.ndarray]], tuple[str, ...]]:
        """Joints that the model ties to a mapped one: (qpos address, leader's, polynomial)."""
        model, out, names = self._model, [], []
        known = set(driven.tolist())
        for e in range(model.neq):
            if int(model.eq_type[e]) != _JOINT_EQUALITY or int(model.eq_obj2id[e]) < 0:
                continue
            follower, leader = int(model.eq_obj1id[e]), int(model.eq_obj2id[e])
            a, b = int(model.jnt_qposadr[follower]), int(model.jnt_qposadr[leader])
            if b in known and a not in known:
                polynomial = model.eq_data[e, 4::-1].copy()
                # MuJoCo's polynomial relates deviations from the reference positions.
                shift = np.poly1d([1.0, -model.qpos0[b]])
                shifted = np.poly1d(polynomial)(shift) + model.qpos0[a]
                out.append((a, b, np.atleast_1d(shifted.coefficients)))
                names.append(model.joint(follower).name)
        return out, tuple(names)

    def report(
        self,
        joint_names: Sequence[str],
        body_names: Sequence[str],
        joints: list[tuple[str, str]],
        bodies: list[tuple[str, str]],
        coupled: tuple[str, ...],
    ) -> MapReport:
        wire = {name for name, _ in joints} | {name for name, _ in bodies}
        placed = {model for _, model in bodies}
        driven = {model for _, model in joints} | set(coupled)
        free_bodies = (
            self._model.body(int(self._model.jnt_bodyid[j])).name
            for j in range(self._model.njnt)
            if int(self._model.jnt_type[j]) == _FREE
        )
        left = [n for n in self._joint_ids if n not in driven]
        left += [n for n in free_bodies if n not in placed]
        return MapReport(
            joints=tuple(joints),
            bodies=tuple(bodies),
            coupled=coupled,
            unmapped_wire=tuple(
                n
                for n in (*joint_names, *body_names)
                if n not in wire and not self._rules.ignores(n)
            ),
            unmapped_model=tuple(n for n in left if not self._rules.ignores(n)),
        )

    def _joint_rule(self, name: str, matcher: NameMatcher) -> JointRule | None:
        if name in self._rules.joints:
            return self._rules.joints[name]
        if self._rules.ignores(name):
            return None
        found = matcher.find(name)
        return JointRule((found,)) if found else None

    def _pose_rule(self, name: str, matcher: NameMatcher) -> PoseRule | None:
        if name in self._rules.bodies:
            return self._rules.bodies[name]
        if self._rules.ignores(name):
            return None
        found = matcher.find(name)
        return PoseRule(found) if found and self._placeable(self._body_ids[found]) else None

    def _lookup(self, kind: str, wire: str, name: str, known: dict[str, int]) -> int:
        try:
            return known[name]
        except KeyError:
            raise InvalidRequest(
                f"rule for {kind} {wire!r}: the model has no {kind} {name!r}; "
                f"valid: {', '.join(known)}"
            ) from None

    def _placeable(self, body: int) -> bool:
        model = self._model
        first = int(model.body_jntadr[body])
        if int(model.body_jntnum[body]):
            return int(model.jnt_type[first]) == _FREE
        return int(model.body_mocapid[body]) >= 0 or int(model.body_parentid[body]) == _WORLD

    def _place(self, wire: str, body: int) -> tuple[str, int, int]:
        model = self._model
        if not self._placeable(body):
            raise InvalidRequest(
                f"rule for body {wire!r}: {model.body(body).name!r} hangs on a joint or another "
                "body; "
                "valid: free bodies, mocap bodies and bodies fixed to the world"
            )
        if int(model.body_jntnum[body]):
            joint = int(model.body_jntadr[body])
            return "free", int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
        mocap = int(model.body_mocapid[body])
        return ("mocap", mocap, -1) if mocap >= 0 else ("fixed", body, -1)


def _bodies(rows: list[tuple[int, int, int, tuple[float, ...]]]) -> _Bodies:
    poses = np.array([r[3] for r in rows], dtype=float).reshape(-1, 7)
    identity = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return _Bodies(
        source=np.array([r[0] for r in rows], dtype=int),
        address=np.array([r[1] for r in rows], dtype=int),
        dof=np.array([r[2] for r in rows], dtype=int),
        pose=None if np.all(poses == identity) else poses,
    )
