"""Staying put: what is safe to do while there is nothing better."""

from __future__ import annotations

import numpy as np

from policy_node.policy import PolicySpec
from sim_bridge.errors import FeatureUnsupported
from sim_bridge.types import JointSpec, Observation, SimSpec

_RATES = ("joint_velocity", "joint_effort")
_MEASURED = "agent_pos"  # LeRobot's name for what an absolute action sets, as measured
_MODES = ("joint_position", "joint_velocity", "joint_effort", "ee_delta")


def open_source(address: str, spec: SimSpec) -> HoldSource:
    """FeatureUnsupported for a task whose action layout has no known way to stay put."""
    check_can_hold(spec)
    return HoldSource(spec)


def check_can_hold(spec: SimSpec) -> None:
    """FeatureUnsupported unless ``hold_action`` is defined for the task's actions."""
    if _is_measured(spec):
        return
    if spec.action.control_mode not in _MODES:
        raise FeatureUnsupported(
            f"no hold action for control mode {spec.action.control_mode!r} of {spec.task}; "
            f"valid: {', '.join(_MODES)}"
        )
    if spec.action.control_mode == "joint_position":
        for name in spec.action.names:
            if _joint_of(name, spec) is None:
                raise FeatureUnsupported(
                    f"no hold action for {spec.task}: action {name!r} is not a joint; "
                    f"valid: {', '.join(j.name for j in spec.joints)}"
                )


def hold_action(
    spec: SimSpec, observation: Observation, last_action: np.ndarray | None = None
) -> np.ndarray:
    """The action ``(A,)`` that keeps the robot where it is.

    Velocities, efforts and end-effector deltas are zero. Absolute dimensions (joint positions,
    a gripper opening) keep the value of ``last_action (A,)``, the command in force, which also
    keeps a grasp; without one, they are the measured positions. A gripper opening without a
    unit is the fraction of the joint's range. Actions of the task's own kind are absolute where
    the task observes ``agent_pos`` of their size.
    """
    check_can_hold(spec)
    if _is_measured(spec):
        measured = observation.arrays[_MEASURED] if last_action is None else last_action
        return np.clip(measured, spec.action.low, spec.action.high)
    action = np.zeros(spec.action.size)
    if spec.action.control_mode in _RATES:
        return action
    for i, name in enumerate(spec.action.names):
        joint = _joint_of(name, spec)
        if joint is None:
            continue
        if last_action is not None:
            action[i] = last_action[i]
        else:
            action[i] = _command_for(i, joint, spec, observation.joint(joint.name))
    return np.clip(action, spec.action.low, spec.action.high)


def _is_measured(spec: SimSpec) -> bool:
    size = (spec.action.size,)
    return spec.action.control_mode == "custom" and any(
        array.name == _MEASURED and array.shape == size for array in spec.observations
    )


def _joint_of(action_name: str, spec: SimSpec) -> JointSpec | None:
    """The robot joint that an action dimension is named after, with or without its entity."""
    for joint in spec.joints:
        entity, _, short = joint.name.partition("/")
        if entity in spec.robot_entities and action_name in (joint.name, short):
            return joint
    return None


def _command_for(index: int, joint: JointSpec, spec: SimSpec, position: float) -> float:
    if spec.action.units[index] in ("rad", "m"):
        return position
    low, high = spec.action.low[index], spec.action.high[index]
    return low + (position - joint.lower) / (joint.upper - joint.lower) * (high - low)


class HoldSource:
    """``hold`` for any number of clients."""

    def __init__(self, sim_spec: SimSpec) -> None:
        self._sim_spec = sim_spec
        self.spec = PolicySpec(
            kind="hold", description="stays where it is", action_names=sim_spec.action.names
        )

    def for_client(self, client_id: str) -> Hold:
        return Hold(self.spec, self._sim_spec)

    def close(self) -> None:
        pass


class Hold:
    """Keeps the targets of the episode's first observation.

    Measuring anew at every step would give way to gravity a little each time.
    """

    def __init__(self, spec: PolicySpec, sim_spec: SimSpec) -> None:
        self.spec = spec
        self._sim_spec = sim_spec
        self._action: np.ndarray | None = None
        self._episode = 0

    def infer(self, observation: Observation) -> np.ndarray:
        if self._action is None or observation.episode != self._episode:
            self._episode = observation.episode
            self._action = hold_action(self._sim_spec, observation)
        return self._action[None]

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._action = None

    def close(self) -> None:
        pass
