"""A foreign trajectory in the names of the simulator that is to replay it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim_bridge.errors import InvalidRequest
from sim_bridge.trajectories.trajectory import Trajectory
from sim_bridge.types import SimSpec

_PERIOD_TOLERANCE = 0.01
_SUFFIX = re.compile(r"[._](pos|position)$")


def fit(trajectory: Trajectory, spec: SimSpec, body_names: Sequence[str]) -> Trajectory:
    """Names that differ by entity or by a ``.pos`` suffix are matched where that is unambiguous.

    Robot bodies that are fixed in the simulator are dropped. InvalidRequest, naming what does not
    fit, for other robots, unknown objects and another control period.
    """
    joints = [joint.name for joint in spec.joints]
    joint_names = _match(trajectory.joint_names, joints)
    fitted = replace(
        trajectory,
        action_names=_match(trajectory.action_names, spec.action.names),
        joint_names=joint_names,
        robot_entities=_robots(trajectory, joint_names, spec),
    )
    fitted = _fit_bodies(fitted, trajectory.robot_entities, body_names)
    fitted = _fit_targets(fitted, joints)
    fitted.check_matches(spec)
    _check_objects(fitted, joints)
    ratio = trajectory.control_period_s / spec.control_period_s
    if abs(ratio - 1.0) > _PERIOD_TOLERANCE:
        raise InvalidRequest(
            f"the trajectory of {trajectory.task} has a control period of "
            f"{trajectory.control_period_s:g} s, {spec.task} has {spec.control_period_s:g} s"
        )
    return fitted


def _key(name: str) -> str:
    return _SUFFIX.sub("", name.rpartition("/")[2])


def _match(found: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Each found name, or the one wanted name with the same key that no other found name has."""
    keys = [_key(name) for name in found]
    out = []
    for name, key in zip(found, keys, strict=True):
        candidates = [w for w in wanted if _key(w) == key]
        unique = len(candidates) == 1 and keys.count(key) == 1
        out.append(name if name in wanted or not unique else candidates[0])
    return tuple(out)


def _robots(trajectory: Trajectory, joints: Sequence[str], spec: SimSpec) -> tuple[str, ...]:
    """The simulator's name of a robot of which all joints were matched; else the file's own."""
    entities = {name.partition("/")[0] for name in joints}
    known = tuple(entity for entity in spec.robot_entities if entity in entities)
    return known or trajectory.robot_entities


def _fit_bodies(
    trajectory: Trajectory, robots: Sequence[str], body_names: Sequence[str]
) -> Trajectory:
    found = trajectory.body_names
    matched = _match(found, body_names)
    keep = [i for i, name in enumerate(found) if matched[i] in body_names or name not in robots]
    unknown = [matched[i] for i in keep if matched[i] not in body_names]
    if unknown:
        raise InvalidRequest(
            f"bodies only in the trajectory: {', '.join(unknown)}; the simulator has: "
            + (", ".join(body_names) or "none")
        )
    return replace(
        trajectory,
        body_names=tuple(matched[i] for i in keep),
        body_poses=np.ascontiguousarray(trajectory.body_poses[:, keep]),
        body_twists=np.ascontiguousarray(trajectory.body_twists[:, keep]),
    )


def _fit_targets(trajectory: Trajectory, joints: Sequence[str]) -> Trajectory:
    """Targets by the simulator's joint names; those of joints that it does not have are dropped."""
    matched = _match(trajectory.target_names, joints)
    keep = [i for i, name in enumerate(matched) if name in joints]
    return replace(
        trajectory,
        target_names=tuple(matched[i] for i in keep),
        target_positions=np.ascontiguousarray(trajectory.target_positions[:, keep]),
    )


def _check_objects(trajectory: Trajectory, joints: Sequence[str]) -> None:
    unknown = [name for name in trajectory.joint_names if name not in joints]
    if unknown:
        raise InvalidRequest(f"joints only in the trajectory: {', '.join(unknown)}")
