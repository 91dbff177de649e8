"""A teacher for the SO-101 pick-and-place task that also shows how to recover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lerobot_env_so101.policy import DEFAULT_ACTION_SCALE
from lerobot_env_so101.scripted.pick_place import Phase, PickPlaceController

from policy_node.policies.expert import GraspPoint
from sim_bridge.types import Observation

# The carried block hangs GRASP_HEIGHT (15 mm) below the grasp point; twice that means it was lost.
_LOST_BELOW_M = 0.03
_PLACED_WITHIN_M = 0.03
_CARRYING = (Phase.TRAVERSE, Phase.LOWER)
_FINISHED = (Phase.RETREAT, Phase.DONE)


class Demonstrator:
    """The scripted controller of the task, started over when the block was lost or misplaced.

    The controller alone goes through its phases blindly; a policy that learned from it would
    not know what to do after a failed grasp.
    """

    def __init__(self) -> None:
        self._grasp_point = GraspPoint()
        self._controller = PickPlaceController(DEFAULT_ACTION_SCALE)

    def reset(self) -> None:
        self._controller.reset()

    def act(self, observation: Observation) -> np.ndarray:
        """The action ``(4,)`` that the teacher takes here."""
        grasp = self._grasp_point(observation)
        block, goal = np.split(observation.arrays["environment_state"].astype(float), 2)
        if self._must_start_over(grasp, block, goal):
            self._controller.reset()
        return self._controller.act(grasp, block, goal)

    def _must_start_over(self, grasp: np.ndarray, block: np.ndarray, goal: np.ndarray) -> bool:
        phase = self._controller.phase
        if phase in _CARRYING:
            return bool(np.linalg.norm(grasp - block) > _LOST_BELOW_M)
        if phase in _FINISHED:
            return bool(np.linalg.norm((block - goal)[:2]) > _PLACED_WITHIN_M)
        return False


@dataclass(frozen=True)
class PerturbationSettings:
    """How often and how hard the executed actions are disturbed (actions in their own units)."""

    start_probability: float = 0.06
    max_steps: int = 4
    translation_std: float = 0.7
    gripper_flip_probability: float = 0.1
    jitter_std: float = 0.05


class Perturbation:
    """Noise injected into what is executed, never into what is recorded (DART, Laskey 2017).

    The teacher is thereby seen correcting mistakes, which keeps the learned policy from
    drifting off the demonstrations.
    """

    def __init__(self, settings: PerturbationSettings, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        self._left = 0
        self._offset = np.zeros(3)
        self._flip = False

    def apply(self, action: np.ndarray) -> np.ndarray:
        """The action ``(4,)`` to execute in place of ``action``."""
        s = self._settings
        if self._left == 0 and self._rng.random() < s.start_probability:
            self._left = int(self._rng.integers(1, s.max_steps + 1))
            self._offset = self._rng.normal(0.0, s.translation_std, 3)
            self._flip = bool(self._rng.random() < s.gripper_flip_probability)
        executed = action.astype(np.float64).copy()
        if self._left:
            self._left -= 1
            executed[:3] += self._offset
            if self._flip:
                executed[3] = 1.0 - executed[3]
        elif np.any(action[:3]):
            executed[:3] += self._rng.normal(0.0, s.jitter_std, 3)
        return np.clip(executed, [-1, -1, -1, 0], [1, 1, 1, 1])
