from dataclasses import replace

import numpy as np
import pytest

from sim_bridge.bridge.session import Session
from sim_bridge.errors import (
    IncorrectState,
    InvalidAction,
    InvalidState,
    NotFound,
    OperationFailed,
)
from sim_bridge.types import ActionSpec, LinkPoses, SimSpec, SimState, StepOutcome


class Counter:
    """A simulator of one joint that adds the action to its position."""

    def __init__(self, ends_at: int = 1000) -> None:
        self._ends_at = ends_at
        self.steps = 0
        self.position = 0.0
        self.reads = 0
        self.explode = False
        self.spec = SimSpec(
            simulator="counter",
            simulator_version="1",
            task="count",
            instruction="count",
            robot_entities=("r",),
            base_frames=("r/base",),
            joints=(),
            action=ActionSpec(("push",), np.array([-1.0]), np.array([1.0]), ("m",), "custom"),
            observations=(),
            control_period_s=0.1,
        )

    def reset(self, seed=None, state=None, options=None):
        self.steps, self.position = 0, float(seed or 0)
        if state is not None:
            self.set_state(state)
        return StepOutcome({"position": np.array([self.position])})

    def step(self, action):
        if self.explode:
            raise ZeroDivisionError("boom")
        self.steps += 1
        self.position += float(action[0])
        return StepOutcome({}, reward=1.0, terminated=self.steps >= self._ends_at)

    def state(self, native=False):
        self.reads += 1
        return SimState(
            time_s=self.steps * 0.1,
            joint_names=("r/slide",),
            joint_positions=np.array([self.position]),
            joint_velocities=np.zeros(1),
            body_names=("cube",),
            body_poses=np.array([[0.0, 0, 0, 0, 0, 0, 1]]),
            body_twists=np.zeros((1, 6)),
        )

    def set_state(self, state):
        for name, value in zip(state.joint_names, state.joint_positions, strict=True):
            assert name == "r/slide"
            self.position = float(value)
        return StepOutcome({})

    def link_poses(self):
        return LinkPoses()

    def render(self, camera):
        raise AssertionError("no camera")

    def model_files(self):
        return {}

    def close(self):
        pass


@pytest.fixture
def simulator():
    return Counter(ends_at=8)


class Records(list):
    listening = True

    def wanted(self):
        return self.listening

    def __init__(self):
        self.steps = []

    def record(self, record):
        self.append(record)
        self.steps.append(record.read_state().step)

    def flush(self):
        pass


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def session(simulator, records):
    return Session(simulator, records)


def test_step_needs_a_reset(session):
    with pytest.raises(IncorrectState, match="reset first"):
        session.step("a", 1, [0.1])
    with pytest.raises(IncorrectState, match="reset first"):
        session.get_state()


def test_a_chunk_takes_every_row_and_records_each_step(session, records):
    session.reset("a", 1)
    answer = session.step("a", 2, [0.1, 0.2, 0.3], 3)
    assert answer.state.step == 3
    assert answer.state.joint_positions[0] == pytest.approx(0.6)
    assert answer.rewards.tolist() == [1.0, 1.0, 1.0]
    assert records.steps == [0, 1, 2, 3]
    assert records[0].action is None and records[2].action[0] == 0.2


def test_a_chunk_that_nobody_wants_is_not_recorded(session, records):
    records.listening = False
    session.reset("a", 1)
    assert session.step("a", 2, [0.1, 0.2], 2).state.step == 2
    assert records.steps == [0]


def test_a_record_reads_the_state_when_it_is_wanted(session, simulator, records):
    session.reset("a", 1)
    session.step_lean("a", 2, [0.1])
    reads = simulator.reads
    assert records[-1].read_state().joint_positions[0] == pytest.approx(0.1)
    assert session.step("a", 3, [0.1]).state is records[-1].read_state()
    assert simulator.reads == reads + 1


def test_a_lean_answer_has_arrays_but_no_state(session):
    session.reset("a", 1)
    answer = session.step_lean("a", 2, [0.1, 0.2], 2)
    assert not hasattr(answer, "state") and len(answer.observation.joint_names) == 0
    assert answer.observation.step == 2 and len(answer.rewards) == 2


def test_the_end_of_the_episode_cuts_a_chunk_and_blocks_further_steps(session, simulator):
    session.reset("a", 1)
    answer = session.step("a", 2, [0.0] * 20, 20)
    assert len(answer.rewards) == 8 and answer.terminated
    with pytest.raises(IncorrectState, match="terminated at step 8"):
        session.step("a", 3, [0.0])
    assert simulator.steps == 8
    session.reset("a", 3)
    assert session.step("a", 4, [0.0]).state.step == 1


def test_episodes_are_counted(session):
    assert session.reset("a", 1).state.episode == 1
    assert session.reset("a", 2).state.episode == 2


@pytest.mark.parametrize(
    ("actions", "num_steps", "message"),
    [
        ([0.1, 0.2], 1, r"2 action values for 1 step\(s\); valid: 1 \(1 x 1: push\)"),
        ([float("nan")], 1, "action 0, push: nan; valid: a finite number"),
        ([0.0, float("inf")], 2, "action 1, push: inf"),
        ([1.5], 1, "push: 1.5; valid: -1 to 1 m"),
        ([], 0, "num_steps is 0"),
    ],
)
def test_bad_actions_change_nothing(session, simulator, actions, num_steps, message):
    session.reset("a", 1)
    with pytest.raises(InvalidAction, match=message):
        session.step("a", 2, actions, num_steps)
    assert simulator.steps == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"joint_names": ("r/elbow",)}, NotFound, "unknown joint 'r/elbow'; valid: r/slide"),
        ({"joint_positions": np.array([np.nan])}, InvalidState, "'r/slide': position nan"),
        (
            {"joint_positions": np.zeros(2)},
            InvalidState,
            "joints: 1 names, but position values of shape .2,.",
        ),
        ({"body_poses": np.zeros((1, 7))}, InvalidState, "quaternion xyzw of norm 0"),
        ({"body_names": ("sphere",)}, NotFound, "unknown body 'sphere'; valid: cube"),
        ({"joint_names": ("r/slide",) * 2}, InvalidState, "joint 'r/slide' is named twice"),
    ],
)
def test_bad_states_change_nothing(session, simulator, change, error, message):
    session.reset("a", 1, seed=3)
    with pytest.raises(error, match=message):
        session.set_state("a", 2, replace(simulator.state(), **change))
    assert simulator.position == 3.0


def test_unknown_camera_is_refused_before_the_step(session, simulator):
    session.reset("a", 1)
    with pytest.raises(NotFound, match="unknown camera 'front'; valid: none"):
        session.step("a", 2, [0.1], cameras=["front"])
    assert simulator.steps == 0


def test_a_failing_simulator_is_reported_and_ends_the_episode(session, simulator):
    session.reset("a", 1)
    simulator.explode = True
    with pytest.raises(OperationFailed, match="boom"):
        session.step("a", 2, [0.1])
    simulator.explode = False
    with pytest.raises(IncorrectState, match="the simulator failed after step 0"):
        session.step("a", 2, [0.1])
    session.reset("a", 2)
    assert session.step("a", 3, [0.1]).state.step == 1


def test_reset_from_a_state(session, simulator):
    session.reset("a", 1)
    wanted = replace(simulator.state(), joint_positions=np.array([0.7]))
    answer = session.reset("a", 2, state=wanted)
    assert answer.state.joint_positions[0] == 0.7 and answer.state.step == 0
