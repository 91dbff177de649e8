"""Trouble between rollout and policy: retries, hold actions, counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policy_node.policy import PolicySpec
from policy_node.rollout.steady_policy import Steadiness, SteadyPolicy
from sim_bridge.errors import Busy, Canceled, NotFound, OperationFailed, TimedOut


class Scripted:
    """Answers what it is told, in order; the last one for ever."""

    spec = PolicySpec("scripted", "")

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def infer(self, observation):
        self.asked.append(observation.step)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def reset(self, seed=None, instruction=""):
        pass

    def close(self):
        pass


class Clock:
    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


CHUNK = np.array([[0.1, 0.6, 0.2], [0.2, 0.7, 0.3], [0.3, 0.8, 0.4]])


@pytest.fixture
def steady(arm_spec):
    def make(*answers, spec=None, **steadiness):
        clock, scripted = Clock(), Scripted(*answers)
        policy = SteadyPolicy(
            scripted,
            spec or arm_spec(),
            Steadiness(**steadiness),
            clock=clock,
            sleep=clock.sleep,
        )
        return policy, scripted, clock

    return make


def test_a_busy_or_silent_policy_is_asked_again_with_the_same_observation(steady, arm_observation):
    policy, scripted, clock = steady(Busy("full"), TimedOut("silent"), Busy("full"), CHUNK)
    np.testing.assert_array_equal(policy.infer(arm_observation(step=4)), CHUNK)
    assert scripted.asked == [4, 4, 4, 4]
    assert clock.slept == [0.05, 0.1, 0.2]
    report = policy.report()
    assert report["retries"] == 3 and report["held_steps"] == 0
    assert report["errors"] == {"Busy": 2, "TimedOut": 1}


def test_nonsense_makes_the_robot_hold_its_last_command(steady, arm_observation):
    policy, scripted, clock = steady(CHUNK, OperationFailed("nan"), OperationFailed("nan"), CHUNK)
    policy.infer(arm_observation(step=0))
    np.testing.assert_array_equal(policy.infer(arm_observation(step=2)), CHUNK[1:2])
    np.testing.assert_array_equal(policy.infer(arm_observation(step=3)), CHUNK[2:3])
    np.testing.assert_array_equal(policy.infer(arm_observation(step=4)), CHUNK)
    report = policy.report()
    assert report["held_steps"] == 2 and report["errors"] == {"OperationFailed": 2}
    assert report["last_error"] == "nan" and clock.slept == [0.05, 0.1]


def test_without_a_command_so_far_the_robot_holds_where_it_is(steady, arm_observation):
    policy, _, _ = steady(OperationFailed("nan"))
    np.testing.assert_allclose(policy.infer(arm_observation(elbow=1.5)), [[-0.4, 1.5, 0.5]])


def test_patience_ends_in_a_hold_and_holds_end_in_the_error(steady, arm_observation):
    policy, scripted, clock = steady(TimedOut("silent"), patience_s=1.0, max_holds=2)
    for step in range(2):
        assert policy.infer(arm_observation(step=step)).shape == (1, 3)
    assert clock.now <= 2.1
    with pytest.raises(TimedOut, match=r"silent \(held 2 steps in a row, .* max_holds is 2"):
        policy.infer(arm_observation(step=2))
    scripted.answers = [CHUNK]
    policy.reset(seed=1)
    assert policy.report()["held_steps"] == 0


@pytest.mark.parametrize("error", [TimedOut("silent"), Busy("full"), OperationFailed("nan")])
def test_one_deadline_counts_calls_retries_pauses_and_holds(
    steady, arm_observation, error, monkeypatch
):
    """Each call of a silent policy takes as long as it may."""
    policy, scripted, clock = steady(error, max_holds=1000, patience_s=20.0, give_up_s=60.0)
    limits = []
    policy._limit_call = limits.append
    answer = scripted.infer

    def infer(observation):
        if isinstance(error, TimedOut):
            clock.now += min(30.0, limits[-1])
        return answer(observation)

    monkeypatch.setattr(scripted, "infer", infer)
    with pytest.raises(type(error), match=r"no answer for (59|60)\.\d s; .* give_up_s 60\)"):
        for step in range(1000):
            policy.infer(arm_observation(step=step))
    assert 58.9 < clock.now <= 60.001
    assert all(0 < limit <= 60.0 for limit in limits)


def test_a_server_that_fails_at_once_burns_neither_holds_nor_the_log(
    steady, arm_observation, caplog
):
    policy, scripted, clock = steady(OperationFailed("no such key"))
    with pytest.raises(OperationFailed, match="held 50 steps in a row"):
        for step in range(51):
            policy.infer(arm_observation(step=step))
    assert clock.now > 40.0
    assert len(caplog.records) <= 12
    assert "step 0: holding, because no such key" in caplog.text


def test_trouble_that_ended_is_not_held_against_the_next_one(steady, arm_observation):
    policy, scripted, clock = steady(OperationFailed("nan"), CHUNK, give_up_s=1.0)
    for step in range(20):
        scripted.answers = [OperationFailed("nan"), CHUNK]
        assert policy.infer(arm_observation(step=2 * step)).shape == (1, 3)
        np.testing.assert_array_equal(policy.infer(arm_observation(step=2 * step + 1)), CHUNK)
        clock.now += 0.5


def test_holding_can_be_stopped(steady, arm_observation):
    policy, _, _ = steady(OperationFailed("nan"))
    policy.infer(arm_observation())
    policy._should_stop = lambda: True
    with pytest.raises(Canceled, match="stopped while the robot held: nan"):
        policy.infer(arm_observation(step=1))


def test_what_waiting_will_not_mend_passes_through(steady, arm_spec, arm_observation):
    policy, _, _ = steady(NotFound("unknown policy"))
    with pytest.raises(NotFound):
        policy.infer(arm_observation())
    custom = replace(arm_spec(), action=replace(arm_spec().action, control_mode="custom"))
    policy, _, _ = steady(OperationFailed("nan"), spec=custom)
    with pytest.raises(OperationFailed, match="nan"):
        policy.infer(arm_observation())
    assert policy.report()["held_steps"] == 0


def test_waiting_for_a_silent_policy_can_be_stopped(arm_spec, arm_observation):
    policy = SteadyPolicy(Scripted(TimedOut("silent")), arm_spec(), should_stop=lambda: True)
    with pytest.raises(Canceled, match="silent"):
        policy.infer(arm_observation())
