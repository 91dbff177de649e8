"""Checkpoint folders: what is read from an observation, and what is said about a bad folder."""

import json
from dataclasses import replace

import numpy as np
import pytest

from policy_node.policies.checkpoint.backends import load_network, torch_device
from policy_node.policies.checkpoint.format import (
    CheckpointError,
    ChunkPolicySpec,
    Feature,
    HoldBelow,
    Statistics,
)
from policy_node.policies.checkpoint.source import open_checkpoint, open_source
from sim_bridge.types import Observation

SPEC = ChunkPolicySpec(
    model="policy.onnx",
    task="Arm-v0",
    description="a test",
    inputs=(
        Feature("array", "goal", 2),
        Feature("joint_position", "arm/elbow"),
        Feature("joint_velocity", "arm/gripper"),
    ),
    action_names=("shoulder", "elbow", "gripper"),
    action_low=(-1.0, 0.5, 0.0),
    action_high=(1.0, 2.0, 1.0),
    horizon=4,
    dt_s=0.1,
)
STATISTICS = Statistics(
    np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 2.0, 2.0]), np.ones(3), np.full(3, 0.5)
)


def observation(**changes):
    values = dict(
        joint_names=("arm/gripper", "arm/elbow"),
        joint_positions=np.array([0.1, 0.2]),
        joint_velocities=np.array([0.3, 0.4]),
        arrays={"goal": np.array([7.0, 8.0])},
    )
    return Observation(**{**values, **changes})


def test_the_state_is_read_by_name():
    assert SPEC.state(observation()).tolist() == pytest.approx([7.0, 8.0, 0.2, 0.3])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"arrays": {"target": np.zeros(2)}}, "array 'goal'; observed: target"),
        ({"arrays": {"goal": np.zeros(3)}}, "2 values in array 'goal'; observed: 3"),
        ({"joint_names": ("arm/gripper", "arm/knee")}, "joint 'arm/elbow'; observed: arm/gripper"),
    ],
)
def test_what_an_observation_lacks_is_named(changes, message):
    with pytest.raises(CheckpointError, match=message):
        SPEC.state(observation(**changes))


def test_actions_are_clipped_and_held_where_the_spec_says():
    spec = replace(SPEC, hold_below=HoldBelow(("shoulder", "gripper"), 0.1))
    raw = np.array([[0.05, 9.0, 0.05], [0.2, 1.0, -3.0]])
    assert spec.finish(raw).tolist() == [[0.0, 2.0, 0.0], [0.2, 1.0, 0.0]]


def test_spec_and_statistics_survive_the_disk(tmp_path):
    spec = replace(SPEC, hold_below=HoldBelow(("shoulder",), 0.1), network={"width": 8})
    spec.save(tmp_path)
    STATISTICS.save(tmp_path)
    assert ChunkPolicySpec.load(tmp_path) == spec
    loaded = Statistics.load(tmp_path, spec)
    states = np.array([[3.0, 2.0, 3.0, 6.0]])
    assert loaded.normalise(states).tolist() == [[1.0, 0.0, 0.0, 1.0]]
    assert loaded.denormalise(np.array([2.0, 0.0, -2.0])).tolist() == [2.0, 1.0, 0.0]


def test_folders_that_are_no_checkpoint_say_what_is_missing(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        open_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="valid: a folder with spec.json"):
        open_checkpoint(tmp_path)
    SPEC.save(tmp_path)
    with pytest.raises(CheckpointError, match="no statistics.json"):
        open_checkpoint(tmp_path)
    STATISTICS.save(tmp_path)
    with pytest.raises(CheckpointError, match="names 'policy.onnx', which is not there"):
        open_checkpoint(tmp_path)
    (tmp_path / "spec.json").write_text('{"format": "other", "version": 1}')
    with pytest.raises(CheckpointError, match="'other' version 1; valid: 'twinstep-chunk-policy'"):
        open_checkpoint(tmp_path)


def test_statistics_of_another_size_are_refused(tmp_path):
    SPEC.save(tmp_path)
    replace(STATISTICS, state_mean=np.zeros(3)).save(tmp_path)
    with pytest.raises(CheckpointError, match="3 inputs and 3 actions; the spec has 4 and 3"):
        open_checkpoint(tmp_path)


def test_unknown_kinds_of_model_files_are_refused(tmp_path):
    (tmp_path / "policy.h5").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"'policy.h5'; valid: .onnx, .pt"):
        load_network(tmp_path, replace(SPEC, model="policy.h5"))


def test_missing_torch_is_said_plainly(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "policy.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="needs the Python module 'torch'.*pip install torch"):
        load_network(tmp_path, replace(SPEC, model="policy.pt"))


def test_a_device_that_is_not_there_falls_back_with_a_warning(monkeypatch, caplog):
    class Cuda:
        is_available = staticmethod(lambda: False)
        device_count = staticmethod(lambda: 0)

    class Torch:
        cuda = Cuda

    monkeypatch.setitem(__import__("sys").modules, "torch", Torch)
    assert torch_device("auto") == "cpu"
    assert torch_device("cuda:1") == "cpu"
    assert "device cuda:1 is not available (0 GPU found); using the CPU" in caplog.text
    with pytest.raises(CheckpointError, match="unknown device 'tpu'"):
        torch_device("tpu")


def test_a_task_that_does_not_fit_is_refused_with_both_sides(arm_spec):
    SPEC_FOR_TASK = replace(SPEC, inputs=(Feature("array", "goal", 2),))
    SPEC_FOR_TASK.check_task(arm_spec())
    with pytest.raises(CheckpointError, match="actions are up, down; those of Arm-v0: shoulder"):
        replace(SPEC_FOR_TASK, action_names=("up", "down")).check_task(arm_spec())
    with pytest.raises(CheckpointError, match=r"array 'goal' of size 3; Arm-v0 has: goal \(2\)"):
        replace(SPEC_FOR_TASK, inputs=(Feature("array", "goal", 3),)).check_task(arm_spec())


def test_lerobot_folders_need_lerobot(tmp_path, arm_spec, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lerobot", None)
    (tmp_path / "config.json").write_text(json.dumps({"type": "act", "input_features": {}}))
    with pytest.raises(CheckpointError, match="LeRobot 'act' policy.*pip install lerobot"):
        open_source(tmp_path, arm_spec())
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is not LeRobot's"):
        open_source(tmp_path, arm_spec())
