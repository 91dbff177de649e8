"""Import options, and trajectories brought into a simulator's names."""

import json
import sys

import numpy as np
import pytest

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.trajectories.importers.fitting import fit
from sim_bridge.trajectories.importers.formats import open_trajectory
from sim_bridge.trajectories.importers.options import ImportOptions, parse_address
from sim_bridge.trajectories.trajectory import Trajectory
from sim_bridge.types import ActionSpec, JointSpec, SimSpec

SPEC = SimSpec(
    simulator="mujoco",
    simulator_version="mujoco 3",
    task="scene",
    instruction="",
    robot_entities=("so101",),
    base_frames=("so101/base",),
    joints=(
        JointSpec("so101/shoulder_pan", True, -2, 2),
        JointSpec("so101/gripper", True, 0, 1),
        JointSpec("door/hinge", True, 0, 1),
    ),
    action=ActionSpec(
        ("so101/shoulder_pan", "so101/gripper"),
        -np.ones(2),
        np.ones(2),
        ("rad", "rad"),
        "joint_position",
    ),
    observations=(),
    control_period_s=0.02,
)


def trajectory(**changes):
    values = {
        "task": "recorded",
        "simulator": "elsewhere",
        "robot_entities": (),
        "control_period_s": 0.02,
        "action_names": ("gripper.pos", "shoulder_pan.pos"),
        "actions": np.array([[0.1, 0.2], [0.3, 0.4]]),
        "rewards": np.zeros(2),
        "times_s": np.zeros(1),
        "joint_names": ("shoulder_pan.pos", "gripper.pos"),
        "joint_positions": np.array([[0.5, 0.6]]),
        "joint_velocities": np.zeros((1, 2)),
        "body_names": ("block",),
        "body_poses": np.array([[[0, 0, 0, 0, 0, 0, 1.0]]]),
        "body_twists": np.zeros((1, 1, 6)),
        "target_positions": np.zeros((1, 0)),
        **changes,
    }
    return Trajectory(**values)


def test_names_are_matched_by_their_last_part():
    fitted = fit(trajectory(), SPEC, ("block",))
    assert fitted.action_names == ("so101/gripper", "so101/shoulder_pan")
    assert fitted.joint_names == ("so101/shoulder_pan", "so101/gripper")
    assert fitted.robot_entities == ("so101",)
    np.testing.assert_array_equal(fitted.actions, trajectory().actions)


def test_ambiguous_names_are_not_guessed():
    names = ("left/gripper", "right/gripper")
    with pytest.raises(InvalidRequest, match="actions only in the trajectory: left/gripper, right"):
        fit(trajectory(action_names=names), SPEC, ("block",))


def test_unknown_objects_and_joints_are_named():
    with pytest.raises(InvalidRequest, match="bodies only in the trajectory: block; .* has: ball"):
        fit(trajectory(), SPEC, ("ball",))
    more = trajectory(
        joint_names=("shoulder_pan", "gripper", "drawer/slide"),
        joint_positions=np.zeros((1, 3)),
        joint_velocities=np.zeros((1, 3)),
    )
    with pytest.raises(InvalidRequest, match="joints only in the trajectory: drawer/slide"):
        fit(more, SPEC, ("block",))


def test_objects_may_be_left_out_and_a_fixed_base_is_dropped():
    fixed = trajectory(
        robot_entities=("so101",),
        body_names=("so101", "block"),
        body_poses=np.tile([0, 0, 0, 0, 0, 0, 1.0], (1, 2, 1)),
        body_twists=np.zeros((1, 2, 6)),
    )
    assert fit(fixed, SPEC, ("block",)).body_names == ("block",)


def test_another_control_period_is_refused():
    with pytest.raises(InvalidRequest, match="control period of 0.05 s, scene has 0.02 s"):
        fit(trajectory(control_period_s=0.05), SPEC, ("block",))


def test_address_with_options():
    path, options = parse_address(
        "/data/x.hdf5?episode=3&rename=a.pos:so101/a,b:c&scale=*:0.5,a:2&action_names=a,b&seed=7"
    )
    assert path == "/data/x.hdf5"
    assert options == ImportOptions(
        episode=3,
        rename={"a.pos": "so101/a", "b": "c"},
        scale={"*": 0.5, "a": 2.0},
        action_names=("a", "b"),
        seed=7,
    )


@pytest.mark.parametrize(
    "query, error, message",
    [
        ("speed=2", InvalidRequest, "unknown import option 'speed'; valid: episode, robot"),
        ("episode=one", InvalidRequest, "import option episode is 'one'"),
        ("episode=-1", InvalidRequest, "episode is -1; valid: 0 or more"),
        ("states=some", InvalidRequest, "states is 'some'; valid: none, initial, all"),
        ("rename=abc", InvalidRequest, "rename is 'abc'; valid: NAME:VALUE"),
        ("scale=a:0", InvalidRequest, "scale of 'a' is 0.0"),
        ("control_period_s=0", InvalidRequest, "control_period_s is 0.0; valid: positive"),
    ],
)
def test_bad_options_are_named(query, error, message):
    with pytest.raises(error, match=message):
        parse_address(f"x.pkl?{query}")


def test_a_missing_package_is_named_with_what_brings_it(tmp_path, monkeypatch):
    file = tmp_path / "episode_0.hdf5"
    file.write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(NotFound, match="package 'h5py': tools/setup --tests .*pip install h5py"):
        open_trajectory(str(file))
    dataset = tmp_path / "dataset" / "meta"
    dataset.mkdir(parents=True)
    info = {"codebase_version": "v3.0", "features": {"action": {"shape": [1]}}, "fps": 10}
    (dataset / "info.json").write_text(json.dumps(info))
    for module in ("pyarrow", "pyarrow.compute", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotFound, match="pip install pyarrow"):
        open_trajectory(str(dataset.parent))
