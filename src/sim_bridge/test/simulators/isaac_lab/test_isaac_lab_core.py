"""What surrounds Isaac Lab, tested without it: rules, controls, names, native blocks, options."""

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from sim_bridge.errors import InvalidRequest, InvalidState, NotFound, OperationFailed
from sim_bridge.settings.options import read_options
from sim_bridge.simulators.isaac_lab import memory as memory
from sim_bridge.simulators.isaac_lab.assets import usd_from_mjcf
from sim_bridge.simulators.isaac_lab.cameras import pinhole
from sim_bridge.simulators.isaac_lab.control import (
    JOINTS,
    UPPER_RAD,
    EndEffectorDeltaControl,
    JointPositionControl,
)
from sim_bridge.simulators.isaac_lab.pick_place import PickPlaceRules, sample_positions
from sim_bridge.simulators.isaac_lab.runtime import PhysicsChoice
from sim_bridge.simulators.isaac_lab.scene import IsaacLabScene
from sim_bridge.simulators.isaac_lab.tasks import IsaacLabOptions
from sim_bridge.simulators.isaac_lab.threads import late_timers
from sim_bridge.types import SimState

OPEN, CLOSED = 1.5, 0.0
GOAL = np.array([0.2, 0.05, 0.02])


class Command:
    """Position and velocity targets as Isaac Lab's ActuatorTargetCommand keeps them."""

    def __init__(self, joints):
        self.position = SimpleNamespace(torch=np.zeros((1, joints)))
        self.velocity = SimpleNamespace(torch=np.zeros((1, joints)))

    def set_position_index(self, *, value, joint_ids):
        self.position.torch[0, joint_ids] = value[0]


class Asset:
    """An articulation (or, without joints, a rigid object) that remembers what is written."""

    def __init__(self, joint_names=(), body_names=("base",), is_fixed_base=True):
        n = len(joint_names)
        self.joint_names, self.body_names, self.is_fixed_base = (
            list(joint_names),
            list(body_names),
            is_fixed_base,
        )
        pose = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
        self.data = SimpleNamespace(
            joint_pos=SimpleNamespace(torch=np.zeros((1, n))),
            joint_vel=SimpleNamespace(torch=np.zeros((1, n))),
            joint_pos_limits=SimpleNamespace(torch=np.tile([-1.0, 1.0], (1, n, 1))),
            root_link_pose_w=SimpleNamespace(torch=pose.copy()),
            root_link_vel_w=SimpleNamespace(torch=np.zeros((1, 6))),
            body_link_pose_w=SimpleNamespace(torch=np.tile(pose, (1, len(body_names), 1))),
        )
        self.actuators = SimpleNamespace(target_command=Command(n))

    def write_joint_position_to_sim_index(self, *, position, joint_ids):
        self.data.joint_pos.torch[0, joint_ids] = position[0]

    def write_joint_velocity_to_sim_index(self, *, velocity, joint_ids):
        self.data.joint_vel.torch[0, joint_ids] = velocity[0]

    def write_root_link_pose_to_sim_index(self, *, root_pose):
        self.data.root_link_pose_w.torch[:] = root_pose

    def write_root_link_velocity_to_sim_index(self, *, root_velocity):
        self.data.root_link_vel_w.torch[:] = root_velocity


def scene_of(joint_names, origin=(0.0, 0.0, 0.0)):
    arm, block = Asset(joint_names), Asset(is_fixed_base=False)
    raw = SimpleNamespace(
        articulations={"arm": arm}, rigid_objects={"block": block}, env_origins=np.array([origin])
    )
    return IsaacLabScene(raw, np.asarray), arm, block


def state_of(names, positions, **more):
    return SimState(
        joint_names=tuple(names),
        joint_positions=np.asarray(positions, dtype=float),
        joint_velocities=np.zeros(len(names)),
        **more,
    )


def test_a_seed_means_the_scene_of_the_mujoco_task():
    env = pytest.importorskip("lerobot_env_so101").SO101PickPlaceGymEnv(random_block_position=True)
    for seed in (0, 7, 123):
        observation, _ = env.reset(seed=seed)
        block, goal = sample_positions(np.random.default_rng(seed))
        np.testing.assert_allclose(observation["environment_state"], [*block, *goal], atol=1e-6)


@pytest.mark.parametrize(
    ("block", "speed", "jaw", "carried", "success"),
    [
        (GOAL, 0.0, OPEN, True, True),
        (GOAL, 0.0, OPEN, False, False),
        (GOAL, 0.0, CLOSED, True, False),
        (GOAL, 0.05, OPEN, True, False),
        (GOAL + [0.05, 0, 0], 0.0, OPEN, True, False),
    ],
    ids=["placed", "pushed there", "still held", "still moving", "beside the goal"],
)
def test_success_needs_carrying_releasing_and_rest(block, speed, jaw, carried, success):
    rules = PickPlaceRules()
    rules.start(GOAL)
    if carried:
        rules.judge(GOAL + [0.0, 0.0, 0.06], 0.1, CLOSED)
    verdict = rules.judge(block, speed, jaw)
    assert verdict.success is success
    assert verdict.terminated is success
    assert verdict.reward == float(success)


def test_a_block_off_the_table_ends_the_episode_without_success():
    rules = PickPlaceRules()
    rules.start(GOAL)
    verdict = rules.judge(np.array([0.5, 0.0, 0.02]), 0.0, OPEN)
    assert verdict.out_of_bounds and verdict.terminated and not verdict.success


def test_a_new_episode_forgets_that_the_block_was_carried():
    rules = PickPlaceRules()
    rules.start(GOAL)
    rules.judge(GOAL + [0.0, 0.0, 0.06], 0.1, CLOSED)
    rules.start(GOAL)
    assert not rules.judge(GOAL, 0.0, OPEN).success


def test_joint_targets_stop_at_the_limits():
    targets = JointPositionControl().targets(np.full(6, 10.0), np.zeros(6))
    np.testing.assert_array_equal(targets, UPPER_RAD)


def test_delta_control_gives_the_targets_of_the_mujoco_task():
    package = pytest.importorskip("lerobot_env_so101")
    mujoco = pytest.importorskip("mujoco")
    env = package.SO101PickPlaceGymEnv(action_scale=0.025)
    env.reset(seed=0)
    control = EndEffectorDeltaControl()
    addresses = [int(env.model.joint(name).qposadr[0]) for name in JOINTS]
    controls = [int(env.model.actuator(name).id) for name in JOINTS]
    control.sync(env.data.qpos[addresses], env.data.ctrl[controls])
    for action in ([0.3, -0.2, -0.5, 1.0], [0.0, 0.0, 0.0, 0.5], [-1.0, 0.4, 0.2, 0.0]):
        targets = control.targets(np.array(action), env.data.qpos[addresses].copy())
        # mj_step leaves link poses one substep behind the joints; the control has no such lag.
        mujoco.mj_forward(env.model, env.data)
        env.step(np.array(action))
        np.testing.assert_allclose(targets, env.data.ctrl[controls], atol=1e-9)


def test_delta_control_resumes_from_its_memory():
    pytest.importorskip("lerobot_env_so101")
    control, other = EndEffectorDeltaControl(), EndEffectorDeltaControl()
    for each in (control, other):
        each.sync(np.zeros(6), np.zeros(6))
    control.targets(np.array([0.5, 0.5, -0.5, 1.0]), np.zeros(6))
    other.restore(control.memory())
    action = np.array([0.1, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(
        other.targets(action, np.zeros(6)), control.targets(action, np.zeros(6))
    )


def test_names_survive_the_joint_order_of_the_other_engine():
    """PhysX orders breadth first, Newton depth first; a state of one is written into the other."""
    breadth_first = ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow")
    depth_first = ("left_shoulder", "left_elbow", "right_shoulder", "right_elbow")
    physx, arm, _ = scene_of(breadth_first)
    arm.data.joint_pos.torch[0] = [0.1, 0.2, 0.3, 0.4]
    arm.actuators.target_command.position.torch[0] = [1.1, 1.2, 1.3, 1.4]
    newton, other, _ = scene_of(depth_first)
    newton.write(physx.state(0.0))
    assert dict(zip(depth_first, other.data.joint_pos.torch[0], strict=True)) == {
        "left_shoulder": 0.1, "right_shoulder": 0.2, "left_elbow": 0.3, "right_elbow": 0.4
    }  # fmt: skip
    np.testing.assert_allclose(
        other.actuators.target_command.position.torch[0], [1.1, 1.3, 1.2, 1.4]
    )


def test_writing_some_joints_leaves_the_others_and_all_targets():
    scene, arm, _ = scene_of(("a", "b", "c"))
    arm.data.joint_pos.torch[0] = [0.1, 0.2, 0.3]
    arm.actuators.target_command.position.torch[0] = [0.1, 0.2, 0.3]
    scene.write(state_of(["arm/c"], [0.9]))
    np.testing.assert_allclose(arm.data.joint_pos.torch[0], [0.1, 0.2, 0.9])
    np.testing.assert_allclose(arm.actuators.target_command.position.torch[0], [0.1, 0.2, 0.3])


def test_the_environment_origin_is_not_on_the_wire():
    scene, _, block = scene_of(("a",), origin=(5.0, -3.0, 0.0))
    pose = np.array([[0.2, 0.1, 0.02, 0.0, 0.0, 0.0, 1.0]])
    scene.write(SimState(body_names=("block",), body_poses=pose, body_twists=np.ones((1, 6))))
    np.testing.assert_allclose(block.data.root_link_pose_w.torch[0, :3], [5.2, -2.9, 0.02])
    np.testing.assert_allclose(scene.state(0.0).body_poses, pose)
    assert scene.link_poses().names == ("arm/base", "block")
    np.testing.assert_allclose(scene.link_poses().poses[1], pose[0])


def test_nan_from_the_engine_is_an_error_that_names_the_joint():
    scene, arm, _ = scene_of(("a", "b"))
    arm.data.joint_vel.torch[0, 1] = np.nan
    with pytest.raises(OperationFailed, match="velocity of joint 'arm/b'.*diverged"):
        scene.state(0.0)


def test_a_native_block_comes_back_whole():
    tree = {
        "scene": {"articulation": {"arm": {"joint_position": np.arange(3.0)}}},
        "time_s": np.array(1.5),
    }
    out = memory.unpack(memory.pack(tree), tree)
    np.testing.assert_array_equal(out["scene"]["articulation"]["arm"]["joint_position"], [0, 1, 2])
    assert float(out["time_s"]) == 1.5


@pytest.mark.parametrize(
    "other", [{"time_s": np.zeros(2)}, {"other": np.zeros(1)}, {}], ids=["shape", "name", "missing"]
)
def test_a_native_block_of_another_scene_is_refused(other):
    with pytest.raises(InvalidState, match="does not belong"):
        memory.unpack(memory.pack({"time_s": np.array(1.5)}), other)


def test_a_damaged_native_block_is_refused():
    with pytest.raises(InvalidState):
        memory.unpack(b"no archive", {"time_s": np.array(0.0)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"physics": "bullet"}, "physics is 'bullet'; valid: physx, newton"),
        ({"device": "gpu"}, "gpu.*valid: auto, cpu"),
        ({"device": "cuda:x"}, "cuda:x"),
        ({"physx_threads": -1}, "physx_threads is -1; valid: 0 or more"),
        ({"physx_threads": "all"}, "physx_threads is 'all'; valid: a whole number"),
    ],
)
def test_physics_choices_are_checked(options, message):
    with pytest.raises(InvalidRequest, match=message):
        read = read_options(IsaacLabOptions, options, "task option")
        PhysicsChoice(read.physics, read.device, read.physx_threads)


def test_a_missing_mjcf_is_named(tmp_path):
    with pytest.raises(NotFound, match="nowhere.xml"):
        usd_from_mjcf(tmp_path / "nowhere.xml")


def test_the_pinhole_has_the_field_of_view():
    focal, horizontal, vertical = pinhole(640, 480, fovy_deg=45.0)
    assert 2 * np.degrees(np.arctan(vertical / 2 / focal)) == pytest.approx(45.0)
    assert horizontal / vertical == pytest.approx(640 / 480)


@pytest.mark.skipif(sys.platform != "linux", reason="timer slack is Linux's")
def test_only_threads_started_within_sleep_late():
    def slack_ns():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(prctl, 30).result()  # PR_GET_TIMERSLACK

    prctl = ctypes.CDLL(None).prctl
    before = prctl(30), slack_ns()
    with late_timers():
        assert slack_ns() == 10_000_000
    assert (prctl(30), slack_ns()) == before
    assert before[0] < 10_000_000
