"""Matches the names of a state with those of a model, and says what is left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from mujoco_mirror.model.map_rules import JointRule, MapRules, PoseRule
from mujoco_mirror.model.name_match import NameMatcher, require_injective
from sim_bridge.errors import InvalidRequest
from sim_bridge.files.model_names import body_names, joint_names

_BALL = int(mujoco.mjtJoint.mjJNT_BALL)
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
class JointTable:
    source: np.ndarray  # index into the wire's joints
    qpos: np.ndarray
    dof: np.ndarray
    factor: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class BallTable:
    source: np.ndarray  # index into the wire's ball joints
    qpos: np.ndarray  # (n, 4)
    dof: np.ndarray  # (n, 3)


@dataclass(frozen=True)
class BodyTable:
    source: np.ndarray  # index into the wire's bodies
    body: np.ndarray  # the model's
    address: np.ndarray  # first qpos address, mocap id or body id
    dof: np.ndarray  # first dof address; free bodies only
    pose: np.ndarray | None  # (n, 7) model frame in the wire's frame; None: all identity


class MapBuilder:
    def __init__(self, model: mujoco.MjModel, rules: MapRules) -> None:
        self._model = model
        self._rules = rules
        self._joint_names, self._body_names = joint_names(model), body_names(model)
        self._joint_ids = {
            name: j
            for j, name in enumerate(self._joint_names)
            if int(model.jnt_type[j]) in _SINGLE_AXIS
        }
        self._ball_ids = {
            name: j for j, name in enumerate(self._joint_names) if int(model.jnt_type[j]) == _BALL
        }
        self._body_ids = {name: b for b, name in enumerate(self._body_names) if b != _WORLD}
        # A free joint often has the name by which the body is known.
        for j in range(model.njnt):
            if int(model.jnt_type[j]) == _FREE and model.joint(j).name:
                self._body_ids.setdefault(model.joint(j).name, int(model.jnt_bodyid[j]))

    def joints(self, wire: Sequence[str]) -> tuple[JointTable, list[tuple[str, str]]]:
        matcher = NameMatcher(self._joint_ids, self._rules.prefixes)
        rows, pairs = [], []
        for i, name in enumerate(wire):
            rule = self._joint_rule(name, matcher)
            if rule is None:
                continue
            for to in rule.to:
                joint = self._lookup("joint", name, to, self._joint_ids)
                rows.append((i, joint, rule.factor, rule.offset))
                pairs.append((name, to))
        require_injective("joint", pairs)
        ids = np.array([r[1] for r in rows], dtype=int)
        table = JointTable(
            source=np.array([r[0] for r in rows], dtype=int),
            qpos=self._model.jnt_qposadr[ids].astype(int),
            dof=self._model.jnt_dofadr[ids].astype(int),
            factor=np.array([r[2] for r in rows], dtype=float),
            offset=np.array([r[3] for r in rows], dtype=float),
        )
        return table, pairs

    def balls(self, wire: Sequence[str]) -> tuple[BallTable, list[tuple[str, str]]]:
        """By name alone, or by a rule that names one joint."""
        matcher = NameMatcher(self._ball_ids, self._rules.prefixes)
        rows, pairs = [], []
        for i, name in enumerate(wire):
            rule = self._joint_rule(name, matcher)
            for to in rule.to if rule else ():
                rows.append((i, self._lookup("ball joint", name, to, self._ball_ids)))
                pairs.append((name, to))
        require_injective("ball joint", pairs)
        ids = np.array([joint for _, joint in rows], dtype=int)
        table = BallTable(
            source=np.array([i for i, _ in rows], dtype=int),
            qpos=self._model.jnt_qposadr[ids].astype(int)[:, None] + np.arange(4),
            dof=self._model.jnt_dofadr[ids].astype(int)[:, None] + np.arange(3),
        )
        return table, pairs

    def bodies(
        self, wire: Sequence[str]
    ) -> tuple[BodyTable, BodyTable, BodyTable, list[tuple[str, str]]]:
        matcher = NameMatcher(self._body_ids, self._rules.prefixes)
        found: dict[str, list[Any]] = {"free": [], "mocap": [], "fixed": []}
        pairs = []
        for i, name in enumerate(wire):
            rule = self._pose_rule(name, matcher)
            if rule is None:
                continue
            body = self._lookup("body", name, rule.to, self._body_ids)
            kind, address, dof = self._place(name, body)
            found[kind].append((i, body, address, dof, rule.pose))
            pairs.append((name, self._body_names[body]))
        require_injective("body", pairs)
        free, mocap, fixed = map(_bodies, found.values())
        return free, mocap, fixed, pairs

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
                names.append(self._joint_names[follower])
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
            self._body_names[int(self._model.jnt_bodyid[j])]
            for j in range(self._model.njnt)
            if int(self._model.jnt_type[j]) == _FREE
        )
        left = [n for n in (*self._joint_ids, *self._ball_ids) if n not in driven]
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
                f"rule for body {wire!r}: {self._body_names[body]!r} hangs on a joint or another "
                "body; "
                "valid: free bodies, mocap bodies and bodies fixed to the world"
            )
        if int(model.body_jntnum[body]):
            joint = int(model.body_jntadr[body])
            return "free", int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
        mocap = int(model.body_mocapid[body])
        return ("mocap", mocap, -1) if mocap >= 0 else ("fixed", body, -1)


def _bodies(rows: list[tuple[int, int, int, int, tuple[float, ...]]]) -> BodyTable:
    poses = np.array([r[4] for r in rows], dtype=float).reshape(-1, 7)
    identity = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return BodyTable(
        source=np.array([r[0] for r in rows], dtype=int),
        body=np.array([r[1] for r in rows], dtype=int),
        address=np.array([r[2] for r in rows], dtype=int),
        dof=np.array([r[3] for r in rows], dtype=int),
        pose=None if np.all(poses == identity) else poses,
    )
