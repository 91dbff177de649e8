"""Open loop: infer, execute the chunk, infer again."""

from __future__ import annotations

import numpy as np

from policy_node.execution.inference import timed
from policy_node.execution.report import ExecutionReport, Recorder
from policy_node.execution.settings import ExecutionSettings
from policy_node.policy import Policy
from sim_bridge.types import Observation


class OpenLoop:
    """Executes the first ``execute`` actions of each chunk (0: all) before the next inference.

    The whole run of actions goes to the environment at once, which makes it the cheapest
    strategy in lock step; every inference after the first one is a stall of a real robot.
    """

    def __init__(self, policy: Policy, execute: int = 0) -> None:
        if execute < 0:
            raise ValueError(f"execute is {execute}; valid: 0 (all) or more")
        self._policy = policy
        self._execute = execute
        self._recorder = Recorder()

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._policy.reset(seed, instruction)
        self._recorder.reset()

    def next_actions(self, observation: Observation) -> np.ndarray:
        finished = timed(observation, self._policy.infer)
        if self._recorder.inferences:
            self._recorder.stall(finished.seconds)
        self._recorder.inference(finished.seconds)
        actions = finished.actions[: self._execute or None]
        self._recorder.executed(actions, self._recorder.inferences, 0)
        return actions

    def report(self) -> ExecutionReport:
        return self._recorder.report()

    def close(self) -> None:
        pass


def make(policy: Policy, settings: ExecutionSettings) -> OpenLoop:
    return OpenLoop(policy, settings.execute)
