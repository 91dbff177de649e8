"""ALOHA and robomimic HDF5, written as their own tools write them, and replayed on bridges."""

import json

import h5py
import mujoco
import numpy as np
import pytest

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.simulators.gymnasium.simulator import GymnasiumSimulator
from sim_bridge.trajectories.importers.formats import open_trajectory

STEPS = 40


@pytest.fixture(scope="module")
def aloha_episode():
    """Actions ``(40, 14)``, positions and velocities before each, of a run in gym-aloha."""
    simulator = GymnasiumSimulator("AlohaTransferCube-v0")
    position = seen = simulator.reset(seed=3).arrays["agent_pos"]
    rows, positions = [], []
    for step in range(STEPS):
        action = position + 0.2 * np.sin(step / 15) * np.linspace(-1, 1, 14)
        action[[6, 13]] = 0.5 + 0.4 * np.sin(step / 8)
        rows.append(np.clip(action, simulator.spec.action.low, simulator.spec.action.high))
        positions.append(seen)
        seen = simulator.step(rows[-1]).arrays["agent_pos"]
    state = simulator.state()
    simulator.close()
    return np.array(rows), np.array(positions), state


@pytest.fixture
def aloha_file(aloha_episode, tmp_path):
    """As ``record_sim_episodes.py`` of ACT writes it."""
    rows, positions, _ = aloha_episode
    path = tmp_path / "episode_0.hdf5"
    with h5py.File(path, "w", rdcc_nbytes=1024**2 * 2) as root:
        root.attrs["sim"] = True
        observations = root.create_group("observations")
        images = observations.create_group("images")
        images.create_dataset("top", data=np.zeros((STEPS, 4, 6, 3), np.uint8), chunks=(1, 4, 6, 3))
        observations.create_dataset("qpos", data=positions)
        observations.create_dataset("qvel", data=np.zeros_like(positions))
        root.create_dataset("action", data=rows)
    return path


def test_aloha_layout(aloha_file, aloha_episode):
    rows, positions, _ = aloha_episode
    trajectory = open_trajectory(f"{aloha_file}?seed=3")
    assert trajectory.control_period_s == 0.02
    assert trajectory.action_names[6] == "vx300s_left/gripper"
    np.testing.assert_array_equal(trajectory.actions, rows)
    state = trajectory.state(0)
    at = dict(zip(state.joint_names, state.joint_positions, strict=True))
    assert at["vx300s_right/elbow"] == positions[0, 9]
    assert at["vx300s_left/left_finger"] == -at["vx300s_left/right_finger"]
    everything = open_trajectory(f"{aloha_file}?states=all")
    assert (everything.num_states, everything.num_steps) == (STEPS, STEPS - 1)


def test_aloha_episode_replayed_on_a_bridge(aloha_file, aloha_episode, replay_on):
    """No states and the seed of the recording: the very same episode."""
    _, _, local = aloha_episode
    printed, state = replay_on(
        "gymnasium", "AlohaTransferCube-v0", aloha_file, "--seed", 3, "--states", "none"
    )
    assert f"done: {STEPS} steps" in printed
    np.testing.assert_array_equal(state.joint_positions, local.joint_positions)
    np.testing.assert_array_equal(state.body_poses, local.body_poses)


def test_aloha_start_is_restored(aloha_file, aloha_episode, replay_on):
    """gym-aloha rounds nothing: joints from the normalised grippers are those of the simulator."""
    _, _, local = aloha_episode
    _, state = replay_on("gymnasium", "AlohaTransferCube-v0", aloha_file, "--seed", 3)
    np.testing.assert_allclose(state.joint_positions, local.joint_positions, atol=1e-3)


def test_aloha_of_another_width(tmp_path):
    path = tmp_path / "episode_1.hdf5"
    with h5py.File(path, "w") as root:
        root["action"] = np.zeros((5, 16))
        root["observations/qpos"] = np.zeros((5, 16))
    with pytest.raises(InvalidRequest, match=r"action has shape \(5, 16\); valid: \(N, 14\)"):
        open_trajectory(str(path))


# A robosuite-like scene; robomimic stores it with each demo.
SCENE = """
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.002"/>
  <worldbody>
    <geom type="plane" size="2 2 0.1"/>
    <body name="robot0_base" pos="0 0 0.3">
      <body name="robot0_link1">
        <joint name="robot0_joint1" axis="0 0 1" range="-2 2" limited="true" damping="1"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.02" mass="0.5"/>
        <body name="robot0_link2" pos="0.3 0 0">
          <joint name="robot0_joint2" axis="0 1 0" range="-2 2" limited="true" damping="1"/>
          <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.02" mass="0.2"/>
        </body>
      </body>
    </body>
    <body name="cube_main" pos="0.5 0.4 0.3">
      <joint name="cube_joint0" type="free"/>
      <geom type="box" size="0.03 0.02 0.02"/>
    </body>
  </worldbody>
  <actuator>
    <position joint="robot0_joint1" kp="30"/>
    <position joint="robot0_joint2" kp="30"/>
  </actuator>
</mujoco>
"""
NAMES = "action_names=robot0_joint1,robot0_joint2"


@pytest.fixture(scope="module")
def demo():
    """Actions ``(25, 2)``, rows of ``[time, qpos, qvel]`` before each, and the model."""
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    data.qvel[2:] = [0.1, 0.2, 1.0, 2.0, -1.0, 3.0]  # a tumbling cube
    states, rows = [], []
    for step in range(25):
        states.append(np.concatenate([[data.time], data.qpos, data.qvel]))
        rows.append([0.8 * np.sin(step / 10), 0.4 * np.cos(step / 7)])
        data.ctrl[:] = rows[-1]
        mujoco.mj_step(model, data, nstep=25)
    return np.array(rows), np.array(states)


@pytest.fixture
def robomimic_file(demo, tmp_path):
    rows, states = demo
    path = tmp_path / "demo_v141.hdf5"
    with h5py.File(path, "w") as file:
        group = file.create_group("data")
        group.attrs["total"] = 2 * len(rows)
        group.attrs["env_args"] = json.dumps(
            {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20}}
        )
        for name in ("demo_0", "demo_10", "demo_2"):
            one = group.create_group(name)
            one.attrs["num_samples"] = len(rows)
            one.attrs["model_file"] = SCENE
            one["actions"] = rows + (0.0 if name == "demo_0" else int(name[5:]) / 100)
            one["states"] = states
            one["rewards"] = np.r_[np.zeros(len(rows) - 1), 1.0]
            one["dones"] = np.r_[np.zeros(len(rows) - 1), 1]
    return path


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "lift.xml"
    path.write_text(SCENE)
    return path


def test_robomimic_layout(robomimic_file, demo):
    rows, states = demo
    trajectory = open_trajectory(f"{robomimic_file}?{NAMES}&states=all")
    assert (trajectory.task, trajectory.success) == ("Lift", True)
    assert trajectory.control_period_s == pytest.approx(0.05)
    assert (trajectory.num_states, trajectory.num_steps) == (25, 24)
    np.testing.assert_array_equal(trajectory.actions, rows[:-1])
    assert trajectory.joint_names == ("robot0_joint1", "robot0_joint2")
    np.testing.assert_array_equal(trajectory.joint_positions, states[:, 1:3])
    np.testing.assert_array_equal(trajectory.body_poses[:, 0, :3], states[:, 3:6])


def test_robomimic_demos_are_in_numeric_order(robomimic_file, demo):
    third = open_trajectory(f"{robomimic_file}?{NAMES}&episode=2")
    np.testing.assert_allclose(third.actions[0], demo[0][0] + 0.10)
    with pytest.raises(InvalidRequest, match="no episode 3; valid: 0 to 2"):
        open_trajectory(f"{robomimic_file}?{NAMES}&episode=3")


def test_robomimic_twists_are_in_the_world(robomimic_file, demo):
    """MuJoCo's own conversion of the free joint's body-frame angular velocity."""
    _, states = demo
    trajectory = open_trajectory(f"{robomimic_file}?{NAMES}&states=all")
    for row, twist in zip(states, trajectory.body_twists[:, 0], strict=True):
        expected = np.zeros(3)
        mujoco.mju_rotVecQuat(expected, row[-3:].copy(), row[6:10].copy())
        np.testing.assert_allclose(twist[3:], expected, atol=1e-12)
        np.testing.assert_array_equal(twist[:3], row[-6:-3])


def test_robomimic_actions_must_be_named(robomimic_file):
    with pytest.raises(InvalidRequest, match="2 action dimensions without names"):
        open_trajectory(str(robomimic_file))


def test_robomimic_replayed_on_a_bridge(robomimic_file, scene, demo, replay_on):
    """The recorded scene and actions give the recorded states."""
    words = ("--action-names", "robot0_joint1,robot0_joint2")
    options = '{"control_period_s": 0.05}'
    printed, state = replay_on("mujoco", scene, robomimic_file, *words, options=options)
    assert "done: 25 steps" in printed
    rows, states = demo
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = states[0, 1:10], states[0, 10:]
    for row in rows:
        data.ctrl[:] = row
        mujoco.mj_step(model, data, nstep=25)
    np.testing.assert_allclose(state.joint_positions, data.qpos[:2], atol=1e-9)
    np.testing.assert_allclose(state.body_poses[0, :3], data.qpos[2:5], atol=1e-9)


def test_robomimic_states_restored_on_a_bridge(robomimic_file, scene, demo, replay_on):
    words = ("--action-names", "robot0_joint1,robot0_joint2", "--restore-states")
    options = '{"control_period_s": 0.05}'
    printed, state = replay_on("mujoco", scene, robomimic_file, *words, options=options)
    assert "done: 25 steps" in printed
    np.testing.assert_allclose(state.joint_positions, demo[1][-1, 1:3], atol=1e-12)


def test_unknown_files_list_the_formats(tmp_path):
    path = tmp_path / "notes.hdf5"
    path.write_bytes(b"not hdf5")
    with pytest.raises(InvalidRequest, match="has an unknown format; valid: .npz, RoboVerse"):
        open_trajectory(str(path))
    with pytest.raises(NotFound, match="no trajectory"):
        open_trajectory(str(tmp_path / "missing.hdf5"))
