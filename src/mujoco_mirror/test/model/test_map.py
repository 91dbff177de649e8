"""Names to addresses: order, prefixes, rules, floating bases, leftovers."""

import mujoco
import numpy as np
import pytest
from mirror_scenes import FLOATING, GRIPPER, TWO_ARMS, state

from mujoco_mirror.model.map_rules import MapRules, load_rules, parse_rules
from mujoco_mirror.model.mirror import Mirror
from mujoco_mirror.model.model_map import ModelMap
from mujoco_mirror.model.rotations import to_xyzw
from sim_bridge.errors import InvalidRequest, NotFound

SOMEWHERE = [
    0.3,
    -0.2,
    0.9,
    *np.array([0.1, -0.3, 0.5, 0.8]) / np.linalg.norm([0.1, -0.3, 0.5, 0.8]),
]
ARMS = {
    "left/shoulder": 0.1,
    "left/elbow": 0.2,
    "right/shoulder": 0.3,
    "right/elbow": 0.4,
}


def mirror_of(xml, rules=None, strict=False):
    return Mirror(mujoco.MjModel.from_xml_string(xml), rules, strict)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]])
def test_joints_are_matched_by_name_whatever_their_order(order):
    mirror = mirror_of(TWO_ARMS)
    names = [list(ARMS)[i] for i in order]
    mirror.apply(state({name: ARMS[name] for name in names}))
    for name, position in ARMS.items():
        assert mirror.data.joint(name.replace("/", "_")).qpos[0] == position


def test_joint_error_is_zero_for_what_was_applied_and_real_for_what_was_not():
    mirror = mirror_of(TWO_ARMS)
    mirror.apply(state(ARMS))
    assert mirror.joint_error(state(ARMS)) == 0.0
    assert mirror.joint_error(state({**ARMS, "left/elbow": 0.25})) == pytest.approx(0.05)


def test_a_new_set_of_names_gets_a_new_map():
    mirror = mirror_of(TWO_ARMS)
    mirror.apply(state(ARMS))
    mirror.apply(state({"right/elbow": -1.0}))
    assert mirror.data.joint("right_elbow").qpos[0] == -1.0
    assert mirror.data.joint("left_elbow").qpos[0] == ARMS["left/elbow"]


def test_leftovers_on_both_sides_are_named_and_refused_in_strict_mode():
    model = mujoco.MjModel.from_xml_string(TWO_ARMS)
    names = ("left/shoulder", "left/elbow", "right/shoulder", "left/wrist")
    report = ModelMap(model, names, ("ball",)).report
    assert report.unmapped_wire == ("left/wrist", "ball")
    assert report.unmapped_model == ("right_elbow", "cube")
    with pytest.raises(InvalidRequest, match="left/wrist, ball.*right_elbow, cube"):
        ModelMap(model, names, ("ball",), strict=True)
    ignoring = MapRules(ignore=("*wrist", "ball", "right_elbow", "cube"))
    assert ModelMap(model, names, ("ball",), ignoring, strict=True).report.complete


def test_two_names_for_one_joint_are_refused():
    model = mujoco.MjModel.from_xml_string(GRIPPER)
    with pytest.raises(InvalidRequest, match="'a/joint1' and 'b/joint1' both mean.*'joint1'"):
        ModelMap(model, ("a/joint1", "b/joint1"))


def test_a_free_body_takes_pose_and_world_twist():
    mirror = mirror_of(TWO_ARMS)
    twist = np.array([0.1, 0.2, 0.3, 1.0, -2.0, 0.5])
    mirror.apply(state(bodies={"cube": SOMEWHERE}, twists={"cube": twist}))
    body = mirror.model.body("cube").id
    assert np.allclose(mirror.data.xpos[body], SOMEWHERE[:3], atol=0)
    assert np.allclose(to_xyzw(mirror.data.xquat[body]), SOMEWHERE[3:], atol=1e-15)
    mujoco.mj_forward(mirror.model, mirror.data)
    velocity = np.zeros(6)
    mujoco.mj_objectVelocity(
        mirror.model, mirror.data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0
    )
    assert np.allclose(velocity[3:], twist[:3])
    assert np.allclose(velocity[:3], twist[3:])


def test_a_floating_base_is_placed_by_rule_and_carries_its_limbs():
    rules = parse_rules({"bodies": {"g1": "pelvis"}, "joints": {"g1/waist": "waist_yaw_joint"}})
    mirror = mirror_of(FLOATING, rules)
    quarter_turn = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]
    mirror.apply(
        state({"g1/waist": 0.0, "g1/left_hip_pitch_joint": 0.0}, {"g1": [1, 2, 0.7, *quarter_turn]})
    )
    assert mirror.map.report.complete
    assert np.allclose(mirror.data.body("left_leg").xpos, [0.9, 2.0, 0.6])


def test_a_base_frame_offset_moves_pose_and_velocity():
    shifted = parse_rules({"bodies": {"g1": {"to": "pelvis", "pose": [0, 0, 0.1, 0, 0, 0, 1]}}})
    mirror = mirror_of(FLOATING, shifted)
    roll = np.array([0, 0, 0, 2.0, 0, 0])
    mirror.apply(state(bodies={"g1": [0, 0, 0.5, 0, 0, 0, 1]}, twists={"g1": roll}))
    assert np.allclose(mirror.data.body("pelvis").xpos, [0, 0, 0.6])
    assert np.allclose(mirror.data.qvel[:6], [0, -0.2, 0, 2.0, 0, 0])


def test_sign_scale_offset_and_unit_apply_and_invert():
    rules = parse_rules(
        {
            "joints": {
                "arm/j1": {"to": "joint1", "sign": -1, "offset": 0.5, "unit": "deg"},
                "hand/width": {"to": ["finger_joint1", "finger_joint2"], "scale": 0.5},
            }
        }
    )
    mirror = mirror_of(GRIPPER, rules)
    published = state(
        {"hand/width": 0.06, "arm/j1": 90.0}, velocities={"hand/width": 0.2, "arm/j1": 0}
    )
    mirror.apply(published)
    assert mirror.data.joint("joint1").qpos[0] == pytest.approx(0.5 - np.pi / 2)
    assert mirror.data.joint("finger_joint1").qpos[0] == pytest.approx(0.03)
    assert mirror.data.joint("finger_joint2").qpos[0] == pytest.approx(0.03)
    assert mirror.data.joint("finger_joint1").qvel[0] == pytest.approx(0.1)
    assert mirror.joint_error(published) < 1e-12


def test_a_coupled_joint_follows_and_is_no_leftover():
    mirror = mirror_of(GRIPPER)
    mirror.apply(state({"joint1": 0.0, "finger_joint1": 0.02}))
    assert mirror.data.joint("finger_joint2").qpos[0] == pytest.approx(0.02)
    assert mirror.map.report.coupled == ("finger_joint2",)
    assert mirror.map.report.complete


def test_mocap_bodies_and_bases_fixed_to_the_world_can_be_placed():
    mirror = mirror_of(GRIPPER)
    mirror.apply(state({"joint1": 0.0}, {"goal": SOMEWHERE, "link0": [0, 0, 0.5, 0, 0, 0, 1]}))
    assert np.allclose(mirror.data.body("goal").xpos, SOMEWHERE[:3])
    assert np.allclose(mirror.data.body("left_finger").xpos, [0, 0, 0.7])


def test_link_poses_come_by_wire_name_with_offsets():
    rules = parse_rules(
        {"links": {"arm/tip": {"to": "left_fore", "pose": [-0.2, 0, 0, 0, 0, 0, 1]}}}
    )
    mirror = mirror_of(TWO_ARMS, rules)
    mirror.apply(state(dict.fromkeys(ARMS, 0.0)))
    links = mirror.link_poses(("left/fore", "arm/tip", "right/hand"))
    assert links.names == ("left/fore", "arm/tip")
    assert np.allclose(links.poses[:, :3], [[0.3, 0.3, 0.1], [0.5, 0.3, 0.1]])


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        ({"joint": {}}, "unknown section 'joint'; valid: prefixes, joints"),
        ({"joints": {"a": {"too": "b"}}}, "unknown key of joint 'a' 'too'; valid: to, sign"),
        ({"joints": {"a": {"unit": "grad"}}}, "'a': unit 'grad'; valid: rad, deg, m, mm"),
        ({"joints": {"a": {"sign": 2}}}, "'a': sign 2; valid: 1, -1"),
        ({"joints": {"a": {"scale": 0}}}, "'a': scale 0"),
        ({"bodies": {"a": {"pose": [0, 0, 0, 0, 0, 0, 2]}}}, "'a': pose .* unit quaternion"),
    ],
)
def test_bad_rules_are_refused_by_name(tree, match):
    with pytest.raises(InvalidRequest, match=match):
        parse_rules(tree)


def test_rules_that_the_model_cannot_follow_are_refused():
    model = mujoco.MjModel.from_xml_string(TWO_ARMS)
    with pytest.raises(InvalidRequest, match="no joint 'knee'; valid: left_shoulder, left_elbow"):
        ModelMap(model, ("a",), rules=parse_rules({"joints": {"a": "knee"}}))
    with pytest.raises(InvalidRequest, match="'left_fore' hangs on a joint"):
        ModelMap(model, (), ("a",), parse_rules({"bodies": {"a": "left_fore"}}))


def test_rules_come_from_yaml(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("prefixes: {a: left_, b: right_}\n")
    mirror = mirror_of(TWO_ARMS, load_rules(path))
    mirror.apply(state({"b/elbow": 0.7, "a/elbow": 0.6}))
    assert mirror.data.joint("left_elbow").qpos[0] == 0.6
    assert mirror.data.joint("right_elbow").qpos[0] == 0.7
    with pytest.raises(NotFound, match="no file .*missing.yaml"):
        load_rules(tmp_path / "missing.yaml")
    path.write_text("joints: [unclosed")
    with pytest.raises(InvalidRequest, match="not YAML"):
        load_rules(path)
