"""All kinds of model files of one network give one answer (needs torch, as training does)."""

import json
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from policy_node.learn.export import MODEL_FILES, export  # noqa: E402
from policy_node.learn.so101 import SPEC  # noqa: E402
from policy_node.learn.train import HISTORY_FILE, WEIGHTS_FILE  # noqa: E402
from policy_node.policies.checkpoint.format import CheckpointError, Statistics  # noqa: E402
from policy_node.policies.checkpoint.network import ChunkTransformer, ModelSettings  # noqa: E402
from policy_node.policies.checkpoint.source import open_checkpoint  # noqa: E402
from sim_bridge.types import Observation  # noqa: E402

SETTINGS = ModelSettings(SPEC.state_size, len(SPEC.action_names), SPEC.horizon, width=16, heads=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What training leaves, with random weights."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    torch.save(ChunkTransformer(SETTINGS).state_dict(), folder / WEIGHTS_FILE)
    (folder / HISTORY_FILE).write_text(json.dumps({"network": SETTINGS.to_dict()}))
    size = SPEC.state_size
    Statistics(np.zeros(size), np.ones(size), np.zeros(4), np.full(4, 3.0)).save(folder)
    return folder


def observation(seed):
    rng = np.random.default_rng(seed)
    return Observation(
        joint_names=("so101/gripper",),
        joint_positions=rng.normal(size=1),
        joint_velocities=rng.normal(size=1),
        arrays={"agent_pos": rng.normal(size=14), "environment_state": rng.normal(size=6)},
    )


def test_every_kind_gives_the_same_chunks(run, tmp_path):
    observations = [observation(i) for i in range(3)]
    given = np.array([[0.5, -0.5, 0.25, 1.0], [0.1, 0.2, -0.3, 0.0]])
    answers = {}
    for kind in MODEL_FILES:
        export(run, tmp_path / kind, kind)
        policy: Any = open_checkpoint(tmp_path / kind, "cpu").for_client("a")
        chunks = np.stack(policy.infer_batch(observations))
        assert chunks.shape == (3, SPEC.horizon, 4)
        answers[kind] = chunks, policy.infer_continuing(observations[0], given)
    expected, continued = answers["onnx"]
    assert np.std(expected) > 0.1
    assert np.array_equal(continued[:2], given)
    assert not np.allclose(continued[2:], expected[0, 2:], atol=1e-3)
    for kind, (chunks, other) in answers.items():
        np.testing.assert_allclose(chunks, expected, atol=1e-5, err_msg=kind)
        np.testing.assert_allclose(other, continued, atol=1e-5, err_msg=kind)


def test_weights_of_another_network_are_refused(run, tmp_path):
    export(run, tmp_path, "safetensors")
    content = json.loads((tmp_path / "spec.json").read_text())
    content["network"]["width"] = 32
    (tmp_path / "spec.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="does not fit the network of the spec"):
        open_checkpoint(tmp_path, "cpu")
