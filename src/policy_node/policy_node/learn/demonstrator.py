"""A teacher for the SO-101 pick-and-place task that knows from any state how to go on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lerobot_env_so101.policy import DEFAULT_ACTION_SCALE
from lerobot_env_so101.scripted.pick_place import (
    CAREFUL_SPEED,
    GOAL_TOLERANCE,
    GRASP_HEIGHT,
    LIFT_HEIGHT,
    RELEASE_CLEARANCE,
    Phase,
    phase_target,
)

from policy_node.policies.builtin.expert import GraspPoint
from policy_node.policy import Policy
from sim_bridge.types import Observation

_BLOCK_HALF_M = 0.02
_JAW = "so101/gripper"
_CLOSED_COMMAND = 0.0  # in agent_pos[10], -1 closed to 1 open
_COMMAND = 10
_JAW_STILL_RAD_S = 0.1
_JAW_OPEN_RAD = 1.2
_JAW_AROUND_BLOCK_RAD = 0.6
# The block hangs 15 mm below the grasp point when it is held.
_LOST_M = 0.025
_ALIGNED_M = 0.006
_ABOVE_GOAL_M = 0.010
_AT_GOAL_M = 0.025
_SAG_M = 0.015

_BURST_PROBABILITY = 0.06
_LONGEST_BURST = 24

_WAITING = (Phase.CLOSE, Phase.OPEN)
_CAREFUL = (Phase.DESCEND, Phase.LIFT, Phase.LOWER)
_JAWS_CLOSED = (Phase.CLOSE, Phase.LIFT, Phase.TRAVERSE, Phase.LOWER)


@dataclass(frozen=True)
class Scene:
    """What decides the phase: world points ``(3,)`` [m], the jaw and its command."""

    grasp: np.ndarray
    block: np.ndarray
    goal: np.ndarray
    jaw: float
    jaw_velocity: float
    jaw_command: float


def phase_of(scene: Scene) -> Phase:
    """The phase of the task's scripted controller that fits the scene.

    The controller itself counts steps and never looks back: it lifts an empty hand when a grasp
    failed, and its waiting cannot be told from an observation. Read from the scene, the phases
    can be learned, and entered from anywhere.
    """
    if scene.jaw_command > _CLOSED_COMMAND:
        return _open_handed(scene)
    if np.linalg.norm(scene.grasp - scene.block) > _LOST_M:
        return Phase.HOVER
    closing = scene.jaw > _JAW_AROUND_BLOCK_RAD or abs(scene.jaw_velocity) > _JAW_STILL_RAD_S
    return Phase.CLOSE if closing else _holding(scene)


def _open_handed(scene: Scene) -> Phase:
    offset = scene.grasp - scene.block
    placed = np.linalg.norm((scene.block - scene.goal)[:2]) < _AT_GOAL_M
    if placed and np.linalg.norm(offset) < _LOST_M:
        return Phase.OPEN
    if np.linalg.norm(offset[:2]) > _ALIGNED_M or scene.jaw < _JAW_OPEN_RAD:
        return Phase.HOVER
    height = scene.grasp[2] - (_BLOCK_HALF_M + GRASP_HEIGHT)
    return Phase.CLOSE if height < GOAL_TOLERANCE else Phase.DESCEND


def _holding(scene: Scene) -> Phase:
    error = scene.goal + np.array([0.0, 0.0, RELEASE_CLEARANCE]) - scene.block
    if np.linalg.norm(error) < GOAL_TOLERANCE:
        return Phase.OPEN
    if np.linalg.norm(error[:2]) < _ABOVE_GOAL_M:
        return Phase.LOWER
    lift_z = _BLOCK_HALF_M + GRASP_HEIGHT + LIFT_HEIGHT
    return Phase.LIFT if scene.grasp[2] < lift_z - _SAG_M else Phase.TRAVERSE


class Demonstrator:
    """Acts like the task's scripted controller (its targets, speeds and tolerances), without
    a memory: the action depends on the observation alone."""

    def __init__(self, grasp_point: GraspPoint | None = None) -> None:
        self._grasp_point = grasp_point or GraspPoint()

    def act(self, observation: Observation) -> np.ndarray:
        """The action ``(4,)`` that the teacher takes here."""
        scene = self._scene(observation)
        phase = phase_of(scene)
        delta = np.zeros(3)
        if phase not in _WAITING:
            target = phase_target(phase, scene.grasp, scene.block, scene.goal, _BLOCK_HALF_M)
            limit = CAREFUL_SPEED if phase in _CAREFUL else 1.0
            delta = np.clip((target - scene.grasp) / DEFAULT_ACTION_SCALE, -limit, limit)
        return np.array([*delta, 0.0 if phase in _JAWS_CLOSED else 1.0])

    def _scene(self, observation: Observation) -> Scene:
        block, goal = np.split(observation.arrays["environment_state"].astype(float), 2)
        velocity = observation.joint_velocities[observation.joint_names.index(_JAW)]
        return Scene(
            grasp=self._grasp_point(observation),
            block=block,
            goal=goal,
            jaw=observation.joint(_JAW),
            jaw_velocity=float(velocity),
            jaw_command=float(observation.arrays["agent_pos"][_COMMAND]),
        )


@dataclass(frozen=True)
class PerturbationSettings:
    """How often and how hard the executed actions are disturbed (actions in their own units)."""

    start_probability: float = 0.06
    max_steps: int = 5
    translation_std: float = 0.7
    gripper_flip_probability: float = 0.1


class Perturbation:
    """Bursts of noise in what is executed, never in what is recorded (after DART, Laskey et al.
    2017, arXiv:1703.09327).

    The teacher is thereby seen correcting mistakes, which keeps the learned policy from
    drifting off the demonstrations.
    """

    def __init__(self, settings: PerturbationSettings, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        self._left = 0
        self._offset = np.zeros(3)
        self._flip = False

    def apply(self, action: np.ndarray, observation: Observation) -> tuple[np.ndarray, bool]:
        """The action ``(4,)`` to execute in place of ``action``, and whether it is another."""
        s = self._settings
        if self._left == 0 and self._rng.random() < s.start_probability:
            self._left = int(self._rng.integers(1, s.max_steps + 1))
            self._offset = self._rng.normal(0.0, s.translation_std, 3)
            self._flip = bool(self._rng.random() < s.gripper_flip_probability)
        if self._left == 0:
            return action, False
        self._left -= 1
        executed = action + np.array([*self._offset, 0.0])
        if self._flip:
            executed[3] = 1.0 - executed[3]
        return np.clip(executed, [-1, -1, -1, 0], [1, 1, 1, 1]), True


class PolicyBursts:
    """Lets a learned policy drive now and then, while the teacher says what it would do (DAgger,
    Ross et al. 2011, arXiv:1011.0686).

    It drives with chunks of random age, as it does when its inference takes time.
    """

    def __init__(self, policy: Policy, rng: np.random.Generator) -> None:
        self._policy = policy
        self._rng = rng
        self._left = 0
        self._chunk: list[np.ndarray] = []

    def apply(self, action: np.ndarray, observation: Observation) -> tuple[np.ndarray, bool]:
        """As of ``Perturbation``."""
        if self._left == 0 and self._rng.random() < _BURST_PROBABILITY:
            self._left = int(self._rng.integers(4, _LONGEST_BURST + 1))
            self._chunk = []
        if self._left == 0:
            return action, False
        self._left -= 1
        if not self._chunk:
            chunk = self._policy.infer(observation)
            first = int(self._rng.integers(0, 3))
            self._chunk = list(chunk[first : first + int(self._rng.integers(1, len(chunk)))])
        return self._chunk.pop(0), True
