"""What strategies share that infer the next chunk while the last one is executed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from policy_node.execution.inference import BackgroundInference, Finished, InferenceRunner
from policy_node.execution.plan import Plan
from policy_node.execution.report import ExecutionReport, Recorder
from policy_node.policy import Policy
from sim_bridge.types import Observation


class InferAhead(ABC):
    """A ``Strategy`` with one action a step; a subclass says when to ask and how to merge."""

    def __init__(
        self, policy: Policy, inference: InferenceRunner | None, clock: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._inference = inference or BackgroundInference()
        self._clock = clock
        self._plan = Plan()
        self._recorder = Recorder()
        self._forget()

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._inference.close()
        self._policy.reset(seed, instruction)
        self._plan.clear()
        self._recorder.reset()
        self._forget()

    def next_actions(self, observation: Observation) -> np.ndarray:
        step = observation.step
        finished = self._inference.poll(step)
        if finished is not None:
            self._take_in(finished, step)
        if not self._inference.busy and self._is_due(step):
            self._submit(observation)
        while not len(self._plan.remaining(step)):
            self._wait(observation)
        action = self._plan.take(step)[None]
        self._recorder.executed(action, self._plan.number, len(self._plan))
        return action

    def report(self) -> ExecutionReport:
        return self._recorder.report()

    def close(self) -> None:
        self._inference.close()

    def _submit(self, observation: Observation) -> None:
        self._inference.submit(observation, self._policy.infer)

    def _take_in(self, finished: Finished, step: int) -> None:
        self._recorder.inference(finished.seconds)
        self._recorder.late(self._merge(finished, step))

    def _wait(self, observation: Observation) -> None:
        if not self._inference.busy:  # the chunk that came was too late altogether
            self._submit(observation)
        started = self._clock()
        first = self._recorder.inferences == 0
        self._take_in(self._inference.wait(), observation.step)
        if not first:
            self._recorder.stall(self._clock() - started)

    @abstractmethod
    def _forget(self) -> None:
        """What was remembered of the last episode."""

    @abstractmethod
    def _is_due(self, step: int) -> bool:
        """Whether to ask for the next chunk now."""

    @abstractmethod
    def _merge(self, finished: Finished, step: int) -> int:
        """Put a chunk into the plan; how many of its actions came too late."""
