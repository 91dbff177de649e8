"""``SimSpec`` and its parts, to messages and back."""

from __future__ import annotations

import numpy as np
from sim_interfaces import msg as m

from sim_bridge import types as t
from sim_bridge.ros.convert import doubles

_CAMERA_FIELDS = ("name", "width", "height", "frame_id", "fx", "fy", "cx", "cy")


def to_model_msg(model: t.ModelReference) -> m.ModelReference:
    return m.ModelReference(format=model.format, uri=model.uri, sha256=model.sha256)


def from_model_msg(model: m.ModelReference) -> t.ModelReference:
    return t.ModelReference(model.format, model.uri, model.sha256)


def _to_joint(joint: t.JointSpec) -> m.JointSpec:
    kind = m.JointSpec.REVOLUTE if joint.revolute else m.JointSpec.PRISMATIC
    return m.JointSpec(name=joint.name, type=kind, lower=joint.lower, upper=joint.upper)


def _to_array_spec(spec: t.ArraySpec) -> m.ArraySpec:
    return m.ArraySpec(
        name=spec.name,
        dtype=spec.dtype,
        shape=list(spec.shape),
        low=doubles(np.ravel(spec.low)),
        high=doubles(np.ravel(spec.high)),
    )


def _to_action_spec(action: t.ActionSpec) -> m.ActionSpec:
    return m.ActionSpec(
        names=list(action.names),
        low=doubles(action.low),
        high=doubles(action.high),
        units=list(action.units),
        control_mode=action.control_mode,
    )


def to_spec_msg(spec: t.SimSpec) -> m.SimSpec:
    return m.SimSpec(
        bridge_id=spec.bridge_id,
        simulator=spec.simulator,
        simulator_version=spec.simulator_version,
        task=spec.task,
        instruction=spec.instruction,
        robot_entities=list(spec.robot_entities),
        base_frames=list(spec.base_frames),
        joints=[_to_joint(j) for j in spec.joints],
        ball_joints=list(spec.ball_joints),
        action=_to_action_spec(spec.action),
        observations=[_to_array_spec(o) for o in spec.observations],
        control_period=spec.control_period_s,
        max_episode_steps=spec.max_episode_steps,
        cameras=[m.CameraSpec(**{f: getattr(c, f) for f in _CAMERA_FIELDS}) for c in spec.cameras],
        model=to_model_msg(spec.model),
    )


def from_spec_msg(spec: m.SimSpec) -> t.SimSpec:
    return t.SimSpec(
        simulator=spec.simulator,
        simulator_version=spec.simulator_version,
        task=spec.task,
        instruction=spec.instruction,
        robot_entities=tuple(spec.robot_entities),
        base_frames=tuple(spec.base_frames),
        joints=tuple(
            t.JointSpec(j.name, j.type == m.JointSpec.REVOLUTE, j.lower, j.upper)
            for j in spec.joints
        ),
        ball_joints=tuple(spec.ball_joints),
        action=t.ActionSpec(
            names=tuple(spec.action.names),
            low=np.array(spec.action.low),
            high=np.array(spec.action.high),
            units=tuple(spec.action.units),
            control_mode=spec.action.control_mode,
        ),
        observations=tuple(
            t.ArraySpec(o.name, o.dtype, tuple(o.shape), np.array(o.low), np.array(o.high))
            for o in spec.observations
        ),
        control_period_s=spec.control_period,
        max_episode_steps=spec.max_episode_steps,
        cameras=tuple(
            t.CameraSpec(**{f: getattr(c, f) for f in _CAMERA_FIELDS}) for c in spec.cameras
        ),
        model=from_model_msg(spec.model),
        bridge_id=spec.bridge_id,
    )
