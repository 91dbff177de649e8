"""Late states: what is shown, and how far it is from the truth that comes later."""

from itertools import pairwise
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mirror_scenes import so101_model, state

from mujoco_mirror.late.compensation import Blend, HoldLast, Interpolate, mix
from mujoco_mirror.late.display import LateDisplay, make_compensation
from mujoco_mirror.late.held_bodies import HeldBodies
from mujoco_mirror.late.prediction import Predict
from mujoco_mirror.late.target_forecast import TargetForecast
from mujoco_mirror.model.rotations import angle_between
from sim_bridge.errors import NotFound
from sim_bridge.simulators.registry import open_simulator
from sim_bridge.trajectories.trajectory import load_trajectory

TRAJECTORY = Path(__file__).parents[3] / "policy_node" / "data" / "so101_pick_place.npz"
PHYSICS_STEP_S = 0.002
STATE_PERIOD_S = 0.02
TARGET_PERIOD_S = 0.1


def _at(time_s, position, turn=0.0, episode=1):
    pose = [position, 0, 0, 0, 0, np.sin(turn / 2), np.cos(turn / 2)]
    step = round(time_s / 0.1)
    return state({"j": position}, {"b": pose}, time_s=time_s, episode=episode, step=step)


def test_hold_shows_the_latest_and_ignores_what_comes_too_late():
    hold = HoldLast()
    assert hold.at(0.0) is None
    for one in (_at(0.1, 1.0), _at(0.3, 3.0), _at(0.2, 2.0)):
        hold.put(one)
    assert hold.at(9.0).joint_positions[0] == 3.0
    hold.put(_at(0.0, 7.0, episode=2))
    assert hold.at(9.0).joint_positions[0] == 7.0


def test_interpolation_is_exact_between_states_and_stops_at_the_ends():
    delayed = Interpolate(delay_s=0.1)
    for k in range(5):
        delayed.put(_at(0.1 * k, 10.0 * k, turn=0.4 * k))
    shown = delayed.at(0.35)
    assert shown.joint_positions[0] == pytest.approx(25.0)
    assert shown.body_poses[0, 0] == pytest.approx(25.0)
    assert 2 * np.arctan2(shown.body_poses[0, 5], shown.body_poses[0, 6]) == pytest.approx(1.0)
    assert delayed.at(9.0).joint_positions[0] == 40.0
    assert delayed.at(0.0).joint_positions[0] == 0.0


def test_mixing_takes_the_shorter_way_round_for_either_sign_of_a_quaternion():
    a, b = _at(0.0, 0.0, turn=0.1), _at(0.1, 0.0, turn=0.3)
    b.body_poses[:, 3:] *= -1
    half = mix(a, b, 0.5)
    assert angle_between(half.body_poses[:, 3:], _at(0, 0, turn=0.2).body_poses[:, 3:])[0] < 1e-9


def test_a_correction_is_blended_in_not_jumped_to():
    blend = Blend(time_constant_s=0.1)
    shown, corrected = _at(1.0, 5.0, turn=0.5), _at(1.0, 4.0, turn=0.1)
    blend.jump(shown, corrected, 1.0)
    at_once, later = blend.apply(corrected, 1.0), blend.apply(corrected, 1.1)
    assert at_once.joint_positions[0] == pytest.approx(5.0)
    assert angle_between(at_once.body_poses[0, 3:], shown.body_poses[0, 3:]) < 1e-9
    assert later.joint_positions[0] == pytest.approx(4.0 + np.exp(-1))
    assert blend.apply(corrected, 9.0) is corrected


def test_unknown_policies_are_refused():
    with pytest.raises(NotFound, match="'guess'; valid: hold, interpolate, predict"):
        make_compensation("guess", 0.1, mujoco.MjModel.from_xml_string("<mujoco/>"), None)


@pytest.fixture(scope="module")
def pick():
    """The pick episode at 50 Hz, commanded like a real arm: dense truth and published states."""
    trajectory = load_trajectory(TRAJECTORY)
    simulator = open_simulator("mujoco", "so101", kwargs={"control_period_s": PHYSICS_STEP_S})
    order = [trajectory.target_names.index(n) for n in simulator.spec.action.names]
    waypoints = trajectory.target_positions[:, order]
    simulator.reset(seed=0, state=trajectory.state(0))
    truth = [simulator.state().with_counters(1, 0)]
    every = round(STATE_PERIOD_S / PHYSICS_STEP_S)
    for k in range(round((len(waypoints) - 1) * TARGET_PERIOD_S / PHYSICS_STEP_S)):
        at = (k // every) * STATE_PERIOD_S / TARGET_PERIOD_S
        target = [np.interp(at, np.arange(len(waypoints)), w) for w in waypoints.T]
        simulator.step(np.array(target))
        truth.append(simulator.state())
    simulator.close()
    assert max(s.body_poses[0, 2] for s in truth) > 0.06  # the cube was lifted
    states = [s.with_counters(1, i // every) for i, s in enumerate(truth) if i % every == 0]
    return truth, states


def _arrivals(states, seed, jitter_s=0.1, loss=0.05):
    rng = np.random.default_rng(seed)
    kept = [s for s in states if s.step == 0 or rng.random() > loss]
    return sorted(((s.time_s + rng.uniform(0, jitter_s), s) for s in kept), key=lambda a: a[0])


def _errors(compensation, truth, arrivals):
    """RMS over 60 Hz pictures of the joints [rad] and of the cube's position [m]."""
    arrivals, joints, cube = list(arrivals), [], []
    for time_s in np.arange(0.15, truth[-1].time_s, 1 / 60):
        while arrivals and arrivals[0][0] <= time_s:
            compensation.put(arrivals.pop(0)[1])
        shown, true = compensation.at(time_s), truth[round(time_s / PHYSICS_STEP_S)]
        joints.append(np.mean((shown.joint_positions - true.joint_positions) ** 2))
        cube.append(np.sum((shown.body_poses[0, :3] - true.body_poses[0, :3]) ** 2))
    return float(np.sqrt(np.mean(joints))), float(np.sqrt(np.mean(cube)))


@pytest.mark.parametrize("seed", [0, 1])
def test_prediction_beats_holding_three_times_under_jitter_and_loss(pick, seed):
    truth, states = pick
    model = mujoco.MjModel.from_xml_path(str(so101_model()))
    hold = _errors(HoldLast(), truth, _arrivals(states, seed))
    predicted = _errors(Predict(model), truth, _arrivals(states, seed))
    print(f"hold {hold}, predict {predicted}, ratio {np.divide(hold, predicted)}")
    assert predicted[0] < hold[0] / 3
    assert predicted[1] < hold[1] / 3


def test_the_judge_reports_the_error_that_the_truth_later_shows(pick):
    truth, states = pick
    model = mujoco.MjModel.from_xml_path(str(so101_model()))
    display = LateDisplay(Predict(model))
    arrivals, wall_start = _arrivals(states[:150], seed=2), 1000.0
    for time_s in np.arange(0.0, states[149].time_s, 1 / 30):
        while arrivals and arrivals[0][0] <= time_s:
            arrived_s, one = arrivals.pop(0)
            display.put(one, wall_start + arrived_s, wall_start + one.time_s)
        display.at(wall_start + time_s)
    assert display.judge.errors is not None
    shown, held = display.judge.errors
    assert 0 < shown < held / 2
    assert held > 0.01


@pytest.fixture(scope="module")
def default_pick():
    """The recorded episode of the default task: 10 Hz, with the targets that its actions became."""
    trajectory = load_trajectory(TRAJECTORY)
    return [trajectory.state(k).with_counters(1, k) for k in range(trajectory.num_states)]


def _errors_at_states(compensations, states, seed, jitter_s=0.1, loss=0.05):
    """What each compensation shows at the time of a state, against that state: RMS of the joints
    [rad] and of the cube's position [m], a row for each. Commands are sent as their step begins,
    and are as late and as often lost as the states are."""
    rng, events = np.random.default_rng(seed), []

    def send(time_s, event):
        if rng.random() >= loss:
            events.append((time_s + rng.uniform(0, jitter_s), len(events), event))

    for before, state_ in pairwise(states):
        send(before.time_s, lambda p, s=before: p.put(s))
        command = before.time_s, state_.target_names, state_.target_positions
        send(before.time_s, lambda p, c=command: p.command(*c))
    events.sort()
    joints, cube = [], []
    for true in states[3:]:
        while events and events[0][0] <= true.time_s:
            event = events.pop(0)[2]
            for compensation in compensations:
                event(compensation)
        shown = [compensation.at(true.time_s) for compensation in compensations]
        joints.append([np.mean((s.joint_positions - true.joint_positions) ** 2) for s in shown])
        cube.append([np.sum((s.body_poses[0] - true.body_poses[0])[:3] ** 2) for s in shown])
    return np.sqrt(np.mean([joints, cube], axis=1)).T


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_knowing_the_commands_beats_holding_three_times_at_ten_hertz(default_pick, seed):
    model = mujoco.MjModel.from_xml_path(str(so101_model()))
    compensations = HoldLast(), Predict(model)
    hold, predicted = _errors_at_states(compensations, default_pick, seed)
    print(f"hold {hold}, predict {predicted}, ratio {hold / predicted}")
    assert np.all(predicted < hold / 3)


def _commanded(step, *targets):
    names = ("a", "b")[: len(targets)]
    return state(
        dict.fromkeys(names, 0.0), time_s=0.1 * step, episode=1, step=step,
        target_names=names, target_positions=np.array(targets),
    )  # fmt: skip


def test_targets_are_the_commanded_ones_then_go_on_as_they_moved():
    forecast = TargetForecast()
    for k in range(3):
        forecast.put(_commanded(k, 1.0 * k, -0.5 * k))
    assert forecast.targets(0.0).tolist() == [3.0, -1.5]
    forecast.command(0.21, ["b"], np.array([7.0]))
    assert forecast.targets(0.05).tolist() == [2.0, 7.0]
    forecast.command(0.25, ["b"], np.array([8.0]))  # the last one before the step begins counts
    forecast.command(0.11, ["a"], np.array([99.0]))  # was for a step that is over
    assert forecast.targets(0.05).tolist() == [2.0, 8.0]
    assert forecast.targets(0.15).tolist() == [2.0, 8.0]  # neither has moved twice the same way


FINGERS = """
<mujoco><worldbody>
  <body name="hand"><joint name="lift" type="slide" axis="0 0 1"/><geom size="0.02"/>
    <body name="finger" pos="0.05 0 0"><joint name="close" type="slide" axis="1 0 0"/>
      <geom size="0.01"/></body>
  </body>
  <body name="cube" pos="0.03 0 0"><freejoint/><geom type="box" size="0.01 0.01 0.01"/></body>
</worldbody></mujoco>
"""


def test_a_body_that_moves_with_the_hand_is_held_until_a_finger_leaves():
    model = mujoco.MjModel.from_xml_string(FINGERS)
    data = mujoco.MjData(model)
    held = HeldBodies(model, {0: model.body("cube").id})

    def cube(height):
        return np.array([[0.03, 0.0, height, 0, 0, 0, 1.0]])

    def links(lift, close=0.0):
        data.qpos[:2] = lift, close
        mujoco.mj_kinematics(model, data)
        return data

    held.put(cube(0.0), links(0.0))
    held.put(cube(0.0), links(0.01))
    assert held.carry(links(0.02)) == ({}, set())  # the hand moved alone
    held.put(cube(0.01), links(0.02))
    poses, let_go = held.carry(links(0.05))
    assert poses[0][:3] == pytest.approx([0.03, 0.0, 0.04]) and not let_go
    assert held.carry(links(0.05, close=0.02)) == ({}, {0})
