"""A task: an arm whose tip shall reach a goal. Importing this package registers it."""

from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box

SCENE = Path(__file__).with_name("reach.xml")
CLOSE_M = 0.05


class ReachEnv(MujocoEnv):
    metadata = {"render_modes": ["human", "rgb_array", "depth_array"], "render_fps": 20}

    def __init__(self, **kwargs):
        space = Box(-np.inf, np.inf, (6,), np.float64)
        super().__init__(str(SCENE), 5, space, **kwargs)
        self.goal = np.zeros(2)

    def reset_model(self):
        angle = self.np_random.uniform(-2.0, 2.0)
        self.goal = 0.4 * np.array([np.cos(angle), np.sin(angle)])
        self.set_state(self.init_qpos, self.init_qvel)
        return self._get_obs()

    def step(self, action):
        self.do_simulation(action, self.frame_skip)
        distance = float(np.linalg.norm(self.data.site("tip").xpos[:2] - self.goal))
        reached = distance < CLOSE_M
        return self._get_obs(), -distance, reached, False, {"is_success": reached}

    def _get_obs(self):
        """Joint positions and velocities, the goal; the bridge asks for it after SetState."""
        return np.concatenate([self.data.qpos, self.data.qvel, self.goal])


gymnasium.register("Reach-v0", entry_point=ReachEnv, max_episode_steps=100)
