"""Asynchronous execution: the next chunk is inferred while the last one is executed."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from policy_node.execution.aggregators import aggregator
from policy_node.execution.inference import BackgroundInference, Finished, InferenceRunner
from policy_node.execution.plan import Plan
from policy_node.execution.report import ExecutionReport, Recorder
from policy_node.execution.settings import ExecutionSettings
from policy_node.policy import Policy
from sim_bridge.types import Observation


class Asynchronous:
    """Asks for a new chunk when ``planned actions / chunk length <= threshold``.

    This is LeRobot's asynchronous inference: a chunk that arrives is cut by the step of its
    observation and merged with what is planned by one of the ``AGGREGATORS``. With nothing
    planned it waits for the chunk under way (a stall).
    """

    def __init__(
        self,
        policy: Policy,
        threshold: float = 0.5,
        aggregate: str = "weighted_average",
        inference: InferenceRunner | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold is {threshold}; valid: 0 to 1")
        self._policy = policy
        self._threshold = threshold
        self._aggregate = aggregator(aggregate)
        self._inference = inference or BackgroundInference()
        self._clock = clock
        self._plan = Plan()
        self._chunk_length = 0
        self._recorder = Recorder()

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._inference.close()
        self._policy.reset(seed, instruction)
        self._plan.clear()
        self._chunk_length = 0
        self._recorder.reset()

    def next_actions(self, observation: Observation) -> np.ndarray:
        step = observation.step
        finished = self._inference.poll(step)
        if finished is not None:
            self._take_in(finished, step)
        if not self._inference.busy and self._is_low(step):
            self._inference.submit(observation, self._policy.infer)
        while not len(self._plan.remaining(step)):
            self._wait(observation)
        action = self._plan.take(step)[None]
        self._recorder.executed(action, self._plan.number, len(self._plan))
        return action

    def report(self) -> ExecutionReport:
        return self._recorder.report()

    def close(self) -> None:
        self._inference.close()

    def _is_low(self, step: int) -> bool:
        return len(self._plan.remaining(step)) <= self._threshold * self._chunk_length

    def _take_in(self, finished: Finished, step: int) -> None:
        self._recorder.inference(finished.seconds)
        self._chunk_length = max(self._chunk_length, len(finished.actions))
        late = self._plan.merge(finished.actions, finished.observation_step, step, self._aggregate)
        self._recorder.late(late)

    def _wait(self, observation: Observation) -> None:
        if not self._inference.busy:  # the chunk that came was too late altogether
            self._inference.submit(observation, self._policy.infer)
        started = self._clock()
        first = self._recorder.inferences == 0
        self._take_in(self._inference.wait(), observation.step)
        if not first:
            self._recorder.stall(self._clock() - started)


def make(policy: Policy, settings: ExecutionSettings) -> Asynchronous:
    return Asynchronous(policy, settings.threshold, settings.aggregate, settings.inference())
