"""LeRobot ``pretrained_model`` folders, read by LeRobot itself where it is installed.

Set ``LEROBOT_PYTHON`` to the Python of an environment with ``lerobot`` (0.4 or newer); it runs
as a child process, so that its torch never enters ours.
"""

import os
import subprocess
from typing import Any

import numpy as np
import pytest

from policy_node.policies.checkpoint.format import CheckpointError
from policy_node.policies.checkpoint.lerobot import lerobot_inputs
from sim_bridge.types import Observation

pytestmark = pytest.mark.process

LEROBOT_PYTHON = os.environ.get("LEROBOT_PYTHON", "")

# A small ACT policy with random weights, saved as LeRobot saves it, opened as we open it; its
# answer is compared with LeRobot's own forward pass, normalised and denormalised by hand.
SCRIPT = """
import sys, numpy as np, torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
from policy_node.policies.checkpoint.source import open_checkpoint
from sim_bridge.types import Observation

folder = sys.argv[1]
torch.manual_seed(0)
config = ACTConfig(
    input_features={
        "observation.state": PolicyFeature(FeatureType.STATE, (2,)),
        "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
    },
    output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
    chunk_size=6, n_action_steps=6, dim_model=32, n_heads=2, dim_feedforward=32,
    n_encoder_layers=1, n_vae_encoder_layers=1, pretrained_backbone_weights=None, device="cpu",
)
stats = {
    "observation.state": {"mean": torch.zeros(2), "std": torch.full((2,), 0.5)},
    "observation.images.front": {"mean": torch.zeros(3, 1, 1), "std": torch.ones(3, 1, 1)},
    "action": {"mean": torch.tensor([1.0, -1.0]), "std": torch.tensor([2.0, 2.0])},
}
policy = ACTPolicy(config).eval()
policy.save_pretrained(folder + "/pretrained_model")
for processor in make_pre_post_processors(config, dataset_stats=stats):
    processor.save_pretrained(folder + "/pretrained_model")
with torch.inference_mode():
    batch = {
        "observation.state": torch.tensor([[0.5, -1.0]]),
        "observation.images.front": torch.full((1, 3, 48, 64), 10 / 255),
    }
    expected = policy.predict_action_chunk(batch)[0] * 2 + torch.tensor([1.0, -1.0])

source = open_checkpoint(folder)
assert source.spec.horizon == 6 and source.spec.image_keys == ("front",), source.spec
observation = Observation(
    joint_names=("a", "b"),
    joint_positions=np.array([0.25, -0.5]),
    images={"front": np.full((48, 64, 3), 10, np.uint8)},
)
client = source.for_client("test")
client.reset()
np.testing.assert_allclose(client.infer(observation), expected.numpy(), atol=1e-4)
print("equal")
"""


def test_an_observation_becomes_a_batch_by_name():
    features = {
        "observation.state": {"type": "STATE", "shape": [3]},
        "observation.environment_state": {"type": "ENV", "shape": [2]},
        "observation.images.front": {"type": "VISUAL", "shape": [3, 4, 6]},
    }
    image = np.zeros((4, 6, 3), np.uint8)
    image[1, 2] = (255, 0, 51)
    observation = Observation(
        joint_positions=np.array([9.0]),
        arrays={"agent_pos": np.arange(3.0), "environment_state": np.ones(2)},
        images={"front": image},
        instruction="pick",
    )
    batch: Any = lerobot_inputs(features, observation)
    assert batch["task"] == "pick"
    assert batch["observation.state"].tolist() == [0, 1, 2]
    assert batch["observation.environment_state"].tolist() == [1, 1]
    assert batch["observation.images.front"][:, 1, 2].tolist() == pytest.approx([1.0, 0.0, 0.2])


def test_what_does_not_fit_is_named():
    observation = Observation(
        joint_positions=np.zeros(2), images={"top": np.zeros((4, 4, 3), "u1")}
    )
    with pytest.raises(CheckpointError, match=r"shape \(3,\); observed: \(2,\)"):
        lerobot_inputs({"observation.state": {"shape": [3]}}, observation)
    with pytest.raises(CheckpointError, match="camera 'front'; observed: top"):
        lerobot_inputs({"observation.images.front": {"shape": [3, 4, 4]}}, observation)


@pytest.mark.skipif(not LEROBOT_PYTHON, reason="LEROBOT_PYTHON names no Python with lerobot")
def test_a_real_lerobot_act_checkpoint_gives_lerobots_own_chunk(tmp_path):
    done = subprocess.run(
        [LEROBOT_PYTHON, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and "equal" in done.stdout, done.stderr[-3000:]
