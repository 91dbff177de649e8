"""Chunk execution without ROS: scripted policies, simulated inference times."""

import importlib
import pkgutil
import threading

import numpy as np
import pytest

from policy_node import execution
from policy_node.execution.aggregators import AGGREGATORS, aggregator
from policy_node.execution.asynchronous import Asynchronous
from policy_node.execution.inference import BackgroundInference, DelayedInference
from policy_node.execution.open_loop import OpenLoop
from policy_node.execution.plan import Plan
from policy_node.execution.realtime import RealTimeChunking, soft_mask
from policy_node.execution.settings import STRATEGIES, ExecutionSettings, make_strategy
from policy_node.execution.temporal_ensemble import TemporalEnsemble
from policy_node.policy import PolicySpec
from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.types import Observation

HORIZON = 8


class CountingPolicy:
    """Answers step s with rows (s + i, chunk number): what was meant for when, and by which."""

    spec = PolicySpec(kind="test", description="", horizon=HORIZON)

    def __init__(self, horizon=HORIZON):
        self.horizon = horizon
        self.asked = []
        self.resets = 0

    def infer(self, observation):
        self.asked.append(observation.step)
        steps = observation.step + np.arange(self.horizon)
        return np.column_stack([steps, np.full(self.horizon, len(self.asked))]).astype(float)

    def reset(self, seed=None, instruction=""):
        self.resets += 1

    def close(self):
        pass


class InpaintingCountingPolicy(CountingPolicy):
    def __init__(self, horizon=HORIZON):
        super().__init__(horizon)
        self.given = []

    def infer_continuing(self, observation, given):
        self.given.append(np.array(given))
        chunk = self.infer(observation)
        chunk[: len(given)] = given
        return chunk


class EveryNth(OpenLoop):
    def __init__(self, policy, nth):
        super().__init__(policy)
        self.nth = nth

    def next_actions(self, observation):
        return super().next_actions(observation)[:: self.nth]


def every_nth(policy, settings):
    return EveryNth(policy, **settings.options())


def drive(strategy, steps):
    """Run an episode of ``steps`` control steps; the executed rows (steps, A)."""
    strategy.reset(seed=0)
    rows = []
    while len(rows) < steps:
        actions = strategy.next_actions(Observation(step=len(rows)))
        assert actions.ndim == 2 and len(actions) >= 1
        rows.extend(actions)
    return np.array(rows[:steps])


def test_open_loop_executes_whole_chunks():
    policy = CountingPolicy()
    rows = drive(OpenLoop(policy), 20)
    assert policy.asked == [0, 8, 16]
    assert rows[:, 0].tolist() == list(range(20))


def test_open_loop_executes_the_first_actions_of_each_chunk():
    policy = CountingPolicy()
    strategy = OpenLoop(policy, execute=3)
    rows = drive(strategy, 9)
    assert policy.asked == [0, 3, 6]
    assert rows[:, 1].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    report = strategy.report()
    assert (report.inferences, report.stalls, report.seams) == (3, 2, 2)


def test_every_strategy_executes_each_step_with_an_action_meant_for_it():
    for name in STRATEGIES:
        for delay in (0, 2):
            settings = ExecutionSettings(strategy=name, delay_steps=delay)
            rows = drive(make_strategy(settings, CountingPolicy()), 30)
            assert rows[:, 0].tolist() == pytest.approx(list(range(30))), (name, delay)


def test_every_strategy_starts_a_new_episode_from_nothing():
    for name in STRATEGIES:
        policy = CountingPolicy()
        strategy = make_strategy(ExecutionSettings(strategy=name, delay_steps=2), policy)
        first = drive(strategy, 13)
        policy.asked.clear()
        second = drive(strategy, 13)
        assert np.array_equal(first, second), name
        assert policy.resets == 2
        assert strategy.report().actions >= 13
        strategy.close()


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_error_of_the_policy_reaches_the_caller(name):
    class Broken(CountingPolicy):
        def infer(self, observation):
            raise ConnectionError("server gone")

    for delay in (-1, 0):
        strategy = make_strategy(ExecutionSettings(strategy=name, delay_steps=delay), Broken())
        strategy.reset()
        with pytest.raises(ConnectionError, match="server gone"):
            strategy.next_actions(Observation())
        strategy.close()


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_chunk_that_is_none_is_refused(name):
    class Empty(CountingPolicy):
        def infer(self, observation):
            return np.zeros((0, 2))

    strategy = make_strategy(ExecutionSettings(strategy=name, delay_steps=0), Empty())
    strategy.reset()
    with pytest.raises(ValueError, match=r"shape \(0, 2\)"):
        strategy.next_actions(Observation())


def test_asynchronous_asks_at_the_threshold_and_never_stalls_when_the_chunk_lasts():
    policy = CountingPolicy()
    strategy = Asynchronous(policy, 0.5, "latest_only", DelayedInference(3))
    drive(strategy, 24)
    # 8 actions: after 4 are executed 4 are left, which is the threshold; 3 steps later the new
    # chunk comes, with 5 of its 8 actions still ahead.
    assert policy.asked[:3] == [0, 4, 8]
    report = strategy.report()
    assert report.stalls == 0
    assert report.queue_depth_min >= 0
    assert report.late_actions == 3 * (report.inferences - 1)


def test_asynchronous_stalls_when_the_inference_outlasts_the_queue():
    strategy = Asynchronous(CountingPolicy(), 0.25, "latest_only", DelayedInference(5))
    rows = drive(strategy, 24)
    assert strategy.report().stalls > 0
    assert rows[:, 0].tolist() == list(range(24))


def test_a_late_chunk_is_cut_by_the_step_of_its_observation():
    policy = CountingPolicy()
    strategy = Asynchronous(policy, 1.0, "latest_only", DelayedInference(3))
    rows = drive(strategy, 8)
    # The second chunk was asked at step 1 and came at step 4.
    assert policy.asked[:2] == [0, 1]
    assert rows[:, 1].tolist()[:6] == [1, 1, 1, 1, 2, 2]
    assert rows[:, 0].tolist() == list(range(8))


@pytest.mark.parametrize(
    "name, expected",
    [("weighted_average", 0.7), ("latest_only", 1.0), ("average", 0.5), ("conservative", 0.3)],
)
def test_aggregators_weigh_old_and_new(name, expected):
    old, new = np.zeros((2, 1)), np.ones((2, 1))
    assert aggregator(name)(old, new) == pytest.approx(expected)
    strategy = Asynchronous(CountingPolicy(), 0.5, name, DelayedInference(0))
    rows = drive(strategy, 8)
    assert rows[5, 1] == pytest.approx(1 + expected)  # asked at 4, taken in at 5


def test_unknown_choices_are_refused_with_the_valid_ones():
    with pytest.raises(NotFound, match=", ".join(AGGREGATORS)):
        aggregator("median")
    with pytest.raises(NotFound, match="unknown strategy 'closed_loop'; valid: open_loop, asyn"):
        ExecutionSettings(strategy="closed_loop")
    with pytest.raises(InvalidRequest, match="threshold is 2"):
        ExecutionSettings(threshold=2.0)


def test_every_file_with_a_strategy_is_in_the_table():
    """A strategy that was forgotten there could not be chosen."""
    modules = [f"{execution.__name__}.{m.name}" for m in pkgutil.iter_modules(execution.__path__)]
    made = {name for name in modules if hasattr(importlib.import_module(name), "make")}
    assert made == {entry.partition(":")[0] for entry in STRATEGIES.values()}


def test_an_entry_without_its_strategy_is_an_error(monkeypatch):
    monkeypatch.setitem(STRATEGIES, "half_done", "policy_node.execution.plan:make")
    with pytest.raises(NotFound, match="function of policy_node.execution.plan .* 'make'"):
        ExecutionSettings(strategy="half_done")


def test_each_name_gives_a_strategy_of_its_own():
    settings = [ExecutionSettings(strategy=name) for name in STRATEGIES]
    made = [type(make_strategy(each, CountingPolicy())) for each in settings]
    assert made == [OpenLoop, Asynchronous, TemporalEnsemble, RealTimeChunking]


def test_options_of_a_strategy_of_ones_own():
    def settings(options, strategy=f"python:{__name__}:every_nth"):
        return ExecutionSettings(strategy=strategy, strategy_options=options)

    rows = drive(make_strategy(settings('{"nth": 2}'), CountingPolicy()), 6)
    assert rows[:, 0].tolist() == [0, 2, 4, 6, 4, 6]
    with pytest.raises(InvalidRequest, match="strategy_options is not JSON"):
        settings("{nth: 2}")
    with pytest.raises(InvalidRequest, match="valid: a JSON object"):
        settings("[2]")
    with pytest.raises(InvalidRequest, match="'open_loop' has parameters of its own"):
        settings('{"nth": 2}', "open_loop")


def test_temporal_ensemble_weighs_chunks_as_act_does():
    m = 0.5
    rows = drive(TemporalEnsemble(CountingPolicy(), m), 10)
    weights = np.exp(-m * np.arange(3))
    assert rows[2, 1] == pytest.approx(weights @ [1, 2, 3] / weights.sum())
    # At step 9 the chunks of steps 2..9 still reach it; the oldest has the largest weight.
    weights = np.exp(-m * np.arange(8))
    assert rows[9, 1] == pytest.approx(weights @ np.arange(3, 11) / weights.sum())


def test_soft_mask_freezes_fades_and_frees():
    mask = soft_mask(planned=6, delay=2, horizon=8)
    assert mask[:2].tolist() == [1, 1]
    assert np.all(np.diff(mask[1:6]) < 0) and np.all(mask[2:6] > 0)
    assert mask[6:].tolist() == [0, 0]
    c = (6 - 3) / (6 - 2 + 1)
    assert mask[3] == pytest.approx(c * (np.exp(c) - 1) / (np.e - 1))


def test_real_time_chunking_keeps_what_was_executed_during_inference():
    policy = CountingPolicy()
    strategy = RealTimeChunking(policy, 4, 2, DelayedInference(2))
    rows = drive(strategy, 20)
    assert policy.asked[:3] == [0, 4, 8]
    # Asked at 4, there at 6: steps 4 and 5 are the old chunk's, 6 and 7 fade, then new.
    assert rows[4:6, 1].tolist() == [1, 1]
    assert 1 < rows[6, 1] < rows[7, 1] < 2
    assert strategy.report().stalls == 0


def test_real_time_chunking_gives_the_frozen_actions_to_a_policy_that_infills():
    policy = InpaintingCountingPolicy()
    strategy = RealTimeChunking(policy, 4, 2, DelayedInference(2))
    rows = drive(strategy, 12)
    assert policy.given[0][:, 0].tolist() == [4, 5]
    assert policy.given[0][:, 1].tolist() == [1, 1]
    assert rows[6:8, 1].tolist() == [2, 2]  # not blended: the chunk continues them by itself


def test_real_time_chunking_learns_the_delay():
    policy = InpaintingCountingPolicy()
    strategy = RealTimeChunking(policy, 4, 1, DelayedInference(3))
    drive(strategy, 24)
    assert len(policy.given[0]) == 1
    assert len(policy.given[-1]) == 3


def test_blending_shrinks_the_jump_at_seams():
    class Jumpy(CountingPolicy):
        def infer(self, observation):
            self.asked.append(observation.step)
            return np.full((self.horizon, 1), float(len(self.asked) % 2))

    hard = Asynchronous(Jumpy(), 0.5, "latest_only", DelayedInference(1))
    soft = RealTimeChunking(Jumpy(), 4, 1, DelayedInference(1))
    drive(hard, 40)
    drive(soft, 40)
    assert hard.report().seam_jump_max == 1.0
    assert soft.report().seam_jump_max < 0.7


def test_plan_tells_what_is_left_and_what_came_too_late():
    plan = Plan()
    latest = aggregator("latest_only")
    assert plan.merge(np.arange(4.0)[:, None], 10, 12, latest) == 2
    assert plan.remaining(12).ravel().tolist() == [2, 3]
    assert plan.merge(np.arange(3.0)[:, None], 5, 12, latest) == 3  # wholly too late
    assert plan.number == 1
    assert plan.take(13).tolist() == [3]
    with pytest.raises(IndexError):
        plan.take(14)


def test_background_inference_runs_beside_the_caller():
    release, inference = threading.Event(), BackgroundInference()

    def slow(observation):
        assert release.wait(30)
        return np.full((2, 1), observation.step)

    inference.submit(Observation(step=7), slow)
    assert inference.busy
    assert inference.poll(100) is None
    with pytest.raises(RuntimeError, match="under way"):
        inference.submit(Observation(), slow)
    release.set()
    finished = inference.wait()
    assert finished.observation_step == 7 and finished.actions.tolist() == [[7], [7]]
    assert not inference.busy


def test_asynchronous_goes_on_while_a_thread_infers():
    """The second inference is held: the queue is executed meanwhile, then it waits (a stall)."""
    gate = threading.Event()
    gate.set()

    class Gated(CountingPolicy):
        def infer(self, observation):
            assert gate.wait(30)
            return super().infer(observation)

    strategy = Asynchronous(Gated(), 0.5, "latest_only")
    strategy.reset()
    strategy.next_actions(Observation(step=0))
    gate.clear()
    for step in range(1, HORIZON):
        assert strategy.next_actions(Observation(step=step))[0, 0] == step
    assert strategy.report().stalls == 0
    threading.Timer(0.05, gate.set).start()
    assert strategy.next_actions(Observation(step=HORIZON))[0, 0] == HORIZON
    report = strategy.report()
    assert report.stalls == 1 and report.stalled_s > 0.0
    strategy.close()


def test_reports_are_plain_values():
    strategy = OpenLoop(CountingPolicy(), execute=4)
    drive(strategy, 8)
    report = strategy.report().to_dict()
    assert report["actions"] == 8 and report["inferences"] == 2
    assert report["inference_p99_s"] >= report["inference_p50_s"] > 0.0
    # Rows are (step, chunk): within a chunk 1 apart, at the seam sqrt(2).
    assert report["inner_jump_mean"] == pytest.approx(1.0)
    assert report["seam_jump_max"] == pytest.approx(np.sqrt(2))
