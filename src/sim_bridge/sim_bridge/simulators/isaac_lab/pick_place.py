"""Rules of the SO-101 pick-and-place task: where things start, what counts, when it ends.

The numbers are those of ``lerobot_env_so101/SO101PickPlace-v0``, so that one policy and one seed
mean the same scene and the same success in MuJoCo and in Isaac. No simulator is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INSTRUCTION = "pick up the cube and place it on the goal"
MAX_EPISODE_STEPS = 300
CONTROL_PERIOD_S = 0.1
BLOCK_SIZE_M = 0.04
BLOCK_MASS_KG = 0.1
GRIPPER_LIMITS_RAD = (-0.17453, 1.74533)
# The site ``gripperframe`` in the frame of the gripper link.
GRIPPER_FRAME_M = np.array([-0.0079, -0.000218121, -0.0981274])

_SAMPLING_BOX_M = np.array([[0.15, -0.1], [0.3, 0.1]])
_WORKSPACE_M = np.array([[0.08, -0.2], [0.4, 0.2]])
_MIN_GOAL_DISTANCE_M = 0.08
_MIN_CARRY_RISE_M = 0.03
_SUCCESS_DISTANCE_M = 0.03
_MAX_RESTING_SPEED_M_S = 0.01
_OPEN_FRACTION = 0.5


def sample_positions(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Block and goal centres ``(3,)`` [m], drawn in the order of the MuJoCo task."""
    block = random.uniform(*_SAMPLING_BOX_M)
    goal = random.uniform(*_SAMPLING_BOX_M)
    while np.linalg.norm(goal - block) < _MIN_GOAL_DISTANCE_M:
        goal = random.uniform(*_SAMPLING_BOX_M)
    height = BLOCK_SIZE_M / 2
    return np.array([*block, height]), np.array([*goal, height])


def gripper_opening(angle_rad: float) -> float:
    """Joint angle of the jaw as a fraction, 0 closed to 1 open."""
    low, high = GRIPPER_LIMITS_RAD
    return (angle_rad - low) / (high - low)


@dataclass(frozen=True)
class Verdict:
    success: bool
    out_of_bounds: bool

    @property
    def terminated(self) -> bool:
        return self.success or self.out_of_bounds

    @property
    def reward(self) -> float:
        return float(self.success)


class PickPlaceRules:
    """Judges one episode. ``carried`` remembers that the block was lifted off the table."""

    def __init__(self) -> None:
        self.goal = np.zeros(3)
        self.carried = False

    def start(self, goal: np.ndarray) -> None:
        self.goal = np.asarray(goal, dtype=float)
        self.carried = False

    def judge(self, block: np.ndarray, block_speed: float, jaw_rad: float) -> Verdict:
        """``block`` centre ``(3,)`` [m], its speed [m/s], the jaw's joint angle [rad]."""
        self.carried = self.carried or bool(block[2] - BLOCK_SIZE_M / 2 > _MIN_CARRY_RISE_M)
        outside = np.any(block[:2] < _WORKSPACE_M[0]) or np.any(block[:2] > _WORKSPACE_M[1])
        success = (
            self.carried
            and np.linalg.norm(block[:2] - self.goal[:2]) < _SUCCESS_DISTANCE_M
            and gripper_opening(jaw_rad) > _OPEN_FRACTION
            and block_speed < _MAX_RESTING_SPEED_M_S
        )
        return Verdict(bool(success), bool(outside))
