"""gym-aloha without the pictures that it draws in every step.

Its tasks render three cameras for each observation, some hundred times the cost of the physics.
Rewards, termination, the time limit and the seeded object poses are gym-aloha's own; what is
left out is drawn on demand by the bridge's cameras.
"""

from __future__ import annotations

from typing import Any

import gym_aloha  # noqa: F401  (registers the tasks)
import mujoco
import numpy as np
from gym_aloha.constants import DT, JOINTS
from gym_aloha.env import AlohaEnv
from gymnasium import spaces

from sim_bridge.simulators.gymnasium.presets import ALOHA_ACTION_NAMES


class AlohaStateEnv(AlohaEnv):
    """Observes ``agent_pos (14,)``: what the action sets, as measured."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(obs_type="pixels_agent_pos", **kwargs)
        # The base class says -1 to 1, which even the arms' start pose violates.
        self.action_space = _action_space(self.model)
        self.observation_space = spaces.Dict(
            {"agent_pos": spaces.Box(-np.inf, np.inf, (len(JOINTS),), np.float64)}
        )
        self._env.task.get_observation = lambda physics: {"qpos": self._env.task.get_qpos(physics)}

    @property
    def model(self) -> mujoco.MjModel:
        return self._env.physics.model.ptr

    @property
    def data(self) -> mujoco.MjData:
        return self._env.physics.data.ptr

    @property
    def dt(self) -> float:
        """Control period [s]."""
        return DT

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Without a seed, the object's pose comes from the environment's own random stream."""
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        return super().reset(seed=seed, options=options)

    def _get_obs(self) -> dict[str, np.ndarray]:
        return {"agent_pos": self._env.task.get_qpos(self._env.physics)}

    def _format_raw_obs(self, raw_obs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"agent_pos": raw_obs["qpos"]}


def _action_space(model: mujoco.MjModel) -> spaces.Box:
    """The actuators' control ranges; each gripper's two fingers are one normalised number."""
    ranges = {
        model.joint(int(model.actuator_trnid[a, 0])).name: model.actuator_ctrlrange[a]
        for a in range(model.nu)
    }
    low, high = np.array([ranges.get(name, (0.0, 1.0)) for name in ALOHA_ACTION_NAMES]).T
    return spaces.Box(low.astype(np.float32), high.astype(np.float32))
