"""Errors that the fidelity check must find, and agreement that it must confirm."""

import importlib.util
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mirror_scenes import FLOATING, TWO_ARMS, state

from mujoco_mirror.fidelity import check as fidelity_check
from mujoco_mirror.fidelity.errors import FidelityMonitor, Limits, check_episode
from mujoco_mirror.fidelity.trouble import Trouble
from mujoco_mirror.model.map_rules import parse_rules
from mujoco_mirror.model.mirror import Mirror
from mujoco_mirror.model.rotations import to_wxyz
from mujoco_mirror.node.status import OK, WARN, MirrorFigures, mirror_status
from mujoco_mirror.recording.stream_stats import ArrivalCounter, Percentiles
from sim_bridge.errors import InvalidRequest
from sim_bridge.files.model_files import resolve_uri
from sim_bridge.simulators.registry import open_simulator
from sim_bridge.types import LinkPoses

ARMS = ("left/shoulder", "left/elbow", "right/shoulder", "right/elbow")
LINKS = ("left/upper", "left/fore", "right/upper", "right/fore", "cube")
TRAJECTORY = Path(__file__).parents[3] / "policy_node" / "data" / "so101_pick_place.npz"


def _samples(xml, make_state, links, count=10):
    """An episode of the truth: states and the poses that another MuJoCo gives them."""
    truth = Mirror(mujoco.MjModel.from_xml_string(xml))
    for k in range(count):
        now = make_state(k)
        truth.apply(now)
        yield now, truth.link_poses(links)


def _arms(k):
    angles = 0.1 + 0.1 * k + 0.2 * np.arange(4)
    turn = np.array([0.1, 0.2, 0.3 + 0.1 * k, 0.9])
    return state(
        dict(zip(ARMS, angles, strict=True)),
        {"cube": [0.4, 0.1, 0.2, *turn / np.linalg.norm(turn)]},
    )


def _check(rules=None):
    mirror = Mirror(mujoco.MjModel.from_xml_string(TWO_ARMS), rules)
    return check_episode(mirror, _samples(TWO_ARMS, _arms, LINKS))


def test_the_same_kinematics_agree_to_rounding():
    table, joint_error = _check()
    assert table.within(Limits(1e-12, 1e-12))
    assert joint_error == 0.0
    assert [row[0] for row in table.rows()] == list(LINKS)


@pytest.mark.parametrize(
    ("mistake", "guilty"),
    [
        (
            {"left/shoulder": "left_elbow", "left/elbow": "left_shoulder"},
            {"left/upper", "left/fore"},
        ),
        ({"right/elbow": {"to": "right_elbow", "sign": -1}}, {"right/fore"}),
        ({"left/elbow": {"to": "left_elbow", "unit": "deg"}}, {"left/fore"}),
        (
            {"right/shoulder": {"to": "right_shoulder", "offset": 0.01}},
            {"right/upper", "right/fore"},
        ),
    ],
    ids=["swapped joints", "wrong sign", "wrong unit", "wrong offset"],
)
def test_a_wrong_map_is_caught_and_the_links_named(mistake, guilty):
    table, joint_error = _check(parse_rules({"joints": mistake}))
    assert not table.within(Limits())
    assert joint_error < 1e-12  # joints alone would have noticed nothing
    limits = Limits()
    assert {
        r[0] for r in table.rows() if r[1] > limits.position_m or r[3] > limits.angle_rad
    } == guilty


def test_a_quaternion_in_the_wrong_order_is_caught():
    def base(k):
        turn = np.array([0.1 * k, 0.2, 0.3, 0.8])
        return state(
            {"waist_yaw_joint": 0.1 * k}, {"pelvis": [0, 0, 0.8, *turn / np.linalg.norm(turn)]}
        )

    def confused(k):
        right = base(k)
        poses = right.body_poses.copy()
        poses[:, 3:] = to_wxyz(poses[:, 3:])
        return state({"waist_yaw_joint": 0.1 * k}, {"pelvis": poses[0]})

    truth = [links for _, links in _samples(FLOATING, base, ("pelvis", "torso", "left_leg"))]
    mirror = Mirror(mujoco.MjModel.from_xml_string(FLOATING))
    right, _ = check_episode(mirror, zip((base(k) for k in range(10)), truth, strict=True))
    assert right.within(Limits(1e-12, 1e-12))
    wrong, _ = check_episode(mirror, zip((confused(k) for k in range(10)), truth, strict=True))
    assert not wrong.within(Limits())


def test_comparing_nothing_is_an_error_not_a_success():
    mirror = Mirror(mujoco.MjModel.from_xml_string(TWO_ARMS))
    with pytest.raises(InvalidRequest, match="none of the links x/y is in the mirror's model"):
        check_episode(mirror, [(_arms(0), LinkPoses(("x/y",), np.zeros((1, 7))))])


def test_live_states_and_links_meet_by_time_in_either_order():
    monitor = FidelityMonitor(mujoco.MjModel.from_xml_string(TWO_ARMS))
    samples = list(_samples(TWO_ARMS, _arms, LINKS, 3))
    for k, (now, links) in enumerate(samples):
        now = type(now)(**{**vars(now), "time_s": 0.1 * k})
        if k % 2:
            assert monitor.on_links(0.1 * k, links) is None
            errors = monitor.on_state(now)
        else:
            assert monitor.on_state(now) is None
            errors = monitor.on_links(0.1 * k, links)
        assert errors.position_m.max() < 1e-12
    shifted = LinkPoses(LINKS, samples[0][1].poses + [0, 0, 0.003, 0, 0, 0, 0])
    monitor.on_state(type(now)(**{**vars(samples[0][0]), "time_s": 9.0}))
    errors = monitor.on_links(9.0, shifted)
    assert errors is not None and (worst := errors.worst(monitor.limits)) is not None
    name, position, _ = worst
    assert (name in LINKS, position) == (True, pytest.approx(0.003))


def test_links_of_another_moment_are_not_compared():
    """After a pause, states and links of two episodes lie side by side, at the same times."""
    monitor = FidelityMonitor(mujoco.MjModel.from_xml_string(TWO_ARMS))
    (before, _), (now, links) = _samples(TWO_ARMS, _arms, LINKS, 2)
    second = 1_000_000_000
    assert monitor.on_state(before, 1 * second) is None
    assert monitor.on_links(now.time_s, links, 5 * second) is None
    assert monitor.latest is None
    errors = monitor.on_state(now, 5 * second + 1_000_000)
    assert errors.position_m.max() < 1e-12


def test_a_trouble_is_said_once_however_often_it_comes_and_goes():
    trouble = Trouble(calm_s=5.0)
    wrong = [k % 2 == 0 for k in range(100)]
    assert [trouble.begins(w, 0.1 * k) for k, w in enumerate(wrong)].count(True) == 1
    assert not trouble.begins(False, 10.0) and not trouble.begins(True, 14.0)
    assert not trouble.begins(False, 20.0) and not trouble.begins(False, 25.1)
    assert trouble.begins(True, 25.2)


def test_the_status_names_the_worst_link_and_the_leftovers():
    mirror = Mirror(mujoco.MjModel.from_xml_string(TWO_ARMS))
    monitor = FidelityMonitor(mirror.model)
    now, links = next(_samples(TWO_ARMS, _arms, LINKS, 1))
    mirror.apply(now)
    arrivals, lag = ArrivalCounter(), Percentiles()
    arrivals.arrived(1, 1)
    lag.add(0.01)

    def status():
        return mirror_status(
            MirrorFigures(
                arrivals=arrivals,
                live_lag_s=lag,
                links=monitor.latest,
                limits=monitor.limits,
                map_report=mirror.map.report,
            )
        )

    monitor.on_state(now)
    monitor.on_links(now.time_s, links)
    assert status().level == OK
    poses = links.poses.copy()
    poses[1, 0] += 0.02
    monitor.on_state(now)
    monitor.on_links(now.time_s, LinkPoses(LINKS, poses))
    assert (status().level, "left/fore: 20 mm" in status().message) == (WARN, True)
    assert status().values["live_lag_ms_p50"] == "10.0"
    mirror.apply(state({"left/shoulder": 0.1}))
    assert "not in the state: left_elbow" in status().message


def test_sapien_and_mujoco_mirror_within_the_limits_over_an_episode(capsys):
    if importlib.util.find_spec("sapien") is None:
        pytest.skip("sapien is not installed")
    assert fidelity_check.main([str(TRAJECTORY)]) == 0
    out = capsys.readouterr().out
    assert "sapien" in out and "mujoco" in out and out.count("so101/gripper") == 2
    assert fidelity_check.main([str(TRAJECTORY), "--limit-mm", "1e-6"]) == 1


def test_the_check_refuses_what_it_cannot_play(capsys, tmp_path):
    assert fidelity_check.main([str(tmp_path / "none.npz")]) == 2
    assert fidelity_check.main([str(TRAJECTORY), "--scene", "aloha", "--simulators", "mujoco"]) == 2
    assert "the trajectory has no targets for" in capsys.readouterr().err
    rules = tmp_path / "wrong.yaml"
    rules.write_text("joints: {so101/elbow_flex: {to: elbow_flex, sign: -1}}\n")
    arguments = [str(TRAJECTORY), "--simulators", "mujoco", "--map-rules", str(rules)]
    assert fidelity_check.main(arguments) == 1


def test_two_aloha_arms_are_mapped_without_rules_or_leftovers():
    simulator = open_simulator("mujoco", "aloha")
    simulator.reset(seed=0)
    spec = simulator.spec
    mirror = Mirror(mujoco.MjModel.from_xml_path(str(resolve_uri(spec.model.uri))), strict=True)
    rng = np.random.default_rng(0)
    low, high = np.maximum(spec.action.low, -1.0), np.minimum(spec.action.high, 1.0)

    def episode():
        for _ in range(20):
            simulator.step(rng.uniform(low, high))
            yield simulator.state(), simulator.link_poses()

    table, joint_error = check_episode(mirror, episode())
    simulator.close()
    assert len(table.rows()) > 20
    assert table.within(Limits(1e-9, 1e-9))
    assert joint_error == 0.0
