import json
from dataclasses import replace

import numpy as np
import pytest

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.trajectories.trajectory import Trajectory, TrajectoryRecorder, load_trajectory
from sim_bridge.types import ActionSpec, JointSpec, SimSpec, SimState

SPEC = SimSpec(
    simulator="gymnasium",
    simulator_version="mujoco 3",
    task="Reach-v0",
    instruction="reach",
    robot_entities=("arm",),
    base_frames=("arm/base",),
    joints=(
        JointSpec("arm/j1", True, -1, 1),
        JointSpec("arm/j2", True, -1, 1),
        JointSpec("door/hinge", True, 0, 1),
    ),
    action=ActionSpec(("j1", "j2"), -np.ones(2), np.ones(2), ("rad", "rad"), "joint_position"),
    observations=(),
    control_period_s=0.05,
)


def state(step: int) -> SimState:
    rng = np.random.default_rng(step)
    return SimState(
        time_s=0.05 * step,
        step=step,
        joint_names=("door/hinge", "arm/j1", "arm/j2"),
        joint_positions=rng.normal(size=3),
        joint_velocities=rng.normal(size=3),
        body_names=("cube",),
        body_poses=np.array([[*rng.normal(size=3), 0, 0, 0, 1]]),
        body_twists=rng.normal(size=(1, 6)),
        target_names=("arm/j1", "arm/j2"),
        target_positions=rng.normal(size=2),
    )


@pytest.fixture
def recorded() -> Trajectory:
    recorder = TrajectoryRecorder(SPEC, seed=7, initial=state(0))
    for step in (1, 2, 3):
        recorder.add(np.array([0.1 * step, -0.2]), state(step), reward=step / 3)
    return recorder.finish(success=True, meta={"policy": "expert"})


def test_trajectory_comes_back_from_its_file_bit_for_bit(recorded, tmp_path):
    loaded = load_trajectory(recorded.save(tmp_path / "deep" / "one.npz"))
    for name, value in vars(recorded).items():
        np.testing.assert_array_equal(getattr(loaded, name), value, err_msg=name)
    assert loaded.seed == 7 and loaded.success and loaded.meta == {"policy": "expert"}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["one.npz"]
    original, restored = state(2), loaded.state(2)
    for name, value in vars(original).items():
        np.testing.assert_array_equal(getattr(restored, name), value, err_msg=name)
    with pytest.raises(IndexError, match="state 4 of 4"):
        loaded.state(4)


def test_saving_twice_gives_the_same_bytes(recorded, tmp_path):
    one, two = recorded.save(tmp_path / "1.npz"), recorded.save(tmp_path / "2.npz")
    assert one.read_bytes() == two.read_bytes()


def test_missing_file(tmp_path):
    with pytest.raises(NotFound, match="no trajectory file .*nowhere.npz"):
        load_trajectory(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_file_is_refused_by_name(recorded, tmp_path, keep):
    path = recorded.save(tmp_path / "cut.npz")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InvalidRequest, match="cut.npz.*truncated, damaged or not a trajectory"):
        load_trajectory(path)


def test_every_flipped_byte_is_refused_or_harmless(recorded, tmp_path):
    path = recorded.save(tmp_path / "bad.npz")
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            loaded = load_trajectory(path)
        except InvalidRequest:
            continue
        np.testing.assert_array_equal(loaded.actions, recorded.actions)


def test_other_files_and_versions(recorded, tmp_path):
    np.savez(tmp_path / "array.npz", a=np.zeros(3))
    with pytest.raises(InvalidRequest, match="not a trajectory"):
        load_trajectory(tmp_path / "array.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InvalidRequest, match="not a trajectory"):
        load_trajectory(tmp_path / "text.npz")
    path = recorded.save(tmp_path / "new.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays.pop("header")))
    np.savez(path, header=np.array(json.dumps({**header, "version": 99})), **arrays)
    with pytest.raises(InvalidRequest, match="version 99; valid: 1"):
        load_trajectory(path)


def test_pickled_objects_are_never_loaded(recorded, tmp_path):
    path = recorded.save(tmp_path / "evil.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["rewards"] = np.array([{"a": 1}], dtype=object)
    np.savez(path, **arrays)
    with pytest.raises(InvalidRequest, match="holds pickled objects"):
        load_trajectory(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": np.zeros(2)}, r"rewards has shape \(2,\); valid: \(3,\)"),
        ({"actions": np.full((3, 2), np.nan)}, "actions holds NaN"),
        ({"times_s": np.zeros(2)}, "2 states for 3 actions; valid: 4, 1 or 0"),
        ({"control_period_s": 0.0}, "control period"),
        ({"joint_names": ("a", "b")}, "joint_positions has shape"),
    ],
)
def test_inconsistent_contents_are_refused(recorded, change, message):
    with pytest.raises(InvalidRequest, match=message):
        replace(recorded, **change)


def test_another_robot_is_named(recorded):
    recorded.check_matches(SPEC)
    other_joints = replace(
        SPEC, joints=(JointSpec("arm/j1", True, -1, 1), JointSpec("arm/knee", True, 0, 1))
    )
    with pytest.raises(InvalidRequest, match="only in the trajectory: arm/j2.*missing.*arm/knee"):
        recorded.check_matches(other_joints)
    other_actions = replace(SPEC, action=replace(SPEC.action, names=("j1", "grip")))
    with pytest.raises(InvalidRequest, match="actions only in the trajectory: j2; .*: grip"):
        recorded.check_matches(other_actions)


def test_actions_alone_are_a_trajectory(tmp_path):
    bare = Trajectory("T", "real robot", ("arm",), 0.1, ("j2", "j1"), np.ones((5, 2)), np.zeros(5))
    loaded = load_trajectory(bare.save(tmp_path / "bare.npz"))
    assert loaded.num_steps == 5 and loaded.num_states == 0 and loaded.seed is None
    loaded.check_matches(SPEC)
