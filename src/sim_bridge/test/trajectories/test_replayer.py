"""The replay loop on a simulator in this process."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sim_bridge.bridge.session import Session
from sim_bridge.episodes.running import Progress
from sim_bridge.errors import InvalidAction, InvalidRequest
from sim_bridge.simulators.synthetic import SyntheticSimulator
from sim_bridge.trajectories.recording import Recording
from sim_bridge.trajectories.replayer import Replayer, ReplayOptions
from sim_bridge.trajectories.trajectory import TrajectoryRecorder


class LocalClient:
    """The bridge client's calls on a session without a bridge."""

    def __init__(self):
        self.session = Session(SyntheticSimulator("local", {"cameras": 0, "joints": 3}))
        self.calls = []
        self._numbers = itertools.count(1)

    def reset(self, seed=None, state=None):
        self.calls.append(("reset", seed, state))
        return self.session.reset("me", next(self._numbers), seed, state)

    def step(self, actions):
        self.calls.append(("step", len(actions)))
        return self.session.step("me", next(self._numbers), np.ravel(actions), len(actions))

    def set_state(self, state):
        self.calls.append(("set_state",))
        return self.session.set_state("me", next(self._numbers), state)


@pytest.fixture
def client():
    return LocalClient()


@pytest.fixture
def spec(client):
    return client.session.simulator.spec


@pytest.fixture
def recorded(spec):
    """25 steps from seed 6, by a recorder on a simulator of its own."""
    other = LocalClient()
    recorder = TrajectoryRecorder(spec, 6, other.reset(seed=6).state)
    for row in np.random.default_rng(0).uniform(-2, 2, (25, 3)):
        recorder.add(row, other.step(row[None]).state, reward=1.0)
    return recorder.finish(success=True)


def test_actions_give_the_recorded_states_again(client, spec, recorded):
    report = Replayer(client, spec).run(recorded, ReplayOptions())
    assert (report.episode.steps, report.max_joint_error) == (25, 0.0)
    assert not report.episode.canceled
    # Several steps a request; the seed alone led to the start, so it was not written.
    assert client.calls == [("reset", 6, None), ("step", 10), ("step", 10), ("step", 5)]


def test_another_start_is_written(client, spec, recorded):
    moved = replace(recorded, joint_positions=recorded.joint_positions + 0.25)
    report = Replayer(client, spec).run(moved, ReplayOptions())
    assert client.calls[1][0] == "reset" and client.calls[1][2] is not None
    assert report.max_joint_error is not None
    # The states of the file are not those of its actions.
    assert report.max_joint_error > 0.1


def test_columns_are_matched_by_name(client, spec, recorded):
    order = [2, 0, 1]
    shuffled = replace(
        recorded,
        action_names=tuple(recorded.action_names[i] for i in order),
        actions=recorded.actions[:, order],
    )
    assert Replayer(client, spec).run(shuffled, ReplayOptions()).max_joint_error == 0.0


def test_states_are_restored_without_stepping(client, spec, recorded):
    report = Replayer(client, spec).run(recorded, ReplayOptions(restore_states=True))
    assert (report.episode.steps, report.max_joint_error) == (26, 0.0)
    assert [call[0] for call in client.calls] == ["reset"] + ["set_state"] * 26


def test_states_can_only_be_restored_when_there_are_some(client, spec, recorded):
    only_first = replace(recorded, **{name: getattr(recorded, name)[:1] for name in STATE_ARRAYS})
    with pytest.raises(InvalidRequest, match="holds 1 state"):
        Replayer(client, spec).run(only_first, ReplayOptions(restore_states=True))


def test_progress_and_stopping(client, spec, recorded):
    seen = []
    progress = Progress(lambda step, reward, fps: seen.append(step))
    replayer = Replayer(client, spec, [progress], lambda: len(seen) == 2)
    episode = replayer.run(recorded, ReplayOptions()).episode
    assert (episode.canceled, episode.steps) == (True, 20)
    assert seen == [10, 20]


def test_what_happened_is_recorded(client, spec, recorded):
    recording = Recording(spec)
    Replayer(client, spec, [recording]).run(recorded, ReplayOptions())
    written = recording.trajectory
    np.testing.assert_array_equal(written.joint_positions, recorded.joint_positions)
    np.testing.assert_array_equal(written.actions, recorded.actions)


def test_actions_out_of_bounds_are_refused_or_cut(client, spec, recorded):
    wild = replace(recorded, actions=recorded.actions * 3)
    with pytest.raises(InvalidAction, match="valid: -3 to 3 rad"):
        Replayer(client, spec).run(wild, ReplayOptions())
    assert Replayer(LocalClient(), spec).run(wild, ReplayOptions(clip=True)).episode.steps == 25


def test_real_time_takes_its_time(client, spec, recorded):
    report = Replayer(client, spec).run(recorded, ReplayOptions(speed=2.0))
    assert report.episode.wall_time_s >= 0.5 * 25 * spec.control_period_s - 1e-3
    assert [call[0] for call in client.calls].count("step") == 25


def test_bad_speed_is_named():
    with pytest.raises(InvalidRequest, match="speed is -1; valid: 0"):
        ReplayOptions(speed=-1)


STATE_ARRAYS = (
    "times_s",
    "joint_positions",
    "joint_velocities",
    "body_poses",
    "body_twists",
    "target_positions",
)
