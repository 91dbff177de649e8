"""The real Isaac Lab: PhysX and Newton. `make test-isaac` runs this file once for each engine.

One process holds one simulation, so ``TWINSTEP_ISAAC_PHYSICS`` (physx, newton) picks the engine.
"""

import os
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sim_bridge.errors import (
    FeatureUnsupported,
    InvalidRequest,
    InvalidState,
    NotFound,
    OperationFailed,
)
from sim_bridge.trajectories.trajectory import load_trajectory

pytestmark = pytest.mark.skipif(
    find_spec("isaaclab") is None, reason="isaaclab is not installed here: run `make test-isaac`"
)

ENGINE = os.environ.get("TWINSTEP_ISAAC_PHYSICS", "physx")
EXPERT = Path(__file__).parents[4] / "policy_node" / "data" / "so101_pick_place.npz"
JOINT_TASK = "SO101PickPlace-JointPosition-v0"
POSITION_TOLERANCE_M = 1e-3
ANGLE_TOLERANCE_DEG = 0.1


@pytest.fixture(scope="module")
def simulator():
    from sim_bridge.simulators.isaac_lab.simulator import IsaacLabSimulator

    simulator = IsaacLabSimulator(JOINT_TASK, {"physics": ENGINE, "device": "cpu"})
    yield simulator
    simulator.close()


@pytest.fixture(scope="module")
def expert():
    return load_trajectory(EXPERT)


def in_order(names, wanted, values):
    return np.asarray(values)[..., [list(names).index(name) for name in wanted]]


def angle_deg(a, b):
    """Between two wxyz quaternions; through the vector part, which is exact for small angles."""
    vector_part = a[0] * b[1:] - b[0] * a[1:] - np.cross(a[1:], b[1:])
    return 2 * np.degrees(np.arctan2(np.linalg.norm(vector_part), abs(np.dot(a, b))))


def vector(state):
    return np.concatenate([state.joint_positions, state.joint_velocities, state.body_poses.ravel()])


def test_the_spec_says_what_it_is(simulator):
    spec = simulator.spec
    assert ENGINE in spec.simulator_version and "isaaclab 3." in spec.simulator_version
    assert spec.robot_entities == ("so101",) and spec.base_frames == ("so101/base",)
    assert set(spec.action.names) == {joint.name for joint in spec.joints}
    assert spec.control_period_s == pytest.approx(0.1)
    assert spec.action.control_mode == "joint_position"
    lower = {joint.name: joint.lower for joint in spec.joints}
    assert lower["so101/gripper"] == pytest.approx(-0.17453, abs=1e-4)
    assert all(joint.revolute for joint in spec.joints)


@pytest.mark.skipif(ENGINE != "physx", reason="threads are PhysX's")
def test_physx_works_in_the_thread_that_steps(simulator):
    from isaaclab_ov.physics import OvPhysxManager
    from ovphysx.types import ConfigInt32

    physx = OvPhysxManager.get_physx_instance()
    assert physx.get_config_int32(ConfigInt32.NUM_THREADS) == 0


def test_an_idle_simulator_leaves_the_cpu_alone(simulator):
    begin, spent_s = time.monotonic(), time.process_time()
    time.sleep(2.0)
    assert (time.process_time() - spent_s) / (time.monotonic() - begin) < 0.1


def test_a_seed_is_a_scene_and_repeats_bit_for_bit(simulator, expert):
    targets = in_order(expert.target_names, simulator.spec.action.names, expert.target_positions)

    def episode(seed):
        simulator.reset(seed=seed)
        for target in targets[1:6]:
            simulator.step(target)
        return vector(simulator.state())

    first, other, again = episode(3), episode(4), episode(3)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(first, again)


def test_links_agree_with_mujoco_over_a_task_motion(simulator, expert):
    """The engine's own link poses against MuJoCo's kinematics of the MJCF, joints by name."""
    import mujoco

    from sim_bridge.files.model_files import resolve_uri

    model = mujoco.MjModel.from_xml_path(str(resolve_uri(simulator.spec.model.uri)))
    data = mujoco.MjData(model)
    simulator.reset(seed=expert.seed, state=expert.state(0))
    targets = in_order(expert.target_names, simulator.spec.action.names, expert.target_positions)
    errors_m, errors_deg, travel = [], [], []
    for target in targets[1:]:
        simulator.step(target)
        state, links = simulator.state(), simulator.link_poses()
        travel.append(state.joint_positions)
        for name, position in zip(state.joint_names, state.joint_positions, strict=True):
            data.qpos[int(model.joint(name.split("/")[1]).qposadr[0])] = position
        mujoco.mj_kinematics(model, data)
        for name, pose in zip(links.names, links.poses, strict=True):
            if name.startswith("so101/"):
                body = data.body(name.split("/")[1])
                errors_m.append(np.linalg.norm(body.xpos - pose[:3]))
                errors_deg.append(angle_deg(body.xquat, pose[[6, 3, 4, 5]]))
    assert len(errors_m) == 7 * expert.actions.shape[0]
    assert np.ptp(np.array(travel), axis=0).max() > 0.5, "no motion: the comparison says nothing"
    print(f"{ENGINE}: max {max(errors_m) * 1e3:.4f} mm, {max(errors_deg):.4f} deg")
    assert max(errors_m) < POSITION_TOLERANCE_M
    assert max(errors_deg) < ANGLE_TOLERANCE_DEG


def test_the_servos_follow_the_expert_as_mujoco_does(simulator, expert):
    """The same position targets end in the same posture as in the recording."""
    simulator.reset(seed=expert.seed, state=expert.state(0))
    names = simulator.spec.action.names
    for target in in_order(expert.target_names, names, expert.target_positions)[1:16]:
        simulator.step(target)
    state = simulator.state()
    # Not the jaw: it still moves at its effort limit, which each engine clamps in its own way.
    arm = [name for name in state.joint_names if name != "so101/gripper"]
    found = in_order(state.joint_names, arm, state.joint_positions)
    recorded = in_order(expert.joint_names, arm, expert.joint_positions[15])
    np.testing.assert_allclose(found, recorded, atol=0.05)


def test_a_state_of_mujoco_is_written_and_read_back(simulator, expert):
    simulator.reset(seed=1)
    wanted = expert.state(20)
    simulator.set_state(wanted)
    state = simulator.state()
    recorded = in_order(wanted.joint_names, state.joint_names, wanted.joint_positions)
    np.testing.assert_allclose(state.joint_positions, recorded, atol=1e-6)
    np.testing.assert_allclose(state.body_poses, wanted.body_poses, atol=1e-6)
    np.testing.assert_allclose(state.body_twists, wanted.body_twists, atol=1e-5)
    links = simulator.link_poses()
    np.testing.assert_allclose(
        links.poses[links.names.index("block")], state.body_poses[0], atol=1e-6
    )


def test_a_native_state_resumes_the_same_future(simulator, expert):
    names = simulator.spec.action.names
    targets = in_order(expert.target_names, names, expert.target_positions)
    simulator.reset(seed=5)
    for target in targets[1:6]:
        simulator.step(target)
    middle = simulator.state(native=True)

    def future():
        out = []
        for target in targets[6:12]:
            simulator.step(target)
            out.append(vector(simulator.state()))
        return np.array(out)

    first = future()
    simulator.reset(seed=9)
    outcome = simulator.set_state(middle)
    assert simulator.state().time_s == pytest.approx(middle.time_s)
    np.testing.assert_allclose(
        outcome.arrays["environment_state"][:3], middle.body_poses[0, :3], atol=1e-6
    )
    # What an engine keeps about contacts is not in Isaac Lab's state: equal to that, not to a bit.
    np.testing.assert_allclose(future(), first, atol=1e-3)


def test_velocity_targets_do_not_survive_a_restore(simulator):
    """InteractiveScene.reset_to makes joint velocities the drives' velocity targets, for good."""
    simulator.reset(seed=2)
    action = np.array([0.5, 0.3, -0.3, 0.2, 0.1, 0.5])
    simulator.step(action)
    moving = simulator.state(native=True)
    assert np.abs(moving.joint_velocities).max() > 0.1
    simulator.set_state(moving)
    for _ in range(40):
        simulator.step(action)
    settled = simulator.state()
    wanted = in_order(simulator.spec.action.names, settled.joint_names, action)
    np.testing.assert_allclose(settled.joint_positions, wanted, atol=0.06)
    assert np.abs(settled.joint_velocities).max() < 1e-2


def test_the_last_state_of_an_episode_is_not_reset_away(simulator):
    simulator.reset(seed=0)
    state = simulator.state()
    off_table = replace(state, body_poses=state.body_poses + [0.3, 0, 0, 0, 0, 0, 0])
    simulator.set_state(off_table)
    outcome = simulator.step(np.zeros(6))
    assert outcome.terminated and not outcome.success and outcome.reward == 0.0
    assert simulator.state().body_poses[0, 0] > 0.4
    assert outcome.arrays["environment_state"][0] > 0.4


def test_a_foreign_native_block_is_refused(simulator):
    simulator.reset(seed=0)
    state = simulator.state(native=True)
    with pytest.raises(InvalidState, match="native block"):
        simulator.set_state(replace(state, native=b"garbage"))


def test_a_diverged_engine_is_an_error_and_a_reset_recovers(simulator):
    simulator.reset(seed=0)
    state = simulator.state()
    with pytest.raises(OperationFailed, match="finite|diverged"):
        simulator.set_state(replace(state, joint_velocities=np.full(6, np.nan)))
        simulator.state()
    simulator.reset(seed=0)
    simulator.step(np.zeros(6))
    assert np.isfinite(vector(simulator.state())).all()


def test_an_unknown_task_lists_near_ones():
    from sim_bridge.simulators.isaac_lab.simulator import IsaacLabSimulator

    with pytest.raises(NotFound, match="SO101PickPlace-v0"):
        IsaacLabSimulator("Isaac-Lift-Cub-Frnka-v0", {"physics": ENGINE})


def test_an_unknown_option_is_named():
    from sim_bridge.simulators.isaac_lab.simulator import IsaacLabSimulator

    with pytest.raises(InvalidRequest, match="'phisics'; valid: physics, device"):
        IsaacLabSimulator(JOINT_TASK, {"phisics": ENGINE})


def test_cuda_where_there_is_none_is_said():
    import warp

    from sim_bridge.simulators.isaac_lab.simulator import IsaacLabSimulator

    if warp.is_cuda_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(FeatureUnsupported, match="no CUDA device; choose device cpu"):
        IsaacLabSimulator(JOINT_TASK, {"physics": ENGINE, "device": "cuda:0"})
