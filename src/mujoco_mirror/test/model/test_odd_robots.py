"""Ball joints, parts without names, meshes beside the scene: the mirror has all where it is."""

import shutil
from pathlib import Path

import mujoco
import numpy as np
import pytest

from mujoco_mirror.model.map_rules import parse_rules
from mujoco_mirror.model.mirror import Mirror
from mujoco_mirror.sources.model_store import ModelStore, find_model
from sim_bridge.ros.convert import from_state_msg, to_state_msg
from sim_bridge.ros.convert_spec import from_spec_msg, to_spec_msg
from sim_bridge.simulators.registry import open_simulator
from sim_bridge.trajectories.trajectory import TrajectoryRecorder, load_trajectory

ODD_ROBOT = Path(__file__).parents[3] / "sim_bridge" / "test" / "simulators" / "odd_robot"


@pytest.fixture
def simulator(tmp_path):
    """Of a scene in a folder that is gone by the time the mirror asks for the model."""
    folder = tmp_path / "elsewhere" / "odd_robot"
    shutil.copytree(ODD_ROBOT, folder)
    simulator = open_simulator("mujoco", str(folder / "scenes" / "scene.xml"))
    shutil.rmtree(folder.parent)
    simulator.reset(seed=1)
    yield simulator
    simulator.close()


@pytest.fixture
def received(simulator, tmp_path):
    """The model as it comes over GetModel."""
    store = ModelStore(tmp_path / "cache")
    path = find_model(simulator.spec.model, store, simulator.model_files)
    assert path.is_relative_to(tmp_path / "cache")
    return mujoco.MjModel.from_xml_path(str(path))


def moving(simulator, steps=40):
    for step in range(steps):
        simulator.step(np.array([np.sin(step / 5), np.cos(step / 7)]))
        yield simulator.state()


def test_every_link_is_where_the_simulator_has_it(simulator, received):
    mirror = Mirror(received, strict=True)
    for state in moving(simulator):
        mirror.apply(from_state_msg(to_state_msg(state)))
        links = simulator.link_poses()
        shown = mirror.link_poses(links.names)
        assert shown.names == links.names
        np.testing.assert_allclose(shown.poses[:, :3], links.poses[:, :3], atol=1e-9)
        turned = np.abs(np.sum(shown.poses[:, 3:] * links.poses[:, 3:], axis=1))
        np.testing.assert_allclose(turned, 1.0, atol=1e-9)
    assert np.abs(state.ball_rotations[:, :3]).max() > 0.05
    np.testing.assert_allclose(mirror.data.qvel, simulator._data.qvel, atol=1e-9)


def test_nothing_is_missing_in_spec_state_and_observation(simulator):
    spec = from_spec_msg(to_spec_msg(simulator.spec))
    state = simulator.state()
    assert spec.ball_joints == state.ball_names == ("torso/wrist", "torso/joint2")
    assert state.joint_names == ("torso/shoulder", "torso/joint3")
    assert state.body_names == ("body6",)
    described = {array.name: array.shape for array in spec.observations}
    assert described["ball_rotations"] == (2, 4) and described["ball_velocities"] == (2, 3)
    assert set(simulator.step(np.zeros(2)).arrays) == set(described)


def test_a_model_without_them_says_so(simulator):
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody/></mujoco>")
    mirror = Mirror(model)
    mirror.apply(simulator.state())
    missing = {"torso/wrist", "torso/joint2", "torso/shoulder", "torso/joint3", "body6"}
    assert set(mirror.map.report.unmapped_wire) == missing


def test_a_ball_joint_by_a_rule(simulator):
    text = (ODD_ROBOT / "scenes" / "scene.xml").read_text().replace("wrist", "gimbal")
    wedge = {"../meshes/wedge.obj": (ODD_ROBOT / "meshes" / "wedge.obj").read_bytes()}
    model = mujoco.MjModel.from_xml_string(text, wedge)
    mirror = Mirror(model, parse_rules({"joints": {"torso/wrist": "gimbal"}}))
    *_, state = moving(simulator)
    mirror.apply(state)
    assert mirror.map.report.complete
    turn = mirror.data.joint("gimbal").qpos[[1, 2, 3, 0]]
    np.testing.assert_array_equal(turn, state.ball_rotations[0])


def test_ball_joints_are_kept_in_a_trajectory(simulator, tmp_path):
    recorder = TrajectoryRecorder(simulator.spec, 1, simulator.state())
    for state in moving(simulator, 5):
        recorder.add(np.zeros(2), state, 0.0)
    loaded = load_trajectory(recorder.finish(False).save(tmp_path / "odd.npz")).state(5)
    assert loaded.ball_names == state.ball_names
    np.testing.assert_array_equal(loaded.ball_rotations, state.ball_rotations)
    np.testing.assert_array_equal(loaded.ball_velocities, state.ball_velocities)
