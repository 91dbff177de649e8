"""Asynchronous execution: the next chunk is inferred while the last one is executed."""

from __future__ import annotations

import time
from collections.abc import Callable

from policy_node.execution.aggregators import aggregator
from policy_node.execution.infer_ahead import InferAhead
from policy_node.execution.inference import Finished, InferenceRunner
from policy_node.execution.settings import ExecutionSettings
from policy_node.policy import Policy


class Asynchronous(InferAhead):
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
        self._threshold = threshold
        self._aggregate = aggregator(aggregate)
        super().__init__(policy, inference, clock)

    def _forget(self) -> None:
        self._chunk_length = 0

    def _is_due(self, step: int) -> bool:
        return len(self._plan.remaining(step)) <= self._threshold * self._chunk_length

    def _merge(self, finished: Finished, step: int) -> int:
        self._chunk_length = max(self._chunk_length, len(finished.actions))
        return self._plan.merge(finished.actions, finished.observation_step, step, self._aggregate)


def make(policy: Policy, settings: ExecutionSettings) -> Asynchronous:
    return Asynchronous(policy, settings.threshold, settings.aggregate, settings.inference())
