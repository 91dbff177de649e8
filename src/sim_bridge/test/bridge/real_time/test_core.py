"""Pace, commands and the real-time loop, on a clock that the test moves."""

from typing import Any

import numpy as np
import pytest

from sim_bridge.bridge.parameters import BridgeParameters
from sim_bridge.bridge.real_time.command_slot import CommandSlot, match_targets
from sim_bridge.bridge.real_time.core import RealTime
from sim_bridge.bridge.real_time.pacer import Pacer
from sim_bridge.bridge.session import Session
from sim_bridge.errors import (
    FeatureUnsupported,
    IncorrectState,
    InvalidAction,
    InvalidRequest,
    NotFound,
)
from sim_bridge.types import ActionSpec, SimSpec, SimState, StepOutcome

NAMES = ("r/pan", "r/lift")
LAG = 0.5


def _action_spec(control_mode="joint_position"):
    return ActionSpec(NAMES, np.full(2, -2.0), np.full(2, 2.0), ("rad", "rad"), control_mode)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class LaggingArm:
    """Two joints that go half of the way to their targets in each step."""

    def __init__(self, control_mode="joint_position", ends_at=1000):
        self._ends_at = ends_at
        self.explode = False
        self.steps = 0
        self.positions, self.targets = np.zeros(2), np.zeros(2)
        self.spec = SimSpec(
            simulator="arm",
            simulator_version="1",
            task="wave",
            instruction="wave",
            robot_entities=("r",),
            base_frames=("r/base",),
            joints=(),
            action=_action_spec(control_mode),
            observations=(),
            control_period_s=0.1,
        )

    def reset(self, seed=None, state=None, options=None):
        self.steps = 0
        self.positions, self.targets = np.array([0.1, 0.2]), np.array([0.1, 0.2])
        return StepOutcome({})

    def step(self, action):
        if self.explode:
            raise ZeroDivisionError("boom")
        self.steps += 1
        self.targets = np.array(action)
        self.positions = self.positions + LAG * (self.targets - self.positions)
        return StepOutcome({}, truncated=self.steps >= self._ends_at)

    def set_state(self, state):
        self.positions = np.array(state.joint_positions)
        self.targets = np.array(state.target_positions)
        return StepOutcome({})

    def state(self, native=False):
        return SimState(
            joint_names=NAMES,
            joint_positions=self.positions,
            joint_velocities=np.zeros(2),
            target_names=NAMES,
            target_positions=self.targets,
        )


@pytest.fixture
def clock():
    return Clock()


class Rig:
    def __init__(self, clock, on_stale="hold", **arm):
        self.clock = clock
        arm_: Any = LaggingArm(**arm)
        self.arm = arm_
        self.session = Session(arm_, own_pace=True, clock=clock)
        self.slot = CommandSlot(2, clock)
        self.pacer = Pacer(0.1, clock)
        self.loop = RealTime(self.session, self.slot, self.pacer, 0.25, on_stale)
        self.loop.start()
        self.loop.run_due()

    def run(self, periods):
        """As many steps as get their time, the clock set to each deadline."""
        taken = 0
        for _ in range(periods):
            self.clock.now += 0.1 + 1e-6
            taken += self.loop.run_due()
        return taken


def test_steps_are_due_once_a_period(clock):
    pacer = Pacer(0.1, clock)
    assert pacer.due() and pacer.left_s() == 0
    pacer.tick()
    assert not pacer.due() and pacer.left_s() == pytest.approx(0.1)
    clock.now += 0.04
    assert pacer.left_s() == pytest.approx(0.06)
    clock.now += 0.061
    assert pacer.due() and pacer.missed == 0


def test_a_late_step_keeps_the_schedule_of_the_others(clock):
    pacer = Pacer(0.1, clock)
    pacer.tick()
    clock.now += 0.15
    pacer.tick()
    assert pacer.missed == 0 and pacer.left_s() == pytest.approx(0.05)


def test_missed_deadlines_are_counted_and_skipped_without_a_burst(clock):
    pacer = Pacer(0.1, clock)
    pacer.tick()
    clock.now += 0.45
    steps = 0
    while pacer.due():
        pacer.tick()
        steps += 1
    assert (steps, pacer.missed) == (1, 3)
    assert pacer.left_s() == pytest.approx(0.05)


def test_the_time_before_a_restart_is_not_missed(clock):
    pacer = Pacer(0.1, clock)
    pacer.tick()
    clock.now += 60.0
    pacer.restart()
    pacer.tick()
    assert pacer.missed == 0 and pacer.left_s() == pytest.approx(0.1)


def test_the_real_time_factor_is_of_the_time_since_it_was_asked(clock):
    pacer = Pacer(0.1, clock)
    for _ in range(10):
        pacer.tick()
        clock.now += 0.1 + 1e-9
    assert pacer.take_real_time_factor() == pytest.approx(1.0)
    for _ in range(10):
        pacer.tick()
        clock.now += 0.2 + 1e-9
    assert pacer.take_real_time_factor() == pytest.approx(0.5)
    clock.now += 1.0
    assert pacer.take_real_time_factor() == 0.0


def test_targets_are_matched_by_name():
    assert match_targets(["r/lift", "r/pan"], [0.5, -1.0], _action_spec()) == {1: 0.5, 0: -1.0}


@pytest.mark.parametrize(
    ("names", "positions", "error", "message"),
    [
        (["r/knee"], [0.0], NotFound, "unknown joint 'r/knee'; valid: r/pan, r/lift"),
        (["r/pan"], [], InvalidAction, "1 joint names and 0 positions"),
        ([], [], InvalidAction, "0 joint names"),
        (["r/pan"], [2.5], InvalidAction, "r/pan: 2.5; valid: -2 to 2 rad"),
        (["r/pan"], [float("nan")], InvalidAction, "r/pan: nan"),
        (["r/pan", "r/pan"], [0.0, 1.0], InvalidAction, "'r/pan' is named twice"),
    ],
)
def test_bad_commands_are_refused_with_a_reason(names, positions, error, message):
    with pytest.raises(error, match=message):
        match_targets(names, positions, _action_spec())


def test_the_slot_merges_partial_commands_and_knows_their_age(clock):
    slot = CommandSlot(2, clock)
    slot.hold(np.array([0.1, 0.2]))
    assert slot.latest().age_s is None
    slot.put({0: 1.0})
    slot.put({1: 2.0})
    slot.put({0: 3.0})
    clock.now += 0.3
    assert slot.latest().target.tolist() == [3.0, 2.0]
    assert slot.latest().age_s == pytest.approx(0.3)


def test_a_hold_does_not_override_a_command_that_came_meanwhile(clock):
    slot = CommandSlot(2, clock)
    slot.put({0: 1.0})
    old = slot.latest()
    slot.put({0: 2.0})
    slot.hold(np.zeros(2), instead_of=old)
    assert slot.latest().target[0] == 2.0
    slot.hold(np.zeros(2), instead_of=slot.latest())
    assert slot.latest().target[0] == 0.0 and slot.latest().age_s is None


def test_without_a_command_the_targets_of_the_scene_are_held(clock):
    rig = Rig(clock)
    assert rig.run(5) == 5
    assert rig.arm.targets.tolist() == [0.1, 0.2]
    assert not rig.loop.take_status().stale


def test_a_command_is_followed_and_other_joints_stay(clock):
    rig = Rig(clock)
    rig.slot.put({0: 1.0})
    rig.run(1)
    assert rig.arm.targets.tolist() == [1.0, 0.2]


def test_hold_keeps_the_target_of_a_stale_command(clock):
    rig = Rig(clock, "hold")
    rig.slot.put({0: 1.0})
    rig.run(10)
    status = rig.loop.take_status()
    assert rig.arm.targets.tolist() == [1.0, 0.2]
    assert (status.stale, status.stale_commands) == (True, 1)


def test_stop_stays_where_the_joints_were_until_the_next_command(clock):
    rig = Rig(clock, "stop")
    rig.slot.put({0: 1.1})
    rig.run(2)
    reached = rig.arm.positions.copy()
    assert 0.1 < reached[0] < 1.0
    rig.run(10)
    assert np.allclose(rig.arm.positions, reached) and rig.loop.take_status().stale
    rig.slot.put({0: 1.1})
    rig.run(1)
    status = rig.loop.take_status()
    assert rig.arm.targets[0] == 1.1 and not status.stale and status.stale_commands == 1


def test_pause_and_single_step(clock):
    rig = Rig(clock)
    with pytest.raises(IncorrectState, match="pause it first"):
        rig.loop.single_step()
    rig.loop.pause(True)
    before = rig.session.step_count
    assert rig.run(10) == 0 and rig.loop.wait_s() == float("inf")
    rig.slot.put({0: 1.0})
    assert rig.loop.single_step() == before + 1 and rig.arm.targets[0] == 1.0
    rig.clock.now += 60.0
    rig.loop.pause(False)
    assert rig.loop.run_due() and rig.run(3) == 3
    assert rig.loop.take_status().missed_deadlines == 0


def test_a_reset_forgets_commands_and_goes_on_from_the_new_scene(clock):
    rig = Rig(clock)
    rig.slot.put({0: 1.0})
    rig.run(5)
    rig.session.reset("client", 1)
    rig.run(1)
    assert rig.arm.targets.tolist() == [0.1, 0.2] and rig.session.episode == 2


def test_a_written_state_brings_its_targets(clock):
    rig = Rig(clock)
    rig.slot.put({0: 1.0})
    rig.run(1)
    state = SimState(
        joint_names=NAMES,
        joint_positions=np.array([-0.5, 0.5]),
        joint_velocities=np.zeros(2),
        target_names=NAMES,
        target_positions=np.array([-0.6, 0.6]),
    )
    rig.session.set_state("client", 1, state)
    rig.run(1)
    assert rig.arm.targets.tolist() == [-0.6, 0.6]


def test_clients_cannot_step(clock):
    rig = Rig(clock)
    with pytest.raises(IncorrectState, match="steps in real time"):
        rig.session.step("client", 1, [0.0, 0.0])


def test_stepping_stops_at_the_end_of_the_episode_until_the_reset(clock):
    rig = Rig(clock, ends_at=4)
    rig.run(10)
    assert rig.arm.steps == 4
    assert "truncated at step 4" in rig.loop.take_status().problem
    rig.session.reset("client", 1)
    rig.run(2)
    assert rig.arm.steps == 2 and not rig.loop.take_status().problem


def test_a_failing_simulator_pauses_until_the_reset(clock):
    rig = Rig(clock)
    rig.arm.explode = True
    rig.run(3)
    status = rig.loop.take_status()
    assert status.paused and "boom" in status.problem
    rig.arm.explode = False
    rig.session.reset("client", 1)
    assert rig.run(2) == 2
    assert not rig.loop.take_status().problem


def test_other_control_modes_are_refused(clock):
    with pytest.raises(FeatureUnsupported, match="'joint_position'; this task has 'ee_delta'"):
        Rig(clock, control_mode="ee_delta")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "fast"}, "mode is 'fast'; valid: lock_step, real_time"),
        ({"on_stale": "panic"}, "on_stale is 'panic'; valid: hold, stop"),
        ({"command_timeout_s": 0.0}, "command_timeout_s is 0.0; valid: above 0"),
    ],
)
def test_bad_parameters_are_refused(values, message):
    with pytest.raises(InvalidRequest, match=message):
        BridgeParameters(**values)
